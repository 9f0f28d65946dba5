// SPDX-License-Identifier: GPL-2.0
/*
 * storm [OPTIONS] PROCESSES PAGES: each of PROCESSES children writes to PAGES pages, pushes them
 * out, and reads a byte of each again, all at the same time. What it does besides is in memory that
 * is locked, so that these are the only pages that swap.
 *
 *   -m MEMORY   anon (the default), heap, or a file to be mapped privately; several are taken one
 *               after the other
 *   -c NAME     what the children are called
 *   -g CGROUP   its directory: they run there, and its swap cache is empty before they read
 *   -l FILE     for the report, instead of standard output; but "ready" and the like are printed
 *   -r ROUNDS   out and in again so often
 *   -d STRIDE   the pages are read in the order of i * STRIDE % PAGES; PAGES should have no
 *               factor of it. 7 by default, so that nothing is worth reading ahead
 *   -o          out only
 *   -s          waits for a line on its standard input before pages go out, before they come in,
 *               and before the end, and prints "ready", "out" and "in"
 *
 * The report has a line for each child and memory: PID VA PAGES FAULTS; the last are the major
 * faults while the child read all of its memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common.h"

#define PAGE		SZ_4K
#define MAX_AREAS	4
#define MAX_CHILDREN	64
#define TRIES		500

static struct {
	const char *memory[MAX_AREAS];
	int nr_areas;
	const char *name;
	const char *cgroup;
	const char *report;
	int rounds;
	size_t stride;
	bool out_only;
	bool steps;
	int processes;
	size_t pages;
} chosen = { .rounds = 1, .stride = 7 };

/* All processes have this. */
static struct shared {
	pthread_barrier_t barrier;
	struct {
		pid_t pid;
		char *area[MAX_AREAS];
		long faults;
	} children[MAX_CHILDREN];
} *shared;

/* All of us, and nobody else: children end with their parent. */
static pid_t first;

static void die(const char *what)
{
	perror(what);
	if (getpid() != first)
		kill(first, SIGTERM);
	exit(1);
}

static void meet(void)
{
	pthread_barrier_wait(&shared->barrier);
}

static char *map_area(const char *memory)
{
	size_t size = chosen.pages * PAGE;
	char *area;
	int fd = -1;

	if (!strcmp(memory, "heap")) {
		/* to the next page */
		sbrk(-(uintptr_t)sbrk(0) & (PAGE - 1));
		return sbrk(size);
	}
	if (strcmp(memory, "anon")) {
		fd = open(memory, O_RDWR | O_CREAT, 0644);
		if (fd < 0 || ftruncate(fd, size))
			die(memory);
	}
	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (area == MAP_FAILED)
		die("mmap");
	close(fd);
	return area;
}

static void fill(char *area)
{
	madvise(area, chosen.pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < chosen.pages * PAGE; at += sizeof(uint64_t))
		*(uint64_t *)(area + at) = (at + getpid()) * 0x9e3779b97f4a7c15;
}

static void push_out(char *area)
{
	errno = -page_out(area, chosen.pages * PAGE);
	if (errno)
		die("the pages do not go out");
}

static void read_back(const char *area)
{
	for (size_t i = 0; i < chosen.pages; i++)
		READ_ONCE(area[i * chosen.stride % chosen.pages * PAGE]);
}

static long major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_majflt;
}

static void write_cgroup(const char *name, const char *text)
{
	char path[4096];
	int ret;

	snprintf(path, sizeof(path), "%s/%s", chosen.cgroup, name);
	ret = write_file(path, text);
	/* less may have been reclaimed than was asked for */
	if (ret && strcmp(name, "memory.reclaim")) {
		errno = -ret;
		die(path);
	}
}

static void run_child(int nr)
{
	char **areas = shared->children[nr].area;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chosen.cgroup)
		write_cgroup("cgroup.procs", "0");
	if (chosen.name)
		prctl(PR_SET_NAME, chosen.name);
	shared->children[nr].pid = getpid();
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	for (i = 0; i < chosen.nr_areas; i++) {
		areas[i] = map_area(chosen.memory[i]);
		fill(areas[i]);
	}
	meet();
	for (int round = 0; round < chosen.rounds; round++) {
		meet();
		for (i = 0; i < chosen.nr_areas; i++)
			push_out(areas[i]);
		meet();
		meet();
		shared->children[nr].faults -= major_faults();
		for (i = 0; i < chosen.nr_areas && !chosen.out_only; i++)
			read_back(areas[i]);
		shared->children[nr].faults += major_faults();
		meet();
	}
	meet();
	_exit(0);
}

static bool has_swap_cache(void)
{
	char line[4096];
	long bytes = 0;
	FILE *file;

	snprintf(line, sizeof(line), "%s/memory.stat", chosen.cgroup);
	file = fopen(line, "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "swapcached %ld", &bytes);
	if (file)
		fclose(file);
	return bytes > 0;
}

/* What is being written out stays a moment longer. */
static void drop_swap_cache(void)
{
	for (int tries = 0; tries < TRIES && has_swap_cache(); tries++) {
		write_cgroup("memory.reclaim", "64M");
		usleep(2000);
	}
}

/* Says where we are, and waits until we may go on. */
static void step(const char *word)
{
	char line[64];

	if (!chosen.steps)
		return;
	puts(word);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(0);
}

static void report(void)
{
	FILE *file = chosen.report ? fopen(chosen.report, "w") : stdout;

	if (!file)
		die(chosen.report);
	for (int i = 0; i < chosen.processes; i++) {
		for (int j = 0; j < chosen.nr_areas; j++)
			fprintf(file, "%d %p %zu %ld\n", shared->children[i].pid,
				shared->children[i].area[j], chosen.pages,
				shared->children[i].faults);
	}
	if (file != stdout)
		fclose(file);
}

static void start_children(void)
{
	pthread_barrierattr_t attributes;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED || mlockall(MCL_CURRENT | MCL_FUTURE))
		die("no memory");
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->barrier, &attributes, chosen.processes + 1);
	for (int i = 0; i < chosen.processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			run_child(i);
	}
}

static int run(void)
{
	first = getpid();
	start_children();
	meet();
	report();
	for (int round = 0; round < chosen.rounds; round++) {
		step("ready");
		meet();
		meet();
		if (chosen.cgroup)
			drop_swap_cache();
		step("out");
		meet();
		meet();
	}
	report();
	step("in");
	meet();
	while (wait(NULL) > 0)
		;
	return 0;
}

static int wrong_usage(void)
{
	fputs("usage: storm [-os] [-m MEMORY]... [-c NAME] [-g CGROUP] [-l FILE] [-r ROUNDS] "
	      "[-d STRIDE] PROCESSES PAGES\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "m:c:g:l:r:d:os")) != -1) {
		switch (option) {
		case 'm':
			if (chosen.nr_areas == MAX_AREAS)
				return wrong_usage();
			chosen.memory[chosen.nr_areas++] = optarg;
			break;
		case 'c':
			chosen.name = optarg;
			break;
		case 'g':
			chosen.cgroup = optarg;
			break;
		case 'l':
			chosen.report = optarg;
			break;
		case 'r':
			chosen.rounds = atoi(optarg);
			break;
		case 'd':
			chosen.stride = atol(optarg);
			break;
		case 'o':
			chosen.out_only = true;
			break;
		case 's':
			chosen.steps = true;
			break;
		default:
			return wrong_usage();
		}
	}
	if (argc - optind != 2)
		return wrong_usage();
	chosen.processes = atoi(argv[optind]);
	chosen.pages = atol(argv[optind + 1]);
	if (chosen.processes < 1 || chosen.processes > MAX_CHILDREN || !chosen.pages)
		return wrong_usage();
	if (!chosen.nr_areas)
		chosen.memory[chosen.nr_areas++] = "anon";
	return run();
}
