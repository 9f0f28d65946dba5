/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses and ranges as people write them: 0x7f10c0001234, [heap], [stack],
 * libc.so.6+0x1000; LO-HI, or the name of a mapping for all of it.
 *
 * What can be told without the process is told first (wrong usage), then what takes
 * the process (it has no such mapping, or no process can have that address).
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stddef.h>
#include <linux/types.h>

#include "target.h"

struct address {
	const char *name;	/* part of the text, or NULL if it is a number */
	size_t length;		/* of the name */
	__u64 value;		/* the number, or what is added to the name */
};

struct range {
	struct address start;
	struct address end;
	bool whole;		/* all of the mapping that start names */
};

/*
 * @where comes first in messages, "" or "FILE:12: ". Return: 0, or EXIT_USAGE after a
 * message. @text must live as long as @address.
 */
int address_parse(const char *where, const char *text, struct address *address);

/* Return: 0, or EXIT_FAILED after a message. */
int address_resolve(const char *where, const struct address *address,
		    const struct target *target, __u64 *va);

/* Return: 0, or EXIT_USAGE after a message. */
int range_parse(const char *text, struct range *range);

/* Return: 0, or EXIT_FAILED or EXIT_USAGE after a message. */
int range_resolve(const struct range *range, const struct target *target,
		  __u64 *start, __u64 *end);

#endif
