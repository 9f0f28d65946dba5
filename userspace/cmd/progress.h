/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One line on the terminal for what takes longer than a second.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

/* May be called as often as one likes; shows a state only now and then. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From now on standard output has lines that are not finished: none if it is a terminal. */
void progress_yield(void);
/* Before anything else is written to the terminal, and at the end. */
void progress_erase(void);

#endif
