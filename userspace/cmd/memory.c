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
	unsigned int as = 0;
	__u64 gpa = 0;

	while (vm_next_slot(guest, info->nr_address_spaces, &as, &gpa, &slot) > 0)
		add_slot(memory, &slot);
}

void guest_memory_take(struct guest_memory *memory, const struct process *process,
		       struct vminspect *device)
{
	struct vminspect_guest info;
	int *vms, nr;

	*memory = (struct guest_memory) {};
	nr = process_vms(process, &vms);
	for (int i = 0; i < nr; i++) {
		int guest = process_open_vm(process, vms[i], device, &info);

		if (guest < 0)
			continue;
		add_slots(memory, guest, &info);
		close(guest);
	}
	free(vms);
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
