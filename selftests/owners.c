// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: a record of swapping names whose page it was, who did it and where the page came
 * from, and does not name anybody where that is not known: when slots change hands, pages
 * are shared, processes die and pids are used again, calls are interrupted, devices fail.
 *
 * machines: default
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "common.h"
#include "recorder.h"

#define TIMEOUT		120
#define NR		400UL

static const struct storm storm = { .nr = NR };

/* What parent and children tell each other. */
struct board {
	__volatile__ int step;
	__volatile__ long value;
	pid_t pid;
	char *map;
};

static struct board *board_new(void)
{
	return mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/*
 * Who looks more often takes its own pages back again and again, and who asks for the cgroup's
 * memory meanwhile has to wait for as much to go out.
 */
static void board_wait(const struct board *board, int step)
{
	while (board->step < step)
		usleep(50000);
}

FIXTURE(owners)
{
	int device;
	char cluster[16];
	struct board *board;
	struct recorder recorder;
};

FIXTURE_SETUP(owners)
{
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
	ASSERT_LT(0, read_file(CLUSTER, self->cluster, sizeof(self->cluster)));
	self->board = board_new();
	ASSERT_NE(MAP_FAILED, self->board);
	ASSERT_EQ(0, stay_in());
	cgroup_enter();
}

FIXTURE_TEARDOWN(owners)
{
	write_file(CLUSTER, self->cluster);
	cgroup_leave();
	if (self->device >= 0)
		close(self->device);
}

static void record(struct __test_metadata *_metadata, struct _test_data_owners *self,
		   struct vminspect_events request)
{
	ASSERT_EQ(0, recorder_start(&self->recorder, self->device, &request));
}

static void record_end(struct __test_metadata *_metadata, struct _test_data_owners *self)
{
	usleep(200000);		/* what is being written */
	ASSERT_EQ(0, recorder_end(&self->recorder));
	EXPECT_EQ(0, self->recorder.state.lost);
	EXPECT_EQ(0, self->recorder.state.missed);
}

/* Pages of one kind, of one owner; 0: of nobody. */
static size_t pages_with(const struct recorder *recorder, unsigned int kind, pid_t pid)
{
	const struct vminspect_event *event;
	size_t nr = 0;

	for (event = recorder->events; event < events_end(recorder); event++)
		if (event->kind == kind && event->pid == (uint32_t)pid)
			nr += event->pages;
	return nr;
}

static bool is_in(const struct vminspect_event *event, const char *map)
{
	return event->flags & VMINSPECT_EVENT_VA &&
	       event->va - (uintptr_t)map < NR * SZ_4K;
}

/* The same of NR pages from @map on alone. */
static size_t pages_in(const struct recorder *recorder, unsigned int kind, pid_t pid,
		       const char *map)
{
	const struct vminspect_event *event;
	size_t nr = 0;

	for (event = recorder->events; event < events_end(recorder); event++)
		if (event->kind == kind && event->pid == (uint32_t)pid && is_in(event, map))
			nr += event->pages;
	return nr;
}

static size_t swapped(pid_t pid, const char *map, size_t nr)
{
	int pagemap = pagemap_open(pid);
	size_t i, out = 0;

	for (i = 0; i < nr; i++)
		out += !!(pagemap_entry(pagemap, map + i * SZ_4K) & PM_SWAP);
	close(pagemap);
	return out;
}

/* All pages of processes of the cgroup that are not locked go out. */
static bool push_out(pid_t pid, const char *map, size_t nr)
{
	int tries;

	for (tries = 0; tries < 100 && swapped(pid, map, nr) < nr; tries++) {
		write_file(CGROUP "/memory.reclaim", "64M");
		usleep(10000);
	}
	return swapped(pid, map, nr) == nr;
}

static void touch_pages(const char *map, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		READ_ONCE(map[i * SZ_4K]);
}

/* ---- Slots ---- */

/* Goes out, is read, goes out again as it is: with the same slots, and nothing is written. */
static int go_out_twice(void *arg)
{
	char *map = map_small(NR * SZ_4K);

	(void)arg;
	fill(map, NR * SZ_4K);
	if (page_out(map, NR * SZ_4K))
		return 1;
	touch_pages(map, NR);
	return page_out(map, NR * SZ_4K) ? 2 : 0;
}

TEST_F_TIMEOUT(owners, slot_that_changed_hands_is_the_new_owners, TIMEOUT)
{
	const struct vminspect_event *event;
	struct swapper swapper;
	int round;

	record(_metadata, self, request_all(ALL_KINDS));
	for (round = 0; round < 4; round++)
		EXPECT_EQ(0, child_run(go_out_twice, NULL));
	ASSERT_EQ(0, swapper_start(&swapper, &storm));
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	drop_swap_cache();
	record_end(_metadata, self);
	EXPECT_EQ(NR, pages_with(&self->recorder, VMINSPECT_EVENT_WRITE, swapper.pid));
	for (event = self->recorder.events; event < events_end(&self->recorder); event++)
		EXPECT_FALSE(event->kind == VMINSPECT_EVENT_WRITE && !event->pid)
			TH_LOG("slot %u:%llu, %u pages, as %u, by %u %.16s, flags 0x%x, inode %llu",
			       event->swap_type, (unsigned long long)event->offset, event->pages,
			       event->as, event->actor_pid, event->actor_comm, event->flags,
			       (unsigned long long)event->inode);
	EXPECT_EQ(0, swappers_step(&swapper, 1));
	EXPECT_EQ(0, swapper_end(&swapper));
	recorder_free(&self->recorder);
}

/* Both halves of a fork have the same pages. */
static void sharer(struct board *board)
{
	board_wait(board, 1);
	touch_pages(board->map, NR);
	board->step = 2;
	board_wait(board, 3);
}

static void sharers(struct board *board)
{
	pid_t child;

	board->map = map_small(NR * SZ_4K);
	fill(board->map, NR * SZ_4K);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sharer(board);
		_exit(0);
	}
	board->pid = child;
	board_wait(board, 3);
	waitpid(child, NULL, 0);
}

TEST_F_TIMEOUT(owners, page_that_two_have_goes_out_of_both_and_is_nobodys, TIMEOUT)
{
	pid_t parent, child;
	size_t of_parent;
	const char *map;

	record(_metadata, self, request_all(ALL_KINDS));
	parent = fork();
	if (!parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sharers(self->board);
		_exit(0);
	}
	while (!self->board->pid)
		usleep(1000);
	usleep(20000);
	ASSERT_TRUE(push_out(parent, self->board->map, NR));
	EXPECT_EQ(NR, swapped(self->board->pid, self->board->map, NR));
	drop_swap_cache();
	/* The child has them back; when they go out again, the parent's are out already. */
	self->board->step = 1;
	board_wait(self->board, 2);
	of_parent = swapped(parent, self->board->map, NR);
	ASSERT_TRUE(push_out(self->board->pid, self->board->map, NR));
	drop_swap_cache();
	record_end(_metadata, self);
	EXPECT_EQ(NR, of_parent);
	map = self->board->map;
	child = self->board->pid;
	EXPECT_EQ(NR, pages_in(&self->recorder, VMINSPECT_EVENT_SWAP_OUT, parent, map));
	EXPECT_EQ(2 * NR, pages_in(&self->recorder, VMINSPECT_EVENT_SWAP_OUT, child, map));
	EXPECT_EQ(NR, pages_in(&self->recorder, VMINSPECT_EVENT_SWAP_IN, child, map));
	EXPECT_EQ(0, pages_in(&self->recorder, VMINSPECT_EVENT_WRITE, parent, map));
	EXPECT_LE(NR, pages_with(&self->recorder, VMINSPECT_EVENT_WRITE, 0));
	self->board->step = 3;
	waitpid(parent, NULL, 0);
	recorder_free(&self->recorder);
}

/* A daemon: what it reads was its parent's, which is gone. */
static void daemon_run(struct board *board)
{
	char *map = map_small(NR * SZ_4K);

	fill(map, NR * SZ_4K);
	if (page_out(map, NR * SZ_4K))
		_exit(1);
	drop_swap_cache();
	if (fork())
		_exit(0);
	board->pid = getpid();
	board_wait(board, 1);
	touch_pages(map, NR);
	board->step = 2;
	_exit(0);
}

TEST_F_TIMEOUT(owners, dead_are_not_named, TIMEOUT)
{
	const struct vminspect_event *event;
	size_t named = 0, unnamed = 0;
	struct timespec now;
	uint64_t dead_ns;
	pid_t parent;

	ASSERT_EQ(0, write_file(CLUSTER, "3"));
	record(_metadata, self, request_all(KIND(READ)));
	parent = fork();
	if (!parent)
		daemon_run(self->board);
	waitpid(parent, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	dead_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	self->board->step = 1;
	board_wait(self->board, 2);
	record_end(_metadata, self);
	EXPECT_LT(0, pages_with(&self->recorder, VMINSPECT_EVENT_READ, self->board->pid));
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		EXPECT_EQ(!event->pid, !event->comm[0]);
		named += event->time_ns > dead_ns && event->pid == (uint32_t)parent;
		unnamed += event->time_ns > dead_ns && !event->pid;
	}
	EXPECT_EQ(0, named);
	EXPECT_LT(0, unnamed);
	recorder_free(&self->recorder);
}

/* ---- Merged pages ---- */

#define KSM	"/sys/kernel/mm/ksm/"

static void mergeable(struct board *board, int nr)
{
	char *map = map_small(NR * SZ_4K);
	size_t i;

	for (i = 0; i < NR * SZ_4K; i += sizeof(uint64_t))
		*(uint64_t *)(map + i) = i * 0x9e3779b97f4a7c15;
	madvise(map, NR * SZ_4K, MADV_MERGEABLE);
	board[nr].map = map;
	board[nr].pid = getpid();
	board_wait(&board[nr], 1);
	_exit(0);
}

TEST_F_TIMEOUT(owners, swapoff_brings_merged_pages_back_to_all, TIMEOUT)
{
	struct board *board = self->board;
	pid_t pids[2];
	int i, tries;
	size_t back;

	ASSERT_EQ(0, place_set_up("zram"));
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			mergeable(board, i);
		}
	}
	while (!board[0].pid || !board[1].pid)
		usleep(1000);
	write_file(KSM "sleep_millisecs", "10");
	write_file(KSM "pages_to_scan", "10000");
	ASSERT_EQ(0, write_file(KSM "run", "1"));
	for (tries = 0; tries < 500 && read_number(KSM "pages_sharing") < (long)NR; tries++)
		usleep(20000);
	EXPECT_LE(NR, read_number(KSM "pages_sharing"));
	write_file(KSM "run", "0");
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(push_out(pids[i], board[i].map, NR));

	record(_metadata, self, request_all(KIND(SWAP_IN)));
	ASSERT_EQ(0, swapoff("/dev/zram0"));
	record_end(_metadata, self);
	for (i = 0; i < 2; i++) {
		back = pages_in(&self->recorder, VMINSPECT_EVENT_SWAP_IN, pids[i], board[i].map);
		EXPECT_EQ(NR, swapped(pids[i], board[i].map, NR) + back);
		EXPECT_LT(NR / 2, back);
	}
	for (i = 0; i < 2; i++) {
		board[i].step = 1;
		waitpid(pids[i], NULL, 0);
	}
	place_tear_down("zram");
	recorder_free(&self->recorder);
}

/* ---- Files ---- */

static int read_shared(int fd)
{
	char page[SZ_4K];
	size_t i;

	for (i = 0; i < NR; i++)
		if (pread(fd, page, SZ_4K, i * SZ_4K) != (ssize_t)SZ_4K)
			return -errno;
	return 0;
}

TEST_F_TIMEOUT(owners, file_that_is_read_is_the_cgroups_that_pays_for_it, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	const struct vminspect_event *event;
	int fd = memfd(NR * SZ_4K, 0), directory;
	struct stat file, cgroup;
	pid_t child;
	char *map;

	ASSERT_EQ(0, fstat(fd, &file));
	ASSERT_EQ(0, stat(CGROUP, &cgroup));
	directory = open(CGROUP, O_RDONLY | O_DIRECTORY);
	request.scope = VMINSPECT_SCOPE_CGROUP;
	request.cgroup_fd = directory;
	record(_metadata, self, request);
	close(directory);
	child = fork();
	if (!child) {
		map = map_fd(fd, NR * SZ_4K, MAP_SHARED);
		fill(map, NR * SZ_4K);
		_exit(page_out_shared(map, NR * SZ_4K) ? 1 : 0);
	}
	waitpid(child, NULL, 0);
	drop_swap_cache();
	EXPECT_EQ(0, read_shared(fd));
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		EXPECT_EQ(cgroup.st_ino, event->cgroup);
		if (event->kind == VMINSPECT_EVENT_READ || event->kind == VMINSPECT_EVENT_WRITE)
			continue;
		EXPECT_TRUE(event->flags & VMINSPECT_EVENT_SHMEM);
		EXPECT_EQ(file.st_ino, event->inode);
		EXPECT_EQ(file.st_dev, makedev(event->dev >> 20, event->dev & 0xfffff));
		EXPECT_EQ(0, event->pid);
		if (event->kind == VMINSPECT_EVENT_SWAP_IN) {
			EXPECT_NE(VMINSPECT_SOURCE_UNKNOWN, event->source);
			EXPECT_EQ(VMINSPECT_AS_OTHER, event->as);
		}
	}
	EXPECT_EQ(NR, pages_of(&self->recorder, VMINSPECT_EVENT_SWAP_IN, 0));
	EXPECT_LE(NR, pages_of(&self->recorder, VMINSPECT_EVENT_SWAP_OUT, 0));
	close(fd);
	recorder_free(&self->recorder);
}

/* ---- Tasks ---- */

static void *touch_in_thread(void *arg)
{
	struct board *board = arg;

	board->value = syscall(SYS_gettid);
	touch_pages(board->map, NR);
	return NULL;
}

static int touch_in_two_threads(void *arg)
{
	struct board *board = arg;
	pthread_t thread;

	board->pid = getpid();
	board->map = map_small(2 * NR * SZ_4K);
	fill(board->map, 2 * NR * SZ_4K);
	if (page_out(board->map, 2 * NR * SZ_4K))
		return 1;
	if (pthread_create(&thread, NULL, touch_in_thread, board))
		return 2;
	touch_pages(board->map + NR * SZ_4K, NR);
	return pthread_join(thread, NULL);
}

TEST_F_TIMEOUT(owners, thread_that_faults_is_told_by_its_own_number, TIMEOUT)
{
	const struct vminspect_event *event;
	size_t of_thread = 0;

	record(_metadata, self, request_all(KIND(SWAP_IN)));
	EXPECT_EQ(0, child_run(touch_in_two_threads, self->board));
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		bool first = event->va >= (uintptr_t)self->board->map + NR * SZ_4K;

		if (event->pid != (uint32_t)self->board->pid)
			continue;
		EXPECT_EQ(first ? self->board->pid : self->board->value, event->actor_tid);
		EXPECT_EQ((uint32_t)self->board->pid, event->actor_pid);
		of_thread += !first;
	}
	EXPECT_EQ(NR, of_thread);
	recorder_free(&self->recorder);
}

static int ask_for_pages(void *arg)
{
	struct board *board = arg;

	board->pid = getpid();
	board->map = map_small(NR * SZ_4K);
	fill(board->map, NR * SZ_4K);
	if (page_out(board->map, NR * SZ_4K))
		return 1;
	drop_swap_cache();
	return madvise(board->map, NR * SZ_4K, MADV_WILLNEED) ? 2 : 0;
}

TEST_F_TIMEOUT(owners, what_is_read_by_advice_is_told_so, TIMEOUT)
{
	const struct vminspect_event *event;
	size_t by_advice = 0;

	record(_metadata, self, request_all(KIND(READ)));
	EXPECT_EQ(0, child_run(ask_for_pages, self->board));
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		if (event->pid != (uint32_t)self->board->pid || !is_in(event, self->board->map))
			continue;
		/* A fault elsewhere may read some ahead. */
		EXPECT_TRUE(event->flags & VMINSPECT_EVENT_READAHEAD);
		by_advice += event->as == VMINSPECT_AS_MADVISE;
	}
	EXPECT_LE(NR / 2, by_advice);
	recorder_free(&self->recorder);
}

static void nothing(int signal)
{
	(void)signal;
}

static void touch_under_signals(struct board *board)
{
	struct rusage before, after;
	char *map = map_small(10 * NR * SZ_4K);

	signal(SIGUSR1, nothing);
	if (mlockall(MCL_CURRENT))
		_exit(1);
	madvise(map, 10 * NR * SZ_4K, MADV_NOHUGEPAGE);
	munlock(map, 10 * NR * SZ_4K);
	fill(map, 10 * NR * SZ_4K);
	if (page_out(map, 10 * NR * SZ_4K))
		_exit(2);
	drop_swap_cache();
	board->pid = getpid();
	board->step = 1;
	board_wait(board, 2);
	getrusage(RUSAGE_SELF, &before);
	touch_pages(map, 10 * NR);
	getrusage(RUSAGE_SELF, &after);
	board->value = after.ru_majflt - before.ru_majflt;
	board->step = 3;
	_exit(0);
}

static sigjmp_buf given_up;
static __volatile__ sig_atomic_t touching;

static void give_up(int signal)
{
	(void)signal;
	if (touching)
		siglongjmp(given_up, 1);
}

static void touch_or_give_up(const char *page)
{
	if (!sigsetjmp(given_up, 1)) {
		touching = 1;
		READ_ONCE(*page);
	}
	touching = 0;
}

/* Return: the page whose fault was given up for a signal before anything was mapped, or NULL */
static char *touch_until_given_up(char *map, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		touch_or_give_up(map + i * SZ_4K);
		if (swapped(getpid(), map + i * SZ_4K, 1))
			return map + i * SZ_4K;
	}
	return NULL;
}

static uint64_t own_entry(const char *page)
{
	int pagemap = pagemap_open(getpid());
	uint64_t entry = pagemap_entry(pagemap, page);

	close(pagemap);
	return entry;
}

static void give_up_and_ask(struct board *board)
{
	char *map = map_small(10 * NR * SZ_4K), *page;

	signal(SIGUSR1, give_up);
	if (mlockall(MCL_CURRENT))
		_exit(4);
	munlock(map, 10 * NR * SZ_4K);
	fill(map, 10 * NR * SZ_4K);
	if (page_out(map, 10 * NR * SZ_4K))
		_exit(1);
	drop_swap_cache();
	board->step = 1;
	page = touch_until_given_up(map, 10 * NR);
	signal(SIGUSR1, SIG_IGN);
	if (page)
		board->value = own_entry(page);
	board->step = 2;
	if (!page)
		_exit(2);
	board_wait(board, 3);
	drain_new_pages();
	drop_swap_cache();
	if (madvise(page, SZ_4K, MADV_WILLNEED))
		_exit(3);
	_exit(0);
}

/* Nor is it taken for one that is still under way by who begins to record what is read. */
TEST_F_TIMEOUT(owners, fault_that_was_given_up_is_over, TIMEOUT)
{
	struct vminspect_events ins = request_all(KIND(SWAP_IN));
	const struct vminspect_event *event;
	int other, status, reads = 0;
	pid_t child;

	ASSERT_EQ(0, write_file(CLUSTER, "3"));	/* or else faults wait where no signal ends it */
	other = events_open(self->device, &ins);
	ASSERT_LE(0, other);
	child = fork();
	if (!child)
		give_up_and_ask(self->board);
	board_wait(self->board, 1);
	while (self->board->step == 1) {
		kill(child, SIGUSR1);
		usleep(20);
	}
	ASSERT_TRUE(self->board->value & PM_SWAP);
	record(_metadata, self, request_all(KIND(READ)));
	self->board->step = 3;
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		if (event->swap_type != PM_SWAP_TYPE(self->board->value) ||
		    event->offset != PM_SWAP_OFFSET(self->board->value))
			continue;
		EXPECT_EQ(child, event->actor_pid);
		EXPECT_EQ(VMINSPECT_AS_MADVISE, event->as);
		EXPECT_TRUE(event->flags & VMINSPECT_EVENT_READAHEAD);
		reads++;
	}
	EXPECT_EQ(1, reads);
	recorder_free(&self->recorder);
	close(other);
}

#define LARGE		(2 * SZ_2M)
#define LARGE_PAGES	(LARGE / SZ_4K)

static struct knob large_knobs[] = {
	{ "/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise", "" },
};

/* Huge pages of shared memory, if the kernel has any of them left, go out. */
static char *large_map_try(void)
{
	char *map = map_aligned(LARGE, SZ_2M);
	struct mapping mapping;

	/* What may be read is locked, and filled with small pages, as soon as it is mapped. */
	if (!map || mmap(map, LARGE, PROT_NONE, MAP_SHARED | MAP_FIXED, memfd(LARGE, 0), 0) != map)
		return NULL;
	munlock(map, LARGE);
	madvise(map, LARGE, MADV_HUGEPAGE);
	if (mprotect(map, LARGE, PROT_READ | PROT_WRITE))
		return NULL;
	fill(map, LARGE);
	if (mapping_at(getpid(), map, &mapping) || mapping.shmem_huge < LARGE ||
	    page_out_shared(map, LARGE)) {
		munmap(map, LARGE);
		return NULL;
	}
	return map;
}

static char *large_map(void)
{
	char *map = NULL;
	int i;

	for (i = 0; !map && i < 10; i++) {
		write_file("/proc/sys/vm/compact_memory", "1");
		map = large_map_try();
	}
	return map;
}

/*
 * A page of what went out as a whole, which is one entry of the page cache since 6.12, comes back
 * from its own slot, alone or together with others.
 */
TEST_F_TIMEOUT(owners, large_page_of_shared_memory_has_a_slot_for_each_page, TIMEOUT)
{
	static const size_t touched[] = { 3, 100, 511, 512 + 5 };
	static struct vminspect_entry slots[LARGE_PAGES];
	static uint64_t addresses[LARGE_PAGES];
	size_t i, ins[ARRAY_LEN(touched)] = {}, reads[ARRAY_LEN(touched)] = {};
	const struct vminspect_event *event;
	char *map;

	ASSERT_EQ(0, write_file(CLUSTER, "0"));
	ASSERT_EQ(0, place_set_up("zram"));
	knobs_turn(large_knobs, ARRAY_LEN(large_knobs));
	map = large_map();
	knobs_turn_back(large_knobs, ARRAY_LEN(large_knobs));
	ASSERT_NE(NULL, map);
	drain_new_pages();
	drop_swap_cache();
	for (i = 0; i < LARGE_PAGES; i++)
		addresses[i] = (uintptr_t)map + i * SZ_4K;
	ASSERT_EQ(LARGE_PAGES, device_translate(self->device, addresses, slots, LARGE_PAGES,
						RETURN_ALL));
	if (kernel_since(6, 12))
		for (i = 1; i < SZ_2M / SZ_4K; i++)	/* else the test is of small pages alone */
			ASSERT_EQ(slots[i - 1].frame + 1, slots[i].frame);
	record(_metadata, self, request_all(KIND(SWAP_IN) | KIND(READ)));
	for (i = 0; i < ARRAY_LEN(touched); i++)
		READ_ONCE(map[touched[i] * SZ_4K]);
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++) {
		for (i = 0; i < ARRAY_LEN(touched); i++) {
			const struct vminspect_entry *slot = &slots[touched[i]];

			ASSERT_EQ(VMINSPECT_STATE_SWAPPED, slot->state);
			if (event->pid != (uint32_t)getpid() ||
			    slot->swap_type != event->swap_type ||
			    slot->frame - event->offset >= event->pages)
				continue;
			if (event->kind == VMINSPECT_EVENT_READ) {
				EXPECT_FALSE(event->flags & VMINSPECT_EVENT_READAHEAD);
				EXPECT_EQ(addresses[touched[i] - (slot->frame - event->offset)],
					  event->va);
				reads[i]++;
				continue;
			}
			EXPECT_TRUE(event->flags & VMINSPECT_EVENT_SHMEM);
			EXPECT_EQ(slot->frame - event->offset, touched[i] - event->index);
			EXPECT_EQ((uintptr_t)map + event->index * SZ_4K, event->va);
			/* Some slots in stock on a processor are of the disk. */
			EXPECT_TRUE(ON_DEVICE & 1U << event->source);
			ins[i]++;
		}
	}
	for (i = 0; i < ARRAY_LEN(touched); i++) {
		EXPECT_LE(1, ins[i]);
		EXPECT_LE(1, reads[i]);
	}
	munmap(map, LARGE);
	place_tear_down("zram");
	recorder_free(&self->recorder);
}

/* A fault that was given up for a signal and comes again is another one. */
TEST_F_TIMEOUT(owners, faults_between_signals_are_major_as_the_kernel_counts, TIMEOUT)
{
	const struct vminspect_event *event;
	long major = 0;
	pid_t child;

	ASSERT_EQ(0, write_file(CLUSTER, "3"));
	record(_metadata, self, request_all(KIND(SWAP_IN)));
	child = fork();
	if (!child)
		touch_under_signals(self->board);
	board_wait(self->board, 1);
	self->board->step = 2;
	while (self->board->step == 2) {
		kill(child, SIGUSR1);
		usleep(20);
	}
	waitpid(child, NULL, 0);
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++)
		major += event->pid == (uint32_t)child && event->flags & VMINSPECT_EVENT_MAJOR;
	EXPECT_EQ(10 * NR, pages_with(&self->recorder, VMINSPECT_EVENT_SWAP_IN, child));
	EXPECT_EQ(self->board->value, major);
	recorder_free(&self->recorder);
}

static int go_out_and_in(void *arg)
{
	char *map = map_small(100 * SZ_4K);

	(void)arg;
	fill(map, 100 * SZ_4K);
	if (page_out(map, 100 * SZ_4K))
		return 1;
	touch_pages(map, 100);
	return 0;
}

/* The same number, but no descendant: the one who had it is gone. */
TEST_F_TIMEOUT(owners, pid_that_is_used_again_is_another_process, TIMEOUT)
{
	struct vminspect_events request = request_all(KIND(SWAP_IN));
	pid_t root, again = 0;
	char text[16];
	int tries;

	root = fork();
	if (!root) {
		board_wait(self->board, 1);
		self->board->pid = fork();
		if (!self->board->pid)
			_exit(go_out_and_in(NULL));
		waitpid(self->board->pid, NULL, 0);
		self->board->step = 2;
		pause();
	}
	request.scope = VMINSPECT_SCOPE_TASKS;
	request.pid = root;
	record(_metadata, self, request);
	self->board->step = 1;
	board_wait(self->board, 2);
	for (tries = 0; tries < 100 && again != self->board->pid; tries++) {
		snprintf(text, sizeof(text), "%d", self->board->pid - 1);
		ASSERT_EQ(0, write_file("/proc/sys/kernel/ns_last_pid", text));
		again = fork();
		if (!again)
			_exit(getpid() == self->board->pid ? go_out_and_in(NULL) : 0);
		waitpid(again, NULL, 0);
	}
	record_end(_metadata, self);
	ASSERT_EQ(self->board->pid, again);
	EXPECT_EQ(100, pages_of(&self->recorder, VMINSPECT_EVENT_SWAP_IN, 0));
	process_end(root);
	recorder_free(&self->recorder);
}

/* ---- Devices ---- */

static bool make_disks(int nr)
{
	char command[256];

	snprintf(command, sizeof(command), "rmmod null_blk 2>/dev/null; modprobe null_blk"
		 " nr_devices=%d memory_backed=1 gb=1 irqmode=2 completion_nsec=500000 queue_mode=2"
		 " && for disk in /dev/nullb*; do mkswap -q $disk 2>/dev/null ||"
		 " mkswap $disk >/dev/null || exit; done", nr);
	return !system(command);
}

#define NR_DISKS	18

/* Areas whose numbers differ in the uppermost bit alone. */
TEST_F_TIMEOUT(owners, many_areas_do_not_take_each_others_records, TIMEOUT)
{
	struct swapper swappers[2];
	static const struct storm large = { .nr = 3000 };
	struct counters before, after;
	char path[32];
	int i, nr = 0;

	ASSERT_TRUE(make_disks(NR_DISKS));
	for (i = 0; i < NR_DISKS; i++) {
		snprintf(path, sizeof(path), "/dev/nullb%d", i);
		nr += !swapon(path, SWAP_FLAG_PREFER | 50);
	}
	EXPECT_EQ(NR_DISKS, nr);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, swapper_start(&swappers[i], &large));
	record(_metadata, self, request_all(ALL_KINDS));
	before = counters_read();
	EXPECT_EQ(0, swappers_storm(swappers, 2));
	record_end(_metadata, self);
	after = counters_read();
	EXPECT_EQ(after.out - before.out,
		  pages_of(&self->recorder, VMINSPECT_EVENT_WRITE, ON_DEVICE));
	EXPECT_EQ(after.in - before.in,
		  pages_of(&self->recorder, VMINSPECT_EVENT_READ, ON_DEVICE));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, swapper_end(&swappers[i]));
	for (i = 0; i < NR_DISKS; i++) {
		snprintf(path, sizeof(path), "/dev/nullb%d", i);
		EXPECT_EQ(0, swapoff(path));
	}
	EXPECT_EQ(0, system("rmmod null_blk"));
	recorder_free(&self->recorder);
}

#define NULLB	"/sys/kernel/config/nullb/nullb0/"

static bool make_failing_disk(void)
{
	return !system("rmmod null_blk 2>/dev/null; modprobe configfs;"
		       " modprobe null_blk nr_devices=0 && { mountpoint -q /sys/kernel/config ||"
		       " mount -t configfs none /sys/kernel/config; }") &&
	       !mkdir(NULLB, 0755) && !write_file(NULLB "memory_backed", "1") &&
	       !write_file(NULLB "size", "16") && !write_file(NULLB "power", "1") &&
	       !system("mkswap /dev/nullb0 >/dev/null");
}

static bool fail_disk(void)
{
	char range[32];
	int first;

	for (first = 0; first < 32768; first += 512) {
		snprintf(range, sizeof(range), "+%d-%d", first, first + 511);
		if (write_file(NULLB "badblocks", range))
			return false;
	}
	return true;
}

TEST_F_TIMEOUT(owners, read_that_failed_is_told_so, TIMEOUT)
{
	const struct vminspect_event *event;
	struct swapper swapper;
	size_t failed = 0;
	int status;

	ASSERT_TRUE(make_failing_disk());
	ASSERT_EQ(0, swapon("/dev/nullb0", SWAP_FLAG_PREFER | 200));
	ASSERT_EQ(0, swapper_start(&swapper, &storm));
	ASSERT_EQ(0, swappers_step(&swapper, 1));
	drop_swap_cache();
	ASSERT_TRUE(fail_disk());
	record(_metadata, self, request_all(KIND(READ) | KIND(SWAP_IN)));
	swapper_go(&swapper);
	EXPECT_EQ(swapper.pid, waitpid(swapper.pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	record_end(_metadata, self);
	for (event = self->recorder.events; event < events_end(&self->recorder); event++)
		if (event->kind == VMINSPECT_EVENT_READ)
			failed += !!(event->flags & VMINSPECT_EVENT_FAILED);
	EXPECT_LT(0, failed);
	EXPECT_GT(NR, pages_with(&self->recorder, VMINSPECT_EVENT_SWAP_IN, swapper.pid));
	EXPECT_EQ(0, swapoff("/dev/nullb0"));
	write_file(NULLB "power", "0");
	rmdir(NULLB);
	recorder_free(&self->recorder);
}

/* ---- What can't be seen is not seen by halves ---- */

static void load_without(struct __test_metadata *_metadata, struct _test_data_owners *self,
			 const char *parameters)
{
	close(self->device);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load(parameters));
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
}

TEST_F_TIMEOUT(owners, kind_that_is_missing_has_no_records, TIMEOUT)
{
	const struct {
		const char *avoid;
		uint32_t missing;
	} cases[] = {
		{ "avoid=__swap_writepage", KIND(WRITE) },
		{ kernel_since(7, 0) ? "avoid=swap_bio_read_end_io" :
				       "avoid=end_swap_bio_read", KIND(READ) },
		{ "avoid=do_swap_page", KIND(SWAP_IN) | KIND(READ) },
		{ "avoid=mm_vmscan_direct_reclaim_end", KIND(SWAP_OUT) | KIND(WRITE) },
	};
	const struct vminspect_event *event;
	struct vminspect_events request;
	struct swapper swapper;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		load_without(_metadata, self, cases[i].avoid);
		if (!i)
			ASSERT_EQ(0, place_set_up("zswap"));
		request = request_all(ALL_KINDS);
		ASSERT_EQ(0, recorder_start(&self->recorder, self->device, &request));
		EXPECT_EQ(cases[i].missing, request.missing);
		ASSERT_EQ(0, swapper_start(&swapper, &storm));
		EXPECT_EQ(0, swappers_storm(&swapper, 1));
		record_end(_metadata, self);
		for (event = self->recorder.events; event < events_end(&self->recorder); event++)
			EXPECT_EQ(0, cases[i].missing & (1U << event->kind));
		EXPECT_LT(0, self->recorder.nr);
		EXPECT_EQ(0, swapper_end(&swapper));
		recorder_free(&self->recorder);
		place_tear_down("zswap");
	}
	load_without(_metadata, self, "");
}

/* Its tracepoints are there before it is ready, and while it fails to be. */
TEST_F_TIMEOUT(owners, load_that_fails_leaves_nothing_of_an_enabled_tracepoint, TIMEOUT)
{
	pid_t child;
	int i;

	close(self->device);
	ASSERT_EQ(0, module_unload());
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			write_file("/sys/kernel/tracing/events/vminspect/swap_in/enable", "1");
	}
	for (i = 0; i < 40; i++)
		EXPECT_NE(0, module_load("mode=01000"));
	process_end(child);
	ASSERT_EQ(0, module_load(""));
	self->device = device_bound(getpid());
	ASSERT_LE(0, self->device);
}

TEST_HARNESS_MAIN
