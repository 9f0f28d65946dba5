// SPDX-License-Identifier: GPL-2.0
/*
 * Extents added up.
 */
#include "tally.h"

static void add_present(struct tally *tally, const struct vminspect_extent *extent)
{
	__u64 size = extent->end - extent->start;

	if (extent->flags & VMINSPECT_PAGE_ZERO) {
		tally->zero += size;
		return;
	}
	tally->present += size;
	if (extent->flags & VMINSPECT_PAGE_HUGE)
		tally->huge += size;
	if (!(extent->flags & TALLY_RESIDENT))
		tally->resident += size;

	/* pages that differ in something else still lie side by side in memory */
	if (extent->start != tally->next_va || extent->frame != tally->next_frame)
		tally->extents++;
	tally->next_va = extent->end;
	tally->next_frame = extent->frame + (size >> 12);
}

void tally_add(struct tally *tally, const struct vminspect_extent *extent)
{
	__u64 size = extent->end - extent->start;

	tally->size += size;
	switch (extent->state) {
	case VMINSPECT_STATE_PRESENT:
		add_present(tally, extent);
		break;
	case VMINSPECT_STATE_SWAPPED:
		tally->swapped += size;
		break;
	case VMINSPECT_STATE_NONE:
		tally->unpopulated += size;
		break;
	default:
		tally->other += size;
	}
}

void tally_merge(struct tally *into, const struct tally *from)
{
	into->size += from->size;
	into->present += from->present;
	into->huge += from->huge;
	into->resident += from->resident;
	into->swapped += from->swapped;
	into->zero += from->zero;
	into->unpopulated += from->unpopulated;
	into->other += from->other;
	into->extents += from->extents;
}
