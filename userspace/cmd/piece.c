// SPDX-License-Identifier: GPL-2.0
/*
 * Extents cut where mappings begin and end.
 */
#include "piece.h"

static __u64 min(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __u64 max(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/* On to the next mapping. One that pages are missing from has changed. */
static void leave_mapping(struct pieces *pieces)
{
	const struct mapping *mapping = &pieces->mappings.current;
	__u64 start = max(mapping->start, pieces->start);
	__u64 end = min(mapping->end, pieces->end);

	if (pieces->complete && start < end && pieces->covered != end - start)
		pieces->changed = true;
	pieces->covered = 0;
	mappings_next(&pieces->mappings);
}

/* What of pieces->rest lies in one mapping or in none. */
static void cut_piece(struct pieces *pieces, struct piece *piece)
{
	const struct mapping *mapping = &pieces->mappings.current;
	struct vminspect_extent *rest = &pieces->rest;
	__u64 cut = rest->end;

	while (pieces->mappings.valid && mapping->end <= rest->start)
		leave_mapping(pieces);

	piece->mapping = NULL;
	if (pieces->mappings.valid && mapping->start <= rest->start)
		piece->mapping = mapping;
	if (pieces->mappings.valid)
		cut = min(cut, piece->mapping ? mapping->end : mapping->start);

	piece->extent = *rest;
	if (cut < rest->end)
		vminspect_extent_cut(&piece->extent, cut, rest);
	else
		rest->start = rest->end;
}

int pieces_start(struct pieces *pieces, const struct target *target,
		 const struct vminspect_scan *what, bool complete)
{
	int ret;

	*pieces = (struct pieces) {
		.start = what->start,
		.end = what->end,
		.complete = complete,
	};
	/* first what takes memory: when the target is ourselves that is a mapping more */
	ret = vminspect_extents_start(target->device, what, &pieces->extents);
	if (ret)
		return ret;
	ret = mappings_open(&pieces->mappings, &target->process);
	if (ret)
		vminspect_extents_stop(pieces->extents);
	return ret;
}

int pieces_next(struct pieces *pieces, struct piece *piece)
{
	bool unmapped;
	int ret;

	if (pieces->rest.start == pieces->rest.end) {
		ret = vminspect_extents_next(pieces->extents, &pieces->rest);
		if (ret < 0)
			return ret;
		if (!ret) {
			while (pieces->mappings.valid)
				leave_mapping(pieces);
			return 0;
		}
	}

	cut_piece(pieces, piece);
	unmapped = piece->extent.state == VMINSPECT_STATE_UNMAPPED;
	if (unmapped != !piece->mapping)
		pieces->changed = true;
	if (unmapped)
		piece->mapping = NULL;
	else
		pieces->covered += piece->extent.end - piece->extent.start;
	return 1;
}

void pieces_stop(struct pieces *pieces)
{
	vminspect_extents_stop(pieces->extents);
	mappings_close(&pieces->mappings);
}
