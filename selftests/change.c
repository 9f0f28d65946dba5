// SPDX-License-Identifier: GPL-2.0
/*
 * Every answer was true at some moment, while threads map, unmap, fault, protect, move,
 * page out, split and collapse, fork, exec and exit, for a minute in all.
 *
 * machines: default numa
 *
 * The memory that is looked at lies at fixed addresses, in regions, and of each we know
 * what can never be there: a page that is never unmapped is never none, a hole stays
 * one, what is only read has the zero page or nothing, a locked page keeps its frame.
 * That the log of the kernel stays clean is seen to by whoever runs this.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define BASE		(1ULL << 44)	/* where the kernel maps nothing by itself */
#define ARENA_SIZE	(128 << 20)

#define STATE(name)	(1U << VMINSPECT_STATE_##name)

enum { STEADY, HOLE, ZERO, SHARED, MOVING, MOVING_TOO, LOCKED, HUGETLB, CHURN, NR_REGIONS };

/* Whatever lies between them is never mapped either. */
static const struct region {
	uint64_t start, size;
	uint32_t states;	/* those that a page may be in */
} regions[NR_REGIONS] = {
	[STEADY] = { BASE, 4 << 20, STATE(PRESENT) | STATE(SWAPPED) | STATE(MIGRATING) },
	[HOLE] = { BASE + (8 << 20), 4 << 20, STATE(UNMAPPED) },
	[ZERO] = { BASE + (16 << 20), 4 << 20, STATE(NONE) | STATE(PRESENT) },
	[SHARED] = { BASE + (24 << 20), 1 << 20,
		     STATE(NONE) | STATE(PRESENT) | STATE(SWAPPED) | STATE(MIGRATING) },
	[MOVING] = { BASE + (32 << 20), 4 << 20,
		     STATE(UNMAPPED) | STATE(PRESENT) | STATE(SWAPPED) | STATE(MIGRATING) },
	[MOVING_TOO] = { BASE + (40 << 20), 4 << 20,
			 STATE(UNMAPPED) | STATE(PRESENT) | STATE(SWAPPED) | STATE(MIGRATING) },
	[LOCKED] = { BASE + (48 << 20), 256 << 10, STATE(PRESENT) },
	[HUGETLB] = { BASE + (52 << 20), 4 << 20, STATE(PRESENT) | STATE(MIGRATING) },
	[CHURN] = { BASE + (64 << 20), 64 << 20,
		    STATE(NONE) | STATE(UNMAPPED) | STATE(PRESENT) | STATE(SWAPPED) |
		    STATE(MIGRATING) },
};

#define LOCKED_PAGES	((256 << 10) / SZ_4K)

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

/* Some whole pages of a region, at most @most. */
static char *some_pages(int region, size_t most, size_t *size, unsigned int *seed)
{
	size_t pages = regions[region].size / SZ_4K, first = next_random(seed) % pages;
	size_t nr = 1 + next_random(seed) % most;

	*size = (nr < pages - first ? nr : pages - first) * SZ_4K;
	return (char *)regions[region].start + first * SZ_4K;
}

static void write_pages(char *at, size_t size)
{
	size_t page;

	for (page = 0; page < size; page += SZ_4K)
		at[page] = 1;
}

/* What goes on. Each is the only one to touch its region, and does one thing a call. */

static void change_steady(unsigned int *seed)
{
	size_t size;
	char *at = some_pages(STEADY, 600, &size, seed);
	char *huge = (char *)regions[STEADY].start + next_random(seed) % 2 * SZ_2M;

	switch (next_random(seed) % 7) {
	case 0:
		mprotect(at, size, PROT_READ);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case 1:
		mprotect(at, size, PROT_NONE);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case 2:
		madvise(at, size, MADV_PAGEOUT);
		break;
	case 3:
	case 4:
		madvise(huge, SZ_2M, MADV_COLLAPSE);
		break;
	case 5:
		write_pages(at, size);
		break;
	case 6:
		madvise(at, size, next_random(seed) % 2 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
		break;
	}
}

static void change_zero(unsigned int *seed)
{
	size_t size;
	char *at = some_pages(ZERO, 700, &size, seed);

	if (next_random(seed) % 3)
		touch(at, size);
	else
		madvise(at, size, MADV_DONTNEED);
}

static void change_shared(unsigned int *seed)
{
	size_t size;
	char *at = some_pages(SHARED, 100, &size, seed);

	switch (next_random(seed) % 4) {
	case 0:
		madvise(at, size, MADV_DONTNEED);	/* from here, not from the file */
		break;
	case 1:
		madvise(at, size, MADV_PAGEOUT);
		break;
	default:
		write_pages(at, size);
	}
}

static void change_moving(unsigned int *seed)
{
	static int where = MOVING;	/* of the only caller */
	int to = where == MOVING ? MOVING_TOO : MOVING;
	void *from = (void *)regions[where].start, *there = (void *)regions[to].start;
	size_t size;

	if (mremap(from, regions[where].size, regions[where].size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   there) == MAP_FAILED)
		return;
	where = to;
	switch (next_random(seed) % 4) {
	case 0:
		from = some_pages(where, 100, &size, seed);
		madvise(from, size, MADV_PAGEOUT);
		break;
	case 1:
		madvise(there, SZ_2M, MADV_COLLAPSE);
		break;
	case 2:
		from = some_pages(where, 100, &size, seed);
		write_pages(from, size);
		break;
	}
}

static void map_over(char *at, size_t size, int prot, int flags, int fd)
{
	/* Of hugetlb what is mapped is reserved: touching it can't fail. */
	if (mmap(at, size, prot, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
		return;
	if (size >= SZ_2M)
		madvise(at, size, MADV_HUGEPAGE);
	write_pages(at, size / 2);
}

static void change_churn(unsigned int *seed)
{
	size_t size;
	char *at = some_pages(CHURN, 1500, &size, seed);
	char *huge = (char *)((uintptr_t)at & ~(SZ_2M - 1));
	int fd;

	switch (next_random(seed) % 8) {
	case 0:
	case 1:
		map_over(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		break;
	case 2:
		map_over(huge, 2 * SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		madvise(huge + SZ_4K, SZ_4K, MADV_DONTNEED);
		break;
	case 3:
		fd = memfd(size, 0);
		map_over(at, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
		close(fd);
		break;
	case 4:
		map_over(huge, SZ_2M, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
		break;
	case 5:
		mprotect(at, size, PROT_NONE);
		break;
	case 6:
		madvise(at, size, MADV_PAGEOUT);
		break;
	case 7:
		munmap(at, size);
		break;
	}
}

static void change_processes(unsigned int *seed)
{
	bool exec = next_random(seed) % 2;
	pid_t pid = fork();

	if (!pid) {
		write_pages((char *)regions[SHARED].start, regions[SHARED].size / 2);
		if (exec)
			execl("/bin/true", "true", NULL);
		_exit(0);
	}
	/* The child has them as well: each has to be copied. */
	write_pages((char *)regions[HUGETLB].start, regions[HUGETLB].size);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	usleep(20000);
}

static void (*const changes[])(unsigned int *seed) = {
	change_steady, change_zero, change_shared, change_moving, change_churn, change_processes,
};

static bool stop;

static void *change_thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg + 1;

	while (!READ_ONCE(stop))
		changes[(uintptr_t)arg](&seed);
	return NULL;
}

static char *map_region(int region, int flags, int fd)
{
	const struct region *r = &regions[region];
	char *map = mmap((void *)r->start, r->size, PROT_READ | PROT_WRITE,
			 MAP_FIXED_NOREPLACE | flags, fd, 0);

	return map == (char *)r->start ? map : NULL;
}

/* Everything stands as the table of regions has it before anybody looks. */
static bool make_arena(void)
{
	char *steady = map_region(STEADY, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *zero = map_region(ZERO, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *shared = map_region(SHARED, MAP_SHARED, memfd(regions[SHARED].size, 0));
	char *moving = map_region(MOVING, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *locked = map_region(LOCKED, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	char *hugetlb = map_region(HUGETLB, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);

	if (!steady || !zero || !shared || !moving || !locked || !hugetlb)
		return false;
	madvise(steady, regions[STEADY].size, MADV_HUGEPAGE);
	madvise(zero, regions[ZERO].size, MADV_HUGEPAGE);
	madvise(moving, regions[MOVING].size, MADV_HUGEPAGE);
	madvise(locked, regions[LOCKED].size, MADV_NOHUGEPAGE);
	madvise(locked, regions[LOCKED].size, MADV_DONTFORK);	/* or a write would copy it */
	write_pages(steady, regions[STEADY].size);
	write_pages(shared, regions[SHARED].size);
	write_pages(moving, regions[MOVING].size);
	write_pages(locked, regions[LOCKED].size);
	write_pages(hugetlb, regions[HUGETLB].size);
	return !mlock(locked, regions[LOCKED].size);
}

/* One who looks, and what came of it. */
struct scanner {
	int device;
	unsigned int seed;
	const uint64_t *locked_frames;
	unsigned long answers;			/* extents and entries judged */
	unsigned long huge, small;		/* pages of STEADY seen so */
	unsigned long states[VMINSPECT_NR_STATES];
	char wrong[256];			/* the first that was wrong */
};

static void say_wrong(struct scanner *scanner, uint64_t va, const struct vminspect_entry *entry,
		      const char *what)
{
	char text[160] = "";

	if (scanner->wrong[0])
		return;
	if (entry)
		entry_text(entry, text, sizeof(text));
	snprintf(scanner->wrong, sizeof(scanner->wrong), "at %#" PRIx64 ": %s; %s", va, what, text);
}

static const struct region *region_of(uint64_t va)
{
	size_t i;

	for (i = 0; i < NR_REGIONS; i++)
		if (va - regions[i].start < regions[i].size)
			return &regions[i];
	return NULL;
}

/* Where the region of @va ends, or the gap that it lies in. */
static uint64_t region_end(uint64_t va)
{
	uint64_t end = BASE + ARENA_SIZE;
	size_t i;

	for (i = 0; i < NR_REGIONS; i++) {
		if (va - regions[i].start < regions[i].size)
			return regions[i].start + regions[i].size;
		if (regions[i].start > va && regions[i].start < end)
			end = regions[i].start;
	}
	return end;
}

/* Every page but the zero page is of a file or not. */
static const char *anon_wrong(const struct region *region, uint32_t flags)
{
	bool anon = flags & VMINSPECT_PAGE_ANON, shared = region == &regions[SHARED];

	if (anon == !!(flags & VMINSPECT_PAGE_FILE))
		return "anon and file";
	return region != &regions[CHURN] && anon == shared ? "anon" : NULL;
}

/* May @entry, whose flags of @known were asked for, stand for the page at @va? */
static const char *entry_wrong(struct scanner *scanner, uint64_t va,
			       const struct vminspect_entry *entry, uint64_t known)
{
	const struct region *region = region_of(va);
	uint32_t states = region ? region->states : STATE(UNMAPPED);
	bool present = entry->state == VMINSPECT_STATE_PRESENT;
	bool zero = entry->flags & VMINSPECT_PAGE_ZERO;

	if (entry->state >= VMINSPECT_NR_STATES || !(states & (1U << entry->state)))
		return "it can't be in this state";
	if (entry->flags & ~known)
		return "flags that were not asked for";
	if (entry->page_shift != 12 && entry->page_shift != 21)
		return "size";
	if (present && !entry->frame)
		return "no frame";
	if (region == &regions[ZERO] && present && (known & VMINSPECT_PAGE_ZERO) && !zero)
		return "more than the zero page";
	if (region != &regions[ZERO] && region != &regions[CHURN] && zero)
		return "the zero page where something was written";
	if (region == &regions[LOCKED] &&
	    entry->frame != scanner->locked_frames[(va - region->start) / SZ_4K])
		return "a locked page has another frame";
	if (region == &regions[SHARED] && entry->state == VMINSPECT_STATE_SWAPPED &&
	    (known & VMINSPECT_PAGE_SHMEM) && !(entry->flags & VMINSPECT_PAGE_SHMEM))
		return "not of shared memory";
	if (present && (known & VMINSPECT_PAGE_ANON) && !zero)
		return anon_wrong(region, entry->flags);
	return NULL;
}

static void judge(struct scanner *scanner, uint64_t va, const struct vminspect_entry *entry,
		  uint64_t known)
{
	const char *wrong = entry_wrong(scanner, va, entry, known);

	if (wrong)
		say_wrong(scanner, va, entry, wrong);
	scanner->answers++;
	if (entry->state < VMINSPECT_NR_STATES)
		scanner->states[entry->state]++;
	if (va - BASE < regions[STEADY].size && entry->state == VMINSPECT_STATE_PRESENT)
		++*(entry->page_shift > 12 ? &scanner->huge : &scanner->small);
}

/* Page by page where each may differ, else once for each region that it reaches. */
static void judge_extent(struct scanner *scanner, const struct vminspect_extent *extent,
			 uint64_t known)
{
	uint64_t va, next;

	if (extent->flags & extent->mixed)
		say_wrong(scanner, extent->start, NULL, "a flag of all and of some");
	for (va = extent->start; va < extent->end; va = next) {
		struct vminspect_entry entry = extent_entry(extent, va);

		next = region_of(va) == &regions[LOCKED] ? va + SZ_4K : region_end(va);
		judge(scanner, va, &entry, known);
	}
}

/* What a reply must look like, whatever was there. @all: nothing was filtered out. */
static void judge_reply(struct scanner *scanner, const struct vminspect_scan *scan, bool all)
{
	const struct vminspect_extent *extents = (void *)(uintptr_t)scan->extents;
	uint64_t at = scan->start;
	uint32_t i;

	if (scan->resume <= scan->start || scan->resume > scan->end || scan->resume % SZ_4K ||
	    scan->nr_filled > scan->nr_extents)
		say_wrong(scanner, scan->resume, NULL, "resume");
	for (i = 0; i < scan->nr_filled; i++) {
		if (extents[i].start < at || (all && extents[i].start != at))
			say_wrong(scanner, extents[i].start, NULL, "not in order, or a gap");
		if (extents[i].end <= extents[i].start || extents[i].start % SZ_4K ||
		    extents[i].end % SZ_4K)
			say_wrong(scanner, extents[i].start, NULL, "empty, or not aligned");
		at = extents[i].end;
		judge_extent(scanner, &extents[i],
			     scan->return_mask & VMINSPECT_PAGE_FLAGS);
	}
	if (at > scan->resume || (all && at != scan->resume))
		say_wrong(scanner, at, NULL, "the last extent does not end where it resumes");
}

static int scan_arena(struct scanner *scanner, struct vminspect_scan scan, uint32_t nr)
{
	static __thread struct vminspect_extent extents[512];
	uint64_t start = BASE;
	bool all = !scan.category_mask && !scan.category_anyof_mask;

	scan.extents = (uintptr_t)extents;
	scan.nr_extents = nr;
	while (start < BASE + ARENA_SIZE) {
		int ret;

		scan.start = start;
		scan.end = BASE + ARENA_SIZE;
		ret = device_scan_extents(scanner->device, &scan);
		if (ret)
			return ret;
		judge_reply(scanner, &scan, all);
		if (scan.resume <= start)
			return -EIO;
		start = scan.resume;
	}
	return 0;
}

static int translate_some(struct scanner *scanner)
{
	/* By looking at pages, and in passing. */
	static const uint64_t masks[] = { RETURN_ALL, RETURN_QUICK, VMINSPECT_RETURN_FRAME };
	uint64_t mask = masks[next_random(&scanner->seed) % ARRAY_LEN(masks)];
	struct vminspect_entry entries[512];
	uint64_t addresses[512];
	int i, ret;

	for (i = 0; i < 512; i++)
		addresses[i] = BASE + next_random(&scanner->seed) % ARENA_SIZE;
	ret = device_translate(scanner->device, addresses, entries, 512, mask);
	for (i = 0; i < ret; i++)
		judge(scanner, addresses[i] & ~(SZ_4K - 1), &entries[i],
		      mask & VMINSPECT_PAGE_FLAGS);
	return ret < 0 ? ret : ret == 0 ? -EIO : 0;
}

/* The outcome follows from the last entry, since both were read at once. */
static const char *walk_wrong(const struct vminspect_walk *walk)
{
	const struct vminspect_walk_level *leaf = &walk->levels[walk->nr_levels - 1];
	bool unmapped = walk->entry.state == VMINSPECT_STATE_UNMAPPED;
	uint64_t inside;
	uint32_t i;

	if (!walk->nr_levels != unmapped)
		return "levels of what is unmapped, or none of what is mapped";
	if (!walk->nr_levels)
		return NULL;
	for (i = 0; i < walk->nr_levels; i++) {
		bool last = &walk->levels[i] == leaf;

		if (walk->levels[i].leaf != last || !walk->levels[i].entry_pa)
			return "levels";
	}
	if (walk->entry.state != VMINSPECT_STATE_PRESENT || !(leaf->raw & 1))
		return NULL;
	inside = (1ULL << (12 + 9 * (leaf->level - 1))) - 1;
	if (walk->entry.frame !=
	    ((leaf->raw & 0x000ffffffffff000 & ~inside) | (walk->va & inside)) / SZ_4K)
		return "frame and raw entry";
	return NULL;
}

static int walk_some(struct scanner *scanner)
{
	struct vminspect_walk walk;
	const char *wrong;
	int i, ret;

	for (i = 0; i < 64; i++) {
		ret = device_walk(scanner->device,
				  BASE + next_random(&scanner->seed) % ARENA_SIZE, &walk);
		if (ret)
			return ret;
		judge(scanner, walk.va & ~(SZ_4K - 1), &walk.entry, VMINSPECT_PAGE_FLAGS);
		wrong = walk_wrong(&walk);
		if (wrong)
			say_wrong(scanner, walk.va, &walk.entry, wrong);
	}
	return 0;
}

static const struct vminspect_scan scans[] = {
	{ .return_mask = RETURN_ALL, .split_mask = VMINSPECT_PAGE_FLAGS },
	{ .return_mask = VMINSPECT_RETURN_FRAME },
	{ .return_mask = RETURN_QUICK,
	  .split_mask = VMINSPECT_PAGE_ZERO | VMINSPECT_PAGE_SHMEM },
	{ .return_mask = RETURN_ALL, .split_mask = VMINSPECT_PAGE_FLAGS,
	  .flags = VMINSPECT_SCAN_PAGES,
	  .category_anyof_mask = VMINSPECT_CAT(VMINSPECT_STATE_PRESENT) |
				 VMINSPECT_CAT(VMINSPECT_STATE_SWAPPED) },
	{ .return_mask = RETURN_ALL, .split_mask = VMINSPECT_PAGE_FLAGS,
	  .flags = VMINSPECT_SCAN_PACKED },
	{ .return_mask = RETURN_QUICK, .split_mask = RETURN_QUICK & VMINSPECT_PAGE_FLAGS,
	  .flags = VMINSPECT_SCAN_PACKED },
};

/* One look in some way. 0 or -errno. */
static int look(struct scanner *scanner)
{
	unsigned int way = next_random(&scanner->seed) % (ARRAY_LEN(scans) + 2);

	if (way < ARRAY_LEN(scans))
		return scan_arena(scanner, scans[way], next_random(&scanner->seed) % 2 ? 512 : 7);
	return way == ARRAY_LEN(scans) ? translate_some(scanner) : walk_some(scanner);
}

static void *look_thread(void *arg)
{
	struct scanner *scanner = arg;
	int ret;

	while (!READ_ONCE(stop) && !scanner->wrong[0]) {
		ret = look(scanner);
		if (ret) {
			say_wrong(scanner, 0, NULL, strerror(-ret));
			break;
		}
	}
	return NULL;
}

#define LOOKERS	2

FIXTURE(change)
{
	pthread_t changers[ARRAY_LEN(changes)];
	pid_t pid;		/* whose memory it is */
};

FIXTURE_VARIANT(change)
{
	bool itself;
	unsigned int seconds;
};

FIXTURE_VARIANT_ADD(change, of_another_process)
{
	.itself = false,
	.seconds = 30,
};

FIXTURE_VARIANT_ADD(change, of_the_process_that_looks)
{
	.itself = true,
	.seconds = 15,
};

/* Collapse as much as it can, and leave locked pages where they are. */
static struct knob knobs[] = {
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "0", "" },
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", "0", "" },
	{ "/proc/sys/vm/compact_unevictable_allowed", "0", "" },
	{ "/proc/sys/kernel/numa_balancing", "0", "" },
};

static bool start_changes(pthread_t *threads)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(changes); i++)
		if (pthread_create(&threads[i], NULL, change_thread, (void *)i))
			return false;
	return true;
}

/* The arena in a process of its own; returns when changes go on there. */
static pid_t start_another(pthread_t *threads)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (make_arena() && start_changes(threads) && write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) != 1) {
		process_end(pid);
		pid = -1;
	}
	close(ready[0]);
	return pid;
}

FIXTURE_SETUP(change)
{
	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 12));
	knobs_turn(knobs, ARRAY_LEN(knobs));
	WRITE_ONCE(stop, false);
	if (variant->itself) {
		self->pid = getpid();
		ASSERT_TRUE(make_arena());
		ASSERT_TRUE(start_changes(self->changers));
	} else {
		self->pid = start_another(self->changers);
		ASSERT_LT(0, self->pid);
	}
}

FIXTURE_TEARDOWN(change)
{
	size_t i;

	WRITE_ONCE(stop, true);
	if (variant->itself)
		for (i = 0; i < ARRAY_LEN(changes); i++)
			pthread_join(self->changers[i], NULL);
	else
		process_end(self->pid);
	knobs_turn_back(knobs, ARRAY_LEN(knobs));
}

/* A huge page that comes and goes, and a lock that is always wanted for writing. */
struct flicker {
	char *huge, *other;
	bool stop;
};

static void *flicker_thread(void *arg)
{
	struct flicker *flicker = arg;

	while (!READ_ONCE(flicker->stop)) {
		madvise(flicker->huge, SZ_2M, MADV_DONTNEED);
		READ_ONCE(flicker->huge[0]);	/* the huge zero page: at once */
	}
	return NULL;
}

static void *want_lock_thread(void *arg)
{
	struct flicker *flicker = arg;
	int prot = PROT_READ;

	for (; !READ_ONCE(flicker->stop); prot ^= PROT_WRITE)
		mprotect(flicker->other, SZ_4K, prot);
	return NULL;
}

/* An entry that was empty, and is not any more by the time that its lock is had. */
TEST(call_that_begins_where_a_page_comes_gets_further)
{
	struct flicker flicker = { .huge = map_huge(SZ_2M), .other = map_small(SZ_4K) };
	struct vminspect_extent extent;
	struct vminspect_scan scan = { .extents = (uintptr_t)&extent, .nr_extents = 1 };
	const time_t end = time(NULL) + 15;	/* on a slow kernel it does not get through */
	int device = device_bound(getpid()), i;
	pthread_t threads[2];

	ASSERT_LE(0, device);
	ASSERT_NE(NULL, flicker.huge);
	ASSERT_NE(NULL, flicker.other);
	scan.start = (uintptr_t)flicker.huge;
	scan.end = scan.start + SZ_2M;
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, flicker_thread, &flicker));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, want_lock_thread, &flicker));
	for (i = 0; i < 100000 && time(NULL) < end; i++) {
		ASSERT_EQ(0, device_scan(device, &scan));
		ASSERT_LT(scan.start, scan.resume)
			TH_LOG("call %d", i);
		ASSERT_EQ(1, scan.nr_filled);
	}
	WRITE_ONCE(flicker.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close(device);
}

static void ignore_signal(int number)
{
	(void)number;
}

/* Together so far; they may be looking. */
static struct scanner sum_up(const struct scanner *scanners)
{
	struct scanner sum = { 0 };
	int i, state;

	for (i = 0; i < LOOKERS; i++) {
		for (state = 0; state < VMINSPECT_NR_STATES; state++)
			sum.states[state] += READ_ONCE(scanners[i].states[state]);
		sum.huge += READ_ONCE(scanners[i].huge);
		sum.small += READ_ONCE(scanners[i].small);
	}
	return sum;
}

/* Has everything been met that there should be? */
static bool met_all(const struct scanner *scanners)
{
	struct scanner sum = sum_up(scanners);

	return sum.states[VMINSPECT_STATE_NONE] && sum.states[VMINSPECT_STATE_PRESENT] &&
	       sum.states[VMINSPECT_STATE_SWAPPED] && sum.states[VMINSPECT_STATE_UNMAPPED] &&
	       sum.huge && sum.small;
}

TEST_F_TIMEOUT(change, every_answer_was_true_at_some_moment, 300)
{
	struct scanner scanners[LOOKERS] = { 0 }, sum;
	uint64_t frames[LOCKED_PAGES];
	int pagemap = pagemap_open(self->pid), i, state;
	pthread_t threads[LOOKERS];

	ASSERT_EQ(0, pagemap_read(pagemap, regions[LOCKED].start, frames, LOCKED_PAGES));
	for (i = 0; i < (int)LOCKED_PAGES; i++)
		frames[i] &= PM_PFN_MASK;
	for (i = 0; i < LOOKERS; i++) {
		scanners[i].device = device_bound(self->pid);
		scanners[i].seed = 1000 + i;
		scanners[i].locked_frames = frames;
		ASSERT_LE(0, scanners[i].device);
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, look_thread, &scanners[i]));
	}
	/* Signals end calls early: with what was done until then. */
	signal(SIGUSR1, ignore_signal);
	/* On a busy machine what is rare may take longer. */
	for (i = 0; i < (int)variant->seconds * 100 || (i < 12000 && !met_all(scanners)); i++) {
		usleep(10000);
		pthread_kill(threads[i % LOOKERS], SIGUSR1);
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < LOOKERS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_STREQ("", scanners[i].wrong);
	}
	sum = sum_up(scanners);
	for (state = 0; state < VMINSPECT_NR_STATES; state++)
		TH_LOG("state %d: %lu", state, sum.states[state]);
	TH_LOG("steady: %lu huge, %lu small", sum.huge, sum.small);
	EXPECT_TRUE(met_all(scanners));
}

FIXTURE(going)
{
};

FIXTURE_SETUP(going)
{
}

FIXTURE_TEARDOWN(going)
{
}

/* Has memory of all sorts for some milliseconds, then is gone or another program. */
static void __attribute__((noreturn)) live_briefly(bool exec, unsigned int ms)
{
	char *map = map_anon(32 << 20, PROT_READ | PROT_WRITE);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (map)
		write_pages(map, 32 << 20);
	usleep(ms * 1000);
	if (exec)
		execl("/bin/sleep", "sleep", "1000", NULL);
	_exit(0);
}

static int ignore_extent(const struct vminspect_extent *extent, void *arg)
{
	(void)extent;
	(void)arg;
	return 0;
}

/* Until it fails: with what? */
static int look_until_gone(int device)
{
	uint64_t end = 0x7ffffffff000;
	time_t limit = time(NULL) + 60;
	int ret = 0;

	while (!ret && time(NULL) < limit)
		ret = device_extents(device, 0, end, NULL, ignore_extent, NULL);
	return ret;
}

TEST_F_TIMEOUT(going, who_exits_or_executes_is_gone_and_nothing_else, 300)
{
	struct vminspect_entry entry;
	struct vminspect_walk walk;
	time_t end = time(NULL) + 15;
	int round, gone = 0;

	for (round = 0; time(NULL) < end || round < 10; round++) {
		bool exec = round % 2;
		pid_t pid = fork();
		int device;

		if (!pid)
			live_briefly(exec, round * 7 % 30);
		ASSERT_LT(0, pid);
		device = device_bound(pid);
		if (device >= 0) {
			EXPECT_EQ(-ESRCH, look_until_gone(device));
			EXPECT_EQ(-ESRCH, device_lookup(device, &entry, &entry));
			EXPECT_EQ(-ESRCH, device_walk(device, (uintptr_t)&entry, &walk));
			close(device);
			gone++;
		} else {
			EXPECT_EQ(-ESRCH, device);	/* it was faster */
		}
		if (exec) {	/* what it runs now can be bound anew */
			device = device_bound(pid);
			EXPECT_LE(0, device);
			EXPECT_EQ(0, device_extents(device, 0, 0x7ffffffff000, NULL, ignore_extent,
						    NULL));
			close(device);
		}
		process_end(pid);
	}
	TH_LOG("%d rounds, %d seen to go", round, gone);
	EXPECT_LT(5, gone);
}

#define ZEROES	(256 * SZ_2M)

struct splitting {
	char *map;
	size_t at;	/* what is split now; ZEROES when all was */
};

/* Writing a page of it makes the kernel take the entry of a huge zero page apart. */
static void *split_thread(void *arg)
{
	struct splitting *splitting = arg;
	size_t at;

	for (at = 0; at < ZEROES; at += SZ_2M) {
		WRITE_ONCE(splitting->at, at);
		splitting->map[at + 5 * SZ_4K] = 1;
	}
	WRITE_ONCE(splitting->at, ZEROES);
	return NULL;
}

/* khugepaged makes huge pages of what was split, and compaction moves them. */
static struct knob quiet[] = {
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "3600000", "" },
	{ "/proc/sys/vm/compaction_proactiveness", "0", "" },
};

static struct {
	unsigned int state;
	int error;
} splitting_last;

/* Looks where it happens. How often was a page of it not present? */
static unsigned long watch_splitting(struct splitting *splitting, int device, unsigned long *looks)
{
	unsigned long absent = 0;
	size_t at;

	while ((at = READ_ONCE(splitting->at)) < ZEROES) {
		struct vminspect_entry entry;

		int error = device_lookup(device, splitting->map + at + SZ_4K, &entry);

		if (error || entry.state != VMINSPECT_STATE_PRESENT) {
			splitting_last.error = error;
			splitting_last.state = error ? 0 : entry.state;
			absent++;
		}
		++*looks;
	}
	return absent;
}

TEST_F_TIMEOUT(going, huge_zero_page_is_never_none_while_it_is_split, 300)
{
	unsigned long absent = 0, looks = 0;
	int device = device_bound(getpid()), round;
	pthread_t thread;
	size_t at;

	ASSERT_LE(0, device);
	/* What it makes of the pages may move. */
	knobs_turn(quiet, ARRAY_LEN(quiet));
	for (round = 0; round < 8; round++) {
		struct splitting splitting = { map_huge(ZEROES), 0 };

		ASSERT_NE(NULL, splitting.map);
		for (at = 0; at < ZEROES; at += SZ_2M)
			touch(splitting.map + at, 1);
		ASSERT_EQ(0, pthread_create(&thread, NULL, split_thread, &splitting));
		absent += watch_splitting(&splitting, device, &looks);
		pthread_join(thread, NULL);
		munmap(splitting.map, ZEROES);
	}
	knobs_turn_back(quiet, ARRAY_LEN(quiet));
	TH_LOG("%lu looks", looks);
	EXPECT_EQ(0, absent)
		TH_LOG("the last one: state %u, error %d", splitting_last.state,
		       splitting_last.error);
}

TEST_HARNESS_MAIN
