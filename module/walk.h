/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_WALK_H
#define VMI_WALK_H

#include <linux/mm.h>
#include <linux/pgtable.h>
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

/* Who writes is given way to for so long: half of what the kernel has him wait for readers. */
#define VMI_WALK_PATIENCE_NS	(2 * NSEC_PER_MSEC)

/* Where a batch ends in the middle of a table. */
#define VMI_WALK_LEAST_BUDGET	(-(long)PTRS_PER_PTE)

/* The last kind that was met: of PTEs with the present bit clear, or set; of huge entries. */
enum { VMI_WALK_KIND_SOFT, VMI_WALK_KIND_PRESENT, VMI_WALK_KIND_HUGE, VMI_WALK_KINDS };

/**
 * struct vmi_walk - a walk over a range, resumed batch by batch
 * @mm: the address space
 * @next: first address that was not taken yet; a multiple of PAGE_SIZE
 * @end: where the range ends; likewise, at most TASK_SIZE_MAX
 * @pages: also look at the page behind each entry
 * @frames: are frames told? If not, nothing the walk or its view does may depend on them, nor on
 *	slots or areas, not even how long it takes
 * @learnt: a swap area that is strange is so for good: not to be stopped for
 * @patience_ns: how long somebody who waits for the lock is given way to before the next batch
 * @trail: if not NULL, where to leave the entries of the last address walked
 * @take: consumes a run and returns up to where it did: run->end, or less to end
 *	the batch there. Called with a spin lock held: must not sleep.
 * @take_alike: consumes entries of one kind, the first of which is @raw, begins at @va and
 *	is read again by nobody, and returns how many; at most @nr, 0 to end the batch there. It
 *	charges the budget for each run, and ends where that gets to VMI_WALK_LEAST_BUDGET. Context
 *	as @take. Without it, and if @pages, @take is given each page.
 * @locked: a hugetlb file whose i_mmap_rwsem the caller holds for reading, or NULL
 * @busy: out: NULL, or the batch ended because the tables of this hugetlb file are
 *	being changed: nothing was taken, or less than there was room for. To be
 *	let go of with fput().
 * @strange: out: the batch ended because it met a swap area that vmi_swap_learn() has
 *	to meet first; likewise
 * @budget: entries that may still be read in this batch
 * @vma: the mapping being walked
 * @vma_end: where its part of the range ends
 * @mapped: vmi_walk_find(): where the last mapping begins
 * @mapped_size: how far it reaches
 * @found: the first address of @pmds that is in that mapping
 * @found_size: how far it reaches
 * @pmds: the last table of PMDs
 * @table_mask: bits by which one of its entries is told to lead to a table ...
 * @table_like: ... and what they are then: pmd_bad() would take them together each time
 * @searches: how many other mappings it may still look for
 * @has_kinds: is there any in @kinds?
 * @kinds_of: flags of the mapping in which they are such
 * @kinds: of entries, as VMI_WALK_KIND_* has them
 */
struct vmi_walk {
	struct mm_struct *mm;
	unsigned long next;
	unsigned long end;
	bool pages;
	bool frames;
	bool learnt;
	u64 patience_ns;
	struct vmi_trail *trail;
	unsigned long (*take)(struct vmi_walk *walk, struct vmi_run *run);
	unsigned long (*take_alike)(struct vmi_walk *walk, struct vmi_kind *kind,
				    const u64 *entries, u64 raw, unsigned long va,
				    unsigned long nr);

	struct file *locked;
	struct file *busy;
	bool strange;
	long budget;
	struct vm_area_struct *vma;
	unsigned long vma_end;
	unsigned long mapped;
	unsigned long mapped_size;
	unsigned long found;
	unsigned long found_size;
	const u64 *pmds;
	u64 table_mask;
	u64 table_like;
	unsigned int searches;
	bool has_kinds;
	unsigned long kinds_of;
	struct vmi_kind kinds[VMI_WALK_KINDS];
};

/**
 * vmi_walk_init() - begin
 * @walk: the walk; what the caller does not set is 0
 * @mm: the address space
 *
 * The kinds are not cleared, which would cost a single address as much as finding it does: none
 * is looked at before @has_kinds is set.
 */
static inline void vmi_walk_init(struct vmi_walk *walk, struct mm_struct *mm)
{
	memset(walk, 0, offsetof(struct vmi_walk, kinds));
	walk->mm = mm;
	walk->patience_ns = VMI_WALK_PATIENCE_NS;
}

/**
 * vmi_walk_forget() - forget what vmi_walk_find() has found
 * @walk: the walk
 *
 * To be called wherever the lock was not held since, or vmi_walk_range() was called.
 */
static inline void vmi_walk_forget(struct vmi_walk *walk)
{
	walk->mapped_size = 0;
	walk->found_size = 0;
}

void vmi_walk_range(struct vmi_walk *walk);
bool vmi_walk_find_table(struct vmi_walk *walk, unsigned long va);
struct vmi_kind *vmi_walk_huge_kind(struct vmi_walk *walk, u64 raw);
u64 vmi_walk_peek(struct mm_struct *mm, unsigned long va);

/**
 * vmi_walk_kind() - of which kind is an entry? Most often it is that of the last one of its level
 * @walk: the walk, in the mapping that the entry belongs to
 * @raw: the entry, not 0
 * @shift: size of what it stands for
 *
 * Where slots are not to be told, the time that it takes does not tell whether the area is the
 * last one's.
 */
static __always_inline struct vmi_kind *vmi_walk_kind(struct vmi_walk *walk, u64 raw,
						      unsigned int shift)
{
	struct vmi_kind *kind = &walk->kinds[shift == PAGE_SHIFT ? raw & _PAGE_PRESENT :
								   VMI_WALK_KIND_HUGE];

	if (unlikely(!vmi_kind_has(kind, raw) || (!walk->frames && !(raw & _PAGE_PRESENT))))
		vmi_entry_kind(raw, shift, walk->vma->vm_flags, kind);
	return kind;
}

/**
 * vmi_walk_find() - the entry of one address, if it can be had in passing
 * @walk: the walk
 * @va: the address
 * @raw: out: the entry
 *
 * An entry that is not empty is what it is without the lock of its table: it stood there when
 * it was read. One that is empty may be so for a moment only, and it may stand in a table that
 * is one no more: those are emptied before they are taken away, and kept by RCU.
 *
 * Return: of which kind it is, VMI_WALK_KIND_*; VMI_WALK_KINDS: vmi_walk_range() has to look
 *
 * Context: the mmap lock is held for reading, since vmi_walk_forget() was called, and the caller is
 * in an RCU section.
 */
static __always_inline unsigned int vmi_walk_find(struct vmi_walk *walk, unsigned long va,
						  u64 *raw)
{
	struct vmi_kind *kind;
	u64 entry;

	if (unlikely(va - walk->found >= walk->found_size) && !vmi_walk_find_table(walk, va))
		return VMI_WALK_KINDS;
	entry = READ_ONCE(walk->pmds[pmd_index(va)]);
	if (unlikely((entry & walk->table_mask) != walk->table_like)) {
		*raw = entry;
		return vmi_walk_huge_kind(walk, entry) ? VMI_WALK_KIND_HUGE : VMI_WALK_KINDS;
	}
	entry = READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))[pte_index(va)]);
	*raw = entry;
	if (likely(vmi_kind_has(&walk->kinds[VMI_WALK_KIND_PRESENT], entry)))
		return VMI_WALK_KIND_PRESENT;
	if (!entry)
		return VMI_WALK_KINDS;
	kind = vmi_walk_kind(walk, entry, PAGE_SHIFT);
	return kind->step ? kind - walk->kinds : VMI_WALK_KINDS;
}

/**
 * struct vmi_table - the part of a table of entries that belongs to one mapping
 * @start: the first address
 * @size: how far it reaches
 * @entries: the table; READ_ONCE()
 */
struct vmi_table {
	unsigned long start;
	unsigned long size;
	const u64 *entries;
};

/**
 * vmi_walk_table() - the table in which vmi_walk_find() has just found an entry of the lowest level
 * @walk: the walk
 * @va: the address of it
 * @table: out
 *
 * What vmi_walk_find() says of an entry without a lock goes for all in the table, as long as the
 * caller stays in the same RCU section.
 *
 * Return: false: it has gone meanwhile
 */
static __always_inline bool vmi_walk_table(const struct vmi_walk *walk, unsigned long va,
					   struct vmi_table *table)
{
	u64 pmd = READ_ONCE(walk->pmds[pmd_index(va)]);

	table->start = max(walk->found, va & PMD_MASK);
	table->size = pmd_addr_end(va, walk->found + walk->found_size) - table->start;
	table->entries = __va(pmd & PTE_PFN_MASK);
	return (pmd & walk->table_mask) == walk->table_like;
}

#endif /* VMI_WALK_H */
