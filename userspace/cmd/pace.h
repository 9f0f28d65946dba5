/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many events a person can read: on a terminal, beyond that, a line a second says how many
 * there were.
 */
#ifndef PACE_H
#define PACE_H

#include <stdbool.h>

#include "vminspect.h"

struct pace {
	bool limited;		/* else every event is admitted */
	bool crowded;		/* this second and the one before it: lines instead of events */
	bool told;
	__u64 start_ns;
	__u64 second_ns;	/* when the second began */
	unsigned int nr;	/* events in it */
	__u64 pages[VMINSPECT_NR_EVENTS];
};

/* Whether an event is to be printed. */
bool pace_admits(struct pace *pace, const struct vminspect_event *event);
/* Between events: prints the line once a second is over. */
void pace_tick(struct pace *pace, __u64 now_ns);

#endif
