// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect: page tables of live processes.
 *
 * The list of commands, and the options that all of them share.
 */
#include <ctype.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "stdout.h"
#include "vminspect.h"

static const struct command * const commands[] = {
	&cmd_maps,
	&cmd_walk,
	&cmd_translate,
	&cmd_ps,
	&cmd_swap,
	&cmd_guest,
	&cmd_trace,
	&cmd_info,
};

static const struct cmd_option common_options[] = {
	{ 'o', "output", "LIST", "show these columns; +LIST adds to the usual ones" },
	{ 'H', "list-columns", NULL, "say what columns there are" },
	{ 'J', "json", NULL, "print JSON" },
	{ 'r', "raw", NULL, "print rows only, one space between fields" },
	{ 'n', "noheadings", NULL, "print no headings" },
	{ 'b', "bytes", NULL, "print sizes in bytes" },
	{ 'h', "help", NULL, "this help" },
	{ 'V', "version", NULL, "version" },
};

/* How many of them the help of each command explains. */
#define NR_EXPLAINED	2

#define MAX_OPTIONS	32

/* The options of a command in the form that getopt_long() wants. */
struct parser {
	struct option longs[MAX_OPTIONS];
	char shorts[2 * MAX_OPTIONS + 2];
	size_t nr;
};

static void parser_add(struct parser *parser, const struct cmd_option *options, size_t nr)
{
	char *end = parser->shorts + strlen(parser->shorts);

	for (; nr && parser->nr < MAX_OPTIONS - 1; nr--, options++) {
		parser->longs[parser->nr++] = (struct option) {
			.name = options->name,
			.has_arg = options->arg ? required_argument : no_argument,
			.val = options->letter,
		};
		if (options->letter > 255)
			continue;
		*end++ = options->letter;
		if (options->arg)
			*end++ = ':';
	}
	*end = '\0';
}

static void print_option(const struct cmd_option *option)
{
	char form[64];

	snprintf(form, sizeof(form), "--%s%s%s", option->name, option->arg ? " " : "",
		 option->arg ? option->arg : "");
	if (option->letter > 255)
		printf("     %-20s %s\n", form, option->help);
	else
		printf(" -%c, %-20s %s\n", option->letter, form, option->help);
}

/* What needs no explanation with every command, in one line. */
static void print_brief_options(void)
{
	for (size_t i = NR_EXPLAINED; i < ARRAY_SIZE(common_options); i++)
		printf(" -%c --%s ", common_options[i].letter, common_options[i].name);
	putchar('\n');
}

static void print_column_names(const struct view *view)
{
	int length = printf("Columns%s%s:", view->when ? " " : "", view->when ? view->when : "");

	for (size_t i = 0; i < view->nr_columns; i++) {
		const char *name = view->columns[i].name;

		if (length + 1 + strlen(name) > 79)
			length = printf("\n  ") - 1;
		length += printf(" %s", name);
	}
	putchar('\n');
}

static void print_command_help(const struct command *command)
{
	printf("Usage: vminspect %s [options]%s%s\n%c%s.\n\n", command->name,
	       *command->args ? " " : "", command->args, toupper(command->summary[0]),
	       command->summary + 1);
	for (size_t i = 0; i < command->nr_options; i++)
		print_option(&command->options[i]);
	for (size_t i = 0; i < NR_EXPLAINED; i++)
		print_option(&common_options[i]);
	print_brief_options();
	putchar('\n');
	for (size_t i = 0; i < command->nr_views; i++)
		print_column_names(command->views[i]);
	if (command->notes)
		puts(command->notes);
}

static void print_columns(const struct command *command)
{
	for (size_t i = 0; i < command->nr_views; i++) {
		const struct view *view = command->views[i];

		if (view->when)
			printf("%s%s:\n", i ? "\n" : "", view->when);
		for (size_t j = 0; j < view->nr_columns; j++)
			printf(" %-12s %s\n", view->columns[j].name, view->columns[j].help);
	}
}

static void print_help(void)
{
	puts("Usage: vminspect COMMAND [options] [arguments]\n"
	     "Show the page tables of live processes.\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char form[64];

		snprintf(form, sizeof(form), "%s %s", commands[i]->name, commands[i]->args);
		printf(" %-22s %s\n", form, commands[i]->summary);
	}
	puts("\nOptions of all commands:");
	for (size_t i = 0; i < ARRAY_SIZE(common_options); i++)
		print_option(&common_options[i]);
	puts("\nPID is a process, a thread, or self. 'vminspect COMMAND --help' says more.");
}

static void print_version(void)
{
	printf("vminspect %s (ABI %d)\n", VMINSPECT_VERSION, VMINSPECT_ABI);
}

static int misuse_option(const struct command *command, char **argv)
{
	const char *word = argv[optind - 1];

	if (isdigit(optopt))
		return misuse("'-%c...' is negative: neither pids nor addresses are", optopt);
	/* for a long option it is set only if the option exists */
	if (!strncmp(word, "--", 2) && strchr(word, '=') && optopt)
		return misuse("'%s': this option takes no argument", word);
	if (!optopt)
		return misuse("there is no one option %s: see 'vminspect %s --help'",
			      word, command->name);
	return misuse("there is no option -%c: see 'vminspect %s --help'", optopt,
		      command->name);
}

/* Return: 0 to go on, or -1: the option was all there was to do. */
static int common_option(const struct command *command, struct output *out, int letter)
{
	switch (letter) {
	case 'o':
		out->columns = optarg;
		return 0;
	case 'J':
		out->json = true;
		return 0;
	case 'r':
		out->raw = true;
		return 0;
	case 'n':
		out->noheadings = true;
		return 0;
	case 'b':
		out->bytes = true;
		return 0;
	case 'H':
		print_columns(command);
		return -1;
	case 'V':
		print_version();
		return -1;
	default:
		print_command_help(command);
		return -1;
	}
}

static bool is_common(int letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(common_options); i++) {
		if (common_options[i].letter == letter)
			return true;
	}
	return false;
}

/* Return: 0 to go on, an exit status, or -1 if there is nothing more to do. */
static int parse_options(const struct command *command, struct output *out, int argc, char **argv)
{
	struct parser parser = { .shorts = ":" };
	int letter, ret = 0;

	parser_add(&parser, command->options, command->nr_options);
	parser_add(&parser, common_options, ARRAY_SIZE(common_options));

	while (!ret) {
		letter = getopt_long(argc, argv, parser.shorts, parser.longs, NULL);
		if (letter == -1)
			break;
		if (letter == '?')
			ret = misuse_option(command, argv);
		else if (letter == ':')
			ret = misuse("%s needs an argument: see 'vminspect %s --help'",
				     argv[optind - 1], command->name);
		else if (is_common(letter))
			ret = common_option(command, out, letter);
		else
			ret = command->option(letter, optarg);
	}
	if (!ret && out->json && out->raw)
		ret = misuse("--json and --raw exclude each other");
	return ret;
}

/* How many of the words are ours: all, or those before a program that is to be started. */
static int own_words(const struct command *command, int argc, char **argv)
{
	int nr = 1;

	while (nr < argc && !(command->starts_program && !strcmp(argv[nr], "--")))
		nr++;
	return nr;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	int own = own_words(command, argc, argv);
	struct output out = {};
	int ret;

	error_set_command(command->name);
	if (own < argc)
		error_set_status(EXIT_OWN_FAILURE);
	ret = parse_options(command, &out, own, argv);
	if (ret)
		return ret < 0 ? EXIT_SUCCESS : ret;
	return command->run(&out, argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
	/* The characters of the terminal, but no decimal comma. */
	setlocale(LC_CTYPE, "");
	stdout_check();

	if (argc < 2)
		return misuse("a command is needed: see 'vminspect --help'");
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		print_version();
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(argv[1], commands[i]->name))
			return run_command(commands[i], argc - 1, argv + 1);
	}
	return misuse("there is no command '%s': see 'vminspect --help'", argv[1]);
}
