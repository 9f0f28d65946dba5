/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which mapping of a process an address lies in, for many processes at once. What was read of
 * /proc/PID/maps is kept for a while, in bounded memory.
 */
#ifndef OWNER_H
#define OWNER_H

#include <stdbool.h>
#include <linux/types.h>

#include "mapping.h"

/*
 * @comm: what the process is called: with another name it has other mappings. Return: false if
 * it can't be told; else @mapping is filled in, its name valid until the next call.
 */
bool owner_mapping(__u32 pid, const char *comm, __u64 va, struct mapping *mapping);

#endif
