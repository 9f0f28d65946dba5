// SPDX-License-Identifier: GPL-2.0
/*
 * Which mapping of a process an address lies in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "error.h"
#include "owner.h"

/* In sets, by pid: of a full one the set's member that was asked for least lately goes. */
#define NR_SETS		256
#define SET_SIZE	4
/* Of one process: what the kernel allows it unless told otherwise. */
#define MAX_OF_ONE	65536
/* Of all together; beyond, all are forgotten. */
#define MAX_OF_ALL	(4 * MAX_OF_ONE)
#define MAX_NAMES	(1 << 20)

/* When they are read again in any case. */
#define STALE_NS	5000000000ULL
/* If an address is in none of them: after a multiple of what reading takes, and at least this. */
#define MISSED_FACTOR	20
#define MISSED_NS	1000000ULL
/* How many of them are read in one interval, so that events do not wait for it. */
#define BUDGET		256
#define BUDGET_NS	100000000ULL

/* Of the initial pid namespace, which the pids of events are of: PROC_PID_INIT_INO. */
#define INITIAL_PIDS	0xeffffffcU

struct span {
	__u64 start;
	__u64 end;
	__u32 name;		/* where in names; 0: not known */
};

struct owner {
	__u32 pid;		/* 0: none */
	char comm[16];
	__u64 read_ns;		/* when it was read */
	__u64 took_ns;		/* how long that took */
	__u64 asked_ns;
	size_t nr;
	struct span *spans;	/* in the order of their addresses */
	char *names;
	size_t names_size;
};

static struct owner owners[NR_SETS][SET_SIZE];
static size_t nr_spans;

static void forget(struct owner *owner)
{
	nr_spans -= owner->nr;
	free(owner->spans);
	free(owner->names);
	*owner = (struct owner) {};
}

static void forget_all(void)
{
	for (size_t i = 0; i < NR_SETS * SET_SIZE; i++)
		forget(&owners[i / SET_SIZE][i % SET_SIZE]);
}

static void *enlarged(void *memory, size_t size)
{
	memory = realloc(memory, size);
	if (!memory)
		die_of_memory();
	return memory;
}

/* Parts of one file follow each other, and share the name. Return: where it is; 0: no room. */
static __u32 put_name(struct owner *owner, const char *name, __u32 last)
{
	size_t size = strlen(name) + 1, at = owner->names_size ? owner->names_size : 1;

	if (last && !strcmp(owner->names + last, name))
		return last;
	if (at + size > MAX_NAMES)
		return 0;
	owner->names = enlarged(owner->names, at + size);
	memcpy(owner->names + at, name, size);
	owner->names_size = at + size;
	return at;
}

static void put_span(struct owner *owner, const struct mapping *mapping)
{
	__u32 last = owner->nr ? owner->spans[owner->nr - 1].name : 0;
	__u32 name = put_name(owner, mapping->name, last);

	if (!(owner->nr & (owner->nr - 1)))
		owner->spans = enlarged(owner->spans,
					(owner->nr ? 2 * owner->nr : 1) * sizeof(struct span));
	owner->spans[owner->nr++] = (struct span) { mapping->start, mapping->end, name };
	nr_spans++;
}

static void read_spans(struct owner *owner)
{
	struct mappings mappings;
	struct process process;
	char pid[16];

	snprintf(pid, sizeof(pid), "%u", owner->pid);
	if (process_open(&process, pid))
		return;
	if (!mappings_open(&mappings, &process)) {
		while (mappings.valid && owner->nr < MAX_OF_ONE) {
			put_span(owner, &mappings.current);
			mappings_next(&mappings);
		}
		mappings_close(&mappings);
	}
	process_close(&process);
}

static bool within_budget(__u64 now_ns)
{
	static __u64 start_ns;
	static unsigned int nr;

	if (now_ns - start_ns > BUDGET_NS) {
		start_ns = now_ns;
		nr = 0;
	}
	return ++nr <= BUDGET;
}

/* What was read before is kept if there is no more to read: it has exited. */
static void refresh(struct owner *owner, __u32 pid, const char *comm, __u64 now_ns)
{
	struct owner fresh = { .pid = pid, .read_ns = now_ns, .asked_ns = now_ns };
	__u64 start_ns = clock_now_ns();

	if (!within_budget(now_ns))
		return;
	if (nr_spans > MAX_OF_ALL)
		forget_all();
	snprintf(fresh.comm, sizeof(fresh.comm), "%s", comm);
	read_spans(&fresh);
	fresh.took_ns = clock_now_ns() - start_ns;
	if (!fresh.nr && owner->pid == pid) {
		owner->read_ns = now_ns;
		return;
	}
	forget(owner);
	*owner = fresh;
}

/* The one of its set that has this pid, or else the one that makes room for it. */
static struct owner *find_owner(__u32 pid)
{
	struct owner *set = owners[pid % NR_SETS], *found = set;

	for (size_t i = 0; i < SET_SIZE; i++) {
		if (set[i].pid == pid)
			return &set[i];
		if (set[i].asked_ns < found->asked_ns)
			found = &set[i];
	}
	return found;
}

static const struct span *find_span(const struct owner *owner, __u64 va)
{
	size_t low = 0, high = owner->nr;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (owner->spans[middle].end <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low < owner->nr && owner->spans[low].start <= va ? &owner->spans[low] : NULL;
}

static bool pids_are_ours(void)
{
	static enum { UNASKED, OURS, OTHERS } pids;
	struct stat namespace;

	if (pids == UNASKED)
		pids = !stat("/proc/self/ns/pid", &namespace) &&
		       namespace.st_ino == INITIAL_PIDS ? OURS : OTHERS;
	return pids == OURS;
}

static bool is_stale(const struct owner *owner, const char *comm, bool missed, __u64 now_ns)
{
	__u64 age_ns = now_ns - owner->read_ns;

	if (missed || strcmp(owner->comm, comm))
		return age_ns > MISSED_NS && age_ns > MISSED_FACTOR * owner->took_ns;
	return age_ns > STALE_NS;
}

bool owner_mapping(__u32 pid, const char *comm, __u64 va, struct mapping *mapping)
{
	__u64 now_ns = clock_coarse_ns();
	const struct span *span;
	struct owner *owner;

	if (!pid || !pids_are_ours())
		return false;
	owner = find_owner(pid);
	if (owner->pid != pid || is_stale(owner, comm, !find_span(owner, va), now_ns))
		refresh(owner, pid, comm, now_ns);
	if (owner->pid != pid)
		return false;
	owner->asked_ns = now_ns;
	span = find_span(owner, va);
	if (!span || !span->name)
		return false;
	*mapping = (struct mapping) {
		.start = span->start,
		.end = span->end,
		.name = owner->names + span->name,
	};
	return true;
}
