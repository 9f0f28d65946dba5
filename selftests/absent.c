// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of page that is mapped and not in memory is really made and found, by SCAN,
 * TRANSLATE and WALK alike: swapped, migrating, poisoned, markers. Those that are in
 * memory are in kinds.c; what no stock kernel makes is in constructed.sh.
 *
 * machines: default la57 numa cpu1 cpu4
 *
 * Slots and frames are those of pagemap, each time one is looked at. Beyond that the
 * disk is read where a slot is said to be, and has to have the page: pagemap can't tell
 * the slots of shared memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"
#include "recorder.h"

#define TIMEOUT	180
#define PAGES	32
#define SIZE	(PAGES * SZ_4K)

/* A page that nobody shares and that was just written */
#define PLAIN	"present 4K write user young dirty soft_dirty anon exclusive mapped_once"

FIXTURE(absent)
{
	struct looker look;
};

FIXTURE_SETUP(absent)
{
	/* The balancer protects pages and moves them when it likes. */
	write_file("/proc/sys/kernel/numa_balancing", "0");
	ASSERT_EQ(0, looker_open(&self->look, getpid()));
}

FIXTURE_TEARDOWN(absent)
{
	looker_close(&self->look);
}

/* What stands at an address, all ways of asking agreeing. */
#define EXPECT_LOOKS(text, va)	EXPECT_STREQ(text, look_text(&self->look, va))

/* Small pages, written and out. NULL if there is no swap. */
static char *map_swapped(size_t size)
{
	char *map = map_small(size);

	if (!map)
		return NULL;
	memset(map, 1, size);
	return page_out(map, size) ? NULL : map;
}

/*
 * The last page of a map that is in an area, or NULL. Each processor has slots of another one in
 * stock: 64 at most, since 7.0 what is left of 512.
 */
#define MORE_THAN_STOCK	(3 * SZ_2M)

static char *last_in_area(struct looker *look, char *map, unsigned int type)
{
	char *va;

	for (va = map + MORE_THAN_STOCK - SZ_4K; va >= map; va -= SZ_4K) {
		look_text(look, va);
		if (look->entry.state == VMINSPECT_STATE_SWAPPED && look->entry.swap_type == type)
			return va;
	}
	return NULL;
}

TEST_F_TIMEOUT(absent, swapped_page_has_its_slot, TIMEOUT)
{
	char *map = map_swapped(SIZE);
	long kb = status_kb(getpid(), "VmSwap");
	int i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < PAGES; i++)
		EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + i * SZ_4K);
	EXPECT_LE(SIZE / 1024, kb);
	EXPECT_EQ(VMINSPECT_STATE_SWAPPED, self->look.entry.state);
}

/* /proc/swaps has the areas in the order of their numbers, if none was ever taken away. */
static int swap_device(void)
{
	char text[1024], path[128];
	const char *line;

	if (read_file("/proc/swaps", text, sizeof(text)) <= 0)
		return -1;
	line = strchr(text, '\n');
	if (!line || sscanf(line, " %127s", path) != 1)
		return -1;
	return open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

/* Every page of @map begins with @mark and its number: written there before it went out. */
static void mark_pages(char *map, uint64_t mark)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++) {
		uint64_t words[2] = { mark, i };

		memcpy(map + i * SZ_4K, words, sizeof(words));
	}
}

/* Writing out takes its time: asked until it is there, for a while, in all of a test. */
static bool slot_holds(int disk, uint64_t offset, uint64_t mark, uint64_t i)
{
	static uint64_t buffer[512] __attribute__((aligned(4096)));
	static int tries;

	for (; tries < 500; tries++) {
		if (pread(disk, buffer, sizeof(buffer), offset * SZ_4K) == sizeof(buffer) &&
		    buffer[0] == mark && buffer[1] == i)
			return true;
		usleep(20000);
	}
	return false;
}

TEST_F_TIMEOUT(absent, slot_on_the_disk_holds_the_page, TIMEOUT)
{
	char *map = map_small(SIZE);
	int disk = swap_device();
	uint64_t i;

	ASSERT_LE(0, disk);
	ASSERT_NE(NULL, map);
	mark_pages(map, 0x1234567890abcdef);
	ASSERT_EQ(0, page_out(map, SIZE));
	for (i = 0; i < PAGES; i++) {
		EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + i * SZ_4K);
		EXPECT_EQ(0, self->look.entry.swap_type);
		EXPECT_TRUE(slot_holds(disk, self->look.entry.frame, 0x1234567890abcdef, i));
	}
}

static size_t count_slot_steps(struct looker *look, char *map, int64_t step)
{
	uint64_t last = 0, slot;
	size_t i, nr = 0;

	for (i = 0; i < PAGES; i++) {
		slot = PM_SWAP_OFFSET(pagemap_entry(look->pagemap, map + i * SZ_4K));
		nr += last && (int64_t)(slot - last) == step;
		last = slot;
	}
	return nr;
}

/* Slots are handed out one after the other: the order of going out makes the steps. */
TEST_F_TIMEOUT(absent, slots_are_one_run_only_where_each_follows_the_last, TIMEOUT)
{
	char *a = map_small(SIZE), *b = map_small(SIZE), *up = map_small(SIZE);
	char *down = map_small(SIZE);
	size_t at;

	ASSERT_TRUE(a && b && up && down);
	memset(a, 1, SIZE);
	memset(b, 1, SIZE);
	memset(up, 1, SIZE);
	memset(down, 1, SIZE);
	for (at = 0; at < SIZE; at += SZ_4K) {
		ASSERT_EQ(0, page_out(a + at, SZ_4K));
		ASSERT_EQ(0, page_out(b + at, SZ_4K));
	}
	ASSERT_EQ(0, page_out(up, SIZE));
	for (at = SIZE; at > 0; at -= SZ_4K)
		ASSERT_EQ(0, page_out(down + at - SZ_4K, SZ_4K));
	EXPECT_EQ(NULL, look_range(&self->look, a, SIZE));
	EXPECT_EQ(NULL, look_range(&self->look, b, SIZE));
	EXPECT_EQ(NULL, look_range(&self->look, up, SIZE));
	EXPECT_EQ(NULL, look_range(&self->look, down, SIZE));
	/* Or else all this says little. */
	EXPECT_LT(0, count_slot_steps(&self->look, a, 2));
	EXPECT_LT(0, count_slot_steps(&self->look, up, 1));
	EXPECT_LT(0, count_slot_steps(&self->look, down, -1));
}

TEST_F_TIMEOUT(absent, slot_shared_with_a_child_is_not_exclusive, TIMEOUT)
{
	char *map = map_swapped(SIZE);
	pid_t child;

	ASSERT_NE(NULL, map);
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	ASSERT_LT(0, child);
	EXPECT_LOOKS("swapped 4K soft_dirty", map);
	process_end(child);
}

TEST_F_TIMEOUT(absent, swapped_page_is_soft_dirty_until_clear_refs, TIMEOUT)
{
	char *map = map_swapped(SIZE);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	EXPECT_LOOKS("swapped 4K exclusive", map);
	map[SZ_4K] = 2;
	ASSERT_EQ(0, page_out(map, SIZE));
	EXPECT_LOOKS("swapped 4K exclusive", map);
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + SZ_4K);
}

TEST_F_TIMEOUT(absent, swapped_page_write_protected_by_userfaultfd, TIMEOUT)
{
	char *before = map_small(SIZE), *after = map_swapped(SIZE);
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "userfaultfd");
	ASSERT_NE(NULL, before);
	ASSERT_NE(NULL, after);
	memset(before, 1, SIZE);
	ASSERT_EQ(0, uffd_protect(uffd, before, SIZE));
	ASSERT_EQ(0, page_out(before, SIZE));
	ASSERT_EQ(0, uffd_protect(uffd, after, SIZE / 2));
	EXPECT_LOOKS("swapped 4K soft_dirty uffd_wp exclusive", before);
	EXPECT_LOOKS("swapped 4K soft_dirty uffd_wp exclusive", after);
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", after + SIZE / 2);
}

/* What came in from a disk and was only read keeps its slot. */
TEST_F_TIMEOUT(absent, page_back_in_memory_stays_in_the_swap_cache, TIMEOUT)
{
	char *map = map_swapped(SIZE);

	ASSERT_NE(NULL, map);
	touch(map, SZ_4K);
	/* since 6.12 it may be written at once (do_swap_page()) */
	EXPECT_LOOKS(kernel_since(6, 12) ?
		     "present 4K write user young soft_dirty anon exclusive mapped_once swapcache" :
		     "present 4K user young soft_dirty anon exclusive mapped_once swapcache", map);
	EXPECT_TRUE(kpage_flags(self->look.entry.frame) & (1ULL << KPF_SWAPCACHE));
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + (PAGES - 1) * SZ_4K);
}

TEST_F_TIMEOUT(absent, huge_page_goes_out_as_small_ones, TIMEOUT)
{
	char *map = map_huge(SZ_2M);
	struct mapping mapping;
	size_t at;

	ASSERT_NE(NULL, map);
	memset(map, 1, SZ_2M);
	ASSERT_EQ(0, page_out(map, SZ_2M));
	for (at = 0; at < SZ_2M; at += 31 * SZ_4K)
		EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + at);
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(SZ_2M, mapping.swap);
}

static int sum_swapped(const struct vminspect_extent *extent, void *arg)
{
	uint64_t *sums = arg;	/* all of it, and that of shared memory */

	if (extent->state != VMINSPECT_STATE_SWAPPED)
		return 0;
	sums[0] += extent->end - extent->start;
	if (extent->flags & VMINSPECT_PAGE_SHMEM)
		sums[1] += extent->end - extent->start;
	return 0;
}

/* All of it goes out, its slots have the pages, and what is touched is of a file again. */
static void expect_goes_out(struct __test_metadata *const _metadata,
			    struct _test_data_absent *self, char *map)
{
	uint64_t i, sums[2] = { 0 }, mark = (uintptr_t)map;
	int disk = swap_device();

	ASSERT_LE(0, disk);
	mark_pages(map, mark);
	ASSERT_EQ(0, page_out_shared(map, SIZE));
	for (i = 0; i < PAGES; i++) {
		EXPECT_LOOKS("swapped 4K soft_dirty shmem", map + i * SZ_4K);
		EXPECT_TRUE(slot_holds(disk, self->look.entry.frame, mark, i));
	}
	ASSERT_EQ(0, device_extents(self->look.device, (uintptr_t)map, (uintptr_t)map + SIZE, NULL,
				    sum_swapped, sums));
	EXPECT_EQ(SIZE, sums[0]);
	EXPECT_EQ(SIZE, sums[1]);
	touch(map + SZ_4K, 1);
	EXPECT_LOOKS("swapped 4K soft_dirty shmem", map);
	/* since 7.0 the entry of a dirty page is dirty (set_pte_range()) */
	EXPECT_LOOKS(kernel_since(7, 0) ?
		     "present 4K write user young dirty soft_dirty file mapped_once" :
		     "present 4K write user young soft_dirty file mapped_once", map + SZ_4K);
	close(disk);
}

TEST_F_TIMEOUT(absent, memfd_that_is_out_is_told_from_none, TIMEOUT)
{
	char *map = map_fd(memfd(SIZE + SZ_4K, 0), SIZE + SZ_4K, MAP_SHARED);

	ASSERT_NE(NULL, map);
	expect_goes_out(_metadata, self, map);
	EXPECT_LOOKS("none 4K soft_dirty", map + SIZE);
}

TEST_F_TIMEOUT(absent, SysV_segment_that_is_out_is_told_from_none, TIMEOUT)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600);
	char *map = shmat(id, NULL, 0);

	ASSERT_NE((char *)-1, map);
	shmctl(id, IPC_RMID, NULL);
	expect_goes_out(_metadata, self, map);
}

TEST_F_TIMEOUT(absent, file_of_tmpfs_that_is_out_is_told_from_none, TIMEOUT)
{
	char path[] = "/dev/shm/selftest-XXXXXX";
	int fd = mkstemp(path);
	char *map;

	ASSERT_LE(0, fd);
	unlink(path);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	map = map_fd(fd, SIZE, MAP_SHARED);
	ASSERT_NE(NULL, map);
	expect_goes_out(_metadata, self, map);
}

TEST_F_TIMEOUT(absent, mapping_of_a_part_has_the_slots_of_that_part, TIMEOUT)
{
	int fd = memfd(SIZE, 0), disk = swap_device();
	char *map = map_fd(fd, SIZE, MAP_SHARED), *part;

	ASSERT_LE(0, disk);
	ASSERT_NE(NULL, map);
	mark_pages(map, 0xfeed);
	ASSERT_EQ(0, page_out_shared(map, SIZE));
	part = mmap(NULL, 4 * SZ_4K, PROT_READ, MAP_SHARED, fd, 9 * SZ_4K);
	ASSERT_NE(MAP_FAILED, part);
	EXPECT_LOOKS("swapped 4K soft_dirty shmem", part + SZ_4K);
	EXPECT_TRUE(slot_holds(disk, self->look.entry.frame, 0xfeed, 10));
}

TEST_F_TIMEOUT(absent, private_mapping_has_slots_of_its_own_and_of_the_file, TIMEOUT)
{
	int fd = memfd(SIZE, 0);
	char *shared = map_fd(fd, SIZE, MAP_SHARED);
	char *private = map_fd(fd, SIZE, MAP_PRIVATE);
	struct mapping mapping;

	ASSERT_NE(NULL, shared);
	ASSERT_NE(NULL, private);
	memset(shared, 1, SIZE);
	memset(private, 2, SIZE / 2);
	ASSERT_EQ(0, page_out(private, SIZE / 2));
	ASSERT_EQ(0, page_out_shared(shared, SIZE));
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", private);
	EXPECT_LOOKS("swapped 4K soft_dirty shmem", private + SIZE / 2);
	ASSERT_EQ(0, mapping_at(getpid(), private, &mapping));
	EXPECT_EQ(SIZE, mapping.swap);
	/* What it discards is the file's again. */
	ASSERT_EQ(0, madvise(private, SZ_4K, MADV_DONTNEED));
	EXPECT_LOOKS("swapped 4K soft_dirty shmem", private);
}

#define ZRAM	"/dev/zram0"

TEST_F_TIMEOUT(absent, swap_type_tells_two_areas_apart, TIMEOUT)
{
	char *disk = map_swapped(SIZE), *zram, *last;

	ASSERT_NE(NULL, disk);
	if (system("modprobe zram num_devices=1 2>&1 >/dev/null") ||
	    write_file("/sys/block/zram0/disksize", "16M") ||
	    system("mkswap " ZRAM " >/dev/null"))
		SKIP(return, "zram");
	ASSERT_EQ(0, swapon(ZRAM, SWAP_FLAG_PREFER | 100));
	zram = map_swapped(MORE_THAN_STOCK);
	last = zram ? last_in_area(&self->look, zram, 1) : NULL;
	EXPECT_NE(NULL, last);
	if (last) {
		EXPECT_LOOKS("swapped 4K soft_dirty exclusive", last);
		EXPECT_EQ(1, self->look.entry.swap_type);
	}
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", disk);
	EXPECT_EQ(0, self->look.entry.swap_type);

	/* Without the area its pages are back. */
	EXPECT_EQ(0, swapoff(ZRAM));
	system("rmmod zram");
	if (last)
		EXPECT_EQ(0, strncmp("present 4K", look_text(&self->look, last), 10));
}

static uint64_t frame_of(struct looker *look, const void *va)
{
	return pagemap_entry(look->pagemap, va) & PM_PFN_MASK;
}

TEST_F_TIMEOUT(absent, page_whose_memory_failed, TIMEOUT)
{
	char *small = map_small(2 * SZ_4K), *huge = map_huge(SZ_2M);
	char *shared = map_fd(memfd(SZ_4K, 0), SZ_4K, MAP_SHARED);
	uint64_t frames[3];

	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, huge);
	ASSERT_NE(NULL, shared);
	memset(small, 1, 2 * SZ_4K);
	memset(huge, 1, SZ_2M);
	shared[0] = 1;
	frames[0] = frame_of(&self->look, small);
	frames[1] = frame_of(&self->look, huge + 5 * SZ_4K);
	frames[2] = frame_of(&self->look, shared);
	if (memory_fail(small, SZ_4K))
		SKIP(return, "MADV_HWPOISON");
	ASSERT_EQ(0, memory_fail(huge + 5 * SZ_4K, SZ_4K));
	ASSERT_EQ(0, memory_fail(shared, SZ_4K));

	EXPECT_LOOKS("poisoned 4K soft_dirty", small);
	EXPECT_EQ(frames[0], self->look.entry.frame);
	EXPECT_TRUE(kpage_flags(frames[0]) & (1ULL << KPF_HWPOISON));
	EXPECT_LOOKS(PLAIN, small + SZ_4K);
	EXPECT_LOOKS("poisoned 4K soft_dirty", huge + 5 * SZ_4K);
	EXPECT_EQ(frames[1], self->look.entry.frame);
	EXPECT_TRUE(kpage_flags(frames[1]) & (1ULL << KPF_HWPOISON));
	EXPECT_LOOKS("poisoned 4K soft_dirty", shared);
	EXPECT_EQ(frames[2], self->look.entry.frame);
}

TEST_F_TIMEOUT(absent, hugetlb_page_whose_memory_failed, TIMEOUT)
{
	uint64_t frame;
	char *map;

	if (hugetlb_reserve(SZ_2M, 1))
		SKIP(return, "no hugetlb page of 2M to be had");
	map = map_hugetlb(SZ_2M, SZ_2M, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	map[0] = 1;
	frame = frame_of(&self->look, map);
	if (memory_fail(map, SZ_2M))
		SKIP(return, "MADV_HWPOISON");
	EXPECT_LOOKS("poisoned 2M soft_dirty huge hugetlb", map);
	EXPECT_EQ(frame, self->look.entry.frame);
	EXPECT_LOOKS("poisoned 2M soft_dirty huge hugetlb", map + 5 * SZ_4K);
	EXPECT_EQ(frame + 5, self->look.entry.frame);
	EXPECT_TRUE(kpage_flags(frame) & (1ULL << KPF_HWPOISON));
}

TEST_F_TIMEOUT(absent, marker_of_userfaultfd_where_no_page_is, TIMEOUT)
{
	char *map = map_fd(memfd(SIZE, 0), SIZE, MAP_SHARED), *anon = map_small(SZ_4K);
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "userfaultfd");
	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, anon);
	memset(map, 1, SIZE / 2);
	ASSERT_EQ(0, uffd_protect(uffd, map, SIZE - SZ_4K));
	ASSERT_EQ(0, uffd_protect(uffd, anon, SZ_4K));
	ASSERT_EQ(0, page_out_shared(map, SZ_4K));
	ASSERT_EQ(0, madvise(map + SZ_4K, SZ_4K, MADV_DONTNEED));

	EXPECT_LOOKS("marker 4K soft_dirty uffd_wp", map);	/* out */
	EXPECT_LOOKS("marker 4K soft_dirty uffd_wp", map + SZ_4K);	/* discarded */
	EXPECT_LOOKS("marker 4K soft_dirty uffd_wp", map + SIZE / 2);	/* never there */
	EXPECT_LOOKS("none 4K soft_dirty", map + SIZE - SZ_4K);	/* not protected */
	EXPECT_LOOKS("none 4K soft_dirty", anon);	/* this kernel has none there */
}

TEST_F_TIMEOUT(absent, marker_of_userfaultfd_in_hugetlb, TIMEOUT)
{
	int uffd = uffd_open();
	char *map;

	if (uffd < 0)
		SKIP(return, "userfaultfd");
	if (hugetlb_reserve(SZ_2M, 2))
		SKIP(return, "no hugetlb pages of 2M to be had");
	map = map_hugetlb(2 * SZ_2M, SZ_2M, MAP_SHARED);
	ASSERT_NE(NULL, map);
	map[SZ_2M] = 1;
	ASSERT_EQ(0, uffd_protect(uffd, map, 2 * SZ_2M));
	EXPECT_LOOKS("marker 2M soft_dirty uffd_wp huge hugetlb", map);
	EXPECT_LOOKS("marker 2M soft_dirty uffd_wp huge hugetlb", map + 77 * SZ_4K);
	EXPECT_LOOKS("present 2M user young dirty soft_dirty uffd_wp file huge hugetlb mapped_once",
		     map + SZ_2M);
}

/* The disk is called by a number of its own or, on later kernels, like its directory. */
#define NULLB	"/sys/kernel/config/nullb/nullb0/"

/*
 * A disk in memory that can be told to fail. It writes at once; that of later kernels, which has
 * queues always, when it gets to it, and what was written stays in the swap cache as long.
 */
static bool make_failing_disk(void)
{
	return !system("modprobe configfs; modprobe null_blk nr_devices=0") &&
	       !system("mountpoint -q /sys/kernel/config ||"
		       " mount -t configfs none /sys/kernel/config") &&
	       !mkdir(NULLB, 0755) && !write_file(NULLB "memory_backed", "1") &&
	       !write_file(NULLB "queue_mode", "0") && !write_file(NULLB "irqmode", "0") &&
	       !write_file(NULLB "size", "16") && !write_file(NULLB "power", "1") &&
	       !system("mkswap /dev/nullb0 >/dev/null");
}

static int add_pages(const struct vminspect_extent *extent, void *arg)
{
	*(size_t *)arg += (extent->end - extent->start) / SZ_4K;
	return 0;
}

#define NULLB_SECTORS	32768	/* 16 MiB */
#define BAD_SECTORS	512	/* as many as one entry of its list holds */

/* All of it, piece by piece from the first: a list made otherwise is not in order. */
static bool fail_disk(void)
{
	char range[32];
	int first;

	for (first = 0; first < NULLB_SECTORS; first += BAD_SECTORS) {
		snprintf(range, sizeof(range), "+%d-%d", first, first + BAD_SECTORS - 1);
		if (write_file(NULLB "badblocks", range))
			return false;
	}
	return true;
}

/* What can't be read when its area is taken away is lost: an access gets SIGBUS. */
TEST_F_TIMEOUT(absent, marker_of_a_page_that_could_not_be_read_back, TIMEOUT)
{
	char *map, *last;

	cgroup_enter();
	/* What is there by now stays: to read it back would read those beside it ahead. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_TRUE(make_failing_disk());
	ASSERT_EQ(0, swapon("/dev/nullb0", SWAP_FLAG_PREFER | 200));
	map = map_swapped(MORE_THAN_STOCK);
	ASSERT_NE(NULL, map);
	last = last_in_area(&self->look, map, 1);
	ASSERT_NE(NULL, last);
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", last);
	drain_new_pages();	/* those whose writing has ended wait likewise */
	drop_swap_cache();
	ASSERT_TRUE(fail_disk());
	EXPECT_EQ(0, swapoff("/dev/nullb0"));
	EXPECT_LOOKS("marker 4K soft_dirty poison", last);
	write_file(NULLB "power", "0");
	rmdir(NULLB);
	munlockall();
	munmap(map, MORE_THAN_STOCK);
	cgroup_leave();
}

/* More than one batch looks up in the page cache. */
TEST_F_TIMEOUT(absent, many_pages_of_shared_memory_that_are_out_are_all_found, TIMEOUT)
{
	char *map = map_fd(memfd(2 * SZ_2M, 0), 2 * SZ_2M, MAP_SHARED);
	size_t nr = 2 * SZ_2M / SZ_4K, i;

	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * SZ_2M);
	ASSERT_EQ(0, page_out_shared(map, 2 * SZ_2M));
	EXPECT_EQ(NULL, look_range(&self->look, map, 2 * SZ_2M));
	for (i = 0; i < 2; i++) {
		const struct vminspect_scan scan = {
			.category_mask = VMINSPECT_CAT(VMINSPECT_STATE_SWAPPED),
			.return_mask = VMINSPECT_PAGE_SHMEM |
				       (i ? VMINSPECT_PAGE_FROM_PAGE : 0),
		};
		size_t found = 0;

		EXPECT_EQ(0, device_extents(self->look.device, (uintptr_t)map,
					    (uintptr_t)map + 2 * SZ_2M, &scan, add_pages,
					    &found));
		EXPECT_EQ(nr, found);
	}
}

#define MOVED		256
#define HISTORY		4096
#define SEEN		32	/* with either mask */
#define WAYS		3	/* SCAN, TRANSLATE, WALK */

/*
 * Pages that are moved to and fro between two nodes all the time. While one moves, its
 * entry has the frame that it comes from: one that pagemap had for it between two moves.
 */
struct moving {
	char *map;
	size_t step;			/* from one page to the next */
	size_t nr;
	int pagemap;
	int device;
	bool stop;
	uint64_t (*history)[MOVED];	/* frames of all pages after each move */
	size_t moves;

	uint64_t mask;			/* asked for: pages are looked at, or passed */
	struct moving_seen {
		uint64_t va, frame, mask;
		uint32_t flags;
		uint8_t shift;
	} seen[2][SEEN];
	size_t nr_seen[2];
	size_t ways[2][WAYS];		/* with either mask; it is one and the same to WALK */
};

static void moving_note(struct moving *moving)
{
	size_t i;

	for (i = 0; i < moving->nr; i++)
		moving->history[moving->moves][i] =
			pagemap_entry(moving->pagemap, moving->map + i * moving->step) &
			PM_PFN_MASK;
	moving->moves++;
}

static void *moving_thread(void *arg)
{
	struct moving *moving = arg;
	void *pages[MOVED];
	size_t i;

	for (i = 0; i < moving->nr; i++)
		pages[i] = moving->map + i * moving->step;
	while (!READ_ONCE(moving->stop) && moving->moves < HISTORY) {
		move_pages_to(pages, moving->nr, moving->moves % 2);
		moving_note(moving);
	}
	return NULL;
}

static void moving_see(struct moving *moving, int way, uint64_t va,
		       const struct vminspect_entry *entry)
{
	bool quick = moving->mask == RETURN_QUICK;

	if (entry->state != VMINSPECT_STATE_MIGRATING)
		return;
	moving->ways[quick][way]++;
	if (moving->nr_seen[quick] == SEEN)
		return;
	moving->seen[quick][moving->nr_seen[quick]++] = (struct moving_seen){
		.va = va,
		.frame = entry->frame,
		.mask = way == 2 ? RETURN_ALL : moving->mask,
		.flags = entry->flags,
		.shift = entry->page_shift,
	};
}

static int moving_extent(const struct vminspect_extent *extent, void *arg)
{
	struct vminspect_entry entry = extent_entry(extent, extent->start);

	moving_see(arg, 0, extent->start, &entry);
	return 0;
}

static void moving_look(struct moving *moving)
{
	const struct vminspect_scan scan = {
		.return_mask = moving->mask,
		.split_mask = moving->mask & VMINSPECT_PAGE_FLAGS,
	};
	uint64_t start = (uintptr_t)moving->map, addresses[MOVED];
	struct vminspect_entry entries[MOVED];
	struct vminspect_walk walk;
	size_t i;

	device_extents(moving->device, start, start + moving->nr * moving->step, &scan,
		       moving_extent, moving);
	for (i = 0; i < moving->nr; i++)
		addresses[i] = start + i * moving->step;
	if (device_translate(moving->device, addresses, entries, moving->nr, moving->mask) ==
	    (int)moving->nr)
		for (i = 0; i < moving->nr; i++)
			moving_see(moving, 1, addresses[i], &entries[i]);
	for (i = 0; i < moving->nr; i++)
		if (!device_walk(moving->device, addresses[i], &walk))
			moving_see(moving, 2, addresses[i], &walk.entry);
}

static bool moving_met_all(const struct moving *moving)
{
	size_t i, way;

	for (i = 0; i < 2; i++)
		for (way = 0; way < WAYS; way++)
			if (moving->ways[i][way] < 4)
				return false;
	return true;
}

/* Until each way of asking has met some. */
static void moving_run(struct moving *moving)
{
	time_t end = time(NULL) + 90;
	pthread_t thread;

	moving->history = malloc(HISTORY * sizeof(*moving->history));
	if (!moving->history)
		return;
	moving_note(moving);
	if (pthread_create(&thread, NULL, moving_thread, moving))
		return;
	while (time(NULL) < end && moving->moves < HISTORY && !moving_met_all(moving)) {
		moving->mask = moving->mask == RETURN_ALL ? RETURN_QUICK : RETURN_ALL;
		moving_look(moving);
	}
	WRITE_ONCE(moving->stop, true);
	pthread_join(thread, NULL);
}

static bool moving_was_there(const struct moving *moving, const struct moving_seen *seen)
{
	size_t i = (seen->va - (uintptr_t)moving->map) / moving->step, move;

	for (move = 0; move < moving->moves; move++)
		if (moving->history[move][i] == seen->frame)
			return true;
	return false;
}

static const char *moving_text(const struct moving_seen *seen, char *text, size_t size)
{
	struct vminspect_entry entry = {
		.state = VMINSPECT_STATE_MIGRATING,
		.page_shift = seen->shift,
		.flags = seen->flags,
	};

	return entry_text(&entry, text, size);
}

/* Flags in words, without one for which the page has to be looked at. */
static const char *moving_expected(const struct moving_seen *seen, const char *expected,
				   char *text, size_t size)
{
	static const char page_flag[] = " exclusive";
	char *at;

	snprintf(text, size, "%s", expected);
	at = strstr(text, page_flag);
	if (at && seen->mask == RETURN_QUICK)
		memmove(at, at + strlen(page_flag), strlen(at + strlen(page_flag)) + 1);
	return text;
}

static void expect_migrates(struct __test_metadata *const _metadata,
			    struct _test_data_absent *self, const char *expected, char *map,
			    size_t size, size_t page)
{
	struct moving moving = {
		.map = map, .step = page, .nr = size / page,
		.pagemap = self->look.pagemap, .device = self->look.device,
	};
	char text[256], text_expected[256];
	size_t quick, i;

	moving_run(&moving);
	for (i = 0; i < 2 * WAYS; i++)
		EXPECT_LT(0, moving.ways[i / WAYS][i % WAYS])
			TH_LOG("%s, way %zu, %zu moves", i / WAYS ? "in passing" : "pages",
			       i % WAYS, moving.moves);
	for (quick = 0; quick < 2; quick++)
		for (i = 0; i < moving.nr_seen[quick]; i++) {
			const struct moving_seen *seen = &moving.seen[quick][i];

			EXPECT_STREQ(moving_expected(seen, expected, text_expected,
						     sizeof(text_expected)),
				     moving_text(seen, text, sizeof(text)));
			EXPECT_TRUE(moving_was_there(&moving, seen));
		}
	free(moving.history);
}

static bool second_node(void)
{
	return read_number("/sys/devices/system/node/node1/distance") >= 0;
}

TEST_F_TIMEOUT(absent, small_pages_migrate, TIMEOUT)
{
	char *map = map_small(MOVED * SZ_4K);

	if (!second_node())
		SKIP(return, "a second NUMA node");
	ASSERT_NE(NULL, map);
	memset(map, 1, MOVED * SZ_4K);
	expect_migrates(_metadata, self, "migrating 4K write young dirty soft_dirty", map,
			MOVED * SZ_4K, SZ_4K);
}

TEST_F_TIMEOUT(absent, read_only_pages_migrate, TIMEOUT)
{
	char *map = map_small(MOVED * SZ_4K);

	if (!second_node())
		SKIP(return, "a second NUMA node");
	ASSERT_NE(NULL, map);
	memset(map, 1, MOVED * SZ_4K);
	ASSERT_EQ(0, mprotect(map, MOVED * SZ_4K, PROT_READ));
	expect_migrates(_metadata, self, "migrating 4K young dirty soft_dirty exclusive", map,
			MOVED * SZ_4K, SZ_4K);
}

TEST_F_TIMEOUT(absent, pages_shared_with_a_child_migrate, TIMEOUT)
{
	char *map = map_small(MOVED * SZ_4K);
	pid_t child;

	if (!second_node())
		SKIP(return, "a second NUMA node");
	ASSERT_NE(NULL, map);
	memset(map, 1, MOVED * SZ_4K);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	expect_migrates(_metadata, self, "migrating 4K young dirty soft_dirty", map,
			MOVED * SZ_4K, SZ_4K);
	process_end(child);
}

TEST_F_TIMEOUT(absent, huge_pages_migrate, TIMEOUT)
{
	char *map = map_huge(4 * SZ_2M);

	if (!second_node())
		SKIP(return, "a second NUMA node");
	ASSERT_NE(NULL, map);
	memset(map, 1, 4 * SZ_2M);
	expect_migrates(_metadata, self, "migrating 2M write young dirty soft_dirty huge", map,
			4 * SZ_2M, SZ_2M);
}

TEST_F_TIMEOUT(absent, hugetlb_pages_migrate, TIMEOUT)
{
	char *map;

	if (!second_node())
		SKIP(return, "a second NUMA node");
	if (hugetlb_reserve(SZ_2M, 12))	/* where they go must have some as well */
		SKIP(return, "no hugetlb pages of 2M to be had");
	map = map_hugetlb(4 * SZ_2M, SZ_2M, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	memset(map, 1, 4 * SZ_2M);
	/* Of hugetlb only the mapping is ever soft-dirty, as pagemap has it. */
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	expect_migrates(_metadata, self, "migrating 2M write young dirty huge hugetlb", map,
			4 * SZ_2M, SZ_2M);
}

TEST_HARNESS_MAIN
