/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An event as a row and as an object.
 */
#ifndef EVENT_H
#define EVENT_H

#include "memory.h"
#include "table.h"
#include "vminspect.h"

struct event_row {
	const struct vminspect_event *event;
	__u64 start_ns;		/* what its time counts from in a table */
	const char *mapping;	/* NULL: not known */
	const struct guest_memory *guests;	/* of the process; NULL: it has none */
};

/* A row is a struct event_row. */
extern const struct view event_view;

/* One line of JSON. */
void event_print_json(const struct event_row *row);

/* The names of the kinds in a mask of 1 << VMINSPECT_EVENT_*. */
json_t *kinds_json(__u32 kinds);
/* The same with commas between them; valid until the next call. */
const char *kinds_text(__u32 kinds);

#endif
