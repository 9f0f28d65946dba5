// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: what one hold of the lock covers is bounded, whatever an address space looks
 * like; whoever wants the tables of a hugetlb file for itself, a scan gets its turn; and
 * while it waits for it any signal ends the call, once something is done, and so does the end of
 * the target, once. Memory that a call takes is bounded likewise, and charged to its caller.
 *
 * machines: default cpu1 cpu4
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "common.h"
#include "recorder.h"

#define TIMEOUT		180
#define BASE		((char *)(1UL << 45))	/* where the kernel maps nothing by itself */

/*
 * Holds of the lock, counted by probes of the kernel's own on the functions that are one.
 */
#define BATCH		"selftest_batch"
#define LOOKUP		"selftest_lookup"

static bool probe_start(void)
{
	/* Its only argument is where the walk is: struct vmi_walk in module/walk.h, @next. */
	return !write_file(TRACING "kprobe_events",
			   "p:" BATCH " vmi_walk_range next=+8(%di):x64\n"
			   "p:" LOOKUP " vmi_scan_translate") &&
	       !write_file(TRACING "events/kprobes/" BATCH "/enable", "1") &&
	       !write_file(TRACING "events/kprobes/" LOOKUP "/enable", "1");
}

static void probe_stop(void)
{
	write_file(TRACING "events/kprobes/" BATCH "/enable", "0");
	write_file(TRACING "events/kprobes/" LOOKUP "/enable", "0");
	write_file(TRACING "kprobe_events", "-:" BATCH "\n-:" LOOKUP);
}

static long probe_hits(const char *probe)
{
	char text[4096], *line;
	long hits = -1, missed = 0;

	if (read_file(TRACING "kprobe_profile", text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, probe);
	if (!line || sscanf(line, "%*s %ld %ld", &hits, &missed) != 2 || missed)
		return -1;
	return hits;
}

static int count_extent(const struct vminspect_extent *extent, void *arg)
{
	(void)extent;
	++*(long *)arg;
	return 0;
}

FIXTURE(bounds)
{
	int device;
};

FIXTURE_SETUP(bounds)
{
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
	ASSERT_TRUE(probe_start());
}

FIXTURE_TEARDOWN(bounds)
{
	probe_stop();
}

/* How many holds of the lock a scan takes. All states are selected, so all is reported. */
static long batches_as(int device, const char *start, size_t size, uint64_t return_mask,
		       uint32_t flags)
{
	const struct vminspect_scan scan = {
		.flags = flags,
		.category_anyof_mask = VMINSPECT_CAT_STATES,
		.return_mask = return_mask,
	};
	long before = probe_hits(BATCH), extents = 0;

	if (device_extents(device, (uintptr_t)start, (uintptr_t)start + size, &scan,
			   count_extent, &extents) || before < 0)
		return -1;
	return probe_hits(BATCH) - before;
}

static long batches(int device, const char *start, size_t size, uint64_t return_mask)
{
	return batches_as(device, start, size, return_mask, 0);
}

/*
 * The most pages that one hold of such a scan covers: from where it begins to where the next one
 * does. 0 if that can't be told.
 */
static size_t largest_hold(int device, const char *start, size_t size, uint64_t return_mask,
			   uint32_t flags)
{
	uint64_t end = (uintptr_t)start + size, from = 0, next;
	size_t largest = 0, holds = 0;
	char line[256], *at;
	FILE *trace;
	long nr;

	trace_empty();
	nr = batches_as(device, start, size, return_mask, flags);
	trace = fopen(TRACING "trace", "r");
	if (!trace || nr <= 0)
		return 0;
	while (fgets(line, sizeof(line), trace)) {
		at = strstr(line, BATCH ": ");
		at = at ? strstr(at, "next=") : NULL;
		if (!at)
			continue;
		next = strtoull(at + strlen("next="), NULL, 16);
		if (next < (uintptr_t)start || next >= end)
			holds = nr;	/* one too many, at the end */
		if (holds++ && next - from > largest)
			largest = next - from;
		from = next;
	}
	fclose(trace);
	if (end - from > largest)
		largest = end - from;
	return holds == (size_t)nr ? largest / SZ_4K : 0;
}

#define MAPPINGS	8192
#define A_HOLD		256	/* mappings that one hold may cover, at most */

/* Neighbours differ, so that they stay apart; nothing is ever touched. */
static bool make_mappings(int fd)
{
	long i;

	for (i = 0; i < MAPPINGS; i++) {
		int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

		/* of a file: far apart in it, each in a part of the tree of its own */
		if (mmap(BASE + i * SZ_4K, SZ_4K, i % 2 ? PROT_READ : PROT_NONE,
			 flags | MAP_FIXED | MAP_NORESERVE, fd,
			 fd < 0 ? 0 : (i * 7919 % MAPPINGS * 64 + 1) * SZ_4K) == MAP_FAILED)
			return false;
	}
	return true;
}

TEST_F_TIMEOUT(bounds, hold_covers_few_mappings_though_they_be_empty, TIMEOUT)
{
	ASSERT_TRUE(make_mappings(-1));
	EXPECT_LE(MAPPINGS / A_HOLD, batches(self->device, BASE, MAPPINGS * SZ_4K, RETURN_ALL));
	munmap(BASE, MAPPINGS * SZ_4K);
}

TEST_F_TIMEOUT(bounds, hold_covers_fewer_mappings_of_shared_memory, TIMEOUT)
{
	int fd = memfd((MAPPINGS * 64UL + 64) * SZ_4K, 0);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(make_mappings(fd));
	EXPECT_LE(2 * MAPPINGS / A_HOLD,
		  batches(self->device, BASE, MAPPINGS * SZ_4K, RETURN_ALL));
	munmap(BASE, MAPPINGS * SZ_4K);
	close(fd);
}

#define LONELY		2048	/* pages of a file, each in a corner of the tree of its own */
#define APART		(64UL * 64 * 64)

TEST_F_TIMEOUT(bounds, hold_covers_few_corners_of_a_sparse_page_cache, TIMEOUT)
{
	int fd = memfd(LONELY * APART * SZ_4K, 0);
	char *map;
	long i;

	ASSERT_LE(0, fd);
	for (i = 0; i < LONELY; i++)
		ASSERT_EQ(1, pwrite(fd, "", 1, i * APART * SZ_4K));
	map = mmap(NULL, LONELY * APART * SZ_4K, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_LE(LONELY / 64, batches(self->device, map, LONELY * APART * SZ_4K, RETURN_ALL));
	munmap(map, LONELY * APART * SZ_4K);
	close(fd);
}

/* A table of which each page is looked at is more than one hold covers. */
TEST_F_TIMEOUT(bounds, hold_ends_inside_a_table_of_pages_that_are_looked_at, TIMEOUT)
{
	char *map = map_small(8 * SZ_2M);
	size_t looked_at, others, words;

	ASSERT_NE(NULL, map);
	memset(map, 1, 8 * SZ_2M);
	EXPECT_LE(8 * 2, batches(self->device, map, 8 * SZ_2M, RETURN_ALL));
	/* None of them is much longer than another. Of those looked at each costs 8 for that ... */
	looked_at = largest_hold(self->device, map, 8 * SZ_2M, RETURN_ALL, 0);
	EXPECT_LT(0, looked_at);
	EXPECT_GE(4096 / 8 + 1, looked_at);
	looked_at = largest_hold(self->device, map, 8 * SZ_2M, RETURN_ALL, VMINSPECT_SCAN_PACKED);
	EXPECT_LT(0, looked_at);
	EXPECT_GE(4096 / 8 + 1, looked_at);
	/* ... and of others a hold goes on to the end of a table at most. */
	others = largest_hold(self->device, map, 8 * SZ_2M, 0, 0);
	EXPECT_LT(0, others);
	EXPECT_GE(4096 + 512, others);
	words = largest_hold(self->device, map, 8 * SZ_2M, VMINSPECT_RETURN_FRAME,
			     VMINSPECT_SCAN_PACKED);
	EXPECT_LT(0, words);
	EXPECT_GE(4096 + 512, words);
	TH_LOG("%zu pages; %zu that are not looked at; in words %zu", looked_at, others, words);
	/* Without that they are few, if memory was not all in pieces. */
	EXPECT_GE(8 * 2, batches(self->device, map, 8 * SZ_2M, 0));
	munmap(map, 8 * SZ_2M);
}

#define MUCH		(64UL << 20)	/* looked at: a hundred batches and more */

static struct vminspect_extent many_extents[MUCH / SZ_4K];

static struct allocated scan_allocates(int device, const char *map, size_t size, uint32_t flags)
{
	struct vminspect_scan scan = {
		.flags = flags,
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + size,
		.extents = (uintptr_t)many_extents,
		.nr_extents = ARRAY_LEN(many_extents),
		.return_mask = VMINSPECT_RETURN_FRAME,
	};
	struct allocated all = { };

	if (!allocated_start())
		return all;
	if (device_scan_extents(device, &scan) || scan.resume != scan.end)
		trace_empty();
	return allocated_end();
}

static struct allocated translation_allocates(int device, const char *map, uint32_t nr)
{
	static struct vminspect_entry entries[MUCH / SZ_4K];
	static uint64_t addresses[MUCH / SZ_4K];
	struct allocated all = { };
	uint32_t i;

	for (i = 0; i < nr; i++)
		addresses[i] = (uintptr_t)map + i * SZ_4K;
	if (!allocated_start())
		return all;
	if (device_translate(device, addresses, entries, nr, RETURN_ALL) != (int)nr)
		trace_empty();
	return allocated_end();
}

static void expect_bounded(struct __test_metadata *_metadata, const char *what,
			   struct allocated little, struct allocated much)
{
	EXPECT_LT(0, much.nr)
		TH_LOG("%s", what);
	EXPECT_EQ(little.nr, much.nr)
		TH_LOG("%s", what);
	EXPECT_EQ(little.bytes, much.bytes)
		TH_LOG("%s", what);
	EXPECT_EQ(much.nr, much.charged)
		TH_LOG("%s", what);
	EXPECT_GE(64 * 1024, much.bytes)
		TH_LOG("%s", what);
}

TEST_F_TIMEOUT(bounds, memory_of_a_call_is_the_same_however_much_it_looks_at, TIMEOUT)
{
	char *map = map_small(MUCH);

	ASSERT_NE(NULL, map);
	memset(map, 1, MUCH);
	expect_bounded(_metadata, "SCAN", scan_allocates(self->device, map, SZ_4K, 0),
		       scan_allocates(self->device, map, MUCH, 0));
	expect_bounded(_metadata, "SCAN of pages",
		       scan_allocates(self->device, map, SZ_4K, VMINSPECT_SCAN_PAGES),
		       scan_allocates(self->device, map, MUCH, VMINSPECT_SCAN_PAGES));
	expect_bounded(_metadata, "SCAN in words",
		       scan_allocates(self->device, map, SZ_4K, VMINSPECT_SCAN_PACKED),
		       scan_allocates(self->device, map, MUCH, VMINSPECT_SCAN_PACKED));
	expect_bounded(_metadata, "TRANSLATE",
		       translation_allocates(self->device, map, 1024),
		       translation_allocates(self->device, map, MUCH / SZ_4K));
	munmap(map, MUCH);
}

#define AREA_PAGES	2048UL

/* Each second page, one by one: the pages in between go to other slots than their neighbours. */
static int page_out_each_second(char *map)
{
	int pagemap = pagemap_open(getpid()), tries;
	size_t i, left = 1;

	for (tries = 0; tries < 50 && left; tries++) {
		left = 0;
		drain_new_pages();
		for (i = 0; i < AREA_PAGES; i += 2) {
			left += !(pagemap_entry(pagemap, map + i * SZ_4K) & PM_SWAP);
			madvise(map + i * SZ_4K, SZ_4K, MADV_PAGEOUT);
		}
		usleep(20000);
	}
	close(pagemap);
	return left ? -EAGAIN : 0;
}

/* Slots are not told, nor by how long it takes where areas take turns. */
TEST_F_TIMEOUT(bounds, holds_are_as_many_wherever_pages_went, TIMEOUT)
{
	static const uint32_t flags[] = { 0, VMINSPECT_SCAN_PAGES, VMINSPECT_SCAN_PACKED };
	char *map = map_small(AREA_PAGES * SZ_4K);
	long holds[ARRAY_LEN(flags)];
	int pagemap = pagemap_open(getpid());
	size_t i, elsewhere = 0;
	uint64_t entry;

	ASSERT_NE(NULL, map);
	memset(map, 1, AREA_PAGES * SZ_4K);
	ASSERT_EQ(0, page_out(map, AREA_PAGES * SZ_4K));
	for (i = 0; i < ARRAY_LEN(flags); i++)
		holds[i] = batches_as(self->device, map, AREA_PAGES * SZ_4K, 0, flags[i]);

	/* Pages of its own, which have no slot any more. */
	munmap(map, AREA_PAGES * SZ_4K);
	map = map_small((AREA_PAGES + 1) * SZ_4K);
	ASSERT_NE(NULL, map);
	memset(map, 1, (AREA_PAGES + 1) * SZ_4K);
	ASSERT_EQ(0, page_out_each_second(map));
	ASSERT_EQ(0, place_set_up("zram"));
	EXPECT_EQ(0, page_out_each_second(map + SZ_4K));
	/* The first ones go to slots that were taken before the second area was there. */
	for (i = 1; i < AREA_PAGES; i += 2) {
		entry = pagemap_entry(pagemap, map + i * SZ_4K);
		elsewhere += PM_SWAP_TYPE(entry) != PM_SWAP_TYPE(pagemap_entry(pagemap, map));
	}
	EXPECT_LE(AREA_PAGES / 8, elsewhere);
	for (i = 0; i < ARRAY_LEN(flags); i++)
		EXPECT_EQ(holds[i],
			  batches_as(self->device, map, AREA_PAGES * SZ_4K, 0, flags[i]));
	munmap(map, (AREA_PAGES + 1) * SZ_4K);
	place_tear_down("zram");
	close(pagemap);
}

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static struct knob shmem_knobs[] = {
	{ SHMEM_ENABLED, "advise", "" },
};

/* Since 6.12 what is out of a large page of shared memory is one entry of the page cache. */
TEST_F_TIMEOUT(bounds, hold_covers_few_slots_of_large_pages_that_are_looked_at, TIMEOUT)
{
	const size_t size = 4 * SZ_2M;
	char *map = map_aligned(size, SZ_2M);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, place_set_up("zram"));	/* where they go as a whole */
	knobs_turn(shmem_knobs, ARRAY_LEN(shmem_knobs));
	EXPECT_EQ(map, mmap(map, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    memfd(size, 0), 0));
	madvise(map, size, MADV_HUGEPAGE);
	memset(map, 1, size);
	knobs_turn_back(shmem_knobs, ARRAY_LEN(shmem_knobs));
	EXPECT_EQ(0, page_out_shared(map, size));
	EXPECT_LE(size / SZ_4K / 512, batches(self->device, map, size, RETURN_ALL));
	munmap(map, size);
	place_tear_down("zram");
}

/* Somebody who changes the address space, on and on. */
struct changer {
	useconds_t pause;	/* between two changes */
	pid_t tid;
	bool stop;
};

static void *change_mappings(void *arg)
{
	struct changer *changer = arg;
	char *page = map_small(SZ_4K);
	int protection = PROT_READ;

	WRITE_ONCE(changer->tid, gettid());
	while (!READ_ONCE(changer->stop)) {
		mprotect(page, SZ_4K, protection);
		protection ^= PROT_WRITE;
		if (changer->pause)
			usleep(changer->pause);
	}
	munmap(page, SZ_4K);
	return NULL;
}

#define CONTENDED_SIZE	(32UL << 20)

TEST_F_TIMEOUT(bounds, hold_is_given_up_earlier_if_somebody_waits, TIMEOUT)
{
	const uint64_t quick = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE;
	char *map = map_small(CONTENDED_SIZE);
	time_t end = time(NULL) + TIMEOUT / 2;
	struct changer changer = {};
	pthread_t thread;
	long alone, now;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "a second processor");
	ASSERT_NE(NULL, map);
	memset(map, 1, CONTENDED_SIZE);
	alone = batches(self->device, map, CONTENDED_SIZE, quick);
	EXPECT_LT(0, alone);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_mappings, &changer));
	do {
		now = batches(self->device, map, CONTENDED_SIZE, quick);
	} while (now >= 0 && now <= alone && time(NULL) < end);
	WRITE_ONCE(changer.stop, true);
	pthread_join(thread, NULL);
	EXPECT_LT(alone, now);
	munmap(map, CONTENDED_SIZE);
}

#define WAITS		50	/* to look at */

/* Who had to wait for the end of a batch, and for how many it had to wait until it was through. */
struct waits {
	long nr;
	long passed_over;	/* those that waited for more than one after that */
};

/* Adds what @tid waited for, as the trace has it. */
static void add_waits(struct waits *waits, pid_t tid)
{
	FILE *trace = fopen(TRACING "trace", "r");
	bool held = false, waiting = false;
	char line[512], who[32];
	long batches = 0;

	snprintf(who, sizeof(who), "-%d ", tid);
	while (trace && fgets(line, sizeof(line), trace)) {
		if (strstr(line, BATCH ": ")) {
			held = true;
			batches++;
		} else if (strstr(line, "mmap_lock_released: ")) {
			held = false;
		} else if (!strstr(line, who) || !strstr(line, "write=true")) {
			continue;
		} else if (strstr(line, "mmap_lock_start_locking: ")) {
			waiting = held;
			batches = 0;
		} else if (waiting) {
			waiting = false;
			waits->nr++;
			waits->passed_over += batches > 1;
		}
	}
	if (trace)
		fclose(trace);
}

/*
 * Nor does who reads batch by batch take the lock again and again ahead of whom it has woken, as
 * it could until the kernel prevents that.
 */
TEST_F_TIMEOUT(bounds, who_waits_gets_the_lock_before_the_next_batch, TIMEOUT)
{
	static struct knob knobs[] = {
		{ TRACING "events/mmap_lock/mmap_lock_start_locking/enable", "1", "" },
		{ TRACING "events/mmap_lock/mmap_lock_acquire_returned/enable", "1", "" },
		{ TRACING "events/mmap_lock/mmap_lock_released/enable", "1", "" },
	};
	char *map = map_small(CONTENDED_SIZE);
	time_t end = time(NULL) + TIMEOUT / 2;
	struct changer changer = { .pause = 5000 };
	struct waits waits = {};
	pthread_t thread;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "a second processor");
	ASSERT_NE(NULL, map);
	memset(map, 1, CONTENDED_SIZE);
	knobs_turn(knobs, ARRAY_LEN(knobs));
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_mappings, &changer));
	while (waits.nr < WAITS && time(NULL) < end) {
		trace_empty();
		for (i = 0; i < 10; i++)
			EXPECT_LT(0, batches(self->device, map, CONTENDED_SIZE, RETURN_ALL));
		add_waits(&waits, changer.tid);
	}
	WRITE_ONCE(changer.stop, true);
	pthread_join(thread, NULL);
	knobs_turn_back(knobs, ARRAY_LEN(knobs));
	EXPECT_LE(WAITS, waits.nr);
	EXPECT_GT(waits.nr / 2, waits.passed_over);
	TH_LOG("%ld had to wait, %ld for more than one batch after that", waits.nr,
	       waits.passed_over);
	munmap(map, CONTENDED_SIZE);
}

#define ADDRESSES	4096

/* How many holds of the lock it takes to translate those addresses, a step apart. */
static long lookups(int device, const char *start, size_t step, uint64_t return_mask)
{
	static uint64_t addresses[ADDRESSES];
	static struct vminspect_entry entries[ADDRESSES];
	long before = probe_hits(LOOKUP), i;

	for (i = 0; i < ADDRESSES; i++)
		addresses[i] = (uintptr_t)start + i * step;
	if (device_translate(device, addresses, entries, ADDRESSES, return_mask) != ADDRESSES)
		return -1;
	for (i = 0; i < ADDRESSES; i++)
		if (entries[i].state != VMINSPECT_STATE_PRESENT)
			return -1;
	return probe_hits(LOOKUP) - before;
}

/* Where there is always one that waits for the lock, an address does not take a hold of its own. */
TEST_F_TIMEOUT(bounds, hold_covers_some_addresses_however_many_wait, TIMEOUT)
{
	char *map = map_small(ADDRESSES * SZ_4K);
	struct changer changers[3] = {};
	pthread_t threads[ARRAY_LEN(changers)];
	long holds, most = 0;
	size_t i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "a second processor");
	ASSERT_NE(NULL, map);
	memset(map, 1, ADDRESSES * SZ_4K);
	for (i = 0; i < ARRAY_LEN(changers); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, change_mappings, &changers[i]));
	for (i = 0; i < 10; i++) {
		holds = lookups(self->device, map, SZ_4K, RETURN_ALL);
		EXPECT_LT(0, holds);
		most = holds > most ? holds : most;
	}
	for (i = 0; i < ARRAY_LEN(changers); i++) {
		WRITE_ONCE(changers[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	EXPECT_LT(lookups(self->device, map, SZ_4K, RETURN_ALL), most);
	EXPECT_GE(ADDRESSES / 16 + 1, most);
	TH_LOG("%ld holds", most);
	munmap(map, ADDRESSES * SZ_4K);
}

/* Of addresses the fewer the more it takes to find them. */
TEST_F_TIMEOUT(bounds, hold_covers_few_addresses, TIMEOUT)
{
	const uint64_t quick = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE;
	char *map = map_small(ADDRESSES * SZ_4K);
	long i;

	ASSERT_NE(NULL, map);
	memset(map, 1, ADDRESSES * SZ_4K);
	ASSERT_EQ(0, mlock(map, ADDRESSES * SZ_4K));
	EXPECT_LE(ADDRESSES / 256, lookups(self->device, map, SZ_4K, quick));
	EXPECT_GE(ADDRESSES / 64, lookups(self->device, map, SZ_4K, quick));
	EXPECT_LE(ADDRESSES / 64, lookups(self->device, map, SZ_4K, RETURN_ALL));
	munmap(map, ADDRESSES * SZ_4K);

	ASSERT_TRUE(make_mappings(-1));
	ASSERT_EQ(0, mprotect(BASE, 2 * ADDRESSES * SZ_4K, PROT_READ | PROT_WRITE));
	memset(BASE, 1, 2 * ADDRESSES * SZ_4K);
	for (i = 0; i < 2 * ADDRESSES; i += 2)
		ASSERT_EQ(0, mprotect(BASE + i * SZ_4K, SZ_4K, PROT_READ));
	EXPECT_LE(ADDRESSES / 64, lookups(self->device, BASE, 2 * SZ_4K, quick));
	munmap(BASE, 2 * ADDRESSES * SZ_4K);
}

/*
 * Many who want the tables of a hugetlb file for themselves.
 */
#define HUGE_PAGES	64
#define WRITERS		32

struct contest {
	char *anon;	/* SZ_2M of ordinary memory, and right behind it ... */
	char *huge;	/* ... the file, of which half is there */
	pid_t pids[WRITERS];
};

static int contest_write(char *huge)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		madvise(huge + HUGE_PAGES / 2 * SZ_2M, HUGE_PAGES / 2 * SZ_2M, MADV_DONTNEED);
	return 0;
}

static bool contest_start(struct contest *contest)
{
	int fd, i;

	if (hugetlb_reserve(SZ_2M, HUGE_PAGES))
		return false;
	fd = memfd(HUGE_PAGES * SZ_2M, MFD_HUGETLB);
	contest->anon = BASE;
	contest->huge = BASE + SZ_2M;
	if (fd < 0 ||
	    mmap(contest->anon, SZ_2M, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mmap(contest->huge, HUGE_PAGES * SZ_2M, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
		return false;
	close(fd);
	memset(contest->anon, 1, SZ_2M);
	for (i = 0; i < HUGE_PAGES / 2; i++)
		contest->huge[i * SZ_2M] = 1;
	for (i = 0; i < WRITERS; i++) {
		contest->pids[i] = fork();
		if (!contest->pids[i])
			_exit(contest_write(contest->huge));
	}
	return true;
}

static void contest_end(struct contest *contest)
{
	int i;

	for (i = 0; i < WRITERS; i++)
		process_end(contest->pids[i]);
	munmap(contest->anon, SZ_2M + HUGE_PAGES * SZ_2M);
}

static void no_op(int signal)
{
	(void)signal;
}

/* Signals that kill nobody, from now on in steps of @usec; 0: no more. */
static void signals_every(long usec)
{
	const struct sigaction action = { .sa_handler = no_op };
	const struct itimerval timer = { { 0, usec }, { 0, usec } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

#define SCANS		60

/* One that only ever tried for the lock took half a minute for a scan. */
TEST_F_TIMEOUT(bounds, scan_gets_its_turn_among_many_who_change_a_hugetlb_file, TIMEOUT)
{
	struct vminspect_entry entry;
	struct contest contest;
	long present = 0;
	int i;

	ASSERT_TRUE(contest_start(&contest));
	for (i = 0; i < SCANS; i++) {
		present = 0;
		EXPECT_EQ(0, device_extents(self->device, (uintptr_t)contest.huge,
					    (uintptr_t)contest.huge + HUGE_PAGES / 2 * SZ_2M, NULL,
					    count_extent, &present));
		EXPECT_LE(1, present);
		EXPECT_EQ(0, device_lookup(self->device, contest.huge, &entry));
		EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
	}
	contest_end(&contest);
}

TEST_F_TIMEOUT(bounds, signal_ends_a_scan_that_waits_for_a_hugetlb_file, TIMEOUT)
{
	struct vminspect_extent extents[512];
	struct contest contest;
	int tries, early = 0;

	ASSERT_TRUE(contest_start(&contest));
	signals_every(2000);
	for (tries = 0; tries < 20000 && early < 3; tries++) {
		struct vminspect_scan scan = {
			.start = (uintptr_t)contest.anon,
			.end = (uintptr_t)contest.huge + HUGE_PAGES * SZ_2M,
			.extents = (uintptr_t)extents,
			.nr_extents = ARRAY_LEN(extents),
			.category_anyof_mask = STATES_WITH_ENTRY,
			.return_mask = RETURN_ALL,
		};

		ASSERT_EQ(0, device_scan(self->device, &scan));
		ASSERT_LT(scan.start, scan.resume);
		early += scan.resume == (uintptr_t)contest.huge;
	}
	signals_every(0);
	EXPECT_EQ(3, early);
	contest_end(&contest);
}

#define DEATHS	60

/* A page of a scan's answer, and who is killed as soon as the module writes to it. */
struct trap {
	int uffd;
	char *page;
	pid_t target;
	pthread_t thread;
};

static void *trap_spring(void *arg)
{
	static const char zero[SZ_4K];
	struct trap *trap = arg;
	struct uffdio_copy copy = {
		.dst = (uintptr_t)trap->page, .src = (uintptr_t)zero, .len = SZ_4K,
	};
	struct uffd_msg message;

	while (read(trap->uffd, &message, sizeof(message)) == sizeof(message)) {
		process_end(trap->target);
		trap->target = 0;
		ioctl(trap->uffd, UFFDIO_COPY, &copy);
	}
	return NULL;
}

static bool trap_set(struct trap *trap)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	trap->uffd = uffd_open();
	trap->page = map_small(SZ_4K);
	reg.range.start = (uintptr_t)trap->page;
	reg.range.len = SZ_4K;
	return trap->uffd >= 0 && trap->page && !ioctl(trap->uffd, UFFDIO_REGISTER, &reg) &&
	       !pthread_create(&trap->thread, NULL, trap_spring, trap);
}

static void contest_watch(void *arg)
{
	struct contest *contest = arg;

	memset(contest->anon, 1, SZ_2M);
}

/*
 * The batch that met the file is over, and its answer is copied out; no other one begins. What
 * that one held of the file was once let go of twice, and the file was gone under those who had it
 * mapped.
 */
TEST_F_TIMEOUT(bounds, target_dies_before_its_hugetlb_file_is_waited_for, TIMEOUT)
{
	struct trap trap = { };
	struct contest contest;
	int tries, died = 0;

	ASSERT_TRUE(trap_set(&trap));
	ASSERT_TRUE(contest_start(&contest));
	for (tries = 0; tries < 1000 && died < DEATHS; tries++) {
		struct vminspect_scan scan = {
			.start = (uintptr_t)contest.huge - 16 * SZ_4K,
			.end = (uintptr_t)contest.huge + HUGE_PAGES * SZ_2M,
			.extents = (uintptr_t)trap.page,
			.nr_extents = SZ_4K / sizeof(struct vminspect_extent),
			.return_mask = VMINSPECT_RETURN_FRAME,
		};
		int device, ret;

		trap.target = child_stopped(contest_watch, &contest);
		ASSERT_LT(0, trap.target);
		device = device_bound(trap.target);
		ASSERT_LE(0, device);
		ASSERT_EQ(0, madvise(trap.page, SZ_4K, MADV_DONTNEED));
		ret = device_scan(device, &scan);
		ASSERT_TRUE(!ret || ret == -ESRCH);
		died += ret == -ESRCH;
		if (trap.target)
			process_end(trap.target);
		close(device);
	}
	EXPECT_EQ(DEATHS, died);
	contest_end(&contest);
	close(trap.uffd);
}

TEST_HARNESS_MAIN
