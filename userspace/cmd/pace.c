// SPDX-License-Identifier: GPL-2.0
/*
 * How many events a person can read.
 */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "pace.h"

/* In a second. */
#define READABLE	20
#define SECOND_NS	1000000000ULL

bool pace_admits(struct pace *pace, const struct vminspect_event *event)
{
	if (!pace->limited)
		return true;
	pace->nr++;
	if (event->kind < VMINSPECT_NR_EVENTS)
		pace->pages[event->kind] += event->pages;
	if (!pace->crowded && pace->nr > READABLE) {
		pace->crowded = true;
		if (!pace->told)
			note("more events than can be read: one line a second; --all prints all");
		pace->told = true;
	}
	return !pace->crowded;
}

static void print_line(const struct pace *pace, __u64 now_ns)
{
	printf("%11.6f", (now_ns - pace->start_ns) / 1e9);
	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (pace->pages[kind])
			printf(" %s %llu", vminspect_event_name(kind), pace->pages[kind]);
	}
	printf(" pages");
	if (pace->pages[VMINSPECT_EVENT_LOST])
		printf("; lost %llu records", pace->pages[VMINSPECT_EVENT_LOST]);
	putchar('\n');
}

void pace_tick(struct pace *pace, __u64 now_ns)
{
	if (now_ns - pace->second_ns < SECOND_NS)
		return;
	if (pace->crowded && pace->nr)
		print_line(pace, now_ns);
	pace->crowded = pace->crowded && pace->nr > READABLE;
	pace->second_ns = now_ns;
	pace->nr = 0;
	memset(pace->pages, 0, sizeof(pace->pages));
}
