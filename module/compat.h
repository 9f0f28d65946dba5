/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels. The rest of the module is written for the
 * newest one; this file makes older ones look like it.
 *
 * what                    changed in  here
 * ----------------------  ----------  -----------------------------------------
 * pmdp_get_lockless()     6.5         older: one plain read, as x86-64 allows
 * pte_uffd_wp()           7.0         called pte_uffd() since
 * page_mapcount()         6.11        gone; the sum that it made is made here
 * large slots of shmem    6.12        xas_get_order() exported; older: order 0
 * VM_UFFD_RWP             7.0         older: no such mapping
 * swap_map                7.0         gone: what slots are used for is not told
 * inuse_pages             6.14        an atomic with a bit above the number
 */
#ifndef VMI_COMPAT_H
#define VMI_COMPAT_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/version.h>
#include <linux/xarray.h>

/* 6.5: pmdp_get_lockless(). A pmd of x86-64 is one word: a read can't tear. */
static inline pmd_t vmi_compat_pmdp_get_lockless(pmd_t *pmdp)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return pmdp_get_lockless(pmdp);
#else
	return READ_ONCE(*pmdp);
#endif
}

/* 7.0: renamed from pte_uffd_wp(). */
static inline bool vmi_compat_pte_uffd(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return pte_uffd(pte);
#else
	return pte_uffd_wp(pte);
#endif
}

/* 7.0: renamed from pte_swp_uffd_wp(). */
static inline bool vmi_compat_pte_swp_uffd(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return pte_swp_uffd(pte);
#else
	return pte_swp_uffd_wp(pte);
#endif
}

/**
 * vmi_compat_page_mapped_once() - what bit 56 of pagemap says
 * @page: a page that is mapped by an entry whose table the caller has locked
 *
 * 6.11 took page_mapcount() away; the later form is that of
 * folio_precise_page_mapcount() in fs/proc/internal.h.
 */
static inline bool vmi_compat_page_mapped_once(struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct folio *folio = page_folio(page);
	int mapcount = atomic_read(&page->_mapcount) + 1;

	if (folio_test_large(folio))
		mapcount += folio_entire_mapcount(folio);
	return mapcount == 1;
#else
	return page_mapcount(page) == 1;
#endif
}

/* 6.12: shared memory may keep one entry for 2^order slots. */
static inline unsigned int vmi_compat_xas_get_order(struct xa_state *xas)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	return xas_get_order(xas);
#else
	return 0;
#endif
}

/* 7.0: PROT_NONE entries also track accesses for userfaultfd. */
static inline bool vmi_compat_vma_uffd_rwp(unsigned long vm_flags)
{
#ifdef VM_UFFD_RWP
	return vm_flags & VM_UFFD_RWP;
#else
	return false;
#endif
}

/*
 * 7.0: no map of slots any more. SWAP_HAS_CACHE went with it: it stands for "this
 * kernel does not say so".
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define VMI_COMPAT_SWAP_MAP	0
#define SWAP_HAS_CACHE		0

static inline u8 vmi_compat_swap_slot(const struct swap_info_struct *area,
				      unsigned long offset)
{
	return 0;
}
#else
#define VMI_COMPAT_SWAP_MAP	1

static inline u8 vmi_compat_swap_slot(const struct swap_info_struct *area,
				      unsigned long offset)
{
	return READ_ONCE(area->swap_map[offset]);
}
#endif

/* 6.14: an atomic, with bit 30 for something else. Before it is a number. */
static inline unsigned long vmi_compat_swap_used(const struct swap_info_struct *area)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	return atomic_long_read(&area->inuse_pages) & ~BIT(30);
#else
	return READ_ONCE(area->inuse_pages);
#endif
}

#endif /* VMI_COMPAT_H */
