/* SPDX-License-Identifier: GPL-2.0 */
/* What the benchmarks share. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../selftests/common.h"

/* A benchmark that can't go on has no figures to show. */
static inline void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline int by_value(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

/* Sorts them. */
static inline uint64_t median(uint64_t *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), by_value);
	return values[nr / 2];
}

#define ROUNDS	9

/* A line for ./report: of each of @nr things, what was measured in ROUNDS rounds. Sorts them. */
static inline void print_figure(const char *work, const char *method, uint64_t *ns, uint64_t nr)
{
	const char *unit = getenv("UNIT");
	uint64_t middle = median(ns, ROUNDS);

	printf("%s\t%s\t%s\t%.10g\t%.10g\t%.10g\n", work, method, unit ? unit : "ns",
	       (double)middle / nr, (double)ns[0] / nr, (double)ns[ROUNDS - 1] / nr);
	fflush(stdout);
}

/* QEMU's log of what is executed, of which ./profile makes its lists. */
static inline void log_instructions(bool on)
{
	char reply[256];

	check(!monitor_command(on ? "log exec,nochain" : "log none", reply, sizeof(reply)),
	      "no monitor");
}

/* The calling process runs on these processors alone. */
static inline void stay_on(int first, int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (nr--)
		CPU_SET(first + nr, &set);
	check(!sched_setaffinity(0, sizeof(set), &set), "too few processors");
}

/* How many pages a scan finds in a range. All but the range stands in @scan. */
static inline uint64_t scan_pages(int device, struct vminspect_scan scan, uintptr_t start,
				  size_t size)
{
	const struct vminspect_extent *extents = (const void *)(uintptr_t)scan.extents;
	uint64_t pages = 0;
	uint32_t i;

	scan.start = start;
	scan.end = start + size;
	do {
		check(!device_scan(device, &scan), "SCAN failed");
		for (i = 0; i < scan.nr_filled; i++)
			pages += (extents[i].end - extents[i].start) / SZ_4K;
		scan.start = scan.resume;
	} while (scan.start < scan.end);
	return pages;
}

#endif /* BENCH_MEASURE_H */
