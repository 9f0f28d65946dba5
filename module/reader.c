// SPDX-License-Identifier: GPL-2.0
/*
 * A reader of events, from its filter to its end, and its descriptor.
 */
#include <linux/anon_inodes.h>
#include <linux/cgroup.h>
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/threads.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "argument.h"
#include "event.h"
#include "flight.h"
#include "probe.h"
#include "reader.h"

#define MIN_RING_RECORDS	64
#define MAX_RING_RECORDS	65536

/* Who waited for a record is given those of so much time at once, if the rings have room. */
#define COLLECTED_NS		NSEC_PER_MSEC
#define COLLECTED_RECORDS	1024

static_assert(sizeof(struct vminspect_event) == 128);
static_assert(sizeof(struct vminspect_events_state) == 32);

static int scope_target(struct vmi_reader *reader, const struct vmi_target *target)
{
	if (!target)
		return -ENXIO;
	mmgrab(target->mm);
	reader->mm = target->mm;
	return 0;
}

static int scope_tasks(struct vmi_reader *reader, pid_t nr)
{
	struct pid *pid = find_get_pid(nr);
	struct task_struct *task;
	int ret = -ESRCH;

	reader->tasks = kvcalloc(BITS_TO_LONGS(PID_MAX_LIMIT), sizeof(long),
				 GFP_KERNEL_ACCOUNT);
	if (!reader->tasks)
		ret = -ENOMEM;
	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	if (task && reader->tasks) {
		__set_bit(task_tgid_nr(task), reader->tasks);
		ret = 0;
	}
	rcu_read_unlock();
	put_pid(pid);
	return ret;
}

static int scope_cgroup(struct vmi_reader *reader, int fd)
{
	struct cgroup *cgroup = cgroup_get_from_fd(fd);

	if (IS_ERR(cgroup))	/* of no such file system, or v1 */
		return PTR_ERR(cgroup) == -ENOMEM ? -ENOMEM : -EBADF;
	reader->cgroup = cgroup;
	return 0;
}

static int reader_set_scope(struct vmi_reader *reader, const struct vminspect_events *request,
			    const struct vmi_target *target)
{
	reader->scope = request->scope;
	switch (request->scope) {
	case VMINSPECT_SCOPE_TARGET:
		return scope_target(reader, target);
	case VMINSPECT_SCOPE_TASKS:
		return scope_tasks(reader, request->pid);
	case VMINSPECT_SCOPE_CGROUP:
		return scope_cgroup(reader, request->cgroup_fd);
	default:
		return 0;
	}
}

static int request_check(const struct vminspect_events *request)
{
	u32 records = request->ring_records;

	if (request->flags & ~VMINSPECT_EVENTS_NONBLOCK ||
	    request->scope >= VMINSPECT_NR_SCOPES ||
	    !request->kinds || request->kinds & ~VMINSPECT_EVENT_KINDS ||
	    request->record_size != sizeof(struct vminspect_event) ||
	    request->reserved[0] || request->reserved[1])
		return -EINVAL;
	if (request->scope != VMINSPECT_SCOPE_TASKS && request->pid)
		return -EINVAL;
	if (request->scope != VMINSPECT_SCOPE_CGROUP && request->cgroup_fd)
		return -EINVAL;
	if (records && (records < MIN_RING_RECORDS || records > MAX_RING_RECORDS ||
			!is_power_of_2(records)))
		return -EINVAL;
	return 0;
}

/* Recording begins. Whatever it returns, reading_stop() has to follow in the end. */
static int reading_start(struct vmi_reading *reading, struct vminspect_events *request)
{
	u32 wanted = request->kinds;
	u32 missing;
	int ret;

	if (request->scope == VMINSPECT_SCOPE_TASKS)
		wanted |= VMI_PROBE_FORKS;
	ret = vmi_probe_get(wanted, &missing);
	if (ret)
		return ret;
	reading->wanted = wanted;
	reading->missed_before = vmi_probe_missed();
	request->missing = missing & request->kinds;
	if (request->missing == request->kinds || missing & VMI_PROBE_FORKS)
		return -EOPNOTSUPP;
	/*
	 * Last: attaching takes a while, and what is seen meanwhile is seen in part. A reader
	 * begins with all of its kinds at once.
	 */
	return vmi_event_reader_add(reading->reader);
}

static void reading_stop(struct vmi_reading *reading)
{
	if (reading->reader->bit)
		vmi_event_reader_remove(reading->reader);
	if (!reading->wanted)
		return;
	vmi_flight_forget(reading->reader->bit, NULL);
	/* Who took a page out of flight before that may still hold its mask of readers. */
	synchronize_rcu();
	vmi_probe_put(reading->wanted);
}

static struct vmi_reading *reading_alloc(struct vminspect_events *request)
{
	struct vmi_reading *reading = kzalloc(sizeof(*reading), GFP_KERNEL_ACCOUNT);

	if (!reading)
		return NULL;
	if (!request->ring_records)
		request->ring_records = vmi_event_default_records();
	request->nr_rings = vmi_event_nr_rings();
	reading->reader = vmi_event_reader_alloc(request->ring_records);
	if (!reading->reader) {
		kfree(reading);
		return NULL;
	}
	reading->reader->kinds = request->kinds;
	mutex_init(&reading->lock);
	return reading;
}

static void reading_free(struct vmi_reading *reading)
{
	vmi_event_reader_free(reading->reader);
	kfree(reading);
}

/**
 * vmi_reader_open() - begin to record for somebody
 * @request: what for: see there; out members are filled in
 * @target: the address space that the request's descriptor is bound to, or NULL. Not
 *	needed afterwards
 *
 * Return: for vmi_reader_close(), or an error as struct vminspect_events says.
 *
 * Context: may sleep.
 */
struct vmi_reading *vmi_reader_open(struct vminspect_events *request,
				    const struct vmi_target *target)
{
	struct vmi_reading *reading;
	int ret = request_check(request);

	if (ret)
		return ERR_PTR(ret);
	reading = reading_alloc(request);
	if (!reading)
		return ERR_PTR(-ENOMEM);
	ret = reader_set_scope(reading->reader, request, target);
	if (ret)
		goto err_free;
	ret = reading_start(reading, request);
	if (ret)
		goto err_stop;
	return reading;

err_stop:
	reading_stop(reading);
err_free:
	reading_free(reading);
	return ERR_PTR(ret);
}

/**
 * vmi_reader_close() - end it
 * @reading: what vmi_reader_open() returned; nobody else uses it
 *
 * Context: may sleep.
 */
void vmi_reader_close(struct vmi_reading *reading)
{
	reading_stop(reading);
	reading_free(reading);
}

/*
 * Nothing new is wanted; what is in flight is handed over as it is. In between probes end
 * that began before: those that found out who wants a record, and those that took a page
 * out of flight.
 */
static void reader_stop(struct vmi_reading *reading)
{
	struct vmi_reader *reader = reading->reader;

	if (reader->stopped)
		return;
	WRITE_ONCE(reader->stopping, true);
	synchronize_rcu();
	vmi_flight_forget(reader->bit, vmi_event_hand);
	synchronize_rcu();
	reading->missed = vmi_probe_missed() - reading->missed_before;
	smp_wmb();	/* pairs with reading_missed() */
	WRITE_ONCE(reader->stopped, true);
	wake_up_all(&reader->wait);
}

/*
 * For the first record, and a moment for those that follow it: to be woken for each of them would
 * cost whoever swaps several times as much as recording it. A signal ends the moment, too.
 */
static int reader_wait(struct vmi_reader *reader)
{
	ktime_t moment = ns_to_ktime(COLLECTED_NS);
	int ret = wait_event_interruptible(reader->wait, vmi_event_pending(reader) ||
					   READ_ONCE(reader->stopped));

	if (ret || READ_ONCE(reader->stopped) || reader->ring_records < COLLECTED_RECORDS)
		return ret;
	set_current_state(TASK_INTERRUPTIBLE);
	schedule_hrtimeout_range(&moment, COLLECTED_NS / 4, HRTIMER_MODE_REL);
	return 0;
}

/**
 * vmi_reader_fetch() - copy the next records to the batch
 * @reading: the reader; its lock is held, and let go of while waiting
 * @max: how many at most
 * @wait: for the first one
 *
 * Return: how many; vmi_event_consume() gives them up. 0: it was stopped, and there are no
 * more. EAGAIN: there are none, and @wait is not set; ERESTARTSYS.
 *
 * Context: may sleep.
 */
int vmi_reader_fetch(struct vmi_reading *reading, unsigned int max, bool wait)
{
	struct vmi_reader *reader = reading->reader;
	bool stopped;
	int ret;

	lockdep_assert_held(&reading->lock);
	for (;;) {
		stopped = READ_ONCE(reader->stopped);
		smp_rmb();	/* what was recorded before it stopped is seen */
		ret = vmi_event_peek(reader, reading->batch, min(max, VMI_READER_BATCH));
		if (ret || stopped)
			return ret;
		if (!wait)
			return -EAGAIN;
		mutex_unlock(&reading->lock);
		ret = reader_wait(reader);
		mutex_lock(&reading->lock);
		if (ret)
			return ret;
	}
}

/**
 * vmi_reader_poll() - as poll(2) has it
 * @reading: the reader
 * @file: its file
 * @table: of the caller
 */
__poll_t vmi_reader_poll(struct vmi_reading *reading, struct file *file,
			 struct poll_table_struct *table)
{
	struct vmi_reader *reader = reading->reader;

	poll_wait(file, &reader->wait, table);
	if (READ_ONCE(reader->stopped))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return vmi_event_pending(reader) ? EPOLLIN | EPOLLRDNORM : 0;
}

static ssize_t reader_read_locked(struct vmi_reading *reading, char __user *to,
				  size_t count, bool wait)
{
	const size_t size = sizeof(struct vminspect_event);
	size_t done = 0;
	int nr = 0;

	while (count - done >= size) {
		nr = vmi_reader_fetch(reading, min_t(size_t, (count - done) / size, INT_MAX),
				      wait && !done);
		if (nr <= 0)
			break;
		/* Records that can't be copied stay: they were not given up. */
		if (copy_to_user(to + done, reading->batch, nr * size)) {
			nr = -EFAULT;
			break;
		}
		vmi_event_consume(reading->reader);
		done += nr * size;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return done ?: nr;
}

static ssize_t reader_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct vmi_reading *reading = file->private_data;
	ssize_t ret;

	if (count < sizeof(struct vminspect_event))
		return -EINVAL;
	if (mutex_lock_interruptible(&reading->lock))
		return -ERESTARTSYS;
	ret = reader_read_locked(reading, to, count, !(file->f_flags & O_NONBLOCK));
	mutex_unlock(&reading->lock);
	return ret;
}

static __poll_t reader_poll(struct file *file, struct poll_table_struct *table)
{
	return vmi_reader_poll(file->private_data, file, table);
}

/* After the end nothing is missed any more. */
static u64 reading_missed(const struct vmi_reading *reading)
{
	u64 missed = vmi_probe_missed() - reading->missed_before;

	if (!READ_ONCE(reading->reader->stopped))
		return missed;
	smp_rmb();	/* pairs with reader_stop() */
	return reading->missed;
}

static int reader_state(struct vmi_reading *reading, struct vminspect_events_state *state)
{
	if (state->flags & ~VMINSPECT_EVENTS_STOP)
		return -EINVAL;
	if (state->flags & VMINSPECT_EVENTS_STOP) {
		if (mutex_lock_interruptible(&reading->lock))
			return -ERESTARTSYS;
		reader_stop(reading);
		mutex_unlock(&reading->lock);
	}
	vmi_event_reader_state(reading->reader, &state->records, &state->lost);
	state->missed = reading_missed(reading);
	return 0;
}

static long reader_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vminspect_events_state state;
	void __user *user = (void __user *)arg;
	int size, ret;

	if (cmd != VMINSPECT_IOC_EVENTS_STATE)
		return -ENOTTY;
	size = vmi_argument_get(user, &state, 32, sizeof(state));
	if (size < 0)
		return size;
	ret = reader_state(file->private_data, &state);
	if (ret)
		return ret;
	return copy_to_user(user, &state, size) ? -EFAULT : 0;
}

static int reader_release(struct inode *inode, struct file *file)
{
	vmi_reader_close(file->private_data);
	return 0;
}

static const struct file_operations reader_fops = {
	.owner = THIS_MODULE,
	.release = reader_release,
	.read = reader_read,
	.poll = reader_poll,
	.unlocked_ioctl = reader_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/**
 * vmi_reader_file() - a file to read events from
 * @reading: the reader; closed with the file
 * @flags: O_NONBLOCK or 0
 *
 * Return: the file, or an error, and then the reader is still there.
 */
struct file *vmi_reader_file(struct vmi_reading *reading, unsigned int flags)
{
	return anon_inode_getfile("[vminspect-events]", &reader_fops, reading,
				  O_RDONLY | flags);
}
