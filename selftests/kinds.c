// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of page that is in memory is really made and found, by SCAN, TRANSLATE
 * and WALK alike, with its size, its flags and its frame. The kinds that are out of
 * memory are in absent.c.
 *
 * machines: default la57 numa
 *
 * What a page must look like follows from how it was made. Its frame and whatever else
 * pagemap and kpageflags know are compared with them each time a page is looked at;
 * smaps, kpagecount, iomem and move_pages are asked where they know more.
 */
#define _GNU_SOURCE
#include <linux/kernel-page-flags.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"

#define TIMEOUT	120

/* Of pages that nobody shares, which most are; and those that were just written. */
#define OWN		"anon exclusive mapped_once"
#define OWN_HUGE	"anon huge exclusive mapped_once"
#define OWN_HUGETLB	"anon huge hugetlb exclusive mapped_once"
#define PLAIN		"present 4K write user young dirty soft_dirty " OWN
#define PLAIN_HUGE	"present 2M write user young dirty soft_dirty " OWN_HUGE

FIXTURE(kinds)
{
	struct looker look;
};

FIXTURE_SETUP(kinds)
{
	/* The balancer protects pages and moves them when it likes. */
	write_file("/proc/sys/kernel/numa_balancing", "0");
	ASSERT_EQ(0, looker_open(&self->look, getpid()));
}

FIXTURE_TEARDOWN(kinds)
{
	looker_close(&self->look);
}

/* What stands at an address, all ways of asking agreeing. */
#define EXPECT_LOOKS(text, va)	EXPECT_STREQ(text, look_text(&self->look, va))

TEST_F_TIMEOUT(kinds, page_never_touched_is_none, TIMEOUT)
{
	char *map = map_small(4 * SZ_4K);

	ASSERT_NE(NULL, map);
	/* A mapping is soft-dirty as a whole until clear_refs is told 4. */
	EXPECT_LOOKS("none 4K soft_dirty", map);
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	EXPECT_LOOKS("none 4K", map);
}

TEST_F_TIMEOUT(kinds, page_discarded_is_none, TIMEOUT)
{
	char *map = map_small(4 * SZ_4K);

	ASSERT_NE(NULL, map);
	memset(map, 1, 4 * SZ_4K);
	ASSERT_EQ(0, madvise(map + SZ_4K, SZ_4K, MADV_DONTNEED));
	EXPECT_LOOKS(PLAIN, map);
	EXPECT_LOOKS("none 4K soft_dirty", map + SZ_4K);
}

TEST_F_TIMEOUT(kinds, address_outside_any_mapping_is_unmapped, TIMEOUT)
{
	char *map = map_small(3 * SZ_4K);

	ASSERT_NE(NULL, map);
	memset(map, 1, 3 * SZ_4K);
	ASSERT_EQ(0, munmap(map + SZ_4K, SZ_4K));
	EXPECT_LOOKS("unmapped 4K", map + SZ_4K);
	EXPECT_LOOKS(PLAIN, map + 2 * SZ_4K);
	EXPECT_LOOKS("unmapped 4K", NULL);
}

TEST_F_TIMEOUT(kinds, page_shows_the_protection_of_its_mapping, TIMEOUT)
{
	char *map = map_small(3 * SZ_4K);

	ASSERT_NE(NULL, map);
	memset(map, 1, 3 * SZ_4K);
	ASSERT_EQ(0, mprotect(map, SZ_4K, PROT_READ));
	ASSERT_EQ(0, mprotect(map + SZ_4K, SZ_4K, PROT_READ | PROT_EXEC));
	ASSERT_EQ(0, mprotect(map + 2 * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_LOOKS("present 4K user young dirty soft_dirty " OWN, map);
	EXPECT_LOOKS("present 4K exec user young dirty soft_dirty " OWN, map + SZ_4K);
	map[2 * SZ_4K] = 2;	/* it becomes writable when it is written */
	EXPECT_LOOKS("present 4K write exec user young dirty soft_dirty " OWN, map + 2 * SZ_4K);
}

TEST_F_TIMEOUT(kinds, page_of_a_file_is_told_from_an_anonymous_one, TIMEOUT)
{
	int fd = memfd(2 * SZ_4K, 0);
	char *shared = map_fd(fd, 2 * SZ_4K, MAP_SHARED);
	char *private;

	ASSERT_NE(NULL, shared);
	shared[0] = 1;
	EXPECT_LOOKS("present 4K write user young dirty soft_dirty file mapped_once", shared);
	EXPECT_LOOKS("none 4K soft_dirty", shared + SZ_4K);

	private = map_fd(fd, 2 * SZ_4K, MAP_PRIVATE);
	ASSERT_NE(NULL, private);
	touch(private, 1);
	EXPECT_LOOKS("present 4K user young soft_dirty file shared", private);
	EXPECT_LOOKS("present 4K write user young dirty soft_dirty file shared", shared);
	EXPECT_EQ(2, kpage_count(self->look.entry.frame));
	private[0] = 2;
	EXPECT_LOOKS(PLAIN, private);
}

TEST_F_TIMEOUT(kinds, program_text_is_executable_and_of_a_file, TIMEOUT)
{
	const char *text = look_text(&self->look, (void *)look_text);

	EXPECT_EQ(text, strstr(text, "present 4K exec user young soft_dirty file "))
		TH_LOG("%s", text);
}

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	pause();
	_exit(0);
}

TEST_F_TIMEOUT(kinds, page_shared_with_a_child_is_not_exclusive, TIMEOUT)
{
	char *map = map_small(SZ_4K);
	pid_t child;

	ASSERT_NE(NULL, map);
	map[0] = 1;
	EXPECT_LOOKS(PLAIN, map);
	child = fork_sleeper();
	ASSERT_LT(0, child);
	EXPECT_LOOKS("present 4K user young dirty soft_dirty anon shared", map);
	EXPECT_EQ(2, kpage_count(self->look.entry.frame));

	/* Nobody knows that it is alone until it is written. */
	process_end(child);
	EXPECT_LOOKS("present 4K user young dirty soft_dirty anon mapped_once", map);
	map[0] = 2;
	EXPECT_LOOKS(PLAIN, map);
}

TEST_F_TIMEOUT(kinds, young_follows_clear_refs_and_access, TIMEOUT)
{
	char *map = map_small(2 * SZ_4K);

	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * SZ_4K);
	ASSERT_EQ(0, clear_refs(getpid(), "1"));
	EXPECT_LOOKS("present 4K write user dirty soft_dirty " OWN, map);
	flush_tlb();
	touch(map, 1);
	EXPECT_LOOKS(PLAIN, map);
	EXPECT_LOOKS("present 4K write user dirty soft_dirty " OWN, map + SZ_4K);
}

TEST_F_TIMEOUT(kinds, soft_dirty_says_what_was_written_since_clear_refs, TIMEOUT)
{
	char *map = map_small(4 * SZ_4K), *huge = map_huge(2 * SZ_2M);

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, huge);
	memset(map, 1, 3 * SZ_4K);
	memset(huge, 1, 2 * SZ_2M);
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	EXPECT_LOOKS("present 4K user young dirty " OWN, map);
	EXPECT_LOOKS("present 2M user young dirty " OWN_HUGE, huge);

	touch(map, 2 * SZ_4K);
	map[SZ_4K] = 2;
	map[3 * SZ_4K] = 2;
	huge[SZ_2M] = 2;
	EXPECT_LOOKS("present 4K user young dirty " OWN, map);
	EXPECT_LOOKS(PLAIN, map + SZ_4K);
	EXPECT_LOOKS("present 4K user young dirty " OWN, map + 2 * SZ_4K);
	EXPECT_LOOKS(PLAIN, map + 3 * SZ_4K);
	EXPECT_LOOKS("present 2M user young dirty " OWN_HUGE, huge);
	EXPECT_LOOKS(PLAIN_HUGE, huge + SZ_2M);
}

TEST_F_TIMEOUT(kinds, huge_page_is_one_and_each_of_its_frames_is_right, TIMEOUT)
{
	char *map = map_huge(SZ_2M);
	struct mapping mapping;
	size_t at;

	ASSERT_NE(NULL, map);
	map[0] = 1;
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	if (!mapping.anon_huge)
		SKIP(return, "no transparent huge page to be had");
	for (at = 0; at < SZ_2M; at += 37 * SZ_4K)	/* frames by pagemap */
		EXPECT_LOOKS(PLAIN_HUGE, map + at);
}

TEST_F_TIMEOUT(kinds, huge_page_mapped_in_pieces_is_small_pages, TIMEOUT)
{
	char *map = map_huge(2 * SZ_2M);
	struct mapping mapping;
	const char *piece;

	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * SZ_2M);
	ASSERT_EQ(0, madvise(map + SZ_4K, SZ_4K, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(map + SZ_2M, SZ_4K, PROT_READ));
	/* Splitting the entry moves its dirty bit to the page, in later kernels to the entries. */
	piece = kernel_since(6, 2) ? "present 4K write user young dirty soft_dirty " OWN :
		"present 4K write user young soft_dirty " OWN;
	EXPECT_LOOKS(piece, map);
	EXPECT_LOOKS("none 4K soft_dirty", map + SZ_4K);
	EXPECT_LOOKS(piece, map + 2 * SZ_4K);
	EXPECT_LOOKS(kernel_since(6, 2) ? "present 4K user young dirty soft_dirty " OWN :
		     "present 4K user young soft_dirty " OWN, map + SZ_2M);
	/* The page behind them is a huge one still, mapped by no huge entry. */
	EXPECT_TRUE(kpage_flags(self->look.entry.frame) & (1ULL << KPF_THP));
	ASSERT_EQ(0, mapping_at(getpid(), map + SZ_2M, &mapping));
	EXPECT_EQ(0, mapping.anon_huge);
}

TEST_F_TIMEOUT(kinds, huge_page_of_shared_memory_is_huge_and_of_a_file, TIMEOUT)
{
	const char *knob = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	struct mapping mapping;
	char *map, *at;
	int fd;

	if (write_file(knob, "advise"))
		SKIP(return, "no transparent huge pages in shared memory");
	fd = memfd(2 * SZ_2M, 0);
	map = map_aligned(2 * SZ_2M, SZ_2M);
	ASSERT_NE(NULL, map);
	at = mmap(map, 2 * SZ_2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(map, at);
	ASSERT_EQ(0, madvise(map, 2 * SZ_2M, MADV_HUGEPAGE));
	map[0] = 1;
	write_file(knob, "never");
	EXPECT_LOOKS("present 2M write user young dirty soft_dirty file huge mapped_once",
		     map + 5 * SZ_4K);
	EXPECT_LOOKS("none 4K soft_dirty", map + SZ_2M);
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(SZ_2M, mapping.shmem_huge);
}

TEST_F_TIMEOUT(kinds, hugetlb_page_of_2M, TIMEOUT)
{
	struct mapping mapping;
	char *private, *shared;

	if (hugetlb_reserve(SZ_2M, 4))
		SKIP(return, "no hugetlb pages of 2M to be had");
	private = map_hugetlb(2 * SZ_2M, SZ_2M, MAP_PRIVATE);
	shared = map_hugetlb(2 * SZ_2M, SZ_2M, MAP_SHARED);
	ASSERT_NE(NULL, private);
	ASSERT_NE(NULL, shared);
	private[0] = 1;
	shared[0] = 1;
	EXPECT_LOOKS("present 2M write user young dirty soft_dirty " OWN_HUGETLB,
		     private + 3 * SZ_4K);
	EXPECT_LOOKS("none 4K soft_dirty", private + SZ_2M);
	EXPECT_LOOKS("present 2M write user young dirty soft_dirty file huge hugetlb mapped_once",
		     shared + 511 * SZ_4K);
	ASSERT_EQ(0, mapping_at(getpid(), private, &mapping));
	EXPECT_EQ(SZ_2M, mapping.hugetlb);

	/* clear_refs leaves its pages alone and clears the mapping's own mark. */
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	EXPECT_LOOKS("present 2M write user young dirty " OWN_HUGETLB, private);
	ASSERT_EQ(0, mprotect(private, SZ_2M, PROT_READ));
	EXPECT_LOOKS("present 2M user young dirty " OWN_HUGETLB, private);
	ASSERT_EQ(0, mprotect(private, SZ_2M, PROT_NONE));
	EXPECT_LOOKS("present 2M exec young dirty protnone " OWN_HUGETLB, private + 7 * SZ_4K);
}

TEST_F_TIMEOUT(kinds, hugetlb_page_of_1G, TIMEOUT)
{
	struct mapping mapping;
	char *map;

	if (hugetlb_reserve(SZ_1G, 1))
		SKIP(return, "no hugetlb page of 1G was reserved at boot");
	map = map_hugetlb(SZ_1G, SZ_1G, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	EXPECT_LOOKS("none 4K soft_dirty", map);
	map[0] = 1;
	EXPECT_LOOKS("present 1G write user young dirty soft_dirty " OWN_HUGETLB, map);
	EXPECT_LOOKS("present 1G write user young dirty soft_dirty " OWN_HUGETLB,
		     map + SZ_1G - SZ_4K);
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(SZ_1G, mapping.hugetlb);
	ASSERT_EQ(0, mprotect(map, SZ_1G, PROT_NONE));
	EXPECT_LOOKS("present 1G exec young dirty soft_dirty protnone " OWN_HUGETLB,
		     map + SZ_2M + SZ_4K);
}

/*
 * Where parent and child share a page table, the page counts one mapping and pagemap says
 * "mapped once"; smaps says shared.
 */
TEST_F_TIMEOUT(kinds, hugetlb_page_under_a_shared_table_is_shared, TIMEOUT)
{
	char *reserved = mmap(NULL, 2 * SZ_1G, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *map = (char *)(((uintptr_t)reserved + SZ_1G - 1) & ~(SZ_1G - 1));
	struct vminspect_entry entry;
	int fd, ready[2];
	pid_t pid;
	char c;

	ASSERT_NE(MAP_FAILED, reserved);
	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 2));
	ASSERT_EQ(0, pipe(ready));
	fd = memfd(SZ_1G, MFD_HUGETLB);
	ASSERT_LE(0, fd);
	ASSERT_EQ(map, mmap(map, SZ_1G, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0));
	map[0] = 1;
	pid = fork();
	if (!pid) {
		touch(map, 1);
		write(ready[1], "", 1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, device_lookup(self->look.device, map, &entry));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
	EXPECT_TRUE(entry.flags & VMINSPECT_PAGE_SHARED);
	EXPECT_FALSE(entry.flags & VMINSPECT_PAGE_MAPPED_ONCE);
	process_end(pid);
	ASSERT_EQ(0, device_lookup(self->look.device, map, &entry));
	EXPECT_FALSE(entry.flags & VMINSPECT_PAGE_SHARED);
	EXPECT_TRUE(entry.flags & VMINSPECT_PAGE_MAPPED_ONCE);
	munmap(reserved, 2 * SZ_1G);
}

TEST_F_TIMEOUT(kinds, page_under_PROT_NONE_keeps_its_frame, TIMEOUT)
{
	char *small = map_small(SZ_4K), *huge = map_huge(SZ_2M);
	uint64_t frame;

	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, huge);
	small[0] = 1;
	huge[0] = 1;
	EXPECT_LOOKS(PLAIN, small);
	frame = self->look.entry.frame;
	ASSERT_EQ(0, mprotect(small, SZ_4K, PROT_NONE));
	EXPECT_LOOKS("present 4K exec young dirty soft_dirty protnone " OWN, small);
	EXPECT_EQ(frame, self->look.entry.frame);

	EXPECT_LOOKS(PLAIN_HUGE, huge);
	frame = self->look.entry.frame;
	ASSERT_EQ(0, mprotect(huge, SZ_2M, PROT_NONE));
	EXPECT_LOOKS("present 2M exec young dirty soft_dirty protnone " OWN_HUGE,
		     huge + 9 * SZ_4K);
	EXPECT_EQ(frame + 9, self->look.entry.frame);
}

TEST_F_TIMEOUT(kinds, zero_page_is_told_from_a_page_of_zeroes, TIMEOUT)
{
	char *map = map_small(2 * SZ_4K);

	ASSERT_NE(NULL, map);
	touch(map, SZ_4K);
	memset(map + SZ_4K, 0, SZ_4K);
	EXPECT_LOOKS("present 4K user young soft_dirty special zero", map);
	EXPECT_TRUE(kpage_flags(self->look.entry.frame) & (1ULL << KPF_ZERO_PAGE));
	EXPECT_LOOKS(PLAIN, map + SZ_4K);
}

TEST_F_TIMEOUT(kinds, huge_zero_page_is_told_from_a_huge_page, TIMEOUT)
{
	char *map = map_huge(2 * SZ_2M);
	struct mapping mapping;

	ASSERT_NE(NULL, map);
	touch(map, SZ_4K);
	/* 7.0 marks it as special, like the small one */
	EXPECT_LOOKS(kernel_since(7, 0) ? "present 2M user young soft_dirty special zero huge" :
		     "present 2M user young soft_dirty zero huge", map + 6 * SZ_4K);
	EXPECT_TRUE(kpage_flags(self->look.entry.frame) & (1ULL << KPF_ZERO_PAGE));
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(0, mapping.rss);
	EXPECT_EQ(0, mapping.anon_huge);

	/* A huge page that is as clean and as read-only as the zero page. */
	memset(map + SZ_2M, 1, SZ_2M);
	ASSERT_EQ(0, madvise(map + SZ_2M, SZ_2M, MADV_FREE));
	ASSERT_EQ(0, mprotect(map + SZ_2M, SZ_2M, PROT_READ));
	EXPECT_LOOKS("present 2M user soft_dirty " OWN_HUGE, map + SZ_2M);

	/* In pieces it is the small zero page. */
	ASSERT_EQ(0, madvise(map, SZ_4K, MADV_DONTNEED));
	EXPECT_LOOKS("none 4K soft_dirty", map);
	EXPECT_LOOKS("present 4K user young soft_dirty special zero", map + SZ_4K);
}

TEST_F_TIMEOUT(kinds, page_merged_by_KSM, TIMEOUT)
{
	char *map = map_small(4 * SZ_4K);
	int tries;

	ASSERT_NE(NULL, map);
	memset(map, 0x5a, 4 * SZ_4K);
	if (madvise(map, 4 * SZ_4K, MADV_MERGEABLE))
		SKIP(return, "KSM");
	ASSERT_EQ(0, write_file("/sys/kernel/mm/ksm/run", "1"));
	for (tries = 0; tries < 500 && read_number("/sys/kernel/mm/ksm/pages_sharing") < 3; tries++)
		usleep(20000);
	ASSERT_EQ(0, write_file("/sys/kernel/mm/ksm/run", "0"));
	EXPECT_LOOKS("present 4K user young soft_dirty anon shared ksm", map);
	EXPECT_TRUE(kpage_flags(self->look.entry.frame) & (1ULL << KPF_KSM));
	EXPECT_LOOKS("present 4K user young soft_dirty anon shared ksm", map + 3 * SZ_4K);
	EXPECT_EQ(4, kpage_count(self->look.entry.frame));
	/* Four entries that are equal to the last bit, and four pages all the same. */
	EXPECT_EQ(NULL, look_range(&self->look, map, 4 * SZ_4K));
	map[SZ_4K] = 1;
	EXPECT_LOOKS(PLAIN, map + SZ_4K);
}

/* Of a slot that says no more than where it is, all bits but those of the slot are 0. */
TEST_F_TIMEOUT(kinds, swapped_page_of_which_nothing_else_is_told, TIMEOUT)
{
	char *map = map_small(64 * SZ_4K);
	struct vminspect_walk_level *leaf;
	pid_t pid;

	ASSERT_NE(NULL, map);
	memset(map, 1, 4 * SZ_4K);
	memset(map + 8 * SZ_4K, 1, SZ_4K);
	ASSERT_EQ(0, page_out(map, 4 * SZ_4K));
	ASSERT_EQ(0, page_out(map + 8 * SZ_4K, SZ_4K));
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	pid = fork();	/* it is not exclusive any more */
	if (!pid)
		_exit(0);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_LOOKS("swapped 4K", map + 3 * SZ_4K);
	leaf = &self->look.walk.levels[self->look.walk.nr_levels - 1];
	EXPECT_EQ(0, leaf->raw & 0xf8000000000001ff);
	EXPECT_LOOKS("none 4K", map + 4 * SZ_4K);
	EXPECT_EQ(NULL, look_range(&self->look, map, 64 * SZ_4K));
	munmap(map, 64 * SZ_4K);
}

/* Each differs from the one before; the third kind takes the turn of the first. */
TEST_F_TIMEOUT(kinds, pages_of_three_kinds_that_take_turns, TIMEOUT)
{
	char *map = map_small(5 * SZ_4K);

	ASSERT_NE(NULL, map);
	memset(map, 1, 5 * SZ_4K);
	ASSERT_EQ(0, page_out(map + SZ_4K, SZ_4K));
	ASSERT_EQ(0, page_out(map + 3 * SZ_4K, SZ_4K));
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	map[3 * SZ_4K] = 2;
	ASSERT_EQ(0, page_out(map + 3 * SZ_4K, SZ_4K));
	EXPECT_LOOKS("swapped 4K exclusive", map + SZ_4K);
	EXPECT_LOOKS("swapped 4K soft_dirty exclusive", map + 3 * SZ_4K);
	EXPECT_EQ(NULL, look_range(&self->look, map, 5 * SZ_4K));
	munmap(map, 5 * SZ_4K);
}

/* What stands in one mapping says nothing of another, nor does a page that others are not like. */
TEST_F_TIMEOUT(kinds, empty_page_after_one_that_is_there, TIMEOUT)
{
	char *map = map_small(64 * SZ_4K);
	const uint64_t addresses[] = {
		(uintptr_t)map, (uintptr_t)map + 33 * SZ_4K, (uintptr_t)map + SZ_4K,
		(uintptr_t)map + 2 * SZ_4K, (uintptr_t)map + 33 * SZ_4K,
	};
	struct vminspect_entry entries[ARRAY_LEN(addresses)];
	const uint8_t states[] = {
		VMINSPECT_STATE_PRESENT, VMINSPECT_STATE_NONE, VMINSPECT_STATE_PRESENT,
		VMINSPECT_STATE_NONE, VMINSPECT_STATE_NONE,
	};
	size_t i;

	ASSERT_NE(NULL, map);
	map[0] = 1;
	READ_ONCE(map[SZ_4K]);	/* the zero page */
	map[32 * SZ_4K] = 1;
	ASSERT_EQ(0, madvise(map + 32 * SZ_4K, 32 * SZ_4K, MADV_DONTFORK));
	ASSERT_EQ(ARRAY_LEN(addresses),
		  device_translate(self->look.device, addresses, entries, ARRAY_LEN(addresses),
				   RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE));
	for (i = 0; i < ARRAY_LEN(addresses); i++) {
		EXPECT_EQ(states[i], entries[i].state);
		EXPECT_EQ(12, entries[i].page_shift);
		EXPECT_EQ(-1, entries[i].node);
		if (states[i] == VMINSPECT_STATE_NONE)
			EXPECT_EQ(0, entries[i].frame);
	}
	EXPECT_EQ(NULL, look_range(&self->look, map, 64 * SZ_4K));
	munmap(map, 64 * SZ_4K);
}

/*
 * Two tables, most of whose pages are alike, and others among them: written since clear_refs, out,
 * empty, without access, the zero page, and the same pages of a file in two mappings, whose
 * entries have the same bits, but one of which is new and so all of it soft-dirty.
 */
static char *map_neighbours(void)
{
	char *map = map_aligned(2 * SZ_2M, SZ_2M);
	int fd = memfd(32 * SZ_4K, 0), ret, i;

	if (!map || fd < 0)
		return NULL;
	ret = madvise(map, 2 * SZ_2M, MADV_NOHUGEPAGE);
	memset(map, 1, 2 * SZ_2M);
	ret |= mmap(map + 300 * SZ_4K, 32 * SZ_4K, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
	       MAP_FAILED;
	touch(map + 300 * SZ_4K, 32 * SZ_4K);
	ret |= clear_refs(getpid(), "4");
	ret |= mmap(map + 332 * SZ_4K, 32 * SZ_4K, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
	       MAP_FAILED;
	touch(map + 332 * SZ_4K, 32 * SZ_4K);
	for (i = 0; i < 100; i += 3)
		map[i * SZ_4K] = 2;
	ret |= page_out(map + 120 * SZ_4K, 4 * SZ_4K);
	ret |= madvise(map + 130 * SZ_4K, 8 * SZ_4K, MADV_DONTNEED);
	touch(map + 134 * SZ_4K, 2 * SZ_4K);
	ret |= mprotect(map + 140 * SZ_4K, 4 * SZ_4K, PROT_NONE);
	ret |= munmap(map + 600 * SZ_4K, 4 * SZ_4K);
	close(fd);
	return ret ? NULL : map;
}

#define NEIGHBOURS	(2 * 1024)	/* two addresses in each page */

/* How many of them are not the same if each is asked for alone? */
static size_t neighbours_wrong(struct __test_metadata *_metadata, int device,
			       const uint64_t *addresses, size_t *soft_dirty)
{
	static struct vminspect_entry entries[NEIGHBOURS], alone;
	char text[2][256];
	size_t i, wrong = 0;

	*soft_dirty = 0;
	if (device_translate(device, addresses, entries, NEIGHBOURS, RETURN_QUICK) != NEIGHBOURS)
		return NEIGHBOURS;
	for (i = 0; i < NEIGHBOURS; i++) {
		if (device_translate(device, addresses + i, &alone, 1, RETURN_QUICK) != 1)
			return NEIGHBOURS;
		*soft_dirty += i / 2 >= 332 && i / 2 < 364 &&
			       (entries[i].flags & VMINSPECT_PAGE_SOFT_DIRTY);
		if (memcmp(&alone, &entries[i], sizeof(alone)) && !wrong++)
			TH_LOG("page %zu: %s, not %s", i / 2,
			       entry_text(&entries[i], text[0], sizeof(text[0])),
			       entry_text(&alone, text[1], sizeof(text[1])));
	}
	return wrong;
}

TEST_F_TIMEOUT(kinds, neighbours_asked_for_at_once_are_what_each_of_them_is, TIMEOUT)
{
	char *map = map_neighbours();
	uint64_t addresses[NEIGHBOURS];
	size_t i, soft_dirty, wrong = 1;

	ASSERT_NE(NULL, map);
	for (i = 0; i < NEIGHBOURS; i++)
		addresses[i] = (uintptr_t)map + i / 2 * SZ_4K + i % 2 * i;
	for (i = 0; wrong && i < 3; i++)	/* the kernel moves pages at any time */
		wrong = neighbours_wrong(_metadata, self->look.device, addresses, &soft_dirty);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(64, soft_dirty);
	EXPECT_EQ(NULL, look_range(&self->look, map, 2 * SZ_2M));
	munmap(map, 2 * SZ_2M);
}

/* How many neighbours have frames that far apart? */
static size_t count_steps(struct looker *look, char *map, size_t size, int64_t step)
{
	uint64_t last = 0, frame;
	size_t at, nr = 0;

	for (at = 0; at < size; at += SZ_4K) {
		frame = pagemap_entry(look->pagemap, map + at) & PM_PFN_MASK;
		nr += last && (int64_t)(frame - last) == step;
		last = frame;
	}
	return nr;
}

/* Frames are handed out one after the other, mostly: to whom they go makes the steps. */
TEST_F_TIMEOUT(kinds, frames_are_one_run_only_where_each_follows_the_last, TIMEOUT)
{
	const size_t size = 1024 * SZ_4K;
	char *a = map_small(size), *b = map_small(size), *up = map_small(size);
	char *down = map_small(size), *cut = map_huge(SZ_2M);
	size_t at;

	ASSERT_TRUE(a && b && up && down && cut);
	/* Tests before may have left free memory in pieces. */
	write_file("/proc/sys/vm/drop_caches", "3");
	write_file("/proc/sys/vm/compact_memory", "1");
	for (at = 0; at < size; at += SZ_4K) {
		a[at] = 1;
		b[at] = 1;
	}
	memset(up, 1, size);
	for (at = size; at > 0; at -= SZ_4K)
		down[at - SZ_4K] = 1;
	/* A huge page whose mapping is taken apart, whatever the order that others come in. */
	memset(cut, 1, SZ_2M);
	ASSERT_EQ(0, mprotect(cut, SZ_4K, PROT_READ));
	EXPECT_EQ(NULL, look_range(&self->look, a, size));
	EXPECT_EQ(NULL, look_range(&self->look, b, size));
	EXPECT_EQ(NULL, look_range(&self->look, cut, SZ_2M));
	EXPECT_EQ(NULL, look_range(&self->look, up, size));
	EXPECT_EQ(NULL, look_range(&self->look, down, size));
	/* Or else all this says little. */
	EXPECT_LT(0, count_steps(&self->look, a, size, 2) + count_steps(&self->look, a, size, -2));
	EXPECT_LT(500, count_steps(&self->look, cut, SZ_2M, 1));
	EXPECT_LT(0, count_steps(&self->look, up, size, -1) +
		     count_steps(&self->look, down, size, -1));
}

TEST_F_TIMEOUT(kinds, zero_pages_are_no_run_of_frames, TIMEOUT)
{
	char *map = map_small(32 * SZ_4K);

	ASSERT_NE(NULL, map);
	touch(map, 32 * SZ_4K);
	map[16 * SZ_4K] = 1;
	EXPECT_EQ(NULL, look_range(&self->look, map, 32 * SZ_4K));
}

TEST_F_TIMEOUT(kinds, memory_of_a_device_is_special, TIMEOUT)
{
	uint64_t pa = 0;
	char name[128];
	char *map = bar_map(&pa);

	if (!map)
		SKIP(return, "no PCI device with a memory resource that nobody has claimed");
	EXPECT_LOOKS("present 4K write user young soft_dirty special", map);
	EXPECT_EQ(pa / SZ_4K, self->look.entry.frame);
	ASSERT_EQ(0, iomem_name(self->look.entry.frame * SZ_4K, name, sizeof(name)));
	EXPECT_STRNE("System RAM", name);
}

/*
 * clear_refs passes over what maps frames without pages: the bit that a write leaves in
 * the entry can't be taken away again, and pagemap does not show it.
 */
TEST_F_TIMEOUT(kinds, soft_dirty_of_a_device_is_that_of_its_mapping, TIMEOUT)
{
	uint64_t pa = 0;
	char *map = bar_map(&pa);

	if (!map)
		SKIP(return, "no PCI device with a memory resource that nobody has claimed");
	ASSERT_EQ(0, clear_refs(getpid(), "4"));
	EXPECT_LOOKS("present 4K write user young special", map);
	ASSERT_EQ(0, mprotect(map, SZ_4K, PROT_READ));
	ASSERT_EQ(0, mprotect(map, SZ_4K, PROT_READ | PROT_WRITE));
	EXPECT_LOOKS("present 4K user young special", map);
	WRITE_ONCE(*map, READ_ONCE(*map));
	EXPECT_LOOKS("present 4K write user young dirty special", map);
	EXPECT_TRUE(self->look.walk.levels[self->look.walk.nr_levels - 1].raw & (1 << 11));
}

static int find_named(const struct mapping *mapping, void *arg)
{
	struct mapping *wanted = arg;

	if (strcmp(mapping->name, wanted->name))
		return 0;
	*wanted = *mapping;
	return 1;
}

TEST_F_TIMEOUT(kinds, vdso_is_memory_and_vvar_is_special, TIMEOUT)
{
	const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
	struct mapping vvar = { .name = "[vvar]" };
	struct timespec now;
	const char *text;
	char *at;

	if (!vdso)
		SKIP(return, "no vdso");
	touch(vdso, 1);
	text = look_text(&self->look, vdso);
	EXPECT_EQ(text, strstr(text, "present 4K exec user young soft_dirty file "))
		TH_LOG("%s", text);

	clock_gettime(CLOCK_REALTIME_COARSE, &now);	/* reads vvar */
	ASSERT_EQ(1, each_mapping(getpid(), find_named, &vvar));
	for (at = (char *)vvar.start; at < (char *)vvar.end; at += SZ_4K) {
		look_text(&self->look, at);
		if (self->look.entry.state == VMINSPECT_STATE_PRESENT)
			break;
	}
	ASSERT_LT(at, (char *)vvar.end);
	/* 7.0 maps its pages as those of a file */
	EXPECT_LOOKS(kernel_since(7, 0) ? "present 4K user young soft_dirty file mapped_once" :
		     "present 4K user young soft_dirty special", at);
}

TEST_F_TIMEOUT(kinds, levels_are_those_of_the_processor, TIMEOUT)
{
	char *map = map_small(SZ_4K);
	struct vminspect_info info;

	ASSERT_NE(NULL, map);
	map[0] = 1;
	ASSERT_EQ(0, device_info(self->look.device, &info));
	EXPECT_EQ(cpu_has("la57") ? 5 : 4, info.levels);
	EXPECT_LOOKS(PLAIN, map);
	EXPECT_EQ(info.levels, self->look.walk.nr_levels);
}

TEST_F_TIMEOUT(kinds, page_above_the_47_bit_line, TIMEOUT)
{
	char *hint = (char *)((1ULL << 51) + (5ULL << 39) + (3ULL << 30) + (7ULL << 21));
	char *map, *huge;

	map = mmap(hint, SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map != hint)
		SKIP(return, "5-level paging");
	EXPECT_LOOKS("none 4K soft_dirty", map);
	map[0] = 1;
	EXPECT_LOOKS(PLAIN, map);
	EXPECT_EQ(5, self->look.walk.nr_levels);
	EXPECT_EQ(4, self->look.walk.levels[1].level);
	EXPECT_EQ(8, self->look.walk.levels[0].index);
	EXPECT_EQ(5, self->look.walk.levels[1].index);
	EXPECT_EQ(3, self->look.walk.levels[2].index);
	EXPECT_EQ(7, self->look.walk.levels[3].index);

	hint += 4 * SZ_2M;
	huge = mmap(hint, SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(hint, huge);
	ASSERT_EQ(0, madvise(huge, SZ_2M, MADV_HUGEPAGE));
	huge[0] = 1;
	EXPECT_LOOKS(PLAIN_HUGE, huge + 8 * SZ_4K);
	EXPECT_LOOKS("unmapped 4K", hint - SZ_2M);
}

TEST_F_TIMEOUT(kinds, page_write_protected_by_userfaultfd, TIMEOUT)
{
	char *small = map_small(2 * SZ_4K), *huge = map_huge(SZ_2M), *hugetlb = NULL;
	char *shared = map_fd(memfd(SZ_4K, 0), SZ_4K, MAP_SHARED);
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "userfaultfd");
	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, huge);
	ASSERT_NE(NULL, shared);
	memset(small, 1, 2 * SZ_4K);
	huge[0] = 1;
	shared[0] = 1;
	ASSERT_EQ(0, uffd_protect(uffd, small, SZ_4K));
	ASSERT_EQ(0, uffd_protect(uffd, huge, SZ_2M));
	ASSERT_EQ(0, uffd_protect(uffd, shared, SZ_4K));
	EXPECT_LOOKS("present 4K user young dirty soft_dirty uffd_wp " OWN, small);
	EXPECT_LOOKS(PLAIN, small + SZ_4K);
	EXPECT_LOOKS("present 2M user young dirty soft_dirty uffd_wp " OWN_HUGE, huge + SZ_4K);
	EXPECT_LOOKS("present 4K user young dirty soft_dirty uffd_wp file mapped_once", shared);

	if (!hugetlb_reserve(SZ_2M, 1))
		hugetlb = map_hugetlb(SZ_2M, SZ_2M, MAP_PRIVATE);
	if (!hugetlb)
		SKIP(return, "no hugetlb page of 2M to be had");
	hugetlb[0] = 1;
	ASSERT_EQ(0, uffd_protect(uffd, hugetlb, SZ_2M));
	EXPECT_LOOKS("present 2M user young dirty soft_dirty uffd_wp " OWN_HUGETLB,
		     hugetlb + SZ_4K);
}

static void *idle_thread(void *arg)
{
	pause();
	return arg;
}

/* Work for the balancer: it looks at the memory of who uses the processor. */
static bool wait_for_hint(struct looker *look, const char *va)
{
	time_t end = time(NULL) + 60;
	unsigned long spin;

	while (time(NULL) < end) {
		for (spin = 0; spin < 1000000; spin++)
			READ_ONCE(*va);
		look_text(look, va);
		if (look->entry.flags & VMINSPECT_PAGE_NUMA_HINT)
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(kinds, page_with_a_NUMA_hint_is_told_from_PROT_NONE, TIMEOUT)
{
	static const char *const knobs[][2] = {
		{ "/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "10" },
		{ "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "10" },
		{ "/sys/kernel/debug/sched/numa_balancing/scan_period_max_ms", "20" },
	};
	char *small, *huge, *none = map_small(SZ_4K);
	pthread_t thread;
	long faults;
	size_t i;

	if (read_number("/sys/devices/system/node/node1/distance") < 0)
		SKIP(return, "a second NUMA node");
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		ASSERT_EQ(0, write_file(knobs[i][0], knobs[i][1]));
	ASSERT_EQ(0, write_file("/proc/sys/kernel/numa_balancing", "1"));
	/* Of one with a single thread it leaves alone what is near already. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, idle_thread, NULL));
	small = map_small(64 * SZ_4K);
	huge = map_huge(SZ_2M);
	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, huge);
	ASSERT_NE(NULL, none);
	memset(small, 1, 64 * SZ_4K);
	memset(huge, 1, SZ_2M);
	none[0] = 1;
	ASSERT_EQ(0, mprotect(none, SZ_4K, PROT_NONE));

	EXPECT_TRUE(wait_for_hint(&self->look, small + SZ_4K));
	EXPECT_TRUE(wait_for_hint(&self->look, huge));
	ASSERT_EQ(0, write_file("/proc/sys/kernel/numa_balancing", "0"));
	EXPECT_LT(0, vmstat("numa_pte_updates"));
	/* Until 6.2 the entry remembered that it was writable. It has no NX bit to forget. */
	if (kernel_since(6, 2)) {
		EXPECT_LOOKS("present 4K exec young dirty soft_dirty protnone " OWN " numa_hint",
			     small + SZ_4K);
		EXPECT_LOOKS("present 2M exec young dirty soft_dirty protnone " OWN_HUGE
			     " numa_hint", huge + 3 * SZ_4K);
	} else {
		EXPECT_LOOKS("present 4K write exec young dirty soft_dirty protnone " OWN
			     " numa_hint", small + SZ_4K);
		EXPECT_LOOKS("present 2M write exec young dirty soft_dirty protnone " OWN_HUGE
			     " numa_hint", huge + 3 * SZ_4K);
	}
	EXPECT_LOOKS("present 4K exec young dirty soft_dirty protnone " OWN, none);

	faults = vmstat("numa_hint_faults");
	small[SZ_4K] = 2;
	EXPECT_LT(faults, vmstat("numa_hint_faults"));
	EXPECT_LOOKS(PLAIN, small + SZ_4K);
}

TEST_F_TIMEOUT(kinds, node_of_a_page_is_the_one_that_move_pages_tells, TIMEOUT)
{
	char *map = map_small(2 * SZ_4K);
	void *pages[2] = { map, map + SZ_4K };
	uint64_t address;
	struct vminspect_entry entry;
	int i, to;

	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * SZ_4K);
	/* Where there is no second node the move fails, and the page stays. */
	for (to = 1; to >= 0; to--) {
		move_pages_to(&pages[to], 1, to);
		for (i = 0; i < 2; i++) {
			address = (uintptr_t)pages[i];
			ASSERT_EQ(1, device_translate(self->look.device, &address, &entry, 1,
						      RETURN_ALL | VMINSPECT_RETURN_NODE));
			EXPECT_EQ(page_node(pages[i]), entry.node);
		}
	}
}

TEST_HARNESS_MAIN
