// SPDX-License-Identifier: GPL-2.0
/*
 * One line on the terminal for what takes longer than a second.
 */
#include <linux/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "progress.h"

#define FIRST_NS	1000000000ULL
#define AGAIN_NS	200000000ULL

static bool shown;
static bool yielded;

static bool terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

void progress(const char *format, ...)
{
	static __u64 due_ns;
	__u64 time_ns = clock_coarse_ns();
	va_list args;

	if (!due_ns)
		due_ns = terminal() ? time_ns + FIRST_NS : UINT64_MAX;
	if (time_ns < due_ns || yielded)
		return;
	due_ns = time_ns + AGAIN_NS;

	progress_erase();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	shown = true;
}

void progress_yield(void)
{
	yielded = isatty(STDOUT_FILENO);
}

void progress_erase(void)
{
	if (!shown)
		return;
	/* to the first column, and clear what is right of it */
	fputs("\r\033[K", stderr);
	shown = false;
}
