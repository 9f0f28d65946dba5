// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: whatever a guest has for tables, wherever they lie and whatever is done to them
 * meanwhile, a walk through them ends: with what is there, with the link that is missing, or with
 * the refusal that the contract names. Nothing is brought into memory for it. The guest is made
 * here and halts once; its registers and tables are written from outside.
 * machines: kvm
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"
#include "kselftest_harness.h"

#define BIT(nr)		(1ULL << (nr))
#define TIMEOUT		300

#ifndef SYS_memfd_secret
#define SYS_memfd_secret	447
#endif

/* Bits of an entry, and what leads to a table */
#define PRESENT		BIT(0)
#define LARGE		BIT(7)
#define NX		BIT(63)
#define TABLE		(PRESENT | BIT(1) | BIT(2))

#define CR0_PROTECTED	0x11ULL
#define CR0_PAGED	0x80000011ULL
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_LA57	BIT(12)
#define EFER_LONG	0x500ULL
#define EFER_NXE	BIT(11)

/* Slot 0 has the tables, one of each level, of four levels, and pages of data. */
#define SIZE		SZ_2M
#define PML4		0x1000ULL
#define PDPT		0x2000ULL
#define PD		0x3000ULL
#define PT		0x4000ULL
#define DATA		0x5000ULL
/* Slot 1 is what a test puts there. */
#define OTHER		0x40000000ULL
#define NOWHERE		0x7000000000ULL

#define MAX_CPUID	256

FIXTURE(tables)
{
	int vm;
	int vcpu;
	char *memory;
	int fd;
	uint64_t c_bit;
	unsigned int pa_bits;
	struct vminspect_guest_walk walk;
};

/* The guest's memory from @gpa on is @memory; none if @size is 0. */
static int set_slot(int vm, int slot, uint64_t gpa, const void *memory, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static struct kvm_cpuid2 *get_cpuid(int kvm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(*cpuid->entries));

	cpuid->nent = MAX_CPUID - 1;	/* one more may come */
	if (!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
		return cpuid;
	free(cpuid);
	return NULL;
}

static struct kvm_cpuid_entry2 *cpuid_of(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && !cpuid->entries[i].index)
			return &cpuid->entries[i];
	return NULL;
}

/* As some VMMs do that pass on what the host's processors can. */
static void claim_sev(struct kvm_cpuid2 *cpuid, unsigned int bit)
{
	struct kvm_cpuid_entry2 *entry = cpuid_of(cpuid, 0x8000001f);

	if (!entry)
		entry = &cpuid->entries[cpuid->nent++];
	*entry = (struct kvm_cpuid_entry2){ .function = 0x8000001f, .eax = BIT(1), .ebx = bit };
}

static uint64_t *entry_at(char *memory, uint64_t gpa)
{
	return (uint64_t *)(memory + gpa);
}

/* What halts, at 0, and tables that have the first 2M where they are. */
static void fill(char *memory)
{
	uint64_t gpa;

	memset(memory, 1, SIZE);
	memset(memory, 0, DATA);
	memory[0] = '\xf4';
	*entry_at(memory, PML4) = PDPT | TABLE;
	*entry_at(memory, PDPT) = PD | TABLE;
	*entry_at(memory, PD) = PT | TABLE;
	for (gpa = 0; gpa < SIZE; gpa += SZ_4K)
		*entry_at(memory, PT + gpa / SZ_4K * 8) = gpa | TABLE;
}

/* In real mode, so that nothing is needed for it. */
static bool run_to_halt(int kvm, int vcpu)
{
	size_t size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	bool halted;

	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	halted = !ioctl(vcpu, KVM_SET_SREGS, &sregs) && !ioctl(vcpu, KVM_SET_REGS, &regs) &&
		 !ioctl(vcpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_HLT;
	munmap(run, size);
	return halted;
}

static int set_registers(int vcpu, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cr0 = cr0;
	sregs.cr3 = cr3;
	sregs.cr4 = cr4;
	sregs.efer = efer;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

static int set_four_levels(int vcpu)
{
	return set_registers(vcpu, CR0_PAGED, PML4, CR4_PAE, EFER_LONG | EFER_NXE);
}

FIXTURE_SETUP(tables)
{
	struct vminspect_guest argument = { .size = sizeof(argument), .mem_fd = -1 };
	struct kvm_cpuid2 *cpuid;
	int kvm, device;

	ASSERT_EQ(0, system("modprobe kvm-amd"));
	kvm = open("/dev/kvm", O_RDWR);
	ASSERT_GE(kvm, 0);
	self->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ASSERT_GE(self->vm, 0);
	self->vcpu = ioctl(self->vm, KVM_CREATE_VCPU, 0);
	ASSERT_GE(self->vcpu, 0);
	cpuid = get_cpuid(kvm);
	ASSERT_NE(NULL, cpuid);
	ASSERT_NE(NULL, cpuid_of(cpuid, 0x80000008));
	self->pa_bits = cpuid_of(cpuid, 0x80000008)->eax & 0xff;
	/* within the width, so that a CR3 may have it; nothing of the guest is so high up */
	self->c_bit = BIT(self->pa_bits - 1);
	ASSERT_LT(NOWHERE, self->c_bit);
	claim_sev(cpuid, self->pa_bits - 1);
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_SET_CPUID2, cpuid));
	free(cpuid);

	self->memory = map_small(SIZE);
	ASSERT_NE(NULL, self->memory);
	fill(self->memory);
	ASSERT_EQ(0, set_slot(self->vm, 0, 0, self->memory, SIZE));
	ASSERT_TRUE(run_to_halt(kvm, self->vcpu));
	close(kvm);
	ASSERT_EQ(0, set_four_levels(self->vcpu));

	device = device_open();
	argument.vm_fd = self->vm;
	self->fd = ioctl(device, VMINSPECT_IOC_GUEST, &argument);
	ASSERT_GE(self->fd, 0);
	close(device);
}

FIXTURE_TEARDOWN(tables)
{
	close(self->fd);
	close(self->vcpu);
	close(self->vm);
	munmap(self->memory, SIZE);
}

static int walk_as(int fd, struct vminspect_guest_walk *walk, uint32_t flags, uint64_t cr3,
		   uint64_t address)
{
	*walk = (struct vminspect_guest_walk){
		.size = sizeof(*walk), .flags = flags, .cr3 = cr3, .address = address,
	};
	return ioctl(fd, VMINSPECT_IOC_GUEST_WALK, walk) ? -errno : 0;
}

/* What VMINSPECT_IOC_GUEST_SCAN says of a page, and whether a walk that says so could be of it. */
static bool scan_agrees(int fd, const struct vminspect_guest_walk *walk, int error)
{
	uint64_t start = walk->address & -SZ_4K;
	struct vminspect_guest_extent extent = { 0 };
	struct vminspect_guest_scan scan = {
		.size = sizeof(scan), .flags = walk->flags, .cr3 = walk->cr3, .start = start,
		.first = start, .end = start + SZ_4K, .extents = (uintptr_t)&extent,
		.nr_extents = 1, .extent_size = sizeof(extent),
	};
	int ret = ioctl(fd, VMINSPECT_IOC_GUEST_SCAN, &scan) ? -errno : 0;

	/* an entry that is encrypted is told in its place, a register that is refused */
	if (error == -ENOKEY && ret)
		return ret == error;
	if (error == -EIO || error == -EAGAIN || error == -ENOKEY)
		return !ret && extent.missing == VMINSPECT_MISSING_UNREADABLE;
	if (error || ret)
		return ret == error;
	if (scan.cr3 != walk->cr3 || scan.mode != walk->mode ||
	    scan.address_space != walk->address_space)
		return false;
	if (walk->fault == VMINSPECT_FAULT_NOT_PRESENT ||
	    walk->fault == VMINSPECT_FAULT_NOT_CANONICAL)
		return !scan.nr_filled;
	if (scan.nr_filled != 1 || extent.start != start || extent.bytes != SZ_4K ||
	    extent.fault != walk->fault || extent.missing_level != walk->missing_level)
		return false;
	if (walk->missing_level || walk->fault)
		return extent.missing == walk->missing;
	return !extent.missing && extent.gpa == (walk->gpa & -SZ_4K) &&
	       extent.page_shift == walk->page_shift;
}

/* The walk, and EDOM if the scan says something else. */
static int walk_and_scan(int fd, struct vminspect_guest_walk *walk, uint32_t flags, uint64_t cr3,
			 uint64_t address)
{
	int ret = walk_as(fd, walk, flags, cr3, address);

	return scan_agrees(fd, walk, ret) ? ret : -EDOM;
}

/* With the tables that the vCPU has; with others; and of a guest-physical address. */
#define walk_to(address)		walk_and_scan(self->fd, &self->walk, 0, 0, address)
#define walk_from(cr3, address)							\
	walk_and_scan(self->fd, &self->walk, VMINSPECT_GUEST_CR3, cr3, address)
#define walk_gpa(gpa)		walk_as(self->fd, &self->walk, VMINSPECT_GUEST_GPA, 0, gpa)

/* The guest's entry at @gpa */
#define entry(gpa)		(*entry_at(self->memory, gpa))

/* A walk that ends with a table that is not in memory, which is in slot 1 at that level. */
#define EXPECT_ABSENT(table_level, table_state)					\
do {										\
	EXPECT_EQ(VMINSPECT_MISSING_HOST, self->walk.missing);			\
	EXPECT_EQ(table_level, self->walk.missing_level);			\
	EXPECT_EQ(table_state, self->walk.entry.state);				\
} while (0)

TEST_F(tables, of_four_levels_are_followed)
{
	int pagemap = pagemap_open(getpid());

	ASSERT_EQ(0, walk_to(DATA + 0x123));
	EXPECT_EQ(VMINSPECT_MODE_4LEVEL, self->walk.mode);
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, self->walk.missing);
	EXPECT_EQ(4, self->walk.nr_levels);
	EXPECT_EQ(DATA + 0x123, self->walk.gpa);
	EXPECT_EQ((uintptr_t)self->memory + DATA + 0x123, self->walk.hva);
	EXPECT_EQ(pagemap_entry(pagemap, self->memory + DATA) & PM_PFN_MASK,
		  self->walk.entry.frame);
	close(pagemap);
}

/*
 * Memory that can't be read
 */

TEST_F(tables, in_secret_memory_are_refused)
{
	int secret = syscall(SYS_memfd_secret, 0);
	uint64_t *table;

	if (secret < 0)
		SKIP(return, "no memfd_secret: needs secretmem.enable=1");
	ASSERT_EQ(0, ftruncate(secret, SZ_4K));
	table = map_fd(secret, SZ_4K, MAP_SHARED);
	ASSERT_NE(NULL, table);
	close(secret);
	table[0] = PDPT | TABLE;
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_4K));
	EXPECT_EQ(-EIO, walk_from(OTHER, DATA));
	entry(PML4) = OTHER | TABLE;
	EXPECT_EQ(-EIO, walk_to(DATA));
	entry(PML4) = PDPT | TABLE;
	entry(PD) = OTHER | TABLE;
	EXPECT_EQ(-EIO, walk_to(DATA));
	/* where the page is may be known */
	ASSERT_EQ(0, walk_gpa(OTHER));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, self->walk.entry.state);
	EXPECT_EQ(PDPT | TABLE, table[0]);
	munmap(table, SZ_4K);
}

TEST_F(tables, in_memory_of_a_device_are_refused)
{
	uint64_t pa;
	void *registers = bar_map(&pa);

	if (!registers)
		SKIP(return, "no PCI device with memory");
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, registers, SZ_4K));
	EXPECT_EQ(-EIO, walk_from(OTHER, DATA));
	entry(PDPT) = OTHER | TABLE;
	EXPECT_EQ(-EIO, walk_to(DATA));
	ASSERT_EQ(0, walk_gpa(OTHER));
	EXPECT_EQ(pa / SZ_4K, self->walk.entry.frame);
	munmap(registers, SZ_4K);
}

/* The kernel has a page for it, but it is no memory: the firmware, below one megabyte. */
TEST_F(tables, in_memory_mapped_by_frame_are_refused)
{
	int device = open("/dev/mem", O_RDONLY);
	void *firmware = mmap(NULL, SZ_4K, PROT_READ, MAP_SHARED, device, 0xf0000);

	if (firmware == MAP_FAILED)
		SKIP(return, "/dev/mem can't be mapped");
	close(device);
	ASSERT_EQ(0, kpage_flags(0xf0) & BIT(KPF_NOPAGE));
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, firmware, SZ_4K));
	EXPECT_EQ(-EIO, walk_from(OTHER, DATA));
	entry(PDPT) = OTHER | TABLE;
	EXPECT_EQ(-EIO, walk_to(DATA));
	munmap(firmware, SZ_4K);
}

TEST_F(tables, whose_memory_failed_are_not_in_memory)
{
	char *table = map_small(SZ_4K);

	ASSERT_NE(NULL, table);
	memset(table, 0, SZ_4K);
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_EQ(VMINSPECT_FAULT_NOT_PRESENT, self->walk.fault);
	if (memory_fail(table, SZ_4K))
		SKIP(return, "MADV_HWPOISON");
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_POISONED);
	munmap(table, SZ_4K);
}

/*
 * The kernel does not unmap its own pages when they fail. One that it shares with the VMM, to say
 * why the guest has stopped, begins with zeroes.
 */
TEST_F(tables, whose_memory_failed_and_stays_mapped_are_refused)
{
	int pagemap = pagemap_open(getpid());
	uint64_t frame;
	void *table;

	table = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, self->vcpu, 0);
	ASSERT_NE(MAP_FAILED, table);
	touch(table, SZ_4K);
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_EQ(VMINSPECT_FAULT_NOT_PRESENT, self->walk.fault);
	frame = pagemap_entry(pagemap, table) & PM_PFN_MASK;
	memory_fail(table, SZ_4K);
	if (!(kpage_flags(frame) & BIT(KPF_HWPOISON)))
		SKIP(return, "MADV_HWPOISON");
	ASSERT_EQ(frame, pagemap_entry(pagemap, table) & PM_PFN_MASK);
	EXPECT_EQ(-EIO, walk_from(OTHER, DATA));
	close(pagemap);
	munmap(table, SZ_4K);
}

/*
 * Memory that is not there
 */

/* All pages of a range are as pagemap has @bits of them. */
static bool all_are(const char *map, size_t size, uint64_t bits)
{
	int pagemap = pagemap_open(getpid());
	bool same = pagemap >= 0;
	size_t at;

	for (at = 0; at < size; at += SZ_4K)
		if ((pagemap_entry(pagemap, map + at) & (PM_PRESENT | PM_SWAP)) != bits)
			same = false;
	close(pagemap);
	return same;
}

TEST_F(tables, that_were_never_touched_stay_so)
{
	char *table = map_small(4 * SZ_4K);

	ASSERT_NE(NULL, table);
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, 4 * SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_NONE);
	EXPECT_EQ((uintptr_t)table, self->walk.levels[0].entry_hva);
	entry(PD) = (OTHER + SZ_4K) | TABLE;
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_ABSENT(1, VMINSPECT_STATE_NONE);
	EXPECT_EQ(4, self->walk.nr_levels);
	entry(PD) = PT | TABLE;
	entry(PT) = (OTHER + 2 * SZ_4K) | TABLE;
	ASSERT_EQ(0, walk_to(0));
	EXPECT_ABSENT(0, VMINSPECT_STATE_NONE);
	EXPECT_EQ(OTHER + 2 * SZ_4K, self->walk.gpa);
	ASSERT_EQ(0, walk_gpa(OTHER + 3 * SZ_4K));
	EXPECT_ABSENT(0, VMINSPECT_STATE_NONE);
	EXPECT_TRUE(all_are(table, 4 * SZ_4K, 0));
	/* and memory that the VMM has unmapped under the slot */
	munmap(table, 4 * SZ_4K);
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_UNMAPPED);
}

TEST_F(tables, that_are_swapped_out_stay_so)
{
	char *table = map_small(4 * SZ_4K);
	int i;

	ASSERT_NE(NULL, table);
	memset(table, 1, 4 * SZ_4K);
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, 4 * SZ_4K));
	ASSERT_EQ(0, page_out(table, 4 * SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_SWAPPED);
	entry(PML4) = (OTHER + SZ_4K) | TABLE;
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_ABSENT(3, VMINSPECT_STATE_SWAPPED);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, walk_gpa(OTHER + i * SZ_4K));
		EXPECT_ABSENT(0, VMINSPECT_STATE_SWAPPED);
	}
	EXPECT_TRUE(all_are(table, 4 * SZ_4K, PM_SWAP));
	munmap(table, 4 * SZ_4K);
}

/* Two pages of a file: one that nobody has, one that is in the page cache and mapped nowhere. */
TEST_F(tables, in_a_file_are_not_mapped_for_it)
{
	int fd = memfd(2 * SZ_4K, 0);
	char *table = map_fd(fd, 2 * SZ_4K, MAP_SHARED);
	unsigned char cached[2];

	ASSERT_NE(NULL, table);
	ASSERT_EQ(1, pwrite(fd, "", 1, SZ_4K));
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, 2 * SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_NONE);
	ASSERT_EQ(0, walk_from(OTHER + SZ_4K, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_NONE);
	ASSERT_EQ(0, mincore(table, 2 * SZ_4K, cached));
	EXPECT_EQ(0, cached[0] & 1);
	EXPECT_EQ(1, cached[1] & 1);
	EXPECT_TRUE(all_are(table, 2 * SZ_4K, 0));
	munmap(table, 2 * SZ_4K);
	close(fd);
}

/* Who waits for the pages of a range, as in a migration of the guest, is not asked for any. */
TEST_F(tables, that_a_process_would_have_to_bring_are_not_asked_for)
{
	int uffd = uffd_open();
	char *table = map_small(SZ_4K);
	struct uffdio_register reg = {
		.range = { (uintptr_t)table, SZ_4K }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffd_msg asked;

	if (uffd < 0)
		SKIP(return, "userfaultfd");
	ASSERT_NE(NULL, table);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, fcntl(uffd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_ABSENT(4, VMINSPECT_STATE_NONE);
	EXPECT_EQ(-1, read(uffd, &asked, sizeof(asked)));
	EXPECT_EQ(EAGAIN, errno);
	close(uffd);
	munmap(table, SZ_4K);
}

/*
 * Tables that are nonsense
 */

TEST_F(tables, outside_of_the_guest_are_not_read)
{
	static const uint64_t outside[] = { NOWHERE, SIZE, OTHER - SZ_4K, OTHER + SZ_4K };
	char *table = map_small(3 * SZ_4K);
	size_t i;

	ASSERT_NE(NULL, table);
	/* its neighbours in the VMM lead to somewhere, and are not the guest's */
	for (i = 0; i < 3; i++)
		*entry_at(table, i * SZ_4K) = PDPT | TABLE;
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table + SZ_4K, SZ_4K));
	ASSERT_EQ(0, walk_from(OTHER, DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	for (i = 0; i < ARRAY_LEN(outside); i++) {
		ASSERT_EQ(0, walk_from(outside[i], DATA));
		EXPECT_EQ(VMINSPECT_MISSING_SLOT, self->walk.missing);
		EXPECT_EQ(4, self->walk.missing_level);
		EXPECT_EQ(1, self->walk.nr_levels);
		EXPECT_EQ(0, self->walk.levels[0].entry_hva);
		EXPECT_EQ(0, self->walk.levels[0].raw);

		entry(PDPT) = outside[i] | TABLE;
		ASSERT_EQ(0, walk_to(DATA));
		EXPECT_EQ(VMINSPECT_MISSING_SLOT, self->walk.missing);
		EXPECT_EQ(2, self->walk.missing_level);
		EXPECT_EQ(3, self->walk.nr_levels);
		entry(PDPT) = PD | TABLE;

		entry(PT) = outside[i] | TABLE;
		ASSERT_EQ(0, walk_to(0x42));
		EXPECT_EQ(VMINSPECT_MISSING_SLOT, self->walk.missing);
		EXPECT_EQ(0, self->walk.missing_level);
		EXPECT_EQ(outside[i] + 0x42, self->walk.gpa);
		EXPECT_EQ(0, self->walk.hva);
	}
	munmap(table, 3 * SZ_4K);
}

TEST_F(tables, that_lead_to_themselves_have_as_many_levels_as_ever)
{
	unsigned int i;

	entry(PML4) = PML4 | TABLE;
	ASSERT_EQ(0, walk_to(0x123));
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, self->walk.missing);
	EXPECT_EQ(4, self->walk.nr_levels);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(PML4, self->walk.levels[i].entry_gpa);
	EXPECT_EQ(PML4 + 0x123, self->walk.gpa);

	if (!set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE | CR4_LA57,
			   EFER_LONG | EFER_NXE)) {
		ASSERT_EQ(0, walk_to(0x123));
		EXPECT_EQ(VMINSPECT_MODE_5LEVEL, self->walk.mode);
		EXPECT_EQ(5, self->walk.nr_levels);
		EXPECT_EQ(PML4 + 0x123, self->walk.gpa);
	}

	entry(PML4) = PML4 | PRESENT;
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE, EFER_NXE));
	ASSERT_EQ(0, walk_to(0x123));
	EXPECT_EQ(VMINSPECT_MODE_PAE, self->walk.mode);
	EXPECT_EQ(3, self->walk.nr_levels);
	EXPECT_EQ(PML4 + 0x123, self->walk.gpa);

	/* a CR3 of before, of which the processor takes 32 bits: it is no other one */
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, BIT(32) | PML4, CR4_PAE, EFER_NXE));
	ASSERT_EQ(0, walk_to(0x123));
	EXPECT_EQ(BIT(32) | PML4, self->walk.cr3);
	EXPECT_EQ(PML4 + 0x123, self->walk.gpa);
	EXPECT_EQ(0, walk_from(BIT(32) | PML4, 0x123));
	EXPECT_EQ(PML4 + 0x123, self->walk.gpa);
	EXPECT_EQ(-EINVAL, walk_from(BIT(33) | PML4, 0x123));

	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, 0, 0));
	ASSERT_EQ(0, walk_to(0x123));
	EXPECT_EQ(VMINSPECT_MODE_32BIT, self->walk.mode);
	EXPECT_EQ(2, self->walk.nr_levels);
	EXPECT_EQ(PML4 + 0x123, self->walk.gpa);
}

#define EXPECT_NOT_CANONICAL(address)						\
do {										\
	ASSERT_EQ(0, walk_to(address));						\
	EXPECT_EQ(VMINSPECT_MISSING_GUEST, self->walk.missing);			\
	EXPECT_EQ(VMINSPECT_FAULT_NOT_CANONICAL, self->walk.fault);		\
	EXPECT_EQ(0, self->walk.nr_levels);					\
} while (0)

#define EXPECT_CANONICAL(address)						\
do {										\
	ASSERT_EQ(0, walk_to(address));						\
	EXPECT_NE(VMINSPECT_FAULT_NOT_CANONICAL, self->walk.fault);		\
	EXPECT_LT(0, self->walk.nr_levels);					\
} while (0)

TEST_F(tables, are_not_read_for_what_is_no_address)
{
	EXPECT_CANONICAL(0x00007fffffffffff);
	EXPECT_NOT_CANONICAL(0x0000800000000000);
	EXPECT_NOT_CANONICAL(0xffff7fffffffffff);
	EXPECT_CANONICAL(0xffff800000000000);
	EXPECT_NOT_CANONICAL(0x8000000000005000);
	/* with tables that are given, too, and before it is looked whether they can be read */
	ASSERT_EQ(0, walk_from(NOWHERE, 0x0000800000000000));
	EXPECT_EQ(VMINSPECT_FAULT_NOT_CANONICAL, self->walk.fault);

	if (!set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE | CR4_LA57, EFER_LONG)) {
		EXPECT_CANONICAL(0x0000800000000000);
		EXPECT_NOT_CANONICAL(0x0100000000000000);
		EXPECT_NOT_CANONICAL(0xfeffffffffffffff);
		EXPECT_CANONICAL(0xff00000000000000);
	}
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE, 0));
	EXPECT_CANONICAL(0xffffffff);
	EXPECT_NOT_CANONICAL(0x100000000);
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, 0, 0));
	EXPECT_CANONICAL(0xffffffff);
	EXPECT_NOT_CANONICAL(0xffffffff80000000);
	/* without paging all of it is what there is at that address */
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PROTECTED, 0, 0, 0));
	EXPECT_NOT_CANONICAL(0x100000000);
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	EXPECT_EQ(0, self->walk.nr_levels);
}

static const uint64_t table_of[] = { 0, PT, PD, PDPT, PML4 };

/*
 * What is wrong with a walk through an entry of that level that has those bits besides, and with
 * one after them; NULL: the first ends there, and tells it as it is.
 */
static const char *reserved_is_wrong(int fd, char *memory, int level, uint64_t bits)
{
	uint64_t *entry = entry_at(memory, table_of[level]);
	struct vminspect_guest_walk walk;
	uint64_t was = *entry;

	*entry = was | bits;
	if (walk_as(fd, &walk, 0, 0, 0) || walk.missing != VMINSPECT_MISSING_GUEST ||
	    walk.fault != VMINSPECT_FAULT_RESERVED)
		return "what it says";
	if (walk.nr_levels != 5 - level)
		return "where it ends";
	if (walk.levels[4 - level].raw != (was | bits))
		return "the entry";
	*entry = was;
	if (walk_as(fd, &walk, 0, 0, 0) || walk.missing != VMINSPECT_MISSING_NOTHING)
		return "what it says without";
	return NULL;
}

#define EXPECT_RESERVED(level, bits)						\
	EXPECT_EQ(NULL, reserved_is_wrong(self->fd, self->memory, level, bits))

TEST_F(tables, with_reserved_bits_end_there)
{
	int level;

	for (level = 1; level <= 4; level++) {
		EXPECT_RESERVED(level, BIT(self->pa_bits));
		EXPECT_RESERVED(level, BIT(51));
		/* also where the next table would be encrypted: the processor faults first */
		EXPECT_RESERVED(level, BIT(51) | self->c_bit);
	}
	EXPECT_RESERVED(4, LARGE);
	EXPECT_RESERVED(3, LARGE | BIT(13));
	EXPECT_RESERVED(3, LARGE | BIT(29));
	EXPECT_RESERVED(2, LARGE | BIT(13));
	EXPECT_RESERVED(2, LARGE | BIT(20));
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE, EFER_LONG));
	for (level = 1; level <= 4; level++)
		EXPECT_RESERVED(level, NX);
}

/* In that mode the same addresses may be other memory: that of the second address space. */
TEST_F(tables, in_system_management_mode_are_of_its_memory)
{
	struct kvm_vcpu_events events = { 0 };
	char *memory = map_small(SIZE);

	ASSERT_NE(NULL, memory);
	fill(memory);
	*entry_at(memory, PT + DATA / SZ_4K * 8) = (DATA + SZ_4K) | TABLE;
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_VCPU_EVENTS, &events));
	if (!(events.flags & KVM_VCPUEVENT_VALID_SMM))
		SKIP(return, "KVM has no SMM");
	events.smi.smm = 1;
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_EQ(0, set_four_levels(self->vcpu));
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(1, self->walk.address_space);
	EXPECT_EQ(VMINSPECT_MISSING_SLOT, self->walk.missing);
	EXPECT_EQ(4, self->walk.missing_level);
	ASSERT_EQ(0, set_slot(self->vm, 1 << 16, 0, memory, SIZE));
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(DATA + SZ_4K, self->walk.gpa);
	EXPECT_EQ((uintptr_t)memory + DATA + SZ_4K, self->walk.hva);
	ASSERT_EQ(0, walk_gpa(DATA));
	EXPECT_EQ((uintptr_t)memory + DATA, self->walk.hva);
	events.smi.smm = 0;
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_EQ(0, set_four_levels(self->vcpu));
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(0, self->walk.address_space);
	EXPECT_EQ((uintptr_t)self->memory + DATA, self->walk.hva);
	munmap(memory, SIZE);
}

static int walk_and_scan_in(int fd, struct vminspect_guest_walk *walk, uint32_t flags, uint8_t mode,
			    uint8_t address_space)
{
	struct vminspect_guest_extent extent;
	struct vminspect_guest_scan scan = {
		.size = sizeof(scan), .flags = flags, .cr3 = PML4, .mode = mode,
		.address_space = address_space, .extents = (uintptr_t)&extent, .nr_extents = 1,
		.extent_size = sizeof(extent),
	};
	int ret;

	*walk = (struct vminspect_guest_walk){
		.size = sizeof(*walk), .flags = flags, .cr3 = PML4, .address = DATA, .mode = mode,
		.address_space = address_space,
	};
	ret = ioctl(fd, VMINSPECT_IOC_GUEST_WALK, walk) ? -errno : 0;
	if (!(flags & VMINSPECT_GUEST_GPA) &&
	    ret != (ioctl(fd, VMINSPECT_IOC_GUEST_SCAN, &scan) ? -errno : 0))
		return -EDOM;
	return ret;
}

/* What was begun in one mode is not gone on with in another. */
TEST_F(tables, are_read_in_the_mode_that_is_given_or_not)
{
	struct kvm_vcpu_events events = { 0 };
	uint32_t pinned = VMINSPECT_GUEST_CR3 | VMINSPECT_GUEST_MODE;

#define walk_in(flags, mode, as)	walk_and_scan_in(self->fd, &self->walk, flags, mode, as)
	EXPECT_EQ(0, walk_in(pinned, VMINSPECT_MODE_4LEVEL, 0));
	EXPECT_EQ(DATA, self->walk.gpa);
	EXPECT_EQ(0, walk_in(VMINSPECT_GUEST_MODE, VMINSPECT_MODE_4LEVEL, 0));
	EXPECT_EQ(-ESTALE, walk_in(pinned, VMINSPECT_MODE_5LEVEL, 0));
	EXPECT_EQ(-ESTALE, walk_in(pinned, 255, 0));
	EXPECT_EQ(-ESTALE, walk_in(pinned, VMINSPECT_MODE_4LEVEL, 1));
	EXPECT_EQ(0, walk_in(VMINSPECT_GUEST_GPA | VMINSPECT_GUEST_MODE, VMINSPECT_MODE_PAE, 0));
	EXPECT_EQ(-ESTALE, walk_in(VMINSPECT_GUEST_GPA | VMINSPECT_GUEST_MODE, 0, 1));
	/* and what is no CR3 of a mode */
	EXPECT_EQ(-EINVAL, walk_from(BIT(self->pa_bits) | PML4, DATA));
	EXPECT_EQ(-EINVAL, walk_from(BIT(60) | PML4, DATA));
	EXPECT_EQ(0, walk_from(BIT(61) | BIT(62) | BIT(63) | PML4, DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, CR4_PAE, EFER_NXE));
	EXPECT_EQ(-ESTALE, walk_in(pinned, VMINSPECT_MODE_4LEVEL, 0));
	EXPECT_EQ(0, walk_in(pinned, VMINSPECT_MODE_PAE, 0));
	EXPECT_EQ(-EINVAL, walk_from(BIT(32) | PML4, DATA));
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4, 0, 0));
	EXPECT_EQ(-EINVAL, walk_from(BIT(63) | PML4, DATA));
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PROTECTED, 0, 0, 0));
	EXPECT_EQ(0, walk_from(BIT(63) | PML4, DATA));
	ASSERT_EQ(0, set_four_levels(self->vcpu));
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_VCPU_EVENTS, &events));
	if (!(events.flags & KVM_VCPUEVENT_VALID_SMM))
		SKIP(return, "KVM has no SMM");
	events.smi.smm = 1;
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_SET_VCPU_EVENTS, &events));
	ASSERT_EQ(0, set_four_levels(self->vcpu));
	EXPECT_EQ(-ESTALE, walk_in(pinned, VMINSPECT_MODE_4LEVEL, 0));
	EXPECT_EQ(0, walk_in(pinned, VMINSPECT_MODE_4LEVEL, 1));
}

/* One table that can't be read does not hide what the others map. */
TEST_F(tables, that_cannot_be_read_are_told_among_the_others)
{
	struct vminspect_guest_extent extents[8];
	struct vminspect_guest_scan scan = {
		.size = sizeof(scan), .extents = (uintptr_t)extents, .nr_extents = 8,
		.extent_size = sizeof(extents[0]),
	};
	int secret = syscall(SYS_memfd_secret, 0);
	uint64_t *table;

	if (secret < 0)
		SKIP(return, "no memfd_secret: needs secretmem.enable=1");
	ASSERT_EQ(0, ftruncate(secret, SZ_4K));
	table = map_fd(secret, SZ_4K, MAP_SHARED);
	ASSERT_NE(NULL, table);
	close(secret);
	table[0] = PDPT | TABLE;
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_4K));
	entry(PD + 8) = OTHER | TABLE;
	entry(PD + 16) = DATA | TABLE | self->c_bit;
	entry(PD + 24) = LARGE | TABLE;
	ASSERT_EQ(0, ioctl(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(0, scan.resume);
	ASSERT_EQ(3, scan.nr_filled);
	EXPECT_EQ(SZ_2M, extents[0].bytes);
	EXPECT_EQ(SZ_2M, extents[1].start);
	EXPECT_EQ(2 * SZ_2M, extents[1].bytes);
	EXPECT_EQ(VMINSPECT_MISSING_UNREADABLE, extents[1].missing);
	EXPECT_EQ(1, extents[1].missing_level);
	EXPECT_EQ(0, extents[1].flags);
	EXPECT_EQ(3 * SZ_2M, extents[2].start);
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, extents[2].missing);
	munmap(table, SZ_4K);
}

/*
 * Encrypted tables: the guest was told of a bit for it
 */

TEST_F(tables, that_are_said_to_be_encrypted_are_refused)
{
	struct vminspect_guest_vcpu vcpu = { .size = sizeof(vcpu) };
	int level;

	ASSERT_EQ(0, ioctl(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
	EXPECT_EQ(0, vcpu.vcpu_flags);
	EXPECT_EQ(-ENOKEY, walk_from(PML4 | self->c_bit, DATA));
	for (level = 2; level <= 4; level++) {
		uint64_t was = entry(table_of[level]);

		entry(table_of[level]) = was | self->c_bit;
		EXPECT_EQ(-ENOKEY, walk_to(DATA));
		entry(table_of[level]) = was;
	}
	ASSERT_EQ(0, walk_to(DATA));

	/* not even with tables that do not say so: what the vCPU uses does */
	ASSERT_EQ(0, set_registers(self->vcpu, CR0_PAGED, PML4 | self->c_bit, CR4_PAE,
				   EFER_LONG | EFER_NXE));
	ASSERT_EQ(0, ioctl(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
	EXPECT_EQ(VMINSPECT_VCPU_ENCRYPTED, vcpu.vcpu_flags);
	EXPECT_EQ(-ENOKEY, walk_to(DATA));
	EXPECT_EQ(-ENOKEY, walk_from(PML4, DATA));
	ASSERT_EQ(0, walk_gpa(DATA));
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, self->walk.missing);
}

TEST_F(tables, lead_to_encrypted_pages_of_each_size)
{
	entry(PT + 5 * 8) |= self->c_bit;
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	EXPECT_EQ(DATA | TABLE | self->c_bit, self->walk.levels[3].raw);
	entry(PD) = TABLE | LARGE | self->c_bit;
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	EXPECT_EQ(21, self->walk.page_shift);
	entry(PDPT) = TABLE | LARGE | self->c_bit;
	ASSERT_EQ(0, walk_to(DATA));
	EXPECT_EQ(DATA, self->walk.gpa);
	EXPECT_EQ(30, self->walk.page_shift);
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, self->walk.missing);
}

/*
 * Changes while tables are walked
 */

struct change {
	pthread_t thread;
	void (*once)(struct change *change);
	bool stop;
	unsigned long nr;
	int vm;
	char *memory;
	void *other;
};

static void *change_always(void *arg)
{
	struct change *change = arg;

	while (!READ_ONCE(change->stop)) {
		change->once(change);
		WRITE_ONCE(change->nr, change->nr + 1);
	}
	return NULL;
}

static void start_change(struct change *change)
{
	pthread_create(&change->thread, NULL, change_always, change);
	while (!READ_ONCE(change->nr))
		usleep(1000);
}

static void stop_change(struct change *change)
{
	WRITE_ONCE(change->stop, true);
	pthread_join(change->thread, NULL);
}

/* What the first entries of the upper tables become */
static const uint64_t forms[] = {
	PDPT | TABLE, PD | TABLE, PT | TABLE, PML4 | TABLE, 0, PDPT | TABLE | BIT(51), UINT64_MAX,
	NOWHERE | TABLE, OTHER | TABLE,
};

static void change_entries(struct change *change)
{
	uint64_t *entry = entry_at(change->memory, table_of[2 + random() % 3]);

	WRITE_ONCE(*entry, forms[random() % ARRAY_LEN(forms)]);
}

/* Each entry is one of those that were written, and leads to the table of the next one. */
static const char *walk_is_wrong(const struct vminspect_guest_walk *walk)
{
	uint64_t table = PML4;
	unsigned int i;

	if (!walk->nr_levels || walk->nr_levels > 4)
		return "levels";
	for (i = 0; i < walk->nr_levels; i++) {
		const struct vminspect_guest_level *level = &walk->levels[i];

		if (level->entry_gpa != table)
			return "an entry of a table that the one before it does not lead to";
		if (level->level != 4 - i)
			return "a level";
		table = level->raw & (BIT(40) - 1) & -SZ_4K;
	}
	if (walk->missing == VMINSPECT_MISSING_NOTHING && walk->gpa % SIZE != walk->gpa)
		return "an address that is none of the guest's";
	return NULL;
}

TEST_F_TIMEOUT(tables, that_the_guest_changes_are_as_they_were_when_they_were_read, TIMEOUT)
{
	struct change change = { .once = change_entries, .memory = self->memory };
	unsigned int missing[4] = { 0 };
	unsigned int i;

	start_change(&change);
	for (i = 0; i < 20000; i++) {
		const char *wrong;

		ASSERT_EQ(0, walk_as(self->fd, &self->walk, 0, 0, 0)) {
			stop_change(&change);
		}
		wrong = walk_is_wrong(&self->walk);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("%s", wrong);
			stop_change(&change);
		}
		missing[self->walk.missing]++;
	}
	stop_change(&change);
	EXPECT_EQ(0, missing[VMINSPECT_MISSING_HOST]);
	EXPECT_LT(0, missing[VMINSPECT_MISSING_NOTHING]);
	EXPECT_LT(0, missing[VMINSPECT_MISSING_GUEST]);
	EXPECT_LT(0, missing[VMINSPECT_MISSING_SLOT]);
}

/* The slot of one table and of the data goes and comes; then it is elsewhere. */
static void change_slots(struct change *change)
{
	set_slot(change->vm, 1, OTHER, change->other, SZ_4K);
	set_slot(change->vm, 1, 0, NULL, 0);
	set_slot(change->vm, 1, OTHER + SZ_4K, change->other, SZ_4K);
	set_slot(change->vm, 1, 0, NULL, 0);
}

TEST_F_TIMEOUT(tables, in_slots_that_come_and_go_are_there_or_not, TIMEOUT)
{
	uint64_t *table = (uint64_t *)map_small(SZ_4K);
	struct change change = {
		.once = change_slots, .vm = self->vm, .memory = self->memory, .other = table,
	};
	unsigned int i, there = 0, gone = 0;

	ASSERT_NE(NULL, table);
	for (i = 0; i < 512; i++)
		table[i] = DATA | TABLE;
	entry(PD) = OTHER | TABLE;
	start_change(&change);
	for (i = 0; i < 1000000 && (there < 50 || gone < 50); i++) {
		ASSERT_EQ(0, walk_as(self->fd, &self->walk, 0, 0, 0x42)) {
			stop_change(&change);
		}
		if (self->walk.missing == VMINSPECT_MISSING_SLOT) {
			EXPECT_EQ(1, self->walk.missing_level);
			gone++;
			continue;
		}
		EXPECT_EQ(VMINSPECT_MISSING_NOTHING, self->walk.missing);
		EXPECT_EQ((uintptr_t)table, self->walk.levels[3].entry_hva);
		EXPECT_EQ(DATA + 0x42, self->walk.gpa);
		there++;
	}
	stop_change(&change);
	EXPECT_LE(50, there);
	EXPECT_LE(50, gone);
	munmap(table, SZ_4K);
}

/*
 * A page that is on its way and does not arrive. Pages of 2M are copied in steps, between which the
 * kernel lets others run (folio_copy() in mm/util.c). Who is always preferred, and runs on the same
 * processor, keeps the page from arriving for as long as he likes.
 */
struct mover {
	pthread_t thread, holder;
	void *page;
	bool held, release, stop;
};

static int bind_to_processor(int nr, int policy)
{
	struct sched_param priority = { .sched_priority = policy == SCHED_FIFO };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nr, &set);
	return sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, policy, &priority) ?
	       -errno : 0;
}

/* Tests before may have left free memory in pieces, and a page of 2M moves to a whole one only. */
static void make_room(void)
{
	write_file("/proc/sys/vm/drop_caches", "3");
	write_file("/proc/sys/vm/compact_memory", "1");
}

static void *move_always(void *arg)
{
	struct mover *mover = arg;
	int node;

	bind_to_processor(0, SCHED_OTHER);
	for (node = 0; !READ_ONCE(mover->stop); node = !node) {
		move_pages_to(&mover->page, 1, node);
		if (page_node(mover->page) != node)
			make_room();
	}
	return NULL;
}

/* Once it is seen on its way: pagemap has it as neither. */
static void *hold_it(void *arg)
{
	struct mover *mover = arg;
	int pagemap = pagemap_open(getpid());

	bind_to_processor(0, SCHED_FIFO);
	while (!READ_ONCE(mover->release)) {
		if (pagemap_entry(pagemap, mover->page) & PM_PRESENT)
			usleep(1000);
		else
			WRITE_ONCE(mover->held, true);
	}
	close(pagemap);
	return NULL;
}

TEST_F_TIMEOUT(tables, that_are_moved_are_what_they_were_or_given_up, TIMEOUT)
{
	struct mover mover = { .page = map_huge(SZ_2M) };
	uint64_t *table = mover.page;
	struct mapping mapping;
	int i, ret;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "there is one node: needs numa=fake=2");
	ASSERT_NE(NULL, table);
	make_room();
	for (i = 0; i < 512 * 512; i++)
		table[i] = PDPT | TABLE;
	ASSERT_EQ(0, mapping_at(getpid(), table, &mapping));
	ASSERT_EQ(SZ_2M, mapping.anon_huge);
	ASSERT_EQ(0, set_slot(self->vm, 1, OTHER, table, SZ_2M));
	ASSERT_EQ(0, bind_to_processor(1, SCHED_OTHER));
	pthread_create(&mover.thread, NULL, move_always, &mover);
	/* while it comes and goes as fast as it can, but does arrive */
	for (i = 0; i < 500;) {
		ret = walk_as(self->fd, &self->walk, VMINSPECT_GUEST_CR3, OTHER, DATA);
		if (ret == -EAGAIN)
			continue;
		ASSERT_EQ(0, ret);
		i++;
		EXPECT_EQ(PDPT | TABLE, self->walk.levels[0].raw);
		EXPECT_EQ(DATA, self->walk.gpa);
	}
	pthread_create(&mover.holder, NULL, hold_it, &mover);
	while (!READ_ONCE(mover.held))
		usleep(1000);
	ret = walk_from(OTHER, DATA);
	ASSERT_EQ(0, walk_gpa(OTHER));
	WRITE_ONCE(mover.release, true);
	WRITE_ONCE(mover.stop, true);
	pthread_join(mover.holder, NULL);
	pthread_join(mover.thread, NULL);
	EXPECT_EQ(-EAGAIN, ret);
	EXPECT_EQ(VMINSPECT_STATE_MIGRATING, self->walk.entry.state);
	EXPECT_EQ(0, walk_from(OTHER, DATA));
	munmap(table, SZ_2M);
}

TEST_HARNESS_MAIN
