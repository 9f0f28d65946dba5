// SPDX-License-Identifier: GPL-2.0
/*
 * What tasks are in the middle of: known from one probe, needed in another.
 *
 * A place in the table belongs to the task that is written there, from its first
 * vmi_task_enter() to its last vmi_task_leave(); nobody else touches it. So no lock is
 * needed. All of this is called by a task about itself, never in an interrupt, but for
 * vmi_task_forget(): what a dead one was in is left for it, so that places are there for those
 * that live, and none is found by another one that has its address.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/vmalloc.h>
#include <uapi/vminspect.h>

#include "task.h"

#define TASK_BITS	14
#define NR_TASKS	BIT(TASK_BITS)
#define TASK_WINDOW	8U

static struct vmi_task *tasks;

/*
 * How many have not the first place of those where they are looked for. While there are none,
 * nobody has to be looked for further. A task sees its own steps in their order.
 */
static atomic_t nr_displaced;

/* How often there was no place for a task. */
static atomic64_t nr_missed;

/**
 * vmi_task_start() - get ready
 *
 * Return: 0 or ENOMEM
 */
int vmi_task_start(void)
{
	atomic_set(&nr_displaced, 0);
	tasks = vcalloc(NR_TASKS, sizeof(*tasks));
	return tasks ? 0 : -ENOMEM;
}

/**
 * vmi_task_stop() - forget all
 *
 * Nothing calls anything of this file any more.
 */
void vmi_task_stop(void)
{
	vfree(tasks);
	tasks = NULL;
}

static struct vmi_task *task_place(const struct task_struct *task, unsigned int nr)
{
	return &tasks[(hash_ptr(task, TASK_BITS) + nr) & (NR_TASKS - 1)];
}

static struct vmi_task *task_find(const struct task_struct *whose)
{
	struct vmi_task *task = task_place(whose, 0);
	unsigned int nr;

	if (READ_ONCE(task->task) == whose)
		return task;
	if (!atomic_read(&nr_displaced))
		return NULL;
	for (nr = 1; nr < TASK_WINDOW; nr++) {
		task = task_place(whose, nr);
		if (READ_ONCE(task->task) == whose)
			return task;
	}
	return NULL;
}

/**
 * vmi_task_find() - what is the calling task in the middle of?
 *
 * Return: NULL: nothing that is known
 */
struct vmi_task *vmi_task_find(void)
{
	return task_find(current);
}

static struct vmi_task *task_claim(void)
{
	struct vmi_task *task;
	unsigned int nr;

	for (nr = 0; nr < TASK_WINDOW; nr++) {
		task = task_place(current, nr);
		if (READ_ONCE(task->task) || cmpxchg(&task->task, NULL, current))
			continue;
		if (nr)
			atomic_inc(&nr_displaced);
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
	if (task->doing)
		return;
	if (task != task_place(task->task, 0))
		atomic_dec(&nr_displaced);
	smp_store_release(&task->task, NULL);	/* pairs with cmpxchg() */
}

/**
 * vmi_task_forget() - a task is dead: it leaves all that it was in the middle of
 * @dead: the task; the last that is done before its memory is given back
 *
 * Context: any.
 */
void vmi_task_forget(const struct task_struct *dead)
{
	vmi_task_leave(task_find(dead), ~0U);
}
