// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes under way: from their submission to their completion, which may come
 * in an interrupt and in another task.
 *
 * A page is in flight at most once: it is locked while it is read and under writeback
 * while it is written, and its slot is its own as long. So direction and slot are its key.
 *
 * The table has a fixed size. What finds no room in it is not waited for: its record is
 * made when it is submitted, without a latency.
 */
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/vmalloc.h>

#include "flight.h"

#define BUCKET_BITS		10
#define NR_BUCKETS		BIT(BUCKET_BITS)
#define BUCKET_SIZE		16

/**
 * struct bucket - pages in flight whose keys are alike
 * @lock: for all of it; taken with interrupts off
 * @keys: 0: free
 * @flights: what belongs to them
 */
struct bucket {
	raw_spinlock_t lock;
	u64 keys[BUCKET_SIZE];
	struct vmi_flight flights[BUCKET_SIZE];
};

static struct bucket *buckets;

/**
 * vmi_flight_start() - get ready
 *
 * Return: 0 or ENOMEM
 */
int vmi_flight_start(void)
{
	unsigned int i;

	buckets = vcalloc(NR_BUCKETS, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	for (i = 0; i < NR_BUCKETS; i++)
		raw_spin_lock_init(&buckets[i].lock);
	return 0;
}

/**
 * vmi_flight_stop() - forget all
 *
 * Nothing calls anything of this file any more.
 */
void vmi_flight_stop(void)
{
	vfree(buckets);
	buckets = NULL;
}

/**
 * vmi_flight_key() - the key of a page in flight
 * @kind: VMINSPECT_EVENT_READ or VMINSPECT_EVENT_WRITE
 * @slot: as the kernel has it: swp_entry_t.val, whose uppermost bit is not used
 *
 * Return: the key, never 0: slot 0 of an area is its header
 */
u64 vmi_flight_key(u8 kind, u64 slot)
{
	BUILD_BUG_ON(SWP_TYPE_SHIFT + MAX_SWAPFILES_SHIFT > 63);
	return slot << 1 | (kind == VMINSPECT_EVENT_WRITE);
}

/**
 * vmi_flight_slot() - the slot of a page in flight
 * @key: its key
 *
 * Return: the slot, as vmi_flight_key() was given it
 */
u64 vmi_flight_slot(u64 key)
{
	return key >> 1;
}

static struct bucket *bucket_of(u64 key)
{
	return &buckets[hash_64(key, BUCKET_BITS)];
}

static int bucket_find(const struct bucket *bucket, u64 key)
{
	unsigned int i;

	for (i = 0; i < BUCKET_SIZE; i++)
		if (bucket->keys[i] == key)
			return i;
	return -ENOENT;
}

/**
 * vmi_flight_add() - a page is being submitted
 * @key: its key
 * @flight: what to keep of it; its readers are filled in. If that fails, out: what is not
 *	kept: the page itself, for want of room, or another one of that key, whose end was
 *	not seen since its probe was passed over
 * @owner: whom the page belongs to
 *
 * Who gets the record is found out under the lock of the bucket, since a reader that
 * stops goes through the buckets after it said so: it is either not among them, or finds
 * the page there.
 *
 * Return: false if one is not kept: its record has to be made as it is
 *
 * Context: any but NMI, in an RCU section.
 */
bool vmi_flight_add(u64 key, struct vmi_flight *flight, const struct vmi_owner *owner)
{
	struct bucket *bucket = bucket_of(key);
	unsigned long flags;
	bool kept = false;
	int i;

	raw_spin_lock_irqsave(&bucket->lock, flags);
	flight->readers = vmi_event_wanted_by(&flight->event, owner);
	i = bucket_find(bucket, key);
	if (i >= 0) {
		swap(bucket->flights[i], *flight);
	} else {
		i = bucket_find(bucket, 0);
		kept = i >= 0;
		if (kept) {
			bucket->keys[i] = key;
			bucket->flights[i] = *flight;
		}
	}
	raw_spin_unlock_irqrestore(&bucket->lock, flags);
	return kept;
}

/**
 * vmi_flight_take() - it has arrived
 * @key: its key
 * @start_ns: when it was submitted; 0: at any time
 * @flight: out: what was kept of it
 *
 * Return: false if it is not in flight, or another one is
 *
 * Context: any but NMI.
 */
bool vmi_flight_take(u64 key, u64 start_ns, struct vmi_flight *flight)
{
	struct bucket *bucket = bucket_of(key);
	unsigned long flags;
	int i;

	raw_spin_lock_irqsave(&bucket->lock, flags);
	i = bucket_find(bucket, key);
	if (i >= 0 && start_ns && bucket->flights[i].start_ns != start_ns)
		i = -ENOENT;
	if (i >= 0) {
		*flight = bucket->flights[i];
		bucket->keys[i] = 0;
	}
	raw_spin_unlock_irqrestore(&bucket->lock, flags);
	return i >= 0;
}

/* Take one that @reader would get, for this reader only. */
static bool bucket_forget(struct bucket *bucket, u64 reader, struct vminspect_event *event)
{
	unsigned long flags;
	bool ret = false;
	unsigned int i;

	raw_spin_lock_irqsave(&bucket->lock, flags);
	for (i = 0; i < BUCKET_SIZE && !ret; i++) {
		if (!bucket->keys[i] || !(bucket->flights[i].readers & reader))
			continue;
		bucket->flights[i].readers &= ~reader;
		*event = bucket->flights[i].event;
		ret = true;
	}
	raw_spin_unlock_irqrestore(&bucket->lock, flags);
	return ret;
}

/**
 * vmi_flight_forget() - a reader does not wait for what is in flight
 * @reader: its bit
 * @found: called for the record of each page in flight that it would have got; or NULL
 *
 * Context: may sleep; the table stays: the caller keeps probes attached.
 */
void vmi_flight_forget(u64 reader,
		       void (*found)(struct vminspect_event *event, u64 reader))
{
	struct vminspect_event event;
	unsigned int i;

	for (i = 0; i < NR_BUCKETS; i++) {
		while (bucket_forget(&buckets[i], reader, &event))
			if (found)
				found(&event, reader);
		cond_resched();
	}
}
