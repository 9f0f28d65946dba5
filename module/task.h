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
 * @slot: swp_entry_t.val of its slot
 * @start_ns: when it was first tried
 * @source: where it was found so far: VMINSPECT_SOURCE_*
 * @flags: VMINSPECT_EVENT_MAJOR and _RETRIED as of now
 * @pages: how many were mapped
 * @mapped: was it mapped in this try?
 * @read: did a try have to read it?
 * @vma_lock: was this try under the lock of the mapping alone?
 * @collapse: small pages are being collapsed: nobody faulted
 */
struct vmi_fault {
	struct mm_struct *mm;
	u64 va;
	u64 slot;
	u64 start_ns;
	u8 source;
	u32 flags;
	u32 pages;
	bool mapped;
	bool read;
	bool vma_lock;
	bool collapse;
};

/* What a task may be in the middle of. */
#define VMI_TASK_FAULT		BIT(0)	/* fault is valid */
#define VMI_TASK_RECLAIM	BIT(1)	/* reclaim is valid */
#define VMI_TASK_SWAPOFF	BIT(2)
#define VMI_TASK_SHMEM		BIT(3)	/* shmem is valid */
#define VMI_TASK_READ		BIT(4)	/* zswap_asked is valid */

/**
 * struct vmi_task - what a task is in the middle of
 * @task: the task; NULL: the place is free
 * @doing: mask of VMI_TASK_*
 * @reclaim: as what it reclaims: VMINSPECT_AS_*
 * @fault: on its stack of probes
 * @zswap_asked: of the page that it reads zswap was asked
 * @shmem: a page of shared memory that is going out: its inode's number, ...
 */
struct vmi_task {
	struct task_struct *task;
	u32 doing;
	u8 reclaim;
	bool zswap_asked;
	struct vmi_fault *fault;
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
void vmi_task_keep_fault(const struct vmi_fault *fault);
void vmi_task_resume_fault(struct vmi_fault *fault, bool tried);
u64 vmi_task_missed(void);

#endif /* VMI_TASK_H */
