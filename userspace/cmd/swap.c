// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect swap: the swap areas of the machine; or what of a process lies where in
 * them.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "area.h"
#include "command.h"
#include "error.h"
#include "json.h"
#include "piece.h"
#include "progress.h"
#include "target.h"
#include "vminspect.h"

#define PAGE	4096ULL

enum {
	AREA_TYPE, AREA_PATH, AREA_KIND, AREA_SIZE, AREA_USED, AREA_PRIORITY, AREA_ZSWAP,
	AREA_CACHED, AREA_FREE_RUNS, AREA_LONGEST_FREE,
};

static const struct column area_columns[] = {
	[AREA_TYPE] = { "TYPE", 0, COLUMN_COUNT, IN_BOTH, "its number in swap entries" },
	[AREA_PATH] = { "PATH", 0, COLUMN_STRING, IN_BOTH, "device or file" },
	[AREA_KIND] = { "KIND", 0, COLUMN_STRING, IN_BOTH, "partition, file or zram" },
	[AREA_SIZE] = { "SIZE", 0, COLUMN_SIZE, IN_BOTH, "what it holds" },
	[AREA_USED] = { "USED", 0, COLUMN_SIZE, IN_BOTH, "slots in use" },
	[AREA_PRIORITY] = { "PRIORITY", 0, COLUMN_NUMBER, IN_BOTH, "the highest is filled first" },
	[AREA_ZSWAP] = { "ZSWAP", 0, COLUMN_BOOLEAN, IN_BOTH,
		"whether zswap stands in front: pages stay there at first" },
	[AREA_CACHED] = { "CACHED", 0, COLUMN_SIZE, IN_BOTH | OMITTED,
		"of USED: in memory as well, in the swap cache" },
	[AREA_FREE_RUNS] = { "FREE_RUNS", 0, COLUMN_COUNT, IN_BOTH | OMITTED,
		"pieces that the free space consists of" },
	[AREA_LONGEST_FREE] = { "LONGEST_FREE", 0, COLUMN_SIZE, IN_BOTH | OMITTED,
		"the largest of them" },
};

enum {
	PLACE_START, PLACE_END, PLACE_PAGES, PLACE_BYTES, PLACE_EXTENTS, PLACE_MEAN_RUN,
	PLACE_SHMEM, PLACE_CACHED, PLACE_DEVICE, PLACE_NAME,
};

static const struct column place_columns[] = {
	[PLACE_START] = { "START", 14, COLUMN_ADDRESS, IN_BOTH | OMITTED, "first address" },
	[PLACE_END] = { "END", 14, COLUMN_ADDRESS, IN_JSON | OMITTED,
		"address after the last one" },
	[PLACE_PAGES] = { "PAGES", 7, COLUMN_COUNT, IN_BOTH, "pages of 4096 bytes there" },
	[PLACE_BYTES] = { "BYTES", 6, COLUMN_SIZE, IN_BOTH, "their size" },
	[PLACE_EXTENTS] = { "EXTENTS", 0, COLUMN_COUNT, IN_BOTH | HIDEABLE,
		"runs of slots that they consist of" },
	[PLACE_MEAN_RUN] = { "MEAN_RUN", 0, COLUMN_RATIO, IN_BOTH | HIDEABLE,
		"pages in a run, on average" },
	[PLACE_SHMEM] = { "SHMEM", 6, COLUMN_COUNT, IN_BOTH,
		"of PAGES: of shared memory, which VmSwap does not count" },
	[PLACE_CACHED] = { "CACHED", 6, COLUMN_COUNT, IN_BOTH | OMITTED,
		"of PAGES: in memory as well, in the swap cache" },
	[PLACE_DEVICE] = { "DEVICE", 12, COLUMN_STRING, IN_BOTH | HIDEABLE,
		"file or device of the swap area" },
	[PLACE_NAME] = { "NAME", 0, COLUMN_STRING, IN_BOTH,
		"file or [name]; ? if the mappings changed meanwhile" },
};

struct area_row {
	struct vminspect_swap area;
	const char *path;
	bool zswap;
	bool counted;
};

static void area_value(struct value *value, int column, const void *record)
{
	const struct area_row *row = record;
	const struct vminspect_swap *area = &row->area;

	switch (column) {
	case AREA_TYPE:
		value->number = area->type;
		break;
	case AREA_PATH:
		value->string = row->path;
		break;
	case AREA_KIND:
		value->string = area_kind_name(area);
		break;
	case AREA_SIZE:
		value->number = area->pages * PAGE;
		break;
	case AREA_USED:
		value->number = area->used * PAGE;
		break;
	case AREA_PRIORITY:
		value->number = area->priority;
		break;
	case AREA_ZSWAP:
		value->number = row->zswap;
		break;
	case AREA_CACHED:
		value->null = !row->counted;
		value->number = area->slots_cached * PAGE;
		break;
	case AREA_FREE_RUNS:
		value->null = !row->counted;
		value->number = area->free_runs;
		break;
	case AREA_LONGEST_FREE:
		value->null = !row->counted;
		value->number = area->longest_free * PAGE;
		break;
	}
}

static const struct view area_view = {
	.name = "areas",
	.when = "without PID",
	.columns = area_columns,
	.nr_columns = ARRAY_SIZE(area_columns),
	.value = area_value,
};

/* What lies in one area: pages, of one mapping or of all. */
struct place {
	__u64 pages;
	__u64 extents;
	__u64 shmem;
	__u64 cached;
	__u64 next_va;		/* where the last run would go on */
	__u64 next_offset;
};

struct place_row {
	__u64 start;
	__u64 end;		/* 0: the total */
	const char *name;	/* NULL: not listed */
	const char *device;	/* NULL: not known, or several */
	const struct place *place;
};

static void place_value(struct value *value, int column, const void *record)
{
	const struct place_row *row = record;
	const struct place *place = row->place;

	switch (column) {
	case PLACE_START:
		value->null = !row->end;
		value->number = row->start;
		break;
	case PLACE_END:
		value->null = !row->end;
		value->number = row->end;
		break;
	case PLACE_NAME:
		value->null = !row->name;
		value->string = row->name ? row->name : "?";
		break;
	case PLACE_DEVICE:
		value->null = !row->device;
		value->string = row->device;
		break;
	case PLACE_PAGES:
		value->number = place->pages;
		break;
	case PLACE_BYTES:
		value->number = place->pages * PAGE;
		break;
	case PLACE_EXTENTS:
		value->number = place->extents;
		break;
	case PLACE_MEAN_RUN:
		value->null = !place->extents;
		if (!value->null)
			value->ratio = round(10.0 * place->pages / place->extents) / 10;
		break;
	case PLACE_SHMEM:
		value->number = place->shmem;
		break;
	case PLACE_CACHED:
		value->null = !area_knows_cached();
		value->number = place->cached;
		break;
	}
}

static const struct view place_view = {
	.name = "mappings",
	.when = "with PID",
	.columns = place_columns,
	.nr_columns = ARRAY_SIZE(place_columns),
	.value = place_value,
};

/* The area from number @type on. Return: 1, 0 if there is none, or -errno. */
static int read_area(struct vminspect *device, unsigned int type, struct area_row *row, char *path)
{
	__u32 flags = area_knows_cached() ? VMINSPECT_SWAP_SLOTS : 0;
	int ret;

	/* one that was removed between its two looks at it: the next one */
	do {
		ret = vminspect_swap(device, type, 0, path, PATH_MAX, &row->area);
		if (ret)
			return ret == -ENOENT ? 0 : ret;
		type = row->area.type;
		ret = vminspect_swap(device, type, flags, path, PATH_MAX, &row->area);
	} while (ret == -ENOENT);
	row->path = path;
	row->zswap = zswap_enabled();
	row->counted = flags;
	return ret ? ret : 1;
}

static int print_areas(struct vminspect *device, const struct output *out, struct table *table)
{
	unsigned int type = 0, nr = 0;
	struct area_row row;
	char path[PATH_MAX];
	int ret;

	table_begin(table, json_schema(), NULL);
	while ((ret = read_area(device, type, &row, path)) > 0) {
		table_row(table, &row);
		type = row.area.type + 1;
		nr++;
		progress("%u areas", nr);
	}
	table_end(table, json_object());
	if (ret)
		return fail_doing(DOING_AREAS, ret, "swap areas", "");
	if (!nr && !out->json)
		note("this machine has no swap area: nothing can be swapped out");
	return 0;
}

static int areas_run(const struct output *out)
{
	struct vminspect *device;
	struct vminspect_info info;
	struct table *table;
	int ret;

	table = table_new(&area_view, out);
	if (!table)
		return EXIT_USAGE;
	ret = device_open(&device, &info);
	if (!ret) {
		ret = print_areas(device, out, table);
		vminspect_close(device);
	}
	table_free(table);
	return ret;
}

/* A mapping and what of it lies in which area, by number. */
struct swapped {
	__u64 start;
	__u64 end;		/* 0: none yet */
	char *name;
	struct place places[MAX_AREAS];
};

static void place_add(struct place *place, const struct vminspect_extent *extent)
{
	__u64 pages = (extent->end - extent->start) / PAGE;

	place->pages += pages;
	if (extent->flags & VMINSPECT_PAGE_SHMEM)
		place->shmem += pages;
	if (extent->flags & VMINSPECT_PAGE_SWAPCACHE)
		place->cached += pages;
	if (extent->start != place->next_va || extent->frame != place->next_offset)
		place->extents++;
	place->next_va = extent->end;
	place->next_offset = extent->frame + pages;
}

static void place_merge(struct place *into, const struct place *from)
{
	into->pages += from->pages;
	into->extents += from->extents;
	into->shmem += from->shmem;
	into->cached += from->cached;
}

static void finish_mapping(struct swapped *mapping, struct table *table, struct place *total)
{
	for (unsigned int type = 0; mapping->end && type < MAX_AREAS; type++) {
		struct place *place = &mapping->places[type];
		const struct place_row row = {
			mapping->start, mapping->end, mapping->name, area_path(type), place,
		};

		if (!place->pages)
			continue;
		table_row(table, &row);
		place_merge(total, place);
	}
	free(mapping->name);
	*mapping = (struct swapped) {};
}

static void start_mapping(struct swapped *mapping, const struct piece *piece)
{
	mapping->start = piece->extent.start;
	mapping->end = piece->extent.end;
	if (!piece->mapping)
		return;
	mapping->start = piece->mapping->start;
	mapping->end = piece->mapping->end;
	mapping->name = strdup(piece->mapping->name);
	if (!mapping->name)
		die_of_memory();
}

static bool same_mapping(const struct swapped *mapping, const struct piece *piece)
{
	return mapping->name && piece->mapping && mapping->start == piece->mapping->start &&
	       mapping->end == piece->mapping->end;
}

static json_t *end_json(struct table *table, const struct place *total,
			const struct pieces *pieces, int error, __u64 resume)
{
	const struct place_row row = { .name = "total", .place = total };
	json_t *tail = target_end_json(pieces->changed, error, resume);
	json_t *sum = table_row_json(table, &row);

	json_object_del(sum, "name");
	json_object_del(sum, "device");
	json_put(tail, "total", sum);
	return tail;
}

static int print_places(const struct target *target, const struct output *out,
			struct table *table, struct pieces *pieces)
{
	struct swapped mapping = {};
	struct place total = {};
	struct piece piece;
	__u64 resume;
	int ret;

	while ((ret = pieces_next(pieces, &piece)) > 0) {
		if (!same_mapping(&mapping, &piece)) {
			finish_mapping(&mapping, table, &total);
			start_mapping(&mapping, &piece);
		}
		place_add(&mapping.places[piece.extent.swap_type % MAX_AREAS], &piece.extent);
		progress("%s: 0x%llx", target->name, piece.extent.end);
	}
	resume = vminspect_extents_resume(pieces->extents);
	finish_mapping(&mapping, table, &total);

	if (!out->json && !out->raw)
		table_row(table, &(struct place_row) { .name = "total", .place = &total });
	table_end(table, end_json(table, &total, pieces, ret, resume));
	return target_end(target, out, pieces->changed, ret, resume);
}

static int print_process(const struct target *target, const struct output *out,
			 struct table *table)
{
	const __u64 flags = VMINSPECT_PAGE_SHMEM |
			    (area_knows_cached() ? VMINSPECT_PAGE_SWAPCACHE : 0);
	const struct vminspect_scan scan = {
		.end = target->info.va_end,
		.category_mask = VMINSPECT_CAT(VMINSPECT_STATE_SWAPPED),
		.return_mask = flags | VMINSPECT_RETURN_FRAME,
		.split_mask = flags,
	};
	struct pieces pieces;
	int ret;

	ret = pieces_start(&pieces, target, &scan, false);
	if (ret)
		return target_fail(target, ret);
	table_begin(table, target_json(target), target->hidden);
	ret = print_places(target, out, table, &pieces);
	pieces_stop(&pieces);
	return ret;
}

static int process_run(const struct output *out, const char *name)
{
	struct target target;
	struct table *table;
	int ret;

	ret = target_check_name(name);
	if (ret)
		return ret;
	table = table_new(&place_view, out);
	if (!table)
		return EXIT_USAGE;
	ret = target_open(&target, name);
	if (!ret) {
		ret = print_process(&target, out, table);
		target_close(&target);
	}
	table_free(table);
	return ret;
}

static int swap_run(const struct output *out, int argc, char **argv)
{
	if (argc > 1)
		return misuse("'%s' is too much: one PID, or none for the areas", argv[1]);
	return argc ? process_run(out, argv[0]) : areas_run(out);
}

const struct command cmd_swap = {
	.name = "swap",
	.args = "[PID]",
	.summary = "swap areas; or what of a process lies where in them",
	.views = (const struct view *[]) { &area_view, &place_view },
	.nr_views = 2,
	.run = swap_run,
};
