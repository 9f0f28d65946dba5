// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest walk: one translation through both tables, entry by entry.
 */
#include <stdio.h>

#include "area.h"
#include "entry.h"
#include "error.h"
#include "flags.h"
#include "guest.h"
#include "json.h"
#include "printable.h"

enum {
	COL_LEVEL, COL_INDEX, COL_ENTRY_GPA, COL_ENTRY_HVA, COL_ENTRY_PA, COL_RAW, COL_FLAGS,
	COL_LEAF,
};

/* Rows are the guest's entries; the nested ones stand in JSON and in the picture. */
static const struct column columns[] = {
	[COL_LEVEL] = { "LEVEL", 0, COLUMN_STRING, IN_BOTH, "PML5, PML4, PDPT, PD or PT" },
	[COL_INDEX] = { "INDEX", 0, COLUMN_COUNT, IN_BOTH, "position in the table" },
	[COL_ENTRY_GPA] = { "ENTRY_GPA", 0, COLUMN_ADDRESS, IN_BOTH,
		"guest-physical address of the entry" },
	[COL_ENTRY_HVA] = { "ENTRY_HVA", 0, COLUMN_ADDRESS, IN_BOTH, "host-virtual" },
	[COL_ENTRY_PA] = { "ENTRY_PA", 0, COLUMN_ADDRESS, IN_BOTH | HIDEABLE, "physical" },
	[COL_RAW] = { "RAW", 0, COLUMN_ADDRESS, IN_BOTH, "the entry" },
	[COL_FLAGS] = { "FLAGS", 0, COLUMN_FLAGS, IN_BOTH, "its flags" },
	[COL_LEAF] = { "LEAF", 0, COLUMN_BOOLEAN, IN_BOTH, "whether it ends the walk" },
};

static void level_value(struct value *value, int column, const void *record)
{
	const struct vminspect_guest_level *level = record;

	switch (column) {
	case COL_LEVEL:
		value->string = vminspect_guest_level_name(level->level);
		break;
	case COL_INDEX:
		value->number = level->index;
		break;
	case COL_ENTRY_GPA:
		value->number = level->entry_gpa;
		break;
	case COL_ENTRY_HVA:
		value->null = !level->entry_hva;
		value->number = level->entry_hva;
		break;
	case COL_ENTRY_PA:
		value->null = !level->entry_pa;
		value->number = level->entry_pa;
		break;
	case COL_RAW:
		/* without memory behind it nothing was read */
		value->null = !level->flags && !level->leaf;
		value->number = level->raw;
		break;
	case COL_FLAGS:
		value->number = level->flags;
		break;
	case COL_LEAF:
		value->number = level->leaf;
		break;
	}
}

const struct view guest_level_view = {
	.name = "guest_levels",
	.when = "of walk",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = level_value,
};

static json_t *nested_json(const struct vminspect_walk_level *levels, unsigned int nr)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < nr; i++) {
		json_t *level = json_object();

		json_put(level, "level", json_string(vminspect_guest_level_name(levels[i].level)));
		json_put(level, "index", json_integer(levels[i].index));
		json_put(level, "entry_pa", json_address(levels[i].entry_pa));
		json_put(level, "raw", json_address(levels[i].raw));
		json_put(level, "flags", json_flags(levels[i].flags));
		json_append(list, level);
	}
	return list;
}

static json_t *size_json(unsigned int shift)
{
	return shift ? json_integer(1LL << shift) : json_null();
}

/* What the TLB can hold: the smaller of both. */
static unsigned int effective_shift(const struct vminspect_guest_walk *walk)
{
	unsigned int guest = walk->page_shift, nested = guest_nested_shift(walk);

	if (!guest || !nested)
		return nested;
	return guest < nested ? guest : nested;
}

static unsigned int native_accesses(const struct vminspect_guest_walk *walk)
{
	return walk->nr_levels + !walk->missing;
}

static json_t *string_json(const char *string)
{
	return string ? json_string(string) : json_null();
}

static void put_end(json_t *document, const struct vminspect_guest_walk *walk)
{
	bool has_gpa = guest_has_gpa(walk);
	bool has_hva = has_gpa && guest_has_place(walk);
	bool swapped = guest_has_place(walk) && walk->entry.state == VMINSPECT_STATE_SWAPPED;
	unsigned int accesses = vminspect_guest_accesses(walk);

	json_put(document, "gpa", json_if(has_gpa, json_address(walk->gpa)));
	json_put(document, "nested", json_if(!walk->hidden,
					     nested_json(walk->nested, walk->nr_nested)));
	json_put(document, "hva", json_if(has_hva, json_address(walk->hva)));
	json_put(document, "pa", json_if(!walk->missing && !walk->hidden,
					 json_address(guest_pa(walk))));
	json_put(document, "state",
		 guest_has_place(walk) ? json_string(entry_state_name(&walk->entry)) : json_null());
	json_put(document, "missing", string_json(vminspect_missing_name(walk->missing)));
	json_put(document, "missing_level",
		 string_json(vminspect_guest_level_name(walk->missing_level)));
	json_put(document, "fault", string_json(guest_fault_name(walk->fault)));
	json_put(document, "swap",
		 json_if(swapped && !walk->hidden, entry_swap_json(&walk->entry)));
	json_put(document, "guest_page", size_json(walk->page_shift));
	json_put(document, "nested_page", size_json(guest_nested_shift(walk)));
	json_put(document, "host_page", size_json(guest_host_shift(walk)));
	json_put(document, "effective_page", size_json(effective_shift(walk)));
	json_put(document, "accesses", json_if(accesses, json_integer(accesses)));
	json_put(document, "native_accesses", json_integer(native_accesses(walk)));
}

static void print_json(const struct vmm *vmm, const struct table *table,
		       const struct vminspect_guest_walk *walk)
{
	static const char * const hidden[] = {
		"pa", "entry_pa", "nested", "nested_page", "effective_page", "swap", "accesses",
	};
	json_t *document = target_json(&vmm->target), *levels = json_array();
	bool is_gva = !(walk->flags & VMINSPECT_GUEST_GPA);

	json_put(document, "gva", json_if(is_gva, json_address(walk->address)));
	json_put(document, "vcpu", json_integer(walk->vcpu));
	json_put(document, "cr3", json_if(is_gva, json_address(walk->cr3)));
	json_put(document, "registers", string_json(vminspect_registers_name(walk->registers)));
	json_put(document, "mode", json_if(is_gva, string_json(vminspect_mode_name(walk->mode))));
	json_put(document, "paging", string_json(vminspect_nested_name(walk->paging)));
	for (unsigned int i = 0; i < walk->nr_levels; i++) {
		const struct vminspect_guest_level *level = &walk->levels[i];
		json_t *json = table_row_json(table, level);

		json_put(json, "nested", json_if(!walk->hidden,
						 nested_json(level->nested, level->nr_nested)));
		json_append(levels, json);
	}
	json_put(document, "guest_levels", levels);
	put_end(document, walk);
	for (size_t i = 0; vmm->target.hidden && i < ARRAY_SIZE(hidden); i++)
		json_put_hidden(document, hidden[i], vmm->target.hidden);
	json_print(document);
}

static void print_flags(__u32 flags)
{
	char text[FLAGS_TEXT];

	printf("  %s\n", flags ? flags_text(text, flags, ' ') : "not present");
}

static void print_nested(const struct vminspect_walk_level *levels, unsigned int nr, int indent)
{
	for (unsigned int i = 0; i < nr; i++) {
		printf("%*s| nested %s [%3u] at 0x%llx = 0x%llx", indent, "",
		       vminspect_guest_level_name(levels[i].level), levels[i].index,
		       levels[i].entry_pa, levels[i].raw);
		print_flags(levels[i].flags);
	}
}

static void print_level(const struct vminspect_guest_walk *walk, unsigned int i)
{
	const struct vminspect_guest_level *level = &walk->levels[i];
	int indent = 2 * i;

	print_nested(level->nested, level->nr_nested, indent);
	printf("%*s%s [%3u] at guest-physical 0x%llx", indent, "",
	       vminspect_guest_level_name(level->level), level->index, level->entry_gpa);
	if (level->entry_hva)
		printf(", host-virtual 0x%llx", level->entry_hva);
	if (level->entry_pa)
		printf(", at 0x%llx", level->entry_pa);
	if (walk->missing_level == level->level) {
		putchar('\n');
		return;
	}
	printf(" = 0x%llx", level->raw);
	print_flags(level->flags);
}

static void print_absent(const struct vminspect_guest_walk *walk)
{
	const char *path = area_path(walk->entry.swap_type);

	if (walk->missing_level)
		printf("the table of that entry is not in the host's memory: %s",
		       entry_state_name(&walk->entry));
	else
		printf("not in the host's memory: %s", entry_state_name(&walk->entry));
	if (walk->entry.state == VMINSPECT_STATE_SWAPPED && !walk->hidden) {
		printf(" out to ");
		print_printable(stdout, path ? path : "an area", "");
		printf(" (number %u), offset %llu", walk->entry.swap_type, walk->entry.frame);
	}
	putchar('\n');
}

static void print_missing(const struct vminspect_guest_walk *walk)
{
	static const char * const faults[] = {
		[VMINSPECT_FAULT_NOT_PRESENT] = "the entry is not present",
		[VMINSPECT_FAULT_RESERVED] = "a reserved bit is set",
		[VMINSPECT_FAULT_NOT_CANONICAL] = "no address of this paging mode",
	};

	switch (walk->missing) {
	case VMINSPECT_MISSING_GUEST:
		printf("not mapped by the guest: %s\n",
		       walk->fault < ARRAY_SIZE(faults) ? faults[walk->fault] : "?");
		break;
	case VMINSPECT_MISSING_SLOT:
		printf("%s in no memory slot: a device (MMIO), or nothing\n",
		       walk->missing_level ? "that table is" : "that address is");
		break;
	case VMINSPECT_MISSING_HOST:
		print_absent(walk);
		break;
	}
}

static void print_sizes(const struct vminspect_guest_walk *walk)
{
	unsigned int nested = guest_nested_shift(walk);

	if (walk->page_shift)
		printf("page of the guest: %llu bytes; ", 1ULL << walk->page_shift);
	if (nested)
		printf("of the nested table: %llu; the TLB can hold %llu\n", 1ULL << nested,
		       1ULL << effective_shift(walk));
	else if (walk->nr_nested)
		printf("the nested table has no entry yet: the guest has not touched it since\n");
	else
		printf("the nested table is %s\n", walk->hidden ? "hidden" : "not known");
}

static void print_costs(const struct vminspect_guest_walk *walk)
{
	unsigned int nr = vminspect_guest_accesses(walk);

	if (nr)
		printf("%u memory accesses when the TLB misses; without a hypervisor %u\n", nr,
		       native_accesses(walk));
}

static void print_picture(const struct vmm *vmm, const struct vminspect_guest_walk *walk)
{
	bool has_gpa = guest_has_gpa(walk);
	const char *paging = vminspect_nested_name(walk->paging);

	printf("0x%llx of the guest of %s: ", walk->address, vmm->target.name);
	if (walk->flags & VMINSPECT_GUEST_GPA)
		printf("guest-physical");
	else
		printf("vCPU %u, paging %s, CR3 0x%llx (registers: %s)", walk->vcpu,
		       vminspect_mode_name(walk->mode), walk->cr3,
		       vminspect_registers_name(walk->registers));
	printf(", below it %s\n", paging ? paging : "nothing yet");

	for (unsigned int i = 0; i < walk->nr_levels; i++)
		print_level(walk, i);
	if (has_gpa)
		printf("guest-physical 0x%llx\n", walk->gpa);
	print_nested(walk->nested, walk->nr_nested, 0);
	if (has_gpa && guest_has_place(walk))
		printf("host-virtual 0x%llx\n", walk->hva);
	if (walk->missing) {
		print_missing(walk);
	} else {
		if (!walk->hidden)
			printf("physical address 0x%llx\n", guest_pa(walk));
		print_sizes(walk);
	}
	print_costs(walk);
}

static int print(const struct vmm *vmm, const struct output *out,
		 const struct guest_options *options, struct table *table, __u64 address)
{
	struct vminspect_guest_walk walk;
	int ret;

	ret = guest_do_walk(vmm, options, address, &walk);
	if (ret)
		return ret;
	if (out->json) {
		print_json(vmm, table, &walk);
	} else if (out->raw || out->noheadings || out->columns) {
		table_begin(table, json_object(), vmm->target.hidden);
		for (unsigned int i = 0; i < walk.nr_levels; i++)
			table_row(table, &walk.levels[i]);
		table_end(table, json_object());
	} else {
		print_picture(vmm, &walk);
	}
	target_note_hidden(&vmm->target, out);
	return 0;
}

int guest_walk(const struct output *out, const struct guest_options *options, int argc,
	       char **argv)
{
	struct table *table;
	struct vmm vmm;
	__u64 address;
	int ret;

	if (argc != 2)
		return misuse("walk takes a PID and an address: see 'vminspect guest --help'");
	ret = target_check_name(argv[0]);
	if (!ret)
		ret = guest_parse_address(argv[1], &address);
	if (ret)
		return ret;
	table = table_new(&guest_level_view, out);
	if (!table)
		return EXIT_USAGE;
	ret = vmm_open(&vmm, argv[0], options->vm_fd);
	if (!ret) {
		ret = print(&vmm, out, options, table, address);
		vmm_close(&vmm);
	}
	table_free(table);
	return ret;
}
