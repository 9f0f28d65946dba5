// SPDX-License-Identifier: GPL-2.0
/*
 * Looking does not disturb: thousands of looks fault no page in, split no huge page,
 * swap nothing in, allocate no table and leave every accessed and dirty bit alone.
 *
 * machines: default la57
 *
 * The target has pages of nearly every kind and is stopped, so that whatever changes was
 * changed by us. Who tells are smaps, status, stat, pagemap, kpageflags, vmstat, and the
 * raw entries as the monitor of the virtual machine reads them.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"

#define TIMEOUT		300
#define TEXT		(1 << 20)
#define MAX_RAW		400
#define ROUNDS		60

/* Who else would change pages: khugepaged, which looks around once more, and compaction. */
static struct knob knobs[] = {
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "3600000", "" },
	{ "/proc/sys/vm/compaction_proactiveness", "0", "" },
	{ "/proc/sys/kernel/numa_balancing", "0", "" },
};

FIXTURE(undisturbed)
{
	pid_t zoo;
	int device;
};

FIXTURE_SETUP(undisturbed)
{
	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 4));
	knobs_turn(knobs, ARRAY_LEN(knobs));
	self->zoo = zoo_start();
	ASSERT_LT(0, self->zoo);
	ASSERT_EQ(0, process_stop(self->zoo));
	/* From here on nothing of it counts as accessed. */
	ASSERT_EQ(0, clear_refs(self->zoo, "1"));
	self->device = device_bound(self->zoo);
	ASSERT_LE(0, self->device);
	usleep(500000);	/* what it had written out may end */
}

FIXTURE_TEARDOWN(undisturbed)
{
	close(self->device);
	process_end(self->zoo);
	knobs_turn_back(knobs, ARRAY_LEN(knobs));
}

/* What others say of the target. */
struct witness {
	pid_t pid;
	char smaps[TEXT];
	char status[4096];
	char stat[1024];
	uint64_t pagemap;	/* sums over all pages that no change escapes */
	uint64_t kpageflags;
	long vmstat[8];
	int fd;
};

static const char *const counters[] = {
	"pswpin", "pswpout", "thp_split_pmd", "thp_split_page", "thp_collapse_alloc",
	"thp_fault_alloc", "pgmigrate_success", "thp_zero_page_alloc",
};

static void mix(uint64_t *sum, uint64_t word)
{
	*sum = (*sum ^ word) * 0x100000001b3;	/* FNV-1a */
}

static int witness_mapping(const struct mapping *mapping, void *arg)
{
	const uint64_t kept = 1ULL << KPF_REFERENCED | 1ULL << KPF_DIRTY | 1ULL << KPF_MMAP |
			      1ULL << KPF_ANON | 1ULL << KPF_THP | 1ULL << KPF_UNEVICTABLE;
	struct witness *witness = arg;
	uint64_t va, entry;

	for (va = mapping->start; va < mapping->end; va += SZ_4K) {
		entry = pagemap_entry(witness->fd, (void *)va);
		mix(&witness->pagemap, entry);
		if (entry & PM_PRESENT)
			mix(&witness->kpageflags, kpage_flags(entry & PM_PFN_MASK) & kept);
	}
	return 0;
}

static struct witness *witness(pid_t pid)
{
	struct witness *witness = calloc(1, sizeof(*witness));
	char path[64];
	size_t i;

	if (!witness)
		return NULL;
	witness->pid = pid;
	witness->fd = pagemap_open(pid);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	read_file(path, witness->smaps, sizeof(witness->smaps));
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	read_file(path, witness->status, sizeof(witness->status));
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	read_file(path, witness->stat, sizeof(witness->stat));
	each_mapping(pid, witness_mapping, witness);
	for (i = 0; i < ARRAY_LEN(counters); i++)
		witness->vmstat[i] = vmstat(counters[i]);
	close(witness->fd);
	return witness;
}

/* The first line in which two texts differ, NULL if they are the same. */
static const char *differing_line(const char *before, const char *after)
{
	static char line[256];
	size_t start = 0, i;

	for (i = 0; before[i] == after[i]; i++) {
		if (!before[i])
			return NULL;
		if (before[i] == '\n')
			start = i + 1;
	}
	snprintf(line, sizeof(line), "%.*s, then %.*s", (int)strcspn(before + start, "\n"),
		 before + start, (int)strcspn(after + start, "\n"), after + start);
	return line;
}

#define EXPECT_SAME_TEXT(before, after) do {					\
	const char *line = differing_line(before, after);			\
										\
	EXPECT_EQ(NULL, line)							\
		TH_LOG("%s", line);						\
} while (0)

/* Entries of all levels at some addresses, as read from outside. */
struct raw_entries {
	int device;
	uint64_t pa[MAX_RAW], raw[MAX_RAW];
	size_t nr;
};

static int raw_mapping(const struct mapping *mapping, void *arg)
{
	struct raw_entries *raw = arg;
	struct vminspect_walk walk;
	uint32_t i;

	if (device_walk(raw->device, mapping->start, &walk))
		return -EIO;
	for (i = 0; i < walk.nr_levels && raw->nr < MAX_RAW; i++) {
		raw->pa[raw->nr] = walk.levels[i].entry_pa;
		if (monitor_read(raw->pa[raw->nr], &raw->raw[raw->nr], 1))
			return -EIO;
		raw->nr++;
	}
	return 0;
}

static size_t raw_changed(const struct raw_entries *raw)
{
	size_t i, changed = 0;
	uint64_t now;

	for (i = 0; i < raw->nr; i++)
		changed += monitor_read(raw->pa[i], &now, 1) || now != raw->raw[i];
	return changed;
}

struct look_around {
	int device;
	unsigned long looks, failed;
};

static int ignore_extent(const struct vminspect_extent *extent, void *arg)
{
	(void)extent;
	(void)arg;
	return 0;
}

static int look_at_mapping(const struct mapping *mapping, void *arg)
{
	const struct vminspect_scan ways[] = {
		{ .return_mask = RETURN_ALL, .split_mask = VMINSPECT_PAGE_FLAGS },
		{ .return_mask = VMINSPECT_RETURN_FRAME, .flags = VMINSPECT_SCAN_PAGES },
		{ .return_mask = RETURN_ALL, .flags = VMINSPECT_SCAN_PACKED },
		{ .return_mask = 0, .category_mask = VMINSPECT_PAGE_ANON },
	};
	struct look_around *look = arg;
	struct vminspect_entry entry;
	struct vminspect_walk walk;
	uint64_t va;
	size_t i;

	for (i = 0; i < ARRAY_LEN(ways); i++) {
		look->failed += !!device_extents(look->device, mapping->start, mapping->end,
						 &ways[i], ignore_extent, NULL);
		look->looks++;
	}
	for (va = mapping->start; va < mapping->end; va += 19 * SZ_4K) {
		look->failed += !!device_lookup(look->device, (void *)va, &entry);
		look->failed += !!device_walk(look->device, va, &walk);
		look->looks += 2;
	}
	return 0;
}

/*
 * Of the test's own program and libraries all is mapped at once: what it came to run meanwhile
 * would be shared by one more, and Pss of the target less.
 */
static int map_whole(const struct mapping *mapping, void *arg)
{
	(void)arg;
	if (mapping->readable)
		madvise((void *)mapping->start, mapping->end - mapping->start,
			MADV_POPULATE_READ);
	return 0;
}

TEST_F_TIMEOUT(undisturbed, thousands_of_looks_change_nothing, TIMEOUT)
{
	struct look_around look = { .device = self->device };
	struct raw_entries raw = { .device = self->device };
	struct witness *before, *after;
	size_t i;

	if (monitor_present())
		ASSERT_EQ(0, each_mapping(self->zoo, raw_mapping, &raw));
	ASSERT_EQ(0, each_mapping(getpid(), map_whole, NULL));
	before = witness(self->zoo);
	ASSERT_NE(NULL, before);
	for (i = 0; i < ROUNDS; i++)
		each_mapping(self->zoo, look_at_mapping, &look);
	after = witness(self->zoo);
	ASSERT_NE(NULL, after);

	EXPECT_LT(5000, look.looks);
	EXPECT_EQ(0, look.failed);
	EXPECT_SAME_TEXT(before->smaps, after->smaps);		/* Referenced and *_Dirty, too */
	EXPECT_SAME_TEXT(before->status, after->status);	/* VmRSS, VmPTE, VmSwap */
	EXPECT_SAME_TEXT(before->stat, after->stat);		/* minflt, majflt */
	EXPECT_EQ(before->pagemap, after->pagemap);
	EXPECT_EQ(before->kpageflags, after->kpageflags);
	for (i = 0; i < ARRAY_LEN(counters); i++)
		EXPECT_EQ(before->vmstat[i], after->vmstat[i])
			TH_LOG("%s", counters[i]);
	EXPECT_EQ(0, raw_changed(&raw));
	EXPECT_NE(NULL, strstr(before->smaps, "\nReferenced:            0 kB"));
	free(before);
	free(after);
}

/* The processor sets the bits of who runs, and nobody else does. */
TEST_F_TIMEOUT(undisturbed, accessed_bit_comes_back_by_access_alone, TIMEOUT)
{
	char *map = map_small(64 * SZ_4K);
	struct look_around look = { 0 };
	struct mapping mapping;
	int i;

	ASSERT_NE(NULL, map);
	memset(map, 1, 64 * SZ_4K);
	look.device = device_bound(getpid());
	ASSERT_LE(0, look.device);
	ASSERT_EQ(0, clear_refs(getpid(), "1"));
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	for (i = 0; i < 1000; i++)
		look_at_mapping(&mapping, &look);
	EXPECT_EQ(0, look.failed);
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(0, mapping.referenced);
	flush_tlb();
	touch(map, SZ_4K);
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(SZ_4K, mapping.referenced);
}

/* Nothing is allocated where nothing was, page tables least of all. */
TEST_F_TIMEOUT(undisturbed, empty_memory_stays_empty, TIMEOUT)
{
	const size_t size = 16 * SZ_1G;
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int device = device_bound(getpid()), i;
	struct vminspect_entry entry;
	struct vminspect_walk walk;
	struct mapping mapping;
	long tables;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, device);
	tables = status_kb(getpid(), "VmPTE");
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, device_extents(device, (uintptr_t)map, (uintptr_t)map + size, NULL,
					    ignore_extent, NULL));
		EXPECT_EQ(0, device_lookup(device, map + i * SZ_2M, &entry));
		EXPECT_EQ(0, device_walk(device, (uintptr_t)map + i * SZ_2M, &walk));
		EXPECT_EQ(VMINSPECT_STATE_NONE, entry.state);
	}
	ASSERT_EQ(0, mapping_at(getpid(), map, &mapping));
	EXPECT_EQ(0, mapping.rss);
	EXPECT_EQ(tables, status_kb(getpid(), "VmPTE"));
}

TEST_HARNESS_MAIN
