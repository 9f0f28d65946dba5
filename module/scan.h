/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_SCAN_H
#define VMI_SCAN_H

#include <uapi/vminspect.h>

#include "target.h"
#include "walk.h"

/* Addresses looked up under one hold of the lock. One not found in passing counts as so many. */
#define VMI_LOOKUP_BATCH	256U
#define VMI_LOOKUP_WALK_COST	4U
/* Mappings that are looked for meanwhile. */
#define VMI_LOOKUP_SEARCHES	64U

/*
 * Extents collected in one batch: four pages of them. The budget would allow of some more
 * (VMI_WALK_RUN_COST): that would need more than a few pages in a row.
 */
#define VMI_SCAN_EXTENTS	(4 * PAGE_SIZE / sizeof(struct vminspect_extent))

/**
 * struct scan_kind - what a scan makes of entries that differ in their frames only
 * @extent: a run of them, but for its addresses and its frame
 * @selected: are they asked for?
 */
struct scan_kind {
	struct vminspect_extent extent;
	bool selected;
};

/**
 * struct vmi_scan - a scan of a target, batch by batch
 * @walk: the walk below it
 * @target: what is scanned
 * @inverted: as in struct vminspect_scan, all four
 * @all_of: category_mask
 * @any_of: category_anyof_mask
 * @returned: return_mask
 * @split: split_mask
 * @hidden: what is hidden in this scan: mask of VMINSPECT_HIDDEN_*
 * @frames: are frames asked for and not hidden?
 * @each_page: an extent for each page?
 * @zero: is the last extent of zero pages?
 * @kinds: one for each of @walk.kinds
 * @found: what was found so far; the last one may still grow
 * @extents: the same, where these are extents
 * @words: the same, where they are words
 * @found_size: of one of them
 * @nr: how many
 * @room: how many there is memory for
 * @max: how many may be collected now, at most @room
 */
struct vmi_scan {
	struct vmi_walk walk;
	struct vmi_target *target;
	u64 inverted;
	u64 all_of;
	u64 any_of;
	u64 returned;
	u32 split;
	u32 hidden;
	bool frames;
	bool each_page;
	bool zero;
	struct scan_kind kinds[VMI_WALK_KINDS];
	union {
		void *found;
		struct vminspect_extent *extents;
		u64 *words;
	};
	unsigned int found_size;
	unsigned int nr;
	unsigned int room;
	unsigned int max;
};

/**
 * struct vmi_lookup - single addresses, looked up under one hold of the lock
 * @walk: the walk below it
 * @returned: return_mask
 * @frames: are frames asked for and not hidden?
 * @addresses: the addresses, @nr of them
 * @entries: out: what stands there
 * @nr: how many
 * @nr_done: how many were looked up
 * @bad: the next one is no address of any process
 * @kinds: one for each of @walk.kinds: what is said of an entry of it, but for its frame
 * @entry: out: that of the address being looked up
 */
struct vmi_lookup {
	struct vmi_walk walk;
	u64 returned;
	bool frames;
	const u64 *addresses;
	struct vminspect_entry *entries;
	unsigned int nr;
	unsigned int nr_done;
	bool bad;
	struct vminspect_entry *entry;
	struct vminspect_entry kinds[VMI_WALK_KINDS];
};

int vmi_scan_prepare(struct vmi_scan *scan, struct vmi_target *target,
		     const struct vminspect_scan *request);
int vmi_scan_allocate(struct vmi_scan *scan, const struct vminspect_scan *request, size_t size,
		      unsigned int most);
int vmi_scan_init(struct vmi_scan *scan, struct vmi_target *target,
		  const struct vminspect_scan *request);
bool vmi_scan_selects(const struct vmi_scan *scan, const struct vmi_entry *entry);
void vmi_scan_say(const struct vmi_entry *entry, u64 returned, bool frames,
		  struct vminspect_entry *said);
unsigned long vmi_scan_count_alike(const struct vmi_scan *scan, const struct vmi_kind *kind,
				   const u64 *entries, unsigned long nr);
void vmi_scan_exit(struct vmi_scan *scan);
int vmi_scan_batch(struct vmi_scan *scan, bool stop);
bool vmi_scan_returned_valid(u64 returned);
int vmi_scan_translate(struct vmi_target *target, const u64 *addresses,
		       struct vminspect_entry *entries, unsigned int nr,
		       u64 returned, u32 hidden, u64 *patience_ns, bool stop);
int vmi_scan_walk(struct vmi_target *target, struct vminspect_walk *walk);

#endif /* VMI_SCAN_H */
