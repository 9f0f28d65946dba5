// SPDX-License-Identifier: GPL-2.0
/*
 * thrash [-c CGROUP] [-r ROUNDS] [-s STRIDE] [-a] [-w MS] [-n NAME] PAGES: a process that
 * swaps a known number of pages. In each round it writes all of its PAGES, pushes them out,
 * waits, and reads them back in their order, each once.
 *
 *   -c CGROUP    it enters this cgroup, a directory; before it reads its pages they are reclaimed
 *                from there, so that they come from the device instead of the swap cache
 *   -r ROUNDS    instead of one
 *   -s STRIDE    it reads the first of each STRIDE pages only; that takes a single round
 *   -a           then they are reclaimed from the cgroup once more, and it reads all pages
 *   -w MS        how long the pages stay out, at least
 *   -n NAME      what it is called
 *
 * It says nothing: what is written to a file in tmpfs would be memory of the cgroup, too.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define PAGE		4096UL
#define HUGE		(2048UL * 1024)
#define PM_SWAP		(1ULL << 62)

static struct {
	const char *cgroup;
	size_t rounds;
	size_t stride;
	int again;
	unsigned int wait_ms;
	size_t nr_pages;
} chosen = { .rounds = 1, .stride = 1 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void write_cgroup(const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", chosen.cgroup, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		die(path);
	/* memory.reclaim says EAGAIN where there was less than that */
	if (write(fd, text, strlen(text)) < 0 && strcmp(name, "memory.reclaim"))
		die(path);
	close(fd);
}

/* Small pages, from a boundary of 2 MiB on. */
static char *map_pages(size_t size)
{
	char *va = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED)
		die("mmap");
	va += -(uintptr_t)va % HUGE;
	madvise(va, size, MADV_NOHUGEPAGE);
	return va;
}

/* No two words are the same, so no page is one that zram or zswap would not keep. */
static void fill(char *va, size_t size, size_t round)
{
	for (size_t at = 0; at < size; at += sizeof(uint64_t))
		*(uint64_t *)(va + at) = (at + round + 1) * 0x9e3779b97f4a7c15;
}

/* New pages wait on each processor to be put on lists; this makes all of them do that. */
static void drain_new_pages(void)
{
	unsigned long nodes = 1;

	syscall(SYS_migrate_pages, 0, 8 * sizeof(nodes), &nodes, &nodes);
}

static int all_out(int pagemap, const char *va)
{
	uint64_t entry;

	for (size_t i = 0; i < chosen.nr_pages; i++) {
		off_t at = ((uintptr_t)va / PAGE + i) * sizeof(entry);

		if (pread(pagemap, &entry, sizeof(entry), at) != sizeof(entry))
			die("pagemap");
		if (!(entry & PM_SWAP))
			return 0;
	}
	return 1;
}

static void push_out(int pagemap, char *va)
{
	int tries;

	for (tries = 0; tries < 50 && !all_out(pagemap, va); tries++) {
		drain_new_pages();
		madvise(va, chosen.nr_pages * PAGE, MADV_PAGEOUT);
		usleep(20000);
	}
	if (tries == 50) {
		fprintf(stderr, "thrash: the pages do not go out\n");
		exit(1);
	}
}

static void drop_swap_cache(void)
{
	for (int i = 0; chosen.cgroup && i < 20; i++) {
		write_cgroup("memory.reclaim", "64M");
		usleep(10000);
	}
}

static void read_back(const char *va, size_t stride)
{
	for (size_t i = 0; i < chosen.nr_pages; i += stride)
		*(const volatile char *)(va + i * PAGE);
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:r:s:aw:n:")) != -1) {
		switch (option) {
		case 'c':
			chosen.cgroup = optarg;
			break;
		case 'r':
			chosen.rounds = atol(optarg);
			break;
		case 's':
			chosen.stride = atol(optarg);
			break;
		case 'a':
			chosen.again = 1;
			break;
		case 'w':
			chosen.wait_ms = atol(optarg);
			break;
		case 'n':
			prctl(PR_SET_NAME, optarg);
			break;
		default:
			exit(2);
		}
	}
	if (optind + 1 != argc || atol(argv[optind]) <= 0 || chosen.stride < 1) {
		fprintf(stderr, "thrash: see the comment in thrash.c\n");
		exit(2);
	}
	chosen.nr_pages = atol(argv[optind]);
}

int main(int argc, char **argv)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t size;
	char *va;

	parse(argc, argv);
	if (pagemap < 0)
		die("/proc/self/pagemap");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What is mapped by now stays in. */
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	if (chosen.cgroup)
		write_cgroup("cgroup.procs", "0");
	size = chosen.nr_pages * PAGE;
	va = map_pages(size);
	for (size_t round = 0; round < chosen.rounds; round++) {
		fill(va, size, round);
		push_out(pagemap, va);
		drop_swap_cache();
		usleep(chosen.wait_ms * 1000);
		read_back(va, chosen.stride);
	}
	if (chosen.again) {
		drop_swap_cache();
		read_back(va, 1);
	}
	return 0;
}
