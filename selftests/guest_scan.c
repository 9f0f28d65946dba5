// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: VMINSPECT_IOC_GUEST_SCAN finds what a guest's tables map, in whatever portions it is
 * asked, and says of tables that were written at random the same as VMINSPECT_IOC_GUEST_WALK does
 * for single addresses, each call in a bounded time. The oracle is what we have written into the
 * tables; that of the walk stands in ./chain.sh.
 * machines: kvm
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"
#include "kselftest_harness.h"
#include "kvm.h"

#define PRESENT		0x001ULL
#define WRITE		0x002ULL
#define USER		0x004ULL
#define ACCESSED	0x020ULL
#define DIRTY		0x040ULL
#define HUGE		0x080ULL
#define NX		(1ULL << 63)

#define ROOT		KVM_ROOT
#define PT		KVM_PT
#define CODE		KVM_CODE
#define MEMORY		KVM_MEMORY
#define NR		512
#define TOP		(1ULL << 47)	/* where the lower half ends */

static int call(int fd, unsigned long command, void *argument)
{
	return ioctl(fd, command, argument) < 0 ? -errno : 0;
}

FIXTURE(scan)
{
	struct kvm_guest guest;
	int device;
	int fd;
	uint64_t *pt;
};

FIXTURE_SETUP(scan)
{
	struct vminspect_guest argument = { .size = sizeof(argument), .mem_fd = -1 };

	ASSERT_EQ(0, kvm_guest_make(&self->guest));
	self->pt = (uint64_t *)(self->guest.memory + PT);
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	argument.vm_fd = self->guest.vm;
	self->fd = ioctl(self->device, VMINSPECT_IOC_GUEST, &argument);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(scan)
{
	close(self->fd);
	close(self->device);
	kvm_guest_drop(&self->guest);
}

static struct vminspect_guest_scan request(struct vminspect_guest_extent *extents, uint32_t nr)
{
	return (struct vminspect_guest_scan) {
		.size = sizeof(struct vminspect_guest_scan),
		.extents = (uintptr_t)extents,
		.nr_extents = nr,
		.extent_size = sizeof(*extents),
	};
}

/* A quarter of them not present, and often a run of pages, or the same page. */
static void fill_pt(uint64_t *pt)
{
	uint64_t gpa = 0;
	int i;

	for (i = 0; i < NR; i++) {
		switch (rand() % 8) {
		case 0:
			gpa = (rand() % 64) * SZ_4K;
			break;
		case 1:
		case 2:
			break;
		default:
			gpa += SZ_4K;
		}
		pt[i] = 0;
		if (rand() % 4)
			pt[i] = gpa | PRESENT | (rand() % 8 ? 0 : WRITE) |
				(rand() % 2 ? ACCESSED : 0) | (rand() % 4 ? 0 : DIRTY);
	}
}

/* Without what the processor sets. */
static uint64_t as_written(uint64_t entry)
{
	return entry & ~(ACCESSED | DIRTY);
}

/* What an extent says of a page must be what stands in the table. */
static void check_extent(struct __test_metadata *_metadata, const uint64_t *pt, uint64_t first,
			 const struct vminspect_guest_extent *extent)
{
	uint64_t va;

	for (va = extent->start; va < extent->start + extent->bytes; va += SZ_4K) {
		uint64_t entry = pt[va / SZ_4K], gpa = extent->gpa;

		if (!extent->repeat)
			gpa += va - extent->start;
		ASSERT_TRUE(entry & PRESENT);
		ASSERT_EQ(entry & ~0xfffULL, gpa);
		ASSERT_EQ(!!(entry & WRITE), !!(extent->flags & VMINSPECT_PAGE_WRITE));
		ASSERT_EQ(12, extent->page_shift);
		ASSERT_EQ(extent->repeat, va != first && va && as_written(entry) ==
			  as_written(pt[va / SZ_4K - 1]) ? 12 : 0);
	}
}

/* The range in portions of so many extents. Return: how many pages they have. */
static uint64_t scan_pages(struct __test_metadata *_metadata, struct _test_data_scan *self,
			   uint64_t start, uint64_t end, uint32_t nr)
{
	struct vminspect_guest_extent extents[NR], *extent;
	struct vminspect_guest_scan scan = request(extents, nr);
	uint64_t last = start, pages = 0;

	scan.first = start;
	scan.resume = start;
	scan.end = end;
	while (scan.resume != end) {
		scan.start = scan.resume;
		ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
		ASSERT_LT(scan.start, scan.resume);
		ASSERT_GE(4, scan.nr_tables);
		ASSERT_GE(nr, scan.nr_filled);
		for (extent = extents; extent < extents + scan.nr_filled; extent++) {
			ASSERT_LE(last, extent->start);
			last = extent->start + extent->bytes;
			ASSERT_GE(scan.resume, last);
			ASSERT_GE(end, last);
			check_extent(_metadata, self->pt, start, extent);
			pages += extent->bytes / SZ_4K;
		}
	}
	return pages;
}

TEST_F(scan, finds_each_page_in_whatever_portions)
{
	static const uint32_t portions[] = { 1, 2, 3, 7, NR };
	uint64_t first, last, i, present;
	int round;

	srand(1);
	for (round = 0; round < 200; round++) {
		fill_pt(self->pt);
		first = round % 2 ? rand() % NR : 0;
		last = round % 4 ? first + 1 + rand() % (NR - first) : NR;
		for (present = 0, i = first; i < last; i++)
			present += self->pt[i] & PRESENT;
		ASSERT_EQ(present, scan_pages(_metadata, self, first * SZ_4K, last * SZ_4K,
					      portions[round % ARRAY_SIZE(portions)]));
	}
}

TEST_F(scan, cuts_what_is_larger_than_the_range)
{
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t *pd = (uint64_t *)(self->guest.memory + PT - SZ_4K);

	pd[1] = 0x40000000 | PRESENT | HUGE;
	pd[2] = 0x40200000 | PRESENT | HUGE;
	scan.start = SZ_2M + 3 * SZ_4K;
	scan.end = 2 * SZ_2M + SZ_4K;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(1, scan.nr_filled);
	EXPECT_EQ(scan.end, scan.resume);
	EXPECT_EQ(scan.start, extents[0].start);
	EXPECT_EQ(scan.end - scan.start, extents[0].bytes);
	EXPECT_EQ(0x40003000, extents[0].gpa);
	EXPECT_EQ(21, extents[0].page_shift);
	EXPECT_EQ(VMINSPECT_ENTRY_PRESENT | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_HUGE,
		  extents[0].flags);
}

/* What the only page may be used for, with an entry at one level that is not like the others. */
static uint32_t rights_with(struct __test_metadata *_metadata, struct _test_data_scan *self,
			    unsigned int level, uint64_t entry)
{
	uint64_t *at = (uint64_t *)(self->guest.memory + ROOT + (4 - level) * SZ_4K), before = *at;
	struct vminspect_guest_extent extent;
	struct vminspect_guest_scan scan = request(&extent, 1);

	*at = (before & ~(WRITE | USER)) | entry;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(1, scan.nr_filled);
	*at = before;
	return extent.flags & (VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_USER | VMINSPECT_PAGE_EXEC);
}

TEST_F(scan, says_what_all_levels_allow_together)
{
	unsigned int level;

	memset(self->pt, 0, SZ_4K);
	self->pt[0] = CODE | PRESENT | WRITE | USER;
	for (level = 1; level <= 4; level++) {
		EXPECT_EQ(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_USER | VMINSPECT_PAGE_EXEC,
			  rights_with(_metadata, self, level, WRITE | USER));
		EXPECT_EQ(VMINSPECT_PAGE_USER | VMINSPECT_PAGE_EXEC,
			  rights_with(_metadata, self, level, USER));
		EXPECT_EQ(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC,
			  rights_with(_metadata, self, level, WRITE));
		EXPECT_EQ(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_USER,
			  rights_with(_metadata, self, level, WRITE | USER | NX));
	}
}

TEST_F(scan, reads_a_table_once_and_few_in_a_call)
{
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t *pd = (uint64_t *)(self->guest.memory + PT - SZ_4K);
	uint64_t *pdpt = pd - SZ_4K / sizeof(*pd);
	unsigned int i, calls;

	/* one that is nowhere stands for 2M */
	pd[1] = MEMORY | PRESENT;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(2, scan.nr_filled);
	EXPECT_EQ(5, scan.nr_tables);
	EXPECT_EQ(VMINSPECT_MISSING_SLOT, extents[1].missing);
	EXPECT_EQ(1, extents[1].missing_level);
	EXPECT_EQ(SZ_2M, extents[1].bytes);
	/* a larger one after a smaller one */
	pd[1] = 0;
	pd[511] = MEMORY | PRESENT;
	pdpt[1] = MEMORY | PRESENT;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(3, scan.nr_filled);
	EXPECT_EQ(1, extents[1].missing_level);
	EXPECT_EQ(SZ_2M, extents[1].bytes);
	EXPECT_EQ(2, extents[2].missing_level);
	EXPECT_EQ(512 * SZ_2M, extents[2].bytes);
	/* nothing is mapped, by many tables */
	memset(self->pt, 0, SZ_4K);
	for (i = 0; i < NR; i++) {
		pd[i] = PT | PRESENT | (i % 2 ? WRITE : 0);
		pdpt[i] = (PT - SZ_4K) | PRESENT | (i % 2 ? WRITE : 0);
	}
	for (calls = 0; calls < 5; calls++) {
		scan.start = scan.resume;
		ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
		EXPECT_EQ(0, scan.nr_filled);
		EXPECT_LT(scan.start, scan.resume);
		EXPECT_EQ(512, scan.nr_tables);
	}
}

/*
 * Tables that are used for all there is are read once, in whatever portions, where the call before
 * has ended, and from wherever one begins.
 */
TEST_F(scan, goes_on_with_what_repeats)
{
	static const uint64_t begin[] = { 0, SZ_4K, SZ_2M, SZ_2M + 3 * SZ_4K, 5 * 512 * SZ_2M };
	struct vminspect_guest_extent extents[NR];
	unsigned int portion, i, at, calls;

	for (at = ROOT; at < CODE; at += SZ_4K)
		for (i = 0; i < NR; i++)
			((uint64_t *)(self->guest.memory + at))[i] = (at + SZ_4K) | PRESENT;
	for (portion = 1; portion < 5; portion++) {
		for (i = 0; i < ARRAY_SIZE(begin); i++) {
			struct vminspect_guest_scan scan = request(extents, portion);
			uint64_t next = begin[i];

			scan.first = begin[i];
			scan.resume = begin[i];
			for (calls = 0; !calls || scan.resume; calls++) {
				ASSERT_GT(100, calls);
				scan.start = scan.resume;
				ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
				for (at = 0; at < scan.nr_filled; at++) {
					if (next != TOP)
						ASSERT_EQ(next, extents[at].start);
					next = extents[at].start + extents[at].bytes;
					/* what it refers to was told */
					if (extents[at].repeat)
						ASSERT_LE(begin[i] + (1ULL << extents[at].repeat),
							  extents[at].start);
				}
			}
			ASSERT_EQ(0, next);
		}
	}
}

/* A bit that is the dirty one elsewhere is reserved in the four entries that PAE begins with. */
TEST_F(scan, repeats_nothing_that_faults)
{
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t *root = (uint64_t *)(self->guest.memory + ROOT);
	struct kvm_sregs sregs;
	int i;

	ASSERT_EQ(0, ioctl(self->guest.vcpu, KVM_GET_SREGS, &sregs));
	sregs.efer = 0;
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	ASSERT_EQ(0, ioctl(self->guest.vcpu, KVM_SET_SREGS, &sregs));
	/* two of them, then one table of 2M pages for each, which has one */
	memset(root, 0, SZ_4K);
	memset(self->pt, 0, SZ_4K);
	self->pt[0] = HUGE | PRESENT;
	root[0] = (uint64_t)((char *)self->pt - self->guest.memory) | PRESENT | DIRTY;
	root[1] = (uint64_t)((char *)self->pt - self->guest.memory) | PRESENT;
	root[2] = root[1];
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(VMINSPECT_MODE_PAE, scan.mode);
	ASSERT_EQ(3, scan.nr_filled);
	EXPECT_EQ(VMINSPECT_MISSING_GUEST, extents[0].missing);
	EXPECT_EQ(VMINSPECT_FAULT_RESERVED, extents[0].fault);
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, extents[1].missing);
	EXPECT_EQ(0, extents[1].repeat);
	EXPECT_EQ(1ULL << 30, extents[1].start);
	EXPECT_EQ(1ULL << 21, extents[1].bytes);
	EXPECT_EQ(30, extents[2].repeat);
	for (i = 0; i < 3; i++)
		root[i] |= DIRTY;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(1, scan.nr_filled);
	EXPECT_EQ(3ULL << 30, extents[0].bytes);
}

TEST_F(scan, fails_where_the_array_ends)
{
	char *two = mmap(NULL, 2 * SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	struct vminspect_guest_extent *extents = (void *)(two + SZ_4K);
	struct vminspect_guest_scan scan = request(extents - 2, 4);
	int i;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + SZ_4K, SZ_4K));
	for (i = 0; i < 8; i++)
		self->pt[i] = i % 2 ? 0 : CODE | PRESENT;
	EXPECT_EQ(-EFAULT, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	scan = request(extents - 2, 2);
	EXPECT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(2, scan.nr_filled);
	munmap(two, SZ_4K);
}

TEST_F(scan, knows_the_gap)
{
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t *root = (uint64_t *)(self->guest.memory + ROOT);

	memset(self->pt, 0, SZ_4K);
	self->pt[0] = CODE | PRESENT;
	root[255] = root[0];
	root[256] = root[0];
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(3, scan.nr_filled);
	EXPECT_EQ(0, scan.resume);
	EXPECT_EQ(255ULL << 39, extents[1].start);
	EXPECT_EQ(0 - TOP, extents[2].start);
	EXPECT_EQ(0, extents[2].repeat);
	EXPECT_EQ(CODE, extents[2].gpa);
	/* from inside of it, to its inside, and all within */
	scan.start = TOP;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(1, scan.nr_filled);
	scan.start = 0;
	scan.end = TOP + SZ_4K;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(2, scan.nr_filled);
	EXPECT_EQ(TOP + SZ_4K, scan.resume);
	scan.start = TOP;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(0, scan.nr_filled);
	EXPECT_EQ(TOP + SZ_4K, scan.resume);
	scan.start = 0;
	scan.end = 0 - TOP + SZ_4K;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(3, scan.nr_filled);
}

TEST_F(scan, knows_the_gap_of_five_levels)
{
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t *root = (uint64_t *)(self->guest.memory + ROOT);
	struct kvm_sregs sregs;

	ASSERT_EQ(0, ioctl(self->guest.vcpu, KVM_GET_SREGS, &sregs));
	sregs.cr4 |= 1 << 12;
	if (ioctl(self->guest.vcpu, KVM_SET_SREGS, &sregs))
		SKIP(return, "no 5-level paging: needs +la57");
	/* the code's page is the last table now */
	memset(self->pt, 0, SZ_4K);
	self->pt[0] = CODE | PRESENT;
	*(uint64_t *)(self->guest.memory + CODE) = ROOT | PRESENT;
	root[256] = root[0];
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(VMINSPECT_MODE_5LEVEL, scan.mode);
	ASSERT_EQ(2, scan.nr_filled);
	EXPECT_EQ(0, extents[0].start);
	EXPECT_EQ(ROOT, extents[0].gpa);
	EXPECT_EQ(0xff00000000000000, extents[1].start);
	/* from inside of it */
	scan.start = 1ULL << 56;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(1, scan.nr_filled);
	EXPECT_EQ(0xff00000000000000, extents[0].start);
	scan.start = 0;
	/* one run on both sides would be that far and no farther */
	root[255] = MEMORY | PRESENT;
	root[256] = MEMORY | PRESENT;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	ASSERT_EQ(3, scan.nr_filled);
	EXPECT_EQ(255ULL << 48, extents[1].start);
	EXPECT_EQ(1ULL << 48, extents[1].bytes);
	EXPECT_EQ(1ULL << 48, extents[2].bytes);
}

/* ---- Tables at random ---- */

/* Mostly other tables, and whatever else there may be. */
static uint64_t random_entry(void)
{
	uint64_t entry = (rand() % 16) * SZ_4K | PRESENT | (rand() % 8);

	switch (rand() % 16) {
	case 0:
	case 1:
		return 0;
	case 2:
		return entry | HUGE;
	case 3:
		return ((uint64_t)rand() << 33) ^ ((uint64_t)rand() << 12) ^ rand();
	case 4:
		return entry | 0x40000000;	/* in no slot */
	default:
		return entry;
	}
}

static void fill_tables(char *memory)
{
	uint64_t *entry, last = 0;

	for (entry = (uint64_t *)memory; entry < (uint64_t *)(memory + 16 * SZ_4K); entry++) {
		if (rand() % 3)
			last = random_entry();
		*entry = last;
	}
}

static struct vminspect_guest_walk walk_to(struct __test_metadata *_metadata, int fd,
					   uint64_t address)
{
	struct vminspect_guest_walk walk = { .size = sizeof(walk), .address = address };

	ASSERT_EQ(0, call(fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	return walk;
}

/* The missing page of the data is not what a scan tells. */
static unsigned int missing_before(const struct vminspect_guest_walk *walk)
{
	if (walk->missing == VMINSPECT_MISSING_GUEST || walk->missing_level)
		return walk->missing;
	return VMINSPECT_MISSING_NOTHING;
}

static void compare(struct __test_metadata *_metadata, int fd,
		    const struct vminspect_guest_extent *extent, uint64_t address)
{
	struct vminspect_guest_walk walk = walk_to(_metadata, fd, address), before;

	if (!extent->repeat) {
		ASSERT_EQ(extent->missing, missing_before(&walk));
		ASSERT_EQ(extent->fault, walk.fault);
		ASSERT_EQ(extent->missing_level, walk.missing_level);
		ASSERT_EQ(extent->page_shift, walk.page_shift);
		if (!extent->missing)
			ASSERT_EQ(extent->gpa + (address - extent->start), walk.gpa);
		return;
	}
	before = walk_to(_metadata, fd, address - (1ULL << extent->repeat));
	ASSERT_EQ(before.missing, walk.missing);
	ASSERT_EQ(before.fault, walk.fault);
	ASSERT_EQ(before.page_shift, walk.page_shift);
	ASSERT_EQ(before.gpa, walk.gpa);
	if (extent->page_shift)
		ASSERT_EQ(extent->gpa, walk.gpa & ~((1ULL << extent->page_shift) - 1));
}

static uint64_t random_below(uint64_t limit)
{
	return (((uint64_t)rand() << 31) ^ rand()) % limit;
}

/* Between two extents nothing is mapped. */
static void check_gap(struct __test_metadata *_metadata, int fd, uint64_t from, uint64_t to)
{
	struct vminspect_guest_walk walk;
	uint64_t address;

	if (from == to)
		return;
	address = from + random_below(to - from);
	walk = walk_to(_metadata, fd, address);
	ASSERT_EQ(VMINSPECT_MISSING_GUEST, walk.missing);
	ASSERT_NE(VMINSPECT_FAULT_RESERVED, walk.fault);
}

TEST_F_TIMEOUT(scan, of_tables_at_random_says_what_the_walk_says, 600)
{
	static struct vminspect_guest_extent extents[250];
	struct vminspect_guest_scan scan = request(extents, 250);
	uint64_t at;
	uint32_t i;
	int round;

	srand(2);
	for (round = 0; round < 30; round++) {
		fill_tables(self->guest.memory);
		scan.resume = round % 4 ? random_below(1ULL << 35) * SZ_4K : 0;
		for (at = 0; at < 3; at++) {
			scan.start = scan.resume;
			ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
			ASSERT_GE(512, scan.nr_tables);
			if (!scan.resume)
				break;
			ASSERT_LT(scan.start, scan.resume);
			for (i = 0; i < scan.nr_filled; i++) {
				compare(_metadata, self->fd, &extents[i], extents[i].start);
				compare(_metadata, self->fd, &extents[i],
					extents[i].start + random_below(extents[i].bytes));
				check_gap(_metadata, self->fd,
					  i ? extents[i - 1].start + extents[i - 1].bytes :
					      scan.start, extents[i].start);
			}
		}
	}
}

/* ---- What is refused ---- */

TEST_F(scan, refuses_what_makes_no_sense)
{
	struct vminspect_guest_extent extents[2];
	const struct vminspect_guest_scan good = request(extents, 2);
	struct vminspect_guest_scan scan;

#define REFUSED(member, value, error)						\
	do {									\
		scan = good;							\
		scan.member = (value);						\
		EXPECT_EQ(-(error), call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));	\
	} while (0)

	REFUSED(flags, VMINSPECT_GUEST_GPA, EINVAL);
	REFUSED(flags, 8, EINVAL);
	REFUSED(start, 1, EINVAL);
	REFUSED(first, 1, EINVAL);
	REFUSED(first, SZ_4K, EINVAL);
	REFUSED(end, SZ_4K + 8, EINVAL);
	REFUSED(nr_extents, 0, EINVAL);
	REFUSED(extent_size, sizeof(extents[0]) - 8, EINVAL);
	REFUSED(extents, 0, EFAULT);
	REFUSED(extents, UINT64_MAX - 16, EFAULT);
	REFUSED(vcpu, 1, ENOENT);
	scan = good;
	scan.start = SZ_4K;
	scan.end = SZ_4K;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	/* more than is there is not looked at */
	scan = good;
	scan.nr_extents = UINT32_MAX;
	EXPECT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(1, scan.nr_filled);
}

TEST_F(scan, takes_tables_from_anywhere)
{
	static const uint64_t nowhere[] = { MEMORY, 0xffffff000, 0xe000000ffffff000 };
	struct vminspect_guest_extent extents[4];
	struct vminspect_guest_scan scan;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
		scan = request(extents, 4);
		scan.flags = VMINSPECT_GUEST_CR3;
		scan.cr3 = nowhere[i];
		ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
		EXPECT_EQ(2, scan.nr_filled);
		EXPECT_EQ(VMINSPECT_MISSING_SLOT, extents[0].missing);
		EXPECT_EQ(4, extents[0].missing_level);
		EXPECT_EQ(TOP, extents[0].bytes);
		EXPECT_EQ(TOP, extents[1].bytes);
	}
	/* more than a physical address has */
	scan = request(extents, 4);
	scan.flags = VMINSPECT_GUEST_CR3;
	scan.cr3 = UINT64_MAX;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	scan.cr3 = 1ULL << 52 | ROOT;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	/* a flag in the low bits */
	scan = request(extents, 4);
	scan.flags = VMINSPECT_GUEST_CR3;
	scan.cr3 = ROOT | 0x18;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
	EXPECT_EQ(1, scan.nr_filled);
	EXPECT_EQ(CODE, extents[0].gpa);
	EXPECT_EQ(ROOT | 0x18, scan.cr3);
	EXPECT_EQ(VMINSPECT_MODE_4LEVEL, scan.mode);
	EXPECT_EQ(VMINSPECT_NESTED_NPT, scan.paging);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* With tables that map themselves over and over a call is soon over, and sooner with a signal. */
TEST_F(scan, goes_on_under_signals)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } };
	struct sigaction action = { .sa_handler = on_alarm };
	struct vminspect_guest_extent extents[NR];
	struct vminspect_guest_scan scan = request(extents, NR);
	uint64_t table;
	unsigned int i, early = 0;

	/* each entry unlike the one before it, and no pages, so that there is no end */
	for (table = ROOT; table < PT; table += SZ_4K)
		for (i = 0; i < NR; i++)
			((uint64_t *)(self->guest.memory + table))[i] =
				(table + SZ_4K) | PRESENT | (i % 2 ? WRITE : 0);
	memset(self->pt, 0, SZ_4K);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SCAN, &scan));
		ASSERT_LT(scan.start, scan.resume);
		ASSERT_GE(512, scan.nr_tables);
		early += scan.nr_tables < 512;
		scan.start = scan.resume;
	}
	EXPECT_LT(0, early);
	memset(&often, 0, sizeof(often));
	setitimer(ITIMER_REAL, &often, NULL);
}

TEST_HARNESS_MAIN
