// SPDX-License-Identifier: GPL-2.0
/*
 * A physical address is where the memory is, and a raw entry what stands in memory: both
 * are read from outside, through the monitor of the virtual machine.
 *
 * machines: default la57 numa
 *
 * Random words are written into pages, and guest-physical memory is read where we say
 * that they are. Of each level of a walk the entry is read where we say that it is,
 * and what follows from its bits by the manual of the processor (Intel SDM volume 3,
 * 4.5) is worked out here once more.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"

#define TIMEOUT	300

FIXTURE(physical)
{
	int device;
};

FIXTURE_SETUP(physical)
{
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(physical)
{
	close(self->device);
}

#define MONITOR	"the monitor of a virtual machine"

/* What lies behind @va as seen from outside, or 0, with the reason in errno. */
static uint64_t word_outside(int device, const void *va)
{
	struct vminspect_entry entry;
	uint64_t word = 0;
	int ret = device_lookup(device, va, &entry);

	if (!ret && entry.state != VMINSPECT_STATE_PRESENT)
		ret = -ENOENT;
	if (!ret)
		ret = monitor_read(entry.frame * SZ_4K + (uintptr_t)va % SZ_4K, &word, 1);
	errno = -ret;
	return ret ? 0 : word;
}

/* A random word at @va is found at the address that we give for it. */
static bool marker_found(int device, void *va)
{
	uint64_t word = 0;

	if (getrandom(&word, sizeof(word), 0) != sizeof(word))
		return false;
	WRITE_ONCE(*(uint64_t *)va, word);
	return word_outside(device, va) == word;
}

/* At the beginning, at the end, and at some places between that are not aligned. */
static void expect_markers(struct __test_metadata *const _metadata,
			   struct _test_data_physical *self, char *map, size_t size)
{
	size_t step = size / 5 & ~7UL, at;

	ASSERT_NE(NULL, map);
	for (at = 0; at < size; at += step)
		EXPECT_TRUE(marker_found(self->device, map + at))
			TH_LOG("at %zu", at);
	EXPECT_TRUE(marker_found(self->device, map + size - 8));
}

TEST_F_TIMEOUT(physical, marker_in_small_pages, TIMEOUT)
{
	char *map = map_anon(16 * SZ_4K, PROT_READ | PROT_WRITE);
	uint64_t on_the_stack;

	if (!monitor_present())
		SKIP(return, MONITOR);
	expect_markers(_metadata, self, map, 16 * SZ_4K);
	EXPECT_TRUE(marker_found(self->device, &on_the_stack));
}

TEST_F_TIMEOUT(physical, marker_in_a_huge_page_and_its_pieces, TIMEOUT)
{
	struct vminspect_entry entry;
	char *map = map_huge(SZ_2M);

	if (!monitor_present())
		SKIP(return, MONITOR);
	expect_markers(_metadata, self, map, SZ_2M);
	ASSERT_EQ(0, device_lookup(self->device, map, &entry));
	EXPECT_EQ(21, entry.page_shift);
	ASSERT_EQ(0, mprotect(map, SZ_4K, PROT_READ));
	expect_markers(_metadata, self, map + SZ_4K, SZ_2M - SZ_4K);
	ASSERT_EQ(0, device_lookup(self->device, map, &entry));
	EXPECT_EQ(12, entry.page_shift);
}

TEST_F_TIMEOUT(physical, marker_in_hugetlb_of_2M, TIMEOUT)
{
	if (!monitor_present())
		SKIP(return, MONITOR);
	if (hugetlb_reserve(SZ_2M, 2))
		SKIP(return, "no hugetlb pages of 2M to be had");
	expect_markers(_metadata, self, map_hugetlb(SZ_2M, SZ_2M, MAP_PRIVATE), SZ_2M);
	expect_markers(_metadata, self, map_hugetlb(SZ_2M, SZ_2M, MAP_SHARED), SZ_2M);
}

TEST_F_TIMEOUT(physical, marker_in_hugetlb_of_1G, TIMEOUT)
{
	if (!monitor_present())
		SKIP(return, MONITOR);
	if (hugetlb_reserve(SZ_1G, 1))
		SKIP(return, "no hugetlb page of 1G was reserved at boot");
	expect_markers(_metadata, self, map_hugetlb(SZ_1G, SZ_1G, MAP_PRIVATE), SZ_1G);
}

TEST_F_TIMEOUT(physical, marker_in_shared_memory, TIMEOUT)
{
	if (!monitor_present())
		SKIP(return, MONITOR);
	expect_markers(_metadata, self, map_fd(memfd(16 * SZ_4K, 0), 16 * SZ_4K, MAP_SHARED),
		       16 * SZ_4K);
	expect_markers(_metadata, self, map_fd(memfd(16 * SZ_4K, 0), 16 * SZ_4K, MAP_PRIVATE),
		       16 * SZ_4K);
}

/* The frame stands inverted in such an entry. */
TEST_F_TIMEOUT(physical, marker_in_pages_under_PROT_NONE, TIMEOUT)
{
	char *small = map_anon(SZ_4K, PROT_READ | PROT_WRITE), *huge = map_huge(SZ_2M);

	if (!monitor_present())
		SKIP(return, MONITOR);
	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, huge);
	*(uint64_t *)small = 0x0123456789abcdef;
	*(uint64_t *)(huge + 300 * SZ_4K) = 0xfedcba9876543210;
	ASSERT_EQ(0, mprotect(small, SZ_4K, PROT_NONE));
	ASSERT_EQ(0, mprotect(huge, SZ_2M, PROT_NONE));
	EXPECT_EQ(0x0123456789abcdef, word_outside(self->device, small));
	EXPECT_EQ(0xfedcba9876543210, word_outside(self->device, huge + 300 * SZ_4K));
}

TEST_F_TIMEOUT(physical, vdso_and_text_are_where_we_say, TIMEOUT)
{
	const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
	const void *text = (const void *)((uintptr_t)device_lookup & ~7UL);

	if (!monitor_present())
		SKIP(return, MONITOR);
	if (vdso)
		EXPECT_EQ(*(const uint64_t *)vdso, word_outside(self->device, vdso));
	EXPECT_EQ(*(const uint64_t *)text, word_outside(self->device, text));
}

TEST_F_TIMEOUT(physical, register_of_a_device_is_where_we_say, TIMEOUT)
{
	uint64_t pa = 0;
	uint32_t *map = bar_map(&pa);

	if (!monitor_present())
		SKIP(return, MONITOR);
	if (!map)
		SKIP(return, "no PCI device with a memory resource that nobody has claimed");
	/* Registers have 32 bits; the first one of a device seldom changes. */
	EXPECT_EQ(READ_ONCE(*map), (uint32_t)word_outside(self->device, map));
}

struct run_check {
	char *map;
	size_t right, wrong;
};

static int run_extent(const struct vminspect_extent *extent, void *arg)
{
	struct run_check *check = arg;
	uint64_t va, word;

	for (va = extent->start; va < extent->end; va += SZ_4K) {
		struct vminspect_entry entry = extent_entry(extent, va);

		if (!monitor_read(entry.frame * SZ_4K, &word, 1) && word == *(uint64_t *)va)
			check->right++;
		else
			check->wrong++;
	}
	return 0;
}

/* Frames of an extent follow that of its start, whether pages are looked at or not. */
TEST_F_TIMEOUT(physical, every_page_of_an_extent_is_where_it_says, TIMEOUT)
{
	struct vminspect_scan scan = { .return_mask = VMINSPECT_RETURN_FRAME };
	char *map = map_anon(64 * SZ_4K, PROT_READ | PROT_WRITE);
	struct run_check check = { map, 0, 0 };
	uint64_t start = (uintptr_t)map, i;

	if (!monitor_present())
		SKIP(return, MONITOR);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, madvise(map, 64 * SZ_4K, MADV_NOHUGEPAGE));
	for (i = 0; i < 64; i++)
		*(uint64_t *)(map + i * SZ_4K) = 0xabcdef0000 + i;
	ASSERT_EQ(0, device_extents(self->device, start, start + 64 * SZ_4K, &scan, run_extent,
				    &check));
	ASSERT_EQ(0, device_extents(self->device, start, start + 64 * SZ_4K, NULL, run_extent,
				    &check));
	EXPECT_EQ(128, check.right);
	EXPECT_EQ(0, check.wrong);
}

/* Bits of an entry by the manual. */
#define BIT_PRESENT	(1ULL << 0)
#define BIT_WRITE	(1ULL << 1)
#define BIT_USER	(1ULL << 2)
#define BIT_ACCESSED	(1ULL << 5)
#define BIT_DIRTY	(1ULL << 6)
#define BIT_PAGE_SIZE	(1ULL << 7)
#define BIT_GLOBAL	(1ULL << 8)
#define BIT_SAVED_DIRTY	(1ULL << 58)
#define BIT_NX		(1ULL << 63)
#define ADDRESS		0x000ffffffffff000ULL

static uint32_t flags_by_manual(uint64_t raw, unsigned int level)
{
	uint32_t flags = 0;

	if (!(raw & BIT_PRESENT))
		return 0;
	flags |= raw & BIT_WRITE ? VMINSPECT_PAGE_WRITE : 0;
	flags |= raw & BIT_NX ? 0 : VMINSPECT_PAGE_EXEC;
	flags |= raw & BIT_USER ? VMINSPECT_PAGE_USER : 0;
	flags |= raw & BIT_GLOBAL ? VMINSPECT_PAGE_GLOBAL : 0;
	flags |= raw & BIT_ACCESSED ? VMINSPECT_PAGE_YOUNG : 0;
	flags |= raw & BIT_DIRTY ? VMINSPECT_PAGE_DIRTY : 0;
	/*
	 * Since 6.6 the kernel moves the dirty bit of an entry that can't be written there:
	 * both together mean a shadow stack (pte_mksaveddirty() in asm/pgtable.h).
	 */
	if (kernel_since(6, 6) && raw & BIT_SAVED_DIRTY)
		flags |= VMINSPECT_PAGE_DIRTY;
	if (level > 1 && raw & BIT_PAGE_SIZE)
		flags |= VMINSPECT_PAGE_HUGE;
	return flags;
}

#define BY_MANUAL								\
	(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_USER |	\
	 VMINSPECT_PAGE_GLOBAL | VMINSPECT_PAGE_YOUNG | VMINSPECT_PAGE_DIRTY |	\
	 VMINSPECT_PAGE_HUGE)

/* With four levels the P4D is left out: the PGD stands for as much as that would. */
static unsigned int level_shift(unsigned int level)
{
	return level == 5 && !cpu_has("la57") ? 39 : 12 + 9 * (level - 1);
}

/*
 * Is the walk for @va the one that the processor would make from its root? NULL or what
 * is wrong. The target stands still.
 */
static const char *walk_differs(int device, uint64_t va, struct vminspect_walk *walk)
{
	uint64_t table, raw, i;

	if (device_walk(device, va, walk))
		return "WALK failed";
	table = walk->root;
	for (i = 0; i < walk->nr_levels; i++) {
		struct vminspect_walk_level *level = &walk->levels[i];

		if (level->index != (va >> level_shift(level->level) & 511))
			return "index";
		if (level->entry_pa != table + 8 * level->index)
			return "entry_pa";
		if (monitor_read(level->entry_pa, &raw, 1))
			return "the monitor failed";
		if (raw != level->raw)
			return "raw";
		if ((raw & BIT_PRESENT) &&
		    (level->flags & BY_MANUAL) != flags_by_manual(raw, level->level))
			return "flags";
		if (level->leaf != (i == walk->nr_levels - 1))
			return "leaf";
		table = raw & ADDRESS;
	}
	return NULL;
}

/* The frame that the last entry has by the manual, and the place inside it. */
static bool walk_ends_at_frame(const struct vminspect_walk *walk)
{
	const struct vminspect_walk_level *leaf = &walk->levels[walk->nr_levels - 1];
	uint64_t inside = (1ULL << (12 + 9 * (leaf->level - 1))) - 1;

	if (!walk->nr_levels || !(leaf->raw & BIT_PRESENT))
		return true;
	return walk->entry.frame == ((leaf->raw & ADDRESS & ~inside) | (walk->va & inside)) / SZ_4K;
}

struct walk_check {
	int device;
	uint64_t root;
	unsigned long walks, leaves[VMINSPECT_MAX_LEVELS + 1];
	const char *wrong;
	uint64_t wrong_va;
};

/* Some addresses of each mapping: of each huge page one, and more of the small ones. */
static int walk_mapping(const struct mapping *mapping, void *arg)
{
	uint64_t size = mapping->end - mapping->start, step = size > SZ_2M ? SZ_2M : size / 3, va;
	struct walk_check *check = arg;
	struct vminspect_walk walk;

	step = step < SZ_4K ? SZ_4K : step & ~(SZ_4K - 1);
	for (va = mapping->start; va < mapping->end && check->walks < 2000; va += step + 8) {
		const char *wrong = walk_differs(check->device, va, &walk);

		if (!wrong && check->root && walk.root != check->root)
			wrong = "two roots";
		if (!wrong && !walk_ends_at_frame(&walk))
			wrong = "frame";
		if (wrong) {
			check->wrong = wrong;
			check->wrong_va = va;
			return 1;
		}
		check->root = walk.root;
		check->walks++;
		if (walk.nr_levels && walk.entry.state == VMINSPECT_STATE_PRESENT)
			check->leaves[walk.levels[walk.nr_levels - 1].level]++;
	}
	return 0;
}

TEST_F_TIMEOUT(physical, entry_of_each_level_is_what_stands_there, 2 * TIMEOUT)
{
	struct walk_check check = { 0 };
	pid_t zoo;

	if (!monitor_present())
		SKIP(return, MONITOR);
	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 4));
	zoo = zoo_start();
	ASSERT_LT(0, zoo);
	ASSERT_EQ(0, process_stop(zoo));
	check.device = device_bound(zoo);
	EXPECT_LE(0, check.device);
	EXPECT_EQ(0, each_mapping(zoo, walk_mapping, &check))
		TH_LOG("%s at %#" PRIx64, check.wrong, check.wrong_va);
	EXPECT_LT(20, check.leaves[1]);
	EXPECT_LT(2, check.leaves[2]);
	process_end(zoo);
}

TEST_F_TIMEOUT(physical, entry_of_1G_is_what_stands_there, TIMEOUT)
{
	struct vminspect_walk walk;
	char *map;

	if (!monitor_present())
		SKIP(return, MONITOR);
	if (hugetlb_reserve(SZ_1G, 1))
		SKIP(return, "no hugetlb page of 1G was reserved at boot");
	map = map_hugetlb(SZ_1G, SZ_1G, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	map[0] = 1;
	EXPECT_EQ(NULL, walk_differs(self->device, (uintptr_t)map + 5 * SZ_2M + 8, &walk));
	EXPECT_EQ(3, walk.levels[walk.nr_levels - 1].level);
	EXPECT_TRUE(walk_ends_at_frame(&walk));
}

static void *spin(void *arg)
{
	bool *stop = arg;

	while (!READ_ONCE(*stop))
		;
	return NULL;
}

/* Is some processor's CR3 @root? With page-table isolation it may be the table after it. */
static bool root_is_loaded(uint64_t root)
{
	static char reply[1 << 16];
	const char *at = reply;

	if (monitor_command("info registers -a", reply, sizeof(reply)))
		return false;
	while ((at = strstr(at, "CR3="))) {
		uint64_t cr3 = strtoull(at + 4, (char **)&at, 16) & ADDRESS;

		if (cr3 == root || cr3 == root + SZ_4K)
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(physical, root_is_in_CR3_of_a_processor_that_runs_us, TIMEOUT)
{
	bool stop = false;
	struct vminspect_walk walk;
	bool found = false;
	pthread_t thread;
	int tries;

	if (!monitor_present())
		SKIP(return, MONITOR);
	ASSERT_EQ(0, device_walk(self->device, (uintptr_t)&stop, &walk));
	ASSERT_EQ(0, pthread_create(&thread, NULL, spin, &stop));
	for (tries = 0; tries < 100 && !found; tries++)
		found = root_is_loaded(walk.root);
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
	EXPECT_TRUE(found);
	EXPECT_FALSE(root_is_loaded(walk.root + 16 * SZ_4K));
}

TEST_HARNESS_MAIN
