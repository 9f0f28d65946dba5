/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Standard output, which may be closed or full: then the program fails, in words.
 */
#ifndef STDOUT_H
#define STDOUT_H

#include <stdbool.h>

/* What a command that runs for long does about its output. */
struct stdout_care {
	/* Waits for room. Return: whether there is some, or an error to be found by writing. */
	bool (*wait)(void *arg);
	/* Something could not be written. After the message; then the program ends. */
	void (*fail)(void *arg);
	void *arg;
};

/* Before anything is opened. Ends the program if standard output is closed. */
void stdout_check(void);
/* Ends the program if something could not be written. */
void stdout_flush(void);
/* From now on; NULL: no more. */
void stdout_take_care(const struct stdout_care *care);
/*
 * From now on it goes into a file. @before: a descriptor of where it went. Return: 0 or an exit
 * status, after a message.
 */
int stdout_divert(const char *file, int *before);

#endif
