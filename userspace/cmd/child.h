/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program that is started here. It is there, with its pid, before it does anything.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "signals.h"

struct child {
	char **argv;		/* NULL: there is none */
	pid_t pid;
	int pidfd;		/* readable once it has ended */
	int link;		/* to the process that waits to become the program */
};

/*
 * Makes the process, which waits. @output: its standard output; -1: ours. Return: 0 or an exit
 * status, after a message.
 */
int child_prepare(struct child *child, char **argv, int output, const struct signals *signals);
/* Lets it execute the program. Return: 0 or an exit status, after a message. */
int child_go(struct child *child);
/* Instead: it never becomes the program. */
void child_cancel(struct child *child);

/* Whether it runs no more, though nobody may have waited for it. */
bool child_has_ended(const struct child *child);
/* A signal that came here while it runs. */
void child_pass_signal(const struct child *child, int signal);
/* Waits for its end. Return: its exit status, 128 + n if signal n ended it. */
int child_wait(struct child *child, const struct signals *signals);

/* A descriptor that is readable once a process has ended, or -errno. */
int open_pidfd(pid_t pid);

#endif
