/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libvminspect: the device of the vminspect module as C calls.
 *
 * The library prints nothing and never exits. Functions return 0 or a count, or
 * a negative errno. The errors of the module are passed on as its header,
 * uapi/vminspect.h, describes them; they are not repeated with every function.
 */
#ifndef VMINSPECT_H
#define VMINSPECT_H

#include <stddef.h>
#include <linux/types.h>

#include "uapi/vminspect.h"

#ifdef __cplusplus
extern "C" {
#endif

/** VMINSPECT_DEVICE - where the module puts its device */
#define VMINSPECT_DEVICE	"/dev/vminspect"

/*
 * An open device, bound to at most one address space. Once bound it may be used by
 * several threads at the same time.
 */
struct vminspect;

/**
 * vminspect_open() - open the device and ask what it can do
 * @path: name of the device; NULL is VMINSPECT_DEVICE
 * @out: written on success; to be closed with vminspect_close()
 * @info: what the module says of itself; may be NULL. It is also written when
 *	the call fails with -EPROTONOSUPPORT, else only on success
 *
 * Return: 0, or
 *
 * ================ ==========================================================
 * -ENOENT          no such device: the module is not loaded
 * -ENODEV, -ENXIO  the same, but a name was left behind
 * -EACCES          the caller may not open it
 * -ENOTTY          @path is something else
 * -EPROTONOSUPPORT the module speaks another ABI than VMINSPECT_ABI
 * -ENOMEM          out of memory
 * ================ ==========================================================
 */
int vminspect_open(const char *path, struct vminspect **out,
		   struct vminspect_info *info);

/**
 * vminspect_close() - close the device
 * @dev: from vminspect_open(); NULL is allowed
 *
 * Every cursor on @dev must have been stopped before.
 */
void vminspect_close(struct vminspect *dev);

/**
 * vminspect_bind() - choose the address space
 * @dev: an open device that is not bound yet
 * @pagemap_fd: a descriptor of /proc/PID/pagemap; it may be closed afterwards
 *
 * Return: 0, or the errors of VMINSPECT_IOC_BIND.
 */
int vminspect_bind(struct vminspect *dev, int pagemap_fd);

/**
 * vminspect_hidden() - what the caller does not get to see
 * @dev: a bound device
 *
 * Return: a mask of VMINSPECT_HIDDEN_*. If it is not 0, members that a frame
 * could be told from are zero, and that zero means nothing.
 */
__u32 vminspect_hidden(const struct vminspect *dev);

/*
 * A cursor over the extents of a range. Its memory does not grow with the range. One
 * thread at a time may use it.
 */
struct vminspect_extents;

/**
 * vminspect_extents_start() - begin to read the extents of a range
 * @dev: a bound device; it must stay open until the cursor is stopped
 * @what: flags, start, end, the three category masks, return_mask and split_mask
 *	are used as VMINSPECT_IOC_SCAN defines them; other members are ignored
 * @out: written on success; to be freed with vminspect_extents_stop()
 *
 * The kernel is first asked by vminspect_extents_next().
 *
 * Return: 0, or -ENOMEM.
 */
int vminspect_extents_start(struct vminspect *dev, const struct vminspect_scan *what,
			    struct vminspect_extents **out);

/**
 * vminspect_extents_next() - the next extent
 * @cursor: where it stands
 * @extent: written if there is one more
 *
 * Extents come in the order of their addresses. Runs that the module gave in two
 * parts, because a call ended between them, are put together again. With VMINSPECT_SCAN_PACKED
 * the words are taken apart: there is an extent for each page, and one for each run of pages in
 * state NONE or UNMAPPED that have the same flags.
 *
 * Return: 1, or 0 after the last one, or the errors of VMINSPECT_IOC_SCAN (then
 * and for good; what was read before the error came was handed out before it), or
 * -EIO if the module made no progress.
 */
int vminspect_extents_next(struct vminspect_extents *cursor,
			   struct vminspect_extent *extent);

/**
 * vminspect_extents_resume() - where to go on after an error
 * @cursor: where it stands
 *
 * Return: after vminspect_extents_next() returned an error, the first address of
 * which nothing was reported.
 */
__u64 vminspect_extents_resume(const struct vminspect_extents *cursor);

/**
 * vminspect_extents_stop() - free a cursor
 * @cursor: from vminspect_extents_start(); NULL is allowed
 */
void vminspect_extents_stop(struct vminspect_extents *cursor);

/**
 * vminspect_extent_cut() - divide an extent in two
 * @extent: what is divided; afterwards it ends at @at
 * @at: address inside it, a multiple of 4096 above its start and below its end
 * @rest: the part from @at on, with the frame or swap offset that belongs there
 */
void vminspect_extent_cut(struct vminspect_extent *extent, __u64 at,
			  struct vminspect_extent *rest);

/**
 * vminspect_translate() - what stands behind many addresses
 * @dev: a bound device
 * @addresses: @nr addresses, not necessarily aligned, in any order
 * @nr: how many, at least 1
 * @return_mask: as in struct vminspect_translate
 * @entries: room for @nr
 *
 * Return: how many were translated, from the first on: less than @nr if an error
 * came after that many, which the next call will return. Or the errors
 * of VMINSPECT_IOC_TRANSLATE, or -EIO if the module made no progress.
 */
int vminspect_translate(struct vminspect *dev, const __u64 *addresses, __u32 nr,
			__u64 return_mask, struct vminspect_entry *entries);

/**
 * vminspect_walk() - one translation, level by level
 * @dev: a bound device
 * @va: the address, not necessarily aligned
 * @return_mask: as in struct vminspect_walk
 * @walk: written on success
 *
 * Return: 0, or the errors of VMINSPECT_IOC_WALK.
 */
int vminspect_walk(struct vminspect *dev, __u64 va, __u64 return_mask,
		   struct vminspect_walk *walk);

/**
 * vminspect_swap() - a swap area
 * @dev: an open device, bound or not
 * @type: least number that the area may have
 * @flags: as in struct vminspect_swap
 * @path: room for its path; NULL if that is not wanted
 * @size: of @path, in bytes; PATH_MAX is always enough
 * @area: written on success: the first area from number @type on
 *
 * Return: 0, or -ENOENT after the last one, or the other errors of VMINSPECT_IOC_SWAP.
 */
int vminspect_swap(struct vminspect *dev, unsigned int type, __u32 flags, char *path,
		   size_t size, struct vminspect_swap *area);

/**
 * vminspect_events() - begin to record events
 * @dev: an open device; bound for VMINSPECT_SCOPE_TARGET. It may be closed afterwards
 * @request: flags, scope, kinds, pid, cgroup_fd and ring_records are used as struct
 *	vminspect_events defines them; size and record_size are filled in. Written on success:
 *	ring_records, nr_rings and missing
 *
 * What read(2) of the descriptor returns is an array of struct vminspect_event.
 *
 * Return: a descriptor, to be closed with close(2), or the errors of VMINSPECT_IOC_EVENTS.
 */
int vminspect_events(struct vminspect *dev, struct vminspect_events *request);

/**
 * vminspect_events_state() - how a reader of events gets on
 * @fd: from vminspect_events()
 * @flags: VMINSPECT_EVENTS_STOP or 0
 * @state: written on success
 *
 * Return: 0, or the errors of VMINSPECT_IOC_EVENTS_STATE.
 */
int vminspect_events_state(int fd, __u32 flags, struct vminspect_events_state *state);

/**
 * vminspect_guest() - a descriptor to inspect a guest of KVM with
 * @dev: an open device, bound or not. It may be closed afterwards
 * @vm_fd: a descriptor of the VM: see pidfd_getfd(2)
 * @mem_fd: a descriptor of its VMM's /proc/PID/mem, or -1
 * @request: written on success
 *
 * Return: a descriptor, to be closed with close(2), or the errors of VMINSPECT_IOC_GUEST.
 */
int vminspect_guest(struct vminspect *dev, int vm_fd, int mem_fd,
		    struct vminspect_guest *request);

/**
 * vminspect_guest_slot() - a memory slot
 * @fd: from vminspect_guest()
 * @address_space: 0, or 1: that of SMM
 * @gpa: a guest-physical address
 * @slot: written on success: the first slot that reaches beyond it
 *
 * Return: 0, or -ENOENT after the last one, or the other errors of VMINSPECT_IOC_GUEST_SLOT.
 */
int vminspect_guest_slot(int fd, unsigned int address_space, __u64 gpa,
			 struct vminspect_guest_slot *slot);

/**
 * vminspect_guest_vcpu() - what of a vCPU matters to paging
 * @fd: from vminspect_guest()
 * @vcpu: its number
 * @out: written on success
 *
 * Return: 0, or the errors of VMINSPECT_IOC_GUEST_VCPU.
 */
int vminspect_guest_vcpu(int fd, unsigned int vcpu, struct vminspect_guest_vcpu *out);

/**
 * vminspect_guest_walk() - a translation through both tables
 * @fd: from vminspect_guest()
 * @walk: flags, address, cr3 and vcpu are used as struct vminspect_guest_walk defines them.
 *	Written on success
 *
 * Return: 0, or the errors of VMINSPECT_IOC_GUEST_WALK.
 */
int vminspect_guest_walk(int fd, struct vminspect_guest_walk *walk);

/*
 * A cursor over what a guest's tables map. Its memory does not grow with that. One thread at a
 * time may use it.
 */
struct vminspect_guest_extents;

/**
 * vminspect_guest_extents_start() - begin to read what a guest's tables map
 * @fd: from vminspect_guest(); it must stay open until the cursor is stopped
 * @what: flags, start, end, cr3, vcpu, mode and address_space are used as
 *	VMINSPECT_IOC_GUEST_SCAN defines them; other members are ignored
 * @tables: how many tables are read before it is given up. A guest can use one table for as many
 *	ranges as it likes, so that there is no end in sight; to do without that it needs no more
 *	tables than its memory has pages
 * @out: written on success; to be freed with vminspect_guest_extents_stop()
 *
 * Return: 0, or -ENOMEM.
 */
int vminspect_guest_extents_start(int fd, const struct vminspect_guest_scan *what,
				  __u64 tables, struct vminspect_guest_extents **out);

/**
 * vminspect_guest_extents_next() - the next extent
 * @cursor: where it stands
 * @extent: written if there is one more
 *
 * Extents come in the order of their addresses, and are of the address space that the first
 * one is of. Runs that the module gave in two parts are put together again. One without bytes is
 * none, but says how far it is: in so many tables nothing was found.
 *
 * Return: 1, or 0 after the last one, or the errors of VMINSPECT_IOC_GUEST_SCAN (then and for
 * good; what was read before the error came was handed out before it), or -ELOOP after too many
 * tables, or -ESTALE if the vCPU has changed its paging mode or address space meanwhile, or -EIO if
 * the module made no progress.
 */
int vminspect_guest_extents_next(struct vminspect_guest_extents *cursor,
				 struct vminspect_guest_extent *extent);

/**
 * vminspect_guest_extents_stop() - free a cursor
 * @cursor: from vminspect_guest_extents_start(); NULL is allowed
 */
void vminspect_guest_extents_stop(struct vminspect_guest_extents *cursor);

/**
 * vminspect_guest_accesses() - how many memory accesses a translation takes
 * @walk: from vminspect_guest_walk()
 *
 * The processor reads each entry of the guest's tables, and before it those of the nested
 * table that lead to it; those that lead to the data; and the data. Its caches may save some.
 *
 * Return: how many; 0: it can't be told, since nested entries are hidden or there are none.
 */
unsigned int vminspect_guest_accesses(const struct vminspect_guest_walk *walk);

/**
 * vminspect_guest_level_name() - the name of a level of the tables of a guest, or nested ones
 * @level: as in struct vminspect_guest_level
 *
 * Return: PML5, PML4, PDPT, PD or PT, or NULL if there is no such level.
 */
const char *vminspect_guest_level_name(unsigned int level);

/**
 * vminspect_mode_name() - the name of a paging mode
 * @mode: VMINSPECT_MODE_*
 *
 * Return: none, 32-bit, PAE, 4-level or 5-level, or NULL if there is no such mode.
 */
const char *vminspect_mode_name(unsigned int mode);

/**
 * vminspect_registers_name() - what a vCPU's registers are worth
 * @registers: VMINSPECT_REGISTERS_*
 *
 * Return: current, last_exit or stale, or NULL if this library does not know it.
 */
const char *vminspect_registers_name(unsigned int registers);

/**
 * vminspect_nested_name() - by what guest-physical addresses are translated
 * @nested: VMINSPECT_NESTED_*
 *
 * Return: npt, ept or shadow, or NULL for VMINSPECT_NESTED_NONE and for what this library does
 * not know.
 */
const char *vminspect_nested_name(unsigned int nested);

/**
 * vminspect_missing_name() - which link of the chain is missing
 * @missing: VMINSPECT_MISSING_*
 *
 * Return: guest, slot or host, or NULL if nothing is.
 */
const char *vminspect_missing_name(unsigned int missing);

/**
 * vminspect_state_name() - the name of a state
 * @state: VMINSPECT_STATE_*
 *
 * Return: its name in lower case, or NULL if there is no such state.
 */
const char *vminspect_state_name(unsigned int state);

/**
 * vminspect_flag_name() - the name of a flag
 * @bit: number of its bit in VMINSPECT_PAGE_FLAGS, or 31 for VMINSPECT_ENTRY_PRESENT
 *
 * Return: its name in lower case, or NULL if there is no such flag.
 */
const char *vminspect_flag_name(unsigned int bit);

/**
 * vminspect_feature_name() - the name of a feature
 * @bit: number of its bit in vminspect_info.features
 *
 * Return: its name in lower case, or NULL if this library does not know it.
 */
const char *vminspect_feature_name(unsigned int bit);

/**
 * vminspect_level_name() - the name of a level of page tables
 * @level: as in struct vminspect_walk_level
 *
 * Return: PGD, P4D, PUD, PMD or PTE, or NULL if there is no such level.
 */
const char *vminspect_level_name(unsigned int level);

/**
 * vminspect_event_name() - the name of a kind of event
 * @kind: VMINSPECT_EVENT_LOST, ...
 *
 * Return: its name in lower case, or NULL if this library does not know it.
 */
const char *vminspect_event_name(unsigned int kind);

/**
 * vminspect_as_name() - as what the actor of an event did it
 * @number: VMINSPECT_AS_*
 *
 * Return: its name in lower case, or NULL if this library does not know it.
 */
const char *vminspect_as_name(unsigned int number);

/**
 * vminspect_source_name() - where a page came from or went to
 * @source: VMINSPECT_SOURCE_*
 *
 * Return: its name in lower case, or NULL for VMINSPECT_SOURCE_UNKNOWN and for what this
 * library does not know.
 */
const char *vminspect_source_name(unsigned int source);

/**
 * vminspect_category_parse() - the category that a name stands for
 * @name: the name of a state or of a flag, in lower case
 * @category: written on success: one bit, as in the masks of struct vminspect_scan
 *
 * Return: 0, or -ENOENT if nothing is called so.
 */
int vminspect_category_parse(const char *name, __u64 *category);

#ifdef __cplusplus
}
#endif

#endif /* VMINSPECT_H */
