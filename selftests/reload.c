// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: the module can be loaded and unloaded a thousand times, whatever goes on meanwhile, and
 * leaves nothing behind.
 *
 *   VMINSPECT_ROUNDS   how often, half of them while processes swap and readers come and go;
 *                      default 1000
 *
 * machines: attack
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "kselftest_harness.h"

#include "common.h"
#include "recorder.h"

#define TIMEOUT		3600
#define READERS		2
#define SWAPPERS	2
#define SIZE		(8UL << 20)

/* What the kernel has for itself, in KiB: unreclaimable slab, vmalloc, per-processor memory. */
struct memory {
	long slab, vmalloc, percpu;
};

/* Within these it goes up and down by itself: caches of each processor, dead cgroups. */
#define NOISE_SLAB	6144
#define NOISE_VMALLOC	1024
#define NOISE_PERCPU	512

FIXTURE(reload)
{
	unsigned long rounds;
	int file;
};

static char module_path[256];

static bool find_module(void)
{
	FILE *name = popen("modinfo -F filename vminspect", "re");
	bool found = name && fgets(module_path, sizeof(module_path), name);

	if (name)
		pclose(name);
	module_path[strcspn(module_path, "\n")] = '\0';
	return found;
}

FIXTURE_SETUP(reload)
{
	const char *rounds = getenv("VMINSPECT_ROUNDS");

	self->rounds = rounds && *rounds ? strtoul(rounds, NULL, 0) : 1000;
	ASSERT_TRUE(find_module());
	self->file = open(module_path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(reload)
{
	close(self->file);
	if (access("/sys/module/vminspect", F_OK))
		EXPECT_EQ(0, module_load(""));
}

/*
 * What slab has in use, by cache. Nothing there is left to noise: a cache that has been shrunk is
 * counted to the object, and what one load leaves behind each load does.
 */
#define MAX_CACHES	512
#define CACHES		"/sys/kernel/slab/"

struct cache {
	char name[64];
	long objects, size;
};

struct caches {
	struct cache of[MAX_CACHES];
	size_t nr;
};

/* Not those that the kernel empties when it wants to: inodes, entries of directories. */
static bool cache_counts(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), CACHES "%s/shrink", name);
	write_file(path, "1");
	snprintf(path, sizeof(path), CACHES "%s/reclaim_account", name);
	return read_number(path) == 0;
}

/* Twice: shrinking comes first, and what waits for RCU, as closed files do, is freed by then. */
static void caches_read(struct caches *caches)
{
	struct cache *cache;
	char line[512];
	FILE *file;
	int i;

	for (i = 0; i < 2; i++) {
		usleep(500000);
		file = fopen("/proc/slabinfo", "re");
		caches->nr = 0;
		while (file && caches->nr < MAX_CACHES && fgets(line, sizeof(line), file)) {
			cache = &caches->of[caches->nr];
			if (sscanf(line, "%63s %ld %*d %ld", cache->name, &cache->objects,
				   &cache->size) == 3 && cache_counts(cache->name))
				caches->nr++;
		}
		if (file)
			fclose(file);
	}
}

static long cache_objects(const struct caches *caches, const char *name)
{
	size_t i;

	for (i = 0; i < caches->nr; i++)
		if (!strcmp(caches->of[i].name, name))
			return caches->of[i].objects;
	return 0;
}

/* By less than this a cache may grow by chance, however few loads there were. */
#define NOISE_CACHE	(32 << 10)

/* No cache has grown by an object for each load, both times. */
static void expect_no_growth(struct __test_metadata *_metadata, const struct caches at[3],
			     long loads)
{
	const struct cache *cache;
	long first, second;
	size_t i;

	if (leaks_are_looked_for())
		return;
	EXPECT_LT(20, at[2].nr);
	for (i = 0; i < at[2].nr; i++) {
		cache = &at[2].of[i];
		first = cache_objects(&at[1], cache->name) - cache_objects(&at[0], cache->name);
		second = cache->objects - cache_objects(&at[1], cache->name);
		if (first * cache->size < NOISE_CACHE || second * cache->size < NOISE_CACHE)
			continue;
		EXPECT_FALSE(first >= loads && second >= loads)
			TH_LOG("%s: %ld and %ld objects of %ld bytes more after %ld loads each",
			       cache->name, first, second, cache->size, loads);
	}
}

/* Nor by a page for each, where more goes on than loading: less than this may be of that. */
#define NOISE_STORM	(256 << 10)

static void expect_no_pages(struct __test_metadata *_metadata, const struct caches *before,
			    const struct caches *after, long loads)
{
	const long most = loads * 4096 > NOISE_STORM ? loads * 4096 : NOISE_STORM;
	const struct cache *cache;
	long more;
	size_t i;

	if (leaks_are_looked_for())
		return;
	for (i = 0; i < after->nr; i++) {
		cache = &after->of[i];
		more = cache->objects - cache_objects(before, cache->name);
		EXPECT_GT(most, more * cache->size)
			TH_LOG("%s: %ld objects of %ld bytes more", cache->name, more, cache->size);
	}
}

static struct memory memory_used(void)
{
	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	usleep(200000);		/* what RCU has waited for is freed */
	return (struct memory){
		.slab = meminfo_kb("SUnreclaim"), .vmalloc = meminfo_kb("VmallocUsed"),
		.percpu = meminfo_kb("Percpu"),
	};
}

static void expect_same(struct __test_metadata *_metadata, const struct memory *before,
			const struct memory *after)
{
	TH_LOG("slab %ld -> %ld, vmalloc %ld -> %ld, percpu %ld -> %ld KiB", before->slab,
	       after->slab, before->vmalloc, after->vmalloc, before->percpu, after->percpu);
	EXPECT_GT(before->percpu + NOISE_PERCPU, after->percpu);
	if (leaks_are_looked_for())
		return;
	EXPECT_GT(before->slab + NOISE_SLAB, after->slab);
	EXPECT_GT(before->vmalloc + NOISE_VMALLOC, after->vmalloc);
}

static int load(int file)
{
	return syscall(SYS_finit_module, file, "", 0) ? -errno : 0;
}

/* A quarter of the loads fills caches; the two halves of the others are compared. */
TEST_F_TIMEOUT(reload, leaves_nothing_behind, TIMEOUT)
{
	const unsigned long loads = self->rounds * 3 / 16, first = self->rounds / 2 - 2 * loads;
	struct memory before = { 0 }, after;
	static struct caches at[3];
	unsigned long i;

	for (i = 0; i < self->rounds / 2; i++) {
		ASSERT_EQ(0, module_unload());
		if (i == first)
			before = memory_used();
		if (i == first || i == first + loads)
			caches_read(&at[i != first]);
		ASSERT_EQ(0, load(self->file));
	}
	ASSERT_EQ(0, module_unload());
	after = memory_used();
	caches_read(&at[2]);
	TH_LOG("%lu times; kmalloc-4k: %ld, %ld, %ld objects", i,
	       cache_objects(&at[0], "kmalloc-4k"), cache_objects(&at[1], "kmalloc-4k"),
	       cache_objects(&at[2], "kmalloc-4k"));
	expect_same(_metadata, &before, &after);
	expect_no_growth(_metadata, at, loads);
}

static bool stop;
static unsigned long records;	/* that all readers have read */

/* Out and in again, for as long as the test. */
static void swap_on_and_on(void)
{
	char *map = map_small(SIZE);
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; map; i++) {
		memset(map + i % 64 * SZ_4K, i, SZ_4K);
		madvise(map, SIZE, MADV_PAGEOUT);
		touch(map, SIZE);
	}
	_exit(1);
}

struct reader {
	pthread_t thread;
	unsigned int seed;
	unsigned long opened;
};

static unsigned long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000UL + now.tv_nsec / 1000;
}

/*
 * Comes, reads for a while what there is, and goes: in the middle of a load or of an unload. Then
 * it stays away for longer than it was there, however long that takes here: else the module would
 * never be unused.
 */
static void *reader_run(void *arg)
{
	struct vminspect_event events[32];
	struct vminspect_events request;
	struct reader *reader = arg;
	unsigned long was_there = 1, since;
	int device, fd;
	ssize_t ret;

	while (!READ_ONCE(stop)) {
		usleep(rand_r(&reader->seed) % (4 * was_there));
		since = now_us();
		device = device_open();
		if (device < 0)
			continue;
		reader->opened++;
		request = request_all(ALL_KINDS);
		request.flags = VMINSPECT_EVENTS_NONBLOCK;
		fd = rand_r(&reader->seed) % 4 ? events_open(device, &request) : -1;
		close(device);
		if (fd < 0)
			continue;
		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
		do {
			ret = read(fd, events, sizeof(events));
			if (ret > 0)
				__atomic_add_fetch(&records, ret / sizeof(events[0]),
						   __ATOMIC_RELAXED);
		} while (ret > 0 && rand_r(&reader->seed) % 64);
		close(fd);
		was_there = now_us() - since;
	}
	return NULL;
}

TEST_F_TIMEOUT(reload, goes_on_under_a_swap_storm_with_readers, TIMEOUT)
{
	struct reader readers[READERS] = { 0 };
	unsigned long i, tries, seen, refused = 0, opened = 0;
	static struct caches caches_before, caches_after;
	struct memory before, after;
	pid_t swappers[SWAPPERS];
	int ret;

	before = memory_used();
	caches_read(&caches_before);
	for (i = 0; i < SWAPPERS; i++) {
		swappers[i] = fork();
		if (!swappers[i])
			swap_on_and_on();
	}
	stop = false;
	for (i = 0; i < READERS; i++) {
		readers[i].seed = i;
		pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]);
	}
	for (i = 0; i < self->rounds / 2;) {
		ret = module_unload();
		if (ret) {
			ASSERT_EQ(-EAGAIN, ret);	/* somebody has it open */
			refused++;
			usleep(5000);
			continue;
		}
		ASSERT_EQ(0, load(self->file));
		i++;
		/* for a reader to come, and to have read */
		seen = __atomic_load_n(&records, __ATOMIC_RELAXED);
		for (tries = i % 5 ? 600 : 0; tries < 600; tries++) {
			if (__atomic_load_n(&records, __ATOMIC_RELAXED) != seen)
				break;
			usleep(50000);
		}
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		opened += readers[i].opened;
	}
	for (i = 0; i < SWAPPERS; i++)
		process_end(swappers[i]);
	TH_LOG("%lu times, refused %lu times, opened %lu times, %lu records", self->rounds / 2,
	       refused, opened, records);
	EXPECT_LT(0, refused);
	EXPECT_LT(0, records);
	after = memory_used();
	caches_read(&caches_after);
	expect_same(_metadata, &before, &after);
	expect_no_pages(_metadata, &caches_before, &caches_after, self->rounds / 2);
}

TEST_HARNESS_MAIN
