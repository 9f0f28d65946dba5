// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect walk: one translation, level by level.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "area.h"
#include "command.h"
#include "entry.h"
#include "error.h"
#include "flags.h"
#include "json.h"
#include "mapping.h"
#include "printable.h"
#include "target.h"
#include "vminspect.h"

enum { COL_LEVEL, COL_INDEX, COL_ENTRY_PA, COL_RAW, COL_FLAGS, COL_LEAF };

static const struct column columns[] = {
	[COL_LEVEL] = { "LEVEL", 0, COLUMN_STRING, IN_BOTH, "PGD, P4D, PUD, PMD or PTE" },
	[COL_INDEX] = { "INDEX", 0, COLUMN_COUNT, IN_BOTH, "position in the table, 0 to 511" },
	[COL_ENTRY_PA] = { "ENTRY_PA", 0, COLUMN_ADDRESS, IN_BOTH | HIDEABLE,
		"physical address of the entry" },
	[COL_RAW] = { "RAW", 0, COLUMN_ADDRESS, IN_BOTH | HIDEABLE, "the entry" },
	[COL_FLAGS] = { "FLAGS", 0, COLUMN_FLAGS, IN_BOTH, "its flags" },
	[COL_LEAF] = { "LEAF", 0, COLUMN_BOOLEAN, IN_BOTH, "whether it ends the walk" },
};

static const char *level_name(const struct vminspect_walk_level *level)
{
	const char *name = vminspect_level_name(level->level);

	return name ? name : "?";
}

static void level_value(struct value *value, int column, const void *record)
{
	const struct vminspect_walk_level *level = record;

	switch (column) {
	case COL_LEVEL:
		value->string = level_name(level);
		break;
	case COL_INDEX:
		value->number = level->index;
		break;
	case COL_ENTRY_PA:
		value->number = level->entry_pa;
		break;
	case COL_RAW:
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

static const struct view level_view = {
	.name = "levels",
	.when = "of --raw, --output and --json",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = level_value,
};

struct result {
	struct vminspect_walk walk;
	char *mapping;		/* its name; NULL: none is listed */
};

/* The data is read too if there is any; the caches inside the processor may save some. */
static unsigned int nr_accesses(const struct vminspect_walk *walk)
{
	return walk->nr_levels + (walk->entry.state == VMINSPECT_STATE_PRESENT);
}

static json_t *shown(const struct target *target, bool exists, json_t *json)
{
	if (exists && !target->hidden)
		return json;
	json_decref(json);
	return json_null();
}

static json_t *head_json(const struct target *target, const struct vminspect_walk *walk)
{
	static const char * const hidden[] = { "root", "pa", "swap" };
	json_t *head = target_json(target);

	json_put(head, "va", json_address(walk->va));
	json_put(head, "root", shown(target, walk->nr_levels, json_address(walk->root)));
	for (size_t i = 0; target->hidden && i < ARRAY_SIZE(hidden); i++)
		json_put_hidden(head, hidden[i], target->hidden);
	return head;
}

static json_t *tail_json(const struct target *target, const struct result *result)
{
	const struct vminspect_entry *entry = &result->walk.entry;
	bool present = entry->state == VMINSPECT_STATE_PRESENT;
	bool swapped = entry->state == VMINSPECT_STATE_SWAPPED;
	__u64 pa = entry->frame << 12 | (result->walk.va & 0xfff);
	json_t *tail = json_object();

	json_put(tail, "state", json_string(entry_state_name(entry)));
	json_put(tail, "page", entry->state == VMINSPECT_STATE_UNMAPPED ? json_null() :
		 json_integer(1LL << entry->page_shift));
	json_put(tail, "pa", shown(target, present, json_address(pa)));
	json_put(tail, "pfn", shown(target, entry_has_frame(entry), json_integer(entry->frame)));
	json_put(tail, "swap", shown(target, swapped, entry_swap_json(entry)));
	json_put(tail, "flags", json_flags(entry->flags));
	json_put(tail, "mapping", result->mapping ? json_text(result->mapping) : json_null());
	json_put(tail, "accesses", json_integer(nr_accesses(&result->walk)));
	return tail;
}

static void print_rows(const struct target *target, struct table *table,
		       const struct result *result)
{
	table_begin(table, head_json(target, &result->walk), target->hidden);
	for (unsigned int i = 0; i < result->walk.nr_levels; i++)
		table_row(table, &result->walk.levels[i]);
	table_end(table, tail_json(target, result));
}

static void print_title(const struct target *target, const struct result *result)
{
	const struct vminspect_walk *walk = &result->walk;
	const char *name = result->mapping;

	if (!name)
		name = walk->entry.state == VMINSPECT_STATE_UNMAPPED ? "no mapping" : "?";
	printf("0x%llx in ", walk->va);
	print_printable(stdout, *name ? name : "anonymous memory", "");
	printf(": %u-level paging", target->info.levels);
	if (walk->nr_levels && target->hidden)
		printf(", root hidden");
	else if (walk->nr_levels)
		printf(", root 0x%llx", walk->root);
	putchar('\n');
}

static void print_level(const struct target *target, const struct vminspect_walk *walk,
			unsigned int i)
{
	const struct vminspect_walk_level *level = &walk->levels[i];
	char flags[FLAGS_TEXT];

	printf("%*s%s [%3u] at ", 2 * i, "", level_name(level), level->index);
	if (target->hidden)
		printf("hidden");
	else
		printf("0x%llx = 0x%llx", level->entry_pa,
		       level->raw);

	printf("  %s%s%s", level->flags & VMINSPECT_ENTRY_PRESENT ? "" : "not present",
	       level->flags && !(level->flags & VMINSPECT_ENTRY_PRESENT) ? " " : "",
	       flags_text(flags, level->flags, ' '));
	/* a table is as large as a page and aligned to it */
	if (i + 1 < walk->nr_levels && !target->hidden)
		printf(" -> table 0x%llx", walk->levels[i + 1].entry_pa & ~0xfffULL);
	putchar('\n');
}

static const char *why_trap(const struct vminspect_entry *entry)
{
	if (entry->flags & VMINSPECT_PAGE_NUMA_HINT)
		return "the next access traps, to tell the NUMA balancer where it came from";
	return "every access traps: the mapping is PROT_NONE";
}

static void print_present(const struct target *target, const struct vminspect_walk *walk)
{
	const struct vminspect_entry *entry = &walk->entry;
	__u32 kind = entry->flags & (VMINSPECT_PAGE_FROM_PAGE | VMINSPECT_PAGE_ZERO |
					VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_HUGETLB);
	char flags[FLAGS_TEXT];

	if (target->hidden)
		printf("physical address hidden");
	else
		printf("physical address 0x%llx, frame 0x%llx",
		       entry->frame << 12 | (walk->va & 0xfff), entry->frame);
	printf(", page of %llu bytes%s%s\n", 1ULL << entry->page_shift, kind ? ": " : "",
	       flags_text(flags, kind, ' '));
	if (entry->flags & VMINSPECT_PAGE_PROTNONE)
		printf("%s\n", why_trap(entry));
}

static const char *why_marker(const struct vminspect_entry *entry)
{
	if (entry->flags & VMINSPECT_PAGE_POISON)
		return "a marker stands here (poison): an access gets SIGBUS";
	if (entry->flags & VMINSPECT_PAGE_GUARD)
		return "a marker stands here (guard): an access gets SIGSEGV";
	return "a marker stands here (write-protected by userfaultfd), and no page";
}

/* One sentence for each state without memory that the processor could reach. */
static const char *why_absent(const struct vminspect_entry *entry)
{
	switch (entry->state) {
	case VMINSPECT_STATE_NONE:
		return "never touched, or discarded, or a clean file page that was dropped";
	case VMINSPECT_STATE_SWAPPED:
		return entry->flags & VMINSPECT_PAGE_SHMEM ?
		       "a page of shared memory, swapped out" : "swapped out";
	case VMINSPECT_STATE_MIGRATING:
		return "the page is on its way to another frame, and will be back in a moment";
	case VMINSPECT_STATE_POISONED:
		return "the memory of this page has failed: an access gets SIGBUS";
	case VMINSPECT_STATE_DEVICE:
		return "the page is with a device: an access has to fetch it back";
	case VMINSPECT_STATE_MARKER:
		return why_marker(entry);
	case VMINSPECT_STATE_UNMAPPED:
		return "there is no mapping at this address";
	default:
		return "this version can't decode the entry";
	}
}

static void print_slot(const struct vminspect_entry *entry)
{
	const char *path = area_path(entry->swap_type);

	printf(" to ");
	print_printable(stdout, path ? path : "an area", "");
	printf(" (number %u), offset %llu", entry->swap_type, entry->frame);
	if (entry->flags & VMINSPECT_PAGE_SWAPCACHE)
		printf("; still in memory as well, so bringing it back takes no reading");
}

static void print_absent(const struct target *target, const struct vminspect_entry *entry)
{
	printf("no physical address: %s", why_absent(entry));
	if (entry->state == VMINSPECT_STATE_SWAPPED && target->hidden)
		printf(" (where is hidden)");
	else if (entry->state == VMINSPECT_STATE_SWAPPED)
		print_slot(entry);
	else if (entry->state == VMINSPECT_STATE_UNKNOWN && !target->hidden)
		printf(", 0x%llx", entry->frame);
	putchar('\n');
}

static void print_picture(const struct target *target, const struct result *result)
{
	const struct vminspect_walk *walk = &result->walk;
	bool present = walk->entry.state == VMINSPECT_STATE_PRESENT;
	unsigned int nr = nr_accesses(walk);

	print_title(target, result);
	for (unsigned int i = 0; i < walk->nr_levels; i++)
		print_level(target, walk, i);
	if (present)
		print_present(target, walk);
	else
		print_absent(target, &walk->entry);
	if (nr)
		printf("%u memory access%s when the TLB misses: %u level%s%s\n", nr,
		       nr > 1 ? "es" : "", walk->nr_levels, walk->nr_levels > 1 ? "s" : "",
		       present ? " and the data" : ", then a page fault");
}

static int print(const struct target *target, const struct output *out, struct table *table,
		 __u64 va)
{
	struct result result;
	int ret;

	ret = vminspect_walk(target->device, va, VMINSPECT_PAGE_FLAGS, &result.walk);
	if (ret)
		return target_fail(target, ret);

	result.mapping = mapping_name_at(&target->process, va);
	if (out->json || out->raw || out->noheadings || out->columns)
		print_rows(target, table, &result);
	else
		print_picture(target, &result);
	target_note_hidden(target, out);
	free(result.mapping);
	return 0;
}

static int walk_run(const struct output *out, int argc, char **argv)
{
	struct address address;
	struct target target;
	struct table *table;
	__u64 va;
	int ret;

	if (argc != 2)
		return misuse("a PID and an address are needed: see --help");
	ret = target_check_name(argv[0]);
	if (!ret)
		ret = address_parse("", argv[1], &address);
	if (ret)
		return ret;
	table = table_new(&level_view, out);
	if (!table)
		return EXIT_USAGE;

	ret = target_open(&target, argv[0]);
	if (!ret) {
		ret = address_resolve("", &address, &target, &va);
		if (!ret)
			ret = print(&target, out, table, va);
		target_close(&target);
	}
	table_free(table);
	return ret;
}

const struct command cmd_walk = {
	.name = "walk",
	.args = "PID VA",
	.summary = "one translation, level by level, and what it costs",
	.notes = "VA is a number, 0x7f10c0001234, or a place in a mapping: '[heap]' (quoted for\n"
		 "the shell), '[stack]+0x1000', libc.so.6+0x2000 (an offset in the file).",
	.views = (const struct view *[]) { &level_view },
	.nr_views = 1,
	.run = walk_run,
};
