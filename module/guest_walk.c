// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of a guest's tables: one translation, with the nested entries on the way.
 *
 * All of it is written by the guest and may be anything, and change while it is read. Each
 * entry is read once; what it leads to is an address in a slot or is not read; and there are
 * never more steps than the mode has levels, whatever loops.
 */
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "guest.h"
#include "paging.h"

/**
 * struct guest_step - what a walk needs at each step
 * @view: the guest as the vCPU has it
 * @out: what is told of it
 */
struct guest_step {
	struct vmi_guest_view view;
	struct vminspect_guest_walk *out;
};

static u64 place_pa(const struct vmi_guest_place *place)
{
	return place->entry.frame << PAGE_SHIFT | (place->hva & ~PAGE_MASK);
}

static void hide_levels(struct vminspect_walk_level *levels)
{
	memset(levels, 0, VMINSPECT_MAX_LEVELS * sizeof(*levels));
}

/* The nested entries on the way to an address, where they may be seen. */
static u8 walk_nested(struct guest_step *step, u64 gpa, struct vminspect_walk_level *levels)
{
	unsigned int nr = vmi_guest_nested(step->view.guest, step->view.vcpu, gpa, levels);

	if (!step->out->hidden)
		return nr;
	hide_levels(levels);
	return 0;
}

/* What the last step found: the data's page, or that of a table that is not in memory. */
static void walk_tell_place(struct guest_step *step, const struct vmi_guest_place *place)
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
	struct vmi_guest_place place;
	int missing = vmi_guest_find(&step->view, gpa, &place);

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
	const struct vmi_paging *paging = &step->view.paging;
	struct vmi_guest_place place;
	u64 raw = 0;
	int missing;

	entry->level = level;
	entry->index = vmi_paging_index(paging, level, out->address);
	entry->entry_gpa = *table + entry->index * vmi_paging_entry_size(paging);
	missing = vmi_guest_read(&step->view, entry->entry_gpa, &place, &raw,
				 vmi_paging_entry_size(paging));
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
	u64 table = vmi_paging_root(&step->view.paging, out->cr3);
	unsigned int level = step->view.paging.levels;
	unsigned int shift;
	int more;

	if (!vmi_paging_canonical(&step->view.paging, out->address)) {
		out->missing = VMINSPECT_MISSING_GUEST;
		out->fault = VMINSPECT_FAULT_NOT_CANONICAL;
		return 0;
	}
	if (!level)
		return walk_data(step, out->address);
	if (out->cr3 & step->view.paging.c_bit)
		return -ENOKEY;
	do {
		more = walk_level(step, level--, &table);
	} while (more > 0);
	if (more || out->missing)
		return more;
	shift = vmi_paging_shift(&step->view.paging, level + 1);
	out->page_shift = shift;
	return walk_data(step, table | (out->address & (BIT_ULL(shift) - 1)));
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
	struct vminspect_guest_vcpu vcpu = {
		.vcpu = walk->vcpu, .cr3 = walk->cr3, .mode = walk->mode,
		.address_space = walk->address_space,
	};
	struct guest_step step = { .out = walk };
	int ret;

	if (walk->flags & ~(VMINSPECT_GUEST_GPA | VMINSPECT_GUEST_CR3 | VMINSPECT_GUEST_MODE) ||
	    memchr_inv(walk->reserved, 0, sizeof(walk->reserved)))
		return -EINVAL;
	ret = vmi_guest_view_init(&step.view, guest, &vcpu, walk->flags);
	if (ret)
		return ret;
	*walk = (struct vminspect_guest_walk){
		.size = walk->size, .flags = walk->flags, .address = walk->address,
		.vcpu = walk->vcpu, .hidden = vmi_target_hidden(&guest->target),
		.cr3 = vcpu.cr3, .mode = vcpu.mode, .registers = vcpu.registers,
		.paging = vcpu.nested, .address_space = vcpu.address_space, .entry.node = -1,
	};
	if (walk->flags & VMINSPECT_GUEST_GPA)
		return walk_data(&step, walk->address);
	return walk_tables(&step);
}
