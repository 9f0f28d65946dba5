// SPDX-License-Identifier: GPL-2.0
/*
 * A bound address space: from a descriptor to its mm, and what its opener may
 * see.
 *
 * Whether a process may be inspected is decided by the kernel, when it opens
 * /proc/PID/pagemap: PTRACE_MODE_READ with the credentials of the opener, Yama
 * and other LSMs included (proc_mem_open() in fs/proc/base.c). Such a file
 * carries the mm, and that it is such a file is told by its operations.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/magic.h>
#include <linux/mmap_lock.h>
#include <linux/namei.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <uapi/vminspect.h>

#include "target.h"

static const struct file_operations *pagemap_fops;
static const struct file_operations *mem_fops;

/* The operations of a file in /proc: built in, so that they stay. */
static int target_learn(const char *path, const struct file_operations **fops)
{
	struct file *file = filp_open(path, O_RDONLY, 0);

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC)
		*fops = file->f_op;
	fput(file);
	return *fops ? 0 : -ENOENT;
}

/**
 * vmi_target_init() - learn what pagemap and mem files look like
 *
 * Return: 0, or the error of opening one's own, ENOENT above all: /proc is not
 * mounted where modprobe runs.
 */
int vmi_target_init(void)
{
	return target_learn("/proc/self/pagemap", &pagemap_fops) ?:
	       target_learn("/proc/self/mem", &mem_fops);
}

/*
 * Lockdown for confidentiality keeps root from reading the kernel's memory, and page
 * tables are that. It can be raised at any time, and stays.
 */
static u32 target_lockdown(void)
{
	return security_locked_down(LOCKDOWN_KCORE) ? VMINSPECT_HIDDEN_LOCKDOWN : 0;
}

static u32 target_capability(struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN) ? 0 :
	       VMINSPECT_HIDDEN_CAPABILITY;
}

/**
 * vmi_target_file_hidden() - what is hidden from the opener of a file
 * @file: the file
 *
 * It is the opener who counts, as pagemap itself has it: a descriptor passed to
 * somebody else shows what it did before.
 *
 * Return: mask of VMINSPECT_HIDDEN_*
 */
u32 vmi_target_file_hidden(struct file *file)
{
	return target_capability(file) ?: target_lockdown();
}

/**
 * vmi_target_hidden() - what of a target is hidden as of now
 * @target: the target
 *
 * Return: mask of VMINSPECT_HIDDEN_*; 0 if frames may be seen
 */
u32 vmi_target_hidden(const struct vmi_target *target)
{
	return target->hidden ?: target_lockdown();
}

/**
 * vmi_target_bind() - make a target of an open pagemap
 * @opened: the file through which will be looked
 * @pagemap: the file that names the address space; not needed afterwards
 *
 * Return: the target, for vmi_target_free(), or EINVAL: not a pagemap, ESRCH:
 * nobody runs there, ENOMEM.
 */
struct vmi_target *vmi_target_bind(struct file *opened, struct file *pagemap)
{
	struct vmi_target *target;
	struct mm_struct *mm;

	if (pagemap->f_op != pagemap_fops)
		return ERR_PTR(-EINVAL);
	mm = pagemap->private_data;	/* NULL: that of a kernel thread */
	if (!mm || !mmget_not_zero(mm))
		return ERR_PTR(-ESRCH);

	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (target) {
		mmgrab(mm);
		target->mm = mm;
		target->hidden = target_capability(opened) |
				 target_capability(pagemap);
	}
	mmput(mm);
	return target ?: ERR_PTR(-ENOMEM);
}

/**
 * vmi_target_grab() - make a target of the address space of a VMM
 * @target: out
 * @mm: the address space
 * @opened: the file through which will be looked
 * @mem: a /proc/PID/mem of it, which the kernel opens to whom PTRACE_MODE_ATTACH allows
 *	(proc_mem_open() in fs/proc/base.c), or NULL: then the opener's capability decides
 *
 * Return: 0, then vmi_target_drop() has to follow; EINVAL: @mem is something else; EPERM;
 * ESRCH: nobody runs there
 */
int vmi_target_grab(struct vmi_target *target, struct mm_struct *mm, struct file *opened,
		    struct file *mem)
{
	if (mem && (mem->f_op != mem_fops || mem->private_data != mm))
		return -EINVAL;
	target->hidden = target_capability(opened);
	if (mem)
		target->hidden |= target_capability(mem);
	else if (target->hidden)
		return -EPERM;
	if (!mmget_not_zero(mm))
		return -ESRCH;
	mmgrab(mm);
	mmput(mm);
	target->mm = mm;
	return 0;
}

/**
 * vmi_target_drop() - undo vmi_target_grab()
 * @target: the target
 */
void vmi_target_drop(struct vmi_target *target)
{
	mmdrop(target->mm);
}

/*
 * Whatever may be mounted or linked in the caller's namespace: only what procfs itself
 * has under that name is opened. With the credentials of another, opening a file may be
 * more than the caller could do, and devices act on being opened.
 */
static struct file *target_open_pagemap(const char *path, const struct cred *cred)
{
	struct path found;
	struct file *file;
	int ret;

	ret = kern_path(path, 0, &found);	/* the last link is not followed */
	if (ret)
		return ERR_PTR(ret);
	if (found.dentry->d_sb->s_magic == PROC_SUPER_MAGIC &&
	    d_is_reg(found.dentry) && !strcmp(found.dentry->d_name.name, "pagemap"))
		file = dentry_open(&found, O_RDONLY | O_NOCTTY, cred);
	else
		file = ERR_PTR(-ENOENT);
	path_put(&found);
	return file;
}

/**
 * vmi_target_open() - make a target of a pid, as the opener of a file
 * @opened: the file; its opener's credentials have to suffice for the target
 * @pid: the name of a directory in /proc, already checked to be no path
 *
 * The name is looked up where the caller is: its mount and pid namespace.
 *
 * Return: as vmi_target_bind(), ESRCH also if there is no such process, or the
 * error of opening the target's pagemap.
 */
struct vmi_target *vmi_target_open(struct file *opened, const char *pid)
{
	struct vmi_target *target;
	const struct cred *caller;
	struct file *pagemap;
	char *path;

	path = kasprintf(GFP_KERNEL_ACCOUNT, "/proc/%s/pagemap", pid);
	if (!path)
		return ERR_PTR(-ENOMEM);
	caller = override_creds(opened->f_cred);
	pagemap = target_open_pagemap(path, opened->f_cred);
	revert_creds(caller);
	kfree(path);
	if (pagemap == ERR_PTR(-ENOENT))	/* nobody wrote a file's name */
		return ERR_PTR(-ESRCH);
	if (IS_ERR(pagemap))
		return ERR_CAST(pagemap);

	target = vmi_target_bind(opened, pagemap);
	fput(pagemap);
	return target;
}

/**
 * vmi_target_free() - let go of an address space
 * @target: the target, or NULL
 */
void vmi_target_free(struct vmi_target *target)
{
	if (!target)
		return;
	mmdrop(target->mm);
	kfree(target);
}

/**
 * vmi_target_give_way() - let others have the lock of an address space first
 * @target: the target
 * @patience_ns: how long at most, but for what the last one of many short sleeps takes longer
 *
 * Who waits for the lock to write is woken when a reader lets go of it, but another reader is
 * faster and gets it, until he has waited for 4 ms (rwsem_down_read_slowpath() and
 * RWSEM_WAIT_TIMEOUT in kernel/locking/rwsem.c). So who reads batch by batch has to stand back.
 *
 * Return: does nobody wait any more?
 *
 * Context: may sleep. The mm is looked at without its lock: it is there as long as @target.
 */
bool vmi_target_give_way(const struct vmi_target *target, u64 patience_ns)
{
	u64 start_ns;

	if (!mmap_lock_is_contended(target->mm))
		return true;
	start_ns = ktime_get_ns();
	while (ktime_get_ns() - start_ns < patience_ns && !fatal_signal_pending(current)) {
		usleep_range(20, 40);
		if (!mmap_lock_is_contended(target->mm))
			return true;
	}
	return false;
}

/**
 * vmi_target_lock() - keep an address space from changing, for a moment
 * @target: the target
 *
 * The mm and its lock are held between here and vmi_target_unlock() and nowhere
 * else: for one bounded batch, and never while user memory is touched.
 *
 * Return: 0, or ESRCH: nobody runs there any more, EINTR: a fatal signal came
 */
int vmi_target_lock(struct vmi_target *target)
{
	int ret;

	/*
	 * Once mm_users is zero it stays so, and the mappings and tables may go
	 * at any time: exit_mmap(). The mm itself is kept by our mm_count.
	 */
	if (!mmget_not_zero(target->mm))
		return -ESRCH;
	ret = mmap_read_lock_killable(target->mm);
	if (ret)
		mmput(target->mm);
	return ret;
}

/**
 * vmi_target_trylock() - the same without waiting
 * @target: the target
 *
 * On success mmap_read_unlock() and mmput() have to follow, the latter with no lock held.
 *
 * Return: 1; 0: others have the lock; or ESRCH. If it is not 1, nothing is held.
 */
int vmi_target_trylock(struct vmi_target *target)
{
	if (!mmget_not_zero(target->mm))
		return -ESRCH;
	if (mmap_read_trylock(target->mm))
		return 1;
	/* Not mmput(): the caller may hold a lock that the last one needs. */
	mmput_async(target->mm);
	return 0;
}

/**
 * vmi_target_unlock() - undo vmi_target_lock()
 * @target: the target
 *
 * Context: process context, no lock held: if the target has exited meanwhile,
 * this takes its memory apart.
 */
void vmi_target_unlock(struct vmi_target *target)
{
	mmap_read_unlock(target->mm);
	mmput(target->mm);
}
