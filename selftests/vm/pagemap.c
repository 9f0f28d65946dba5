// SPDX-License-Identifier: GPL-2.0
/*
 * pagemap PID START END...: what /proc/PID/pagemap and /proc/kpageflags say of each
 * page that is present or swapped, a line each:
 *
 *   VA present PFN - FLAGS          VA swapped - TYPE:OFFSET FLAGS
 *
 * FLAGS are those of "soft_dirty,mapped_once,file,zero,hugetlb" that apply, or "-".
 * mapped_once is said of anonymous pages alone: those of a file others map and unmap.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kernel-page-flags.h>
#include <unistd.h>

#define PAGE		4096UL

#define PM_SOFT_DIRTY	(1UL << 55)
#define PM_EXCLUSIVE	(1UL << 56)
#define PM_FILE		(1UL << 61)
#define PM_SWAPPED	(1UL << 62)
#define PM_PRESENT	(1UL << 63)
#define PM_FRAME	((1UL << 55) - 1)

static unsigned long word_at(int fd, unsigned long index)
{
	unsigned long word = 0;

	if (pread(fd, &word, sizeof(word), index * sizeof(word)) != sizeof(word))
		return 0;
	return word;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static void add(char *text, int applies, const char *flag)
{
	if (!applies)
		return;
	if (*text)
		strcat(text, ",");
	strcat(text, flag);
}

static void print_page(unsigned long va, unsigned long entry, unsigned long kpage)
{
	char flags[128] = "";

	add(flags, !!(entry & PM_SOFT_DIRTY), "soft_dirty");
	add(flags, (entry & PM_EXCLUSIVE) && !(entry & PM_FILE), "mapped_once");
	add(flags, !!(entry & PM_FILE), "file");
	add(flags, kpage >> KPF_ZERO_PAGE & 1, "zero");
	add(flags, kpage >> KPF_HUGE & 1, "hugetlb");
	if (!*flags)
		strcpy(flags, "-");

	if (entry & PM_PRESENT)
		printf("0x%lx present 0x%lx - %s\n", va, entry & PM_FRAME, flags);
	else
		printf("0x%lx swapped - %lu:%lu %s\n", va, entry & 0x1f,
		       (entry & PM_FRAME) >> 5, flags);
}

static void print_range(int pagemap, int kpageflags, unsigned long va, unsigned long end)
{
	for (; va < end; va += PAGE) {
		unsigned long entry = word_at(pagemap, va / PAGE);

		if (entry & PM_PRESENT)
			print_page(va, entry, word_at(kpageflags, entry & PM_FRAME));
		else if (entry & PM_SWAPPED)
			print_page(va, entry, 0);
	}
}

int main(int argc, char **argv)
{
	int pagemap, kpageflags;
	char path[64];

	if (argc < 4 || argc % 2) {
		fprintf(stderr, "usage: pagemap PID START END...\n");
		return 2;
	}
	snprintf(path, sizeof(path), "/proc/%s/pagemap", argv[1]);
	pagemap = open_file(path);
	kpageflags = open_file("/proc/kpageflags");
	for (int i = 2; i < argc; i += 2)
		print_range(pagemap, kpageflags, strtoul(argv[i], NULL, 16),
			    strtoul(argv[i + 1], NULL, 16));
	return 0;
}
