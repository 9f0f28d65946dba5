// SPDX-License-Identifier: GPL-2.0
/*
 * Guests of KVM.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "device.h"
#include "vminspect.h"

static int guest_ioctl(int fd, unsigned long command, void *arg)
{
	return ioctl(fd, command, arg) < 0 ? -errno : 0;
}

int vminspect_guest(struct vminspect *dev, int vm_fd, int mem_fd,
		    struct vminspect_guest *request)
{
	int fd;

	*request = (struct vminspect_guest) {
		.size = sizeof(*request), .vm_fd = vm_fd, .mem_fd = mem_fd,
	};
	fd = ioctl(dev->fd, VMINSPECT_IOC_GUEST, request);
	return fd < 0 ? -errno : fd;
}

int vminspect_guest_slot(int fd, unsigned int address_space, __u64 gpa,
			 struct vminspect_guest_slot *slot)
{
	*slot = (struct vminspect_guest_slot) {
		.size = sizeof(*slot), .gpa = gpa, .address_space = address_space,
	};
	return guest_ioctl(fd, VMINSPECT_IOC_GUEST_SLOT, slot);
}

int vminspect_guest_vcpu(int fd, unsigned int vcpu, struct vminspect_guest_vcpu *out)
{
	*out = (struct vminspect_guest_vcpu) { .size = sizeof(*out), .vcpu = vcpu };
	return guest_ioctl(fd, VMINSPECT_IOC_GUEST_VCPU, out);
}

int vminspect_guest_walk(int fd, struct vminspect_guest_walk *walk)
{
	walk->size = sizeof(*walk);
	return guest_ioctl(fd, VMINSPECT_IOC_GUEST_WALK, walk);
}

unsigned int vminspect_guest_accesses(const struct vminspect_guest_walk *walk)
{
	unsigned int sum = walk->nr_nested;

	if (!walk->missing && !walk->nr_nested)
		return 0;
	for (unsigned int i = 0; i < walk->nr_levels; i++) {
		const struct vminspect_guest_level *level = &walk->levels[i];

		/* what is in memory and has none: there is no nested table, or it is hidden */
		if (level->entry_hva && !level->nr_nested)
			return 0;
		sum += level->nr_nested + 1;
	}
	return sum + !walk->missing;
}
