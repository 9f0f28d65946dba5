// SPDX-License-Identifier: GPL-2.0
/*
 * Registers, addresses and entries of guests in each paging mode, and nested entries, as
 * module/paging.c reads them. All values are written out from the manuals: Intel SDM vol. 3,
 * chapter 4 (tables of each mode's formats) and 29.3; AMD APM vol. 2, chapter 5 and 15.25.
 */
#include <linux/module.h>

#include "module/paging.c"
#include "tap.h"

#define PG	0x80000011	/* CR0: PG, ET, PE */
#define NO_PG	0x00000011
#define PSE	0x10		/* CR4 */
#define PAE	0x20
#define LA57	0x1000
#define LME	0x100		/* EFER */
#define LONG	0x500		/* LME, LMA */
#define NXE	0x800

#define PRESENT		VMINSPECT_ENTRY_PRESENT
#define WRITE_		VMINSPECT_PAGE_WRITE
#define EXEC		VMINSPECT_PAGE_EXEC
#define USER		VMINSPECT_PAGE_USER
#define GLOBAL		VMINSPECT_PAGE_GLOBAL
#define YOUNG		VMINSPECT_PAGE_YOUNG
#define DIRTY		VMINSPECT_PAGE_DIRTY
#define HUGE_		VMINSPECT_PAGE_HUGE

#define NPT	VMINSPECT_NESTED_NPT
#define EPT	VMINSPECT_NESTED_EPT

static void expect_at(unsigned int line, u64 got, u64 expected)
{
	if (got != expected && !nr_wrong++)
		say("# paging_test.c:%u: %#llx, expected %#llx\n", line, got, expected);
}

#define expect(got, expected)	expect_at(__LINE__, got, expected)

static struct vmi_paging paging_of(u64 cr0, u64 cr4, u64 efer, unsigned int pa_bits)
{
	struct vmi_paging paging;

	memset(&paging, 0xa5, sizeof(paging));	/* all members have to be written */
	vmi_paging_init(&paging, cr0, cr4, efer, pa_bits);
	return paging;
}

/* With execution protected where there is a bit for it. */
static struct vmi_paging bits32, bits32_pse, pae, level4, level5;

static void set_up(void)
{
	bits32 = paging_of(PG, 0, NXE, 46);
	bits32_pse = paging_of(PG, PSE, NXE, 46);
	pae = paging_of(PG, PAE, NXE, 46);
	level4 = paging_of(PG, PAE, LONG | NXE, 46);
	level5 = paging_of(PG, PAE | LA57, LONG | NXE, 46);
}

static const struct {
	u64 cr0, cr4, efer;
	u8 mode, levels;
} registers[] = {
	{ NO_PG, 0, 0, VMINSPECT_MODE_NONE, 0 },
	{ NO_PG, PSE | PAE | LA57, LME | NXE, VMINSPECT_MODE_NONE, 0 },
	{ PG, 0, 0, VMINSPECT_MODE_32BIT, 2 },
	{ PG, PSE, 0, VMINSPECT_MODE_32BIT, 2 },
	{ PG, PSE, NXE, VMINSPECT_MODE_32BIT, 2 },
	{ PG, PAE, 0, VMINSPECT_MODE_PAE, 3 },
	{ PG, PAE | PSE, NXE, VMINSPECT_MODE_PAE, 3 },
	/* has no meaning outside of long mode */
	{ PG, PAE | LA57, 0, VMINSPECT_MODE_PAE, 3 },
	{ PG, PAE, LONG, VMINSPECT_MODE_4LEVEL, 4 },
	{ PG, PAE | PSE, LONG | NXE, VMINSPECT_MODE_4LEVEL, 4 },
	{ PG, PAE | LA57, LONG, VMINSPECT_MODE_5LEVEL, 5 },
	/* as Linux runs: with write protection, alignment checks, PCIDs, SMEP, SMAP, ... */
	{ 0x80050033, 0x370ef0, 0xd01, VMINSPECT_MODE_4LEVEL, 4 },
	{ 0x80050033, 0x371ef0, 0xd01, VMINSPECT_MODE_5LEVEL, 5 },
};

static void mode(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(registers); i++) {
		struct vmi_paging paging = paging_of(registers[i].cr0, registers[i].cr4,
						     registers[i].efer, 39);

		expect(paging.mode, registers[i].mode);
		expect(paging.levels, registers[i].levels);
		expect(paging.huge, !!(registers[i].cr4 & PSE));
		expect(paging.nx, !!(registers[i].efer & NXE));
		expect(paging.pa_bits, 39);
		expect(paging.c_bit, 0);
	}
}

/* A guest may be told anything. */
static void width(void)
{
	expect(paging_of(PG, PAE, LONG, 0).pa_bits, 32);
	expect(paging_of(PG, PAE, LONG, 32).pa_bits, 32);
	expect(paging_of(PG, PAE, LONG, 52).pa_bits, 52);
	expect(paging_of(PG, PAE, LONG, 53).pa_bits, 52);
	expect(paging_of(PG, PAE, LONG, 255).pa_bits, 52);
}

static void canonical(void)
{
	static const struct {
		u64 va;
		bool level4, level5, bits32;
	} addresses[] = {
		{ 0,			true, true, true },
		{ 0x00000000ffffffff,	true, true, true },
		{ 0x0000000100000000,	true, true, false },
		{ 0x00007fffffffffff,	true, true, false },
		{ 0x0000800000000000,	false, true, false },
		{ 0x0000ffffffffffff,	false, true, false },
		{ 0x00ffffffffffffff,	false, true, false },
		{ 0x0100000000000000,	false, false, false },
		{ 0x8000000000000000,	false, false, false },
		{ 0x7fffffffffffffff,	false, false, false },
		{ 0xfeffffffffffffff,	false, false, false },
		{ 0xff00000000000000,	false, true, false },
		{ 0xffff7fffffffffff,	false, true, false },
		{ 0xffff800000000000,	true, true, false },
		{ 0xffffffff00000000,	true, true, false },
		{ 0xffffffffffffffff,	true, true, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		const u64 va = addresses[i].va;

		expect(vmi_paging_canonical(&level4, va), addresses[i].level4);
		expect(vmi_paging_canonical(&level5, va), addresses[i].level5);
		expect(vmi_paging_canonical(&pae, va), addresses[i].bits32);
		expect(vmi_paging_canonical(&bits32, va), addresses[i].bits32);
		expect(vmi_paging_canonical(&bits32_pse, va), addresses[i].bits32);
	}
}

/* Bits 0 to 11: PCID, or PWT and PCD; 61 and 62: LAM; 63: keep what is cached. */
static void root(void)
{
	expect(vmi_paging_root(&level4, 0x0000000123456000), 0x0000000123456000);
	expect(vmi_paging_root(&level4, 0x0000000123456fff), 0x0000000123456000);
	expect(vmi_paging_root(&level4, 0xe000000123456801), 0x0000000123456000);
	expect(vmi_paging_root(&level4, 0x00003ffffffff018), 0x00003ffffffff000);
	expect(vmi_paging_root(&level5, 0xe0003ffffffffabc), 0x00003ffffffff000);
	expect(vmi_paging_root(&level5, 0x2000000000001000), 0x0000000000001000);

	expect(vmi_paging_root(&pae, 0x12345678), 0x12345660);
	expect(vmi_paging_root(&pae, 0xffffffff), 0xffffffe0);
	expect(vmi_paging_root(&pae, 0x00000020), 0x00000020);
	/* in 64 bits, of which these modes read 32 */
	expect(vmi_paging_root(&pae, 0x100000040), 0x40);
	expect(vmi_paging_root(&bits32, 0x12345678), 0x12345000);
	expect(vmi_paging_root(&bits32_pse, 0xffffffff), 0xfffff000);
	expect(vmi_paging_root(&bits32, 0x100001000), 0x1000);
}

static void entry_size(void)
{
	expect(vmi_paging_entry_size(&bits32), 4);
	expect(vmi_paging_entry_size(&bits32_pse), 4);
	expect(vmi_paging_entry_size(&pae), 8);
	expect(vmi_paging_entry_size(&level4), 8);
	expect(vmi_paging_entry_size(&level5), 8);
}

static void extent(void)
{
	expect(vmi_paging_shift(&bits32, 1), 12);
	expect(vmi_paging_shift(&bits32, 2), 22);
	expect(vmi_paging_shift(&pae, 1), 12);
	expect(vmi_paging_shift(&pae, 2), 21);
	expect(vmi_paging_shift(&pae, 3), 30);
	expect(vmi_paging_shift(&level4, 1), 12);
	expect(vmi_paging_shift(&level4, 2), 21);
	expect(vmi_paging_shift(&level4, 3), 30);
	expect(vmi_paging_shift(&level4, 4), 39);
	expect(vmi_paging_shift(&level5, 4), 39);
	expect(vmi_paging_shift(&level5, 5), 48);
}

static const struct {
	const struct vmi_paging *paging;
	u64 va;
	unsigned int index[6];	/* by level */
} indexes[] = {
	{ &bits32, 0, { 0, 0, 0 } },
	{ &bits32, 0x00c04005, { 0, 4, 3 } },
	{ &bits32, 0x55555555, { 0, 341, 341 } },
	{ &bits32, 0xaaaaaaaa, { 0, 682, 682 } },
	{ &bits32, 0xc0000000, { 0, 0, 768 } },
	{ &bits32_pse, 0xffffffff, { 0, 1023, 1023 } },
	{ &pae, 0x80604005, { 0, 4, 3, 2 } },
	{ &pae, 0x55555555, { 0, 341, 170, 1 } },
	{ &pae, 0xc0000000, { 0, 0, 0, 3 } },
	{ &pae, 0xffffffff, { 0, 511, 511, 3 } },
	{ &level4, 0x0000008080604005, { 0, 4, 3, 2, 1 } },
	{ &level4, 0x0000555555555555, { 0, 341, 170, 341, 170 } },
	{ &level4, 0x00007fffffffffff, { 0, 511, 511, 511, 255 } },
	{ &level4, 0xffff800000000000, { 0, 0, 0, 0, 256 } },
	{ &level4, 0xffff888000000000, { 0, 0, 0, 0, 273 } },
	{ &level4, 0xffffffff81000000, { 0, 0, 8, 510, 511 } },
	{ &level4, 0xffffffffffffffff, { 0, 511, 511, 511, 511 } },
	{ &level5, 0x0005008080604005, { 0, 4, 3, 2, 1, 5 } },
	{ &level5, 0x00fedcba98765432, { 0, 357, 195, 234, 441, 254 } },
	{ &level5, 0xff00000000000000, { 0, 0, 0, 0, 0, 256 } },
	{ &level5, 0xff11000000000000, { 0, 0, 0, 0, 0, 273 } },
	{ &level5, 0xffffffff81000000, { 0, 0, 8, 510, 511, 511 } },
};

static void index_of_each_level(void)
{
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(indexes); i++)
		for (level = 1; level <= indexes[i].paging->levels; level++)
			expect(vmi_paging_index(indexes[i].paging, level, indexes[i].va),
			       indexes[i].index[level]);
}

/* Bit 7 of an entry in a lowest table is PAT. */
static void leaf(void)
{
	expect(vmi_paging_leaf(&bits32, 1, 0x123450e7), true);
	expect(vmi_paging_leaf(&bits32, 1, 0x12345067), true);
	expect(vmi_paging_leaf(&bits32, 2, 0x12345067), false);
	expect(vmi_paging_leaf(&bits32, 2, 0x124000e7), false);
	expect(vmi_paging_leaf(&bits32_pse, 2, 0x124000e7), true);
	expect(vmi_paging_leaf(&bits32_pse, 2, 0x12400067), false);

	/* none of these asks CR4.PSE */
	expect(vmi_paging_leaf(&pae, 1, 0x12345067), true);
	expect(vmi_paging_leaf(&pae, 2, 0x12345067), false);
	expect(vmi_paging_leaf(&pae, 2, 0x124000e7), true);
	expect(vmi_paging_leaf(&pae, 3, 0x12345001), false);
	expect(vmi_paging_leaf(&pae, 3, 0x12345081), false);

	expect(vmi_paging_leaf(&level4, 1, 0x12345067), true);
	expect(vmi_paging_leaf(&level4, 2, 0x12345067), false);
	expect(vmi_paging_leaf(&level4, 2, 0x124000e7), true);
	expect(vmi_paging_leaf(&level4, 3, 0x12345067), false);
	expect(vmi_paging_leaf(&level4, 3, 0x400000e7), true);
	expect(vmi_paging_leaf(&level4, 4, 0x12345067), false);
	expect(vmi_paging_leaf(&level4, 4, 0x123450e7), false);

	expect(vmi_paging_leaf(&level5, 3, 0x400000e7), true);
	expect(vmi_paging_leaf(&level5, 4, 0x123450e7), false);
	expect(vmi_paging_leaf(&level5, 5, 0x12345067), false);
	expect(vmi_paging_leaf(&level5, 5, 0x123450e7), false);
}

/* Of all bits that @raw may have besides, those in @reserved and no others. */
static void expect_reserved_at(unsigned int line, const struct vmi_paging *paging,
			       unsigned int level, u64 raw, u64 reserved)
{
	const unsigned int bits = paging->mode == VMINSPECT_MODE_32BIT ? 32 : 64;
	unsigned int bit;
	u64 found = 0;

	expect_at(line, vmi_paging_reserved(paging, level, raw), false);
	for (bit = 0; bit < bits; bit++)
		if (vmi_paging_reserved(paging, level, raw | 1ULL << bit))
			found |= 1ULL << bit;
	expect_at(line, found, reserved);
}

#define expect_reserved(...)	expect_reserved_at(__LINE__, __VA_ARGS__)

/* Bits that hold an address start at 12, 21 or 30; bit 12 of a larger page is PAT. */
static void reserved_long(void)
{
	const struct vmi_paging *const modes[] = { &level4, &level5 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmi_paging paging = *modes[i];

		expect_reserved(&paging, 1, 0x01, 0x000fc00000000000);
		expect_reserved(&paging, 1, 0x81, 0x000fc00000000000);
		expect_reserved(&paging, 2, 0x01, 0x000fc00000000000);
		expect_reserved(&paging, 2, 0x81, 0x000fc000001fe000);
		expect_reserved(&paging, 3, 0x01, 0x000fc00000000000);
		expect_reserved(&paging, 3, 0x81, 0x000fc0003fffe000);
		expect_reserved(&paging, 4, 0x01, 0x000fc00000000080);

		paging.pa_bits = 36;
		expect_reserved(&paging, 1, 0x01, 0x000ffff000000000);
		expect_reserved(&paging, 4, 0x01, 0x000ffff000000080);
		paging.pa_bits = 51;
		expect_reserved(&paging, 1, 0x01, 0x0008000000000000);
		paging.pa_bits = 52;
		expect_reserved(&paging, 1, 0x01, 0);
		expect_reserved(&paging, 2, 0x81, 0x00000000001fe000);
		expect_reserved(&paging, 3, 0x81, 0x000000003fffe000);
		expect_reserved(&paging, 4, 0x01, 0x0000000000000080);
	}
	expect_reserved(&level5, 5, 0x01, 0x000fc00000000080);
}

static void reserved_without_nxe(void)
{
	const struct vmi_paging long4 = paging_of(PG, PAE, LONG, 46);
	const struct vmi_paging long5 = paging_of(PG, PAE | LA57, LONG, 46);
	const struct vmi_paging legacy = paging_of(PG, PAE, 0, 46);

	expect_reserved(&long4, 1, 0x01, 0x800fc00000000000);
	expect_reserved(&long4, 2, 0x81, 0x800fc000001fe000);
	expect_reserved(&long4, 3, 0x01, 0x800fc00000000000);
	expect_reserved(&long4, 4, 0x01, 0x800fc00000000080);
	expect_reserved(&long5, 1, 0x01, 0x800fc00000000000);
	expect_reserved(&long5, 5, 0x01, 0x800fc00000000080);
	expect_reserved(&legacy, 1, 0x01, 0xffffc00000000000);
	expect_reserved(&legacy, 2, 0x81, 0xffffc000001fe000);
	expect_reserved(&legacy, 3, 0x01, 0xffffc000000001c6);
}

static void reserved_pae(void)
{
	struct vmi_paging paging = pae;

	expect_reserved(&paging, 1, 0x01, 0x7fffc00000000000);
	expect_reserved(&paging, 2, 0x01, 0x7fffc00000000000);
	expect_reserved(&paging, 2, 0x81, 0x7fffc000001fe000);
	expect_reserved(&paging, 3, 0x01, 0xffffc000000001c6);
	paging.pa_bits = 36;
	expect_reserved(&paging, 1, 0x01, 0x7ffffff000000000);
	expect_reserved(&paging, 3, 0x01, 0xfffffff0000001c6);
	paging.pa_bits = 52;
	expect_reserved(&paging, 1, 0x01, 0x7ff0000000000000);
	expect_reserved(&paging, 2, 0x81, 0x7ff00000001fe000);
	expect_reserved(&paging, 3, 0x01, 0xfff00000000001c6);
}

/* M is the width, of 40 bits at most: of a 4 MiB page's entry 21 to M - 19 are reserved. */
static void reserved_32bit(void)
{
	struct vmi_paging paging = bits32_pse;

	expect_reserved(&bits32, 1, 0x01, 0);
	expect_reserved(&bits32, 2, 0x01, 0);
	expect_reserved(&bits32, 2, 0x81, 0);
	expect_reserved(&paging, 1, 0x01, 0);
	expect_reserved(&paging, 1, 0x81, 0);
	expect_reserved(&paging, 2, 0x01, 0);
	expect_reserved(&paging, 2, 0x81, 0x200000);
	paging.pa_bits = 40;
	expect_reserved(&paging, 2, 0x81, 0x200000);
	paging.pa_bits = 39;
	expect_reserved(&paging, 2, 0x81, 0x300000);
	paging.pa_bits = 36;
	expect_reserved(&paging, 2, 0x81, 0x3e0000);
	paging.pa_bits = 32;
	expect_reserved(&paging, 2, 0x81, 0x3fe000);
	expect_reserved(&paging, 2, 0x01, 0);
}

static void frame_small(void)
{
	struct vmi_paging wide = level4;

	wide.pa_bits = 52;
	expect(vmi_paging_frame(&level4, 1, 0x800012345678a067), 0x000012345678a000);
	expect(vmi_paging_frame(&level4, 1, 0xfff03ffffffffffd), 0x00003ffffffff000);
	expect(vmi_paging_frame(&wide, 1, 0xfffedcba98765fff), 0x000edcba98765000);
	expect(vmi_paging_frame(&level4, 2, 0x0000000123456067), 0x0000000123456000);
	expect(vmi_paging_frame(&level4, 3, 0x0000000123456067), 0x0000000123456000);
	expect(vmi_paging_frame(&level4, 4, 0x0000000123456067), 0x0000000123456000);
	expect(vmi_paging_frame(&level5, 1, 0xfff03ffffffffffd), 0x00003ffffffff000);
	expect(vmi_paging_frame(&level5, 5, 0x0000000123456067), 0x0000000123456000);

	expect(vmi_paging_frame(&pae, 1, 0x8000000fedcba0e7), 0xfedcba000);
	expect(vmi_paging_frame(&pae, 2, 0x8000000fedcba067), 0xfedcba000);
	/* with PWT, PCD and the bits that are left to systems */
	expect(vmi_paging_frame(&pae, 3, 0x0000000123456e19), 0x123456000);

	expect(vmi_paging_frame(&bits32, 1, 0xfffff067), 0xfffff000);
	expect(vmi_paging_frame(&bits32, 1, 0x12345fff), 0x12345000);
	expect(vmi_paging_frame(&bits32, 2, 0x12345067), 0x12345000);
	expect(vmi_paging_frame(&bits32_pse, 1, 0x125570e7), 0x12557000);
	expect(vmi_paging_frame(&bits32_pse, 2, 0x12557067), 0x12557000);
}

/* All of them have PAT, bit 12, which is no part of it. */
static void frame_large(void)
{
	struct vmi_paging wide = level5;

	wide.pa_bits = 52;
	expect(vmi_paging_frame(&level4, 2, 0x80000012346010e7), 0x1234600000);
	expect(vmi_paging_frame(&level4, 2, 0x00003fffffe010e7), 0x00003fffffe00000);
	expect(vmi_paging_frame(&wide, 2, 0xffffffffffe010e7), 0x000fffffffe00000);
	expect(vmi_paging_frame(&level4, 3, 0x80000012400010e7), 0x1240000000);
	expect(vmi_paging_frame(&level4, 3, 0x00003fffc00010e7), 0x00003fffc0000000);
	expect(vmi_paging_frame(&wide, 3, 0xffffffffc00010e7), 0x000fffffc0000000);
	expect(vmi_paging_frame(&pae, 2, 0x8000000f126010e7), 0xf12600000);
}

static void frame_4m(void)
{
	expect(vmi_paging_frame(&bits32_pse, 2, 0x124000e7), 0x0012400000);
	expect(vmi_paging_frame(&bits32_pse, 2, 0x125570e7), 0xab12400000);
	expect(vmi_paging_frame(&bits32_pse, 2, 0x004020e3), 0x0100400000);
	expect(vmi_paging_frame(&bits32_pse, 2, 0x001000e3), 0x8000000000);
	expect(vmi_paging_frame(&bits32_pse, 2, 0xffdfffe3), 0xffffc00000);
	/* a table, with CR4.PSE off */
	expect(vmi_paging_frame(&bits32, 2, 0x125570e7), 0x12557000);
}

/* Processors have it at 47 and at 51: within the width of addresses, or above it. */
static void c_bit(void)
{
	struct vmi_paging paging = level4;

	paging.pa_bits = 48;
	paging.c_bit = 0x0000800000000000;
	expect(vmi_paging_frame(&paging, 1, 0x8000800012345067), 0x12345000);
	expect(vmi_paging_frame(&paging, 1, 0x8000000012345067), 0x12345000);
	expect(vmi_paging_frame(&paging, 1, 0x8000c00012345067), 0x0000400012345000);
	expect(vmi_paging_frame(&paging, 2, 0x80008000126000e7), 0x12600000);
	expect(vmi_paging_frame(&paging, 3, 0x80008000400000e7), 0x40000000);
	expect(vmi_paging_frame(&paging, 4, 0x0000800012345067), 0x12345000);
	expect(vmi_paging_root(&paging, 0x0000800012345001), 0x12345000);
	expect_reserved(&paging, 1, 0x01, 0x000f000000000000);

	paging.pa_bits = 43;
	expect(vmi_paging_frame(&paging, 1, 0x8000800012345067), 0x12345000);
	expect_reserved(&paging, 1, 0x01, 0x000f780000000000);
	expect_reserved(&paging, 2, 0x81, 0x000f7800001fe000);
	expect_reserved(&paging, 4, 0x01, 0x000f780000000080);

	paging.pa_bits = 48;
	paging.c_bit = 0x0008000000000000;
	expect(vmi_paging_frame(&paging, 1, 0x8008000012345067), 0x12345000);
	expect(vmi_paging_frame(&paging, 2, 0x80080000126000e7), 0x12600000);
	expect(vmi_paging_root(&paging, 0x0008000012345000), 0x12345000);
	expect_reserved(&paging, 1, 0x01, 0x0007000000000000);
}

/* In each mode that has it, where it is 47 of 48 bits, and in each level; bits besides it stay. */
static void c_bit_of_each_level(void)
{
	struct vmi_paging modes[] = { pae, level4, level5 };
	const u64 bit = 0x0000800000000000;
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct vmi_paging *paging = &modes[i];

		paging->pa_bits = 48;
		for (level = 1; level <= paging->levels; level++) {
			paging->c_bit = 0;
			expect(vmi_paging_frame(paging, level, 0x0000812345678001),
			       0x0000812345678000);
			paging->c_bit = bit;
			expect(vmi_paging_frame(paging, level, 0x0000812345678001),
			       0x0000012345678000);
			expect(vmi_paging_reserved(paging, level, 0x0000812345678001), false);
			expect(vmi_paging_flags(paging, level, 0x0000812345678001),
			       vmi_paging_flags(paging, level, 0x0000012345678001));
			/* beyond the width it is none of the reserved ones, its neighbours are */
			paging->pa_bits = 46;
			expect(vmi_paging_reserved(paging, level, 0x0000800000000001), false);
			expect(vmi_paging_reserved(paging, level, 0x0000400000000001), true);
			expect(vmi_paging_reserved(paging, level, 0x0001800000000001), true);
			paging->pa_bits = 48;
		}
	}
	/* of large pages, too, though it may lie where nothing must be below the address */
	modes[1].c_bit = 0x0000000000100000;
	expect(vmi_paging_frame(&modes[1], 2, 0x0000000012700081), 0x12600000);
	expect(vmi_paging_reserved(&modes[1], 2, 0x0000000012700081), false);
	expect(vmi_paging_reserved(&modes[1], 2, 0x0000000012680081), true);
	/* CR3 has it in long mode; in PAE mode it has 32 bits, and there is none in 32-bit mode */
	modes[2].c_bit = bit;
	expect(vmi_paging_root(&modes[2], 0x0000812345678018), 0x0000012345678000);
	modes[0].c_bit = bit;
	expect(vmi_paging_root(&modes[0], 0x0000800012345fe0), 0x12345fe0);
}

static void flags_page(void)
{
	const struct vmi_paging *const modes[] = { &pae, &level4, &level5 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		const struct vmi_paging *paging = modes[i];

		expect(vmi_paging_flags(paging, 1, 0), 0);
		expect(vmi_paging_flags(paging, 1, 0xfffffffffffffffe), 0);
		expect(vmi_paging_flags(paging, 1, 0x001), PRESENT | EXEC);
		expect(vmi_paging_flags(paging, 1, 0x003), PRESENT | EXEC | WRITE_);
		expect(vmi_paging_flags(paging, 1, 0x005), PRESENT | EXEC | USER);
		expect(vmi_paging_flags(paging, 1, 0x021), PRESENT | EXEC | YOUNG);
		expect(vmi_paging_flags(paging, 1, 0x041), PRESENT | EXEC | DIRTY);
		expect(vmi_paging_flags(paging, 1, 0x101), PRESENT | EXEC | GLOBAL);
		expect(vmi_paging_flags(paging, 1, 0x8000000000000001), PRESENT);
		/* PWT, PCD, PAT, those left to systems, and the frame: no flags of ours */
		expect(vmi_paging_flags(paging, 1, 0x0000000012345e99), PRESENT | EXEC);
		expect(vmi_paging_flags(paging, 1, 0x8000000012345167),
		       PRESENT | WRITE_ | USER | YOUNG | DIRTY | GLOBAL);
		expect(vmi_paging_flags(paging, 2, 0x80000000124001e7),
		       PRESENT | WRITE_ | USER | YOUNG | DIRTY | GLOBAL | HUGE_);
		expect(vmi_paging_flags(paging, 2, 0x0000000012400081),
		       PRESENT | EXEC | HUGE_);
		expect(vmi_paging_flags(paging, 2, 0xe6), 0);
	}
	expect(vmi_paging_flags(&level4, 3, 0x00000000400001e7),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG | DIRTY | GLOBAL | HUGE_);
	/* without NXE the bit is no right, but reserved */
	expect(vmi_paging_flags((const struct vmi_paging[]){ paging_of(PG, PAE, LONG, 46) }, 1,
				0x8000000000000001), PRESENT | EXEC);
}

/* What leads to a table has rights and was used, but is not dirty or global. */
static void flags_table(void)
{
	expect(vmi_paging_flags(&level4, 2, 0x12345167), PRESENT | EXEC | WRITE_ | USER | YOUNG);
	expect(vmi_paging_flags(&level4, 3, 0x12345141), PRESENT | EXEC);
	expect(vmi_paging_flags(&level4, 4, 0x8000000012345167), PRESENT | WRITE_ | USER | YOUNG);
	expect(vmi_paging_flags(&level4, 4, 0x123451e7), PRESENT | EXEC | WRITE_ | USER | YOUNG);
	expect(vmi_paging_flags(&level5, 5, 0x12345163), PRESENT | EXEC | WRITE_ | YOUNG);
	expect(vmi_paging_flags(&pae, 2, 0x8000000012345145), PRESENT | USER);
	/* and the four at the top of PAE are only there, or not */
	expect(vmi_paging_flags(&pae, 3, 0x12345e19), PRESENT);
	expect(vmi_paging_flags(&pae, 3, 0x80000000123451e7), PRESENT);
	expect(vmi_paging_flags(&pae, 3, 0x12345e18), 0);
}

static void flags_32bit(void)
{
	expect(vmi_paging_flags(&bits32, 1, 0), 0);
	expect(vmi_paging_flags(&bits32, 1, 0xfffffffe), 0);
	expect(vmi_paging_flags(&bits32, 1, 0x80000001), PRESENT | EXEC);
	expect(vmi_paging_flags(&bits32, 1, 0x123451e7),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG | DIRTY | GLOBAL);
	expect(vmi_paging_flags(&bits32, 2, 0x12345167), PRESENT | EXEC | WRITE_ | USER | YOUNG);
	expect(vmi_paging_flags(&bits32, 2, 0x124001e7), PRESENT | EXEC | WRITE_ | USER | YOUNG);
	expect(vmi_paging_flags(&bits32_pse, 2, 0x124001e7),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG | DIRTY | GLOBAL | HUGE_);
}

/* Bits 0 to 2: read, write, execute; 3 to 6: cache; 7: large; 8 and 9: accessed, dirty. */
static void ept(void)
{
	expect(vmi_paging_nested_present(EPT, 0), false);
	expect(vmi_paging_nested_present(EPT, 0xfffffffffffffff8), false);
	expect(vmi_paging_nested_present(EPT, 0x1), true);
	/* misconfigured, to be written and not to be read: 29.3.3.1 */
	expect(vmi_paging_nested_present(EPT, 0x2), false);
	expect(vmi_paging_nested_present(EPT, 0x6), false);
	expect(vmi_paging_nested_flags(EPT, 1, 0x8000000003006), 0);
	expect(vmi_paging_nested_present(EPT, 0x3), true);
	expect(vmi_paging_nested_present(EPT, 0x4), true);
	expect(vmi_paging_nested_present(EPT, 0x5), true);
	expect(vmi_paging_nested_present(EPT, 0x7), true);

	expect(vmi_paging_nested_flags(EPT, 1, 0), 0);
	expect(vmi_paging_nested_flags(EPT, 1, 0xfffffffffffffff8), 0);
	expect(vmi_paging_nested_flags(EPT, 1, 0x001), PRESENT);
	expect(vmi_paging_nested_flags(EPT, 1, 0x003), PRESENT | WRITE_);
	expect(vmi_paging_nested_flags(EPT, 1, 0x005), PRESENT | EXEC);
	expect(vmi_paging_nested_flags(EPT, 1, 0x004), PRESENT | EXEC);
	expect(vmi_paging_nested_flags(EPT, 1, 0x101), PRESENT | YOUNG);
	expect(vmi_paging_nested_flags(EPT, 1, 0x201), PRESENT | DIRTY);
	expect(vmi_paging_nested_flags(EPT, 1, 0x8000000012345c79), PRESENT);
	expect(vmi_paging_nested_flags(EPT, 1, 0x12345377),
	       PRESENT | WRITE_ | EXEC | YOUNG | DIRTY);
	/* bit 7 of a lowest one is ignored */
	expect(vmi_paging_nested_flags(EPT, 1, 0x123450b7), PRESENT | WRITE_ | EXEC);
	expect(vmi_paging_nested_flags(EPT, 2, 0x126003b7),
	       PRESENT | WRITE_ | EXEC | YOUNG | DIRTY | HUGE_);
	expect(vmi_paging_nested_flags(EPT, 3, 0x400001b1), PRESENT | YOUNG | HUGE_);
	expect(vmi_paging_nested_flags(EPT, 2, 0x12345307), PRESENT | WRITE_ | EXEC | YOUNG);
	expect(vmi_paging_nested_flags(EPT, 4, 0x12345307), PRESENT | WRITE_ | EXEC | YOUNG);
}

static void npt(void)
{
	expect(vmi_paging_nested_present(NPT, 0), false);
	expect(vmi_paging_nested_present(NPT, 0xfffffffffffffffe), false);
	expect(vmi_paging_nested_present(NPT, 0x1), true);

	expect(vmi_paging_nested_flags(NPT, 1, 0xfffffffffffffffe), 0);
	expect(vmi_paging_nested_flags(NPT, 1, 0x001), PRESENT | EXEC);
	expect(vmi_paging_nested_flags(NPT, 1, 0x003), PRESENT | EXEC | WRITE_);
	expect(vmi_paging_nested_flags(NPT, 1, 0x005), PRESENT | EXEC | USER);
	expect(vmi_paging_nested_flags(NPT, 1, 0x021), PRESENT | EXEC | YOUNG);
	expect(vmi_paging_nested_flags(NPT, 1, 0x041), PRESENT | EXEC | DIRTY);
	expect(vmi_paging_nested_flags(NPT, 1, 0x8000000000000001), PRESENT);
	/* nothing of a nested table is global, and bit 9 is left to systems */
	expect(vmi_paging_nested_flags(NPT, 1, 0x12345f99), PRESENT | EXEC);
	expect(vmi_paging_nested_flags(NPT, 1, 0x8000000012345067),
	       PRESENT | WRITE_ | USER | YOUNG | DIRTY);
	expect(vmi_paging_nested_flags(NPT, 2, 0x126000e7),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG | DIRTY | HUGE_);
	expect(vmi_paging_nested_flags(NPT, 3, 0x400000a5),
	       PRESENT | EXEC | USER | YOUNG | HUGE_);
	expect(vmi_paging_nested_flags(NPT, 2, 0x12345067),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG);
	expect(vmi_paging_nested_flags(NPT, 4, 0x12345067),
	       PRESENT | EXEC | WRITE_ | USER | YOUNG);
}

/* Bit 7 is where both have it. */
static void nested_leaf(void)
{
	expect(vmi_paging_nested_leaf(1, 0x12345037), true);
	expect(vmi_paging_nested_leaf(1, 0x123450b7), true);
	expect(vmi_paging_nested_leaf(2, 0x12345307), false);
	expect(vmi_paging_nested_leaf(2, 0x126000b7), true);
	expect(vmi_paging_nested_leaf(3, 0x12345307), false);
	expect(vmi_paging_nested_leaf(3, 0x400000b7), true);
	expect(vmi_paging_nested_leaf(4, 0x12345307), false);
	expect(vmi_paging_nested_leaf(5, 0x12345307), false);
}

static const struct tap_test tests[] = {
	{ mode, "registers say the mode" },
	{ width, "an address has 32 bits at least and 52 at most" },
	{ canonical, "addresses are canonical up to the edges of each mode" },
	{ root, "the root is what CR3 has besides flags" },
	{ entry_size, "an entry has the size of its mode" },
	{ extent, "an entry stands for what its level stands for" },
	{ index_of_each_level, "an address has its index on each level" },
	{ leaf, "large pages are those that the mode has" },
	{ reserved_long, "4 and 5 levels: reserved bits are told from all others" },
	{ reserved_without_nxe, "bit 63 is reserved without EFER.NXE" },
	{ reserved_pae, "PAE: reserved bits are told from all others" },
	{ reserved_32bit, "32-bit: reserved bits are told from all others" },
	{ frame_small, "a small page and a table have their frame" },
	{ frame_large, "pages of 2 MiB and 1 GiB have their frame" },
	{ frame_4m, "a page of 4 MiB has a frame of 40 bits" },
	{ c_bit, "the bit of encryption is no part of a frame, and not reserved" },
	{ c_bit_of_each_level, "in no mode, on no level, not of large pages; all others are" },
	{ flags_page, "each bit of a page is the flag of its name" },
	{ flags_table, "what leads to a table has the flags of one" },
	{ flags_32bit, "32-bit: all can be executed" },
	{ ept, "EPT: entries show what they allow and whether they were used" },
	{ npt, "NPT: entries show what they allow and whether they were used" },
	{ nested_leaf, "nested large pages are leaves" },
};

static int __init paging_test_init(void)
{
	set_up();
	return tap_run(tests, ARRAY_SIZE(tests));
}

static void __exit paging_test_exit(void)
{
	tap_remove();
}

module_init(paging_test_init);
module_exit(paging_test_exit);
MODULE_DESCRIPTION("Page tables of guests, constructed and read");
MODULE_LICENSE("GPL");
