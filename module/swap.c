// SPDX-License-Identifier: GPL-2.0
/*
 * Swap areas: what they are, and what their slots are used for.
 *
 * The kernel exports neither the table of its areas nor a way to look one up. But
 * /proc/swaps walks over that table (swap_start(), swap_next() and swap_stop() in
 * mm/swapfile.c), and its steps can be called: each yields an area as the kernel
 * has it. Between start and stop swapon_mutex is held, which swapoff takes before it
 * lets go of the file and of the map of slots.
 *
 * Once there, a struct swap_info_struct is never freed, nor does its number change:
 * it is used again for the next area of that number (alloc_swap_info()). So a pointer
 * once learned stays good. That the area behind it is in use, and its map in place, is
 * told by its count of users, as get_swap_device() has it: swapoff waits for that
 * count before it frees anything.
 */
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/percpu-refcount.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "swap.h"

/* Slots that are counted before others get the processor: 64 KiB of the map. */
#define SLOTS_A_STEP		65536UL

/* The steps of /proc/swaps; NULL: the kernel has no swap areas. */
static const struct seq_operations *swaps_op;

/* By number; NULL: not met yet. Never becomes NULL again. */
static struct swap_info_struct *areas[MAX_SWAPFILES];

/* Whether they were zram when they were met, and on which device that was: see below. */
static struct block_device *met_bdev[MAX_SWAPFILES];
static bool met_zram[MAX_SWAPFILES];

/**
 * vmi_swap_init() - learn how to walk over the swap areas
 *
 * Return: 0, also where there are none, or ENOMEM or ENFILE: that was not found out
 */
int vmi_swap_init(void)
{
	struct file *file = filp_open("/proc/swaps", O_RDONLY, 0);
	int ret = PTR_ERR_OR_ZERO(file);

	if (ret)
		return ret == -ENOMEM || ret == -ENFILE ? ret : 0;
	/* Not another file that is mounted there: its private data could be anything. */
	if (file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC &&
	    !strcmp(file->f_path.dentry->d_name.name, "swaps"))
		swaps_op = ((struct seq_file *)file->private_data)->op;	/* built in */
	fput(file);
	return 0;
}

/**
 * vmi_swap_features() - what can be told of swap areas here
 *
 * Return: mask of VMINSPECT_FEATURE_*
 */
u64 vmi_swap_features(void)
{
	u64 features = 0;

	if (swaps_op)
		features |= VMINSPECT_FEATURE_SWAP;
	if (swaps_op && VMI_COMPAT_SWAP_MAP)
		features |= VMINSPECT_FEATURE_SWAP_MAP;
	return features;
}

/* The steps do not use the file that they are given. Position 0 is the heading. */
static struct swap_info_struct *swaps_start(struct seq_file *m, loff_t *pos)
{
	*pos = 1;
	return swaps_op->start(m, pos);
}

/* Is this area on zram? Between start and stop: the device is there. */
static bool area_zram(const struct swap_info_struct *area)
{
	return area->bdev && !strncmp(area->bdev->bd_disk->disk_name, "zram", 4);
}

static void area_meet(struct swap_info_struct *area)
{
	unsigned int type = area->type;

	WRITE_ONCE(met_zram[type], area_zram(area));
	WRITE_ONCE(met_bdev[type], area->bdev);
	WRITE_ONCE(areas[type], area);
}

/**
 * vmi_swap_learn() - meet the areas that there are
 *
 * Context: may sleep.
 */
void vmi_swap_learn(void)
{
	struct seq_file m = { .op = swaps_op };
	struct swap_info_struct *area;
	loff_t pos;

	if (!swaps_op)
		return;
	for (area = swaps_start(&m, &pos); area; area = swaps_op->next(&m, area, &pos))
		area_meet(area);
	swaps_op->stop(&m, area);
}

static u8 area_kind(const struct swap_info_struct *area)
{
	if (!S_ISBLK(file_inode(area->swap_file)->i_mode))
		return VMINSPECT_SWAP_FILE;
	return area_zram(area) ? VMINSPECT_SWAP_ZRAM : VMINSPECT_SWAP_PARTITION;
}

/* Between start and stop: the file is there. */
static int area_fill(const struct swap_info_struct *area, struct vminspect_swap *out,
		     char *path)
{
	char *name = file_path(area->swap_file, path, PATH_MAX);

	if (IS_ERR(name))
		return PTR_ERR(name);
	memmove(path, name, strlen(name) + 1);
	out->type = area->type;
	out->kind = area_kind(area);
	out->pages = area->pages;
	out->used = vmi_compat_swap_used(area);
	out->priority = area->prio;
	return 0;
}

/**
 * vmi_swap_area() - what there is to know of an area
 * @area: in: type, the least one; out: all but the counts of slots
 * @path: out: a buffer of PATH_MAX bytes
 *
 * Return: 0, or ENOENT, EOPNOTSUPP or ENAMETOOLONG as struct vminspect_swap says.
 *
 * Context: may sleep.
 */
int vmi_swap_area(struct vminspect_swap *area, char *path)
{
	struct seq_file m = { .op = swaps_op };
	struct swap_info_struct *info;
	int ret = -ENOENT;
	loff_t pos;

	if (!swaps_op)
		return -EOPNOTSUPP;
	for (info = swaps_start(&m, &pos); info; info = swaps_op->next(&m, info, &pos)) {
		area_meet(info);
		if ((u16)info->type >= area->type) {
			ret = area_fill(info, area, path);
			break;
		}
	}
	swaps_op->stop(&m, info);
	return ret;
}

/* Keep an area in place. Sleeping with it held is fine: only swapoff waits for it. */
static struct swap_info_struct *area_get(unsigned int type)
{
	struct swap_info_struct *area = READ_ONCE(areas[type]);

	if (!area || !percpu_ref_tryget_live(&area->users))
		return NULL;
	smp_rmb();	/* pairs with setup_swap_info(), as in get_swap_device() */
	return area;
}

static void area_put(struct swap_info_struct *area)
{
	percpu_ref_put(&area->users);
}

/*
 * @run: of free slots, which may go on in the next step. A slot that has the flag of the
 * cache and nobody who counts on it is in stock for the next page that goes out, or holds
 * one that came back (mm/swap_slots.c).
 */
static void count_slot(struct vminspect_swap *out, u8 slot, u64 *run)
{
	if (slot != SWAP_MAP_BAD && slot & SWAP_HAS_CACHE && slot & ~SWAP_HAS_CACHE)
		out->slots_cached++;
	if (slot) {
		*run = 0;
		return;
	}
	out->slots_free++;
	if (!(*run)++)
		out->free_runs++;
	out->longest_free = max(out->longest_free, *run);
}

static int count_slots(const struct swap_info_struct *area, struct vminspect_swap *out)
{
	unsigned long offset, step_end;
	u64 run = 0;

	/* Slot 0 is the header of the area. */
	for (offset = 1; offset < area->max; offset = step_end) {
		step_end = min(offset + SLOTS_A_STEP, (unsigned long)area->max);
		for (; offset < step_end; offset++)
			count_slot(out, vmi_compat_swap_slot(area, offset), &run);
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/**
 * vmi_swap_count_slots() - count the slots of an area
 * @area: in: type, as vmi_swap_area() gave it; out: slots_free and what follows
 *
 * Return: 0, or EOPNOTSUPP, or EINTR, or ENOENT: the area is gone by now.
 *
 * Context: may sleep.
 */
int vmi_swap_count_slots(struct vminspect_swap *area)
{
	struct swap_info_struct *info;
	int ret;

	if (!VMI_COMPAT_SWAP_MAP)
		return -EOPNOTSUPP;
	info = area_get(area->type);
	if (!info)
		return -ENOENT;
	ret = count_slots(info, area);
	area_put(info);
	return ret;
}

/**
 * vmi_swap_look() - is the page of a slot in memory?
 * @type: number of the area
 * @offset: the slot
 *
 * Context: any.
 */
enum vmi_swap_slot vmi_swap_look(unsigned int type, u64 offset)
{
	enum vmi_swap_slot ret = VMI_SWAP_SLOT_OUT;
	struct swap_info_struct *area;

	if (!VMI_COMPAT_SWAP_MAP || !swaps_op)
		return VMI_SWAP_SLOT_UNKNOWN;
	if (!READ_ONCE(areas[type]))
		return VMI_SWAP_SLOT_STRANGE;
	area = area_get(type);
	if (!area)	/* just being removed: nothing can be read of it any more */
		return VMI_SWAP_SLOT_UNKNOWN;
	if (offset < area->max && vmi_compat_swap_slot(area, offset) & SWAP_HAS_CACHE)
		ret = VMI_SWAP_SLOT_CACHED;
	area_put(area);
	return ret;
}

static void swap_relearn(struct work_struct *work)
{
	vmi_swap_learn();
}

static DECLARE_WORK(relearn, swap_relearn);

/**
 * vmi_swap_exit() - wait for what was begun
 */
void vmi_swap_exit(void)
{
	cancel_work_sync(&relearn);
}

/**
 * vmi_swap_source() - on what is an area?
 * @type: its number
 *
 * An area that was added since areas were last met is met in a moment; until then it is
 * judged by whether its device answers at once, which zram does and disks do not.
 *
 * Return: VMINSPECT_SOURCE_DEVICE or VMINSPECT_SOURCE_ZRAM; _UNKNOWN: nothing is known yet
 *
 * Context: any but NMI.
 */
u8 vmi_swap_source(unsigned int type)
{
	const struct swap_info_struct *area = READ_ONCE(areas[type]);
	bool zram;

	if (area && READ_ONCE(area->bdev) == READ_ONCE(met_bdev[type])) {
		zram = READ_ONCE(met_zram[type]);
	} else {
		schedule_work(&relearn);
		if (!area)
			return VMINSPECT_SOURCE_UNKNOWN;
		/* Other flags change at any time, this one when an area is added. */
		zram = data_race(area->flags) & SWP_SYNCHRONOUS_IO;
	}
	return zram ? VMINSPECT_SOURCE_ZRAM : VMINSPECT_SOURCE_DEVICE;
}

/**
 * vmi_swap_by_file_system() - does a file system do the reading and writing? (NFS)
 * @type: number of the area
 *
 * Context: any.
 */
bool vmi_swap_by_file_system(unsigned int type)
{
	/* the page may be done with: nothing else would keep the area from going */
	struct swap_info_struct *area = area_get(type);
	bool ret;

	if (!area)
		return false;
	ret = vmi_compat_swap_by_file_system(area);
	area_put(area);
	return ret;
}
