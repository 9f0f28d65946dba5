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

/**
 * struct vmi_kind - entries that differ in their frames, or slots, only
 * @like: the bits that they share; never 0, so that an empty entry is of no kind
 * @frame_mask: the others
 * @invert: those of them that are stored inverted
 * @frame_shift: number of the bit where a frame or slot begins
 * @step: what has to be added to an entry to get that of the page which follows; 0: there is no
 *	other entry of this kind
 * @entry: one of them
 * @said: what the view made of it, or NULL: nothing yet
 */
struct vmi_kind {
	u64 like;
	u64 frame_mask;
	u64 invert;
	u64 step;
	struct vmi_entry entry;
	const void *said;
	u8 frame_shift;
};

static inline bool vmi_kind_has(const struct vmi_kind *kind, u64 raw)
{
	return (raw & ~kind->frame_mask) == kind->like;
}

/* Of a kind that is forgotten, or has no others, is not even the entry that it was made of. */
static inline void vmi_kind_forget(struct vmi_kind *kind)
{
	kind->like = 1;
	kind->frame_mask = ~0ULL;
	kind->step = 0;
}

static inline u64 vmi_kind_frame(const struct vmi_kind *kind, u64 raw)
{
	return ((raw ^ kind->invert) & kind->frame_mask) >> kind->frame_shift;
}

/* Flags that an entry of an upper level has as well */
#define VMI_ENTRY_TABLE_FLAGS						\
	(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_USER | \
	 VMINSPECT_PAGE_YOUNG)

bool vmi_kind_has_any_slot(const struct vmi_kind *kind, u64 raw);
bool vmi_entry_swapped(u64 raw, u64 *slot);
bool vmi_entry_present(u64 raw, unsigned int shift);
void vmi_entry_decode(u64 raw, unsigned int shift, unsigned long vm_flags,
		      struct vmi_entry *entry);
void vmi_entry_kind(u64 raw, unsigned int shift, unsigned long vm_flags,
		    struct vmi_kind *kind);
u32 vmi_entry_hardware_flags(u64 raw);
void vmi_entry_add_page(struct vmi_entry *entry, struct page *page);

#endif /* VMI_ENTRY_H */
