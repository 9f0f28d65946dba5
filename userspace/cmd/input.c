// SPDX-License-Identifier: GPL-2.0
/*
 * The lines of a file or a pipe. Not stdio: it can't say whether a line is there
 * already, and someone may be waiting for the answer to the last one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "input.h"

int input_open(struct input *input, const char *name)
{
	bool standard = !strcmp(name, "-");

	input->name = standard ? "standard input" : name;
	input->line = 0;
	input->ended = false;
	input->error = 0;
	input->start = 0;
	input->end = 0;
	input->fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	return input->fd < 0 ? -errno : 0;
}

void input_close(struct input *input)
{
	if (input->fd != STDIN_FILENO)
		close(input->fd);
}

static char *find_newline(const struct input *input)
{
	return memchr(input->buffer + input->start, '\n', input->end - input->start);
}

bool input_must_wait(const struct input *input)
{
	struct pollfd poll_in = { .fd = input->fd, .events = POLLIN };

	return !input->ended && !find_newline(input) && poll(&poll_in, 1, 0) == 0;
}

/* One byte of the buffer stays free for the zero behind the last line. */
static bool is_full(const struct input *input)
{
	return input->end - input->start == sizeof(input->buffer) - 1;
}

static void fill(struct input *input)
{
	ssize_t length;

	input->end -= input->start;
	memmove(input->buffer, input->buffer + input->start, input->end);
	input->start = 0;

	do {
		length = read(input->fd, input->buffer + input->end,
			      sizeof(input->buffer) - 1 - input->end);
	} while (length < 0 && errno == EINTR);

	input->ended = length <= 0;
	if (length < 0)
		input->error = -errno;
	else
		input->end += length;
}

static char *trim(char *text, char *end)
{
	char *zero;

	/* no zero byte may hide what follows it */
	while ((zero = memchr(text, '\0', end - text)))
		*zero = '?';
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

char *input_next(struct input *input)
{
	char *text, *newline;

	while (!(newline = find_newline(input)) && !input->ended && !is_full(input))
		fill(input);

	if (!newline && input->start == input->end)
		return NULL;
	if (!newline && !input->ended) {
		input->error = -EMSGSIZE;
		input->ended = true;
		return NULL;
	}
	text = input->buffer + input->start;
	if (!newline)
		newline = input->buffer + input->end;
	input->start = newline - input->buffer;
	if (input->start < input->end)
		input->start++;
	input->line++;
	return trim(text, newline);
}
