// SPDX-License-Identifier: GPL-2.0
/*
 * latency map|swap: how long others have to wait because somebody looks.
 *
 *   map    mmap(), the first touch of a page and munmap() of a process with 16 GiB mapped,
 *          while another one reads all of that in a loop: by SCAN, from smaps, from pagemap, or
 *          not at all; or does the same to a third one, which tells what it is to have a busy
 *          neighbour in a machine like this
 *   swap   a page that comes back from swap, and one that goes out, while all events are read
 *
 * The kinds of reader take turns. Lines for ./report: of the medians of each round, of its 99th
 * percentiles and of its longest ones. Wants two processors: one for each side.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

#define ROUND_NS	2000000000ULL
#define MAPPED		(16 * SZ_1G)
#define FILE_SIZE	SZ_1G		/* mapped as often as it takes */
#define SMALL_MAP	(16 * SZ_4K)	/* what is mapped and unmapped */
#define SWAP_PAGES	4096
#define MAX_SAMPLES	(1 << 20)
#define MAX_OPS		3
#define MAX_READERS	5

/* What a target measures: how long each of its operations took, one after the other. */
struct samples {
	size_t nr;
	uint64_t ns[MAX_SAMPLES];
};

/* A target, in a process of its own, and what it tells of a round. */
struct target {
	const char *ops[MAX_OPS];
	void (*prepare)(void);
	void (*begin)(void);	/* in the target itself; may be NULL */
	void (*round)(struct samples *samples);
};

struct reader {
	const char *name;
	void (*read)(pid_t target);	/* for ever; NULL: nobody reads */
};

struct figures {
	uint64_t median[ROUNDS], p99[ROUNDS], longest[ROUNDS];
};

static char *memory;
static uint64_t *looked;	/* at so many pages, records, or parts of a file, by who reads */

static void add(struct samples *samples, uint64_t ns)
{
	if (samples->nr < MAX_SAMPLES)
		samples->ns[samples->nr++] = ns;
}

/*
 * The address space that is read, and what its owner does meanwhile
 */

/* The same memory again and again: its tables are what they would be for as much of its own. */
static void map_much(void)
{
	int fd = memfd(FILE_SIZE, 0);
	size_t i;

	memory = mmap(NULL, MAPPED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(fd >= 0 && memory != MAP_FAILED, "no 16 GiB");
	for (i = 0; i < MAPPED; i += FILE_SIZE) {
		check(mmap(memory + i, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   fd, 0) != MAP_FAILED, "no 16 GiB");
		check(!madvise(memory + i, FILE_SIZE, MADV_POPULATE_WRITE), "no memory");
	}
}

/* A child has no tables of what is shared until it touches it. */
static void touch_much(void)
{
	check(!madvise(memory, MAPPED, MADV_POPULATE_WRITE), "no memory");
}

static void map_and_unmap(struct samples *samples)
{
	uint64_t end = now_ns() + ROUND_NS, before, mapped, touched, unmapped;
	char *map;

	do {
		before = now_ns();
		map = mmap(NULL, SMALL_MAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
		mapped = now_ns();
		check(map != MAP_FAILED, "no memory");
		WRITE_ONCE(*map, 1);
		touched = now_ns();
		munmap(map, SMALL_MAP);
		unmapped = now_ns();
		add(&samples[0], mapped - before);
		add(&samples[1], touched - mapped);
		add(&samples[2], unmapped - touched);
	} while (unmapped < end);
}

static int pass_over(const struct vminspect_extent *extent, void *arg)
{
	(void)arg;
	*looked += (extent->end - extent->start) / SZ_4K;
	return 0;
}

static void scan_for_ever(pid_t target)
{
	int device = device_bound(target);

	check(device >= 0, "no /dev/vminspect");
	for (;;)
		check(!device_extents(device, (uintptr_t)memory, (uintptr_t)memory + MAPPED,
				      NULL, pass_over, NULL), "SCAN failed");
}

/* Of the process that the target is a child of, which has the same mapped: no lock is shared. */
static void scan_another_for_ever(pid_t target)
{
	(void)target;
	scan_for_ever(getppid());
}

static void read_for_ever(pid_t target, const char *what)
{
	static char buffer[1 << 20];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", target, what);
	for (;;) {
		fd = open(path, O_RDONLY);
		check(fd >= 0, "no /proc");
		while (read(fd, buffer, sizeof(buffer)) > 0)
			++*looked;
		close(fd);
	}
}

static void smaps_for_ever(pid_t target)
{
	read_for_ever(target, "smaps");
}

/* Only where the memory is: a reader who went through all of 47 bits would not come to it. */
static void pagemap_for_ever(pid_t target)
{
	static uint64_t entries[1 << 17];
	int fd = pagemap_open(target);
	size_t at;

	check(fd >= 0, "no pagemap");
	for (;;)
		for (at = 0; at < MAPPED / SZ_4K; at += ARRAY_LEN(entries)) {
			check(!pagemap_read(fd, (uintptr_t)memory + at * SZ_4K, entries,
					    ARRAY_LEN(entries)), "pagemap can't be read");
			*looked += ARRAY_LEN(entries);
		}
}

/*
 * Pages that go to swap and come back
 */
static void map_some(void)
{
	memory = map_small(SWAP_PAGES * SZ_4K);
	check(memory, "no memory");
}

static void swap_in_and_out(struct samples *samples)
{
	uint64_t end = now_ns() + ROUND_NS, before, after;
	size_t i;

	do {
		for (i = 0; i < SWAP_PAGES; i++)
			memory[i * SZ_4K]++;
		drain_new_pages();
		for (i = 0; i < SWAP_PAGES; i++) {
			before = now_ns();
			madvise(memory + i * SZ_4K, SZ_4K, MADV_PAGEOUT);
			add(&samples[1], now_ns() - before);
		}
		check(!page_out(memory, SWAP_PAGES * SZ_4K), "pages do not go out");
		for (i = 0; i < SWAP_PAGES; i++) {
			before = now_ns();
			READ_ONCE(memory[i * SZ_4K]);
			after = now_ns();
			add(&samples[0], after - before);
		}
	} while (after < end);
}

static void events_for_ever(pid_t target)
{
	static struct vminspect_event records[1024];
	struct vminspect_events request = {
		.size = sizeof(request),
		.scope = VMINSPECT_SCOPE_ALL,
		.kinds = VMINSPECT_EVENT_KINDS,
		.record_size = sizeof(struct vminspect_event),
		.ring_records = 65536,
	};
	int events = ioctl(device_open(), VMINSPECT_IOC_EVENTS, &request);
	ssize_t got;

	(void)target;
	check(events >= 0, "no events");
	while ((got = read(events, records, sizeof(records))) > 0)
		*looked += got / sizeof(*records);
	check(false, "events end");
}

/*
 * Rounds
 */
static pid_t start_reader(const struct reader *reader, pid_t target)
{
	pid_t pid;

	if (!reader->read)
		return 0;
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on(1, 1);
	reader->read(target);
	exit(1);
}

static void summarize(struct samples *samples, struct figures *figures, int round)
{
	check(samples->nr, "nothing was measured");
	figures->median[round] = median(samples->ns, samples->nr);
	figures->p99[round] = samples->ns[samples->nr - 1 - samples->nr / 100];
	figures->longest[round] = samples->ns[samples->nr - 1];
}

/* Lines for ./report of one operation, whoever reads meanwhile. */
static void print_operation(const char *op, const struct reader *readers, size_t nr,
			    struct figures *figures)
{
	char work[64];
	size_t i;

	snprintf(work, sizeof(work), "%s: median", op);
	for (i = 0; i < nr; i++)
		print_figure(work, readers[i].name, figures[i].median, 1);
	snprintf(work, sizeof(work), "%s: 99 %%", op);
	for (i = 0; i < nr; i++)
		print_figure(work, readers[i].name, figures[i].p99, 1);
	snprintf(work, sizeof(work), "%s: longest", op);
	for (i = 0; i < nr; i++)
		print_figure(work, readers[i].name, figures[i].longest, 1);
}

static void run_rounds(const struct target *target, const struct reader *readers, size_t nr)
{
	struct samples *samples = mmap(NULL, MAX_OPS * sizeof(*samples), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static struct figures figures[MAX_OPS][MAX_READERS];
	uint64_t before, all[MAX_READERS] = {};
	int go[2], done[2], round, op;
	pid_t measured, reading;
	size_t i;
	char byte = 0;

	looked = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(samples != MAP_FAILED && looked != MAP_FAILED && !pipe(go) && !pipe(done),
	      "no memory");
	memset(samples, 0, MAX_OPS * sizeof(*samples));	/* not while it is measured */
	target->prepare();
	measured = fork();
	if (!measured) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stay_on(0, 1);
		if (target->begin)
			target->begin();
		while (write(done[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1)
			target->round(samples);
		exit(1);
	}
	close(go[0]);
	close(done[1]);
	check(read(done[0], &byte, 1) == 1, "no target");
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < nr; i++) {
			for (op = 0; op < MAX_OPS; op++)
				samples[op].nr = 0;
			reading = start_reader(&readers[i], measured);
			usleep(500000);		/* until it reads */
			before = READ_ONCE(*looked);
			check(write(go[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1,
			      "the target has ended");
			if (reading) {
				check(!waitpid(reading, NULL, WNOHANG), "the reader has ended");
				check(READ_ONCE(*looked) > before, "the reader gets nowhere");
				all[i] += READ_ONCE(*looked) - before;
				process_end(reading);
			}
			for (op = 0; op < MAX_OPS && target->ops[op]; op++)
				summarize(&samples[op], &figures[op][i], round);
		}
	process_end(measured);

	for (i = 0; i < nr; i++)
		if (readers[i].read)
			printf("# looked_at_in_a_round, %s=%" PRIu64 "\n", readers[i].name,
			       all[i] / ROUNDS);
	for (op = 0; op < MAX_OPS && target->ops[op]; op++)
		print_operation(target->ops[op], readers, nr, figures[op]);
}

int main(int argc, char **argv)
{
	static const struct target maps = {
		.ops = { "mmap() of 64 KiB", "first touch of a page", "munmap()" },
		.prepare = map_much,
		.begin = touch_much,
		.round = map_and_unmap,
	}, swaps = {
		.ops = { "page comes back", "page goes out" },
		.prepare = map_some,
		.round = swap_in_and_out,
	};
	static const struct reader of_maps[] = {
		{ "nobody reads", NULL },
		{ "SCAN of another", scan_another_for_ever },
		{ "SCAN in a loop", scan_for_ever },
		{ "smaps in a loop", smaps_for_ever },
		{ "pagemap in a loop", pagemap_for_ever },
	}, of_swaps[] = {
		{ "nobody reads", NULL },
		{ "all events are read", events_for_ever },
	};

	if (argc == 2 && !strcmp(argv[1], "map"))
		run_rounds(&maps, of_maps, ARRAY_LEN(of_maps));
	else if (argc == 2 && !strcmp(argv[1], "swap"))
		run_rounds(&swaps, of_swaps, ARRAY_LEN(of_swaps));
	else
		check(false, "usage: latency map|swap");
	return 0;
}
