/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cgroups of the unified hierarchy (v2): from path to directory, from id to path.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <linux/types.h>

/*
 * @path: of the directory, or as /proc/PID/cgroup has it. Return: a descriptor; or -1 and an
 * exit status in @status, after a message.
 */
int cgroup_open(const char *path, int *status);

/*
 * The path of a cgroup from the root of the hierarchy on, as in /proc/PID/cgroup. Return: NULL
 * if there is none; else valid until the next call.
 */
const char *cgroup_path(__u64 id);

#endif
