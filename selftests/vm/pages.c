// SPDX-License-Identifier: GPL-2.0
/*
 * A small process that has a page of every kind an ordinary user can make. It
 * prints where each is, a line "ADDRESS KIND", then "ready", and sleeps.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define PAGE	4096UL
#define HUGE	(2048UL * 1024)

static void say(const void *va, const char *kind)
{
	printf("%p %s\n", va, kind);
}

static char *map(size_t size, int prot, int flags, int fd)
{
	char *va = mmap(NULL, size, prot, flags, fd, 0);

	return va == MAP_FAILED ? NULL : va;
}

static char *map_private(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* Small pages that stay what they are: khugepaged would make a huge one of them. */
static char *map_small(size_t size)
{
	char *va = map_private(size);

	madvise(va, size, MADV_NOHUGEPAGE);
	return va;
}

static char *align(char *va, size_t size)
{
	return (char *)(((unsigned long)va + size - 1) & ~(size - 1));
}

static void make_small(void)
{
	char *va = map_small(4 * PAGE);

	va[0] = 1;
	say(va, "written once: an ordinary page");
	asm volatile("" : : "r" (va[PAGE]));	/* a read that is made */
	say(va + PAGE, "only ever read: the shared page of zeroes");
	say(va + 2 * PAGE, "never touched: nothing");
	va[3 * PAGE] = 1;
	mprotect(va + 3 * PAGE, PAGE, PROT_NONE);
	say(va + 3 * PAGE, "written, then made inaccessible");
}

static void make_huge(void)
{
	char *va = align(map_private(3 * HUGE), HUGE);

	madvise(va, 2 * HUGE, MADV_HUGEPAGE);
	va[0] = 1;
	say(va, "a transparent huge page");
	va[HUGE] = 1;
	mprotect(va + HUGE + PAGE, PAGE, PROT_READ);
	say(va + HUGE, "a huge page taken apart: 512 entries");

	va = map(HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (va) {
		va[0] = 1;
		say(va, "a page of hugetlbfs");
	}
}

static void make_shared(void)
{
	int fd = memfd_create("pages", 0);
	char *va;

	if (fd < 0 || ftruncate(fd, 16 * PAGE))
		return;
	va = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	memset(va, 1, 8 * PAGE);
	say(va, "shared memory");
	madvise(va + 4 * PAGE, 4 * PAGE, MADV_PAGEOUT);
	say(va + 4 * PAGE, "shared memory that was swapped out");
}

static void make_swapped(void)
{
	char *va = map_small(64 * PAGE);

	memset(va, 1, 64 * PAGE);
	madvise(va, 32 * PAGE, MADV_PAGEOUT);
	say(va, "written, then swapped out");
}

int main(void)
{
	make_small();
	make_huge();
	make_shared();
	make_swapped();
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
