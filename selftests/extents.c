// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: SCAN, TRANSLATE and WALK say of a range, of many addresses and of one exactly
 * what is there: pagemap and a computation of our own agree page by page, whatever
 * is asked for, however small the array, whoever disturbs. And nobody is held up.
 *
 * machines: default la57 numa cpu1 cpu4
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "kselftest_harness.h"

#include "common.h"

#define CAT_NONE	VMINSPECT_CAT(VMINSPECT_STATE_NONE)
#define CAT_PRESENT	VMINSPECT_CAT(VMINSPECT_STATE_PRESENT)
#define CAT_SWAPPED	VMINSPECT_CAT(VMINSPECT_STATE_SWAPPED)
#define CAT_UNMAPPED	VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED)
#define CATEGORIES	(VMINSPECT_PAGE_FLAGS | VMINSPECT_CAT_STATES)

/*
 * Our own computation of extents, from one entry for each page.
 */
static bool state_has_frames(uint8_t state)
{
	return state == VMINSPECT_STATE_PRESENT || state == VMINSPECT_STATE_SWAPPED ||
	       state == VMINSPECT_STATE_MIGRATING || state == VMINSPECT_STATE_POISONED ||
	       state == VMINSPECT_STATE_DEVICE;
}

static bool state_has_pages(uint8_t state)
{
	return state != VMINSPECT_STATE_NONE && state != VMINSPECT_STATE_UNMAPPED;
}

static bool model_selects(const struct vminspect_scan *scan,
			  const struct vminspect_entry *entry)
{
	uint64_t has = (entry->flags | VMINSPECT_CAT(entry->state)) ^ scan->category_inverted;

	return (has & scan->category_mask) == scan->category_mask &&
	       (!scan->category_anyof_mask || (has & scan->category_anyof_mask));
}

/* What the caller knows to be the page of zeroes. */
static bool model_zero(const struct vminspect_extent *extent)
{
	return extent->flags & VMINSPECT_PAGE_ZERO;
}

static bool model_frames_follow(const struct vminspect_extent *prev,
				const struct vminspect_extent *next)
{
	uint64_t pages = (prev->end - prev->start) / SZ_4K;
	uint64_t size = 1ULL << (prev->page_shift - 12);

	if (model_zero(prev) != model_zero(next))
		return false;
	if (model_zero(prev))
		return prev->frame / size == next->frame / size;
	if (state_has_frames(prev->state))
		return prev->frame + pages == next->frame && prev->swap_type == next->swap_type;
	return prev->state != VMINSPECT_STATE_UNKNOWN;
}

static bool model_alike(const struct vminspect_scan *scan, const struct vminspect_extent *prev,
			const struct vminspect_extent *next)
{
	uint64_t inside = (1ULL << next->page_shift) - 1;

	if (prev->end != next->start || prev->state != next->state ||
	    prev->page_shift != next->page_shift || prev->node != next->node)
		return false;
	if ((prev->flags ^ next->flags) & scan->split_mask)
		return false;
	if ((scan->flags & (VMINSPECT_SCAN_PAGES | VMINSPECT_SCAN_PACKED)) &&
	    state_has_pages(next->state) && !(next->start & inside))
		return false;
	return !(scan->return_mask & VMINSPECT_RETURN_FRAME) || model_frames_follow(prev, next);
}

struct extents {
	struct vminspect_extent *list;
	size_t nr;
	size_t room;
};

static void extents_free(struct extents *extents)
{
	free(extents->list);
	*extents = (struct extents){ 0 };
}

/* Joined to the last one if both are alike: pages as well as runs can be added. */
static void extents_add(struct extents *extents, const struct vminspect_scan *scan,
			const struct vminspect_extent *extent)
{
	struct vminspect_extent *last = extents->list + extents->nr - 1;
	uint32_t all;

	if (extents->nr && model_alike(scan, last, extent)) {
		all = last->flags & extent->flags;
		last->mixed |= extent->mixed | ((last->flags | extent->flags) & ~all);
		last->flags = all;
		last->end = extent->end;
		return;
	}
	if (extents->nr == extents->room) {
		extents->room = extents->room * 2 ?: 64;
		extents->list = realloc(extents->list, extents->room * sizeof(*extents->list));
	}
	extents->list[extents->nr++] = *extent;
}

static void model_add_page(struct extents *model, const struct vminspect_scan *scan,
			   uint64_t va, const struct vminspect_entry *entry)
{
	struct vminspect_extent page = {
		.start = va,
		.end = va + SZ_4K,
		.flags = entry->flags & scan->return_mask,
		.state = entry->state,
		.page_shift = entry->page_shift,
		.node = -1,
	};

	if (scan->return_mask & VMINSPECT_RETURN_FRAME) {
		page.frame = entry->frame;
		page.swap_type = entry->swap_type;
	}
	if (scan->return_mask & VMINSPECT_RETURN_NODE)
		page.node = entry->node;
	if (model_selects(scan, entry))
		extents_add(model, scan, &page);
}

/* The extents of a scan's range, of which @entries has every page from @base on. */
static struct extents model_scan(const struct vminspect_scan *scan, uint64_t base,
				 const struct vminspect_entry *entries)
{
	struct extents model = { 0 };
	uint64_t va;

	for (va = scan->start; va < scan->end; va += SZ_4K)
		model_add_page(&model, scan, va, &entries[(va - base) / SZ_4K]);
	return model;
}

static bool extents_equal(const struct extents *a, const struct extents *b)
{
	return a->nr == b->nr && !memcmp(a->list, b->list, a->nr * sizeof(*a->list));
}

static void extent_print(const char *who, const struct vminspect_extent *extent)
{
	fprintf(stderr, "#   %s 0x%" PRIx64 "-0x%" PRIx64
		" state %u shift %u frame 0x%" PRIx64 " swap %u flags 0x%x mixed 0x%x node %d\n",
		who, (uint64_t)extent->start, (uint64_t)extent->end, extent->state,
		extent->page_shift, (uint64_t)extent->frame, extent->swap_type, extent->flags,
		extent->mixed, extent->node);
}

/* Where two differ first, for the reader of a failure. */
static void extents_print_difference(const struct extents *want, const struct extents *got)
{
	size_t i = 0;

	while (i < want->nr && i < got->nr &&
	       !memcmp(&want->list[i], &got->list[i], sizeof(want->list[i])))
		i++;
	fprintf(stderr, "#   %zu extents expected, %zu seen; number %zu:\n", want->nr, got->nr, i);
	if (i < want->nr)
		extent_print("expected", &want->list[i]);
	if (i < got->nr)
		extent_print("seen    ", &got->list[i]);
}

/*
 * Scans. The caller has set range, masks and flags.
 */
static int scan_once(int device, struct vminspect_scan *scan, struct vminspect_extent *extents,
		     uint32_t nr)
{
	scan->extents = (uintptr_t)extents;
	scan->nr_extents = nr;
	return device_scan_extents(device, scan);
}

/*
 * All of a range, with an array for @room extents. Two runs that meet where one call
 * ended and the next began are joined. Each call has to get ahead. Returns the number of
 * calls or -errno.
 */
static int scan_all(int device, const struct vminspect_scan *what, uint32_t room,
		    struct extents *all)
{
	struct vminspect_extent *extents = calloc(room, sizeof(*extents));
	struct vminspect_scan scan = *what;
	int ret = 0, calls = 0;
	uint32_t i;

	*all = (struct extents){ 0 };
	while (scan.start < scan.end) {
		ret = scan_once(device, &scan, extents, room);
		if (!ret && (scan.resume <= scan.start || scan.resume > scan.end ||
			     scan.nr_filled > room))
			ret = -EBADMSG;
		if (ret)
			break;
		for (i = 0; i < scan.nr_filled; i++)
			extents_add(all, what, &extents[i]);
		scan.start = scan.resume;
		calls++;
	}
	free(extents);
	return ret ?: calls;
}

/* Like the above, but everything has to come with the first call. */
static int scan_whole(int device, const struct vminspect_scan *what, uint32_t room,
		      struct extents *all)
{
	struct vminspect_scan scan = *what;
	int ret;

	*all = (struct extents){ .list = calloc(room, sizeof(*all->list)), .room = room };
	ret = scan_once(device, &scan, all->list, room);
	if (!ret && scan.resume != scan.end)
		ret = -EBADMSG;
	all->nr = ret ? 0 : scan.nr_filled;
	return ret;
}

static struct vminspect_scan scan_of(const void *start, size_t size)
{
	return (struct vminspect_scan){
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + size,
		.return_mask = RETURN_ALL,
		.split_mask = VMINSPECT_PAGE_FLAGS,
	};
}

/*
 * One entry for each page, from TRANSLATE, after pagemap and mincore(2), which fails where
 * there is no mapping, have agreed with each. NULL, or what they do not agree in.
 */
static const char *entries_read(int device, int pagemap, const char *start, size_t nr,
				struct vminspect_entry *entries)
{
	uint64_t *addresses = calloc(nr, sizeof(*addresses));
	uint64_t *seen = calloc(nr, sizeof(*seen));
	const char *differs = NULL;
	unsigned char in_core;
	bool mapped, said;
	size_t i;

	for (i = 0; i < nr; i++)
		addresses[i] = (uintptr_t)start + i * SZ_4K;
	if (device_translate(device, addresses, entries, nr,
			     RETURN_ALL | VMINSPECT_RETURN_NODE) != (int)nr)
		differs = "TRANSLATE did not do all";
	else if (pagemap_read(pagemap, (uintptr_t)start, seen, nr))
		differs = "pagemap can't be read";
	for (i = 0; i < nr && !differs; i++) {
		mapped = !mincore((void *)(uintptr_t)addresses[i], SZ_4K, &in_core);
		said = entries[i].state != VMINSPECT_STATE_UNMAPPED;
		if (mapped != said)
			differs = "mapped or not";
		else
			differs = pagemap_differs(&entries[i], seen[i]);
	}
	free(seen);
	free(addresses);
	return differs;
}

/* Numbers that are the same in every run. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * A region with pages of many kinds, in our own address space. Numbers are of pages.
 */
enum {
	HUGE_AT = 0,			/* one huge page */
	HOLE_AT = 512,			/* no mapping */
	RESERVED_AT = 768,		/* a mapping without access */
	SMALL_AT = 1024,		/* from here on without huge pages, each 16 pages: */
	NONE_AT = SMALL_AT,
	ZERO_AT = NONE_AT + 16,		/* read */
	WRITTEN_AT = ZERO_AT + 16,
	SECOND_AT = WRITTEN_AT + 16,	/* every second one written */
	READ_ONLY_AT = SECOND_AT + 16,	/* written, then write-protected */
	PROT_NONE_AT = READ_ONLY_AT + 16,	/* written, then without access */
	SWAPPED_AT = PROT_NONE_AT + 16,
	SAME_AT = SWAPPED_AT + 16,	/* 16 mappings of one page of shared memory */
	GAP_AT = SAME_AT + 16,	/* no mapping */
	SHARED_AT = GAP_AT + 16,	/* shared memory, written */
	PRIVATE_AT = SHARED_AT + 16,	/* a file's, read, half of it written */
	STRIPES_AT = PRIVATE_AT + 16,	/* written, every second one write-protected */
	SOFT_AT = STRIPES_AT + 16,	/* every second one written since clear_refs */
	SPLIT_AT = 1536,	/* what was a huge page: 512 entries, frames in order */
	NR_PAGES = 2048,
};

FIXTURE(region)
{
	int device;
	int pagemap;
	char *base;
	struct vminspect_entry entries[NR_PAGES];
};

static char *page_at(struct _test_data_region *self, size_t page)
{
	return self->base + page * SZ_4K;
}

static bool region_map_files(struct _test_data_region *self)
{
	int fd = memfd(16 * SZ_4K, 0), i;
	char *shared = mmap(page_at(self, SHARED_AT), 16 * SZ_4K, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0);
	char *private = mmap(page_at(self, PRIVATE_AT), 16 * SZ_4K, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_FIXED, fd, 0);

	for (i = SAME_AT; i < SAME_AT + 16; i++)
		if (mmap(page_at(self, i), SZ_4K, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			return false;
	close(fd);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		return false;
	memset(shared, 1, 16 * SZ_4K);
	touch(private, 16 * SZ_4K);
	memset(private, 2, 8 * SZ_4K);
	return true;
}

static bool region_protect(struct _test_data_region *self)
{
	int ret, i;

	ret = mprotect(page_at(self, READ_ONLY_AT), 16 * SZ_4K, PROT_READ) |
	      mprotect(page_at(self, PROT_NONE_AT), 16 * SZ_4K, PROT_NONE) |
	      mprotect(page_at(self, RESERVED_AT), 256 * SZ_4K, PROT_NONE) |
	      munmap(page_at(self, HOLE_AT), 256 * SZ_4K) |
	      munmap(page_at(self, GAP_AT), 16 * SZ_4K) |
	      mprotect(page_at(self, SPLIT_AT), SZ_4K, PROT_READ) |
	      mprotect(page_at(self, SPLIT_AT), SZ_4K, PROT_READ | PROT_WRITE) |
	      madvise(page_at(self, SPLIT_AT), 512 * SZ_4K, MADV_NOHUGEPAGE);
	for (i = 0; i < 16; i += 2)
		ret |= mprotect(page_at(self, STRIPES_AT + i), SZ_4K, PROT_READ);
	return !ret;
}

static bool region_fill(struct _test_data_region *self)
{
	int i;

	madvise(page_at(self, 0), NR_PAGES * SZ_4K, MADV_HUGEPAGE);
	madvise(page_at(self, 512), (SPLIT_AT - 512) * SZ_4K, MADV_NOHUGEPAGE);
	memset(page_at(self, HUGE_AT), 1, 512 * SZ_4K);
	memset(page_at(self, SPLIT_AT), 1, 512 * SZ_4K);
	touch(page_at(self, ZERO_AT), 16 * SZ_4K);
	for (i = WRITTEN_AT; i < SAME_AT; i++)
		if (i < SECOND_AT || i >= READ_ONLY_AT || i % 2)
			memset(page_at(self, i), 1, SZ_4K);
	memset(page_at(self, STRIPES_AT), 1, 32 * SZ_4K);
	if (!region_map_files(self) || !region_protect(self))
		return false;
	if (page_out(page_at(self, SWAPPED_AT), 16 * SZ_4K) || clear_refs(getpid(), "4"))
		return false;
	/* That has taken the write bit of all: it comes back where they are written. */
	for (i = 0; i < 16; i += 2) {
		*page_at(self, SOFT_AT + i) = 3;
		*page_at(self, STRIPES_AT + i + 1) = 3;
	}
	return true;
}

FIXTURE_SETUP(region)
{
	const char *differs;

	mallopt(M_MMAP_MAX, 0);		/* or it fills the holes */
	self->device = device_bound(getpid());
	ASSERT_GE(self->device, 0);
	self->pagemap = pagemap_open(getpid());
	ASSERT_GE(self->pagemap, 0);
	self->base = map_aligned(NR_PAGES * SZ_4K, SZ_2M);
	ASSERT_NE(NULL, self->base);
	ASSERT_TRUE(region_fill(self));
	differs = entries_read(self->device, self->pagemap, self->base, NR_PAGES, self->entries);
	ASSERT_EQ(NULL, differs) {
		TH_LOG("%s", differs);
	}
}

FIXTURE_TEARDOWN(region)
{
	munmap(self->base, NR_PAGES * SZ_4K);
	close(self->pagemap);
	close(self->device);
}

static struct vminspect_scan region_scan(struct _test_data_region *self)
{
	return scan_of(self->base, NR_PAGES * SZ_4K);
}

/* Some pages of it, by number. */
static struct vminspect_scan region_scan_pages(struct _test_data_region *self, size_t page,
					       size_t nr)
{
	return scan_of(page_at(self, page), nr * SZ_4K);
}

/* Does a scan in one call give what the model does? Prints where not. */
static bool region_agrees(struct _test_data_region *self, const struct vminspect_scan *scan)
{
	struct extents want = model_scan(scan, (uintptr_t)self->base, self->entries);
	struct extents got;
	int ret;
	bool equal;

	if (scan->nr_kinds)	/* a call ends where there would be another */
		ret = scan_all(self->device, scan, NR_PAGES + 1, &got);
	else
		ret = scan_whole(self->device, scan, NR_PAGES + 1, &got);
	equal = ret >= 0 && extents_equal(&want, &got);
	if (!equal)
		extents_print_difference(&want, &got);
	extents_free(&want);
	extents_free(&got);
	return equal;
}

/* The region is what it is said to be, or the tests below would test less. */
TEST_F(region, has_pages_of_all_these_kinds)
{
	const struct vminspect_entry *entries = self->entries;

	EXPECT_EQ(21, entries[HUGE_AT].page_shift);
	EXPECT_EQ(VMINSPECT_STATE_UNMAPPED, entries[HOLE_AT].state);
	EXPECT_EQ(VMINSPECT_STATE_NONE, entries[RESERVED_AT].state);
	EXPECT_EQ(VMINSPECT_STATE_NONE, entries[NONE_AT].state);
	EXPECT_TRUE(entries[ZERO_AT].flags & VMINSPECT_PAGE_ZERO);
	EXPECT_TRUE(entries[WRITTEN_AT].flags & VMINSPECT_PAGE_DIRTY);
	EXPECT_NE(entries[SECOND_AT].state, entries[SECOND_AT + 1].state);
	EXPECT_TRUE(entries[PROT_NONE_AT].flags & VMINSPECT_PAGE_PROTNONE);
	EXPECT_EQ(VMINSPECT_STATE_SWAPPED, entries[SWAPPED_AT].state);
	EXPECT_EQ(VMINSPECT_STATE_UNMAPPED, entries[GAP_AT].state);
	EXPECT_TRUE(entries[SHARED_AT].flags & VMINSPECT_PAGE_FILE);
	EXPECT_TRUE(entries[PRIVATE_AT].flags & VMINSPECT_PAGE_ANON);
	EXPECT_TRUE(entries[PRIVATE_AT + 8].flags & VMINSPECT_PAGE_FILE);
	EXPECT_NE(entries[SOFT_AT].flags & VMINSPECT_PAGE_SOFT_DIRTY,
		  entries[SOFT_AT + 1].flags & VMINSPECT_PAGE_SOFT_DIRTY);
	EXPECT_EQ(12, entries[SPLIT_AT].page_shift);
	EXPECT_EQ(entries[SPLIT_AT].frame + 511, entries[SPLIT_AT + 511].frame);
}

/*
 * Bad arguments. Each is refused and changes nothing.
 */
static int scan_refused(int device, const struct vminspect_scan *scan)
{
	struct vminspect_extent extents[4], before[4];
	struct vminspect_scan request = *scan, same;
	int ret;

	memset(extents, 0x5a, sizeof(extents));
	memcpy(before, extents, sizeof(extents));
	request.size = sizeof(request);
	if (!request.extents)
		request.extents = (uintptr_t)extents;
	same = request;
	ret = ioctl(device, VMINSPECT_IOC_SCAN, &request);
	if (ret != -1)
		return ret;
	ret = -errno;
	return memcmp(&request, &same, sizeof(same)) || memcmp(extents, before, sizeof(before)) ?
	       -EBADMSG : ret;
}

/* A request that would be accepted. */
static struct vminspect_scan scan_good(struct _test_data_region *self)
{
	struct vminspect_scan scan = region_scan(self);

	scan.nr_extents = 4;
	scan.extent_size = sizeof(struct vminspect_extent);
	scan.resume = 0x1234;
	scan.nr_filled = 0x1234;
	return scan;
}

TEST_F(region, refuses_ranges_that_are_none)
{
	uint64_t base = (uintptr_t)self->base, end;
	struct vminspect_info info;
	size_t i;

	ASSERT_EQ(0, device_info(self->device, &info));
	end = info.va_end;

	const uint64_t ranges[][2] = {
		{ base, base },	{ 0, 0 }, { end, end },			/* empty */
		{ base + SZ_4K, base }, { end, 0 }, { -SZ_4K, base },	/* reversed */
		{ base + 1, base + SZ_4K }, { base + 2048, base + SZ_2M },	/* not aligned */
		{ base, base + 1 }, { base, base + SZ_4K - 1 }, { base + 8, base + SZ_4K + 8 },
		{ base, end + SZ_4K }, { end, end + SZ_4K }, { 0, 1ULL << 63 },	/* beyond */
		{ 0, -SZ_4K }, { base, UINT64_MAX }, { -SZ_4K, 0 }, { -2 * SZ_4K, -SZ_4K },
		{ 0xffff888000000000, 0xffff888000001000 }, { 0, end + 1 },
	};
	for (i = 0; i < ARRAY_LEN(ranges); i++) {
		struct vminspect_scan scan = scan_good(self);

		scan.start = ranges[i][0];
		scan.end = ranges[i][1];
		EXPECT_EQ(-EINVAL, scan_refused(self->device, &scan)) {
			TH_LOG("range %zu", i);
		}
	}
}

TEST_F(region, refuses_an_array_for_none_or_of_something_else)
{
	static const uint32_t sizes[] = { 0, 1, 32, 39, 41, 48, 80, UINT32_MAX };
	struct vminspect_scan scan = scan_good(self);
	size_t i;

	scan.nr_extents = 0;
	EXPECT_EQ(-EINVAL, scan_refused(self->device, &scan));
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		scan = scan_good(self);
		scan.extent_size = sizes[i];
		EXPECT_EQ(-EINVAL, scan_refused(self->device, &scan));
	}
}

TEST_F(region, refuses_every_unknown_category)
{
	uint64_t bit;

	for (bit = 1; bit; bit <<= 1) {
		struct vminspect_scan inverted = scan_good(self);
		struct vminspect_scan all_of = inverted, any_of = inverted;
		int want = bit & CATEGORIES ? 0 : -EINVAL;

		inverted.category_inverted = bit;
		all_of.category_mask = bit;
		any_of.category_anyof_mask = bit;
		EXPECT_EQ(want, scan_refused(self->device, &inverted));
		EXPECT_EQ(want, scan_refused(self->device, &all_of));
		EXPECT_EQ(want, scan_refused(self->device, &any_of));
	}
}

TEST_F(region, refuses_to_return_or_split_by_what_is_unknown)
{
	uint64_t known = VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME | VMINSPECT_RETURN_NODE;
	struct vminspect_scan scan;
	uint64_t bit;

	for (bit = 1; bit; bit <<= 1) {
		scan = scan_good(self);
		scan.return_mask = bit;
		scan.split_mask = 0;
		EXPECT_EQ(bit & known ? 0 : -EINVAL, scan_refused(self->device, &scan));
		scan.split_mask = bit;
		EXPECT_EQ(bit & VMINSPECT_PAGE_FLAGS ? 0 : -EINVAL,
			  scan_refused(self->device, &scan));
		scan.return_mask = known & ~bit;	/* what splits has to be returned */
		EXPECT_EQ(-EINVAL, scan_refused(self->device, &scan));
	}
}

/*
 * What extents are.
 */
TEST_F(region, every_page_is_in_the_run_that_our_own_computation_puts_it_in)
{
	struct vminspect_scan scan = region_scan(self);

	EXPECT_TRUE(region_agrees(self, &scan));
	scan.split_mask = 0;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.return_mask = VMINSPECT_PAGE_FLAGS;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.return_mask = VMINSPECT_RETURN_FRAME;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.return_mask = 0;
	EXPECT_TRUE(region_agrees(self, &scan));
}

TEST_F(region, an_extent_for_each_page_but_none_and_unmapped_stay_runs)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents got;
	size_t i, runs = 0;

	scan.flags = VMINSPECT_SCAN_PAGES;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.return_mask &= ~VMINSPECT_PAGE_FROM_PAGE;	/* entries are read as runs then */
	scan.split_mask &= scan.return_mask;
	EXPECT_TRUE(region_agrees(self, &scan));
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	for (i = 0; i < got.nr; i++) {
		uint64_t size = got.list[i].end - got.list[i].start;

		if (!state_has_pages(got.list[i].state))
			runs += size > SZ_4K;
		else
			EXPECT_EQ(1ULL << got.list[i].page_shift, size);
	}
	EXPECT_EQ(4, runs);
	extents_free(&got);
}

TEST_F(region, a_word_for_each_page_says_the_same)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents got;

	scan.flags = VMINSPECT_SCAN_PACKED;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.nr_kinds = 1;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.nr_kinds = 0;
	scan.return_mask &= ~VMINSPECT_PAGE_FROM_PAGE;
	scan.split_mask &= scan.return_mask;
	EXPECT_TRUE(region_agrees(self, &scan));
	scan.return_mask = VMINSPECT_PAGE_WRITE;	/* no frames */
	scan.split_mask = scan.return_mask;
	EXPECT_TRUE(region_agrees(self, &scan));

	/* One room, one word: as far as that page. */
	scan = region_scan_pages(self, SECOND_AT, 16);
	scan.flags = VMINSPECT_SCAN_PACKED;
	EXPECT_EQ(16, scan_all(self->device, &scan, 1, &got));
	EXPECT_EQ(16, got.nr);
	extents_free(&got);
}

/* Words alone: how many there are, and that those not selected are told together. */
TEST_F(region, pages_not_selected_are_one_word)
{
	struct vminspect_scan scan = region_scan_pages(self, SECOND_AT, 16);
	struct vminspect_entry kinds[4], untouched;
	uint64_t words[64], pages = 0;
	uint32_t i;

	memset(words, 0x5a, sizeof(words));
	memset(kinds, 0x5a, sizeof(kinds));
	untouched = kinds[0];
	scan.flags = VMINSPECT_SCAN_PACKED;
	scan.split_mask = 0;
	scan.category_mask = VMINSPECT_CAT(VMINSPECT_STATE_MARKER);
	scan.extents = (uintptr_t)words;
	scan.nr_extents = ARRAY_LEN(words);
	scan.kinds = (uintptr_t)kinds;
	scan.nr_kinds = ARRAY_LEN(kinds);
	ASSERT_EQ(0, device_scan(self->device, &scan));
	EXPECT_EQ(1, scan.nr_filled);
	EXPECT_EQ(0, scan.nr_kinds_filled);
	EXPECT_EQ(VMINSPECT_WORD_OTHER, VMINSPECT_WORD_KIND(words[0]));
	EXPECT_EQ(16, VMINSPECT_WORD_NUMBER(words[0]));

	scan.category_mask = CAT_PRESENT;
	ASSERT_EQ(0, device_scan(self->device, &scan));
	EXPECT_EQ(scan.end, scan.resume);
	ASSERT_LT(0, scan.nr_kinds_filled);
	for (i = 0; i < scan.nr_filled; i++)
		pages += VMINSPECT_WORD_KIND(words[i]) == VMINSPECT_WORD_OTHER ?
			 VMINSPECT_WORD_NUMBER(words[i]) : 1;
	EXPECT_EQ(16, pages);
	for (; i < ARRAY_LEN(words); i++)
		EXPECT_EQ(0x5a5a5a5a5a5a5a5a, words[i]);
	for (i = scan.nr_kinds_filled; i < ARRAY_LEN(kinds); i++)
		EXPECT_EQ(0, memcmp(&untouched, &kinds[i], sizeof(untouched)));
}

/* A subset of @mask: each bit is in it in one of 2^@rare cases. */
static uint64_t random_subset(uint64_t *state, uint64_t mask, int rare)
{
	while (rare--)
		mask &= random_next(state);
	return mask;
}

static const uint32_t flags_of_scans[] = { 0, 0, VMINSPECT_SCAN_PAGES, VMINSPECT_SCAN_PACKED };

static struct vminspect_scan random_scan(struct _test_data_region *self, uint64_t *state)
{
	size_t first = random_next(state) % NR_PAGES;
	size_t last = random_next(state) % NR_PAGES;
	uint64_t flags = CATEGORIES | VMINSPECT_RETURN_FRAME | VMINSPECT_RETURN_NODE;
	struct vminspect_scan scan = region_scan(self);

	/* Nothing for which the page is read: entries are read as runs then. */
	if (random_next(state) % 2)
		flags &= ~(VMINSPECT_PAGE_FROM_PAGE | VMINSPECT_RETURN_NODE);
	if (random_next(state) % 2)	/* otherwise the whole region */
		scan = region_scan_pages(self, first < last ? first : last,
					 (first < last ? last - first : first - last) + 1);
	scan.flags = flags_of_scans[random_next(state) % ARRAY_LEN(flags_of_scans)];
	scan.category_inverted = random_subset(state, flags & CATEGORIES, 1);
	scan.category_mask = random_subset(state, flags & CATEGORIES, 5);
	if (random_next(state) % 2)
		scan.category_anyof_mask = random_subset(state, flags & CATEGORIES, 3);
	scan.return_mask = random_subset(state, flags & ~VMINSPECT_CAT_STATES, 1);
	scan.split_mask = random_subset(state, scan.return_mask & VMINSPECT_PAGE_FLAGS, 2);
	if (scan.flags & VMINSPECT_SCAN_PACKED) {	/* a kind has one set of flags */
		scan.split_mask = scan.return_mask & VMINSPECT_PAGE_FLAGS;
		scan.nr_kinds = random_next(state) % 2 ? 1 + random_next(state) % 4 : 0;
	}
	return scan;
}

static void scan_print(const struct vminspect_scan *scan)
{
	fprintf(stderr, "#   flags %x inverted %" PRIx64 " all %" PRIx64 " any %" PRIx64
		" return %" PRIx64 " split %" PRIx64 "\n", scan->flags,
		(uint64_t)scan->category_inverted, (uint64_t)scan->category_mask,
		(uint64_t)scan->category_anyof_mask, (uint64_t)scan->return_mask,
		(uint64_t)scan->split_mask);
}

TEST_F_TIMEOUT(region, any_masks_give_what_our_own_computation_does, 120)
{
	uint64_t state = 0x1234567890abcdef;
	int round, found = 0;

	for (round = 0; round < 1000; round++) {
		struct vminspect_scan scan = random_scan(self, &state);
		struct extents want = model_scan(&scan, (uintptr_t)self->base, self->entries);

		found += want.nr > 2;
		extents_free(&want);
		ASSERT_TRUE(region_agrees(self, &scan)) {
			scan_print(&scan);
		}
	}
	EXPECT_GT(found, 200);
}

TEST_F_TIMEOUT(region, any_size_of_the_array_gives_the_same, 120)
{
	static const uint32_t sizes[] = { 1, 2, 3, 5, 17, 203, 204, 205, 206, 1000 };
	uint64_t state = 0xfedcba0987654321;
	struct extents want, got;
	size_t i;

	for (i = 0; i < 10 * ARRAY_LEN(sizes); i++) {
		struct vminspect_scan scan = random_scan(self, &state);

		if (i < ARRAY_LEN(sizes))	/* and everything, at least once */
			scan = region_scan(self);
		want = model_scan(&scan, (uintptr_t)self->base, self->entries);
		ASSERT_GE(scan_all(self->device, &scan, sizes[i % ARRAY_LEN(sizes)], &got), 0);
		ASSERT_TRUE(extents_equal(&want, &got)) {
			scan_print(&scan);
			extents_print_difference(&want, &got);
		}
		extents_free(&want);
		extents_free(&got);
	}
}

TEST_F(region, an_array_that_fits_exactly_is_done_in_one_call)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents all, some;

	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &all));
	ASSERT_GT(all.nr, 20);
	EXPECT_EQ(0, scan_whole(self->device, &scan, all.nr, &some));
	EXPECT_TRUE(extents_equal(&all, &some));

	/* One less: the last one is left, and found by the next call. */
	ASSERT_EQ(0, scan_once(self->device, &scan, some.list, all.nr - 1));
	EXPECT_EQ(all.nr - 1, scan.nr_filled);
	EXPECT_EQ(all.list[all.nr - 1].start, scan.resume);
	scan.start = scan.resume;
	ASSERT_EQ(0, scan_once(self->device, &scan, some.list, 1));
	EXPECT_EQ(1, scan.nr_filled);
	EXPECT_EQ(scan.end, scan.resume);
	EXPECT_EQ(0, memcmp(&all.list[all.nr - 1], some.list, sizeof(*some.list)));
	extents_free(&all);
	extents_free(&some);
}

TEST_F(region, nothing_is_written_behind_what_was_filled)
{
	struct vminspect_extent extents[64], untouched;
	struct vminspect_scan scan = region_scan_pages(self, SECOND_AT, 16);
	uint32_t i;

	memset(extents, 0x5a, sizeof(extents));
	untouched = extents[0];
	ASSERT_EQ(0, scan_once(self->device, &scan, extents, ARRAY_LEN(extents)));
	ASSERT_EQ(16, scan.nr_filled);
	for (i = scan.nr_filled; i < ARRAY_LEN(extents); i++)
		EXPECT_EQ(0, memcmp(&untouched, &extents[i], sizeof(untouched)));
}

TEST_F(region, the_whole_space_is_covered_without_gap_or_overlap)
{
	struct vminspect_info info;
	struct vminspect_scan scan = { .return_mask = RETURN_ALL };
	struct extents got;
	size_t i;

	ASSERT_EQ(0, device_info(self->device, &info));
	scan.end = info.va_end;
	ASSERT_GT(scan_all(self->device, &scan, 100, &got), 0);
	EXPECT_EQ(0, got.list[0].start);
	EXPECT_EQ(info.va_end, got.list[got.nr - 1].end);
	for (i = 0; i < got.nr; i++) {
		EXPECT_LT(got.list[i].start, got.list[i].end);
		EXPECT_EQ(0, got.list[i].reserved);
		if (i)
			EXPECT_EQ(got.list[i - 1].end, got.list[i].start);
	}
	extents_free(&got);
}

/* A range may begin and end anywhere in a huge page, and has the frames of that part. */
TEST_F(region, extents_are_clipped_inside_a_huge_page)
{
	static const size_t cuts[][2] = {
		{ 0, 1 }, { 0, 512 }, { 1, 2 }, { 1, 511 }, { 100, 300 }, { 511, 512 },
		{ 256, 512 },
	};
	struct vminspect_extent extent[2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cuts); i++) {
		struct vminspect_scan scan = region_scan_pages(self, HUGE_AT + cuts[i][0],
							       cuts[i][1] - cuts[i][0]);
		uint64_t seen = pagemap_entry(self->pagemap, page_at(self, cuts[i][0]));

		ASSERT_EQ(0, scan_once(self->device, &scan, extent, 2));
		ASSERT_EQ(1, scan.nr_filled);
		EXPECT_EQ(scan.start, extent[0].start);
		EXPECT_EQ(scan.end, extent[0].end);
		EXPECT_EQ(seen & PM_PFN_MASK, extent[0].frame);
		EXPECT_EQ(21, extent[0].page_shift);
	}
}

/*
 * Which pages are selected: each category by itself, counted against pagemap.
 */
static size_t extents_pages(const struct extents *extents)
{
	size_t i, pages = 0;

	for (i = 0; i < extents->nr; i++)
		pages += (extents->list[i].end - extents->list[i].start) / SZ_4K;
	return pages;
}

static size_t region_count(struct _test_data_region *self, struct vminspect_scan scan)
{
	struct extents got;
	size_t pages;

	if (scan_whole(self->device, &scan, NR_PAGES, &got))
		return SIZE_MAX;
	pages = extents_pages(&got);
	extents_free(&got);
	return pages;
}

/* In how many pages of the region does pagemap have all bits of @set and none of @clear? */
static size_t pagemap_count(struct _test_data_region *self, uint64_t set, uint64_t clear)
{
	uint64_t seen[NR_PAGES];
	size_t i, pages = 0;

	if (pagemap_read(self->pagemap, (uintptr_t)self->base, seen, NR_PAGES))
		return SIZE_MAX - 1;
	for (i = 0; i < NR_PAGES; i++)
		pages += (seen[i] & set) == set && !(seen[i] & clear);
	return pages;
}

TEST_F(region, a_page_is_selected_if_it_has_all_that_is_asked_for)
{
	struct vminspect_scan scan = region_scan(self);

	EXPECT_EQ(NR_PAGES, region_count(self, scan));
	scan.category_mask = CAT_PRESENT;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT, 0), region_count(self, scan));
	scan.category_mask = CAT_SWAPPED;
	EXPECT_EQ(pagemap_count(self, PM_SWAP, 0), region_count(self, scan));
	scan.category_mask = CAT_SWAPPED | CAT_PRESENT;
	EXPECT_EQ(0, region_count(self, scan));
	scan.category_mask = CAT_PRESENT | VMINSPECT_PAGE_SOFT_DIRTY;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT | PM_SOFT_DIRTY, 0), region_count(self, scan));
	scan.category_mask = CAT_PRESENT | VMINSPECT_PAGE_MAPPED_ONCE;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT | PM_MMAP_EXCLUSIVE, 0),
		  region_count(self, scan));
	scan.category_mask = CAT_UNMAPPED;
	EXPECT_EQ(256 + 16, region_count(self, scan));
	scan.category_mask = VMINSPECT_PAGE_HUGE;
	EXPECT_EQ(512, region_count(self, scan));
}

TEST_F(region, a_page_is_selected_if_it_has_any_that_is_asked_for)
{
	struct vminspect_scan scan = region_scan(self);
	size_t either = pagemap_count(self, PM_PRESENT, 0) + pagemap_count(self, PM_SWAP, 0);

	scan.category_anyof_mask = CAT_PRESENT | CAT_SWAPPED;
	EXPECT_EQ(either, region_count(self, scan));
	scan.category_anyof_mask = VMINSPECT_PAGE_SOFT_DIRTY | CAT_SWAPPED;
	EXPECT_EQ(pagemap_count(self, PM_SOFT_DIRTY, PM_SWAP) + pagemap_count(self, PM_SWAP, 0),
		  region_count(self, scan));
	scan.category_anyof_mask = CAT_PRESENT | CAT_SWAPPED;
	scan.category_mask = VMINSPECT_PAGE_SOFT_DIRTY;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT | PM_SOFT_DIRTY, 0) +
		  pagemap_count(self, PM_SWAP | PM_SOFT_DIRTY, 0), region_count(self, scan));
}

TEST_F(region, an_inverted_category_selects_the_others)
{
	struct vminspect_scan scan = region_scan(self);

	scan.category_inverted = CAT_PRESENT;
	EXPECT_EQ(NR_PAGES, region_count(self, scan));	/* nothing is asked for */
	scan.category_mask = CAT_PRESENT;
	EXPECT_EQ(pagemap_count(self, 0, PM_PRESENT), region_count(self, scan));
	scan.category_mask = 0;
	scan.category_anyof_mask = CAT_PRESENT;
	EXPECT_EQ(pagemap_count(self, 0, PM_PRESENT), region_count(self, scan));
	scan.category_inverted = VMINSPECT_PAGE_SOFT_DIRTY;
	scan.category_anyof_mask = 0;
	scan.category_mask = CAT_PRESENT | VMINSPECT_PAGE_SOFT_DIRTY;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT, PM_SOFT_DIRTY), region_count(self, scan));
	scan.category_inverted = CAT_NONE | CAT_UNMAPPED;
	scan.category_mask = CAT_NONE | CAT_UNMAPPED;
	EXPECT_EQ(pagemap_count(self, PM_PRESENT, 0) + pagemap_count(self, PM_SWAP, 0),
		  region_count(self, scan));
}

/* What the page behind an entry tells selects, though it is not returned. */
TEST_F(region, what_selects_need_not_be_returned)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents got;
	size_t i;

	scan.category_mask = CAT_PRESENT | VMINSPECT_PAGE_FILE;
	scan.return_mask = 0;
	scan.split_mask = 0;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(16 + 16 + 8, extents_pages(&got));
	for (i = 0; i < got.nr; i++) {
		EXPECT_EQ(0, got.list[i].flags);
		EXPECT_EQ(0, got.list[i].mixed);
		EXPECT_EQ(0, got.list[i].frame);
		EXPECT_EQ(-1, got.list[i].node);
	}
	extents_free(&got);
}

TEST_F(region, nothing_is_returned_that_was_not_asked_for)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents got;
	unsigned int bit;
	size_t i;

	scan.split_mask = 0;
	for (bit = 0; bit < VMINSPECT_NR_PAGE_FLAGS; bit++) {
		scan.return_mask = 1ULL << bit;
		ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
		for (i = 0; i < got.nr; i++) {
			EXPECT_EQ(0, (got.list[i].flags | got.list[i].mixed) & ~(1U << bit));
			EXPECT_EQ(0, got.list[i].frame);
			EXPECT_EQ(0, got.list[i].swap_type);
			EXPECT_EQ(-1, got.list[i].node);
		}
		extents_free(&got);
	}
}

/*
 * What splits a run. The stripes are 16 mappings of a page each, in turn with WRITE.
 */
TEST_F(region, a_flag_in_the_split_mask_splits_and_another_is_mixed)
{
	struct vminspect_scan scan = region_scan_pages(self, STRIPES_AT, 16);
	struct extents got;

	scan.return_mask = VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_USER;
	scan.split_mask = VMINSPECT_PAGE_WRITE;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(16, got.nr);
	extents_free(&got);

	scan.split_mask = VMINSPECT_PAGE_USER;	/* all have it */
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	ASSERT_EQ(1, got.nr);
	EXPECT_EQ(VMINSPECT_PAGE_USER, got.list[0].flags);
	EXPECT_EQ(VMINSPECT_PAGE_WRITE, got.list[0].mixed);
	extents_free(&got);

	scan.return_mask = VMINSPECT_PAGE_USER;	/* nor mixed, if not asked for */
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	ASSERT_EQ(1, got.nr);
	EXPECT_EQ(0, got.list[0].mixed);
	extents_free(&got);
}

TEST_F(region, a_mixed_flag_stays_mixed_however_the_run_goes_on)
{
	struct vminspect_scan scan = region_scan_pages(self, SOFT_AT, 16);
	struct extents got;

	scan.return_mask = VMINSPECT_PAGE_SOFT_DIRTY;
	scan.split_mask = 0;
	for (; scan.start < scan.end; scan.start += SZ_4K) {
		ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
		ASSERT_EQ(1, got.nr);
		if (scan.end - scan.start > SZ_4K) {
			EXPECT_EQ(0, got.list[0].flags);
			EXPECT_EQ(VMINSPECT_PAGE_SOFT_DIRTY, got.list[0].mixed);
		} else {
			EXPECT_EQ(0, got.list[0].mixed);
		}
		extents_free(&got);
	}
}

TEST_F(region, frames_split_a_run_only_if_they_are_returned)
{
	struct vminspect_scan scan = region_scan_pages(self, SAME_AT, 16);
	struct extents got;

	scan.split_mask = 0;
	scan.return_mask = VMINSPECT_RETURN_FRAME;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(16, got.nr);
	extents_free(&got);
	scan.return_mask = 0;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(1, got.nr);
	extents_free(&got);
}

TEST_F(region, a_run_goes_on_across_mappings_and_ends_at_gaps)
{
	struct vminspect_scan scan = region_scan_pages(self, GAP_AT - 16, 48);
	struct extents got;

	scan.return_mask = 0;
	scan.split_mask = 0;
	scan.category_mask = CAT_PRESENT;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	ASSERT_EQ(2, got.nr);
	EXPECT_EQ((uintptr_t)page_at(self, GAP_AT), got.list[0].end);
	EXPECT_EQ((uintptr_t)page_at(self, GAP_AT + 16), got.list[1].start);
	extents_free(&got);

	scan = region_scan_pages(self, SHARED_AT, 32);	/* two files' mappings */
	scan.return_mask = 0;
	scan.split_mask = 0;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(1, got.nr);
	extents_free(&got);
}

/*
 * All zero pages are one frame. A caller that asked for the flag knows; from one that did not
 * each is kept apart, since it would take the frames for consecutive ones.
 */
TEST_F(region, zero_pages_are_never_taken_for_consecutive_frames)
{
	struct vminspect_scan scan = region_scan_pages(self, ZERO_AT, 16);
	uint64_t zero = pagemap_entry(self->pagemap, page_at(self, ZERO_AT)) & PM_PFN_MASK;
	struct extents got;
	size_t i;

	scan.split_mask = 0;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	ASSERT_EQ(1, got.nr);
	EXPECT_EQ(zero, got.list[0].frame);
	EXPECT_TRUE(got.list[0].flags & VMINSPECT_PAGE_ZERO);
	extents_free(&got);

	scan.return_mask &= ~VMINSPECT_PAGE_ZERO;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	ASSERT_EQ(16, got.nr);
	for (i = 0; i < got.nr; i++)
		EXPECT_EQ(zero, got.list[i].frame);
	extents_free(&got);
}

/*
 * NUMA nodes, which move_pages(2) tells.
 */
static bool numa_spread(struct _test_data_region *self)
{
	void *even[8], *odd[8];
	int i;

	for (i = 0; i < 8; i++) {
		even[i] = page_at(self, WRITTEN_AT + 2 * i);
		odd[i] = page_at(self, WRITTEN_AT + 2 * i + 1);
	}
	return !move_pages_to(even, 8, 1) && !move_pages_to(odd, 8, 0);
}

TEST_F(region, the_node_is_returned_if_asked_for)
{
	struct vminspect_scan scan = region_scan(self);
	struct extents got;
	size_t i;

	numa_spread(self);	/* where there is another node */
	scan.flags = VMINSPECT_SCAN_PAGES;
	scan.return_mask |= VMINSPECT_RETURN_NODE;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	for (i = 0; i < got.nr; i++) {
		const struct vminspect_extent *page = &got.list[i];

		/* move_pages(2) can't tell of these. */
		if (page->flags & (VMINSPECT_PAGE_ZERO | VMINSPECT_PAGE_PROTNONE))
			continue;
		EXPECT_EQ(page->state == VMINSPECT_STATE_PRESENT ?
			  page_node((void *)(uintptr_t)page->start) : -1, page->node);
	}
	extents_free(&got);
}

TEST_F(region, runs_are_split_by_node_if_nodes_are_returned)
{
	struct vminspect_scan scan = region_scan_pages(self, WRITTEN_AT, 16);
	struct extents got;

	if (!numa_spread(self))
		SKIP(return, "this machine has one NUMA node");
	scan.split_mask = 0;
	scan.return_mask = VMINSPECT_RETURN_NODE;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(16, got.nr);
	extents_free(&got);
	scan.return_mask = 0;
	ASSERT_EQ(0, scan_whole(self->device, &scan, NR_PAGES, &got));
	EXPECT_EQ(1, got.nr);
	EXPECT_EQ(-1, got.list[0].node);
	extents_free(&got);
}

/*
 * Ranges of many entries, which no single hold of the lock covers: a run stays one.
 */
#define MANY_PAGES	16384UL
#define MANY_SIZE	(MANY_PAGES * SZ_4K)

FIXTURE(many)
{
	int device;
	int pagemap;
	char *map;
};

FIXTURE_SETUP(many)
{
	self->device = device_bound(getpid());
	ASSERT_GE(self->device, 0);
	self->pagemap = pagemap_open(getpid());
	self->map = map_aligned(MANY_SIZE, SZ_2M);
	ASSERT_NE(NULL, self->map);
	ASSERT_EQ(0, madvise(self->map, MANY_SIZE, MADV_NOHUGEPAGE));
}

FIXTURE_TEARDOWN(many)
{
	munmap(self->map, MANY_SIZE);
	close(self->pagemap);
	close(self->device);
}

/* One call, one run? Then what it is. */
static bool many_is_one(struct _test_data_many *self, struct vminspect_extent *run)
{
	struct vminspect_scan scan = scan_of(self->map, MANY_SIZE);
	struct vminspect_extent extents[8];

	if (scan_once(self->device, &scan, extents, 8))
		return false;
	*run = extents[0];
	return scan.nr_filled == 1 && scan.resume == scan.end && run->start == scan.start &&
	       run->end == scan.end && !run->mixed;
}

/* The tables stay when pages are discarded: each empty entry is read. */
TEST_F(many, discarded_pages_are_one_run_of_none)
{
	struct vminspect_extent run;

	touch(self->map, MANY_SIZE);
	ASSERT_EQ(0, madvise(self->map, MANY_SIZE, MADV_DONTNEED));
	ASSERT_TRUE(many_is_one(self, &run));
	EXPECT_EQ(VMINSPECT_STATE_NONE, run.state);
	EXPECT_EQ(0, run.frame);
	EXPECT_EQ(12, run.page_shift);
}

TEST_F(many, zero_pages_are_one_run)
{
	struct vminspect_extent run;

	touch(self->map, MANY_SIZE);
	ASSERT_TRUE(many_is_one(self, &run));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, run.state);
	EXPECT_TRUE(run.flags & VMINSPECT_PAGE_ZERO);
	EXPECT_EQ(pagemap_entry(self->pagemap, self->map) & PM_PFN_MASK, run.frame);
}

TEST_F(many, mappings_without_a_page_are_one_run_of_none)
{
	struct vminspect_extent run;
	size_t at;

	for (at = 0; at < MANY_SIZE; at += 4 * SZ_4K)	/* 4096 * 2 mappings */
		ASSERT_EQ(0, mprotect(self->map + at, 2 * SZ_4K, PROT_READ));
	ASSERT_TRUE(many_is_one(self, &run));
	EXPECT_EQ(VMINSPECT_STATE_NONE, run.state);
}

/*
 * Memory where there is none: it is mapped but never touched, so its frames are the offset
 * that was mapped. No page stands behind them.
 */
TEST_F(many, consecutive_frames_are_one_run)
{
	uint64_t pa = 1ULL << 37;
	struct vminspect_extent run;
	int mem = open("/dev/mem", O_RDWR | O_CLOEXEC);

	if (mem < 0 || mmap(self->map, MANY_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, mem, pa) ==
	    MAP_FAILED)
		SKIP(return, "/dev/mem can't be mapped here");
	ASSERT_TRUE(many_is_one(self, &run));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, run.state);
	EXPECT_EQ(pa / SZ_4K, run.frame);
	EXPECT_TRUE(run.flags & VMINSPECT_PAGE_SPECIAL);
	EXPECT_FALSE(run.flags & VMINSPECT_PAGE_ZERO);
}

/* 16 GiB of it: more entries of the level above than one hold covers, too. */
TEST_F(many, huge_zero_pages_are_one_run_and_so_are_discarded_ones)
{
	size_t at, size = 16 * SZ_1G;
	struct vminspect_scan scan;
	struct vminspect_extent extents[8];
	char *map = mmap(NULL, size + SZ_2M, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)map);
	map = (char *)(((uintptr_t)map + SZ_2M - 1) & ~(SZ_2M - 1));
	if (madvise(map, size, MADV_HUGEPAGE))
		SKIP(return, "there are no transparent huge pages");
	for (at = 0; at < size; at += SZ_2M)
		touch(map + at, 1);
	scan = scan_of(map, size);
	ASSERT_EQ(0, scan_once(self->device, &scan, extents, 8));
	ASSERT_EQ(1, scan.nr_filled);
	EXPECT_EQ(scan.end, scan.resume);
	EXPECT_EQ(21, extents[0].page_shift);
	EXPECT_TRUE(extents[0].flags & VMINSPECT_PAGE_ZERO);
	EXPECT_EQ(pagemap_entry(self->pagemap, map) & PM_PFN_MASK, extents[0].frame);

	/* Their entries are empty then, and each of them is read. */
	ASSERT_EQ(0, madvise(map, size, MADV_DONTNEED));
	ASSERT_EQ(0, scan_once(self->device, &scan, extents, 8));
	ASSERT_EQ(1, scan.nr_filled);
	EXPECT_EQ(scan.end, scan.resume);
	EXPECT_EQ(VMINSPECT_STATE_NONE, extents[0].state);
	munmap(map, size);
}

/* Does a scan of @nr pages agree with pagemap and our computation? */
static bool many_agrees(struct _test_data_many *self, const char *map, size_t nr, uint8_t shift)
{
	struct vminspect_entry *entries = calloc(nr, sizeof(*entries));
	struct vminspect_scan scan = scan_of(map, nr * SZ_4K);
	struct extents want = { 0 }, got = { 0 };
	bool agrees = false;

	if (!entries_read(self->device, self->pagemap, map, nr, entries)) {
		want = model_scan(&scan, (uintptr_t)map, entries);
		agrees = !scan_whole(self->device, &scan, nr, &got) &&
			 extents_equal(&want, &got) && got.list[0].page_shift == shift;
		if (!agrees)
			extents_print_difference(&want, &got);
	}
	extents_free(&want);
	extents_free(&got);
	free(entries);
	return agrees;
}

TEST_F_TIMEOUT(many, written_pages_are_in_the_runs_that_pagemap_gives, 120)
{
	size_t at;

	memset(self->map, 1, MANY_SIZE);
	EXPECT_TRUE(many_agrees(self, self->map, MANY_PAGES, 12));
	for (at = 0; at < MANY_SIZE; at += 7 * SZ_4K)
		madvise(self->map + at, SZ_4K, MADV_DONTNEED);
	EXPECT_TRUE(many_agrees(self, self->map, MANY_PAGES, 12));
}

TEST_F_TIMEOUT(many, huge_pages_are_in_the_runs_that_pagemap_gives, 120)
{
	char *map = map_huge(MANY_SIZE);

	if (!map)
		SKIP(return, "there are no transparent huge pages");
	memset(map, 1, MANY_SIZE);
	EXPECT_TRUE(many_agrees(self, map, MANY_PAGES, 21));
	munmap(map, MANY_SIZE);
}

TEST_F_TIMEOUT(many, pages_of_a_huge_file_are_in_the_runs_that_pagemap_gives, 120)
{
	char *map;

	if (hugetlb_reserve(SZ_2M, 32))
		SKIP(return, "there are no huge pages");
	map = map_hugetlb(32 * SZ_2M, SZ_2M, MAP_SHARED);
	ASSERT_NE(NULL, map);
	memset(map, 1, 32 * SZ_2M);
	EXPECT_TRUE(many_agrees(self, map, 32 * 512, 21));
	munmap(map, 32 * SZ_2M);
}

/* More runs than the module collects at a time come with one call. */
TEST_F_TIMEOUT(many, runs_come_with_one_call, 60)
{
	struct vminspect_scan scan = scan_of(self->map, MANY_SIZE);
	struct extents got;
	size_t at;

	for (at = 0; at < MANY_SIZE; at += 2 * SZ_4K)
		touch(self->map + at, 1);
	ASSERT_EQ(0, scan_whole(self->device, &scan, MANY_PAGES, &got));
	ASSERT_EQ(MANY_PAGES, got.nr);
	for (at = 0; at < MANY_PAGES; at++) {
		EXPECT_EQ(scan.start + at * SZ_4K, got.list[at].start);
		EXPECT_EQ(at % 2 ? VMINSPECT_STATE_NONE : VMINSPECT_STATE_PRESENT,
			  got.list[at].state);
	}
	extents_free(&got);
}

/* A terabyte of addresses; what counts is what was touched. */
#define SPARSE_SIZE	(1024 * SZ_1G)
#define SPARSE_PAGES	64

TEST_F(many, a_sparse_terabyte_takes_one_call)
{
	struct vminspect_extent extents[2 * SPARSE_PAGES + 1];
	uint64_t random = 0x1234567890abcdef, seen;
	struct vminspect_scan scan;
	unsigned int i;
	char *map = mmap(NULL, SPARSE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_EQ(0, madvise(map, SPARSE_SIZE, MADV_NOHUGEPAGE));
	/* One in each 16 GiB, with something before and after it. */
	for (i = 0; i < SPARSE_PAGES; i++) {
		size_t page = 1 + random_next(&random) % (16 * SZ_1G / SZ_4K - 2);

		map[16 * SZ_1G * i + page * SZ_4K] = 1;
	}
	scan = scan_of(map, SPARSE_SIZE);
	ASSERT_EQ(0, scan_once(self->device, &scan, extents, ARRAY_LEN(extents)));
	EXPECT_EQ(scan.end, scan.resume);
	ASSERT_EQ(2 * SPARSE_PAGES + 1, scan.nr_filled);
	for (i = 0; i < SPARSE_PAGES; i++) {
		const struct vminspect_extent *page = &extents[2 * i + 1];

		seen = pagemap_entry(self->pagemap, (void *)(uintptr_t)page->start);
		EXPECT_EQ(VMINSPECT_STATE_NONE, extents[2 * i].state);
		EXPECT_EQ(VMINSPECT_STATE_PRESENT, page->state);
		EXPECT_EQ(page->start + SZ_4K, page->end);
		EXPECT_EQ(seen & PM_PFN_MASK, page->frame);
	}
	munmap(map, SPARSE_SIZE);
}

/*
 * The caller's array.
 */
FIXTURE(array)
{
	int device;
	char *map;		/* scanned: every second page of it is there */
	struct vminspect_scan scan;
	char *array;		/* four pages for extents, nothing behind */
};

#define ARRAY_PAGES	8	/* more than one batch fills */
#define ARRAY_SIZE_BYTES	(ARRAY_PAGES * SZ_4K)
#define ARRAY_EXTENTS	(ARRAY_SIZE_BYTES / sizeof(struct vminspect_extent))
#define ARRAY_RANGE	(MANY_SIZE / 4)

static void second_touch(char *map, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += 2 * SZ_4K)
		touch(map + at, 1);
}

FIXTURE_SETUP(array)
{
	self->device = device_bound(getpid());
	ASSERT_GE(self->device, 0);
	self->map = map_aligned(ARRAY_RANGE, SZ_2M);
	ASSERT_NE(NULL, self->map);
	madvise(self->map, ARRAY_RANGE, MADV_NOHUGEPAGE);
	second_touch(self->map, ARRAY_RANGE);
	self->array = map_anon(2 * ARRAY_SIZE_BYTES, PROT_READ | PROT_WRITE);
	ASSERT_EQ(0, munmap(self->array + ARRAY_SIZE_BYTES, ARRAY_SIZE_BYTES));
	self->scan = scan_of(self->map, ARRAY_RANGE);
	self->scan.size = sizeof(self->scan);
	self->scan.extent_size = sizeof(struct vminspect_extent);
	self->scan.extents = (uintptr_t)self->array;
	self->scan.nr_extents = ARRAY_EXTENTS;
	self->scan.resume = 0x1234;
	self->scan.nr_filled = 0x1234;
}

FIXTURE_TEARDOWN(array)
{
	munmap(self->map, ARRAY_RANGE);
	munmap(self->array, ARRAY_SIZE_BYTES);
	close(self->device);
}

/* EFAULT, and the structure stays as it was: nothing is reported as done. */
static bool array_faults(struct _test_data_array *self)
{
	struct vminspect_scan scan = self->scan;

	if (ioctl(self->device, VMINSPECT_IOC_SCAN, &scan) != -1 || errno != EFAULT)
		return false;
	return !memcmp(&scan, &self->scan, sizeof(scan));
}

TEST_F(array, is_written_if_it_can_be)
{
	EXPECT_EQ(0, ioctl(self->device, VMINSPECT_IOC_SCAN, &self->scan));
	EXPECT_EQ(ARRAY_EXTENTS, self->scan.nr_filled);
}

TEST_F(array, that_can_not_be_written_is_a_fault)
{
	static const uint64_t bad[] = { 0, 1ULL << 62, UINT64_MAX - 8, 0xffff888000000000 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		self->scan.extents = bad[i];
		EXPECT_TRUE(array_faults(self));
	}
	self->scan.extents = (uintptr_t)self->array + ARRAY_SIZE_BYTES;
	EXPECT_TRUE(array_faults(self));
	self->scan.extents = (uintptr_t)self->array;
	ASSERT_EQ(0, mprotect(self->array, ARRAY_SIZE_BYTES, PROT_READ));
	EXPECT_TRUE(array_faults(self));
	ASSERT_EQ(0, mprotect(self->array, ARRAY_SIZE_BYTES, PROT_NONE));
	EXPECT_TRUE(array_faults(self));
}

TEST_F(array, that_is_there_in_part_only_is_a_fault)
{
	self->scan.nr_extents++;
	EXPECT_TRUE(array_faults(self));
	self->scan.extents += sizeof(struct vminspect_extent) - 1;
	self->scan.nr_extents--;
	EXPECT_TRUE(array_faults(self));
	self->scan.extents = (uintptr_t)self->array;
	self->scan.nr_extents = UINT32_MAX;
	EXPECT_TRUE(array_faults(self));
	self->scan.nr_extents = ARRAY_EXTENTS;
	ASSERT_EQ(0, mprotect(self->array + ARRAY_SIZE_BYTES - SZ_4K, SZ_4K, PROT_READ));
	EXPECT_TRUE(array_faults(self));
}

/* It may claim to be longer than it is, if what is found fits. */
TEST_F(array, is_not_touched_where_nothing_is_put)
{
	self->scan.end = self->scan.start + 32 * SZ_4K;
	self->scan.nr_extents = UINT32_MAX;
	EXPECT_EQ(0, ioctl(self->device, VMINSPECT_IOC_SCAN, &self->scan));
	EXPECT_EQ(32, self->scan.nr_filled);
}

/* The array is part of what is scanned, and comes into being by being written. */
TEST_F(array, may_lie_in_the_scanned_range)
{
	struct vminspect_extent *extents = (void *)self->array;
	uint32_t i;

	self->scan.start = (uintptr_t)self->array - SZ_4K;
	self->scan.end = (uintptr_t)self->array + ARRAY_SIZE_BYTES + SZ_4K;
	ASSERT_EQ(0, ioctl(self->device, VMINSPECT_IOC_SCAN, &self->scan));
	EXPECT_EQ(self->scan.end, self->scan.resume);
	ASSERT_GT(self->scan.nr_filled, 1);
	EXPECT_EQ(self->scan.start, extents[0].start);
	EXPECT_EQ(self->scan.end, extents[self->scan.nr_filled - 1].end);
	for (i = 1; i < self->scan.nr_filled; i++)
		EXPECT_EQ(extents[i - 1].end, extents[i].start);
}

/* The same with a huge page, whose mapping the walk holds by other locks as well. */
TEST_F(array, may_lie_in_a_huge_page_that_is_scanned)
{
	struct vminspect_extent *extents;

	if (hugetlb_reserve(SZ_2M, 1))
		SKIP(return, "there are no huge pages");
	extents = map_hugetlb(SZ_2M, SZ_2M, MAP_SHARED);
	ASSERT_NE(NULL, extents);
	self->scan = scan_of(extents, SZ_2M);
	ASSERT_EQ(0, scan_once(self->device, &self->scan, extents, 100));
	ASSERT_EQ(1, self->scan.nr_filled);
	EXPECT_EQ(VMINSPECT_STATE_NONE, extents[0].state);
	ASSERT_EQ(0, scan_once(self->device, &self->scan, extents, 100));
	ASSERT_EQ(1, self->scan.nr_filled);
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, extents[0].state);
	EXPECT_TRUE(extents[0].flags & VMINSPECT_PAGE_HUGETLB);
	munmap(extents, SZ_2M);
}

struct coming_and_going {
	char *array;
	bool stop;
};

static void *come_and_go(void *arg)
{
	struct coming_and_going *array = arg;
	int i;

	while (!__atomic_load_n(&array->stop, __ATOMIC_RELAXED)) {
		munmap(array->array, ARRAY_SIZE_BYTES);
		for (i = 0; i < 1000; i++)
			asm volatile("" ::: "memory");
		mmap(array->array, ARRAY_SIZE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	return NULL;
}

TEST_F_TIMEOUT(array, may_come_and_go_meanwhile, 120)
{
	struct coming_and_going array = { .array = self->array };
	struct vminspect_scan scan;
	pthread_t thread;
	int round, ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, come_and_go, &array));
	for (round = 0; round < 500; round++) {
		scan = self->scan;
		ret = ioctl(self->device, VMINSPECT_IOC_SCAN, &scan);
		if (!ret) {
			EXPECT_EQ(ARRAY_EXTENTS, scan.nr_filled);
			continue;
		}
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(0, memcmp(&scan, &self->scan, sizeof(scan)));
	}
	__atomic_store_n(&array.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/*
 * Arrays whose pages somebody else has to provide, by userfaultfd: the call sleeps in the
 * middle. Whoever provides them must not find anything locked, nor anything kept.
 */
struct caller {
	pthread_t thread;
	int device;
	unsigned int cmd;
	void *argument;
	int ret;
	int finished;	/* eventfd */
};

static void *caller_run(void *arg)
{
	struct caller *caller = arg;
	uint64_t one = 1;

	caller->ret = ioctl(caller->device, caller->cmd, caller->argument) ? -errno : 0;
	return write(caller->finished, &one, sizeof(one)) == sizeof(one) ? NULL : caller;
}

static int caller_start(struct caller *caller, int device, unsigned int cmd, void *argument)
{
	*caller = (struct caller){ .device = device, .cmd = cmd, .argument = argument };
	caller->finished = eventfd(0, EFD_CLOEXEC);
	return pthread_create(&caller->thread, NULL, caller_run, caller);
}

static int uffd_watch(void *start, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register watch = {
		.range = { (uintptr_t)start, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);	/* for poll */

	if (uffd < 0)
		return -errno;
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &watch)) {
		close(uffd);
		return -ENODEV;
	}
	return uffd;
}

/* Wait until the call needs a page, and say which, or until it is done: false. */
static bool caller_sleeps(struct caller *caller, int uffd, uint64_t *page)
{
	struct pollfd events[2] = {
		{ .fd = uffd, .events = POLLIN }, { .fd = caller->finished, .events = POLLIN },
	};
	struct uffd_msg message;

	do {
		poll(events, 2, -1);
		/* A sleeper whom a signal woke is not there any more, but will be again. */
		if (read(uffd, &message, sizeof(message)) == sizeof(message)) {
			*page = message.arg.pagefault.address & ~(SZ_4K - 1);
			return true;
		}
	} while (!(events[1].revents & POLLIN));
	return false;
}

static void uffd_provide(int uffd, uint64_t page, const void *content)
{
	static const char zeroes[SZ_4K];
	struct uffdio_copy copy = {
		.dst = page, .src = (uintptr_t)(content ?: zeroes), .len = SZ_4K,
	};

	ioctl(uffd, UFFDIO_COPY, &copy);
}

/* Provide @page and all that follow, until the call is done. */
static int caller_finish(struct caller *caller, int uffd, uint64_t page, const void *content)
{
	do {
		uffd_provide(uffd, page, content);
	} while (caller_sleeps(caller, uffd, &page));
	pthread_join(caller->thread, NULL);
	close(caller->finished);
	return caller->ret;
}

/* Needs the lock of our own address space, which is the one that is looked at. */
static void change_mappings(void)
{
	void *map = map_anon(SZ_4K, PROT_READ);

	munmap(map, SZ_4K);
}

TEST_F(array, that_makes_a_scan_sleep_finds_the_target_unlocked)
{
	int uffd = uffd_watch(self->array, ARRAY_SIZE_BYTES);
	struct caller caller;
	uint64_t page;

	if (uffd < 0)
		SKIP(return, "no userfaultfd for the kernel's own accesses");
	ASSERT_EQ(0, caller_start(&caller, self->device, VMINSPECT_IOC_SCAN, &self->scan));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	change_mappings();
	EXPECT_EQ(0, caller_finish(&caller, uffd, page, NULL));
	EXPECT_EQ(ARRAY_EXTENTS, self->scan.nr_filled);
}

static struct vminspect_translate translate_of(const uint64_t *addresses,
					       struct vminspect_entry *entries, uint32_t nr)
{
	return (struct vminspect_translate){
		.size = sizeof(struct vminspect_translate),
		.addresses = (uintptr_t)addresses,
		.entries = (uintptr_t)entries,
		.nr = nr,
		.entry_size = sizeof(*entries),
		.return_mask = RETURN_ALL,
	};
}

TEST_F(array, that_makes_a_translation_sleep_finds_the_target_unlocked)
{
	int uffd = uffd_watch(self->array, ARRAY_SIZE_BYTES);
	static uint64_t addresses[SZ_4K / sizeof(uint64_t)];
	static struct vminspect_entry entries[ARRAY_LEN(addresses)];
	struct vminspect_translate translate;
	struct caller caller;
	uint64_t page;
	size_t i;

	if (uffd < 0)
		SKIP(return, "no userfaultfd for the kernel's own accesses");
	for (i = 0; i < ARRAY_LEN(addresses); i++)
		addresses[i] = (uintptr_t)self->map;

	/* First where the addresses are read, then where the entries are written. */
	translate = translate_of((void *)self->array, entries, ARRAY_LEN(addresses));
	ASSERT_EQ(0, caller_start(&caller, self->device, VMINSPECT_IOC_TRANSLATE, &translate));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	change_mappings();
	EXPECT_EQ(0, caller_finish(&caller, uffd, page, addresses));
	EXPECT_EQ(ARRAY_LEN(addresses), translate.nr_done);
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, entries[ARRAY_LEN(entries) - 1].state);

	translate = translate_of(addresses, (void *)(self->array + SZ_4K), 100);
	ASSERT_EQ(0, caller_start(&caller, self->device, VMINSPECT_IOC_TRANSLATE, &translate));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	change_mappings();
	EXPECT_EQ(0, caller_finish(&caller, uffd, page, NULL));
	EXPECT_EQ(100, translate.nr_done);
}

/* A target that maps and unmaps all the time and counts how often. */
static uint64_t *changes;

static void change_for_ever(void *map)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	second_touch(map, ARRAY_RANGE);
	for (;;) {
		change_mappings();
		__atomic_add_fetch(changes, 1, __ATOMIC_RELAXED);
	}
}

static void changes_await(unsigned int more)
{
	uint64_t now = __atomic_load_n(changes, __ATOMIC_RELAXED);

	while (__atomic_load_n(changes, __ATOMIC_RELAXED) < now + more)
		usleep(1000);
}

TEST_F(array, that_makes_a_scan_sleep_does_not_hold_up_another_process)
{
	int uffd = uffd_watch(self->array, ARRAY_SIZE_BYTES);
	struct caller caller;
	uint64_t page;
	pid_t pid;
	int device;

	if (uffd < 0)
		SKIP(return, "no userfaultfd for the kernel's own accesses");
	changes = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid)
		change_for_ever(self->map);
	ASSERT_GT(pid, 0);
	changes_await(10);
	device = device_bound(pid);
	ASSERT_GE(device, 0);
	ASSERT_EQ(0, caller_start(&caller, device, VMINSPECT_IOC_SCAN, &self->scan));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	changes_await(100);
	EXPECT_EQ(0, caller_finish(&caller, uffd, page, NULL));
	process_end(pid);
	close(device);
}

#define GONE_HUGE_PAGES	2

static void *gone_hugetlb;

/* A fork does not copy the tables of a mapping with zero pages only. */
static void gone_make(void *map)
{
	second_touch(map, ARRAY_RANGE);
	munmap(gone_hugetlb, GONE_HUGE_PAGES * SZ_2M);
	if (mmap(gone_hugetlb, GONE_HUGE_PAGES * SZ_2M, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED_NOREPLACE, -1, 0) ==
	    MAP_FAILED)
		_exit(1);
	memset(gone_hugetlb, 1, GONE_HUGE_PAGES * SZ_2M);
}

/* The kernel counts free huge pages exactly. */
TEST_F(array, that_makes_a_scan_sleep_does_not_keep_memory_of_a_target_that_is_gone)
{
	const char *counter = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	int uffd = uffd_watch(self->array, ARRAY_SIZE_BYTES), device;
	struct vminspect_scan before = self->scan;
	struct caller caller;
	uint64_t page;
	long free;
	pid_t pid;

	gone_hugetlb = map_aligned(GONE_HUGE_PAGES * SZ_2M, SZ_2M);
	if (uffd < 0 || hugetlb_reserve(SZ_2M, GONE_HUGE_PAGES))
		SKIP(return, "no userfaultfd for the kernel's own accesses, or no huge pages");
	free = read_number(counter);
	pid = child_stopped(gone_make, self->map);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(free - GONE_HUGE_PAGES, read_number(counter));
	device = device_bound(pid);
	ASSERT_GE(device, 0);

	ASSERT_EQ(0, caller_start(&caller, device, VMINSPECT_IOC_SCAN, &self->scan));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	process_end(pid);
	EXPECT_EQ(free, read_number(counter));
	EXPECT_EQ(-ESRCH, caller_finish(&caller, uffd, page, NULL));
	EXPECT_EQ(0, memcmp(&before, &self->scan, sizeof(before)));
}

/*
 * Signals.
 */
static int signals;

static void signal_count(int signal)
{
	(void)signal;
	__atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
}

static void signal_handle(int signal, int flags)
{
	struct sigaction action = { .sa_handler = signal_count, .sa_flags = flags };

	sigaction(signal, &action, NULL);
}

/* The signal comes while the call sleeps: it goes to the end of a batch, no further. */
TEST_F(array, a_signal_ends_a_scan_early_with_success)
{
	int uffd = uffd_watch(self->array, ARRAY_SIZE_BYTES);
	struct vminspect_extent *extents = (void *)self->array;
	struct caller caller;
	uint64_t page;
	uint32_t i;

	if (uffd < 0)
		SKIP(return, "no userfaultfd for the kernel's own accesses");
	signal_handle(SIGUSR1, 0);
	self->scan.nr_extents = ARRAY_EXTENTS;
	ASSERT_EQ(0, caller_start(&caller, self->device, VMINSPECT_IOC_SCAN, &self->scan));
	ASSERT_TRUE(caller_sleeps(&caller, uffd, &page));
	ASSERT_EQ(0, pthread_kill(caller.thread, SIGUSR1));
	EXPECT_EQ(0, caller_finish(&caller, uffd, page, NULL));
	EXPECT_EQ(1, __atomic_load_n(&signals, __ATOMIC_RELAXED));

	EXPECT_LT(self->scan.start, self->scan.resume);
	EXPECT_LT(self->scan.resume, self->scan.end);
	ASSERT_LT(self->scan.nr_filled, ARRAY_EXTENTS);
	ASSERT_EQ((self->scan.resume - self->scan.start) / SZ_4K, self->scan.nr_filled);
	for (i = 0; i < self->scan.nr_filled; i++)
		EXPECT_EQ(self->scan.start + i * SZ_4K, extents[i].start);
}

static void storm(unsigned int us)
{
	struct itimerval every = { .it_interval.tv_usec = us, .it_value.tv_usec = us };

	setitimer(ITIMER_REAL, &every, NULL);
}

/* Each call gets ahead, however often it is interrupted; what they find is the same. */
TEST_F_TIMEOUT(many, a_storm_of_signals_changes_nothing, 120)
{
	struct vminspect_scan scan = scan_of(self->map, MANY_SIZE);
	int calls, round, interrupted = 0;
	struct extents want, got;

	second_touch(self->map, MANY_SIZE);
	ASSERT_EQ(1, scan_all(self->device, &scan, MANY_PAGES, &want));
	signal_handle(SIGALRM, SA_RESTART);
	for (round = 0; round < 500 && interrupted < 20; round++) {
		storm(200);
		calls = scan_all(self->device, &scan, MANY_PAGES, &got);
		storm(0);
		ASSERT_GT(calls, 0);
		ASSERT_TRUE(extents_equal(&want, &got));
		extents_free(&got);
		interrupted += calls - 1;
	}
	EXPECT_GE(interrupted, 20);
	extents_free(&want);
}

/*
 * A call that would take minutes: two arrays that are large only in addresses, the same
 * file mapped again and again. The address is always 0, where nothing is.
 */
#define LONG_NR		(1UL << 28)
#define LONG_FILE	(8 * SZ_2M)

static void *map_repeatedly(int fd, size_t size)
{
	char *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t at;

	for (at = 0; map != MAP_FAILED && at < size; at += LONG_FILE)
		if (mmap(map + at, LONG_FILE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, 0) == MAP_FAILED)
			return NULL;
	return map == MAP_FAILED ? NULL : map;
}

static struct vminspect_translate translate_long(void)
{
	uint64_t *addresses = map_repeatedly(memfd(LONG_FILE, 0), LONG_NR * sizeof(*addresses));
	struct vminspect_entry *entries = map_repeatedly(memfd(LONG_FILE, 0),
							 LONG_NR * sizeof(*entries));

	return translate_of(addresses, entries, addresses && entries ? LONG_NR : 0);
}

/* It has begun when the first entry says that nothing is mapped there. */
static void long_await(const struct vminspect_translate *translate)
{
	const struct vminspect_entry *entry = (void *)(uintptr_t)translate->entries;

	while (__atomic_load_n(&entry->state, __ATOMIC_RELAXED) != VMINSPECT_STATE_UNMAPPED)
		usleep(1000);
}

TEST_F(array, a_signal_ends_a_long_translation_early_with_success)
{
	struct vminspect_translate translate = translate_long();
	struct caller caller;

	ASSERT_NE(0, translate.nr);
	signal_handle(SIGUSR1, SA_RESTART);
	ASSERT_EQ(0, caller_start(&caller, self->device, VMINSPECT_IOC_TRANSLATE, &translate));
	long_await(&translate);
	pthread_kill(caller.thread, SIGUSR1);
	pthread_join(caller.thread, NULL);
	EXPECT_EQ(0, caller.ret);
	EXPECT_EQ(1, __atomic_load_n(&signals, __ATOMIC_RELAXED));
	EXPECT_GT(translate.nr_done, 0);
	EXPECT_LT(translate.nr_done, translate.nr);
}

TEST_F(array, a_fatal_signal_ends_a_long_translation)
{
	struct vminspect_translate translate = translate_long();
	pid_t pid;
	int status;

	ASSERT_NE(0, translate.nr);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(ioctl(self->device, VMINSPECT_IOC_TRANSLATE, &translate) ? errno : 0);
	}
	ASSERT_GT(pid, 0);
	long_await(&translate);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

/*
 * TRANSLATE
 */
static void entries_mark(struct vminspect_entry *entries, size_t nr)
{
	memset(entries, 0x5a, nr * sizeof(*entries));
}

static bool entry_marked(const struct vminspect_entry *entry)
{
	struct vminspect_entry mark;

	entries_mark(&mark, 1);
	return !memcmp(&mark, entry, sizeof(mark));
}

static int translate_call(int device, struct vminspect_translate *translate)
{
	int ret = ioctl(device, VMINSPECT_IOC_TRANSLATE, translate);

	return ret == -1 ? -errno : ret;
}

TEST_F_TIMEOUT(region, many_addresses_are_answered_in_the_order_asked, 60)
{
	enum { NR = 100000 };
	uint64_t *addresses = calloc(NR, sizeof(*addresses));
	struct vminspect_entry *entries = calloc(NR, sizeof(*entries));
	struct vminspect_translate translate = translate_of(addresses, entries, NR);
	uint64_t state = 0x1234567890abcdef;
	size_t i, wrong = 0;
	char text[2][256];

	for (i = 0; i < NR; i++)
		addresses[i] = (uintptr_t)self->base + random_next(&state) % (NR_PAGES * SZ_4K);
	translate.return_mask |= VMINSPECT_RETURN_NODE;
	ASSERT_EQ(0, translate_call(self->device, &translate));
	ASSERT_EQ(NR, translate.nr_done);
	for (i = 0; i < NR; i++) {
		size_t page = (addresses[i] - (uintptr_t)self->base) / SZ_4K;

		if (!memcmp(&entries[i], &self->entries[page], sizeof(entries[i])))
			continue;
		if (!wrong++)
			TH_LOG("page %zu: %s, not %s", page,
			       entry_text(&entries[i], text[0], sizeof(text[0])),
			       entry_text(&self->entries[page], text[1], sizeof(text[1])));
	}
	EXPECT_EQ(0, wrong);
	free(addresses);
	free(entries);
}

TEST_F(region, an_address_stands_for_its_page)
{
	static const size_t offsets[] = { 0, 1, 7, 8, 2048, SZ_4K - 1 };
	static const size_t pages[] = { HUGE_AT + 3, ZERO_AT, WRITTEN_AT, SWAPPED_AT, GAP_AT };
	struct vminspect_entry entry;
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(pages); i++)
		for (j = 0; j < ARRAY_LEN(offsets); j++) {
			uint64_t va = (uintptr_t)page_at(self, pages[i]) + offsets[j];

			ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1,
						      RETURN_ALL | VMINSPECT_RETURN_NODE));
			EXPECT_EQ(0, memcmp(&entry, &self->entries[pages[i]], sizeof(entry)));
		}
}

TEST_F(region, a_translation_returns_what_is_asked_for)
{
	uint64_t va = (uintptr_t)page_at(self, WRITTEN_AT);
	const struct vminspect_entry *all = &self->entries[WRITTEN_AT];
	struct vminspect_entry entry;
	unsigned int bit;

	for (bit = 0; bit < VMINSPECT_NR_PAGE_FLAGS; bit++) {
		entries_mark(&entry, 1);
		ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1, 1ULL << bit));
		EXPECT_EQ(all->flags & 1U << bit, entry.flags);
		EXPECT_EQ(0, entry.frame);
		EXPECT_EQ(-1, entry.node);
		EXPECT_EQ(all->state, entry.state);
		EXPECT_EQ(all->page_shift, entry.page_shift);
		EXPECT_EQ(0, entry.reserved);
		EXPECT_EQ(0, entry.reserved2);
	}
	ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1, VMINSPECT_RETURN_FRAME));
	EXPECT_EQ(all->frame, entry.frame);
	EXPECT_EQ(0, entry.flags);
	ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1, VMINSPECT_RETURN_NODE));
	EXPECT_EQ(page_node(page_at(self, WRITTEN_AT)), entry.node);
	EXPECT_EQ(0, entry.frame);
}

/* What stands before it is done; a call that begins with it is refused. */
TEST_F(region, a_bad_address_ends_a_translation)
{
	static const size_t places[] = { 1, 2, 127, 128, 129, 255, 256, 300, 511 };
	static uint64_t addresses[512];
	static struct vminspect_entry entries[512];
	struct vminspect_translate translate;
	struct vminspect_info info;
	size_t i, j;

	ASSERT_EQ(0, device_info(self->device, &info));
	const uint64_t bad[] = {
		info.va_end, info.va_end + 1, info.va_end + SZ_4K, 1ULL << 57, 1ULL << 63,
		0xffff888000000000, 0xffffffff81000000, UINT64_MAX,
	};
	for (i = 0; i < ARRAY_LEN(places); i++) {
		for (j = 0; j < ARRAY_LEN(addresses); j++)
			addresses[j] = (uintptr_t)page_at(self, j);
		addresses[places[i]] = bad[i % ARRAY_LEN(bad)];
		entries_mark(entries, ARRAY_LEN(entries));
		translate = translate_of(addresses, entries, ARRAY_LEN(addresses));
		ASSERT_EQ(0, translate_call(self->device, &translate));
		EXPECT_EQ(places[i], translate.nr_done);
		EXPECT_FALSE(entry_marked(&entries[places[i] - 1]));
		EXPECT_TRUE(entry_marked(&entries[places[i]]));
	}
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		addresses[0] = bad[i];
		translate = translate_of(addresses, entries, 2);
		translate.nr_done = 0x1234;
		EXPECT_EQ(-EINVAL, translate_call(self->device, &translate));
		EXPECT_EQ(0x1234, translate.nr_done);
	}
}

/* The last page that there can be. */
TEST_F(region, addresses_end_where_info_says)
{
	struct vminspect_info info;
	struct vminspect_entry entry;
	struct vminspect_walk walk;
	uint64_t va;
	char *last;

	ASSERT_EQ(0, device_info(self->device, &info));
	last = mmap((void *)(info.va_end - SZ_4K), SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ASSERT_EQ(info.va_end - SZ_4K, (uintptr_t)last);
	*last = 1;
	va = info.va_end - 1;
	ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1, RETURN_ALL));
	EXPECT_EQ(pagemap_entry(self->pagemap, last) & PM_PFN_MASK, entry.frame);
	EXPECT_EQ(0, device_walk(self->device, va, &walk));
	EXPECT_EQ(entry.frame, walk.entry.frame);
	va++;
	EXPECT_EQ(-EINVAL, device_translate(self->device, &va, &entry, 1, RETURN_ALL));
	EXPECT_EQ(-EINVAL, device_walk(self->device, va, &walk));

	ASSERT_EQ(0, munmap(last, SZ_4K));
	va--;
	ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1, RETURN_ALL));
	EXPECT_EQ(VMINSPECT_STATE_UNMAPPED, entry.state);
	EXPECT_EQ(0, entry.flags);
}

TEST_F(region, a_translation_refuses_bad_arguments)
{
	uint64_t va = (uintptr_t)self->base, bit;
	static const uint32_t sizes[] = { 0, 16, 23, 25, 32, 48, UINT32_MAX };
	struct vminspect_translate translate, before;
	struct vminspect_entry entry;
	size_t i;

	entries_mark(&entry, 1);
	translate = translate_of(&va, &entry, 0);
	EXPECT_EQ(-EINVAL, translate_call(self->device, &translate));
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		translate = translate_of(&va, &entry, 1);
		translate.entry_size = sizes[i];
		before = translate;
		EXPECT_EQ(-EINVAL, translate_call(self->device, &translate));
		EXPECT_EQ(0, memcmp(&before, &translate, sizeof(before)));
	}
	for (bit = 1; bit; bit <<= 1) {
		if (bit & (RETURN_ALL | VMINSPECT_RETURN_NODE))
			continue;
		translate = translate_of(&va, &entry, 1);
		translate.return_mask = bit;
		EXPECT_EQ(-EINVAL, translate_call(self->device, &translate));
	}
	EXPECT_TRUE(entry_marked(&entry));
}

/* The arrays that a translation is given, at the end of memory or where it can't go. */
TEST_F(array, of_a_translation_that_is_bad_is_a_fault)
{
	uint32_t nr = ARRAY_SIZE_BYTES / sizeof(uint64_t);
	struct vminspect_entry *entries = calloc(nr + 1, sizeof(*entries));
	uint64_t *addresses = calloc(nr, sizeof(*addresses));
	struct vminspect_translate translate, before;
	size_t i;

	const struct vminspect_translate bad[] = {
		translate_of(NULL, entries, 1),
		translate_of((uint64_t *)self->array, entries, nr + 1),	/* behind its end */
		translate_of((uint64_t *)self->array + 1, entries, nr),
		translate_of((void *)0xffff888000000000, entries, 1),
		translate_of(addresses, NULL, 1),
		translate_of(addresses, (void *)self->array,
			     ARRAY_SIZE_BYTES / sizeof(*entries) + 1),
		translate_of(addresses, (void *)0xffff888000000000, 1),
	};
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		translate = bad[i];
		translate.nr_done = 0x1234;
		before = translate;
		EXPECT_EQ(-EFAULT, translate_call(self->device, &translate)) {
			TH_LOG("number %zu", i);
		}
		EXPECT_EQ(0, memcmp(&before, &translate, sizeof(before)));
	}
	ASSERT_EQ(0, mprotect(self->array, ARRAY_SIZE_BYTES, PROT_READ));
	translate = translate_of(addresses, (void *)self->array, 1);
	EXPECT_EQ(-EFAULT, translate_call(self->device, &translate));
	translate = translate_of((void *)self->array, entries, nr);
	EXPECT_EQ(0, translate_call(self->device, &translate));
	EXPECT_EQ(nr, translate.nr_done);
	free(entries);
	free(addresses);
}

/*
 * WALK
 */
#define RAW_FRAME	0x000ffffffffff000ULL

/* What the bits of an entry of any level are by the processor's manual. */
static uint32_t raw_flags(uint64_t raw)
{
	uint32_t flags = 0;

	if (!(raw & 1))
		return 0;
	flags |= VMINSPECT_ENTRY_PRESENT;
	flags |= raw & 1 << 1 ? VMINSPECT_PAGE_WRITE : 0;
	flags |= raw & 1 << 2 ? VMINSPECT_PAGE_USER : 0;
	flags |= raw & 1 << 5 ? VMINSPECT_PAGE_YOUNG : 0;
	flags |= raw >> 63 ? 0 : VMINSPECT_PAGE_EXEC;
	return flags;
}

#define RAW_FLAGS	(VMINSPECT_ENTRY_PRESENT | VMINSPECT_PAGE_WRITE |	\
			 VMINSPECT_PAGE_USER | VMINSPECT_PAGE_YOUNG |		\
			 VMINSPECT_PAGE_EXEC)

/* The chain of tables: NULL, or what is wrong with it. */
static const char *walk_chain_wrong(const struct vminspect_walk *walk, unsigned int levels)
{
	uint64_t table = walk->root;
	uint32_t i;

	for (i = 0; i < walk->nr_levels; i++) {
		const struct vminspect_walk_level *level = &walk->levels[i];
		unsigned int height = levels - i;	/* of the table: 1 is PTE */

		if (level->level != (i ? height : 5))
			return "level";
		if (level->index != (walk->va >> (12 + 9 * (height - 1))) % 512)
			return "index";
		if (level->entry_pa != table + 8 * level->index)
			return "place of the entry";
		if (level->leaf != (i == walk->nr_levels - 1))
			return "leaf";
		if (!level->leaf && !(level->raw & 1))
			return "a table that is not there";
		if ((level->raw & 1) && (level->flags & RAW_FLAGS) != raw_flags(level->raw))
			return "flags";
		table = level->raw & RAW_FRAME;
	}
	return NULL;
}

/* What ends the chain: NULL, or what is wrong with it. */
static const char *walk_end_wrong(const struct vminspect_walk *walk, unsigned int levels)
{
	const struct vminspect_walk_level *last = &walk->levels[walk->nr_levels - 1];
	bool huge = walk->entry.page_shift == 21;
	uint64_t frame = (last->raw & RAW_FRAME) >> 12;

	if (walk->entry.state == VMINSPECT_STATE_PRESENT &&
	    walk->nr_levels != levels - huge)
		return "number of levels";
	if (!(last->flags & VMINSPECT_PAGE_HUGE) != !huge)
		return "huge";
	if (!(last->raw & 1))
		return NULL;
	if (huge)	/* bit 12 is not of the frame there */
		frame = (frame & ~511ULL) + walk->va / SZ_4K % 512;
	return frame == walk->entry.frame ? NULL : "frame";
}

TEST_F(region, a_walk_goes_through_the_tables_one_by_one)
{
	struct vminspect_info info;
	struct vminspect_walk walk;
	const char *wrong;
	size_t page;

	ASSERT_EQ(0, device_info(self->device, &info));
	for (page = 0; page < NR_PAGES; page += page < SMALL_AT ? 37 : 1) {
		struct vminspect_entry entry = self->entries[page];
		uint64_t va = (uintptr_t)page_at(self, page) + page;

		entry.node = -1;	/* not asked for */
		ASSERT_EQ(0, device_walk(self->device, va, &walk));
		EXPECT_EQ(va, walk.va);
		EXPECT_EQ(0, memcmp(&walk.entry, &entry, sizeof(entry)));
		if (walk.entry.state == VMINSPECT_STATE_UNMAPPED) {
			EXPECT_EQ(0, walk.nr_levels);
			continue;
		}
		ASSERT_GT(walk.nr_levels, 0);
		wrong = walk_chain_wrong(&walk, info.levels) ?: walk_end_wrong(&walk, info.levels);
		EXPECT_EQ(NULL, wrong) {
			TH_LOG("page %zu: %s", page, wrong);
		}
	}
}

TEST_F(region, a_walk_gives_what_a_translation_gives)
{
	struct vminspect_walk walk;
	struct vminspect_entry entry;
	uint64_t va, mask = VMINSPECT_PAGE_DIRTY | VMINSPECT_PAGE_ANON;
	size_t page;

	for (page = 0; page < NR_PAGES; page += page < SMALL_AT ? 101 : 3) {
		va = (uintptr_t)page_at(self, page);
		memset(&walk, 0, sizeof(walk));
		walk.size = sizeof(walk);
		walk.va = va;
		walk.return_mask = mask;
		ASSERT_EQ(0, ioctl(self->device, VMINSPECT_IOC_WALK, &walk));
		ASSERT_EQ(1, device_translate(self->device, &va, &entry, 1,
					      mask | VMINSPECT_RETURN_FRAME));
		EXPECT_EQ(0, memcmp(&entry, &walk.entry, sizeof(entry)));
	}
	walk.va = (uintptr_t)page_at(self, WRITTEN_AT);
	walk.return_mask = VMINSPECT_RETURN_NODE;
	ASSERT_EQ(0, ioctl(self->device, VMINSPECT_IOC_WALK, &walk));
	EXPECT_EQ(page_node(page_at(self, WRITTEN_AT)), walk.entry.node);
	EXPECT_EQ(0, walk.entry.flags);
}

TEST_F(region, a_walk_of_nothing_has_no_levels)
{
	struct vminspect_walk walk, nothing = { 0 };
	static const size_t pages[] = { HOLE_AT, HOLE_AT + 255, GAP_AT };
	size_t i;

	for (i = 0; i < ARRAY_LEN(pages); i++) {
		memset(&walk, 0x5a, sizeof(walk));
		walk.size = sizeof(walk);
		walk.flags = 0;
		walk.va = (uintptr_t)page_at(self, pages[i]);
		walk.return_mask = VMINSPECT_PAGE_FLAGS;
		ASSERT_EQ(0, ioctl(self->device, VMINSPECT_IOC_WALK, &walk));
		EXPECT_EQ(VMINSPECT_STATE_UNMAPPED, walk.entry.state);
		EXPECT_EQ(0, walk.nr_levels);
		EXPECT_EQ(0, walk.hidden);
		EXPECT_EQ(0, walk.entry.frame);
		EXPECT_EQ(0, walk.entry.flags);
		EXPECT_EQ(0, memcmp(nothing.levels, walk.levels, sizeof(walk.levels)));
	}
}

/* What stands in memory, seen from outside. In a stopped child nothing changes it. */
static void pages_make(void *map)
{
	memset(map, 1, 2 * SZ_4K);
	touch((char *)map + 2 * SZ_4K, SZ_4K);
}

TEST(a_walk_shows_what_stands_in_memory)
{
	char *map = map_anon(4 * SZ_4K, PROT_READ | PROT_WRITE);
	struct vminspect_walk walk;
	uint64_t word;
	uint32_t i;
	size_t at;
	pid_t pid;
	int device;

	if (!monitor_present())
		SKIP(return, "there is no monitor to look from outside with");
	pid = child_stopped(pages_make, map);
	ASSERT_GT(pid, 0);
	device = device_bound(pid);
	ASSERT_GE(device, 0);
	for (at = 0; at < 4 * SZ_4K; at += SZ_4K) {
		ASSERT_EQ(0, device_walk(device, (uintptr_t)map + at, &walk));
		ASSERT_GT(walk.nr_levels, 3);
		for (i = 0; i < walk.nr_levels; i++) {
			ASSERT_EQ(0, monitor_read(walk.levels[i].entry_pa, &word, 1));
			EXPECT_EQ(word, walk.levels[i].raw);
		}
	}
	process_end(pid);
}

TEST_F(region, a_walk_refuses_bad_arguments)
{
	struct vminspect_walk walk, before;
	struct vminspect_info info;
	uint64_t bit;
	size_t i;

	ASSERT_EQ(0, device_info(self->device, &info));
	const uint64_t bad[] = {
		info.va_end, 1ULL << 57, 1ULL << 63, 0xffff888000000000, UINT64_MAX,
	};
	memset(&before, 0x5a, sizeof(before));
	before.size = sizeof(before);
	before.flags = 0;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		walk = before;
		walk.return_mask = 0;
		walk.va = bad[i];
		EXPECT_EQ(-1, ioctl(self->device, VMINSPECT_IOC_WALK, &walk));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(0, memcmp(walk.levels, before.levels, sizeof(walk.levels)));
	}
	for (bit = 1; bit; bit <<= 1) {
		if (bit & (VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME | VMINSPECT_RETURN_NODE))
			continue;
		walk = before;
		walk.va = (uintptr_t)self->base;
		walk.return_mask = bit;
		EXPECT_EQ(-1, ioctl(self->device, VMINSPECT_IOC_WALK, &walk));
		EXPECT_EQ(EINVAL, errno);
	}
}

TEST_HARNESS_MAIN
