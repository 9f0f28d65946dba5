// SPDX-License-Identifier: GPL-2.0
/*
 * peak FILE COMMAND...: runs a command, and writes into FILE the most memory in KiB
 * that it has had resident, as VmHWM counts it. Ends with the status of the command.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *file;

	if (argc < 3) {
		fprintf(stderr, "usage: peak FILE COMMAND...\n");
		return 2;
	}
	if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ)) {
		perror(argv[2]);
		return 127;
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		return 127;
	file = fopen(argv[1], "w");
	if (!file || fprintf(file, "%ld\n", usage.ru_maxrss) < 0 || fclose(file)) {
		perror(argv[1]);
		return 127;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
