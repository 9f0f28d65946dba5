// SPDX-License-Identifier: GPL-2.0
/*
 * Records of events: who wants them, and the rings in which they wait.
 *
 * A record is made once, by a probe. It is put into a ring of each reader that wants
 * it, and is given to the tracepoint of its kind.
 *
 * Rings have numbers, and each processor puts its records into those of one number. A
 * lock belongs to each number, for the rings of all readers. It is taken with
 * interrupts off, to stamp a record and to put it into some rings, and by a reader to
 * see how far a ring was filled. So what was stamped before a reader looked at its
 * clock is in the rings by the time the reader has had their locks, and can be put in
 * order: vmi_event_peek(). Usually no two processors want the same lock.
 *
 * Nothing here waits for a reader. Where a ring is full, the record is counted as lost.
 */
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/irq_work.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/threads.h>
#include <linux/vmalloc.h>

#include "event.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* The rings of one reader together, unless it asks for a size. */
#define DEFAULT_BYTES		(32UL << 20)
#define DEFAULT_MAX_RECORDS	16384UL
#define DEFAULT_MIN_RECORDS	1024UL

/* Counted by each processor for itself. */
struct tally {
	u64 events[VMINSPECT_NR_EVENTS];
	u64 pages[VMINSPECT_NR_EVENTS];
	u64 lost;
};

static DEFINE_PER_CPU(struct tally, tally);

static raw_spinlock_t ring_locks[VMI_MAX_RINGS];
static unsigned int nr_rings;

/* By id. Read under RCU, as whoever records is. */
static struct vmi_reader __rcu *readers[VMI_MAX_READERS];
static DEFINE_MUTEX(readers_lock);	/* changes of readers[], and what follows */
static u64 ids_in_use;

/**
 * vmi_event_init() - count the processors
 *
 * Context: while the module is being loaded.
 */
void vmi_event_init(void)
{
	unsigned int i;

	nr_rings = min_t(unsigned int, num_possible_cpus(), VMI_MAX_RINGS);
	for (i = 0; i < VMI_MAX_RINGS; i++)
		raw_spin_lock_init(&ring_locks[i]);
}

/**
 * vmi_event_nr_rings() - how many rings each reader has
 */
unsigned int vmi_event_nr_rings(void)
{
	return nr_rings;
}

/**
 * vmi_event_default_records() - how large a ring is that nobody chose a size for
 *
 * Return: a number of records
 */
u32 vmi_event_default_records(void)
{
	unsigned long fit = DEFAULT_BYTES / sizeof(struct vminspect_event) / nr_rings;

	return rounddown_pow_of_two(clamp(fit, DEFAULT_MIN_RECORDS, DEFAULT_MAX_RECORDS));
}

static void reader_wake(struct irq_work *work)
{
	struct vmi_reader *reader = container_of(work, struct vmi_reader, wake);

	wake_up_poll(&reader->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * vmi_event_reader_alloc() - a reader, with its rings
 * @ring_records: size of each, a power of two
 *
 * Memory is charged to the caller's cgroup.
 *
 * Return: the reader, for vmi_event_reader_free(), or NULL.
 */
struct vmi_reader *vmi_event_reader_alloc(u32 ring_records)
{
	struct vmi_reader *reader = kvzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!reader)
		return NULL;
	init_waitqueue_head(&reader->wait);
	init_irq_work(&reader->wake, reader_wake);
	reader->ring_records = ring_records;
	for (i = 0; i < nr_rings; i++) {
		reader->rings[i].records = __vmalloc(array_size(ring_records,
								sizeof(struct vminspect_event)),
						     GFP_KERNEL_ACCOUNT | __GFP_ZERO |
						     __GFP_NOWARN);
		if (!reader->rings[i].records) {
			vmi_event_reader_free(reader);
			return NULL;
		}
	}
	return reader;
}

/**
 * vmi_event_reader_free() - undo vmi_event_reader_alloc()
 * @reader: a reader that was not added, or was removed. Its id may be given to another
 *	from now on: it stands in no mask of readers any more
 *
 * Context: may sleep.
 */
void vmi_event_reader_free(struct vmi_reader *reader)
{
	unsigned int i;

	mutex_lock(&readers_lock);
	ids_in_use &= ~reader->bit;
	mutex_unlock(&readers_lock);
	irq_work_sync(&reader->wake);
	for (i = 0; i < nr_rings; i++)
		vfree(reader->rings[i].records);
	if (reader->mm)
		mmdrop(reader->mm);
	if (reader->cgroup)
		cgroup_put(reader->cgroup);
	kvfree(reader->tasks);
	kvfree(reader);
}

/**
 * vmi_event_reader_add() - from now on it gets records
 * @reader: the reader, complete but for its id
 *
 * Return: 0 or EUSERS: there are too many.
 */
int vmi_event_reader_add(struct vmi_reader *reader)
{
	unsigned int id;

	mutex_lock(&readers_lock);
	if (!~ids_in_use) {
		mutex_unlock(&readers_lock);
		return -EUSERS;
	}
	id = __ffs64(~ids_in_use);
	reader->bit = BIT_ULL(id);
	ids_in_use |= reader->bit;
	rcu_assign_pointer(readers[id], reader);
	mutex_unlock(&readers_lock);
	return 0;
}

/**
 * vmi_event_reader_remove() - from now on it gets none
 * @reader: one that was added
 *
 * No probe uses it any more when this returns.
 *
 * Context: may sleep.
 */
void vmi_event_reader_remove(struct vmi_reader *reader)
{
	mutex_lock(&readers_lock);
	RCU_INIT_POINTER(readers[__ffs64(reader->bit)], NULL);
	mutex_unlock(&readers_lock);
	synchronize_rcu();
}

static bool reader_wants(const struct vmi_reader *reader, const struct vminspect_event *event,
			 const struct vmi_owner *owner)
{
	if (!(reader->kinds & BIT(event->kind)) || READ_ONCE(reader->stopping))
		return false;
	switch (reader->scope) {
	case VMINSPECT_SCOPE_TARGET:
		/* Equal pointers are the same mm: the reader keeps its own from being reused. */
		return owner->mm == reader->mm;
	case VMINSPECT_SCOPE_TASKS:
		return event->pid && event->pid < PID_MAX_LIMIT &&
		       test_bit(event->pid, reader->tasks);
	case VMINSPECT_SCOPE_CGROUP:
		return owner->cgroup && cgroup_is_descendant(owner->cgroup, reader->cgroup);
	default:
		return true;
	}
}

/**
 * vmi_event_wanted_by() - who wants a record
 * @event: the record, complete but for times
 * @owner: whom the page belongs to
 *
 * Return: mask of readers by their ids
 *
 * Context: any, in an RCU section.
 */
u64 vmi_event_wanted_by(const struct vminspect_event *event, const struct vmi_owner *owner)
{
	const struct vmi_reader *reader;
	u64 ids, mask = 0;

	for (ids = READ_ONCE(ids_in_use); ids; ids &= ids - 1) {
		reader = rcu_dereference(readers[__ffs64(ids)]);
		if (reader && reader_wants(reader, event, owner))
			mask |= reader->bit;
	}
	return mask;
}

static void ring_add(struct vmi_reader *reader, struct vmi_ring *ring,
		     const struct vminspect_event *event)
{
	ring->records[ring->head & (reader->ring_records - 1)] = *event;
	smp_store_release(&ring->head, ring->head + 1);	/* pairs with ring_empty() */
}

static void ring_add_lost(struct vmi_reader *reader, struct vmi_ring *ring)
{
	const struct vminspect_event lost = {
		.time_ns = ring->lost_ns,
		.latency_ns = VMINSPECT_UNKNOWN,
		.kind = VMINSPECT_EVENT_LOST,
		.pages = min_t(u64, ring->lost, U32_MAX),
	};

	ring_add(reader, ring, &lost);
	ring->lost -= lost.pages;
}

static u32 ring_room(const struct vmi_reader *reader, const struct vmi_ring *ring)
{
	/* Pairs with vmi_event_consume(): the reader has copied what it gives up. */
	u32 tail = smp_load_acquire(&ring->tail);

	return reader->ring_records - (ring->head - tail);
}

/* Under the lock of ring number @nr. */
static void reader_put(struct vmi_reader *reader, unsigned int nr,
		       const struct vminspect_event *event)
{
	struct vmi_ring *ring = &reader->rings[nr];

	if (READ_ONCE(reader->stopped))
		return;
	reader->records[nr]++;
	if (ring_room(reader, ring) < (ring->lost ? 2 : 1)) {
		if (!ring->lost++)
			ring->lost_ns = event->time_ns;
		reader->lost[nr]++;
		__this_cpu_inc(tally.lost);
	} else {
		if (ring->lost)
			ring_add_lost(reader, ring);
		ring_add(reader, ring, event);
	}
	/* One interrupt for each time that the reader looks, however many records come. */
	if (wq_has_sleeper(&reader->wait) && !xchg(&reader->told, 1))
		irq_work_queue(&reader->wake);
}

static void event_trace(const struct vminspect_event *event)
{
	switch (event->kind) {
	case VMINSPECT_EVENT_SWAP_IN:
		trace_swap_in(event);
		break;
	case VMINSPECT_EVENT_SWAP_OUT:
		trace_swap_out(event);
		break;
	case VMINSPECT_EVENT_READ:
		trace_swap_read(event);
		break;
	case VMINSPECT_EVENT_WRITE:
		trace_swap_write(event);
		break;
	}
}

/* With interrupts off, in an RCU section. */
static void event_put(struct vminspect_event *event, u64 mask)
{
	unsigned int nr = smp_processor_id() % nr_rings;
	struct vmi_reader *reader;

	raw_spin_lock(&ring_locks[nr]);
	event->time_ns = ktime_get_ns();
	for (; mask; mask &= mask - 1) {
		reader = rcu_dereference(readers[__ffs64(mask)]);
		if (reader)
			reader_put(reader, nr, event);
	}
	raw_spin_unlock(&ring_locks[nr]);
}

/**
 * vmi_event_record() - stamp a record and hand it out
 * @event: the record; its time is filled in
 * @mask: who gets it, as vmi_event_wanted_by() said. Readers that are gone by now are
 *	passed over
 *
 * Context: any but NMI, in an RCU section. Interrupts stay off to the end: a program on
 * the tracepoint that was interrupted by another event would be kept from seeing that.
 */
void vmi_event_record(struct vminspect_event *event, u64 mask)
{
	unsigned long flags;

	local_irq_save(flags);
	event_put(event, mask);
	__this_cpu_inc(tally.events[event->kind]);
	__this_cpu_add(tally.pages[event->kind], event->pages);
	event_trace(event);
	local_irq_restore(flags);
}

/**
 * vmi_event_hand() - give some readers a record ahead of the others
 * @event: the record; its time is filled in
 * @mask: who gets it
 *
 * It is neither counted nor traced: that is done when it is complete.
 */
void vmi_event_hand(struct vminspect_event *event, u64 mask)
{
	unsigned long flags;

	rcu_read_lock();
	local_irq_save(flags);
	event_put(event, mask);
	local_irq_restore(flags);
	rcu_read_unlock();
}

/**
 * vmi_event_forked() - a process was started
 * @parent: by which, both as the initial namespace numbers them
 * @child: the new one. A pid that was used before belongs to the new one only
 *
 * Context: any, in an RCU section.
 */
void vmi_event_forked(pid_t parent, pid_t child)
{
	struct vmi_reader *reader;
	u64 ids;

	for (ids = READ_ONCE(ids_in_use); ids; ids &= ids - 1) {
		reader = rcu_dereference(readers[__ffs64(ids)]);
		if (!reader || !reader->tasks)
			continue;
		if (test_bit(parent, reader->tasks))
			set_bit(child, reader->tasks);
		else
			clear_bit(child, reader->tasks);
	}
}

static bool ring_empty(const struct vmi_ring *ring)
{
	/* Pairs with ring_add(). */
	return smp_load_acquire(&ring->head) == ring->tail && !READ_ONCE(ring->lost);
}

/**
 * vmi_event_pending() - is there anything to read?
 * @reader: the reader
 *
 * If not, it is woken up when there is.
 */
bool vmi_event_pending(struct vmi_reader *reader)
{
	unsigned int nr;

	WRITE_ONCE(reader->told, 0);
	smp_mb();	/* pairs with xchg() in reader_put(): it tells, or we see */
	for (nr = 0; nr < nr_rings; nr++)
		if (!ring_empty(&reader->rings[nr]))
			return true;
	return false;
}

/*
 * How far may the reader look in this ring? What was lost after the last record there
 * gets its own record, in its place, if there is room; if not, the others may not be
 * read beyond that time yet.
 */
static u64 ring_look(struct vmi_reader *reader, unsigned int nr, u64 until)
{
	struct vmi_ring *ring = &reader->rings[nr];
	unsigned long flags;

	raw_spin_lock_irqsave(&ring_locks[nr], flags);
	if (ring->lost && ring_room(reader, ring))
		ring_add_lost(reader, ring);
	else if (ring->lost)
		until = min(until, ring->lost_ns);
	ring->seen = ring->head;
	raw_spin_unlock_irqrestore(&ring_locks[nr], flags);
	ring->at = ring->tail;
	return until;
}

static const struct vminspect_event *ring_first(const struct vmi_reader *reader,
						const struct vmi_ring *ring)
{
	if (ring->at == ring->seen)
		return NULL;
	return &ring->records[ring->at & (reader->ring_records - 1)];
}

/* The ring with the oldest record that is no later than @until; NULL: there is none */
static struct vmi_ring *reader_oldest(struct vmi_reader *reader, u64 until)
{
	const struct vminspect_event *first;
	struct vmi_ring *oldest = NULL;
	unsigned int nr;

	for (nr = 0; nr < nr_rings; nr++) {
		first = ring_first(reader, &reader->rings[nr]);
		if (first && first->time_ns <= until) {
			until = first->time_ns;
			oldest = &reader->rings[nr];
		}
	}
	return oldest;
}

/**
 * vmi_event_peek() - copy records, ordered by time
 * @reader: the reader; calls for the same one are made one after another
 * @to: where to
 * @max: how many at most
 *
 * Return: how many; 0: there are none. They stay in the rings until vmi_event_consume().
 *
 * Context: may sleep.
 */
unsigned int vmi_event_peek(struct vmi_reader *reader, struct vminspect_event *to,
			    unsigned int max)
{
	u64 until = ktime_get_ns();
	struct vmi_ring *ring;
	unsigned int nr;

	for (nr = 0; nr < nr_rings; nr++)
		until = ring_look(reader, nr, until);
	for (nr = 0; nr < max; nr++) {
		ring = reader_oldest(reader, until);
		if (!ring)
			break;
		*to++ = *ring_first(reader, ring);
		ring->at++;
	}
	return nr;
}

/**
 * vmi_event_consume() - give up what the last vmi_event_peek() copied
 * @reader: the reader
 */
void vmi_event_consume(struct vmi_reader *reader)
{
	unsigned int nr;

	for (nr = 0; nr < nr_rings; nr++)	/* pairs with ring_room() */
		smp_store_release(&reader->rings[nr].tail, reader->rings[nr].at);
}

/**
 * vmi_event_reader_state() - what a reader was meant to get
 * @reader: the reader
 * @records: out: records, those lost included
 * @lost: out: those lost
 */
void vmi_event_reader_state(const struct vmi_reader *reader, u64 *records, u64 *lost)
{
	unsigned long flags;
	unsigned int nr;

	*records = 0;
	*lost = 0;
	for (nr = 0; nr < nr_rings; nr++) {
		raw_spin_lock_irqsave(&ring_locks[nr], flags);
		*records += reader->records[nr];
		*lost += reader->lost[nr];
		raw_spin_unlock_irqrestore(&ring_locks[nr], flags);
	}
}

/**
 * vmi_event_stats() - what was counted since the module was loaded
 * @stats: out
 */
void vmi_event_stats(struct vmi_event_stats *stats)
{
	const struct tally *one;
	unsigned int cpu, i;

	memset(stats, 0, sizeof(*stats));
	for_each_possible_cpu(cpu) {
		one = per_cpu_ptr(&tally, cpu);
		for (i = 0; i < VMINSPECT_NR_EVENTS; i++) {
			stats->events[i] += READ_ONCE(one->events[i]);
			stats->pages[i] += READ_ONCE(one->pages[i]);
		}
		stats->lost += READ_ONCE(one->lost);
	}
	stats->readers = hweight64(READ_ONCE(ids_in_use));
}
