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

int tally_range(struct tally *tally, struct vminspect *device, __u64 start, __u64 end)
{
	/* no frames: runs are as long as they can be */
	const struct vminspect_scan scan = {
		.start = start,
		.end = end,
		.category_inverted = VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED),
		.category_mask = VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED),
		.return_mask = TALLY_FLAGS | TALLY_RESIDENT,
		.split_mask = TALLY_FLAGS | TALLY_RESIDENT,
	};
	struct vminspect_extents *extents;
	struct vminspect_extent extent;
	int ret;

	ret = vminspect_extents_start(device, &scan, &extents);
	if (ret)
		return ret;
	while ((ret = vminspect_extents_next(extents, &extent)) > 0)
		tally_add(tally, &extent);
	vminspect_extents_stop(extents);
	return ret;
}
