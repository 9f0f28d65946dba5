// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: whatever happens to a process, to its memory, to swap, to the machine's memory or to a
 * guest while it is looked at: looking goes on, its answers have the shape that they must have, and
 * what the process has written is there when it reads it. That the log of the kernel stays clean is
 * seen to by whoever runs this.
 *
 * In each race a process does one thing again and again, checks its own memory, and threads look at
 * it in every way.
 *
 *   VMINSPECT_SECONDS   how long each race is; default 15
 *   VMINSPECT_SEED      default: of the clock
 *
 * machines: attack
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"

#include "common.h"
#include "kvm.h"
#include "recorder.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

#define TIMEOUT		600
#define LOOKERS		3
#define PAGES		2048UL
#define MAX_THINGS	6
#define SIZE		(PAGES * SZ_4K)
#define LOCKED		16UL

#define STATE(name)	(1U << VMINSPECT_STATE_##name)

/* What target, lookers and test share. */
static struct shared {
	bool stop;		/* looking */
	bool end;		/* the target, once nobody looks any more */
	pid_t target;		/* the youngest one, where targets come and go */
	uint64_t changes, looks, gone;
	uint64_t happened[MAX_THINGS];	/* of what is raced against, each as often as it worked */
	uint32_t states;	/* that a page of the target may be in */
	char *locked;		/* pages of the target that are locked, or NULL */
	uint64_t locked_frames[LOCKED];	/* where pagemap has them */
	uint64_t judged;	/* answers of TRANSLATE */
	uint64_t nr_wrong;
	char wrong[160];	/* the first */
} *shared;

static __thread unsigned int seed;

static unsigned int below(unsigned int n)
{
	return rand_r(&seed) % n;
}

static void count(int thing, bool happened)
{
	shared->happened[thing] += happened;
}

__attribute__((format(printf, 1, 2)))
static void say_wrong(const char *format, ...)
{
	va_list args;

	if (__atomic_fetch_add(&shared->nr_wrong, 1, __ATOMIC_RELAXED))
		return;
	va_start(args, format);
	vsnprintf(shared->wrong, sizeof(shared->wrong), format, args);
	va_end(args);
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/*
 * The target's memory: each page holds its number, or nothing if it was discarded and has not been
 * written since. Whoever has it as well, as a fork, has this, too.
 */
static char *map;
static bool discarded[PAGES];

static void write_pages(size_t first, size_t nr)
{
	size_t i;

	for (i = first; i < first + nr; i++) {
		*(uint64_t *)(map + i * SZ_4K) = i + 1;
		discarded[i] = false;
	}
}

/* Before they are: the kernel may take its time, or leave them. */
static void discard_pages(size_t first, size_t nr)
{
	memset(discarded + first, true, nr);
}

static void read_pages(size_t first, size_t nr)
{
	uint64_t word;
	size_t i;

	for (i = first; i < first + nr; i++) {
		word = *(uint64_t *)(map + i * SZ_4K);
		if (word != i + 1 && (word || !discarded[i])) {
			say_wrong("page %zu holds word %" PRIu64, i, word);
			return;
		}
	}
}

/* Without those that were discarded: to read them would map pages of zeroes there. */
static void read_kept_pages(void)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (!discarded[i])
			read_pages(i, 1);
}

static bool target_map(void)
{
	map = map_aligned(SIZE, SZ_2M);
	if (!map)
		return false;
	madvise(map, SIZE, MADV_HUGEPAGE);
	write_pages(0, PAGES);
	return true;
}

/* Pages that stay where they are, and nobody else has. */
static bool target_lock(void)
{
	char *locked = map_small(LOCKED * SZ_4K);
	int pagemap = pagemap_open(getpid());
	size_t i;

	if (!locked || pagemap < 0 || madvise(locked, LOCKED * SZ_4K, MADV_DONTFORK))
		return false;
	memset(locked, 1, LOCKED * SZ_4K);
	if (mlock(locked, LOCKED * SZ_4K))
		return false;
	for (i = 0; i < LOCKED; i++)
		shared->locked_frames[i] = pagemap_entry(pagemap, locked + i * SZ_4K) &
					   PM_PFN_MASK;
	close(pagemap);
	shared->locked = locked;
	return true;
}

/* Some pages, at most @most. */
static size_t some(size_t most, size_t *nr)
{
	size_t first = below(PAGES);

	*nr = 1 + below(most);
	if (*nr > PAGES - first)
		*nr = PAGES - first;
	return first;
}

static int advise_some(int advice, size_t most)
{
	size_t nr, first = some(most, &nr);
	int ret;

	if (advice == MADV_FREE || advice == MADV_DONTNEED)
		discard_pages(first, nr);
	ret = madvise(map + first * SZ_4K, nr * SZ_4K, advice);
	read_pages(first, nr);
	return ret;
}

/*
 * What happens, once a call.
 */

static bool ended_well(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static void live_and_end(bool exec)
{
	pid_t pid = fork();

	if (!pid) {
		shared->target = getpid();
		write_pages(below(PAGES / 2), PAGES / 4);
		usleep(below(3000));
		read_pages(0, PAGES);
		if (exec)
			execl("/bin/sleep", "sleep", "0.01", NULL);
		_exit(exec);
	}
	count(0, ended_well(pid));
}

static void change_exit(void)
{
	live_and_end(false);
}

static void change_exec(void)
{
	live_and_end(true);
}

static void change_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		write_pages(below(PAGES / 2), PAGES / 4);
		read_pages(0, PAGES);
		_exit(0);
	}
	write_pages(below(PAGES / 2), PAGES / 4);
	count(0, ended_well(pid));
	read_pages(0, PAGES);
}

static void change_mremap(void)
{
	static char *other;
	char *to = other ? other : map_aligned(SIZE, SZ_2M);

	if (!to || mremap(map, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return;
	other = mmap(map, SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (other == MAP_FAILED)
		other = NULL;
	map = to;
	count(0, true);
	count(1, !advise_some(MADV_PAGEOUT, 64));
}

static void change_munmap(void)
{
	size_t nr, first = some(1024, &nr);

	discard_pages(first, nr);
	count(0, !munmap(map + first * SZ_4K, nr * SZ_4K));
	if (mmap(map + first * SZ_4K, nr * SZ_4K, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		say_wrong("mmap: errno %d", errno);
	write_pages(first, nr / 2);
	read_kept_pages();
	/* nothing is left of the tables of two megabytes */
	first = below(SIZE / SZ_2M) * 512;
	discard_pages(first, 512);
	count(1, !munmap(map + first * SZ_4K, SZ_2M));
	mmap(map + first * SZ_4K, SZ_2M, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static bool prepare_thp(void)
{
	return access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0;
}

static void change_thp(void)
{
	const long made = vmstat("thp_collapse_alloc"), split = vmstat("thp_split_pmd");
	size_t first = below(SIZE / SZ_2M) * 512, page = first + below(512);

	madvise(map + first * SZ_4K, SZ_2M, MADV_HUGEPAGE);
	write_pages(first, 512);
	count(0, !madvise(map + first * SZ_4K, SZ_2M, MADV_COLLAPSE));
	count(1, vmstat("thp_collapse_alloc") > made);
	read_pages(first, 512);
	if (below(2)) {
		discard_pages(page, 1);
		madvise(map + page * SZ_4K, SZ_4K, MADV_DONTNEED);
	} else {
		mprotect(map + page * SZ_4K, SZ_4K, PROT_READ);
	}
	mprotect(map, SIZE, PROT_READ | PROT_WRITE);
	count(2, vmstat("thp_split_pmd") > split);
	read_pages(0, PAGES);
}

/*
 * Shared memory, and another process that has it, too, and makes huge pages of it: since 6.6 tables
 * of the target's go then, without the mmap lock being held; before, only where the target does
 * that itself. Since 6.14 they also go when all that is in one of them is discarded.
 */
#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static struct knob shmem_knobs[] = {
	{ SHMEM_ENABLED, "advise", "" },
};

static int shmem_fd;

static void collapse_on_and_on(void)
{
	size_t at;
	long made;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		at = below(SIZE / SZ_2M) * SZ_2M;
		made = vmstat("thp_collapse_alloc");
		count(0, !madvise(map + at, SZ_2M, MADV_COLLAPSE) &&
		      vmstat("thp_collapse_alloc") > made);
		usleep(below(2000));
	}
}

static bool prepare_shmem(void)
{
	char *at;

	if (access(SHMEM_ENABLED, W_OK))
		return false;
	shmem_fd = memfd(SIZE, 0);
	at = mmap(map, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, shmem_fd, 0);
	if (at == MAP_FAILED || madvise(map, SIZE, MADV_HUGEPAGE))
		return false;
	write_pages(0, PAGES);
	if (!fork())
		collapse_on_and_on();
	return true;
}

static void change_shmem(void)
{
	const size_t first = below(SIZE / SZ_2M) * 512, page = first + below(512);
	const long split = vmstat("thp_split_page");
	long tables;

	/* Small pages again, the table of which can go: a huge one is split where a hole comes. */
	discard_pages(page, 1);
	fallocate(shmem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * SZ_4K, SZ_4K);
	count(1, vmstat("thp_split_page") > split);
	write_pages(first, 512);
	tables = status_kb(getpid(), "VmPTE");
	if (kernel_since(6, 6))
		usleep(below(20000));
	else
		madvise(map + first * SZ_4K, SZ_2M, MADV_COLLAPSE);
	count(2, status_kb(getpid(), "VmPTE") < tables);
	read_pages(0, PAGES);
	/* From here, not from the file. */
	if (below(2))
		count(3, !madvise(map + first * SZ_4K, SZ_2M, MADV_DONTNEED));
	read_pages(first, 256);
}

#define KSM	"/sys/kernel/mm/ksm/"

/* At full speed, and for this race alone: turned back when it is over, also where it failed. */
static struct knob ksm_knobs[] = {
	{ KSM "sleep_millisecs", "0", "" },
	{ KSM "pages_to_scan", "10000", "" },
	{ KSM "run", "1", "" },
};

static bool prepare_ksm(void)
{
	return !madvise(map, SIZE, MADV_NOHUGEPAGE) && !madvise(map, SIZE, MADV_MERGEABLE);
}

/* Half of them alike: they are merged, and go their own ways again when they are written to. */
static void change_ksm(void)
{
	unsigned int tries = 10 * time_scale();
	size_t nr, first = some(512, &nr), i;

	for (i = first; i < first + nr; i++)
		*(uint64_t *)(map + i * SZ_4K) = 0;
	/* it takes ksmd two rounds, however long they are here */
	while (tries-- && read_number(KSM "pages_sharing") <= 0)
		usleep(20000);
	count(0, read_number(KSM "pages_sharing") > 0);
	write_pages(first, nr);
	read_pages(0, PAGES);
	/* now and then, and once in any case, however few changes there is time for */
	if (shared->changes && below(8))
		return;
	count(1, !madvise(map, SIZE, MADV_UNMERGEABLE));
	madvise(map, SIZE, MADV_MERGEABLE);
}

static bool prepare_numa(void)
{
	return access("/sys/devices/system/node/node1", F_OK) == 0;
}

static void change_numa(void)
{
	void *pages[256];
	size_t nr, first = some(ARRAY_LEN(pages), &nr), i;
	const int node = below(2);
	bool away;

	for (i = 0; i < nr; i++)
		pages[i] = map + (first + i) * SZ_4K;
	away = page_node(pages[0]) == !node;
	move_pages_to(pages, nr, node);
	count(0, away && page_node(pages[0]) == node);
	read_pages(first, nr);
}

/*
 * In the order of the names that the race has for them, and one after the other: where all is slow
 * there are few changes, and chance would leave one out.
 */
static void change_advice(void)
{
	static const int advices[MAX_THINGS] = { MADV_PAGEOUT, MADV_FREE, MADV_DONTNEED,
						 MADV_COLLAPSE, MADV_COLD, MADV_WILLNEED };
	static unsigned int turn;
	const int nr = turn++ % MAX_THINGS;

	count(nr, !advise_some(advices[nr], 600));
	write_pages(below(PAGES / 2), 300);
}

static int uffd;

/* Whoever writes has to be let go on; here nobody waits, since nothing is left protected. */
static bool prepare_uffd(void)
{
	uffd = uffd_open();
	return uffd >= 0 && !uffd_protect(uffd, map, SIZE);
}

static void change_uffd(void)
{
	struct uffdio_writeprotect range = { 0 };
	size_t nr, first = some(600, &nr);

	range.range.start = (uintptr_t)map + first * SZ_4K;
	range.range.len = nr * SZ_4K;
	range.mode = below(2) ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
	count(!range.mode, !ioctl(uffd, UFFDIO_WRITEPROTECT, &range));
	if (below(2))
		madvise(map + first * SZ_4K, nr * SZ_4K, MADV_PAGEOUT);
	read_pages(first, nr);
}

static char swap_device[64];

static bool prepare_swapoff(void)
{
	char line[256];
	FILE *swaps = fopen("/proc/swaps", "re");

	if (!swaps)
		return false;
	*swap_device = '\0';
	while (fgets(line, sizeof(line), swaps))
		sscanf(line, "/%63s", swap_device);
	fclose(swaps);
	return *swap_device;
}

static void change_swapoff(void)
{
	char path[80];

	advise_some(MADV_PAGEOUT, PAGES);
	snprintf(path, sizeof(path), "/%s", swap_device);
	if (swapoff(path))
		return;
	count(0, true);
	read_pages(0, PAGES);
	if (swapon(path, 0))
		say_wrong("swapon %s: errno %d", path, errno);
}

/* Without it there is nothing that could have failed, and no line that says how much has. */
static bool has_memory_failure(void)
{
	return meminfo_kb("HardwareCorrupted") >= 0;
}

/*
 * The page moves away from memory that might fail. Its frame is poisoned after it and never given
 * out again, as nothing here takes that back: there must not be too many.
 */
static void change_soft_offline(void)
{
	static int left = 2000;
	size_t nr, first = some(4, &nr);

	write_pages(first, nr);
	if (left-- > 0)
		count(0, !madvise(map + first * SZ_4K, nr * SZ_4K, MADV_SOFT_OFFLINE));
	else
		usleep(1000);
	read_pages(first, nr);
}

/* The page's memory fails; what it held is lost, and the process that had it goes on. */
static void change_memory_failure(void)
{
	static int left = 500;
	size_t first = below(PAGES);

	write_pages(first, 1);
	if (left-- > 0)
		count(0, !madvise(map + first * SZ_4K, SZ_4K, MADV_HWPOISON));
	else
		usleep(1000);
	mmap(map + first * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	write_pages(first, 1);
	advise_some(MADV_PAGEOUT, 8);
}

/* SIGBUS comes to whom the kernel finds having the page, though nobody touches it. */
static void ignore(int number)
{
	(void)number;
}

static bool prepare_memory_failure(void)
{
	signal(SIGBUS, ignore);
	return has_memory_failure() && !madvise(map, SIZE, MADV_NOHUGEPAGE);
}

static glob_t blocks;

static bool prepare_hotplug(void)
{
	return !glob("/sys/devices/system/memory/memory*/state", 0, NULL, &blocks) &&
	       blocks.gl_pathc;
}

/* Memory is taken away: pages that lie there move; then it comes back, for pages that can move. */
static void change_hotplug(void)
{
	const char *path = blocks.gl_pathv[below(blocks.gl_pathc)];

	write_pages(below(PAGES / 2), PAGES / 2);
	if (!write_file(path, "offline")) {
		count(0, true);
		count(1, !write_file(path, "online_movable"));
	}
	read_pages(0, PAGES);
}

static bool prepare_compaction(void)
{
	return access("/proc/sys/vm/compact_memory", W_OK) == 0;
}

static void change_compaction(void)
{
	const long isolated = vmstat("compact_isolated");

	write_file("/proc/sys/vm/compact_memory", "1");
	count(0, vmstat("compact_isolated") > isolated);
	advise_some(MADV_PAGEOUT, 300);
	write_pages(below(PAGES / 2), 300);
	read_pages(0, PAGES);
}

/*
 * Those who look: by pages, and by entries in passing. A target that is gone is an answer, too.
 */
static uint64_t any_mask(void)
{
	static const uint64_t masks[] = { RETURN_ALL, RETURN_QUICK, VMINSPECT_RETURN_FRAME };

	return masks[below(ARRAY_LEN(masks))];
}

static const char *reply_wrong(const struct vminspect_scan *scan,
			       const struct vminspect_extent *extents)
{
	uint64_t at = scan->start;
	uint32_t i;

	if (scan->resume <= scan->start || scan->resume > scan->end)
		return "resume";
	for (i = 0; i < scan->nr_filled; i++) {
		if (extents[i].start < at || extents[i].end <= extents[i].start)
			return "order";
		if (extents[i].state >= VMINSPECT_NR_STATES || extents[i].reserved)
			return "extent";
		if (extents[i].state == VMINSPECT_STATE_PRESENT && !extents[i].frame)
			return "no frame";
		if (extents[i].flags & ~scan->return_mask)
			return "flags that were not asked for";
		at = extents[i].end;
	}
	return at > scan->resume ? "end" : NULL;
}

static int scan_all(int device)
{
	static const uint32_t flags[] = { 0, VMINSPECT_SCAN_PAGES, VMINSPECT_SCAN_PACKED };
	const uint64_t mask = any_mask();
	struct vminspect_extent extents[256];
	struct vminspect_scan scan = {
		.end = 0x7ffffffff000, .extents = (uintptr_t)extents, .nr_extents = 256,
		.return_mask = mask,
		.category_anyof_mask = STATES_WITH_ENTRY,
		.split_mask = below(2) ? mask & VMINSPECT_PAGE_FLAGS : 0,
		.flags = flags[below(ARRAY_LEN(flags))],
	};
	const char *wrong;
	int ret;

	do {
		ret = device_scan_extents(device, &scan);
		if (ret)
			return ret;
		wrong = reply_wrong(&scan, extents);
		if (wrong)
			say_wrong("SCAN: %s", wrong);
		scan.start = scan.resume;
	} while (scan.start < scan.end && !shared->stop);
	return 0;
}

static const char *entry_wrong(const struct vminspect_entry *entry, uint64_t mask)
{
	const bool present = entry->state == VMINSPECT_STATE_PRESENT;

	if (entry->state >= VMINSPECT_NR_STATES)
		return "no state";
	if (entry->reserved || entry->reserved2 || entry->node != -1)
		return "padding, or a node";
	if (entry->flags & ~mask)
		return "flags that were not asked for";
	if (present && !entry->frame)
		return "no frame";
	if (entry->swap_type && entry->state != VMINSPECT_STATE_SWAPPED)
		return "an area without a slot";
	return NULL;
}

static const char *page_wrong(const struct vminspect_entry *entry)
{
	if (!(shared->states & 1U << entry->state))
		return "it can't be in this state";
	if (entry->page_shift != 12 && entry->page_shift != 21)
		return "size";
	return NULL;
}

static const char *locked_wrong(const struct vminspect_entry *entry, uint64_t va)
{
	if (entry->state != VMINSPECT_STATE_PRESENT || entry->page_shift != 12)
		return "a locked page is not there";
	if (entry->frame != shared->locked_frames[(va - (uintptr_t)shared->locked) / SZ_4K])
		return "a locked page has another frame";
	return NULL;
}

/* One in eight is of a locked page. */
static int translate_some(int device, char *at)
{
	const uint64_t mask = any_mask();
	struct vminspect_entry entries[256];
	uint64_t addresses[256];
	const char *wrong;
	bool locked;
	int i, ret;

	for (i = 0; i < 256; i++)
		addresses[i] = shared->locked && i % 8 == 0 ?
			(uintptr_t)shared->locked + below(LOCKED * SZ_4K) :
			(uintptr_t)at + below(SIZE);
	ret = device_translate(device, addresses, entries, 256, mask);
	for (i = 0; i < ret; i++) {
		locked = shared->locked && i % 8 == 0;
		wrong = entry_wrong(&entries[i], mask) ?:
			locked ? locked_wrong(&entries[i], addresses[i]) : page_wrong(&entries[i]);
		if (wrong)
			say_wrong("TRANSLATE, %#" PRIx64 ": %s: state %u, frame %#" PRIx64
				  ", flags %#x, shift %u", mask, wrong, entries[i].state,
				  (uint64_t)entries[i].frame, entries[i].flags,
				  entries[i].page_shift);
	}
	if (ret > 0)
		__atomic_add_fetch(&shared->judged, ret, __ATOMIC_RELAXED);
	return ret < 0 ? ret : 0;
}

static int walk_some(int device, char *at)
{
	struct vminspect_walk walk;
	int i, ret = 0;

	for (i = 0; i < 50 && !ret; i++) {
		ret = device_walk(device, (uintptr_t)at + below(SIZE), &walk);
		if (!ret && walk.nr_levels > VMINSPECT_MAX_LEVELS)
			say_wrong("WALK: %u levels", walk.nr_levels);
	}
	return ret;
}

static void *look_thread(void *arg)
{
	char *at = map;
	int device = -1, ret;
	pid_t bound = 0;

	seed = (uintptr_t)arg;
	while (!shared->stop) {
		if (bound != shared->target) {
			close(device);
			bound = shared->target;
			device = device_bound(bound);
		}
		switch (below(3)) {
		case 0:
			ret = scan_all(device);
			break;
		case 1:
			ret = translate_some(device, at);
			break;
		default:
			ret = walk_some(device, at);
		}
		__atomic_add_fetch(&shared->looks, 1, __ATOMIC_RELAXED);
		if (ret == -ESRCH || device < 0) {
			__atomic_add_fetch(&shared->gone, 1, __ATOMIC_RELAXED);
			bound = 0;	/* another program may run there by now */
			usleep(200);
		} else if (ret) {
			say_wrong("looking: error %d", -ret);
		}
	}
	close(device);
	return NULL;
}

FIXTURE(race)
{
	unsigned int seed;
	unsigned int seconds;
};

FIXTURE_VARIANT(race)
{
	bool (*prepare)(void);
	void (*change)(void);
	const char *things[MAX_THINGS];	/* that have to happen: see count() */
	bool ends;			/* targets come and go */
	uint32_t states;		/* that its pages may be in, besides those of any page */
	bool locked_move;		/* even pages that are locked do */
	const char *lacks;		/* if it can't be prepared */
};

FIXTURE_VARIANT_ADD(race, exit)
{
	.change = change_exit,
	.things = { "exit" },
	.ends = true,
};

FIXTURE_VARIANT_ADD(race, exec)
{
	.change = change_exec,
	.things = { "exec" },
	.ends = true,
	.states = -1U,			/* of another program by then */
};

FIXTURE_VARIANT_ADD(race, fork)
{
	.change = change_fork,
	.things = { "fork" },
};

FIXTURE_VARIANT_ADD(race, mremap)
{
	.change = change_mremap,
	.things = { "mremap", "MADV_PAGEOUT" },
	.states = STATE(NONE) | STATE(UNMAPPED),
};

FIXTURE_VARIANT_ADD(race, munmap)
{
	.change = change_munmap,
	.things = { "munmap", "munmap of tables" },
	.states = STATE(NONE) | STATE(UNMAPPED),
};

FIXTURE_VARIANT_ADD(race, thp)
{
	.change = change_thp,
	.things = { "MADV_COLLAPSE", "a huge page made", "a huge page split" },
	.states = STATE(NONE),
	.prepare = prepare_thp,
	.lacks = "transparent huge pages",
};

FIXTURE_VARIANT_ADD(race, shmem)
{
	.change = change_shmem,
	.things = { "MADV_COLLAPSE by another", "a huge page split", "a table gone",
		    "MADV_DONTNEED of a table" },
	.states = STATE(NONE),
	.prepare = prepare_shmem,
	.lacks = "huge pages of shared memory",
};

FIXTURE_VARIANT_ADD(race, ksm)
{
	.change = change_ksm,
	.things = { "pages merged", "MADV_UNMERGEABLE" },
	.prepare = prepare_ksm,
	.lacks = "KSM",
};

FIXTURE_VARIANT_ADD(race, numa)
{
	.change = change_numa,
	.things = { "a page moved" },
	.prepare = prepare_numa,
	.lacks = "a second NUMA node",
};

FIXTURE_VARIANT_ADD(race, advice)
{
	.change = change_advice,
	.things = { "MADV_PAGEOUT", "MADV_FREE", "MADV_DONTNEED", "MADV_COLLAPSE", "MADV_COLD",
		    "MADV_WILLNEED" },
	.states = STATE(NONE),
};

FIXTURE_VARIANT_ADD(race, uffd)
{
	.change = change_uffd,
	.things = { "write protection", "its end" },
	.prepare = prepare_uffd,
	.lacks = "write protection by userfaultfd",
};

FIXTURE_VARIANT_ADD(race, swapoff)
{
	.change = change_swapoff,
	.things = { "swapoff" },
	.prepare = prepare_swapoff,
	.lacks = "a swap area",
};

FIXTURE_VARIANT_ADD(race, soft_offline)
{
	.change = change_soft_offline,
	.things = { "MADV_SOFT_OFFLINE" },
	.prepare = has_memory_failure,
	.lacks = "CONFIG_MEMORY_FAILURE",
};

FIXTURE_VARIANT_ADD(race, memory_failure)
{
	.change = change_memory_failure,
	.things = { "MADV_HWPOISON" },
	.states = STATE(NONE) | STATE(POISONED) | STATE(MARKER),
	.lacks = "CONFIG_MEMORY_FAILURE",
	.prepare = prepare_memory_failure,
};

FIXTURE_VARIANT_ADD(race, hotplug)
{
	.change = change_hotplug,
	.things = { "memory taken away", "memory back" },
	.locked_move = true,
	.prepare = prepare_hotplug,
	.lacks = "memory that can be taken away",
};

FIXTURE_VARIANT_ADD(race, compaction)
{
	.change = change_compaction,
	.things = { "a page isolated" },
	.prepare = prepare_compaction,
	.lacks = "compaction",
};

static bool share(unsigned int *seed_chosen, unsigned int *seconds)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*seed_chosen = environment("VMINSPECT_SEED", time(NULL));
	*seconds = environment("VMINSPECT_SECONDS", 15);
	return shared != MAP_FAILED;
}

/* Compaction leaves locked pages where they are. */
static struct knob locked_knobs[] = {
	{ "/proc/sys/vm/compact_unevictable_allowed", "0", "" },
};

FIXTURE_SETUP(race)
{
	ASSERT_TRUE(share(&self->seed, &self->seconds));
	shared->states = STATE(PRESENT) | STATE(SWAPPED) | STATE(MIGRATING) | variant->states;
	knobs_turn(locked_knobs, ARRAY_LEN(locked_knobs));
	if (variant->prepare == prepare_shmem)
		knobs_turn(shmem_knobs, ARRAY_LEN(shmem_knobs));
	if (variant->prepare == prepare_ksm)
		knobs_turn(ksm_knobs, ARRAY_LEN(ksm_knobs));
}

/* Here and not in the target, which may be killed. */
FIXTURE_TEARDOWN(race)
{
	knobs_turn_back(ksm_knobs, ARRAY_LEN(ksm_knobs));
	knobs_turn_back(shmem_knobs, ARRAY_LEN(shmem_knobs));
	knobs_turn_back(locked_knobs, ARRAY_LEN(locked_knobs));
}

/* Return: status that it exits with: 2, it can't be done here */
static int target_run(const struct _fixture_variant_race *variant)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!target_map() || (!variant->ends && !variant->locked_move && !target_lock()))
		return 1;
	if (variant->prepare && !variant->prepare())
		return 2;
	shared->target = getpid();
	while (!shared->end) {
		variant->change();
		shared->changes++;
	}
	return 0;
}

TEST_F_TIMEOUT(race, is_survived_and_answers_have_their_shape, TIMEOUT)
{
	pthread_t lookers[LOOKERS];
	int status = 0;
	size_t i;
	pid_t pid;

	/* Where the target has it: the same address, as it is a fork. */
	map = map_aligned(SIZE, SZ_2M);
	munmap(map, SIZE);
	pid = fork();
	if (!pid) {
		seed = self->seed;
		_exit(target_run(variant));
	}
	ASSERT_LT(0, pid);
	while (!shared->target && !waitpid(pid, &status, WNOHANG))
		usleep(1000);
	if (!shared->target && WIFEXITED(status) && WEXITSTATUS(status) == 2)
		SKIP(return, "this machine lacks %s", variant->lacks);
	ASSERT_NE(0, shared->target);

	for (i = 0; i < LOOKERS; i++)
		pthread_create(&lookers[i], NULL, look_thread,
			       (void *)(uintptr_t)(self->seed + 1 + i));
	for (i = 0; i < self->seconds * 10 && !shared->nr_wrong; i++)
		usleep(100000);
	shared->stop = true;
	for (i = 0; i < LOOKERS; i++)
		pthread_join(lookers[i], NULL);
	shared->end = true;
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	TH_LOG("seed %u: %" PRIu64 " changes, %" PRIu64 " looks, %" PRIu64 " of them too late",
	       self->seed, shared->changes, shared->looks, shared->gone);
	EXPECT_EQ(0, shared->nr_wrong)
		TH_LOG("%s", shared->wrong);
	EXPECT_LT(0, shared->changes);
	EXPECT_LT(0, shared->judged);
	for (i = 0; i < MAX_THINGS && variant->things[i]; i++) {
		EXPECT_LT(0, shared->happened[i])
			TH_LOG("never happened: %s", variant->things[i]);
		TH_LOG("%s: %" PRIu64, variant->things[i], shared->happened[i]);
	}
	EXPECT_LT(shared->gone, shared->looks);
	EXPECT_EQ(variant->ends, shared->gone > 0);
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load(""));
}

FIXTURE(end)
{
	unsigned int seed;
	unsigned int seconds;
};

FIXTURE_SETUP(end)
{
	ASSERT_TRUE(share(&self->seed, &self->seconds));
}

FIXTURE_TEARDOWN(end)
{
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load(""));
}

#define ROOT_CGROUP	"/sys/fs/cgroup"
#define RACE_CGROUP	ROOT_CGROUP "/selftest-race"

/* Out and in again, in whichever cgroup it is put, for as long as the test. */
static void swap_on_and_on(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!target_map())
		_exit(1);
	shared->target = getpid();
	for (;;) {
		madvise(map, SIZE, MADV_PAGEOUT);
		read_pages(0, PAGES);
		shared->changes++;
	}
}

static int cgroup_move(const char *cgroup, pid_t pid)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	return write_file(path, text);
}

/* Of the cgroup, by a descriptor that is not kept. */
static int cgroup_reader_open(int device)
{
	struct vminspect_events request = request_all(ALL_KINDS);
	int dir = open(RACE_CGROUP, O_RDONLY | O_DIRECTORY), fd;

	request.scope = VMINSPECT_SCOPE_CGROUP;
	request.cgroup_fd = dir;
	request.flags = VMINSPECT_EVENTS_NONBLOCK;
	fd = events_open(device, &request);
	close(dir);
	return fd;
}

struct cgroup_reader {
	pthread_t thread;
	int fd;
	unsigned int stays_us;	/* once the cgroup is about to go */
	uint64_t records;
};

/* Reads while the cgroup goes, and goes itself, before it or after. */
static void *cgroup_reader_run(void *arg)
{
	struct cgroup_reader *reader = arg;
	struct vminspect_event events[64];
	struct pollfd fds = { .fd = reader->fd, .events = POLLIN };
	ssize_t ret;

	while (!READ_ONCE(shared->stop)) {
		poll(&fds, 1, 1);
		ret = read(reader->fd, events, sizeof(events));
		if (ret < 0 && errno != EAGAIN)
			say_wrong("a reader: error %d", errno);
		if (ret > 0)
			__atomic_add_fetch(&reader->records, ret / sizeof(events[0]),
					   __ATOMIC_RELAXED);
	}
	usleep(reader->stays_us);
	while ((ret = read(reader->fd, events, sizeof(events))) > 0)
		;
	close(reader->fd);
	return NULL;
}

/* As soon as nobody is in it, which is when the one who swaps is moved out. Always 0. */
static void *cgroup_remove_thread(void *removed_at)
{
	while (rmdir(RACE_CGROUP))
		if (errno != EBUSY) {
			say_wrong("rmdir: error %d", errno);
			break;
		}
	*(long *)removed_at = vmstat("pswpout") + vmstat("pswpin");
	return NULL;
}

/*
 * The process goes on swapping as it leaves the cgroup, to which its memory stays charged; that
 * moment the cgroup is removed, by one who has waited for it, and readers read.
 */
TEST_F_TIMEOUT(end, of_a_cgroup_that_is_removed_with_its_readers, TIMEOUT)
{
	time_t end = time(NULL) + self->seconds;
	uint64_t records = 0, rounds = 0, swapping = 0;
	struct cgroup_reader readers[LOOKERS];
	int device = device_open(), tries;
	long before, removed;
	pthread_t remover;
	pid_t pid;
	size_t i;

	ASSERT_GE(device, 0);
	seed = self->seed;
	write_file(ROOT_CGROUP "/cgroup.subtree_control", "+memory");
	pid = fork();
	if (!pid)
		swap_on_and_on();
	ASSERT_LT(0, pid);
	while (time(NULL) < end && !shared->nr_wrong) {
		ASSERT_EQ(0, mkdir(RACE_CGROUP, 0755));
		for (i = 0; i < LOOKERS; i++) {
			readers[i] = (struct cgroup_reader){
				.fd = cgroup_reader_open(device), .stays_us = below(20000),
			};
			ASSERT_GE(readers[i].fd, 0);
		}
		ASSERT_EQ(0, cgroup_move(RACE_CGROUP, pid));
		shared->stop = false;
		for (i = 0; i < LOOKERS; i++)
			pthread_create(&readers[i].thread, NULL, cgroup_reader_run, &readers[i]);
		for (tries = 0; tries < 1000; tries++) {
			if (__atomic_load_n(&readers[0].records, __ATOMIC_RELAXED))
				break;
			usleep(5000);
		}
		usleep(below(20000));
		pthread_create(&remover, NULL, cgroup_remove_thread, &removed);
		usleep(below(5000));
		shared->stop = true;
		before = vmstat("pswpout") + vmstat("pswpin");
		EXPECT_EQ(0, cgroup_move(ROOT_CGROUP, pid));
		pthread_join(remover, NULL);
		swapping += removed > before;
		for (i = 0; i < LOOKERS; i++) {
			pthread_join(readers[i].thread, NULL);
			records += readers[i].records;
		}
		rounds++;
	}
	process_end(pid);
	TH_LOG("seed %u: %" PRIu64 " cgroups, %" PRIu64 " went while pages were swapped, %" PRIu64
	       " records", self->seed, rounds, swapping, records);
	EXPECT_EQ(0, shared->nr_wrong)
		TH_LOG("%s", shared->wrong);
	EXPECT_LT(0, records);
	EXPECT_LT(0, swapping);
	close(device);
}

/*
 * Guests: a VMM that changes its slots, makes vCPUs, and dies, while others walk.
 */
static void vmm_live(int to)
{
	struct kvm_userspace_memory_region slot = { .slot = 1, .guest_phys_addr = KVM_MEMORY };
	struct kvm_guest guest;
	char *memory;
	int i, vcpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (kvm_guest_make(&guest))
		_exit(2);
	memory = map_small(SZ_2M);
	if (write(to, &guest.vm, sizeof(guest.vm)) != sizeof(guest.vm))
		_exit(1);
	for (i = 1;; i++) {
		slot.memory_size = i % 2 ? SZ_2M : 0;
		slot.userspace_addr = (uintptr_t)memory;
		count(0, !ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION, &slot));
		if (i % 4 == 0 && i < 400) {
			vcpu = ioctl(guest.vm, KVM_CREATE_VCPU, i / 4);
			count(1, vcpu >= 0);
			close(vcpu);
		}
		if (i % 16 == 0)
			madvise(guest.memory, KVM_MEMORY, MADV_PAGEOUT);
		if (i % 64 == 0)
			*(volatile char *)guest.memory;
	}
}

static int pidfd_get(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), ret;

	ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	return ret;
}

static bool guest_error_is_documented(int error)
{
	static const int errors[] = { 0, ENOENT, ENODATA, EAGAIN, EIO, ESRCH, ESTALE, EBUSY };
	size_t i;

	for (i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i] == error)
			return true;
	return false;
}

static void *guest_thread(void *arg)
{
	int fd = (uintptr_t)arg, ret, command;

	seed = fd;
	while (!shared->stop) {
		struct vminspect_guest_extent extents[16];
		struct vminspect_guest_walk walk = { .size = sizeof(walk), .vcpu = below(8),
			.address = below(2 * KVM_MEMORY), .flags = below(2) };
		struct vminspect_guest_slot slot = { .size = sizeof(slot), .gpa = walk.address };
		struct vminspect_guest_vcpu vcpu = { .size = sizeof(vcpu), .vcpu = below(32) };
		struct vminspect_guest_scan scan = { .size = sizeof(scan), .nr_extents = 16,
			.extents = (uintptr_t)extents, .extent_size = sizeof(extents[0]) };

		command = below(4);
		switch (command) {
		case 0:
			ret = ioctl(fd, VMINSPECT_IOC_GUEST_WALK, &walk);
			break;
		case 1:
			ret = ioctl(fd, VMINSPECT_IOC_GUEST_SLOT, &slot);
			break;
		case 2:
			ret = ioctl(fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu);
			break;
		default:
			ret = ioctl(fd, VMINSPECT_IOC_GUEST_SCAN, &scan);
		}
		__atomic_add_fetch(&shared->looks, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&shared->happened[2 + command], !ret, __ATOMIC_RELAXED);
		if (ret && !guest_error_is_documented(errno))
			say_wrong("a guest: error %d", errno);
		if (ret && errno == ESRCH)
			return NULL;
	}
	return NULL;
}

TEST_F_TIMEOUT(end, of_a_vmm_that_changes_and_dies, TIMEOUT)
{
	static const char *const things[MAX_THINGS] = {
		"a slot changed", "a vCPU made", "GUEST_WALK answered", "GUEST_SLOT answered",
		"GUEST_VCPU answered", "GUEST_SCAN answered",
	};
	time_t end = time(NULL) + self->seconds;
	struct vminspect_guest request;
	int device = device_open(), vm, to[2];
	pthread_t lookers[LOOKERS];
	uint64_t guests = 0;
	size_t i;
	pid_t pid;

	ASSERT_GE(device, 0);
	seed = self->seed;
	while (time(NULL) < end && !shared->nr_wrong) {
		ASSERT_EQ(0, pipe(to));
		pid = fork();
		if (!pid)
			vmm_live(to[1]);
		close(to[1]);
		if (read(to[0], &vm, sizeof(vm)) != sizeof(vm)) {
			process_end(pid);
			SKIP(return, "this machine lacks KVM");
		}
		close(to[0]);
		request = (struct vminspect_guest){ .size = sizeof(request), .mem_fd = -1 };
		request.vm_fd = pidfd_get(pid, vm);
		vm = ioctl(device, VMINSPECT_IOC_GUEST, &request);
		ASSERT_GE(vm, 0);
		close(request.vm_fd);
		for (i = 0; i < LOOKERS; i++)
			pthread_create(&lookers[i], NULL, guest_thread, (void *)(uintptr_t)vm);
		usleep(below(500000));
		process_end(pid);
		shared->stop = below(2);
		usleep(below(20000));
		shared->stop = true;
		for (i = 0; i < LOOKERS; i++)
			pthread_join(lookers[i], NULL);
		shared->stop = false;
		close(vm);
		guests++;
	}
	TH_LOG("seed %u: %" PRIu64 " guests, %" PRIu64 " looks", self->seed, guests,
	       shared->looks);
	EXPECT_LT(0, guests);
	for (i = 0; i < MAX_THINGS; i++) {
		EXPECT_LT(0, shared->happened[i])
			TH_LOG("never happened: %s", things[i]);
		TH_LOG("%s: %" PRIu64, things[i], shared->happened[i]);
	}
	EXPECT_EQ(0, shared->nr_wrong)
		TH_LOG("%s", shared->wrong);
	close(device);
}

TEST_HARNESS_MAIN
