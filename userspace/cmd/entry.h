/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What columns show of an entry. An extent shows the entry of its first page.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdbool.h>

#include "table.h"
#include "vminspect.h"

struct vminspect_entry entry_of_extent(const struct vminspect_extent *extent);

const char *entry_state_name(const struct vminspect_entry *entry);
bool entry_has_frame(const struct vminspect_entry *entry);

void entry_page(struct value *value, const struct vminspect_entry *entry);
void entry_state(struct value *value, const struct vminspect_entry *entry);
void entry_pfn(struct value *value, const struct vminspect_entry *entry);
/* The physical address of @va. */
void entry_pa(struct value *value, const struct vminspect_entry *entry, __u64 va);
void entry_swap(struct value *value, const struct vminspect_entry *entry);
/* The same as an object. */
json_t *entry_swap_json(const struct vminspect_entry *entry);
void entry_device(struct value *value, const struct vminspect_entry *entry);
void entry_backing(struct value *value, const struct vminspect_entry *entry);
void entry_raw(struct value *value, const struct vminspect_entry *entry);
void entry_node(struct value *value, const struct vminspect_entry *entry);

#endif
