// SPDX-License-Identifier: GPL-2.0
/*
 * Whose pages went to which swap slots, as far as it was seen.
 *
 * What a slot holds is not told by the kernel when it is read or written; that its page
 * gave way to the entry of that slot in one address space was. The table remembers this
 * for a fixed number of slots, those given away last: an area of up to 512 MiB has a
 * place for each. A slot that went out of several address spaces at once belongs to none.
 *
 * What is remembered may be out of date where slots change hands unseen: by fork, which
 * gives a child the same slots. It is never looked at as more than a name: the mm is
 * compared with one that a reader keeps, and not used.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/vmalloc.h>

#include "owner.h"

#define NR_SLOTS	BIT(17)
#define NR_LOCKS	256U

/**
 * struct place - of the table
 * @known: what was seen
 * @written: and since then it went to the device: whoever comes next is a new owner, and
 *	not one more
 */
struct place {
	struct vmi_slot known;
	bool written;
};

static struct place *places;
static raw_spinlock_t locks[NR_LOCKS];

/**
 * vmi_owner_start() - get ready
 *
 * Return: 0 or ENOMEM
 */
int vmi_owner_start(void)
{
	unsigned int i;

	for (i = 0; i < NR_LOCKS; i++)
		raw_spin_lock_init(&locks[i]);
	places = vcalloc(NR_SLOTS, sizeof(*places));
	return places ? 0 : -ENOMEM;
}

/**
 * vmi_owner_stop() - forget all
 *
 * Nothing calls anything of this file any more.
 */
void vmi_owner_stop(void)
{
	vfree(places);
	places = NULL;
}

/* Slots that follow one another do not take each other's places; areas are set apart. */
static unsigned int place_of(u64 slot)
{
	swp_entry_t entry = { .val = slot };

	return (swp_offset(entry) + swp_type(entry) * 40503UL) & (NR_SLOTS - 1);
}

static raw_spinlock_t *lock_of(unsigned int nr)
{
	return &locks[nr / 16 % NR_LOCKS];
}

/**
 * vmi_owner_set() - a page of an address space gave way to the entry of a slot
 * @slot: slot and owner
 *
 * Context: any but NMI.
 */
void vmi_owner_set(const struct vmi_slot *slot)
{
	unsigned int nr = place_of(slot->slot);
	struct place *place = &places[nr];
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(nr), flags);
	/* Another page in that slot means that it was freed in between. */
	if (place->known.slot == slot->slot && place->known.folio == slot->folio &&
	    !place->written && place->known.mm != slot->mm) {
		place->known.mm = NULL;		/* several */
	} else {
		place->known = *slot;
		place->written = false;
	}
	raw_spin_unlock_irqrestore(lock_of(nr), flags);
}

/**
 * vmi_owner_written() - a page was written to a slot
 * @slot: the slot
 *
 * Context: any but NMI.
 */
void vmi_owner_written(u64 slot)
{
	unsigned int nr = place_of(slot);
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(nr), flags);
	if (places[nr].known.slot == slot)
		places[nr].written = true;
	raw_spin_unlock_irqrestore(lock_of(nr), flags);
}

/**
 * vmi_owner_clear() - a page that belongs to no address space went to a slot
 * @slot: the slot
 *
 * Context: any but NMI.
 */
void vmi_owner_clear(u64 slot)
{
	unsigned int nr = place_of(slot);
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(nr), flags);
	if (places[nr].known.slot == slot)
		places[nr].known.mm = NULL;
	raw_spin_unlock_irqrestore(lock_of(nr), flags);
}

/**
 * vmi_owner_get() - whose page is in a slot?
 * @slot: the slot
 * @out: what is known
 *
 * Return: false if it is not known
 *
 * Context: any but NMI.
 */
bool vmi_owner_get(u64 slot, struct vmi_slot *out)
{
	unsigned int nr = place_of(slot);
	unsigned long flags;
	bool ret;

	raw_spin_lock_irqsave(lock_of(nr), flags);
	ret = places[nr].known.slot == slot && places[nr].known.mm;
	*out = places[nr].known;
	raw_spin_unlock_irqrestore(lock_of(nr), flags);
	return ret;
}
