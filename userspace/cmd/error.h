/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages: one sentence each, on standard error, that says what to do.
 */
#ifndef ERROR_H
#define ERROR_H

/* What every message begins with after the program's name; NULL: nothing. */
void error_set_command(const char *command);

/* What fail() and misuse() return from now on instead of their own. */
void error_set_status(int status);

/* Return: EXIT_FAILED. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The command line is wrong. Return: EXIT_USAGE. */
int misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something to know about a result that is right all the same. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

__attribute__((noreturn)) void die_of_memory(void);

/* What was being done when an error came. */
enum doing {
	DOING_DEVICE,		/* opening the device; subject: its path */
	DOING_PROCESS,		/* opening /proc/PID; subject: PID */
	DOING_TARGET,		/* binding to a process or reading it; subject: PID */
	DOING_FILE,		/* reading a file; subject: its name */
	DOING_AREAS,		/* reading what swap areas there are; subject: "swap areas" */
	DOING_EVENTS,		/* asking for events; subject: whose */
	DOING_CGROUP,		/* opening the directory of a cgroup; subject: its path */
};

/* The sentence for -errno, and @more at its end. Return: EXIT_FAILED. */
int fail_doing(enum doing doing, int error, const char *subject, const char *more);

#endif
