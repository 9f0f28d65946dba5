/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mappings of a process, one after the other, from /proc/PID/maps.
 */
#ifndef MAPPING_H
#define MAPPING_H

#include <stdbool.h>
#include <linux/types.h>
#include <stdio.h>

#include "process.h"

struct mapping {
	__u64 start;
	__u64 end;
	__u64 offset;	/* in its file, in bytes */
	const char *name;	/* "" if it has none; valid until the next one */
};

struct mappings {
	FILE *file;
	char *line;
	size_t size;
	struct mapping current;
	bool valid;		/* current is one; false after the last */
};

/* Reads the first one, too. Return: 0 or -errno. */
int mappings_open(struct mappings *mappings, const struct process *process);
/* Return: whether there is one more. */
bool mappings_next(struct mappings *mappings);
void mappings_close(struct mappings *mappings);

/* The name of the mapping at an address, to be freed; NULL if none is listed. */
char *mapping_name_at(const struct process *process, __u64 va);

/* Whether @name means this mapping: its whole name, or the last part of a path. */
bool mapping_is_called(const struct mapping *mapping, const char *name, size_t length);

#endif
