// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: no reply holds an address of the kernel's, or a byte that was not written for it, and a
 * program that gained rights when it was executed is not looked into by who started it. Of guests
 * Yama decides. (Who sees frames, users of namespaces: ./privilege.c.)
 *
 * machines: attack
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "common.h"
#include "kvm.h"
#include "recorder.h"

#define TIMEOUT		300
#define USER		12345
#define MAX_REPLY	65536
#define RANGE_END	0x7ffffffff000ULL

/* A command as it is called here, and where its array lies if it has one. */
struct request {
	const char *name;
	unsigned int cmd;
	size_t size;
	size_t array_size;	/* of what is filled, by how many its nr_filled says */
	int fd;			/* FRESH: a device that is opened for it, and not bound */
	uint64_t mask;		/* what is asked for of pages */
};

enum { DEVICE, READER, GUEST_FD, FRESH };

struct reply {
	char argument[2048] __attribute__((aligned(8)));
	char array[MAX_REPLY] __attribute__((aligned(8)));
};

FIXTURE(hostile)
{
	pid_t zoo;
	int device, reader, guest_fd, pagemap;
	struct kvm_guest guest;
	bool with_guest;
	uint64_t va;
};

static int first_mapping(const struct mapping *mapping, void *arg)
{
	*(uint64_t *)arg = mapping->start;
	return mapping->rss ? 1 : 0;
}

FIXTURE_SETUP(hostile)
{
	struct vminspect_guest guest = { .size = sizeof(guest), .mem_fd = -1 };
	struct vminspect_events events = request_all(ALL_KINDS);

	ASSERT_EQ(0, hugetlb_reserve(SZ_2M, 4));
	self->zoo = zoo_start();
	ASSERT_LT(0, self->zoo);
	ASSERT_EQ(0, process_stop(self->zoo));
	each_mapping(self->zoo, first_mapping, &self->va);
	self->device = device_bound(self->zoo);
	ASSERT_LE(0, self->device);
	self->pagemap = pagemap_open(self->zoo);
	ASSERT_LE(0, self->pagemap);
	events.flags = VMINSPECT_EVENTS_NONBLOCK;
	self->reader = events_open(self->device, &events);
	ASSERT_LE(0, self->reader);
	self->with_guest = !kvm_guest_make(&self->guest);
	guest.vm_fd = self->guest.vm;
	self->guest_fd = self->with_guest ?
		ioctl(self->device, VMINSPECT_IOC_GUEST, &guest) : -1;
}

FIXTURE_TEARDOWN(hostile)
{
	close(self->device);
	close(self->pagemap);
	close(self->reader);
	close(self->guest_fd);
	if (self->with_guest)
		kvm_guest_drop(&self->guest);
	process_end(self->zoo);
}

enum {
	INFO, BIND, SCAN, SCAN_QUICK, SCAN_FRAMES, SCAN_PAGES, SCAN_PAGES_QUICK, SCAN_WORDS,
	SCAN_WORDS_QUICK, SCAN_KINDS, SCAN_KINDS_QUICK, TRANSLATE, TRANSLATE_QUICK,
	TRANSLATE_FRAMES, WALK, SWAP, EVENTS, STATE, GUEST, SLOT, VCPU, GUEST_WALK, GUEST_SCAN,
	NR_REQUESTS
};

static const struct request requests[NR_REQUESTS];

/* Of words the array is these, or their kinds: the other one is elsewhere. */
static void fill_words(int nr, struct reply *reply)
{
	static uint64_t words[MAX_REPLY / sizeof(uint64_t)];
	static struct vminspect_entry kinds[VMINSPECT_MAX_KINDS];
	struct vminspect_scan *scan = (void *)reply->argument;
	bool of_kinds = nr >= SCAN_KINDS;

	scan->flags = VMINSPECT_SCAN_PACKED;
	scan->extents = of_kinds ? (uintptr_t)words : (uintptr_t)reply->array;
	scan->extent_size = sizeof(words[0]);
	scan->nr_extents = ARRAY_LEN(words);
	scan->split_mask = 0;
	scan->kinds = of_kinds ? (uintptr_t)reply->array : (uintptr_t)kinds;
	scan->nr_kinds = ARRAY_LEN(kinds);
}

static void fill_request(struct _test_data_hostile *self, int nr, struct reply *reply)
{
	static uint64_t addresses[256];
	struct vminspect_translate *translate = (void *)reply->argument;
	struct vminspect_guest_scan *guest_scan = (void *)reply->argument;
	struct vminspect_guest_walk *guest_walk = (void *)reply->argument;
	struct vminspect_events *events = (void *)reply->argument;
	struct vminspect_guest_slot *slot = (void *)reply->argument;
	struct vminspect_guest *guest = (void *)reply->argument;
	struct vminspect_bind *bind = (void *)reply->argument;
	struct vminspect_scan *scan = (void *)reply->argument;
	struct vminspect_walk *walk = (void *)reply->argument;
	struct vminspect_swap *swap = (void *)reply->argument;
	size_t i;

	switch (nr) {
	case BIND:
		bind->fd = self->pagemap;
		bind->flags = 0;
		break;
	case SCAN ... SCAN_KINDS_QUICK:
		scan->flags = nr < SCAN_PAGES ? 0 : VMINSPECT_SCAN_PAGES;
		scan->start = 0;
		scan->end = RANGE_END;
		scan->extents = (uintptr_t)reply->array;
		scan->extent_size = sizeof(struct vminspect_extent);
		scan->nr_extents = MAX_REPLY / sizeof(struct vminspect_extent);
		scan->category_inverted = 0;
		scan->category_mask = 0;
		scan->category_anyof_mask = STATES_WITH_ENTRY;
		scan->return_mask = requests[nr].mask;
		scan->split_mask = requests[nr].mask & VMINSPECT_PAGE_FLAGS;
		scan->kinds = 0;
		scan->nr_kinds = 0;
		if (nr >= SCAN_WORDS)
			fill_words(nr, reply);
		break;
	case TRANSLATE ... TRANSLATE_FRAMES:
		for (i = 0; i < ARRAY_LEN(addresses); i++)
			addresses[i] = self->va + i * SZ_4K;
		translate->flags = 0;
		translate->addresses = (uintptr_t)addresses;
		translate->entries = (uintptr_t)reply->array;
		translate->nr = ARRAY_LEN(addresses);
		translate->entry_size = sizeof(struct vminspect_entry);
		translate->return_mask = requests[nr].mask;
		break;
	case WALK:
		walk->flags = 0;
		walk->va = self->va;
		walk->return_mask = VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_NODE;
		break;
	case SWAP:
		swap->flags = 0;
		swap->path = (uintptr_t)reply->array;
		swap->path_size = 4096;
		swap->type = 0;
		break;
	case EVENTS:
		events->flags = 0;
		events->scope = VMINSPECT_SCOPE_ALL;
		events->kinds = ALL_KINDS;
		events->pid = 0;
		events->cgroup_fd = 0;
		events->record_size = sizeof(struct vminspect_event);
		events->ring_records = 0;
		memset(events->reserved, 0, sizeof(events->reserved));
		break;
	case STATE:
		((struct vminspect_events_state *)reply->argument)->flags = 0;
		break;
	case GUEST:
		guest->flags = 0;
		guest->vm_fd = self->guest.vm;
		guest->mem_fd = -1;
		guest->reserved = 0;
		break;
	case SLOT:
		slot->flags = 0;
		slot->gpa = 0;
		slot->address_space = 0;
		slot->reserved = 0;
		break;
	case VCPU:
		((struct vminspect_guest_vcpu *)reply->argument)->vcpu = 0;
		memset(((struct vminspect_guest_vcpu *)reply->argument)->reserved, 0, 7);
		break;
	case GUEST_WALK:
		guest_walk->flags = 0;
		guest_walk->address = KVM_CODE;
		guest_walk->cr3 = 0;
		guest_walk->vcpu = 0;
		guest_walk->mode = 0;
		guest_walk->address_space = 0;
		memset(guest_walk->reserved, 0, sizeof(guest_walk->reserved));
		break;
	case GUEST_SCAN:
		memset(guest_scan, 0, sizeof(*guest_scan));
		guest_scan->extents = (uintptr_t)reply->array;
		guest_scan->nr_extents = MAX_REPLY / sizeof(struct vminspect_guest_extent);
		guest_scan->extent_size = sizeof(struct vminspect_guest_extent);
		break;
	}
}

/* By looking at pages, and in passing. */
#define EVERYTHING	(RETURN_ALL | VMINSPECT_RETURN_NODE)
#define SCANS(name, mask)						\
	{ name, VMINSPECT_IOC_SCAN, sizeof(struct vminspect_scan), 0, DEVICE, mask }
#define TRANSLATES(name, mask)						\
	{ name, VMINSPECT_IOC_TRANSLATE, sizeof(struct vminspect_translate),	\
	  256 * sizeof(struct vminspect_entry), DEVICE, mask }

static const struct request requests[NR_REQUESTS] = {
	[INFO] = { "INFO", VMINSPECT_IOC_INFO, sizeof(struct vminspect_info), 0, DEVICE },
	[BIND] = { "BIND", VMINSPECT_IOC_BIND, sizeof(struct vminspect_bind), 0, FRESH },
	[SCAN] = SCANS("SCAN", EVERYTHING),
	[SCAN_QUICK] = SCANS("SCAN_QUICK", RETURN_QUICK),
	[SCAN_FRAMES] = SCANS("SCAN_FRAMES", VMINSPECT_RETURN_FRAME),
	[SCAN_PAGES] = SCANS("SCAN_PAGES", EVERYTHING),
	[SCAN_PAGES_QUICK] = SCANS("SCAN_PAGES_QUICK", RETURN_QUICK),
	[SCAN_WORDS] = SCANS("SCAN_WORDS", EVERYTHING),
	[SCAN_WORDS_QUICK] = SCANS("SCAN_WORDS_QUICK", RETURN_QUICK),
	[SCAN_KINDS] = SCANS("SCAN_KINDS", EVERYTHING),
	[SCAN_KINDS_QUICK] = SCANS("SCAN_KINDS_QUICK", RETURN_QUICK),
	[TRANSLATE] = TRANSLATES("TRANSLATE", EVERYTHING),
	[TRANSLATE_QUICK] = TRANSLATES("TRANSLATE_QUICK", RETURN_QUICK),
	[TRANSLATE_FRAMES] = TRANSLATES("TRANSLATE_FRAMES", VMINSPECT_RETURN_FRAME),
	[WALK] = { "WALK", VMINSPECT_IOC_WALK, sizeof(struct vminspect_walk), 0, DEVICE },
	[SWAP] = { "SWAP", VMINSPECT_IOC_SWAP, sizeof(struct vminspect_swap), 0, DEVICE },
	[EVENTS] = { "EVENTS", VMINSPECT_IOC_EVENTS, sizeof(struct vminspect_events), 0, FRESH },
	[STATE] = { "EVENTS_STATE", VMINSPECT_IOC_EVENTS_STATE,
		    sizeof(struct vminspect_events_state), 0, READER },
	[GUEST] = { "GUEST", VMINSPECT_IOC_GUEST, sizeof(struct vminspect_guest), 0, FRESH },
	[SLOT] = { "GUEST_SLOT", VMINSPECT_IOC_GUEST_SLOT, sizeof(struct vminspect_guest_slot),
		   0, GUEST_FD },
	[VCPU] = { "GUEST_VCPU", VMINSPECT_IOC_GUEST_VCPU, sizeof(struct vminspect_guest_vcpu),
		   0, GUEST_FD },
	[GUEST_WALK] = { "GUEST_WALK", VMINSPECT_IOC_GUEST_WALK,
			 sizeof(struct vminspect_guest_walk), 0, GUEST_FD },
	[GUEST_SCAN] = { "GUEST_SCAN", VMINSPECT_IOC_GUEST_SCAN,
			 sizeof(struct vminspect_guest_scan), 0, GUEST_FD },
};

static bool takes_a_guest(int nr)
{
	return requests[nr].fd == GUEST_FD || nr == GUEST;
}

/* How many bytes of the array were said to be filled. */
static size_t array_filled(int nr, const struct reply *reply)
{
	switch (nr) {
	case SCAN ... SCAN_PAGES_QUICK:
		return ((const struct vminspect_scan *)reply->argument)->nr_filled *
		       sizeof(struct vminspect_extent);
	case SCAN_WORDS:
	case SCAN_WORDS_QUICK:
		return ((const struct vminspect_scan *)reply->argument)->nr_filled *
		       sizeof(uint64_t);
	case SCAN_KINDS:
	case SCAN_KINDS_QUICK:
		return ((const struct vminspect_scan *)reply->argument)->nr_kinds_filled *
		       sizeof(struct vminspect_entry);
	case GUEST_SCAN:
		return ((const struct vminspect_guest_scan *)reply->argument)->nr_filled *
		       sizeof(struct vminspect_guest_extent);
	case SWAP:
		return strlen(reply->array) + 1;
	default:
		return requests[nr].array_size;
	}
}

/* The reply to a request whose members that are only told were @dirt before. 0 or -errno. */
static int ask(struct _test_data_hostile *self, int nr, uint8_t dirt, struct reply *reply)
{
	const int fds[] = { self->device, self->reader, self->guest_fd, -1 };
	static struct reply asked;	/* addresses are part of it: always the same ones */
	int fd = fds[requests[nr].fd], made;

	memset(&asked, dirt, sizeof(asked));
	fill_request(self, nr, &asked);
	if (requests[nr].size > sizeof(asked.argument))
		return -E2BIG;
	*(uint32_t *)asked.argument = requests[nr].size;
	if (requests[nr].fd == FRESH)
		fd = device_open();
	made = ioctl(fd, requests[nr].cmd, asked.argument);
	if (made < 0)
		made = -errno;
	if (requests[nr].fd == FRESH)
		close(fd);
	*reply = asked;
	if (made > 0)		/* a descriptor */
		close(made);
	return made < 0 ? made : 0;
}

/*
 * Of the kernel's half (Documentation/x86/x86_64/mm.rst), with tables of four levels or five, but
 * for what stands for "none", which is -1 or VMINSPECT_UNKNOWN, and a node of -1 with another
 * member below it.
 */
static bool is_kernel_address(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return (word >= 0xff00000000000000 && word < 0xffffffff00000000) ||
	       (word >= 0xffffffff80000000 && word < 0xfffffffffffff000);
}

/* Of words those that stand for pages not selected say no more than how many. */
static void forget_counts(int nr, struct reply *reply)
{
	uint64_t *words = (uint64_t *)reply->array;
	size_t i;

	if (nr != SCAN_WORDS && nr != SCAN_WORDS_QUICK)
		return;
	for (i = 0; i < array_filled(nr, reply) / sizeof(*words); i++)
		if (VMINSPECT_WORD_KIND(words[i]) == VMINSPECT_WORD_OTHER &&
		    VMINSPECT_WORD_NUMBER(words[i]) <= RANGE_END / SZ_4K)
			words[i] = 0;
}

static const char *kernel_address_in(const char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i + 8 <= size; i += 8)
		if (is_kernel_address(bytes + i))
			return bytes + i;
	return NULL;
}

TEST_F_TIMEOUT(hostile, no_reply_holds_an_address_of_the_kernel, TIMEOUT)
{
	static struct reply reply;
	const char *at;
	int nr;

	for (nr = 0; nr < NR_REQUESTS; nr++) {
		if (takes_a_guest(nr) && !self->with_guest)
			continue;
		ASSERT_EQ(0, ask(self, nr, 0, &reply))
			TH_LOG("%s", requests[nr].name);
		at = kernel_address_in(reply.argument, requests[nr].size);
		EXPECT_EQ(NULL, at)
			TH_LOG("%s: at byte %zu", requests[nr].name, (size_t)(at - reply.argument));
		forget_counts(nr, &reply);
		at = kernel_address_in(reply.array, array_filled(nr, &reply));
		EXPECT_EQ(NULL, at)
			TH_LOG("%s: at byte %zu of the array", requests[nr].name,
			       (size_t)(at - reply.array));
	}
}

/*
 * Whatever stood in the caller's memory, and whatever command left the kernel's stack as it is: a
 * byte that differs was not written. The target is stopped, so that nothing else differs.
 */
TEST_F_TIMEOUT(hostile, each_byte_of_a_reply_is_written, TIMEOUT)
{
	static struct reply first, again, other;
	size_t filled, i;
	int nr, before;

	for (nr = 0; nr < NR_REQUESTS; nr++) {
		if (takes_a_guest(nr) && !self->with_guest)
			continue;
		ASSERT_EQ(0, ask(self, nr, 0x00, &first));
		for (before = 0; before < NR_REQUESTS; before++) {
			ask(self, before, 0x5a, &other);
			ASSERT_EQ(0, ask(self, nr, before % 2 ? 0xff : 0xa5, &again))
				TH_LOG("%s", requests[nr].name);
			if (nr == SWAP)		/* other processes may swap */
				((struct vminspect_swap *)again.argument)->used =
					((struct vminspect_swap *)first.argument)->used;
			for (i = 0; i < requests[nr].size; i++)
				if (first.argument[i] != again.argument[i])
					break;
			EXPECT_EQ(requests[nr].size, i)
				TH_LOG("%s: byte %zu after %s", requests[nr].name, i,
				       requests[before].name);
			filled = array_filled(nr, &first);
			EXPECT_EQ(filled, array_filled(nr, &again));
			EXPECT_EQ(0, memcmp(first.array, again.array, filled))
				TH_LOG("%s: the array after %s", requests[nr].name,
				       requests[before].name);
		}
	}
}

/* Names have nothing behind their end, and numbers are none of the kernel's addresses. */
TEST_F_TIMEOUT(hostile, no_record_holds_what_is_not_told, TIMEOUT)
{
	static struct vminspect_event events[4096];
	char *map = map_small(SZ_2M);
	size_t nr, i, k;
	ssize_t size;

	ASSERT_NE(NULL, map);
	for (i = 0; i < 4; i++) {
		memset(map, 1 + i, SZ_2M);
		ASSERT_EQ(0, page_out(map, SZ_2M));
		drop_swap_cache();
		touch(map, SZ_2M);
	}
	memset(events, 0xa5, sizeof(events));
	size = read(self->reader, events, sizeof(events));
	ASSERT_LT(0, size);
	nr = size / sizeof(events[0]);
	EXPECT_LT(500, nr);
	for (i = 0; i < nr; i++) {
		for (k = strnlen(events[i].comm, 16); k < 16; k++)
			ASSERT_EQ(0, events[i].comm[k]);
		for (k = strnlen(events[i].actor_comm, 16); k < 16; k++)
			ASSERT_EQ(0, events[i].actor_comm[k]);
		ASSERT_EQ(0, events[i].reserved);
		ASSERT_EQ(NULL, kernel_address_in((const char *)&events[i], sizeof(events[i])));
	}
}

static void swap_a_little(void)
{
	char *map = map_small(64 * SZ_4K);

	memset(map, 1, 64 * SZ_4K);
	page_out(map, 64 * SZ_4K);
	drop_swap_cache();
	touch(map, 64 * SZ_4K);
	munmap(map, 64 * SZ_4K);
}

/* "0xff" and fourteen digits more, or without its prefix. Of events, those there are by then. */
TEST_F_TIMEOUT(hostile, no_text_holds_an_address_of_the_kernel, TIMEOUT)
{
	static const char *const names[] = { "info", "maps", "walk", "guests", "stats",
					     "events" };
	static char text[1 << 20];
	char path[64], choice[64];
	size_t i, size;
	ssize_t ret;
	char *at;
	int fd;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/vminspect/%s", names[i]);
		fd = open(path, O_RDWR | O_NONBLOCK);
		if (fd < 0)
			fd = open(path, O_RDONLY | O_NONBLOCK);
		ASSERT_LE(0, fd);
		snprintf(choice, sizeof(choice), "%d%s", self->zoo,
			 strcmp(names[i], "walk") ? "" : " 0x400000");
		(void)!write(fd, choice, strlen(choice));
		if (!strcmp(names[i], "events"))
			swap_a_little();
		size = 0;
		while ((ret = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
			size += ret;
		text[size] = '\0';
		EXPECT_LT(strcmp(names[i], "events") ? 0 : 4096, size);
		EXPECT_EQ(size, strlen(text));
		for (at = strstr(text, "ff"); at; at = strstr(at + 1, "ff"))
			EXPECT_TRUE((at > text && isxdigit(at[-1])) ||
				    strspn(at, "0123456789abcdef") < 16)
				TH_LOG("%s: at byte %td", names[i], at - text);
		close(fd);
	}
}

/*
 * A user's VMM, and another process of that user. Who looks into its guest is decided where the
 * VMM's /proc/PID/mem is opened: by PTRACE_MODE_ATTACH, which Yama restricts.
 */
#define YAMA	"/proc/sys/kernel/yama/ptrace_scope"

struct vmm {
	bool consents;		/* to be attached to by everybody of its user */
	int vm, own_mem;
	pid_t pid;
};

struct look {
	int vm;
	int handed_mem;		/* that the VMM opened itself */
	pid_t pid;
	int opened;		/* errno of opening the VMM's memory */
	int asked;		/* errno of asking for the guest with that, if it was opened */
	int asked_without;	/* ... without any */
	int asked_handed;	/* ... with what the VMM opened */
	uint32_t hidden;
};

static int become_user(void)
{
	return setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER) ||
	       prctl(PR_SET_DUMPABLE, 1);
}

static void vmm_live(void *arg)
{
	struct kvm_guest guest;
	struct vmm *vmm = arg;

	if (kvm_guest_make(&guest) || become_user() ||
	    (vmm->consents && prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)))
		_exit(1);
	vmm->vm = guest.vm;
	vmm->own_mem = open("/proc/self/mem", O_RDONLY);
}

static int errno_of_guest(int device, const struct look *look, int mem, uint32_t *hidden)
{
	struct vminspect_guest guest = { .size = sizeof(guest), .vm_fd = look->vm, .mem_fd = mem };
	int fd = ioctl(device, VMINSPECT_IOC_GUEST, &guest);

	if (fd < 0)
		return errno;
	*hidden = guest.hidden;
	close(fd);
	return 0;
}

static int look_at_vmm(void *arg)
{
	struct look *look = arg;
	char path[64];
	int device, mem;

	if (become_user())
		return 1;
	device = device_open();
	if (device < 0)
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/mem", look->pid);
	mem = open(path, O_RDONLY);
	look->opened = mem < 0 ? errno : 0;
	if (mem >= 0)
		look->asked = errno_of_guest(device, look, mem, &look->hidden);
	look->asked_without = errno_of_guest(device, look, -1, &look->hidden);
	look->asked_handed = errno_of_guest(device, look, look->handed_mem, &look->hidden);
	return 0;
}

static int fd_of(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	close(pidfd);
	return ret;
}

static void *shared_memory(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

FIXTURE(yama)
{
	char before[16];
	struct vmm *vmm;
	struct look *look;
};

FIXTURE_VARIANT(yama)
{
	const char *scope;
	bool consents;
	int opened;
};

FIXTURE_VARIANT_ADD(yama, scope_0)
{
	.scope = "0",
};

/* Those whose parent is not the one who looks. */
FIXTURE_VARIANT_ADD(yama, scope_1)
{
	.scope = "1",
	.opened = EACCES,
};

FIXTURE_VARIANT_ADD(yama, scope_1_with_consent)
{
	.scope = "1",
	.consents = true,
};

FIXTURE_VARIANT_ADD(yama, scope_2)
{
	.scope = "2",
	.consents = true,
	.opened = EACCES,
};

FIXTURE_SETUP(yama)
{
	if (read_file(YAMA, self->before, sizeof(self->before)) <= 0)
		SKIP(return, "this kernel has no Yama");
	self->vmm = shared_memory(sizeof(*self->vmm));
	self->look = shared_memory(sizeof(*self->look));
	ASSERT_NE(NULL, self->vmm);
	ASSERT_NE(NULL, self->look);
	self->vmm->consents = variant->consents;
	self->vmm->pid = child_stopped(vmm_live, self->vmm);
	if (self->vmm->pid < 0)
		SKIP(return, "this machine lacks KVM");
	ASSERT_EQ(0, chmod("/dev/vminspect", 0666));
	ASSERT_EQ(0, write_file(YAMA, variant->scope));
}

FIXTURE_TEARDOWN(yama)
{
	if (*self->before)
		write_file(YAMA, self->before);
	chmod("/dev/vminspect", 0600);
	if (self->vmm && self->vmm->pid > 0)
		process_end(self->vmm->pid);
}

TEST_F_TIMEOUT(yama, decides_who_looks_into_a_guest, TIMEOUT)
{
	struct look *look = self->look;

	*look = (struct look){
		.pid = self->vmm->pid,
		.vm = fd_of(self->vmm->pid, self->vmm->vm),
		.handed_mem = fd_of(self->vmm->pid, self->vmm->own_mem),
	};
	ASSERT_LE(0, look->vm);
	ASSERT_LE(0, look->handed_mem);
	ASSERT_EQ(0, child_run(look_at_vmm, look));
	EXPECT_EQ(variant->opened, look->opened);
	EXPECT_EQ(0, look->asked);
	EXPECT_EQ(EPERM, look->asked_without);
	EXPECT_EQ(0, look->asked_handed);
	EXPECT_EQ(VMINSPECT_HIDDEN_CAPABILITY, look->hidden);
	close(look->vm);
	close(look->handed_mem);
}

/*
 * A program that sets its user: who started it had the right to look until then.
 */
static const char program[] = "/tmp/hostile-program";

static int make_program(void)
{
	char command[128];

	snprintf(command, sizeof(command), "cp /bin/sleep %s && chmod 4755 %s", program, program);
	return system(command);
}

struct attempt {
	int pagemap;		/* opened before */
	int device;		/* and bound before */
	int opened;		/* errno of opening it after */
	int bound;		/* errno of binding the one opened before */
	int scanned;		/* errno of looking through what was bound before */
	bool became_root;
};

static bool is_of_root(pid_t pid)
{
	char path[64];
	struct stat stat;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !lstat(path, &stat) && access(path, R_OK);
}

static int look_into_setuid_program(void *arg)
{
	struct attempt *attempt = arg;
	struct vminspect_entry entry;
	int go[2], device;
	char byte;
	pid_t pid;

	if (become_user() || pipe2(go, O_CLOEXEC))
		return 1;
	pid = fork();
	if (!pid) {
		(void)!read(go[0], &byte, 1);
		execl(program, program, "100", NULL);
		_exit(1);
	}
	attempt->pagemap = pagemap_open(pid);
	attempt->device = device_open();
	if (attempt->pagemap < 0 || attempt->device < 0 ||
	    device_bind(attempt->device, attempt->pagemap) ||
	    device_lookup(attempt->device, &byte, &entry))
		return 2;
	(void)!write(go[1], "", 1);
	while (!is_of_root(pid))
		usleep(1000);
	attempt->became_root = true;
	attempt->opened = -pagemap_open(pid);
	device = device_open();
	attempt->bound = -device_bind(device, attempt->pagemap);
	attempt->scanned = -device_lookup(attempt->device, &byte, &entry);
	kill(pid, SIGKILL);
	return 0;
}

TEST_F_TIMEOUT(hostile, program_that_sets_its_user_is_not_looked_into, TIMEOUT)
{
	struct attempt *attempt = shared_memory(sizeof(*attempt));

	ASSERT_NE(NULL, attempt);
	ASSERT_EQ(0, make_program());
	ASSERT_EQ(0, chmod("/dev/vminspect", 0666));
	EXPECT_EQ(0, child_run(look_into_setuid_program, attempt));
	EXPECT_EQ(0, chmod("/dev/vminspect", 0600));
	unlink(program);
	EXPECT_TRUE(attempt->became_root);
	EXPECT_EQ(EACCES, attempt->opened);
	EXPECT_EQ(ESRCH, attempt->bound);
	EXPECT_EQ(ESRCH, attempt->scanned);
}

TEST_HARNESS_MAIN
