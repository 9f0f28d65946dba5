// SPDX-License-Identifier: GPL-2.0
/*
 * Standard output, which may be closed or full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "stdout.h"

/* For messages. */
static const char *name = "standard output";

void stdout_flush(void)
{
	int failed;

	errno = 0;
	failed = fflush(stdout);
	if (!failed && !ferror(stdout))
		return;
	/* an earlier error has left no errno behind */
	_exit(fail("can't write to %s%s%s", name, failed ? ": " : "",
		   failed ? strerror(errno) : ""));
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

	/* rows are flushed in portions: they should not be cut into smaller ones */
	if (setvbuf(stdout, NULL, _IOFBF, 65536) || atexit(close_stdout))
		die_of_memory();
}
