// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that went out a moment ago.
 */
#include <stdlib.h>

#include "error.h"
#include "recent.h"

/* Room for 65536 pages. Where one lies follows from the page, in one of a few places. */
#define NR_SETS		16384	/* a power of two */
#define SET_BITS	14
#define SET_SIZE	4

struct departure {
	__u64 owner;		/* pid; of shared memory its file */
	__u64 page;
	__u64 time_ns;		/* 0: none */
};

struct recent {
	bool overflowed;
	struct departure departures[NR_SETS][SET_SIZE];
};

struct recent *recent_new(void)
{
	struct recent *recent = calloc(1, sizeof(*recent));

	if (!recent)
		die_of_memory();
	return recent;
}

void recent_free(struct recent *recent)
{
	free(recent);
}

static struct departure *find_set(struct recent *recent, const struct departure *departure)
{
	__u64 hash = (departure->owner * 31 + departure->page) * 0x9e3779b97f4a7c15ULL;

	return recent->departures[hash >> (64 - SET_BITS)];
}

/* What names the first page of an event. Return: false if nothing does. */
static bool identify(const struct vminspect_event *event, struct departure *departure)
{
	departure->time_ns = event->time_ns;
	if (event->flags & VMINSPECT_EVENT_SHMEM) {
		departure->owner = (1ULL << 63) ^ ((__u64)event->dev << 32) ^ event->inode;
		departure->page = event->index;
		return true;
	}
	departure->owner = event->pid;
	departure->page = event->va >> 12;
	return event->pid && event->flags & VMINSPECT_EVENT_VA;
}

static bool same_page(const struct departure *a, const struct departure *b)
{
	return a->time_ns && a->owner == b->owner && a->page == b->page;
}

static bool is_recent(const struct departure *departure, __u64 time_ns)
{
	return departure->time_ns && time_ns <= departure->time_ns + RECENT_NS;
}

static void add_page(struct recent *recent, const struct departure *departure)
{
	struct departure *set = find_set(recent, departure), *oldest = set;

	for (size_t i = 0; i < SET_SIZE; i++) {
		if (same_page(&set[i], departure)) {
			oldest = &set[i];
			break;
		}
		if (set[i].time_ns < oldest->time_ns)
			oldest = &set[i];
	}
	if (!same_page(oldest, departure) && is_recent(oldest, departure->time_ns))
		recent->overflowed = true;
	*oldest = *departure;
}

static bool take_page(struct recent *recent, const struct departure *arrival)
{
	struct departure *set = find_set(recent, arrival);

	for (size_t i = 0; i < SET_SIZE; i++) {
		if (same_page(&set[i], arrival)) {
			bool taken = is_recent(&set[i], arrival->time_ns);

			set[i].time_ns = 0;
			return taken;
		}
	}
	return false;
}

void recent_add(struct recent *recent, const struct vminspect_event *event)
{
	struct departure departure;

	if (!identify(event, &departure))
		return;
	for (__u32 i = 0; i < event->pages; i++, departure.page++)
		add_page(recent, &departure);
}

__u32 recent_take(struct recent *recent, const struct vminspect_event *event)
{
	struct departure arrival;
	__u32 taken = 0;

	if (!identify(event, &arrival))
		return 0;
	for (__u32 i = 0; i < event->pages; i++, arrival.page++)
		taken += take_page(recent, &arrival);
	return taken;
}

bool recent_overflowed(const struct recent *recent)
{
	return recent->overflowed;
}
