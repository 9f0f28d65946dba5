// SPDX-License-Identifier: GPL-2.0
/*
 * Times, counted in classes.
 */
#include "histogram.h"

/* Below 8 a class is one number; above it has the three bits after the first. */
static unsigned int class_of(__u64 ns)
{
	unsigned int top;

	if (ns < 8)
		return ns;
	top = 63 - __builtin_clzll(ns);
	return (top - 2) * 8 + ((ns >> (top - 3)) & 7);
}

/* The middle of a class. */
static __u64 class_ns(unsigned int class)
{
	unsigned int shift;

	if (class < 16)
		return class;
	shift = class / 8 - 1;
	return ((8ULL + class % 8) << shift) + (1ULL << shift) / 2;
}

void histogram_add(struct histogram *histogram, __u64 ns)
{
	if (!histogram->nr || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->nr++;
	histogram->classes[class_of(ns)]++;
}

__u64 histogram_quantile(const struct histogram *histogram, double share)
{
	__u64 seen = 0, ns = 0;

	for (unsigned int class = 0; class < HISTOGRAM_CLASSES && histogram->nr; class++) {
		seen += histogram->classes[class];
		if (seen >= share * histogram->nr) {
			ns = class_ns(class);
			break;
		}
	}
	if (ns < histogram->min_ns)
		return histogram->min_ns;
	return ns > histogram->max_ns ? histogram->max_ns : ns;
}

__u64 histogram_power(const struct histogram *histogram, unsigned int power)
{
	__u64 first = power ? 1ULL << power : 0, last = (2ULL << power) - 1;
	__u64 sum = 0;

	for (unsigned int class = class_of(first); class <= class_of(last); class++)
		sum += histogram->classes[class];
	return sum;
}
