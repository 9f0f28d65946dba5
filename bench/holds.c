// SPDX-License-Identifier: GPL-2.0
/*
 * holds: how long a scan holds the lock of an address space at most, as the kernel's own
 * tracepoints tell, and what it costs.
 *
 * Writes lines for ./report: of each kind of memory the longest hold, and what a page took, in the
 * unit of time that ./looking has. Tracepoints are enabled for the first alone.
 *
 * usage: holds NAME, which is that of the method
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"

#define LOCK		TRACING "events/mmap_lock/mmap_lock_"
#define SIZE		(64UL << 20)
#define EXTENTS		65536

static struct vminspect_extent extents[EXTENTS];
static int device;

static uint64_t scan(const char *map, uint64_t return_mask)
{
	struct vminspect_scan scan = {
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + SIZE,
		.extents = (uintptr_t)extents,
		.nr_extents = EXTENTS,
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = return_mask,
	};
	uint64_t before = now_ns();

	check(!device_scan(device, &scan) && scan.resume == scan.end, "SCAN failed");
	return now_ns() - before;
}

static void trace(bool on)
{
	char filter[64];

	snprintf(filter, sizeof(filter), on ? "common_pid == %d" : "0", getpid());
	check(!write_file(LOCK "acquire_returned/filter", filter) &&
	      !write_file(LOCK "released/filter", filter) &&
	      !write_file(LOCK "acquire_returned/enable", on ? "1" : "0") &&
	      !write_file(LOCK "released/enable", on ? "1" : "0"), "no tracepoints of mmap_lock");
}

/* Between two events of this process. Of a line of the trace, the time stands before its name. */
static uint64_t longest_hold(void)
{
	uint64_t longest = 0, since = 0;
	char line[512], *name, *at;
	unsigned long s, us;
	FILE *file = fopen(TRACING "trace", "r");

	check(file, "no trace");
	while (fgets(line, sizeof(line), file)) {
		name = strstr(line, ": mmap_lock_");
		if (!name)
			continue;
		for (at = name; at > line && at[-1] != ' '; at--)
			;
		if (sscanf(at, "%lu.%lu", &s, &us) != 2)
			continue;
		us = s * 1000000 + us;
		if (strstr(name, "acquire_returned"))
			since = us;
		else if (since && us - since > longest)
			longest = us - since;
	}
	fclose(file);
	return longest * 1000;
}

static void measure(const char *what, const char *name, const char *map, uint64_t return_mask)
{
	uint64_t holds[ROUNDS], scans[ROUNDS];
	char work[64];
	int round;

	for (round = 0; round < ROUNDS; round++) {
		scans[round] = scan(map, return_mask);
		close(open(TRACING "trace", O_WRONLY | O_TRUNC));
		trace(true);
		scan(map, return_mask);
		trace(false);
		holds[round] = longest_hold();
		check(holds[round], "no hold was traced");
	}
	snprintf(work, sizeof(work), "%s: longest hold", what);
	print_figure(work, name, holds, 1);
	snprintf(work, sizeof(work), "%s: a page", what);
	print_figure(work, name, scans, SIZE / SZ_4K);
}

int main(int argc, char **argv)
{
	const uint64_t quick = RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE;
	char *small, *odd, *huge;
	size_t i;

	check(argc == 2, "usage: holds NAME");
	device = device_bound(getpid());
	check(device >= 0, "no /dev/vminspect");
	small = map_small(SIZE);
	odd = map_small(SIZE);
	huge = map_huge(SIZE);
	check(small && odd && huge, "no memory");
	/* In turns, so that frames of neither follow one another. */
	for (i = 0; i < SIZE; i += SZ_4K) {
		small[i] = 1;
		odd[SIZE - SZ_4K - i] = 1;
	}
	memset(huge, 1, SIZE);
	measure("4 KiB pages", argv[1], small, quick);
	measure("the same, looked at", argv[1], small, RETURN_ALL);
	measure("huge pages", argv[1], huge, quick);
	check(!page_out(odd, SIZE), "pages do not go out");
	measure("swapped out", argv[1], odd, quick);
	return 0;
}
