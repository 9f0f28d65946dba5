/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clock that events are recorded by.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <linux/types.h>
#include <time.h>

static inline __u64 clock_read(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static inline __u64 clock_now_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* Cheaper, and a few milliseconds behind. */
static inline __u64 clock_coarse_ns(void)
{
	return clock_read(CLOCK_MONOTONIC_COARSE);
}

#endif
