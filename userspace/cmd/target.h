/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that a command is about, and the device bound to it.
 */
#ifndef TARGET_H
#define TARGET_H

#include <jansson.h>

#include "process.h"
#include "table.h"
#include "vminspect.h"

struct target {
	const char *name;	/* as it was asked for */
	struct process process;
	struct vminspect *device;
	struct vminspect_info info;
	const char *hidden;	/* why frames are hidden, or NULL */
};

/* Whether an argument is a pid. Return: 0 or EXIT_USAGE, after a message. */
int target_check_name(const char *name);

/* Return: 0 or EXIT_FAILED, after a message. */
int target_open(struct target *target, const char *name);
void target_close(struct target *target);

/* The message for an error that came when its memory was read. Return: EXIT_FAILED. */
int target_fail(const struct target *target, int error);
/* The same in the middle: the address where it stopped. */
int target_fail_at(const struct target *target, int error, __u64 va);

/* Says what the table leaves empty; JSON says it itself. */
void target_note_hidden(const struct target *target, const struct output *out);

/*
 * In words how the reading of it ended, after what was printed. @changed: did its mappings?
 * Return: the exit status.
 */
int target_end(const struct target *target, const struct output *out, bool changed, int error,
	       __u64 resume);

/* The same as the last members of a document. */
json_t *target_end_json(bool changed, int error, __u64 resume);

/* The members that documents on one process begin with. */
json_t *target_json(const struct target *target);

/* Opens the device of the module. Return: 0 or EXIT_FAILED, after a message. */
int device_open(struct vminspect **device, struct vminspect_info *info);

/* Binds to a process. Return: 0 or -errno. */
int device_bind(struct vminspect *device, const struct process *process);

/* Why frames are hidden: what would show them, or NULL. */
const char *hidden_reason(__u32 hidden);

#endif
