// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: whichever allocation fails, the call says ENOMEM; whichever access to user memory,
 * EFAULT; or it does without, where that is harmless. Nothing is lost, and the next call works.
 *
 * The kernel makes the n-th of them fail in one task (/proc/self/fail-nth, of
 * CONFIG_FAULT_INJECTION: Documentation/fault-injection): first the first, then the second, until
 * a call has no more of them.
 * That nothing is lost is for kmemleak to say, once the module is unloaded.
 *
 * machines: attack
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "common.h"
#include "kvm.h"
#include "recorder.h"

#define TIMEOUT		1800
#define DEBUGFS		"/sys/kernel/debug/vminspect/"
#define FAIL		"/sys/kernel/debug/"
#define MANY		10000		/* no call of ours has so many */

/*
 * Kinds of what fails, each with the number of times that it still may: one less tells which it
 * was. That number is looked at for nothing else where the n-th is to fail (lib/fault-inject.c).
 */
enum { SLAB, PAGE_ALLOC, USERCOPY, NR_FAULTS, NO_FAULT = NR_FAULTS };

static const struct fault {
	const char *name, *times;
	int error;
} faults[NR_FAULTS] = {
	[SLAB] = { "slab", FAIL "failslab/times", -ENOMEM },
	[PAGE_ALLOC] = { "pages", FAIL "fail_page_alloc/times", -ENOMEM },
	[USERCOPY] = { "user memory", FAIL "fail_usercopy/times", -EFAULT },
};

/* By default those that may wait do not fail, and they are all there are. */
static struct knob knobs[] = {
	{ FAIL "failslab/times", "1000000", "" },
	{ FAIL "fail_page_alloc/times", "1000000", "" },
	{ FAIL "fail_usercopy/times", "1000000", "" },
	{ FAIL "failslab/ignore-gfp-wait", "N", "" },
	{ FAIL "fail_page_alloc/ignore-gfp-wait", "N", "" },
	{ FAIL "fail_page_alloc/min-order", "0", "" },
	{ FAIL "failslab/verbose", "0", "" },
	{ FAIL "fail_page_alloc/verbose", "0", "" },
	{ FAIL "fail_usercopy/verbose", "0", "" },
};

/* What calls need, and what they leave behind for the next try to use or to take away. */
static struct {
	int device;
	int fd;
	int pagemap;
	struct kvm_guest guest;
	char *map;
	const char *file;
	uint32_t scope;
	int module;
	uint64_t features;
	int knob;
	int trace;
} with;

/* What was armed last, and what became of it. */
static struct {
	bool on;
	long times[NR_FAULTS];
	bool left;		/* the one that was to fail has not been reached */
	int fault;		/* what it was */
	char site[128];		/* where, of slab: "create_object+0x31/0x2b0", or empty */
} armed;

/*
 * Who asked for slab in vain is what the kernel's own tracepoints tell.
 */

static void sites_trace(bool on)
{
	static const char *const events[] = { "kmalloc", "kmalloc_node", "kmem_cache_alloc",
					      "kmem_cache_alloc_node" };
	char path[128], filter[64];
	size_t i;

	snprintf(filter, sizeof(filter), "ptr == 0 && common_pid == %d", getpid());
	for (i = 0; i < ARRAY_LEN(events); i++) {
		snprintf(path, sizeof(path), TRACING "events/kmem/%s/filter", events[i]);
		write_file(path, on ? filter : "0");
		snprintf(path, sizeof(path), TRACING "events/kmem/%s/enable", events[i]);
		write_file(path, on ? "1" : "0");
	}
}

static void site_read(void)
{
	static char text[1 << 14];
	ssize_t ret, size = 0;
	char *at, *next;

	*armed.site = '\0';
	while (size < (ssize_t)sizeof(text) - 1 &&
	       (ret = read(with.trace, text + size, sizeof(text) - 1 - size)) > 0)
		size += ret;
	text[size] = '\0';
	for (at = NULL, next = text; (next = strstr(next, "call_site=")); at = next)
		next += strlen("call_site=");
	if (at)
		snprintf(armed.site, sizeof(armed.site), "%.*s", (int)strcspn(at, "\n "), at);
}

/*
 * What a kernel that looks for errors notes down for itself, for kmemleak and DEBUG_OBJECTS; and
 * the string that nobody wants, of which only that its function was called is looked at.
 */
static bool site_does_without(void)
{
	static const char *const sites[] = { "create_object", "mem_pool_alloc", "kmemleak",
					     "fill_pool", "debug_object", "probes_work" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(sites); i++)
		if (strstr(armed.site, sites[i]))
			return true;
	return false;
}

/* What the kernel tries again in another way if the first fails (pick_link() in fs/namei.c). */
static bool site_is_tried_again(void)
{
	return strstr(armed.site, "proc_self_get_link");
}

static int fail_nth_write(long nth)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", nth);
	return pwrite(with.knob, text, strlen(text), 0) < 0 ? -errno : 0;
}

/* The @nth from now on fails. */
static int arm(long nth)
{
	int i;

	for (i = 0; i < NR_FAULTS; i++)
		armed.times[i] = read_number(faults[i].times);
	armed.on = true;
	return fail_nth_write(nth);
}

/* None fails any more. What is armed may do so itself, before it does what is not its subject. */
static void disarm(void)
{
	char text[32] = "";
	ssize_t size;
	int i;

	if (!armed.on)
		return;
	/* if it has not been reached, to tell so may be what fails */
	size = pread(with.knob, text, sizeof(text) - 1, 0);
	fail_nth_write(0);
	armed.on = false;
	armed.left = size < 0 || strtol(text, NULL, 10);
	armed.fault = NO_FAULT;
	for (i = 0; i < NR_FAULTS && !armed.left; i++)
		if (read_number(faults[i].times) != armed.times[i])
			armed.fault = i;
	site_read();
}

static int closed(int fd)
{
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int do_open(void)
{
	return closed(open("/dev/vminspect", O_RDWR | O_CLOEXEC));
}

/* On a device of its own: one whose reply could not be written is bound. */
static int do_bind(void)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .fd = with.pagemap };
	int device = device_open(), ret;

	if (device < 0)
		return device;
	ret = ioctl(device, VMINSPECT_IOC_BIND, &bind) ? -errno : 0;
	close(device);
	return ret;
}

static int do_info(void)
{
	struct vminspect_info info;

	return device_info(with.device, &info);
}

static int do_scan(void)
{
	static struct vminspect_extent extents[600];
	struct vminspect_scan scan = {
		.start = (uintptr_t)with.map, .end = (uintptr_t)with.map + SZ_2M,
		.extents = (uintptr_t)extents, .nr_extents = ARRAY_LEN(extents),
		.return_mask = RETURN_ALL, .split_mask = VMINSPECT_PAGE_FLAGS,
		.flags = VMINSPECT_SCAN_PAGES,
	};

	return device_scan(with.device, &scan);
}

static int do_scan_words(void)
{
	static struct vminspect_extent extents[600];
	struct vminspect_scan scan = {
		.start = (uintptr_t)with.map, .end = (uintptr_t)with.map + SZ_2M,
		.extents = (uintptr_t)extents, .nr_extents = ARRAY_LEN(extents),
		.return_mask = RETURN_ALL,
	};

	return device_scan_words(with.device, &scan);
}

static int do_translate(void)
{
	struct vminspect_entry entries[100];
	uint64_t addresses[100];
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_LEN(addresses); i++)
		addresses[i] = (uintptr_t)with.map + i * SZ_4K;
	ret = device_translate(with.device, addresses, entries, 100, RETURN_ALL);
	return ret < 0 ? ret : 0;
}

static int do_walk(void)
{
	struct vminspect_walk walk;

	return device_walk(with.device, (uintptr_t)with.map, &walk);
}

static int do_swap(void)
{
	char path[4096];
	struct vminspect_swap swap = {
		.size = sizeof(swap), .flags = VMINSPECT_SWAP_SLOTS, .path = (uintptr_t)path,
		.path_size = sizeof(path),
	};

	return ioctl(with.device, VMINSPECT_IOC_SWAP, &swap) && errno != EOPNOTSUPP ? -errno : 0;
}

static int do_events(void)
{
	struct vminspect_events request = request_all(ALL_KINDS);

	request.scope = with.scope;
	if (with.scope == VMINSPECT_SCOPE_TASKS)
		request.pid = getpid();
	if (with.scope == VMINSPECT_SCOPE_CGROUP)
		request.cgroup_fd = with.fd;
	return closed(ioctl(with.device, VMINSPECT_IOC_EVENTS, &request));
}

/* Where this is done probes of one kind are attached; it is about those of the others. */
static long attach_nth;

static int do_attach(void)
{
	struct vminspect_events all = request_all(ALL_KINDS);
	int fd;

	arm(attach_nth);
	fd = ioctl(with.device, VMINSPECT_IOC_EVENTS, &all);
	if (fd < 0)
		fd = -errno;
	disarm();
	if (fd < 0)
		return fd;
	close(fd);
	return all.missing ? -ENOMSG : 0;	/* nothing is told in part */
}

static int do_state(void)
{
	struct vminspect_events_state state;

	return events_state(with.fd, 0, &state);
}

/* The task that swaps allocates for its records. */
static int do_swap_out_and_in(void)
{
	madvise(with.map, 16 * SZ_4K, MADV_PAGEOUT);
	touch(with.map, 16 * SZ_4K);
	return 0;
}

static int do_read(void)
{
	struct vminspect_event events[4];

	return read(with.fd, events, sizeof(events)) < 0 && errno != EAGAIN ? -errno : 0;
}

static int do_poll(void)
{
	struct pollfd fds = { .fd = with.fd, .events = POLLIN };

	return poll(&fds, 1, 0) < 0 ? -errno : 0;
}

static int do_text(void)
{
	static char text[1 << 16];
	int fd = open(with.file, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (strstr(with.file, "maps") && write(fd, "self", 4) < 0)
		ret = -errno;
	if (strstr(with.file, "walk") && write(fd, "self 0x400000", 13) < 0)
		ret = -errno;
	if (!ret && read(fd, text, sizeof(text)) < 0 && errno != EAGAIN)
		ret = -errno;
	close(fd);
	return ret;
}

static int do_guest(void)
{
	struct vminspect_guest request = {
		.size = sizeof(request), .vm_fd = with.guest.vm, .mem_fd = -1,
	};

	return closed(ioctl(with.device, VMINSPECT_IOC_GUEST, &request));
}

static int do_guest_walk(void)
{
	struct vminspect_guest_walk walk = { .size = sizeof(walk), .address = KVM_CODE };

	return ioctl(with.fd, VMINSPECT_IOC_GUEST_WALK, &walk) ? -errno : 0;
}

static int do_guest_scan(void)
{
	struct vminspect_guest_extent extents[4];
	struct vminspect_guest_scan scan = {
		.size = sizeof(scan), .extents = (uintptr_t)extents, .nr_extents = 4,
		.extent_size = sizeof(extents[0]),
	};

	return ioctl(with.fd, VMINSPECT_IOC_GUEST_SCAN, &scan) ? -errno : 0;
}

/*
 * A load that says it worked has all that one has which nothing disturbs, but for text views, of
 * which INFO tells then that there are none.
 */
static int do_load(void)
{
	int ret = syscall(SYS_finit_module, with.module, "", 0) ? -errno : 0, device;
	struct vminspect_info info;

	disarm();
	if (ret)
		return ret;
	device = device_open();
	if (device < 0)
		return -ENODEV;
	ret = device_info(device, &info);
	close(device);
	if (!(info.features & VMINSPECT_FEATURE_DEBUGFS) != !!access(DEBUGFS "info", F_OK))
		ret = -ENOTDIR;
	info.features &= ~VMINSPECT_FEATURE_DEBUGFS;
	if (module_unload())
		return -EBUSY;
	if (!with.features)
		with.features = info.features;
	return ret || info.features == with.features ? ret : -ENOMSG;
}

/*
 * Its n-th allocation or access fails, for each n that it has, and it says so. @harmless: mask of
 * those that it may do without; besides pages, since slab, vmalloc and kvmalloc ask for many at
 * once first, and then for fewer or elsewhere. Return: how many it said so of
 */
static long fail_each(struct __test_metadata *_metadata, const char *name, int (*run)(void),
		      unsigned int harmless)
{
	const int usual = run();	/* what it says when nothing fails */
	long nth, made[NR_FAULTS] = { 0 }, failed[NR_FAULTS] = { 0 };
	const struct fault *fault;
	bool good;
	int ret;

	harmless |= 1U << PAGE_ALLOC;
	for (nth = 1; nth < MANY; nth++) {
		EXPECT_EQ(0, arm(nth));
		ret = run();
		disarm();
		if (armed.left) {
			EXPECT_EQ(usual, ret);
			break;
		}
		EXPECT_NE(NO_FAULT, armed.fault)
			TH_LOG("%s: number %ld is of no kind", name, nth);
		if (armed.fault == NO_FAULT)
			continue;
		fault = &faults[armed.fault];
		good = ret == fault->error ||
		       (ret == usual && (harmless & 1U << armed.fault || site_is_tried_again()));
		if (armed.fault == SLAB && site_does_without())
			good = ret == usual;
		EXPECT_TRUE(good)
			TH_LOG("%s: error %d when number %ld fails: %s %s", name, -ret, nth,
			       fault->name, armed.site);
		made[armed.fault]++;
		failed[armed.fault] += ret != usual;
		if (ret != usual)
			EXPECT_EQ(usual, run())
				TH_LOG("%s: the next call, after number %ld", name, nth);
	}
	EXPECT_GT(MANY, nth);
	TH_LOG("%s: said so of slab %ld/%ld, pages %ld/%ld, user memory %ld/%ld", name,
	       failed[SLAB], made[SLAB], failed[PAGE_ALLOC], made[PAGE_ALLOC], failed[USERCOPY],
	       made[USERCOPY]);
	return failed[SLAB] + failed[PAGE_ALLOC] + failed[USERCOPY];
}

/*
 * The same for what attaches probes, where it is the range that is armed. It has thousands of
 * allocations, nearly all of them those of a return probe, one for each task that may be in the
 * function, each like the one before: of these not each fails.
 */
static void expect_attach_to_fail(struct __test_metadata *_metadata)
{
	struct vminspect_events one = request_all(KIND(SWAP_OUT));
	const int first = events_open(with.device, &one);
	long failed = 0, made = 0;
	int ret = 0;

	ASSERT_LE(0, first);
	for (attach_nth = 1; attach_nth < MANY; made++) {
		ret = do_attach();
		if (armed.left)
			break;
		EXPECT_NE(NO_FAULT, armed.fault);
		if (armed.fault == NO_FAULT)
			break;
		EXPECT_TRUE(ret == faults[armed.fault].error ||
			    (ret == 0 && armed.fault != USERCOPY))
			TH_LOG("attach: error %d when number %ld fails: %s", -ret, attach_nth,
			       faults[armed.fault].name);
		failed += ret != 0;
		attach_nth += 1 + attach_nth / 50;
	}
	close(first);
	TH_LOG("attach: %ld made to fail, %ld times it said so", made, failed);
	EXPECT_LT(0, failed);
	EXPECT_TRUE(armed.left);
	EXPECT_EQ(0, ret);
}

static bool can_fail(void)
{
	return !access("/proc/self/fail-nth", F_OK);
}

/* To be asked by each test: one is not left out by what sets it up. */
#define CAN_NOT_FAIL	"this kernel can't make allocations fail (CONFIG_FAULT_INJECTION)"

FIXTURE(faults)
{
};

FIXTURE_SETUP(faults)
{
	if (!can_fail())
		return;
	knobs_turn(knobs, ARRAY_LEN(knobs));
	with.knob = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, with.knob);
	with.trace = open(TRACING "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, with.trace);
	sites_trace(true);
	with.device = device_bound(getpid());
	ASSERT_LE(0, with.device);
	with.pagemap = pagemap_open(getpid());
	with.map = map_small(SZ_2M);
	ASSERT_NE(NULL, with.map);
	memset(with.map, 1, SZ_2M);
	with.fd = -1;
	with.guest.vm = -1;
}

FIXTURE_TEARDOWN(faults)
{
	if (!can_fail())
		return;
	sites_trace(false);
	close(with.trace);
	close(with.knob);
	close(with.device);
	close(with.fd);
	close(with.pagemap);
	if (with.guest.vm >= 0)
		kvm_guest_drop(&with.guest);
	knobs_turn_back(knobs, ARRAY_LEN(knobs));
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load(""));
}

/* Some of these have an allocation of their own: to see none fail would be to see nothing. */
TEST_F_TIMEOUT(faults, of_looking, TIMEOUT)
{
	if (!can_fail())
		SKIP(return, CAN_NOT_FAIL);
	EXPECT_LT(0, fail_each(_metadata, "open", do_open, 0));
	fail_each(_metadata, "INFO", do_info, 0);
	fail_each(_metadata, "SCAN", do_scan, 0);
	EXPECT_LT(0, fail_each(_metadata, "SCAN in words", do_scan_words, 0));
	EXPECT_LT(0, fail_each(_metadata, "TRANSLATE", do_translate, 0));
	fail_each(_metadata, "WALK", do_walk, 0);
	EXPECT_LT(0, fail_each(_metadata, "SWAP", do_swap, 0));
	EXPECT_LT(0, fail_each(_metadata, "BIND", do_bind, 0));
}

TEST_F_TIMEOUT(faults, of_events, TIMEOUT)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	int dir = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);

	if (!can_fail())
		SKIP(return, CAN_NOT_FAIL);
	/*
	 * Up to the trial whether probes work, which they do not: where the kernel takes away a
	 * probe that does, an allocation of its own must not fail. It can't be told that one did,
	 * warns, and has no probes any more (__disarm_kprobe_ftrace() in kernel/kprobes.c).
	 */
	ASSERT_EQ(0, write_file(FAIL "kprobes/enabled", "0"));
	with.fd = dir;
	for (with.scope = 0; with.scope < VMINSPECT_NR_SCOPES; with.scope++) {
		EXPECT_EQ(-EOPNOTSUPP, do_events());
		EXPECT_LT(0, fail_each(_metadata, "EVENTS", do_events, 0));
	}
	ASSERT_EQ(0, write_file(FAIL "kprobes/enabled", "1"));
	expect_attach_to_fail(_metadata);
	request.flags = VMINSPECT_EVENTS_NONBLOCK;
	with.fd = events_open(with.device, &request);
	ASSERT_LE(0, with.fd);
	close(dir);
	/* with probes attached already */
	for (with.scope = 0; with.scope < VMINSPECT_NR_SCOPES; with.scope++)
		if (with.scope != VMINSPECT_SCOPE_TASKS && with.scope != VMINSPECT_SCOPE_CGROUP)
			EXPECT_LT(0, fail_each(_metadata, "EVENTS again", do_events, 0));
	fail_each(_metadata, "EVENTS_STATE", do_state, 0);
	fail_each(_metadata, "read", do_read, 0);
	fail_each(_metadata, "poll", do_poll, 0);
	/* What the kernel has no memory for stays in, and what we have none for is counted. */
	fail_each(_metadata, "swapping", do_swap_out_and_in, 1U << SLAB);
}

TEST_F_TIMEOUT(faults, of_text_views, TIMEOUT)
{
	static const char *const files[] = { DEBUGFS "info", DEBUGFS "maps", DEBUGFS "walk",
					     DEBUGFS "guests", DEBUGFS "events", DEBUGFS "stats" };
	size_t i;

	if (!can_fail())
		SKIP(return, CAN_NOT_FAIL);
	/* Of events, up to where probes would be attached, as above. */
	ASSERT_EQ(0, write_file(FAIL "kprobes/enabled", "0"));
	for (i = 0; i < ARRAY_LEN(files); i++) {
		with.file = files[i];
		EXPECT_LT(0, fail_each(_metadata, files[i], do_text, 0));
	}
	ASSERT_EQ(0, write_file(FAIL "kprobes/enabled", "1"));
}

TEST_F_TIMEOUT(faults, of_guests, TIMEOUT)
{
	struct vminspect_guest request = { .size = sizeof(request), .mem_fd = -1 };

	if (!can_fail())
		SKIP(return, CAN_NOT_FAIL);
	if (kvm_guest_make(&with.guest))
		SKIP(return, "this machine lacks KVM");
	EXPECT_LT(0, fail_each(_metadata, "GUEST", do_guest, 0));
	request.vm_fd = with.guest.vm;
	with.fd = ioctl(with.device, VMINSPECT_IOC_GUEST, &request);
	ASSERT_LE(0, with.fd);
	fail_each(_metadata, "GUEST_WALK", do_guest_walk, 0);
	fail_each(_metadata, "GUEST_SCAN", do_guest_scan, 0);
}

/*
 * A load that fails leaves nothing: neither the device nor files nor probes. What the kernel does
 * without is of its own, as the notes in sysfs: do_load() looks at what there is of ours.
 */
TEST_F_TIMEOUT(faults, of_loading, TIMEOUT)
{
	char path[256];
	FILE *name;

	if (!can_fail())
		SKIP(return, CAN_NOT_FAIL);
	name = popen("modinfo -F filename vminspect", "re");
	ASSERT_NE(NULL, name);
	ASSERT_NE(NULL, fgets(path, sizeof(path), name));
	pclose(name);
	path[strcspn(path, "\n")] = '\0';
	with.module = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, with.module);
	close(with.device);
	with.device = -1;
	ASSERT_EQ(0, module_unload());
	EXPECT_LT(0, fail_each(_metadata, "load", do_load, 1U << SLAB));
	close(with.module);
	EXPECT_EQ(0, module_load(""));
}

TEST_HARNESS_MAIN
