// SPDX-License-Identifier: GPL-2.0
/*
 * Text views in debugfs, for machines with no tool at hand:
 *
 *	cat info
 *	exec 3<>maps; echo PID >&3; cat <&3; exec 3>&-
 *	exec 3<>walk; echo PID 0xADDRESS >&3; cat <&3; exec 3>&-
 *	cat guests
 *	cat events
 *	cat stats
 *
 * The choice belongs to the open file, so readers do not disturb each other. A
 * file has no position: a read goes on where the last one ended, and after
 * the end, or another choice, from the beginning.
 *
 * A choice is refused, and the one before stays, with EINVAL: it is no number or
 * "self", or no address of a process; ESRCH: there is no such process, or nobody
 * runs in it any more, or it is one of the kernel's; EACCES: the opener of the file
 * may not look into it. A read returns ESRCH once nobody runs there any more.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>

#include "chardev.h"
#include "debugfs.h"
#include "event.h"
#include "guest.h"
#include "probe.h"
#include "reader.h"
#include "scan.h"
#include "target.h"

/* A line of a run is at most this long; the text buffer is a page. */
#define LINE_MAX_CHARS		320
#define LINES_A_READ		(PAGE_SIZE / LINE_MAX_CHARS)

/* What is returned of each page, and what splits a run: all that lasts. */
#define TEXT_RETURNED	(VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME)
#define TEXT_SPLIT	(VMINSPECT_PAGE_FLAGS & ~(VMINSPECT_PAGE_YOUNG |	\
			 VMINSPECT_PAGE_DIRTY | VMINSPECT_PAGE_SOFT_DIRTY))

/**
 * struct view - an open file
 * @lock: held by reads and writes while they use what follows
 * @print: makes the next piece of text
 * @target: the choice; NULL until one was written
 * @va: walk: the address chosen
 * @next: maps: where the next piece begins
 * @begun: was anything printed since the choice or the last end?
 * @ended: was all of it printed?
 * @hidden: what is hidden in this piece: mask of VMINSPECT_HIDDEN_*
 * @text: the piece
 * @len: its length
 * @at: how much of it was read
 */
struct view {
	struct mutex lock;	/* everything below but @print */
	int (*print)(struct view *view);
	struct vmi_target *target;
	u64 va;
	unsigned long next;
	bool begun;
	bool ended;
	u32 hidden;
	char *text;
	size_t len;
	size_t at;
};

static struct dentry *debugfs_dir;

static const char * const state_names[VMINSPECT_NR_STATES] = {
	[VMINSPECT_STATE_NONE] = "none",
	[VMINSPECT_STATE_PRESENT] = "present",
	[VMINSPECT_STATE_SWAPPED] = "swapped",
	[VMINSPECT_STATE_MIGRATING] = "migrating",
	[VMINSPECT_STATE_POISONED] = "poisoned",
	[VMINSPECT_STATE_DEVICE] = "device",
	[VMINSPECT_STATE_MARKER] = "marker",
	[VMINSPECT_STATE_UNKNOWN] = "unknown",
	[VMINSPECT_STATE_UNMAPPED] = "unmapped",
};

/* By bit number; each is shorter than 13 characters. */
static const char * const flag_names[VMINSPECT_NR_PAGE_FLAGS] = {
	"write", "exec", "user", "global", "young", "dirty", "soft_dirty",
	"uffd_wp", "protnone", "special", "zero", "anon", "file", "shared", "ksm",
	"huge", "hugetlb", "exclusive", "mapped_once", "swapcache", "shmem",
	"numa_hint", "poison", "guard",
};

static const char * const level_names[VMINSPECT_MAX_LEVELS] = {
	"PTE", "PMD", "PUD", "P4D", "PGD",
};

static __printf(2, 3) void view_add(struct view *view, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	view->len += vscnprintf(view->text + view->len, PAGE_SIZE - view->len,
				format, args);
	va_end(args);
}

/* Flags that only some pages of a run have are followed by a question mark. */
static void view_add_flags(struct view *view, u32 all, u32 some)
{
	const char *comma = "";
	unsigned int i;

	for (i = 0; i < VMINSPECT_NR_PAGE_FLAGS; i++) {
		if (!((all | some) & BIT(i)))
			continue;
		view_add(view, "%s%s%s", comma, flag_names[i],
			 some & BIT(i) ? "?" : "");
		comma = ",";
	}
	view_add(view, "%s\n", *comma ? "" : "-");
}

static void view_add_place(struct view *view, u8 state, u64 frame, u8 swap_type)
{
	if (view->hidden) {
		view_add(view, "hidden");
		return;
	}
	switch (state) {
	case VMINSPECT_STATE_PRESENT:
	case VMINSPECT_STATE_MIGRATING:
	case VMINSPECT_STATE_POISONED:
	case VMINSPECT_STATE_DEVICE:
		view_add(view, "pfn:0x%llx", frame);
		break;
	case VMINSPECT_STATE_SWAPPED:
		view_add(view, "swap:%u:%llu", swap_type, frame);
		break;
	case VMINSPECT_STATE_UNKNOWN:
		view_add(view, "raw:0x%llx", frame);
		break;
	default:
		view_add(view, "-");
	}
}

static void maps_print_extents(struct view *view, const struct vmi_scan *scan,
			       unsigned int nr)
{
	const struct vminspect_extent *extent;

	for (extent = scan->extents; extent < scan->extents + nr; extent++) {
		view_add(view, "0x%llx-0x%llx %lu %s ", extent->start, extent->end,
			 1UL << extent->page_shift, state_names[extent->state]);
		view_add_place(view, extent->state, extent->frame,
			       extent->swap_type);
		view_add(view, " ");
		view_add_flags(view, extent->flags, extent->mixed);
	}
}

/*
 * Scan until there are more runs than one piece holds, or no more, or a signal
 * comes. The last run of a full piece may go on: it is left to the next one, which
 * begins there.
 */
static int maps_scan(struct view *view, struct vmi_scan *scan)
{
	unsigned long before;
	int ret;

	scan->max = LINES_A_READ;
	do {
		before = scan->walk.next;
		ret = vmi_scan_batch(scan, true);
		if (ret && ret != -EINTR)
			return ret;
		cond_resched();
	} while (scan->walk.next != before && scan->walk.next != scan->walk.end &&
		 !signal_pending(current));

	view->next = scan->walk.next;
	view->ended = view->next == scan->walk.end;
	if (view->next == before && !ret)
		view->next = scan->extents[--scan->nr].start;
	else if (!view->ended && !scan->nr)
		return -ERESTARTSYS;
	return 0;
}

static int maps_print(struct view *view)
{
	const struct vminspect_scan request = {
		.start = view->next,
		.end = TASK_SIZE_MAX,
		.nr_extents = VMI_SCAN_EXTENTS,
		.extent_size = sizeof(struct vminspect_extent),
		.category_anyof_mask = VMINSPECT_CAT_STATES &
				       ~(VMINSPECT_CAT(VMINSPECT_STATE_NONE) |
					 VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED)),
		.return_mask = TEXT_RETURNED,
		.split_mask = TEXT_SPLIT,
	};
	struct vmi_scan scan;
	int ret;

	ret = vmi_scan_init(&scan, view->target, &request);
	if (ret)
		return ret;
	view->hidden = scan.hidden;
	ret = maps_scan(view, &scan);
	if (!ret)
		maps_print_extents(view, &scan, scan.nr);
	vmi_scan_exit(&scan);
	return ret;
}

static void walk_print_level(struct view *view,
			     const struct vminspect_walk_level *level)
{
	view_add(view, "%s [%3u] ", level_names[level->level - 1], level->index);
	if (view->hidden)
		view_add(view, "hidden ");
	else
		view_add(view, "0x%llx = 0x%llx ", level->entry_pa, level->raw);
	view_add(view, "%s", level->flags & VMINSPECT_ENTRY_PRESENT ? "present," :
			     "not present,");
	view_add_flags(view, level->flags & VMINSPECT_PAGE_FLAGS, 0);
}

static int walk_print(struct view *view)
{
	struct vminspect_walk walk = {
		.va = view->va,
		.return_mask = VMINSPECT_PAGE_FLAGS,
	};
	unsigned int i;
	int ret;

	ret = vmi_scan_walk(view->target, &walk);
	if (ret)
		return ret;
	view->hidden = walk.hidden;
	view_add(view, "0x%llx", walk.va);
	if (!walk.hidden)
		view_add(view, " root 0x%llx", walk.root);
	view_add(view, "\n");
	for (i = 0; i < walk.nr_levels; i++)
		walk_print_level(view, &walk.levels[i]);
	view_add(view, "%s %lu ", state_names[walk.entry.state],
		 1UL << walk.entry.page_shift);
	view_add_place(view, walk.entry.state, walk.entry.frame,
		       walk.entry.swap_type);
	view_add(view, " ");
	view_add_flags(view, walk.entry.flags, 0);
	view->ended = true;
	return 0;
}

static int view_print(struct view *view)
{
	view->len = 0;
	view->at = 0;
	if (!view->begun)
		view->ended = false;
	view->begun = true;
	if (view->target)
		return view->print(view);

	view_add(view, "Choose a process on a descriptor of your own, then read it:\n");
	view_add(view, "exec 3<>%s; cat <&3\n",
		 view->print == maps_print ? "maps; echo PID >&3" :
					     "walk; echo PID 0xADDRESS >&3");
	view->ended = true;
	return 0;
}

static void view_rewind(struct view *view)
{
	view->begun = false;
	view->ended = false;
	view->next = 0;
	view->len = 0;
	view->at = 0;
}

static ssize_t view_read_locked(struct view *view, char __user *to, size_t count)
{
	int ret;

	while (view->at == view->len) {
		if (view->ended) {	/* tell the end once */
			view_rewind(view);
			return 0;
		}
		ret = view_print(view);
		if (ret)
			return ret;
	}
	count = min(count, view->len - view->at);
	if (copy_to_user(to, view->text + view->at, count))
		return -EFAULT;
	view->at += count;
	return count;
}

static ssize_t view_read(struct file *file, char __user *to, size_t count,
			 loff_t *pos)
{
	struct view *view = file->private_data;
	ssize_t ret;

	if (!count)
		return 0;
	if (mutex_lock_killable(&view->lock))
		return -EINTR;
	ret = view_read_locked(view, to, count);
	mutex_unlock(&view->lock);
	return ret;
}

/* A directory of /proc, and nothing that leads elsewhere: digits or "self". */
static bool view_pid_valid(const char *pid)
{
	return !strcmp(pid, "self") || (*pid && pid[strspn(pid, "0123456789")] == 0);
}

/* "PID", and for a walk "PID ADDRESS" */
static int view_parse(struct view *view, char *text, char **pid, u64 *va)
{
	char *rest = strim(text);

	*pid = strsep(&rest, " \t");
	if (!view_pid_valid(*pid))
		return -EINVAL;
	if (view->print == maps_print)
		return rest ? -EINVAL : 0;
	if (!rest || kstrtou64(skip_spaces(rest), 0, va) || *va >= TASK_SIZE_MAX)
		return -EINVAL;
	return 0;
}

static int view_choose(struct view *view, struct file *file, char *text)
{
	struct vmi_target *target;
	char *pid;
	u64 va = 0;
	int ret;

	ret = view_parse(view, text, &pid, &va);
	if (ret)
		return ret;
	target = vmi_target_open(file, pid);
	if (IS_ERR(target))
		return PTR_ERR(target);
	if (mutex_lock_killable(&view->lock)) {
		vmi_target_free(target);
		return -EINTR;
	}
	swap(view->target, target);
	view->va = va;
	view_rewind(view);
	mutex_unlock(&view->lock);
	vmi_target_free(target);	/* the one chosen before */
	return 0;
}

static ssize_t view_write(struct file *file, const char __user *from, size_t count,
			  loff_t *pos)
{
	char *text;
	int ret;

	if (count > 64)
		return -EINVAL;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = view_choose(file->private_data, file, text);
	kfree(text);
	return ret ?: count;
}

static int view_open(struct inode *inode, struct file *file,
		     int (*print)(struct view *view))
{
	struct view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);

	if (!view)
		return -ENOMEM;
	view->text = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!view->text) {
		kfree(view);
		return -ENOMEM;
	}
	mutex_init(&view->lock);
	view->print = print;
	file->private_data = view;
	return stream_open(inode, file);
}

static int maps_open(struct inode *inode, struct file *file)
{
	return view_open(inode, file, maps_print);
}

static int walk_open(struct inode *inode, struct file *file)
{
	return view_open(inode, file, walk_print);
}

static int view_release(struct inode *inode, struct file *file)
{
	struct view *view = file->private_data;

	vmi_target_free(view->target);
	kfree(view->text);
	kfree(view);
	return 0;
}

static const struct file_operations maps_fops = {
	.owner = THIS_MODULE,
	.open = maps_open,
	.release = view_release,
	.read = view_read,
	.write = view_write,
	.llseek = noop_llseek,
};

static const struct file_operations walk_fops = {
	.owner = THIS_MODULE,
	.open = walk_open,
	.release = view_release,
	.read = view_read,
	.write = view_write,
	.llseek = noop_llseek,
};

static int info_show(struct seq_file *m, void *unused)
{
	struct vminspect_info info;

	vmi_chardev_info(&info);
	seq_printf(m, "module %s\nabi %u\nkernel %s\nlevels %u\n", info.version,
		   info.abi, init_utsname()->release, info.levels);
	seq_printf(m, "page_size %u\npa_bits %u\nva_end 0x%llx\nfeatures 0x%llx\n",
		   info.page_size, info.pa_bits, info.va_end, info.features);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

/**
 * struct events_view - an open file of events
 * @reading: everybody's, of all kinds; its lock is for what follows as well
 * @text: of the records last taken
 * @len: its length
 * @at: how much of it was read
 */
struct events_view {
	struct vmi_reading *reading;
	char *text;
	size_t len;
	size_t at;
};

/* A line of a record is at most this long. */
#define EVENT_LINE_CHARS	448

static const char * const event_names[VMINSPECT_NR_EVENTS] = {
	"lost", "swap_in", "swap_out", "read", "write",
};

static const char * const as_names[VMINSPECT_NR_AS] = {
	"other", "fault", "kswapd", "direct", "memcg", "madvise", "khugepaged", "swapoff",
};

static const char * const source_names[VMINSPECT_NR_SOURCES] = {
	"unknown", "device", "zram", "zswap", "zero", "cache",
};

/* By bit number. That the address is known is told by the address. */
static const char * const event_flag_names[VMINSPECT_NR_EVENT_FLAGS - 1] = {
	"major", "retried", "readahead", "shmem", "failed",
};

static __printf(2, 3) void events_add(struct events_view *view, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	view->len += vscnprintf(view->text + view->len, PAGE_SIZE - view->len, format, args);
	va_end(args);
}

static void events_add_flags(struct events_view *view, u32 flags)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(event_flag_names); i++)
		if (flags & BIT(i))
			events_add(view, " %s", event_flag_names[i]);
}

/* Names are escaped: a process chooses its own. */
static void events_add_task(struct events_view *view, const char *what, u32 pid,
			    const char *comm)
{
	char name[4 * TASK_COMM_LEN + 1];

	if (!pid)
		return;
	name[string_escape_mem(comm, strnlen(comm, TASK_COMM_LEN), name, sizeof(name) - 1,
			       ESCAPE_SPACE | ESCAPE_SPECIAL | ESCAPE_NP | ESCAPE_OCTAL,
			       " \\")] = '\0';
	events_add(view, " %s=%u:%s", what, pid, name);
}

static void events_add_record(struct events_view *view, const struct vminspect_event *event)
{
	events_add(view, "%llu.%09llu %s pages=%u", event->time_ns / NSEC_PER_SEC,
		   event->time_ns % NSEC_PER_SEC, event_names[event->kind], event->pages);
	if (event->kind == VMINSPECT_EVENT_LOST) {
		events_add(view, "\n");
		return;
	}
	events_add_task(view, "owner", event->pid, event->comm);
	if (event->flags & VMINSPECT_EVENT_VA)
		events_add(view, " va=0x%llx", event->va);
	if (event->flags & VMINSPECT_EVENT_SHMEM)
		events_add(view, " inode=%u:%u:%llu index=%llu", MAJOR(event->dev),
			   MINOR(event->dev), event->inode, event->index);
	events_add(view, " swap=%u:%llu source=%s", event->swap_type, event->offset,
		   source_names[event->source]);
	if (event->latency_ns != VMINSPECT_UNKNOWN)
		events_add(view, " latency_ns=%llu", event->latency_ns);
	events_add(view, " as=%s", as_names[event->as]);
	events_add_task(view, "actor", event->actor_tid, event->actor_comm);
	events_add(view, " cgroup=%llu", event->cgroup);
	events_add_flags(view, event->flags);
	events_add(view, "\n");
}

/* Takes as many records as there is room for their lines. */
static int events_print(struct events_view *view, bool wait)
{
	int i, nr;

	nr = vmi_reader_fetch(view->reading, PAGE_SIZE / EVENT_LINE_CHARS, wait);
	if (nr < 0)
		return nr;
	/* While this one waited, without the lock, another one may have left some text. */
	if (view->at != view->len)
		return 0;
	view->len = 0;
	view->at = 0;
	for (i = 0; i < nr; i++)
		events_add_record(view, &view->reading->batch[i]);
	vmi_event_consume(view->reading->reader);
	return 0;
}

static ssize_t events_read_locked(struct events_view *view, char __user *to, size_t count,
				  bool wait)
{
	int ret;

	if (view->at == view->len) {
		ret = events_print(view, wait);
		if (ret)
			return ret;
	}
	count = min(count, view->len - view->at);
	if (copy_to_user(to, view->text + view->at, count))
		return -EFAULT;
	view->at += count;
	return count;
}

static ssize_t events_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct events_view *view = file->private_data;
	ssize_t ret;

	if (mutex_lock_interruptible(&view->reading->lock))
		return -ERESTARTSYS;
	ret = events_read_locked(view, to, count, !(file->f_flags & O_NONBLOCK));
	mutex_unlock(&view->reading->lock);
	return ret;
}

static __poll_t events_poll(struct file *file, struct poll_table_struct *table)
{
	struct events_view *view = file->private_data;

	if (READ_ONCE(view->at) != READ_ONCE(view->len))
		return EPOLLIN | EPOLLRDNORM;
	return vmi_reader_poll(view->reading, file, table);
}

static int events_open(struct inode *inode, struct file *file)
{
	struct vminspect_events request = {
		.kinds = VMINSPECT_EVENT_KINDS,
		.record_size = sizeof(struct vminspect_event),
	};
	struct events_view *view;
	int ret;

	if (vmi_target_file_hidden(file))
		return -EPERM;
	view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	if (!view)
		return -ENOMEM;
	view->text = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!view->text) {
		ret = -ENOMEM;
		goto err_free_view;
	}
	view->reading = vmi_reader_open(&request, NULL);
	if (IS_ERR(view->reading)) {
		ret = PTR_ERR(view->reading);
		goto err_free_text;
	}
	file->private_data = view;
	return stream_open(inode, file);

err_free_text:
	kfree(view->text);
err_free_view:
	kfree(view);
	return ret;
}

static int events_release(struct inode *inode, struct file *file)
{
	struct events_view *view = file->private_data;

	vmi_reader_close(view->reading);
	kfree(view->text);
	kfree(view);
	return 0;
}

static const struct file_operations events_fops = {
	.owner = THIS_MODULE,
	.open = events_open,
	.release = events_release,
	.read = events_read,
	.poll = events_poll,
	.llseek = noop_llseek,
};

static int stats_show(struct seq_file *m, void *unused)
{
	struct vmi_event_stats stats;
	unsigned int i;

	vmi_event_stats(&stats);
	for (i = VMINSPECT_EVENT_SWAP_IN; i < VMINSPECT_NR_EVENTS; i++)
		seq_printf(m, "%s %llu pages %llu\n", event_names[i], stats.events[i],
			   stats.pages[i]);
	seq_printf(m, "readers %u\nlost %llu\nmissed %llu\n", stats.readers, stats.lost,
		   vmi_probe_missed());
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/* All of them or none. */
static int debugfs_make(void)
{
	static const struct {
		const char *name;
		umode_t mode;
		const struct file_operations *fops;
	} files[] = {
		{ "info", 0444, &info_fops },
		{ "maps", 0600, &maps_fops },
		{ "walk", 0600, &walk_fops },
		{ "events", 0600, &events_fops },
		{ "stats", 0600, &stats_fops },
	};
	struct dentry *file;
	unsigned int i;

	debugfs_dir = debugfs_create_dir("vminspect", NULL);
	if (IS_ERR(debugfs_dir))
		return PTR_ERR(debugfs_dir);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		file = debugfs_create_file(files[i].name, files[i].mode, debugfs_dir, NULL,
					   files[i].fops);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	return vmi_guests_debugfs(debugfs_dir);
}

/**
 * vmi_debugfs_init() - make the text views
 *
 * Without debugfs there are none, and nothing else suffers.
 */
void vmi_debugfs_init(void)
{
	int ret = debugfs_make();

	if (!ret) {
		vmi_chardev_offer(VMINSPECT_FEATURE_DEBUGFS);
		return;
	}
	debugfs_remove(debugfs_dir);	/* does nothing with an error */
	debugfs_dir = NULL;
	if (ret == -ENOMEM)
		pr_warn("vminspect: no text views, for want of memory: load it again\n");
}

/**
 * vmi_debugfs_exit() - take them away
 *
 * Waits for calls under way (debugfs_file_get() in fs/debugfs/file.c); an open
 * file keeps the module from being unloaded.
 */
void vmi_debugfs_exit(void)
{
	debugfs_remove(debugfs_dir);
}
