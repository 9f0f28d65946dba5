// SPDX-License-Identifier: GPL-2.0
/*
 * guest [OPTIONS] MODE: a virtual machine on /dev/kvm, whose page tables and memory are known, so
 * that others can look at them. The guest runs once, tells by a port what it reads at each address,
 * which has to be what we have written there, and halts. MODE is what its processor does with an
 * address:
 *
 *   none   real mode: nothing
 *   32     two levels, pages of 4K and 4M
 *   pae    three levels, pages of 4K and 2M; the first table is not at the start of a page
 *   4, 5   four levels, five levels; pages of 4K, 2M and 1G
 *
 * Options:
 *
 *   -2         a second virtual processor, which never ran
 *   -c         not in mode none: CR3 has the bits PWT and PCD
 *   -d         dirty pages of slot 2 are logged
 *   -e         the processor is said to have SEV, with bit 47 for encrypted pages; none is
 *   -l         the guest does not halt, but loops, in another thread
 *   -m         the guest reads the page in "mmio" too, and gets zeroes
 *   -n         in modes 4 and 5: the guest does not halt, but runs a guest of its own, with its own
 *              page tables, which loops
 *   -N         in mode 4: likewise, and the guest made a nested table for that one's memory
 *   -p         in mode 4: with PCIDs
 *   -r         in mode 4: tables besides that no honest guest has, for others to begin with
 *   -s         the memory of slot 3 is pushed out once the guest has run
 *   -u GVA     the guest leaves this page alone; may be given several times
 *
 * Guest-physical memory, each slot a mapping of its own:
 *
 *   slot 0   0x00000000, 16M of small pages: code, tables and data
 *   slot 1   0x02000000, 2M of small pages, for the guest to read only
 *   slot 2   0x40000000, 4M of transparent huge pages
 *   slot 3   0x50000000, 2M of small pages
 *
 * Each page begins with its marker, base + GPA / 4K, but for pages of code and tables. What is
 * mapped where is in the array pages[] below; in mode none the small ones of them have their GPA as
 * GVA.
 *
 * The report, lines of words, numbers other than descriptors and slots in hexadecimal:
 *
 *   vm FD
 *   vcpu FD                          in the order of their indexes
 *   cr3 VALUE
 *   base VALUE                       what markers begin with
 *   slot ID AS GPA SIZE HVA FLAGS    AS: the address space, always 0
 *   table LEVEL GPA                  PGD, P4D, PUD, PMD or PTE; the first one is always the PGD
 *   map GVA GPA SIZE MARKER          MARKER: the word there, or "-" if there is no memory
 *   written GVA                      of the pages in "map" that the guest writes to, at GVA + 8
 *   untouched GVA                    of those that it does not even read
 *   user GVA GPA                     of those that user mode may access; no code where that can be
 *   mmio GVA GPA                     of those that have no memory
 *   hole GVA                         nothing is mapped
 *   root KIND GPA                    the first of such tables. KIND: "loop": all its entries lead
 *                                    to itself; "shared": the lower half of it to one table, and
 *                                    so on to the page at 0x2000; "crossed": all of it to two by
 *                                    turns, and so on to two runs of pages;
 *                                    "hollow": the same without the pages; "nowhere": 4096
 *                                    tables, for 2M each, that would be where no memory is
 *   reserved GVA                     the entry is present and has a bit that it must not have
 *   ready
 *
 * Then it does what it is told by lines of standard input, and answers "done", until they end:
 *
 *   unmap GVA       clears the last entry for a page
 *   remap GVA       restores it
 *   delete SLOT     takes a slot from the guest; we keep its memory
 *   move SLOT       takes a slot to where "mmio" is
 *   pageout SLOT    pushes out all of its memory; of slot 0 only while the guest does not loop
 *   touch SLOT      reads all of its memory
 *   run             the guest once more, from its start to its halt, unless it loops; it touches
 *                   what there is
 *   leave           with -n and -N: the guest's guest ends, and the guest loops instead
 *
 * If something is not as it should be, it says so and ends with status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "../common.h"

#define BIT(nr)		(1ULL << (nr))
#define SZ_4M		0x400000UL
#define NOWHERE		0x70000000ULL

#define MODE_NONE	1
#define MODE_32		2
#define MODE_PAE	4
#define MODE_4		8
#define MODE_5		16
#define MODE_LONG	(MODE_4 | MODE_5)
#define MODE_LEGACY	(MODE_32 | MODE_PAE)
#define MODE_PAGED	(MODE_LEGACY | MODE_LONG)
#define MODE_ANY	(MODE_NONE | MODE_PAGED)

/* Bits of an entry */
#define ENTRY_PRESENT	BIT(0)
#define ENTRY_WRITE	BIT(1)
#define ENTRY_USER	BIT(2)
#define ENTRY_LARGE	BIT(7)
#define ENTRY_GLOBAL	BIT(8)
#define ENTRY_NX	BIT(63)
#define ENTRY_ADDRESS	0x000ffffffffff000ULL
#define ENTRY_TABLE	(ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER)

/* Bits of registers */
#define CR0_PE		BIT(0)
#define CR0_ET		BIT(4)
#define CR0_PG		BIT(31)
#define CR3_PWT		BIT(3)
#define CR3_PCD		BIT(4)
#define CR3_PCID	0x123
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_PGE		BIT(7)
#define CR4_LA57	BIT(12)
#define CR4_PCIDE	BIT(17)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define EFER_NXE	BIT(11)
#define EFER_SVME	BIT(12)
#define MSR_VM_HSAVE_PA	0xc0010117
#define SEGMENT_CODE	11
#define SEGMENT_DATA	3
#define SEGMENT_TSS	11

#define CODE_GPA	0x1000
#define TABLES_GPA	0x100000
#define TABLES_END	0x1fc000
#define MAX_TABLES	((TABLES_END - TABLES_GPA) / SZ_4K)
/* For the guest's guest: two tables, the block that describes it, and room for the processor */
#define NESTED_GPA	0x1fc000
#define VMCB_GPA	0x1fe000
#define HSAVE_GPA	0x1ff000
/* Words by which it and the guest talk to us, on a page that is written to */
#define WORDS_GPA	0x4000
#define WORD_INSIDE	(WORDS_GPA + 16)	/* not zero once the guest's guest runs */
#define WORD_LEAVE	(WORDS_GPA + 20)	/* when it is to end */
#define WORD_OUTSIDE	(WORDS_GPA + 24)	/* once it has ended */
/* In mode pae the first table has 32 bytes, and may be anywhere */
#define PAE_ROOT	0x240
#define PORT		0x10
#define MAX_CPUID	256
#define CPUID_ENCRYPTION	0x8000001f
#define CPUID_SEV		BIT(1)
#define CPUID_C_BIT		47

static const struct paging {
	const char *name;
	unsigned int mode;
	unsigned int entry_size;
	unsigned int large_shift;
	uint64_t reserved;	/* never allowed in an entry for a large page */
	uint64_t cr0, cr4, efer;
	struct level {
		const char *name;
		unsigned int shift;
	} levels[5];		/* from the first to that of small pages */
} pagings[] = {
	{ "none", MODE_NONE, 0, 0, 0, CR0_ET, 0, 0, { { 0 } } },
	{ "32", MODE_32, 4, 22, BIT(21), CR0_PE | CR0_ET | CR0_PG, CR4_PSE, 0,
	  { { "PGD", 22 }, { "PTE", 12 } } },
	{ "pae", MODE_PAE, 8, 21, BIT(13), CR0_PE | CR0_ET | CR0_PG, CR4_PAE, EFER_NXE,
	  { { "PGD", 30 }, { "PMD", 21 }, { "PTE", 12 } } },
	{ "4", MODE_4, 8, 21, BIT(13), CR0_PE | CR0_ET | CR0_PG, CR4_PAE | CR4_PGE,
	  EFER_NXE | EFER_LME | EFER_LMA,
	  { { "PGD", 39 }, { "PUD", 30 }, { "PMD", 21 }, { "PTE", 12 } } },
	{ "5", MODE_5, 8, 21, BIT(13), CR0_PE | CR0_ET | CR0_PG, CR4_PAE | CR4_PGE | CR4_LA57,
	  EFER_NXE | EFER_LME | EFER_LMA,
	  { { "PGD", 48 }, { "P4D", 39 }, { "PUD", 30 }, { "PMD", 21 }, { "PTE", 12 } } },
};

static const struct paging *paging;

static struct slot {
	uint64_t gpa;
	size_t size;
	uint32_t flags;
	bool huge;
	char *hva;
	bool deleted;
} slots[] = {
	{ .gpa = 0x00000000, .size = 16 << 20 },
	{ .gpa = 0x02000000, .size = SZ_2M, .flags = KVM_MEM_READONLY },
	{ .gpa = 0x40000000, .size = SZ_4M, .huge = true },
	{ .gpa = 0x50000000, .size = SZ_2M },
};

#define THP_SLOT	(&slots[2])
#define SWAPPED_SLOT	(&slots[3])

/* What a page is, and what is done to it */
#define SMALL		0
#define LARGE		BIT(0)	/* 4M or 2M */
#define GIANT		BIT(1)	/* 1G */
#define WRITTEN		BIT(2)	/* by the guest; others are read only */
#define USER		BIT(3)	/* and not executable where there is such a bit */
#define GLOBAL		BIT(4)
#define HOLE		BIT(5)
#define RESERVED	BIT(6)
#define MMIO		BIT(7)
#define CODE		BIT(8)

static struct page {
	uint64_t gva, gpa;
	unsigned int modes;
	unsigned int kind;
	bool untouched;
	char *leaf;		/* its last entry */
	uint64_t unmapped;	/* what stood there */
} pages[] = {
#define PAGE(at, to, in, is) { .gva = (at), .gpa = (to), .modes = (in), .kind = (is) }
	PAGE(0x00001000, CODE_GPA, MODE_ANY, CODE),
	PAGE(0x00002000, 0x00002000, MODE_ANY, SMALL),
	PAGE(0x00003000, 0x00003000, MODE_ANY, SMALL),
	PAGE(0x00004000, 0x00004000, MODE_ANY, SMALL | WRITTEN),
	PAGE(0x10000000, 0x00600000, MODE_ANY, SMALL | WRITTEN),
	PAGE(0x10001000, 0x00601000, MODE_ANY, SMALL),
	PAGE(0x10002000, 0x00000000, MODE_PAGED, HOLE),
	PAGE(0x10003000, 0x02005000, MODE_ANY, SMALL),
	PAGE(0x10004000, 0x40007000, MODE_ANY, SMALL | WRITTEN),
	PAGE(0x10005000, 0x50003000, MODE_ANY, SMALL | WRITTEN),
	PAGE(0x10006000, 0xf0000000, MODE_ANY, SMALL | MMIO),
	PAGE(0x10007000, 0x00602000, MODE_PAGED, SMALL | USER),
	PAGE(0x20000000, 0x00800000, MODE_PAGED, LARGE | RESERVED),
	PAGE(0x30000000, 0x00800000, MODE_PAGED, LARGE),
	PAGE(0x30400000, 0x40000000, MODE_PAGED, LARGE | WRITTEN),
	/* As 4M these two are larger than their slots */
	PAGE(0x30800000, 0x02000000, MODE_PAGED, LARGE),
	PAGE(0x30c00000, 0x50000000, MODE_PAGED, LARGE),
	PAGE(0x80000000, 0x40000000, MODE_LONG, GIANT),
	PAGE(0xc0000000, 0x00603000, MODE_LEGACY, SMALL | WRITTEN),
	PAGE(0x00ab000000000000, 0x00604000, MODE_5, SMALL | WRITTEN),
	PAGE(0xff11000000000000, 0x00605000, MODE_5, SMALL),
	PAGE(0xffff888000000000, 0x00603000, MODE_LONG, SMALL | WRITTEN | GLOBAL),
#undef PAGE
};

static struct {
	bool second;
	bool cr3_bits;
	bool log_dirty;
	bool sev;
	bool mmio;
	bool loop;
	bool nested;
	bool nested_table;
	bool pcid;
	bool roots;
	bool swap;
} chosen;

static struct {
	const char *level;
	uint64_t gpa;
} tables[MAX_TABLES];

static struct {
	const char *kind;
	uint64_t gpa;
} roots[5];

static size_t nr_tables, nr_roots;
static uint64_t base, cr3;
static int vm, vcpu, second_vcpu;
static struct kvm_run *vcpu_run;
static struct kvm_sregs at_start;
static pthread_barrier_t looping;

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_CPUID];
} cpuid;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("guest: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(1);
}

static int need(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s.", what, strerror(errno));
	return ret;
}

static bool is_long(void)
{
	return paging->mode & MODE_LONG;
}

/* Memory of the guest, or NULL if it has none there. */
static char *memory_at(uint64_t gpa)
{
	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		const struct slot *slot = &slots[i];

		if (!slot->deleted && gpa >= slot->gpa && gpa - slot->gpa < slot->size)
			return slot->hva + (gpa - slot->gpa);
	}
	return NULL;
}

static uint64_t marker(uint64_t gpa)
{
	return base + gpa / SZ_4K;
}

static bool exists(const struct page *page)
{
	return page->modes & paging->mode;
}

static bool is_mapped(const struct page *page)
{
	return exists(page) && !(page->kind & (HOLE | RESERVED)) && !page->unmapped;
}

static bool is_touched(const struct page *page)
{
	return is_mapped(page) && !page->untouched && !(page->kind & CODE) &&
	       (memory_at(page->gpa) || (chosen.mmio && page->kind & MMIO));
}

/* What the guest should read. */
static uint64_t expected(const struct page *page)
{
	const char *memory = memory_at(page->gpa);
	uint64_t word = 0;

	if (page->kind & MMIO && memory)	/* a slot that was moved */
		memcpy(&word, memory, sizeof(word));
	else if (memory)
		word = marker(page->gpa);
	return word;
}

static unsigned int page_shift(const struct page *page)
{
	if (page->kind & GIANT)
		return 30;
	return page->kind & LARGE ? paging->large_shift : 12;
}

/* Without a neighbour that it could be made one mapping with. */
static char *map_slot_small(size_t size)
{
	char *map = map_small(size + SZ_4K);

	if (map)
		mprotect(map + size, SZ_4K, PROT_NONE);
	return map;
}

static void fill_slot(const struct slot *slot)
{
	for (size_t at = 0; at < slot->size; at += SZ_4K)
		*(uint64_t *)(slot->hva + at) = marker(slot->gpa + at);
}

static void check_huge(const struct slot *slot)
{
	struct mapping mapping;

	if (mapping_at(getpid(), slot->hva, &mapping) || mapping.anon_huge < slot->size)
		fail("The kernel gives no transparent huge pages.");
}

static void set_slot(const struct slot *slot, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot - slots,
		.flags = size ? slot->flags : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)slot->hva,
	};

	need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "The memory of a slot");
}

static void make_slots(void)
{
	if (getrandom(&base, sizeof(base), 0) != sizeof(base))
		fail("There are no random numbers.");
	if (chosen.log_dirty)
		THP_SLOT->flags |= KVM_MEM_LOG_DIRTY_PAGES;
	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		struct slot *slot = &slots[i];

		slot->hva = slot->huge ? map_huge(slot->size) : map_slot_small(slot->size);
		if (!slot->hva)
			fail("There is no memory for a slot.");
		fill_slot(slot);
		if (slot->huge)
			check_huge(slot);
		set_slot(slot, slot->size);
	}
}

static uint64_t get_entry(const char *entry)
{
	uint64_t value = 0;

	memcpy(&value, entry, paging->entry_size);
	return value;
}

static void set_entry(char *entry, uint64_t value)
{
	memcpy(entry, &value, paging->entry_size);
}

static uint64_t new_table(const char *level)
{
	uint64_t gpa = TABLES_GPA + nr_tables * SZ_4K;

	if (nr_tables == MAX_TABLES)
		fail("There are more page tables than room for them.");
	memset(memory_at(gpa), 0, SZ_4K);
	if (!nr_tables && paging->mode == MODE_PAE)
		gpa += PAE_ROOT;
	tables[nr_tables].level = level;
	tables[nr_tables++].gpa = gpa;
	return gpa;
}

/* The entry for @gva at the level of pages of that size, with the tables before it. */
static char *make_leaf(uint64_t gva, unsigned int shift)
{
	uint64_t per_table = paging->mode == MODE_32 ? 1024 : 512, table = tables[0].gpa;

	for (const struct level *level = paging->levels;; level++) {
		uint64_t index = (gva >> level->shift) % per_table;
		char *entry = memory_at(table) + index * paging->entry_size;

		if (level->shift == shift)
			return entry;
		/* In mode pae an entry of the first level has no rights */
		if (!get_entry(entry))
			set_entry(entry, new_table(level[1].name) |
				  (level->shift == 30 && paging->mode == MODE_PAE ?
				   ENTRY_PRESENT : ENTRY_TABLE));
		table = get_entry(entry) & ENTRY_ADDRESS;
	}
}

static uint64_t page_entry(const struct page *page)
{
	uint64_t entry = page->gpa | ENTRY_PRESENT;

	if (page->kind & HOLE)
		return 0;
	if (page->kind & (WRITTEN | CODE))
		entry |= ENTRY_WRITE;
	if (page->kind & USER)
		entry |= ENTRY_USER | (paging->efer & EFER_NXE ? ENTRY_NX : 0);
	if (page->kind & GLOBAL)
		entry |= ENTRY_GLOBAL;
	if (page->kind & (LARGE | GIANT))
		entry |= ENTRY_LARGE;
	if (page->kind & RESERVED)
		entry |= paging->reserved;
	return entry;
}

static void make_tables(void)
{
	if (paging->mode == MODE_NONE)
		return;
	cr3 = new_table(paging->levels[0].name);
	if (chosen.cr3_bits)
		cr3 |= CR3_PWT | CR3_PCD;
	if (chosen.pcid)
		cr3 |= CR3_PCID;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct page *page = &pages[i];

		if (!exists(page))
			continue;
		page->leaf = make_leaf(page->gva, page_shift(page));
		set_entry(page->leaf, page_entry(page));
	}
}

static void fill_table(uint64_t table, unsigned int nr, uint64_t even, uint64_t odd)
{
	uint64_t *entries = (uint64_t *)memory_at(table);

	for (unsigned int i = 0; i < nr; i++)
		entries[i] = (i % 2 ? odd : even) | ENTRY_TABLE;
}

/* Pages that follow one another. */
static uint64_t new_run(uint64_t gpa)
{
	uint64_t table = new_table("PTE");
	uint64_t *entries = (uint64_t *)memory_at(table);

	for (unsigned int i = 0; i < 512; i++)
		entries[i] = (gpa + i * SZ_4K) | ENTRY_TABLE;
	return table;
}

static void add_root(const char *kind, uint64_t gpa)
{
	roots[nr_roots].kind = kind;
	roots[nr_roots++].gpa = gpa;
}

/* The tables above two that are for 2M each. */
static void add_crossed(const char *kind, uint64_t even, uint64_t odd)
{
	uint64_t top;

	for (int level = 2; level < 4; level++) {
		uint64_t left = new_table(paging->levels[4 - level].name);
		uint64_t right = new_table(paging->levels[4 - level].name);

		fill_table(left, 512, even, odd);
		fill_table(right, 512, odd, even);
		even = left;
		odd = right;
	}
	top = new_table("PGD");
	fill_table(top, 512, even, odd);
	add_root(kind, top);
}

static void add_nowhere(void)
{
	uint64_t left = new_table("PMD"), right = new_table("PMD");
	uint64_t middle = new_table("PUD"), top = new_table("PGD");

	fill_table(left, 512, NOWHERE, NOWHERE + SZ_4K);
	fill_table(right, 512, NOWHERE + SZ_4K, NOWHERE);
	fill_table(middle, 8, left, right);
	fill_table(top, 1, middle, middle);
	add_root("nowhere", top);
}

static void make_roots(void)
{
	uint64_t top, even = 0x2000;

	if (!chosen.roots)
		return;
	top = new_table("PGD");
	fill_table(top, 512, top, top);
	add_root("loop", top);
	for (int level = 1; level < 4; level++) {
		top = new_table(paging->levels[4 - level].name);
		fill_table(top, 512, even, even);
		even = top;
	}
	top = new_table("PGD");
	fill_table(top, 256, even, even);
	add_root("shared", top);
	add_crossed("crossed", new_run(SZ_2M), new_run(2 * SZ_2M));
	add_crossed("hollow", new_table("PTE"), new_table("PTE"));
	add_nowhere();
}

static char *emit(char *code, const void *bytes, size_t nr)
{
	memcpy(code, bytes, nr);
	return code + nr;
}

/* mov between eax and memory; in real mode both sizes are the other ones without prefix. */
static char *emit_mov(char *code, uint8_t opcode, uint64_t gva)
{
	if (paging->mode == MODE_NONE)
		code = emit(code, "\x67\x66", 2);
	*code++ = opcode;
	return emit(code, &gva, is_long() ? 8 : 4);
}

static char *emit_read(char *code, uint64_t gva)
{
	code = emit_mov(code, 0xa1, gva);
	if (paging->mode == MODE_NONE)
		*code++ = 0x66;
	*code++ = 0xe7;		/* out PORT, eax */
	*code++ = PORT;
	return code;
}

/*
 * What describes the guest's guest to the processor: AMD APM vol. 2, appendix B. It is in the same
 * state as the guest was, at another place of the same code.
 */
static void make_vmcb(uint64_t rip)
{
	/* limits and rights as in VMCBs: 64-bit code, data */
	static const uint64_t code = 0xffffffff0a9b0008, data = 0xffffffff0c930010;
	char *vmcb = memory_at(VMCB_GPA);

	memset(vmcb, 0, SZ_4K);
	*(uint32_t *)(vmcb + 0x010) = BIT(0) | BIT(1);	/* leaves by VMRUN and VMMCALL */
	*(uint32_t *)(vmcb + 0x058) = 1;		/* its ASID; 0 is the guest's */
	if (chosen.nested_table) {
		*(uint64_t *)(vmcb + 0x090) = BIT(0);
		*(uint64_t *)(vmcb + 0x0b0) = NESTED_GPA;
	}
	for (size_t segment = 0; segment < 6; segment++)
		*(uint64_t *)(vmcb + 0x400 + segment * 16) = segment == 1 ? code : data;
	*(uint64_t *)(vmcb + 0x4d0) = at_start.efer;
	*(uint64_t *)(vmcb + 0x548) = at_start.cr4;
	*(uint64_t *)(vmcb + 0x550) = at_start.cr3;
	*(uint64_t *)(vmcb + 0x558) = at_start.cr0;
	*(uint64_t *)(vmcb + 0x560) = 0x400;		/* DR7, DR6 and RFLAGS as after a reset */
	*(uint64_t *)(vmcb + 0x568) = 0xffff0ff0;
	*(uint64_t *)(vmcb + 0x570) = 2;
	*(uint64_t *)(vmcb + 0x578) = rip;
	*(uint64_t *)(vmcb + 0x5f8) = 1;		/* RAX, which it says hello with */
	*(uint64_t *)(vmcb + 0x668) = 0x0007040600070406;	/* PAT as after a reset */
}

/* Its memory is that of the guest: the first two gigabytes, in pages of 1G. */
static void make_nested_table(void)
{
	uint64_t *top = (uint64_t *)memory_at(NESTED_GPA), *giant = top + SZ_4K / sizeof(*top);
	const uint64_t rights = ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;

	memset(top, 0, 2 * SZ_4K);
	top[0] = (NESTED_GPA + SZ_4K) | rights;
	giant[0] = rights | ENTRY_LARGE;
	giant[1] = SZ_1G | rights | ENTRY_LARGE;
}

/* The guest enters its own, says that it is back, and loops. That one says hello, and waits. */
static void make_nested_code(char *code)
{
	static const uint64_t vmcb = VMCB_GPA;

	code = emit(code, "\x48\xb8", 2);		/* mov rax, VMCB_GPA */
	code = emit(code, &vmcb, sizeof(vmcb));
	code = emit(code, "\x0f\x01\xd8", 3);		/* vmrun rax */
	code = emit_mov(code, 0xa3, WORD_OUTSIDE);
	code = emit(code, "\xeb\xfe", 2);		/* jmp to itself */

	make_vmcb(CODE_GPA + (code - memory_at(CODE_GPA)));
	if (chosen.nested_table)
		make_nested_table();
	code = emit_mov(code, 0xa3, WORD_INSIDE);
	code = emit_mov(code, 0xa1, WORD_LEAVE);
	code = emit(code, "\x85\xc0\x74\xf3", 4);	/* test eax, eax; jz to the line before */
	emit(code, "\x0f\x01\xd9", 3);		/* vmmcall */
}

static void make_code(void)
{
	char *code = memory_at(CODE_GPA);

	if (!code)
		fail("The guest's code is in a slot that was deleted.");
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (!is_touched(&pages[i]))
			continue;
		code = emit_read(code, pages[i].gva);
		code = emit_read(code, pages[i].gva + 4);
		if (pages[i].kind & WRITTEN)
			code = emit_mov(code, 0xa3, pages[i].gva + 8);
	}
	if (chosen.nested)
		make_nested_code(code);
	else
		emit(code, chosen.loop ? "\xeb\xfe" : "\xf4", chosen.loop ? 2 : 1);
}

static const struct kvm_cpuid_entry2 *cpuid_of(uint32_t function)
{
	for (uint32_t i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == function && !cpuid.entries[i].index)
			return &cpuid.entries[i];
	fail("KVM does not tell what its processors can do.");
}

/* As some VMMs do that pass on what the host's processors can. */
static void claim_sev(void)
{
	struct kvm_cpuid_entry2 *entry = cpuid.entries;

	while (entry < cpuid.entries + cpuid.head.nent && entry->function != CPUID_ENCRYPTION)
		entry++;
	if (entry == cpuid.entries + MAX_CPUID)
		fail("There is no room to claim SEV.");
	if (entry == cpuid.entries + cpuid.head.nent)
		cpuid.head.nent++;
	*entry = (struct kvm_cpuid_entry2){
		.function = CPUID_ENCRYPTION, .eax = CPUID_SEV, .ebx = CPUID_C_BIT,
	};
}

static void check_features(void)
{
	if (paging->mode == MODE_5 && !(cpuid_of(7)->ecx & BIT(16)))
		fail("KVM has no five levels of page tables for its guests here.");
	if (is_long() && !(cpuid_of(0x80000001)->edx & BIT(26)))
		fail("KVM has no pages of 1G for its guests here.");
	if (chosen.pcid && !(cpuid_of(1)->ecx & BIT(17)))
		fail("KVM has no PCIDs for its guests here.");
	if (chosen.nested && !(cpuid_of(0x80000001)->ecx & BIT(2)))
		fail("KVM lets its guests have none of their own here.");
}

static struct kvm_segment segment(uint8_t type)
{
	bool code = type == SEGMENT_CODE;

	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = code ? 8 : 16,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(code && is_long()),
		.l = code && is_long(),
	};
}

static void set_segments(struct kvm_sregs *sregs)
{
	sregs->ds = segment(SEGMENT_DATA);
	if (paging->mode == MODE_NONE) {
		/* Data in all of memory, as after a visit to protected mode */
		sregs->ds.selector = 0;
		sregs->ds.db = 0;
		sregs->cs.base = 0;
		sregs->cs.selector = 0;
		return;
	}
	sregs->cs = segment(SEGMENT_CODE);
	sregs->es = sregs->ds;
	sregs->ss = sregs->ds;
	sregs->fs = sregs->ds;
	sregs->gs = sregs->ds;
	sregs->tr.type = SEGMENT_TSS;
}

static void choose_start(void)
{
	need(ioctl(vcpu, KVM_GET_SREGS, &at_start), "KVM_GET_SREGS");
	set_segments(&at_start);
	at_start.cr0 = paging->cr0;
	at_start.cr3 = cr3;
	at_start.cr4 = paging->cr4 | (chosen.pcid ? CR4_PCIDE : 0);
	at_start.efer = paging->efer | (chosen.nested ? EFER_SVME : 0);
}

/* Without it the processor refuses to enter a guest. */
static void set_hsave(void)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = MSR_VM_HSAVE_PA, .data = HSAVE_GPA } };

	if (need(ioctl(vcpu, KVM_SET_MSRS, &msrs), "KVM_SET_MSRS") != 1)
		fail("KVM does not take a place for a guest's state.");
}

static int make_vcpu(int index)
{
	int fd = need(ioctl(vm, KVM_CREATE_VCPU, index), "KVM_CREATE_VCPU");

	need(ioctl(fd, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
	return fd;
}

static void make_vcpus(int kvm)
{
	int size = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");

	vcpu = make_vcpu(0);
	if (chosen.second)
		second_vcpu = make_vcpu(1);
	vcpu_run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (vcpu_run == MAP_FAILED)
		fail("The state of a virtual processor: %s.", strerror(errno));
}

static void make_machine(void)
{
	int kvm = need(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");

	cpuid.head.nent = MAX_CPUID;
	need(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	check_features();
	if (chosen.sev)
		claim_sev();
	vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	make_slots();
	make_tables();
	make_roots();
	make_vcpus(kvm);
	choose_start();
	if (chosen.nested)
		set_hsave();
}

static void restart(void)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };

	need(ioctl(vcpu, KVM_SET_SREGS, &at_start), "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* A device that is all zeroes. */
static bool answer_mmio(void)
{
	if (!chosen.mmio || vcpu_run->exit_reason != KVM_EXIT_MMIO || vcpu_run->mmio.is_write)
		return false;
	memset(vcpu_run->mmio.data, 0, sizeof(vcpu_run->mmio.data));
	return true;
}

static void enter(void)
{
	int ret;

	do
		ret = ioctl(vcpu, KVM_RUN, 0);
	while ((ret && errno == EINTR) || (!ret && answer_mmio()));
	need(ret, "KVM_RUN");
}

static void __attribute__((noreturn)) fail_with_exit(void)
{
	struct kvm_regs regs = { 0 };

	ioctl(vcpu, KVM_GET_REGS, &regs);
	fail("The guest left for reason %u at 0x%llx, where it should not.",
	     vcpu_run->exit_reason, regs.rip);
}

/* What the guest says next. */
static uint32_t hear(void)
{
	uint32_t word;

	enter();
	if (vcpu_run->exit_reason != KVM_EXIT_IO || vcpu_run->io.direction != KVM_EXIT_IO_OUT ||
	    vcpu_run->io.port != PORT || vcpu_run->io.size != sizeof(word) ||
	    vcpu_run->io.count != 1)
		fail_with_exit();
	memcpy(&word, (char *)vcpu_run + vcpu_run->io.data_offset, sizeof(word));
	return word;
}

static void hear_of_page(const struct page *page)
{
	uint64_t word = hear();

	word |= (uint64_t)hear() << 32;
	if (word != expected(page))
		fail("The guest has read 0x%" PRIx64 " at 0x%" PRIx64 ", where 0x%" PRIx64
		     " should be.", word, page->gva, expected(page));
}

static void check_written(const struct page *page)
{
	if (*(uint32_t *)(memory_at(page->gpa) + 8) != marker(page->gpa) >> 32)
		fail("What the guest has written at 0x%" PRIx64 " is not there.", page->gva);
}

/* Until it has touched all of its pages. */
static void run_code(void)
{
	make_code();
	restart();
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (is_touched(&pages[i]))
			hear_of_page(&pages[i]);
}

static void run_to_halt(void)
{
	run_code();
	enter();
	if (vcpu_run->exit_reason != KVM_EXIT_HLT)
		fail_with_exit();
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (is_touched(&pages[i]) && pages[i].kind & WRITTEN)
			check_written(&pages[i]);
}

static void *run_and_loop(void *arg)
{
	run_code();
	pthread_barrier_wait(&looping);
	enter();
	fail_with_exit();
	return arg;
}

static void start_looping(void)
{
	pthread_t thread;

	pthread_barrier_init(&looping, NULL, 2);
	if (pthread_create(&thread, NULL, run_and_loop, NULL))
		fail("There is no thread to be had.");
	pthread_barrier_wait(&looping);
}

/* Another thread runs it. */
static void wait_for_word(uint64_t gpa, const char *what)
{
	const uint32_t *word = (const uint32_t *)memory_at(gpa);

	for (int tries = 0; !READ_ONCE(*word); tries++) {
		if (tries == 3000)
			fail("The guest does not %s.", what);
		usleep(10000);
	}
}

static void leave_nested(const char *word)
{
	(void)word;
	if (!chosen.nested)
		fail("The guest has no guest.");
	WRITE_ONCE(*(uint32_t *)memory_at(WORD_LEAVE), 1);
	wait_for_word(WORD_OUTSIDE, "come back from its own guest");
}

static void report_slots(void)
{
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		printf("slot %zu 0 0x%" PRIx64 " 0x%zx 0x%" PRIxPTR " 0x%x\n", i, slots[i].gpa,
		       slots[i].size, (uintptr_t)slots[i].hva, slots[i].flags);
}

static void report_tables(void)
{
	for (size_t i = 0; i < nr_tables; i++)
		printf("table %s 0x%" PRIx64 "\n", tables[i].level, tables[i].gpa);
}

static void report_roots(void)
{
	for (size_t i = 0; i < nr_roots; i++)
		printf("root %s 0x%" PRIx64 "\n", roots[i].kind, roots[i].gpa);
}

static void report_map(const struct page *page)
{
	const uint64_t *word = (const uint64_t *)memory_at(page->gpa);

	printf("map 0x%" PRIx64 " 0x%" PRIx64 " 0x%llx ", page->gva, page->gpa,
	       BIT(page_shift(page)));
	if (word)
		printf("0x%" PRIx64 "\n", *word);
	else
		puts("-");
	if (page->kind & WRITTEN && !page->untouched)
		printf("written 0x%" PRIx64 "\n", page->gva);
	if (!is_touched(page) && !(page->kind & CODE))
		printf("untouched 0x%" PRIx64 "\n", page->gva);
	if (page->kind & USER)
		printf("user 0x%" PRIx64 " 0x%" PRIx64 "\n", page->gva, page->gpa);
	if (page->kind & MMIO)
		printf("mmio 0x%" PRIx64 " 0x%" PRIx64 "\n", page->gva, page->gpa);
}

static void report_page(const struct page *page)
{
	if (page->kind & HOLE)
		printf("hole 0x%" PRIx64 "\n", page->gva);
	else if (page->kind & RESERVED)
		printf("reserved 0x%" PRIx64 "\n", page->gva);
	else
		report_map(page);
}

static void report(void)
{
	printf("vm %d\nvcpu %d\n", vm, vcpu);
	if (chosen.second)
		printf("vcpu %d\n", second_vcpu);
	printf("cr3 0x%" PRIx64 "\nbase 0x%" PRIx64 "\n", cr3, base);
	report_slots();
	report_tables();
	report_roots();
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (exists(&pages[i]))
			report_page(&pages[i]);
}

static void push_out(const struct slot *slot)
{
	errno = -page_out(slot->hva, slot->size);
	if (errno)
		fail("The pages of slot %td do not go out: %s.", slot - slots, strerror(errno));
}

static struct slot *slot_of(const char *word)
{
	char *end;
	unsigned long nr = strtoul(word, &end, 10);

	if (end == word || *end || nr >= ARRAY_LEN(slots))
		fail("There is no slot '%s'.", word);
	return &slots[nr];
}

static struct page *page_of(const char *word)
{
	uint64_t gva = strtoull(word, NULL, 16);

	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (exists(&pages[i]) && pages[i].gva == gva)
			return &pages[i];
	fail("There is no page at '%s'.", word);
}

static void unmap_page(const char *word)
{
	struct page *page = page_of(word);

	if (!page->leaf || !get_entry(page->leaf))
		fail("Nothing is mapped at '%s'.", word);
	page->unmapped = get_entry(page->leaf);
	set_entry(page->leaf, 0);
}

static void remap_page(const char *word)
{
	struct page *page = page_of(word);

	if (!page->unmapped)
		fail("The page at '%s' was not unmapped.", word);
	set_entry(page->leaf, page->unmapped);
	page->unmapped = 0;
}

static void delete_slot(const char *word)
{
	struct slot *slot = slot_of(word);

	if (slot->deleted)
		fail("Slot %s was deleted before.", word);
	set_slot(slot, 0);
	slot->deleted = true;
}

static void move_slot(const char *word)
{
	struct slot *slot = slot_of(word);

	if (!slot->deleted)
		set_slot(slot, 0);
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (pages[i].kind & MMIO)
			slot->gpa = pages[i].gpa;
	set_slot(slot, slot->size);
	slot->deleted = false;
}

static void page_out_slot(const char *word)
{
	push_out(slot_of(word));
}

static void touch_slot(const char *word)
{
	const struct slot *slot = slot_of(word);

	touch(slot->hva, slot->size);
}

static void run_again(const char *word)
{
	(void)word;
	if (chosen.loop)
		fail("The guest is running.");
	run_to_halt();
}

static const struct {
	const char *name;
	void (*run)(const char *word);
} commands[] = {
	{ "unmap", unmap_page },
	{ "remap", remap_page },
	{ "delete", delete_slot },
	{ "move", move_slot },
	{ "pageout", page_out_slot },
	{ "touch", touch_slot },
	{ "run", run_again },
	{ "leave", leave_nested },
};

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void obey(const char *line)
{
	char name[16] = "", word[32] = "";

	if (sscanf(line, "%15s %31s", name, word) < 1)
		fail("A command is missing.");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!strcmp(commands[i].name, name)) {
			commands[i].run(word);
			say("done");
			return;
		}
	}
	fail("There is no command '%s'.", name);
}

static int run(void)
{
	char line[80];

	make_machine();
	if (chosen.loop)
		start_looping();
	else
		run_to_halt();
	if (chosen.nested)
		wait_for_word(WORD_INSIDE, "enter its own guest");
	report();
	if (chosen.swap)
		push_out(SWAPPED_SLOT);
	say("ready");
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}

static const struct paging *find_paging(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(pagings); i++)
		if (!strcmp(pagings[i].name, name))
			return &pagings[i];
	return NULL;
}

/* Where they are is all that there is to an address. */
static void map_pages_to_themselves(void)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i].gva = pages[i].gpa;
}

static int wrong_usage(void)
{
	fputs("usage: guest [-2cdelmnNprs] [-u GVA]... none|32|pae|4|5\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *untouched[ARRAY_LEN(pages)];
	size_t nr_untouched = 0;
	int option;

	while ((option = getopt(argc, argv, "2cdelmnNprsu:")) != -1) {
		switch (option) {
		case '2':
			chosen.second = true;
			break;
		case 'c':
			chosen.cr3_bits = true;
			break;
		case 'd':
			chosen.log_dirty = true;
			break;
		case 'e':
			chosen.sev = true;
			break;
		case 'm':
			chosen.mmio = true;
			break;
		case 'l':
			chosen.loop = true;
			break;
		case 'N':
			chosen.nested_table = true;
			/* fallthrough */
		case 'n':
			chosen.nested = true;
			chosen.loop = true;
			break;
		case 'p':
			chosen.pcid = true;
			break;
		case 'r':
			chosen.roots = true;
			break;
		case 's':
			chosen.swap = true;
			break;
		case 'u':
			if (nr_untouched == ARRAY_LEN(untouched))
				return wrong_usage();
			untouched[nr_untouched++] = optarg;
			break;
		default:
			return wrong_usage();
		}
	}
	if (argc - optind != 1)
		return wrong_usage();
	paging = find_paging(argv[optind]);
	if (!paging || ((chosen.pcid || chosen.roots) && paging->mode != MODE_4) ||
	    (chosen.nested && !is_long()) || (chosen.nested_table && paging->mode != MODE_4) ||
	    (chosen.cr3_bits && paging->mode == MODE_NONE))
		return wrong_usage();
	if (paging->mode == MODE_NONE)
		map_pages_to_themselves();
	while (nr_untouched)
		page_of(untouched[--nr_untouched])->untouched = true;
	return run();
}
