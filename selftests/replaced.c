// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: an entry that the kernel is just replacing is never reported empty. Copy on
 * write, swap-out and the like clear an entry and set it again; a page that stays
 * mapped and is never discarded is somewhere at every moment, whether pages are looked at or
 * entries are taken in passing.
 *
 * machines: default
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"

#include "common.h"

#define NR_PAGES	1024
#define SECONDS		5	/* for each way: the moment is short, and has to be met */
#define TIMEOUT		240

/* What a thread keeps looking at, and what it found. */
struct watch {
	int device;
	char *map;
	size_t size;
	uint64_t return_mask;
	bool translate;		/* each page, not the range */
	atomic_bool stop;
	uint64_t looks;
	uint64_t empty;		/* pages */
	int error;
};

static int count_empty(const struct vminspect_extent *extent, void *arg)
{
	struct watch *watch = arg;

	if (extent->state == VMINSPECT_STATE_NONE || extent->state == VMINSPECT_STATE_UNMAPPED)
		watch->empty += (extent->end - extent->start) / SZ_4K;
	return 0;
}

static int scan_all(struct watch *watch)
{
	const struct vminspect_scan scan = { .return_mask = watch->return_mask };
	uint64_t start = (uintptr_t)watch->map;

	return device_extents(watch->device, start, start + watch->size, &scan, count_empty, watch);
}

static int translate_all(struct watch *watch)
{
	struct vminspect_entry entries[NR_PAGES];
	uint64_t addresses[NR_PAGES];
	int nr = watch->size / SZ_4K, done, ret, i;

	for (i = 0; i < nr; i++)
		addresses[i] = (uintptr_t)watch->map + i * SZ_4K;
	for (done = 0; done < nr; done += ret) {
		ret = device_translate(watch->device, addresses + done, entries + done, nr - done,
				       watch->return_mask);
		if (ret <= 0)
			return ret ?: -EIO;
	}
	for (i = 0; i < nr; i++)
		watch->empty += entries[i].state == VMINSPECT_STATE_NONE ||
				entries[i].state == VMINSPECT_STATE_UNMAPPED;
	return 0;
}

static void *keep_looking(void *arg)
{
	struct watch *watch = arg;

	while (!watch->stop && !watch->error) {
		watch->error = watch->translate ? translate_all(watch) : scan_all(watch);
		watch->looks++;
	}
	return NULL;
}

/* Each write of the parent copies a page that the child still has. */
static void copy_on_write(char *map, size_t size)
{
	pid_t child = fork();
	size_t at;

	if (!child) {
		pause();
		_exit(0);
	}
	for (at = 0; at < size; at += SZ_4K)
		map[at]++;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void swap_out_and_in(char *map, size_t size)
{
	size_t at;

	madvise(map, size, MADV_PAGEOUT);
	for (at = 0; at < size; at += SZ_4K)
		map[at]++;
}

FIXTURE(replaced)
{
	struct watch watch;
	pthread_t thread;
};

FIXTURE_VARIANT(replaced)
{
	uint64_t return_mask;
	bool translate;
	int flags;		/* of mmap */
	size_t size;
	void (*replace)(char *map, size_t size);
};

FIXTURE_VARIANT_ADD(replaced, by_copy_on_write)
{
	.return_mask = VMINSPECT_PAGE_WRITE,
	.size = NR_PAGES * SZ_4K,
	.replace = copy_on_write,
};

FIXTURE_VARIANT_ADD(replaced, by_copy_on_write_frames_asked)
{
	.return_mask = VMINSPECT_RETURN_FRAME,
	.size = NR_PAGES * SZ_4K,
	.replace = copy_on_write,
};

FIXTURE_VARIANT_ADD(replaced, by_copy_on_write_pages_looked_at)
{
	.return_mask = RETURN_ALL,
	.size = NR_PAGES * SZ_4K,
	.replace = copy_on_write,
};

FIXTURE_VARIANT_ADD(replaced, by_copy_on_write_translated)
{
	.return_mask = VMINSPECT_PAGE_WRITE | VMINSPECT_RETURN_FRAME,
	.translate = true,
	.size = NR_PAGES * SZ_4K,
	.replace = copy_on_write,
};

FIXTURE_VARIANT_ADD(replaced, by_copy_on_write_in_hugetlb)
{
	.return_mask = VMINSPECT_PAGE_WRITE,
	.flags = MAP_HUGETLB,
	.size = 2 * SZ_2M,
	.replace = copy_on_write,
};

FIXTURE_VARIANT_ADD(replaced, by_swap_out)
{
	.return_mask = VMINSPECT_PAGE_WRITE,
	.size = NR_PAGES * SZ_4K,
	.replace = swap_out_and_in,
};

FIXTURE_VARIANT_ADD(replaced, by_swap_out_translated)
{
	.return_mask = VMINSPECT_PAGE_WRITE | VMINSPECT_RETURN_FRAME,
	.translate = true,
	.size = NR_PAGES * SZ_4K,
	.replace = swap_out_and_in,
};

FIXTURE_SETUP(replaced)
{
	struct watch *watch = &self->watch;

	ASSERT_EQ(0, write_file("/proc/sys/vm/nr_hugepages", "10"));
	watch->device = device_bound(getpid());
	ASSERT_GE(watch->device, 0);
	watch->size = variant->size;
	watch->return_mask = variant->return_mask;
	watch->translate = variant->translate;
	watch->map = mmap(NULL, watch->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | variant->flags, -1, 0);
	ASSERT_NE(MAP_FAILED, watch->map);
	madvise(watch->map, watch->size, MADV_NOHUGEPAGE);
	memset(watch->map, 1, watch->size);
}

FIXTURE_TEARDOWN(replaced)
{
	close(self->watch.device);
	munmap(self->watch.map, self->watch.size);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

TEST_F_TIMEOUT(replaced, entry_is_never_empty, TIMEOUT)
{
	struct watch *watch = &self->watch;
	time_t end = time(NULL) + SECONDS;

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, keep_looking, watch));
	do {
		variant->replace(watch->map, watch->size);
	} while (time(NULL) < end);
	watch->stop = true;
	ASSERT_EQ(0, pthread_join(self->thread, NULL));
	EXPECT_EQ(0, watch->error);
	EXPECT_GT(watch->looks, 0);
	EXPECT_EQ(0, watch->empty) {
		TH_LOG("in %lu looks", (unsigned long)watch->looks);
	}
}

TEST_HARNESS_MAIN
