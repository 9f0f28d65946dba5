// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect maps: the mappings of a process and what of them is where; or the runs of
 * pages that they consist of.
 */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "command.h"
#include "entry.h"
#include "error.h"
#include "flags.h"
#include "json.h"
#include "piece.h"
#include "progress.h"
#include "tally.h"
#include "target.h"
#include "vminspect.h"

enum {
	MAP_START, MAP_END, MAP_SIZE, MAP_PRESENT, MAP_HUGE, MAP_SWAPPED, MAP_ZERO,
	MAP_UNPOPULATED, MAP_OTHER, MAP_EXTENTS, MAP_NAME,
};

static const struct column map_columns[] = {
	[MAP_START] = { "START", 14, COLUMN_ADDRESS, IN_BOTH | OMITTED, "first address" },
	[MAP_END] = { "END", 14, COLUMN_ADDRESS, IN_JSON | OMITTED, "address after the last one" },
	[MAP_SIZE] = { "SIZE", 6, COLUMN_SIZE, IN_BOTH,
		"all of it: PRESENT + SWAPPED + ZERO + UNPOPULATED + OTHER" },
	[MAP_PRESENT] = { "PRESENT", 6, COLUMN_SIZE, IN_BOTH,
		"in memory, the page of zeroes not counted" },
	[MAP_HUGE] = { "HUGE", 6, COLUMN_SIZE, IN_BOTH,
		"of PRESENT: by huge entries (THP and hugetlb)" },
	[MAP_SWAPPED] = { "SWAPPED", 6, COLUMN_SIZE, IN_BOTH,
		"in a swap area, shared memory included" },
	[MAP_ZERO] = { "ZERO", 6, COLUMN_SIZE, IN_BOTH,
		"read but never written: the shared page of zeroes" },
	[MAP_UNPOPULATED] = { "UNPOPULATED", 6, COLUMN_SIZE, IN_BOTH,
		"no entry: never touched, discarded, or clean pages dropped" },
	[MAP_OTHER] = { "OTHER", 6, COLUMN_SIZE, IN_JSON,
		"migrating, poisoned, device, marker or unknown" },
	[MAP_EXTENTS] = { "EXTENTS", 6, COLUMN_COUNT, IN_BOTH | HIDEABLE,
		"runs in physical memory that PRESENT consists of" },
	[MAP_NAME] = { "NAME", 0, COLUMN_STRING, IN_BOTH,
		"file or [name]; ? if the mappings changed meanwhile" },
};

enum {
	EXT_START, EXT_END, EXT_SIZE, EXT_PAGE, EXT_STATE, EXT_PFN, EXT_SWAP, EXT_DEVICE,
	EXT_BACKING, EXT_RAW, EXT_NODE, EXT_FLAGS, EXT_MIXED, EXT_MAPPING,
};

static const struct column extent_columns[] = {
	[EXT_START] = { "START", 14, COLUMN_ADDRESS, IN_BOTH, "first address" },
	[EXT_END] = { "END", 14, COLUMN_ADDRESS, IN_BOTH, "address after the last one" },
	[EXT_SIZE] = { "SIZE", 6, COLUMN_SIZE, 0, "length" },
	[EXT_PAGE] = { "PAGE", 4, COLUMN_SIZE, IN_BOTH, "size of each page" },
	[EXT_STATE] = { "STATE", 7, COLUMN_STRING, IN_BOTH, "state of all pages" },
	[EXT_PFN] = { "PFN", 8, COLUMN_FRAME, IN_BOTH | HIDEABLE,
		"frame of the page at START; the rest follow" },
	[EXT_SWAP] = { "SWAP", 8, COLUMN_SWAP, IN_BOTH | HIDEABLE,
		"number of the swap area and offset in pages; the rest follow" },
	[EXT_DEVICE] = { "DEVICE", 0, COLUMN_STRING, IN_TABLE | HIDEABLE,
		"file or device of the swap area" },
	[EXT_BACKING] = { "BACKING", 0, COLUMN_STRING, 0,
		"device, or cache: in memory as well" },
	[EXT_RAW] = { "RAW", 18, COLUMN_ADDRESS, IN_JSON | HIDEABLE | OMITTED,
		"the entry, if its state is unknown" },
	[EXT_NODE] = { "NODE", 4, COLUMN_COUNT, 0, "NUMA node; runs are split by it" },
	[EXT_FLAGS] = { "FLAGS", 20, COLUMN_FLAGS, IN_BOTH, "flags that all pages have" },
	[EXT_MIXED] = { "MIXED", 5, COLUMN_FLAGS, IN_BOTH, "flags that some pages have" },
	[EXT_MAPPING] = { "MAPPING", 0, COLUMN_STRING, IN_BOTH,
		"file or [name]; ? if the mappings changed meanwhile" },
};

/* A mapping, or a run between mappings that was not listed; or the total. */
struct map_row {
	__u64 start;
	__u64 end;
	char *name;		/* NULL: not listed */
	struct tally tally;
};

struct extent_row {
	struct piece piece;
	const char *mapping;	/* its name, or what stands for it */
};

enum { OPTION_ONLY = 256, OPTION_SPLIT };

static const struct cmd_option options[] = {
	{ 'e', "extents", NULL, "runs of pages that are alike and follow one another" },
	{ 'p', "pages", NULL, "every page" },
	{ 'R', "range", "LO-HI", "this part only; or a mapping: '[heap]', libc.so.6" },
	{ OPTION_ONLY, "only", "LIST", "pages with any of these states or flags" },
	{ OPTION_SPLIT, "split", "LIST", "runs end where young, dirty, soft_dirty change" },
	{ 'a', "all", NULL, "with -e and -p: also states none and unmapped" },
};

/* What no lasting property of a page is: extents say it of all or of some pages. */
#define FLEETING	(VMINSPECT_PAGE_YOUNG | VMINSPECT_PAGE_DIRTY | VMINSPECT_PAGE_SOFT_DIRTY)

static struct {
	bool extents;
	bool pages;
	bool all;
	const char *range;
	__u64 only;
	__u64 split;
} chosen;

static int maps_option(int letter, const char *arg)
{
	switch (letter) {
	case 'e':
		chosen.extents = true;
		return 0;
	case 'p':
		chosen.pages = true;
		return 0;
	case 'a':
		chosen.all = true;
		return 0;
	case 'R':
		chosen.range = arg;
		return 0;
	case OPTION_ONLY:
		return flags_parse_list("--only", arg, VMINSPECT_PAGE_FLAGS | VMINSPECT_CAT_STATES,
					&chosen.only);
	default:
		return flags_parse_list("--split", arg, FLEETING, &chosen.split);
	}
}

static void map_value(struct value *value, int column, const void *record)
{
	const struct map_row *row = record;
	const __u64 numbers[] = {
		[MAP_START] = row->start,
		[MAP_END] = row->end,
		[MAP_SIZE] = row->tally.size,
		[MAP_PRESENT] = row->tally.present,
		[MAP_HUGE] = row->tally.huge,
		[MAP_SWAPPED] = row->tally.swapped,
		[MAP_ZERO] = row->tally.zero,
		[MAP_UNPOPULATED] = row->tally.unpopulated,
		[MAP_OTHER] = row->tally.other,
		[MAP_EXTENTS] = row->tally.extents,
	};

	if (column == MAP_NAME) {
		value->null = !row->name;
		value->string = row->name ? row->name : "?";
	} else {
		/* the total is of no place */
		value->null = !row->end && column <= MAP_END;
		value->number = numbers[column];
	}
}

static const struct view map_view = {
	.name = "mappings",
	.columns = map_columns,
	.nr_columns = ARRAY_SIZE(map_columns),
	.value = map_value,
};

static void extent_value(struct value *value, int column, const void *record)
{
	const struct extent_row *row = record;
	const struct vminspect_extent *extent = &row->piece.extent;
	struct vminspect_entry entry = entry_of_extent(extent);

	switch (column) {
	case EXT_START:
		value->number = extent->start;
		break;
	case EXT_END:
		value->number = extent->end;
		break;
	case EXT_SIZE:
		value->number = extent->end - extent->start;
		break;
	case EXT_PAGE:
		entry_page(value, &entry);
		break;
	case EXT_STATE:
		entry_state(value, &entry);
		break;
	case EXT_PFN:
		entry_pfn(value, &entry);
		break;
	case EXT_SWAP:
		entry_swap(value, &entry);
		break;
	case EXT_DEVICE:
		entry_device(value, &entry);
		break;
	case EXT_BACKING:
		entry_backing(value, &entry);
		break;
	case EXT_RAW:
		entry_raw(value, &entry);
		break;
	case EXT_NODE:
		entry_node(value, &entry);
		break;
	case EXT_FLAGS:
		value->number = extent->flags;
		break;
	case EXT_MIXED:
		value->number = extent->mixed;
		break;
	case EXT_MAPPING:
		value->null = !row->piece.mapping;
		value->string = row->mapping;
		break;
	}
}

static const struct view extent_view = {
	.name = "extents",
	.when = "with --extents or --pages",
	.columns = extent_columns,
	.nr_columns = ARRAY_SIZE(extent_columns),
	.value = extent_value,
};

/* Which pages the kernel is to report. */
static void select_pages(struct vminspect_scan *scan)
{
	__u64 unwanted = VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED);

	scan->category_anyof_mask = chosen.only;
	if (chosen.only || chosen.all)
		return;
	if (chosen.extents)
		unwanted |= VMINSPECT_CAT(VMINSPECT_STATE_NONE);
	scan->category_inverted = unwanted;
	scan->category_mask = unwanted;
}

/* No more than is needed, so that runs are long. */
static struct vminspect_scan prepare_scan(const struct table *table)
{
	struct vminspect_scan scan = {};

	scan.split_mask = TALLY_FLAGS;
	scan.return_mask = TALLY_FLAGS | VMINSPECT_RETURN_FRAME;
	if (chosen.extents) {
		scan.split_mask = (VMINSPECT_PAGE_FLAGS & ~FLEETING) | chosen.split;
		scan.return_mask |= VMINSPECT_PAGE_FLAGS;
		if (table_shows(table, EXT_NODE))
			scan.return_mask |= VMINSPECT_RETURN_NODE;
	}
	if (chosen.pages) {
		scan.flags = VMINSPECT_SCAN_PACKED;
		scan.split_mask = 0;
	}
	select_pages(&scan);
	return scan;
}

static int print_extents(const struct target *target, const struct output *out,
			 struct table *table, struct pieces *pieces)
{
	struct extent_row row;
	__u64 resume, nr = 0;
	int ret;

	while ((ret = pieces_next(pieces, &row.piece)) > 0) {
		row.mapping = "";
		if (row.piece.mapping)
			row.mapping = row.piece.mapping->name;
		else if (row.piece.extent.state != VMINSPECT_STATE_UNMAPPED)
			row.mapping = "?";
		table_row(table, &row);
		progress("%s: 0x%llx, %llu extents", target->name,
			 row.piece.extent.end, ++nr);
	}
	resume = vminspect_extents_resume(pieces->extents);
	table_end(table, target_end_json(pieces->changed, ret, resume));
	return target_end(target, out, pieces->changed, ret, resume);
}

static bool same_row(const struct map_row *row, const struct piece *piece)
{
	if (piece->mapping)
		return row->name && row->end >= piece->extent.end;
	return row->end && !row->name && row->end == piece->extent.start;
}

static void start_row(struct map_row *row, const struct pieces *pieces, const struct piece *piece)
{
	const struct mapping *mapping = piece->mapping;

	*row = (struct map_row) { .start = piece->extent.start };
	if (!mapping)
		return;

	row->start = mapping->start > pieces->start ? mapping->start : pieces->start;
	row->end = mapping->end < pieces->end ? mapping->end : pieces->end;
	row->name = strdup(mapping->name);
	if (!row->name)
		die_of_memory();
}

static void finish_row(struct map_row *row, struct table *table, struct map_row *total)
{
	if (!row->end)
		return;
	/* the length of the mapping, even if not all of it was selected */
	row->tally.size = row->end - row->start;
	table_row(table, row);
	tally_merge(&total->tally, &row->tally);
	free(row->name);
	*row = (struct map_row) {};
}

/* As the rows are, but of no place and without a name. */
static json_t *total_json(const struct table *table, const struct map_row *total)
{
	json_t *object = table_row_json(table, total);

	json_object_del(object, "name");
	return object;
}

static int print_mappings(const struct target *target, const struct output *out,
			  struct table *table, struct pieces *pieces)
{
	struct map_row total = { .name = "total" };
	struct map_row row = {};
	struct piece piece;
	__u64 resume, nr = 0;
	json_t *tail;
	int ret;

	while ((ret = pieces_next(pieces, &piece)) > 0) {
		if (piece.extent.state == VMINSPECT_STATE_UNMAPPED)
			continue;
		if (!same_row(&row, &piece)) {
			finish_row(&row, table, &total);
			start_row(&row, pieces, &piece);
		}
		if (!row.name)
			row.end = piece.extent.end;
		tally_add(&row.tally, &piece.extent);
		progress("%s: 0x%llx, %llu extents", target->name, piece.extent.end, ++nr);
	}

	resume = vminspect_extents_resume(pieces->extents);
	if (ret && row.end && row.start < resume) {
		/* half a mapping is not a row: it has to be read again */
		resume = row.start;
		free(row.name);
	} else {
		finish_row(&row, table, &total);
	}

	if (!out->json && !out->raw)
		table_row(table, &total);
	tail = target_end_json(pieces->changed, ret, resume);
	if (out->json)
		json_put(tail, "total", total_json(table, &total));
	table_end(table, tail);
	return target_end(target, out, pieces->changed, ret, resume);
}

static int print(const struct target *target, const struct output *out, struct table *table,
		 const struct vminspect_scan *scan)
{
	json_t *head = target_json(target);
	struct pieces pieces;
	int ret;

	/* every mapping is told of in full unless pages were left out */
	ret = pieces_start(&pieces, target, scan,
			   !chosen.only && (chosen.all || !chosen.extents));
	if (ret) {
		json_decref(head);
		return target_fail(target, ret);
	}

	json_put(head, "page_size", json_integer(target->info.page_size));
	json_put(head, "levels", json_integer(target->info.levels));
	table_begin(table, head, target->hidden);
	ret = chosen.extents ? print_extents(target, out, table, &pieces) :
			       print_mappings(target, out, table, &pieces);
	pieces_stop(&pieces);
	return ret;
}

static int open_and_print(const char *name, const struct range *range, const struct output *out,
			  struct table *table)
{
	struct vminspect_scan scan = prepare_scan(table);
	struct target target;
	__u64 start, end;
	int ret;

	ret = target_open(&target, name);
	if (ret)
		return ret;

	start = 0;
	end = target.info.va_end;
	if (chosen.range)
		ret = range_resolve(range, &target, &start, &end);
	if (!ret) {
		scan.start = start;
		scan.end = end;
		ret = print(&target, out, table, &scan);
	}
	target_close(&target);
	return ret;
}

/* What is wrong with the command line. Return: 0 or EXIT_USAGE, after a message. */
static int check_usage(int argc, char **argv)
{
	if (argc != 1)
		return misuse("one PID is needed: see --help");
	if (chosen.extents && chosen.pages)
		return misuse("--extents and --pages exclude each other");
	chosen.extents |= chosen.pages;
	if (!chosen.extents && (chosen.all || chosen.split))
		return misuse("--all and --split need --extents or --pages");
	return target_check_name(argv[0]);
}

static int maps_run(const struct output *out, int argc, char **argv)
{
	struct table *table;
	struct range range;
	int ret;

	ret = check_usage(argc, argv);
	if (!ret && chosen.range)
		ret = range_parse(chosen.range, &range);
	if (ret)
		return ret;
	table = table_new(chosen.extents ? &extent_view : &map_view, out);
	if (!table)
		return EXIT_USAGE;

	ret = open_and_print(argv[0], &range, out, table);
	table_free(table);
	return ret;
}

const struct command cmd_maps = {
	.name = "maps",
	.args = "PID",
	.summary = "mappings and how much of each is where; or extents",
	.notes = "States: none present swapped migrating poisoned device marker unknown unmapped\n"
		 "Flags: write exec user global young dirty soft_dirty uffd_wp protnone special\n"
		 "  zero anon file shared ksm huge hugetlb exclusive mapped_once swapcache shmem\n"
		 "  numa_hint poison guard",
	.options = options,
	.nr_options = ARRAY_SIZE(options),
	.views = (const struct view *[]) { &map_view, &extent_view },
	.nr_views = 2,
	.option = maps_option,
	.run = maps_run,
};
