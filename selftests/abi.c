// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: the rules that uapi/vminspect.h sets for every command hold: structures of
 * any size, arguments of any kind, errors; INFO says what this machine is; what is
 * bound is an address space, for as long as somebody runs in it, and no longer.
 *
 * machines: default la57 cpu1 cpu4
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "common.h"

/* A caller's structure is put before this many pages, and what lies behind varies. */
#define ARGUMENT_PAGES	2

union argument {
	struct vminspect_info info;
	struct vminspect_bind bind;
	struct vminspect_scan scan;
	struct vminspect_translate translate;
	struct vminspect_walk walk;
	struct vminspect_swap swap;
	struct vminspect_events events;
	struct vminspect_events_state state;
	char bytes[256];
};

/* A descriptor that is made is closed: it is as good as done. */
static int call(int device, unsigned int cmd, void *argument)
{
	int ret = ioctl(device, cmd, argument);

	if (ret > 0 && cmd == VMINSPECT_IOC_EVENTS) {
		close(ret);
		ret = 0;
	}
	return ret == -1 ? -errno : ret;
}

static int open_events(int device)
{
	struct vminspect_events events = {
		.size = sizeof(events),
		.kinds = 1U << VMINSPECT_EVENT_SWAP_IN,
		.record_size = sizeof(struct vminspect_event),
		.ring_records = 64,
	};

	return ioctl(device, VMINSPECT_IOC_EVENTS, &events);
}

/*
 * Every command with an argument that it accepts.
 */
FIXTURE(command)
{
	int device;	/* or what it made: whatever takes the command */
	int pagemap;
	int reader;	/* keeps probes attached, which would take long again and again */
	char *pages;	/* two of them, and a hole of the same size behind */
	char *end;
	union argument argument;
	struct vminspect_extent extents[4];
	struct vminspect_entry entry;
	uint64_t address;
	char path[4096];
};

FIXTURE_VARIANT(command)
{
	unsigned int cmd;
	uint32_t size;
};

FIXTURE_VARIANT_ADD(command, info)
{
	.cmd = VMINSPECT_IOC_INFO,
	.size = sizeof(struct vminspect_info),
};

FIXTURE_VARIANT_ADD(command, bind)
{
	.cmd = VMINSPECT_IOC_BIND,
	.size = sizeof(struct vminspect_bind),
};

FIXTURE_VARIANT_ADD(command, scan)
{
	.cmd = VMINSPECT_IOC_SCAN,
	.size = sizeof(struct vminspect_scan),
};

FIXTURE_VARIANT_ADD(command, translate)
{
	.cmd = VMINSPECT_IOC_TRANSLATE,
	.size = sizeof(struct vminspect_translate),
};

FIXTURE_VARIANT_ADD(command, walk)
{
	.cmd = VMINSPECT_IOC_WALK,
	.size = sizeof(struct vminspect_walk),
};

FIXTURE_VARIANT_ADD(command, swap)
{
	.cmd = VMINSPECT_IOC_SWAP,
	.size = sizeof(struct vminspect_swap),
};

FIXTURE_VARIANT_ADD(command, events)
{
	.cmd = VMINSPECT_IOC_EVENTS,
	.size = sizeof(struct vminspect_events),
};

FIXTURE_VARIANT_ADD(command, events_state)
{
	.cmd = VMINSPECT_IOC_EVENTS_STATE,
	.size = sizeof(struct vminspect_events_state),
};

static void command_fill(struct _test_data_command *self, unsigned int cmd)
{
	uintptr_t page = (uintptr_t)self->pages;
	union argument *argument = &self->argument;

	switch (cmd) {
	case VMINSPECT_IOC_BIND:
		argument->bind.fd = self->pagemap;
		break;
	case VMINSPECT_IOC_SCAN:
		argument->scan.start = page;
		argument->scan.end = page + SZ_4K;
		argument->scan.extents = (uintptr_t)self->extents;
		argument->scan.nr_extents = ARRAY_LEN(self->extents);
		argument->scan.extent_size = sizeof(self->extents[0]);
		argument->scan.return_mask = RETURN_ALL;
		break;
	case VMINSPECT_IOC_TRANSLATE:
		self->address = page;
		argument->translate.addresses = (uintptr_t)&self->address;
		argument->translate.entries = (uintptr_t)&self->entry;
		argument->translate.nr = 1;
		argument->translate.entry_size = sizeof(self->entry);
		break;
	case VMINSPECT_IOC_WALK:
		argument->walk.va = page;
		break;
	case VMINSPECT_IOC_SWAP:
		argument->swap.path = (uintptr_t)self->path;
		argument->swap.path_size = sizeof(self->path);
		break;
	case VMINSPECT_IOC_EVENTS:
		argument->events.kinds = 1U << VMINSPECT_EVENT_SWAP_IN;
		argument->events.record_size = sizeof(struct vminspect_event);
		argument->events.ring_records = 64;
		break;
	}
}

FIXTURE_SETUP(command)
{
	size_t size = ARGUMENT_PAGES * SZ_4K;

	self->pages = map_anon(2 * size, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->pages);
	self->end = self->pages + size;
	ASSERT_EQ(0, munmap(self->end, size));
	memset(self->pages, 0, size);

	self->pagemap = pagemap_open(getpid());
	ASSERT_GE(self->pagemap, 0);
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	if (variant->cmd != VMINSPECT_IOC_BIND)
		ASSERT_EQ(0, device_bind(self->device, self->pagemap));
	self->reader = -1;
	if (variant->cmd == VMINSPECT_IOC_EVENTS)
		self->reader = open_events(self->device);
	if (variant->cmd == VMINSPECT_IOC_EVENTS_STATE) {
		self->reader = self->device;
		self->device = open_events(self->device);
	}
	ASSERT_GE(self->device, 0);
	command_fill(self, variant->cmd);
	*(uint32_t *)&self->argument = variant->size;
}

FIXTURE_TEARDOWN(command)
{
	close(self->device);
	close(self->reader);
	close(self->pagemap);
}

/* The argument, at the very end of what can be accessed but for @spare bytes. */
static void *argument_put(struct _test_data_command *self, uint32_t size, size_t spare)
{
	void *at = self->end - size - spare;

	memcpy(at, &self->argument, size);
	return at;
}

TEST_F(command, takes_its_own_size_at_the_end_of_memory)
{
	uint32_t *argument = argument_put(self, variant->size, 0);

	EXPECT_EQ(0, call(self->device, variant->cmd, argument));
	EXPECT_EQ(variant->size, *argument);
}

TEST_F(command, takes_an_argument_at_any_address)
{
	uint32_t *argument = argument_put(self, variant->size, 3);

	EXPECT_EQ(0, call(self->device, variant->cmd, argument));
}

/* The size that a structure had when it was new. */
static uint32_t first_size(unsigned int cmd, uint32_t size)
{
	return cmd == VMINSPECT_IOC_SCAN ? 96 : size;
}

TEST_F(command, refuses_every_smaller_size)
{
	uint32_t size, *argument;

	for (size = 0; size < first_size(variant->cmd, variant->size); size++) {
		argument = argument_put(self, variant->size, 0);
		*argument = size;
		EXPECT_EQ(-EINVAL, call(self->device, variant->cmd, argument)) {
			TH_LOG("size %u", size);
		}
	}
	/* So it was not done either: a second bind would be refused. */
	argument = argument_put(self, variant->size, 0);
	EXPECT_EQ(0, call(self->device, variant->cmd, argument));
}

/* The tail lies in a page that can't be written. */
TEST_F(command, takes_a_longer_structure_and_leaves_its_zero_tail_alone)
{
	uint32_t size = SZ_4K;	/* the longest there is */
	uint32_t *argument = argument_put(self, variant->size, SZ_4K);

	*argument = size;
	ASSERT_EQ(0, mprotect(self->end - SZ_4K, SZ_4K, PROT_READ));
	EXPECT_EQ(0, call(self->device, variant->cmd, argument));
	EXPECT_EQ(size, *argument);
}

TEST_F(command, refuses_a_longer_structure_whose_tail_is_set)
{
	char *argument, before[512];
	uint32_t i, size;

	for (i = 0; i < 64; i++) {
		size = variant->size + i + 1;
		argument = argument_put(self, variant->size, i + 1);
		memset(argument + variant->size, 0, i + 1);
		*(uint32_t *)argument = size;
		argument[variant->size + i] = 1;
		memcpy(before, argument, size);
		EXPECT_EQ(-E2BIG, call(self->device, variant->cmd, argument)) {
			TH_LOG("byte %u of the tail", i);
		}
		EXPECT_EQ(0, memcmp(before, argument, size));
	}
}

TEST_F(command, refuses_a_huge_size)
{
	uint32_t *argument = argument_put(self, variant->size, 8);

	/* Whatever the tail is, and whether it can be read. */
	*argument = UINT32_MAX;
	EXPECT_EQ(-E2BIG, call(self->device, variant->cmd, argument));
	argument = argument_put(self, variant->size, SZ_4K);
	*argument = SZ_4K + 1;
	EXPECT_EQ(-E2BIG, call(self->device, variant->cmd, argument));
}

TEST_F(command, refuses_what_is_no_memory)
{
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, self->end));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, (void *)-SZ_4K));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, (void *)0xffff888000000000));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, (void *)(1UL << 62)));
}

TEST_F(command, refuses_what_is_only_in_part_memory)
{
	uint32_t *argument, there;

	for (there = 1; there < variant->size; there++) {
		argument = (uint32_t *)(self->end - there);
		memcpy(argument, &self->argument, there);
		EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, argument)) {
			TH_LOG("%u bytes of it are there", there);
		}
	}
}

/* There is no command without an answer. */
TEST_F(command, refuses_read_only_memory)
{
	uint32_t *argument = argument_put(self, variant->size, 0);

	ASSERT_EQ(0, mprotect(self->pages, ARGUMENT_PAGES * SZ_4K, PROT_READ));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, argument));
	EXPECT_EQ(0, memcmp(argument, &self->argument, variant->size));
}

/* The structure straddles two pages, the second one for reading only. Nothing was done. */
TEST_F(command, does_nothing_if_only_its_end_is_read_only)
{
	char *argument = self->pages + SZ_4K - 8;

	memcpy(argument, &self->argument, variant->size);
	ASSERT_EQ(0, mprotect(self->pages + SZ_4K, SZ_4K, PROT_READ));
	EXPECT_EQ(-EFAULT, call(self->device, variant->cmd, argument));
	EXPECT_EQ(0, memcmp(argument, &self->argument, variant->size));
	EXPECT_EQ(0, call(self->device, variant->cmd, &self->argument));
}

/* Where the flags are; INFO has none. VMINSPECT_SCAN_PAGES is one that is known. */
static uint32_t *argument_flags(union argument *argument, unsigned int cmd)
{
	switch (cmd) {
	case VMINSPECT_IOC_BIND:
		return &argument->bind.flags;
	case VMINSPECT_IOC_SCAN:
		return &argument->scan.flags;
	case VMINSPECT_IOC_TRANSLATE:
		return &argument->translate.flags;
	case VMINSPECT_IOC_WALK:
		return &argument->walk.flags;
	case VMINSPECT_IOC_SWAP:
		return &argument->swap.flags;
	case VMINSPECT_IOC_EVENTS:
		return &argument->events.flags;
	case VMINSPECT_IOC_EVENTS_STATE:
		return &argument->state.flags;
	default:
		return NULL;
	}
}

TEST_F(command, refuses_every_unknown_flag)
{
	uint32_t known = variant->cmd == VMINSPECT_IOC_SCAN ? VMINSPECT_SCAN_PAGES :
			 variant->cmd == VMINSPECT_IOC_SWAP ? VMINSPECT_SWAP_SLOTS :
			 variant->cmd == VMINSPECT_IOC_EVENTS ? VMINSPECT_EVENTS_NONBLOCK :
			 variant->cmd == VMINSPECT_IOC_EVENTS_STATE ? VMINSPECT_EVENTS_STOP : 0;
	union argument argument, before;
	uint32_t bit, *flags = argument_flags(&argument, variant->cmd);
	int wanted;

	if (!flags)
		return;
	for (bit = 0; bit < 32; bit++) {
		argument = self->argument;
		*flags = 1U << bit;
		before = argument;
		wanted = known & *flags ? 0 : -EINVAL;
		if (!wanted && variant->cmd == VMINSPECT_IOC_SWAP && kernel_since(7, 0))
			wanted = -EOPNOTSUPP;	/* VMINSPECT_FEATURE_SWAP_MAP */
		EXPECT_EQ(wanted, call(self->device, variant->cmd, &argument)) {
			TH_LOG("bit %u", bit);
		}
		if (!(known & *flags))
			EXPECT_EQ(0, memcmp(&before, &argument, sizeof(argument)));
	}
}

TEST_F(command, needs_a_bind_unless_it_asks_for_none)
{
	bool needless = variant->cmd == VMINSPECT_IOC_INFO ||
			variant->cmd == VMINSPECT_IOC_BIND ||
			variant->cmd == VMINSPECT_IOC_SWAP ||
			variant->cmd == VMINSPECT_IOC_EVENTS;
	int unbound = device_open();
	union argument before = self->argument;

	ASSERT_GE(unbound, 0);
	if (variant->cmd == VMINSPECT_IOC_EVENTS_STATE) {	/* none of the device's */
		EXPECT_EQ(-ENOTTY, call(unbound, variant->cmd, &self->argument));
		close(unbound);
		return;
	}
	EXPECT_EQ(needless ? 0 : -ENXIO, call(unbound, variant->cmd, &self->argument));
	if (!needless)
		EXPECT_EQ(0, memcmp(&before, &self->argument, sizeof(before)));
	close(unbound);
}

/* The number is the same for all sizes: one with a size in it is another command. */
TEST_F(command, has_one_number)
{
	union argument argument = self->argument;
	unsigned int direction;

	for (direction = 0; direction < 4; direction++)
		EXPECT_EQ(-ENOTTY, call(self->device,
					_IOC(direction, VMINSPECT_IOC_TYPE, _IOC_NR(variant->cmd),
					     variant->size), &argument));
	EXPECT_EQ(0, memcmp(&argument, &self->argument, sizeof(argument)));
}

static sigjmp_buf no_gate;

static void gate_closed(int signal)
{
	siglongjmp(no_gate, signal);
}

/* A system call as 32-bit programs make it; numbers and errors are those of i386. */
static long call_32(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret) : "0" (nr), "b" (a), "c" (b), "d" (c)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

#define NR_IOCTL_32	54
#define NR_GETPID_32	20

TEST_F(command, is_the_same_for_32_bit_callers)
{
	union argument *low = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret;

	ASSERT_NE(MAP_FAILED, (void *)low);
	signal(SIGSEGV, gate_closed);
	if (sigsetjmp(no_gate, 1))
		SKIP(return, "this kernel runs no 32-bit programs");
	EXPECT_EQ(getpid(), call_32(NR_GETPID_32, 0, 0, 0));
	signal(SIGSEGV, SIG_DFL);

	*low = self->argument;
	low->info.size = first_size(variant->cmd, variant->size) - 1;
	EXPECT_EQ(-EINVAL, call_32(NR_IOCTL_32, self->device, variant->cmd, (long)low));
	low->info.size = variant->size;
	ret = call_32(NR_IOCTL_32, self->device, variant->cmd, (long)low);
	if (ret > 0 && variant->cmd == VMINSPECT_IOC_EVENTS)
		ret = close(ret);
	EXPECT_EQ(0, ret);
	EXPECT_NE(0, memcmp(low, &self->argument, sizeof(*low)) ||
		  variant->cmd == VMINSPECT_IOC_BIND ||
		  variant->cmd == VMINSPECT_IOC_EVENTS_STATE);
}

/*
 * Commands that are none.
 */
TEST(unknown_commands_are_no_commands)
{
	char argument[256] = { 0 };
	int device = device_bound(getpid());
	unsigned int nr;

	ASSERT_GE(device, 0);
	*(uint32_t *)argument = sizeof(argument);
	for (nr = _IOC_NR(VMINSPECT_IOC_GUEST) + 1; nr < 256; nr++) {
		EXPECT_EQ(-ENOTTY, call(device, _IO(VMINSPECT_IOC_TYPE, nr), argument));
		EXPECT_EQ(-ENOTTY, call(device, _IO(VMINSPECT_IOC_TYPE, nr), NULL));
	}
}

/* Types below are left out: the kernel's own layers answer some of those. */
TEST(commands_of_other_types_are_no_commands)
{
	struct vminspect_info info = { .size = sizeof(info) };
	int device = device_open();
	unsigned int type, nr;

	ASSERT_GE(device, 0);
	for (type = 'Y'; type < 256; type++)
		for (nr = 0; nr <= _IOC_NR(VMINSPECT_IOC_SWAP); nr++) {
			if (type == VMINSPECT_IOC_TYPE)
				continue;
			EXPECT_EQ(-ENOTTY, call(device, _IO(type, nr), &info)) {
				TH_LOG("type 0x%x number %u", type, nr);
			}
		}
}

/*
 * INFO
 */
FIXTURE(info)
{
	int device;
	struct vminspect_info info;
};

/* All that comes back was written: nothing is left of what stood there. */
FIXTURE_SETUP(info)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	memset(&self->info, 0xa5, sizeof(self->info));
	ASSERT_EQ(0, device_info(self->device, &self->info));
}

FIXTURE_TEARDOWN(info)
{
	close(self->device);
}

TEST_F(info, names_the_abi_and_the_version)
{
	char version[64] = "";
	int len = read_file("/sys/module/vminspect/version", version, sizeof(version));

	ASSERT_GT(len, 0);
	version[strcspn(version, "\n")] = 0;
	EXPECT_EQ(VMINSPECT_ABI, self->info.abi);
	ASSERT_NE(NULL, memchr(self->info.version, 0, sizeof(self->info.version)));
	EXPECT_STREQ(version, self->info.version);
}

TEST_F(info, pads_with_zeroes)
{
	size_t len = strnlen(self->info.version, sizeof(self->info.version));

	EXPECT_EQ(sizeof(self->info), self->info.size);
	EXPECT_EQ(0, self->info.reserved[0]);
	EXPECT_EQ(0, self->info.reserved[1]);
	EXPECT_EQ(0, self->info.reserved2);
	for (; len < sizeof(self->info.version); len++)
		EXPECT_EQ(0, self->info.version[len]);
}

/* "address sizes   : 40 bits physical, 48 bits virtual" */
static unsigned int cpuinfo_pa_bits(void)
{
	unsigned int bits = 0;
	char line[4096];
	FILE *cpuinfo = fopen("/proc/cpuinfo", "re");

	while (cpuinfo && !bits && fgets(line, sizeof(line), cpuinfo))
		if (!strncmp(line, "address sizes", 13))
			bits = strtoul(strchr(line, ':') + 1, NULL, 10);
	if (cpuinfo)
		fclose(cpuinfo);
	return bits;
}

TEST_F(info, knows_the_processor)
{
	EXPECT_EQ((uint32_t)getpagesize(), self->info.page_size);
	EXPECT_EQ(cpu_has("la57") ? 5 : 4, self->info.levels);
	EXPECT_EQ(cpuinfo_pa_bits(), self->info.pa_bits);
	EXPECT_LE(self->info.pa_bits, 52);
}

/* The last page below va_end can be had, the one there can't. */
TEST_F(info, knows_where_addresses_end)
{
	uint64_t end = self->info.va_end;
	void *last = (void *)(end - SZ_4K);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	EXPECT_EQ((1ULL << (self->info.levels == 5 ? 56 : 47)) - SZ_4K, end);
	EXPECT_EQ(last, mmap(last, SZ_4K, PROT_READ, flags, -1, 0));
	EXPECT_EQ(MAP_FAILED, mmap((void *)end, SZ_4K, PROT_READ, flags, -1, 0));
	EXPECT_EQ(ENOMEM, errno);
}

TEST_F(info, hides_nothing_from_root)
{
	EXPECT_EQ(0, self->info.hidden);
}

static bool kernel_keeps_soft_dirty(void)
{
	int pagemap = pagemap_open(getpid());
	char *page = map_anon(SZ_4K, PROT_READ | PROT_WRITE);
	bool kept;

	*page = 1;
	kept = pagemap_entry(pagemap, page) & PM_SOFT_DIRTY;
	close(pagemap);
	munmap(page, SZ_4K);
	return kept;
}

static bool kernel_write_protects(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	bool known = uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) &&
		     (api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	close(uffd);
	return known;
}

TEST_F(info, names_the_features_of_this_kernel)
{
	uint64_t features = VMINSPECT_FEATURE_SCAN | VMINSPECT_FEATURE_TRANSLATE |
			    VMINSPECT_FEATURE_WALK;

	if (!access("/sys/kernel/debug/vminspect/maps", F_OK))
		features |= VMINSPECT_FEATURE_DEBUGFS;
	if (!access("/proc/swaps", F_OK))
		features |= VMINSPECT_FEATURE_SHMEM_SWAP | VMINSPECT_FEATURE_SWAP;
	if (!access("/sys/kernel/mm/transparent_hugepage", F_OK))
		features |= VMINSPECT_FEATURE_THP;
	if (kernel_keeps_soft_dirty())
		features |= VMINSPECT_FEATURE_SOFT_DIRTY;
	if (kernel_write_protects())
		features |= VMINSPECT_FEATURE_UFFD_WP;
	if (!access("/sys/kernel/debug/kprobes/list", F_OK))
		features |= VMINSPECT_FEATURE_SWAP_IN | VMINSPECT_FEATURE_SWAP_OUT |
			    VMINSPECT_FEATURE_READ | VMINSPECT_FEATURE_WRITE;
	if (!access("/sys/module/kvm", F_OK))
		features |= VMINSPECT_FEATURE_GUEST;
	/* Only the kernel's configuration and version tell; no file does. */
	features |= self->info.features &
		    (VMINSPECT_FEATURE_DEVICE_PRIVATE | VMINSPECT_FEATURE_SWAP_MAP |
		     VMINSPECT_FEATURE_GUEST);
	EXPECT_EQ(features, self->info.features);
}

/*
 * GUEST: what is no VM
 */
FIXTURE(guest)
{
	int device;
	struct vminspect_guest argument;
};

FIXTURE_SETUP(guest)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	self->argument = (struct vminspect_guest) {
		.size = sizeof(self->argument), .vm_fd = self->device, .mem_fd = -1,
	};
}

FIXTURE_TEARDOWN(guest)
{
	close(self->device);
}

TEST_F(guest, takes_no_descriptor_that_is_not_open)
{
	self->argument.vm_fd = -1;
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
	self->argument.vm_fd = 1000000;
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
	self->argument.vm_fd = self->device;
	self->argument.mem_fd = 1000000;
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
	self->argument.mem_fd = -2;
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
}

TEST_F(guest, takes_no_file_of_another_kind)
{
	const int fds[] = {
		self->device, open("/dev/null", O_RDONLY), pagemap_open(getpid()),
		memfd_create("kvm-vm", 0),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_GE(fds[i], 0);
		self->argument.vm_fd = fds[i];
		EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
		if (i)
			close(fds[i]);
	}
}

TEST_F(guest, refuses_flags_and_reserved_members)
{
	self->argument.flags = 1;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
	self->argument.flags = 0;
	self->argument.reserved = 1;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
}

TEST_F(guest, refuses_sizes_as_the_rules_have_it)
{
	struct {
		struct vminspect_guest argument;
		uint32_t more;
	} longer = { .argument = self->argument, .more = 1 };

	self->argument.size = sizeof(self->argument) - 1;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &self->argument));
	longer.argument.size = sizeof(longer);
	EXPECT_EQ(-E2BIG, call(self->device, VMINSPECT_IOC_GUEST, &longer));
	EXPECT_EQ(-EFAULT, call(self->device, VMINSPECT_IOC_GUEST, NULL));
}

/*
 * BIND
 */
FIXTURE(bind)
{
	int device;
};

FIXTURE_SETUP(bind)
{
	self->device = device_open();
	ASSERT_GE(self->device, 0);
}

FIXTURE_TEARDOWN(bind)
{
	close(self->device);
}

TEST_F(bind, refuses_descriptors_that_are_not_open)
{
	int pagemap = pagemap_open(getpid());

	ASSERT_GE(pagemap, 0);
	close(pagemap);
	EXPECT_EQ(-EBADF, device_bind(self->device, pagemap));
	EXPECT_EQ(-EBADF, device_bind(self->device, -1));
	EXPECT_EQ(-EBADF, device_bind(self->device, INT32_MAX));
	EXPECT_EQ(-EBADF, device_bind(self->device, INT32_MIN));
	EXPECT_EQ(-EBADF, device_bind(self->device, AT_FDCWD));
}

/* Opening with O_PATH asks nobody for permission. */
TEST_F(bind, refuses_o_path)
{
	int path = open("/proc/self/pagemap", O_PATH | O_CLOEXEC);

	ASSERT_GE(path, 0);
	EXPECT_EQ(-EBADF, device_bind(self->device, path));
}

TEST_F(bind, refuses_all_other_files)
{
	static const char * const others[] = {
		"/proc/self/mem", "/proc/self/maps", "/proc/self/smaps", "/proc/self/stat",
		"/proc/self/clear_refs", "/proc/self", "/proc/self/fd", "/dev/null",
		"/dev/vminspect", "/sys/kernel/debug/vminspect/maps", "/proc/kpageflags",
	};
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_LEN(others); i++) {
		fd = open(others[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0)	/* clear_refs is for writing */
			fd = open(others[i], O_WRONLY | O_CLOEXEC);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(-EINVAL, device_bind(self->device, fd)) {
			TH_LOG("%s", others[i]);
		}
		close(fd);
	}
}

TEST_F(bind, refuses_what_is_only_called_pagemap)
{
	char dir[] = "/tmp/vminspect.XXXXXX", path[64];
	int fd;

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pagemap", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EINVAL, device_bind(self->device, fd));
	close(fd);
	unlink(path);

	ASSERT_EQ(0, mkdir(path, 0700));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EINVAL, device_bind(self->device, fd));
	close(fd);
	rmdir(path);
	rmdir(dir);
}

TEST_F(bind, refuses_pipes_and_sockets_and_itself)
{
	int pipes[2], sockets[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	EXPECT_EQ(-EINVAL, device_bind(self->device, pipes[0]));
	EXPECT_EQ(-EINVAL, device_bind(self->device, pipes[1]));
	EXPECT_EQ(-EINVAL, device_bind(self->device, sockets[0]));
	EXPECT_EQ(-EINVAL, device_bind(self->device, self->device));
}

TEST_F(bind, takes_the_pagemap_of_a_thread)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/pagemap", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "there is no %s", path);
	EXPECT_EQ(0, device_bind(self->device, fd));
}

TEST_F(bind, is_made_once)
{
	struct vminspect_entry entry;
	int pagemap = pagemap_open(getpid());

	ASSERT_GE(pagemap, 0);
	EXPECT_EQ(0, device_bind(self->device, pagemap));
	EXPECT_EQ(-EBUSY, device_bind(self->device, pagemap));
	EXPECT_EQ(-EBUSY, device_bind(self->device, pagemap));
	EXPECT_EQ(0, device_lookup(self->device, self, &entry));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
}

TEST_F(bind, may_be_tried_again_after_a_refusal)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .flags = 1 };
	struct vminspect_entry entry;
	int pagemap = pagemap_open(getpid());

	ASSERT_GE(pagemap, 0);
	bind.fd = pagemap;
	EXPECT_EQ(-EBADF, device_bind(self->device, -1));
	EXPECT_EQ(-EINVAL, device_bind(self->device, STDOUT_FILENO));
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_BIND, &bind));
	EXPECT_EQ(-ENXIO, device_lookup(self->device, self, &entry));
	EXPECT_EQ(0, device_bind(self->device, pagemap));
	EXPECT_EQ(0, device_lookup(self->device, self, &entry));
}

TEST_F(bind, does_not_need_the_descriptor_afterwards)
{
	struct vminspect_entry entry;
	int pagemap = pagemap_open(getpid());

	ASSERT_GE(pagemap, 0);
	ASSERT_EQ(0, device_bind(self->device, pagemap));
	ASSERT_EQ(0, close(pagemap));
	EXPECT_EQ(0, device_lookup(self->device, self, &entry));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
}

TEST_F(bind, hides_nothing_from_root)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .hidden = UINT32_MAX };

	bind.fd = pagemap_open(getpid());
	ASSERT_EQ(0, call(self->device, VMINSPECT_IOC_BIND, &bind));
	EXPECT_EQ(0, bind.hidden);
}

/* Later kernels refuse to open what earlier ones let open: the answer is the same. */
static int bind_pid(int device, pid_t pid)
{
	int pagemap = pagemap_open(pid), ret;

	if (pagemap < 0)
		return pagemap;
	ret = device_bind(device, pagemap);
	close(pagemap);
	return ret;
}

TEST_F(bind, finds_nobody_in_a_kernel_thread)
{
	EXPECT_EQ(-ESRCH, bind_pid(self->device, 2));
}

TEST_F(bind, finds_nobody_in_a_zombie)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, bind_pid(self->device, pid));
	waitpid(pid, NULL, 0);
}

/*
 * Many threads bind one descriptor at the same time, half of them to one address space
 * and half to another: one of all wins, and what is bound is what it asked for.
 */
#define BIND_THREADS	4
#define BIND_ROUNDS	500

struct bind_race {
	int round;	/* raised to start one; -1 ends the race */
	int done;	/* racers that have */
	int device;
	int pagemaps[2];
	int results[BIND_THREADS];
};

struct bind_racer {
	struct bind_race *race;
	int number;
	pthread_t thread;
};

/* They wait awake, as many as there are processors, so that they start at the same time. */
static int bind_race_wait(struct bind_race *race, int last)
{
	int spins = 0, round;

	while ((round = __atomic_load_n(&race->round, __ATOMIC_ACQUIRE)) == last)
		if (++spins % 4096 == 0)
			sched_yield();
	return round;
}

static void *bind_racer_run(void *arg)
{
	struct bind_racer *racer = arg;
	struct bind_race *race = racer->race;
	int round = 0;

	while ((round = bind_race_wait(race, round)) > 0) {
		race->results[racer->number] =
			device_bind(race->device, race->pagemaps[racer->number % 2]);
		__atomic_add_fetch(&race->done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The number of the winner, or -1 if there is not exactly one beside the refused. */
static int bind_race_winner(struct bind_race *race)
{
	int i, refused = 0, winner = -1;

	__atomic_store_n(&race->done, 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&race->round, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&race->done, __ATOMIC_ACQUIRE) < BIND_THREADS)
		sched_yield();
	for (i = 0; i < BIND_THREADS; i++) {
		if (!race->results[i])
			winner = i;
		else if (race->results[i] == -EBUSY)
			refused++;
	}
	return refused == BIND_THREADS - 1 ? winner : -1;
}

static void page_unmap(void *page)
{
	munmap(page, SZ_4K);
}

TEST_F_TIMEOUT(bind, has_one_winner_of_many, 120)
{
	char *page = map_anon(SZ_4K, PROT_READ | PROT_WRITE);
	struct bind_racer racers[BIND_THREADS];
	struct bind_race race = { 0 };
	struct vminspect_entry entry;
	int i, winner;
	pid_t other;

	*page = 1;
	other = child_stopped(page_unmap, page);
	ASSERT_GT(other, 0);
	race.pagemaps[0] = pagemap_open(getpid());
	race.pagemaps[1] = pagemap_open(other);
	for (i = 0; i < BIND_THREADS; i++) {
		racers[i] = (struct bind_racer){ .race = &race, .number = i };
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, bind_racer_run, &racers[i]));
	}
	for (i = 0; i < BIND_ROUNDS; i++) {
		race.device = device_open();
		winner = bind_race_winner(&race);
		ASSERT_GE(winner, 0);
		ASSERT_EQ(0, device_lookup(race.device, page, &entry));
		ASSERT_EQ(winner % 2 ? VMINSPECT_STATE_UNMAPPED :
				       VMINSPECT_STATE_PRESENT, entry.state);
		close(race.device);
	}
	__atomic_store_n(&race.round, -1, __ATOMIC_RELEASE);
	for (i = 0; i < BIND_THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	process_end(other);
}

/*
 * A target of its own: a child that has stopped with one page written.
 */
/* Who was built when the structure was shorter gets that much of it back, and no more. */
TEST(scan_of_an_older_caller_leaves_what_lies_behind_alone)
{
	struct vminspect_extent extent;
	struct vminspect_scan scan = {
		.size = 96,
		.start = (uintptr_t)&extent & ~(SZ_4K - 1),
		.end = ((uintptr_t)&extent & ~(SZ_4K - 1)) + SZ_4K,
		.extents = (uintptr_t)&extent,
		.nr_extents = 1,
		.extent_size = sizeof(extent),
		.kinds = 0x5a5a5a5a5a5a5a5a,
		.nr_kinds = 0x5a5a5a5a,
		.nr_kinds_filled = 0x5a5a5a5a,
	};
	int device = device_bound(getpid());

	ASSERT_LE(0, device);
	EXPECT_EQ(0, call(device, VMINSPECT_IOC_SCAN, &scan));
	EXPECT_EQ(1, scan.nr_filled);
	EXPECT_EQ(scan.end, scan.resume);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5a, scan.kinds);
	EXPECT_EQ(0x5a5a5a5a, scan.nr_kinds);
	EXPECT_EQ(0x5a5a5a5a, scan.nr_kinds_filled);
	close(device);
}

/* What goes with words only, and what they do not go with. */
TEST(scan_in_words_wants_room_for_kinds_and_nothing_for_runs)
{
	struct vminspect_entry kinds[2];
	uint64_t words[4];
	const struct vminspect_scan good = {
		.flags = VMINSPECT_SCAN_PACKED,
		.start = (uintptr_t)kinds & ~(SZ_4K - 1),
		.end = ((uintptr_t)kinds & ~(SZ_4K - 1)) + SZ_4K,
		.extents = (uintptr_t)words,
		.nr_extents = ARRAY_LEN(words),
		.extent_size = sizeof(words[0]),
		.size = sizeof(good),
		.kinds = (uintptr_t)kinds,
		.nr_kinds = ARRAY_LEN(kinds),
		.nr_kinds_filled = 77,
		.return_mask = RETURN_ALL,
	};
	struct vminspect_scan scan = good;
	int device = device_bound(getpid());

	ASSERT_LE(0, device);
	EXPECT_EQ(0, call(device, VMINSPECT_IOC_SCAN, &scan));
	EXPECT_EQ(1, scan.nr_filled);
	EXPECT_EQ(1, scan.nr_kinds_filled);
#define REFUSES(error, change) do {					\
		scan = good;						\
		change;							\
		EXPECT_EQ(-(error), call(device, VMINSPECT_IOC_SCAN, &scan));	\
	} while (0)
	REFUSES(EINVAL, scan.flags |= VMINSPECT_SCAN_PAGES);
	REFUSES(EINVAL, scan.split_mask = VMINSPECT_PAGE_WRITE);
	REFUSES(EINVAL, scan.extent_size = sizeof(struct vminspect_extent));
	REFUSES(EINVAL, scan.kinds = 0);
	REFUSES(EINVAL, scan.nr_kinds = 0);
	REFUSES(EINVAL, scan.nr_extents = 0);
	REFUSES(EFAULT, scan.kinds = 1ULL << 63);
	REFUSES(EFAULT, scan.extents = 1ULL << 63);
	REFUSES(EINVAL, scan.size = 96);	/* without the kinds */
	/* Extents have none. */
	REFUSES(EINVAL, scan.flags = 0; scan.extent_size = sizeof(struct vminspect_extent));
#undef REFUSES
	close(device);
}

FIXTURE(target)
{
	char *page;
	pid_t pid;
	int pagemap;
	int device;
};

static void page_write(void *page)
{
	memset(page, 1, SZ_4K);
}

FIXTURE_SETUP(target)
{
	self->page = map_anon(SZ_4K, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->page);
	self->pid = child_stopped(page_write, self->page);
	ASSERT_GT(self->pid, 0);
	self->pagemap = pagemap_open(self->pid);
	self->device = device_open();
	ASSERT_EQ(0, device_bind(self->device, self->pagemap));
}

FIXTURE_TEARDOWN(target)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	close(self->device);
	close(self->pagemap);
}

/* Is the target's page seen, as its pagemap has it? Then 0. */
static int target_look(struct _test_data_target *self)
{
	struct vminspect_entry entry;
	int ret = device_lookup(self->device, self->page, &entry);
	uint64_t seen = pagemap_entry(self->pagemap, self->page);

	if (ret)
		return ret;
	return entry.state == VMINSPECT_STATE_PRESENT && (seen & PM_PRESENT) &&
	       entry.frame == (seen & PM_PFN_MASK) ? 0 : -EBADMSG;
}

/* What each of the commands says that look into the target: 0 if all say @expected. */
static int target_answers(struct _test_data_target *self, int expected)
{
	struct vminspect_extent extent;
	struct vminspect_entry entry;
	struct vminspect_walk walk;
	struct vminspect_scan scan = {
		.start = (uintptr_t)self->page,
		.end = (uintptr_t)self->page + SZ_4K,
		.extents = (uintptr_t)&extent,
		.nr_extents = 1,
	};

	if (device_scan(self->device, &scan) != expected)
		return 1;
	if (device_lookup(self->device, self->page, &entry) != expected)
		return 2;
	if (device_walk(self->device, (uintptr_t)self->page, &walk) != expected)
		return 3;
	return 0;
}

static void target_kill(struct _test_data_target *self)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
}

TEST_F(target, is_gone_once_it_has_exited)
{
	struct vminspect_info info;

	EXPECT_EQ(0, target_answers(self, 0));
	target_kill(self);
	EXPECT_EQ(0, target_answers(self, -ESRCH));
	EXPECT_EQ(0, device_info(self->device, &info));
	EXPECT_EQ(-EBUSY, bind_pid(self->device, getpid()));
}

TEST_F(target, is_gone_while_it_is_a_zombie)
{
	siginfo_t info;

	kill(self->pid, SIGKILL);
	ASSERT_EQ(0, waitid(P_PID, self->pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(0, target_answers(self, -ESRCH));
}

TEST_F(target, can_not_be_bound_once_it_has_exited)
{
	int device = device_open();

	ASSERT_GE(device, 0);
	target_kill(self);
	EXPECT_EQ(-ESRCH, device_bind(device, self->pagemap));
	EXPECT_EQ(-ENXIO, device_lookup(device, self->page, &(struct vminspect_entry){ 0 }));
	EXPECT_EQ(0, bind_pid(device, getpid()));
}

static int exec_pipe[2];

/* Stops first; when it goes on it becomes another program, which the pipe's end tells. */
static void exec_sleep(void *page)
{
	page_write(page);
	raise(SIGSTOP);
	execlp("sleep", "sleep", "1000", NULL);
}

TEST_F(target, is_gone_once_it_has_executed_another_program)
{
	int device = device_open(), pagemap;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe2(exec_pipe, O_CLOEXEC));
	pid = child_stopped(exec_sleep, self->page);
	ASSERT_GT(pid, 0);
	close(exec_pipe[1]);
	pagemap = pagemap_open(pid);
	ASSERT_EQ(0, device_bind(device, pagemap));
	EXPECT_EQ(0, device_lookup(device, self->page, &(struct vminspect_entry){ 0 }));

	kill(pid, SIGCONT);
	EXPECT_EQ(0, read(exec_pipe[0], &byte, 1));
	EXPECT_EQ(-ESRCH, device_lookup(device, self->page, &(struct vminspect_entry){ 0 }));
	close(device);
	device = device_open();
	EXPECT_EQ(-ESRCH, device_bind(device, pagemap));
	EXPECT_EQ(0, bind_pid(device, pid));	/* that of the other program */
	process_end(pid);
}

static pid_t *sibling;
static char sibling_stack[SZ_4K * 4];

static int sibling_run(void *arg)
{
	for (;;)
		pause();
	return !arg;
}

/* Another process, not a thread, that runs in the same address space. */
static void sibling_start(void *page)
{
	page_write(page);
	*sibling = clone(sibling_run, sibling_stack + sizeof(sibling_stack),
			 CLONE_VM | SIGCHLD, NULL);
}

TEST_F(target, lives_as_long_as_anybody_runs_in_it)
{
	int device;
	pid_t pid;

	/* Whom nobody waits for comes to us, so that we can wait for the sibling. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	sibling = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = child_stopped(sibling_start, self->page);
	ASSERT_GT(pid, 0);
	ASSERT_GT(*sibling, 0);
	device = device_bound(pid);
	ASSERT_GE(device, 0);

	process_end(pid);
	EXPECT_EQ(0, device_lookup(device, self->page, &(struct vminspect_entry){ 0 }));
	process_end(*sibling);
	EXPECT_EQ(-ESRCH, device_lookup(device, self->page, &(struct vminspect_entry){ 0 }));
}

#define HUGE_PAGES	2

static void huge_write(void *map)
{
	if (munmap(map, HUGE_PAGES * SZ_2M) ||
	    mmap(map, HUGE_PAGES * SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		_exit(1);
	memset(map, 1, HUGE_PAGES * SZ_2M);
}

/* The kernel counts free huge pages exactly. */
TEST_F(target, has_its_memory_freed_though_it_is_bound)
{
	const char *counter = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	char *map = map_aligned(HUGE_PAGES * SZ_2M, SZ_2M);
	int device;
	pid_t pid;
	long before;

	ASSERT_NE(NULL, map);
	if (hugetlb_reserve(SZ_2M, HUGE_PAGES))
		SKIP(return, "there are no huge pages");
	before = read_number(counter);
	pid = child_stopped(huge_write, map);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(before - HUGE_PAGES, read_number(counter));
	device = device_bound(pid);
	ASSERT_GE(device, 0);
	process_end(pid);
	EXPECT_EQ(before, read_number(counter));
	EXPECT_EQ(-ESRCH, device_lookup(device, map, &(struct vminspect_entry){ 0 }));
}

#define TABLES	4096UL

/* One page read in each table; all of them are the page of zeroes. */
static void tables_fill(void *map)
{
	size_t i;

	madvise(map, TABLES * SZ_2M, MADV_NOHUGEPAGE);
	for (i = 0; i < TABLES; i++)
		touch((char *)map + i * SZ_2M, 1);
}

TEST_F(target, has_its_page_tables_freed_though_it_is_bound)
{
	char *map = mmap(NULL, TABLES * SZ_2M, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long before = vmstat("nr_page_table_pages");
	int device, tries;
	long with;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)map);
	pid = child_stopped(tables_fill, map);
	ASSERT_GT(pid, 0);
	with = vmstat("nr_page_table_pages");
	ASSERT_GT(with, before + (long)TABLES / 2);
	device = device_bound(pid);
	ASSERT_GE(device, 0);
	process_end(pid);
	/* 7.3: they are freed a grace period later (tlb_remove_table_free(), call_rcu()). */
	for (tries = 0; tries < 500 && kernel_since(7, 0); tries++) {
		if (vmstat("nr_page_table_pages") < with - (long)TABLES / 2)
			break;
		usleep(10000);
	}
	EXPECT_LT(vmstat("nr_page_table_pages"), with - (long)TABLES / 2);
	EXPECT_EQ(-ESRCH, device_lookup(device, map, &(struct vminspect_entry){ 0 }));
}

/*
 * A descriptor is bound, not its user: whoever has it sees the same.
 */
static int look_as_child(void *arg)
{
	struct _test_data_target *self = arg;

	memset(self->page, 2, SZ_4K);	/* here, at this address, is another page now */
	return -target_look(self);
}

TEST_F(target, is_the_same_for_those_who_inherit_the_descriptor)
{
	EXPECT_EQ(0, child_run(look_as_child, self));
	EXPECT_EQ(0, target_look(self));
}

static int descriptor_send(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -errno;
}

static int descriptor_receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int passing[2];

static int look_as_receiver(void *arg)
{
	struct _test_data_target *self = arg;

	close(self->device);
	self->device = descriptor_receive(passing[1]);
	return -target_look(self);
}

TEST_F(target, is_the_same_for_those_who_are_handed_the_descriptor)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, passing));
	ASSERT_EQ(0, descriptor_send(passing[0], self->device));
	EXPECT_EQ(0, child_run(look_as_receiver, self));
}

/*
 * Several threads on one descriptor.
 */
#define LOOK_THREADS	6
#define LOOK_ROUNDS	200

static void *look_run(void *arg)
{
	struct _test_data_target *self = arg;
	intptr_t bad = 0;
	int round;

	for (round = 0; round < LOOK_ROUNDS; round++)
		bad += target_look(self) || target_answers(self, 0);
	return (void *)bad;
}

TEST_F_TIMEOUT(target, is_the_same_for_many_threads_at_once, 120)
{
	pthread_t threads[LOOK_THREADS];
	void *bad;
	int i;

	for (i = 0; i < LOOK_THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, look_run, self));
	for (i = 0; i < LOOK_THREADS; i++) {
		pthread_join(threads[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
}

/* Each is either answered or told that the target is gone. */
static void *look_until_gone(void *arg)
{
	struct _test_data_target *self = arg;
	struct vminspect_entry entry;
	intptr_t ret;

	do {
		ret = device_lookup(self->device, self->page, &entry);
	} while (!ret);
	return (void *)ret;
}

TEST_F(target, may_exit_while_threads_look)
{
	pthread_t threads[LOOK_THREADS];
	void *ret;
	int i;

	for (i = 0; i < LOOK_THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, look_until_gone, self));
	usleep(100000);
	target_kill(self);
	for (i = 0; i < LOOK_THREADS; i++) {
		pthread_join(threads[i], &ret);
		EXPECT_EQ(-ESRCH, (intptr_t)ret);
	}
}

/*
 * Nothing is left behind.
 */
static long slab_objects(const char *cache)
{
	size_t len = strlen(cache);
	long objects = -1;
	char line[512];
	FILE *slabs;

	/* What is free but kept does not count, nor what KASAN keeps to see it used. */
	snprintf(line, sizeof(line), "/sys/kernel/slab/%s/shrink", cache);
	write_file(line, "1");
	slabs = fopen("/proc/slabinfo", "re");
	while (slabs && objects < 0 && fgets(line, sizeof(line), slabs))
		if (!strncmp(line, cache, len) && line[len] == ' ')
			objects = strtol(line + len, NULL, 10);
	if (slabs)
		fclose(slabs);
	return objects;
}

static int bind_and_die(void *device)
{
	return -bind_pid(*(int *)device, getpid());
}

/* What a descriptor keeps of a target that is gone goes when it is closed. */
TEST_F_TIMEOUT(bind, keeps_nothing_of_many_who_are_gone, 120)
{
	enum { NR = 1000 };
	long before = slab_objects("mm_struct"), with;
	static int devices[NR];
	int i;

	if (before < 0)
		SKIP(return, "this kernel does not count its mm_structs");
	for (i = 0; i < NR; i++) {
		devices[i] = device_open();
		ASSERT_GE(devices[i], 0);
		ASSERT_EQ(0, child_run(bind_and_die, &devices[i]));
	}
	with = slab_objects("mm_struct");
	EXPECT_GT(with, before + NR / 2);	/* or it does not count them */
	for (i = 0; i < NR; i++)
		close(devices[i]);
	EXPECT_LT(slab_objects("mm_struct"), with - NR / 2);
}

/*
 * Done as well as refused: so many of whatever a call allocates, 16 bytes for a bind and
 * pages for others, would be more.
 */
TEST_F_TIMEOUT(command, leaves_nothing_behind, 120)
{
	bool binds = variant->cmd == VMINSPECT_IOC_BIND;
	/* A reader is some KiB, and waits for all processors when it goes. */
	int calls = binds ? 100000 : variant->cmd == VMINSPECT_IOC_EVENTS ? 400 : 10000;
	long before = meminfo_kb("SUnreclaim");
	union argument argument;
	int i, device;

	ASSERT_GT(before, 0);
	for (i = 0; i < calls / (int)time_scale(); i++) {
		argument = self->argument;
		device = binds ? device_open() : self->device;
		ASSERT_EQ(0, call(device, variant->cmd, &argument));
		argument = self->argument;
		if (variant->cmd == VMINSPECT_IOC_SCAN)
			argument.scan.extents = 0;
		if (variant->cmd == VMINSPECT_IOC_TRANSLATE)
			argument.translate.entries = 0;
		if (variant->cmd == VMINSPECT_IOC_SWAP)
			argument.swap.path_size = 1;
		if (variant->cmd == VMINSPECT_IOC_EVENTS)
			argument.events.kinds = 0;
		if (variant->cmd == VMINSPECT_IOC_EVENTS_STATE)
			argument.state.flags = ~0U;
		if (variant->cmd != VMINSPECT_IOC_INFO && variant->cmd != VMINSPECT_IOC_WALK)
			ASSERT_GT(0, call(device, variant->cmd, &argument));
		if (binds)
			close(device);
	}
	if (leaks_are_looked_for())
		SKIP(return, "this kernel keeps what was freed, and tells what was not");
	EXPECT_LT(meminfo_kb("SUnreclaim"), before + 1024);
}

/*
 * The module stays as long as a descriptor is open, and can go then. A fixture, since
 * those run last: what the others test is the module that was loaded when they began.
 */
FIXTURE(module)
{
	int unbound;
	int bound;
};

FIXTURE_SETUP(module)
{
	self->unbound = device_open();
	ASSERT_GE(self->unbound, 0);
	self->bound = device_bound(getpid());
	ASSERT_GE(self->bound, 0);
}

FIXTURE_TEARDOWN(module)
{
	close(self->unbound);
	close(self->bound);
}

TEST_F(module, can_be_unloaded_once_all_descriptors_are_closed)
{
	EXPECT_EQ(-EAGAIN, module_unload());
	close(self->unbound);
	EXPECT_EQ(-EAGAIN, module_unload());
	close(self->bound);
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(-ENOENT, device_open());
	EXPECT_EQ(0, module_load(NULL));
	self->unbound = device_open();
	EXPECT_GE(self->unbound, 0);
}

TEST_HARNESS_MAIN
