// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest maps --extents: runs of guest-physical memory and where the host has them.
 */
#include "entry.h"
#include "error.h"
#include "guest.h"
#include "json.h"
#include "progress.h"

enum {
	COL_SLOT, COL_AS, COL_GPA, COL_END, COL_SIZE, COL_STATE, COL_PAGE, COL_HVA, COL_PA, COL_PFN,
	COL_SWAP, COL_DEVICE,
};

static const struct column columns[] = {
	[COL_SLOT] = { "SLOT", 4, COLUMN_COUNT, IN_BOTH, "its number" },
	[COL_AS] = { "AS", 0, COLUMN_COUNT, IN_JSON, "0, or 1: seen in SMM alone" },
	[COL_GPA] = { "GPA", 12, COLUMN_ADDRESS, IN_BOTH, "first guest-physical address" },
	[COL_END] = { "END", 12, COLUMN_ADDRESS, IN_JSON, "address after the last one" },
	[COL_SIZE] = { "SIZE", 6, COLUMN_SIZE, IN_TABLE, "how long it is" },
	[COL_STATE] = { "STATE", 8, COLUMN_STRING, IN_BOTH, "state of its pages on the host" },
	[COL_PAGE] = { "PAGE", 4, COLUMN_SIZE, IN_BOTH, "page size on the host" },
	[COL_HVA] = { "HVA", 14, COLUMN_ADDRESS, IN_BOTH, "where the VMM has it" },
	[COL_PA] = { "PA", 12, COLUMN_ADDRESS, IN_BOTH | HIDEABLE, "physical address" },
	[COL_PFN] = { "PFN", 9, COLUMN_FRAME, IN_JSON | HIDEABLE, "its frame of 4096 bytes" },
	[COL_SWAP] = { "SWAP", 8, COLUMN_SWAP, IN_BOTH | HIDEABLE,
		"number of the swap area and offset in pages" },
	[COL_DEVICE] = { "DEVICE", 0, COLUMN_STRING, IN_TABLE | HIDEABLE,
		"file or device of the swap area" },
};

struct row {
	struct vminspect_guest_slot slot;
	struct vminspect_extent extent;
};

static __u64 gpa_of(const struct row *row, __u64 hva)
{
	return row->slot.gpa + (hva - row->slot.hva);
}

static void row_value(struct value *value, int column, const void *record)
{
	const struct row *row = record;
	const struct vminspect_entry entry = entry_of_extent(&row->extent);

	switch (column) {
	case COL_SLOT:
		value->number = row->slot.slot;
		break;
	case COL_AS:
		value->number = row->slot.address_space;
		break;
	case COL_GPA:
		value->number = gpa_of(row, row->extent.start);
		break;
	case COL_END:
		value->number = gpa_of(row, row->extent.end);
		break;
	case COL_SIZE:
		value->number = row->extent.end - row->extent.start;
		break;
	case COL_STATE:
		entry_state(value, &entry);
		break;
	case COL_PAGE:
		entry_page(value, &entry);
		break;
	case COL_HVA:
		value->number = row->extent.start;
		break;
	case COL_PA:
		entry_pa(value, &entry, row->extent.start);
		break;
	case COL_PFN:
		entry_pfn(value, &entry);
		break;
	case COL_SWAP:
		entry_swap(value, &entry);
		break;
	case COL_DEVICE:
		entry_device(value, &entry);
		break;
	}
}

const struct view guest_extent_view = {
	.name = "extents",
	.when = "of maps --extents",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = row_value,
};

/* Return: 0 or -errno. */
static int print_slot(const struct vmm *vmm, struct table *table, struct row *row)
{
	struct vminspect_scan scan = {
		.start = row->slot.hva,
		.end = row->slot.hva + row->slot.bytes,
		.return_mask = VMINSPECT_RETURN_FRAME | VMINSPECT_PAGE_SWAPCACHE,
		.split_mask = VMINSPECT_PAGE_SWAPCACHE,
	};
	struct vminspect_extents *extents;
	int ret;

	if (scan.end > vmm->target.info.va_end || scan.start >= scan.end)
		return 0;
	ret = vminspect_extents_start(vmm->target.device, &scan, &extents);
	if (ret)
		return ret;
	while ((ret = vminspect_extents_next(extents, &row->extent)) > 0) {
		table_row(table, row);
		progress("slot %u: 0x%llx", row->slot.slot, gpa_of(row, row->extent.end));
	}
	vminspect_extents_stop(extents);
	return ret;
}

int guest_print_extents(const struct vmm *vmm, const struct output *out, struct table *table)
{
	json_t *head = target_json(&vmm->target), *tail = json_object();
	unsigned int as = 0;
	struct row row;
	__u64 gpa = 0;
	int ret;

	json_put(head, "vm_fd", json_integer(vmm->vm_fd));
	table_begin(table, head, vmm->target.hidden);
	while ((ret = vm_next_slot(vmm->guest, vmm->info.nr_address_spaces, &as, &gpa,
				   &row.slot)) > 0) {
		ret = print_slot(vmm, table, &row);
		if (ret)
			break;
	}
	if (ret)
		json_put(tail, "truncated", json_true());
	table_end(table, tail);
	if (ret)
		return vmm_fail(vmm, ret, 0);
	target_note_hidden(&vmm->target, out);
	return 0;
}
