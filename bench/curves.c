// SPDX-License-Identifier: GPL-2.0
/*
 * curves: what a scan costs as memory grows, and how much of the kernel's memory it takes.
 *
 * Writes lines for ./plot: "curve, bytes, median, least, most", separated by tabs, and "memory,
 * curve, bytes, memory" of what the module allocates for one call. Mapped memory is some pages
 * mapped again and again: to the walk they are as many as there are entries. The unit of time is
 * that of the clock, as ./looking has it.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"

#define SZ_1M		(1UL << 20)
#define SZ_1T		(1UL << 40)
#define PIECE		(32UL << 20)	/* mapped again and again */
#define EXTENTS		4096

static int device;
static struct vminspect_extent extents[EXTENTS];

/* What the module allocates for a call. */
static void measure_memory(const char *curve, const struct vminspect_scan *all, uintptr_t start,
			   size_t size)
{
	struct vminspect_scan scan = *all;
	struct allocated allocated;

	scan.start = start;
	scan.end = start + size;
	check(allocated_start(), "no tracepoint of allocations");
	check(!device_scan(device, &scan), "SCAN failed");
	allocated = allocated_end();
	printf("memory\t%s\t%zu\t%ld\n", curve, size, allocated.bytes);
}

static void measure(const char *curve, uintptr_t start, size_t size, size_t mapped)
{
	const struct vminspect_scan scan = {
		.extents = (uintptr_t)extents,
		.nr_extents = EXTENTS,
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE,
	};
	uint64_t ns[ROUNDS], before, middle;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		before = now_ns();
		check(scan_pages(device, scan, start, size) == mapped / SZ_4K,
		      "SCAN missed a page");
		ns[round] = now_ns() - before;
	}
	middle = median(ns, ROUNDS);
	printf("%s\t%zu\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", curve, size, middle, ns[0],
	       ns[ROUNDS - 1]);
	measure_memory(curve, &scan, start, size);
	fflush(stdout);
}

/* Aligned, for huge pages; what lies before stays reserved. */
static char *reserve(size_t size)
{
	char *va = mmap(NULL, size + SZ_1G, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	check(va != MAP_FAILED, "no addresses");
	return (char *)(((uintptr_t)va + SZ_1G - 1) & ~(SZ_1G - 1));
}

/* All of @size, in pieces of one file. */
static void map_again(char *va, size_t size, int fd, int flags)
{
	size_t at, part = size < PIECE ? size : PIECE;

	for (at = 0; at < size; at += part) {
		check(mmap(va + at, part, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED | MAP_POPULATE | flags, fd, 0) == va + at,
		      "mmap() failed");
		touch(va + at, part);
	}
}

static void measure_mapped(const char *curve, int fd, int flags)
{
	size_t size;
	char *va;

	for (size = SZ_1M * (flags ? 4 : 1); size <= 16 * SZ_1G; size *= 4) {
		va = reserve(size);
		map_again(va, size, fd, flags);
		measure(curve, (uintptr_t)va, size, size);
		munmap(va, size);
	}
}

/* The same few pages, further and further apart. */
static void measure_reserved(void)
{
	const int pages = 256;
	size_t size;
	char *va;
	int i;

	for (size = SZ_1G; size <= 64 * SZ_1T; size *= 4) {
		va = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		check(va != MAP_FAILED, "no addresses");
		madvise(va, size, MADV_NOHUGEPAGE);
		for (i = 0; i < pages; i++)
			va[size / pages * i] = 1;
		measure("256 pages in what is reserved", (uintptr_t)va, size, pages * SZ_4K);
		munmap(va, size);
	}
}

int main(void)
{
	int small = memfd(PIECE, 0), huge;

	device = device_bound(getpid());
	check(device >= 0 && small >= 0, "no /dev/vminspect");
	check(!hugetlb_reserve(SZ_2M, PIECE / SZ_2M), "no huge pages");
	huge = memfd(PIECE, MFD_HUGETLB);
	check(huge >= 0, "no huge pages");
	measure_mapped("4 KiB pages", small, 0);
	measure_mapped("2 MiB pages", huge, MAP_HUGETLB);
	measure_reserved();
	return 0;
}
