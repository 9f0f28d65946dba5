// SPDX-License-Identifier: GPL-2.0
/*
 * commands: what it costs to run ours and others', as users run them, in turns.
 *
 * Writes lines for ./report; the unit is thousands of instructions, or microseconds, that a command
 * runs for, from its start to its end: what it waits for is not in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MAPPINGS	2000
#define MAPPED		(100UL << 20)
#define DENSE		(64UL << 20)
#define ADDRESSES	10000
#define ADDRESS_FILE	"/tmp/addresses"

/* Of many mappings: neighbours differ, so that they stay apart. */
static int live_mapped(void)
{
	const size_t size = MAPPED / MAPPINGS / SZ_4K * SZ_4K;
	size_t i;
	char *map;

	for (i = 0; i < MAPPINGS; i++) {
		map = mmap(NULL, size, PROT_READ | PROT_WRITE | (i % 2 ? PROT_EXEC : 0),
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			return 1;
		memset(map, 1, size);
	}
	return 0;
}

/* Of one, whose pages have frames as they came; and a file of addresses in it. */
static int live_dense(void)
{
	FILE *file = fopen(ADDRESS_FILE, "w");
	char *dense = map_small(DENSE);
	size_t i;

	if (!file || !dense)
		return 1;
	memset(dense, 1, DENSE);
	srand48(1);
	for (i = 0; i < ADDRESSES; i++)
		fprintf(file, "%#" PRIxPTR "\n", (uintptr_t)dense + lrand48() % DENSE);
	return fclose(file);
}

/* Return: its pid, once it has all */
static pid_t start(int (*live)(void))
{
	int ends[2];
	pid_t pid;
	char byte;

	check(!pipe(ends), "no pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (live() || write(ends[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	check(pid > 0 && read(ends[0], &byte, 1) == 1, "no process to look at");
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static uint64_t timeval_ns(const struct timeval *time)
{
	return time->tv_sec * 1000000000ULL + time->tv_usec * 1000ULL;
}

/* Return: for how long it ran, all that it started included */
static uint64_t run(const char *command, pid_t target)
{
	struct rusage usage;
	char number[16];
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		snprintf(number, sizeof(number), "%d", target);
		setenv("P", number, 1);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	check(pid > 0 && wait4(pid, &status, 0, &usage) == pid && !status, command);
	return timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime);
}

/* Ours first, then up to three others, with $P for the process. */
static void compare(const char *work, pid_t target, const char *const *commands)
{
	uint64_t ns[4][ROUNDS];
	int round, i;

	for (i = 0; commands[i]; i++)
		run(commands[i], target);	/* its pages are read */
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; commands[i]; i++)
			ns[i][round] = run(commands[i], target);
	for (i = 0; commands[i]; i++)
		print_figure(work, commands[i], ns[i], 1000);
}

/*
 * What a process adds to ours, which tells all of them; of the others, what is read of it alone.
 * It is still there, and gone afterwards.
 */
static void compare_one(pid_t target)
{
	static const char *const commands[] = {
		"vminspect ps", "cat /proc/$P/smaps_rollup", "cat /proc/$P/smaps",
		"cat /proc/$P/numa_maps", "cat /dev/null",
	};
	uint64_t ns[ARRAY_LEN(commands)][ROUNDS], without[2][ROUNDS];
	int round, i;

	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < (int)ARRAY_LEN(commands); i++)
			ns[i][round] = run(commands[i], target);
	process_end(target);
	/* The command itself, be it ours with all others or one that does nothing. */
	for (round = 0; round < ROUNDS; round++)
		without[0][round] = run(commands[0], target);
	median(without[0], ROUNDS);
	memcpy(without[1], ns[ARRAY_LEN(commands) - 1], sizeof(without[1]));
	median(without[1], ROUNDS);
	for (i = 0; i < (int)ARRAY_LEN(commands) - 1; i++) {
		for (round = 0; round < ROUNDS; round++) {
			check(ns[i][round] > without[!!i][ROUNDS / 2], "it costs nothing");
			ns[i][round] -= without[!!i][ROUNDS / 2];
		}
		print_figure("what 2000 mappings add", commands[i], ns[i], 1000);
	}
}

int main(void)
{
	const char *const mappings[] = {
		"vminspect maps $P", "pmap -X $P", "cat /proc/$P/smaps", NULL,
	};
	const char *const all[] = { "vminspect ps", "smem", NULL };
	const char *const pages[] = {
		"vminspect maps --pages $P", "build/bench/page-types -p $P -l -N",
		"bench/pagemap.py pages $P", NULL,
	};
	const char *const runs[] = {
		"vminspect maps --extents $P", "build/bench/page-types -p $P -l", NULL,
	};
	const char *const addresses[] = {
		"vminspect translate -f " ADDRESS_FILE " $P",
		"bench/pagemap.py addresses $P " ADDRESS_FILE, NULL,
	};
	pid_t mapped = start(live_mapped), pid;

	compare("2000 mappings, one by one", mapped, mappings);
	compare("all processes, one of 2000 mappings", mapped, all);
	compare_one(mapped);
	pid = start(live_dense);
	compare("16384 pages, one by one", pid, pages);
	compare("the same as runs", pid, runs);
	compare("10,000 addresses", pid, addresses);
	process_end(pid);
	return 0;
}
