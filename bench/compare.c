// SPDX-License-Identifier: GPL-2.0
/*
 * The same questions answered by vminspect and by /proc/PID/pagemap, in turns, in
 * one process: time of each, median of the rounds, and their ratio.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../selftests/common.h"
#include "measure.h"

#define ROUNDS		9
#define SZ_1T		(1UL << 40)
#define SPARSE_PAGES	4096
#define SLICES		16	/* of the terabyte, one a round, for pagemap */
#define ADDRESSES	100000
#define BATCH		1024
#define CHUNK		8192	/* entries of pagemap read at once: 64 KiB */

static int device, pagemap;
static uint64_t entries[CHUNK];
static uint64_t addresses[ADDRESSES];
static struct vminspect_entry answers[ADDRESSES];

static int add_pages(const struct vminspect_extent *extent, void *arg)
{
	*(uint64_t *)arg += (extent->end - extent->start) / SZ_4K;
	return 0;
}

/* What the entries say, frames included: what pagemap gives, and more. */
static uint64_t scan(char *va, size_t size)
{
	const struct vminspect_scan request = {
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE,
		.split_mask = VMINSPECT_PAGE_WRITE,
	};
	uint64_t pages = 0;

	check(!device_extents(device, (uintptr_t)va, (uintptr_t)va + size, &request,
			      add_pages, &pages), "SCAN failed");
	return pages;
}

static uint64_t read_pagemap(char *va, size_t size)
{
	uint64_t pages = 0, at, i;

	for (at = 0; at < size / SZ_4K; at += CHUNK) {
		check(!pagemap_read(pagemap, (uintptr_t)va + at * SZ_4K, entries,
				    CHUNK), "pagemap can't be read");
		for (i = 0; i < CHUNK; i++)
			pages += !!(entries[i] & (PM_PRESENT | PM_SWAP));
	}
	return pages;
}

static void report(const char *work, uint64_t pages, uint64_t *ours, uint64_t *theirs)
{
	double ratio;

	qsort(ours, ROUNDS, sizeof(*ours), by_value);
	qsort(theirs, ROUNDS, sizeof(*theirs), by_value);
	ratio = (double)theirs[ROUNDS / 2] / ours[ROUNDS / 2];
	printf("%-28s %9" PRIu64 " %10.3f %10.3f %9.1f   %.1f to %.1f\n", work, pages,
	       ours[ROUNDS / 2] / 1e6, theirs[ROUNDS / 2] / 1e6, ratio,
	       (double)theirs[0] / ours[ROUNDS - 1],
	       (double)theirs[ROUNDS - 1] / ours[0]);
	fflush(stdout);
}

/* @slices: how many rounds of pagemap cover the range; its time is multiplied. */
static void compare_scan(const char *work, char *va, size_t size, uint64_t pages,
			 unsigned int slices)
{
	uint64_t ours[ROUNDS], theirs[ROUNDS], start;
	size_t slice = size / slices;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		start = now_ns();
		check(scan(va, size) == pages, "SCAN has another number of pages");
		ours[i] = now_ns() - start;
		start = now_ns();
		check(read_pagemap(va + i % slices * slice, slice) * slices == pages,
		      "pagemap has another number of pages");
		theirs[i] = (now_ns() - start) * slices;
	}
	report(work, pages, ours, theirs);
}

static void compare_dense(void)
{
	char *va = map_aligned(SZ_1G, SZ_2M);

	check(va, "no memory");
	madvise(va, SZ_1G, MADV_NOHUGEPAGE);
	memset(va, 1, SZ_1G);
	compare_scan("1 GiB of 4 KiB pages", va, SZ_1G, SZ_1G / SZ_4K, 1);
	munmap(va, SZ_1G);
}

static void compare_huge(void)
{
	char *va = map_aligned(SZ_1G, SZ_2M);

	check(va, "no memory");
	madvise(va, SZ_1G, MADV_HUGEPAGE);
	memset(va, 1, SZ_1G);
	compare_scan("1 GiB of huge pages", va, SZ_1G, SZ_1G / SZ_4K, 1);
	munmap(va, SZ_1G);
}

static void compare_sparse(void)
{
	char *va = mmap(NULL, SZ_1T, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t i;

	check(va != MAP_FAILED, "no terabyte");
	madvise(va, SZ_1T, MADV_NOHUGEPAGE);
	for (i = 0; i < SPARSE_PAGES; i++)
		va[i * (SZ_1T / SPARSE_PAGES)] = 1;
	compare_scan("1 TiB with 4096 pages", va, SZ_1T, SPARSE_PAGES, SLICES);
	munmap(va, SZ_1T);
}

static uint64_t translate_all(void)
{
	uint64_t present = 0;
	unsigned int i, nr;

	for (i = 0; i < ADDRESSES; i += nr) {
		nr = ADDRESSES - i < BATCH ? ADDRESSES - i : BATCH;
		check(device_translate(device, addresses + i, answers + i, nr,
				       RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE) ==
		      (int)nr, "TRANSLATE failed");
	}
	for (i = 0; i < ADDRESSES; i++)
		present += answers[i].state == VMINSPECT_STATE_PRESENT;
	return present;
}

static uint64_t pread_all(void)
{
	uint64_t present = 0;
	unsigned int i;

	for (i = 0; i < ADDRESSES; i++)
		present += !!(pagemap_entry(pagemap, (void *)addresses[i]) & PM_PRESENT);
	return present;
}

static void compare_translate(void)
{
	uint64_t ours[ROUNDS], theirs[ROUNDS], start;
	char *va = map_aligned(SZ_1G / 2, SZ_2M);
	unsigned int i;

	check(va, "no memory");
	madvise(va, SZ_1G / 2, MADV_NOHUGEPAGE);
	memset(va, 1, SZ_1G / 2);
	srand48(1);
	for (i = 0; i < ADDRESSES; i++)
		addresses[i] = (uintptr_t)va + lrand48() % (SZ_1G / 2);
	for (i = 0; i < ROUNDS; i++) {
		start = now_ns();
		check(translate_all() == ADDRESSES, "TRANSLATE missed a page");
		ours[i] = now_ns() - start;
		start = now_ns();
		check(pread_all() == ADDRESSES, "pagemap missed a page");
		theirs[i] = now_ns() - start;
	}
	report("100,000 random addresses", ADDRESSES, ours, theirs);
	munmap(va, SZ_1G / 2);
}

/* The tool as a user starts it, on this process with a terabyte in it. */
static void time_maps(void)
{
	char *va = mmap(NULL, SZ_1T, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char command[64];
	uint64_t start;

	check(va != MAP_FAILED, "no terabyte");
	va[0] = 1;
	snprintf(command, sizeof(command), "vminspect maps %d >/dev/null", getpid());
	check(!system(command), "vminspect failed");	/* its pages are read */
	start = now_ns();
	check(!system(command), "vminspect failed");
	printf("\nvminspect maps of a process with a sparse terabyte: %.3f s\n",
	       (now_ns() - start) / 1e9);
	munmap(va, SZ_1T);
}

int main(void)
{
	device = device_bound(getpid());
	pagemap = pagemap_open(getpid());
	check(device >= 0 && pagemap >= 0, "no /dev/vminspect");
	printf("%-28s %9s %10s %10s %9s   %s\n", "work", "pages", "ours, ms",
	       "pagemap", "ratio", "from worst to best");
	compare_dense();
	compare_huge();
	compare_sparse();
	compare_translate();
	time_maps();
	return 0;
}
