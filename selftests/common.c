// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

int device_open(void)
{
	int fd = open("/dev/vminspect", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int device_bind(int device, int fd)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .fd = fd };

	return ioctl(device, VMINSPECT_IOC_BIND, &bind) ? -errno : 0;
}

int device_bound(pid_t pid)
{
	int device = device_open();
	int pagemap, ret;

	if (device < 0)
		return device;
	pagemap = pagemap_open(pid);
	ret = pagemap < 0 ? pagemap : device_bind(device, pagemap);
	if (pagemap >= 0)
		close(pagemap);
	if (ret) {
		close(device);
		return ret;
	}
	return device;
}

int device_info(int device, struct vminspect_info *info)
{
	info->size = sizeof(*info);
	return ioctl(device, VMINSPECT_IOC_INFO, info) ? -errno : 0;
}

int device_scan(int device, struct vminspect_scan *scan)
{
	scan->size = sizeof(*scan);
	scan->extent_size = scan->flags & VMINSPECT_SCAN_PACKED ? sizeof(uint64_t) :
								  sizeof(struct vminspect_extent);
	return ioctl(device, VMINSPECT_IOC_SCAN, scan) ? -errno : 0;
}

/* The page, or the run of pages without one, that a word stands for at @va, below @end. */
static struct vminspect_extent word_extent(uint64_t word, const struct vminspect_entry *kind,
					   uint64_t va, uint64_t end)
{
	struct vminspect_extent extent = {
		.start = va,
		.frame = kind->frame,
		.flags = kind->flags,
		.state = kind->state,
		.page_shift = kind->page_shift,
		.swap_type = kind->swap_type,
		.node = kind->node,
	};

	if (kind->state == VMINSPECT_STATE_NONE || kind->state == VMINSPECT_STATE_UNMAPPED) {
		extent.end = va + VMINSPECT_WORD_NUMBER(word) * SZ_4K;
		return extent;
	}
	extent.end = (va | ((1ULL << kind->page_shift) - 1)) + 1;
	if (extent.end > end)
		extent.end = end;
	extent.frame += VMINSPECT_WORD_NUMBER(word);
	return extent;
}

static int words_extents(struct vminspect_scan *scan, const uint64_t *words, uint32_t nr,
			 const struct vminspect_entry *kinds)
{
	struct vminspect_extent *extents = (void *)(uintptr_t)scan->extents;
	uint64_t va = scan->start;
	uint32_t i;

	scan->nr_filled = 0;
	for (i = 0; i < nr; i++) {
		uint64_t kind = VMINSPECT_WORD_KIND(words[i]);

		if (kind == VMINSPECT_WORD_OTHER) {
			va += VMINSPECT_WORD_NUMBER(words[i]) * SZ_4K;
			continue;
		}
		if (kind >= scan->nr_kinds_filled)
			return -EPROTO;
		extents[scan->nr_filled] = word_extent(words[i], &kinds[kind], va, scan->end);
		va = extents[scan->nr_filled++].end;
	}
	return va == scan->resume ? 0 : -EPROTO;
}

int device_scan_words(int device, struct vminspect_scan *scan)
{
	struct vminspect_entry kinds[VMINSPECT_MAX_KINDS];
	struct vminspect_scan request = *scan;
	uint64_t *words = calloc(scan->nr_extents, sizeof(*words));
	int ret;

	if (!words)
		return -ENOMEM;
	request.flags = VMINSPECT_SCAN_PACKED;
	request.split_mask = 0;
	request.extents = (uintptr_t)words;
	request.kinds = (uintptr_t)kinds;
	if (!request.nr_kinds)
		request.nr_kinds = VMINSPECT_MAX_KINDS;
	ret = device_scan(device, &request);
	scan->resume = request.resume;
	scan->hidden = request.hidden;
	scan->nr_kinds_filled = request.nr_kinds_filled;
	ret = ret ?: words_extents(scan, words, request.nr_filled, kinds);
	free(words);
	return ret;
}

int device_scan_extents(int device, struct vminspect_scan *scan)
{
	return scan->flags & VMINSPECT_SCAN_PACKED ? device_scan_words(device, scan) :
						     device_scan(device, scan);
}

int device_translate(int device, const uint64_t *addresses,
		     struct vminspect_entry *entries, uint32_t nr,
		     uint64_t return_mask)
{
	struct vminspect_translate translate = {
		.size = sizeof(translate),
		.addresses = (uintptr_t)addresses,
		.entries = (uintptr_t)entries,
		.nr = nr,
		.entry_size = sizeof(*entries),
		.return_mask = return_mask,
	};

	if (ioctl(device, VMINSPECT_IOC_TRANSLATE, &translate))
		return -errno;
	return translate.nr_done;
}

int device_walk(int device, uint64_t va, struct vminspect_walk *walk)
{
	memset(walk, 0, sizeof(*walk));
	walk->size = sizeof(*walk);
	walk->va = va;
	walk->return_mask = VMINSPECT_PAGE_FLAGS;
	return ioctl(device, VMINSPECT_IOC_WALK, walk) ? -errno : 0;
}

int device_lookup(int device, const void *va, struct vminspect_entry *entry)
{
	uint64_t address = (uintptr_t)va;
	int ret = device_translate(device, &address, entry, 1, RETURN_ALL);

	return ret == 1 ? 0 : ret < 0 ? ret : -EIO;
}

int device_extents(int device, uint64_t start, uint64_t end,
		   const struct vminspect_scan *scan, extent_fn each, void *arg)
{
	struct vminspect_extent extents[256];
	struct vminspect_scan request = {
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = RETURN_ALL,
		.split_mask = VMINSPECT_PAGE_FLAGS,
	};
	uint32_t i;
	int ret;

	if (scan)
		request = *scan;
	request.end = end;
	request.extents = (uintptr_t)extents;
	request.nr_extents = ARRAY_LEN(extents);
	while (start < end) {
		request.start = start;
		ret = device_scan_extents(device, &request);
		if (ret)
			return ret;
		for (i = 0; i < request.nr_filled; i++) {
			ret = each(&extents[i], arg);
			if (ret)
				return ret;
		}
		if (request.resume <= start)
			return -EIO;
		start = request.resume;
	}
	return 0;
}

int pagemap_open(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int pagemap_read(int pagemap, uint64_t va, uint64_t *entries, size_t nr)
{
	ssize_t want = nr * sizeof(*entries);
	ssize_t got = pread(pagemap, entries, want, va / SZ_4K * sizeof(*entries));

	return got == want ? 0 : got < 0 ? -errno : -EIO;
}

uint64_t pagemap_entry(int pagemap, const void *va)
{
	uint64_t entry = 0;

	return pagemap_read(pagemap, (uintptr_t)va, &entry, 1) ? 0 : entry;
}

struct vminspect_entry extent_entry(const struct vminspect_extent *extent,
				    uint64_t va)
{
	struct vminspect_entry entry = {
		.frame = extent->frame,
		.flags = extent->flags,
		.state = extent->state,
		.page_shift = extent->page_shift,
		.swap_type = extent->swap_type,
		.node = extent->node,
	};

	switch (extent->state) {
	case VMINSPECT_STATE_PRESENT:
		/* Small zero pages are all the same one, huge ones have an inside. */
		if (extent->flags & VMINSPECT_PAGE_ZERO) {
			/* 0: it is not told */
			if (extent->page_shift > 12 && extent->frame)
				entry.frame = (extent->frame & ~511ULL) | (va / SZ_4K % 512);
			break;
		}
		__attribute__((fallthrough));
	case VMINSPECT_STATE_SWAPPED:
	case VMINSPECT_STATE_MIGRATING:
	case VMINSPECT_STATE_POISONED:
	case VMINSPECT_STATE_DEVICE:
		entry.frame += (va - extent->start) / SZ_4K;
	}
	return entry;
}

/* No page stands behind these in the sense of pagemap: vm_normal_page() is NULL. */
static bool entry_is_special(const struct vminspect_entry *entry)
{
	return entry->flags & (VMINSPECT_PAGE_SPECIAL | VMINSPECT_PAGE_ZERO);
}

/*
 * A quirk of late kernels: whether its table is shared is asked of an entry of 1G, too, though
 * only tables of the level below count that (hugetlb_pmd_shared()); what is found is left over
 * from another use of the table's page. kpagecount knows.
 */
static bool said_mapped_once(const struct vminspect_entry *entry, uint64_t pagemap)
{
	if (entry->flags & VMINSPECT_PAGE_HUGETLB && entry->page_shift == 30 && kernel_since(7, 0))
		return kpage_count(entry->frame) == 1;
	return pagemap & PM_MMAP_EXCLUSIVE;
}

static const char *present_differs(const struct vminspect_entry *entry, uint64_t pagemap)
{
	bool huge_zero = (entry->flags & VMINSPECT_PAGE_ZERO) && entry->page_shift > 12;

	/* A quirk: what maps frames without pages is passed over (walk_page_test()). */
	if ((entry->flags & VMINSPECT_PAGE_SPECIAL) && !(entry->flags & VMINSPECT_PAGE_ZERO) &&
	    !(pagemap & ~PM_SOFT_DIRTY))
		return NULL;
	if ((pagemap & (PM_PRESENT | PM_SWAP)) != PM_PRESENT)
		return "not present in pagemap";
	if ((pagemap & PM_PFN_MASK) != entry->frame)
		return "frame";
	/* A quirk: what is not anonymous is called a file, and so the huge zero page. */
	if (!(pagemap & PM_FILE) != !(entry->flags & VMINSPECT_PAGE_FILE) && !huge_zero)
		return "file";
	if (said_mapped_once(entry, pagemap) != !!(entry->flags & VMINSPECT_PAGE_MAPPED_ONCE))
		return "mapped_once";
	if (!entry_is_special(entry) && !(entry->flags & VMINSPECT_PAGE_MAPPED_ONCE) !=
					!!(entry->flags & VMINSPECT_PAGE_SHARED))
		return "shared is not the contrary of mapped_once";
	return NULL;
}

/*
 * A quirk: of hugetlb pagemap shows what is present, and the uffd-wp bit, but no other
 * entry (pagemap_hugetlb_range() in fs/proc/task_mmu.c). Another: it shows FILE and
 * MMAP_EXCLUSIVE of the page behind migration and poison entries, which need not be
 * there any more; we look behind present entries only.
 */
static const char *absent_differs(const struct vminspect_entry *entry, uint64_t pagemap)
{
	bool swap = pagemap & PM_SWAP;
	unsigned int type = PM_SWAP_TYPE(pagemap);

	if (pagemap & PM_PRESENT)
		return "present in pagemap";
	if (entry->flags & VMINSPECT_PAGE_HUGETLB)
		return swap ? "swap bit of hugetlb" : NULL;
	/* Its page-table entry is empty: pagemap can't tell. */
	if (entry->flags & VMINSPECT_PAGE_SHMEM)
		return swap ? "swap bit of a page of shared memory" : NULL;

	switch (entry->state) {
	case VMINSPECT_STATE_NONE:
	case VMINSPECT_STATE_UNMAPPED:
		return swap ? "swap bit" : NULL;
	case VMINSPECT_STATE_SWAPPED:
		if (!swap || type != entry->swap_type)
			return "swap type";
		return PM_SWAP_OFFSET(pagemap) == entry->frame ? NULL : "swap offset";
	case VMINSPECT_STATE_MIGRATING:
	case VMINSPECT_STATE_POISONED:
	case VMINSPECT_STATE_DEVICE:
		if (!swap || PM_SWAP_OFFSET(pagemap) != entry->frame)
			return "frame of an entry that is not present";
		return NULL;
	case VMINSPECT_STATE_MARKER:
		return swap ? NULL : "swap bit of a marker";
	}
	return "state";
}

const char *pagemap_differs(const struct vminspect_entry *entry, uint64_t pagemap)
{
	if (!(pagemap & PM_SOFT_DIRTY) != !(entry->flags & VMINSPECT_PAGE_SOFT_DIRTY))
		return "soft_dirty";
	if (!(pagemap & PM_UFFD_WP) != !(entry->flags & VMINSPECT_PAGE_UFFD_WP))
		return "uffd_wp";
	if (entry->state == VMINSPECT_STATE_PRESENT)
		return present_differs(entry, pagemap);
	return absent_differs(entry, pagemap);
}

static uint64_t kpage_word(int *fd, const char *path, uint64_t pfn)
{
	uint64_t word = 0;

	if (*fd < 0)
		*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pread(*fd, &word, sizeof(word), pfn * sizeof(word)) != sizeof(word))
		return 0;
	return word;
}

uint64_t kpage_flags(uint64_t pfn)
{
	static int fd = -1;

	return kpage_word(&fd, "/proc/kpageflags", pfn);
}

uint64_t kpage_count(uint64_t pfn)
{
	static int fd = -1;

	return kpage_word(&fd, "/proc/kpagecount", pfn);
}

bool kernel_since(unsigned int major, unsigned int minor)
{
	struct utsname uts;
	unsigned int is, sub;

	return !uname(&uts) && sscanf(uts.release, "%u.%u", &is, &sub) == 2 &&
	       (is > major || (is == major && sub >= minor));
}

/*
 * 6.12 says it of every anonymous page: it takes one bit of PAGE_MAPPING_KSM for both
 * (stable_page_flags() in fs/proc/page.c). Asked with a page that nobody merges,
 * and not with a new mapping: one next to the test's would make that soft-dirty.
 */
static bool ksm_is_told(void)
{
	static char page[SZ_4K] __attribute__((aligned(SZ_4K)));
	static int told = -1;

	if (told < 0) {
		int pagemap = pagemap_open(getpid());

		*(volatile char *)page = 1;
		told = !(kpage_flags(pagemap_entry(pagemap, page) & PM_PFN_MASK) & 1ULL << KPF_KSM);
		close(pagemap);
	}
	return told;
}

const char *kpageflags_differ(const struct vminspect_entry *entry, uint64_t flags)
{
	static const struct {
		uint32_t ours;
		int theirs;
		const char *name;
	} same[] = {
		{ VMINSPECT_PAGE_HUGETLB,	KPF_HUGE,	"hugetlb" },
		{ VMINSPECT_PAGE_ANON,		KPF_ANON,	"anon" },
		{ VMINSPECT_PAGE_KSM,		KPF_KSM,	"ksm" },
		{ VMINSPECT_PAGE_ZERO,		KPF_ZERO_PAGE,	"zero" },
	};
	size_t i;

	/* What is special has no page that were its own, but for the zero page. */
	if ((entry->flags & VMINSPECT_PAGE_SPECIAL) && !(entry->flags & VMINSPECT_PAGE_ZERO))
		return flags & (1ULL << KPF_ZERO_PAGE) ? "zero" : NULL;
	for (i = 0; i < ARRAY_LEN(same); i++) {
		if (same[i].theirs == KPF_KSM && !ksm_is_told())
			continue;
		if (!(entry->flags & same[i].ours) != !(flags & (1ULL << same[i].theirs)))
			return same[i].name;
	}
	/* On pages of files the bit has another meaning. */
	if ((entry->flags & VMINSPECT_PAGE_ANON) &&
	    !(entry->flags & VMINSPECT_PAGE_SWAPCACHE) != !(flags & (1ULL << KPF_SWAPCACHE)))
		return "swapcache";
	if ((entry->flags & VMINSPECT_PAGE_HUGE) &&
	    !(flags & (1ULL << KPF_THP | 1ULL << KPF_HUGE)))
		return "huge";
	return NULL;
}

const char *entry_text(const struct vminspect_entry *entry, char *text, size_t size)
{
	static const char *const states[] = {
		"none", "present", "swapped", "migrating", "poisoned", "device", "marker",
		"unknown", "unmapped",
	};
	static const char *const flags[] = {
		"write", "exec", "user", "global", "young", "dirty", "soft_dirty", "uffd_wp",
		"protnone", "special", "zero", "anon", "file", "shared", "ksm", "huge",
		"hugetlb", "exclusive", "mapped_once", "swapcache", "shmem", "numa_hint",
		"poison", "guard",
	};
	const char *page = entry->page_shift == 12 ? "4K" : entry->page_shift == 21 ? "2M" :
			   entry->page_shift == 30 ? "1G" : "?";
	size_t len, i;

	len = snprintf(text, size, "%s %s",
		       entry->state < ARRAY_LEN(states) ? states[entry->state] : "?", page);
	for (i = 0; i < 32; i++)
		if (entry->flags & (1U << i) && len < size)
			len += snprintf(text + len, size - len, " %s",
					i < ARRAY_LEN(flags) ? flags[i] : "?");
	return text;
}

static bool parse_head(const char *line, struct mapping *mapping)
{
	uint64_t start, end;
	char perms[5];
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &start, &end,
		   perms, &name) < 3)
		return false;
	memset(mapping, 0, sizeof(*mapping));
	mapping->start = start;
	mapping->end = end;
	mapping->readable = perms[0] == 'r';
	mapping->writable = perms[1] == 'w';
	mapping->executable = perms[2] == 'x';
	mapping->shared = perms[3] == 's';
	snprintf(mapping->name, sizeof(mapping->name), "%.*s",
		 (int)strcspn(line + name, "\n"), line + name);
	return true;
}

static void parse_sum(const char *line, struct mapping *mapping)
{
	uint64_t kb;
	char key[32];

	if (sscanf(line, "%31[A-Za-z_]: %" SCNu64 " kB", key, &kb) != 2)
		return;
	if (!strcmp(key, "Rss"))
		mapping->rss = kb * 1024;
	else if (!strcmp(key, "Referenced"))
		mapping->referenced = kb * 1024;
	else if (!strcmp(key, "AnonHugePages"))
		mapping->anon_huge = kb * 1024;
	else if (!strcmp(key, "ShmemPmdMapped"))
		mapping->shmem_huge = kb * 1024;
	else if (!strcmp(key, "FilePmdMapped"))
		mapping->file_huge = kb * 1024;
	else if (!strcmp(key, "Swap"))
		mapping->swap = kb * 1024;
	else if (!strcmp(key, "Shared_Hugetlb") || !strcmp(key, "Private_Hugetlb"))
		mapping->hugetlb += kb * 1024;
}

int each_mapping(pid_t pid, mapping_fn each, void *arg)
{
	struct mapping mapping = { 0 };
	char path[64], line[4096 + 128];
	int ret = 0;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	smaps = fopen(path, "re");
	if (!smaps)
		return -errno;
	while (!ret && fgets(line, sizeof(line), smaps)) {
		if (!strncmp(line, "VmFlags:", 8)) {	/* the last line of each */
			snprintf(mapping.vm_flags, sizeof(mapping.vm_flags), "%.120s",
				 line + 8);
			if (mapping.start < 1ULL << 63)	/* not [vsyscall] */
				ret = each(&mapping, arg);
		} else if (!parse_head(line, &mapping)) {
			parse_sum(line, &mapping);
		}
	}
	fclose(smaps);
	return ret;
}

long status_kb(pid_t pid, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	long kb = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	if (!status)
		return -1;
	while (kb < 0 && fgets(line, sizeof(line), status))
		if (!strncmp(line, key, len) && line[len] == ':')
			kb = strtol(line + len + 1, NULL, 10);
	fclose(status);
	return kb;
}

int looker_open(struct looker *look, pid_t pid)
{
	memset(look, 0, sizeof(*look));
	look->pagemap = pagemap_open(pid);
	look->device = device_bound(pid);
	if (look->pagemap >= 0 && look->device >= 0)
		return 0;
	return look->pagemap < 0 ? look->pagemap : look->device;
}

void looker_close(struct looker *look)
{
	close(look->pagemap);
	close(look->device);
}

static bool entry_same(const struct vminspect_entry *a, const struct vminspect_entry *b,
		       uint64_t mask)
{
	return a->frame == b->frame && a->state == b->state && a->page_shift == b->page_shift &&
	       a->swap_type == b->swap_type && ((a->flags ^ b->flags) & mask) == 0 &&
	       b->node == -1 && !b->reserved && !b->reserved2;
}

/* A scan of one page with @mask; its only extent has to be that page. */
static bool look_scan(struct looker *look, uint64_t va, uint64_t mask)
{
	struct vminspect_extent extent;
	struct vminspect_scan scan = {
		.start = va,
		.end = va + SZ_4K,
		.extents = (uintptr_t)&extent,
		.nr_extents = 1,
		.return_mask = mask | VMINSPECT_RETURN_FRAME,
	};
	struct vminspect_entry entry;

	if (device_scan(look->device, &scan) || scan.nr_filled != 1 || scan.resume != scan.end ||
	    extent.start != va || extent.end != scan.end || extent.mixed)
		return false;
	entry = extent_entry(&extent, va);
	return entry_same(&look->entry, &entry, mask) && !(entry.flags & ~mask);
}

/* What the last entry has, the page has; soft_dirty the mapping may add or take away. */
static bool leaf_fits(const struct vminspect_walk *walk, const struct vminspect_walk_level *leaf)
{
	const uint32_t flags = VMINSPECT_PAGE_WRITE | VMINSPECT_PAGE_EXEC | VMINSPECT_PAGE_USER |
			       VMINSPECT_PAGE_GLOBAL | VMINSPECT_PAGE_YOUNG |
			       VMINSPECT_PAGE_DIRTY | VMINSPECT_PAGE_UFFD_WP |
			       VMINSPECT_PAGE_PROTNONE | VMINSPECT_PAGE_SPECIAL |
			       VMINSPECT_PAGE_HUGE;

	if (walk->entry.state != VMINSPECT_STATE_PRESENT)
		return !(leaf->flags & VMINSPECT_ENTRY_PRESENT);
	return leaf->flags & VMINSPECT_ENTRY_PRESENT &&
	       !((leaf->flags ^ walk->entry.flags) & flags) &&
	       !(leaf->flags & VMINSPECT_PAGE_SOFT_DIRTY) == !(leaf->raw & (1ULL << 11));
}

static bool look_walk(struct looker *look, uint64_t va)
{
	struct vminspect_walk *walk = &look->walk;
	struct vminspect_walk_level *leaf;
	uint32_t i;

	if (device_walk(look->device, va, walk) ||
	    !entry_same(&look->entry, &walk->entry, VMINSPECT_PAGE_FLAGS))
		return false;
	if (look->entry.state == VMINSPECT_STATE_UNMAPPED)
		return !walk->nr_levels;
	if (!walk->nr_levels || walk->nr_levels > VMINSPECT_MAX_LEVELS)
		return false;
	for (i = 0; i < walk->nr_levels - 1; i++)
		if (walk->levels[i].leaf || !(walk->levels[i].flags & VMINSPECT_ENTRY_PRESENT))
			return false;
	leaf = &walk->levels[i];
	if (!leaf->leaf)
		return false;
	if (!leaf_fits(walk, leaf))
		return false;
	/* Nothing may stand on any level, what stands there stands on its own. */
	return !leaf->raw || leaf->level == (look->entry.page_shift - 12) / 9 + 1;
}

/* Asked for nothing that its page tells: as the first one of a call, and after another. */
static bool look_translate(struct looker *look, uint64_t va)
{
	const uint64_t addresses[] = { va, (uintptr_t)look, va };
	const uint64_t mask = VMINSPECT_PAGE_FLAGS & ~VMINSPECT_PAGE_FROM_PAGE;
	struct vminspect_entry entries[ARRAY_LEN(addresses)];

	return device_translate(look->device, addresses, entries, ARRAY_LEN(addresses),
				mask | VMINSPECT_RETURN_FRAME) == ARRAY_LEN(addresses) &&
	       entry_same(&look->entry, &entries[0], mask) &&
	       entry_same(&look->entry, &entries[2], mask);
}

/* NULL, or who disagrees. */
static const char *look_once(struct looker *look, uint64_t va)
{
	const char *differs;

	if (device_lookup(look->device, (void *)va, &look->entry))
		return "TRANSLATE failed";
	look->pagemap_entry = pagemap_entry(look->pagemap, (void *)va);
	if (!look_scan(look, va, VMINSPECT_PAGE_FLAGS))
		return "SCAN is not TRANSLATE";
	if (!look_scan(look, va, VMINSPECT_PAGE_FLAGS & ~VMINSPECT_PAGE_FROM_PAGE))
		return "SCAN of entries alone is not TRANSLATE";
	if (!look_translate(look, va))
		return "TRANSLATE of entries alone is not TRANSLATE";
	if (!look_walk(look, va))
		return "WALK is not TRANSLATE";
	differs = pagemap_differs(&look->entry, look->pagemap_entry);
	if (!differs && look->entry.state == VMINSPECT_STATE_PRESENT)
		differs = kpageflags_differ(&look->entry, kpage_flags(look->entry.frame));
	return differs;
}

const char *look_text(struct looker *look, const void *va)
{
	uint64_t page = (uintptr_t)va & ~(SZ_4K - 1);
	const char *differs = NULL;
	size_t len;
	int tries;

	/* The kernel moves pages and collapses them at any time: is it still so? */
	for (tries = 0; tries < 3; tries++) {
		differs = look_once(look, page);
		if (!differs)
			break;
	}
	/* Whether the page is still in memory depends on who needed some meanwhile. */
	if (look->entry.state == VMINSPECT_STATE_SWAPPED)
		look->entry.flags &= ~VMINSPECT_PAGE_SWAPCACHE;
	entry_text(&look->entry, look->text, sizeof(look->text));
	if (differs) {
		len = strlen(look->text);
		snprintf(look->text + len, sizeof(look->text) - len,
			 "; DIFFERS: %s; pagemap %#" PRIx64, differs, look->pagemap_entry);
	}
	return look->text;
}

struct range_check {
	struct looker *look;
	uint64_t mask;
	struct vminspect_extent last;
	const char *differs;
};

static bool could_be_one(const struct vminspect_extent *a, const struct vminspect_extent *b)
{
	struct vminspect_entry next = extent_entry(a, b->start);

	return a->end == b->start && a->state == b->state && a->flags == b->flags &&
	       a->page_shift == b->page_shift && a->swap_type == b->swap_type &&
	       next.frame == b->frame;
}

static int range_extent(const struct vminspect_extent *extent, void *arg)
{
	struct range_check *check = arg;
	struct vminspect_entry entry;
	uint64_t va;

	if (check->last.end && could_be_one(&check->last, extent))
		check->differs = "two extents that could be one";
	check->last = *extent;
	for (va = extent->start; va < extent->end && !check->differs; va += SZ_4K) {
		/* What the scan did not ask for is taken from TRANSLATE, the frame is not. */
		if (device_lookup(check->look->device, (void *)va, &entry))
			check->differs = "TRANSLATE failed";
		check->look->entry = extent_entry(extent, va);
		check->look->entry.flags |= entry.flags & ~check->mask;
		check->look->pagemap_entry = pagemap_entry(check->look->pagemap, (void *)va);
		check->differs = check->differs ?:
			pagemap_differs(&check->look->entry, check->look->pagemap_entry);
	}
	return check->differs ? 1 : 0;
}

/* Extents for each page, in order. */
struct page_list {
	struct vminspect_extent *list;
	size_t nr;
	const char *differs;
};

static int page_extent(const struct vminspect_extent *extent, void *arg)
{
	struct page_list *pages = arg;

	if (extent->state != VMINSPECT_STATE_NONE && extent->state != VMINSPECT_STATE_UNMAPPED &&
	    extent->end - extent->start > 1ULL << extent->page_shift)
		pages->differs = "an extent of several pages";
	pages->list[pages->nr++] = *extent;
	return pages->differs ? 1 : 0;
}

/* The same in words has to be the same. */
static int page_word(const struct vminspect_extent *extent, void *arg)
{
	struct page_list *pages = arg;

	if (memcmp(extent, &pages->list[pages->nr++], sizeof(*extent)))
		pages->differs = "a word is not the extent of its page";
	return pages->differs ? 1 : 0;
}

static const char *look_pages(struct looker *look, uint64_t start, uint64_t end, uint64_t mask)
{
	struct vminspect_scan scan = {
		.flags = VMINSPECT_SCAN_PAGES,
		.return_mask = mask | VMINSPECT_RETURN_FRAME,
		.split_mask = mask,
	};
	/* One more than there can be, which is compared with nothing. */
	struct page_list pages = {
		.list = calloc((end - start) / SZ_4K + 1, sizeof(*pages.list)),
	};
	size_t nr;

	if (!pages.list)
		return "no memory";
	if (device_extents(look->device, start, end, &scan, page_extent, &pages) < 0)
		pages.differs = "SCAN of pages failed";
	nr = pages.nr;
	pages.nr = 0;
	scan.flags = VMINSPECT_SCAN_PACKED;
	if (!pages.differs &&
	    device_extents(look->device, start, end, &scan, page_word, &pages) < 0)
		pages.differs = "SCAN of words failed";
	if (!pages.differs && pages.nr != nr)
		pages.differs = "a word is missing";
	free(pages.list);
	return pages.differs;
}

/* Many addresses at once, asked for nothing that pages tell. */
static const char *look_addresses(struct looker *look, uint64_t start, uint64_t end, uint64_t mask)
{
	uint64_t addresses[256];
	struct vminspect_entry entries[256], entry;
	uint32_t nr, i;

	for (; start < end; start += nr * SZ_4K) {
		for (nr = 0; nr < ARRAY_LEN(addresses) && start + nr * SZ_4K < end; nr++)
			addresses[nr] = start + nr * SZ_4K;
		if (device_translate(look->device, addresses, entries, nr,
				     mask | VMINSPECT_RETURN_FRAME) != (int)nr)
			return "TRANSLATE of many failed";
		for (i = 0; i < nr; i++)
			if (device_lookup(look->device, (void *)addresses[i], &entry) ||
			    !entry_same(&entry, &entries[i], mask))
				return "TRANSLATE of many is not TRANSLATE";
	}
	return NULL;
}

static const char *look_range_once(struct looker *look, uint64_t start, uint64_t end, uint64_t mask)
{
	struct range_check check = { .look = look, .mask = mask };
	struct vminspect_scan scan = {
		.return_mask = mask | VMINSPECT_RETURN_FRAME,
		.split_mask = mask,
	};

	if (device_extents(look->device, start, end, &scan, range_extent, &check) < 0)
		return "SCAN failed";
	if (!check.differs && check.last.end != end)
		return "SCAN left something out";
	return check.differs ?: look_pages(look, start, end, mask) ?:
	       look_addresses(look, start, end, mask);
}

const char *look_range(struct looker *look, const void *va, size_t size)
{
	uint64_t start = (uintptr_t)va, fast = VMINSPECT_PAGE_FLAGS & ~VMINSPECT_PAGE_FROM_PAGE;
	const char *differs = NULL;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		differs = look_range_once(look, start, start + size, fast) ?:
			  look_range_once(look, start, start + size, VMINSPECT_PAGE_FLAGS);
		if (!differs)
			break;
	}
	return differs;
}

struct mapping_search {
	uint64_t va;
	struct mapping *found;
};

static int mapping_match(const struct mapping *mapping, void *arg)
{
	struct mapping_search *search = arg;

	if (search->va < mapping->start || search->va >= mapping->end)
		return 0;
	*search->found = *mapping;
	return 1;
}

int mapping_at(pid_t pid, const void *va, struct mapping *mapping)
{
	struct mapping_search search = { (uintptr_t)va, mapping };
	int ret = each_mapping(pid, mapping_match, &search);

	return ret == 1 ? 0 : ret < 0 ? ret : -ENOENT;
}

void trace_empty(void)
{
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
}

#define KMALLOC		TRACING "events/kmem/kmalloc/"

bool allocated_start(void)
{
	char filter[64];

	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	trace_empty();
	return !write_file(KMALLOC "filter", filter) && !write_file(KMALLOC "enable", "1");
}

struct allocated allocated_end(void)
{
	struct allocated all = { };
	char line[512], *bytes;
	FILE *trace;

	write_file(KMALLOC "enable", "0");
	write_file(KMALLOC "filter", "0");
	trace = fopen(TRACING "trace", "r");
	while (trace && fgets(line, sizeof(line), trace)) {
		bytes = strstr(line, "bytes_alloc=");
		if (!bytes || !strstr(line, " [vminspect] "))
			continue;
		all.nr++;
		all.bytes += strtol(bytes + strlen("bytes_alloc="), NULL, 10);
		all.charged += !!strstr(line, "ACCOUNT");
	}
	if (trace)
		fclose(trace);
	return all;
}

#define VMSTAT	"/proc/vmstat"

long meminfo_kb(const char *key)
{
	size_t length = strlen(key);
	long kb = -1;
	char line[128];
	FILE *meminfo = fopen("/proc/meminfo", "re");

	while (meminfo && kb < 0 && fgets(line, sizeof(line), meminfo))
		if (!strncmp(line, key, length) && line[length] == ':')
			kb = strtol(line + length + 1, NULL, 10);
	if (meminfo)
		fclose(meminfo);
	return kb;
}

long vmstat(const char *key)
{
	size_t len = strlen(key);
	char line[128];
	long value = -1;
	FILE *file = fopen(VMSTAT, "re");

	if (!file)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, len) && line[len] == ' ')
			value = strtol(line + len, NULL, 10);
	fclose(file);
	return value;
}

bool cpu_has(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[8192], *word, *rest;
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "flags", 5))
			continue;
		for (word = strtok_r(line, " \t\n", &rest); word && !found;
		     word = strtok_r(NULL, " \t\n", &rest))
			found = !strcmp(word, flag);
		break;
	}
	fclose(file);
	return found;
}

int iomem_name(uint64_t pa, char *name, size_t size)
{
	FILE *file = fopen("/proc/iomem", "re");
	uint64_t first, last;
	char line[256];
	int at, ret = -ENOENT;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %" SCNx64 "-%" SCNx64 " : %n", &first, &last, &at) < 2 ||
		    pa < first || pa > last)
			continue;
		snprintf(name, size, "%.*s", (int)strcspn(line + at, "\n"), line + at);
		ret = 0;
	}
	fclose(file);
	return ret;
}

bool monitor_present(void)
{
	const char *path = getenv("VMINSPECT_MONITOR");

	return path && *path;
}

/* One line of QMP, read until its end; replies are short but for memory. */
static int monitor_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1) {
		ssize_t got = read(fd, line + len, 1);

		if (got < 0)
			return -errno;
		if (!got)
			return -EPIPE;
		if (line[len++] == '\n') {
			line[len] = 0;
			return 0;
		}
	}
	return -EOVERFLOW;
}

static int monitor_ask(int fd, const char *question, char *line, size_t size)
{
	int ret;

	if (write(fd, question, strlen(question)) < 0)
		return -errno;
	do {	/* greetings and events go by */
		ret = monitor_line(fd, line, size);
		if (ret)
			return ret;
	} while (strncmp(line, "{\"return\"", 9) && strncmp(line, "{\"error\"", 8));
	return 0;
}

/* "…: 0x0000000000000067 0x…\r\n…" */
static size_t monitor_words(const char *line, uint64_t *words, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		line = strstr(line, " 0x");
		if (!line)
			break;
		words[i] = strtoull(line + 1, (char **)&line, 16);
	}
	return i;
}

#define MONITOR_ENABLE	"{\"execute\":\"qmp_capabilities\"}\n"
#define MONITOR_COMMAND	"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"%s\"}}\n"

/* The reply is JSON: a string in which a line ends with the four characters "\r\n". */
int monitor_command(const char *command, char *reply, size_t size)
{
	int fd = open(getenv("VMINSPECT_MONITOR"), O_RDWR | O_CLOEXEC);
	char question[256];
	int ret;

	if (fd < 0)
		return -errno;
	/* Needed once in the life of the monitor; later an error that hurts nobody. */
	ret = monitor_ask(fd, MONITOR_ENABLE, reply, size);
	if (!ret) {
		snprintf(question, sizeof(question), MONITOR_COMMAND, command);
		ret = monitor_ask(fd, question, reply, size);
	}
	close(fd);
	return ret;
}

#define MONITOR_CHUNK	64

int monitor_read(uint64_t pa, uint64_t *words, size_t nr)
{
	char reply[16384], command[64];
	int ret = 0;

	while (!ret && nr) {
		size_t chunk = nr < MONITOR_CHUNK ? nr : MONITOR_CHUNK;

		snprintf(command, sizeof(command), "xp/%zuxg 0x%" PRIx64, chunk, pa);
		ret = monitor_command(command, reply, sizeof(reply));
		if (!ret && monitor_words(reply, words, chunk) != chunk)
			ret = -EIO;
		words += chunk;
		pa += chunk * sizeof(*words);
		nr -= chunk;
	}
	return ret;
}

void *map_anon(size_t size, int prot)
{
	void *map = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

void *map_aligned(size_t size, size_t align)
{
	char *map = map_anon(size + align, PROT_READ | PROT_WRITE);
	size_t before = -(uintptr_t)map & (align - 1);

	if (!map)
		return NULL;
	if (before)
		munmap(map, before);
	if (align - before)
		munmap(map + before + size, align - before);
	return map + before;
}

static bool all_swapped(int pagemap, const char *va, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += SZ_4K)
		if (!(pagemap_entry(pagemap, va + at) & PM_SWAP))
			return false;
	return true;
}

/*
 * Pages that were just filled wait on each processor to be put on the lists that pages are
 * pushed out from. Before pages are moved between nodes all processors do that, if there is
 * nothing to move, too (do_migrate_pages() in mm/mempolicy.c).
 */
void drain_new_pages(void)
{
	unsigned long nodes = 1;

	syscall(SYS_migrate_pages, 0, 8 * sizeof(nodes), &nodes, &nodes);
}

int page_out(void *va, size_t size)
{
	int pagemap = pagemap_open(getpid());
	int tries;

	if (pagemap < 0)
		return pagemap;
	for (tries = 0; tries < 50 && !all_swapped(pagemap, va, size); tries++) {
		drain_new_pages();
		madvise(va, size, MADV_PAGEOUT);
		usleep(20000);
	}
	tries = all_swapped(pagemap, va, size) ? 0 : -EAGAIN;
	close(pagemap);
	return tries;
}

int page_out_shared(void *va, size_t size)
{
	struct mapping mapping;
	int tries;

	for (tries = 0; tries < 50; tries++) {
		int ret = mapping_at(getpid(), va, &mapping);

		if (ret)
			return ret;
		if (mapping.swap >= size)
			return 0;
		drain_new_pages();
		madvise(va, size, MADV_PAGEOUT);
		usleep(20000);
	}
	return -EAGAIN;
}

static void nothing(int signal)
{
	(void)signal;
}

/*
 * Kernels such as 6.12 tell who does so that its memory failed, by a signal that can't be
 * ignored (MF_ACTION_REQUIRED in madvise_inject_error()). It comes as madvise() returns.
 */
int memory_fail(void *va, size_t size)
{
	const struct sigaction caught = { .sa_handler = nothing };
	struct sigaction before;
	int ret;

	sigaction(SIGBUS, &caught, &before);
	ret = madvise(va, size, MADV_HWPOISON) ? -errno : 0;
	sigaction(SIGBUS, &before, NULL);
	return ret;
}

void *map_huge(size_t size)
{
	char *map = map_aligned(size, SZ_2M);

	if (map && madvise(map, size, MADV_HUGEPAGE)) {
		munmap(map, size);
		return NULL;
	}
	return map;
}

void *map_small(size_t size)
{
	char *map = map_anon(size, PROT_READ | PROT_WRITE);

	if (map)
		madvise(map, size, MADV_NOHUGEPAGE);
	return map;
}

static const char *hugetlb_path(size_t page, const char *what, char *path, size_t size)
{
	snprintf(path, size, "/sys/kernel/mm/hugepages/hugepages-%zukB/%s", page / 1024, what);
	return path;
}

int hugetlb_reserve(size_t page, int nr)
{
	char path[128], text[32];
	long all, free;

	all = read_number(hugetlb_path(page, "nr_hugepages", path, sizeof(path)));
	free = read_number(hugetlb_path(page, "free_hugepages", path, sizeof(path)));
	if (all < 0 || free < 0)
		return -ENODEV;
	if (free >= nr)
		return 0;
	snprintf(text, sizeof(text), "%ld", all - free + nr);
	write_file(hugetlb_path(page, "nr_hugepages", path, sizeof(path)), text);
	free = read_number(hugetlb_path(page, "free_hugepages", path, sizeof(path)));
	return free >= nr ? 0 : -ENOMEM;
}

void *map_hugetlb(size_t size, size_t page, int flags)
{
	int log = __builtin_ctzl(page) << MAP_HUGE_SHIFT;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_HUGETLB | log | flags, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

int memfd(size_t size, unsigned int flags)
{
	int fd = memfd_create("selftest", MFD_CLOEXEC | flags);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size)) {
		close(fd);
		return -errno;
	}
	return fd;
}

void *map_fd(int fd, size_t size, int flags)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

void touch(const void *va, size_t size)
{
	const char *byte = va;
	size_t at;

	for (at = 0; at < size; at += SZ_4K)
		READ_ONCE(byte[at]);
}

void flush_tlb(void)
{
	char *map = map_small(64 * SZ_4K);

	if (!map)
		return;
	memset(map, 1, 64 * SZ_4K);
	munmap(map, 64 * SZ_4K);
}

#define CLEAR_REFS	"/proc/%d/clear_refs"

int clear_refs(pid_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), CLEAR_REFS, pid);
	return write_file(path, what);
}

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM	(1 << 12)
#endif

int uffd_open(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

int uffd_protect(int uffd, void *va, size_t size)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)va, size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)va, size },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg) || ioctl(uffd, UFFDIO_WRITEPROTECT, &protect))
		return -errno;
	return 0;
}

#define MOVE_MAX	1024

int move_pages_to(void **pages, size_t nr, int node)
{
	int nodes[MOVE_MAX], status[MOVE_MAX];
	size_t i;

	if (nr > MOVE_MAX)
		return -EINVAL;
	for (i = 0; i < nr; i++)
		nodes[i] = node;
	return syscall(SYS_move_pages, 0, nr, pages, nodes, status, 4 /* MPOL_MF_MOVE_ALL */) < 0 ?
	       -errno : 0;
}

int page_node(const void *va)
{
	int status = -ENOENT;

	if (syscall(SYS_move_pages, 0, 1UL, &va, NULL, &status, 0))
		return -errno;
	return status;
}

/* Maps the first memory resource of a device that nobody has claimed. */
static void *bar_map_of(const char *device, uint64_t *pa)
{
	char path[300];
	uint64_t start, end, flags;
	void *map = NULL;
	FILE *list;
	int i;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", device);
	list = fopen(path, "re");
	if (!list)
		return NULL;
	for (i = 0; !map && i < 6; i++) {
		int fd;

		if (fscanf(list, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3)
			break;
		if (!(flags & 0x200) || end - start + 1 < SZ_4K)	/* IORESOURCE_MEM */
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", device, i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		map = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			map = NULL;
		close(fd);
		*pa = start;
	}
	fclose(list);
	return map;
}

void *bar_map(uint64_t *pa)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	void *map = NULL;

	if (!dir)
		return NULL;
	while (!map && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			map = bar_map_of(entry->d_name, pa);
	closedir(dir);
	return map;
}

int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0, len = 0;

	if (fd < 0)
		return -errno;
	while (len < (ssize_t)size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
		len += got;
	if (got < 0)
		len = -errno;
	close(fd);
	text[len < 0 ? 0 : len] = 0;
	return len;
}

long read_number(const char *path)
{
	char text[64];

	return read_file(path, text, sizeof(text)) <= 0 ? -1 : strtol(text, NULL, 10);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void knobs_turn(struct knob *knobs, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (read_file(knobs[i].path, knobs[i].saved, sizeof(knobs[i].saved)) <= 0 ||
		    write_file(knobs[i].path, knobs[i].value))
			*knobs[i].saved = '\0';
	}
}

void knobs_turn_back(const struct knob *knobs, size_t nr)
{
	while (nr--)
		if (*knobs[nr].saved)
			write_file(knobs[nr].path, knobs[nr].saved);
}

/* The letter after the name, which may hold spaces and brackets itself. */
static char process_state(pid_t pid)
{
	char path[64], line[512] = "";
	const char *state;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	if (!stat)
		return 0;
	if (!fgets(line, sizeof(line), stat))
		line[0] = 0;
	fclose(stat);
	state = strrchr(line, ')');
	return state && state[1] ? state[2] : 0;
}

int process_stop(pid_t pid)
{
	int tries;

	if (kill(pid, SIGSTOP))
		return -errno;
	for (tries = 0; tries < 500; tries++) {
		if (process_state(pid) == 'T')
			return 0;
		usleep(10000);
	}
	return -ETIMEDOUT;
}

void process_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define ZOO_PAGES	64
#define ZOO_SIZE	(ZOO_PAGES * SZ_4K)

static void need(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "# zoo: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* Written, read, not touched, discarded, protected, by turns. */
static void zoo_small(void)
{
	char *map = map_anon(ZOO_SIZE, PROT_READ | PROT_WRITE);
	int i;

	need(map && !madvise(map, ZOO_SIZE, MADV_NOHUGEPAGE), "small pages");
	for (i = 0; i < ZOO_PAGES; i++) {
		if (i % 4 != 3)
			touch(map + i * SZ_4K, SZ_4K);
		if (i % 4 < 2)
			map[i * SZ_4K] = i;
	}
	need(!madvise(map + 20 * SZ_4K, 2 * SZ_4K, MADV_DONTNEED), "discard");
	need(!mprotect(map + 32 * SZ_4K, 4 * SZ_4K, PROT_READ), "protect");
	need(!mprotect(map + 36 * SZ_4K, 4 * SZ_4K, PROT_NONE), "PROT_NONE");
	need(!mprotect(map + 40 * SZ_4K, 4 * SZ_4K, PROT_READ | PROT_EXEC), "PROT_EXEC");
}

/* Whole, in pieces, protected, of zeroes. */
static void zoo_huge(void)
{
	char *map = map_huge(5 * SZ_2M);

	need(map, "huge pages");
	memset(map, 1, 3 * SZ_2M);
	need(!madvise(map + SZ_2M + 7 * SZ_4K, SZ_4K, MADV_DONTNEED), "split");
	need(!mprotect(map + 2 * SZ_2M, SZ_2M, PROT_NONE), "huge PROT_NONE");
	touch(map + 3 * SZ_2M, SZ_4K);
}

static void zoo_hugetlb(void)
{
	char *private = map_hugetlb(2 * SZ_2M, SZ_2M, MAP_PRIVATE);
	char *shared = map_hugetlb(2 * SZ_2M, SZ_2M, MAP_SHARED);

	if (!private || !shared)
		return;	/* none were reserved */
	private[0] = 1;
	shared[0] = 1;
	touch(shared + SZ_2M, SZ_4K);
}

/* All out, some in again, some of those written. */
static void zoo_swapped(void)
{
	char *map = map_anon(ZOO_SIZE, PROT_READ | PROT_WRITE);
	int i;

	need(map && !madvise(map, ZOO_SIZE, MADV_NOHUGEPAGE), "pages to be swapped");
	memset(map, 2, ZOO_SIZE);
	need(!page_out(map, ZOO_SIZE), "page out");
	for (i = 8; i < 16; i++)
		touch(map + i * SZ_4K, SZ_4K);
	memset(map + 12 * SZ_4K, 3, 2 * SZ_4K);
}

/* Shared memory, out in part, and a private mapping of it that has pages of its own. */
static void zoo_shared(char *map)
{
	need(map, "shared memory");
	memset(map, 4, ZOO_SIZE - 8 * SZ_4K);
	need(!page_out_shared(map, ZOO_SIZE / 2), "page out of shared memory");
	touch(map + 4 * SZ_4K, 4 * SZ_4K);
}

static void zoo_memory_of_files(void)
{
	int fd = memfd(ZOO_SIZE, 0);
	char *private = map_fd(fd, ZOO_SIZE, MAP_PRIVATE);
	int id = shmget(IPC_PRIVATE, ZOO_SIZE, 0600);
	void *segment = shmat(id, NULL, 0);

	zoo_shared(map_fd(fd, ZOO_SIZE, MAP_SHARED));
	need(private, "private mapping of a memfd");
	memset(private + 6 * SZ_4K, 5, 4 * SZ_4K);
	need(segment != (void *)-1, "SysV shared memory");
	shmctl(id, IPC_RMID, NULL);
	zoo_shared(segment);
	zoo_shared(mmap(NULL, ZOO_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* Present, swapped, huge and, in shared memory, where there is no page yet. */
static void zoo_protected(void)
{
	char *small = map_anon(16 * SZ_4K, PROT_READ | PROT_WRITE);
	char *huge = map_huge(SZ_2M);
	char *shared = map_fd(memfd(16 * SZ_4K, 0), 16 * SZ_4K, MAP_SHARED);
	int uffd = uffd_open();

	need(small && huge && shared && uffd >= 0, "userfaultfd");
	memset(small, 6, 12 * SZ_4K);
	memset(huge, 6, SZ_2M);
	memset(shared, 6, 8 * SZ_4K);
	need(!page_out(small, 4 * SZ_4K), "page out");
	need(!uffd_protect(uffd, small, 8 * SZ_4K), "uffd-wp");
	need(!uffd_protect(uffd, huge, SZ_2M), "uffd-wp of a huge page");
	need(!uffd_protect(uffd, shared, 12 * SZ_4K), "uffd-wp of shared memory");
}

static void zoo_soft_clean(void)
{
	char *map = map_anon(ZOO_SIZE, PROT_READ | PROT_WRITE);
	int i;

	need(map, "pages for soft-dirty");
	memset(map, 7, ZOO_SIZE);
	need(!page_out(map + 32 * SZ_4K, 16 * SZ_4K), "page out");
	need(!clear_refs(getpid(), "4"), "clear_refs");
	for (i = 0; i < ZOO_PAGES; i += 3)
		map[i * SZ_4K] = 8;
}

static void __attribute__((noreturn)) zoo_live(int ready)
{
	uint64_t pa;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	zoo_small();
	zoo_huge();
	zoo_hugetlb();
	zoo_swapped();
	zoo_memory_of_files();
	zoo_protected();
	bar_map(&pa);	/* where there is one */
	zoo_soft_clean();
	need(write(ready, "", 1) == 1, "pipe");
	for (;;)
		pause();
}

pid_t zoo_start(void)
{
	int ready[2];
	char byte;
	pid_t pid;
	int ret;

	if (pipe(ready))
		return -errno;
	pid = fork();
	if (!pid)
		zoo_live(ready[1]);
	close(ready[1]);
	ret = pid > 0 && read(ready[0], &byte, 1) == 1 ? 0 : -EIO;
	close(ready[0]);
	if (ret) {
		process_end(pid);
		return ret;
	}
	return pid;
}

static pid_t child_start(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)	/* died before it was asked for */
			_exit(1);
	}
	return pid < 0 ? -errno : pid;
}

pid_t child_stopped(void (*run)(void *arg), void *arg)
{
	pid_t pid = child_start();
	int status;

	if (!pid) {
		run(arg);
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return -ECHILD;
	return pid;
}

int child_run(int (*run)(void *arg), void *arg)
{
	pid_t pid = child_start();
	int status;

	if (!pid)
		_exit(run(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "vminspect", O_NONBLOCK) ? -errno : 0;
}

bool leaks_are_looked_for(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

unsigned int time_scale(void)
{
	const char *scale = getenv("VMINSPECT_SCALE");

	return scale && atoi(scale) > 0 ? atoi(scale) : 1;
}

unsigned int scaled_alarm(unsigned int seconds)
{
	return syscall(SYS_alarm, seconds * time_scale());
}

static int modprobe(void *parameters)
{
	execlp("modprobe", "modprobe", "-q", "vminspect", (char *)parameters, NULL);
	return 127;
}

int module_load(const char *parameters)
{
	return child_run(modprobe, (void *)parameters);
}
