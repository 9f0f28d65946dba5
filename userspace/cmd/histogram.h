/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Times, counted in classes of which each is at most an eighth wide, so that memory
 * stays constant and no quantile is off by more than a sixteenth.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <linux/types.h>

/* Eight for each power of two. */
#define HISTOGRAM_CLASSES	496

struct histogram {
	__u64 nr;
	__u64 min_ns;
	__u64 max_ns;
	__u64 classes[HISTOGRAM_CLASSES];
};

void histogram_add(struct histogram *histogram, __u64 ns);
/* The time that @share of them do not exceed; with none of them 0. */
__u64 histogram_quantile(const struct histogram *histogram, double share);
/* How many were from 1 << @power up to twice that, power 0 from zero on. */
__u64 histogram_power(const struct histogram *histogram, unsigned int power);

#endif
