// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: every page that goes out to swap or comes back is told, once, to each reader
 * that wants it, with its right place, owner and actor; what a reader was too slow for is
 * counted exactly; and nothing is attached when nobody reads. The oracles are
 * /proc/vmstat, the major faults of getrusage(2), pagemap, and what the test itself did.
 *
 * machines: default cpu1 cpu4
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "common.h"
#include "recorder.h"

#define TIMEOUT		120

/* Times never go back, and nothing was lost or missed. */
static void expect_complete(struct __test_metadata *_metadata, const struct recorder *recorder)
{
	const struct vminspect_event *event;
	uint64_t last = 0;

	for (event = recorder->events; event < events_end(recorder); event++) {
		EXPECT_LE(last, event->time_ns);
		last = event->time_ns;
		EXPECT_NE(VMINSPECT_EVENT_LOST, event->kind);
		EXPECT_LE(1, event->pages);
	}
	EXPECT_EQ(0, recorder->state.lost);
	EXPECT_EQ(0, recorder->state.missed);
	EXPECT_EQ(recorder->state.records, recorder->nr);
}

static void expect_counters(struct __test_metadata *_metadata,
			    const struct recorder *recorder, const struct counters *before)
{
	struct counters after = counters_read();

	EXPECT_EQ(after.in - before->in, pages_of(recorder, VMINSPECT_EVENT_READ, ON_DEVICE));
	EXPECT_EQ(after.out - before->out,
		  pages_of(recorder, VMINSPECT_EVENT_WRITE, ON_DEVICE));
	EXPECT_EQ(after.zswap_in - before->zswap_in,
		  pages_of(recorder, VMINSPECT_EVENT_READ, ON_ZSWAP));
	EXPECT_EQ(after.zswap_out - before->zswap_out,
		  pages_of(recorder, VMINSPECT_EVENT_WRITE, ON_ZSWAP));
	/* What is kept of them since 6.12 is no page: nothing is written. */
	EXPECT_EQ(after.zero_in - before->zero_in,
		  pages_of(recorder, VMINSPECT_EVENT_READ, KEPT_AS_ZERO));
	EXPECT_EQ(0, pages_of(recorder, VMINSPECT_EVENT_READ,
			      ~(ON_DEVICE | ON_ZSWAP | KEPT_AS_ZERO)));
	EXPECT_EQ(0, pages_of(recorder, VMINSPECT_EVENT_WRITE, ~(ON_DEVICE | ON_ZSWAP)));
}

/*
 * Each page came back once, in the order in which they were touched, by the process
 * itself, and as many of them by major faults as the kernel counted.
 */
static void expect_in(struct __test_metadata *_metadata, const struct recorder *recorder,
		      const struct doing *doing, const struct storm *storm)
{
	const struct vminspect_event *event;
	size_t next = 0;
	long major = 0;

	for (event = recorder->events; event < events_end(recorder); event++) {
		if (event->kind != VMINSPECT_EVENT_SWAP_IN || event->pid != (uint32_t)doing->pid)
			continue;
		ASSERT_EQ((long)next, page_of(doing, storm, event->va));
		EXPECT_TRUE(event->flags & VMINSPECT_EVENT_VA);
		EXPECT_EQ(storm->shared, !!(event->flags & VMINSPECT_EVENT_SHMEM));
		EXPECT_EQ(storm->shared ? doing->inode : 0, event->inode);
		EXPECT_EQ(storm->shared ? next : 0, event->index);
		EXPECT_EQ(VMINSPECT_AS_FAULT, event->as);
		EXPECT_EQ((uint32_t)doing->pid, event->actor_pid);
		EXPECT_EQ((uint32_t)doing->pid, event->actor_tid);
		EXPECT_STREQ("events", event->comm);
		EXPECT_STREQ("events", event->actor_comm);
		EXPECT_NE(VMINSPECT_SOURCE_UNKNOWN, event->source);
		EXPECT_NE(VMINSPECT_UNKNOWN, event->latency_ns);
		EXPECT_LT(0, event->latency_ns);
		EXPECT_NE(0, event->cgroup);
		EXPECT_EQ(storm->shared, !event->ip);
		next += event->pages;
		major += !!(event->flags & VMINSPECT_EVENT_MAJOR);
	}
	EXPECT_EQ(storm->nr, next);
	EXPECT_EQ(doing->major, major);
}

/* Each page went out once, by MADV_PAGEOUT. */
static void expect_out(struct __test_metadata *_metadata, const struct recorder *recorder,
		       const struct doing *doing, const struct storm *storm)
{
	unsigned char *seen = calloc(storm->nr, 1);
	const struct vminspect_event *event;
	size_t i, nr = 0;

	for (event = recorder->events; event < events_end(recorder); event++) {
		long first = event->index;

		if (event->kind != VMINSPECT_EVENT_SWAP_OUT)
			continue;
		if (storm->shared ? event->inode != doing->inode :
				    event->pid != (uint32_t)doing->pid)
			continue;
		if (!storm->shared) {
			first = page_of(doing, storm, event->va);
			EXPECT_TRUE(event->flags & VMINSPECT_EVENT_VA);
			EXPECT_STREQ("events", event->comm);
		}
		ASSERT_LE(0, first);
		ASSERT_GE((long)storm->nr, first + event->pages);
		EXPECT_EQ(storm->shared, !!(event->flags & VMINSPECT_EVENT_SHMEM));
		EXPECT_EQ(VMINSPECT_AS_MADVISE, event->as);
		EXPECT_EQ((uint32_t)doing->pid, event->actor_pid);
		for (i = first; i < (size_t)first + event->pages; i++)
			EXPECT_EQ(0, seen[i]++);
		nr += event->pages;
	}
	EXPECT_EQ(storm->nr, nr);
	free(seen);
}

/* How long it took is known of all that moved, and a page came from where it was read. */
static void expect_sources(struct __test_metadata *_metadata,
			   const struct recorder *recorder, const struct storm *storm,
			   const char *where)
{
	bool zero = storm->zero && kernel_since(6, 12);
	const struct vminspect_event *event;
	unsigned int source;

	for (event = recorder->events; event < events_end(recorder); event++) {
		if (event->kind == VMINSPECT_EVENT_SWAP_OUT)
			continue;
		EXPECT_NE(VMINSPECT_UNKNOWN, event->latency_ns);
		EXPECT_LT(0, event->latency_ns);
		source = VMINSPECT_SOURCE_DEVICE;
		if (!strcmp(where, "zram") && event->swap_type)	/* 0 is the machine's own */
			source = VMINSPECT_SOURCE_ZRAM;
		if (event->kind == VMINSPECT_EVENT_SWAP_IN &&
		    !(event->flags & VMINSPECT_EVENT_MAJOR))
			source = VMINSPECT_SOURCE_CACHE;
		else if (zero)
			source = VMINSPECT_SOURCE_ZERO;
		else if (event->source == VMINSPECT_SOURCE_ZSWAP && !strcmp(where, "zswap"))
			source = VMINSPECT_SOURCE_ZSWAP;
		EXPECT_EQ(source, event->source);
	}
	if (zero || !strcmp(where, "zswap"))
		EXPECT_LT(0, pages_of(recorder, VMINSPECT_EVENT_SWAP_IN,
				      zero ? KEPT_AS_ZERO : ON_ZSWAP));
}

/*
 * Reads of what a process asked for name it and the address; what was read ahead names
 * whom it was remembered to belong to.
 */
static void expect_read_owners(struct __test_metadata *_metadata,
			       const struct recorder *recorder, const struct doing *doing,
			       const struct storm *storm)
{
	const struct vminspect_event *event;

	for (event = recorder->events; event < events_end(recorder); event++) {
		if (event->kind != VMINSPECT_EVENT_READ ||
		    event->actor_pid != (uint32_t)doing->pid ||
		    event->flags & VMINSPECT_EVENT_READAHEAD)
			continue;
		EXPECT_EQ((uint32_t)doing->pid, event->pid);
		EXPECT_LE(0, page_of(doing, storm, event->va));
	}
}

FIXTURE(events)
{
	int device;
	char cluster[16];
};

FIXTURE_SETUP(events)
{
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
	ASSERT_LT(0, read_file(CLUSTER, self->cluster, sizeof(self->cluster)));
	ASSERT_EQ(0, stay_in());
	cgroup_enter();
}

FIXTURE_TEARDOWN(events)
{
	write_file(CLUSTER, self->cluster);
	cgroup_leave();
	close(self->device);
}

/* ---- Exact counts, wherever pages go ---- */

FIXTURE(places)
{
	int device;
	char cluster[16];
	bool on;
};

FIXTURE_VARIANT(places)
{
	const char *where;
	const char *cluster;	/* read-ahead, as a power of two of pages */
};

FIXTURE_VARIANT_ADD(places, disk) { .where = "disk", .cluster = "0" };
FIXTURE_VARIANT_ADD(places, disk_ahead) { .where = "disk", .cluster = "3" };
FIXTURE_VARIANT_ADD(places, zram) { .where = "zram", .cluster = "0" };
FIXTURE_VARIANT_ADD(places, zram_ahead) { .where = "zram", .cluster = "3" };
FIXTURE_VARIANT_ADD(places, zswap) { .where = "zswap", .cluster = "0" };
FIXTURE_VARIANT_ADD(places, zswap_ahead) { .where = "zswap", .cluster = "3" };

/* Who brings pages back is who touches them: khugepaged takes none that are out. */
static struct knob places_knobs[] = {
	{ "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_swap", "0", "" },
};

FIXTURE_SETUP(places)
{
	self->device = device_open();
	ASSERT_LE(0, self->device);
	knobs_turn(places_knobs, ARRAY_LEN(places_knobs));
	ASSERT_LT(0, read_file(CLUSTER, self->cluster, sizeof(self->cluster)));
	ASSERT_EQ(0, write_file(CLUSTER, variant->cluster));
	ASSERT_EQ(0, stay_in());
	cgroup_enter();
	ASSERT_EQ(0, place_set_up(variant->where));
}

FIXTURE_TEARDOWN(places)
{
	place_tear_down(variant->where);
	write_file(CLUSTER, self->cluster);
	knobs_turn_back(places_knobs, ARRAY_LEN(places_knobs));
	cgroup_leave();
	close(self->device);
}

#define NR_SWAPPERS	4

static void storm_is_told(struct __test_metadata *_metadata, int device,
			  const struct storm *storm, const char *where, bool ahead)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct swapper swappers[NR_SWAPPERS];
	struct recorder recorder;
	struct counters before;
	int i;

	for (i = 0; i < NR_SWAPPERS; i++)
		ASSERT_EQ(0, swapper_start(&swappers[i], storm));
	ASSERT_EQ(0, recorder_start(&recorder, device, &request));
	EXPECT_EQ(0, request.missing);
	before = counters_read();
	EXPECT_EQ(0, swappers_storm(swappers, NR_SWAPPERS));
	usleep(200000);		/* what is being written */
	ASSERT_EQ(0, recorder_end(&recorder));

	expect_complete(_metadata, &recorder);
	if (!ahead)		/* else one waits for what another reads */
		expect_sources(_metadata, &recorder, storm, where);
	expect_counters(_metadata, &recorder, &before);
	for (i = 0; i < NR_SWAPPERS; i++) {
		expect_out(_metadata, &recorder, swappers[i].doing, storm);
		expect_in(_metadata, &recorder, swappers[i].doing, storm);
		expect_read_owners(_metadata, &recorder, swappers[i].doing, storm);
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	}
	recorder_free(&recorder);
}

TEST_F_TIMEOUT(places, storm_of_pages_is_told_exactly, TIMEOUT)
{
	static const struct storm storm = { .nr = 3000 };

	storm_is_told(_metadata, self->device, &storm, variant->where,
		      strcmp(variant->cluster, "0"));
}

TEST_F_TIMEOUT(places, storm_of_shared_memory_is_told_exactly, TIMEOUT)
{
	static const struct storm storm = { .nr = 1000, .shared = true };

	storm_is_told(_metadata, self->device, &storm, variant->where,
		      strcmp(variant->cluster, "0"));
}

TEST_F_TIMEOUT(places, storm_of_zeroes_is_told_exactly, TIMEOUT)
{
	static const struct storm storm = { .nr = 1000, .zero = true };

	storm_is_told(_metadata, self->device, &storm, variant->where,
		      strcmp(variant->cluster, "0"));
}

TEST_F_TIMEOUT(places, storm_of_huge_pages_is_told_exactly, TIMEOUT)
{
	static const struct storm storm = { .nr = 2048, .page = SZ_2M };

	storm_is_told(_metadata, self->device, &storm, variant->where,
		      strcmp(variant->cluster, "0"));
}

/* ---- Readers ---- */

static const struct storm small_storm = { .nr = 500 };

static bool is_of(const struct vminspect_event *event, const struct doing *doing)
{
	return event->pid == (uint32_t)doing->pid;
}

TEST_F_TIMEOUT(events, readers_get_theirs_and_nothing_else, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct vminspect_event *event;
	struct recorder all, target, tasks, outs, nobody;
	struct swapper swappers[2];
	size_t of_first = 0, of_second = 0, nr_outs = 0;
	int i, device;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, swapper_start(&swappers[i], &small_storm));
	ASSERT_EQ(0, recorder_start(&all, self->device, &request));
	request.kinds = KIND(SWAP_OUT);
	ASSERT_EQ(0, recorder_start(&outs, self->device, &request));
	request = request_all(ALL_KINDS);
	request.scope = VMINSPECT_SCOPE_TARGET;
	device = device_bound(swappers[0].pid);
	ASSERT_EQ(0, recorder_start(&target, device, &request));
	close(device);			/* a reader does not need it any more */
	ASSERT_EQ(0, recorder_start(&nobody, self->device, &request));	/* the test's own */
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = swappers[1].pid;
	ASSERT_EQ(0, recorder_start(&tasks, self->device, &request));

	EXPECT_EQ(0, swappers_storm(swappers, 2));
	ASSERT_EQ(0, recorder_end(&target));
	ASSERT_EQ(0, recorder_end(&tasks));
	ASSERT_EQ(0, recorder_end(&outs));
	ASSERT_EQ(0, recorder_end(&nobody));
	ASSERT_EQ(0, recorder_end(&all));
	expect_complete(_metadata, &all);
	expect_complete(_metadata, &outs);
	expect_complete(_metadata, &target);
	expect_complete(_metadata, &tasks);
	expect_out(_metadata, &target, swappers[0].doing, &small_storm);
	expect_in(_metadata, &target, swappers[0].doing, &small_storm);
	expect_out(_metadata, &tasks, swappers[1].doing, &small_storm);
	expect_in(_metadata, &tasks, swappers[1].doing, &small_storm);

	/* The same records, to the byte, and in the same order. */
	for (event = all.events; event < events_end(&all); event++) {
		if (is_of(event, swappers[0].doing)) {
			ASSERT_GT(target.nr, of_first);
			EXPECT_EQ(0, memcmp(event, &target.events[of_first++], sizeof(*event)));
		}
		if (is_of(event, swappers[1].doing)) {
			ASSERT_GT(tasks.nr, of_second);
			EXPECT_EQ(0, memcmp(event, &tasks.events[of_second++], sizeof(*event)));
		}
		if (event->kind == VMINSPECT_EVENT_SWAP_OUT) {
			ASSERT_GT(outs.nr, nr_outs);
			EXPECT_EQ(0, memcmp(event, &outs.events[nr_outs++], sizeof(*event)));
		}
	}
	EXPECT_EQ(of_first, target.nr);
	EXPECT_EQ(of_second, tasks.nr);
	EXPECT_EQ(nr_outs, outs.nr);
	EXPECT_EQ(0, nobody.nr);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	recorder_free(&all);
	recorder_free(&outs);
	recorder_free(&target);
	recorder_free(&tasks);
	recorder_free(&nobody);
}

TEST_F_TIMEOUT(events, reader_of_a_cgroup_gets_what_is_below_it, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct swapper inside, outside;
	const struct vminspect_event *event;
	struct recorder recorder;
	struct stat status;
	char pid[16];
	int below;

	ASSERT_EQ(0, swapper_start(&outside, &small_storm));
	snprintf(pid, sizeof(pid), "%d", outside.pid);
	ASSERT_EQ(0, write_file("/sys/fs/cgroup/cgroup.procs", pid));
	ASSERT_EQ(0, mkdir(CGROUP "/below", 0755));
	ASSERT_EQ(0, swapper_start(&inside, &small_storm));
	snprintf(pid, sizeof(pid), "%d", inside.pid);
	ASSERT_EQ(0, write_file(CGROUP "/below/cgroup.procs", pid));
	ASSERT_EQ(0, stat(CGROUP "/below", &status));

	below = open(CGROUP, O_RDONLY | O_DIRECTORY);
	request.scope = VMINSPECT_SCOPE_CGROUP;
	request.cgroup_fd = below;
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	close(below);
	EXPECT_EQ(0, swappers_step(&outside, 1));
	EXPECT_EQ(0, swappers_storm(&inside, 1));
	EXPECT_EQ(0, swappers_step(&outside, 1));
	ASSERT_EQ(0, recorder_end(&recorder));
	expect_complete(_metadata, &recorder);
	expect_out(_metadata, &recorder, inside.doing, &small_storm);
	expect_in(_metadata, &recorder, inside.doing, &small_storm);
	for (event = recorder.events; event < events_end(&recorder); event++) {
		EXPECT_NE((uint32_t)outside.pid, event->pid);
		EXPECT_EQ(event->pid ? status.st_ino : event->cgroup, event->cgroup);
	}
	EXPECT_EQ(0, swapper_end(&inside));
	EXPECT_EQ(0, swapper_end(&outside));
	EXPECT_EQ(0, rmdir(CGROUP "/below"));
	recorder_free(&recorder);
}

/* Run instead of the tests by the process that the next test starts: see storm_by_exec(). */
#define STORM_VARIABLE	"SELFTEST_EVENTS_STORM"

static void storm_alone(size_t nr, useconds_t pause)
{
	char *map = map_small(nr * SZ_4K);
	size_t i;

	fill(map, nr * SZ_4K);
	if (page_out(map, nr * SZ_4K))
		_exit(5);
	for (i = 0; i < nr; i++) {
		if (pause)
			usleep(pause);
		READ_ONCE(map[i * SZ_4K]);
	}
	_exit(0);
}

__attribute__((constructor)) static void storm_if_asked(void)
{
	const char *nr = getenv(STORM_VARIABLE);

	if (nr)
		storm_alone(atoi(nr), 0);
}

static void storm_by_exec(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		setenv(STORM_VARIABLE, "100", 1);
		execl("/proc/self/exe", "exe", NULL);
		_exit(6);
	}
	waitpid(child, &status, 0);
	_exit(WEXITSTATUS(status));
}

TEST_F_TIMEOUT(events, processes_are_followed_through_fork_and_exec, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	const struct vminspect_event *event;
	struct recorder recorder;
	size_t nr = 0;
	int go[2], status;
	char byte = 0;
	pid_t child;

	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (!child) {
		close(go[1]);
		if (read(go[0], &byte, 1) == 1)
			storm_by_exec();
		_exit(7);
	}
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = child;
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* One that is not its descendant. */
	child = fork();
	if (!child)
		storm_alone(100, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, recorder_end(&recorder));
	for (event = recorder.events; event < events_end(&recorder); event++) {
		EXPECT_STREQ("exe", event->comm);
		nr += event->pages;
	}
	EXPECT_EQ(100, nr);
	recorder_free(&recorder);
}

/* What a reader got, and what it was told that it lost. */
struct received {
	uint64_t records, lost, losses;
	bool ordered;
};

static struct received receive(int fd)
{
	struct received got = { .ordered = true };
	struct vminspect_event events[256];
	uint64_t last = 0;
	ssize_t size;
	size_t i;

	while ((size = read(fd, events, sizeof(events))) > 0) {
		for (i = 0; i < size / sizeof(*events); i++) {
			got.ordered &= last <= events[i].time_ns;
			last = events[i].time_ns;
			if (events[i].kind == VMINSPECT_EVENT_LOST) {
				got.lost += events[i].pages;
				got.losses++;
			} else {
				got.records++;
			}
		}
	}
	return got;
}

TEST_F_TIMEOUT(events, what_a_sleeping_reader_lost_is_counted_exactly, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN) | KIND(SWAP_OUT));
	struct vminspect_events_state state;
	struct received first, second;
	struct swapper swapper;
	int fd;

	ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = swapper.pid;
	request.ring_records = 64;
	request.flags = VMINSPECT_EVENTS_NONBLOCK;
	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	ASSERT_EQ(64, request.ring_records);
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	ASSERT_EQ(0, events_state(fd, 0, &state));
	EXPECT_EQ(small_storm.nr, state.records);
	first = receive(fd);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(small_storm.nr, first.records + first.lost);
	EXPECT_EQ(state.lost, first.lost);
	EXPECT_LE(small_storm.nr - 64 * request.nr_rings, first.lost);
	EXPECT_LE(1, first.losses);
	EXPECT_GE(request.nr_rings, first.losses);
	EXPECT_TRUE(first.ordered);

	/* And again: losses stand where they happened. */
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	ASSERT_EQ(0, events_state(fd, VMINSPECT_EVENTS_STOP, &state));
	EXPECT_EQ(2 * small_storm.nr, state.records);
	second = receive(fd);
	EXPECT_EQ(small_storm.nr, second.records + second.lost);
	EXPECT_EQ(state.lost, first.lost + second.lost);
	EXPECT_TRUE(second.ordered);
	EXPECT_EQ(0, receive(fd).records);
	close(fd);
	EXPECT_EQ(0, swapper_end(&swapper));
}

/* A reader that reads after a storm, and during one each time that it lost some more. */
TEST_F_TIMEOUT(events, losses_in_between_stand_between_what_was_not_lost, TIMEOUT)
{
	static const struct storm storm = { .nr = 4000 };
	struct vminspect_events request = request_all(KIND(SWAP_IN) | KIND(SWAP_OUT));
	struct vminspect_events_state state;
	struct received got, more;
	struct swapper swapper;
	char byte;
	int fd;

	ASSERT_EQ(0, swapper_start(&swapper, &storm));
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = swapper.pid;
	request.ring_records = 64;
	request.flags = VMINSPECT_EVENTS_NONBLOCK;
	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	got = receive(fd);
	fcntl(swapper.done, F_SETFL, O_NONBLOCK);
	swapper_go(&swapper);
	while (read(swapper.done, &byte, 1) != 1) {
		usleep(1000);
		ASSERT_EQ(0, events_state(fd, 0, &state));
		if (state.lost == got.lost)
			continue;
		more = receive(fd);
		got.records += more.records;
		got.lost += more.lost;
		got.losses += more.losses;
		EXPECT_TRUE(more.ordered);
	}
	ASSERT_EQ(0, events_state(fd, VMINSPECT_EVENTS_STOP, &state));
	more = receive(fd);
	EXPECT_EQ(2 * storm.nr, state.records);
	EXPECT_EQ(2 * storm.nr, got.records + got.lost + more.records + more.lost);
	EXPECT_EQ(state.lost, got.lost + more.lost);
	/* However slow the reader was, each of the storms filled a ring. */
	EXPECT_LE(2, got.losses + more.losses);
	EXPECT_LE(2 * 64, got.records + more.records);
	close(fd);
	EXPECT_EQ(0, swapper_end(&swapper));
}

TEST_F_TIMEOUT(events, descriptor_behaves_as_read_and_poll_have_it, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_OUT));
	struct vminspect_events_state state;
	struct vminspect_event events[600];
	struct pollfd wait = { .events = POLLIN };
	struct swapper swapper;
	ssize_t got;

	ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = swapper.pid;
	wait.fd = events_open(self->device, &request);
	ASSERT_LE(0, wait.fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(wait.fd, F_GETFD));
	EXPECT_EQ(0, fcntl(wait.fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, poll(&wait, 1, 0));
	fcntl(wait.fd, F_SETFL, O_NONBLOCK);
	EXPECT_EQ(-1, read(wait.fd, events, sizeof(events)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, read(wait.fd, events, sizeof(*events) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(wait.fd, events, sizeof(*events)));
	EXPECT_EQ(-1, ioctl(wait.fd, VMINSPECT_IOC_INFO, &state));
	EXPECT_EQ(ENOTTY, errno);

	EXPECT_EQ(0, swappers_step(&swapper, 1));
	EXPECT_EQ(1, poll(&wait, 1, 10000));
	EXPECT_EQ(POLLIN, wait.revents);
	/* What can't be copied is not given up. */
	EXPECT_EQ(-1, syscall(SYS_read, wait.fd, 8, sizeof(*events)));
	EXPECT_EQ(EFAULT, errno);
	/* Whole records, as many as fit. */
	EXPECT_EQ(2 * sizeof(*events), read(wait.fd, events, 3 * sizeof(*events) - 1));
	got = read(wait.fd, events + 2, sizeof(events) - 2 * sizeof(*events));
	EXPECT_EQ((small_storm.nr - 2) * sizeof(*events), got);
	EXPECT_EQ(-1, read(wait.fd, events, sizeof(events)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, poll(&wait, 1, 0));

	EXPECT_EQ(0, events_state(wait.fd, VMINSPECT_EVENTS_STOP, &state));
	EXPECT_EQ(0, read(wait.fd, events, sizeof(events)));
	EXPECT_EQ(1, poll(&wait, 1, 0));
	EXPECT_EQ(POLLIN | POLLHUP, wait.revents);
	EXPECT_EQ(0, events_state(wait.fd, VMINSPECT_EVENTS_STOP, &state));
	EXPECT_EQ(-EINVAL, events_state(wait.fd, ~VMINSPECT_EVENTS_STOP, &state));
	state.size = 31;
	EXPECT_EQ(-1, ioctl(wait.fd, VMINSPECT_IOC_EVENTS_STATE, &state));
	EXPECT_EQ(EINVAL, errno);
	close(wait.fd);
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	EXPECT_EQ(0, swapper_end(&swapper));
}

static void nothing(int signal)
{
	(void)signal;
}

TEST_F_TIMEOUT(events, read_waits_and_a_signal_ends_it, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_OUT));
	struct sigaction action = { .sa_handler = nothing };
	struct itimerval timer = { .it_value.tv_usec = 100000 };
	struct vminspect_event event;
	int fd;

	request.scope = VMINSPECT_SCOPE_TARGET;
	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	EXPECT_EQ(-1, read(fd, &event, sizeof(event)));
	EXPECT_EQ(EINTR, errno);
	close(fd);
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Not for each record: a millisecond has passed since the first, however fast or slow all is. */
TEST_F_TIMEOUT(events, read_that_waited_collects_what_follows, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	struct vminspect_event events[64];
	struct rusage usage_before, usage;
	int fd, status, waited = 0;
	pid_t child;

	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	child = fork();
	if (!child)
		storm_alone(200, 20000);
	while (waited < 10) {
		getrusage(RUSAGE_THREAD, &usage_before);
		ASSERT_LT(0, read(fd, events, sizeof(events)));
		getrusage(RUSAGE_THREAD, &usage);
		if (usage.ru_nvcsw == usage_before.ru_nvcsw)	/* it was there already */
			continue;
		EXPECT_LE(events[0].time_ns + 1000000, monotonic_ns());
		waited++;
	}
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

/* ---- Text ---- */

#define TEXT_EVENTS	"/sys/kernel/debug/vminspect/events"
#define TEXT_STATS	"/sys/kernel/debug/vminspect/stats"

/* The line of a record. Names here have nothing to be escaped. */
static void event_line(const struct vminspect_event *event, char *line, size_t size)
{
	static const char * const kinds[] = { "lost", "swap_in", "swap_out", "read", "write" };
	static const char * const as[] = { "other", "fault", "kswapd", "direct", "memcg",
					   "madvise", "khugepaged", "swapoff" };
	static const char * const sources[] = { "unknown", "device", "zram", "zswap", "zero",
						"cache" };
	static const char * const flags[] = { " major", " retried", " readahead", " shmem",
					      " failed" };
	FILE *out = fmemopen(line, size, "w");
	size_t i;

	fprintf(out, "%llu.%09llu %s pages=%u", event->time_ns / 1000000000,
		event->time_ns % 1000000000, kinds[event->kind], event->pages);
	if (event->pid)
		fprintf(out, " owner=%u:%s", event->pid, event->comm);
	if (event->flags & VMINSPECT_EVENT_VA)
		fprintf(out, " va=0x%llx", event->va);
	if (event->flags & VMINSPECT_EVENT_SHMEM)
		fprintf(out, " inode=%u:%u:%llu index=%llu", event->dev >> 20,
			event->dev & 0xfffff, event->inode, event->index);
	fprintf(out, " swap=%u:%llu source=%s", event->swap_type, event->offset,
		sources[event->source]);
	if (event->latency_ns != VMINSPECT_UNKNOWN)
		fprintf(out, " latency_ns=%llu", event->latency_ns);
	fprintf(out, " as=%s actor=%u:%s cgroup=%llu", as[event->as], event->actor_tid,
		event->actor_comm, event->cgroup);
	for (i = 0; i < ARRAY_LEN(flags); i++)
		if (event->flags & (1U << i))
			fputs(flags[i], out);
	fputc('\n', out);
	fclose(out);
}

/* In pieces of any size; until there is nothing more. */
static size_t read_text(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(fd, text + length, length % 700 + 1)) > 0 && length + 701 < size)
		length += got;
	text[length] = '\0';
	return length;
}

static long stat_of(const char *name, const char *what)
{
	char text[1024], *at;

	if (read_file(TEXT_STATS, text, sizeof(text)) <= 0)
		return -1;
	at = strstr(text, name);
	at = at && what ? strstr(at, what) : at;
	return at ? atol(at + strlen(what ? what : name)) : -1;
}

TEST_F_TIMEOUT(events, text_has_a_line_for_each_record, TIMEOUT)
{
	static const struct storm storms[2] = { { .nr = 300 }, { .nr = 100, .shared = true } };
	size_t room = 4 << 20, length = 0, i;
	char *text = malloc(room), line[512];
	struct vminspect_events request = request_all(ALL_KINDS);
	struct pollfd wait = { .events = POLLIN };
	const struct vminspect_event *event;
	struct swapper swappers[2];
	struct recorder recorder;
	long readers, outs, pages;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, swapper_start(&swappers[i], &storms[i]));
	readers = stat_of("readers ", NULL);
	outs = stat_of("swap_out ", NULL);
	pages = stat_of("swap_out ", "pages ");
	EXPECT_EQ(0, readers);
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	wait.fd = open(TEXT_EVENTS, O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, wait.fd);
	EXPECT_EQ(2, stat_of("readers ", NULL));
	EXPECT_EQ(0, poll(&wait, 1, 0));
	EXPECT_EQ(-1, read(wait.fd, line, sizeof(line)));
	EXPECT_EQ(EAGAIN, errno);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, swappers_storm(&swappers[i], 1));
	usleep(200000);		/* what is being written */
	EXPECT_EQ(1, poll(&wait, 1, 0));
	ASSERT_LT(0, read_text(wait.fd, text, room));
	ASSERT_EQ(0, recorder_end(&recorder));

	for (event = recorder.events; event < events_end(&recorder); event++) {
		event_line(event, line, sizeof(line));
		ASSERT_EQ(0, strncmp(text + length, line, strlen(line))) {
			TH_LOG("%s is not at %.200s", line, text + length);
		}
		length += strlen(line);
		outs += event->kind == VMINSPECT_EVENT_SWAP_OUT;
	}
	EXPECT_EQ(strlen(text), length);
	EXPECT_EQ(0, poll(&wait, 1, 0));
	pages += pages_of(&recorder, VMINSPECT_EVENT_SWAP_OUT, 0);
	EXPECT_EQ(outs, stat_of("swap_out ", NULL));
	EXPECT_EQ(pages, stat_of("swap_out ", "pages "));
	close(wait.fd);
	EXPECT_EQ(0, stat_of("readers ", NULL));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	recorder_free(&recorder);
	free(text);
}

/* Little by little, so that there is always some text left when the other one comes. */
static void *read_bits(void *arg)
{
	const int *fd = arg;
	size_t sum = 0;
	char text[16];
	ssize_t got;

	while ((got = read(*fd, text, sizeof(text))) > 0)
		sum += got;
	return (void *)sum;
}

TEST_F_TIMEOUT(events, text_is_complete_for_two_who_share_a_descriptor, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct sigaction action = { .sa_handler = nothing };
	const struct vminspect_event *event;
	struct swapper swapper;
	struct recorder recorder;
	size_t wanted = 0, length = 0;
	pthread_t threads[2];
	char line[512];
	void *sum;
	int fd, i;

	ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	fd = open(TEXT_EVENTS, O_RDONLY);
	ASSERT_LE(0, fd);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, read_bits, &fd));
	EXPECT_EQ(0, swappers_storm(&swapper, 1));
	usleep(200000);		/* what is being written, and read */
	ASSERT_EQ(0, recorder_end(&recorder));
	for (event = recorder.events; event < events_end(&recorder); event++) {
		event_line(event, line, sizeof(line));
		wanted += strlen(line);
	}
	/* They wait for more by now: a signal ends that. */
	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < 2; i++) {
		pthread_kill(threads[i], SIGUSR1);
		pthread_join(threads[i], &sum);
		length += (size_t)sum;
	}
	EXPECT_EQ(wanted, length);
	close(fd);
	EXPECT_EQ(0, swapper_end(&swapper));
	recorder_free(&recorder);
}

/* ---- Requests ---- */

static int refused(int device, const struct vminspect_events *request)
{
	struct vminspect_events copy = *request;
	int fd = events_open(device, &copy);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

TEST_F(events, requests_that_make_no_sense_are_refused)
{
	const struct vminspect_events good = request_all(ALL_KINDS);
	struct vminspect_events bad;
	int unbound = device_open(), directory = open("/tmp", O_RDONLY);

	EXPECT_EQ(0, refused(self->device, &good));
#define EXPECT_REFUSED(error, member, value)			\
	do {							\
		bad = good;					\
		bad.member = value;				\
		EXPECT_EQ(error, refused(self->device, &bad));	\
	} while (0)
	EXPECT_REFUSED(-EINVAL, flags, 2);
	EXPECT_REFUSED(-EINVAL, scope, VMINSPECT_NR_SCOPES);
	EXPECT_REFUSED(-EINVAL, kinds, 0);
	EXPECT_REFUSED(-EINVAL, kinds, 1U << VMINSPECT_EVENT_LOST);
	EXPECT_REFUSED(-EINVAL, kinds, 1U << VMINSPECT_NR_EVENTS);
	EXPECT_REFUSED(-EINVAL, record_size, 0);
	EXPECT_REFUSED(-EINVAL, record_size, sizeof(struct vminspect_event) + 8);
	EXPECT_REFUSED(-EINVAL, ring_records, 32);
	EXPECT_REFUSED(-EINVAL, ring_records, 65);
	EXPECT_REFUSED(-EINVAL, ring_records, 1U << 17);
	EXPECT_REFUSED(-EINVAL, pid, 1);
	EXPECT_REFUSED(-EINVAL, cgroup_fd, 1);
	EXPECT_REFUSED(-EINVAL, reserved[0], 1);
	EXPECT_REFUSED(-EINVAL, reserved[1], 1);
	EXPECT_REFUSED(-EINVAL, size, 47);
	EXPECT_REFUSED(0, ring_records, 64);
#undef EXPECT_REFUSED

	bad = good;
	bad.scope = VMINSPECT_SCOPE_TASKS;
	bad.pid = 4194303;
	EXPECT_EQ(-ESRCH, refused(self->device, &bad));
	bad.pid = 0;
	EXPECT_EQ(-ESRCH, refused(self->device, &bad));
	bad.pid = -1;
	EXPECT_EQ(-ESRCH, refused(self->device, &bad));
	bad = good;
	bad.scope = VMINSPECT_SCOPE_CGROUP;
	bad.cgroup_fd = -1;
	EXPECT_EQ(-EBADF, refused(self->device, &bad));
	bad.cgroup_fd = directory;
	EXPECT_EQ(-EBADF, refused(self->device, &bad));
	bad = good;
	bad.scope = VMINSPECT_SCOPE_TARGET;
	EXPECT_EQ(-ENXIO, refused(unbound, &bad));
	EXPECT_EQ(0, refused(self->device, &bad));
	close(unbound);
	close(directory);
}

TEST_F(events, readers_are_limited_in_number)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	int fds[65], i;

	request.ring_records = 64;
	for (i = 0; i < 64; i++) {
		fds[i] = events_open(self->device, &request);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EUSERS, events_open(self->device, &request));
	close(fds[10]);
	fds[10] = events_open(self->device, &request);
	EXPECT_LE(0, fds[10]);
	for (i = 0; i < 64; i++)
		close(fds[i]);
}

/* Else who may read events could have as much of the kernel's memory as there is. */
TEST_F(events, rings_are_charged_to_the_cgroup_of_who_asks)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	long before, with, after, rings;
	int first, fd;

	request.ring_records = 64;
	first = events_open(self->device, &request);	/* the tables, too, are there now */
	ASSERT_LE(0, first);
	before = read_number(CGROUP "/memory.current");
	request.ring_records = 65536;
	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	with = read_number(CGROUP "/memory.current");
	close(fd);
	after = read_number(CGROUP "/memory.current");
	close(first);
	rings = request.nr_rings * request.ring_records * sizeof(struct vminspect_event);
	EXPECT_LE(rings, with - before);
	EXPECT_LE(rings / 10 * 9, with - after);
}

static int drop_sys_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1U << CAP_SYS_ADMIN);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static int ask_without_capability(void *arg)
{
	const struct vminspect_events request = request_all(ALL_KINDS);
	int device;

	(void)arg;
	if (drop_sys_admin())
		return 1;
	device = device_open();
	if (device < 0)
		return 2;
	if (refused(device, &request) != -EPERM)
		return 3;
	return open("/sys/kernel/debug/vminspect/events", O_RDONLY) != -1 || errno != EPERM;
}

TEST_F(events, events_take_cap_sys_admin_of_the_opener)
{
	EXPECT_EQ(0, child_run(ask_without_capability, NULL));
}

/* ---- What comes back by other ways, or goes away ---- */

TEST_F_TIMEOUT(events, swapoff_is_told_as_what_brought_pages_back, TIMEOUT)
{
	static const struct storm storms[2] = { { .nr = 300 }, { .nr = 300, .shared = true } };
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct vminspect_event *event;
	struct swapper swappers[2];
	struct recorder recorder;
	struct counters before;
	size_t of[2] = {};
	int i;

	ASSERT_EQ(0, place_set_up("zram"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, swapper_start(&swappers[i], &storms[i]));
		ASSERT_EQ(0, swappers_step(&swappers[i], 1));
	}
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	before = counters_read();
	EXPECT_EQ(0, swapoff("/dev/zram0"));
	ASSERT_EQ(0, recorder_end(&recorder));
	expect_complete(_metadata, &recorder);
	expect_counters(_metadata, &recorder, &before);
	for (event = recorder.events; event < events_end(&recorder); event++) {
		if (event->kind != VMINSPECT_EVENT_SWAP_IN)
			continue;
		EXPECT_EQ(VMINSPECT_AS_SWAPOFF, event->as);
		EXPECT_EQ((uint32_t)getpid(), event->actor_pid);
		if (event->flags & VMINSPECT_EVENT_SHMEM) {
			EXPECT_EQ(swappers[1].doing->inode, event->inode);
			EXPECT_GT(storms[1].nr, event->index);
			of[1]++;
		} else {
			EXPECT_EQ((uint32_t)swappers[0].pid, event->pid);
			EXPECT_LE(0, page_of(swappers[0].doing, &storms[0], event->va));
			of[0]++;
		}
	}
	/* The first slots may be of the machine's own area: each processor has some in stock. */
	EXPECT_GE(storms[0].nr, of[0]);
	EXPECT_LE(storms[0].nr - 128, of[0]);
	EXPECT_GE(storms[1].nr, of[1]);
	EXPECT_LE(storms[1].nr - 128, of[1]);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, swappers_step(&swappers[i], 1));
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	}
	recorder_free(&recorder);
	write_file("/sys/block/zram0/reset", "1");
}

/* ---- Pages that go out for want of memory ---- */

#define NARROW		CGROUP "/narrow"
#define NARROW_PAGES	6000UL

/* In a cgroup that has room for a part of its pages: the others are out at any time. */
static int narrow_run(const struct storm *storm, struct doing *doing, int go, int done)
{
	struct rusage before, after;
	int round;
	size_t i;

	if (mlockall(MCL_CURRENT) || write_file(NARROW "/cgroup.procs", "0"))
		return 3;
	doing->map = storm_map(storm, doing);
	step(go, done);
	getrusage(RUSAGE_SELF, &before);
	for (round = 0; round < 3; round++)
		for (i = 0; i < storm->nr; i++)
			doing->map[i * SZ_4K] += 1 + round + i;
	getrusage(RUSAGE_SELF, &after);
	doing->major = after.ru_majflt - before.ru_majflt;
	step(go, done);
	return 0;
}

static const struct storm narrow = { .nr = NARROW_PAGES, .run = narrow_run };

/*
 * A page goes out and comes back in turns; after the last event it is where pagemap has it.
 */
static void expect_turns(struct __test_metadata *_metadata, const struct recorder *recorder,
			 const struct doing *doing)
{
	bool *out = calloc(NARROW_PAGES, sizeof(*out));
	int pagemap = pagemap_open(doing->pid);
	const struct vminspect_event *event;
	long page, major = 0;
	size_t i, wrong = 0;

	ASSERT_LE(0, pagemap);
	for (event = recorder->events; event < events_end(recorder); event++) {
		if (!is_of(event, doing) || (event->kind != VMINSPECT_EVENT_SWAP_OUT &&
					     event->kind != VMINSPECT_EVENT_SWAP_IN))
			continue;
		page = page_of(doing, &narrow, event->va);
		ASSERT_LE(0, page);
		ASSERT_GE(NARROW_PAGES, page + event->pages);
		for (i = page; i < (size_t)page + event->pages; i++) {
			wrong += out[i] == (event->kind == VMINSPECT_EVENT_SWAP_OUT);
			out[i] = event->kind == VMINSPECT_EVENT_SWAP_OUT;
		}
		major += event->kind == VMINSPECT_EVENT_SWAP_IN &&
			 event->flags & VMINSPECT_EVENT_MAJOR;
	}
	EXPECT_EQ(0, wrong);
	for (i = 0; i < NARROW_PAGES; i++)
		wrong += out[i] != !!(pagemap_entry(pagemap, doing->map + i * SZ_4K) & PM_SWAP);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(doing->major, major);
	close(pagemap);
	free(out);
}

TEST_F_TIMEOUT(events, pages_that_take_turns_are_told_turn_by_turn, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct vminspect_event *event;
	struct swapper swappers[2];
	struct recorder recorder;
	struct counters before;
	size_t by_other = 0, retried = 0;
	int i;

	ASSERT_EQ(0, write_file(CGROUP "/cgroup.procs", "0"));
	ASSERT_EQ(0, write_file("/sys/fs/cgroup/cgroup.procs", "0"));
	ASSERT_EQ(0, write_file(CGROUP "/cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(NARROW, 0755));
	ASSERT_EQ(0, write_file(NARROW "/memory.max", "24M"));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, swapper_start(&swappers[i], &narrow));
	request.ring_records = 65536;	/* all processors are busy */
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	before = counters_read();
	EXPECT_EQ(0, swappers_step(swappers, 2));
	ASSERT_EQ(0, recorder_end(&recorder));

	expect_complete(_metadata, &recorder);
	expect_counters(_metadata, &recorder, &before);
	EXPECT_LT(2 * NARROW_PAGES, pages_of(&recorder, VMINSPECT_EVENT_SWAP_OUT, 0));
	for (i = 0; i < 2; i++)
		expect_turns(_metadata, &recorder, swappers[i].doing);
	for (event = recorder.events; event < events_end(&recorder); event++) {
		retried += !!(event->flags & VMINSPECT_EVENT_RETRIED);
		if (event->kind != VMINSPECT_EVENT_SWAP_OUT)
			continue;
		EXPECT_EQ(VMINSPECT_AS_MEMCG, event->as);
		EXPECT_TRUE(event->actor_pid == (uint32_t)swappers[0].pid ||
			    event->actor_pid == (uint32_t)swappers[1].pid);
		by_other += event->actor_pid != event->pid;
	}
	EXPECT_LT(0, by_other);		/* one's pages, pushed out by the other */
	TH_LOG("%zu of %zu events: faults that were tried again", retried, recorder.nr);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	EXPECT_EQ(0, rmdir(NARROW));
	EXPECT_EQ(0, write_file(CGROUP "/cgroup.subtree_control", "-memory"));
	recorder_free(&recorder);
}

/*
 * Until the machine as a whole has been short of memory for a while. How much that takes can't be
 * read anywhere: MemAvailable leaves out what of caches may be dropped as well.
 */
static int take_memory(void *arg)
{
	const long enough = 16384;	/* pages out */
	size_t size = meminfo_kb("MemTotal") * 1024, i;
	char *map = map_small(size);
	long out = vmstat("pswpout");

	(void)arg;
	for (i = 0; map && i < size; i += SZ_4K) {
		map[i] += 1 + i / SZ_4K;
		if (i % SZ_2M == 0 && vmstat("pswpout") >= out + enough)
			return 0;
	}
	return 1;
}

TEST_F_TIMEOUT(events, who_pushes_pages_out_is_told, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct vminspect_event *event;
	size_t as[VMINSPECT_NR_AS] = {};
	struct recorder recorder;
	struct counters before;

	request.ring_records = 65536;
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	before = counters_read();
	EXPECT_EQ(0, child_run(take_memory, NULL));
	ASSERT_EQ(0, recorder_end(&recorder));
	expect_complete(_metadata, &recorder);
	expect_counters(_metadata, &recorder, &before);
	for (event = recorder.events; event < events_end(&recorder); event++) {
		if (event->kind != VMINSPECT_EVENT_SWAP_OUT)
			continue;
		as[event->as] += event->pages;
		EXPECT_EQ(event->as == VMINSPECT_AS_KSWAPD,
			  !strncmp(event->actor_comm, "kswapd", 6));
	}
	/* Nobody asked for it, and nobody's limit was reached. */
	EXPECT_LT(0, as[VMINSPECT_AS_KSWAPD]);
	EXPECT_EQ(0, as[VMINSPECT_AS_MADVISE]);
	EXPECT_EQ(0, as[VMINSPECT_AS_MEMCG]);
	EXPECT_EQ(0, as[VMINSPECT_AS_OTHER]);
	TH_LOG("by kswapd %zu, direct %zu", as[VMINSPECT_AS_KSWAPD], as[VMINSPECT_AS_DIRECT]);
	recorder_free(&recorder);
}

/* Who was killed in the middle, by whom it was mapped: no matter. */
TEST_F_TIMEOUT(events, target_may_be_killed_at_any_time, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct swapper swapper;
	struct recorder recorder;
	struct counters before;
	int i, status;

	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	before = counters_read();
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
		swapper_go(&swapper);
		if (i % 2)
			swapper_wait(&swapper);
		if (i % 4 == 3)
			swapper_go(&swapper);
		usleep(i * 500);
		kill(swapper.pid, SIGKILL);
		ASSERT_EQ(swapper.pid, waitpid(swapper.pid, &status, 0));
		close(swapper.go);
		close(swapper.done);
	}
	ASSERT_EQ(0, recorder_end(&recorder));
	expect_complete(_metadata, &recorder);
	expect_counters(_metadata, &recorder, &before);
	recorder_free(&recorder);
}

static int read_until_killed(void *arg)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct vminspect_event event;
	int fd = events_open(*(int *)arg, &request);

	while (read(fd, &event, sizeof(event)) > 0)
		;
	return 1;
}

TEST_F_TIMEOUT(events, reader_may_be_killed_at_any_time, TIMEOUT)
{
	struct swapper swapper;
	pid_t reader;
	int i, status;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
		reader = fork();
		if (!reader)
			_exit(read_until_killed(&self->device));
		usleep(i * 5000);
		swapper_go(&swapper);
		usleep(i * 500);
		kill(reader, SIGKILL);
		ASSERT_EQ(reader, waitpid(reader, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(0, swapper_wait(&swapper));
		EXPECT_EQ(0, swappers_step(&swapper, 1));
		EXPECT_EQ(0, swapper_end(&swapper));
	}
}

/* ---- Attached, and not ---- */

/* How many probes there are, of all. */
static int nr_attached(void)
{
	static const char * const lists[] = {
		"/sys/kernel/debug/kprobes/list", TRACING "enabled_functions",
	};
	static char text[1 << 16];
	int nr = 0, length;
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++)
		for (length = read_file(lists[i], text, sizeof(text)); length > 0; length--)
			nr += text[length - 1] == '\n';
	return nr;
}

TEST_F(events, nothing_is_attached_when_nobody_reads)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	int before = nr_attached(), one, two, some;

	one = events_open(self->device, &request);
	ASSERT_LE(0, one);
	some = nr_attached();
	EXPECT_LT(before, some);
	request.kinds = ALL_KINDS;
	two = events_open(self->device, &request);
	ASSERT_LE(0, two);
	EXPECT_LT(some, nr_attached());
	close(one);
	EXPECT_LT(before, nr_attached());
	close(two);
	EXPECT_EQ(before, nr_attached());
}

static int set_tracepoints(const char *name, bool on)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "events/vminspect/%s", name);
	return write_file(path, on ? "1" : "0");
}

/* Attaching on behalf of a tracepoint is done a moment later. */
static bool comes_to_be_attached(int before, bool attached)
{
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if ((nr_attached() > before) == attached)
			return true;
		usleep(10000);
	}
	return false;
}

static size_t count_lines(const char *path, const char *with)
{
	FILE *file = fopen(path, "r");
	size_t nr = 0, room = 0;
	char *line = NULL;

	while (file && getline(&line, &room, file) > 0)
		nr += !!strstr(line, with);
	free(line);
	if (file)
		fclose(file);
	return nr;
}

TEST_F_TIMEOUT(events, tracepoints_show_the_same, TIMEOUT)
{
	static const char * const names[VMINSPECT_NR_EVENTS] = {
		NULL, ": swap_in: ", ": swap_out: ", ": swap_read: ", ": swap_write: ",
	};
	struct vminspect_events request = request_all(ALL_KINDS);
	size_t nr[VMINSPECT_NR_EVENTS] = {};
	const struct vminspect_event *event;
	struct swapper swapper;
	struct recorder recorder;
	int before = nr_attached(), i;

	ASSERT_EQ(0, swapper_start(&swapper, &small_storm));
	ASSERT_EQ(0, write_file(TRACING "buffer_size_kb", "4096"));
	ASSERT_EQ(0, write_file(TRACING "trace", ""));
	ASSERT_EQ(0, set_tracepoints("enable", true));
	EXPECT_TRUE(comes_to_be_attached(before, true));
	ASSERT_EQ(0, recorder_start(&recorder, self->device, &request));
	EXPECT_EQ(0, swappers_storm(&swapper, 1));
	usleep(200000);		/* what is being written */
	ASSERT_EQ(0, recorder_end(&recorder));
	ASSERT_EQ(0, set_tracepoints("enable", false));
	for (event = recorder.events; event < events_end(&recorder); event++)
		nr[event->kind]++;
	for (i = VMINSPECT_EVENT_SWAP_IN; i < VMINSPECT_NR_EVENTS; i++) {
		EXPECT_LT(0, nr[i]);
		EXPECT_EQ(nr[i], count_lines(TRACING "trace", names[i]));
	}
	EXPECT_TRUE(comes_to_be_attached(before, false));
	write_file(TRACING "trace", "");
	write_file(TRACING "buffer_size_kb", "1408");
	EXPECT_EQ(0, swapper_end(&swapper));
	recorder_free(&recorder);
}

TEST_F_TIMEOUT(events, module_can_be_unloaded_when_no_descriptor_is_open, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	int before = nr_attached(), fd, i;

	fd = events_open(self->device, &request);
	ASSERT_LE(0, fd);
	close(self->device);
	EXPECT_EQ(-EAGAIN, module_unload());
	close(fd);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(before, nr_attached());
	ASSERT_EQ(0, module_load(""));

	/* Tracepoints that are enabled do not hold it. */
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, set_tracepoints(i % 2 ? "enable" : "swap_in/enable", true));
		if (i > 2)
			EXPECT_TRUE(comes_to_be_attached(before, true));
		ASSERT_EQ(0, module_unload());
		EXPECT_EQ(before, nr_attached());
		ASSERT_EQ(0, module_load(""));
	}
	EXPECT_EQ(before, nr_attached());
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
}

/* Tasks that sleep in a probed function when it is not probed any more, or is again. */
TEST_F_TIMEOUT(events, probes_come_and_go_while_pages_do, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct swapper swappers[2];
	int i, j, fd;

	request.ring_records = 64;
	for (i = 0; i < 5; i++) {
		for (j = 0; j < 2; j++) {
			ASSERT_EQ(0, swapper_start(&swappers[j], &small_storm));
			ASSERT_EQ(0, swappers_step(&swappers[j], 1));
		}
		drop_swap_cache();
		for (j = 0; j < 2; j++)
			swapper_go(&swappers[j]);
		for (j = 0; j < 3; j++) {
			fd = events_open(self->device, &request);
			ASSERT_LE(0, fd);
			usleep(j * 3000);
			close(fd);
		}
		for (j = 0; j < 2; j++) {
			EXPECT_EQ(0, swapper_wait(&swappers[j]));
			EXPECT_EQ(0, swapper_end(&swappers[j]));
		}
	}
}

/* ---- Kernels that do not let it be seen ---- */

TEST_F_TIMEOUT(events, kind_whose_probe_is_not_allowed_is_missing_by_name, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	struct vminspect_info info;
	int fd;

	close(self->device);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("avoid=swapper,__swap_writepage"));
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, device_info(self->device, &info));
	EXPECT_EQ(VMINSPECT_FEATURE_SWAP_IN | VMINSPECT_FEATURE_SWAP_OUT | VMINSPECT_FEATURE_READ,
		  info.features & (VMINSPECT_FEATURE_SWAP_IN | VMINSPECT_FEATURE_SWAP_OUT |
				   VMINSPECT_FEATURE_READ | VMINSPECT_FEATURE_WRITE));
	fd = events_open(self->device, &request);
	EXPECT_LE(0, fd);
	EXPECT_EQ(KIND(WRITE), request.missing);
	close(fd);
	request.kinds = KIND(WRITE);
	EXPECT_EQ(-EOPNOTSUPP, events_open(self->device, &request));
	close(self->device);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load(""));
	self->device = device_bound(getpid());
}

TEST_F(events, probes_that_are_switched_off_are_noticed)
{
	struct vminspect_events request = request_all(ALL_KINDS);

	/* 7.3 refuses to do so (ftrace_enable_sysctl() in kernel/trace/ftrace.c). */
	if (kernel_since(7, 0)) {
		EXPECT_EQ(-EOPNOTSUPP, write_file("/proc/sys/kernel/ftrace_enabled", "0"));
	} else {
		ASSERT_EQ(0, write_file("/proc/sys/kernel/ftrace_enabled", "0"));
		EXPECT_EQ(-EOPNOTSUPP, refused(self->device, &request));
		ASSERT_EQ(0, write_file("/proc/sys/kernel/ftrace_enabled", "1"));
	}
	EXPECT_EQ(0, refused(self->device, &request));
	ASSERT_EQ(0, write_file("/sys/kernel/debug/kprobes/enabled", "0"));
	EXPECT_EQ(-EOPNOTSUPP, refused(self->device, &request));
	ASSERT_EQ(0, write_file("/sys/kernel/debug/kprobes/enabled", "1"));
	EXPECT_EQ(0, refused(self->device, &request));
}

TEST_HARNESS_MAIN
