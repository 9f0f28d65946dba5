// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table walk: reads tables, level by level, in bounded batches.
 *
 * What keeps the tables in place, on every path that could free them:
 *
 * - The mmap lock is held for reading and only addresses inside a mapping are
 *   walked. exit, munmap and mremap need the lock for writing before they
 *   free a table of a mapping that is still in the tree. munmap goes on with
 *   the lock downgraded, but only for mappings that it took out of the tree
 *   before: outside mappings nothing is walked. This holds the upper tables, down
 *   to those of PMDs.
 * - A table of PTEs may also go while mappings stay: collapse of file and shared
 *   memory (since 6.6 without the mmap lock) and reclaim of empty tables by
 *   MADV_DONTNEED (since 6.14). Both free by RCU: it is read in one RCU section
 *   that begins before the entry leading to it is read.
 * - hugetlb shares tables of PMDs between processes. Truncation unshares them
 *   under the write side of i_mmap_rwsem, without the mmap lock of each
 *   process: its read side is held over such a mapping.
 *
 * An entry is read once and all that is said of it follows from that value. One
 * that is being replaced (copy on write, swap-out, migration) is empty for a
 * moment, under the lock of its table: hence tables of PTEs are read under that
 * lock, and an upper entry found empty is looked at again under its own. The lock
 * also keeps the page behind an entry from being freed while it is looked at.
 *
 * Nothing is written: no accessed bit, no reference, no fault.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/xarray.h>

#include "compat.h"
#include "swap.h"
#include "walk.h"

enum { LEVEL_PTE = 1, LEVEL_PMD, LEVEL_PUD, LEVEL_P4D, LEVEL_PGD };

/* Tables lie in the direct map, hence __pa(). */
static void walk_note(struct vmi_walk *walk, unsigned int level, const void *entry,
		      u64 raw)
{
	struct vmi_trail *trail = walk->trail;

	if (likely(!trail))
		return;
	trail->pa[level - 1] = __pa(entry);
	trail->raw[level - 1] = raw;
	trail->lowest = level;
}

static bool walk_take(struct vmi_walk *walk, struct vmi_run *run)
{
	walk->next = walk->take(walk, run);
	return walk->next == run->end;
}

/* Report the empty entries from the cursor up to @va, which were passed over. */
static bool walk_take_none(struct vmi_walk *walk, unsigned long va)
{
	struct vmi_run run = { .va = walk->next, .end = va };

	if (walk->next >= va)
		return true;
	vmi_entry_decode(0, PAGE_SHIFT, walk->vma->vm_flags, &run.entry);
	return walk_take(walk, &run);
}

/*
 * Add to a swapped page whether it is in memory as well. Returns false, and the batch ends,
 * if its area has to be learnt of first.
 */
static bool walk_add_cached(struct vmi_walk *walk, struct vmi_entry *entry)
{
	if (entry->state != VMINSPECT_STATE_SWAPPED)
		return true;
	switch (vmi_swap_look(entry->swap_type, entry->frame)) {
	case VMI_SWAP_SLOT_CACHED:
		entry->flags |= VMINSPECT_PAGE_SWAPCACHE;
		return true;
	case VMI_SWAP_SLOT_STRANGE:
		walk->strange = !walk->learnt;
		return walk->learnt;
	default:
		return true;
	}
}

/* A run of slots of shared memory, found in the page cache. */
static bool walk_take_slots(struct vmi_walk *walk, swp_entry_t slot,
			    unsigned long va, unsigned long end)
{
	struct vmi_run run = { .va = va, .end = end };

	vmi_entry_decode(pte_val(swp_entry_to_pte(slot)), PAGE_SHIFT,
			 walk->vma->vm_flags, &run.entry);
	run.entry.raw = 0;
	run.entry.flags |= VMINSPECT_PAGE_SHMEM;
	if (walk->pages && !walk_add_cached(walk, &run.entry))
		return false;
	return walk_take(walk, &run);
}

/*
 * One entry of the page cache: one slot, or 2^order. Each may be cached by itself; where that is
 * asked for, the batch may end between two of them, and the next one goes on there. *@least
 * is how many there have to be before that.
 */
static bool walk_take_slot(struct vmi_walk *walk, swp_entry_t slot,
			   unsigned long va, unsigned long end, long *least)
{
	unsigned long step = walk->pages ? PAGE_SIZE : end - va;

	if (!walk_take_none(walk, va))
		return false;
	for (; va < end; va += step, slot.val += step >> PAGE_SHIFT) {
		if (!walk_take_slots(walk, slot, va, va + step))
			return false;
		if (!walk->pages)
			continue;
		walk->budget -= VMI_WALK_PAGE_COST;
		if (--*least <= 0 && walk->budget <= 0)
			return false;
	}
	return true;
}

/*
 * linear_page_index() drags in hugetlb's, which is not exported. While the mmap lock is held
 * for reading a stack may grow downwards, which changes both of these; a mapping of a file
 * does not grow (do_mmap() in mm/mmap.c refuses VM_GROWSDOWN).
 */
static pgoff_t walk_index(const struct vm_area_struct *vma, unsigned long va)
{
	return vma->vm_pgoff + ((va - vma->vm_start) >> PAGE_SHIFT);
}

static unsigned long walk_va(const struct vm_area_struct *vma, pgoff_t index)
{
	return vma->vm_start + ((index - vma->vm_pgoff) << PAGE_SHIFT);
}

/*
 * However little of the budget is left, so many entries of the page cache, or slots that are
 * looked at, may be passed over: without that a batch whose budget went on empty page-table
 * entries would end where it began, and with few of them the next one would read all of those
 * for little.
 */
#define WALK_MIN_SLOTS		32L

/* From one entry of the page cache to the next: each level that is climbed is a node. */
static long walk_nodes_cost(pgoff_t from, pgoff_t to)
{
	return fls64(from ^ to) / XA_CHUNK_SHIFT * VMI_WALK_NODE_COST;
}

/*
 * The same in a mapping of shared memory: a page that is out leaves its
 * page-table entry empty, and the slot in the page cache, as a value
 * (shmem_writepage() in mm/shmem.c). What is read there is a value, never
 * followed; RCU keeps the nodes of the tree (lib/xarray.c).
 */
static bool walk_take_none_shmem(struct vmi_walk *walk, unsigned long va)
{
	struct vm_area_struct *vma = walk->vma;
	pgoff_t index = walk_index(vma, walk->next);
	pgoff_t last = walk_index(vma, va - 1);
	long least = WALK_MIN_SLOTS;
	pgoff_t seen = index;
	XA_STATE(xas, &vma->vm_file->f_mapping->i_pages, index);
	bool full = false;
	void *value;

	walk->budget -= VMI_WALK_NODE_COST;	/* the way down, whatever is found */
	rcu_read_lock();
	xas_for_each(&xas, value, last) {
		pgoff_t first, nr;
		swp_entry_t slot;

		if (xas_retry(&xas, value))
			continue;
		walk->budget -= VMI_WALK_SLOT_COST + walk_nodes_cost(seen, xas.xa_index);
		seen = xas.xa_index;
		if (least <= 0 && walk->budget <= 0) {
			/* What lies before this one was passed over. */
			va = walk_va(vma, max(xas.xa_index, index));
			break;
		}
		if (!xa_is_value(value) || !walk->pages)
			least--;	/* else each of its slots is one */
		if (!xa_is_value(value))
			continue;

		slot = radix_to_swp_entry(value);
		nr = 1UL << vmi_compat_xas_get_order(&xas);
		first = round_down(xas.xa_index, nr);
		if (first < index) {
			slot.val += index - first;
			nr -= index - first;
			first = index;
		}
		nr = min(nr, last - first + 1);
		full = !walk_take_slot(walk, slot, walk_va(vma, first),
				       walk_va(vma, first + nr), &least);
		if (full)
			break;
	}
	rcu_read_unlock();

	if (full)
		return false;
	return walk_take_none(walk, va) && walk->budget > 0;
}

/*
 * All entries between the cursor and @va are empty. They are passed over and
 * reported at once, from whatever levels they are.
 */
static bool walk_hole(struct vmi_walk *walk, unsigned long va)
{
	struct file *file = walk->vma->vm_file;

	if (walk->next >= va)
		return true;
	if (file && shmem_mapping(file->f_mapping))
		return walk_take_none_shmem(walk, va);
	return walk_take_none(walk, va);
}

/*
 * Between two entries, @va being the second one's address: may the batch go on?
 * If not, what was passed over is reported, so that a batch always gets ahead.
 */
static bool walk_more(struct vmi_walk *walk, unsigned long va)
{
	if (likely(walk->budget > 0))
		return true;
	walk_hole(walk, va);
	return false;
}

/* Report the entry for @va to @end, clipped to the cursor and the range. */
static bool walk_leaf(struct vmi_walk *walk, unsigned long va, unsigned long end,
		      struct vmi_entry *entry)
{
	struct vmi_run run;

	if (!walk_hole(walk, va))
		return false;
	walk->budget -= VMI_WALK_RUN_COST;
	run.va = max(va, walk->next);
	run.end = min(end, walk->vma_end);
	run.entry = *entry;
	if (entry->state != VMINSPECT_STATE_UNKNOWN &&
	    entry->state != VMINSPECT_STATE_MARKER)
		run.entry.frame += (run.va - va) >> PAGE_SHIFT;
	return walk_take(walk, &run);
}

/*
 * Only for entries read under the lock of their table. Special ones have no
 * page to look at (vm_normal_page() in mm/memory.c), nor have frames that the
 * kernel keeps no online struct page for. Returns as walk_add_cached().
 */
static bool walk_add_page(struct vmi_walk *walk, struct vmi_entry *entry)
{
	struct page *page;

	walk->budget -= VMI_WALK_PAGE_COST;
	if (entry->state == VMINSPECT_STATE_SWAPPED)
		return walk_add_cached(walk, entry);
	if (entry->state != VMINSPECT_STATE_PRESENT ||
	    (entry->flags & (VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_ZERO)))
		return true;
	page = pfn_to_online_page(entry->frame);
	if (page)
		vmi_entry_add_page(entry, page);
	return true;
}

/*
 * May this huge entry be that of the huge zero page? It is mapped for reading in
 * anonymous memory and DAX files, and what can't be written is never dirty.
 */
static bool walk_maybe_huge_zero(struct vmi_walk *walk, u64 raw)
{
	u32 flags = vmi_entry_hardware_flags(raw);

	if (flags & (VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_DIRTY))
		return false;
	return vma_is_anonymous(walk->vma) || vma_is_dax(walk->vma);
}

/*
 * Where the kernel maps the huge zero page every other page has an owner: in
 * anonymous memory an anon_vma, in a DAX file its device (no online page).
 */
static bool walk_huge_zero(struct vmi_walk *walk, const struct vmi_entry *entry)
{
	struct page *page = pfn_to_online_page(entry->frame);

	return entry->shift == PMD_SHIFT && page && !PageAnon(page) &&
	       walk_maybe_huge_zero(walk, entry->raw);
}

/* The rule of huge_pte_lockptr(): only what a PMD stands for has a split lock. */
static spinlock_t *walk_huge_lock(struct vmi_walk *walk, void *slot,
				  unsigned int shift)
{
	if (shift == PMD_SHIFT)
		return pmd_lockptr(walk->mm, slot);
	return &walk->mm->page_table_lock;
}

/* What stands there when nobody is replacing it: not empty for a moment only. */
static u64 walk_settled(struct vmi_walk *walk, void *slot, unsigned int shift)
{
	spinlock_t *ptl = walk_huge_lock(walk, slot, shift);
	u64 raw;

	spin_lock(ptl);
	raw = READ_ONCE(*(u64 *)slot);
	spin_unlock(ptl);
	return raw;
}

/*
 * Processes that share a table of hugetlb count as one mapping in the page; to
 * whoever reads this they are several (smaps_hugetlb_range() says so too, pagemap
 * does not).
 */
static void walk_fix_shared(struct vmi_walk *walk, void *slot,
			    struct vmi_entry *entry)
{
	if (!is_vm_hugetlb_page(walk->vma) || entry->shift != PMD_SHIFT ||
	    !(entry->flags & VMINSPECT_PAGE_MAPPED_ONCE) ||
	    !hugetlb_pmd_shared(slot))
		return;
	entry->flags &= ~VMINSPECT_PAGE_MAPPED_ONCE;
	entry->flags |= VMINSPECT_PAGE_SHARED;
}

/*
 * Add to a present huge entry, decoded from what was read at @slot, what its page
 * tells. Returns false if something else stands there by now.
 */
static bool walk_huge_page(struct vmi_walk *walk, void *slot,
			   struct vmi_entry *entry)
{
	spinlock_t *ptl = walk_huge_lock(walk, slot, entry->shift);
	bool same;

	spin_lock(ptl);
	same = READ_ONCE(*(u64 *)slot) == entry->raw;
	if (same) {
		if (walk_huge_zero(walk, entry))
			entry->flags |= VMINSPECT_PAGE_ZERO;
		if (walk->pages) {
			walk_add_page(walk, entry);
			walk_fix_shared(walk, slot, entry);
		}
	}
	spin_unlock(ptl);
	return same;
}

/* Is the entry at @slot, which was read as empty, more than empty for a moment? */
static bool walk_surely_none(struct vmi_walk *walk, void *slot, unsigned int shift)
{
	spinlock_t *ptl = walk_huge_lock(walk, slot, shift);
	bool none;

	walk->budget -= VMI_WALK_PAGE_COST;
	spin_lock(ptl);
	none = pte_none(__pte(READ_ONCE(*(u64 *)slot)));
	spin_unlock(ptl);
	return none;
}

/*
 * An entry of an upper level that leads to no table. @slot is where it stands
 * and @raw what was read there. Returns false to end the batch; *@again is set,
 * and nothing reported, if it turned into something else meanwhile.
 */
static bool walk_huge(struct vmi_walk *walk, void *slot, u64 raw,
		      unsigned int shift, unsigned long va, bool *again)
{
	unsigned long base = va & ~((1UL << shift) - 1);
	struct vmi_entry entry;

	vmi_entry_decode(raw, shift, walk->vma->vm_flags, &entry);
	if (entry.state == VMINSPECT_STATE_PRESENT &&
	    (walk->pages || walk_maybe_huge_zero(walk, raw)) &&
	    !walk_huge_page(walk, slot, &entry)) {
		*again = true;
		return true;
	}
	return walk_leaf(walk, base, base + (1UL << shift), &entry);
}

/* A table entry with bits that no table has: shown raw, not followed. */
static bool walk_bad(struct vmi_walk *walk, u64 raw, unsigned long va,
		     unsigned long end)
{
	struct vmi_entry entry = {
		.raw = raw, .frame = raw, .node = -1, .shift = PAGE_SHIFT,
		.state = VMINSPECT_STATE_UNKNOWN,
	};

	return walk_leaf(walk, va, end, &entry);
}

/* How many entries from @entries on are empty? A cache line holds eight. */
static unsigned long walk_zeroes(const u64 *entries, unsigned long nr)
{
	unsigned long i = 0;

	for (; i + 4 <= nr; i += 4)
		if (READ_ONCE(entries[i]) | READ_ONCE(entries[i + 1]) |
		    READ_ONCE(entries[i + 2]) | READ_ONCE(entries[i + 3]))
			break;
	while (i < nr && !READ_ONCE(entries[i]))
		i++;
	return i;
}

/**
 * vmi_walk_huge_kind() - the same of an entry of the level of PMDs
 * @walk: the walk
 * @raw: the entry
 *
 * Return: NULL: it is no present huge page, or it has to be looked at under its lock, or no other
 * is like it
 */
struct vmi_kind *vmi_walk_huge_kind(struct vmi_walk *walk, u64 raw)
{
	struct vmi_kind *kind;

	if ((raw & (_PAGE_PRESENT | _PAGE_PSE)) != (_PAGE_PRESENT | _PAGE_PSE) ||
	    walk_maybe_huge_zero(walk, raw))
		return NULL;
	kind = vmi_walk_kind(walk, raw, PMD_SHIFT);
	return kind->step ? kind : NULL;
}

/*
 * PTEs of a table that is locked, or huge entries, the first of which is @raw and begins at
 * @va: whole pages, all of which are in the range. Returns how many of at most @nr were
 * taken; 0 ends the batch.
 */
static unsigned long walk_alike(struct vmi_walk *walk, struct vmi_kind *kind, const u64 *entries,
				u64 raw, unsigned long va, unsigned long nr)
{
	if (!walk_hole(walk, va))
		return 0;
	nr = walk->take_alike(walk, kind, entries, raw, va, nr);
	walk->next = va + (nr << kind->entry.shift);
	return nr;
}

/* One PTE, or several that are alike; as walk_alike(). */
static unsigned long walk_ptes(struct vmi_walk *walk, const u64 *entries, u64 raw,
			       unsigned long va, unsigned long nr)
{
	struct vmi_kind *kind = vmi_walk_kind(walk, raw, PAGE_SHIFT);
	struct vmi_entry entry;

	if (kind->step && walk->take_alike && !walk->pages)
		return walk_alike(walk, kind, entries, raw, va, nr);
	if (kind->entry.state == VMINSPECT_STATE_NONE)	/* though not 0: see entry_none() */
		return 1;
	entry = kind->entry;
	if (kind->step) {
		entry.raw = raw;
		entry.frame = vmi_kind_frame(kind, raw);
	}
	if (walk->pages && !walk_add_page(walk, &entry))
		return 0;
	return walk_leaf(walk, va, va + PAGE_SIZE, &entry);
}

/* The PTEs for @va up to @end, all of one table, which @pmd leads to: locked. */
static bool walk_pte_table(struct vmi_walk *walk, pmd_t pmd, unsigned long va,
			   unsigned long end)
{
	const u64 *entries = (const u64 *)pte_offset_kernel(&pmd, va);
	unsigned long i = 0, taken, nr = (end - va) >> PAGE_SHIFT;

	while (i < nr) {
		u64 raw = READ_ONCE(entries[i]);

		walk_note(walk, LEVEL_PTE, entries + i, raw);
		if (!raw) {
			i += 1 + walk_zeroes(entries + i + 1, nr - i - 1);
			continue;
		}
		taken = walk_ptes(walk, entries + i, raw, va + (i << PAGE_SHIFT), nr - i);
		i += taken;
		/* All of the table is paid for; what had to be reported costs more. */
		if (!taken || unlikely(walk->budget <= VMI_WALK_LEAST_BUDGET))
			return false;
	}
	return true;
}

/*
 * Lock the table and walk it. The caller is in an RCU section that began before it
 * read @pmd at @pmdp. If that leads elsewhere by now, *@again is set.
 */
static bool walk_pte_table_locked(struct vmi_walk *walk, pmd_t *pmdp, pmd_t pmd,
				  unsigned long va, unsigned long end, bool *again)
{
	/* The lock lies in, or is freed with, the table's page: RCU keeps it. */
	spinlock_t *ptl = pte_lockptr(walk->mm, &pmd);
	bool more = true;

	/* What was passed over before may take long to report: not under it. */
	if (!walk_hole(walk, va))
		return false;
	spin_lock(ptl);
	if (pmd_val(vmi_compat_pmdp_get_lockless(pmdp)) == pmd_val(pmd))
		more = walk_pte_table(walk, pmd, va, end);
	else
		*again = true;
	spin_unlock(ptl);
	return more;
}

/* What the PMD for @va leads to: a table of PTEs, or a huge page, or nothing. */
static bool walk_pmd(struct vmi_walk *walk, pmd_t *pmdp, unsigned long va,
		     unsigned long end)
{
	bool more, again;
	pmd_t pmd;

	do {
		again = false;
		rcu_read_lock();
		pmd = vmi_compat_pmdp_get_lockless(pmdp);
		if (pmd_none(pmd))
			pmd = __pmd(walk_settled(walk, pmdp, PMD_SHIFT));
		walk_note(walk, LEVEL_PMD, pmdp, pmd_val(pmd));
		if (pmd_none(pmd)) {
			again = !walk_surely_none(walk, pmdp, PMD_SHIFT);
			more = true;
		} else if (!pmd_present(pmd) || (pmd_val(pmd) & _PAGE_PSE)) {
			more = walk_huge(walk, pmdp, pmd_val(pmd), PMD_SHIFT, va,
					 &again);
		} else if (unlikely(pmd_bad(pmd))) {
			more = walk_bad(walk, pmd_val(pmd), va, end);
		} else {
			walk->budget -= (end - va) >> PAGE_SHIFT;
			more = walk_pte_table_locked(walk, pmdp, pmd, va, end,
						     &again);
		}
		rcu_read_unlock();
		/* Again only if another CPU changed the entry meanwhile. */
	} while (unlikely(again));
	return more;
}

/* The address up to which the entries from @pmdp on are empty, locked once. */
static unsigned long walk_pmds_none(struct vmi_walk *walk, pmd_t *pmdp,
				    unsigned long va, unsigned long end)
{
	unsigned long max = DIV_ROUND_UP(end - (va & PMD_MASK), PMD_SIZE);
	spinlock_t *ptl = pmd_lockptr(walk->mm, pmdp);
	unsigned long nr;

	spin_lock(ptl);
	nr = walk_zeroes((const u64 *)pmdp, max);
	spin_unlock(ptl);
	if (!nr)
		return va;
	walk_note(walk, LEVEL_PMD, pmdp + nr - 1, 0);
	walk->budget -= nr;
	return nr == max ? end : (va & PMD_MASK) + (nr << PMD_SHIFT);
}

/*
 * Huge pages from @va on, if nothing but their entries is asked for: a present one is what it is
 * without any lock. Returns how many, which may be none; *@more tells whether the batch goes on.
 */
static unsigned long walk_huge_alike(struct vmi_walk *walk, pmd_t *pmdp, unsigned long va,
				     unsigned long end, bool *more)
{
	unsigned long nr = (end - va) >> PMD_SHIFT;
	u64 raw = READ_ONCE(*(u64 *)pmdp);
	struct vmi_kind *kind;

	if (!nr || (va & ~PMD_MASK) || walk->pages || !walk->take_alike)
		return 0;
	kind = vmi_walk_huge_kind(walk, raw);
	if (!kind)
		return 0;
	nr = walk_alike(walk, kind, (const u64 *)pmdp, raw, va, nr);
	*more = nr;
	walk->budget -= nr;
	return nr;
}

static bool walk_pmd_table(struct vmi_walk *walk, pmd_t *table, unsigned long va,
			   unsigned long end)
{
	unsigned long next;
	bool more = true;
	pmd_t *pmdp;

	for (; va != end; va = next) {
		if (!walk_more(walk, va))
			return false;
		pmdp = table + pmd_index(va);
		next = va;
		if (!READ_ONCE(*(u64 *)pmdp))
			next = walk_pmds_none(walk, pmdp, va, end);
		else
			next += walk_huge_alike(walk, pmdp, va, end, &more) << PMD_SHIFT;
		if (!more)
			return false;
		/*
		 * It may not be empty any more. That is gone into here and not in another round:
		 * there the batch might end before it got ahead.
		 */
		if (next == va) {
			next = pmd_addr_end(va, end);
			if (!walk_pmd(walk, pmdp, va, next))
				return false;
		}
		walk->budget--;
		if (mmap_lock_is_contended(walk->mm))
			walk->budget = 0;
	}
	return true;
}

static bool walk_pud(struct vmi_walk *walk, pud_t *pudp, unsigned long va,
		     unsigned long end)
{
	bool more, again;
	pud_t pud;

	do {
		again = false;
		pud = READ_ONCE(*pudp);
		if (pud_none(pud) && is_vm_hugetlb_page(walk->vma))
			pud = __pud(walk_settled(walk, pudp, PUD_SHIFT));
		walk_note(walk, LEVEL_PUD, pudp, pud_val(pud));
		if (pud_none(pud)) {
			/* Only hugetlb replaces such an entry. */
			again = is_vm_hugetlb_page(walk->vma) &&
				!walk_surely_none(walk, pudp, PUD_SHIFT);
			more = true;
		} else if (!pud_present(pud) || (pud_val(pud) & _PAGE_PSE)) {
			more = walk_huge(walk, pudp, pud_val(pud), PUD_SHIFT, va,
					 &again);
		} else if (unlikely(pud_bad(pud))) {
			more = walk_bad(walk, pud_val(pud), va, end);
		} else {
			more = walk_pmd_table(walk,
					      pmd_offset_lockless(pudp, pud, 0),
					      va, end);
		}
	} while (unlikely(again));
	return more;
}

static bool walk_pud_table(struct vmi_walk *walk, pud_t *pudp, unsigned long va,
			   unsigned long end)
{
	unsigned long next;

	for (; va != end; va = next, pudp++) {
		next = pud_addr_end(va, end);
		if (!walk_more(walk, va) || !walk_pud(walk, pudp, va, next))
			return false;
		walk->budget--;
	}
	return true;
}

/* With four levels this one is folded: the entry is the PGD's own. */
static bool walk_p4d_table(struct vmi_walk *walk, p4d_t *p4dp, unsigned long va,
			   unsigned long end)
{
	unsigned long next;
	p4d_t p4d;

	for (; va != end; va = next, p4dp++) {
		next = p4d_addr_end(va, end);
		p4d = READ_ONCE(*p4dp);
		if (pgtable_l5_enabled())
			walk_note(walk, LEVEL_P4D, p4dp, p4d_val(p4d));
		walk->budget--;
		if (p4d_none(p4d))
			continue;
		if (unlikely(p4d_bad(p4d))) {
			if (!walk_bad(walk, p4d_val(p4d), va, next))
				return false;
			continue;
		}
		if (!walk_pud_table(walk, pud_offset_lockless(p4dp, p4d, va), va,
				    next))
			return false;
	}
	return true;
}

static bool walk_pgd_table(struct vmi_walk *walk, unsigned long va,
			   unsigned long end)
{
	pgd_t *pgdp = pgd_offset(walk->mm, va);
	unsigned long next;
	pgd_t pgd;

	for (; va != end; va = next, pgdp++) {
		next = pgd_addr_end(va, end);
		pgd = READ_ONCE(*pgdp);
		walk_note(walk, LEVEL_PGD, pgdp, pgd_val(pgd));
		walk->budget--;
		if (pgd_none(pgd))
			continue;
		if (unlikely(pgd_bad(pgd))) {
			if (!walk_bad(walk, pgd_val(pgd), va, next))
				return false;
			continue;
		}
		if (!walk_p4d_table(walk, p4d_offset_lockless(pgdp, pgd, va), va,
				    next))
			return false;
	}
	return true;
}

static bool walk_has_locked(const struct vmi_walk *walk, const struct file *file)
{
	return walk->locked && walk->locked->f_mapping == file->f_mapping;
}

/* What entries say depends on the mapping's flags, too. */
static void walk_enter(struct vmi_walk *walk, struct vm_area_struct *vma)
{
	unsigned int i;

	walk->vma = vma;
	if (walk->has_kinds && walk->kinds_of == vma->vm_flags)
		return;
	walk->has_kinds = true;
	walk->kinds_of = vma->vm_flags;
	for (i = 0; i < ARRAY_SIZE(walk->kinds); i++)
		vmi_kind_forget(&walk->kinds[i]);
}

static bool walk_vma(struct vmi_walk *walk, struct vm_area_struct *vma)
{
	struct address_space *shared = NULL;
	bool more;

	walk->budget -= VMI_WALK_VMA_COST;
	walk_enter(walk, vma);
	walk->vma_end = min(vma->vm_end, walk->end);
	if (is_vm_hugetlb_page(vma) && !walk_has_locked(walk, vma->vm_file)) {
		shared = vma->vm_file->f_mapping;
		/* A truncation may take long: not to be waited for in here. */
		if (!i_mmap_trylock_read(shared)) {
			walk->busy = get_file(vma->vm_file);
			return false;
		}
	}
	more = walk_pgd_table(walk, walk->next, walk->vma_end) &&
	       walk_hole(walk, walk->vma_end);
	if (shared)
		i_mmap_unlock_read(shared);
	return more && walk_more(walk, walk->vma_end);
}

/* Up to @va there is no mapping. Nothing is walked: see the top of this file. */
static bool walk_gap(struct vmi_walk *walk, unsigned long va)
{
	struct vmi_run run = { .va = walk->next, .end = va };

	if (walk->next >= va)
		return true;
	run.entry = (struct vmi_entry){
		.state = VMINSPECT_STATE_UNMAPPED, .shift = PAGE_SHIFT, .node = -1,
	};
	walk->budget--;
	return walk_take(walk, &run);
}

/**
 * vmi_walk_range() - walk one batch of a range
 * @walk: where to begin, where to end, what to do
 *
 * On return walk->next is where the next batch has to begin: walk->end when
 * done. It is further than before unless @take refused the first run, or
 * walk->busy or walk->strange is set.
 *
 * Context: the mmap lock is held for reading. Does not sleep.
 */
void vmi_walk_range(struct vmi_walk *walk)
{
	VMA_ITERATOR(vmas, walk->mm, walk->next);
	struct vm_area_struct *vma;

	/* Not mmap_assert_locked(): DEBUG_VM has it call dump_mm() in 6.1, which no module may. */
	lockdep_assert_held(&walk->mm->mmap_lock);
	walk->budget = VMI_WALK_BUDGET;
	walk->busy = NULL;
	walk->strange = false;
	for_each_vma_range(vmas, vma, walk->end) {
		if (!walk_gap(walk, min(vma->vm_start, walk->end)))
			return;
		if (!walk_vma(walk, vma))
			return;
		if (mmap_lock_is_contended(walk->mm))
			return;
	}
	walk_gap(walk, walk->end);
}

/* The table of PMDs for @va, or NULL. Upper tables stay while the mmap lock is held: see above. */
static const u64 *walk_find_pmds(struct vmi_walk *walk, unsigned long va)
{
	pgd_t *pgdp = pgd_offset(walk->mm, va), pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;

	if (pgd_none(pgd) || pgd_bad(pgd))
		return NULL;
	p4dp = p4d_offset_lockless(pgdp, pgd, va);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || p4d_bad(p4d))
		return NULL;
	pudp = pud_offset_lockless(p4dp, p4d, va);
	pud = READ_ONCE(*pudp);
	if (!pud_present(pud) || pud_bad(pud))	/* which a huge one is, too */
		return NULL;
	return (const u64 *)pmd_offset_lockless(pudp, pud, 0);
}

/* Find the mapping of @va. Returns false if there is none that vmi_walk_find() could look in. */
static bool walk_find_mapping(struct vmi_walk *walk, unsigned long va)
{
	struct vm_area_struct *vma;
	unsigned long start;

	walk->mapped_size = 0;
	if (!walk->searches)
		return false;
	walk->searches--;
	vma = vma_lookup(walk->mm, va);
	/* The tables of hugetlb are another lock's. */
	if (!vma || is_vm_hugetlb_page(vma))
		return false;
	walk_enter(walk, vma);
	walk->table_mask = PTE_FLAGS_MASK & ~(_PAGE_USER | _PAGE_ACCESSED);
	walk->table_like = _KERNPG_TABLE & ~_PAGE_ACCESSED;
	start = READ_ONCE(vma->vm_start);	/* a stack may grow meanwhile */
	walk->mapped = start;
	walk->mapped_size = vma->vm_end - start;
	return true;
}

/**
 * vmi_walk_find_table() - find the table of PMDs that an address belongs to
 * @walk: the walk
 * @va: the address
 *
 * Return: false: none in which vmi_walk_find() could look, or as many mappings were looked for as
 * one hold of the lock may have, or somebody waits for it
 *
 * Context: as vmi_walk_find()
 */
bool vmi_walk_find_table(struct vmi_walk *walk, unsigned long va)
{
	walk->found_size = 0;
	if (mmap_lock_is_contended(walk->mm))
		return false;
	if (va - walk->mapped >= walk->mapped_size && !walk_find_mapping(walk, va))
		return false;
	walk->pmds = walk_find_pmds(walk, va);
	if (!walk->pmds)
		return false;
	walk->found = max(walk->mapped, va & PUD_MASK);
	walk->found_size = pud_addr_end(va, walk->mapped + walk->mapped_size) - walk->found;
	return true;
}

/**
 * vmi_walk_peek() - the entry of the lowest level for an address
 * @mm: the address space
 * @va: the address, within a mapping
 *
 * Return: the entry as it is; 0 if there is none, or one of an upper level stands for it
 *
 * Context: any. The caller keeps the tables of that mapping from being freed: it holds
 * the mmap lock, or the lock of the rmap by which it came to the mapping, which
 * free_pgtables() takes for each mapping (unlink_anon_vmas()) before it frees its tables,
 * and which collapsing takes, or the lock of the table itself. It is in an RCU section as well,
 * since a table of entries may be replaced by a huge entry without that lock on later kernels.
 */
u64 vmi_walk_peek(struct mm_struct *mm, unsigned long va)
{
	pgd_t *pgdp = pgd_offset(mm, va);
	p4d_t *p4dp;
	pud_t *pudp, pud;
	pmd_t pmd;

	if (pgd_none(READ_ONCE(*pgdp)))
		return 0;
	p4dp = p4d_offset(pgdp, va);
	if (p4d_none(READ_ONCE(*p4dp)))
		return 0;
	pudp = pud_offset(p4dp, va);
	pud = READ_ONCE(*pudp);
	if (!pud_present(pud) || pud_val(pud) & _PAGE_PSE)
		return 0;
	pmd = vmi_compat_pmdp_get_lockless(pmd_offset(pudp, va));
	if (!pmd_present(pmd) || pmd_val(pmd) & _PAGE_PSE)
		return 0;
	return pte_val(READ_ONCE(*pte_offset_kernel(&pmd, va)));
}
