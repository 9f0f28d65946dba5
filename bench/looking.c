// SPDX-License-Identifier: GPL-2.0
/*
 * looking: what it costs to look at memory in one way and in others, in turns.
 *
 * Writes lines for ./report: "work, method, unit, median, least, most", separated by tabs. The unit
 * is an instruction where the clock of the machine counts them (-icount shift=0 of QEMU), else a
 * nanosecond: of a page that is there, or of an address.
 *
 * usage: looking [WORK]
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"

#define SZ_1T		(1UL << 40)
#define SPARSE_PAGES	4096
#define DENSE		(64UL << 20)
#define HUGE_SIZE	SZ_1G
#define SWAPPED_SIZE	(32UL << 20)
#define ADDRESSES	65536
#define BATCH		1024		/* addresses for a call */
#define ENTRIES		(1 << 16)	/* of pagemap read at once: 512 KiB */
#define REGIONS		(1 << 16)	/* that PAGEMAP_SCAN may fill at once, and extents */
#define CALLS		10000		/* of one address each */

/*
 * PAGEMAP_SCAN, since 6.7: Documentation/admin-guide/mm/pagemap.rst of the kernel. Older systems'
 * headers do not have it.
 */
struct scan_region {
	__u64 start, end, categories;
};

struct scan_argument {
	__u64 size, flags, start, end, walk_end, regions, nr_regions, max_pages;
	__u64 inverted, all_of, any_of, returned;
};

#define IOC_PAGEMAP_SCAN	_IOWR('f', 16, struct scan_argument)
#define SCAN_FILE		(1ULL << 2)
#define SCAN_PRESENT		(1ULL << 3)
#define SCAN_SWAPPED		(1ULL << 4)
/*
 * Written, present, swapped, zero, huge, soft-dirty: what the entry says. Whether it is of a file
 * the page says, and it is dear to ask for.
 */
#define SCAN_ENTRY		0xfaULL

static int device, pagemap;
static const char *only;	/* this work alone, once, as QEMU's log has it: see ./profile */
static uint64_t entries[ENTRIES];
static struct scan_region regions[REGIONS];
static struct vminspect_extent extents[REGIONS];
static uint64_t words[REGIONS];
static struct vminspect_entry kinds[VMINSPECT_MAX_KINDS];
static uint64_t addresses[ADDRESSES];
static struct vminspect_entry answers[BATCH];

/* A range, and how many pages of it are there or in swap. */
struct range {
	char *va;
	size_t size;
	uint64_t pages;
};

/* Return: pages that were seen */
typedef uint64_t (*method_fn)(const struct range *range);

struct method {
	const char *name;
	method_fn run;
	unsigned int slices;	/* looks at such a part of the range only, where all takes long */
};

static uint64_t scan_for(const struct range *range, uint64_t return_mask)
{
	const struct vminspect_scan scan = {
		.extents = (uintptr_t)extents,
		.nr_extents = REGIONS,
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = return_mask,
		.split_mask = VMINSPECT_PAGE_WRITE,
	};

	return scan_pages(device, scan, (uintptr_t)range->va, range->size);
}

/* State, size, frame or slot, and the flags of the entry. */
static uint64_t by_scan(const struct range *range)
{
	return scan_for(range, RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE);
}

/* And what the page alone tells: is it of a file, shared, mapped once, ... */
static uint64_t by_scan_of_pages(const struct range *range)
{
	return scan_for(range, RETURN_ALL);
}

/* The same in words: what is said of a kind is looked at once. */
static uint64_t by_packed_scan(const struct range *range)
{
	struct vminspect_scan scan = {
		.flags = VMINSPECT_SCAN_PACKED,
		.start = (uintptr_t)range->va,
		.end = (uintptr_t)range->va + range->size,
		.extents = (uintptr_t)words,
		.nr_extents = REGIONS,
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE,
		.kinds = (uintptr_t)kinds,
		.nr_kinds = ARRAY_LEN(kinds),
	};
	uint64_t pages = 0;
	uint32_t i;

	do {
		check(!device_scan(device, &scan), "SCAN failed");
		for (i = 0; i < scan.nr_filled; i++)
			pages += VMINSPECT_WORD_KIND(words[i]) < scan.nr_kinds_filled;
		scan.start = scan.resume;
	} while (scan.start < scan.end);
	return pages;
}

static uint64_t by_pagemap(const struct range *range)
{
	const uint64_t start = (uintptr_t)range->va, nr = range->size / SZ_4K;
	uint64_t pages = 0, at, i, part;

	for (at = 0; at < nr; at += part) {
		part = nr - at < ENTRIES ? nr - at : ENTRIES;
		check(!pagemap_read(pagemap, start + at * SZ_4K, entries, part),
		      "pagemap can't be read");
		for (i = 0; i < part; i++)
			pages += !!(entries[i] & (PM_PRESENT | PM_SWAP));
	}
	return pages;
}

static uint64_t pagemap_scan_for(const struct range *range, uint64_t returned)
{
	struct scan_argument scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)range->va,
		.end = (uintptr_t)range->va + range->size,
		.regions = (uintptr_t)regions,
		.nr_regions = REGIONS,
		.any_of = SCAN_PRESENT | SCAN_SWAPPED,
		.returned = returned,
	};
	uint64_t pages = 0, seen = 0;
	int nr, i;

	do {
		nr = ioctl(pagemap, IOC_PAGEMAP_SCAN, &scan);
		check(nr >= 0, "PAGEMAP_SCAN failed");
		/* Of 6.12 a call may begin again with regions that the one before has told. */
		for (i = 0; i < nr; i++) {
			if (regions[i].start < seen)
				continue;
			seen = regions[i].end;
			pages += (regions[i].end - regions[i].start) / SZ_4K;
		}
		scan.start = scan.walk_end;
	} while (scan.start < scan.end);
	return pages;
}

static uint64_t by_pagemap_scan(const struct range *range)
{
	return pagemap_scan_for(range, SCAN_ENTRY);
}

static uint64_t by_pagemap_scan_of_pages(const struct range *range)
{
	return pagemap_scan_for(range, SCAN_ENTRY | SCAN_FILE);
}

/* Kernels before 6.7 have none. */
static bool has_pagemap_scan(void)
{
	struct scan_argument scan = { .size = sizeof(scan) };

	return !ioctl(pagemap, IOC_PAGEMAP_SCAN, &scan);
}

static bool wanted(const char *work)
{
	return !only || !strcmp(work, only);
}

/* QEMU logs each instruction of ours, doing that work once. */
static void log_once(method_fn run, const struct range *range)
{
	check(run(range) == range->pages, only);
	log_instructions(true);
	check(run(range) == range->pages, only);
	log_instructions(false);
}

/* All methods in turns; each has to see what is there. */
static void compare(const char *work, const struct range *range, const struct method *methods,
		    size_t nr)
{
	uint64_t ns[4][ROUNDS], before;
	struct range part;
	size_t i;
	int round;

	if (!wanted(work))
		return;
	if (only) {
		log_once(methods[0].run, range);
		return;
	}
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < nr; i++) {
			part = *range;
			part.size /= methods[i].slices;
			part.pages /= methods[i].slices;
			before = now_ns();
			check(methods[i].run(&part) == part.pages, methods[i].name);
			ns[i][round] = now_ns() - before;
		}
	for (i = 0; i < nr; i++)
		print_figure(work, methods[i].name, ns[i], range->pages / methods[i].slices);
}

/* Of small pages also a word for each, which is no way to look at others. */
static void compare_scans(const char *work, const struct range *range, unsigned int slices,
			  bool small)
{
	const struct method ours = { "SCAN", by_scan, 1 },
			    packed = { "SCAN, packed", by_packed_scan, 1 },
			    theirs = { "pagemap", by_pagemap, slices },
			    newer = { "PAGEMAP_SCAN", by_pagemap_scan, 1 };
	struct method methods[4];
	size_t nr = 0;

	methods[nr++] = ours;
	if (small)
		methods[nr++] = packed;
	methods[nr++] = theirs;
	if (has_pagemap_scan())
		methods[nr++] = newer;
	compare(work, range, methods, nr);
}

static void compare_scans_of_pages(const char *work, const struct range *range)
{
	const struct method methods[] = {
		{ "SCAN", by_scan_of_pages, 1 },
		{ "pagemap", by_pagemap, 1 },
		{ "PAGEMAP_SCAN", by_pagemap_scan_of_pages, 1 },
	};

	compare(work, range, methods, has_pagemap_scan() ? 3 : 2);
}

/*
 * What is looked at
 */

/* How many pages have the frame after that of the one before? */
static uint64_t frames_in_order(const struct range *range)
{
	uint64_t nr = 0, i;

	check(range->pages <= ENTRIES &&
	      !pagemap_read(pagemap, (uintptr_t)range->va, entries, range->pages),
	      "pagemap can't be read");
	for (i = 1; i < range->pages; i++)
		nr += (entries[i] & PM_PFN_MASK) == (entries[i - 1] & PM_PFN_MASK) + 1;
	return nr;
}

/* Of huge pages whose mapping was cut up: each page has the frame after the one before. */
static struct range in_order(size_t size)
{
	struct range range = { map_huge(size), size, size / SZ_4K };
	size_t i;

	check(range.va, "no memory");
	memset(range.va, 1, size);
	for (i = 0; i < size; i += SZ_2M)
		check(!mprotect(range.va + i, SZ_4K, PROT_READ) &&
		      !mprotect(range.va + i, SZ_4K, PROT_READ | PROT_WRITE), "mprotect() failed");
	check(frames_in_order(&range) >= range.pages - size / SZ_2M, "frames follow no order");
	return range;
}

static void shuffle(uint64_t *values, size_t nr)
{
	size_t i, other;
	uint64_t value;

	for (i = nr - 1; i; i--) {
		other = lrand48() % (i + 1);
		value = values[i];
		values[i] = values[other];
		values[other] = value;
	}
}

/* Touched in any order, so that no frame is the one after its neighbour's. */
static struct range at_random(size_t size)
{
	struct range range = { map_small(size), size, size / SZ_4K };
	size_t i;

	check(range.va && range.pages <= ADDRESSES, "no memory");
	for (i = 0; i < range.pages; i++)
		addresses[i] = i;
	shuffle(addresses, range.pages);
	for (i = 0; i < range.pages; i++)
		range.va[addresses[i] * SZ_4K] = 1;
	check(frames_in_order(&range) <= range.pages / 64, "frames follow one another");
	return range;
}

static struct range huge(size_t size)
{
	struct range range = { map_huge(size), size, size / SZ_4K };
	struct mapping mapping;

	check(range.va, "no memory");
	memset(range.va, 1, size);
	check(!mapping_at(getpid(), range.va, &mapping) && mapping.anon_huge >= size,
	      "pages are not huge");
	return range;
}

static struct range sparse(size_t size)
{
	struct range range = { .size = size, .pages = SPARSE_PAGES };
	size_t i;

	range.va = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(range.va != MAP_FAILED, "no terabyte");
	madvise(range.va, size, MADV_NOHUGEPAGE);
	for (i = 0; i < SPARSE_PAGES; i++)
		range.va[i * (size / SPARSE_PAGES)] = 1;
	return range;
}

static struct range swapped(size_t size)
{
	struct range range = { map_small(size), size, size / SZ_4K };
	size_t i;

	check(range.va, "no memory");
	for (i = 0; i < range.pages; i++)
		range.va[i * SZ_4K] = i | 1;
	check(!page_out(range.va, size), "pages do not go out");
	return range;
}

static struct range alternating(size_t size)
{
	struct range range = swapped(size);
	size_t i;

	for (i = 0; i < range.pages; i += 2)
		READ_ONCE(range.va[i * SZ_4K]);
	for (i = 0; i < range.pages; i++)
		check(!(pagemap_entry(pagemap, range.va + i * SZ_4K) & PM_SWAP) == !(i % 2),
		      "pages do not take turns");
	return range;
}

static void end(const struct range *range)
{
	munmap(range->va, range->size);
}

/*
 * Addresses
 */
static uint64_t translate_many(const struct range *range)
{
	uint64_t present = 0, i, j;

	(void)range;
	for (i = 0; i < ADDRESSES; i += BATCH) {
		check(device_translate(device, addresses + i, answers, BATCH,
				       RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE) == BATCH,
		      "TRANSLATE failed");
		for (j = 0; j < BATCH; j++)
			present += answers[j].state == VMINSPECT_STATE_PRESENT;
	}
	return present;
}

static uint64_t translate_singly(const struct range *range)
{
	uint64_t present = 0, i;

	for (i = 0; i < range->pages; i++) {
		check(device_translate(device, addresses + i, answers, 1,
				       RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE) == 1,
		      "TRANSLATE failed");
		present += answers[0].state == VMINSPECT_STATE_PRESENT;
	}
	return present;
}

static uint64_t pread_singly(const struct range *range)
{
	uint64_t present = 0, i;

	for (i = 0; i < range->pages; i++)
		present += !!(pagemap_entry(pagemap, (void *)addresses[i]) & PM_PRESENT);
	return present;
}

/* All of a range that they lie in, read at once, which pays where they lie close together. */
static uint64_t by_whole_pagemap(const struct range *range)
{
	uint64_t present = 0, i;

	check(!pagemap_read(pagemap, (uintptr_t)range->va, entries, range->size / SZ_4K),
	      "pagemap can't be read");
	for (i = 0; i < ADDRESSES; i++)
		present += !!(entries[(addresses[i] - (uintptr_t)range->va) / SZ_4K] & PM_PRESENT);
	return present;
}

/* A call of the device that does nothing. */
static uint64_t call_singly(const struct range *range)
{
	uint64_t i;

	for (i = 0; i < range->pages; i++)
		check(ioctl(device, _IO(0, 0)), "there is such a call");
	return range->pages;
}

static void compare_addresses(void)
{
	struct range range = at_random(DENSE), many = range, few = range;
	const struct method of_many[] = {
		{ "TRANSLATE", translate_many, 1 },
		{ "pagemap of all 16384 pages", by_whole_pagemap, 1 },
	};
	const struct method of_few[] = {
		{ "TRANSLATE", translate_singly, 1 },
		{ "pread of pagemap", pread_singly, 1 },
		{ "a call that does nothing", call_singly, 1 },
	};
	size_t i;

	for (i = 0; i < ADDRESSES; i++)
		addresses[i] = (uintptr_t)range.va + lrand48() % range.size;
	many.pages = ADDRESSES;
	few.pages = CALLS;
	compare("addresses at random, 1024 a call", &many, of_many, ARRAY_LEN(of_many));
	compare("addresses at random, one a call", &few, of_few, ARRAY_LEN(of_few));
	qsort(addresses, ADDRESSES, sizeof(*addresses), by_value);
	compare("addresses in order, 1024 a call", &many, of_many, ARRAY_LEN(of_many));
	end(&range);
}

static void compare_pages(const char *work)
{
	struct range range;

	if (!wanted(work))
		return;
	range = at_random(DENSE);
	compare_scans_of_pages(work, &range);
	end(&range);
}

static void compare_range(const char *work, struct range (*make)(size_t size), size_t size,
			  unsigned int slices, bool small)
{
	struct range range;

	if (!wanted(work))
		return;
	range = make(size);
	compare_scans(work, &range, slices, small);
	end(&range);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		only = argv[1];
	device = device_bound(getpid());
	pagemap = pagemap_open(getpid());
	check(device >= 0 && pagemap >= 0, "no /dev/vminspect");
	srand48(1);
	compare_range("4 KiB pages, frames in order", in_order, DENSE, 1, true);
	compare_range("4 KiB pages, frames at random", at_random, DENSE, 1, true);
	compare_pages("the same, with what the page tells");
	compare_range("huge pages", huge, HUGE_SIZE, 1, false);
	compare_range("a terabyte with 4096 pages", sparse, SZ_1T, 256, false);
	compare_range("swapped out", swapped, SWAPPED_SIZE, 1, true);
	compare_range("present and swapped in turns", alternating, SWAPPED_SIZE, 1, true);
	compare_addresses();
	return 0;
}
