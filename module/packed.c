// SPDX-License-Identifier: GPL-2.0
/*
 * A scan told in words: one for each page, where extents would be as many.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "packed.h"

#define WORD_OTHER	((u64)VMINSPECT_WORD_OTHER << VMINSPECT_WORD_SHIFT)
#define NO_WORD		(~0ULL)

static_assert(VMINSPECT_MAX_KINDS < VMINSPECT_WORD_OTHER);

static struct vmi_packed *packed_of(struct vmi_walk *walk)
{
	return container_of(walk, struct vmi_packed, scan.walk);
}

/*
 * The number of what is said, where a word has it; NO_WORD: there is no room for another. Few are
 * found in a call, and those looked for last stand last. If then there is no room for the word,
 * what is said stands there without one.
 */
static u64 packed_number(struct vmi_packed *packed, const struct vminspect_entry *said)
{
	unsigned int i = packed->nr_said;

	packed->scan.walk.budget -= VMI_WALK_RUN_COST;
	while (i--) {
		if (!memcmp(&packed->said[i], said, sizeof(*said)))
			return (u64)i << VMINSPECT_WORD_SHIFT;
		packed->scan.walk.budget--;
	}
	if (packed->nr_said == packed->max_said)
		return NO_WORD;
	packed->said[packed->nr_said] = *said;
	return (u64)packed->nr_said++ << VMINSPECT_WORD_SHIFT;
}

/* Does the lower part of a word have room for it? */
static bool packed_fits(u64 number)
{
	return !(number >> VMINSPECT_WORD_SHIFT);
}

/*
 * What is said of an entry, without the frame that its word has; a raw entry, or what may be no
 * frame of this machine's, is said as it is.
 */
static void packed_kind(struct vmi_packed *packed, const struct vmi_entry *entry,
			struct packed_kind *kind)
{
	struct vminspect_entry said;

	*kind = (struct packed_kind){ .word = WORD_OTHER };
	if (!vmi_scan_selects(&packed->scan, entry))
		return;
	kind->selected = true;
	vmi_scan_say(entry, packed->scan.returned, packed->scan.frames, &said);
	kind->frames = packed->scan.frames && entry->state != VMINSPECT_STATE_UNKNOWN &&
		       packed_fits(entry->frame);
	if (kind->frames)
		said.frame = 0;
	kind->word = packed_number(packed, &said);
}

/* Pages for which there is one word, whatever their number. Returns false if there is no room. */
static bool packed_add_run(struct vmi_packed *packed, u64 word, u64 pages)
{
	struct vmi_scan *scan = &packed->scan;
	u64 *next = &scan->words[scan->nr];

	if (scan->nr && VMINSPECT_WORD_KIND(next[-1]) == VMINSPECT_WORD_KIND(word)) {
		next[-1] += pages;
		return true;
	}
	if (scan->nr == scan->max)
		return false;
	*next = word + pages;
	scan->nr++;
	return true;
}

/*
 * The pages of a run, each of which has a word, until there is no room. Returns where that is. A
 * run of several is one of swapped pages: a page of zeroes, whose frame repeats, comes alone.
 */
static unsigned long packed_add_pages(struct vmi_packed *packed, const struct packed_kind *kind,
				      const struct vmi_run *run)
{
	const unsigned long size = 1UL << run->entry.shift;
	u64 frame = kind->frames ? run->entry.frame : 0;
	unsigned long va = run->va, end;

	for (; va < run->end && packed->scan.nr < packed->scan.max; va = end) {
		end = min(run->end, ALIGN_DOWN(va, size) + size);
		packed->scan.words[packed->scan.nr++] = kind->word + frame;
		if (kind->frames)
			frame += (end - va) >> PAGE_SHIFT;
	}
	return va;
}

static unsigned long packed_take(struct vmi_walk *walk, struct vmi_run *run)
{
	const u64 pages = (run->end - run->va) >> PAGE_SHIFT;
	struct vmi_packed *packed = packed_of(walk);
	struct packed_kind kind;

	packed_kind(packed, &run->entry, &kind);
	if (kind.word == NO_WORD)
		return run->va;
	if (kind.selected && run->entry.state != VMINSPECT_STATE_NONE &&
	    run->entry.state != VMINSPECT_STATE_UNMAPPED)
		return packed_add_pages(packed, &kind, run);
	return packed_add_run(packed, kind.word, pages) ? run->end : run->va;
}

/* What all words of a kind have in common, made once; NULL: no room for another kind. */
static __always_inline const struct packed_kind *packed_made(struct vmi_packed *packed,
							     struct vmi_kind *kind)
{
	struct packed_kind *made = &packed->kinds[kind - packed->scan.walk.kinds];

	if (likely(kind->said))
		return kind->said;
	packed_kind(packed, &kind->entry, made);
	if (made->word == NO_WORD)
		return NULL;
	kind->said = made;
	return made;
}

/* Where frames are not to be told there are as many equal words as there are pages alike. */
static unsigned long packed_add_alike(struct vmi_packed *packed, u64 word, unsigned long nr)
{
	nr = min_t(unsigned long, nr, packed->scan.max - packed->scan.nr);
	memset64(packed->scan.words + packed->scan.nr, word, nr);
	packed->scan.nr += nr;
	return nr;
}

/*
 * From the entry at @i, which is *@raw, on: the words of those of a kind, up to one that is none,
 * or @end. *@raw becomes the entry that is there, if it is not @end. A word may be anywhere, for
 * all that the compiler knows, hence the copies: some instructions for each page are all this is.
 */
static __always_inline unsigned long packed_words(const struct vmi_kind *kind, u64 word,
						  const u64 *entries, u64 *words,
						  unsigned long i, unsigned long end, u64 *raw)
{
	const struct vmi_kind like = {
		.like = kind->like, .frame_mask = kind->frame_mask, .invert = kind->invert,
		.frame_shift = kind->frame_shift,
	};
	u64 entry = *raw;

	do {
		words[i] = word + vmi_kind_frame(&like, entry);
		if (++i == end)
			break;
		entry = READ_ONCE(entries[i]);
	} while (vmi_kind_has(&like, entry));
	*raw = entry;
	return i;
}

/*
 * Entries of one kind, and of others that follow. Those of a table are paid for; what costs more is
 * to find out what is said of a kind.
 */
static unsigned long packed_take_alike(struct vmi_walk *walk, struct vmi_kind *kind,
				       const u64 *entries, u64 raw, unsigned long va,
				       unsigned long nr)
{
	struct vmi_packed *packed = packed_of(walk);
	const struct packed_kind *made = packed_made(packed, kind), *last_made = NULL;
	struct vmi_kind *last = NULL;
	const unsigned int pages_shift = kind->entry.shift - PAGE_SHIFT;
	unsigned long i = 0, room;
	u64 *words;

	if (!made)
		return 0;
	if (!made->selected || !packed->scan.frames) {
		walk->budget -= VMI_WALK_RUN_COST;
		nr = vmi_scan_count_alike(&packed->scan, kind, entries, nr);
		if (made->selected)
			return packed_add_alike(packed, made->word, nr);
		return packed_add_run(packed, made->word, nr << pages_shift) ? nr : 0;
	}

	words = packed->scan.words + packed->scan.nr;
	room = min_t(unsigned long, nr, packed->scan.max - packed->scan.nr);
	while (i < room) {
		if (!vmi_kind_has(kind, raw)) {
			swap(kind, last);
			swap(made, last_made);
			/* Of two that take turns neither is made anew. */
			if (!kind || !vmi_kind_has(kind, raw)) {
				if (!raw || pages_shift || walk->budget <= VMI_WALK_LEAST_BUDGET)
					break;
				kind = vmi_walk_kind(walk, raw, PAGE_SHIFT);
				made = kind->step ? packed_made(packed, kind) : NULL;
				if (!made || !made->selected)
					break;
			}
		}
		i = packed_words(kind, made->word, entries, words, i, room, &raw);
	}
	packed->scan.nr += i;
	return i;
}

static bool packed_request_valid(const struct vminspect_scan *request)
{
	return request->extent_size == sizeof(u64) && request->nr_kinds && request->kinds &&
	       !request->split_mask && !(request->flags & VMINSPECT_SCAN_PAGES);
}

/**
 * vmi_packed_init() - begin a scan
 * @packed: the scan
 * @target: what to scan; must outlive it
 * @request: what is asked for
 *
 * Return: as vmi_scan_init(); if it is 0 vmi_packed_exit() has to follow
 */
int vmi_packed_init(struct vmi_packed *packed, struct vmi_target *target,
		    const struct vminspect_scan *request)
{
	int ret;

	if (!packed_request_valid(request))
		return -EINVAL;
	ret = vmi_scan_prepare(&packed->scan, target, request);
	if (ret)
		return ret;
	packed->scan.walk.take = packed_take;
	packed->scan.walk.take_alike = packed_take_alike;
	packed->nr_said = 0;
	packed->max_said = min_t(u32, request->nr_kinds, VMINSPECT_MAX_KINDS);
	ret = vmi_scan_allocate(&packed->scan, request, sizeof(u64), VMI_PACKED_WORDS);
	packed->said = kmalloc_array(packed->max_said, sizeof(*packed->said), GFP_KERNEL_ACCOUNT);
	if (!ret && packed->said)
		return 0;
	vmi_packed_exit(packed);
	return -ENOMEM;
}

/**
 * vmi_packed_exit() - undo vmi_packed_init()
 * @packed: the scan
 */
void vmi_packed_exit(struct vmi_packed *packed)
{
	kfree(packed->said);
	vmi_scan_exit(&packed->scan);
}
