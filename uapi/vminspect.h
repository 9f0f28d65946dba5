/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The contract between the vminspect module and user space, and its manual.
 */
#ifndef _UAPI_VMINSPECT_H
#define _UAPI_VMINSPECT_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Rules that every command follows
 *
 * A descriptor of ``/dev/vminspect`` inspects one address space. It is bound
 * to it by VMINSPECT_IOC_BIND with a descriptor of ``/proc/PID/pagemap``: the
 * access check is the one the kernel made when that file was opened. INFO, SWAP,
 * EVENTS and GUEST work without a bind. A descriptor may be used by several threads and passed on.
 *
 * The argument of every command is a pointer to a structure whose first member
 * is its ``size``, to be set by the caller to the size it was compiled with.
 * A structure may grow at its end. What the caller does not have counts as
 * zero; what the module does not know must be zero.
 *
 * Addresses and sizes are in bytes unless the name says otherwise; ``end`` is
 * exclusive. Frames are counted in units of 4096 bytes: physical address
 * shifted right by 12, also inside huge pages.
 *
 * Errors that every command can return:
 *
 * ======== ==================================================================
 * EFAULT   the structure or a buffer that it names can't be read or written;
 *          nothing is reported as done
 * EINVAL   size smaller than the first version of the structure, an unknown
 *          flag, a reserved member that is not zero, or as a command says
 * E2BIG    size larger than the module's, and the rest is not zero; or size
 *          above 4096
 * ENOTTY   unknown command
 * ENXIO    the descriptor is not bound yet (SCAN, TRANSLATE, WALK)
 * ESRCH    nobody runs in the bound address space any more: its last task has
 *          exited or executed another program
 * EINTR    a fatal signal came before anything was done
 * ENOMEM   out of memory
 * ======== ==================================================================
 */

/** VMINSPECT_ABI - what vminspect_info.abi holds; raised if a meaning changes */
#define VMINSPECT_ABI		1

#define VMINSPECT_IOC_TYPE	0xf7

/*
 * The number does not contain the size of the structure, so that growing one
 * leaves its command's number alone.
 */
#define VMINSPECT_IOC_INFO	_IO(VMINSPECT_IOC_TYPE, 0x00)
#define VMINSPECT_IOC_BIND	_IO(VMINSPECT_IOC_TYPE, 0x01)
#define VMINSPECT_IOC_SCAN	_IO(VMINSPECT_IOC_TYPE, 0x02)
#define VMINSPECT_IOC_TRANSLATE	_IO(VMINSPECT_IOC_TYPE, 0x03)
#define VMINSPECT_IOC_WALK	_IO(VMINSPECT_IOC_TYPE, 0x04)
#define VMINSPECT_IOC_SWAP	_IO(VMINSPECT_IOC_TYPE, 0x05)
#define VMINSPECT_IOC_EVENTS	_IO(VMINSPECT_IOC_TYPE, 0x06)
#define VMINSPECT_IOC_GUEST	_IO(VMINSPECT_IOC_TYPE, 0x07)

/* Of a descriptor that EVENTS made. */
#define VMINSPECT_IOC_EVENTS_STATE _IO(VMINSPECT_IOC_TYPE, 0x40)

/* Of a descriptor that GUEST made. */
#define VMINSPECT_IOC_GUEST_SLOT _IO(VMINSPECT_IOC_TYPE, 0x50)
#define VMINSPECT_IOC_GUEST_VCPU _IO(VMINSPECT_IOC_TYPE, 0x51)
#define VMINSPECT_IOC_GUEST_WALK _IO(VMINSPECT_IOC_TYPE, 0x52)
#define VMINSPECT_IOC_GUEST_SCAN _IO(VMINSPECT_IOC_TYPE, 0x53)

/**
 * DOC: States of a page
 *
 * Every page of an address space is in exactly one of these.
 *
 * ============== ============================================================
 * NONE           mapped, but no entry stands for it: never touched, or
 *                discarded, or a clean file page that was dropped
 * PRESENT        an entry the processor can use, or one that maps memory but
 *                traps (VMINSPECT_PAGE_PROTNONE)
 * SWAPPED        in a swap area
 * MIGRATING      about to come back at another frame
 * POISONED       its memory has failed
 * DEVICE         in the memory of a device, or reserved for its use
 * MARKER         no memory, but a remark in its place: see the flags UFFD_WP,
 *                POISON and GUARD. What the page cache of shared memory holds
 *                behind it is not looked up
 * UNKNOWN        an entry that this version can't decode: shown raw
 * UNMAPPED       no mapping there
 * ============== ============================================================
 */
#define VMINSPECT_STATE_NONE		0
#define VMINSPECT_STATE_PRESENT		1
#define VMINSPECT_STATE_SWAPPED		2
#define VMINSPECT_STATE_MIGRATING	3
#define VMINSPECT_STATE_POISONED	4
#define VMINSPECT_STATE_DEVICE		5
#define VMINSPECT_STATE_MARKER		6
#define VMINSPECT_STATE_UNKNOWN		7
#define VMINSPECT_STATE_UNMAPPED	8
#define VMINSPECT_NR_STATES		9

/**
 * DOC: Flags of a page
 *
 * What its entry says:
 *
 * ============== ============================================================
 * WRITE          may be written; on migrating and device entries: will be
 * EXEC           may be executed (NX is clear)
 * USER           accessible in user mode
 * GLOBAL         survives a change of address space in the TLB
 * YOUNG          accessed since the bit was last cleared
 * DIRTY          written since the bit was last cleared
 * SOFT_DIRTY     written since /proc/PID/clear_refs was last told 4, or in a
 *                mapping made since then: like bit 55 of pagemap
 * UFFD_WP        write-protected by userfaultfd
 * PROTNONE       maps memory, but every access traps: PROT_NONE or NUMA_HINT
 * SPECIAL        memory without a reference: device memory, vvar, zero page
 * ZERO           the shared page of zeroes, small or huge
 * HUGE           one entry for more than 4096 bytes
 * HUGETLB        a page of hugetlbfs
 * EXCLUSIVE      an anonymous page of this process alone: of a swapped page the
 *                entry says so, of a present one its page (see below)
 * SHMEM          with state SWAPPED: a page of shared memory; its page-table
 *                entry is empty, the slot stands in the page cache
 * NUMA_HINT      with PROTNONE: the mapping allows access, the next one tells
 *                the NUMA balancer which node it came from
 * POISON         with state MARKER: an access gets SIGBUS
 * GUARD          with state MARKER: an access gets SIGSEGV
 * ============== ============================================================
 *
 * What only the page behind an entry can tell, at extra cost, and only if
 * the return mask asks for it (VMINSPECT_PAGE_FROM_PAGE):
 *
 * ============== ============================================================
 * ANON           anonymous memory
 * FILE           page cache, shared memory included
 * SHARED         mapped more than once, here or elsewhere
 * MAPPED_ONCE    mapped once, here: like bit 56 of pagemap, but not on a page of
 *                hugetlbfs whose page table several processes share
 * KSM            merged by KSM
 * SWAPCACHE      has a slot in a swap area besides. With state SWAPPED: its page is
 *                still, or already, in memory; to bring it back takes no reading.
 *                Told of swapped pages only with VMINSPECT_FEATURE_SWAP_MAP
 * EXCLUSIVE      as above
 * ============== ============================================================
 */
#define VMINSPECT_PAGE_WRITE		(1ULL << 0)
#define VMINSPECT_PAGE_EXEC		(1ULL << 1)
#define VMINSPECT_PAGE_USER		(1ULL << 2)
#define VMINSPECT_PAGE_GLOBAL		(1ULL << 3)
#define VMINSPECT_PAGE_YOUNG		(1ULL << 4)
#define VMINSPECT_PAGE_DIRTY		(1ULL << 5)
#define VMINSPECT_PAGE_SOFT_DIRTY	(1ULL << 6)
#define VMINSPECT_PAGE_UFFD_WP		(1ULL << 7)
#define VMINSPECT_PAGE_PROTNONE		(1ULL << 8)
#define VMINSPECT_PAGE_SPECIAL		(1ULL << 9)
#define VMINSPECT_PAGE_ZERO		(1ULL << 10)
#define VMINSPECT_PAGE_ANON		(1ULL << 11)
#define VMINSPECT_PAGE_FILE		(1ULL << 12)
#define VMINSPECT_PAGE_SHARED		(1ULL << 13)
#define VMINSPECT_PAGE_KSM		(1ULL << 14)
#define VMINSPECT_PAGE_HUGE		(1ULL << 15)
#define VMINSPECT_PAGE_HUGETLB		(1ULL << 16)
#define VMINSPECT_PAGE_EXCLUSIVE	(1ULL << 17)
#define VMINSPECT_PAGE_MAPPED_ONCE	(1ULL << 18)
#define VMINSPECT_PAGE_SWAPCACHE	(1ULL << 19)
#define VMINSPECT_PAGE_SHMEM		(1ULL << 20)
#define VMINSPECT_PAGE_NUMA_HINT	(1ULL << 21)
#define VMINSPECT_PAGE_POISON		(1ULL << 22)
#define VMINSPECT_PAGE_GUARD		(1ULL << 23)
#define VMINSPECT_NR_PAGE_FLAGS		24

/** VMINSPECT_PAGE_FLAGS - all flags of a page */
#define VMINSPECT_PAGE_FLAGS		((1ULL << VMINSPECT_NR_PAGE_FLAGS) - 1)

/** VMINSPECT_PAGE_FROM_PAGE - those for which the page itself is read */
#define VMINSPECT_PAGE_FROM_PAGE					\
	(VMINSPECT_PAGE_ANON | VMINSPECT_PAGE_FILE |			\
	 VMINSPECT_PAGE_SHARED | VMINSPECT_PAGE_KSM |			\
	 VMINSPECT_PAGE_EXCLUSIVE | VMINSPECT_PAGE_MAPPED_ONCE |	\
	 VMINSPECT_PAGE_SWAPCACHE)

/**
 * DOC: Categories
 *
 * A category is a flag (``VMINSPECT_PAGE_*``) or a state, as the bit
 * ``VMINSPECT_CAT(state)``. Masks of both select pages, in the manner of
 * PAGEMAP_SCAN. The return mask knows two bits more.
 */
#define VMINSPECT_CAT(state)		(1ULL << (32 + (state)))
#define VMINSPECT_CAT_STATES		(((1ULL << VMINSPECT_NR_STATES) - 1) << 32)

/** VMINSPECT_RETURN_FRAME - return frames, swap types and offsets, raw entries */
#define VMINSPECT_RETURN_FRAME		(1ULL << 48)
/** VMINSPECT_RETURN_NODE - return the NUMA node of present pages */
#define VMINSPECT_RETURN_NODE		(1ULL << 49)

/**
 * DOC: What is hidden
 *
 * Frames, physical addresses, raw entries, swap types and offsets are shown if
 * the openers of both files, the device's and the pagemap's, had CAP_SYS_ADMIN in
 * the initial user namespace when they opened them, and if the kernel is not
 * locked down for confidentiality. Otherwise these members are zero, runs are
 * not split where frames stop following one another, and ``hidden`` says why.
 */
#define VMINSPECT_HIDDEN_CAPABILITY	(1U << 0)
#define VMINSPECT_HIDDEN_LOCKDOWN	(1U << 1)

/**
 * DOC: Features
 *
 * ============== ============================================================
 * SCAN           VMINSPECT_IOC_SCAN
 * TRANSLATE      VMINSPECT_IOC_TRANSLATE
 * WALK           VMINSPECT_IOC_WALK
 * DEBUGFS        the text views in debugfs are there
 * SHMEM_SWAP     swapped pages of shared memory can be told (PAGE_SHMEM)
 * SOFT_DIRTY     the kernel keeps soft-dirty bits
 * UFFD_WP        the kernel keeps userfaultfd write-protect bits
 * THP            the kernel has transparent huge pages
 * DEVICE_PRIVATE the kernel knows entries of memory in a device
 * SWAP           VMINSPECT_IOC_SWAP: the kernel has swap areas
 * SWAP_MAP       what each slot of an area is used for can be seen: PAGE_SWAPCACHE of
 *                swapped pages, VMINSPECT_SWAP_SLOTS
 * SWAP_IN        events of this kind can be had of this kernel, and so the others:
 * SWAP_OUT       VMINSPECT_IOC_EVENTS
 * READ
 * WRITE
 * GUEST          VMINSPECT_IOC_GUEST: the kernel was built with KVM, which need not be loaded
 * ============== ============================================================
 */
#define VMINSPECT_FEATURE_SCAN			(1ULL << 0)
#define VMINSPECT_FEATURE_TRANSLATE		(1ULL << 1)
#define VMINSPECT_FEATURE_WALK			(1ULL << 2)
#define VMINSPECT_FEATURE_DEBUGFS		(1ULL << 3)
#define VMINSPECT_FEATURE_SHMEM_SWAP		(1ULL << 4)
#define VMINSPECT_FEATURE_SOFT_DIRTY		(1ULL << 5)
#define VMINSPECT_FEATURE_UFFD_WP		(1ULL << 6)
#define VMINSPECT_FEATURE_THP			(1ULL << 7)
#define VMINSPECT_FEATURE_DEVICE_PRIVATE	(1ULL << 8)
#define VMINSPECT_FEATURE_SWAP			(1ULL << 9)
#define VMINSPECT_FEATURE_SWAP_MAP		(1ULL << 10)
#define VMINSPECT_FEATURE_SWAP_IN		(1ULL << 11)
#define VMINSPECT_FEATURE_SWAP_OUT		(1ULL << 12)
#define VMINSPECT_FEATURE_READ			(1ULL << 13)
#define VMINSPECT_FEATURE_WRITE			(1ULL << 14)
#define VMINSPECT_FEATURE_GUEST			(1ULL << 15)

/**
 * struct vminspect_info - VMINSPECT_IOC_INFO: what module and machine can do
 * @size: in: sizeof(struct vminspect_info)
 * @abi: out: VMINSPECT_ABI of the module
 * @features: out: mask of VMINSPECT_FEATURE_*
 * @va_end: out: first address that no process can map: 2^47 - 4096 with four
 *	levels, 2^56 - 4096 with five
 * @page_size: out: size of the smallest page, 4096
 * @levels: out: levels of page tables in use, 4 or 5
 * @pa_bits: out: width of a physical address in bits, at most 52
 * @reserved: out: zero
 * @hidden: out: mask of VMINSPECT_HIDDEN_*; 0 if the opener of this descriptor
 *	may see frames
 * @reserved2: out: zero
 * @version: out: version of the module, a string that ends in a zero byte
 */
struct vminspect_info {
	__u32 size;
	__u32 abi;
	__u64 features;
	__u64 va_end;
	__u32 page_size;
	__u8 levels;
	__u8 pa_bits;
	__u8 reserved[2];
	__u32 hidden;
	__u32 reserved2;
	char version[24];
};

/**
 * struct vminspect_bind - VMINSPECT_IOC_BIND: choose the address space
 * @size: in: sizeof(struct vminspect_bind)
 * @fd: in: a descriptor of /proc/PID/pagemap
 * @flags: in: 0
 * @hidden: out: mask of VMINSPECT_HIDDEN_*: what applies to this bind
 *
 * The descriptor may be closed afterwards. What is bound is the address space
 * that the process had when its pagemap was opened. It is not kept alive: when
 * its last user is gone every command returns ESRCH. Its page tables are
 * freed then, only the mm_struct itself waits for this descriptor to close.
 *
 * Return: 0, or
 *
 * ======== ==================================================================
 * EBADF    @fd is not open, or was opened with O_PATH
 * EINVAL   @fd is not a /proc/PID/pagemap
 * EBUSY    this descriptor is bound already
 * ESRCH    nobody runs there, or it was the pagemap of a kernel thread
 * ======== ==================================================================
 */
struct vminspect_bind {
	__u32 size;
	__s32 fd;
	__u32 flags;
	__u32 hidden;
};

/**
 * struct vminspect_extent - a run of pages that are alike
 * @start: first address
 * @end: address after the last one
 * @frame: PRESENT, MIGRATING, POISONED and DEVICE: frame of the page at @start;
 *	those of the following pages follow it, but with VMINSPECT_PAGE_ZERO all
 *	are that one page (frames of a huge one repeat with each).
 *	SWAPPED: offset in the swap area in pages, following likewise.
 *	UNKNOWN: the raw entry. Otherwise, and where hidden or not asked for, 0
 * @flags: VMINSPECT_PAGE_* that all pages of the run have, of those asked for
 * @mixed: VMINSPECT_PAGE_* that some of them have and some have not
 * @state: VMINSPECT_STATE_*
 * @page_shift: size of each page as a power of two: 12, 21 or 30
 * @swap_type: SWAPPED: number of the swap area; otherwise or where hidden 0
 * @reserved: zero
 * @node: NUMA node of a PRESENT page if asked for, otherwise -1
 *
 * A run is split where pages differ in state, size, in a returned flag that is in
 * the split mask, or in node; and, if frames are returned, where they stop following
 * one another. Two runs that meet at the end of one call and the start
 * of the next may belong together.
 */
struct vminspect_extent {
	__u64 start;
	__u64 end;
	__u64 frame;
	__u32 flags;
	__u32 mixed;
	__u8 state;
	__u8 page_shift;
	__u8 swap_type;
	__u8 reserved;
	__s32 node;
};

/** VMINSPECT_SCAN_PAGES - an extent for each page; runs of NONE and UNMAPPED stay */
#define VMINSPECT_SCAN_PAGES		(1U << 0)
/** VMINSPECT_SCAN_PACKED - a word for each page, and no extents */
#define VMINSPECT_SCAN_PACKED		(1U << 1)

/**
 * DOC: Words
 *
 * With VMINSPECT_SCAN_PACKED a scan returns, instead of extents, words of 8 bytes, one for
 * each page, in the order of addresses: where no run is longer than a page or two, that is a fifth
 * of the memory and much of the time. The upper 16 bits are the number of a kind:
 * vminspect_scan.kinds has, at that place, what is said of such a page. The other 48 are to be
 * added to the frame that stands there.
 *
 * A page is of the size that its kind has, and begins where the one before ended; a huge one that
 * @start or the end of the range cuts is told by one word all the same. A word of a kind in state
 * NONE or UNMAPPED stands for as many pages of 4096 bytes as its lower part says; so does one with
 * number VMINSPECT_WORD_OTHER, which stands for pages that are not selected.
 *
 * Numbers hold for one call.
 */
#define VMINSPECT_WORD_SHIFT		48
/** VMINSPECT_MAX_KINDS - more than these no call returns */
#define VMINSPECT_MAX_KINDS		170
/** VMINSPECT_WORD_OTHER - instead of the number of a kind: pages not selected */
#define VMINSPECT_WORD_OTHER		0xffff
/** VMINSPECT_WORD_KIND - the number of the kind of a word */
#define VMINSPECT_WORD_KIND(word)	((__u64)(word) >> VMINSPECT_WORD_SHIFT)
/** VMINSPECT_WORD_NUMBER - frame, less that of the kind; or a number of pages */
#define VMINSPECT_WORD_NUMBER(word)	((word) & ((1ULL << VMINSPECT_WORD_SHIFT) - 1))

/**
 * struct vminspect_scan - VMINSPECT_IOC_SCAN: the extents of a range
 * @size: in: sizeof(struct vminspect_scan)
 * @flags: in: VMINSPECT_SCAN_* or 0
 * @start: in: first address, a multiple of 4096
 * @end: in: where to stop, a multiple of 4096, above @start, at most
 *	vminspect_info.va_end
 * @resume: out: where the next call goes on; @end when done
 * @extents: in: address of an array of @nr_extents struct vminspect_extent, or, with
 *	VMINSPECT_SCAN_PACKED, of as many __u64
 * @nr_extents: in: how many fit there, at least 1
 * @extent_size: in: sizeof(struct vminspect_extent); with VMINSPECT_SCAN_PACKED 8
 * @nr_filled: out: how many were written
 * @hidden: out: mask of VMINSPECT_HIDDEN_*
 * @category_inverted: in: categories that count as set where they are not, and
 *	the other way round, for the two masks that follow
 * @category_mask: in: a page is selected if it has all of these ...
 * @category_anyof_mask: in: ... and at least one of these, if any is given
 * @return_mask: in: flags to be returned, and VMINSPECT_RETURN_*
 * @split_mask: in: flags that split a run where they change, all within
 *	@return_mask; with VMINSPECT_SCAN_PACKED 0
 * @kinds: in: with VMINSPECT_SCAN_PACKED, address of an array of @nr_kinds struct
 *	vminspect_entry; otherwise 0
 * @nr_kinds: in: how many fit there, at least 1; otherwise 0. A call ends where there would
 *	be another, or one more than VMINSPECT_MAX_KINDS
 * @nr_kinds_filled: out: how many were written; otherwise 0
 *
 * Nothing is faulted in and no entry is changed. Extents never reach outside
 * the range, even where a huge page does. The answer is not a snapshot: at
 * most some thousand entries are read under one hold of the mmap lock; each entry
 * is what stood there when it was read.
 *
 * A signal ends the call early, with success and @resume below @end, but never
 * before some of the range was done.
 *
 * Return: 0, or besides the common errors EINVAL: the range is empty, reversed,
 * not aligned or beyond va_end, @nr_extents is 0, @extent_size is not known, a mask
 * has unknown bits, @split_mask has bits that @return_mask has not, or what is for
 * VMINSPECT_SCAN_PACKED does not go with @flags.
 */
struct vminspect_scan {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 resume;
	__u64 extents;
	__u32 nr_extents;
	__u32 extent_size;
	__u32 nr_filled;
	__u32 hidden;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
	__u64 split_mask;
	__u64 kinds;
	__u32 nr_kinds;
	__u32 nr_kinds_filled;
};

/**
 * struct vminspect_entry - what stands behind one address
 * @frame: as in struct vminspect_extent, for the page of 4096 bytes at the
 *	address, inside a huge page too
 * @flags: VMINSPECT_PAGE_*, of those asked for
 * @state: VMINSPECT_STATE_*
 * @page_shift: size of the page as a power of two: 12, 21 or 30
 * @swap_type: SWAPPED: number of the swap area; otherwise or where hidden 0
 * @reserved: zero
 * @node: NUMA node of a PRESENT page if asked for, otherwise -1
 * @reserved2: zero
 */
struct vminspect_entry {
	__u64 frame;
	__u32 flags;
	__u8 state;
	__u8 page_shift;
	__u8 swap_type;
	__u8 reserved;
	__s32 node;
	__u32 reserved2;
};

/**
 * struct vminspect_translate - VMINSPECT_IOC_TRANSLATE: many addresses at once
 * @size: in: sizeof(struct vminspect_translate)
 * @flags: in: 0
 * @addresses: in: address of an array of @nr __u64: the addresses, not
 *	necessarily aligned, below vminspect_info.va_end
 * @entries: in: address of an array of @nr struct vminspect_entry; may not
 *	overlap @addresses
 * @nr: in: how many, at least 1
 * @entry_size: in: sizeof(struct vminspect_entry)
 * @nr_done: out: how many were translated, from the first on
 * @hidden: out: mask of VMINSPECT_HIDDEN_*
 * @return_mask: in: flags to be returned, and VMINSPECT_RETURN_*
 *
 * A signal ends the call early, with success and @nr_done below @nr, but never
 * before some were done.
 *
 * Return: 0, or besides the common errors EINVAL: @nr is 0, @entry_size is not
 * known, @return_mask has unknown bits, or an address is not below va_end and
 * nothing before it was done.
 */
struct vminspect_translate {
	__u32 size;
	__u32 flags;
	__u64 addresses;
	__u64 entries;
	__u32 nr;
	__u32 entry_size;
	__u32 nr_done;
	__u32 hidden;
	__u64 return_mask;
};

/** VMINSPECT_ENTRY_PRESENT - in vminspect_walk_level.flags: the entry is present */
#define VMINSPECT_ENTRY_PRESENT		(1U << 31)

/**
 * struct vminspect_walk_level - one level of a walk
 * @entry_pa: physical address of the entry in bytes; 0 where the opener may not
 *	see frames
 * @raw: the entry; 0 where the opener may not see frames
 * @flags: of VMINSPECT_PAGE_*: WRITE, EXEC, USER, GLOBAL, YOUNG, DIRTY, SOFT_DIRTY,
 *	UFFD_WP, PROTNONE, SPECIAL, HUGE as this entry has them, and
 *	VMINSPECT_ENTRY_PRESENT
 * @index: position in its table, 0 to 511
 * @level: 5 PGD, 4 P4D (five-level paging only), 3 PUD, 2 PMD, 1 PTE
 * @leaf: 1 if the entry does not lead to another table, else 0
 */
struct vminspect_walk_level {
	__u64 entry_pa;
	__u64 raw;
	__u32 flags;
	__u16 index;
	__u8 level;
	__u8 leaf;
};

#define VMINSPECT_MAX_LEVELS		5

/**
 * struct vminspect_walk - VMINSPECT_IOC_WALK: one translation, level by level
 * @size: in: sizeof(struct vminspect_walk)
 * @flags: in: 0
 * @va: in: the address, not necessarily aligned, below vminspect_info.va_end
 * @return_mask: in: flags to be returned in @entry, and VMINSPECT_RETURN_NODE; frames
 *	are always returned
 * @root: out: physical address of the top table in bytes; 0 where hidden
 * @nr_levels: out: how many of @levels are filled; 0 if there is no mapping at
 *	@va, since then tables may be freed at any time
 * @hidden: out: mask of VMINSPECT_HIDDEN_*
 * @entry: out: the outcome, as TRANSLATE would give it
 * @levels: out: from the top table down to the entry that ends the walk
 *
 * The root and the top level are those of the kernel. With page-table
 * isolation the processor uses a copy of the top table in user mode, which
 * follows that table in memory and differs in the kernel's half.
 *
 * Return: 0, or besides the common errors EINVAL: @va is not below va_end, or
 * @return_mask has unknown bits.
 */
struct vminspect_walk {
	__u32 size;
	__u32 flags;
	__u64 va;
	__u64 return_mask;
	__u64 root;
	__u32 nr_levels;
	__u32 hidden;
	struct vminspect_entry entry;
	struct vminspect_walk_level levels[VMINSPECT_MAX_LEVELS];
};

/**
 * DOC: Swap areas
 *
 * A swapped page is told by the number of its area and the offset there. Numbers
 * are given by the kernel when an area is added, the lowest that is free: after
 * others were removed they have holes, and neither their order nor that of
 * ``/proc/swaps`` is one of time. Whoever may open the device may ask, as everybody
 * may read ``/proc/swaps``.
 */

/* Kinds of swap areas */
#define VMINSPECT_SWAP_PARTITION	0	/* a block device */
#define VMINSPECT_SWAP_FILE		1
#define VMINSPECT_SWAP_ZRAM		2	/* a block device of zram */

/** VMINSPECT_SWAP_SLOTS - count the slots of the area: takes time with its size */
#define VMINSPECT_SWAP_SLOTS		(1U << 0)

/**
 * struct vminspect_swap - VMINSPECT_IOC_SWAP: a swap area
 * @size: in: sizeof(struct vminspect_swap)
 * @flags: in: VMINSPECT_SWAP_SLOTS or 0
 * @path: in: address of a buffer for the path, or 0 if it is not wanted. The path is
 *	that of ``/proc/swaps``, without its escapes, and ends in a zero byte
 * @path_size: in: size of that buffer in bytes
 * @type: in: least number that the area may have; out: the number of the first
 *	one from there on
 * @kind: out: VMINSPECT_SWAP_PARTITION, _FILE or _ZRAM
 * @reserved: out: zero
 * @pages: out: how many pages it holds
 * @used: out: how many of them are in use; it may change at any time
 * @priority: out: areas of higher priority are filled first
 * @reserved2: out: zero
 * @slots_free: out: with VMINSPECT_SWAP_SLOTS: slots that can be used and are not
 * @free_runs: out: likewise: runs of free slots that follow one another
 * @longest_free: out: likewise: slots of the longest one
 * @slots_cached: out: likewise: slots of pages that are swapped out and in memory as
 *	well, in the swap cache
 *
 * The counts of slots are no snapshot: pages come and go while they are counted.
 * Meanwhile the area can't be removed: swapoff waits for as long as it takes,
 * which is 1 byte read for each page of the area.
 *
 * Return: 0, or besides the common errors
 *
 * ============ ==============================================================
 * ENOENT       there is no area with that number or a higher one
 * ENAMETOOLONG the path and its zero byte are longer than @path_size
 * EOPNOTSUPP   VMINSPECT_SWAP_SLOTS without VMINSPECT_FEATURE_SWAP_MAP, or the
 *              command without VMINSPECT_FEATURE_SWAP
 * EINTR        a fatal signal came while slots were counted
 * ============ ==============================================================
 */
struct vminspect_swap {
	__u32 size;
	__u32 flags;
	__u64 path;
	__u32 path_size;
	__u16 type;
	__u8 kind;
	__u8 reserved;
	__u64 pages;
	__u64 used;
	__s32 priority;
	__u32 reserved2;
	__u64 slots_free;
	__u64 free_runs;
	__u64 longest_free;
	__u64 slots_cached;
};

/**
 * DOC: Events of swapping
 *
 * ========= =================================================================
 * LOST      records that the reader was too slow for, in their place
 * SWAP_IN   a swapped page was made present: by a fault, or by swapoff
 * SWAP_OUT  a page of an address space gave way to a swap entry
 * READ      a page was read from a swap area or from zswap
 * WRITE     a page was written to a swap area or to zswap
 * ========= =================================================================
 *
 * Two parties stand in every record: the owner, whose address space the page belongs
 * to, and the actor, the task that did it. Pids are those of the initial namespace.
 *
 * ``Documentation/events.rst`` says where in the kernel each is taken and what can't be
 * seen.
 */
#define VMINSPECT_EVENT_LOST		0
#define VMINSPECT_EVENT_SWAP_IN		1
#define VMINSPECT_EVENT_SWAP_OUT	2
#define VMINSPECT_EVENT_READ		3
#define VMINSPECT_EVENT_WRITE		4
#define VMINSPECT_NR_EVENTS		5

/** VMINSPECT_EVENT_KINDS - mask of the kinds that can be asked for */
#define VMINSPECT_EVENT_KINDS		0x1eU

/* As what the actor did it. */
#define VMINSPECT_AS_OTHER		0	/* ptrace, read(2), kernel threads, ... */
#define VMINSPECT_AS_FAULT		1	/* an access of its own */
#define VMINSPECT_AS_KSWAPD		2
#define VMINSPECT_AS_DIRECT		3	/* short of memory, it reclaimed some itself */
#define VMINSPECT_AS_MEMCG		4	/* its memory cgroup was at its limit */
#define VMINSPECT_AS_MADVISE		5	/* MADV_PAGEOUT, _WILLNEED, _COLLAPSE */
#define VMINSPECT_AS_KHUGEPAGED		6
#define VMINSPECT_AS_SWAPOFF		7
#define VMINSPECT_NR_AS			8

/* Where a page came from or went to. */
#define VMINSPECT_SOURCE_UNKNOWN	0
#define VMINSPECT_SOURCE_DEVICE		1	/* a disk or a file */
#define VMINSPECT_SOURCE_ZRAM		2
#define VMINSPECT_SOURCE_ZSWAP		3
#define VMINSPECT_SOURCE_ZERO		4	/* only that it is zero was kept */
#define VMINSPECT_SOURCE_CACHE		5	/* it was in memory still, or already */
#define VMINSPECT_NR_SOURCES		6

/* Flags of an event: */
#define VMINSPECT_EVENT_MAJOR		(1U << 0)	/* the kernel counts a major fault */
#define VMINSPECT_EVENT_RETRIED		(1U << 1)	/* took more than one try */
#define VMINSPECT_EVENT_READAHEAD	(1U << 2)	/* not what was asked for */
#define VMINSPECT_EVENT_SHMEM		(1U << 3)	/* shared memory: inode, index, dev */
#define VMINSPECT_EVENT_FAILED		(1U << 4)	/* the device reported an error */
#define VMINSPECT_EVENT_VA		(1U << 5)	/* va is known */
#define VMINSPECT_NR_EVENT_FLAGS	6

/** VMINSPECT_UNKNOWN - a time that could not be taken */
#define VMINSPECT_UNKNOWN		(~0ULL)

/**
 * struct vminspect_event - a record of an event
 * @time_ns: when it was complete, CLOCK_MONOTONIC. LOST: when the first was lost
 * @latency_ns: how long it took, or VMINSPECT_UNKNOWN. SWAP_IN: from the fault's first
 *	try until the page was mapped. READ, WRITE: from submission to completion
 * @va: with VMINSPECT_EVENT_VA: the page's address, of the first one of several; those that follow
 *	may lie beyond the end of its mapping
 * @ip: SWAP_IN: address of the user instruction that faulted; 0: not known, or none did
 * @offset: slot in the swap area, of the first of several pages that follow it
 * @cgroup: id of the owner's cgroup (v2), the inode number of its directory; where the
 *	owner is not known that of the cgroup that the page is charged to; 0: none
 * @inode: with VMINSPECT_EVENT_SHMEM: number of the file in its file system
 * @index: likewise: page in the file
 * @kind: VMINSPECT_EVENT_LOST, ...
 * @source: VMINSPECT_SOURCE_*: SWAP_IN and READ from where, WRITE to where
 * @as: VMINSPECT_AS_*
 * @swap_type: number of the swap area
 * @flags: VMINSPECT_EVENT_MAJOR, ...
 * @pages: how many pages of 4096 bytes. LOST: how many records
 * @pid: the owner's, 0: not known or none
 * @actor_pid: the actor's process
 * @actor_tid: the actor's thread
 * @dev: with VMINSPECT_EVENT_SHMEM: number of the file system, major << 20 | minor
 * @reserved: zero
 * @comm: the owner's name, empty where not known
 * @actor_comm: the actor's
 */
struct vminspect_event {
	__u64 time_ns;
	__u64 latency_ns;
	__u64 va;
	__u64 ip;
	__u64 offset;
	__u64 cgroup;
	__u64 inode;
	__u64 index;
	__u8 kind;
	__u8 source;
	__u8 as;
	__u8 swap_type;
	__u32 flags;
	__u32 pages;
	__u32 pid;
	__u32 actor_pid;
	__u32 actor_tid;
	__u32 dev;
	__u32 reserved;
	char comm[16];
	char actor_comm[16];
};

/* Whose events: by the owner. */
#define VMINSPECT_SCOPE_ALL	0	/* everybody's, also nobody's */
#define VMINSPECT_SCOPE_TARGET	1	/* those of the bound address space */
#define VMINSPECT_SCOPE_TASKS	2	/* a process and those that it starts from now on */
#define VMINSPECT_SCOPE_CGROUP	3	/* a cgroup and those below it */
#define VMINSPECT_NR_SCOPES	4

/** VMINSPECT_EVENTS_NONBLOCK - the descriptor is opened with O_NONBLOCK */
#define VMINSPECT_EVENTS_NONBLOCK	(1U << 0)

/**
 * struct vminspect_events - VMINSPECT_IOC_EVENTS: a descriptor to read events from
 * @size: in: sizeof(struct vminspect_events)
 * @flags: in: VMINSPECT_EVENTS_NONBLOCK or 0
 * @scope: in: VMINSPECT_SCOPE_*
 * @kinds: in: mask of 1 << VMINSPECT_EVENT_*, at least one
 * @pid: in: TASKS: the process, as the caller's pid namespace numbers it; else 0
 * @cgroup_fd: in: CGROUP: a descriptor of its directory, cgroup v2; else 0
 * @record_size: in: sizeof(struct vminspect_event)
 * @ring_records: in: records that wait in each of the rings, a power of two from 64 to
 *	65536, or 0 for the usual number; out: the number
 * @nr_rings: out: how many rings there are: one for each processor, at most 64
 * @missing: out: mask of those of @kinds that this kernel does not let be seen
 * @reserved: in: zero
 *
 * The ioctl returns the new descriptor, with O_CLOEXEC. Recording has begun when it
 * returns. It lasts until the descriptor is closed or stopped, independent of that of
 * the device.
 *
 * read(2) returns whole records, ordered by time: as many as there are, or it waits for
 * one, and, if @ring_records is at least 1024, a millisecond for more. It returns 0 after
 * the last one once VMINSPECT_EVENTS_STOP was given. Errors: EINVAL, less than one record
 * would fit; EAGAIN, there is none and the descriptor is O_NONBLOCK; EINTR; EFAULT: the records
 * are still there.
 *
 * poll(2): POLLIN if there is a record; POLLIN and POLLHUP once stopped.
 *
 * If the reader is too slow its new records are lost: counted, and told by a record of
 * kind LOST before the next one that found room. Nobody waits for a reader.
 *
 * A read or write belongs to the readers there were when it was submitted. Its owner is
 * known if a fault in progress asked for the page, or if its slot was seen being given to
 * one address space since somebody reads events, and that process is still in it. TARGET,
 * TASKS and CGROUP leave out what is nobody's; for CGROUP the page's charge counts where
 * the owner is not known.
 *
 * Return: a descriptor, or besides the common errors
 *
 * ========== ================================================================
 * EPERM      the opener of the device had no CAP_SYS_ADMIN in the initial user namespace,
 *            or that of a bound pagemap had not; or the kernel is locked down for
 *            confidentiality
 * EINVAL     unknown scope, kinds, record_size or ring_records
 * ENXIO      TARGET: the descriptor is not bound
 * ESRCH      TASKS: there is no such process
 * EBADF      CGROUP: @cgroup_fd is not a directory of a cgroup v2
 * EOPNOTSUPP none of @kinds can be seen, or probes are switched off
 *            (``/proc/sys/kernel/ftrace_enabled``, ``kprobes/enabled`` in debugfs)
 * EUSERS     there are 64 readers already
 * EMFILE     too many open files
 * ========== ================================================================
 */
struct vminspect_events {
	__u32 size;
	__u32 flags;
	__u32 scope;
	__u32 kinds;
	__s32 pid;
	__s32 cgroup_fd;
	__u32 record_size;
	__u32 ring_records;
	__u32 nr_rings;
	__u32 missing;
	__u32 reserved[2];
};

/**
 * VMINSPECT_EVENTS_STOP - record no more. What is being read and written at the moment
 * is recorded, with a latency of VMINSPECT_UNKNOWN
 */
#define VMINSPECT_EVENTS_STOP		(1U << 0)

/**
 * struct vminspect_events_state - VMINSPECT_IOC_EVENTS_STATE: how a reader gets on
 * @size: in: sizeof(struct vminspect_events_state)
 * @flags: in: VMINSPECT_EVENTS_STOP or 0
 * @records: out: records meant for this reader so far, those lost included; records of
 *	kind LOST do not count
 * @lost: out: how many of them were lost
 * @missed: out: calls that the kernel's probes passed over while this reader was there,
 *	because too many were under way at once, and what found no place besides
 *
 * Return: 0 or one of the common errors; or EINTR: a signal came while VMINSPECT_EVENTS_STOP
 * waited for a read(2) of the same descriptor, and it still records.
 */
struct vminspect_events_state {
	__u32 size;
	__u32 flags;
	__u64 records;
	__u64 lost;
	__u64 missed;
};

/**
 * DOC: Guests of KVM
 *
 * The memory of a guest is memory of the process that runs it, its VMM: each of the
 * VMM's *slots* stands for a range of guest-physical addresses (GPA), which it has at
 * host-virtual addresses (HVA). The guest's own page tables lead from guest-virtual
 * addresses (GVA) to guest-physical ones; the processor goes on from those to machine
 * memory by a nested table (NPT of AMD, EPT of Intel) that KVM fills as the guest
 * touches pages, and that says the same as the page tables of the VMM do.
 *
 * Nothing is faulted in, and no bit is set in any of these tables.
 */

/**
 * struct vminspect_guest - VMINSPECT_IOC_GUEST: a descriptor to inspect a guest with
 * @size: in: sizeof(struct vminspect_guest)
 * @flags: in: 0
 * @vm_fd: in: a descriptor of the VM, as KVM_CREATE_VM returned it to the VMM
 * @mem_fd: in: a descriptor of the VMM's ``/proc/PID/mem``, or -1. Without it the opener of
 *	the device needs CAP_SYS_ADMIN in the initial user namespace
 * @hidden: out: mask of VMINSPECT_HIDDEN_*: what of the host is hidden
 * @nr_vcpus: out: how many vCPUs there are
 * @nr_address_spaces: out: of guest-physical addresses; 2 where there is one for SMM
 * @reserved: zero
 *
 * The ioctl returns the new descriptor, with O_CLOEXEC. It keeps the VM, not its memory,
 * until it is closed: it should not be held for long.
 *
 * Return: a descriptor, or besides the common errors
 *
 * ============ ==============================================================
 * EBADF        @vm_fd or @mem_fd is not open
 * EINVAL       @vm_fd is not that of a VM, or @mem_fd not of its VMM's memory
 * EPERM        @mem_fd is -1 and the opener of the device lacks the capability
 * ESRCH        the VMM has exited
 * EOPNOTSUPP   this kernel has no KVM, or KVM's structures are not those of the
 *              headers that the module was built with
 * EMFILE       too many open files
 * ============ ==============================================================
 */
struct vminspect_guest {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__s32 mem_fd;
	__u32 hidden;
	__u32 nr_vcpus;
	__u32 nr_address_spaces;
	__u32 reserved;
};

/* Of a slot, as KVM_SET_USER_MEMORY_REGION has them */
#define VMINSPECT_SLOT_LOG_DIRTY	(1U << 0)
#define VMINSPECT_SLOT_READONLY		(1U << 1)
#define VMINSPECT_SLOT_PRIVATE		(1U << 2)	/* memory of guest_memfd */

/**
 * struct vminspect_guest_slot - VMINSPECT_IOC_GUEST_SLOT: a memory slot
 * @size: in: sizeof(struct vminspect_guest_slot)
 * @flags: in: 0
 * @gpa: in: a guest-physical address; out: the first one of the first slot that reaches
 *	beyond that address
 * @bytes: out: how long it is
 * @hva: out: where the VMM has its beginning
 * @slot: out: its number
 * @slot_flags: out: mask of VMINSPECT_SLOT_*
 * @address_space: in: 0, or 1: that of SMM
 * @reserved: zero
 *
 * Return: 0, or besides the common errors ENOENT: there is no such slot; EINVAL: there is
 * no such address space.
 */
struct vminspect_guest_slot {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 bytes;
	__u64 hva;
	__u32 slot;
	__u32 slot_flags;
	__u32 address_space;
	__u32 reserved;
};

/* Paging modes of a guest */
#define VMINSPECT_MODE_NONE		0	/* CR0.PG is clear: addresses are physical */
#define VMINSPECT_MODE_32BIT		1
#define VMINSPECT_MODE_PAE		2
#define VMINSPECT_MODE_4LEVEL		3
#define VMINSPECT_MODE_5LEVEL		4

/* What a vCPU's registers are worth */
#define VMINSPECT_REGISTERS_CURRENT	0	/* it does not run: as it has them */
#define VMINSPECT_REGISTERS_LAST_EXIT	1	/* it runs: as it had them when it last exited */
#define VMINSPECT_REGISTERS_STALE	2	/* KVM has not read them since an earlier exit */

/* By what guest-physical addresses are translated */
#define VMINSPECT_NESTED_NONE		0	/* not known: nothing has been set up */
#define VMINSPECT_NESTED_NPT		1
#define VMINSPECT_NESTED_EPT		2
#define VMINSPECT_NESTED_SHADOW		3	/* KVM's tables lead from virtual addresses */

/* What makes a vCPU's tables unreadable */
#define VMINSPECT_VCPU_NESTED		(1U << 0)	/* it runs a guest of its own */
#define VMINSPECT_VCPU_ENCRYPTED	(1U << 1)	/* its tables are: SEV or TDX */
#define VMINSPECT_VCPU_NEVER_RAN	(1U << 2)

/**
 * struct vminspect_guest_vcpu - VMINSPECT_IOC_GUEST_VCPU: what of a vCPU matters to paging
 * @size: in: sizeof(struct vminspect_guest_vcpu)
 * @vcpu: in: its number, as the VMM gave it
 * @cr0: out: control registers, and the MSR EFER
 * @cr3: out: likewise
 * @cr4: out: likewise
 * @efer: out: likewise
 * @nested_root: out: physical address of the top nested table; 0 if there is none yet, or
 *	where hidden
 * @vcpu_flags: out: mask of VMINSPECT_VCPU_*
 * @mode: out: VMINSPECT_MODE_*
 * @registers: out: VMINSPECT_REGISTERS_*
 * @nested: out: VMINSPECT_NESTED_*
 * @address_space: out: 1 while it is in SMM, else 0
 * @pa_bits: out: width of its physical addresses
 * @reserved: zero
 *
 * Return: 0, or besides the common errors ENOENT: there is no such vCPU.
 */
struct vminspect_guest_vcpu {
	__u32 size;
	__u32 vcpu;
	__u64 cr0;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	__u64 nested_root;
	__u32 vcpu_flags;
	__u8 mode;
	__u8 registers;
	__u8 nested;
	__u8 address_space;
	__u8 pa_bits;
	__u8 reserved[7];
};

/**
 * struct vminspect_guest_level - an entry of the guest's tables
 * @entry_gpa: its guest-physical address
 * @entry_hva: host-virtual address; 0: in no slot
 * @entry_pa: physical address; 0: its page is not in memory, or where hidden
 * @raw: the entry; 32 bits of it in VMINSPECT_MODE_32BIT
 * @flags: of VMINSPECT_PAGE_*: WRITE, EXEC, USER, GLOBAL, YOUNG, DIRTY, HUGE as this entry
 *	has them, and VMINSPECT_ENTRY_PRESENT
 * @index: position in its table
 * @level: 5 to 1: PML5, PML4, PDPT, PD, PT
 * @leaf: 1 if the entry does not lead to another table, else 0
 * @nr_nested: how many of @nested are filled
 * @reserved: zero
 * @nested: entries of the nested table on the way to this entry; @level counts as here
 */
struct vminspect_guest_level {
	__u64 entry_gpa;
	__u64 entry_hva;
	__u64 entry_pa;
	__u64 raw;
	__u32 flags;
	__u16 index;
	__u8 level;
	__u8 leaf;
	__u8 nr_nested;
	__u8 reserved[7];
	struct vminspect_walk_level nested[VMINSPECT_MAX_LEVELS];
};

/* Which link of the chain is missing */
#define VMINSPECT_MISSING_NOTHING	0
#define VMINSPECT_MISSING_GUEST		1	/* the guest does not map the address */
#define VMINSPECT_MISSING_SLOT		2	/* no memory there: a device (MMIO), or nothing */
#define VMINSPECT_MISSING_HOST		3	/* not in the host's memory: see @entry */
#define VMINSPECT_MISSING_UNREADABLE	4	/* a table is there and can't be read: in scans */

/* Why the guest does not map an address */
#define VMINSPECT_FAULT_NONE		0
#define VMINSPECT_FAULT_NOT_PRESENT	1
#define VMINSPECT_FAULT_RESERVED	2	/* a reserved bit is set in a present entry */
#define VMINSPECT_FAULT_NOT_CANONICAL	3	/* no address of this mode */

/** VMINSPECT_GUEST_GPA - @address is guest-physical: no table of the guest is read */
#define VMINSPECT_GUEST_GPA		(1U << 0)
/** VMINSPECT_GUEST_CR3 - @cr3 is given: another address space of the guest */
#define VMINSPECT_GUEST_CR3		(1U << 1)
/**
 * VMINSPECT_GUEST_MODE - @mode and @address_space are given, as an earlier call had them
 *
 * They are the vCPU's and say how @cr3 is read, and in which memory. Where it has come to others
 * (with VMINSPECT_GUEST_GPA: to another address space) it is ESTALE. What else matters to reading
 * tables, EFER.NXE and CR4.PSE, is as the vCPU has it in each call.
 */
#define VMINSPECT_GUEST_MODE		(1U << 2)

/**
 * struct vminspect_guest_walk - VMINSPECT_IOC_GUEST_WALK: a translation through both tables
 * @size: in: sizeof(struct vminspect_guest_walk)
 * @flags: in: mask of VMINSPECT_GUEST_*
 * @address: in: the guest-virtual address, or guest-physical with VMINSPECT_GUEST_GPA
 * @cr3: in: with VMINSPECT_GUEST_CR3 where the guest's tables begin; out: what was used
 * @gpa: out: guest-physical address, if nothing is missing before it
 * @hva: out: host-virtual address, likewise
 * @vcpu: in: number of the vCPU whose registers and nested table are taken
 * @hidden: out: mask of VMINSPECT_HIDDEN_*
 * @entry: out: what stands behind @hva, as VMINSPECT_IOC_TRANSLATE would tell it with flags of
 *	the entry alone, and VMINSPECT_PAGE_SWAPCACHE
 * @mode: out: VMINSPECT_MODE_*; in with VMINSPECT_GUEST_MODE
 * @registers: out: VMINSPECT_REGISTERS_*
 * @paging: out: VMINSPECT_NESTED_*
 * @address_space: out: 1 in SMM, else 0; in with VMINSPECT_GUEST_MODE
 * @missing: out: VMINSPECT_MISSING_*
 * @fault: out: VMINSPECT_FAULT_*
 * @missing_level: out: 0: what is missing is the address itself; else the level of the
 *	guest's entry that could not be read: then @entry tells of that one's page
 * @page_shift: out: size of the guest's page as a power of two, 0: none
 * @nr_levels: out: how many of @levels are filled; the last one may have no @raw: see
 *	@missing_level
 * @nr_nested: out: how many of @nested are filled; 0 also where hidden or there is no
 *	nested table
 * @reserved: zero
 * @nested: out: entries of the nested table on the way to the data
 * @levels: out: entries of the guest's table, from the top
 *
 * The guest may change its tables meanwhile: each entry is what stood there when it was
 * read. Nothing outside the guest's slots is read on its account. Where @nested ends with
 * an entry that is not present while @entry is, the guest has not touched the page since
 * KVM last took it out of the nested table.
 *
 * Return: 0, or besides the common errors
 *
 * ========== ================================================================
 * ENOENT     there is no such vCPU
 * ENODATA    it has not run yet, so that it has no address space
 * EBUSY      it runs a guest of its own, to which its tables belong
 * ESTALE     its paging mode or address space is not the one that was given
 * EINVAL     @cr3 is given and has bits that no CR3 has in that mode: above its 32 bits, or
 *            above the width of a physical address
 * ENOKEY     the guest's tables are encrypted: its state is, or CR3 or an entry says so
 * EOPNOTSUPP memory of guest_memfd, which the VMM does not map
 * EIO        a table of the guest lies where the host can't read: memory of a device, or
 *            secret memory
 * EAGAIN     pages of the guest's tables were moved whenever they were looked at
 * ========== ================================================================
 */
struct vminspect_guest_walk {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 cr3;
	__u64 gpa;
	__u64 hva;
	__u32 vcpu;
	__u32 hidden;
	struct vminspect_entry entry;
	__u8 mode;
	__u8 registers;
	__u8 paging;
	__u8 address_space;
	__u8 missing;
	__u8 fault;
	__u8 missing_level;
	__u8 page_shift;
	__u8 nr_levels;
	__u8 nr_nested;
	__u8 reserved[6];
	struct vminspect_walk_level nested[VMINSPECT_MAX_LEVELS];
	struct vminspect_guest_level levels[VMINSPECT_MAX_LEVELS];
};

/**
 * struct vminspect_guest_extent - a run of guest-virtual memory
 * @start: first guest-virtual address
 * @bytes: how long it is
 * @gpa: guest-physical address of the page at @start; those of the following pages follow it,
 *	but where @repeat is set all are that one page. 0 if something is missing, or a table
 *	repeats
 * @flags: of VMINSPECT_PAGE_*: WRITE, EXEC and USER if the entries of all levels allow it,
 *	GLOBAL and HUGE of the last one, and VMINSPECT_ENTRY_PRESENT. 0 if something is missing,
 *	or a table repeats
 * @page_shift: size of each page as a power of two; 0: something is missing, a table repeats, or
 *	there is no paging
 * @repeat: 0, or a power of two: the entries of the run are the same as the one before them,
 *	which stands for that many bytes, so that all of this is mapped as so many bytes below
 *	@start are, again and again: one page, or where @page_shift is 0 a whole table.
 *	Accessed and dirty bits do not count
 * @missing: VMINSPECT_MISSING_*: GUEST: the processor faults, see @fault; SLOT, HOST: the table
 *	that maps this is not in memory; UNREADABLE: it is, and is encrypted, or lies where the
 *	host can't read (memory of a device, secret memory, guest_memfd), or was moved whenever
 *	it was looked at
 * @fault: VMINSPECT_FAULT_*
 * @missing_level: level of the table that is missing, or 0
 * @reserved: zero
 *
 * Whether there is memory at @gpa is not looked at.
 */
struct vminspect_guest_extent {
	__u64 start;
	__u64 bytes;
	__u64 gpa;
	__u32 flags;
	__u8 page_shift;
	__u8 repeat;
	__u8 missing;
	__u8 fault;
	__u8 missing_level;
	__u8 reserved[7];
};

/**
 * struct vminspect_guest_scan - VMINSPECT_IOC_GUEST_SCAN: what a guest's tables map
 * @size: in: sizeof(struct vminspect_guest_scan)
 * @flags: in: mask of VMINSPECT_GUEST_CR3 and VMINSPECT_GUEST_MODE
 * @start: in: first guest-virtual address, a multiple of 4096
 * @end: in: where to stop, a multiple of 4096 above @start, or 0: after the last address
 * @first: in: @start of the first of the calls that go on from one to the next, so that what is
 *	from there on has been told: a @repeat refers to nothing before it. A multiple of 4096, not
 *	above @start
 * @resume: out: where the next call goes on; @end when done
 * @cr3: in: with VMINSPECT_GUEST_CR3 where the guest's tables begin; out: what was used
 * @extents: in: address of an array of @nr_extents struct vminspect_guest_extent
 * @nr_extents: in: how many fit there, at least 1
 * @extent_size: in: sizeof(struct vminspect_guest_extent)
 * @nr_filled: out: how many were written
 * @nr_tables: out: how many tables were read, some of them perhaps again
 * @vcpu: in: number of the vCPU whose registers are taken
 * @mode: out: VMINSPECT_MODE_*; in with VMINSPECT_GUEST_MODE
 * @registers: out: VMINSPECT_REGISTERS_*
 * @paging: out: VMINSPECT_NESTED_*
 * @address_space: out: 1 in SMM, else 0; in with VMINSPECT_GUEST_MODE
 *
 * What is not mapped, and what is no address of the mode, is in no extent. A run is split where
 * pages differ in what an extent tells, and where guest-physical addresses stop following one
 * another; no run lies on both sides of the gap in the middle of 4- and 5-level paging. Two
 * runs that meet at the end of one call and the start of the next may belong together.
 *
 * A call reads no more than some hundred tables, each as a whole. Tables may loop, or one may be
 * used for many ranges: so a guest can map more than it has memory for, and an end is only
 * sure to be found soon where entries that follow one another repeat. A caller that adds up
 * @nr_tables can tell when they are more than the guest has pages.
 *
 * The registers are read with each call: to stay in one address space pass on @cr3, @mode and
 * @address_space with VMINSPECT_GUEST_CR3 and VMINSPECT_GUEST_MODE. A signal ends the call early,
 * with success and @resume before @end, but not before some of the range was done. So does an
 * error, unless it comes first of all.
 *
 * Return: 0, or besides the common errors those of VMINSPECT_IOC_GUEST_WALK, but that a table
 * which can't be read is told in its place; EINVAL also: the range is empty, reversed or not
 * aligned, @nr_extents is 0, or @extent_size is not known.
 */
struct vminspect_guest_scan {
	__u32 size;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 first;
	__u64 resume;
	__u64 cr3;
	__u64 extents;
	__u32 nr_extents;
	__u32 extent_size;
	__u32 nr_filled;
	__u32 nr_tables;
	__u32 vcpu;
	__u8 mode;
	__u8 registers;
	__u8 paging;
	__u8 address_space;
};

#endif /* _UAPI_VMINSPECT_H */
