/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Standard output, which may be closed or full: then the program fails, in words.
 */
#ifndef STDOUT_H
#define STDOUT_H

/* Before anything is opened. Ends the program if standard output is closed. */
void stdout_check(void);
/* Ends the program if something could not be written. */
void stdout_flush(void);
/*
 * From now on it goes into a file. @before: a descriptor of where it went. Return: 0 or an exit
 * status, after a message.
 */
int stdout_divert(const char *file, int *before);

#endif
