/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels. The rest of the module is written for the
 * newest one; this file makes older ones look like it. Built and tested are 6.1, 6.12 and
 * 7.3; for those between, the table says what is known, and no more is promised.
 *
 * what                    changed in  here
 * ----------------------  ----------  -----------------------------------------
 * pmdp_get_lockless()     6.5         older: one plain read, as x86-64 allows
 * pte_uffd_wp()           7.0         called pte_uffd() since
 * page_mapcount()         6.11        gone; the sum that it made is made here; with
 *                                     CONFIG_NO_PAGE_MAPCOUNT (6.15) what the kernel guesses
 * large slots of shmem    6.12        xas_get_order() exported; older: order 0
 * VM_UFFD_RWP             7.0         older: no such mapping
 * swap_map                7.0         gone: what slots are used for is not told
 * SWP_FS_OPS              7.3         gone; told by the area's operations
 * inuse_pages             6.14        an atomic with a bit above the number
 * folio->swap             6.6         older: the page's private word
 * pages of zeroes         6.12        not written to swap, nor read; older: like any other
 * bio of several pages    7.3         part of struct swap_iocb; older: counted by the bio
 * swap and zswap calls    6.3 to 7.0  other names, arguments and results: VMI_COMPAT_*; of the
 *                                     result of zswap_load() its type is asked
 * what zswap lacks        6.12        zswap is told once it was asked; older: its answer is seen
 * swapin_sync()           7.0         older: do_swap_page() reads by itself from such devices
 * KVM: number of address  6.8         a function; older: a constant
 * KVM: guest_memfd        6.8         older: no such slots
 * KVM: protected state    6.10        of the VM; older: of its vCPUs
 * KVM: regs_avail         7.0         a bitmap; older: a word
 */
#ifndef VMI_COMPAT_H
#define VMI_COMPAT_H

#include <linux/version.h>

/*
 * Read before anything else (see Kbuild), so that this is what is seen first where a build fails,
 * because a header has moved or for whatever reason. A build for a newer kernel may well succeed.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error vminspect knows Linux 6.1, 6.12 and 7.3, and this kernel is older
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#pragma message "vminspect knows Linux 6.1, 6.12 and 7.3, and this kernel is newer"
#endif

#include <linux/bio.h>
#include <linux/ftrace.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/ptrace.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/xarray.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#include <linux/zswap.h>
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#include <linux/swap_ops.h>
#endif

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
	int mapcount = 0;

#ifdef CONFIG_NO_PAGE_MAPCOUNT
	/* then large folios have no count for each page (6.15) */
	if (folio_test_large(folio))
		return !folio_maybe_mapped_shared(folio);
#endif
	/* of hugetlb it is no count: the kind of page stands there */
	if (!folio_test_hugetlb(folio))
		mapcount = atomic_read(&page->_mapcount) + 1;
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
 * 7.0: no map of slots any more. The flags went with it: SWAP_HAS_CACHE stands for "this
 * kernel does not say so", SWAP_MAP_BAD for no slot.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define VMI_COMPAT_SWAP_MAP	0
#define SWAP_HAS_CACHE		0
#define SWAP_MAP_BAD		U8_MAX

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

/**
 * vmi_compat_swap_by_file_system() - does a file system do the reading and writing?
 * @area: one that the caller keeps in place: its operations are the file system's, which
 *	may be unloaded when it has gone
 *
 * 7.3 has operations instead of a flag. Those of file systems differ, but all that are made
 * for it are merged in the same way (swap_fs_can_merge() in mm/page_io.c).
 */
static inline bool vmi_compat_swap_by_file_system(const struct swap_info_struct *area)
{
#ifdef SWAP_OPS_F_REQUIRE_NOFS
	return READ_ONCE(area->ops)->can_merge == swap_fs_can_merge;
#else
	/* Other flags change at any time, this one when an area is added. */
	return data_race(area->flags) & SWP_FS_OPS;
#endif
}

/* 6.6: a member of its own. */
static inline u64 vmi_compat_folio_slot(const struct folio *folio)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return folio->swap.val;
#else
	return page_private(&folio->page);
#endif
}

/**
 * vmi_compat_argument() - an argument of a function that a probe stands at the entry of
 * @regs: the registers there
 * @nr: which, from 0; the first six are in registers, the others on the stack above the
 *	return address (System V ABI)
 */
static inline unsigned long vmi_compat_argument(struct pt_regs *regs, unsigned int nr)
{
	if (nr < 6)
		return regs_get_kernel_argument(regs, nr);
	return regs_get_kernel_stack_nth(regs, nr - 6 + 1);
}

/*
 * The same, at the entry of a function that ftrace calls from. 6.2: a call of its own. Before
 * that the first six are there, too, though not all registers are (struct ftrace_regs in
 * arch/x86/include/asm/ftrace.h).
 */
static inline unsigned long vmi_compat_ftrace_argument(struct ftrace_regs *regs,
						       unsigned int nr)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return ftrace_regs_get_argument(regs, nr);
#else
	return regs_get_kernel_argument(&regs->regs, nr);
#endif
}

/*
 * What the calls of the swap path are named, and which argument the page is. 6.1 hands
 * over pages, later kernels folios: the folio of a folio's first page is itself.
 *
 *		6.1			6.12			7.3
 * read		swap_readpage(page,	swap_read_folio(folio,	swap_read_folio(ctx,
 *		sync, plug)		plug)			folio)
 * write	swap_writepage(page,	swap_writepage(page,	swap_writeout(ctx,
 *		wbc)			wbc)			folio)
 * to device	__swap_writepage(page,	__swap_writepage(folio,	__swap_writepage(ctx,
 *		wbc)			wbc)			folio)
 * shmem out	shmem_writepage(page,	shmem_writepage(page,	shmem_writeout(ctx,
 *		wbc)			wbc)			folio, ...)
 * zswap in	zswap_frontswap_load(	zswap_load(folio): true	zswap_load(folio): 0
 *		type, offset, page): 0
 * zswap out	zswap_frontswap_store(	zswap_store(folio):	zswap_store(folio):
 *		type, offset, page): 0	true			true
 * read done	end_swap_bio_read(bio)	end_swap_bio_read(bio)	swap_bio_read_end_io(bio)
 * mapped	page_add_anon_rmap(	folio_add_anon_rmap_ptes(folio, page, nr, vma,
 *		page, vma, address, ..)	address, ...)
 * mapped new	page_add_new_anon_rmap(	folio_add_new_anon_rmap(folio, vma, address, ...)
 *		page, vma, address)
 */
#define VMI_COMPAT_WRITE_DONE		"end_swap_bio_write"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define VMI_COMPAT_READ_DONE		"swap_bio_read_end_io"
#else
#define VMI_COMPAT_READ_DONE		"end_swap_bio_read"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define VMI_COMPAT_READ			"swap_read_folio"
#define VMI_COMPAT_READ_FOLIO		1
#define VMI_COMPAT_WRITE		"swap_writeout"
#define VMI_COMPAT_WRITE_FOLIO		1
#define VMI_COMPAT_SHMEM_WRITE		"shmem_writeout"
#define VMI_COMPAT_SHMEM_WRITE_FOLIO	1
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define VMI_COMPAT_READ			"swap_read_folio"
#define VMI_COMPAT_READ_FOLIO		0
#define VMI_COMPAT_WRITE		"swap_writepage"
#define VMI_COMPAT_WRITE_FOLIO		0
#define VMI_COMPAT_SHMEM_WRITE		"shmem_writepage"
#define VMI_COMPAT_SHMEM_WRITE_FOLIO	0
#else
#define VMI_COMPAT_READ			"swap_readpage"
#define VMI_COMPAT_READ_FOLIO		0
#define VMI_COMPAT_WRITE		"swap_writepage"
#define VMI_COMPAT_WRITE_FOLIO		0
#define VMI_COMPAT_SHMEM_WRITE		"shmem_writepage"
#define VMI_COMPAT_SHMEM_WRITE_FOLIO	0
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define VMI_COMPAT_ZSWAP_LOAD		"zswap_load"
#define VMI_COMPAT_ZSWAP_STORE		"zswap_store"
#define VMI_COMPAT_ZSWAP_FOLIO		0
#else
#define VMI_COMPAT_ZSWAP_LOAD		"zswap_frontswap_load"
#define VMI_COMPAT_ZSWAP_STORE		"zswap_frontswap_store"
#define VMI_COMPAT_ZSWAP_FOLIO		2
#endif

/*
 * 6.12: what tells zswap that it had not the page, which is to be read from a device. From 6.8 on
 * it was called before zswap was asked, and 6.1 has nothing there.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && defined(CONFIG_ZSWAP)
#define VMI_COMPAT_ZSWAP_LACKS		"zswap_folio_swapin"
#else
#define VMI_COMPAT_ZSWAP_LACKS		NULL
#endif

/* 7.0: devices that answer at once have a call of their own beside swapin_readahead(). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define VMI_COMPAT_SWAP_IN		"swapin_sync"
#else
#define VMI_COMPAT_SWAP_IN		NULL
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define VMI_COMPAT_MAPPED		"folio_add_anon_rmap_ptes"
#define VMI_COMPAT_MAPPED_NR		2
#define VMI_COMPAT_MAPPED_VMA		3
#define VMI_COMPAT_MAPPED_ADDRESS	4
#else
#define VMI_COMPAT_MAPPED		"page_add_anon_rmap"
#define VMI_COMPAT_MAPPED_VMA		1
#define VMI_COMPAT_MAPPED_ADDRESS	2
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define VMI_COMPAT_MAPPED_NEW		"folio_add_new_anon_rmap"
#else
#define VMI_COMPAT_MAPPED_NEW		"page_add_new_anon_rmap"
#endif

/* The slot of the page, at the entry of zswap's calls. */
static inline u64 vmi_compat_zswap_slot(struct pt_regs *regs)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return vmi_compat_folio_slot((struct folio *)vmi_compat_argument(regs, 0));
#else
	return swp_entry(vmi_compat_argument(regs, 0), vmi_compat_argument(regs, 1)).val;
#endif
}

/* 6.4: a first try under the lock of the mapping alone. The next one is none of a retry. */
static inline bool vmi_compat_fault_vma_lock(unsigned int flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return flags & FAULT_FLAG_VMA_LOCK;
#else
	return false;
#endif
}

/* Did zswap have the page? */
static inline bool vmi_compat_zswap_loaded(unsigned long returned)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	/* Declared since then. A yes or no at first, later an error. */
	if (__builtin_types_compatible_p(typeof(zswap_load(NULL)), bool))
		return (bool)returned;
#endif
	return !(int)returned;
}

/* Did zswap take the page? */
static inline bool vmi_compat_zswap_stored(unsigned long returned)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return (bool)returned;
#else
	return !(int)returned;
#endif
}

/*
 * 6.12: of a page of zeroes only that is kept. swap_read_folio() then returns before it asks
 * zswap, which it does for any other; without zswap it can't be told from a page that was read
 * at once.
 */
static inline bool vmi_compat_swap_keeps_zeroes(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	return IS_ENABLED(CONFIG_ZSWAP);
#else
	return false;
#endif
}

/**
 * vmi_compat_swap_bio_folios() - of how many folios is a bio of the swap code?
 * @bio: one that VMI_COMPAT_READ_DONE or VMI_COMPAT_WRITE_DONE is called with
 *
 * 7.3: it is part of a struct swap_iocb, which counts them: the bio is made with a full table
 * and bi_vcnt 0 (swap_bdev_submit_read() in mm/page_io.c). Both are freed only by the function
 * that is being entered.
 */
static inline unsigned int vmi_compat_swap_bio_folios(const struct bio *bio)
{
#ifdef SWAP_OPS_F_REQUIRE_NOFS
	return container_of(bio, struct swap_iocb, bio)->nr_bvecs;
#else
	return bio->bi_vcnt;
#endif
}

/* One of them: each has an element of the bio's table to itself. */
static inline struct folio *vmi_compat_swap_bio_folio(const struct bio *bio, unsigned int nr)
{
	return page_folio(bio->bi_io_vec[nr].bv_page);
}

/* How many pages are being mapped at once, at the entry of VMI_COMPAT_MAPPED. */
static inline unsigned int vmi_compat_mapped_pages(struct ftrace_regs *regs)
{
#ifdef VMI_COMPAT_MAPPED_NR
	return vmi_compat_ftrace_argument(regs, VMI_COMPAT_MAPPED_NR);
#else
	return 1;
#endif
}

/*
 * The last two arguments of shmem_swapin_folio(). 7.0: the fault instead of its mapping.
 * At the entry; NULL: nobody faults.
 */
static inline struct vm_area_struct *vmi_compat_shmem_vma(struct pt_regs *regs)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	struct vm_fault *vmf = (struct vm_fault *)vmi_compat_argument(regs, 5);

	return vmf ? vmf->vma : NULL;
#else
	return (struct vm_area_struct *)vmi_compat_argument(regs, 5);
#endif
}

#if IS_ENABLED(CONFIG_KVM)
#include <linux/kvm_host.h>

/* 6.8: KVM_ADDRESS_SPACE_NUM became a function. */
static inline unsigned int vmi_compat_address_spaces(struct kvm *kvm)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return kvm_arch_nr_memslot_as_ids(kvm);
#else
	return KVM_ADDRESS_SPACE_NUM;
#endif
}

/* 6.8: slots of guest_memfd. */
static inline bool vmi_compat_slot_is_private(const struct kvm_memory_slot *slot)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return slot->flags & KVM_MEM_GUEST_MEMFD;
#else
	return false;
#endif
}

/* 6.10: has_protected_state is true of all of a VM's vCPUs at once, TDX's too. */
static inline bool vmi_compat_guest_is_protected(struct kvm_vcpu *vcpu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	if (vcpu->kvm->arch.has_protected_state)
		return true;
#endif
	return vcpu->arch.guest_state_protected;
}

/* 7.0: regs_avail became a bitmap. */
static inline bool vmi_compat_cr3_is_read(struct kvm_vcpu *vcpu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return test_bit(VCPU_REG_CR3, vcpu->arch.regs_avail);
#else
	return READ_ONCE(vcpu->arch.regs_avail) & BIT(VCPU_EXREG_CR3);
#endif
}
#endif /* CONFIG_KVM */

#endif /* VMI_COMPAT_H */
