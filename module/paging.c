// SPDX-License-Identifier: GPL-2.0
/*
 * What processors read in page tables that are not the kernel's own: those of a guest, in
 * each paging mode, and nested ones. No locks, no memory but the arguments.
 *
 * Intel SDM vol. 3, chapter 4 "Paging" and 29.3 "The extended page table mechanism"; AMD APM
 * vol. 2, chapter 5 "Page translation and protection", 15.25 "Nested paging".
 */
#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <asm/msr-index.h>
#include <asm/page_types.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>

#include "paging.h"

#define ENTRY_PRESENT	BIT_ULL(0)
#define ENTRY_WRITE	BIT_ULL(1)
#define ENTRY_USER	BIT_ULL(2)
#define ENTRY_ACCESSED	BIT_ULL(5)
#define ENTRY_DIRTY	BIT_ULL(6)
#define ENTRY_HUGE	BIT_ULL(7)
#define ENTRY_GLOBAL	BIT_ULL(8)
#define ENTRY_NX	BIT_ULL(63)

#define EPT_READ	BIT_ULL(0)
#define EPT_WRITE	BIT_ULL(1)
#define EPT_EXEC	BIT_ULL(2)
#define EPT_ACCESSED	BIT_ULL(8)
#define EPT_DIRTY	BIT_ULL(9)

/* Of a 32-bit entry for 4 MiB: bits 13 to 20 are bits 32 to 39 of the address (PSE-36). */
#define PSE36_SHIFT	13
#define PSE36_MASK	GENMASK_ULL(20, 13)
#define PSE36_PA_BITS	40

static bool is_long(const struct vmi_paging *paging)
{
	return paging->mode == VMINSPECT_MODE_4LEVEL || paging->mode == VMINSPECT_MODE_5LEVEL;
}

static u8 paging_mode(u64 cr0, u64 cr4, u64 efer)
{
	if (!(cr0 & X86_CR0_PG))
		return VMINSPECT_MODE_NONE;
	if (efer & EFER_LMA)
		return cr4 & X86_CR4_LA57 ? VMINSPECT_MODE_5LEVEL : VMINSPECT_MODE_4LEVEL;
	return cr4 & X86_CR4_PAE ? VMINSPECT_MODE_PAE : VMINSPECT_MODE_32BIT;
}

/**
 * vmi_paging_init() - how tables are read with these registers
 * @paging: out
 * @cr0: control register 0
 * @cr4: control register 4
 * @efer: the MSR
 * @pa_bits: width of a physical address
 */
void vmi_paging_init(struct vmi_paging *paging, u64 cr0, u64 cr4, u64 efer,
		     unsigned int pa_bits)
{
	static const u8 levels[] = {
		[VMINSPECT_MODE_NONE] = 0, [VMINSPECT_MODE_32BIT] = 2,
		[VMINSPECT_MODE_PAE] = 3, [VMINSPECT_MODE_4LEVEL] = 4,
		[VMINSPECT_MODE_5LEVEL] = 5,
	};
	u8 mode = paging_mode(cr0, cr4, efer);

	*paging = (struct vmi_paging){
		.mode = mode,
		.levels = levels[mode],
		/* entries have no room for more, and a guest may be told anything */
		.pa_bits = clamp(pa_bits, 32U, 52U),
		.huge = cr4 & X86_CR4_PSE,
		.nx = efer & EFER_NX,
	};
}

/**
 * vmi_paging_va_bits() - width of a virtual address
 * @paging: how the tables are read
 */
unsigned int vmi_paging_va_bits(const struct vmi_paging *paging)
{
	if (!is_long(paging))
		return 32;
	return paging->mode == VMINSPECT_MODE_5LEVEL ? 57 : 48;
}

/**
 * vmi_paging_extend() - an address from the bits that tables are looked up with
 * @paging: how the tables are read
 * @bits: as many as an address is wide; others are ignored
 */
u64 vmi_paging_extend(const struct vmi_paging *paging, u64 bits)
{
	unsigned int unused = 64 - vmi_paging_va_bits(paging);

	if (is_long(paging))
		return (u64)((s64)(bits << unused) >> unused);
	return bits & U32_MAX;
}

/**
 * vmi_paging_canonical() - can this be an address?
 * @paging: how the tables are read
 * @va: the address
 */
bool vmi_paging_canonical(const struct vmi_paging *paging, u64 va)
{
	return vmi_paging_extend(paging, va) == va;
}

static u64 address_mask(const struct vmi_paging *paging)
{
	return GENMASK_ULL(paging->pa_bits - 1, 12) & ~paging->c_bit;
}

/**
 * vmi_paging_is_cr3() - can the register have that value?
 * @paging: how the tables are read
 * @cr3: the value
 *
 * Bit 63 is not kept by the register but told to it (no flush), and comes with values from the
 * guest's code; bits 62 and 61 are LAM's.
 */
bool vmi_paging_is_cr3(const struct vmi_paging *paging, u64 cr3)
{
	if (paging->mode == VMINSPECT_MODE_NONE)
		return true;
	if (!is_long(paging))
		return cr3 <= U32_MAX;
	return !(cr3 & GENMASK_ULL(60, paging->pa_bits) & ~paging->c_bit);
}

/**
 * vmi_paging_root() - where the top table is
 * @paging: how the tables are read
 * @cr3: the register: its low bits are flags or a PCID, its highest LAM's
 */
u64 vmi_paging_root(const struct vmi_paging *paging, u64 cr3)
{
	switch (paging->mode) {
	case VMINSPECT_MODE_32BIT:
		return cr3 & GENMASK_ULL(31, 12);
	case VMINSPECT_MODE_PAE:
		return cr3 & GENMASK_ULL(31, 5);
	default:
		return cr3 & address_mask(paging);
	}
}

/**
 * vmi_paging_entry_size() - bytes of an entry
 * @paging: how the tables are read
 */
unsigned int vmi_paging_entry_size(const struct vmi_paging *paging)
{
	return paging->mode == VMINSPECT_MODE_32BIT ? sizeof(u32) : sizeof(u64);
}

/**
 * vmi_paging_table_size() - bytes of a table
 * @paging: how the tables are read
 * @level: of the table
 */
unsigned int vmi_paging_table_size(const struct vmi_paging *paging, unsigned int level)
{
	return paging->mode == VMINSPECT_MODE_PAE && level == 3 ? 4 * sizeof(u64) : PAGE_SIZE;
}

/**
 * vmi_paging_entry() - an entry of a table
 * @paging: how the tables are read
 * @table: its contents
 * @index: position there
 */
u64 vmi_paging_entry(const struct vmi_paging *paging, const void *table, unsigned int index)
{
	if (paging->mode == VMINSPECT_MODE_32BIT)
		return ((const u32 *)table)[index];
	return ((const u64 *)table)[index];
}

/**
 * vmi_paging_same() - do two present entries map the same, but for accessed and dirty bits?
 * @a: one
 * @b: another at the same level
 */
bool vmi_paging_same(u64 a, u64 b)
{
	return !((a ^ b) & ~(ENTRY_ACCESSED | ENTRY_DIRTY));
}

/**
 * vmi_paging_shift() - what an entry stands for, as a power of two in bytes
 * @paging: how the tables are read
 * @level: of the entry, 1 for the lowest
 */
unsigned int vmi_paging_shift(const struct vmi_paging *paging, unsigned int level)
{
	return 12 + (level - 1) * (paging->mode == VMINSPECT_MODE_32BIT ? 10 : 9);
}

/**
 * vmi_paging_index() - position in its table of the entry for an address
 * @paging: how the tables are read
 * @level: of the table
 * @va: the address
 */
unsigned int vmi_paging_index(const struct vmi_paging *paging, unsigned int level, u64 va)
{
	u64 index = va >> vmi_paging_shift(paging, level);

	if (paging->mode == VMINSPECT_MODE_32BIT)
		return index & 0x3ff;
	if (paging->mode == VMINSPECT_MODE_PAE && level == 3)
		return index & 3;
	return index & 0x1ff;
}

/**
 * vmi_paging_leaf() - does a present entry lead to no other table?
 * @paging: how the tables are read
 * @level: where it stands
 * @raw: the entry
 */
bool vmi_paging_leaf(const struct vmi_paging *paging, unsigned int level, u64 raw)
{
	if (level == 1)
		return true;
	if (!(raw & ENTRY_HUGE))
		return false;
	switch (paging->mode) {
	case VMINSPECT_MODE_32BIT:
		return paging->huge;
	case VMINSPECT_MODE_PAE:
		return level == 2;
	default:
		return level <= 3;
	}
}

/* Bits of a present entry for more than one page that would lie below the page's address. */
static u64 reserved_below(const struct vmi_paging *paging, unsigned int level)
{
	/* bit 12 is PAT */
	return GENMASK_ULL(vmi_paging_shift(paging, level) - 1, 13);
}

/* In 32-bit paging: those between the two parts of a large page's address. */
static u64 reserved_pse36(const struct vmi_paging *paging)
{
	unsigned int high = min_t(unsigned int, paging->pa_bits, PSE36_PA_BITS) - 32;

	return GENMASK_ULL(21, PSE36_SHIFT + high);
}

/**
 * vmi_paging_reserved() - does a present entry have bits that must be clear?
 * @paging: how the tables are read
 * @level: where it stands
 * @raw: the entry
 */
bool vmi_paging_reserved(const struct vmi_paging *paging, unsigned int level, u64 raw)
{
	u64 reserved;

	if (paging->mode == VMINSPECT_MODE_32BIT)
		return level == 2 && vmi_paging_leaf(paging, level, raw) &&
		       (raw & reserved_pse36(paging));

	reserved = paging->pa_bits < 52 ? GENMASK_ULL(51, paging->pa_bits) : 0;
	reserved &= ~paging->c_bit;
	if (paging->mode == VMINSPECT_MODE_PAE) {
		reserved |= GENMASK_ULL(62, 52);
		/*
		 * Checked when CR3 is loaded. Processors that read them in each walk, as
		 * with NPT, may mark them as accessed afterwards.
		 */
		if (level == 3)
			reserved |= ENTRY_NX | GENMASK_ULL(8, 6) | GENMASK_ULL(2, 1);
	}
	if (!paging->nx)
		reserved |= ENTRY_NX;
	if (is_long(paging) && level > 3)
		reserved |= ENTRY_HUGE;
	if (level > 1 && vmi_paging_leaf(paging, level, raw))
		reserved |= reserved_below(paging, level) & ~paging->c_bit;
	return raw & reserved;
}

/**
 * vmi_paging_frame() - the address that a present entry leads to
 * @paging: how the tables are read
 * @level: where it stands
 * @raw: the entry
 */
u64 vmi_paging_frame(const struct vmi_paging *paging, unsigned int level, u64 raw)
{
	bool huge = level > 1 && vmi_paging_leaf(paging, level, raw);
	u64 frame;

	if (paging->mode == VMINSPECT_MODE_32BIT && huge)
		return (raw & GENMASK_ULL(31, 22)) |
		       (raw & PSE36_MASK) << (32 - PSE36_SHIFT);
	if (paging->mode == VMINSPECT_MODE_32BIT)
		return raw & GENMASK_ULL(31, 12);
	frame = raw & address_mask(paging);
	return huge ? frame & ~(BIT_ULL(vmi_paging_shift(paging, level)) - 1) : frame;
}

/* The four entries at the top of PAE paging have none of their own. */
static bool has_rights(const struct vmi_paging *paging, unsigned int level)
{
	return paging->mode != VMINSPECT_MODE_PAE || level < 3;
}

/**
 * vmi_paging_flags() - flags of an entry
 * @paging: how the tables are read
 * @level: where it stands
 * @raw: the entry
 *
 * Return: as vminspect_guest_level.flags
 */
u32 vmi_paging_flags(const struct vmi_paging *paging, unsigned int level, u64 raw)
{
	bool leaf = vmi_paging_leaf(paging, level, raw);
	bool rights = has_rights(paging, level);
	u32 flags = VMINSPECT_ENTRY_PRESENT;

	if (!(raw & ENTRY_PRESENT))
		return 0;
	if (rights && (raw & ENTRY_WRITE))
		flags |= VMINSPECT_PAGE_WRITE;
	if (rights && (raw & ENTRY_USER))
		flags |= VMINSPECT_PAGE_USER;
	if (rights && (raw & ENTRY_ACCESSED))
		flags |= VMINSPECT_PAGE_YOUNG;
	if (rights && !(paging->nx && (raw & ENTRY_NX)))
		flags |= VMINSPECT_PAGE_EXEC;
	if (leaf && (raw & ENTRY_DIRTY))
		flags |= VMINSPECT_PAGE_DIRTY;
	if (leaf && (raw & ENTRY_GLOBAL))
		flags |= VMINSPECT_PAGE_GLOBAL;
	if (leaf && level > 1)
		flags |= VMINSPECT_PAGE_HUGE;
	return flags;
}

#define RIGHTS	(VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_USER)

/**
 * vmi_paging_rights() - what the entries down to one allow together
 * @paging: how the tables are read
 * @level: where the lowest of them stands
 * @above: what those above it allow; U32_MAX: there are none
 * @flags: its own, of vmi_paging_flags()
 *
 * Return: of VMINSPECT_PAGE_*: WRITE, EXEC, USER
 */
u32 vmi_paging_rights(const struct vmi_paging *paging, unsigned int level, u32 above, u32 flags)
{
	if (has_rights(paging, level))
		above &= flags;
	return above & RIGHTS;
}

/**
 * vmi_paging_nested_present() - can the processor use an entry of a nested table?
 * @nested: VMINSPECT_NESTED_NPT or _EPT
 * @raw: the entry
 */
bool vmi_paging_nested_present(unsigned int nested, u64 raw)
{
	if (nested != VMINSPECT_NESTED_EPT)
		return raw & ENTRY_PRESENT;
	/* one that may be written and not read is misconfigured: KVM marks MMIO so */
	return raw & (raw & EPT_WRITE ? EPT_READ : EPT_READ | EPT_EXEC);
}

/**
 * vmi_paging_nested_leaf() - does a present one lead to no other table?
 * @level: where it stands
 * @raw: the entry
 */
bool vmi_paging_nested_leaf(unsigned int level, u64 raw)
{
	return level == 1 || (raw & ENTRY_HUGE);
}

static u32 ept_flags(u64 raw)
{
	u32 flags = 0;

	if (raw & EPT_WRITE)
		flags |= VMINSPECT_PAGE_WRITE;
	if (raw & EPT_EXEC)
		flags |= VMINSPECT_PAGE_EXEC;
	if (raw & EPT_ACCESSED)
		flags |= VMINSPECT_PAGE_YOUNG;
	if (raw & EPT_DIRTY)
		flags |= VMINSPECT_PAGE_DIRTY;
	return flags;
}

static u32 npt_flags(u64 raw)
{
	u32 flags = 0;

	if (raw & ENTRY_WRITE)
		flags |= VMINSPECT_PAGE_WRITE;
	if (!(raw & ENTRY_NX))
		flags |= VMINSPECT_PAGE_EXEC;
	if (raw & ENTRY_USER)
		flags |= VMINSPECT_PAGE_USER;
	if (raw & ENTRY_ACCESSED)
		flags |= VMINSPECT_PAGE_YOUNG;
	if (raw & ENTRY_DIRTY)
		flags |= VMINSPECT_PAGE_DIRTY;
	return flags;
}

/**
 * vmi_paging_nested_flags() - flags of an entry of a nested table
 * @nested: VMINSPECT_NESTED_NPT or _EPT
 * @level: where it stands
 * @raw: the entry
 *
 * Return: mask of VMINSPECT_PAGE_* and VMINSPECT_ENTRY_PRESENT
 */
u32 vmi_paging_nested_flags(unsigned int nested, unsigned int level, u64 raw)
{
	bool leaf = vmi_paging_nested_leaf(level, raw);
	u32 flags;

	if (!vmi_paging_nested_present(nested, raw))
		return 0;
	flags = nested == VMINSPECT_NESTED_EPT ? ept_flags(raw) : npt_flags(raw);
	if (!leaf)
		flags &= ~VMINSPECT_PAGE_DIRTY;
	else if (level > 1)
		flags |= VMINSPECT_PAGE_HUGE;
	return flags | VMINSPECT_ENTRY_PRESENT;
}
