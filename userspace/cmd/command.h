/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a subcommand is. Each has a file of its own; the list stands in main.c.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>

#include "table.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* Exit statuses; 0 is done. */
#define EXIT_FAILED	1
#define EXIT_USAGE	2

/* Of what starts a program and has its status: as those of env(1) and timeout(1). */
#define EXIT_OWN_FAILURE	125
#define EXIT_CANNOT_EXECUTE	126
#define EXIT_NOT_FOUND		127

struct cmd_option {
	int letter;		/* above 255 there is only the long form */
	const char *name;
	const char *arg;	/* NULL: takes none */
	const char *help;
};

struct command {
	const char *name;
	const char *args;
	const char *summary;
	const char *notes;	/* last lines of the help; may be NULL */
	const struct cmd_option *options;
	size_t nr_options;
	const struct view * const *views;	/* the first is the usual one */
	size_t nr_views;
	/* What follows -- is a program with its arguments; run() gets it as it is, after --. */
	bool starts_program;

	/* One of its own options. Return: 0 or an exit status, after a message. */
	int (*option)(int letter, const char *arg);
	/* What remains of the command line. Return: the exit status. */
	int (*run)(const struct output *out, int argc, char **argv);
};

extern const struct command cmd_guest;
extern const struct command cmd_info;
extern const struct command cmd_maps;
extern const struct command cmd_ps;
extern const struct command cmd_swap;
extern const struct command cmd_trace;
extern const struct command cmd_translate;
extern const struct command cmd_walk;

#endif
