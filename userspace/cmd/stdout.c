// SPDX-License-Identifier: GPL-2.0
/*
 * Standard output, which may be closed or full.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "stdout.h"

/* For messages. */
static const char *name = "standard output";

/* Rows are flushed in portions: they should not be cut into smaller ones. */
#define BUFFER	65536

static const struct stdout_care *care;

/* What the first write that failed said: stdio keeps only that one did. */
static int write_error;

void stdout_flush(void)
{
	int status;

	if (!fflush(stdout) && !ferror(stdout))
		return;
	status = fail("can't write to %s: %s", name, strerror(write_error));
	if (care)
		care->fail(care->arg);
	_exit(status);
}

/* Of a file nobody waits for a reader. */
static bool may_wait(void)
{
	struct stat status;

	return !fstat(STDOUT_FILENO, &status) && !S_ISREG(status.st_mode);
}

/* After a write that failed. Whoever shares the pipe may have made it one that does not block. */
static bool may_go_on(bool careful)
{
	struct pollfd room = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if (errno == EAGAIN)
		return careful || poll(&room, 1, -1) >= 0 || errno == EINTR;
	return errno == EINTR;
}

/* With care in pieces for which a pipe that has room has room enough. */
static ssize_t write_stdout(void *cookie, const char *text, size_t size)
{
	bool careful = care && may_wait();
	size_t done = 0;

	(void)cookie;
	while (done < size) {
		size_t piece = size - done;
		ssize_t length;

		if (careful) {
			if (piece > PIPE_BUF)
				piece = PIPE_BUF;
			while (!care->wait(care->arg))
				;
		}
		length = write(STDOUT_FILENO, text + done, piece);
		if (length > 0) {
			done += length;
		} else if (!may_go_on(careful)) {
			if (!write_error)
				write_error = errno;
			break;
		}
	}
	return done;
}

static int close_descriptor(void *cookie)
{
	(void)cookie;
	return close(STDOUT_FILENO);
}

void stdout_take_care(const struct stdout_care *from_now)
{
	care = from_now;
}

int stdout_divert(const char *file, int *before)
{
	int fd;

	fflush(stdout);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	*before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0 || *before < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return fail("can't write to '%s': %s", file, strerror(errno));
	close(fd);
	name = file;
	return 0;
}

/* Some file systems tell only when the file is closed. */
static void close_stdout(void)
{
	stdout_flush();
	if (fclose(stdout))
		_exit(fail("can't write to %s: %s", name, strerror(errno)));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

void stdout_check(void)
{
	static const cookie_io_functions_t functions = {
		.write = write_stdout, .close = close_descriptor,
	};

	if (!is_open(STDOUT_FILENO))
		exit(fail("standard output is closed"));

	/*
	 * The device must not become descriptor 0 or 2. What takes their place can't
	 * be read or written as they should be, so that this is noticed.
	 */
	if (!is_open(STDIN_FILENO) && open("/dev/null", O_WRONLY) < 0)
		exit(EXIT_FAILED);
	if (!is_open(STDERR_FILENO) && open("/dev/null", O_RDONLY) < 0)
		exit(EXIT_FAILED);

	stdout = fopencookie(NULL, "w", functions);
	if (!stdout || setvbuf(stdout, NULL, _IOFBF, BUFFER) || atexit(close_stdout))
		die_of_memory();
}
