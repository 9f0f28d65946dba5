// SPDX-License-Identifier: GPL-2.0
/*
 * Standard output, which may be closed or full.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

void stdout_flush(void)
{
	int failed, status;

	errno = 0;
	failed = fflush(stdout);
	if (!failed && !ferror(stdout))
		return;
	/* an earlier error has left no errno behind */
	status = fail("can't write to %s%s%s", name, failed ? ": " : "",
		      failed ? strerror(errno) : "");
	if (care)
		care->fail(care->arg);
	_exit(status);
}

/* In pieces for which a pipe that has room has room enough. */
static ssize_t write_with_care(void *cookie, const char *text, size_t size)
{
	size_t done = 0;

	(void)cookie;
	while (done < size) {
		size_t piece = size - done < PIPE_BUF ? size - done : PIPE_BUF;
		ssize_t length;

		while (care && !care->wait(care->arg))
			;
		length = write(STDOUT_FILENO, text + done, piece);
		if (length > 0)
			done += length;
		else if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return done;
}

static int close_descriptor(void *cookie)
{
	(void)cookie;
	return close(STDOUT_FILENO);
}

/* Of a file nobody waits for a reader. */
static bool may_wait(void)
{
	struct stat status;

	return !fstat(STDOUT_FILENO, &status) && !S_ISREG(status.st_mode);
}

void stdout_take_care(const struct stdout_care *from_now)
{
	static const cookie_io_functions_t functions = {
		.write = write_with_care, .close = close_descriptor,
	};
	static bool replaced;

	care = from_now;
	if (!care || replaced || !may_wait())
		return;
	fflush(stdout);
	stdout = fopencookie(NULL, "w", functions);
	if (!stdout || setvbuf(stdout, NULL, _IOFBF, BUFFER))
		die_of_memory();
	replaced = true;
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

	if (setvbuf(stdout, NULL, _IOFBF, BUFFER) || atexit(close_stdout))
		die_of_memory();
}
