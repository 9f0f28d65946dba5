// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest translate: from guest-virtual or guest-physical addresses to machine memory.
 */
#include "area.h"
#include "entry.h"
#include "error.h"
#include "guest.h"
#include "json.h"
#include "progress.h"

enum {
	COL_GVA, COL_GPA, COL_HVA, COL_PA, COL_STATE, COL_MISSING, COL_LEVEL, COL_GUEST_PAGE,
	COL_HOST_PAGE, COL_SWAP, COL_DEVICE, COL_ACCESSES,
};

static const struct column columns[] = {
	[COL_GVA] = { "GVA", 0, COLUMN_ADDRESS, IN_BOTH, "guest-virtual address, as asked for" },
	[COL_GPA] = { "GPA", 0, COLUMN_ADDRESS, IN_BOTH, "guest-physical address" },
	[COL_HVA] = { "HVA", 0, COLUMN_ADDRESS, IN_BOTH, "host-virtual, in the VMM" },
	[COL_PA] = { "PA", 0, COLUMN_ADDRESS, IN_BOTH | HIDEABLE, "physical address" },
	[COL_STATE] = { "STATE", 0, COLUMN_STRING, IN_BOTH, "state of the page on the host" },
	[COL_MISSING] = { "MISSING", 0, COLUMN_STRING, IN_BOTH,
		"guest: not mapped by it; slot: no memory; host: not in memory" },
	[COL_LEVEL] = { "LEVEL", 0, COLUMN_STRING, IN_BOTH | OMITTED,
		"if a table is missing, not the data: its level; STATE is its page's" },
	[COL_GUEST_PAGE] = { "GUEST_PAGE", 0, COLUMN_SIZE, IN_BOTH, "page size of the guest" },
	[COL_HOST_PAGE] = { "HOST_PAGE", 0, COLUMN_SIZE, IN_BOTH,
		"of the nested table, or of the host if that has no entry" },
	[COL_SWAP] = { "SWAP", 0, COLUMN_SWAP, IN_BOTH | HIDEABLE,
		"number of the swap area and offset in pages" },
	[COL_DEVICE] = { "DEVICE", 0, COLUMN_STRING, IN_TABLE | HIDEABLE,
		"file or device of the swap area" },
	[COL_ACCESSES] = { "ACCESSES", 0, COLUMN_COUNT, IN_BOTH | HIDEABLE,
		"memory accesses of the whole translation" },
};

static void address_value(struct value *value, int column, const struct vminspect_guest_walk *walk)
{
	switch (column) {
	case COL_GVA:
		value->null = walk->flags & VMINSPECT_GUEST_GPA;
		value->number = walk->address;
		break;
	case COL_GPA:
		value->null = !guest_has_gpa(walk);
		value->number = walk->gpa;
		break;
	case COL_HVA:
		value->null = !guest_has_gpa(walk) || !guest_has_place(walk);
		value->number = walk->hva;
		break;
	case COL_PA:
		value->null = walk->missing;
		value->number = guest_pa(walk);
		break;
	}
}

static void size_value(struct value *value, unsigned int shift)
{
	value->null = !shift;
	value->number = 1ULL << shift;
}

static void string_value(struct value *value, const char *string)
{
	value->null = !string;
	value->string = string;
}

static void row_value(struct value *value, int column, const void *record)
{
	const struct vminspect_guest_walk *walk = record;
	unsigned int nested = guest_nested_shift(walk);

	switch (column) {
	case COL_STATE:
		string_value(value, guest_has_place(walk) ? entry_state_name(&walk->entry) : NULL);
		break;
	case COL_MISSING:
		string_value(value, vminspect_missing_name(walk->missing));
		break;
	case COL_LEVEL:
		string_value(value, vminspect_guest_level_name(walk->missing_level));
		break;
	case COL_GUEST_PAGE:
		size_value(value, walk->page_shift);
		break;
	case COL_HOST_PAGE:
		size_value(value, nested ? nested : guest_host_shift(walk));
		break;
	case COL_SWAP:
		entry_swap(value, &walk->entry);
		break;
	case COL_DEVICE:
		entry_device(value, &walk->entry);
		break;
	case COL_ACCESSES:
		value->number = vminspect_guest_accesses(walk);
		value->null = !value->number;
		break;
	default:
		address_value(value, column, walk);
	}
}

const struct view guest_translation_view = {
	.name = "translations",
	.when = "of translate",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = row_value,
};

static int print(const struct vmm *vmm, const struct output *out,
		 const struct guest_options *options, struct table *table, int argc, char **argv)
{
	json_t *head = target_json(&vmm->target), *tail = json_object();
	struct guest_options pinned = *options;
	struct vminspect_guest_vcpu vcpu;
	struct vminspect_guest_walk walk;
	__u64 address;
	int ret;

	ret = guest_pin(vmm, &pinned, &vcpu, head);
	if (ret)
		ret = vmm_fail(vmm, ret, options->vcpu);
	table_begin(table, head, vmm->target.hidden);
	for (int i = 0; i < argc && !ret; i++) {
		ret = guest_parse_address(argv[i], &address);
		if (!ret)
			ret = guest_do_walk(vmm, &pinned, address, &walk);
		if (!ret)
			table_row(table, &walk);
		progress("%d addresses", i);
	}
	if (ret)
		json_put(tail, "truncated", json_true());
	table_end(table, tail);
	if (!ret)
		target_note_hidden(&vmm->target, out);
	return ret;
}

int guest_translate(const struct output *out, const struct guest_options *options, int argc,
		    char **argv)
{
	struct table *table;
	struct vmm vmm;
	__u64 address;
	int ret;

	if (argc < 2)
		return misuse("translate takes a PID and addresses: see 'vminspect guest --help'");
	ret = target_check_name(argv[0]);
	for (int i = 1; i < argc && !ret; i++)
		ret = guest_parse_address(argv[i], &address);
	if (ret)
		return ret;
	table = table_new(&guest_translation_view, out);
	if (!table)
		return EXIT_USAGE;
	ret = vmm_open(&vmm, argv[0], options->vm_fd);
	if (!ret) {
		ret = print(&vmm, out, options, table, argc - 1, argv + 1);
		vmm_close(&vmm);
	}
	table_free(table);
	return ret;
}
