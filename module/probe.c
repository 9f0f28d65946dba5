// SPDX-License-Identifier: GPL-2.0
/*
 * Where the swap path is hooked: return probes and ftrace callbacks at functions, probes
 * at tracepoints, and the records that they make.
 *
 * They are attached with the first reader or tracepoint that wants what they see and
 * detached, all of them, with the last. Each makes its record from what it has at hand:
 * it takes no lock that sleeps, and resolves no path.
 *
 * Return probes stand at functions that tasks call, never interrupts: a probe that hits
 * inside another one on the same processor is passed over by the kernel (kprobe_running()
 * in kernel/kprobes.c), and interrupts are on in handlers. Where the entry is enough, or an
 * interrupt calls, a callback of ftrace is used, which knows no such limit and costs a fifth.
 *
 * A task that sleeps in a probed function is no obstacle to detaching, nor to unloading:
 * it returns into the kernel's own trampoline, which finds that there is no handler any
 * more (rethook_free() and rethook_trampoline_handler() in kernel/trace/rethook.c).
 */
#include <linux/bio.h>
#include <linux/cgroup.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "entry.h"
#include "event.h"
#include "flight.h"
#include "owner.h"
#include "probe.h"
#include "swap.h"
#include "task.h"
#include "walk.h"

static char *avoid = "";
module_param(avoid, charp, 0444);
MODULE_PARM_DESC(avoid, "functions and tracepoints to leave alone, separated by commas");

/* Of a process, to find one that has not exited yet. */
#define THREADS_LOOKED_AT	16

/* Kinds that somebody wants at the moment. What else a probe sees has no record. */
static u32 wanted_kinds;

static bool probe_wanted(u8 kind)
{
	return READ_ONCE(wanted_kinds) & BIT(kind);
}

/* ---- Records ---- */

/**
 * struct making - a record being made
 * @event: the record
 * @owner: what filters need besides
 *
 * Made and used in one RCU section.
 */
struct making {
	struct vminspect_event event;
	struct vmi_owner owner;
};

static void making_start(struct making *making, u8 kind, u64 slot, u32 pages)
{
	swp_entry_t entry = { .val = slot };

	memset(making, 0, sizeof(*making));
	making->event.kind = kind;
	making->event.latency_ns = VMINSPECT_UNKNOWN;
	making->event.swap_type = swp_type(entry);
	making->event.offset = swp_offset(entry);
	making->event.pages = pages;
}

static void making_actor(struct making *making, u8 as)
{
	making->event.as = as;
	making->event.actor_pid = task_tgid_nr(current);
	making->event.actor_tid = task_pid_nr(current);
	memcpy(making->event.actor_comm, current->comm, sizeof(making->event.actor_comm));
}

static void making_va(struct making *making, u64 va)
{
	making->event.va = va;
	making->event.flags |= VMINSPECT_EVENT_VA;
}

static void making_cgroup(struct making *making, struct cgroup *cgroup)
{
	if (cgroup->root != &cgrp_dfl_root)	/* ids of v1 say nothing here */
		return;
	making->owner.cgroup = cgroup;
	making->event.cgroup = cgroup_id(cgroup);
}

static void making_owner_task(struct making *making, struct task_struct *task)
{
	making->event.pid = task_tgid_nr(task);
	/* Not get_task_comm(): its lock may be held by whom the probe interrupts. */
	memcpy(making->event.comm, task->comm, sizeof(making->event.comm));
	making_cgroup(making, task_dfl_cgroup(task));
}

/*
 * @mm: in use. Its owner is NULL once its last task has exited (mm_update_next_owner());
 * while it is being made by fork, it is a task that has no pid of its own yet.
 */
static void making_owner(struct making *making, struct mm_struct *mm)
{
#ifdef CONFIG_MEMCG
	struct task_struct *task = rcu_dereference(mm->owner);

	if (task && pid_task(task_pid(task), PIDTYPE_PID) == task)
		making_owner_task(making, task);
#endif
	making->owner.mm = mm;
}

/* Does a process run in that address space? Its first thread may have exited. */
static bool process_has_mm(struct task_struct *process, const struct mm_struct *mm)
{
	struct task_struct *thread;
	unsigned int nr = 0;

	for_each_thread(process, thread) {
		if (READ_ONCE(thread->mm) == mm)
			return true;
		if (++nr == THREADS_LOOKED_AT)
			break;
	}
	return false;
}

/*
 * The owner that was remembered. It may have exited, and its pid and its mm may be
 * others' by now: it is one only as long as both belong together.
 */
static void making_remembered(struct making *making, const struct vmi_slot *known)
{
	struct task_struct *process =
		pid_task(find_pid_ns(known->pid, &init_pid_ns), PIDTYPE_TGID);

	if (!process || !process_has_mm(process, known->mm))
		return;
	making->owner.mm = known->mm;
	making_owner_task(making, process);
	making_va(making, known->va);
}

/* @folio: locked, or under writeback: it stays charged to the same cgroup. */
static void making_charge(struct making *making, struct folio *folio)
{
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg = folio_memcg(folio);

	if (memcg && !making->owner.cgroup)
		making_cgroup(making, memcg->css.cgroup);
#endif
}

static void making_record(struct making *making)
{
	vmi_event_record(&making->event,
			 vmi_event_wanted_by(&making->event, &making->owner));
}

/* ---- What the calling task is doing ---- */

static bool is_khugepaged(void)
{
	return current->flags & PF_KTHREAD && !strcmp(current->comm, "khugepaged");
}

/* As what does the calling task push pages out? */
static u8 pushing_as(void)
{
	const struct vmi_task *task = vmi_task_find();

	if (current_is_kswapd())
		return VMINSPECT_AS_KSWAPD;
	if (is_khugepaged())
		return VMINSPECT_AS_KHUGEPAGED;
	if (task && task->doing & VMI_TASK_RECLAIM)
		return task->reclaim;
	if (task && task->doing & VMI_TASK_SWAPOFF)
		return VMINSPECT_AS_SWAPOFF;
	/* A reclaim has a state; if it is not known here it began before we did. */
	if (current->flags & PF_KTHREAD || current->reclaim_state)
		return VMINSPECT_AS_OTHER;
	return VMINSPECT_AS_MADVISE;
}

/* As what does it, being in the middle of that, bring them back for @mm? */
static u8 pulling_as(const struct vmi_task *task, const struct mm_struct *mm)
{
	if (task && task->doing & VMI_TASK_SWAPOFF)
		return VMINSPECT_AS_SWAPOFF;
	if (is_khugepaged())
		return VMINSPECT_AS_KHUGEPAGED;
	return mm && mm == current->mm ? VMINSPECT_AS_FAULT : VMINSPECT_AS_OTHER;
}

/* As what does it read without bringing back a page? A process does so by advice. */
static u8 reading_as(const struct vmi_task *task)
{
	u8 as = pulling_as(task, NULL);

	if (as == VMINSPECT_AS_OTHER && !(current->flags & PF_KTHREAD))
		as = VMINSPECT_AS_MADVISE;	/* MADV_WILLNEED */
	return as;
}

/* The page that the calling task brings back, or NULL. */
static struct vmi_fault *task_fault(struct vmi_task *task)
{
	return task && task->doing & VMI_TASK_FAULT ? &task->fault : NULL;
}

static bool fault_asks_for(const struct vmi_fault *fault, u64 slot, u32 pages)
{
	return fault->slot >= slot && fault->slot - slot < pages;
}

/* A page is read: if it is the one that the fault under way asked for, from there. */
static void fault_reads(u64 slot, u32 pages, u8 source)
{
	struct vmi_fault *fault = task_fault(vmi_task_find());

	if (!fault || !fault_asks_for(fault, slot, pages))
		return;
	fault->read = true;
	fault->source = source;
}

/* ---- Pages that come back ---- */

/*
 * A page of an address space comes back where it is mapped over the entry that do_swap_page()
 * was called for: see mapped_in_fault(). Nothing waits for the return of that function, which
 * would cost as much as all else. What its tries found out is kept for the task until then; of
 * tries that map nothing it stays, and the next fault takes its place.
 */

static unsigned long faults_ended(void)
{
	return current->min_flt + current->maj_flt;	/* mm_account_fault() */
}

/*
 * A try under the lock of the mapping alone comes first. The kernel says of the next one that
 * it is another only if the first was a major one; otherwise that may be it.
 */
static bool retry_untold(const struct vmi_fault *before, const struct vmi_fault *fault)
{
	return before->vma_lock && !fault->vma_lock && !before->read;
}

/*
 * Is it the same fault that is tried again? A task has one at a time, and one that ends is
 * counted, unless it fails. Without the kernel's word it is another: the one before was given
 * up for a signal (do_user_addr_fault() in arch/x86/mm/fault.c).
 */
static bool fault_is_retry(const struct vmi_task *task, const struct vmi_fault *fault,
			   bool tried)
{
	const struct vmi_fault *before = &task->fault;

	if (!(task->doing & (VMI_TASK_FAULT | VMI_TASK_RETRY)))
		return false;
	return before->mm == fault->mm && before->va == fault->va &&
	       before->slot == fault->slot && before->ended == fault->ended &&
	       (tried || retry_untold(before, fault));
}

/* mm_account_fault(): a fault that was tried before is a major one. */
static void fault_begin(const struct vm_fault *vmf)
{
	bool tried = vmf->flags & FAULT_FLAG_TRIED;
	struct vmi_fault fault = {
		.mm = vmf->vma->vm_mm,
		.va = vmf->address & PAGE_MASK,
		.before = (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT,
		.ended = faults_ended(),
		.flags = tried ? VMINSPECT_EVENT_MAJOR | VMINSPECT_EVENT_RETRIED : 0,
		.vma_lock = vmi_compat_fault_vma_lock(vmf->flags),
		/* __collapse_huge_page_swapin() */
		.collapse = vmf->flags == FAULT_FLAG_ALLOW_RETRY,
	};
	struct vmi_task *task;

	if (!vmi_entry_swapped(pte_val(vmf->orig_pte), &fault.slot))
		return;		/* migrating and the like: not of swap */
	task = vmi_task_enter(0);
	if (!task)
		return;
	if (fault_is_retry(task, &fault, tried)) {
		fault.start_ns = task->fault.start_ns;
		fault.source = task->fault.source;
		fault.read = task->fault.read;
		fault.flags |= VMINSPECT_EVENT_RETRIED;
	} else {
		fault.start_ns = ktime_get_ns();
	}
	if (vmf->flags & FAULT_FLAG_USER)
		fault.ip = task_pt_regs(current)->ip;
	task->fault = fault;
	task->doing = (task->doing & ~VMI_TASK_RETRY) | VMI_TASK_FAULT;
}

/* Does swap_page() see what swap_page_entry() sees? Then that leaves it to it. */
static bool noted_at_entry;

static void swap_page(struct ftrace_regs *regs)
{
	fault_begin((const struct vm_fault *)vmi_compat_ftrace_argument(regs, 0));
}

static int swap_page_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct vm_fault *vmf = (const struct vm_fault *)vmi_compat_argument(regs, 0);
	struct vmi_fault *fault;

	if (!READ_ONCE(noted_at_entry))
		fault_begin(vmf);
	fault = task_fault(vmi_task_find());
	/* Not one before, if this is none that is noted. */
	if (fault && fault->mm == vmf->vma->vm_mm && fault->va == (vmf->address & PAGE_MASK))
		fault->ends = true;
	return 0;
}

/* It is over, whether or not it mapped anything: what is read from now on is not for it. */
static int swap_page_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	vm_fault_t ret = (__force vm_fault_t)regs_return_value(regs);
	struct vmi_task *task = vmi_task_find();

	if (!task_fault(task))
		return 0;
	if (ret & VM_FAULT_RETRY)
		task->doing |= VMI_TASK_RETRY;
	vmi_task_leave(task, VMI_TASK_FAULT);
	return 0;
}

/* It is not in the swap cache: that makes a fault a major one, whoever reads it in the end. */
static void swap_in(struct ftrace_regs *regs)
{
	struct vmi_fault *fault = task_fault(vmi_task_find());

	if (fault)
		fault->read = true;
}

static void fault_making(struct making *making, const struct vmi_fault *fault, u8 as)
{
	making_start(making, VMINSPECT_EVENT_SWAP_IN, fault->slot, 1);
	making->event.latency_ns = ktime_get_ns() - fault->start_ns;
	making->event.ip = fault->ip;
	making->event.source = fault->source;
	making->event.flags = fault->flags;
	making_actor(making, as);
	if (fault->mm) {
		making_owner(making, fault->mm);
		making_va(making, fault->va);
	}
}

/**
 * struct shmem_in_call - a call of shmem_swapin_folio()
 * @task: the caller's place
 * @inode: number of the file
 * @index: page in it
 * @dev: its file system
 * @major: where it says that this is a major fault; NULL: no fault
 * @foliop: where it leaves the page, charged and locked
 */
struct shmem_in_call {
	struct vmi_task *task;
	u64 inode;
	u64 index;
	u32 dev;
	const vm_fault_t *major;
	struct folio **foliop;
};

/* One entry of the page cache may stand for several slots, which follow one another. */
static u64 shmem_in_slot(const struct inode *inode, u64 index, swp_entry_t first)
{
	XA_STATE(xas, &inode->i_mapping->i_pages, index);
	u64 inside = 0;

	rcu_read_lock();
	if (xa_is_value(xas_load(&xas)))
		inside = index - round_down(index, 1UL << vmi_compat_xas_get_order(&xas));
	rcu_read_unlock();
	return first.val + inside;
}

static int shmem_in_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct inode *inode = (struct inode *)vmi_compat_argument(regs, 0);
	struct folio **foliop = (struct folio **)vmi_compat_argument(regs, 2);
	struct shmem_in_call *call = (struct shmem_in_call *)ri->data;
	struct vm_area_struct *vma = vmi_compat_shmem_vma(regs);
	struct vmi_fault *fault;
	void *slot = *foliop;
	swp_entry_t entry;

	if (!xa_is_value(slot))
		return 1;
	entry = radix_to_swp_entry(slot);
	if (swp_type(entry) >= MAX_SWAPFILES)
		return 1;	/* what can't be read any more */
	call->task = vmi_task_enter(VMI_TASK_FAULT);
	if (!call->task)
		return 1;
	call->inode = inode->i_ino;
	call->dev = inode->i_sb->s_dev;
	call->index = vmi_compat_argument(regs, 1);
	call->major = (vm_fault_t *)vmi_compat_argument(regs, 6);
	call->foliop = foliop;
	fault = &call->task->fault;
	*fault = (struct vmi_fault){
		.slot = shmem_in_slot(inode, call->index, entry),
		.start_ns = ktime_get_ns(),
		.ends = true,
	};
	if (vma) {
		fault->mm = vma->vm_mm;
		fault->before = call->index - vma->vm_pgoff;
		fault->va = vma->vm_start + (fault->before << PAGE_SHIFT);
	}
	return 0;
}

/* Those before the one that was asked for came back with it; not all need be in the mapping. */
static void shmem_in_several(struct vminspect_event *event, const struct shmem_in_call *call)
{
	struct folio *folio = *call->foliop;
	u64 skip = call->index - folio->index;

	event->pages = folio_nr_pages(folio);
	event->offset -= skip;
	event->index -= skip;
	if (!(event->flags & VMINSPECT_EVENT_VA))
		return;
	event->va -= skip << PAGE_SHIFT;
	if (skip > call->task->fault.before) {
		event->va = 0;
		event->flags &= ~VMINSPECT_EVENT_VA;
	}
}

static void shmem_in_record(const struct shmem_in_call *call, const struct vmi_fault *fault)
{
	struct making making;

	rcu_read_lock();
	fault_making(&making, fault, pulling_as(call->task, fault->mm));
	making.event.inode = call->inode;
	making.event.index = call->index;
	making.event.dev = call->dev;
	shmem_in_several(&making.event, call);
	making_charge(&making, *call->foliop);
	making_record(&making);
	rcu_read_unlock();
}

static int shmem_in_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct shmem_in_call *call = (struct shmem_in_call *)ri->data;
	struct vmi_fault *fault = &call->task->fault;

	fault->flags = VMINSPECT_EVENT_SHMEM;
	/* On the stack of the caller, which has not gone on yet. */
	if (call->major && *call->major & VM_FAULT_MAJOR)
		fault->flags |= VMINSPECT_EVENT_MAJOR;
	if (!fault->source)
		fault->source = fault->flags & VMINSPECT_EVENT_MAJOR ?
				vmi_swap_source(swp_type((swp_entry_t){ fault->slot })) :
				VMINSPECT_SOURCE_CACHE;
	if (!(int)regs_return_value(regs) && probe_wanted(VMINSPECT_EVENT_SWAP_IN))
		shmem_in_record(call, fault);
	vmi_task_leave(call->task, VMI_TASK_FAULT);
	return 0;
}

/* A call of something that a task is in the middle of: its place, if there was one. */
struct task_call {
	struct vmi_task *task;
};

/* What swapoff brings back for an address space, or for a file. */
static int swapoff_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct task_call *call = (struct task_call *)ri->data;

	call->task = vmi_task_enter(VMI_TASK_SWAPOFF);
	return 0;
}

static int swapoff_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct task_call *call = (struct task_call *)ri->data;

	vmi_task_leave(call->task, VMI_TASK_SWAPOFF);
	return 0;
}

/*
 * Pages are being mapped by a task that brings one back: is it that one? The lock of the
 * entry is held, and if the page's slot still stands there it is about to be replaced. So a
 * fault that mapped nothing, and was not forgotten yet, is not taken for one that did; nor
 * is what a migration maps within the fault, for want of memory, or a copy that is made at
 * once of what was mapped.
 */
static void mapped_in_fault(struct vmi_task *task, struct mm_struct *mm, u64 va,
			    unsigned int pages)
{
	struct vmi_fault *fault = &task->fault;
	struct making making;
	u64 slot;
	u8 as;

	if (mm != fault->mm || fault->va - va >= (u64)pages * PAGE_SIZE)
		return;
	rcu_read_lock();
	if (!vmi_entry_swapped(vmi_walk_peek(mm, fault->va), &slot) || slot != fault->slot)
		goto unlock;
	/* Who collapses small pages calls without a fault that could be counted. */
	if (fault->read && !fault->collapse)
		fault->flags |= VMINSPECT_EVENT_MAJOR;
	if (!fault->source)
		fault->source = fault->read ? vmi_swap_source(swp_type((swp_entry_t){ slot })) :
				VMINSPECT_SOURCE_CACHE;
	as = pulling_as(task, mm);
	if (fault->collapse && as == VMINSPECT_AS_FAULT)
		as = VMINSPECT_AS_MADVISE;	/* MADV_COLLAPSE */
	fault_making(&making, fault, as);
	making.event.pages = pages;
	making.event.offset -= (fault->va - va) >> PAGE_SHIFT;
	making.event.va = va;
	making_record(&making);
	vmi_task_leave(task, VMI_TASK_FAULT);
unlock:
	rcu_read_unlock();
}

static void mapped_by_swapoff(struct mm_struct *mm, u64 va, u64 slot, unsigned int pages)
{
	struct making making;

	rcu_read_lock();
	making_start(&making, VMINSPECT_EVENT_SWAP_IN, slot, pages);
	making_actor(&making, VMINSPECT_AS_SWAPOFF);
	making_owner(&making, mm);
	making_va(&making, va);
	making_record(&making);
	rcu_read_unlock();
}

/*
 * An anonymous page is being mapped: in a fault, which may map several at once, or by
 * swapoff, which holds the lock of the entry: that still stands, and says which slot it was.
 * The page does not: of KSM it may be a copy.
 */
static void mapped_at(struct mm_struct *mm, u64 va, unsigned int pages)
{
	struct vmi_task *task;
	u64 slot;

	if (!probe_wanted(VMINSPECT_EVENT_SWAP_IN))
		return;
	task = vmi_task_find();
	if (!task)
		return;
	if (!(task->doing & VMI_TASK_SWAPOFF)) {
		if (task_fault(task))
			mapped_in_fault(task, mm, va, pages);
	} else if (vmi_entry_swapped(vmi_walk_peek(mm, va), &slot)) {
		mapped_by_swapoff(mm, va, slot, pages);
	}
}

static void mapped(struct ftrace_regs *regs)
{
	struct vm_area_struct *vma = (struct vm_area_struct *)
		vmi_compat_ftrace_argument(regs, VMI_COMPAT_MAPPED_VMA);

	mapped_at(vma->vm_mm, vmi_compat_ftrace_argument(regs, VMI_COMPAT_MAPPED_ADDRESS),
		  vmi_compat_mapped_pages(regs));
}

/* One that nobody had before: read into a page of its own, or a copy. */
static void mapped_new(struct ftrace_regs *regs)
{
	struct folio *folio = page_folio((struct page *)vmi_compat_ftrace_argument(regs, 0));
	struct vm_area_struct *vma =
		(struct vm_area_struct *)vmi_compat_ftrace_argument(regs, 1);

	mapped_at(vma->vm_mm, vmi_compat_ftrace_argument(regs, 2), folio_nr_pages(folio));
}

/* ---- Pages that go out ---- */

/**
 * struct unmap_call - a call of try_to_unmap_one()
 * @folio: of what; locked
 * @mm: out of which address space
 * @va: of the first page that may be mapped there
 * @slot: its slot; those of the others follow
 * @nr: how many
 * @before: which of them had given way before
 */
struct unmap_call {
	struct folio *folio;
	struct mm_struct *mm;
	u64 va;
	u64 slot;
	u32 nr;
	DECLARE_BITMAP(before, HPAGE_PMD_NR);
};

static bool unmap_is_out(const struct unmap_call *call, u32 nr)
{
	u64 slot;

	return vmi_entry_swapped(vmi_walk_peek(call->mm, call->va + nr * PAGE_SIZE), &slot) &&
	       slot == call->slot + nr;
}

/* The part of the folio that is in this mapping: see vma_address() in mm/internal.h. */
static void unmap_part(struct unmap_call *call, struct folio *folio,
		       const struct vm_area_struct *vma)
{
	unsigned long skip;

	call->nr = folio_nr_pages(folio);
	if (call->nr == 1)
		return;
	skip = vma->vm_pgoff + ((call->va - vma->vm_start) >> PAGE_SHIFT) - folio->index;
	call->slot += skip;
	call->nr = min3(call->nr - skip, (unsigned long)HPAGE_PMD_NR,
			(vma->vm_end - (unsigned long)call->va) >> PAGE_SHIFT);
}

static int unmap_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct folio *folio = (struct folio *)vmi_compat_argument(regs, 0);
	const struct vm_area_struct *vma =
		(struct vm_area_struct *)vmi_compat_argument(regs, 1);
	struct unmap_call *call = (struct unmap_call *)ri->data;
	u32 i;

	/* Others are dropped, or belong to a file: shared memory is seen elsewhere. */
	if (!folio_test_anon(folio) || !folio_test_swapcache(folio))
		return 1;
	call->folio = folio;
	call->mm = vma->vm_mm;
	call->va = vmi_compat_argument(regs, 2);
	call->slot = vmi_compat_folio_slot(folio);
	unmap_part(call, folio, vma);
	bitmap_zero(call->before, HPAGE_PMD_NR);
	rcu_read_lock();
	for (i = 0; i < call->nr; i++)
		if (unmap_is_out(call, i))
			__set_bit(i, call->before);
	rcu_read_unlock();
	return 0;
}

static void unmap_remember(const struct unmap_call *call, u32 from, u32 to, u32 pid)
{
	struct vmi_slot known = { .mm = call->mm, .pid = pid, .folio = call->folio };

	for (; from < to; from++) {
		known.slot = call->slot + from;
		known.va = call->va + from * PAGE_SIZE;
		vmi_owner_set(&known);
	}
}

static void unmap_record(const struct unmap_call *call, u32 from, u32 to)
{
	struct making making;

	making_start(&making, VMINSPECT_EVENT_SWAP_OUT, call->slot + from, to - from);
	making_owner(&making, call->mm);
	unmap_remember(call, from, to, making.event.pid);
	if (!probe_wanted(VMINSPECT_EVENT_SWAP_OUT))
		return;
	making_actor(&making, pushing_as());
	making_va(&making, call->va + from * PAGE_SIZE);
	making_charge(&making, call->folio);
	making_record(&making);
}

/*
 * What the function returns does not say which pages gave way, so their entries are
 * looked at. The lock of the rmap is still held, by the caller: the mapping's tables are
 * there (see vmi_walk_peek()), and the folio is locked, so that none came back yet.
 */
static int unmap_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct unmap_call *call = (struct unmap_call *)ri->data;
	u32 i, from = 0;

	rcu_read_lock();
	for (i = 0; i < call->nr; i++) {
		if (!test_bit(i, call->before) && unmap_is_out(call, i))
			continue;
		if (from < i)
			unmap_record(call, from, i);
		from = i + 1;
	}
	if (from < i)
		unmap_record(call, from, i);
	rcu_read_unlock();
	return 0;
}

/* The folio is locked: it stays in its file as long. */
static int shmem_out_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct folio *folio =
		page_folio((struct page *)vmi_compat_argument(regs,
							      VMI_COMPAT_SHMEM_WRITE_FOLIO));
	struct task_call *call = (struct task_call *)ri->data;
	const struct inode *inode = folio->mapping->host;
	struct vmi_task *task = vmi_task_enter(VMI_TASK_SHMEM);

	call->task = task;
	if (task) {
		task->shmem.inode = inode->i_ino;
		task->shmem.dev = inode->i_sb->s_dev;
		task->shmem.index = folio->index;
		task->shmem.folio = folio;
	}
	return 0;
}

static int shmem_out_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct task_call *call = (struct task_call *)ri->data;

	vmi_task_leave(call->task, VMI_TASK_SHMEM);
	return 0;
}

/*
 * A page goes from the swap cache to its slot. One of shared memory has left its file by
 * now, and the slot stands there.
 */
static void writing(struct ftrace_regs *regs)
{
	struct folio *folio = page_folio((struct page *)
		vmi_compat_ftrace_argument(regs, VMI_COMPAT_WRITE_FOLIO));
	const struct vmi_task *task = vmi_task_find();
	bool shared = task && (task->doing & VMI_TASK_SHMEM) && task->shmem.folio == folio;
	u64 slot = vmi_compat_folio_slot(folio);
	struct making making;
	long i;

	for (i = 0; i < folio_nr_pages(folio); i++) {
		vmi_owner_written(slot + i);
		if (shared)	/* whoever had the slot before does not own this */
			vmi_owner_clear(slot + i);
	}
	if (!shared || !probe_wanted(VMINSPECT_EVENT_SWAP_OUT))
		return;
	rcu_read_lock();
	making_start(&making, VMINSPECT_EVENT_SWAP_OUT, slot, folio_nr_pages(folio));
	making.event.flags = VMINSPECT_EVENT_SHMEM;
	making.event.inode = task->shmem.inode;
	making.event.index = task->shmem.index;
	making.event.dev = task->shmem.dev;
	making_actor(&making, pushing_as());
	making_charge(&making, folio);
	making_record(&making);
	rcu_read_unlock();
}

/* ---- Reading and writing ---- */

/**
 * struct io_call - a call that reads or writes a page
 * @folio: the page; the caller holds a reference until it goes on
 * @task: read: the caller's place, if there was one
 * @key: in flight; 0: nobody wants to know
 * @start_ns: since when
 * @slot: read, and zswap: the slot
 */
struct io_call {
	struct folio *folio;
	struct vmi_task *task;
	u64 key;
	u64 start_ns;
	u64 slot;
};

/*
 * In the RCU section in which it was taken out of flight: who closes a reader waits for
 * those that may still hold its bit.
 */
static void flight_record(struct vmi_flight *flight, u8 source, bool failed)
{
	struct vminspect_event *event = &flight->event;

	event->latency_ns = ktime_get_ns() - flight->start_ns;
	event->source = source ?: event->source ?: vmi_swap_source(event->swap_type);
	if (failed)
		event->flags |= VMINSPECT_EVENT_FAILED;
	vmi_event_record(event, flight->readers);
}

/*
 * Whose page is it, and who wants it? A fault that asks for it knows best, if its end is seen: any
 * other may have been given up long ago, and its mm be gone.
 */
static void read_making(struct making *making, struct folio *folio, u64 slot, u32 pages)
{
	struct vmi_task *task = vmi_task_find();
	const struct vmi_fault *under_way = task_fault(task);
	const struct vmi_fault *fault = under_way && under_way->ends ? under_way : NULL;
	bool asked = fault && fault_asks_for(fault, slot, pages);
	u64 skip = asked ? fault->slot - slot : 0;
	struct vmi_slot known;

	making_start(making, VMINSPECT_EVENT_READ, slot, pages);
	making_actor(making, fault ? pulling_as(task, fault->mm) : reading_as(task));
	if (asked && fault->mm) {
		making_owner(making, fault->mm);
		if (skip <= fault->before)	/* else the first one lies outside of the mapping */
			making_va(making, fault->va - (skip << PAGE_SHIFT));
	} else if (vmi_owner_get(slot, &known)) {
		making_remembered(making, &known);
	}
	if (!asked && making->event.as != VMINSPECT_AS_SWAPOFF)
		making->event.flags |= VMINSPECT_EVENT_READAHEAD;
	making_charge(making, folio);
}

static void write_making(struct making *making, struct folio *folio, u64 slot, u32 pages)
{
	struct vmi_slot known;

	making_start(making, VMINSPECT_EVENT_WRITE, slot, pages);
	making_actor(making, pushing_as());
	if (vmi_owner_get(slot, &known))
		making_remembered(making, &known);
	making_charge(making, folio);
}

/* It is on its way from here on. */
static void io_start(struct io_call *call, struct making *making)
{
	struct vmi_flight flight = { .event = making->event, .start_ns = ktime_get_ns() };
	swp_entry_t entry = { .val = vmi_compat_folio_slot(call->folio) };

	flight.event.source = vmi_swap_source(swp_type(entry));
	call->key = vmi_flight_key(making->event.kind, entry.val);
	call->start_ns = flight.start_ns;
	if (!vmi_flight_add(call->key, &flight, &making->owner))
		vmi_event_record(&flight.event, flight.readers);
}

/* @source: as in flight_record(): 0: as it was thought to be */
static void io_end(const struct io_call *call, u8 source, bool failed)
{
	struct vmi_flight flight;

	if (!call->key)
		return;
	rcu_read_lock();
	if (vmi_flight_take(call->key, call->start_ns, &flight))
		flight_record(&flight, source, failed);
	rcu_read_unlock();
}

/* A file system reads or writes: when it is done can't be seen. */
static bool io_by_file_system(const struct io_call *call)
{
	swp_entry_t entry = { .val = vmi_flight_slot(call->key) };
	struct vmi_flight flight;

	if (!call->key || !vmi_swap_by_file_system(swp_type(entry)))
		return false;
	rcu_read_lock();
	if (vmi_flight_take(call->key, call->start_ns, &flight))
		vmi_event_record(&flight.event, flight.readers);
	rcu_read_unlock();
	return true;
}

/*
 * Where does the page come from that a fault asked for? First a page is read at all; then
 * zswap is asked, unless the page is known to be one of zeroes; and if that has it not, told that
 * a device has to be read.
 */
static void fault_reads_at(struct folio *folio)
{
	swp_entry_t entry = { .val = vmi_compat_folio_slot(folio) };

	fault_reads(entry.val, folio_nr_pages(folio),
		    vmi_compat_swap_keeps_zeroes() ? VMINSPECT_SOURCE_ZERO :
		    vmi_swap_source(swp_type(entry)));
}

static void reading(struct ftrace_regs *regs)
{
	fault_reads_at(page_folio((struct page *)
		       vmi_compat_ftrace_argument(regs, VMI_COMPAT_READ_FOLIO)));
}

static void fault_asks_zswap(struct folio *folio)
{
	fault_reads(vmi_compat_folio_slot(folio), folio_nr_pages(folio), VMINSPECT_SOURCE_ZSWAP);
}

static void zswap_asked(struct ftrace_regs *regs)
{
	fault_asks_zswap((struct folio *)vmi_compat_ftrace_argument(regs, 0));
}

static void zswap_lacks(struct ftrace_regs *regs)
{
	struct folio *folio = (struct folio *)vmi_compat_ftrace_argument(regs, 0);
	swp_entry_t entry = { .val = vmi_compat_folio_slot(folio) };

	fault_reads(entry.val, folio_nr_pages(folio), vmi_swap_source(swp_type(entry)));
}

static int read_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct folio *folio =
		page_folio((struct page *)vmi_compat_argument(regs, VMI_COMPAT_READ_FOLIO));
	struct io_call *call = (struct io_call *)ri->data;
	struct making making;

	*call = (struct io_call){ .folio = folio, .slot = vmi_compat_folio_slot(folio) };
	if (probe_wanted(VMINSPECT_EVENT_READ)) {
		rcu_read_lock();
		read_making(&making, folio, call->slot, folio_nr_pages(folio));
		io_start(call, &making);
		rcu_read_unlock();
	}
	call->task = vmi_task_enter(VMI_TASK_READ);
	if (call->task)
		call->task->zswap_asked = false;
	fault_reads_at(folio);
	return 0;
}

/* Where was it read from, as far as can be told without zswap's answer? */
static u8 read_source(const struct io_call *call)
{
	if (vmi_compat_swap_keeps_zeroes() && call->task && !call->task->zswap_asked &&
	    folio_test_uptodate(call->folio))
		return VMINSPECT_SOURCE_ZERO;
	return vmi_swap_source(swp_type((swp_entry_t){ call->slot }));
}

/*
 * What was read at once is known by the page being up to date: read_done() comes
 * before that, so that it is either done by now, or was not needed. A page that is
 * unlocked without being up to date could not be read.
 */
static int read_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct io_call *call = (struct io_call *)ri->data;
	u8 source = read_source(call);

	if (folio_test_uptodate(call->folio))
		io_end(call, source, false);
	else if (!io_by_file_system(call) && !folio_test_locked(call->folio))
		io_end(call, source, true);
	vmi_task_leave(call->task, VMI_TASK_READ);
	return 0;
}

static int write_device_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct folio *folio =
		page_folio((struct page *)vmi_compat_argument(regs, VMI_COMPAT_WRITE_FOLIO));
	struct io_call *call = (struct io_call *)ri->data;
	struct making making;

	if (!probe_wanted(VMINSPECT_EVENT_WRITE))
		return 1;
	*call = (struct io_call){ .folio = folio };
	rcu_read_lock();
	write_making(&making, folio, vmi_compat_folio_slot(folio), folio_nr_pages(folio));
	io_start(call, &making);
	rcu_read_unlock();
	return 0;
}

/* Likewise by writeback being over. */
static int write_device_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct io_call *call = (struct io_call *)ri->data;

	if (!io_by_file_system(call) && !folio_test_writeback(call->folio))
		io_end(call, 0, false);
	return 0;
}

static int zswap_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct io_call *call = (struct io_call *)ri->data;

	*call = (struct io_call){
		.folio = page_folio((struct page *)
				    vmi_compat_argument(regs, VMI_COMPAT_ZSWAP_FOLIO)),
		.slot = vmi_compat_zswap_slot(regs),
		.start_ns = ktime_get_ns(),
	};
	return 0;
}

static int zswap_load_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct vmi_task *task = vmi_task_find();

	if (task && task->doing & VMI_TASK_READ)
		task->zswap_asked = true;
	return zswap_entry(ri, regs);
}

static int zswap_load_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct io_call *call = (struct io_call *)ri->data;
	struct vmi_flight flight;

	if (!vmi_compat_zswap_loaded(regs_return_value(regs)))
		return 0;
	fault_reads(call->slot, folio_nr_pages(call->folio), VMINSPECT_SOURCE_ZSWAP);
	rcu_read_lock();
	if (vmi_flight_take(vmi_flight_key(VMINSPECT_EVENT_READ, call->slot), 0, &flight))
		flight_record(&flight, VMINSPECT_SOURCE_ZSWAP, false);
	rcu_read_unlock();
	return 0;
}

static int zswap_store_exit(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct io_call *call = (struct io_call *)ri->data;
	struct making making;

	if (!vmi_compat_zswap_stored(regs_return_value(regs)) ||
	    !probe_wanted(VMINSPECT_EVENT_WRITE))
		return 0;
	rcu_read_lock();
	write_making(&making, call->folio, call->slot, folio_nr_pages(call->folio));
	making.event.source = VMINSPECT_SOURCE_ZSWAP;
	making.event.latency_ns = ktime_get_ns() - call->start_ns;
	making_record(&making);
	rcu_read_unlock();
	return 0;
}

/*
 * A bio of the swap code has arrived, and its pages are unlocked, or their writeback ends,
 * after this. Until then they are in the swap cache, or else their reader waits: see
 * read_exit().
 */
static void bio_done(struct bio *bio, u8 kind)
{
	struct vmi_flight flight;
	struct folio *folio;
	unsigned int i;
	u64 key;

	rcu_read_lock();
	for (i = 0; i < vmi_compat_swap_bio_folios(bio); i++) {
		folio = vmi_compat_swap_bio_folio(bio, i);
		if (!folio_test_swapcache(folio))
			continue;
		key = vmi_flight_key(kind, vmi_compat_folio_slot(folio));
		if (vmi_flight_take(key, 0, &flight))
			flight_record(&flight, 0, bio->bi_status);
	}
	rcu_read_unlock();
}

static void read_done(struct ftrace_regs *regs)
{
	bio_done((struct bio *)vmi_compat_ftrace_argument(regs, 0), VMINSPECT_EVENT_READ);
}

static void write_done(struct ftrace_regs *regs)
{
	bio_done((struct bio *)vmi_compat_ftrace_argument(regs, 0), VMINSPECT_EVENT_WRITE);
}

/* ---- Who reclaims, who starts whom ---- */

static void reclaim_begin(u8 as)
{
	struct vmi_task *task = vmi_task_enter(VMI_TASK_RECLAIM);

	if (task)
		task->reclaim = as;
}

/*
 * Of these tracepoints that they were passed is enough: arguments that kernels add or
 * take away are not looked at.
 */
static void direct_begin(void *data)
{
	reclaim_begin(VMINSPECT_AS_DIRECT);
}

static void memcg_begin(void *data)
{
	reclaim_begin(VMINSPECT_AS_MEMCG);
}

static void reclaim_end(void *data)
{
	struct vmi_task *task = vmi_task_find();

	if (task)
		vmi_task_leave(task, VMI_TASK_RECLAIM);
}

/*
 * Not when it exits: since 6.16 that is told before what it has yet to tell other threads, for
 * which it may bring pages back.
 */
static void freed(void *data, struct task_struct *task)
{
	vmi_task_forget(task);
}

/* Before the child runs for the first time: kernel_clone(). */
static void forked(void *data, struct task_struct *parent, struct task_struct *child)
{
	if (!thread_group_leader(child))
		return;
	rcu_read_lock();
	vmi_event_forked(task_tgid_nr(parent), task_tgid_nr(child));
	rcu_read_unlock();
}

/* ---- Attaching and detaching ---- */

#define ON_IN	BIT(VMINSPECT_EVENT_SWAP_IN)
#define ON_OUT	BIT(VMINSPECT_EVENT_SWAP_OUT)
#define ON_READ	BIT(VMINSPECT_EVENT_READ)
#define ON_WRITE	BIT(VMINSPECT_EVENT_WRITE)

/**
 * struct hook - a function that is hooked
 * @name: the function
 * @kinds: which events can't be had without it
 * @absent: this kernel is configured without it, and nothing is missing
 * @entry: at its entry; returns 1 if its return is of no interest
 * @exit: at its return
 * @size: of what the former keeps for the latter
 * @depth: how many tasks may be in it at once, asleep; more are missed
 * @probe: of the kernel
 * @attached: it is registered
 * @available: it could be
 */
struct hook {
	const char *name;
	u32 kinds;
	bool absent;
	kretprobe_handler_t entry;
	kretprobe_handler_t exit;
	size_t size;
	int depth;
	struct kretprobe probe;
	bool attached;
	bool available;
};

static struct hook hooks[] = {
	{ .name = "do_swap_page", .kinds = ON_READ, .entry = swap_page_entry,
	  .exit = swap_page_exit, .depth = 1024 },
	{ .name = "shmem_swapin_folio", .kinds = ON_IN | ON_READ, .entry = shmem_in_entry,
	  .exit = shmem_in_exit, .size = sizeof(struct shmem_in_call), .depth = 512,
	  .absent = !IS_ENABLED(CONFIG_SHMEM) },
	{ .name = "unuse_pte_range", .kinds = ON_IN | ON_READ, .entry = swapoff_entry,
	  .exit = swapoff_exit, .size = sizeof(struct task_call), .depth = 64 },
	{ .name = "shmem_unuse", .kinds = ON_IN | ON_READ, .entry = swapoff_entry,
	  .exit = swapoff_exit, .size = sizeof(struct task_call), .depth = 64,
	  .absent = !IS_ENABLED(CONFIG_SHMEM) },
	{ .name = "try_to_unmap_one", .kinds = ON_OUT | ON_READ | ON_WRITE, .entry = unmap_entry,
	  .exit = unmap_exit, .size = sizeof(struct unmap_call), .depth = 512 },
	{ .name = VMI_COMPAT_SHMEM_WRITE, .kinds = ON_OUT | ON_READ | ON_WRITE,
	  .entry = shmem_out_entry, .exit = shmem_out_exit,
	  .size = sizeof(struct task_call), .depth = 512,
	  .absent = !IS_ENABLED(CONFIG_SHMEM) },
	{ .name = VMI_COMPAT_ZSWAP_LOAD, .kinds = ON_READ | (VMI_COMPAT_ZSWAP_LACKS ? 0 : ON_IN),
	  .entry = zswap_load_entry,
	  .exit = zswap_load_exit, .size = sizeof(struct io_call), .depth = 512,
	  .absent = !IS_ENABLED(CONFIG_ZSWAP) },
	{ .name = VMI_COMPAT_ZSWAP_STORE, .kinds = ON_WRITE, .entry = zswap_entry,
	  .exit = zswap_store_exit, .size = sizeof(struct io_call), .depth = 512,
	  .absent = !IS_ENABLED(CONFIG_ZSWAP) },
	{ .name = VMI_COMPAT_READ, .kinds = ON_READ, .entry = read_entry,
	  .exit = read_exit, .size = sizeof(struct io_call), .depth = 1024 },
	{ .name = "__swap_writepage", .kinds = ON_WRITE, .entry = write_device_entry,
	  .exit = write_device_exit, .size = sizeof(struct io_call), .depth = 512 },
};

/**
 * struct entry - a function that is hooked at its entry alone
 * @name: the function; NULL: this kernel has none, and nothing is missing
 * @kinds: as in struct hook
 * @probe: what is called
 * @ip: where ftrace calls from; 0: it can't be hooked
 */
struct entry {
	const char *name;
	u32 kinds;
	void (*probe)(struct ftrace_regs *regs);
	unsigned long ip;
};

/*
 * Where pages are mapped every process passes that gets memory: only who wants to see
 * swap-ins pays for it.
 */
static struct entry in_entries[] = {
	{ VMI_COMPAT_MAPPED_NEW, ON_IN, mapped_new },
	{ VMI_COMPAT_MAPPED, ON_IN, mapped },
	{ VMI_COMPAT_ZSWAP_LACKS, ON_IN, zswap_lacks },
	{ "swapin_readahead", ON_IN, swap_in },
	{ VMI_COMPAT_SWAP_IN, ON_IN, swap_in },
};

/* Those that have a return probe for who wants reads, which then finds out the same. */
static struct entry fault_entries[] = {
	{ "do_swap_page", ON_IN, swap_page },
	{ VMI_COMPAT_READ, ON_IN, reading },
	{ VMI_COMPAT_ZSWAP_LACKS ? VMI_COMPAT_ZSWAP_LOAD : NULL, ON_IN, zswap_asked },
};

static struct entry swap_entries[] = {
	{ VMI_COMPAT_WRITE, ON_OUT | ON_READ | ON_WRITE, writing },
	{ VMI_COMPAT_READ_DONE, ON_READ, read_done },
	{ VMI_COMPAT_WRITE_DONE, ON_WRITE, write_done },
};

/**
 * struct entry_group - those that are attached together, as ftrace has it
 * @ops: of ftrace
 * @entries: the functions
 * @nr: how many
 * @attached: it is registered
 *
 * To let go of one takes long, since ftrace waits for all tasks: so there are few.
 */
struct entry_group {
	struct ftrace_ops ops;
	struct entry *entries;
	unsigned int nr;
	bool attached;
};

static void entry_passed(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			 struct ftrace_regs *regs)
{
	const struct entry_group *group = container_of(ops, struct entry_group, ops);
	const struct entry *entry = group->entries, *end = entry + group->nr;

	for (; entry != end; entry++) {
		if (entry->ip == ip) {
			entry->probe(regs);
			return;
		}
	}
}

/*
 * Nothing that is called from here calls what is hooked, so that ftrace need not keep it from
 * calling itself; nor need it be kept from being preempted, where whoever is hooked may be: what is
 * noted is the task's own, and records are made with interrupts off. ftrace waits for tasks that
 * were preempted in it (ftrace_shutdown() in kernel/trace/ftrace.c).
 */
static struct entry_group entry_groups[] = {
	{ .ops.func = entry_passed, .entries = in_entries, .nr = ARRAY_SIZE(in_entries) },
	{ .ops.func = entry_passed, .entries = swap_entries, .nr = ARRAY_SIZE(swap_entries) },
};

static struct entry_group fault_group = {
	.ops.func = entry_passed, .entries = fault_entries, .nr = ARRAY_SIZE(fault_entries)
};

/**
 * struct point - a tracepoint that is hooked
 * @name: the tracepoint
 * @kinds: as in struct hook; VMI_PROBE_FORKS is one here
 * @probe: what is called
 * @tracepoint: the kernel's; NULL: there is none of that name
 * @attached: it is registered
 */
struct point {
	const char *name;
	u32 kinds;
	void *probe;
	struct tracepoint *tracepoint;
	bool attached;
};

static struct point points[] = {
	{ "mm_vmscan_direct_reclaim_begin", ON_OUT | ON_WRITE, direct_begin },
	{ "mm_vmscan_direct_reclaim_end", ON_OUT | ON_WRITE, reclaim_end },
	{ "mm_vmscan_memcg_reclaim_begin", ON_OUT | ON_WRITE, memcg_begin },
	{ "mm_vmscan_memcg_reclaim_end", ON_OUT | ON_WRITE, reclaim_end },
	{ "mm_vmscan_node_reclaim_begin", ON_OUT | ON_WRITE, direct_begin },
	{ "mm_vmscan_node_reclaim_end", ON_OUT | ON_WRITE, reclaim_end },
	{ "sched_process_free", ON_IN | ON_READ, freed },
	{ "sched_process_fork", VMI_PROBE_FORKS, forked },
};

/*
 * Who wants what.
 *
 * lock: of attaching and detaching, and of all that follows. Never taken within
 *	tracepoints_mutex, which registering a probe at a tracepoint takes
 * users: how many readers want each kind; by bit number
 * started: the tables are there
 * starved: attaching has failed for want of memory: what is missing may be had another time
 * missed: calls that the probes attached before passed over
 * trace_lock: of what follows, which is changed within tracepoints_mutex
 * traced: mask of kinds whose tracepoints are enabled
 * state: what enabling one does. Tracepoints are there before vmi_init() begins, and still
 *	when it has failed: until it is done they are only remembered
 */
static struct {
	struct mutex lock;	/* attaching and detaching, and all that follows */
	unsigned int users[32];
	bool started;
	bool starved;
	u64 missed;
	spinlock_t trace_lock;	/* what follows */
	u32 traced;
	enum { WANT_EARLY, WANT_READY, WANT_EXITING } state;
} want = {
	.lock = __MUTEX_INITIALIZER(want.lock),
	.trace_lock = __SPIN_LOCK_UNLOCKED(want.trace_lock),
};

static bool probe_avoided(const char *name)
{
	size_t length = strlen(name);
	const char *at;

	for (at = avoid; (at = strstr(at, name)); at += length)
		if ((at == avoid || at[-1] == ',') && (!at[length] || at[length] == ','))
			return true;
	return false;
}

static int beats;

static int beat_handler(struct kprobe *probe, struct pt_regs *regs)
{
	WRITE_ONCE(beats, 1);
	return 0;
}

/*
 * With ftrace or all kprobes switched off they can be registered, and are never hit. So
 * one is tried, at a function that is as good as any that ftrace knows. It is none of
 * ours, since a probe of a module's function holds the module for a moment, and unloading
 * would fail.
 */
static int probes_work(void)
{
	struct kprobe probe = { .symbol_name = "kstrdup", .pre_handler = beat_handler };
	int ret;

	WRITE_ONCE(beats, 0);
	ret = register_kprobe(&probe);
	if (ret)
		return ret == -ENOMEM ? -ENOMEM : -EOPNOTSUPP;
	kfree(kstrdup("", GFP_KERNEL));
	unregister_kprobe(&probe);
	return READ_ONCE(beats) ? 0 : -EOPNOTSUPP;
}

/* Whether what @error is of is attached now. */
static bool is_attached(int error)
{
	if (error == -ENOMEM)
		want.starved = true;
	return !error;
}

static bool hook_attach(struct hook *hook)
{
	if (hook->attached || !hook->available)
		return hook->attached;
	hook->probe = (struct kretprobe){
		.kp.symbol_name = hook->name,
		.entry_handler = hook->entry,
		.handler = hook->exit,
		.data_size = hook->size,
		.maxactive = hook->depth,
	};
	hook->attached = is_attached(register_kretprobe(&hook->probe));
	return hook->attached;
}

/* With no function to call from, ftrace would call from all. */
static bool group_usable(const struct entry_group *group, u32 wanted)
{
	bool usable = false, needed = false;
	unsigned int i;

	for (i = 0; i < group->nr; i++) {
		usable |= group->entries[i].ip != 0;
		needed |= group->entries[i].kinds & wanted;
	}
	return usable && needed;
}

static bool entry_missing(const struct entry *entry, bool attached)
{
	return entry->name && !(entry->ip && attached);
}

/* Return: mask of the kinds that can't be had */
static u32 group_attach(struct entry_group *group, u32 wanted)
{
	u32 missing = 0;
	unsigned int i;

	if (!group->attached && group_usable(group, wanted))
		group->attached = is_attached(register_ftrace_function(&group->ops));
	for (i = 0; i < group->nr; i++)
		if (entry_missing(&group->entries[i], group->attached))
			missing |= group->entries[i].kinds;
	return missing;
}

static void group_detach(struct entry_group *group)
{
	if (group->attached)
		unregister_ftrace_function(&group->ops);
	group->attached = false;
}

static bool entry_covered(const struct entry *entry)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].attached && !strcmp(hooks[i].name, entry->name))
			return true;
	return false;
}

/*
 * ftrace takes long where it has to call two: those, and return probes at the same functions. If
 * there was no memory for one of these, both stay, and do_swap_page() is noted by the former alone;
 * at the others it does no harm to note the same again. While the former go, faults are noted
 * twice: one that is another try after one under the lock of the mapping alone is then told as if
 * it were the first.
 */
static u32 faults_attach(u32 wanted)
{
	bool covered = true;
	unsigned int i;

	for (i = 0; i < fault_group.nr; i++)
		covered &= !fault_group.entries[i].name || entry_covered(&fault_group.entries[i]);
	if (!covered) {
		u32 missing = group_attach(&fault_group, wanted);

		WRITE_ONCE(noted_at_entry, fault_group.attached && fault_group.entries[0].ip);
		return missing;
	}
	WRITE_ONCE(noted_at_entry, false);
	group_detach(&fault_group);
	return 0;
}

static u32 entries_attach(u32 wanted)
{
	u32 missing = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(entry_groups); i++)
		missing |= group_attach(&entry_groups[i], wanted);
	return missing;
}

/* A begin without its end would be worse than none. */
static bool points_complete(u32 kinds)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].kinds & kinds && !points[i].tracepoint)
			return false;
	return true;
}

static bool point_attach(struct point *point)
{
	if (!point->attached && points_complete(point->kinds))
		point->attached = is_attached(tracepoint_probe_register(point->tracepoint,
									point->probe, NULL));
	return point->attached;
}

static u64 hook_missed(const struct hook *hook)
{
	return hook->attached ? (u64)hook->probe.nmissed + hook->probe.kp.nmissed : 0;
}

static void hooks_detach(void)
{
	struct kretprobe *probes[ARRAY_SIZE(hooks)];
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].attached)
			probes[nr++] = &hooks[i].probe;
	if (nr)
		unregister_kretprobes(probes, nr);
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		want.missed += hook_missed(&hooks[i]);
		hooks[i].attached = false;
	}
}

static void entries_detach(void)
{
	struct entry_group *group;

	for (group = entry_groups; group < entry_groups + ARRAY_SIZE(entry_groups); group++)
		group_detach(group);
	WRITE_ONCE(noted_at_entry, false);
	group_detach(&fault_group);
}

static void points_detach(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!points[i].attached)
			continue;
		tracepoint_probe_unregister(points[i].tracepoint, points[i].probe, NULL);
		points[i].attached = false;
	}
	tracepoint_synchronize_unregister();
}

/*
 * After all is detached, and the grace periods that this contains, no probe runs and nothing
 * uses the tables.
 */
static void probe_stop(void)
{
	if (!want.started)
		return;
	WRITE_ONCE(wanted_kinds, 0);
	entries_detach();
	hooks_detach();
	points_detach();
	vmi_flight_stop();
	vmi_owner_stop();
	vmi_task_stop();
	want.started = false;
}

static int probe_start(void)
{
	int ret;

	if (want.started)
		return 0;
	ret = vmi_task_start();
	if (ret)
		return ret;
	ret = vmi_owner_start();
	if (ret)
		goto err_stop_task;
	ret = vmi_flight_start();
	if (ret)
		goto err_stop_owner;
	ret = probes_work();
	if (ret)
		goto err_stop_flight;
	vmi_swap_learn();
	want.started = true;
	return 0;

err_stop_flight:
	vmi_flight_stop();
err_stop_owner:
	vmi_owner_stop();
err_stop_task:
	vmi_task_stop();
	return ret;
}

/* Completions first. Return: mask of those wanted that can't be had */
static u32 probe_attach(u32 wanted)
{
	u32 missing = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].kinds & wanted && !point_attach(&points[i]))
			missing |= points[i].kinds;
	missing |= entries_attach(wanted);
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].kinds & wanted && !hooks[i].absent && !hook_attach(&hooks[i]))
			missing |= hooks[i].kinds;
	missing |= faults_attach(wanted);
	return missing & wanted;
}

static u32 probe_wanted_mask(void)
{
	u32 wanted = READ_ONCE(want.traced);
	unsigned int i;

	for (i = 0; i < 32; i++)
		if (want.users[i])
			wanted |= BIT(i);
	return wanted;
}

/* Attach what is wanted by now, or detach all. */
static int probe_update(u32 *missing)
{
	u32 wanted = probe_wanted_mask();
	int ret;

	lockdep_assert_held(&want.lock);
	*missing = 0;
	if (!wanted) {
		probe_stop();
		return 0;
	}
	ret = probe_start();
	if (ret)
		return ret;
	want.starved = false;
	*missing = probe_attach(wanted);
	/* A kind that lacks one of its probes would be told in part: it is not. */
	WRITE_ONCE(wanted_kinds, wanted & VMINSPECT_EVENT_KINDS & ~*missing);
	return want.starved ? -ENOMEM : 0;
}

static void want_count(u32 wanted, int by)
{
	unsigned int i;

	for (i = 0; i < 32; i++)
		if (wanted & BIT(i))
			want.users[i] += by;
}

/**
 * vmi_probe_get() - somebody wants to see events
 * @wanted: mask of 1 << VMINSPECT_EVENT_*, and VMI_PROBE_FORKS
 * @missing: out: which of them can't be seen
 *
 * Return: 0, EOPNOTSUPP: probes are switched off, or ENOMEM. On success
 * vmi_probe_put() with the same @wanted has to follow.
 *
 * Context: may sleep; not within tracepoints_mutex.
 */
int vmi_probe_get(u32 wanted, u32 *missing)
{
	u32 dropped;
	int ret;

	mutex_lock(&want.lock);
	want_count(wanted, 1);
	ret = probe_update(missing);
	*missing &= wanted;
	if (ret) {
		want_count(wanted, -1);
		probe_update(&dropped);
	}
	mutex_unlock(&want.lock);
	return ret;
}

/**
 * vmi_probe_put() - and does not any more
 * @wanted: as it was given to vmi_probe_get()
 *
 * When this returns for the last one, nothing is attached.
 *
 * Context: may sleep; not within tracepoints_mutex.
 */
void vmi_probe_put(u32 wanted)
{
	u32 missing;

	mutex_lock(&want.lock);
	want_count(wanted, -1);
	probe_update(&missing);
	mutex_unlock(&want.lock);
}

/**
 * vmi_probe_missed() - calls that probes passed over since the module was loaded
 *
 * Context: may sleep.
 */
u64 vmi_probe_missed(void)
{
	unsigned int i;
	u64 missed;

	mutex_lock(&want.lock);
	missed = want.missed + vmi_task_missed();
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		missed += hook_missed(&hooks[i]);
	mutex_unlock(&want.lock);
	return missed;
}

/* ---- Tracepoints of our own ---- */

static void trace_update(struct work_struct *work)
{
	u32 missing;

	mutex_lock(&want.lock);
	if (probe_update(&missing))	/* who enabled it has been told that all is well */
		pr_warn("vminspect: its tracepoints stay silent: out of memory, or probes are switched off\n");
	mutex_unlock(&want.lock);
}

static DECLARE_WORK(trace_work, trace_update);

/*
 * Called within tracepoints_mutex, which attaching takes itself: so it is done a moment
 * later. After vmi_probe_exit() nothing is begun any more: tracefs disables what was left
 * enabled only then (trace_module_notify() in kernel/trace/trace_events.c).
 */
static int probe_trace(u8 kind, bool on)
{
	int ret = 0;

	spin_lock(&want.trace_lock);
	if (want.state == WANT_EXITING)
		ret = -ENODEV;
	else
		want.traced = on ? want.traced | BIT(kind) : want.traced & ~BIT(kind);
	if (want.state == WANT_READY)
		schedule_work(&trace_work);
	spin_unlock(&want.trace_lock);
	return ret;
}

int vmi_probe_trace_swap_in(void)
{
	return probe_trace(VMINSPECT_EVENT_SWAP_IN, true);
}

void vmi_probe_untrace_swap_in(void)
{
	probe_trace(VMINSPECT_EVENT_SWAP_IN, false);
}

int vmi_probe_trace_swap_out(void)
{
	return probe_trace(VMINSPECT_EVENT_SWAP_OUT, true);
}

void vmi_probe_untrace_swap_out(void)
{
	probe_trace(VMINSPECT_EVENT_SWAP_OUT, false);
}

int vmi_probe_trace_read(void)
{
	return probe_trace(VMINSPECT_EVENT_READ, true);
}

void vmi_probe_untrace_read(void)
{
	probe_trace(VMINSPECT_EVENT_READ, false);
}

int vmi_probe_trace_write(void)
{
	return probe_trace(VMINSPECT_EVENT_WRITE, true);
}

void vmi_probe_untrace_write(void)
{
	probe_trace(VMINSPECT_EVENT_WRITE, false);
}

/* ---- Load and unload ---- */

/*
 * Would it be allowed? A probe that is registered without being armed changes nothing.
 * @ip: out: where it would stand, 0: nowhere
 *
 * Return: 0, or ENOMEM: it was not found out
 */
static int probe_find(const char *name, unsigned long *ip)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	int ret;

	*ip = 0;
	if (probe_avoided(name))
		return 0;
	ret = register_kprobe(&probe);
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	*ip = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

static int hooks_find(void)
{
	unsigned long ip;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (hooks[i].absent)
			continue;
		ret = probe_find(hooks[i].name, &ip);
		if (ret)
			return ret;
		hooks[i].available = ip;
	}
	return 0;
}

/* A probe at the entry of a function that ftrace knows stands where ftrace calls from. */
static int group_find(struct entry_group *group)
{
	unsigned long ip;
	unsigned int i;
	int ret;

	for (i = 0; i < group->nr; i++) {
		if (!group->entries[i].name)
			continue;
		ret = probe_find(group->entries[i].name, &ip);
		if (!ret && ip)
			ret = ftrace_set_filter_ip(&group->ops, ip, 0, 0);
		if (ret == -ENOMEM)
			return ret;
		group->entries[i].ip = ret ? 0 : ip;
	}
	return 0;
}

static void point_find(struct tracepoint *tracepoint, void *unused)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(tracepoint->name, points[i].name) && !probe_avoided(points[i].name))
			points[i].tracepoint = tracepoint;
}

/**
 * vmi_probe_init() - find out what can be seen of this kernel; attaches nothing
 *
 * Return: 0, or ENOMEM; vmi_probe_exit() has to follow in any case
 */
int vmi_probe_init(void)
{
	unsigned int i;
	int ret;

	ret = hooks_find();
	for (i = 0; i < ARRAY_SIZE(entry_groups) && !ret; i++)
		ret = group_find(&entry_groups[i]);
	if (!ret)
		ret = group_find(&fault_group);
	for_each_kernel_tracepoint(point_find, NULL);
	return ret;
}

/**
 * vmi_probe_ready() - the module is loaded: attach what enabled tracepoints want
 */
void vmi_probe_ready(void)
{
	spin_lock(&want.trace_lock);
	want.state = WANT_READY;
	if (want.traced)
		schedule_work(&trace_work);
	spin_unlock(&want.trace_lock);
}

static u32 group_missing(const struct entry_group *group)
{
	u32 missing = 0;
	unsigned int i;

	for (i = 0; i < group->nr; i++)
		if (entry_missing(&group->entries[i], true))
			missing |= group->entries[i].kinds;
	return missing;
}

/**
 * vmi_probe_kinds() - which events can be had of this kernel
 *
 * Return: mask of 1 << VMINSPECT_EVENT_*
 */
u32 vmi_probe_kinds(void)
{
	u32 missing = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!hooks[i].absent && !hooks[i].available)
			missing |= hooks[i].kinds;
	for (i = 0; i < ARRAY_SIZE(entry_groups); i++)
		missing |= group_missing(&entry_groups[i]);
	missing |= group_missing(&fault_group);
	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!points[i].tracepoint)
			missing |= points[i].kinds;
	return VMINSPECT_EVENT_KINDS & ~missing;
}

/**
 * vmi_probe_exit() - detach what enabled tracepoints have attached
 *
 * There are no readers any more: their descriptors hold the module.
 */
void vmi_probe_exit(void)
{
	unsigned int i;

	spin_lock(&want.trace_lock);
	want.state = WANT_EXITING;
	spin_unlock(&want.trace_lock);
	cancel_work_sync(&trace_work);
	mutex_lock(&want.lock);
	probe_stop();
	mutex_unlock(&want.lock);
	for (i = 0; i < ARRAY_SIZE(entry_groups); i++)
		ftrace_free_filter(&entry_groups[i].ops);
	ftrace_free_filter(&fault_group.ops);
}
