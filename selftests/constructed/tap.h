/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the modules here have in common: tests that run when they are loaded, whose outcome
 * is TAP in debugfs, for ../constructed.sh.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sizes.h>

struct tap_test {
	void (*run)(void);
	const char *promise;
};

static char tap[SZ_16K];
static struct debugfs_blob_wrapper tap_blob = { .data = tap };
static struct dentry *tap_file;
static unsigned int nr_wrong;	/* of the test that runs: its first is told */

static __printf(1, 2) void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_blob.size += vscnprintf(tap + tap_blob.size, sizeof(tap) - tap_blob.size, format,
				    args);
	va_end(args);
}

static int tap_run(const struct tap_test *tests, unsigned int nr)
{
	unsigned int i;

	say("TAP version 13\n1..%u\n", nr);
	for (i = 0; i < nr; i++) {
		nr_wrong = 0;
		tests[i].run();
		say("%sok %u %s\n", nr_wrong ? "not " : "", i + 1, tests[i].promise);
	}
	tap_file = debugfs_create_blob(KBUILD_MODNAME, 0400, NULL, &tap_blob);
	return PTR_ERR_OR_ZERO(tap_file);
}

static void tap_remove(void)
{
	debugfs_remove(tap_file);
}

#endif /* TAP_H */
