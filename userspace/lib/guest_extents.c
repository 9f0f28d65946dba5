// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's tables map as a sequence of extents, read through a buffer of fixed size.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vminspect.h"

#define BUFFER_EXTENTS	4096

struct vminspect_guest_extents {
	int fd;
	struct vminspect_guest_scan scan;
	int end;			/* 0 or -errno: what comes after the buffer */
	bool ended;
	__u64 tables;			/* that may still be read */
	struct vminspect_guest_extent pending;	/* may go on in the next one; no bytes: none */
	__u32 next;
	struct vminspect_guest_extent buffer[BUFFER_EXTENTS];
};

/* By the rules that split a run in the module. */
static bool belong_together(const struct vminspect_guest_extent *a,
			    const struct vminspect_guest_extent *b)
{
	__u64 gpa = b->missing || b->repeat ? a->gpa : a->gpa + a->bytes;

	return a->start + a->bytes == b->start && gpa == b->gpa && a->flags == b->flags &&
	       a->page_shift == b->page_shift && a->repeat == b->repeat &&
	       a->missing == b->missing && a->fault == b->fault &&
	       a->missing_level == b->missing_level;
}

static void refill(struct vminspect_guest_extents *cursor)
{
	struct vminspect_guest_scan *scan = &cursor->scan;
	int ret;

	scan->start = scan->resume;
	cursor->next = 0;
	ret = ioctl(cursor->fd, VMINSPECT_IOC_GUEST_SCAN, scan) < 0 ? -errno : 0;
	if (!ret && scan->resume != scan->end && scan->resume <= scan->start)
		ret = -EIO;
	if (ret) {
		scan->resume = scan->start;
		scan->nr_filled = 0;
	} else {
		/* one address space, whatever the vCPU has come to meanwhile */
		scan->flags |= VMINSPECT_GUEST_CR3 | VMINSPECT_GUEST_MODE;
	}
	cursor->ended = ret || scan->resume == scan->end;
	if (!cursor->ended && scan->nr_tables > cursor->tables) {
		cursor->ended = true;
		ret = -ELOOP;
	}
	cursor->tables -= scan->nr_tables;
	cursor->end = ret;
}

int vminspect_guest_extents_start(int fd, const struct vminspect_guest_scan *what,
				  __u64 tables, struct vminspect_guest_extents **out)
{
	struct vminspect_guest_extents *cursor = malloc(sizeof(*cursor));

	if (!cursor)
		return -ENOMEM;
	cursor->fd = fd;
	cursor->scan = (struct vminspect_guest_scan) {
		.size = sizeof(cursor->scan),
		.flags = what->flags,
		.end = what->end,
		.first = what->start,
		.resume = what->start,
		.cr3 = what->cr3,
		.extents = (uintptr_t)cursor->buffer,
		.nr_extents = BUFFER_EXTENTS,
		.extent_size = sizeof(cursor->buffer[0]),
		.vcpu = what->vcpu,
		.mode = what->mode,
		.address_space = what->address_space,
	};
	cursor->end = 0;
	cursor->ended = false;
	cursor->tables = tables;
	cursor->pending.bytes = 0;
	cursor->next = 0;
	*out = cursor;
	return 0;
}

int vminspect_guest_extents_next(struct vminspect_guest_extents *cursor,
				 struct vminspect_guest_extent *extent)
{
	for (;;) {
		const struct vminspect_guest_extent *one;

		if (cursor->next == cursor->scan.nr_filled) {
			if (cursor->ended)
				break;
			refill(cursor);
			if (cursor->scan.nr_filled || cursor->ended || cursor->pending.bytes)
				continue;
			*extent = (struct vminspect_guest_extent) { .start = cursor->scan.resume };
			return 1;
		}
		one = &cursor->buffer[cursor->next++];
		if (cursor->pending.bytes && belong_together(&cursor->pending, one)) {
			cursor->pending.bytes += one->bytes;
			continue;
		}
		*extent = cursor->pending;
		cursor->pending = *one;
		if (extent->bytes)
			return 1;
	}

	if (!cursor->pending.bytes)
		return cursor->end;
	*extent = cursor->pending;
	cursor->pending.bytes = 0;
	return 1;
}

void vminspect_guest_extents_stop(struct vminspect_guest_extents *cursor)
{
	free(cursor);
}
