/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of events: a reader that records, and processes that swap. Helpers return
 * values or -errno; the test judges.
 */
#ifndef SELFTESTS_RECORDER_H
#define SELFTESTS_RECORDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../uapi/vminspect.h"

#define CGROUP		"/sys/fs/cgroup/selftest-events"
#define CLUSTER		"/proc/sys/vm/page-cluster"
#define ZSWAP		"/sys/module/zswap/parameters/"

#define KIND(kind)	(1U << VMINSPECT_EVENT_##kind)
#define ALL_KINDS	VMINSPECT_EVENT_KINDS

/* Sources, as a mask */
#define ON_DEVICE	(1U << VMINSPECT_SOURCE_DEVICE | 1U << VMINSPECT_SOURCE_ZRAM)
#define ON_ZSWAP	(1U << VMINSPECT_SOURCE_ZSWAP)
#define KEPT_AS_ZERO	(1U << VMINSPECT_SOURCE_ZERO)

/* Reads in a thread of its own, until it is ended; memory of its own stays in. */
#define RECORDER_MAX	(1UL << 18)

struct recorder {
	int fd;
	pthread_t thread;
	struct vminspect_event *events;
	size_t nr, max;
	struct vminspect_events_state state;
};

struct counters {
	long in, out, zswap_in, zswap_out, zero_in;
};

struct doing;

struct storm {
	size_t nr;		/* pages of each process */
	bool shared;		/* a memfd instead of anonymous memory */
	size_t page;		/* SZ_2M: huge pages */
	bool zero;		/* filled with zeroes */
	/* What a process does and exits with, instead of filling, pushing out, touching. */
	int (*run)(const struct storm *storm, struct doing *doing, int go, int done);
};

/* What a process of a storm did. In memory that it shares with the test. */
struct doing {
	pid_t pid;
	char *map;
	long major;		/* faults while it touched its pages */
	ino_t inode;
};

struct swapper {
	struct doing *doing;
	pid_t pid;
	int go;			/* a byte, for each step */
	int done;		/* likewise */
};

struct vminspect_events request_all(uint32_t kinds);

/* A descriptor or -errno. */
int events_open(int device, struct vminspect_events *request);
int events_state(int fd, uint32_t flags, struct vminspect_events_state *state);

/* Reads in a thread of its own, ahead of all others. */
int recorder_start(struct recorder *recorder, int device,
		   struct vminspect_events *request);

/* Everything that it was meant to get is there after this. */
int recorder_end(struct recorder *recorder);
void recorder_free(struct recorder *recorder);
const struct vminspect_event *events_end(const struct recorder *recorder);

/* Pages of a kind; @sources: mask of 1 << VMINSPECT_SOURCE_*, 0: any */
uint64_t pages_of(const struct recorder *recorder, unsigned int kind, uint32_t sources);
struct counters counters_read(void);

/* The test and those that it starts from now on */
void cgroup_enter(void);
void cgroup_leave(void);

/* Pages that are out, and still in the swap cache, leave it. */
void drop_swap_cache(void);
/* No two pages are alike, and each can be compressed. */
void fill(char *map, size_t size);
void step(int go, int done);
char *storm_map(const struct storm *storm, struct doing *doing);

/* Return: 0 once it has filled its pages, or -errno */
int swapper_start(struct swapper *swapper, const struct storm *storm);
void swapper_go(const struct swapper *swapper);
int swapper_wait(const struct swapper *swapper);

/* The next step of all, at the same time: out, or in again. */
int swappers_step(const struct swapper *swappers, size_t nr);
int swapper_end(struct swapper *swapper);

/* All of it: out, out of the swap cache too, and in again. */
int swappers_storm(struct swapper *swappers, size_t nr);

/* A page of the map, or -1 */
long page_of(const struct doing *doing, const struct storm *storm, uint64_t va);

/* What the test itself has stays in: asking for a cgroup's memory asks for its own, too. */
int stay_in(void);

/* "disk": what the machine has; "zram", "zswap": ahead of it */
int place_set_up(const char *where);
void place_tear_down(const char *where);

#endif /* SELFTESTS_RECORDER_H */
