// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
	scan->extent_size = sizeof(struct vminspect_extent);
	return ioctl(device, VMINSPECT_IOC_SCAN, scan) ? -errno : 0;
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
		ret = device_scan(device, &request);
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

uint64_t kpage_flags(uint64_t pfn)
{
	static int fd = -1;
	uint64_t flags = 0;

	if (fd < 0)
		fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	if (pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) != sizeof(flags))
		return 0;
	return flags;
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

#define MONITOR_CHUNK	64

int monitor_read(uint64_t pa, uint64_t *words, size_t nr)
{
	int fd = open(getenv("VMINSPECT_MONITOR"), O_RDWR | O_CLOEXEC);
	char line[16384], question[160];
	int ret;

	if (fd < 0)
		return -errno;
	/* Needed once in the life of the monitor; later an error that hurts nobody. */
	ret = monitor_ask(fd, "{\"execute\":\"qmp_capabilities\"}\n", line, sizeof(line));
	while (!ret && nr) {
		size_t chunk = nr < MONITOR_CHUNK ? nr : MONITOR_CHUNK;

		snprintf(question, sizeof(question),
			 "{\"execute\":\"human-monitor-command\",\"arguments\":"
			 "{\"command-line\":\"xp/%zuxg 0x%" PRIx64 "\"}}\n", chunk, pa);
		ret = monitor_ask(fd, question, line, sizeof(line));
		if (!ret && monitor_words(line, words, chunk) != chunk)
			ret = -EIO;
		words += chunk;
		pa += chunk * sizeof(*words);
		nr -= chunk;
	}
	close(fd);
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

int page_out(void *va, size_t size)
{
	int pagemap = pagemap_open(getpid());
	int tries;

	if (pagemap < 0)
		return pagemap;
	for (tries = 0; tries < 50 && !all_swapped(pagemap, va, size); tries++) {
		madvise(va, size, MADV_PAGEOUT);
		usleep(20000);
	}
	tries = all_swapped(pagemap, va, size) ? 0 : -EAGAIN;
	close(pagemap);
	return tries;
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
