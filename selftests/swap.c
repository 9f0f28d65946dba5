// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: each swap area is told as /proc/swaps has it and by the number that swap
 * entries have, whatever was added and removed before; what we say of a swapped page, area
 * and offset, is where its bytes are; and whether it is in memory as well.
 *
 * machines: default
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "common.h"

#define TIMEOUT		120
#define NR_DISKS	4	/* in memory, of 16 MiB each */
#define DISK_SIZE	(16UL << 20)
#define MOUNT		"/tmp/selftest-swap"
#define SWAP_FILE	MOUNT "/a file"
#define FILE_SIZE	(4UL << 20)

struct area {
	struct vminspect_swap swap;
	char path[PATH_MAX];
};

/* Return: 0 or -errno */
static int area_get(int device, unsigned int type, uint32_t flags, struct area *area)
{
	area->swap = (struct vminspect_swap) {
		.size = sizeof(area->swap),
		.flags = flags,
		.path = (uintptr_t)area->path,
		.path_size = sizeof(area->path),
		.type = type,
	};
	return ioctl(device, VMINSPECT_IOC_SWAP, &area->swap) ? -errno : 0;
}

/* Its number, or -1. */
static int area_type(int device, const char *path)
{
	struct area area;
	unsigned int type;

	for (type = 0; !area_get(device, type, 0, &area); type = area.swap.type + 1)
		if (!strcmp(area.path, path))
			return area.swap.type;
	return -1;
}

/* What /proc/swaps says of one area: false if it is not there. */
struct line {
	char kind[16];
	unsigned long size_kb, used_kb;
	int priority;
};

static bool swaps_line(const char *path, struct line *line)
{
	FILE *file = fopen("/proc/swaps", "r");
	char text[512], name[256];
	bool found = false;

	while (!found && fgets(text, sizeof(text), file))
		found = sscanf(text, "%255s %15s %lu %lu %d", name, line->kind, &line->size_kb,
			       &line->used_kb, &line->priority) == 5 && !strcmp(name, path);
	fclose(file);
	return found;
}

static int swaps_lines(void)
{
	char text[4096];
	int nr = 0, i, length = read_file("/proc/swaps", text, sizeof(text));

	for (i = 0; i < length; i++)
		nr += text[i] == '\n';
	return nr - 1;
}

FIXTURE(swap)
{
	int device;
	int pagemap;
	char disks[NR_DISKS][32];
};

/* With SWAP_FLAG_PREFER | priority; all that goes out goes there if it is the highest. */
static int add_area(const char *path, int flags)
{
	char command[128];

	snprintf(command, sizeof(command), "mkswap '%s' >/dev/null", path);
	return system(command) ? -EINVAL : swapon(path, flags) ? -errno : 0;
}

FIXTURE_SETUP(swap)
{
	int i;

	self->device = device_bound(getpid());
	self->pagemap = pagemap_open(getpid());
	ASSERT_LE(0, self->device);
	ASSERT_LE(0, self->pagemap);
	/* Their size if nobody says one differs between kernels. */
	ASSERT_EQ(0, system("modprobe ext4 && modprobe brd rd_nr=4 rd_size=16384 &&"
			    " test -e /dev/ram0 ||"
			    " { rmmod brd; modprobe brd rd_nr=4 rd_size=16384; }"));
	for (i = 0; i < NR_DISKS; i++)
		snprintf(self->disks[i], sizeof(self->disks[i]), "/dev/ram%d", i);
}

FIXTURE_TEARDOWN(swap)
{
	int i;

	for (i = 0; i < NR_DISKS; i++)
		swapoff(self->disks[i]);
	swapoff(SWAP_FILE);
	umount(MOUNT);
}

/* Shared memory that a child would inherit is not in the way: pages are the caller's. */
static char *map_with_numbers(size_t size)
{
	char *map = map_small(size);
	size_t at;

	for (at = 0; map && at < size; at += sizeof(uint64_t))
		*(uint64_t *)(map + at) = (uintptr_t)map + at + 0x5a5a000000000000;
	return map;
}

TEST_F_TIMEOUT(swap, areas_are_those_of_proc_swaps, TIMEOUT)
{
	struct area area;
	struct line line;
	unsigned int type, nr = 0;

	ASSERT_EQ(0, add_area(self->disks[0], SWAP_FLAG_PREFER | 5));
	for (type = 0; !area_get(self->device, type, 0, &area); type = area.swap.type + 1) {
		ASSERT_TRUE(swaps_line(area.path, &line));
		EXPECT_LE(type, area.swap.type);
		EXPECT_EQ(line.size_kb, area.swap.pages * 4);
		EXPECT_EQ(line.used_kb, area.swap.used * 4);
		EXPECT_EQ(line.priority, area.swap.priority);
		EXPECT_STREQ("partition", line.kind);
		EXPECT_EQ(VMINSPECT_SWAP_PARTITION, area.swap.kind);
		EXPECT_EQ(0, area.swap.slots_free);
		nr++;
	}
	EXPECT_EQ(swaps_lines(), (int)nr);
	EXPECT_EQ(2, nr);	/* that of the machine, and ours */
	EXPECT_EQ(-ENOENT, area_get(self->device, type, 0, &area));
	EXPECT_EQ(-ENOENT, area_get(self->device, 0xffff, 0, &area));
}

TEST_F_TIMEOUT(swap, path_must_fit, TIMEOUT)
{
	struct vminspect_swap swap = { .size = sizeof(swap) };
	char path[64];

	ASSERT_EQ(0, add_area(self->disks[0], SWAP_FLAG_PREFER | 5));
	swap.type = area_type(self->device, self->disks[0]);
	swap.path = (uintptr_t)path;
	swap.path_size = strlen(self->disks[0]);
	EXPECT_EQ(-1, ioctl(self->device, VMINSPECT_IOC_SWAP, &swap));
	EXPECT_EQ(ENAMETOOLONG, errno);
	swap.path_size++;
	EXPECT_EQ(0, ioctl(self->device, VMINSPECT_IOC_SWAP, &swap));
	EXPECT_STREQ(self->disks[0], path);
	swap.path = 0;
	swap.path_size = 0;
	EXPECT_EQ(0, ioctl(self->device, VMINSPECT_IOC_SWAP, &swap));
	swap.path = 8;
	swap.path_size = 64;
	EXPECT_EQ(-1, ioctl(self->device, VMINSPECT_IOC_SWAP, &swap));
	EXPECT_EQ(EFAULT, errno);
}

/* The area and the offset of a page, from us; they must be those of pagemap. */
static int where_is(struct _test_data_swap *self, const void *va, struct area *area,
		    uint64_t *offset)
{
	uint64_t theirs = pagemap_entry(self->pagemap, va);
	struct vminspect_entry entry;
	int ret;

	if (device_lookup(self->device, va, &entry) || entry.state != VMINSPECT_STATE_SWAPPED ||
	    !(theirs & PM_SWAP) || PM_SWAP_TYPE(theirs) != entry.swap_type ||
	    PM_SWAP_OFFSET(theirs) != entry.frame)
		return -ESTALE;
	*offset = entry.frame;
	ret = area_get(self->device, entry.swap_type, 0, area);
	if (!ret && area->swap.type != entry.swap_type)
		ret = -ENOENT;
	return ret;
}

/* Does the page of a device or file come to be what is wanted? It may be on its way. */
static bool page_becomes(const char *path, uint64_t offset, const void *wanted)
{
	int fd = open(path, O_RDONLY | O_DIRECT), tries;
	void *page = NULL;
	bool same = false;

	if (fd < 0 || posix_memalign(&page, SZ_4K, SZ_4K))
		return false;
	for (tries = 0; tries < 200 && !same; tries++) {
		if (tries)
			usleep(20000);
		same = pread(fd, page, SZ_4K, offset * SZ_4K) == (ssize_t)SZ_4K &&
		       !memcmp(page, wanted, SZ_4K);
	}
	free(page);
	close(fd);
	return same;
}

#define PROVEN_PAGES	768
#define MARKER_SIZE	64

/*
 * All pages are where we say, the last one in the area that is preferred: for the first ones
 * each processor has slots in stock, which may be of another area: 64 at most, and since 7.0 what
 * is left of a cluster of 512 (swap_alloc_fast() in mm/swapfile.c).
 */
static void prove(struct __test_metadata *_metadata, struct _test_data_swap *self,
		  const char *path)
{
	static char wanted[PROVEN_PAGES][SZ_4K];
	char *map = map_with_numbers(PROVEN_PAGES * SZ_4K);
	struct area area;
	uint64_t offset;
	int i;

	ASSERT_NE(NULL, map);
	for (i = 0; i < PROVEN_PAGES; i++)
		ASSERT_EQ(MARKER_SIZE, getrandom(map + i * SZ_4K, MARKER_SIZE, 0));
	memcpy(wanted, map, sizeof(wanted));
	ASSERT_EQ(0, page_out(map, sizeof(wanted)));
	for (i = 0; i < PROVEN_PAGES; i++) {
		ASSERT_EQ(0, where_is(self, map + i * SZ_4K, &area, &offset));
		EXPECT_TRUE(page_becomes(area.path, offset, wanted[i]));
	}
	EXPECT_STREQ(path, area.path);
	munmap(map, sizeof(wanted));
}

TEST_F_TIMEOUT(swap, page_is_on_the_disk_where_we_say, TIMEOUT)
{
	struct area area;

	ASSERT_EQ(0, area_get(self->device, 0, 0, &area));
	prove(_metadata, self, area.path);	/* the machine's own: a virtio disk */
}

TEST_F_TIMEOUT(swap, page_is_there_after_the_area_came_back_with_another_priority, TIMEOUT)
{
	ASSERT_EQ(0, add_area(self->disks[1], SWAP_FLAG_PREFER | 10));
	prove(_metadata, self, self->disks[1]);
	ASSERT_EQ(0, add_area(self->disks[2], SWAP_FLAG_PREFER | 20));
	ASSERT_EQ(0, swapoff(self->disks[1]));
	prove(_metadata, self, self->disks[2]);
	ASSERT_EQ(0, add_area(self->disks[1], SWAP_FLAG_PREFER | 30));
	prove(_metadata, self, self->disks[1]);
}

TEST_F_TIMEOUT(swap, page_is_in_the_swap_file_where_we_say, TIMEOUT)
{
	struct area area;

	mkdir(MOUNT, 0700);
	ASSERT_EQ(0, system("mkfs.ext4 -q -b 4096 /dev/ram3 >/dev/null"));
	ASSERT_EQ(0, mount(self->disks[3], MOUNT, "ext4", 0, ""));
	ASSERT_EQ(0, system("dd if=/dev/zero of='" SWAP_FILE "' bs=1M count=4 status=none &&"
			    " chmod 600 '" SWAP_FILE "' && sync"));
	ASSERT_EQ(0, add_area(SWAP_FILE, SWAP_FLAG_PREFER | 40));
	prove(_metadata, self, SWAP_FILE);
	ASSERT_EQ(0, area_get(self->device, area_type(self->device, SWAP_FILE), 0, &area));
	EXPECT_EQ(VMINSPECT_SWAP_FILE, area.swap.kind);
	EXPECT_EQ(FILE_SIZE / SZ_4K - 1, area.swap.pages);
}

TEST_F_TIMEOUT(swap, zram_is_called_so, TIMEOUT)
{
	struct area area;

	ASSERT_EQ(0, system("modprobe zram num_devices=1"));
	ASSERT_EQ(0, write_file("/sys/block/zram0/disksize", "16M"));
	ASSERT_EQ(0, add_area("/dev/zram0", SWAP_FLAG_PREFER | 50));
	ASSERT_EQ(0, area_get(self->device, area_type(self->device, "/dev/zram0"), 0, &area));
	EXPECT_EQ(VMINSPECT_SWAP_ZRAM, area.swap.kind);
	EXPECT_STREQ("/dev/zram0", area.path);
	EXPECT_EQ(0, swapoff("/dev/zram0"));
	write_file("/sys/block/zram0/reset", "1");
}

/* The numbers of areas have holes; the next area gets the lowest that is free. */
TEST_F_TIMEOUT(swap, numbers_with_holes_are_those_of_the_entries, TIMEOUT)
{
	int types[NR_DISKS], i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, add_area(self->disks[i], SWAP_FLAG_PREFER | (10 + i)));
		types[i] = area_type(self->device, self->disks[i]);
		EXPECT_LT(i ? types[i - 1] : 0, types[i]);
	}
	ASSERT_EQ(0, swapoff(self->disks[0]));
	prove(_metadata, self, self->disks[2]);
	EXPECT_EQ(-1, area_type(self->device, self->disks[0]));
	EXPECT_EQ(types[1], area_type(self->device, self->disks[1]));	/* not the hole's */
	EXPECT_EQ(types[2], area_type(self->device, self->disks[2]));

	/* After the others, but with a number below theirs. */
	ASSERT_EQ(0, add_area(self->disks[3], SWAP_FLAG_PREFER | 60));
	EXPECT_EQ(types[0], area_type(self->device, self->disks[3]));
	prove(_metadata, self, self->disks[3]);
}

/* mincore(2) knows of a swapped page whether it is in memory. */
static void compare_cached(struct __test_metadata *_metadata, struct _test_data_swap *self,
			   char *map, size_t nr, size_t *cached, size_t *out)
{
	unsigned char *core = malloc(nr), *again = malloc(nr);
	size_t i;

	ASSERT_EQ(0, mincore(map, nr * SZ_4K, core));
	*cached = 0;
	*out = 0;
	for (i = 0; i < nr; i++) {
		struct vminspect_entry entry;

		ASSERT_EQ(0, device_lookup(self->device, map + i * SZ_4K, &entry));
		ASSERT_EQ(0, mincore(map, nr * SZ_4K, again));
		if (entry.state != VMINSPECT_STATE_SWAPPED || core[i] != again[i])
			continue;
		EXPECT_EQ(core[i] & 1, !!(entry.flags & VMINSPECT_PAGE_SWAPCACHE)) {
			TH_LOG("page %zu", i);
		}
		++*(core[i] & 1 ? cached : out);
	}
	free(core);
	free(again);
}

#define CGROUP	"/sys/fs/cgroup/selftest-swap"

/* What is in the swap cache only is given back when the cgroup's memory is asked for. */
static void drop_swap_cache(void)
{
	write_file(CGROUP "/memory.reclaim", "64M");
}

TEST_F_TIMEOUT(swap, page_that_is_in_memory_as_well_is_said_to_be, TIMEOUT)
{
	size_t nr = 256, cached, out, i;
	char pid[16], *map, *shared;

	if (kernel_since(7, 0))
		SKIP(return, "this kernel keeps what slots are used for to itself");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	snprintf(pid, sizeof(pid), "%d", getpid());
	ASSERT_EQ(0, write_file(CGROUP "/cgroup.procs", pid));
	map = map_with_numbers(nr * SZ_4K);
	shared = map_fd(memfd(nr * SZ_4K, 0), nr * SZ_4K, MAP_SHARED);
	ASSERT_NE(NULL, shared);
	memset(shared, 1, nr * SZ_4K);

	ASSERT_EQ(0, page_out(map, nr * SZ_4K));
	ASSERT_EQ(0, page_out_shared(shared, nr * SZ_4K));
	compare_cached(_metadata, self, map, nr, &cached, &out);
	EXPECT_LT(0, cached);	/* a disk keeps them until they are reclaimed */
	compare_cached(_metadata, self, shared, nr, &cached, &out);

	for (i = 0; i < 100 && out < nr / 2; i++) {
		drop_swap_cache();
		usleep(10000);
		compare_cached(_metadata, self, map, nr, &cached, &out);
	}
	EXPECT_LE(nr / 2, out);
	compare_cached(_metadata, self, shared, nr, &cached, &out);
	EXPECT_LT(0, out);

	/* Read-ahead may bring neighbours in as well. */
	for (i = 0; i < nr; i += 64) {
		touch(map + i * SZ_4K, SZ_4K);
		touch(shared + i * SZ_4K, SZ_4K);
	}
	compare_cached(_metadata, self, map, nr, &cached, &out);
	EXPECT_LT(0, out);
	compare_cached(_metadata, self, shared, nr, &cached, &out);
	write_file("/sys/fs/cgroup/cgroup.procs", pid);
	rmdir(CGROUP);
}

TEST_F_TIMEOUT(swap, slots_are_counted, TIMEOUT)
{
	size_t nr = 1024, i;
	struct area empty, full, holes;
	int type;
	char *map;

	ASSERT_EQ(0, add_area(self->disks[0], SWAP_FLAG_PREFER | 70));
	type = area_type(self->device, self->disks[0]);
	if (area_get(self->device, type, VMINSPECT_SWAP_SLOTS, &empty) == -EOPNOTSUPP &&
	    kernel_since(7, 0)) {
		swapoff(self->disks[0]);
		SKIP(return, "this kernel keeps what slots are used for to itself");
	}
	ASSERT_EQ(0, area_get(self->device, type, VMINSPECT_SWAP_SLOTS, &empty));
	EXPECT_EQ(empty.swap.pages, empty.swap.slots_free + empty.swap.used);
	EXPECT_EQ(0, empty.swap.slots_cached);

	map = map_with_numbers(nr * SZ_4K);
	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, page_out(map, nr * SZ_4K));
	ASSERT_EQ(0, area_get(self->device, type, VMINSPECT_SWAP_SLOTS, &full));
	EXPECT_EQ(full.swap.pages, full.swap.slots_free + full.swap.used);
	EXPECT_LE(nr, full.swap.used);
	EXPECT_LE(full.swap.longest_free, full.swap.slots_free);
	EXPECT_LE(1, full.swap.free_runs);

	/* Every other page is discarded: that leaves a hole for each, but for those in stock. */
	for (i = 0; i < nr; i += 2)
		madvise(map + i * SZ_4K, SZ_4K, MADV_DONTNEED);
	ASSERT_EQ(0, area_get(self->device, type, VMINSPECT_SWAP_SLOTS, &holes));
	EXPECT_EQ(holes.swap.pages, holes.swap.slots_free + holes.swap.used);
	EXPECT_LE(full.swap.slots_free + nr / 2 - 128, holes.swap.slots_free);
	EXPECT_LE(full.swap.free_runs + nr / 2 - 128, holes.swap.free_runs);
	EXPECT_GE(full.swap.longest_free, holes.swap.longest_free);
	munmap(map, nr * SZ_4K);
}

/* While an area is looked at it may go: then it is gone, and nothing worse. */
static int look_until_killed(void *arg)
{
	int device = device_open();
	struct area area;

	(void)arg;
	for (;;) {
		unsigned int type;

		for (type = 0; !area_get(device, type, VMINSPECT_SWAP_SLOTS, &area);)
			type = area.swap.type + 1;
	}
	return 0;
}

TEST_F_TIMEOUT(swap, areas_come_and_go_while_they_are_looked_at, TIMEOUT)
{
	struct vminspect_entry entry;
	pid_t child = fork();
	int i;

	if (!child) {
		look_until_killed(NULL);
		_exit(1);
	}
	ASSERT_LT(0, child);
	for (i = 0; i < 50; i++) {
		const char *disk = self->disks[i % NR_DISKS];
		char *map = map_with_numbers(16 * SZ_4K);

		ASSERT_EQ(0, add_area(disk, SWAP_FLAG_PREFER | 80));
		ASSERT_EQ(0, page_out(map, 16 * SZ_4K));
		EXPECT_EQ(0, device_lookup(self->device, map, &entry));
		EXPECT_EQ(VMINSPECT_STATE_SWAPPED, entry.state);
		ASSERT_EQ(0, swapoff(disk));
		EXPECT_EQ(0, device_lookup(self->device, map, &entry));
		EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
		munmap(map, 16 * SZ_4K);
	}
	process_end(child);
}

/* Holds the lock that areas are learnt under, again and again. */
static void read_swaps_until_killed(void)
{
	char text[4096];

	for (;;)
		read_file("/proc/swaps", text, sizeof(text));
}

FIXTURE(learning)
{
	pid_t readers[2];
};

FIXTURE_SETUP(learning)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(self->readers); i++) {
		self->readers[i] = fork();
		if (!self->readers[i])
			read_swaps_until_killed();
		ASSERT_LT(0, self->readers[i]);
	}
}

FIXTURE_TEARDOWN(learning)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(self->readers); i++)
		process_end(self->readers[i]);
}

/* One look at a page of an area that the module has not met yet. */
struct first_look {
	int device, ret;
	char *map;
	pthread_barrier_t begin;
	struct vminspect_walk walk;
};

static void *first_look_thread(void *arg)
{
	struct first_look *look = arg;

	pthread_barrier_wait(&look->begin);
	look->ret = device_walk(look->device, (uintptr_t)look->map, &look->walk);
	return NULL;
}

/*
 * The lock is let go of to learn of the area; what was found before that is not told. When the page
 * goes comes nearer and nearer to that.
 */
TEST_F_TIMEOUT(learning, page_that_goes_meanwhile_is_gone_on_all_levels, TIMEOUT)
{
	const size_t size = 64 * SZ_4K;
	int round, gone = 0, there = 0, delay = 64;
	struct first_look look;
	pthread_t thread;

	for (round = 0; round < 30 || (round < 100 && (!gone || !there)); round++) {
		ASSERT_EQ(0, module_unload());
		ASSERT_EQ(0, module_load(""));
		look.map = map_small(size);
		ASSERT_NE(NULL, look.map);
		memset(look.map, 1, size);
		ASSERT_EQ(0, page_out(look.map, size));
		look.device = device_bound(getpid());
		ASSERT_LE(0, look.device);
		pthread_barrier_init(&look.begin, NULL, 2);
		ASSERT_EQ(0, pthread_create(&thread, NULL, first_look_thread, &look));
		pthread_barrier_wait(&look.begin);
		usleep(lrand48() % delay);
		munmap(look.map, size);
		pthread_join(thread, NULL);
		close(look.device);

		ASSERT_EQ(0, look.ret);
		if (look.walk.entry.state != VMINSPECT_STATE_UNMAPPED) {
			there++;
			delay = delay / 2 + 1;
			continue;
		}
		gone++;
		delay = delay < 1 << 20 ? delay * 2 : delay;
		EXPECT_EQ(0, look.walk.nr_levels);
		EXPECT_EQ(0, look.walk.levels[0].raw);
	}
	TH_LOG("%d rounds, gone in %d", round, gone);
	EXPECT_LT(0, gone);
	EXPECT_LT(0, there);
}

TEST_HARNESS_MAIN
