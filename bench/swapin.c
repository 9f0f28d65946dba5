// SPDX-License-Identifier: GPL-2.0
/*
 * swapin METHOD PAGES [KINDS [wait|log]]: pages that are out are touched, several times over: lines
 * for ./report of what one takes, and with KINDS, a mask, while events of these kinds are recorded;
 * then also of what it takes to read what was recorded of it, and of both together. With "wait"
 * another process waits for records and reads them while they come, and a page has come back when
 * that has its record. With "log" they are touched once, and QEMU logs it: see ./profile.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

static int open_events(unsigned int kinds, unsigned int flags)
{
	struct vminspect_events request = {
		.size = sizeof(request),
		.flags = flags,
		.scope = VMINSPECT_SCOPE_ALL,
		.kinds = kinds,
		.record_size = sizeof(struct vminspect_event),
		.ring_records = 65536,
	};
	int events = ioctl(device_open(), VMINSPECT_IOC_EVENTS, &request);

	check(events >= 0, "no events");
	return events;
}

static void write_all(char *map, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		map[i * SZ_4K]++;
	check(!page_out(map, nr * SZ_4K), "pages do not go out");
}

static void read_all(const char *map, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		READ_ONCE(map[i * SZ_4K]);
}

/* How long those take that went out before. */
static uint64_t touch_all(char *map, size_t nr)
{
	uint64_t before;

	write_all(map, nr);
	before = now_ns();
	read_all(map, nr);
	return now_ns() - before;
}

static void log_all(char *map, size_t nr)
{
	write_all(map, nr);
	log_instructions(true);
	read_all(map, nr);
	log_instructions(false);
}

/* Reads once, and counts pages that came back. Returns what read() does. */
static ssize_t fetch(int events, uint64_t *pages)
{
	static struct vminspect_event records[1024];
	ssize_t got = read(events, records, sizeof(records));
	size_t i;

	for (i = 0; got > 0 && i < got / sizeof(records[0]); i++) {
		check(records[i].kind != VMINSPECT_EVENT_LOST, "records were lost");
		if (records[i].kind == VMINSPECT_EVENT_SWAP_IN)
			WRITE_ONCE(*pages, *pages + records[i].pages);
	}
	return got;
}

/* What it takes to read all records that there are. */
static uint64_t fetch_all(int events, size_t pages)
{
	uint64_t before = now_ns(), seen = 0;

	while (fetch(events, &seen) > 0)
		;
	check(seen >= pages, "too little was recorded");
	return now_ns() - before;
}

/* What touching them takes while somebody else waits for records of it, until he has them all. */
static uint64_t touch_for(const uint64_t *seen, char *map, size_t nr)
{
	uint64_t before, goal;

	write_all(map, nr);
	goal = READ_ONCE(*seen) + nr;
	before = now_ns();
	read_all(map, nr);
	while (READ_ONCE(*seen) < goal)
		sched_yield();
	return now_ns() - before;
}

static void measure_waiting(const char *method, unsigned int kinds, char *map, size_t nr)
{
	uint64_t *seen = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0);
	uint64_t touches[ROUNDS];
	int events = open_events(kinds, 0), round;
	pid_t reader;

	check(seen != MAP_FAILED, "no memory");
	reader = fork();
	if (!reader) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (fetch(events, seen) > 0)
			;
		exit(1);
	}
	for (round = 0; round < ROUNDS; round++)
		touches[round] = touch_for(seen, map, nr);
	process_end(reader);
	print_figure("a page comes back from zram", method, touches, nr);
}

static void measure(const char *method, unsigned int kinds, char *map, size_t nr)
{
	uint64_t touches[ROUNDS], reads[ROUNDS], both[ROUNDS];
	int events = kinds ? open_events(kinds, VMINSPECT_EVENTS_NONBLOCK) : -1, round;

	for (round = 0; round < ROUNDS; round++) {
		touches[round] = touch_all(map, nr);
		if (!kinds)
			continue;
		reads[round] = fetch_all(events, nr);
		both[round] = touches[round] + reads[round];
	}
	print_figure("a page comes back from zram", method, touches, nr);
	if (kinds) {
		print_figure("reading what was recorded of it", method, reads, nr);
		print_figure("both", method, both, nr);
	}
}

int main(int argc, char **argv)
{
	size_t nr = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	unsigned int kinds = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	const char *how = argc > 4 ? argv[4] : "";
	char *map;

	check(nr, "usage: swapin METHOD PAGES [KINDS [wait|log]]");
	map = map_small(nr * SZ_4K);
	check(map, "no memory");
	if (!strcmp(how, "log")) {
		open_events(kinds, VMINSPECT_EVENTS_NONBLOCK);
		log_all(map, nr);
	} else if (!strcmp(how, "wait")) {
		measure_waiting(argv[1], kinds, map, nr);
	} else {
		measure(argv[1], kinds, map, nr);
	}
	return 0;
}
