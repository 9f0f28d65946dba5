// SPDX-License-Identifier: GPL-2.0
/*
 * specimen KIND [ARGUMENT...]: a process that is worth looking at. It prints what
 * there is to know of it, then "ready". A line on its standard input makes it take
 * the step that its kind has; then it prints "done". It dies with its parent.
 *
 *   dense MB         MB MiB of small pages, all written
 *   sparse           1 TiB of addresses; a page in each 64 GiB is written
 *   file PATH COMM   maps the first page of a file and reads it, and is called COMM
 *   thread           has a second thread, whose TID it prints
 *   headless         as thread. Step: its first thread exits
 *   groups NR        is in NR supplementary groups
 *   twice PATH       maps a page of a file at offset 0x8000, and above that the first one
 *   runs             511 pages next to each other in memory, of which some were
 *                    written since the soft-dirty bits were cleared
 *   growing MB       MB MiB, all written, and a page above them that is not mapped.
 *                    Step: maps it
 *   shrinking MB     the same with a page that is mapped. Step: unmaps it
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE	4096UL
#define MB	(1UL << 20)
#define GB	(1UL << 30)
#define HUGE	(2 * MB)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(void *hint, size_t size, int prot, int flags, int fd)
{
	char *va = mmap(hint, size, prot, flags, fd, 0);

	if (va == MAP_FAILED)
		die("mmap");
	return va;
}

static char *map_anon(size_t size)
{
	return map(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static void say(const char *va, size_t size)
{
	printf("%p %p\n", va, va + size);
}

/* One byte in each stretch of @stride bytes, and no huge pages. */
static void write_pages(char *va, size_t size, size_t stride)
{
	madvise(va, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += stride)
		va[i] = 1;
}

static void make_dense(char **args)
{
	size_t size = atol(args[0]) * MB;
	char *va = map_anon(size);

	write_pages(va, size, PAGE);
	say(va, size);
}

static void make_sparse(char **args)
{
	char *va = map_anon(1024 * GB);

	(void)args;
	write_pages(va, 1024 * GB, 64 * GB);
	say(va, 1024 * GB);
}

static void make_file(char **args)
{
	int fd = open(args[0], O_RDONLY);
	char *va;

	if (fd < 0)
		die(args[0]);
	va = map(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd);
	asm volatile("" : : "r" (va[0]));	/* a read that is made */
	prctl(PR_SET_NAME, args[1]);
	say(va, PAGE);
}

static void *sleeper(void *arg)
{
	printf("%ld\n", syscall(SYS_gettid));
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void make_thread(char **args)
{
	static pthread_barrier_t barrier;
	pthread_t thread;

	(void)args;
	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, sleeper, &barrier))
		die("pthread_create");
	pthread_barrier_wait(&barrier);
}

static void make_groups(char **args)
{
	size_t nr = atol(args[0]);
	gid_t *groups = calloc(nr, sizeof(*groups));

	for (size_t i = 0; groups && i < nr; i++)
		groups[i] = 100000 + i;
	if (!groups || setgroups(nr, groups))
		die("setgroups");
}

static void make_twice(char **args)
{
	int fd = open(args[0], O_RDONLY);
	char *va = map_anon(2 * PAGE);

	if (fd < 0)
		die(args[0]);
	if (mmap(va, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0x8000) == MAP_FAILED)
		die("mmap");
	map(va + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd);
	say(va, 2 * PAGE);
}

static void clear_soft_dirty(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);

	if (fd < 0 || write(fd, "4", 1) != 1)
		die("/proc/self/clear_refs");
	close(fd);
}

/*
 * The frames of a huge page follow one another, also once it is taken apart; taking
 * away its last small page does that. Without the right to write, pages that
 * were written look no different from the others in what divides runs.
 */
static void make_runs(char **args)
{
	char *va = map_anon(2 * HUGE);

	(void)args;
	va += -(unsigned long)va % HUGE;
	madvise(va, HUGE, MADV_HUGEPAGE);
	va[0] = 1;
	madvise(va + HUGE - PAGE, PAGE, MADV_DONTNEED);
	clear_soft_dirty();
	for (size_t i = 1; i < 16; i += 2)
		va[i * PAGE] = 1;
	mprotect(va, HUGE - PAGE, PROT_READ);
	say(va, HUGE - PAGE);
}

static char *changing;

/* Another right to it than the neighbour has keeps a mapping apart. */
static void map_changing(void)
{
	map(changing, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
}

static void unmap_changing(void)
{
	munmap(changing, PAGE);
}

static void make_changing(char **args, void (*change)(void))
{
	size_t size = atol(args[0]) * MB;
	char *va = map_anon(size + PAGE);

	changing = va + size;
	change();
	write_pages(va, size, PAGE);
	say(va, size);
	say(changing, PAGE);
}

static void make_growing(char **args)
{
	make_changing(args, unmap_changing);
}

static void make_shrinking(char **args)
{
	make_changing(args, map_changing);
}

/* The process lives on. */
static void exit_first_thread(void)
{
	puts("done");
	pthread_exit(NULL);
}

static const struct kind {
	const char *name;
	int nr_args;
	void (*make)(char **args);
	void (*step)(void);
} kinds[] = {
	{ .name = "dense", .nr_args = 1, .make = make_dense },
	{ .name = "sparse", .make = make_sparse },
	{ .name = "file", .nr_args = 2, .make = make_file },
	{ .name = "thread", .make = make_thread },
	{ .name = "headless", .make = make_thread, .step = exit_first_thread },
	{ .name = "groups", .nr_args = 1, .make = make_groups },
	{ .name = "twice", .nr_args = 1, .make = make_twice },
	{ .name = "runs", .make = make_runs },
	{ .name = "growing", .nr_args = 1, .make = make_growing, .step = map_changing },
	{ .name = "shrinking", .nr_args = 1, .make = make_shrinking, .step = unmap_changing },
	{ }
};

static const struct kind *find_kind(const char *name, int nr_args)
{
	for (const struct kind *kind = kinds; kind->name; kind++) {
		if (!strcmp(name, kind->name) && nr_args == kind->nr_args)
			return kind;
	}
	fprintf(stderr, "specimen: no such kind, or not its arguments: %s\n", name);
	exit(2);
}

static void wait_for_a_line(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}

int main(int argc, char **argv)
{
	const struct kind *kind = find_kind(argc > 1 ? argv[1] : "", argc - 2);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	kind->make(argv + 2);
	puts("ready");
	if (kind->step) {
		wait_for_a_line();
		kind->step();
		puts("done");
	}
	for (;;)
		pause();
}
