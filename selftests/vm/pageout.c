// SPDX-License-Identifier: GPL-2.0
/*
 * pageout PID START END: ask the kernel to push this part of a process out to
 * swap, as process_madvise(2) lets one process ask for another.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

int main(int argc, char **argv)
{
	unsigned long start, end;
	int pidfd;

	if (argc != 4) {
		fprintf(stderr, "usage: pageout PID START END\n");
		return 2;
	}
	start = strtoul(argv[2], NULL, 16);
	end = strtoul(argv[3], NULL, 16);
	pidfd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	if (pidfd < 0) {
		perror("pageout: pidfd_open");
		return 1;
	}
	/* One call advises at most MAX_RW_COUNT bytes, and may stop earlier. */
	while (start < end) {
		struct iovec range = { (void *)start, end - start };
		long done = syscall(SYS_process_madvise, pidfd, &range, 1,
				    MADV_PAGEOUT, 0);

		if (done <= 0) {
			perror("pageout: process_madvise");
			return 1;
		}
		start += done;
	}
	return 0;
}
