// SPDX-License-Identifier: GPL-2.0
/*
 * A range as a sequence of extents, read through a buffer of fixed size.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "device.h"
#include "vminspect.h"

/*
 * Extents, or words: enough that the way into the kernel costs little beside the walk itself, and
 * so few that what a slow reader gets is not old.
 */
#define BUFFER_SIZE	4096

struct vminspect_extents {
	struct vminspect *dev;
	struct vminspect_scan scan;
	int end;			/* 0 or -errno: what comes after the buffer */
	bool ended;
	bool has_pending;
	struct vminspect_extent pending;	/* may go on in the next one */
	__u32 next;
	__u64 next_va;				/* of the next word */
	struct vminspect_extent unpacked;	/* the last word, taken apart */
	struct vminspect_entry kinds[VMINSPECT_MAX_KINDS];
	union {
		struct vminspect_extent buffer[BUFFER_SIZE];
		__u64 words[BUFFER_SIZE];
	};
};

/* There is one page of zeroes; all other frames count on with the address. */
static bool frame_repeats(const struct vminspect_extent *extent)
{
	return extent->flags & VMINSPECT_PAGE_ZERO;
}

static bool has_frame(const struct vminspect_extent *extent)
{
	switch (extent->state) {
	case VMINSPECT_STATE_PRESENT:
	case VMINSPECT_STATE_SWAPPED:
	case VMINSPECT_STATE_MIGRATING:
	case VMINSPECT_STATE_POISONED:
	case VMINSPECT_STATE_DEVICE:
		return true;
	default:
		return false;
	}
}

/* The frame or swap offset that belongs to @at if @extent reaches there. */
static __u64 frame_at(const struct vminspect_extent *extent, __u64 at)
{
	if (!has_frame(extent) || frame_repeats(extent))
		return extent->frame;
	return extent->frame + ((at - extent->start) >> 12);
}

static bool frames_follow(const struct vminspect_extents *cursor,
			  const struct vminspect_extent *a, const struct vminspect_extent *b)
{
	/* UNKNOWN has a raw entry there, of which each run has but one */
	if (a->state == VMINSPECT_STATE_UNKNOWN)
		return a->frame == b->frame;
	if (!(cursor->scan.return_mask & VMINSPECT_RETURN_FRAME) || cursor->scan.hidden)
		return true;
	return frame_at(a, b->start) == b->frame;
}

static bool is_packed(const struct vminspect_extents *cursor)
{
	return cursor->scan.flags & VMINSPECT_SCAN_PACKED;
}

/* By the rules that split a run in the module. */
static bool belong_together(const struct vminspect_extents *cursor,
			    const struct vminspect_extent *a, const struct vminspect_extent *b)
{
	if (a->end != b->start || a->state != b->state)
		return false;
	if (cursor->scan.flags & (VMINSPECT_SCAN_PAGES | VMINSPECT_SCAN_PACKED) &&
	    a->state != VMINSPECT_STATE_NONE && a->state != VMINSPECT_STATE_UNMAPPED)
		return false;
	return a->page_shift == b->page_shift && a->swap_type == b->swap_type &&
	       a->node == b->node &&
	       !((a->flags ^ b->flags) & (is_packed(cursor) ? ~0ULL : cursor->scan.split_mask)) &&
	       frames_follow(cursor, a, b);
}

static void append(struct vminspect_extent *a, const struct vminspect_extent *b)
{
	a->end = b->end;
	a->mixed |= b->mixed | (a->flags ^ b->flags);
	a->flags &= b->flags;
}

static void refill(struct vminspect_extents *cursor)
{
	struct vminspect_scan *scan = &cursor->scan;
	int ret;

	scan->start = scan->resume;
	scan->nr_filled = 0;
	cursor->next = 0;

	ret = vminspect_device_ioctl(cursor->dev, VMINSPECT_IOC_SCAN, scan);
	if (!ret && scan->resume <= scan->start)
		ret = -EIO;
	if (ret) {
		scan->resume = scan->start;
		scan->nr_filled = 0;
	}
	cursor->end = ret;
	cursor->ended = ret || scan->resume >= scan->end;
	cursor->next_va = scan->start;
}

/* Returns NULL if it is one of pages that are not selected, or makes no sense. */
static const struct vminspect_extent *unpack(struct vminspect_extents *cursor, __u64 word)
{
	const __u64 kind = VMINSPECT_WORD_KIND(word), number = VMINSPECT_WORD_NUMBER(word);
	struct vminspect_extent *extent = &cursor->unpacked;
	const struct vminspect_entry *said;

	if (kind >= cursor->scan.nr_kinds_filled) {
		cursor->next_va += number << 12;
		return NULL;
	}
	said = &cursor->kinds[kind];
	*extent = (struct vminspect_extent) {
		.start = cursor->next_va,
		.frame = said->frame,
		.flags = said->flags,
		.state = said->state,
		.page_shift = said->page_shift,
		.swap_type = said->swap_type,
		.node = said->node,
	};
	if (said->state == VMINSPECT_STATE_NONE || said->state == VMINSPECT_STATE_UNMAPPED) {
		extent->end = extent->start + (number << 12);
	} else {
		extent->end = (extent->start | ((1ULL << said->page_shift) - 1)) + 1;
		if (extent->end > cursor->scan.end)
			extent->end = cursor->scan.end;
		extent->frame += number;
	}
	cursor->next_va = extent->end;
	return extent;
}

/* The next one of the buffer; NULL if there is nothing to hand out for it. */
static const struct vminspect_extent *take(struct vminspect_extents *cursor)
{
	const __u32 i = cursor->next++;

	return is_packed(cursor) ? unpack(cursor, cursor->words[i]) : &cursor->buffer[i];
}

int vminspect_extents_start(struct vminspect *dev, const struct vminspect_scan *what,
			    struct vminspect_extents **out)
{
	struct vminspect_extents *cursor;

	cursor = malloc(sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;

	cursor->dev = dev;
	cursor->scan = (struct vminspect_scan) {
		.size = sizeof(cursor->scan),
		.flags = what->flags,
		.end = what->end,
		.resume = what->start,
		.extents = (uintptr_t)cursor->buffer,
		.nr_extents = BUFFER_SIZE,
		.extent_size = sizeof(cursor->buffer[0]),
		.category_inverted = what->category_inverted,
		.category_mask = what->category_mask,
		.category_anyof_mask = what->category_anyof_mask,
		.return_mask = what->return_mask,
		.split_mask = what->split_mask,
	};
	if (is_packed(cursor)) {
		cursor->scan.extent_size = sizeof(cursor->words[0]);
		cursor->scan.kinds = (uintptr_t)cursor->kinds;
		cursor->scan.nr_kinds = VMINSPECT_MAX_KINDS;
	}
	cursor->end = 0;
	cursor->ended = false;
	cursor->has_pending = false;
	cursor->next = 0;
	*out = cursor;
	return 0;
}

int vminspect_extents_next(struct vminspect_extents *cursor, struct vminspect_extent *extent)
{
	for (;;) {
		const struct vminspect_extent *one;

		if (cursor->next == cursor->scan.nr_filled) {
			if (cursor->ended)
				break;
			refill(cursor);
			continue;
		}
		one = take(cursor);
		if (!one)
			continue;

		if (!cursor->has_pending) {
			cursor->pending = *one;
			cursor->has_pending = true;
		} else if (belong_together(cursor, &cursor->pending, one)) {
			append(&cursor->pending, one);
		} else {
			*extent = cursor->pending;
			cursor->pending = *one;
			return 1;
		}
	}

	if (!cursor->has_pending)
		return cursor->end;
	*extent = cursor->pending;
	cursor->has_pending = false;
	return 1;
}

__u64 vminspect_extents_resume(const struct vminspect_extents *cursor)
{
	return cursor->scan.resume;
}

void vminspect_extents_stop(struct vminspect_extents *cursor)
{
	free(cursor);
}

void vminspect_extent_cut(struct vminspect_extent *extent, __u64 at,
			  struct vminspect_extent *rest)
{
	*rest = *extent;
	rest->start = at;
	/* 0 where hidden or not asked for: no page of a process is frame 0 or slot 0 */
	if (extent->frame)
		rest->frame = frame_at(extent, at);
	extent->end = at;
}
