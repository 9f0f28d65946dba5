// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of the guests of a process.
 */
#include <stdlib.h>
#include <unistd.h>

#include "error.h"
#include "memory.h"
#include "vmm.h"

static void add_slot(struct guest_memory *memory, const struct vminspect_guest_slot *slot)
{
	memory->slots = reallocarray(memory->slots, memory->nr + 1, sizeof(*slot));
	if (!memory->slots)
		die_of_memory();
	memory->slots[memory->nr++] = *slot;
}

/* That of SMM has the same memory again, and some besides: it comes last. */
static void add_slots(struct guest_memory *memory, int guest, const struct vminspect_guest *info)
{
	struct vminspect_guest_slot slot;

	for (unsigned int as = 0; as < info->nr_address_spaces; as++) {
		__u64 gpa = 0;

		while (!vminspect_guest_slot(guest, as, gpa, &slot)) {
			add_slot(memory, &slot);
			gpa = slot.gpa + slot.bytes;
		}
	}
}

void guest_memory_take(struct guest_memory *memory, const struct process *process,
		       struct vminspect *device)
{
	struct vminspect_guest info;
	int fd = -1;

	*memory = (struct guest_memory) {};
	while ((fd = process_next_vm(process, fd + 1)) >= 0) {
		int guest = process_open_vm(process, fd, device, &info);

		if (guest < 0)
			continue;
		add_slots(memory, guest, &info);
		close(guest);
	}
}

void guest_memory_free(struct guest_memory *memory)
{
	free(memory->slots);
}

bool guest_memory_find(const struct guest_memory *memory, __u64 hva, __u64 *gpa)
{
	for (size_t i = 0; i < memory->nr; i++) {
		const struct vminspect_guest_slot *slot = &memory->slots[i];

		if (hva < slot->hva || hva - slot->hva >= slot->bytes)
			continue;
		*gpa = slot->gpa + (hva - slot->hva);
		return true;
	}
	return false;
}
