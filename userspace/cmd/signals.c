// SPDX-License-Identifier: GPL-2.0
/*
 * Signals that ask for the end.
 */
#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "signals.h"

int signals_open(struct signals *signals)
{
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;

	/* a shell starts what runs in the background with SIGINT ignored: such never come */
	sigaction(SIGINT, &usual, &signals->interrupt);
	/* where it is ignored, nobody can wait for a child */
	sigaction(SIGCHLD, &usual, &signals->child);
	sigaction(SIGPIPE, NULL, &signals->pipe);
	sigprocmask(SIG_BLOCK, &set, &signals->mask);
	return 0;
}

void signals_ignore_pipe(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
}

void signals_die(const struct signals *signals, int signal)
{
	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
	kill(getpid(), signal);
	_exit(128 + signal);
}

int signals_next(const struct signals *signals)
{
	struct signalfd_siginfo info;

	return read(signals->fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_restore(const struct signals *signals)
{
	sigaction(SIGINT, &signals->interrupt, NULL);
	sigaction(SIGCHLD, &signals->child, NULL);
	sigaction(SIGPIPE, &signals->pipe, NULL);
	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

void signals_close(const struct signals *signals)
{
	signals_restore(signals);
	close(signals->fd);
}
