/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_PACKED_H
#define VMI_PACKED_H

#include "scan.h"

/* Words collected in one batch: four pages of them. */
#define VMI_PACKED_WORDS	(4 * PAGE_SIZE / sizeof(u64))

/**
 * struct packed_kind - what words are made of an entry of some kind
 * @word: the number of the kind, where a word has it
 * @selected: are they asked for?
 * @frames: has each a frame of its own?
 */
struct packed_kind {
	u64 word;
	bool selected;
	bool frames;
};

/**
 * struct vmi_packed - a scan that is told in words
 * @scan: the scan
 * @said: what is said of entries, by number of their kind
 * @nr_said: how many of them there are
 * @max_said: how many there may be, at most VMINSPECT_MAX_KINDS, which is a page of them
 * @kinds: one for each of the walk's kinds
 */
struct vmi_packed {
	struct vmi_scan scan;
	struct vminspect_entry *said;
	unsigned int nr_said;
	unsigned int max_said;
	struct packed_kind kinds[VMI_WALK_KINDS];
};

int vmi_packed_init(struct vmi_packed *packed, struct vmi_target *target,
		    const struct vminspect_scan *request);
void vmi_packed_exit(struct vmi_packed *packed);

#endif /* VMI_PACKED_H */
