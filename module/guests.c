// SPDX-License-Identifier: GPL-2.0
/*
 * The guests of the machine and their slots, as text in debugfs.
 *
 * A record is a line, so that the text of a guest may be as long as it likes: the place is kept
 * between reads as numbers, never as a reference, and what is gone meanwhile is passed over.
 */
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include "guest.h"
#include "target.h"

/**
 * struct guests_place - the line that is next
 * @pos: its number
 * @tgid: of which process
 * @fd: of which of its descriptors
 * @in_slots: is it that of a slot? Else it is that of the guest itself
 * @gpa: from where on the slot is looked for
 * @as: in which address space
 * @guest: the guest, held while lines are made; no more of it is filled in than that takes
 */
struct guests_place {
	loff_t pos;
	pid_t tgid;
	unsigned int fd;
	bool in_slots;
	u64 gpa;
	u32 as;
	struct vmi_guest guest;
};

static void guests_release(struct guests_place *place)
{
	if (place->guest.vm)
		fput(place->guest.vm);
	place->guest = (struct vmi_guest){ };
}

/* The line of a guest itself is the first of its lines. */
static void guests_begin(struct guests_place *place)
{
	place->in_slots = false;
	place->gpa = 0;
	place->as = 0;
}

/* Holds the guest at the place, or the first one after it. */
static bool guests_hold(struct guests_place *place)
{
	pid_t tgid = place->tgid;
	unsigned int fd = place->fd;
	struct file *vm = vmi_guest_next_vm(&place->tgid, &place->fd);

	if (!vm)
		return false;
	place->guest = (struct vmi_guest){ .vm = vm, .kvm = vm->private_data };
	if (tgid != place->tgid || fd != place->fd)
		guests_begin(place);
	return true;
}

static bool guests_find_slot(struct guests_place *place, struct vminspect_guest_slot *slot)
{
	int ret;

	*slot = (struct vminspect_guest_slot){
		.gpa = place->gpa, .address_space = place->as,
	};
	while ((ret = vmi_guest_slot(&place->guest, slot)) == -ENOENT) {
		slot->gpa = 0;
		slot->address_space++;
	}
	place->as = slot->address_space;
	place->gpa = slot->gpa;
	return !ret;	/* else there is no such address space */
}

/* The place of a line that exists, with its guest held. Returns false after the last one. */
static bool guests_settle(struct guests_place *place)
{
	struct vminspect_guest_slot slot;

	while (place->guest.vm || guests_hold(place)) {
		if (!place->in_slots || guests_find_slot(place, &slot))
			return true;
		guests_release(place);
		place->fd++;
		guests_begin(place);
	}
	return false;
}

static void *guests_start(struct seq_file *m, loff_t *pos)
{
	struct guests_place *place = m->private;

	if (!*pos)
		*place = (struct guests_place){ };
	if (place->pos != *pos)
		return NULL;
	return guests_settle(place) ? place : NULL;
}

static void *guests_next(struct seq_file *m, void *record, loff_t *pos)
{
	struct guests_place *place = m->private;
	struct vminspect_guest_slot slot;

	place->pos = ++*pos;
	if (!place->in_slots)
		place->in_slots = true;
	else if (guests_find_slot(place, &slot))
		place->gpa = slot.gpa + slot.bytes;
	return guests_settle(place) ? place : NULL;
}

static void guests_stop(struct seq_file *m, void *record)
{
	guests_release(m->private);
}

static int guests_show(struct seq_file *m, void *record)
{
	struct guests_place *place = record;
	struct vminspect_guest_slot slot;

	if (!place->in_slots) {
		seq_printf(m, "pid %d vm_fd %u vcpus %d\n", place->tgid, place->fd,
			   atomic_read(&place->guest.kvm->online_vcpus));
		return 0;
	}
	if (!guests_find_slot(place, &slot))	/* taken from the guest meanwhile */
		return SEQ_SKIP;
	seq_printf(m, "  slot %u as %u gpa 0x%llx-0x%llx hva 0x%llx%s%s%s\n", slot.slot,
		   slot.address_space, slot.gpa, slot.gpa + slot.bytes, slot.hva,
		   slot.slot_flags & VMINSPECT_SLOT_READONLY ? " readonly" : "",
		   slot.slot_flags & VMINSPECT_SLOT_LOG_DIRTY ? " log_dirty" : "",
		   slot.slot_flags & VMINSPECT_SLOT_PRIVATE ? " private" : "");
	return 0;
}

static const struct seq_operations guests_seq_ops = {
	.start = guests_start,
	.next = guests_next,
	.stop = guests_stop,
	.show = guests_show,
};

/* Whose descriptors and addresses these are is not for everybody who has a file's mode. */
static int guests_open(struct inode *inode, struct file *file)
{
	if (vmi_target_file_hidden(file))
		return -EPERM;
	return seq_open_private(file, &guests_seq_ops, sizeof(struct guests_place));
}

static const struct file_operations guests_fops = {
	.owner = THIS_MODULE,
	.open = guests_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/**
 * vmi_guests_debugfs() - make the text view
 * @directory: where
 *
 * Return: 0 or the error of making it
 */
int vmi_guests_debugfs(struct dentry *directory)
{
	return PTR_ERR_OR_ZERO(debugfs_create_file("guests", 0600, directory, NULL,
						   &guests_fops));
}
