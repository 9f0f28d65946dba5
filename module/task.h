/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_TASK_H
#define VMI_TASK_H

#include <linux/bits.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/types.h>

/**
 * struct vmi_fault - a swapped page that is being brought back
 * @mm: for whom; NULL: for nobody's address space, but for a file
 * @va: its address; of the page's beginning
 * @before: how many pages of its mapping lie before it
 * @slot: swp_entry_t.val of its slot
 * @start_ns: when it was first tried
 * @ended: how many faults of the task had ended then
 * @ip: the user instruction that faulted; 0: none
 * @flags: VMINSPECT_EVENT_MAJOR and _RETRIED, of the tries before
 * @source: where it was found so far: VMINSPECT_SOURCE_*
 * @read: was it not in memory in some try?
 * @vma_lock: is this try under the lock of the mapping alone?
 * @collapse: small pages are being collapsed: nobody faulted
 * @ends: is its end seen, whether or not it maps anything? Otherwise it may be over by now, and
 *	@mm gone
 */
struct vmi_fault {
	struct mm_struct *mm;
	u64 va;
	u64 before;
	u64 slot;
	u64 start_ns;
	unsigned long ended;
	u64 ip;
	u32 flags;
	u8 source;
	bool read;
	bool vma_lock;
	bool collapse;
	bool ends;
};

/* What a task may be in the middle of. */
#define VMI_TASK_FAULT		BIT(0)	/* fault is valid; nothing was mapped for it so far */
#define VMI_TASK_RECLAIM	BIT(1)	/* reclaim is valid */
#define VMI_TASK_SWAPOFF	BIT(2)
#define VMI_TASK_SHMEM		BIT(3)	/* shmem is valid */
#define VMI_TASK_READ		BIT(4)	/* zswap_asked is valid */
#define VMI_TASK_RETRY		BIT(5)	/* fault is valid, and may be tried again */

/**
 * struct vmi_task - what a task is in the middle of
 * @task: the task; NULL: the place is free
 * @doing: mask of VMI_TASK_*
 * @reclaim: as what it reclaims: VMINSPECT_AS_*
 * @fault: a page that it brings back
 * @zswap_asked: of the page that it reads zswap was asked
 * @shmem: a page of shared memory that is going out: its inode's number, ...
 */
struct vmi_task {
	struct task_struct *task;
	u32 doing;
	u8 reclaim;
	bool zswap_asked;
	struct vmi_fault fault;
	struct {
		u64 inode;
		u64 index;
		u32 dev;
		const void *folio;
	} shmem;
};

int vmi_task_start(void);
void vmi_task_stop(void);
struct vmi_task *vmi_task_find(void);
struct vmi_task *vmi_task_enter(u32 what);
void vmi_task_leave(struct vmi_task *task, u32 what);
void vmi_task_forget(const struct task_struct *dead);
u64 vmi_task_missed(void);

#endif /* VMI_TASK_H */
