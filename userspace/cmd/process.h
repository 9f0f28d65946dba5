/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process as /proc shows it. Its directory is opened once and everything else is
 * taken from there, so that it stays the same process, whatever becomes of its pid.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <linux/types.h>
#include <stdio.h>
#include <sys/types.h>

struct process {
	int directory;
	pid_t pid;
	char comm[64];
};

enum process_kind {
	PROCESS_USUAL,
	PROCESS_ZOMBIE,
	PROCESS_HEADLESS,	/* its first thread has exited, others have not */
	PROCESS_KERNEL_THREAD,
	PROCESS_GONE,
};

/* A pid, tid or "self", as it stands on the command line. */
bool process_name_valid(const char *name);

/* Return: 0 or -errno. */
int process_open(struct process *process, const char *name);
void process_close(struct process *process);

/* One of the files in the directory. Return: a descriptor or -errno. */
int process_open_file(const struct process *process, const char *file);

enum process_kind process_kind(const struct process *process);

/* One of the threads of a process that is headless. Return: 0 or -errno. */
int process_open_thread(struct process *thread, const struct process *process);

/*
 * A number of kilobytes from its status file, in bytes. Return: 0, -ENODATA if it is not there,
 * or -errno.
 */
int process_status_size(const struct process *process, const char *key, __u64 *bytes);

/* The number after "key:" on a line of a file like that or /proc/meminfo, in bytes. */
bool text_find_size(const char *text, const char *key, __u64 *bytes);

#endif
