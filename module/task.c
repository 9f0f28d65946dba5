// SPDX-License-Identifier: GPL-2.0
/*
 * What tasks are in the middle of: known from one probe, needed in another.
 *
 * A place in the table belongs to the task that is written there, from its first
 * vmi_task_enter() to its last vmi_task_leave(); nobody else touches it. So no lock is
 * needed. All of this is called by a task about itself, never in an interrupt.
 *
 * Faults that have to be tried again are remembered beside, by place and not by
 * promise: their task may be killed and never try again, and then they are pushed out.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <uapi/vminspect.h>

#include "task.h"

#define TASK_BITS	12
#define NR_TASKS	BIT(TASK_BITS)
#define TASK_WINDOW	8U

#define SET_BITS	9
#define NR_SETS		BIT(SET_BITS)
#define SET_SIZE	8

/**
 * struct retry_set - faults to be tried again, of tasks whose hashes are alike
 * @lock: for all of it
 * @nr: how many there are
 * @tasks: whose; only compared
 * @faults: which
 */
struct retry_set {
	raw_spinlock_t lock;
	unsigned int nr;
	struct task_struct *tasks[SET_SIZE];
	struct vmi_fault faults[SET_SIZE];
};

static struct vmi_task *tasks;
static struct retry_set *sets;

/* How often there was no place for a task. */
static atomic64_t nr_missed;

/**
 * vmi_task_start() - get ready
 *
 * Return: 0 or ENOMEM
 */
int vmi_task_start(void)
{
	unsigned int i;

	tasks = vcalloc(NR_TASKS, sizeof(*tasks));
	sets = vcalloc(NR_SETS, sizeof(*sets));
	if (!tasks || !sets) {
		vmi_task_stop();
		return -ENOMEM;
	}
	for (i = 0; i < NR_SETS; i++)
		raw_spin_lock_init(&sets[i].lock);
	return 0;
}

/**
 * vmi_task_stop() - forget all
 *
 * Nothing calls anything of this file any more.
 */
void vmi_task_stop(void)
{
	vfree(tasks);
	vfree(sets);
	tasks = NULL;
	sets = NULL;
}

static struct vmi_task *task_place(unsigned int nr)
{
	return &tasks[(hash_ptr(current, TASK_BITS) + nr) & (NR_TASKS - 1)];
}

/**
 * vmi_task_find() - what is the calling task in the middle of?
 *
 * Return: NULL: nothing that is known
 */
struct vmi_task *vmi_task_find(void)
{
	struct vmi_task *task;
	unsigned int nr;

	for (nr = 0; nr < TASK_WINDOW; nr++) {
		task = task_place(nr);
		if (READ_ONCE(task->task) == current)
			return task;
	}
	return NULL;
}

static struct vmi_task *task_claim(void)
{
	struct vmi_task *task;
	unsigned int nr;

	for (nr = 0; nr < TASK_WINDOW; nr++) {
		task = task_place(nr);
		if (!READ_ONCE(task->task) && !cmpxchg(&task->task, NULL, current))
			return task;
	}
	atomic64_inc(&nr_missed);
	return NULL;
}

/**
 * vmi_task_missed() - how often something that a task does was not noted
 *
 * Return: how often since the module was loaded
 */
u64 vmi_task_missed(void)
{
	return atomic64_read(&nr_missed);
}

/**
 * vmi_task_enter() - the calling task begins something
 * @what: VMI_TASK_*
 *
 * Return: its place, for vmi_task_leave(); NULL: there is none free, so that it won't be
 * known
 */
struct vmi_task *vmi_task_enter(u32 what)
{
	struct vmi_task *task = vmi_task_find() ?: task_claim();

	if (task)
		task->doing |= what;
	return task;
}

/**
 * vmi_task_leave() - the calling task ends something
 * @task: its place, or NULL
 * @what: VMI_TASK_*
 */
void vmi_task_leave(struct vmi_task *task, u32 what)
{
	if (!task)
		return;
	task->doing &= ~what;
	if (!task->doing)
		smp_store_release(&task->task, NULL);	/* pairs with cmpxchg() */
}

static struct retry_set *retry_set(void)
{
	return &sets[hash_ptr(current, SET_BITS)];
}

static unsigned int retry_oldest(const struct retry_set *set)
{
	unsigned int oldest = 0, i;

	for (i = 0; i < SET_SIZE; i++) {
		if (!set->tasks[i])
			return i;
		if (set->faults[i].start_ns < set->faults[oldest].start_ns)
			oldest = i;
	}
	return oldest;
}

/**
 * vmi_task_keep_fault() - the calling task's fault will be tried again
 * @fault: what is known of it
 */
void vmi_task_keep_fault(const struct vmi_fault *fault)
{
	struct retry_set *set = retry_set();
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&set->lock, flags);
	i = retry_oldest(set);
	set->nr += !set->tasks[i];
	set->tasks[i] = current;
	set->faults[i] = *fault;
	raw_spin_unlock_irqrestore(&set->lock, flags);
}

static bool retry_same(const struct retry_set *set, unsigned int i,
		       const struct vmi_fault *fault)
{
	const struct vmi_fault *kept = &set->faults[i];

	return kept->mm == fault->mm && kept->va == fault->va && kept->slot == fault->slot;
}

/*
 * A try under the lock of the mapping alone comes first. The kernel says of the next one that
 * it is another only if the first was a major one; otherwise that may be it. A task has one
 * fault at a time: all else means that it gave up (do_user_addr_fault() in
 * arch/x86/mm/fault.c), and faults anew.
 */
static bool retry_untold(const struct vmi_fault *kept, const struct vmi_fault *fault)
{
	return kept->vma_lock && !fault->vma_lock && !(kept->flags & VMINSPECT_EVENT_MAJOR);
}

/**
 * vmi_task_resume_fault() - the calling task faults
 * @fault: on what; if this is another try, what is known of the first is added
 * @tried: the kernel says that it is one
 */
void vmi_task_resume_fault(struct vmi_fault *fault, bool tried)
{
	struct retry_set *set = retry_set();
	unsigned long flags;
	unsigned int i;

	if (!READ_ONCE(set->nr))	/* what this task kept it has seen itself */
		return;
	raw_spin_lock_irqsave(&set->lock, flags);
	for (i = 0; i < SET_SIZE; i++) {
		if (set->tasks[i] != current)
			continue;
		if (retry_same(set, i, fault) && (tried || retry_untold(&set->faults[i], fault)))
			*fault = set->faults[i];
		set->tasks[i] = NULL;
		set->nr--;
	}
	raw_spin_unlock_irqrestore(&set->lock, flags);
}
