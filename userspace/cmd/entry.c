// SPDX-License-Identifier: GPL-2.0
/*
 * What columns show of an entry.
 */
#include "area.h"
#include "entry.h"
#include "json.h"

struct vminspect_entry entry_of_extent(const struct vminspect_extent *extent)
{
	return (struct vminspect_entry) {
		.frame = extent->frame,
		.flags = extent->flags,
		.state = extent->state,
		.page_shift = extent->page_shift,
		.swap_type = extent->swap_type,
		.node = extent->node,
	};
}

bool entry_has_frame(const struct vminspect_entry *entry)
{
	return entry->state == VMINSPECT_STATE_PRESENT ||
	       entry->state == VMINSPECT_STATE_MIGRATING ||
	       entry->state == VMINSPECT_STATE_POISONED ||
	       entry->state == VMINSPECT_STATE_DEVICE;
}

void entry_page(struct value *value, const struct vminspect_entry *entry)
{
	value->null = entry->state == VMINSPECT_STATE_UNMAPPED;
	value->number = 1ULL << entry->page_shift;
}

const char *entry_state_name(const struct vminspect_entry *entry)
{
	const char *name = vminspect_state_name(entry->state);

	return name ? name : "?";
}

void entry_state(struct value *value, const struct vminspect_entry *entry)
{
	value->string = entry_state_name(entry);
}

void entry_pfn(struct value *value, const struct vminspect_entry *entry)
{
	value->null = !entry_has_frame(entry);
	value->number = entry->frame;
}

void entry_pa(struct value *value, const struct vminspect_entry *entry, __u64 va)
{
	value->null = entry->state != VMINSPECT_STATE_PRESENT;
	value->number = entry->frame << 12 | (va & 0xfff);
}

void entry_swap(struct value *value, const struct vminspect_entry *entry)
{
	value->null = entry->state != VMINSPECT_STATE_SWAPPED;
	if (value->null)
		return;
	value->swap.type = entry->swap_type;
	value->swap.offset = entry->frame;
	value->swap.device = area_path(entry->swap_type);
	value->swap.backing = area_backing(entry->flags);
}

void entry_device(struct value *value, const struct vminspect_entry *entry)
{
	if (entry->state == VMINSPECT_STATE_SWAPPED)
		value->string = area_path(entry->swap_type);
	value->null = !value->string;
}

void entry_backing(struct value *value, const struct vminspect_entry *entry)
{
	if (entry->state == VMINSPECT_STATE_SWAPPED)
		value->string = area_backing(entry->flags);
	value->null = !value->string;
}

void entry_raw(struct value *value, const struct vminspect_entry *entry)
{
	value->null = entry->state != VMINSPECT_STATE_UNKNOWN;
	value->number = entry->frame;
}

void entry_node(struct value *value, const struct vminspect_entry *entry)
{
	value->null = entry->node < 0;
	value->number = entry->node;
}

json_t *entry_swap_json(const struct vminspect_entry *entry)
{
	return json_swap(entry->swap_type, entry->frame, area_path(entry->swap_type),
			 area_backing(entry->flags));
}
