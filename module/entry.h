/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_ENTRY_H
#define VMI_ENTRY_H

#include <linux/mm_types.h>
#include <linux/types.h>

/**
 * struct vmi_entry - a page-table entry, decoded
 * @raw: the entry as it was read
 * @frame: see vminspect_extent.frame
 * @flags: mask of VMINSPECT_PAGE_*
 * @node: NUMA node of the page, -1 if it was not asked for or is not known
 * @state: VMINSPECT_STATE_*
 * @shift: size of the page as a power of two
 * @swap_type: number of the swap area
 */
struct vmi_entry {
	u64 raw;
	u64 frame;
	u32 flags;
	s32 node;
	u8 state;
	u8 shift;
	u8 swap_type;
};

/* Flags that an entry of an upper level has as well */
#define VMI_ENTRY_TABLE_FLAGS						\
	(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_USER | \
	 VMINSPECT_PAGE_YOUNG)

bool vmi_entry_swapped(u64 raw, u64 *slot);
bool vmi_entry_present(u64 raw, unsigned int shift);
void vmi_entry_decode(u64 raw, unsigned int shift, unsigned long vm_flags,
		      struct vmi_entry *entry);
u32 vmi_entry_hardware_flags(u64 raw);
void vmi_entry_add_page(struct vmi_entry *entry, struct page *page);

#endif /* VMI_ENTRY_H */
