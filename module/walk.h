/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_WALK_H
#define VMI_WALK_H

#include <linux/mm_types.h>
#include <uapi/vminspect.h>

#include "entry.h"

/**
 * struct vmi_run - pages whose entries differ in their frames only
 * @va: first address
 * @end: address after the last one
 * @entry: that of the page at @va. In states with a frame or a swap offset those
 *	of the following pages follow it by one each 4096 bytes.
 */
struct vmi_run {
	unsigned long va;
	unsigned long end;
	struct vmi_entry entry;
};

/**
 * struct vmi_trail - the entries that one translation went through
 * @pa: physical address of the entry of each level, PTE first
 * @raw: the entry
 * @lowest: number of the lowest level that was read: 1 is PTE; 0 is none
 */
struct vmi_trail {
	u64 pa[VMINSPECT_MAX_LEVELS];
	u64 raw[VMINSPECT_MAX_LEVELS];
	unsigned int lowest;
};

/*
 * How much one hold of the mmap lock covers, in entries that are read and found
 * alike or empty: some 10 ns each where their cache line has to be fetched, 8 to a
 * line. What costs more is charged more: an entry that begins a run, a page that
 * is looked at, a node or an entry of the page cache, a mapping. A batch ends after
 * an entry that had to be reported or between two tables, so that it may go over by
 * what is in one of them, if all of that is alike. That is below 100 us on hardware,
 * and the lock is given up earlier if somebody waits for it.
 */
#define VMI_WALK_BUDGET		4096
#define VMI_WALK_RUN_COST	8
#define VMI_WALK_PAGE_COST	8
#define VMI_WALK_SLOT_COST	32
#define VMI_WALK_NODE_COST	96
#define VMI_WALK_VMA_COST	32

/**
 * struct vmi_walk - a walk over a range, resumed batch by batch
 * @mm: the address space
 * @next: first address that was not taken yet; a multiple of PAGE_SIZE
 * @end: where the range ends; likewise, at most TASK_SIZE_MAX
 * @pages: also look at the page behind each entry
 * @frames: runs are told apart by their frames. If not, nothing the walk does may
 *	depend on them, not even how long it takes
 * @learnt: a swap area that is strange is so for good: not to be stopped for
 * @trail: if not NULL, where to leave the entries of the last address walked
 * @take: consumes a run and returns up to where it did: run->end, or less to end
 *	the batch there. Called with a spin lock held: must not sleep.
 * @locked: a hugetlb file whose i_mmap_rwsem the caller holds for reading, or NULL
 * @busy: out: NULL, or the batch ended because the tables of this hugetlb file are
 *	being changed: nothing was taken, or less than there was room for. To be
 *	let go of with fput().
 * @strange: out: the batch ended because it met a swap area that vmi_swap_learn() has
 *	to meet first; likewise
 * @budget: entries that may still be read in this batch
 * @vma: the mapping being walked
 * @vma_end: where its part of the range ends
 */
struct vmi_walk {
	struct mm_struct *mm;
	unsigned long next;
	unsigned long end;
	bool pages;
	bool frames;
	bool learnt;
	struct vmi_trail *trail;
	unsigned long (*take)(struct vmi_walk *walk, struct vmi_run *run);

	struct file *locked;
	struct file *busy;
	bool strange;
	long budget;
	struct vm_area_struct *vma;
	unsigned long vma_end;
};

void vmi_walk_range(struct vmi_walk *walk);
u64 vmi_walk_peek(struct mm_struct *mm, unsigned long va);

#endif /* VMI_WALK_H */
