/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Signals that ask for the end, read from a descriptor.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>

struct signals {
	int fd;
	sigset_t mask;		/* as they were, for programs that are started */
	struct sigaction interrupt;
	struct sigaction child;
	struct sigaction pipe;
};

/* From now on SIGINT, SIGTERM and SIGHUP come through the descriptor. Return: 0 or -errno. */
int signals_open(struct signals *signals);
/* Return: the next one, 0 if there is none. */
int signals_next(const struct signals *signals);
/* From now on a reader of our output that goes away is an error of write(2). */
void signals_ignore_pipe(void);
/* It has its usual effect: it ends the program. */
__attribute__((noreturn)) void signals_die(const struct signals *signals, int signal);
/* In a child, before it executes something: as it was before signals_open(). */
void signals_restore(const struct signals *signals);
void signals_close(const struct signals *signals);

#endif
