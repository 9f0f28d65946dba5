// SPDX-License-Identifier: GPL-2.0
/*
 * One page-table entry, decoded: no locks, no allocation.
 *
 * Entries of all levels have their bits in the same places (Intel SDM vol. 3,
 * 4.5 "4-level paging and 5-level paging"; AMD APM vol. 2, 5.3), and Linux puts
 * its software bits and non-present entries alike on all levels, so that one
 * decoder is enough. Bit 7 alone differs: PAT in a PTE, page size above.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <uapi/vminspect.h>

#include "compat.h"
#include "entry.h"

/* pte_none() forgives stray accessed and dirty bits, an erratum of old Xeons. */
static bool entry_none(u64 raw)
{
	return pte_none(native_make_pte(raw));
}

/**
 * vmi_entry_present() - does the entry map memory or lead to a table?
 * @raw: the entry
 * @shift: PAGE_SHIFT, PMD_SHIFT or PUD_SHIFT
 *
 * A huge page that is being split has the present bit clear for a moment, but
 * its size bit set: pmd_present() counts it as present. An entry that maps
 * memory and traps (PROT_NONE) counts too.
 */
bool vmi_entry_present(u64 raw, unsigned int shift)
{
	if (shift == PMD_SHIFT)
		return pmd_present(native_make_pmd(raw));
	return pte_present(native_make_pte(raw));
}

/* PROT_NONE entries hold the frame inverted, and huge ones PAT among its bits. */
static u64 entry_pfn(u64 raw, unsigned int shift)
{
	switch (shift) {
	case PAGE_SHIFT:
		return pte_pfn(native_make_pte(raw));
	case PMD_SHIFT:
		return pmd_pfn(native_make_pmd(raw));
	default:
		return pud_pfn(native_make_pud(raw));
	}
}

/**
 * vmi_entry_hardware_flags() - the flags that a present entry has on any level
 * @raw: the entry
 */
u32 vmi_entry_hardware_flags(u64 raw)
{
	pte_t pte = native_make_pte(raw);
	u32 flags = 0;

	if (pte_write(pte))
		flags |= VMINSPECT_PAGE_WRITE;
	if (pte_exec(pte))
		flags |= VMINSPECT_PAGE_EXEC;
	if (raw & _PAGE_USER)
		flags |= VMINSPECT_PAGE_USER;
	/* The bit means PROT_NONE where the present bit is clear. */
	if ((raw & (_PAGE_PRESENT | _PAGE_GLOBAL)) == (_PAGE_PRESENT | _PAGE_GLOBAL))
		flags |= VMINSPECT_PAGE_GLOBAL;
	if (pte_young(pte))
		flags |= VMINSPECT_PAGE_YOUNG;
	if (pte_dirty(pte))
		flags |= VMINSPECT_PAGE_DIRTY;
	if (pte_soft_dirty(pte))
		flags |= VMINSPECT_PAGE_SOFT_DIRTY;
	if (vmi_compat_pte_uffd(pte))
		flags |= VMINSPECT_PAGE_UFFD_WP;
	if (pte_protnone(pte))
		flags |= VMINSPECT_PAGE_PROTNONE;
	if (pte_special(pte))
		flags |= VMINSPECT_PAGE_SPECIAL;
	return flags;
}

static void entry_decode_present(struct vmi_entry *entry, unsigned long vm_flags)
{
	entry->state = VMINSPECT_STATE_PRESENT;
	entry->frame = entry_pfn(entry->raw, entry->shift);
	entry->flags |= vmi_entry_hardware_flags(entry->raw);

	if ((entry->flags & VMINSPECT_PAGE_PROTNONE) &&
	    (vm_flags & VM_ACCESS_FLAGS) && !vmi_compat_vma_uffd_rwp(vm_flags))
		entry->flags |= VMINSPECT_PAGE_NUMA_HINT;

	if (entry->shift == PAGE_SHIFT && is_zero_pfn(entry->frame))
		entry->flags |= VMINSPECT_PAGE_ZERO;
}

static void entry_decode_migration(struct vmi_entry *entry, unsigned long type,
				   unsigned long offset)
{
	entry->state = VMINSPECT_STATE_MIGRATING;
	entry->frame = offset & SWP_PFN_MASK;
	if (type == SWP_MIGRATION_WRITE)
		entry->flags |= VMINSPECT_PAGE_WRITE;
	if (type == SWP_MIGRATION_READ_EXCLUSIVE)
		entry->flags |= VMINSPECT_PAGE_EXCLUSIVE;
	/* Set only where the kernel keeps them (migration_entry_supports_ad()). */
	if (offset & SWP_MIG_YOUNG)
		entry->flags |= VMINSPECT_PAGE_YOUNG;
	if (offset & SWP_MIG_DIRTY)
		entry->flags |= VMINSPECT_PAGE_DIRTY;
}

static void entry_decode_marker(struct vmi_entry *entry, unsigned long offset)
{
	unsigned long unknown = offset;
	u32 flags = 0;

	if (offset & PTE_MARKER_UFFD_WP)
		flags |= VMINSPECT_PAGE_UFFD_WP;
	unknown &= ~PTE_MARKER_UFFD_WP;
#ifdef PTE_MARKER_POISONED
	if (offset & PTE_MARKER_POISONED)
		flags |= VMINSPECT_PAGE_POISON;
	unknown &= ~PTE_MARKER_POISONED;
#endif
#ifdef PTE_MARKER_GUARD
	if (offset & PTE_MARKER_GUARD)
		flags |= VMINSPECT_PAGE_GUARD;
	unknown &= ~PTE_MARKER_GUARD;
#endif
	if (unknown || !offset)
		return;	/* stays unknown */

	entry->state = VMINSPECT_STATE_MARKER;
	entry->frame = 0;
	entry->flags |= flags;
}

/*
 * The type numbers above MAX_SWAPFILES depend on version and configuration, and
 * what a kernel does not have has no number (include/linux/swap.h).
 */
static void entry_decode_special_type(struct vmi_entry *entry,
				      unsigned long type, unsigned long offset)
{
	switch (type) {
#ifdef CONFIG_MEMORY_FAILURE
	case SWP_HWPOISON:
		entry->state = VMINSPECT_STATE_POISONED;
		entry->frame = offset & SWP_PFN_MASK;
		break;
#endif
#ifdef CONFIG_MIGRATION
	case SWP_MIGRATION_READ:
	case SWP_MIGRATION_READ_EXCLUSIVE:
	case SWP_MIGRATION_WRITE:
		entry_decode_migration(entry, type, offset);
		break;
#endif
#ifdef CONFIG_DEVICE_PRIVATE
	case SWP_DEVICE_WRITE:
#ifdef SWP_DEVICE_EXCLUSIVE_WRITE
	case SWP_DEVICE_EXCLUSIVE_WRITE:
#endif
		entry->flags |= VMINSPECT_PAGE_WRITE;
		fallthrough;
	case SWP_DEVICE_READ:
#ifdef SWP_DEVICE_EXCLUSIVE_READ
	case SWP_DEVICE_EXCLUSIVE_READ:
#else
	case SWP_DEVICE_EXCLUSIVE:
#endif
		entry->state = VMINSPECT_STATE_DEVICE;
		entry->frame = offset & SWP_PFN_MASK;
		break;
#endif
#ifdef SWP_PTE_MARKER
	case SWP_PTE_MARKER:
		entry_decode_marker(entry, offset);
		break;
#endif
#ifdef SWP_SWAPIN_ERROR
	case SWP_SWAPIN_ERROR:	/* since 6.6 a marker: shown as one */
		entry->state = VMINSPECT_STATE_MARKER;
		entry->frame = 0;
		entry->flags |= VMINSPECT_PAGE_POISON;
		break;
#endif
	}
}

static void entry_decode_soft(struct vmi_entry *entry)
{
	pte_t pte = native_make_pte(entry->raw);
	swp_entry_t arch = __pte_to_swp_entry(pte);
	unsigned long type = __swp_type(arch);
	unsigned long offset = __swp_offset(arch);

	entry->state = VMINSPECT_STATE_UNKNOWN;
	entry->frame = entry->raw;

	if (pte_swp_soft_dirty(pte))
		entry->flags |= VMINSPECT_PAGE_SOFT_DIRTY;
	if (vmi_compat_pte_swp_uffd(pte))
		entry->flags |= VMINSPECT_PAGE_UFFD_WP;

	if (type >= MAX_SWAPFILES) {
		entry_decode_special_type(entry, type, offset);
		return;
	}

	entry->state = VMINSPECT_STATE_SWAPPED;
	entry->frame = offset;
	entry->swap_type = type;
	if (pte_swp_exclusive(pte))
		entry->flags |= VMINSPECT_PAGE_EXCLUSIVE;
}

/**
 * vmi_entry_swapped() - does an entry stand for a page in a swap area?
 * @raw: the entry, of the lowest level
 * @slot: out: which, as the kernel has it: swp_entry_t.val
 *
 * Context: any.
 */
bool vmi_entry_swapped(u64 raw, u64 *slot)
{
	pte_t pte = native_make_pte(raw);
	swp_entry_t arch;

	if (pte_none(pte) || pte_present(pte))
		return false;
	arch = __pte_to_swp_entry(pte);
	*slot = swp_entry(__swp_type(arch), __swp_offset(arch)).val;
	return __swp_type(arch) < MAX_SWAPFILES;
}

/**
 * vmi_entry_decode() - what an entry says
 * @raw: the entry, read once
 * @shift: what one entry of its level stands for: PAGE_SHIFT, PMD_SHIFT or
 *	PUD_SHIFT. The entry must not lead to a table.
 * @vm_flags: those of the mapping that the entry belongs to
 * @entry: out: all members are written. The huge zero page can't be told from
 *	its entry: the walk adds that flag.
 */
void vmi_entry_decode(u64 raw, unsigned int shift, unsigned long vm_flags,
		      struct vmi_entry *entry)
{
	*entry = (struct vmi_entry){ .raw = raw, .shift = shift, .node = -1 };

	if (vm_flags & VM_SOFTDIRTY)
		entry->flags |= VMINSPECT_PAGE_SOFT_DIRTY;
	if (entry_none(raw)) {
		entry->state = VMINSPECT_STATE_NONE;
		entry->shift = PAGE_SHIFT;
		return;
	}

	if (shift > PAGE_SHIFT)
		entry->flags |= VMINSPECT_PAGE_HUGE;
	if (vm_flags & VM_HUGETLB)
		entry->flags |= VMINSPECT_PAGE_HUGETLB;

	if (vmi_entry_present(raw, shift))
		entry_decode_present(entry, vm_flags);
	else
		entry_decode_soft(entry);

	/*
	 * clear_refs leaves hugetlb alone and what maps frames without pages
	 * (clear_refs_walk_ops and clear_refs_test_walk() in
	 * fs/proc/task_mmu.c): once set, the bit stays, and means nothing. Only
	 * the mapping's own counts.
	 */
	if ((vm_flags & (VM_HUGETLB | VM_PFNMAP)) && !(vm_flags & VM_SOFTDIRTY))
		entry->flags &= ~VMINSPECT_PAGE_SOFT_DIRTY;
}

/* A frame can't carry into the bits above it: physical addresses end below 2^52. */
static void kind_of_present(struct vmi_kind *kind, unsigned long vm_flags)
{
	u64 raw = kind->entry.raw;
	unsigned int shift = kind->entry.shift;

	/*
	 * One may be the zero page, which memory has as a special entry, and a driver as any. A
	 * huge one that is being split stays so for a moment.
	 */
	if (kind->entry.flags & (VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_ZERO) ||
	    vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP) ||
	    !(raw & (_PAGE_PRESENT | _PAGE_PROTNONE)))
		return;
	kind->frame_mask = PTE_PFN_MASK & ~((1ULL << shift) - 1);
	kind->frame_shift = PAGE_SHIFT;
	kind->step = 1ULL << shift;
	/* __pte_needs_invert() */
	kind->invert = raw & _PAGE_PRESENT ? 0 : kind->frame_mask;
	if (kind->invert)
		kind->step = -kind->step;
	kind->like = raw & ~kind->frame_mask;
}

/* Bits of the offset, stored inverted, below those of the type: __swp_offset() */
#define KIND_OFFSET_BITS	GENMASK_ULL(63 - SWP_TYPE_BITS, SWP_OFFSET_FIRST_BIT)
/* Those that a slot has: swap_info_struct.max and its like are unsigned int, and always were. */
#define KIND_SLOT_BITS		GENMASK_ULL(SWP_OFFSET_FIRST_BIT + 31, SWP_OFFSET_FIRST_BIT)

/* The bits above a slot are all ones: an entry of this kind is never 0, whatever its type. */
static void kind_of_swapped(struct vmi_kind *kind)
{
	if (~kind->entry.raw & KIND_OFFSET_BITS & ~KIND_SLOT_BITS)
		return;
	kind->frame_mask = KIND_SLOT_BITS;
	kind->frame_shift = SWP_OFFSET_FIRST_BIT;
	kind->invert = kind->frame_mask;
	kind->step = -(1ULL << SWP_OFFSET_FIRST_BIT);
	kind->like = kind->entry.raw & ~kind->frame_mask;
}

/**
 * vmi_kind_has_any_slot() - does an entry differ from those of a kind in its slot only?
 * @kind: the kind, of swapped entries
 * @raw: the entry
 *
 * Which the area is makes no difference either.
 */
bool vmi_kind_has_any_slot(const struct vmi_kind *kind, u64 raw)
{
	u64 slot;

	return vmi_entry_swapped(raw, &slot) &&
	       !((kind->like ^ raw) & ((1ULL << SWP_OFFSET_FIRST_BIT) - 1));
}

/**
 * vmi_entry_kind() - what an entry says, and which others say the same of other frames
 * @raw: the entry
 * @shift: as vmi_entry_decode() has it
 * @vm_flags: likewise
 * @kind: out
 */
void vmi_entry_kind(u64 raw, unsigned int shift, unsigned long vm_flags,
		    struct vmi_kind *kind)
{
	vmi_kind_forget(kind);
	kind->said = NULL;
	vmi_entry_decode(raw, shift, vm_flags, &kind->entry);
	if (kind->entry.state == VMINSPECT_STATE_PRESENT)
		kind_of_present(kind, vm_flags);
	else if (kind->entry.state == VMINSPECT_STATE_SWAPPED)
		kind_of_swapped(kind);
}

/**
 * vmi_entry_add_page() - add what only the page can tell
 * @entry: a present entry, not special
 * @page: the page that it maps; of a huge page the first one
 *
 * Context: the lock of the table that @entry stands in is held: the entry can't
 * go away, its reference keeps the page from being freed, and a compound page
 * from being taken apart, since splitting it first replaces every entry
 * that maps it, under this lock (unmap_folio() in mm/huge_memory.c).
 */
void vmi_entry_add_page(struct vmi_entry *entry, struct page *page)
{
	struct folio *folio = page_folio(page);

	entry->node = page_to_nid(page);
	if (vmi_compat_page_mapped_once(page))
		entry->flags |= VMINSPECT_PAGE_MAPPED_ONCE;
	else
		entry->flags |= VMINSPECT_PAGE_SHARED;
	if (!folio_test_anon(folio)) {
		entry->flags |= VMINSPECT_PAGE_FILE;
		return;
	}

	entry->flags |= VMINSPECT_PAGE_ANON;
	if (folio_test_swapcache(folio))
		entry->flags |= VMINSPECT_PAGE_SWAPCACHE;
	if (folio_test_ksm(folio))	/* a KSM page is never exclusive */
		entry->flags |= VMINSPECT_PAGE_KSM;
	else if (PageAnonExclusive(page))
		entry->flags |= VMINSPECT_PAGE_EXCLUSIVE;
}
