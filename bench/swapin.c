// SPDX-License-Identifier: GPL-2.0
/*
 * swapin METHOD PAGES [KINDS [log]]: pages that are out are touched, several times over: lines for
 * ./report of what one takes, and with KINDS, a mask, while events of these kinds are recorded;
 * then also of what it takes to read what was recorded of it, and of both together. With "log"
 * they are touched once, and QEMU logs it: see ./profile.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

static int open_events(unsigned int kinds)
{
	struct vminspect_events request = {
		.size = sizeof(request),
		.flags = VMINSPECT_EVENTS_NONBLOCK,
		.scope = VMINSPECT_SCOPE_ALL,
		.kinds = kinds,
		.record_size = sizeof(struct vminspect_event),
		.ring_records = 65536,
	};

	return ioctl(device_open(), VMINSPECT_IOC_EVENTS, &request);
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

/* How long one takes that went out before, on average. */
static uint64_t touch_all(char *map, size_t nr)
{
	uint64_t before;

	write_all(map, nr);
	before = now_ns();
	read_all(map, nr);
	return (now_ns() - before) / nr;
}

static void log_all(char *map, size_t nr)
{
	write_all(map, nr);
	log_instructions(true);
	read_all(map, nr);
	log_instructions(false);
}

/* What it takes to read all records that there are, for each page. */
static uint64_t fetch_all(int events, size_t pages)
{
	static struct vminspect_event records[1024];
	uint64_t before = now_ns();
	size_t nr = 0;
	ssize_t got;

	while ((got = read(events, records, sizeof(records))) > 0)
		nr += got / sizeof(*records);
	check(nr >= pages, "too little was recorded");
	return (now_ns() - before) / pages;
}

int main(int argc, char **argv)
{
	size_t nr = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	uint64_t touches[ROUNDS], reads[ROUNDS], both[ROUNDS];
	int events = -1, round;
	char *map;

	check(nr, "usage: swapin METHOD PAGES [KINDS [log]]");
	map = map_small(nr * SZ_4K);
	check(map, "no memory");
	if (argc > 3) {
		events = open_events(strtoul(argv[3], NULL, 0));
		check(events >= 0, "no events");
	}
	if (argc > 4) {
		log_all(map, nr);
		return 0;
	}
	for (round = 0; round < ROUNDS; round++) {
		touches[round] = touch_all(map, nr);
		if (events < 0)
			continue;
		reads[round] = fetch_all(events, nr);
		both[round] = touches[round] + reads[round];
	}
	print_figure("a page comes back from zram", argv[1], touches, 1);
	if (events >= 0) {
		print_figure("reading what was recorded of it", argv[1], reads, 1);
		print_figure("both", argv[1], both, 1);
	}
	return 0;
}
