// SPDX-License-Identifier: GPL-2.0
/*
 * For tests of events: see recorder.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "recorder.h"

struct vminspect_events request_all(uint32_t kinds)
{
	return (struct vminspect_events) {
		.size = sizeof(struct vminspect_events),
		.scope = VMINSPECT_SCOPE_ALL,
		.kinds = kinds,
		.record_size = sizeof(struct vminspect_event),
	};
}

int events_open(int device, struct vminspect_events *request)
{
	int fd = ioctl(device, VMINSPECT_IOC_EVENTS, request);

	return fd < 0 ? -errno : fd;
}

int events_state(int fd, uint32_t flags, struct vminspect_events_state *state)
{
	*state = (struct vminspect_events_state) { .size = sizeof(*state), .flags = flags };
	return ioctl(fd, VMINSPECT_IOC_EVENTS_STATE, state) ? -errno : 0;
}

static void *recorder_run(void *arg)
{
	struct recorder *recorder = arg;

	while (recorder->nr < recorder->max) {
		ssize_t got = read(recorder->fd, recorder->events + recorder->nr,
				   (recorder->max - recorder->nr) * sizeof(*recorder->events));

		if (got <= 0)
			break;
		recorder->nr += got / sizeof(*recorder->events);
	}
	return NULL;
}

int recorder_start(struct recorder *recorder, int device,
		   struct vminspect_events *request)
{
	const struct sched_param first = { .sched_priority = 1 };
	int ret;

	*recorder = (struct recorder) { .max = RECORDER_MAX };
	recorder->events = mmap(NULL, recorder->max * sizeof(*recorder->events),
				PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	if (recorder->events == MAP_FAILED)
		return -ENOMEM;
	recorder->fd = events_open(device, request);
	if (recorder->fd < 0)
		return recorder->fd;
	ret = -pthread_create(&recorder->thread, NULL, recorder_run, recorder);
	if (!ret)	/* ahead of those who keep all processors busy with swapping */
		ret = -pthread_setschedparam(recorder->thread, SCHED_FIFO, &first);
	return ret;
}

int recorder_end(struct recorder *recorder)
{
	int ret = events_state(recorder->fd, VMINSPECT_EVENTS_STOP, &recorder->state);

	pthread_join(recorder->thread, NULL);
	close(recorder->fd);
	return ret;
}

void recorder_free(struct recorder *recorder)
{
	munmap(recorder->events, recorder->max * sizeof(*recorder->events));
}

const struct vminspect_event *events_end(const struct recorder *recorder)
{
	return recorder->events + recorder->nr;
}

uint64_t pages_of(const struct recorder *recorder, unsigned int kind, uint32_t sources)
{
	const struct vminspect_event *event;
	uint64_t pages = 0;

	for (event = recorder->events; event < events_end(recorder); event++)
		if (event->kind == kind && (!sources || sources & (1U << event->source)))
			pages += event->pages;
	return pages;
}

struct counters counters_read(void)
{
	return (struct counters) {
		.in = vmstat("pswpin"), .out = vmstat("pswpout"),
		.zswap_in = vmstat("zswpin"), .zswap_out = vmstat("zswpout"),
		.zero_in = vmstat("swpin_zero"),
	};
}

void cgroup_enter(void)
{
	char pid[16];

	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(CGROUP "/cgroup.procs", pid);
}

void cgroup_leave(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file("/sys/fs/cgroup/cgroup.procs", pid);
	rmdir(CGROUP);
}

void drop_swap_cache(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		write_file(CGROUP "/memory.reclaim", "64M");
		usleep(10000);
	}
}

void fill(char *map, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += sizeof(uint64_t))
		if (at % SZ_4K < 256)
			*(uint64_t *)(map + at) = at * 0x9e3779b97f4a7c15 + getpid();
}

void step(int go, int done)
{
	char byte = 0;

	if (write(done, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(2);
}

char *storm_map(const struct storm *storm, struct doing *doing)
{
	struct stat status;
	int fd;

	if (storm->page == SZ_2M)
		return map_huge(storm->nr * SZ_4K);
	if (!storm->shared)
		return map_small(storm->nr * SZ_4K);
	fd = memfd(storm->nr * SZ_4K, 0);
	if (fstat(fd, &status))
		return NULL;
	doing->inode = status.st_ino;
	return map_fd(fd, storm->nr * SZ_4K, MAP_SHARED);
}

static int swapper_run(const struct storm *storm, struct doing *doing, int go, int done)
{
	struct rusage before, after;
	size_t i;

	/* What is mapped by now stays in, so that all faults are on the pages of the storm. */
	if (mlockall(MCL_CURRENT))
		return 3;
	doing->map = storm_map(storm, doing);
	if (!doing->map)
		return 4;
	if (storm->zero)
		memset(doing->map, 0, storm->nr * SZ_4K);
	else
		fill(doing->map, storm->nr * SZ_4K);
	step(go, done);
	if (storm->shared ? page_out_shared(doing->map, storm->nr * SZ_4K) :
			    page_out(doing->map, storm->nr * SZ_4K))
		return 5;
	step(go, done);
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < storm->nr; i++)
		READ_ONCE(doing->map[i * SZ_4K]);
	getrusage(RUSAGE_SELF, &after);
	doing->major = after.ru_majflt - before.ru_majflt;
	step(go, done);
	return 0;
}

int swapper_start(struct swapper *swapper, const struct storm *storm)
{
	int go[2], done[2];
	char byte;

	swapper->doing = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (swapper->doing == MAP_FAILED || pipe(go) || pipe(done))
		return -errno;
	swapper->pid = fork();
	if (!swapper->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		close(done[0]);
		swapper->doing->pid = getpid();
		_exit((storm->run ?: swapper_run)(storm, swapper->doing, go[0], done[1]));
	}
	close(go[0]);
	close(done[1]);
	swapper->go = go[1];
	swapper->done = done[0];
	return read(swapper->done, &byte, 1) == 1 ? 0 : -ECHILD;
}

void swapper_go(const struct swapper *swapper)
{
	char byte = 0;

	if (write(swapper->go, &byte, 1) != 1)
		return;
}

int swapper_wait(const struct swapper *swapper)
{
	char byte;

	return read(swapper->done, &byte, 1) == 1 ? 0 : -ECHILD;
}

/* The next step of all, at the same time. */
int swappers_step(const struct swapper *swappers, size_t nr)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < nr; i++)
		swapper_go(&swappers[i]);
	for (i = 0; i < nr && !ret; i++)
		ret = swapper_wait(&swappers[i]);
	return ret;
}

int swapper_end(struct swapper *swapper)
{
	int status;

	swapper_go(swapper);
	waitpid(swapper->pid, &status, 0);
	close(swapper->go);
	close(swapper->done);
	munmap(swapper->doing, SZ_4K);
	return status;
}

int swappers_storm(struct swapper *swappers, size_t nr)
{
	int ret = swappers_step(swappers, nr);

	if (!ret) {
		drop_swap_cache();
		ret = swappers_step(swappers, nr);
	}
	return ret;
}

/* A page of the map, or none. */
long page_of(const struct doing *doing, const struct storm *storm, uint64_t va)
{
	uint64_t at = va - (uintptr_t)doing->map;

	return at < storm->nr * SZ_4K && !(at % SZ_4K) ? (long)(at / SZ_4K) : -1;
}

int stay_in(void)
{
	return mlockall(MCL_CURRENT | MCL_FUTURE) ? -errno : 0;
}

int place_set_up(const char *where)
{
	if (!strcmp(where, "zram")) {
		if (system("modprobe zram num_devices=1 && echo 192M >/sys/block/zram0/disksize"
			   " && mkswap /dev/zram0 >/dev/null"))
			return -EINVAL;
		return swapon("/dev/zram0", SWAP_FLAG_PREFER | 100) ? -errno : 0;
	}
	if (!strcmp(where, "zswap"))
		return write_file(ZSWAP "enabled", "1");
	return 0;
}

void place_tear_down(const char *where)
{
	if (!strcmp(where, "zram")) {
		swapoff("/dev/zram0");
		write_file("/sys/block/zram0/reset", "1");
	} else if (!strcmp(where, "zswap")) {
		write_file(ZSWAP "enabled", "0");
	}
}
