// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: whatever is asked of the module, by however many at once, the answer is right or an
 * error that uapi/vminspect.h names, and afterwards nothing is lost.
 *
 * Calls are made at random, but of what commands are made of: a call begins as one that makes
 * sense and then has some of its members changed. Several processes with several threads each use
 * the same descriptors, close them under each other's hands, hand them on, fork, execute and are
 * killed; buffers overlap, end at holes, are read-only, come and go.
 *
 *   VMINSPECT_SEED    of the first round; default: of the clock. Each round's is printed
 *   VMINSPECT_CALLS   how many calls at least; default 1000000
 *
 * On a kernel with KCOV calls that reached code that is new in their round are kept, and changed
 * further. Each round begins with none, so that one can be repeated alone.
 *
 * One of the processes is an unprivileged user's: what it opens itself shows no frames.
 *
 * machines: fuzz
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/kcov.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"

#include "common.h"
#include "kvm.h"

#define TIMEOUT		3600
#define PROCESSES	3
#define THREADS		3
#define ROUND_CALLS	20000		/* of all processes together */
#define GUARD		0xa5		/* what nobody has written to */
#define USER		12345

static uint64_t mix(uint64_t word)
{
	word ^= word >> 30;
	word *= 0xbf58476d1ce4e5b9;
	word ^= word >> 27;
	word *= 0x94d049bb133111eb;
	return word ^ word >> 31;
}

/* A thread's own sequence, so that what a thread does follows from the seed. */
static __thread uint64_t sequence;

static uint64_t any(void)
{
	sequence += 0x9e3779b97f4a7c15;
	return mix(sequence);
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

static bool one_in(uint64_t n)
{
	return !below(n);
}

/* What limits and checks are most often wrong about. */
static uint64_t odd_number(void)
{
	switch (below(6)) {
	case 0:
		return below(16);
	case 1:
		return -below(16);
	case 2:
		return (1ULL << below(64)) - below(3) + 1;
	case 3:
		return any() & -SZ_4K;
	case 4:
		return 0x7ffffffff000 - SZ_4K * below(3) + below(2);
	default:
		return any() >> below(64);
	}
}

/*
 * Commands and their members. What a member is decides what makes sense there.
 */
enum kind {
	ZERO, JUNK, FLAG, NUMBER, SIZE_OF_ONE, VA, VA_END, MASK, CATEGORY, SPLIT, ADDRESSES, OUT,
	PAGE_KINDS, NR_PAGE_KINDS,
	FD_PAGEMAP, FD_VM, FD_MEM, FD_CGROUP, SCOPE, KINDS, PID, RING, GPA, CR3, VCPU, MODE, FIRST,
};

struct member {
	uint16_t offset;
	uint8_t size;
	uint8_t kind;
	uint16_t value;		/* FLAG: mask of the known ones; SIZE_OF_ONE */
};

#define MEMBER(type, name, is, known)						\
	{ .offset = offsetof(struct vminspect_##type, name),			\
	  .size = sizeof(((struct vminspect_##type *)0)->name), .kind = is, .value = known }
#define M(type, name, is)	MEMBER(type, name, is, 0)
#define MAX_MEMBERS	16

struct command {
	const char *name;
	unsigned int cmd;
	uint16_t size;
	uint8_t on;		/* what it is made for: enum file */
	struct member members[MAX_MEMBERS];
	int errors[14];		/* besides those that each command may return */
};

/* What descriptors there are. */
enum file { DEVICE, READER, GUEST, TEXT, OTHER, NR_FILES };

static const struct command commands[] = {
	{ "INFO", VMINSPECT_IOC_INFO, sizeof(struct vminspect_info), DEVICE, {
		M(info, abi, JUNK), M(info, features, JUNK), M(info, reserved2, JUNK) }, { 0 } },
	{ "BIND", VMINSPECT_IOC_BIND, sizeof(struct vminspect_bind), DEVICE, {
		M(bind, fd, FD_PAGEMAP), M(bind, flags, ZERO), M(bind, hidden, JUNK) },
		{ EBADF, EBUSY, ESRCH } },
	{ "SCAN", VMINSPECT_IOC_SCAN, sizeof(struct vminspect_scan), DEVICE, {
		MEMBER(scan, flags, FLAG, VMINSPECT_SCAN_PAGES), M(scan, start, VA),
		M(scan, end, VA_END), M(scan, resume, JUNK), M(scan, nr_extents, NUMBER),
		M(scan, extents, OUT),
		MEMBER(scan, extent_size, SIZE_OF_ONE, sizeof(struct vminspect_extent)),
		M(scan, nr_filled, JUNK), M(scan, hidden, JUNK),
		M(scan, category_inverted, CATEGORY), M(scan, category_mask, CATEGORY),
		M(scan, category_anyof_mask, CATEGORY), M(scan, return_mask, MASK),
		M(scan, split_mask, SPLIT) }, { ENXIO, ESRCH } },
	/* The first of the sizes is that of a word. */
	{ "SCAN, words", VMINSPECT_IOC_SCAN, sizeof(struct vminspect_scan), DEVICE, {
		MEMBER(scan, extent_size, SIZE_OF_ONE, sizeof(uint64_t)), M(scan, start, VA),
		MEMBER(scan, flags, SIZE_OF_ONE, VMINSPECT_SCAN_PACKED),
		M(scan, end, VA_END), M(scan, resume, JUNK), M(scan, nr_extents, NUMBER),
		M(scan, extents, OUT), M(scan, nr_filled, JUNK), M(scan, hidden, JUNK),
		M(scan, category_inverted, CATEGORY), M(scan, category_mask, CATEGORY),
		M(scan, category_anyof_mask, CATEGORY), M(scan, return_mask, MASK),
		M(scan, kinds, PAGE_KINDS), M(scan, nr_kinds, NR_PAGE_KINDS),
		M(scan, nr_kinds_filled, JUNK) }, { ENXIO, ESRCH } },
	{ "TRANSLATE", VMINSPECT_IOC_TRANSLATE, sizeof(struct vminspect_translate), DEVICE, {
		M(translate, flags, ZERO), M(translate, nr, NUMBER),
		M(translate, addresses, ADDRESSES), M(translate, entries, OUT),
		MEMBER(translate, entry_size, SIZE_OF_ONE, sizeof(struct vminspect_entry)),
		M(translate, nr_done, JUNK), M(translate, hidden, JUNK),
		M(translate, return_mask, MASK) }, { ENXIO, ESRCH } },
	{ "WALK", VMINSPECT_IOC_WALK, sizeof(struct vminspect_walk), DEVICE, {
		M(walk, flags, ZERO), M(walk, va, VA), M(walk, return_mask, MASK),
		M(walk, root, JUNK), M(walk, nr_levels, JUNK) }, { ENXIO, ESRCH } },
	{ "SWAP", VMINSPECT_IOC_SWAP, sizeof(struct vminspect_swap), DEVICE, {
		MEMBER(swap, flags, FLAG, VMINSPECT_SWAP_SLOTS), M(swap, path, OUT),
		M(swap, path_size, NUMBER), M(swap, type, ZERO), M(swap, pages, JUNK) },
		{ ENOENT, ENAMETOOLONG, EOPNOTSUPP } },
	{ "EVENTS", VMINSPECT_IOC_EVENTS, sizeof(struct vminspect_events), DEVICE, {
		MEMBER(events, flags, FLAG, VMINSPECT_EVENTS_NONBLOCK), M(events, scope, SCOPE),
		M(events, kinds, KINDS), M(events, pid, PID), M(events, cgroup_fd, FD_CGROUP),
		MEMBER(events, record_size, SIZE_OF_ONE, sizeof(struct vminspect_event)),
		M(events, ring_records, RING), M(events, nr_rings, JUNK),
		M(events, reserved, ZERO) },
		{ EPERM, ENXIO, ESRCH, EBADF, EOPNOTSUPP, EUSERS, EMFILE } },
	{ "GUEST", VMINSPECT_IOC_GUEST, sizeof(struct vminspect_guest), DEVICE, {
		M(guest, flags, ZERO), M(guest, vm_fd, FD_VM), M(guest, mem_fd, FD_MEM),
		M(guest, hidden, JUNK), M(guest, reserved, ZERO) },
		{ EBADF, EPERM, ESRCH, EOPNOTSUPP, EMFILE } },
	{ "EVENTS_STATE", VMINSPECT_IOC_EVENTS_STATE, sizeof(struct vminspect_events_state),
		READER, { M(events_state, flags, ZERO), M(events_state, records, JUNK) },
		{ EINTR } },
	{ "GUEST_SLOT", VMINSPECT_IOC_GUEST_SLOT, sizeof(struct vminspect_guest_slot), GUEST, {
		M(guest_slot, flags, ZERO), M(guest_slot, gpa, GPA),
		M(guest_slot, address_space, ZERO), M(guest_slot, bytes, JUNK),
		M(guest_slot, reserved, ZERO) }, { ENOENT, ESRCH } },
	{ "GUEST_VCPU", VMINSPECT_IOC_GUEST_VCPU, sizeof(struct vminspect_guest_vcpu), GUEST, {
		M(guest_vcpu, vcpu, VCPU), M(guest_vcpu, cr0, JUNK) }, { ENOENT, ESRCH } },
	{ "GUEST_WALK", VMINSPECT_IOC_GUEST_WALK, sizeof(struct vminspect_guest_walk), GUEST, {
		MEMBER(guest_walk, flags, FLAG, 3), M(guest_walk, address, GPA),
		M(guest_walk, cr3, CR3), M(guest_walk, vcpu, VCPU), M(guest_walk, mode, MODE),
		M(guest_walk, address_space, ZERO), M(guest_walk, gpa, JUNK),
		M(guest_walk, hva, JUNK) },
		{ ENOENT, ENODATA, EBUSY, ESTALE, ENOKEY, EOPNOTSUPP, EIO, EAGAIN, ESRCH } },
	{ "GUEST_SCAN", VMINSPECT_IOC_GUEST_SCAN, sizeof(struct vminspect_guest_scan), GUEST, {
		MEMBER(guest_scan, flags, FLAG, VMINSPECT_GUEST_CR3), M(guest_scan, start, FIRST),
		M(guest_scan, end, VA_END), M(guest_scan, first, ZERO),
		M(guest_scan, nr_extents, NUMBER), M(guest_scan, extents, OUT),
		MEMBER(guest_scan, extent_size, SIZE_OF_ONE, sizeof(struct vminspect_guest_extent)),
		M(guest_scan, cr3, CR3), M(guest_scan, vcpu, VCPU), M(guest_scan, mode, MODE),
		M(guest_scan, address_space, ZERO), M(guest_scan, resume, JUNK) },
		{ ENOENT, ENODATA, EBUSY, ESTALE, ENOKEY, EOPNOTSUPP, EIO, EAGAIN, ESRCH } },
};

#define NR_COMMANDS	ARRAY_LEN(commands)

static const int common_errors[] = { EFAULT, EINVAL, E2BIG, ENOTTY, ENOMEM, EBADF };

/* Where a buffer lies. */
enum place {
	GOOD,		/* the thread's own, and a hole behind its end */
	SHORT,		/* likewise, but shorter than it has to be */
	READ_ONLY, PROTECTED, NOWHERE, KERNEL, NOT_CANONICAL, VANISHING, ARGUMENT, NULL_POINTER,
	NR_PLACES
};

/* A call, without addresses and descriptors, so that any thread can make it. */
struct call {
	uint8_t command;
	uint8_t file;		/* enum file */
	uint8_t argument;	/* enum place */
	uint8_t buffers[2];	/* enum place: OUT, ADDRESSES */
	uint8_t changed;	/* members that were changed after all made sense */
	uint16_t size;
	uint8_t tail;		/* what stands behind the command's own members */
	uint64_t values[MAX_MEMBERS];
};

/*
 * What all processes share.
 */
#define MAX_FAILURES	8
#define CORPUS		4096
#define MAX_ERRNO	134
#define PCS		(1 << 20)

static struct {
	uint64_t calls, reads, records, forks, passed, kills;
	uint64_t done[NR_COMMANDS];
	uint64_t failed[NR_COMMANDS][MAX_ERRNO];
	uint64_t nr_failures;
	char failures[MAX_FAILURES][256];
	bool stop;
	bool has_coverage;
	uint64_t nr_pcs, nr_kept, nr_hidden;
	uint8_t pcs_ever[PCS];
	/* Of this round. */
	uint64_t nr_corpus;
	struct call corpus[CORPUS];
	uint8_t pcs[PCS];
} *shared;

static void add(uint64_t *counter, uint64_t nr)
{
	__atomic_add_fetch(counter, nr, __ATOMIC_RELAXED);
}

__attribute__((format(printf, 1, 2)))
static void fail(const char *format, ...)
{
	uint64_t nr = __atomic_fetch_add(&shared->nr_failures, 1, __ATOMIC_RELAXED);
	va_list args;

	if (nr >= MAX_FAILURES)
		return;
	va_start(args, format);
	vsnprintf(shared->failures[nr], sizeof(shared->failures[nr]), format, args);
	va_end(args);
}

#define check(condition, format, ...) do {					\
	if (!(condition))							\
		fail("%s: " format, #condition, ##__VA_ARGS__);			\
} while (0)

/*
 * A round's world, made before its processes, which inherit it.
 */
#define SLOTS	6

static struct {
	int files[NR_FILES][SLOTS];	/* without any lock: they close each other's */
	int pagemap, mem, cgroup, socket[2];
	struct kvm_guest guest;
	pid_t target;
	char *vanishing;
	bool hidden;			/* what this process opens itself shows no frames */
} world;

static void world_put(enum file kind, int fd)
{
	int old = __atomic_exchange_n(&world.files[kind][below(SLOTS)], fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

static int world_get(enum file kind)
{
	return __atomic_load_n(&world.files[kind][below(SLOTS)], __ATOMIC_RELAXED);
}

static int open_device(void)
{
	int device = device_open();

	if (device >= 0 && !one_in(8))
		device_bind(device, world.pagemap);
	return device;
}

static int open_text(void)
{
	static const char *const names[] = { "info", "maps", "walk", "guests", "events", "stats" };
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/vminspect/%s",
		 names[below(ARRAY_LEN(names))]);
	return open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static int open_other(void)
{
	static const char *const paths[] = { "/dev/null", "/dev/zero", "/proc/self/maps", "/tmp",
					     "/proc/self/pagemap", "/proc/self/mem" };

	return open(paths[below(ARRAY_LEN(paths))], O_RDONLY | O_CLOEXEC);
}

static int open_reader(int device)
{
	struct vminspect_events request = {
		.size = sizeof(request), .flags = VMINSPECT_EVENTS_NONBLOCK,
		.kinds = VMINSPECT_EVENT_KINDS, .record_size = sizeof(struct vminspect_event),
		.ring_records = 64,
	};

	return ioctl(device, VMINSPECT_IOC_EVENTS, &request);
}

static int open_guest(int device)
{
	struct vminspect_guest request = {
		.size = sizeof(request), .vm_fd = world.guest.vm, .mem_fd = -1,
	};

	return ioctl(device, VMINSPECT_IOC_GUEST, &request);
}

/* Sleeps with memory of all kinds until it is killed, in the middle of everything. */
static void live(void *unused)
{
	char *map = map_small(SZ_2M), *huge = map_huge(SZ_2M);

	(void)unused;
	if (map && huge) {
		memset(map, 1, SZ_2M);
		memset(huge, 1, SZ_2M);
		page_out(map, 64 * SZ_4K);
	}
}

static int world_make(void)
{
	int i, device;

	world.target = child_stopped(live, NULL);
	if (world.target < 0)
		return world.target;
	world.pagemap = pagemap_open(world.target);
	world.mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	world.cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world.vanishing = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, world.socket))
		return -errno;
	for (i = 0; i < SLOTS; i++) {
		device = open_device();
		if (device < 0)
			return -errno;
		world.files[DEVICE][i] = device;
		world.files[READER][i] = open_reader(device);
		world.files[GUEST][i] = world.guest.vm >= 0 ? open_guest(device) : -1;
		world.files[TEXT][i] = open_text();
		world.files[OTHER][i] = open_other();
	}
	return 0;
}

static void world_drop(void)
{
	int kind, i;

	for (kind = 0; kind < NR_FILES; kind++)
		for (i = 0; i < SLOTS; i++)
			close(world.files[kind][i]);
	close(world.pagemap);
	close(world.mem);
	close(world.cgroup);
	close(world.socket[0]);
	close(world.socket[1]);
	munmap(world.vanishing, SZ_2M);
	process_end(world.target);
}

/*
 * A thread, and the memory that is its own.
 */
#define BUFFER	(4 * SZ_4K)

struct thread {
	pthread_t id;
	int own;		/* a device bound to this process, used by nobody else */
	int pagemap;		/* of this process */
	char *buffers[3];	/* argument, OUT, ADDRESSES; a hole behind each */
	char *read_only, *protected;
	uint64_t *coverage;
	uint64_t calls;
	pid_t child;
};

static char *buffer_make(void)
{
	char *map = mmap(NULL, BUFFER + SZ_4K, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	munmap(map + BUFFER, SZ_4K);
	/* A child that has it as well would make other pages of it while they are compared. */
	madvise(map, BUFFER, MADV_DONTFORK);
	return map;
}

/* Where a buffer of @size bytes lies that is the thread's number @nr. */
static char *place(const struct thread *thread, enum place where, int nr, size_t size)
{
	char *end = thread->buffers[nr] + BUFFER;

	if (size > BUFFER)
		size = BUFFER;
	switch (where) {
	case SHORT:
		return end - size / 2;
	case READ_ONLY:
		return thread->read_only;
	case PROTECTED:
		return thread->protected;
	case NOWHERE:
		return (char *)0x10000;
	case KERNEL:
		return (char *)(0xffff888000000000 + SZ_4K * below(1 << 20));
	case NOT_CANONICAL:
		return (char *)(0x8000000000000000 + below(SZ_4K));
	case VANISHING:
		return world.vanishing + below(SZ_2M - BUFFER);
	case ARGUMENT:
		return thread->buffers[0] + BUFFER - 256;
	case NULL_POINTER:
		return NULL;
	default:
		return end - size;
	}
}

static int descriptor(enum kind kind)
{
	switch (kind) {
	case FD_PAGEMAP:
		return world.pagemap;
	case FD_VM:
		return world.guest.vm;
	case FD_MEM:
		return one_in(2) ? -1 : world.mem;
	default:
		return world.cgroup;
	}
}

/* Addresses of the target, of this process, and others. */
static uint64_t any_va(const struct thread *thread)
{
	switch (below(4)) {
	case 0:
		return (uintptr_t)thread->buffers[below(3)] + SZ_4K * below(8);
	case 1:
		return (uintptr_t)world.vanishing + SZ_4K * below(512);
	case 2:
		return any() & 0x7ffffffff000 & -(1ULL << (12 + below(30)));
	default:
		return below(0x7fffffff) * SZ_4K;
	}
}

static uint64_t sensible(const struct thread *thread, const struct call *call,
			 const struct member *member)
{
	switch ((enum kind)member->kind) {
	case ZERO:
		return 0;
	case JUNK:
		return any();
	case FLAG:
		return any() & member->value;
	case NUMBER:
		return 1 + below(one_in(8) ? 256 : 64);
	case SIZE_OF_ONE:
		return member->value;
	case NR_PAGE_KINDS:
		return 1 + below(one_in(2) ? 4 : 200);
	case VA:
		return any_va(thread);
	case VA_END:
		return call->values[1] + SZ_4K * (1 + below(1ULL << below(20)));
	case MASK:		return any() & any() &
				       (RETURN_ALL | VMINSPECT_RETURN_NODE);
	case CATEGORY:
		return one_in(4) ? 1ULL << below(24) : 0;
	case SPLIT:
		return 0;
	case SCOPE:
		return below(VMINSPECT_NR_SCOPES);
	case KINDS:
		return (1 + below(15)) * 2;
	case PID:
		return call->values[1] == VMINSPECT_SCOPE_TASKS ? world.target : 0;
	case RING:
		return 64;
	case GPA:
		return below(KVM_MEMORY);
	case CR3:
		return KVM_ROOT;
	case FIRST:
		return one_in(2) ? 0 : SZ_4K * below(512);
	case VCPU:
		return 0;
	case MODE:
		return VMINSPECT_MODE_4LEVEL;
	default:
		return 0;	/* addresses and descriptors: when it is made */
	}
}

static uint8_t any_place(void)
{
	return one_in(8) ? below(NR_PLACES) : GOOD;
}

static void change(struct call *call)
{
	const struct command *command = &commands[call->command];

	switch (below(8)) {
	case 0:
		call->size = one_in(4) ? odd_number() : command->size + below(64) - 32;
		break;
	case 1:
		call->tail = any();
		call->size = command->size + 8 * below(8);
		break;
	case 2:
		call->file = below(NR_FILES);
		break;
	default:
		call->values[below(MAX_MEMBERS)] = odd_number();
		call->changed++;
	}
}

/* Attaching and making a descriptor is slow: rarely. */
static void call_make(const struct thread *thread, struct call *call)
{
	const struct command *command;
	uint64_t nr = __atomic_load_n(&shared->nr_corpus, __ATOMIC_RELAXED);
	int i;

	if (nr && one_in(2)) {
		*call = shared->corpus[below(nr < CORPUS ? nr : CORPUS)];
		change(call);
		return;
	}
	*call = (struct call){ .command = below(NR_COMMANDS) };
	if (commands[call->command].cmd == VMINSPECT_IOC_EVENTS && !one_in(64))
		call->command = 2;
	command = &commands[call->command];
	call->file = command->on;
	call->size = command->size;
	for (i = 0; i < MAX_MEMBERS && command->members[i].size; i++)
		call->values[i] = sensible(thread, call, &command->members[i]);
	call->argument = any_place();
	if (call->argument == ARGUMENT)
		call->argument = GOOD;
	call->buffers[0] = any_place();
	call->buffers[1] = any_place();
	for (i = below(4); i > 1; i--)
		change(call);
}

static void member_set(char *argument, const struct member *member, uint64_t value)
{
	memcpy(argument + member->offset, &value, member->size < 8 ? member->size : 8);
}

/* How large an array of a member's is, as the call has its number. */
static size_t array_size(const struct call *call, size_t one)
{
	const struct command *command = &commands[call->command];
	size_t nr = 0;
	int i;

	for (i = 0; i < MAX_MEMBERS && command->members[i].size; i++) {
		if (command->members[i].kind == NUMBER)
			nr = (uint32_t)call->values[i];
		if (command->members[i].kind == SIZE_OF_ONE && !one)
			one = command->members[i].value;
	}
	return nr * (one ? one : 1);
}

/* The call's argument, as it is written to memory. */
static void argument_fill(const struct thread *thread, const struct call *call, char *argument)
{
	const struct command *command = &commands[call->command];
	const struct member *member;
	uint64_t *addresses, value;
	size_t i, k;

	memset(argument, 0, command->size);
	memset(argument + command->size, call->tail, SZ_4K - command->size);
	for (i = 0; i < MAX_MEMBERS && command->members[i].size; i++) {
		member = &command->members[i];
		value = call->values[i];
		if (member->kind == OUT && !value) {
			value = (uintptr_t)place(thread, call->buffers[0], 1, array_size(call, 0));
			memset(thread->buffers[1], GUARD, BUFFER);
		}
		if (member->kind == ADDRESSES && !value) {
			addresses = (uint64_t *)place(thread, call->buffers[1], 2,
						      array_size(call, 8));
			for (k = 0; k < BUFFER / 8; k++)
				((uint64_t *)thread->buffers[2])[k] = any_va(thread);
			value = (uintptr_t)addresses;
		}
		if (member->kind == PAGE_KINDS && !value)	/* where addresses are elsewhere */
			value = (uintptr_t)place(thread, call->buffers[1], 2,
						 VMINSPECT_MAX_KINDS *
						 sizeof(struct vminspect_entry));
		if (member->kind >= FD_PAGEMAP && member->kind <= FD_CGROUP && !value)
			value = descriptor(member->kind);
		member_set(argument, member, value);
	}
	/* what is for another scope must be zero */
	if (command->cmd == VMINSPECT_IOC_EVENTS && call->values[1] != VMINSPECT_SCOPE_CGROUP &&
	    !call->changed)
		((struct vminspect_events *)argument)->cgroup_fd = 0;
	*(uint32_t *)argument = call->size;
}

/*
 * What must be true of each answer. The argument and the buffers are the thread's own.
 */
static void check_hidden(uint32_t hidden, uint64_t told, const char *what)
{
	check(!(hidden & ~VMINSPECT_HIDDEN_CAPABILITY), "%s: hidden %x", what, hidden);
	check(!hidden || !told, "%s: told %" PRIx64, what, told);
	add(&shared->nr_hidden, hidden != 0);
}

static void check_entry(const struct vminspect_entry *entry, uint64_t mask)
{
	check(entry->state < VMINSPECT_NR_STATES, "%u", entry->state);
	check(!(entry->flags & ~(mask & VMINSPECT_PAGE_FLAGS)), "%x", entry->flags);
	check(!entry->reserved && !entry->reserved2, "%x", entry->reserved2);
	check(entry->page_shift == 12 || entry->page_shift == 21 || entry->page_shift == 30,
	      "%u", entry->page_shift);
	check(entry->node == -1 || mask & VMINSPECT_RETURN_NODE, "%d", entry->node);
	check(!entry->frame || mask & VMINSPECT_RETURN_FRAME, "%" PRIx64 " in state %u, flags %x",
	      (uint64_t)entry->frame, entry->state, entry->flags);
}

static void check_untouched(const char *from, const char *end)
{
	for (; from < end; from++)
		if ((uint8_t)*from != GUARD) {
			fail("written behind the end: %02x", (uint8_t)*from);
			return;
		}
}

static void check_scan(const struct vminspect_scan *scan, const struct vminspect_extent *extent,
		       const char *end)
{
	uint64_t last = scan->start;
	uint32_t i;

	check(scan->nr_filled <= scan->nr_extents, "%u", scan->nr_filled);
	check(scan->resume > scan->start && scan->resume <= scan->end, "%" PRIx64,
	      (uint64_t)scan->resume);
	if ((const char *)(extent + scan->nr_filled) > end)
		return;
	for (i = 0; i < scan->nr_filled; i++, extent++) {
		struct vminspect_entry entry = extent_entry(extent, extent->start);

		check_entry(&entry, scan->return_mask);
		check_hidden(scan->hidden, extent->frame | extent->swap_type, "SCAN");
		check(!extent->reserved, "%u", extent->reserved);
		check(!(extent->mixed & ~scan->return_mask), "%x", extent->mixed);
		check(extent->start >= last && extent->end > extent->start &&
		      extent->end <= scan->resume, "%" PRIx64, (uint64_t)extent->start);
		last = extent->end;
	}
	check_untouched((const char *)extent, end);
}

/* Each word is of a kind that was told, or of none, and all together reach as far as is said. */
static void check_words(const struct vminspect_scan *scan, const uint64_t *word, const char *end)
{
	const struct vminspect_entry *kinds = (const void *)(uintptr_t)scan->kinds;
	uint64_t va = scan->start;
	uint32_t i;

	check(scan->nr_filled <= scan->nr_extents && scan->nr_kinds_filled <= scan->nr_kinds &&
	      scan->nr_kinds_filled <= VMINSPECT_MAX_KINDS, "%u", scan->nr_kinds_filled);
	check(scan->resume > scan->start && scan->resume <= scan->end, "%" PRIx64,
	      (uint64_t)scan->resume);
	if ((const char *)(word + scan->nr_filled) > end)
		return;
	for (i = 0; i < scan->nr_kinds_filled; i++) {
		check_entry(&kinds[i], scan->return_mask);
		check_hidden(scan->hidden, kinds[i].frame | kinds[i].swap_type, "SCAN, a kind");
	}
	for (i = 0; i < scan->nr_filled; i++, word++) {
		uint64_t kind = VMINSPECT_WORD_KIND(*word), number = VMINSPECT_WORD_NUMBER(*word);

		check(kind < scan->nr_kinds_filled || kind == VMINSPECT_WORD_OTHER, "%" PRIx64,
		      *word);
		if (kind >= scan->nr_kinds_filled ||
		    kinds[kind].state == VMINSPECT_STATE_NONE ||
		    kinds[kind].state == VMINSPECT_STATE_UNMAPPED) {
			va += number * SZ_4K;
			continue;
		}
		check_hidden(scan->hidden, number, "SCAN, a word");
		va = (va | ((1ULL << kinds[kind].page_shift) - 1)) + 1;
		if (va > scan->end)
			va = scan->end;
	}
	check(va == scan->resume, "%" PRIx64, va);
	check_untouched((const char *)word, end);
}

static void check_translate(const struct vminspect_translate *request,
			    const struct vminspect_entry *entries, const char *end)
{
	uint32_t i;

	check(request->nr_done && request->nr_done <= request->nr, "%u", request->nr_done);
	if ((const char *)(entries + request->nr_done) > end)
		return;
	for (i = 0; i < request->nr_done; i++) {
		check_entry(&entries[i], request->return_mask);
		check_hidden(request->hidden, entries[i].frame | entries[i].swap_type, "TRANSLATE");
	}
	check_untouched((const char *)(entries + request->nr_done), end);
}

static void check_walk(const struct vminspect_walk *walk)
{
	uint32_t i;

	check_entry(&walk->entry, walk->return_mask | VMINSPECT_RETURN_FRAME);
	check_hidden(walk->hidden, walk->root | walk->entry.frame | walk->entry.swap_type, "WALK");
	check(walk->nr_levels <= VMINSPECT_MAX_LEVELS, "%u", walk->nr_levels);
	for (i = 0; i < VMINSPECT_MAX_LEVELS; i++) {
		const struct vminspect_walk_level *level = &walk->levels[i];

		check_hidden(walk->hidden, level->entry_pa | level->raw, "WALK, a level");
		check(level->index < 512 && level->level <= 5 && level->leaf <= 1, "%u",
		      level->index);
		check(i < walk->nr_levels || !(level->raw | level->entry_pa | level->flags),
		      "level %u of %u", i, walk->nr_levels);
	}
}

static void check_swap(const struct vminspect_swap *area, const char *path, const char *end)
{
	check(!area->reserved && !area->reserved2 && area->kind <= VMINSPECT_SWAP_ZRAM, "%u",
	      area->kind);
	if (area->path) {
		check(strnlen(path, end - path) < area->path_size, "%u", area->path_size);
		check_untouched(path + strlen(path) + 1, end);
	}
}

static void check_guest_walk(const struct vminspect_guest_walk *walk)
{
	check_hidden(walk->hidden, walk->entry.frame | walk->entry.swap_type | walk->nr_nested,
		     "GUEST_WALK");
}

static void check_guest_scan(const struct vminspect_guest_scan *scan,
			     const struct vminspect_guest_extent *extent, const char *end)
{
	uint32_t i;

	check(scan->nr_filled <= scan->nr_extents, "%u", scan->nr_filled);
	if ((const char *)(extent + scan->nr_filled) > end)
		return;
	for (i = 0; i < scan->nr_filled; i++, extent++)
		check(extent->bytes && extent->missing <= VMINSPECT_MISSING_UNREADABLE &&
		      !memcmp(extent->reserved, "\0\0\0\0\0\0", 7), "%" PRIx64,
		      (uint64_t)extent->start);
	check_untouched((const char *)extent, end);
}

/*
 * What the thread opened and bound itself hides what its process may not see. Others' descriptors
 * come and go: these may hide or not, whoever uses them.
 */
static void check_own(const struct call *call, const char *argument)
{
	const uint32_t expected = world.hidden ? VMINSPECT_HIDDEN_CAPABILITY : 0;
	uint32_t hidden = expected;

	switch (commands[call->command].cmd) {
	case VMINSPECT_IOC_INFO:
		hidden = ((const struct vminspect_info *)argument)->hidden;
		break;
	case VMINSPECT_IOC_SCAN:
		hidden = ((const struct vminspect_scan *)argument)->hidden;
		break;
	case VMINSPECT_IOC_TRANSLATE:
		hidden = ((const struct vminspect_translate *)argument)->hidden;
		break;
	case VMINSPECT_IOC_WALK:
		hidden = ((const struct vminspect_walk *)argument)->hidden;
		break;
	case VMINSPECT_IOC_GUEST:
		hidden = ((const struct vminspect_guest *)argument)->hidden;
		break;
	}
	check(hidden == expected, "%s: hidden %x", commands[call->command].name, hidden);
}

static void check_answer(const struct thread *thread, const struct call *call,
			 const char *argument)
{
	const char *out = thread->buffers[1], *end = out + BUFFER;
	struct vminspect_info info;
	size_t i;

	/* answers that something else may have been written over */
	if (call->argument != GOOD || call->buffers[0] != GOOD || call->size < 64)
		return;
	out = end - (array_size(call, 0) < BUFFER ? array_size(call, 0) : BUFFER);
	switch (commands[call->command].cmd) {
	case VMINSPECT_IOC_INFO:
		memcpy(&info, argument, sizeof(info));
		check(info.abi == VMINSPECT_ABI && !info.reserved2, "%u", info.abi);
		i = strnlen(info.version, sizeof(info.version));
		check(i && i < sizeof(info.version), "%zu", i);
		break;
	case VMINSPECT_IOC_SCAN:
		if (call->changed)
			break;
		if (((const struct vminspect_scan *)argument)->flags & VMINSPECT_SCAN_PACKED) {
			/* A shorter structure does not say how many kinds there are. */
			if (call->buffers[1] == GOOD &&
			    call->size >= sizeof(struct vminspect_scan) &&
			    ((const struct vminspect_scan *)argument)->kinds -
			    (uintptr_t)thread->buffers[2] < BUFFER)
				check_words((const void *)argument, (const void *)out, end);
			break;
		}
		check_scan((const void *)argument, (const void *)out, end);
		break;
	case VMINSPECT_IOC_TRANSLATE:
		if (!call->changed)
			check_translate((const void *)argument, (const void *)out, end);
		break;
	case VMINSPECT_IOC_WALK:
		check_walk((const void *)argument);
		break;
	case VMINSPECT_IOC_SWAP:
		if (!call->changed)
			check_swap((const void *)argument, out, end);
		break;
	case VMINSPECT_IOC_GUEST_WALK:
		check_guest_walk((const void *)argument);
		break;
	case VMINSPECT_IOC_GUEST_SCAN:
		if (!call->changed)
			check_guest_scan((const void *)argument, (const void *)out, end);
		break;
	}
}

static bool is_documented(const struct command *command, int error)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(common_errors); i++)
		if (common_errors[i] == error)
			return true;
	for (i = 0; i < ARRAY_LEN(command->errors); i++)
		if (error && command->errors[i] == error)
			return true;
	return false;
}

/*
 * Coverage: what of the kernel's text this thread's calls have reached.
 */
#define COVER_WORDS	(1 << 14)

#define KCOV		"/sys/kernel/debug/kcov"

static uint64_t *coverage_open(void)
{
	int fd = open(KCOV, O_RDWR | O_CLOEXEC);
	uint64_t *words;

	if (fd < 0)
		return NULL;
	if (ioctl(fd, KCOV_INIT_TRACE, COVER_WORDS))
		return NULL;
	words = mmap(NULL, COVER_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		return NULL;
	shared->has_coverage = true;
	return words;
}

static void coverage_forget(void)
{
	shared->nr_corpus = 0;
	memset(shared->pcs, 0, sizeof(shared->pcs));
}

static void coverage_take(const uint64_t *words, const struct call *call)
{
	uint64_t nr = __atomic_load_n(words, __ATOMIC_RELAXED), i, at, new = 0;

	for (i = 1; i <= nr && i < COVER_WORDS; i++) {
		at = mix(words[i]) % PCS;
		if (shared->pcs[at])
			continue;
		shared->pcs[at] = 1;
		new++;
		add(&shared->nr_pcs, !shared->pcs_ever[at]);
		shared->pcs_ever[at] = 1;
	}
	if (!new)
		return;
	add(&shared->nr_kept, 1);
	at = __atomic_fetch_add(&shared->nr_corpus, 1, __ATOMIC_RELAXED) % CORPUS;
	shared->corpus[at] = *call;
}

/* A descriptor that was made goes among the others, or away. */
static void keep(unsigned int cmd, int fd)
{
	if (fd <= 2 || one_in(2))
		close(fd);
	else
		world_put(cmd == VMINSPECT_IOC_EVENTS ? READER : GUEST, fd);
}

/* The thread's own device, by a call that makes sense, has to answer. */
static bool must_answer(const struct thread *thread, const struct call *call, int fd)
{
	const struct command *command = &commands[call->command];

	return fd == thread->own && !call->changed && call->file == DEVICE &&
	       call->size == command->size && call->argument == GOOD &&
	       call->buffers[0] == GOOD && call->buffers[1] == GOOD &&
	       (command->cmd == VMINSPECT_IOC_INFO || command->cmd == VMINSPECT_IOC_SCAN ||
		command->cmd == VMINSPECT_IOC_TRANSLATE || command->cmd == VMINSPECT_IOC_WALK);
}

static void call_run(struct thread *thread)
{
	char argument[SZ_4K], before[SZ_4K], *at;
	const struct command *command;
	struct call call;
	int fd, ret, error;
	size_t size;

	call_make(thread, &call);
	command = &commands[call.command];
	size = call.size < SZ_4K ? call.size : SZ_4K;
	at = place(thread, call.argument, 0, size < 4 ? 4 : size);
	argument_fill(thread, &call, argument);
	memcpy(before, argument, sizeof(before));
	if (call.argument == GOOD || call.argument == SHORT)
		memcpy(at, argument, call.argument == GOOD ? size < 4 ? 4 : size : size / 2);
	fd = call.file == DEVICE && one_in(2) ? thread->own : world_get(call.file);
	if (thread->coverage)
		__atomic_store_n(thread->coverage, 0, __ATOMIC_RELAXED);
	ret = ioctl(fd, command->cmd, at);
	error = ret < 0 ? errno : 0;
	if (thread->coverage)
		coverage_take(thread->coverage, &call);
	thread->calls++;
	if (error) {
		add(&shared->failed[call.command][error < MAX_ERRNO ? error : 0], 1);
		check(is_documented(command, error), "%s: error %d", command->name, error);
		check(!must_answer(thread, &call, fd), "%s: error %d", command->name, error);
		if (call.argument == GOOD && call.buffers[0] != ARGUMENT)
			check(!memcmp(at, before, size), "%s: written to, error %d",
			      command->name, error);
		return;
	}
	add(&shared->done[call.command], 1);
	check(fd >= 0, "%s", command->name);
	if (ret > 0)
		keep(command->cmd, ret);
	if (call.argument == GOOD && call.buffers[0] != ARGUMENT &&
	    call.buffers[1] != ARGUMENT)
		check_answer(thread, &call, at);
	if (fd == thread->own && call.argument == GOOD && call.buffers[0] == GOOD &&
	    call.buffers[1] == GOOD && !call.changed && call.size == command->size)
		check_own(&call, at);
}

/* With flags for which no page is looked at; the others are those of @all. */
static void compare_quick(struct thread *thread, uint64_t va, const struct vminspect_entry *all)
{
	const uint64_t mask = (any() & RETURN_QUICK) | VMINSPECT_RETURN_FRAME;
	struct vminspect_entry entry;
	const char *difference;

	if (device_translate(thread->own, &va, &entry, 1, mask) != 1) {
		fail("own memory in passing: error %d", errno);
		return;
	}
	check(!(entry.flags & ~mask) && !entry.reserved && !entry.reserved2, "%#x", entry.flags);
	entry.flags |= all->flags & ~mask;
	difference = pagemap_differs(&entry, pagemap_entry(thread->pagemap, (void *)va));
	check(!difference, "in passing: %s", difference);
}

/* Own memory, which nobody changes: as pagemap has it. */
static void compare(struct thread *thread)
{
	uint64_t va = (uintptr_t)thread->buffers[below(3)] + SZ_4K * below(BUFFER / SZ_4K);
	struct vminspect_entry entry;
	const char *difference;

	if (device_lookup(thread->own, (void *)va, &entry)) {
		fail("own memory: error %d", errno);
		return;
	}
	difference = pagemap_differs(&entry, pagemap_entry(thread->pagemap, (void *)va));
	check(!difference, "%s", difference);
	compare_quick(thread, va, &entry);
}

static void check_records(const struct vminspect_event *event, ssize_t size)
{
	const struct vminspect_event *end = event + size / sizeof(*event);
	uint64_t last = 0;

	check(size % sizeof(*event) == 0, "%zd", size);
	for (; event < end; event++) {
		check(event->kind < VMINSPECT_NR_EVENTS && event->source < VMINSPECT_NR_SOURCES &&
		      event->as < VMINSPECT_NR_AS && !event->reserved, "kind %u", event->kind);
		check(event->time_ns >= last, "%" PRIu64, (uint64_t)event->time_ns);
		check(strnlen(event->comm, 16) < 16 && strnlen(event->actor_comm, 16) < 16, "%u",
		      event->kind);
		last = event->time_ns;
	}
}

static void read_some(struct thread *thread)
{
	enum file kind = one_in(2) ? READER : TEXT;
	size_t size = one_in(4) ? odd_number() : below(BUFFER);
	char *at = place(thread, any_place(), 1, size);
	int fd = world_get(kind);
	ssize_t ret;

	add(&shared->reads, 1);
	ret = read(fd, at, size);
	if (ret <= 0)
		return;
	check((size_t)ret <= size, "%zd of %zu", ret, size);
	/* the slot may have been another's by then, but no thread has our memory */
	if (kind == READER && at >= thread->buffers[1] && at < thread->buffers[1] + BUFFER &&
	    ret % sizeof(struct vminspect_event) == 0) {
		check_records((void *)at, ret);
		add(&shared->records, ret / sizeof(struct vminspect_event));
	}
}

static void choose_text(void)
{
	char text[64];

	switch (below(3)) {
	case 0:
		snprintf(text, sizeof(text), "%d", world.target);
		break;
	case 1:
		snprintf(text, sizeof(text), "self %#" PRIx64, odd_number());
		break;
	default:
		snprintf(text, sizeof(text), "%" PRIu64 "%c%" PRIx64, odd_number(),
			 (char)any(), odd_number());
	}
	(void)!write(world_get(TEXT), text, one_in(4) ? below(sizeof(text)) : strlen(text));
}

static void pass_on(void)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	char byte = below(GUEST + 1);
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = world_get(byte);

	if (one_in(2)) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		sendmsg(world.socket[0], &message, 0);
		return;
	}
	if (recvmsg(world.socket[1], &message, MSG_CMSG_CLOEXEC) < 1 ||
	    message.msg_controllen < CMSG_LEN(sizeof(int)))
		return;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	world_put(byte, fd);
	add(&shared->passed, 1);
}

static void replace(void)
{
	enum file kind = below(NR_FILES);
	int fd = -1;

	switch (kind) {
	case DEVICE:
		fd = open_device();
		break;
	case TEXT:
		fd = open_text();
		break;
	case OTHER:
		fd = open_other();
		break;
	default:
		fd = fcntl(world_get(kind), F_DUPFD_CLOEXEC, 3);
	}
	if (fd >= 0)
		world_put(kind, fd);
}

static void poll_some(void)
{
	struct pollfd fds = { .fd = world_get(READER), .events = POLLIN };
	char byte;

	poll(&fds, 1, 0);
	(void)!pread(world_get(TEXT), &byte, 1, odd_number());
	lseek(world_get(below(NR_FILES)), odd_number(), SEEK_SET);
	mmap(NULL, SZ_4K, PROT_READ, MAP_SHARED, world_get(below(GUEST + 1)), 0);
}

/* @status of a process: did it end well, or by SIGKILL, if it was @killed? */
static bool ended_well(int status, bool killed)
{
	if (!status || (killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		return true;
	if (WIFSIGNALED(status))
		fail("a process ended by signal %d", WTERMSIG(status));
	else
		fail("a process ended with status %d", WEXITSTATUS(status));
	return false;
}

static void end_child(struct thread *thread)
{
	int status;

	if (thread->child <= 0)
		return;
	kill(thread->child, SIGKILL);
	if (waitpid(thread->child, &status, 0) == thread->child)
		ended_well(status, true);
}

/* A child with all descriptors, that makes some calls and goes on as another program, or dies. */
static void fork_some(struct thread *thread)
{
	static char argument[SZ_4K];
	int i;

	end_child(thread);
	thread->child = fork();
	if (thread->child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	thread->coverage = NULL;
	for (i = 0; i < 20; i++) {
		const struct command *command = &commands[below(NR_COMMANDS)];

		*(uint32_t *)argument = command->size;
		ioctl(world_get(command->on), command->cmd, argument);
		ioctl(thread->own, command->cmd, argument);
	}
	if (one_in(2))
		execl("/bin/true", "true", NULL);
	_exit(0);
}

static void vanish(void)
{
	char *at = world.vanishing + SZ_4K * below(512);

	switch (below(4)) {
	case 0:
		munmap(at, SZ_4K);
		break;
	case 1:
		mprotect(at, SZ_4K, PROT_READ);
		break;
	case 2:
		madvise(at, SZ_4K, MADV_DONTNEED);
		break;
	default:
		mmap(at, SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
	}
	if (one_in(16))
		madvise(world.vanishing, SZ_2M, MADV_PAGEOUT);
}

static bool thread_init(struct thread *thread)
{
	int i;

	for (i = 0; i < 3; i++)
		thread->buffers[i] = buffer_make();
	thread->read_only = mmap(NULL, BUFFER, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	thread->protected = mmap(NULL, BUFFER, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	thread->pagemap = pagemap_open(getpid());
	thread->own = device_bound(getpid());
	thread->coverage = coverage_open();
	return thread->buffers[0] && thread->buffers[1] && thread->buffers[2] &&
	       thread->own >= 0 && thread->pagemap >= 0;
}

struct start {
	uint64_t seed;
	uint64_t calls;
};

static void *thread_run(void *arg)
{
	const struct start *start = arg;
	struct thread thread = { 0 };

	sequence = start->seed;
	if (!thread_init(&thread)) {
		fail("a thread could not be set up, errno %d", errno);
		return NULL;
	}
	while (thread.calls < start->calls && !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		switch (below(256)) {
		case 0:
			replace();
			break;
		case 1:
			pass_on();
			break;
		case 2:
		case 3:
			poll_some();
			break;
		case 4 ... 15:
			read_some(&thread);
			break;
		case 16:
			choose_text();
			break;
		case 17 ... 20:
			vanish();
			break;
		case 21 ... 24:
			compare(&thread);
			break;
		case 25:
			if (one_in(8)) {
				fork_some(&thread);
				add(&shared->forks, 1);
			}
			break;
		default:
			call_run(&thread);
		}
	}
	add(&shared->calls, thread.calls);
	end_child(&thread);
	return NULL;
}

static void interrupt(int number)
{
	(void)number;
}

/*
 * With the descriptors that root has opened, but the devices: those are its own. The pagemap stays
 * root's, or it could look at nothing but itself.
 */
static bool become_user(void)
{
	int i;

	if (setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER) ||
	    prctl(PR_SET_DUMPABLE, 1))
		return false;
	world.hidden = true;
	for (i = 0; i < SLOTS; i++) {
		close(world.files[DEVICE][i]);
		world.files[DEVICE][i] = open_device();
		if (world.files[DEVICE][i] < 0)
			return false;
	}
	return true;
}

/* Signals come all the time, and end a read that waits. */
static void process_run(uint64_t seed, bool as_user)
{
	struct itimerval timer = { .it_interval.tv_usec = 5000, .it_value.tv_usec = 5000 };
	struct sigaction action = { .sa_handler = interrupt };
	struct start starts[THREADS];
	pthread_t threads[THREADS];
	sigset_t alarm;
	int i;

	if (as_user && !become_user())
		fail("no user's process, errno %d", errno);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (i = 0; i < THREADS; i++) {
		starts[i].seed = mix(seed + i);
		starts[i].calls = ROUND_CALLS / PROCESSES / THREADS;
		pthread_create(&threads[i], NULL, thread_run, &starts[i]);
	}
	/* They are for those that call, in turn: this one would take them all. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/* Return: whether all ended as they should */
static bool round_run(uint64_t seed)
{
	static uint64_t lasted = 1000000;
	uint64_t begun = now_us();
	pid_t pids[PROCESSES];
	bool good = true, killed;
	int i, status;

	sequence = mix(seed);
	coverage_forget();
	i = world_make();
	if (i) {
		fail("the round's files could not be made: error %d", -i);
		return false;
	}
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i])
			process_run(mix(seed) + (i + 1) * THREADS, i == PROCESSES - 1);
	}
	/* The target dies in the middle; and sometimes one of those that call. */
	usleep(below(lasted));
	kill(world.target, SIGKILL);
	killed = one_in(4);
	if (killed) {
		kill(pids[0], SIGKILL);
		add(&shared->kills, 1);
	}
	for (i = 0; i < PROCESSES; i++) {
		if (waitpid(pids[i], &status, 0) != pids[i])
			fail("a process can't be waited for, errno %d", errno);
		else
			good &= ended_well(status, killed && !i);
	}
	lasted = now_us() - begun;
	world_drop();
	return good && !shared->nr_failures;
}

FIXTURE(fuzz)
{
	uint64_t seed, calls;
	bool with_guests;
};

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

FIXTURE_SETUP(fuzz)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	self->seed = environment("VMINSPECT_SEED", time(NULL));
	self->calls = environment("VMINSPECT_CALLS", 1000000);
	self->with_guests = !kvm_guest_make(&world.guest);
	ASSERT_EQ(0, chmod("/dev/vminspect", 0666));
}

FIXTURE_TEARDOWN(fuzz)
{
	if (self->with_guests)
		kvm_guest_drop(&world.guest);
}

static void report(struct __test_metadata *_metadata)
{
	size_t i, error;

	for (i = 0; i < NR_COMMANDS; i++) {
		char text[4096] = "";
		size_t at = 0;

		for (error = 0; error < MAX_ERRNO && at < sizeof(text); error++)
			if (shared->failed[i][error])
				at += snprintf(text + at, sizeof(text) - at, " %s %" PRIu64,
					       strerrorname_np(error) ?: "?",
					       shared->failed[i][error]);
		TH_LOG("%-12s %" PRIu64 " answered,%s", commands[i].name, shared->done[i], text);
	}
	TH_LOG("%" PRIu64 " reads, %" PRIu64 " records, %" PRIu64 " forks, %" PRIu64
	       " descriptors handed on, %" PRIu64 " killed, %" PRIu64 " times hidden",
	       shared->reads, shared->records, shared->forks, shared->passed, shared->kills,
	       shared->nr_hidden);
	if (shared->has_coverage)
		TH_LOG("%" PRIu64 " places of the kernel's text reached, %" PRIu64 " calls kept",
		       shared->nr_pcs, shared->nr_kept);
}

/* As much as there was before, but for what the kernel keeps of its own: caches, dead cgroups. */
#define NOISE_KB	8192

TEST_F_TIMEOUT(fuzz, every_answer_is_right_or_an_error_that_is_documented, TIMEOUT)
{
	uint64_t round = 0, i;
	bool good = true;
	long slab = 0;

	TH_LOG("seed %" PRIu64 ", %" PRIu64 " calls", self->seed, self->calls);
	while (good && shared->calls < self->calls) {
		good = round_run(self->seed + round);
		if (!good)
			TH_LOG("round %" PRIu64 ": VMINSPECT_SEED=%" PRIu64 " VMINSPECT_CALLS=1",
			       round, self->seed + round);
		/* the first rounds fill caches */
		if (round++ == 2)
			slab = meminfo_kb("SUnreclaim");
	}
	for (i = 0; i < MAX_FAILURES && i < shared->nr_failures; i++)
		TH_LOG("%s", shared->failures[i]);
	report(_metadata);
	EXPECT_EQ(0, shared->nr_failures);
	EXPECT_TRUE(good);
	/* It has to get past the checks at the door, too. */
	for (i = 0; i < NR_COMMANDS && self->calls >= 10000; i++)
		if (self->with_guests || (commands[i].on != GUEST &&
					  commands[i].cmd != VMINSPECT_IOC_GUEST))
			EXPECT_LT(0, shared->done[i])
				TH_LOG("%s never answered", commands[i].name);
	EXPECT_LT(0, shared->nr_hidden);
	/* A kernel that tells what was reached is to be asked: calls go by that. */
	if (!access(KCOV, F_OK)) {
		EXPECT_TRUE(shared->has_coverage);
		EXPECT_LT(self->calls < 10000 ? 100 : 1000, shared->nr_pcs);
		EXPECT_LT(0, shared->nr_kept);
	}
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load(""));	/* the device is root's again */
	if (slab)
		EXPECT_GT(slab + NOISE_KB, meminfo_kb("SUnreclaim"))
			TH_LOG("%ld KiB after the third round", slab);
}

TEST_HARNESS_MAIN
