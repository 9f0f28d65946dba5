// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vminspect: a table of commands; copies arguments in and out.
 */
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "argument.h"
#include "chardev.h"
#include "guest.h"
#include "packed.h"
#include "probe.h"
#include "reader.h"
#include "scan.h"
#include "swap.h"
#include "target.h"

/* What an older or newer user space may hand over: see chardev_ioctl(). */
static_assert(sizeof(struct vminspect_info) == 64);
static_assert(sizeof(struct vminspect_bind) == 16);
static_assert(sizeof(struct vminspect_extent) == 40);
static_assert(sizeof(struct vminspect_scan) == 112);
static_assert(sizeof(struct vminspect_entry) == 24);
static_assert(sizeof(struct vminspect_translate) == 48);
static_assert(sizeof(struct vminspect_walk_level) == 24);
static_assert(sizeof(struct vminspect_walk) == 184);
static_assert(sizeof(struct vminspect_swap) == 80);
static_assert(sizeof(struct vminspect_events) == 48);

/* What other files of the module offer, besides what is always there. */
static u64 offered_features;

/**
 * vmi_chardev_offer() - tell INFO of a feature that is there as of now
 * @features: mask of VMINSPECT_FEATURE_*
 *
 * Context: while the module is being loaded.
 */
void vmi_chardev_offer(u64 features)
{
	WRITE_ONCE(offered_features, offered_features | features);
}

static u64 chardev_event_features(u32 kinds)
{
	u64 features = 0;

	if (kinds & BIT(VMINSPECT_EVENT_SWAP_IN))
		features |= VMINSPECT_FEATURE_SWAP_IN;
	if (kinds & BIT(VMINSPECT_EVENT_SWAP_OUT))
		features |= VMINSPECT_FEATURE_SWAP_OUT;
	if (kinds & BIT(VMINSPECT_EVENT_READ))
		features |= VMINSPECT_FEATURE_READ;
	if (kinds & BIT(VMINSPECT_EVENT_WRITE))
		features |= VMINSPECT_FEATURE_WRITE;
	return features;
}

/**
 * vmi_chardev_info() - what module and machine can do
 * @info: out: all but @size and @hidden
 */
void vmi_chardev_info(struct vminspect_info *info)
{
	*info = (struct vminspect_info){
		.abi = VMINSPECT_ABI,
		.features = VMINSPECT_FEATURE_SCAN | VMINSPECT_FEATURE_TRANSLATE |
			    VMINSPECT_FEATURE_WALK | READ_ONCE(offered_features) |
			    vmi_swap_features(),
		.va_end = TASK_SIZE_MAX,
		.page_size = PAGE_SIZE,
		.levels = pgtable_l5_enabled() ? 5 : 4,
		.pa_bits = boot_cpu_data.x86_phys_bits,
	};
	info->features |= chardev_event_features(vmi_probe_kinds());
	if (IS_ENABLED(CONFIG_KVM))
		info->features |= VMINSPECT_FEATURE_GUEST;
	if (IS_ENABLED(CONFIG_SHMEM) && IS_ENABLED(CONFIG_SWAP))
		info->features |= VMINSPECT_FEATURE_SHMEM_SWAP;
	if (IS_ENABLED(CONFIG_MEM_SOFT_DIRTY))
		info->features |= VMINSPECT_FEATURE_SOFT_DIRTY;
	if (IS_ENABLED(CONFIG_HAVE_ARCH_USERFAULTFD_WP) &&
	    IS_ENABLED(CONFIG_USERFAULTFD))
		info->features |= VMINSPECT_FEATURE_UFFD_WP;
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		info->features |= VMINSPECT_FEATURE_THP;
	if (IS_ENABLED(CONFIG_DEVICE_PRIVATE))
		info->features |= VMINSPECT_FEATURE_DEVICE_PRIVATE;
	strscpy(info->version, VMI_VERSION, sizeof(info->version));
}

static int chardev_info(struct file *file, void *arg)
{
	struct vminspect_info *info = arg;
	u32 size = info->size;

	vmi_chardev_info(info);
	info->size = size;
	info->hidden = vmi_target_file_hidden(file);
	return 0;
}

/*
 * The bind is made once and lasts as long as the open file: whoever has seen it
 * may use it without a lock.
 */
static int chardev_bind(struct file *file, void *arg)
{
	struct vminspect_bind *bind = arg;
	struct vmi_target *target;
	struct file *pagemap;

	if (bind->flags)
		return -EINVAL;
	pagemap = fget(bind->fd);
	if (!pagemap)
		return -EBADF;
	target = vmi_target_bind(file, pagemap);
	fput(pagemap);
	if (IS_ERR(target))
		return PTR_ERR(target);
	bind->hidden = vmi_target_hidden(target);

	if (cmpxchg(&file->private_data, NULL, target)) {
		vmi_target_free(target);
		return -EBUSY;
	}
	return 0;
}

static struct vmi_target *chardev_target(struct file *file)
{
	/* Pairs with the cmpxchg() of chardev_bind(): the target is complete. */
	return smp_load_acquire(&file->private_data);
}

/*
 * Copy out what was found: all but the last extent, which may still grow, unless
 * @all. The only place where the caller's array is touched; no lock is held.
 */
static int scan_copy_out(struct vmi_scan *scan, struct vminspect_scan *request,
			 bool all)
{
	void __user *to = u64_to_user_ptr(request->extents);
	const size_t size = scan->found_size;
	unsigned int nr = scan->nr;

	if (nr && !all)
		nr--;
	if (copy_to_user(to + request->nr_filled * size, scan->found, nr * size))
		return -EFAULT;
	request->nr_filled += nr;
	scan->nr -= nr;
	if (scan->nr)
		memmove(scan->found, scan->found + nr * size, size);
	return 0;
}

static int scan_run(struct vmi_scan *scan, struct vminspect_scan *request)
{
	bool begun = false, done;
	unsigned long before;
	int ret;

	request->nr_filled = 0;
	do {
		scan->max = min(scan->room, request->nr_extents - request->nr_filled);
		before = scan->walk.next;
		/* Once one batch is done, a signal may have its way. */
		ret = vmi_scan_batch(scan, begun);
		if (ret && !(begun && ret == -EINTR))
			return ret;
		begun = true;
		/*
		 * A batch that did not get ahead was interrupted, or refused its
		 * first run: one of the caller's arrays is full, since ours had room.
		 */
		done = scan->walk.next == before ||
		       scan->walk.next == request->end || signal_pending(current);
		ret = scan_copy_out(scan, request, done);
		if (ret)
			return ret;
		cond_resched();
	} while (!done);
	request->resume = scan->walk.next;
	return 0;
}

static int scan_for_extents(struct vmi_target *target, struct vminspect_scan *request)
{
	struct vmi_scan scan;
	int ret;

	ret = vmi_scan_init(&scan, target, request);
	if (ret)
		return ret;
	request->hidden = scan.hidden;
	ret = scan_run(&scan, request);
	vmi_scan_exit(&scan);
	return ret;
}

static int scan_for_words(struct vmi_target *target, struct vminspect_scan *request)
{
	struct vmi_packed packed;
	int ret;

	ret = vmi_packed_init(&packed, target, request);
	if (ret)
		return ret;
	request->hidden = packed.scan.hidden;
	ret = scan_run(&packed.scan, request);
	request->nr_kinds_filled = packed.nr_said;
	if (!ret && copy_to_user(u64_to_user_ptr(request->kinds), packed.said,
				 packed.nr_said * sizeof(*packed.said)))
		ret = -EFAULT;
	vmi_packed_exit(&packed);
	return ret;
}

static int chardev_scan(struct file *file, void *arg)
{
	struct vmi_target *target = chardev_target(file);
	struct vminspect_scan *request = arg;

	if (!target)
		return -ENXIO;
	if (!request->nr_extents)
		return -EINVAL;
	request->nr_kinds_filled = 0;
	if (request->flags & VMINSPECT_SCAN_PACKED)
		return scan_for_words(target, request);
	return scan_for_extents(target, request);
}

/*
 * struct translate_batch - addresses that are looked up at once
 * @addresses: these
 * @entries: out: what stands there
 * @max: how many there is room for
 * @patience_ns: how long who waits for the lock is given way to before the next ones
 */
struct translate_batch {
	u64 *addresses;
	struct vminspect_entry *entries;
	unsigned int max;
	u64 patience_ns;
};

/* So few that the stack has room for them: memory would cost more than all the rest. */
#define TRANSLATE_FEW	4U

/* A size that is known spares one address a check that costs more than the copying. */
static bool translate_copy_in(u64 *addresses, const u64 __user *from, unsigned int nr)
{
	if (nr == 1)
		return get_user(addresses[0], from);
	return copy_from_user(addresses, from, nr * sizeof(*from));
}

static bool translate_copy_out(struct vminspect_entry __user *to,
			       const struct vminspect_entry *entries, unsigned int nr)
{
	if (nr == 1)
		return copy_to_user(to, entries, sizeof(*to));
	return copy_to_user(to, entries, nr * sizeof(*to));
}

/* Return: how many of at most @nr addresses were done, at least 1 */
static int translate_batch(struct vmi_target *target, struct translate_batch *batch,
			   const struct vminspect_translate *request,
			   unsigned int nr)
{
	const u64 __user *from = u64_to_user_ptr(request->addresses);
	struct vminspect_entry __user *to = u64_to_user_ptr(request->entries);
	int done;

	if (translate_copy_in(batch->addresses, from + request->nr_done, nr))
		return -EFAULT;
	done = vmi_scan_translate(target, batch->addresses, batch->entries, nr,
				  request->return_mask, request->hidden,
				  &batch->patience_ns, request->nr_done);
	if (done < 0)
		return done;
	if (translate_copy_out(to + request->nr_done, batch->entries, done))
		return -EFAULT;
	return done;
}

static int translate_run(struct vmi_target *target, struct translate_batch *batch,
			 struct vminspect_translate *request)
{
	int done;

	request->nr_done = 0;
	do {
		done = translate_batch(target, batch, request,
				       min(batch->max, request->nr - request->nr_done));
		/* A bad address or a signal ends it; told if nothing stands before. */
		if ((done == -EINVAL || done == -EINTR) && request->nr_done)
			return 0;
		if (done < 0)
			return done;
		request->nr_done += done;
		cond_resched();
	} while (request->nr_done < request->nr && !signal_pending(current));
	return 0;
}

static int chardev_translate(struct file *file, void *arg)
{
	struct vmi_target *target = chardev_target(file);
	struct vminspect_translate *request = arg;
	struct vminspect_entry entries[TRANSLATE_FEW];
	u64 addresses[TRANSLATE_FEW];
	struct translate_batch batch = {
		.addresses = addresses, .entries = entries, .max = TRANSLATE_FEW,
		.patience_ns = VMI_WALK_PATIENCE_NS,
	};
	void *memory = NULL;
	int ret;

	if (!target)
		return -ENXIO;
	if (request->flags || !request->nr ||
	    request->entry_size != sizeof(struct vminspect_entry) ||
	    !vmi_scan_returned_valid(request->return_mask))
		return -EINVAL;
	if (request->nr > TRANSLATE_FEW) {
		batch.max = min(request->nr, VMI_LOOKUP_BATCH);
		memory = kmalloc_array(batch.max, sizeof(*addresses) + sizeof(*entries),
				       GFP_KERNEL_ACCOUNT);
		if (!memory)
			return -ENOMEM;
		batch.addresses = memory;
		batch.entries = memory + batch.max * sizeof(*addresses);
	}
	request->hidden = vmi_target_hidden(target);
	ret = translate_run(target, &batch, request);
	kfree(memory);
	return ret;
}

static int chardev_walk(struct file *file, void *arg)
{
	struct vmi_target *target = chardev_target(file);
	struct vminspect_walk *walk = arg;

	if (!target)
		return -ENXIO;
	if (walk->flags || walk->va >= TASK_SIZE_MAX ||
	    !vmi_scan_returned_valid(walk->return_mask))
		return -EINVAL;
	memset(walk->levels, 0, sizeof(walk->levels));
	return vmi_scan_walk(target, walk);
}

static int swap_copy_path(const struct vminspect_swap *area, const char *path)
{
	size_t size = strlen(path) + 1;

	if (size > area->path_size)
		return -ENAMETOOLONG;
	return copy_to_user(u64_to_user_ptr(area->path), path, size) ? -EFAULT : 0;
}

static int chardev_swap(struct file *file, void *arg)
{
	struct vminspect_swap *area = arg;
	char *path;
	int ret;

	if (area->flags & ~VMINSPECT_SWAP_SLOTS)
		return -EINVAL;
	*area = (struct vminspect_swap){
		.size = area->size, .flags = area->flags, .path = area->path,
		.path_size = area->path_size, .type = area->type,
	};
	path = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	if (!path)
		return -ENOMEM;
	ret = vmi_swap_area(area, path);
	if (!ret && area->flags & VMINSPECT_SWAP_SLOTS)
		ret = vmi_swap_count_slots(area);
	if (!ret && area->path)
		ret = swap_copy_path(area, path);
	kfree(path);
	return ret;
}

/*
 * They patch the kernel's text and show other processes: as pagemap shows frames, by
 * what the opener of each file may do, and not under lockdown.
 */
static int events_allowed(struct file *file, const struct vmi_target *target)
{
	if (vmi_target_file_hidden(file) || (target && vmi_target_hidden(target)))
		return -EPERM;
	return 0;
}

/* Return: a descriptor that is reserved; its file is left in @made */
static int chardev_events(struct file *file, void *arg, struct file **made)
{
	struct vmi_target *target = chardev_target(file);
	struct vminspect_events *request = arg;
	unsigned int flags = request->flags & VMINSPECT_EVENTS_NONBLOCK ? O_NONBLOCK : 0;
	struct vmi_reading *reading;
	int fd, ret;

	ret = events_allowed(file, target);
	if (ret)
		return ret;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	reading = vmi_reader_open(request, target);
	if (IS_ERR(reading)) {
		ret = PTR_ERR(reading);
		goto err_put_fd;
	}
	*made = vmi_reader_file(reading, flags);
	if (IS_ERR(*made)) {
		ret = PTR_ERR(*made);
		goto err_close;
	}
	return fd;

err_close:
	vmi_reader_close(reading);
err_put_fd:
	put_unused_fd(fd);
	return ret;
}

static int chardev_guest(struct file *file, void *arg, struct file **made)
{
	return vmi_guest_open(file, arg, made);
}

/* Sizes as vmi_argument_get() has them. What makes a descriptor has @make, not @run. */
struct command {
	unsigned int cmd;
	size_t first_size;
	size_t size;
	int (*run)(struct file *file, void *arg);
	int (*make)(struct file *file, void *arg, struct file **made);
};

static const struct command commands[] = {
	{ VMINSPECT_IOC_INFO, 64, sizeof(struct vminspect_info), chardev_info },
	{ VMINSPECT_IOC_BIND, 16, sizeof(struct vminspect_bind), chardev_bind },
	{ VMINSPECT_IOC_SCAN, 96, sizeof(struct vminspect_scan), chardev_scan },
	{ VMINSPECT_IOC_TRANSLATE, 48, sizeof(struct vminspect_translate),
	  chardev_translate },
	{ VMINSPECT_IOC_WALK, 184, sizeof(struct vminspect_walk), chardev_walk },
	{ VMINSPECT_IOC_SWAP, 80, sizeof(struct vminspect_swap), chardev_swap },
	{ VMINSPECT_IOC_EVENTS, 48, sizeof(struct vminspect_events),
	  .make = chardev_events },
	{ VMINSPECT_IOC_GUEST, 32, sizeof(struct vminspect_guest), .make = chardev_guest },
};

static const struct command *chardev_command(unsigned int cmd)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].cmd == cmd)
			return &commands[i];
	return NULL;
}

static int chardev_run(const struct command *command, struct file *file, void *argument,
		       void __user *user, size_t size)
{
	int ret = command->run(file, argument);

	if (ret)
		return ret;
	return copy_to_user(user, argument, size) ? -EFAULT : 0;
}

/* The descriptor is the caller's only when nothing can fail any more. */
static int chardev_make(const struct command *command, struct file *file, void *argument,
			void __user *user, size_t size)
{
	struct file *made;
	int fd = command->make(file, argument, &made);

	if (fd < 0)
		return fd;
	if (copy_to_user(user, argument, size)) {
		put_unused_fd(fd);
		fput(made);
		return -EFAULT;
	}
	fd_install(fd, made);
	return fd;
}

static long chardev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct command *command = chardev_command(cmd);
	void __user *user = (void __user *)arg;
	union {
		struct vminspect_info info;
		struct vminspect_bind bind;
		struct vminspect_scan scan;
		struct vminspect_translate translate;
		struct vminspect_walk walk;
		struct vminspect_swap swap;
		struct vminspect_events events;
		struct vminspect_guest guest;
	} argument;
	int size;

	if (!command)
		return -ENOTTY;
	size = vmi_argument_get(user, &argument, command->first_size, command->size);
	if (size < 0)
		return size;
	if (command->make)
		return chardev_make(command, file, &argument, user, size);
	return chardev_run(command, file, &argument, user, size);
}

/* misc_open() leaves the miscdevice in private_data; here it is the bind. */
static int chardev_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return nonseekable_open(inode, file);
}

/* The last reference to the file is gone: nobody is in an ioctl any more. */
static int chardev_release(struct inode *inode, struct file *file)
{
	vmi_target_free(file->private_data);
	return 0;
}

static const struct file_operations chardev_fops = {
	.owner = THIS_MODULE,
	.open = chardev_open,
	.release = chardev_release,
	.unlocked_ioctl = chardev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vminspect",
	.fops = &chardev_fops,
};

/**
 * vmi_chardev_init() - make /dev/vminspect
 * @mode: its permissions, as chmod(1) takes them
 *
 * Return: 0, or the error of misc_register()
 */
int vmi_chardev_init(unsigned int mode)
{
	chardev.mode = mode;
	return misc_register(&chardev);
}

/**
 * vmi_chardev_exit() - take it away; nobody has it open
 */
void vmi_chardev_exit(void)
{
	misc_deregister(&chardev);
}
