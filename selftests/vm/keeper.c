// SPDX-License-Identifier: GPL-2.0
/*
 * keeper PID VM_FD ADDRESS: makes a descriptor to inspect a guest with, of a VM that a process has
 * open, says "ready", and keeps it. For each line of standard input it says what a walk by that
 * descriptor shows, a word each:
 *
 *   hidden=MASK     of VMINSPECT_HIDDEN_*
 *   levels=N        entries of the guest's tables that have a value
 *   frames=N        physical addresses: of those entries, of the data, of the nested root
 *   nested=N        nested entries
 *
 * If something does not work, it says so instead, and ends with status 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common.h"

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static unsigned int frames_of_levels(const struct vminspect_guest_walk *walk)
{
	unsigned int i, nr = 0;

	for (i = 0; i < VMINSPECT_MAX_LEVELS; i++)
		nr += walk->levels[i].entry_pa != 0;
	return nr;
}

static unsigned int values_of_levels(const struct vminspect_guest_walk *walk)
{
	unsigned int i, nr = 0;

	for (i = 0; i < walk->nr_levels; i++)
		nr += walk->levels[i].raw != 0;
	return nr;
}

/* All that there is room for, whatever the counts say. */
static unsigned int count_nested(const struct vminspect_guest_walk *walk)
{
	static const struct vminspect_walk_level none;
	unsigned int i, j, nr = 0;

	for (i = 0; i < VMINSPECT_MAX_LEVELS; i++) {
		nr += !!memcmp(&walk->nested[i], &none, sizeof(none));
		for (j = 0; j < VMINSPECT_MAX_LEVELS; j++)
			nr += !!memcmp(&walk->levels[i].nested[j], &none, sizeof(none));
	}
	return nr;
}

static int show(int guest, uint64_t address)
{
	struct vminspect_guest_walk walk = { .size = sizeof(walk), .address = address };
	struct vminspect_guest_vcpu vcpu = { .size = sizeof(vcpu) };

	if (ioctl(guest, VMINSPECT_IOC_GUEST_WALK, &walk) ||
	    ioctl(guest, VMINSPECT_IOC_GUEST_VCPU, &vcpu))
		return fail("looking at the guest");
	printf("hidden=%u levels=%u frames=%u nested=%u\n", walk.hidden, values_of_levels(&walk),
	       frames_of_levels(&walk) + !!walk.entry.frame + !!vcpu.nested_root,
	       count_nested(&walk));
	return 0;
}

int main(int argc, char **argv)
{
	struct vminspect_guest argument = { .size = sizeof(argument), .mem_fd = -1 };
	int guest, ret = 0;
	char line[80];

	if (argc != 4)
		return 2;
	setlinebuf(stdout);
	argument.vm_fd = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, atoi(argv[1]), 0),
				 atoi(argv[2]), 0);
	guest = ioctl(device_open(), VMINSPECT_IOC_GUEST, &argument);
	if (guest < 0)
		return fail("a descriptor of the guest");
	puts("ready");
	while (!ret && fgets(line, sizeof(line), stdin))
		ret = show(guest, strtoull(argv[3], NULL, 16));
	return ret;
}
