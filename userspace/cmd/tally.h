/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extents added up.
 */
#ifndef TALLY_H
#define TALLY_H

#include <linux/types.h>

#include "vminspect.h"

/* All in bytes but the last one. size is the sum of those marked with a plus. */
struct tally {
	__u64 size;
	__u64 present;	/* + memory, other than the page of zeroes */
	__u64 huge;		/* of that: by entries for more than 4096 bytes */
	__u64 resident;	/* of that: what the kernel's VmRSS counts */
	__u64 swapped;	/* + */
	__u64 zero;		/* + the shared page of zeroes, small or huge */
	__u64 unpopulated;	/* + no entry at all */
	__u64 other;		/* + migrating, poisoned, device, marker, unknown */
	__u64 extents;	/* runs of present pages in physical memory */

	__u64 next_va;	/* where the last of these runs would go on */
	__u64 next_frame;
};

/* The flags that have to be asked for, and the ones that resident needs besides. */
#define TALLY_FLAGS	(VMINSPECT_PAGE_HUGE | VMINSPECT_PAGE_ZERO)
#define TALLY_RESIDENT	(VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_HUGETLB)

void tally_add(struct tally *tally, const struct vminspect_extent *extent);
/* All that is mapped in a range of the bound process. Return: 0 or -errno. */
int tally_range(struct tally *tally, struct vminspect *device, __u64 start, __u64 end);
void tally_merge(struct tally *into, const struct tally *from);

#endif
