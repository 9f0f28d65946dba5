/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of the guests of a process: which guest-physical address one of its own addresses is.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "process.h"
#include "vminspect.h"

struct guest_memory {
	struct vminspect_guest_slot *slots;
	size_t nr;		/* 0: it runs no guest, or not one that may be looked at */
};

/* As it is now. What holds its VMs is let go of again. */
void guest_memory_take(struct guest_memory *memory, const struct process *process,
		       struct vminspect *device);
void guest_memory_free(struct guest_memory *memory);

/* Return: whether an address of the process is one of a guest; then @gpa is written. */
bool guest_memory_find(const struct guest_memory *memory, __u64 hva, __u64 *gpa);

#endif
