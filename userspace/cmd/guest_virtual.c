// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest maps --virtual: the address space that a vCPU of a guest is in, as runs.
 */
#include <errno.h>

#include "error.h"
#include "guest.h"
#include "json.h"
#include "progress.h"
#include "tally.h"

enum {
	COL_GVA, COL_SIZE, COL_GPA, COL_HVA, COL_PAGE, COL_FLAGS, COL_REPEATS, COL_SLOT,
	COL_MISSING, COL_LEVEL, COL_FAULT, COL_RESIDENT, COL_HUGE, COL_SWAPPED, COL_UNPOPULATED,
};

static const struct column columns[] = {
	[COL_GVA] = { "GVA", 18, COLUMN_ADDRESS, IN_BOTH, "first guest-virtual address" },
	[COL_SIZE] = { "SIZE", 6, COLUMN_SIZE, IN_BOTH, "how long it is" },
	[COL_GPA] = { "GPA", 12, COLUMN_ADDRESS, IN_BOTH, "guest-physical address" },
	[COL_HVA] = { "HVA", 14, COLUMN_ADDRESS, IN_JSON, "where the VMM has it" },
	[COL_PAGE] = { "PAGE", 4, COLUMN_SIZE, IN_BOTH, "page size of the guest" },
	[COL_FLAGS] = { "FLAGS", 22, COLUMN_FLAGS, IN_BOTH, "what its tables allow" },
	[COL_REPEATS] = { "REPEATS", 7, COLUMN_SIZE, IN_BOTH,
		"all of it is mapped as that much before it, again and again" },
	[COL_SLOT] = { "SLOT", 4, COLUMN_COUNT, IN_JSON, "number of its memory slot" },
	[COL_MISSING] = { "MISSING", 7, COLUMN_STRING, IN_BOTH,
		"guest: it faults; slot: no memory; host, unreadable: its table" },
	[COL_LEVEL] = { "LEVEL", 5, COLUMN_STRING, IN_JSON, "if a table is missing: its level" },
	[COL_FAULT] = { "FAULT", 12, COLUMN_STRING, IN_JSON, "if the guest faults: why" },
	[COL_RESIDENT] = { "RESIDENT", 8, COLUMN_SIZE, IN_BOTH, "of it: in the host's memory" },
	[COL_HUGE] = { "HUGE", 6, COLUMN_SIZE, IN_JSON, "of that: in huge pages" },
	[COL_SWAPPED] = { "SWAPPED", 7, COLUMN_SIZE, IN_BOTH, "swapped out by the host" },
	[COL_UNPOPULATED] = { "UNPOPULATED", 6, COLUMN_SIZE, IN_JSON, "never touched" },
};

/* A run, or the part of it that is in one slot or in none. */
struct row {
	struct vminspect_guest_extent extent;
	struct vminspect_guest_slot slot;
	bool in_slot;
	struct tally tally;
};

static __u64 hva_of(const struct row *row)
{
	return row->slot.hva + (row->extent.gpa - row->slot.gpa);
}

static bool has_gpa(const struct vminspect_guest_extent *extent)
{
	return extent->flags;
}

/* Whether each page is another, so that they can be added up. */
static bool has_memory(const struct vminspect_guest_extent *extent)
{
	return has_gpa(extent) && !extent->repeat;
}

static void string_value(struct value *value, const char *string)
{
	value->null = !string;
	value->string = string;
}

static void link_value(struct value *value, int column, const struct row *row)
{
	const struct vminspect_guest_extent *extent = &row->extent;
	unsigned int missing = extent->missing;

	if (has_memory(extent) && !row->in_slot)
		missing = VMINSPECT_MISSING_SLOT;
	switch (column) {
	case COL_MISSING:
		string_value(value, vminspect_missing_name(missing));
		break;
	case COL_LEVEL:
		string_value(value, vminspect_guest_level_name(extent->missing_level));
		break;
	case COL_FAULT:
		string_value(value, guest_fault_name(extent->fault));
		break;
	}
}

static void row_value(struct value *value, int column, const void *record)
{
	const struct row *row = record;
	const struct vminspect_guest_extent *extent = &row->extent;
	const __u64 numbers[] = {
		[COL_GVA] = extent->start,
		[COL_SIZE] = extent->bytes,
		[COL_GPA] = extent->gpa,
		[COL_HVA] = hva_of(row),
		[COL_PAGE] = 1ULL << extent->page_shift,
		[COL_FLAGS] = extent->flags,
		[COL_REPEATS] = 1ULL << extent->repeat,
		[COL_SLOT] = row->slot.slot,
		[COL_RESIDENT] = row->tally.present,
		[COL_HUGE] = row->tally.huge,
		[COL_SWAPPED] = row->tally.swapped,
		[COL_UNPOPULATED] = row->tally.unpopulated + row->tally.zero,
	};
	const bool nulls[] = {
		[COL_GPA] = !has_gpa(extent),
		[COL_HVA] = !row->in_slot,
		[COL_PAGE] = !extent->page_shift,
		[COL_REPEATS] = !extent->repeat,
		[COL_SLOT] = !row->in_slot,
		[COL_RESIDENT] = !row->in_slot,
		[COL_HUGE] = !row->in_slot,
		[COL_SWAPPED] = !row->in_slot,
		[COL_UNPOPULATED] = !row->in_slot,
	};

	if (column == COL_MISSING || column == COL_LEVEL || column == COL_FAULT) {
		link_value(value, column, row);
		return;
	}
	value->null = nulls[column];
	value->number = numbers[column];
}

const struct view guest_virtual_view = {
	.name = "extents",
	.when = "of maps --virtual",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = row_value,
};

/*
 * The slot that a guest-physical address is in, or how far there is none. Return: how many bytes
 * from there on are alike, or -errno.
 */
static __s64 find_slot(const struct vmm *vmm, unsigned int as, struct row *row)
{
	__u64 gpa = row->extent.gpa;
	int ret = vminspect_guest_slot(vmm->guest, as, gpa, &row->slot);

	row->in_slot = !ret && gpa >= row->slot.gpa;
	if (ret == -ENOENT)
		return row->extent.bytes;
	if (ret)
		return ret;
	return row->in_slot ? row->slot.bytes - (gpa - row->slot.gpa) : row->slot.gpa - gpa;
}

static int add_up(const struct vmm *vmm, struct row *row)
{
	__u64 start = hva_of(row), end = start + row->extent.bytes;

	row->tally = (struct tally) {};
	if (!row->in_slot || end > vmm->target.info.va_end || start >= end)
		return 0;
	return tally_range(&row->tally, vmm->target.device, start, end);
}

/* One row for each slot that a run is in, and for each gap. Return: 0 or -errno. */
static int print_run(const struct vmm *vmm, unsigned int as, struct table *table, struct row *row,
		     const struct vminspect_guest_extent *run)
{
	__u64 done = 0;

	while (done < run->bytes) {
		__s64 alike;
		int ret;

		row->extent = *run;
		row->extent.start += done;
		row->extent.bytes -= done;
		row->in_slot = false;
		if (has_memory(run)) {
			row->extent.gpa += done;
			alike = find_slot(vmm, as, row);
			if (alike < 0)
				return alike;
			if ((__u64)alike < row->extent.bytes)
				row->extent.bytes = alike;
		}
		ret = add_up(vmm, row);
		if (ret)
			return ret;
		table_row(table, row);
		done += row->extent.bytes;
	}
	return 0;
}

/* What no honest guest needs: a table for each page of its memory, and some. */
static __u64 tables_at_most(const struct vmm *vmm)
{
	struct vminspect_guest_slot slot;
	__u64 gpa = 0, bytes = 0;
	unsigned int as = 0;

	while (vm_next_slot(vmm->guest, vmm->info.nr_address_spaces, &as, &gpa, &slot) > 0)
		bytes += slot.bytes;
	return bytes / 4096 + 1024;
}

/* Return: 0, or -errno. */
static int print_runs(const struct vmm *vmm, unsigned int as,
		      struct vminspect_guest_extents *cursor, struct table *table)
{
	struct vminspect_guest_extent run;
	struct row row = {};
	int ret;

	while ((ret = vminspect_guest_extents_next(cursor, &run)) > 0) {
		ret = print_run(vmm, as, table, &row, &run);
		if (ret)
			return ret;
		progress("guest-virtual 0x%llx", run.start);
	}
	return ret;
}

int guest_print_virtual(const struct vmm *vmm, const struct guest_options *options,
			struct table *table)
{
	struct guest_options pinned = *options;
	json_t *head = target_json(&vmm->target), *tail = json_object();
	struct vminspect_guest_extents *cursor;
	struct vminspect_guest_vcpu vcpu;
	int ret;

	ret = guest_pin(vmm, &pinned, &vcpu, head);
	if (!ret) {
		const struct vminspect_guest_scan scan = {
			.flags = pinned.flags, .cr3 = pinned.cr3, .vcpu = pinned.vcpu,
			.mode = pinned.mode, .address_space = pinned.address_space,
		};

		ret = vminspect_guest_extents_start(vmm->guest, &scan, tables_at_most(vmm),
						    &cursor);
	}
	table_begin(table, head, NULL);
	if (!ret) {
		ret = print_runs(vmm, pinned.address_space, cursor, table);
		vminspect_guest_extents_stop(cursor);
	}
	if (ret)
		json_put(tail, "truncated", json_true());
	table_end(table, tail);
	return ret ? guest_fail(vmm, ret, &pinned) : 0;
}
