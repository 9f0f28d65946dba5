// SPDX-License-Identifier: GPL-2.0
/*
 * Entries that the kernel's own constructors make, decoded by module/entry.c: all kinds,
 * and those in particular that no stock kernel has ever in its tables. The outcome is
 * TAP in debugfs, for ../constructed.sh.
 *
 * Memory of devices is configured in here whether the kernel has it or not: that gives
 * its types numbers, and the others different ones. Nothing is touched that the kernel
 * lays out by that configuration.
 */
#ifndef ENTRY_TEST_STOCK
#undef CONFIG_DEVICE_PRIVATE
#define CONFIG_DEVICE_PRIVATE 1
#endif

#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "module/entry.c"
#include "compat.h"
#include "tap.h"

/* On all levels alike */
static const unsigned int shifts[] = { PAGE_SHIFT, PMD_SHIFT, PUD_SHIFT };

static const struct vmi_entry *decode(u64 raw, unsigned int shift, unsigned long vm_flags)
{
	static struct vmi_entry entry;

	memset(&entry, 0xa5, sizeof(entry));	/* all members have to be written */
	vmi_entry_decode(raw, shift, vm_flags, &entry);
	return &entry;
}

/* @flags without HUGE, which follows from @shift. */
static void expect_in(unsigned long vm_flags, u64 raw, unsigned int shift, u8 state, u64 frame,
		      u32 flags)
{
	const struct vmi_entry *entry = decode(raw, shift, vm_flags);

	if (state != VMINSPECT_STATE_NONE && shift > PAGE_SHIFT)
		flags |= VMINSPECT_PAGE_HUGE;
	if (state == VMINSPECT_STATE_NONE)
		shift = PAGE_SHIFT;
	if (entry->raw == raw && entry->state == state && entry->frame == frame &&
	    entry->flags == flags && entry->shift == shift && entry->node == -1 &&
	    (state == VMINSPECT_STATE_SWAPPED || !entry->swap_type))
		return;
	if (!nr_wrong++)
		say("# raw %#llx shift %u: state %u frame %#llx flags %#x shift %u type %u,\n"
		    "#   expected state %u frame %#llx flags %#x\n", raw, shift, entry->state,
		    entry->frame, entry->flags, entry->shift, entry->swap_type, state, frame,
		    flags);
}

static void expect(u64 raw, unsigned int shift, u8 state, u64 frame, u32 flags)
{
	expect_in(VM_READ | VM_WRITE, raw, shift, state, frame, flags);
}

/* hugetlb keeps the layout of a PTE on the upper levels (set_huge_swap_pte_at()). */
static u64 soft(swp_entry_t entry, unsigned int shift)
{
	if (shift == PMD_SHIFT)
		return pmd_val(swp_entry_to_pmd(entry));
	return pte_val(swp_entry_to_pte(entry));
}

static u64 with_soft_dirty(u64 raw)
{
	return pte_val(pte_swp_mksoft_dirty(__pte(raw)));
}

static u64 with_uffd_wp(u64 raw)
{
	return pte_val(compat_pte_swp_mkuffd(__pte(raw)));
}

/* The same entry on all levels, without and with the bits that any of them may have. */
static void expect_soft(swp_entry_t entry, u8 state, u64 frame, u32 flags)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		u64 raw = soft(entry, shifts[i]);

		expect(raw, shifts[i], state, frame, flags);
		expect(with_soft_dirty(raw), shifts[i], state, frame,
		       flags | VMINSPECT_PAGE_SOFT_DIRTY);
		expect(with_uffd_wp(raw), shifts[i], state, frame,
		       flags | VMINSPECT_PAGE_UFFD_WP);
		expect_in(VM_READ | VM_SOFTDIRTY, raw, shifts[i], state, frame,
			  flags | VMINSPECT_PAGE_SOFT_DIRTY);
	}
}

static void nothing(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		expect(0, shifts[i], VMINSPECT_STATE_NONE, 0, 0);
		expect_in(VM_SOFTDIRTY, 0, shifts[i], VMINSPECT_STATE_NONE, 0,
			  VMINSPECT_PAGE_SOFT_DIRTY);
		/* Processors with an erratum leave them in entries that are empty. */
		expect(_PAGE_ACCESSED | _PAGE_DIRTY, shifts[i], VMINSPECT_STATE_NONE, 0, 0);
	}
}

static void expect_slot(unsigned int type, unsigned long offset)
{
	u64 raw = pte_val(swp_entry_to_pte(swp_entry(type, offset)));
	u64 exclusive = pte_val(pte_swp_mkexclusive(__pte(raw)));

	expect_soft(swp_entry(type, offset), VMINSPECT_STATE_SWAPPED, offset, 0);
	expect(exclusive, PAGE_SHIFT, VMINSPECT_STATE_SWAPPED, offset, VMINSPECT_PAGE_EXCLUSIVE);
	if (decode(raw, PAGE_SHIFT, 0)->swap_type != type && !nr_wrong++)
		say("# type %u is shown as %u\n", type, decode(raw, PAGE_SHIFT, 0)->swap_type);
}

/*
 * 50 bits are what an entry has room for (arch/x86/include/asm/pgtable_64.h). The very
 * last offset is no slot: in area 0 its entry would be empty.
 */
static void slots_of_all_areas(void)
{
	static const unsigned long offsets[] = {
		1, 2, 4711, 0x55555555, 0xfffffffff, (1UL << 49) + 1, (1UL << 50) - 2, 0,
	};
	unsigned int type, i;

	for (type = 0; type < MAX_SWAPFILES; type++)
		for (i = 0; i < ARRAY_SIZE(offsets); i++)
			expect_slot(type, offsets[i]);
}

static unsigned long max_pfn_here(void)
{
	return (1UL << (MAX_PHYSMEM_BITS - PAGE_SHIFT)) - 1;
}

static void expect_migration(swp_entry_t entry, unsigned long pfn, u32 flags)
{
	swp_entry_t young = swp_entry(swp_type(entry), swp_offset(entry) | SWP_MIG_YOUNG);
	swp_entry_t dirty = swp_entry(swp_type(entry), swp_offset(entry) | SWP_MIG_DIRTY);
	swp_entry_t both = swp_entry(swp_type(young), swp_offset(young) | SWP_MIG_DIRTY);
	const u8 state = VMINSPECT_STATE_MIGRATING;

	expect_soft(entry, state, pfn, flags);
	expect_soft(young, state, pfn, flags | VMINSPECT_PAGE_YOUNG);
	expect_soft(dirty, state, pfn, flags | VMINSPECT_PAGE_DIRTY);
	expect_soft(both, state, pfn, flags | VMINSPECT_PAGE_YOUNG | VMINSPECT_PAGE_DIRTY);
}

static void migration(void)
{
	const unsigned long pfns[] = { 1, 0x12345, max_pfn_here() };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		expect_migration(make_readable_migration_entry(pfns[i]), pfns[i], 0);
		expect_migration(make_readable_exclusive_migration_entry(pfns[i]), pfns[i],
				 VMINSPECT_PAGE_EXCLUSIVE);
		expect_migration(make_writable_migration_entry(pfns[i]), pfns[i],
				 VMINSPECT_PAGE_WRITE);
	}
}

static void poisoned_memory(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page) {
		nr_wrong++;
		return;
	}
	lock_page(page);	/* its constructor insists */
	expect_soft(make_hwpoison_entry(page), VMINSPECT_STATE_POISONED, page_to_pfn(page), 0);
	unlock_page(page);
	__free_page(page);
}

#ifdef CONFIG_DEVICE_PRIVATE
static void device_private(void)
{
	const unsigned long pfns[] = { 1, 0x12345, max_pfn_here() };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		expect_soft(make_readable_device_private_entry(pfns[i]),
			    VMINSPECT_STATE_DEVICE, pfns[i], 0);
		expect_soft(make_writable_device_private_entry(pfns[i]),
			    VMINSPECT_STATE_DEVICE, pfns[i], VMINSPECT_PAGE_WRITE);
	}
}

static void device_exclusive(void)
{
	expect_soft(compat_readable_exclusive(0x777), VMINSPECT_STATE_DEVICE, 0x777, 0);
	expect_soft(compat_writable_exclusive(0x777), VMINSPECT_STATE_DEVICE, 0x777,
		    COMPAT_EXCLUSIVE_WRITE);
}
#endif

static u32 marker_flags(unsigned long marker)
{
	u32 flags = marker & PTE_MARKER_UFFD_WP ? VMINSPECT_PAGE_UFFD_WP : 0;

#ifdef PTE_MARKER_POISONED
	flags |= marker & PTE_MARKER_POISONED ? VMINSPECT_PAGE_POISON : 0;
#endif
#ifdef PTE_MARKER_GUARD
	flags |= marker & PTE_MARKER_GUARD ? VMINSPECT_PAGE_GUARD : 0;
#endif
	return flags;
}

static void markers(void)
{
	unsigned long marker;

	for (marker = 1; marker <= PTE_MARKER_MASK; marker++)
		expect_soft(make_pte_marker_entry(marker), VMINSPECT_STATE_MARKER, 0,
			    marker_flags(marker));
}

#ifdef SWP_SWAPIN_ERROR
static void swapin_error(void)
{
	expect_soft(make_swapin_error_entry(ZERO_PAGE(0)), VMINSPECT_STATE_MARKER, 0,
		    VMINSPECT_PAGE_POISON);
}
#endif

/* Bits that this kernel does not know, alone and besides one that it does. */
static void markers_unknown(void)
{
	unsigned long bit;
	u64 raw;

	for (bit = PTE_MARKER_MASK + 1; bit <= 1UL << 49; bit <<= 1) {
		raw = soft(swp_entry(SWP_PTE_MARKER, bit), PAGE_SHIFT);
		expect(raw, PAGE_SHIFT, VMINSPECT_STATE_UNKNOWN, raw, 0);
		raw = soft(swp_entry(SWP_PTE_MARKER, bit | PTE_MARKER_UFFD_WP), PMD_SHIFT);
		expect(raw, PMD_SHIFT, VMINSPECT_STATE_UNKNOWN, raw, 0);
	}
	raw = soft(swp_entry(SWP_PTE_MARKER, 0), PAGE_SHIFT);
	expect(raw, PAGE_SHIFT, VMINSPECT_STATE_UNKNOWN, raw, 0);
}

/* An entry of @pfn on any level with @prot. */
static u64 mapped(unsigned long pfn, pgprot_t prot, unsigned int shift)
{
	switch (shift) {
	case PAGE_SHIFT:
		return pte_val(pfn_pte(pfn, prot));
	case PMD_SHIFT:
		return pmd_val(pmd_mkhuge(pfn_pmd(pfn, prot)));
	default:
		return pud_val(pud_mkhuge(pfn_pud(pfn, prot)));
	}
}

#define USER_READ	(VMINSPECT_PAGE_USER | VMINSPECT_PAGE_YOUNG)

/* One that each level can map, and the last one of this machine. */
static unsigned long some_pfn(unsigned int i, unsigned int shift)
{
	const unsigned long pfns[] = { 1UL << (PUD_SHIFT - PAGE_SHIFT), max_pfn_here() };

	return pfns[i] & ~((1UL << (shift - PAGE_SHIFT)) - 1);
}

static void present(void)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		for (j = 0; j < 2; j++) {
			unsigned long pfn = some_pfn(j, shifts[i]);

			expect(mapped(pfn, PAGE_READONLY, shifts[i]), shifts[i],
			       VMINSPECT_STATE_PRESENT, pfn, USER_READ);
			expect(mapped(pfn, PAGE_READONLY_EXEC, shifts[i]), shifts[i],
			       VMINSPECT_STATE_PRESENT, pfn, USER_READ | VMINSPECT_PAGE_EXEC);
			expect(mapped(pfn, PAGE_SHARED, shifts[i]), shifts[i],
			       VMINSPECT_STATE_PRESENT, pfn, USER_READ | VMINSPECT_PAGE_WRITE);
		}
	}
}

static void present_bits(void)
{
	pte_t pte = pfn_pte(0x12345, PAGE_READONLY);

	expect(pte_val(pte_mkold(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       VMINSPECT_PAGE_USER);
	expect(pte_val(pte_set_flags(pte, _PAGE_RW)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_WRITE);
	/* Who makes it dirty makes it soft-dirty. */
	expect(pte_val(pte_mkdirty(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_DIRTY | VMINSPECT_PAGE_SOFT_DIRTY);
	expect(pte_val(pte_clear_soft_dirty(pte_mkdirty(pte))), PAGE_SHIFT,
	       VMINSPECT_STATE_PRESENT, 0x12345, USER_READ | VMINSPECT_PAGE_DIRTY);
	expect(pte_val(pte_mksoft_dirty(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_SOFT_DIRTY);
	expect(pte_val(compat_pte_mkuffd(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_UFFD_WP);
	expect(pte_val(pte_mkspecial(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_SPECIAL);
	expect(pte_val(pte_mkglobal(pte)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ | VMINSPECT_PAGE_GLOBAL);
}

/* They hold their frames inverted. What else such an entry has is what PAGE_NONE has. */
static void protected(void)
{
	const u32 flags = VMINSPECT_PAGE_PROTNONE | VMINSPECT_PAGE_YOUNG | VMINSPECT_PAGE_EXEC;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		for (j = 0; j < 2; j++) {
			unsigned long pfn = some_pfn(j, shifts[i]);
			u64 raw = mapped(pfn, PAGE_NONE, shifts[i]);

			expect_in(0, raw, shifts[i], VMINSPECT_STATE_PRESENT, pfn, flags);
			expect_in(VM_READ, raw, shifts[i], VMINSPECT_STATE_PRESENT, pfn,
				  flags | VMINSPECT_PAGE_NUMA_HINT);
			expect_in(VM_EXEC, raw, shifts[i], VMINSPECT_STATE_PRESENT, pfn,
				  flags | VMINSPECT_PAGE_NUMA_HINT);
		}
	}
}

/* The bit stands where small pages have their size, and huge ones a part of the frame. */
static void cache_bit_is_no_part_of_the_frame(void)
{
	const pgprot_t small = __pgprot(pgprot_val(PAGE_READONLY) | _PAGE_PAT);
	const pgprot_t huge = __pgprot(pgprot_val(PAGE_READONLY) | _PAGE_PAT_LARGE);
	unsigned int i;

	expect(mapped(0x12345, small, PAGE_SHIFT), PAGE_SHIFT, VMINSPECT_STATE_PRESENT, 0x12345,
	       USER_READ);
	for (i = 1; i < ARRAY_SIZE(shifts); i++) {
		unsigned long pfn = some_pfn(1, shifts[i]);

		expect(mapped(pfn, huge, shifts[i]), shifts[i], VMINSPECT_STATE_PRESENT, pfn,
		       USER_READ);
	}
}

/* While it is split its present bit is clear and its frame stands inverted. */
static void huge_page_being_split(void)
{
	pmd_t pmd = pmd_mkhuge(pfn_pmd(0x12400, PAGE_READONLY));

	expect(pmd_val(pmd_mkinvalid(pmd)), PMD_SHIFT, VMINSPECT_STATE_PRESENT, 0x12400,
	       USER_READ);
}

static void zero_page(void)
{
	unsigned long pfn = page_to_pfn(ZERO_PAGE(0));

	expect(pte_val(pte_mkspecial(pfn_pte(pfn, PAGE_READONLY))), PAGE_SHIFT,
	       VMINSPECT_STATE_PRESENT, pfn,
	       USER_READ | VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_ZERO);
	expect(pte_val(pfn_pte(pfn + 1, PAGE_READONLY)), PAGE_SHIFT, VMINSPECT_STATE_PRESENT,
	       pfn + 1, USER_READ);
}

/* Its entries are never made clean: only the mapping's own mark counts. */
static void soft_dirty_of_hugetlb_and_devices(void)
{
	u64 raw = pte_val(pte_mksoft_dirty(__pte(mapped(0x40000, PAGE_READONLY, PMD_SHIFT))));
	pte_t small = pte_mksoft_dirty(pfn_pte(0x40000, PAGE_READONLY));
	u64 moving = with_soft_dirty(soft(make_writable_migration_entry(0x40000), PMD_SHIFT));

	expect_in(VM_READ | VM_HUGETLB, raw, PMD_SHIFT, VMINSPECT_STATE_PRESENT, 0x40000,
		  USER_READ | VMINSPECT_PAGE_HUGETLB);
	expect_in(VM_READ | VM_HUGETLB | VM_SOFTDIRTY, raw, PMD_SHIFT, VMINSPECT_STATE_PRESENT,
		  0x40000, USER_READ | VMINSPECT_PAGE_HUGETLB | VMINSPECT_PAGE_SOFT_DIRTY);
	expect_in(VM_READ | VM_HUGETLB, moving, PMD_SHIFT, VMINSPECT_STATE_MIGRATING, 0x40000,
		  VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_HUGETLB);
	expect_in(VM_READ | VM_PFNMAP, pte_val(small), PAGE_SHIFT, VMINSPECT_STATE_PRESENT,
		  0x40000, USER_READ);
}

static const struct tap_test tests[] = {
	{ nothing, "an empty entry is none" },
	{ slots_of_all_areas, "a swapped page shows area and offset, from the first to the last" },
	{ migration, "a migrating page shows its frame and what it may do" },
	{ poisoned_memory, "poisoned memory shows its frame" },
#ifdef CONFIG_DEVICE_PRIVATE
	{ device_private, "device-private memory shows its frame" },
	{ device_exclusive, "device-exclusive memory shows its frame" },
#endif
	{ markers, "each marker shows what it says" },
#ifdef SWP_SWAPIN_ERROR
	{ swapin_error, "an error of swapping in is a marker of poison" },
#endif
	{ markers_unknown, "a marker with unknown bits is unknown, and raw" },
	{ present, "a page shows its frame and protection on all levels" },
	{ present_bits, "each bit of a page is the flag of its name" },
	{ protected, "PROT_NONE and NUMA hints show the frame that they hold inverted" },
	{ cache_bit_is_no_part_of_the_frame, "the cache bit is no part of the frame" },
	{ huge_page_being_split, "a huge page that is being split is present" },
	{ zero_page, "the zero page is told" },
	{ soft_dirty_of_hugetlb_and_devices, "hugetlb and devices are soft-dirty as a mapping" },
};

static int __init entry_test_init(void)
{
	return tap_run(tests, ARRAY_SIZE(tests));
}

static void __exit entry_test_exit(void)
{
	tap_remove();
}

module_init(entry_test_init);
module_exit(entry_test_exit);
MODULE_DESCRIPTION("Constructed page-table entries, decoded");
MODULE_LICENSE("GPL");
