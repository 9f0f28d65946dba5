// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of a guest's tables: each entry is guest memory, which is found by its slot, in the
 * address space of the VMM, by the walk that everything else here is found by.
 *
 * All of it is written by the guest and may be anything, and change while it is read. Each
 * entry is read once; what it leads to is an address in a slot or is not read; and there are
 * never more steps than the mode has levels, whatever loops.
 */
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "guest.h"
#include "paging.h"
#include "scan.h"

/* The entry's own flags, and where a swapped page is besides. */
#define PLACE_FLAGS							\
	((VMINSPECT_PAGE_FLAGS & ~VMINSPECT_PAGE_FROM_PAGE) | VMINSPECT_PAGE_SWAPCACHE)

/* A page that is moved each time we have found it: not by accident. */
#define READ_TRIES	16

/**
 * struct guest_place - guest-physical memory as the host has it
 * @hva: where in the VMM
 * @entry: what stands there
 */
struct guest_place {
	u64 hva;
	struct vminspect_entry entry;
};

/**
 * struct guest_step - what a walk needs at each step
 * @guest: the guest
 * @vcpu: whose walk it is
 * @paging: how it reads its tables
 * @out: what is told of it
 */
struct guest_step {
	struct vmi_guest *guest;
	struct kvm_vcpu *vcpu;
	struct vmi_paging paging;
	struct vminspect_guest_walk *out;
};

static int place_look(struct vmi_guest *guest, struct guest_place *place)
{
	int ret = vmi_scan_translate(&guest->target, &place->hva, &place->entry, 1,
				     VMINSPECT_RETURN_FRAME | PLACE_FLAGS,
				     0, false);

	return min(ret, 0);
}

/* Return: VMINSPECT_MISSING_*, or -errno */
static int place_find(struct guest_step *step, u64 gpa, struct guest_place *place)
{
	struct vminspect_guest_slot slot = {
		.gpa = gpa, .address_space = step->out->address_space,
	};
	int ret;

	*place = (struct guest_place){ .entry.node = -1 };
	ret = vmi_guest_slot(step->guest, &slot);
	if (ret == -ENOENT || (!ret && gpa < slot.gpa))
		return VMINSPECT_MISSING_SLOT;
	if (ret)
		return ret;
	if (slot.slot_flags & VMINSPECT_SLOT_PRIVATE)
		return -EOPNOTSUPP;
	place->hva = slot.hva + (gpa - slot.gpa);
	/* KVM took it for user memory; what it has not does not matter then */
	if (place->hva >= TASK_SIZE_MAX)
		return VMINSPECT_MISSING_HOST;
	ret = place_look(step->guest, place);
	if (ret)
		return ret;
	return place->entry.state == VMINSPECT_STATE_PRESENT ? VMINSPECT_MISSING_NOTHING :
							       VMINSPECT_MISSING_HOST;
}

static u64 place_pa(const struct guest_place *place)
{
	return place->entry.frame << PAGE_SHIFT | (place->hva & ~PAGE_MASK);
}

/*
 * A reference to the page that is mapped there. It may have been unmapped and become another's
 * since the entry was read: hence the entry is looked at again once the page is held, and
 * holding it what it says stays true. Return: 1; 0: try again; or -errno: no page to be read
 */
static int place_hold(struct guest_step *step, struct guest_place *place,
		      struct folio **folio)
{
	u64 frame = place->entry.frame;
	struct page *page = pfn_to_online_page(frame);
	bool same;
	int ret;

	if (!page)
		return -EIO;
	*folio = page_folio(page);
	if (!folio_try_get(*folio))
		return 0;
	ret = place_look(step->guest, place);
	same = !ret && page_folio(page) == *folio && place->entry.frame == frame &&
	       place->entry.state == VMINSPECT_STATE_PRESENT;
	/* memory of a device is not read; the page of zeroes is the kernel's own */
	if (same && (place->entry.flags & VMINSPECT_PAGE_SPECIAL) &&
	    !(place->entry.flags & VMINSPECT_PAGE_ZERO))
		ret = -EIO;
	if (same && !ret)
		return 1;
	folio_put(*folio);
	return ret;
}

/*
 * Pages that the kernel has not mapped (secret memory) or that are poisoned are not read: the
 * copy fails instead of faulting.
 */
static int place_copy(const struct guest_place *place, void *to, unsigned int size)
{
	struct page *page = pfn_to_page(place->entry.frame);
	void *from;
	int ret;

	if (PageHWPoison(page))
		return -EIO;
	from = kmap_local_page(page);
	ret = copy_from_kernel_nofault(to, from + (place->hva & ~PAGE_MASK), size);
	kunmap_local(from);
	return ret ? -EIO : 0;
}

/* Return: as place_find(); the entry is in @raw if nothing is missing */
static int place_read(struct guest_step *step, u64 gpa, struct guest_place *place, u64 *raw)
{
	unsigned int size = vmi_paging_entry_size(&step->paging);
	unsigned int tries = READ_TRIES;
	struct folio *folio;
	int ret;

	*raw = 0;
	do {
		if (!tries--)
			return -EAGAIN;
		ret = place_find(step, gpa, place);
		if (ret < 0 || ret == VMINSPECT_MISSING_SLOT)
			return ret;
		/* it will be back in a moment */
		if (place->entry.state == VMINSPECT_STATE_MIGRATING) {
			cond_resched();
			ret = 0;
			continue;
		}
		if (ret)
			return ret;
		ret = place_hold(step, place, &folio);
		if (ret < 0)
			return ret;
	} while (!ret);
	ret = place_copy(place, raw, size);
	folio_put(folio);
	return ret;
}

static void hide_levels(struct vminspect_walk_level *levels)
{
	memset(levels, 0, VMINSPECT_MAX_LEVELS * sizeof(*levels));
}

/* The nested entries on the way to an address, where they may be seen. */
static u8 walk_nested(struct guest_step *step, u64 gpa, struct vminspect_walk_level *levels)
{
	unsigned int nr = vmi_guest_nested(step->guest, step->vcpu, gpa, levels);

	if (!step->out->hidden)
		return nr;
	hide_levels(levels);
	return 0;
}

/* What the last step found: the data's page, or that of a table that is not in memory. */
static void walk_tell_place(struct guest_step *step, const struct guest_place *place)
{
	step->out->entry = place->entry;
	if (step->out->hidden) {
		step->out->entry.frame = 0;
		step->out->entry.swap_type = 0;
	}
}

static int walk_data(struct guest_step *step, u64 gpa)
{
	struct vminspect_guest_walk *out = step->out;
	struct guest_place place;
	int missing = place_find(step, gpa, &place);

	if (missing < 0)
		return missing;
	out->gpa = gpa;
	out->missing = missing;
	if (missing == VMINSPECT_MISSING_SLOT)
		return 0;
	out->hva = place.hva;
	out->nr_nested = walk_nested(step, gpa, out->nested);
	walk_tell_place(step, &place);
	return 0;
}

/*
 * One entry. Return: 1: @table is where the next table is; 0: the walk is over, or @gpa is
 * where the data is; or -errno
 */
static int walk_level(struct guest_step *step, unsigned int level, u64 *table)
{
	struct vminspect_guest_walk *out = step->out;
	struct vminspect_guest_level *entry = &out->levels[out->nr_levels++];
	const struct vmi_paging *paging = &step->paging;
	struct guest_place place;
	int missing;
	u64 raw;

	entry->level = level;
	entry->index = vmi_paging_index(paging, level, out->address);
	entry->entry_gpa = *table + entry->index * vmi_paging_entry_size(paging);
	missing = place_read(step, entry->entry_gpa, &place, &raw);
	if (missing < 0)
		return missing;
	if (missing != VMINSPECT_MISSING_SLOT) {
		entry->entry_hva = place.hva;
		entry->nr_nested = walk_nested(step, entry->entry_gpa, entry->nested);
	}
	if (missing) {
		out->missing = missing;
		out->missing_level = level;
		walk_tell_place(step, &place);
		return 0;
	}

	if (!out->hidden)
		entry->entry_pa = place_pa(&place);
	entry->raw = raw;
	entry->flags = vmi_paging_flags(paging, level, raw);
	entry->leaf = !entry->flags || vmi_paging_leaf(paging, level, raw);
	if (!entry->flags)
		out->fault = VMINSPECT_FAULT_NOT_PRESENT;
	else if (vmi_paging_reserved(paging, level, raw))
		out->fault = VMINSPECT_FAULT_RESERVED;
	if (out->fault) {
		out->missing = VMINSPECT_MISSING_GUEST;
		return 0;
	}
	if (!entry->leaf && (raw & paging->c_bit))
		return -ENOKEY;
	*table = vmi_paging_frame(paging, level, raw);
	return !entry->leaf;
}

static int walk_tables(struct guest_step *step)
{
	struct vminspect_guest_walk *out = step->out;
	u64 table = vmi_paging_root(&step->paging, out->cr3);
	unsigned int level = step->paging.levels;
	unsigned int shift;
	int more;

	if (!vmi_paging_canonical(&step->paging, out->address)) {
		out->missing = VMINSPECT_MISSING_GUEST;
		out->fault = VMINSPECT_FAULT_NOT_CANONICAL;
		return 0;
	}
	if (!level)
		return walk_data(step, out->address);
	if (out->cr3 & step->paging.c_bit)
		return -ENOKEY;
	do {
		more = walk_level(step, level--, &table);
	} while (more > 0);
	if (more || out->missing)
		return more;
	shift = vmi_paging_shift(&step->paging, level + 1);
	out->page_shift = shift;
	return walk_data(step, table | (out->address & (BIT_ULL(shift) - 1)));
}

/* Whether what the vCPU has can be taken for the guest's tables. */
static int walk_check(const struct vminspect_guest_walk *walk,
		      const struct vminspect_guest_vcpu *vcpu)
{
	if (walk->flags & VMINSPECT_GUEST_GPA)	/* no table is read */
		return 0;
	if (vcpu->vcpu_flags & VMINSPECT_VCPU_ENCRYPTED)
		return -ENOKEY;
	if (vcpu->vcpu_flags & VMINSPECT_VCPU_NESTED)
		return -EBUSY;
	return vcpu->vcpu_flags & VMINSPECT_VCPU_NEVER_RAN ? -ENODATA : 0;
}

/**
 * vmi_guest_walk() - a translation through a guest's tables and the host's
 * @guest: the guest
 * @walk: in and out: as VMINSPECT_IOC_GUEST_WALK has it
 *
 * Return: 0, or an error as described there
 */
int vmi_guest_walk(struct vmi_guest *guest, struct vminspect_guest_walk *walk)
{
	struct guest_step step = { .guest = guest, .out = walk };
	struct vminspect_guest_vcpu vcpu = {};
	int ret;

	if (walk->flags & ~(VMINSPECT_GUEST_GPA | VMINSPECT_GUEST_CR3) ||
	    memchr_inv(walk->reserved, 0, sizeof(walk->reserved)))
		return -EINVAL;
	step.vcpu = vmi_guest_find_vcpu(guest, walk->vcpu);
	if (!step.vcpu)
		return -ENOENT;
	vmi_guest_vcpu(step.vcpu, &vcpu);
	ret = walk_check(walk, &vcpu);
	if (ret)
		return ret;
	*walk = (struct vminspect_guest_walk){
		.size = walk->size, .flags = walk->flags, .address = walk->address,
		.vcpu = walk->vcpu, .hidden = vmi_target_hidden(&guest->target),
		.cr3 = walk->flags & VMINSPECT_GUEST_CR3 ? walk->cr3 : vcpu.cr3,
		.mode = vcpu.mode, .registers = vcpu.registers, .paging = vcpu.nested,
		.address_space = vcpu.address_space, .entry.node = -1,
	};
	vmi_paging_init(&step.paging, vcpu.cr0, vcpu.cr4, vcpu.efer, vcpu.pa_bits);
	step.paging.c_bit = vmi_guest_c_bit(step.vcpu);
	if (walk->flags & VMINSPECT_GUEST_GPA)
		return walk_data(&step, walk->address);
	return walk_tables(&step);
}
