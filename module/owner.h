/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_OWNER_H
#define VMI_OWNER_H

#include <linux/mm_types.h>
#include <linux/types.h>

/**
 * struct vmi_slot - what was seen of a swap slot
 * @slot: swp_entry_t.val
 * @mm: whose page went there; only to be compared
 * @va: its address
 * @folio: which; only to be compared
 * @pid: of the process, as the initial namespace numbers it
 */
struct vmi_slot {
	u64 slot;
	struct mm_struct *mm;
	u64 va;
	const void *folio;
	u32 pid;
};

int vmi_owner_start(void);
void vmi_owner_stop(void);
void vmi_owner_set(const struct vmi_slot *slot);
void vmi_owner_written(u64 slot);
void vmi_owner_clear(u64 slot);
bool vmi_owner_get(u64 slot, struct vmi_slot *out);

#endif /* VMI_OWNER_H */
