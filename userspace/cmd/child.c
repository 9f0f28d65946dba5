// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is started here.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "error.h"

int open_pidfd(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* The new process. Nothing is flushed or closed here that is its parent's. */
__attribute__((noreturn))
static void become(char **argv, int output, int link, const struct signals *signals)
{
	int error;
	char word;

	/* the end of the parent comes here as the end of the file */
	if (read(link, &word, 1) == 1) {
		signals_restore(signals);
		if (output >= 0)
			dup2(output, STDOUT_FILENO);
		execvp(argv[0], argv);
		error = errno;
		if (write(link, &error, sizeof(error)) < 0)
			_exit(EXIT_OWN_FAILURE);
	}
	_exit(EXIT_OWN_FAILURE);
}

int child_prepare(struct child *child, char **argv, int output, const struct signals *signals)
{
	int links[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, links))
		return fail("can't start '%s': %s", argv[0], strerror(errno));

	fflush(stdout);
	child->pid = fork();
	if (!child->pid) {
		close(links[0]);
		become(argv, output, links[1], signals);
	}
	close(links[1]);
	child->link = links[0];
	child->pidfd = child->pid < 0 ? -errno : open_pidfd(child->pid);
	child->argv = argv;
	if (child->pidfd >= 0)
		return 0;
	if (child->pid > 0)
		child_cancel(child);
	else
		close(child->link);
	return fail("can't start '%s': %s", argv[0], strerror(-child->pidfd));
}

static int fail_execution(const char *program, int error)
{
	if (error == ENOENT) {
		fail("there is no program '%s': what follows -- is executed", program);
		return EXIT_NOT_FOUND;
	}
	fail("can't execute '%s': %s", program, strerror(error));
	return EXIT_CANNOT_EXECUTE;
}

int child_go(struct child *child)
{
	int error = 0;
	ssize_t length;

	/* it may have been killed while it waited: that is its exit status then */
	if (send(child->link, "", 1, MSG_NOSIGNAL) != 1)
		return 0;
	do {
		length = read(child->link, &error, sizeof(error));
	} while (length < 0 && errno == EINTR);
	close(child->link);
	child->link = -1;
	/* the end of the file: it was closed when the program was executed */
	if (length != sizeof(error))
		return 0;
	waitpid(child->pid, NULL, 0);
	close(child->pidfd);
	return fail_execution(child->argv[0], error);
}

void child_cancel(struct child *child)
{
	close(child->link);
	waitpid(child->pid, NULL, 0);
	if (child->pidfd >= 0)
		close(child->pidfd);
}

bool child_has_ended(const struct child *child)
{
	struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

	return poll(&end, 1, 0) > 0;
}

void child_pass_signal(const struct child *child, int signal)
{
	/* that one the terminal has sent to both */
	if (signal != SIGINT)
		syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
}

int child_wait(struct child *child, const struct signals *signals)
{
	struct pollfd polls[] = {
		{ .fd = child->pidfd, .events = POLLIN },
		{ .fd = signals->fd, .events = POLLIN },
	};
	int status = 0;

	while (poll(polls, ARRAY_SIZE(polls), -1) < 0 || !polls[0].revents) {
		int signal = signals_next(signals);

		if (signal)
			child_pass_signal(child, signal);
	}
	if (waitpid(child->pid, &status, 0) != child->pid)
		return EXIT_OWN_FAILURE;
	close(child->pidfd);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
