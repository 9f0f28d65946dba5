// SPDX-License-Identifier: GPL-2.0
/*
 * Views of the walk: extents with filters, many addresses at once, all levels of
 * one. What the opener may not see is taken out here, before anything is merged,
 * so that no view can forget it.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "scan.h"
#include "swap.h"

#define RETURN_MASK	(VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME |	\
			 VMINSPECT_RETURN_NODE)
#define CATEGORY_MASK	(VMINSPECT_PAGE_FLAGS | VMINSPECT_CAT_STATES)

/* Does anything that is asked for need the page behind the entry? */
static bool scan_needs_page(u64 mask)
{
	return mask & (VMINSPECT_PAGE_FROM_PAGE | VMINSPECT_RETURN_NODE);
}

/**
 * vmi_scan_returned_valid() - is this a return mask?
 * @returned: the mask
 */
bool vmi_scan_returned_valid(u64 returned)
{
	return !(returned & ~RETURN_MASK);
}

/**
 * vmi_scan_selects() - is an entry asked for?
 * @scan: the scan
 * @entry: the entry
 */
bool vmi_scan_selects(const struct vmi_scan *scan, const struct vmi_entry *entry)
{
	u64 categories = entry->flags | VMINSPECT_CAT(entry->state);

	categories ^= scan->inverted;
	if ((categories & scan->all_of) != scan->all_of)
		return false;
	return !scan->any_of || (categories & scan->any_of);
}

/* The entry as an extent, without what is not asked for or may not be seen. */
static void scan_fill(const struct vmi_scan *scan, const struct vmi_run *run,
		      struct vminspect_extent *extent)
{
	*extent = (struct vminspect_extent){
		.start = run->va,
		.end = run->end,
		.flags = run->entry.flags & scan->returned,
		.state = run->entry.state,
		.page_shift = run->entry.shift,
		.node = -1,
	};
	if (scan->frames) {
		extent->frame = run->entry.frame;
		extent->swap_type = run->entry.swap_type;
	}
	if (scan->returned & VMINSPECT_RETURN_NODE)
		extent->node = run->entry.node;
}

static u64 extent_pages(const struct vminspect_extent *extent)
{
	return (extent->end - extent->start) >> PAGE_SHIFT;
}

/* Do the frames of @next go on where those of @prev stop? */
static bool scan_frames_follow(const struct vminspect_extent *prev,
			       const struct vminspect_extent *next)
{
	switch (prev->state) {
	case VMINSPECT_STATE_PRESENT:
	case VMINSPECT_STATE_SWAPPED:
	case VMINSPECT_STATE_MIGRATING:
	case VMINSPECT_STATE_POISONED:
	case VMINSPECT_STATE_DEVICE:
		return prev->frame + extent_pages(prev) == next->frame &&
		       prev->swap_type == next->swap_type;
	case VMINSPECT_STATE_UNKNOWN:
		return false;	/* each is shown raw */
	default:
		return true;
	}
}

/*
 * Zero pages follow one another if they are the same page, and the caller is told
 * so: others count on frames that do.
 */
static bool scan_zeroes_follow(const struct vmi_scan *scan,
			       const struct vminspect_extent *prev,
			       const struct vminspect_extent *next)
{
	u64 inside = (1ULL << (prev->page_shift - PAGE_SHIFT)) - 1;

	if (!(scan->returned & VMINSPECT_PAGE_ZERO))
		return scan_frames_follow(prev, next);
	return (prev->frame & ~inside) == (next->frame & ~inside);
}

static bool scan_alike(const struct vmi_scan *scan,
		       const struct vminspect_extent *prev,
		       const struct vminspect_extent *next, bool zero)
{
	if (prev->end != next->start || prev->state != next->state ||
	    prev->page_shift != next->page_shift || prev->node != next->node ||
	    ((prev->flags ^ next->flags) & scan->split))
		return false;
	if (scan->each_page && prev->state != VMINSPECT_STATE_NONE &&
	    prev->state != VMINSPECT_STATE_UNMAPPED)
		return false;
	if (!scan->frames)
		return true;
	if (zero != scan->zero)
		return false;
	return zero ? scan_zeroes_follow(scan, prev, next) :
		      scan_frames_follow(prev, next);
}

static void scan_merge(struct vminspect_extent *into,
		       const struct vminspect_extent *next)
{
	u32 all = into->flags & next->flags;

	into->mixed |= (into->flags | next->flags) & ~all;
	into->flags = all;
	into->end = next->end;
}

/* Returns false, and takes nothing, if there is no room. */
static bool scan_add(struct vmi_scan *scan, const struct vminspect_extent *extent,
		     bool zero)
{
	struct vminspect_extent *next = &scan->extents[scan->nr];

	if (scan->nr && scan_alike(scan, next - 1, extent, zero)) {
		scan_merge(next - 1, extent);
		return true;
	}
	if (scan->nr == scan->max)
		return false;
	*next = *extent;
	scan->nr++;
	scan->zero = zero;
	return true;
}

/* With an extent for each page a run is taken apart, until there is no room. */
static unsigned long scan_add_pages(struct vmi_scan *scan,
				    struct vminspect_extent *extent, bool zero)
{
	unsigned long size = 1UL << extent->page_shift;
	unsigned long end = extent->end;

	while (extent->start < end) {
		extent->end = min(end, ALIGN_DOWN(extent->start, size) + size);
		if (!scan_add(scan, extent, zero))
			break;
		if (scan->frames && !zero &&
		    extent->state != VMINSPECT_STATE_UNKNOWN)
			extent->frame += extent_pages(extent);
		extent->start = extent->end;
	}
	return extent->start;
}

static unsigned long scan_take(struct vmi_walk *walk, struct vmi_run *run)
{
	struct vmi_scan *scan = container_of(walk, struct vmi_scan, walk);
	bool zero = run->entry.flags & VMINSPECT_PAGE_ZERO;
	struct vminspect_extent extent;

	if (!vmi_scan_selects(scan, &run->entry))
		return run->end;
	scan_fill(scan, run, &extent);
	if (scan->each_page && extent.state != VMINSPECT_STATE_NONE &&
	    extent.state != VMINSPECT_STATE_UNMAPPED)
		return scan_add_pages(scan, &extent, zero);
	return scan_add(scan, &extent, zero) ? run->end : run->va;
}

/* What all extents of a kind have in common, made once; the frame is that of one of them. */
static noinline const struct scan_kind *scan_make_kind(struct vmi_scan *scan,
						       struct vmi_kind *kind)
{
	struct scan_kind *like = &scan->kinds[kind - scan->walk.kinds];
	struct vmi_run run = { .entry = kind->entry };

	scan_fill(scan, &run, &like->extent);
	like->selected = vmi_scan_selects(scan, &kind->entry);
	kind->said = like;
	return like;
}

static __always_inline const struct scan_kind *scan_kind(struct vmi_scan *scan,
							 struct vmi_kind *kind)
{
	const struct scan_kind *like = kind->said;

	return likely(like) ? like : scan_make_kind(scan, kind);
}

/*
 * Where frames are not to be told, whatever slots in whatever areas they have: neither runs nor the
 * time they take may tell.
 */
static __always_inline bool scan_kind_has(const struct vmi_scan *scan,
					  const struct vmi_kind *kind, u64 raw)
{
	if (!scan->frames && kind->entry.state == VMINSPECT_STATE_SWAPPED)
		return vmi_kind_has_any_slot(kind, raw);
	return vmi_kind_has(kind, raw);
}

/**
 * vmi_scan_count_alike() - the first of some entries is of a kind: how many are?
 * @scan: the scan
 * @kind: the kind
 * @entries: the entries
 * @nr: how many, at least 1
 */
unsigned long vmi_scan_count_alike(const struct vmi_scan *scan, const struct vmi_kind *kind,
				   const u64 *entries, unsigned long nr)
{
	unsigned long i;

	for (i = 1; i < nr; i++)
		if (!scan_kind_has(scan, kind, READ_ONCE(entries[i])))
			break;
	return i;
}

/* An extent of all that are alike: frames are not to be told. */
static unsigned long scan_take_hidden(struct vmi_scan *scan, const struct scan_kind *like,
				      unsigned long va, unsigned long nr)
{
	struct vminspect_extent extent = like->extent;

	extent.start = va;
	extent.end = va + (nr << extent.page_shift);
	return scan_add(scan, &extent, false) ? nr : 0;
}

/* An extent for each. */
static unsigned long scan_take_each(struct vmi_scan *scan, const struct vmi_kind *kind,
				    const struct scan_kind *like, const u64 *entries, u64 raw,
				    unsigned long va, unsigned long nr)
{
	struct vminspect_extent extent = like->extent;
	unsigned long i = 0;

	do {
		extent.start = va + (i << extent.page_shift);
		extent.end = va + ((i + 1) << extent.page_shift);
		if (scan->frames)
			extent.frame = vmi_kind_frame(kind, raw);
		if (!scan_add(scan, &extent, false))
			break;
		scan->walk.budget -= VMI_WALK_RUN_COST;
		if (++i < nr)
			raw = READ_ONCE(entries[i]);
	} while (i < nr && scan_kind_has(scan, kind, raw) &&
		 scan->walk.budget > VMI_WALK_LEAST_BUDGET);
	return i;
}

/* Is the entry at @i what it has to be if frames follow one another? *@raw becomes what it is. */
static __always_inline bool scan_follows(const u64 *entries, unsigned long i, u64 expected,
					 u64 *raw)
{
	*raw = READ_ONCE(entries[i]);
	return *raw == expected;
}

/*
 * From the entry at @i, which is *@raw, on: up to where frames follow one another. *@raw becomes
 * the entry that is there, if it is not @nr. Four at a time, since of a loop this short half is
 * counting.
 */
static __always_inline unsigned long scan_run(const u64 *entries, unsigned long i,
					      unsigned long nr, u64 step, u64 *raw)
{
	u64 expected = *raw + step;

	if (++i < nr && !scan_follows(entries, i, expected, raw))
		return i;	/* often so: each is a run */
	for (; i + 4 <= nr; i += 4) {
		if (!scan_follows(entries, i, expected, raw))
			return i;
		expected += step;
		if (!scan_follows(entries, i + 1, expected, raw))
			return i + 1;
		expected += step;
		if (!scan_follows(entries, i + 2, expected, raw))
			return i + 2;
		expected += step;
		if (!scan_follows(entries, i + 3, expected, raw))
			return i + 3;
		expected += step;
	}
	for (; i < nr && scan_follows(entries, i, expected, raw); i++)
		expected += step;
	return i;
}

/* A run of a kind. What all of them have is copied in two words. */
static __always_inline void scan_set(struct vminspect_extent *restrict extent,
				     const struct vminspect_extent *restrict like, u64 start,
				     u64 end, u64 frame)
{
	extent->start = start;
	extent->end = end;
	extent->frame = frame;
	extent->flags = like->flags;
	extent->mixed = like->mixed;
	extent->state = like->state;
	extent->page_shift = like->page_shift;
	extent->swap_type = like->swap_type;
	extent->reserved = like->reserved;
	extent->node = like->node;
}

/* How many extents may still be added in this batch? */
static unsigned long scan_room(const struct vmi_scan *scan)
{
	long affordable = (scan->walk.budget - VMI_WALK_LEAST_BUDGET) / VMI_WALK_RUN_COST + 1;

	return min_t(unsigned long, scan->max - scan->nr, max(affordable, 1L));
}

/*
 * Of which kind is @raw, if an extent of it can only be a new one after one of @kind? NULL if
 * that has to be found out, or there is nothing to add.
 */
static __always_inline struct vmi_kind *scan_other_kind(struct vmi_scan *scan,
							const struct vmi_kind *kind, u64 raw)
{
	struct vmi_kind *other;

	if (!raw || kind->entry.shift != PAGE_SHIFT)
		return NULL;
	other = vmi_walk_kind(&scan->walk, raw, PAGE_SHIFT);
	if (!other->step || other == kind || other->entry.state == kind->entry.state ||
	    !scan_kind(scan, other)->selected)
		return NULL;
	return other;
}

/*
 * Entries of one kind, and of others that may follow: an extent for each run of frames that follow
 * one another. This is where a scan of a large process spends its time: some instructions for each
 * page of a run, some more for each run.
 */
static unsigned long scan_take_alike(struct vmi_walk *walk, struct vmi_kind *kind,
				     const u64 *entries, u64 raw, unsigned long va,
				     unsigned long nr)
{
	struct vmi_scan *scan = container_of(walk, struct vmi_scan, walk);
	const struct scan_kind *like = scan_kind(scan, kind), *last_like = NULL;
	struct vmi_kind *last = NULL;
	const unsigned int shift = kind->entry.shift;
	struct vminspect_extent *next, extent;
	unsigned long i, room, done = 0;
	u64 start, frame;

	walk->budget -= VMI_WALK_RUN_COST;
	if (!like->selected)
		return vmi_scan_count_alike(scan, kind, entries, nr);
	if (scan->each_page)
		return scan_take_each(scan, kind, like, entries, raw, va, nr);
	if (!scan->frames)
		return scan_take_hidden(scan, like, va,
					vmi_scan_count_alike(scan, kind, entries, nr));

	/* The first may go on where the last one ended, if need be with other flags. */
	frame = vmi_kind_frame(kind, raw);
	i = scan_run(entries, 0, nr, kind->step, &raw);
	scan_set(&extent, &like->extent, va, va + (i << shift), frame);
	if (!scan_add(scan, &extent, false))
		return 0;

	next = &scan->extents[scan->nr];
	room = scan_room(scan);
	start = extent.end;
	while (i < nr && done < room) {
		if (!vmi_kind_has(kind, raw)) {
			swap(kind, last);
			swap(like, last_like);
			/* Two that take turns have been found to differ, and stay as they are. */
			if (!kind || !vmi_kind_has(kind, raw)) {
				kind = scan_other_kind(scan, last, raw);
				if (!kind)
					break;
				like = scan_kind(scan, kind);
			}
		}
		frame = vmi_kind_frame(kind, raw);
		i = scan_run(entries, i, nr, kind->step, &raw);
		scan_set(next + done, &like->extent, start, va + (i << shift), frame);
		start = va + (i << shift);
		done++;
	}
	walk->budget -= VMI_WALK_RUN_COST * done;
	scan->nr += done;
	return i;
}

static bool scan_range_valid(u64 start, u64 end)
{
	return start < end && end <= TASK_SIZE_MAX && PAGE_ALIGNED(start) &&
	       PAGE_ALIGNED(end);
}

/**
 * vmi_scan_prepare() - set a scan up, but for what it makes of the pages, and memory for it
 * @scan: the scan
 * @target: what to scan; must outlive it
 * @request: what is asked for
 *
 * Return: 0, or EINVAL as struct vminspect_scan says
 */
int vmi_scan_prepare(struct vmi_scan *scan, struct vmi_target *target,
		     const struct vminspect_scan *request)
{
	u64 categories = request->category_inverted | request->category_mask |
			 request->category_anyof_mask;

	if (request->flags & ~(VMINSPECT_SCAN_PAGES | VMINSPECT_SCAN_PACKED))
		return -EINVAL;
	if (!scan_range_valid(request->start, request->end))
		return -EINVAL;
	if ((categories & ~CATEGORY_MASK) ||
	    !vmi_scan_returned_valid(request->return_mask) ||
	    (request->split_mask & ~(request->return_mask & VMINSPECT_PAGE_FLAGS)))
		return -EINVAL;

	*scan = (struct vmi_scan){
		.target = target,
		.inverted = request->category_inverted,
		.all_of = request->category_mask,
		.any_of = request->category_anyof_mask,
		.returned = request->return_mask,
		.split = request->split_mask,
		.hidden = vmi_target_hidden(target),
		.each_page = request->flags & VMINSPECT_SCAN_PAGES,
	};
	vmi_walk_init(&scan->walk, target->mm);
	scan->walk.next = request->start;
	scan->walk.end = request->end;
	scan->walk.pages = scan_needs_page(categories | request->return_mask);
	scan->frames = (scan->returned & VMINSPECT_RETURN_FRAME) && !scan->hidden;
	scan->walk.frames = scan->frames;	/* of what may be seen only */
	return 0;
}

/**
 * vmi_scan_allocate() - have memory for what is found
 * @scan: the scan
 * @request: what is asked for
 * @size: of what is found
 * @most: no more than so many at once
 *
 * Return: 0, or ENOMEM; vmi_scan_exit() has to follow in any case
 */
int vmi_scan_allocate(struct vmi_scan *scan, const struct vminspect_scan *request, size_t size,
		      unsigned int most)
{
	scan->found_size = size;
	scan->room = min(request->nr_extents, most);
	scan->max = scan->room;
	scan->found = kmalloc_array(scan->room, size, GFP_KERNEL_ACCOUNT);
	return scan->found ? 0 : -ENOMEM;
}

/**
 * vmi_scan_init() - begin a scan that finds extents
 * @scan: the scan
 * @target: what to scan; must outlive it
 * @request: what is asked for
 *
 * Return: 0, then vmi_scan_exit() has to follow, or EINVAL or ENOMEM as struct
 * vminspect_scan says.
 */
int vmi_scan_init(struct vmi_scan *scan, struct vmi_target *target,
		  const struct vminspect_scan *request)
{
	int ret;

	if (request->extent_size != sizeof(struct vminspect_extent) || request->kinds ||
	    request->nr_kinds)
		return -EINVAL;
	ret = vmi_scan_prepare(scan, target, request);
	if (ret)
		return ret;
	scan->walk.take = scan_take;
	scan->walk.take_alike = scan_take_alike;
	return vmi_scan_allocate(scan, request, sizeof(struct vminspect_extent), VMI_SCAN_EXTENTS);
}

/**
 * vmi_scan_exit() - undo vmi_scan_init() or vmi_scan_allocate()
 * @scan: the scan
 */
void vmi_scan_exit(struct vmi_scan *scan)
{
	kfree(scan->found);
}

/*
 * What is done in one batch, under the target's lock. Returns false if it got nowhere
 * because of walk->busy or walk->strange.
 */
typedef bool (*batch_fn)(struct vmi_walk *walk);

/* Where many write there is always one that waits: what was in vain is tried for less next time. */
static void batch_give_way(struct vmi_target *target, struct vmi_walk *walk)
{
	if (vmi_target_give_way(target, walk->patience_ns))
		walk->patience_ns = VMI_WALK_PATIENCE_NS;
	else
		walk->patience_ns /= 4;
}

/* Return: 1: the batch got ahead; 0: it did not; or as vmi_target_lock() */
static int batch_try(struct vmi_target *target, struct vmi_walk *walk, batch_fn batch)
{
	int ret;

	batch_give_way(target, walk);
	ret = vmi_target_lock(target);
	if (ret)
		return ret;
	walk->locked = NULL;
	ret = batch(walk);
	vmi_target_unlock(target);
	return ret;
}

/*
 * After a batch that got nowhere because of a hugetlb file. A lock that is only tried for
 * may never be had where many want it for writing. So here we stand in line for it, with
 * nothing else held; then the mmap lock, which comes before it everywhere else, can
 * only be tried for.
 *
 * Return: as batch_try(), or EINTR: a signal came, a fatal one unless @stop
 */
static int batch_queue(struct vmi_target *target, struct vmi_walk *walk, batch_fn batch,
		       bool stop)
{
	struct file *file = walk->busy;
	struct rw_semaphore *lock = &file->f_mapping->i_mmap_rwsem;
	int ret;

	walk->busy = NULL;
	ret = stop ? down_read_interruptible(lock) : down_read_killable(lock);
	if (ret)
		goto out_put_file;
	ret = vmi_target_trylock(target);
	if (ret > 0) {
		walk->locked = file;
		ret = batch(walk);
		mmap_read_unlock(target->mm);
		up_read(lock);
		/* Not before: the last user takes all mappings apart, those of that file too. */
		mmput(target->mm);
	} else {
		up_read(lock);
	}
out_put_file:
	fput(file);
	return ret;
}

/*
 * Batches until one gets ahead.
 *
 * Return: 0, or EINTR: a signal came before that, a fatal one unless @stop; or as
 * vmi_target_lock()
 */
static int batch_run(struct vmi_target *target, struct vmi_walk *walk, batch_fn batch,
		     bool stop)
{
	int ret;

	walk->learnt = false;
	ret = batch_try(target, walk, batch);
	while (!ret) {
		if (walk->strange) {
			vmi_swap_learn();
			walk->learnt = true;
		}
		if (fatal_signal_pending(current) || (stop && signal_pending(current)))
			ret = -EINTR;
		else if (walk->busy)
			ret = batch_queue(target, walk, batch, stop);
		else
			ret = batch_try(target, walk, batch);
	}
	if (walk->busy)	/* once: the next batch may end before the walk begins */
		fput(walk->busy);
	walk->busy = NULL;
	return min(ret, 0);
}

/* Did the walk end early because something has to be done first, with no lock held? */
static bool batch_stopped(const struct vmi_walk *walk)
{
	return walk->busy || walk->strange;
}

static bool scan_batch(struct vmi_walk *walk)
{
	unsigned long before = walk->next;

	vmi_walk_range(walk);
	return walk->next != before || !batch_stopped(walk);
}

/**
 * vmi_scan_batch() - scan on, under one hold of the target's lock
 * @scan: the scan; if it has no room left, nothing is added. What has been
 *	collected may be taken out before the next batch, all of it, or all
 *	but the last one, to let that grow.
 * @stop: may any signal end it before it gets further, not only a fatal one?
 *
 * Return: 0, and the scan got further unless it had no room; EINTR: it did not get
 * further, nothing was added; or as vmi_target_lock()
 */
int vmi_scan_batch(struct vmi_scan *scan, bool stop)
{
	return batch_run(scan->target, &scan->walk, scan_batch, stop);
}

/**
 * vmi_scan_say() - an entry, without what is not asked for or may not be seen
 * @entry: the entry
 * @returned: what is asked for
 * @frames: are frames, and may they be seen?
 * @said: out
 */
void vmi_scan_say(const struct vmi_entry *entry, u64 returned, bool frames,
		  struct vminspect_entry *said)
{
	*said = (struct vminspect_entry){
		.flags = entry->flags & returned,
		.state = entry->state,
		.page_shift = entry->shift,
		.node = -1,
	};
	if (frames) {
		said->frame = entry->frame;
		said->swap_type = entry->swap_type;
	}
	if (returned & VMINSPECT_RETURN_NODE)
		said->node = entry->node;
}

/* A walk over one page gives one run. */
static unsigned long lookup_take(struct vmi_walk *walk, struct vmi_run *run)
{
	struct vmi_lookup *lookup = container_of(walk, struct vmi_lookup, walk);

	vmi_scan_say(&run->entry, lookup->returned, lookup->frames, lookup->entry);
	return run->end;
}

static void lookup_init(struct vmi_lookup *lookup, struct vmi_target *target,
			u64 returned, u32 hidden)
{
	vmi_walk_init(&lookup->walk, target->mm);
	lookup->walk.pages = scan_needs_page(returned);
	lookup->walk.take = lookup_take;
	lookup->returned = returned;
	lookup->frames = (returned & VMINSPECT_RETURN_FRAME) && !hidden;
	lookup->walk.frames = lookup->frames;
	lookup->nr_done = 0;
	lookup->bad = false;
}

/* By the walk through all levels. Returns false if the batch has to end before. */
static bool lookup_walk(struct vmi_lookup *lookup, unsigned long va)
{
	struct vmi_walk *walk = &lookup->walk;

	vmi_walk_forget(walk);
	if (walk->trail)	/* not that of a batch that has to be made again */
		walk->trail->lowest = 0;
	walk->next = ALIGN_DOWN(va, PAGE_SIZE);
	walk->end = walk->next + PAGE_SIZE;
	lookup->entry = &lookup->entries[lookup->nr_done];
	vmi_walk_range(walk);
	return !batch_stopped(walk);
}

/* What all entries of a kind have in common, made once. */
static noinline const struct vminspect_entry *lookup_make_kind(struct vmi_lookup *lookup,
							       struct vmi_kind *kind)
{
	struct vminspect_entry *like = &lookup->kinds[kind - lookup->walk.kinds];

	vmi_scan_say(&kind->entry, lookup->returned, lookup->frames, like);
	kind->said = like;
	return like;
}

static __always_inline void lookup_say(struct vmi_lookup *lookup, struct vmi_kind *kind, u64 frame,
				       struct vminspect_entry *entry)
{
	const struct vminspect_entry *like = kind->said;

	if (unlikely(!like))
		like = lookup_make_kind(lookup, kind);
	*entry = *like;
	if (lookup->frames)
		entry->frame = frame;
}

/*
 * As many as lie in the same table as the one before, and are there like that: most of the
 * neighbours of those who have sorted their addresses.
 */
static const u64 *lookup_follow(struct vmi_lookup *lookup, const u64 *address, const u64 *end)
{
	const struct vmi_kind *kind = &lookup->walk.kinds[VMI_WALK_KIND_PRESENT];
	struct vminspect_entry *entry = lookup->entries + (address - lookup->addresses);
	const struct vminspect_entry *like = kind->said;
	const u64 alike_mask = ~kind->frame_mask;
	const u64 frame_mask = lookup->frames ? kind->frame_mask : 0;	/* no frame is inverted */
	struct vmi_table table;
	u64 raw;

	if (!vmi_walk_table(&lookup->walk, address[-1], &table))
		return address;
	for (; address < end && *address - table.start < table.size; address++, entry++) {
		raw = READ_ONCE(table.entries[pte_index(*address)]);
		if ((raw & alike_mask) != kind->like)
			break;
		*entry = *like;
		entry->frame = (raw & frame_mask) >> PAGE_SHIFT;
	}
	return address;
}

/*
 * As many as are found in passing, one after the other: this is where those spend their time who
 * translate millions.
 */
static void lookup_find(struct vmi_lookup *lookup, unsigned int nr)
{
	struct vmi_walk *walk = &lookup->walk;
	struct vmi_kind *present = &walk->kinds[VMI_WALK_KIND_PRESENT];
	const u64 *address = lookup->addresses + lookup->nr_done;
	const u64 *end = address + nr;
	struct vminspect_entry *entry = lookup->entries + lookup->nr_done;
	struct vmi_kind *kind;
	unsigned int found;
	u64 raw, frame;

	for (; address < end; address++, entry++) {
		found = vmi_walk_find(walk, *address, &raw);
		if (likely(found == VMI_WALK_KIND_PRESENT)) {
			frame = (raw & present->frame_mask) >> PAGE_SHIFT;
			lookup_say(lookup, present, frame, entry);
			if (address + 1 == end || (address[0] ^ address[1]) >> PMD_SHIFT)
				continue;
			address = lookup_follow(lookup, address + 1, end) - 1;
			entry = lookup->entries + (address - lookup->addresses);
			continue;
		}
		if (found == VMI_WALK_KINDS)
			break;
		kind = &walk->kinds[found];
		frame = vmi_kind_frame(kind, raw);
		if (found == VMI_WALK_KIND_HUGE)
			frame += (*address & ~PMD_MASK) >> PAGE_SHIFT;
		lookup_say(lookup, kind, frame, entry);
	}
	lookup->nr_done = address - lookup->addresses;
}

/*
 * Whoever waits for the lock, so many are looked up while it is held: where there is always one
 * that waits, each would take a hold of its own.
 */
#define LOOKUP_LEAST	16U

static bool lookup_batch(struct vmi_walk *walk)
{
	struct vmi_lookup *lookup = container_of(walk, struct vmi_lookup, walk);
	const bool quick = !walk->pages && !walk->trail;
	unsigned int left = VMI_LOOKUP_BATCH;
	unsigned int before;

	vmi_walk_forget(walk);
	walk->searches = VMI_LOOKUP_SEARCHES;
	rcu_read_lock();
	while (lookup->nr_done < lookup->nr && left) {
		before = lookup->nr_done;
		if (quick)
			lookup_find(lookup, min(lookup->nr - before, left));
		left -= lookup->nr_done - before;
		if (lookup->nr_done == lookup->nr || !left)
			break;
		if (lookup->nr_done && !walk->searches)
			break;
		if (lookup->nr_done >= LOOKUP_LEAST && mmap_lock_is_contended(walk->mm))
			break;
		if (lookup->addresses[lookup->nr_done] >= TASK_SIZE_MAX) {
			lookup->bad = true;
			break;
		}
		if (!lookup_walk(lookup, lookup->addresses[lookup->nr_done]))
			break;
		lookup->nr_done++;
		left -= min(left, VMI_LOOKUP_WALK_COST);
	}
	rcu_read_unlock();
	return lookup->nr_done || lookup->bad;
}

/**
 * vmi_scan_translate() - what stands behind some addresses
 * @target: where they belong
 * @addresses: the addresses
 * @entries: out: one for each
 * @nr: how many, at least 1
 * @returned: flags to be returned, and VMINSPECT_RETURN_*
 * @hidden: as vmi_target_hidden() has it
 * @patience_ns: in and out: how long who waits for the lock is given way to; for the first of
 *	several calls VMI_WALK_PATIENCE_NS
 * @stop: may any signal end it before one is done, not only a fatal one?
 *
 * Return: how many were done, at least 1: fewer than @nr if that would be too long for one hold
 * of the lock, or somebody waits for it, or the next one can't be an address; EINVAL: the first
 * can't; EINTR: none was done; or as vmi_target_lock()
 */
int vmi_scan_translate(struct vmi_target *target, const u64 *addresses,
		       struct vminspect_entry *entries, unsigned int nr,
		       u64 returned, u32 hidden, u64 *patience_ns, bool stop)
{
	struct vmi_lookup lookup;
	int ret;

	lookup_init(&lookup, target, returned, hidden);
	lookup.addresses = addresses;
	lookup.entries = entries;
	lookup.nr = nr;
	lookup.walk.patience_ns = *patience_ns;
	ret = batch_run(target, &lookup.walk, lookup_batch, stop);
	*patience_ns = lookup.walk.patience_ns;
	if (ret)
		return ret;
	return lookup.nr_done ? lookup.nr_done : -EINVAL;
}

static void walk_fill_level(const struct vmi_trail *trail, unsigned int level,
			    bool hidden, struct vminspect_walk_level *out)
{
	u64 raw = trail->raw[level - 1];
	unsigned int shift = PAGE_SHIFT + 9 * (level - 1);

	*out = (struct vminspect_walk_level){
		.index = (trail->pa[level - 1] % PAGE_SIZE) / sizeof(u64),
		.level = level,
		.leaf = level == trail->lowest,
	};
	if (!hidden) {
		out->entry_pa = trail->pa[level - 1];
		out->raw = raw;
	}
	if (vmi_entry_present(raw, shift)) {
		out->flags = vmi_entry_hardware_flags(raw);
		out->flags |= VMINSPECT_ENTRY_PRESENT;
		if (level > 1 && (raw & _PAGE_PSE))
			out->flags |= VMINSPECT_PAGE_HUGE;
	}
}

/**
 * vmi_scan_walk() - one translation with all its levels
 * @target: where the address belongs
 * @walk: in and out: as VMINSPECT_IOC_WALK has it, checked already
 *
 * Return: 0, or as vmi_target_lock()
 */
int vmi_scan_walk(struct vmi_target *target, struct vminspect_walk *walk)
{
	struct vmi_trail trail = { .lowest = 0 };
	struct vmi_lookup lookup;
	u64 va = walk->va;
	unsigned int level;
	int ret;

	walk->hidden = vmi_target_hidden(target);
	lookup_init(&lookup, target, walk->return_mask | VMINSPECT_RETURN_FRAME,
		    walk->hidden);
	lookup.walk.trail = &trail;
	lookup.addresses = &va;
	lookup.entries = &walk->entry;
	lookup.nr = 1;
	ret = batch_run(target, &lookup.walk, lookup_batch, false);
	if (ret)
		return ret;

	walk->root = walk->hidden ? 0 : __pa(target->mm->pgd);
	walk->nr_levels = 0;
	if (!trail.lowest)
		return 0;
	for (level = VMINSPECT_MAX_LEVELS; level >= trail.lowest; level--) {
		if (level == 4 && !pgtable_l5_enabled())
			continue;
		walk_fill_level(&trail, level, walk->hidden,
				&walk->levels[walk->nr_levels++]);
	}
	return 0;
}
