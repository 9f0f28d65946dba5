// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, and the one place where an errno becomes a sentence.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "printable.h"
#include "progress.h"

static const char *command;
static int status;

/* The format is the second member: %s in it is the subject. */
static const struct {
	enum doing doing;
	int error;
	const char *sentence;
} sentences[] = {
	{ DOING_DEVICE, ENOENT,
	  "there is no %s: load the module first (modprobe vminspect, or make load)" },
	{ DOING_DEVICE, ENODEV,
	  "nothing answers at %s: load the module first (modprobe vminspect, or make load)" },
	{ DOING_DEVICE, ENXIO,
	  "nothing answers at %s: load the module first (modprobe vminspect, or make load)" },
	{ DOING_DEVICE, EACCES,
	  "%s is for root alone: be root, or load with mode=0666 (make load MODE=0666)" },
	{ DOING_DEVICE, EPERM,
	  "%s is for root alone: be root, or load with mode=0666 (make load MODE=0666)" },
	{ DOING_DEVICE, ENOTTY,
	  "%s is not the device of the vminspect module" },
	{ DOING_PROCESS, ENOENT,
	  "there is no process %s" },
	{ DOING_TARGET, EACCES,
	  "process %s may not be read by you: be root, or the user it runs as" },
	{ DOING_TARGET, EPERM,
	  "process %s may not be read by you: be root, or the user it runs as" },
	{ DOING_TARGET, ESRCH,
	  "process %s is gone: it has exited or executed another program" },
	{ DOING_TARGET, ENOENT,
	  "process %s is gone: it has exited or executed another program" },
	{ DOING_TARGET, EINTR,
	  "reading process %s was interrupted: start it again" },
	{ DOING_TARGET, EIO,
	  "the module reads no further in process %s: its version may not fit this program" },
	{ DOING_AREAS, EOPNOTSUPP,
	  "there are no %s: the kernel was built without CONFIG_SWAP" },
	{ DOING_EVENTS, EPERM,
	  "events of %s are for root, and for nobody while the kernel is locked down: be root" },
	{ DOING_EVENTS, EOPNOTSUPP,
	  "events of %s: probes are off: ftrace_enabled (sysctl) and kprobes/enabled must be 1" },
	{ DOING_EVENTS, ENOTTY,
	  "events of %s take a newer module: install one version of module and program" },
	{ DOING_EVENTS, EINVAL,
	  "the module refuses a request for events of %s: install one version of both" },
	{ DOING_EVENTS, E2BIG,
	  "the module refuses a request for events of %s: install one version of both" },
	{ DOING_EVENTS, ESRCH,
	  "events of %s: there is no such process any more" },
	{ DOING_EVENTS, EBADF,
	  "events of %s: this is not the directory of a cgroup v2" },
	{ DOING_EVENTS, EUSERS,
	  "events of %s: there are as many readers already as the module allows: end one" },
	{ DOING_CGROUP, ENOENT,
	  "there is no cgroup %s: write its path, as /proc/PID/cgroup has it behind 0::" },
	{ DOING_CGROUP, ENOTDIR,
	  "%s is not a directory: write the path of a cgroup, as /proc/PID/cgroup has it" },
	{ DOING_TARGET, EINVAL,
	  "the module refuses a request for process %s: its version may not fit this program" },
};

void error_set_command(const char *name)
{
	command = name;
}

void error_set_status(int instead)
{
	status = instead;
}

static void message(const char *format, va_list args)
{
	char *text;

	progress_erase();
	fflush(stdout);
	fputs("vminspect", stderr);
	if (command)
		fprintf(stderr, " %s", command);
	fputs(": ", stderr);
	if (vasprintf(&text, format, args) >= 0) {
		print_printable(stderr, text, "");
		free(text);
	}
	fputc('\n', stderr);
}

int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	return status ? status : EXIT_FAILED;
}

int misuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	return status ? status : EXIT_USAGE;
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
}

void die_of_memory(void)
{
	exit(fail("out of memory"));
}

static const char *find_sentence(enum doing doing, int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		if (sentences[i].doing == doing && sentences[i].error == error)
			return sentences[i].sentence;
	}
	return NULL;
}

int fail_doing(enum doing doing, int error, const char *subject, const char *more)
{
	const char *sentence = find_sentence(doing, -error);
	bool process = doing == DOING_PROCESS || doing == DOING_TARGET;
	char *text = NULL;
	int length, ret;

	if (sentence)
		length = asprintf(&text, sentence, subject);
	else
		length = asprintf(&text, "%s%s: %s", process ? "process " :
				  doing == DOING_EVENTS ? "events of " : "",
				  *subject ? subject : "''", strerror(-error));
	if (length < 0)
		die_of_memory();
	ret = fail("%s%s", text, more);
	free(text);
	return ret;
}
