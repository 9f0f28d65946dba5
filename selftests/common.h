/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests share: calls of the device, and the oracles, none of which is
 * ours. Helpers return values or -errno; the test judges.
 */
#ifndef SELFTESTS_COMMON_H
#define SELFTESTS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../uapi/vminspect.h"

#define ARRAY_LEN(array)	(sizeof(array) / sizeof((array)[0]))
#define SZ_4K			0x1000UL
#define SZ_2M			0x200000UL
#define SZ_1G			0x40000000UL

/* For what others change, or what has to be accessed though nobody wants the value */
#define READ_ONCE(x)		(*(const __volatile__ __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value)	(*(__volatile__ __typeof__(x) *)&(x) = (value))

/* What the tests ask for when they ask for everything. */
#define RETURN_ALL	(VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME)
/* Less what is found out by looking at the page: entries are taken in passing then. */
#define RETURN_QUICK	(RETURN_ALL & ~VMINSPECT_PAGE_FROM_PAGE)
#define STATES_WITH_ENTRY						\
	(VMINSPECT_CAT_STATES & ~(VMINSPECT_CAT(VMINSPECT_STATE_NONE) |	\
				  VMINSPECT_CAT(VMINSPECT_STATE_UNMAPPED)))

/* The device. Each sets the size of its structure. 0 or -errno. */
int device_open(void);
int device_bind(int device, int fd);
int device_bound(pid_t pid);		/* opened and bound: descriptor or -errno */
int device_info(int device, struct vminspect_info *info);
int device_scan(int device, struct vminspect_scan *scan);
/*
 * The same in words, which are taken apart: an extent for each page, as VMINSPECT_SCAN_PAGES has
 * them, but that all flags split the runs of those without one. EPROTO: they make no sense.
 */
int device_scan_words(int device, struct vminspect_scan *scan);
/* In words if its flags say so, else as device_scan(): extents in any case. */
int device_scan_extents(int device, struct vminspect_scan *scan);
int device_translate(int device, const uint64_t *addresses,
		     struct vminspect_entry *entries, uint32_t nr,
		     uint64_t return_mask);	/* number done, or -errno */
int device_walk(int device, uint64_t va, struct vminspect_walk *walk);

/* One address, with all flags. */
int device_lookup(int device, const void *va, struct vminspect_entry *entry);

/*
 * All extents of a range, resumed until done, each handed to @each, which returns
 * 0 to go on. A NULL @scan asks for all flags and all states that have an entry;
 * else its masks and flags are taken.
 */
typedef int (*extent_fn)(const struct vminspect_extent *extent, void *arg);
int device_extents(int device, uint64_t start, uint64_t end,
		   const struct vminspect_scan *scan, extent_fn each, void *arg);

/* /proc/PID/pagemap */
#define PM_SOFT_DIRTY		(1ULL << 55)
#define PM_MMAP_EXCLUSIVE	(1ULL << 56)
#define PM_UFFD_WP		(1ULL << 57)
#define PM_FILE			(1ULL << 61)
#define PM_SWAP			(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)
#define PM_PFN_MASK		((1ULL << 55) - 1)
int pagemap_open(pid_t pid);
uint64_t pagemap_entry(int pagemap, const void *va);	/* 0 if unreadable */
int pagemap_read(int pagemap, uint64_t va, uint64_t *entries, size_t nr);
#define PM_SWAP_TYPE(entry)	((unsigned int)((entry) & 0x1f))
#define PM_SWAP_OFFSET(entry)	(((entry) & PM_PFN_MASK) >> 5)

/*
 * How an entry with all flags differs from what pagemap has for its page, in words;
 * NULL if it does not.
 */
const char *pagemap_differs(const struct vminspect_entry *entry, uint64_t pagemap);
struct vminspect_entry extent_entry(const struct vminspect_extent *extent,
				    uint64_t va);

/*
 * /proc/kpageflags: flags of a frame, bits KPF_* of linux/kernel-page-flags.h;
 * /proc/kpagecount: how often it is mapped. 0 where there is no such frame.
 */
uint64_t kpage_flags(uint64_t pfn);
uint64_t kpage_count(uint64_t pfn);
/* The same for kpageflags: NULL or in words. Only for present pages. */
const char *kpageflags_differ(const struct vminspect_entry *entry, uint64_t flags);

/* "present 2M write user ...": state, size and flags in the order of their bits */
const char *entry_text(const struct vminspect_entry *entry, char *text, size_t size);

bool kernel_since(unsigned int major, unsigned int minor);	/* the running one */

/* A line of /proc/PID/maps, and the sums of smaps for it, in bytes */
struct mapping {
	uint64_t start;
	uint64_t end;
	bool readable, writable, executable, shared;
	uint64_t rss, referenced, anon_huge, shmem_huge, file_huge, swap, hugetlb;
	char vm_flags[128];
	char name[256];
};

typedef int (*mapping_fn)(const struct mapping *mapping, void *arg);
int each_mapping(pid_t pid, mapping_fn each, void *arg);	/* from smaps */
int mapping_at(pid_t pid, const void *va, struct mapping *mapping);
long status_kb(pid_t pid, const char *key);	/* "VmSwap": in KiB, -1 if absent */
long vmstat(const char *key);			/* /proc/vmstat, -1 if absent */
long meminfo_kb(const char *key);		/* /proc/meminfo, -1 if absent */
bool cpu_has(const char *flag);			/* /proc/cpuinfo */
int iomem_name(uint64_t pa, char *name, size_t size);	/* innermost, of /proc/iomem */

#define TRACING		"/sys/kernel/tracing/"
void trace_empty(void);

/* What the module allocates for calls of this task, as a tracepoint of the kernel's tells. */
struct allocated {
	long nr;
	long bytes;
	long charged;		/* of nr: to the cgroup of the caller */
};

bool allocated_start(void);
struct allocated allocated_end(void);

/* Guest-physical memory, read from outside through QEMU's monitor. */
bool monitor_present(void);
int monitor_read(uint64_t pa, uint64_t *words, size_t nr);	/* 0 or -errno */
int monitor_command(const char *command, char *reply, size_t size);

/*
 * One page looked at in every way: TRANSLATE, SCAN with and without what the page
 * itself tells, WALK. look_text() is entry_text() of what they agree on, and pagemap
 * and kpageflags with them; if they don't, it says who says what. Of swapped pages it does
 * not say swapcache.
 */
struct looker {
	int device;
	int pagemap;
	struct vminspect_entry entry;	/* the last one, and what pagemap had for it */
	uint64_t pagemap_entry;
	struct vminspect_walk walk;
	char text[512];
};

int looker_open(struct looker *look, pid_t pid);	/* 0 or -errno */
void looker_close(struct looker *look);
const char *look_text(struct looker *look, const void *va);
/*
 * A range scanned at once, for runs of pages, in both ways: NULL if each of its pages is
 * as pagemap has it and no two extents could have been one.
 */
const char *look_range(struct looker *look, const void *va, size_t size);

/* Making things happen */
void *map_anon(size_t size, int prot);		/* NULL on failure */
void *map_aligned(size_t size, size_t align);	/* anonymous, readable, writable */
void drain_new_pages(void);			/* no processor keeps a page to itself */
int page_out(void *va, size_t size);		/* until pagemap says swapped */
int memory_fail(void *va, size_t size);		/* MADV_HWPOISON: 0 or -errno */
int page_out_shared(void *va, size_t size);	/* until smaps says so */
void *map_small(size_t size);		/* small pages, whatever the policy is */
void *map_huge(size_t size);		/* transparent huge pages, not touched yet */
void *map_hugetlb(size_t size, size_t page, int flags);	/* of mmap(); not touched */
int hugetlb_reserve(size_t page, int nr);	/* at least so many free ones */
int memfd(size_t size, unsigned int flags);
void *map_fd(int fd, size_t size, int flags);	/* readable, writable */
void touch(const void *va, size_t size);	/* reads a byte of each page */
int clear_refs(pid_t pid, const char *what);
/* Of the own processor: the kernel drops it all when so many pages are unmapped. */
void flush_tlb(void);
int uffd_open(void);			/* asks for write protection everywhere */
int uffd_protect(int uffd, void *va, size_t size);	/* registers it, too */
int move_pages_to(void **pages, size_t nr, int node);
int page_node(const void *va);		/* as move_pages(2) tells */
void *bar_map(uint64_t *pa);		/* some page of a PCI device, or NULL */

int write_file(const char *path, const char *text);
int read_file(const char *path, char *text, size_t size);	/* length or -errno */
long read_number(const char *path);	/* -1 if unreadable */

/* A setting of the kernel's for as long as a test runs. One that this kernel lacks is left out. */
struct knob {
	const char *path, *value;
	char saved[32];
};

void knobs_turn(struct knob *knobs, size_t nr);
void knobs_turn_back(const struct knob *knobs, size_t nr);

int process_stop(pid_t pid);	/* SIGSTOP, and wait until it has stopped */
void process_end(pid_t pid);	/* a child: killed, and waited for */

/*
 * A process that has a page of nearly every kind: small, huge, of hugetlb, shared, in
 * and out of swap, protected, zero. It sleeps once it has them. Its pid or -errno.
 */
pid_t zoo_start(void);

/*
 * A child that runs @run and stops, with its memory as @run left it, until somebody
 * kills it or lets it go on to its end; it dies with its parent. Its pid once it has
 * stopped, or -errno.
 */
pid_t child_stopped(void (*run)(void *arg), void *arg);
/* A child that runs @run to its end: what that returned, or -1 if it was killed. */
int child_run(int (*run)(void *arg), void *arg);

/* What the harness has for alarm(): its limits are for the speed of the distribution's kernel. */
unsigned int scaled_alarm(unsigned int seconds);
/*
 * By the kernel, when the machine ends; see vm/init. The same kernel keeps freed memory for a
 * while, to see whether it is still used, so that sizes say nothing.
 */
bool leaks_are_looked_for(void);
unsigned int time_scale(void);	/* how many times as long things may take; see vm/run */

int module_unload(void);	/* 0 or -errno; EAGAIN: somebody uses it */
int module_load(const char *parameters);	/* modprobe's exit status */

#endif /* SELFTESTS_COMMON_H */
