// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's tables map, as runs.
 *
 * Each table is copied as a whole and read from the copy, so that its entries are of one moment
 * and nothing of the guest's is held meanwhile. The guest may have written anything into it: what
 * an entry leads to is in a slot or is not read, the way down has as many steps as the mode has
 * levels, and a call ends after TABLES_PER_CALL tables whatever they map. Memory is one page
 * for each level.
 *
 * Addresses are counted without their sign here, so that the two halves of 4- and 5-level
 * paging are one range.
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "guest.h"
#include "paging.h"

#define TABLES_PER_CALL	512

/* Room ran out, or it is enough for one call. */
#define SCAN_STOP	1

/**
 * struct guest_table - the table of a level that the last address was looked up in
 * @entries: a copy of it
 * @range: which one it is: the address over what it maps as a whole; U64_MAX: none yet
 */
struct guest_table {
	void *entries;
	u64 range;
};

/**
 * struct guest_scan - a scan as it goes on
 * @view: the guest as the vCPU has it
 * @out: what was asked for
 * @first: from where on all has been told
 * @start: where the call begins
 * @at: how far it is
 * @end: where it is to stop
 * @gap: where addresses jump from one half to the other; U64_MAX: nowhere
 * @tables: by level
 * @extent: the run that may still grow; no bytes: none
 */
struct guest_scan {
	struct vmi_guest_view view;
	struct vminspect_guest_scan *out;
	u64 first;
	u64 start;
	u64 at;
	u64 end;
	u64 gap;
	struct guest_table tables[VMINSPECT_MAX_LEVELS + 1];
	struct vminspect_guest_extent extent;
};

static u64 scan_top(const struct guest_scan *scan)
{
	return BIT_ULL(vmi_paging_va_bits(&scan->view.paging));
}

static u64 scan_gap(const struct guest_scan *scan)
{
	u64 half = scan_top(scan) / 2;

	return vmi_paging_canonical(&scan->view.paging, half) ? U64_MAX : half;
}

/* The first address without its sign that does not come before @va. */
static u64 scan_address(const struct guest_scan *scan, u64 va)
{
	if (vmi_paging_canonical(&scan->view.paging, va))
		return va & (scan_top(scan) - 1);
	return min(scan->gap, scan_top(scan));
}

static int scan_flush(struct guest_scan *scan)
{
	struct vminspect_guest_extent __user *to = u64_to_user_ptr(scan->out->extents);

	if (!scan->extent.bytes)
		return 0;
	if (copy_to_user(&to[scan->out->nr_filled], &scan->extent, sizeof(scan->extent)))
		return -EFAULT;
	scan->out->nr_filled++;
	scan->extent.bytes = 0;
	return 0;
}

static bool scan_belong_together(const struct vminspect_guest_extent *a,
				 const struct vminspect_guest_extent *b)
{
	/* what is missing has no address, and what repeats has one for all of it */
	u64 gpa = b->missing || b->repeat ? a->gpa : a->gpa + a->bytes;

	return a->bytes && a->start + a->bytes == b->start && gpa == b->gpa &&
	       a->flags == b->flags && a->page_shift == b->page_shift &&
	       a->repeat == b->repeat && a->missing == b->missing && a->fault == b->fault &&
	       a->missing_level == b->missing_level;
}

/* From here to @end or the gap it is all @extent. Return: 0, SCAN_STOP or -EFAULT */
static int scan_add(struct guest_scan *scan, u64 end, struct vminspect_guest_extent extent)
{
	int ret;

	if (scan->at < scan->gap)
		end = min(end, scan->gap);
	extent.start = vmi_paging_extend(&scan->view.paging, scan->at);
	extent.bytes = min(end, scan->end) - scan->at;
	if (scan_belong_together(&scan->extent, &extent)) {
		scan->extent.bytes += extent.bytes;
	} else {
		ret = scan_flush(scan);
		if (ret)
			return ret;
		if (scan->out->nr_filled == scan->out->nr_extents)
			return SCAN_STOP;
		scan->extent = extent;
	}
	scan->at += extent.bytes;
	return 0;
}

/* Whether it is that table alone, so that others can be told. */
static bool scan_is_unreadable(int error)
{
	return error == -EIO || error == -EOPNOTSUPP || error == -EAGAIN;
}

/*
 * Makes sure that the table of a level is that for this address. @missing: out:
 * VMINSPECT_MISSING_*. Return: 0, SCAN_STOP or -errno
 */
static int scan_load(struct guest_scan *scan, unsigned int level, u64 gpa, u8 *missing)
{
	const struct vmi_paging *paging = &scan->view.paging;
	struct guest_table *table = &scan->tables[level];
	u64 range = scan->at >> vmi_paging_shift(paging, level + 1);
	struct vmi_guest_place place;
	int ret;

	*missing = VMINSPECT_MISSING_NOTHING;
	if (table->range == range)
		return 0;
	if (scan->out->nr_tables >= TABLES_PER_CALL ||
	    (signal_pending(current) && scan->at != scan->start))
		return SCAN_STOP;
	cond_resched();
	scan->out->nr_tables++;
	table->range = U64_MAX;
	ret = vmi_guest_read(&scan->view, gpa, &place, table->entries,
			     vmi_paging_table_size(paging, level));
	if (scan_is_unreadable(ret))
		ret = VMINSPECT_MISSING_UNREADABLE;
	if (ret < 0)
		return ret;
	*missing = ret;
	if (!ret)
		table->range = range;
	return 0;
}

static u64 scan_entry(const struct guest_scan *scan, unsigned int level, unsigned int index)
{
	return vmi_paging_entry(&scan->view.paging, scan->tables[level].entries, index);
}

/* The address after what the entry of a level stands for. */
static u64 scan_entry_end(const struct guest_scan *scan, unsigned int level)
{
	u64 size = BIT_ULL(vmi_paging_shift(&scan->view.paging, level));

	return ALIGN_DOWN(scan->at, size) + size;
}

/*
 * Is it mapped like what comes before it? Not where that was not told, or lies on the other side of
 * the gap, or is not mapped: the bits in which both may differ are reserved in some entries.
 */
static bool scan_repeats(const struct guest_scan *scan, unsigned int level, u64 raw)
{
	const struct vmi_paging *paging = &scan->view.paging;
	unsigned int index = vmi_paging_index(paging, level, scan->at);
	u64 size = BIT_ULL(vmi_paging_shift(paging, level)), before;

	if (!index || !IS_ALIGNED(scan->at, size) || scan->at - scan->first < size ||
	    scan->at == scan->gap)
		return false;
	before = scan_entry(scan, level, index - 1);
	return vmi_paging_same(raw, before) && !vmi_paging_reserved(paging, level, before);
}

static void scan_skip(struct guest_scan *scan, unsigned int level)
{
	const struct vmi_paging *paging = &scan->view.paging;
	unsigned int index;

	do {
		scan->at = scan_entry_end(scan, level);
		index = vmi_paging_index(paging, level, scan->at);
	} while (index && scan->at < scan->end && !scan_entry(scan, level, index));
}

/* An entry that leads to no other table. @above: what those above it allow */
static int scan_leaf(struct guest_scan *scan, unsigned int level, u64 raw, u32 above)
{
	const struct vmi_paging *paging = &scan->view.paging;
	u32 flags = vmi_paging_flags(paging, level, raw);
	unsigned int shift = vmi_paging_shift(paging, level);
	bool repeats = scan_repeats(scan, level, raw);
	struct vminspect_guest_extent extent = {
		.gpa = vmi_paging_frame(paging, level, raw),
		.flags = vmi_paging_rights(paging, level, above, flags) |
			 (flags & (VMINSPECT_PAGE_GLOBAL | VMINSPECT_PAGE_HUGE)) |
			 VMINSPECT_ENTRY_PRESENT,
		.page_shift = shift,
		.repeat = repeats ? shift : 0,
	};

	if (!repeats)
		extent.gpa |= scan->at & (BIT_ULL(shift) - 1);
	return scan_add(scan, scan_entry_end(scan, level), extent);
}

/* A table that is not there, for all that it would map. */
static int scan_missing(struct guest_scan *scan, unsigned int level, u8 missing)
{
	return scan_add(scan, scan_entry_end(scan, level + 1), (struct vminspect_guest_extent){
		.missing = missing, .missing_level = level,
	});
}

/* What the next address is mapped to. Return: 0, SCAN_STOP or -errno */
static int scan_next(struct guest_scan *scan)
{
	const struct vmi_paging *paging = &scan->view.paging;
	u64 table = vmi_paging_root(paging, scan->out->cr3);
	unsigned int level;
	u32 above = U32_MAX;

	for (level = paging->levels; ; level--) {
		u64 end = scan_entry_end(scan, level);
		u8 missing;
		u32 flags;
		u64 raw;
		int ret;

		ret = scan_load(scan, level, table, &missing);
		if (ret)
			return ret;
		if (missing)
			return scan_missing(scan, level, missing);
		raw = scan_entry(scan, level, vmi_paging_index(paging, level, scan->at));
		flags = vmi_paging_flags(paging, level, raw);
		if (!flags) {
			scan_skip(scan, level);
			return 0;
		}
		if (vmi_paging_reserved(paging, level, raw))
			return scan_add(scan, end, (struct vminspect_guest_extent){
				.missing = VMINSPECT_MISSING_GUEST,
				.fault = VMINSPECT_FAULT_RESERVED,
			});
		if (vmi_paging_leaf(paging, level, raw))
			return scan_leaf(scan, level, raw, above);
		if (raw & paging->c_bit)
			return scan_missing(scan, level - 1, VMINSPECT_MISSING_UNREADABLE);
		if (scan_repeats(scan, level, raw))
			return scan_add(scan, end, (struct vminspect_guest_extent){
				.repeat = vmi_paging_shift(paging, level),
			});
		above = vmi_paging_rights(paging, level, above, flags);
		table = vmi_paging_frame(paging, level, raw);
	}
}

static int scan_physical(struct guest_scan *scan)
{
	return scan_add(scan, scan->end, (struct vminspect_guest_extent){
		.gpa = scan->at,
		.flags = vmi_paging_rights(&scan->view.paging, 0, U32_MAX, U32_MAX) |
			 VMINSPECT_ENTRY_PRESENT,
	});
}

static int scan_range(struct guest_scan *scan)
{
	unsigned int levels = scan->view.paging.levels;
	int ret = 0, flushed;

	if (levels && (scan->out->cr3 & scan->view.paging.c_bit))
		return -ENOKEY;
	while (!ret && scan->at < scan->end)
		ret = levels ? scan_next(scan) : scan_physical(scan);
	flushed = scan_flush(scan);
	/* what was found first is told; the call that begins at the error has it */
	if (ret < 0 && scan->at == scan->start)
		return ret;
	return flushed;
}

static int scan_check(const struct vminspect_guest_scan *out)
{
	if (out->flags & ~(VMINSPECT_GUEST_CR3 | VMINSPECT_GUEST_MODE))
		return -EINVAL;
	if (!IS_ALIGNED(out->first | out->start | out->end, PAGE_SIZE) ||
	    out->first > out->start || (out->end && out->start >= out->end))
		return -EINVAL;
	if (!out->nr_extents || out->extent_size != sizeof(struct vminspect_guest_extent))
		return -EINVAL;
	return 0;
}

/**
 * vmi_guest_scan() - what a guest's tables map
 * @guest: the guest
 * @out: in and out: as VMINSPECT_IOC_GUEST_SCAN has it
 *
 * Return: 0, or an error as described there
 */
int vmi_guest_scan(struct vmi_guest *guest, struct vminspect_guest_scan *out)
{
	struct vminspect_guest_vcpu vcpu = {
		.vcpu = out->vcpu, .cr3 = out->cr3, .mode = out->mode,
		.address_space = out->address_space,
	};
	struct guest_scan scan = { .out = out };
	unsigned int level;
	void *copies;
	int ret;

	ret = scan_check(out) ?: vmi_guest_view_init(&scan.view, guest, &vcpu, out->flags);
	if (ret)
		return ret;
	out->cr3 = vcpu.cr3;
	out->mode = vcpu.mode;
	out->registers = vcpu.registers;
	out->paging = vcpu.nested;
	out->address_space = vcpu.address_space;
	out->nr_filled = 0;
	out->nr_tables = 0;

	copies = kvcalloc(VMINSPECT_MAX_LEVELS, PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!copies)
		return -ENOMEM;
	for (level = 1; level <= VMINSPECT_MAX_LEVELS; level++)
		scan.tables[level] = (struct guest_table){
			.entries = copies + (level - 1) * PAGE_SIZE, .range = U64_MAX,
		};
	scan.gap = scan_gap(&scan);
	scan.first = scan_address(&scan, out->first);
	scan.start = scan_address(&scan, out->start);
	scan.at = scan.start;
	scan.end = out->end ? scan_address(&scan, out->end) : scan_top(&scan);
	ret = scan_range(&scan);
	out->resume = scan.at < scan.end ? vmi_paging_extend(&scan.view.paging, scan.at) : out->end;
	kvfree(copies);
	return ret;
}
