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
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../common.h"

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
	int ret;

	snprintf(path, sizeof(path), "%s/%s", chosen.cgroup, name);
	ret = write_file(path, text);
	/* memory.reclaim says EAGAIN where there was less than that */
	if (ret && strcmp(name, "memory.reclaim")) {
		errno = -ret;
		die(path);
	}
}

/* Small pages, from a boundary of 2 MiB on. */
static char *map_pages(size_t size)
{
	char *va = map_aligned(size, SZ_2M);

	if (!va)
		die("mmap");
	madvise(va, size, MADV_NOHUGEPAGE);
	return va;
}

/* No two words are the same, so no page is one that zram or zswap would not keep. */
static void fill(char *va, size_t size, size_t round)
{
	for (size_t at = 0; at < size; at += sizeof(uint64_t))
		*(uint64_t *)(va + at) = (at + round + 1) * 0x9e3779b97f4a7c15;
}

static void push_out(char *va, size_t size)
{
	errno = -page_out(va, size);
	if (errno)
		die("the pages do not go out");
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
		READ_ONCE(va[i * SZ_4K]);
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
	size_t size;
	char *va;

	parse(argc, argv);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What is mapped by now stays in. */
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	if (chosen.cgroup)
		write_cgroup("cgroup.procs", "0");
	size = chosen.nr_pages * SZ_4K;
	va = map_pages(size);
	for (size_t round = 0; round < chosen.rounds; round++) {
		fill(va, size, round);
		push_out(va, size);
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
