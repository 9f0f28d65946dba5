/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a stream of events comes to, in memory that does not grow with it.
 */
#ifndef SUMMARY_H
#define SUMMARY_H

#include <stdbool.h>
#include <linux/types.h>

#include "histogram.h"
#include "mapping.h"
#include "ranking.h"
#include "recent.h"
#include "vminspect.h"

struct kind_sum {
	__u64 events;
	__u64 pages;
	__u64 failed;
	struct histogram latency;
};

struct summary {
	__u32 kinds;			/* those that are seen: 1 << VMINSPECT_EVENT_* */
	__u32 missing;			/* those that were asked for, but this kernel lacks */
	__u64 duration_ns;
	__u64 lost;
	__u64 missed;

	struct kind_sum sums[VMINSPECT_NR_EVENTS];
	struct ranking *processes;
	struct ranking *mappings;
	bool unranked;			/* there was no room for some of them */
	struct recent *recent;
	__u64 returned_pages;		/* that came back within a moment */
};

void summary_init(struct summary *summary, __u32 kinds, __u32 missing);
void summary_free(struct summary *summary);

/* @mapping: that the event's address is in; NULL if it is not known. */
void summary_add(struct summary *summary, const struct vminspect_event *event,
		 const struct mapping *mapping);

#endif
