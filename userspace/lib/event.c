// SPDX-License-Identifier: GPL-2.0
/*
 * Events of swapping.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "device.h"
#include "vminspect.h"

int vminspect_events(struct vminspect *dev, struct vminspect_events *request)
{
	int fd;

	request->size = sizeof(*request);
	request->record_size = sizeof(struct vminspect_event);
	fd = ioctl(dev->fd, VMINSPECT_IOC_EVENTS, request);
	return fd < 0 ? -errno : fd;
}

int vminspect_events_state(int fd, __u32 flags, struct vminspect_events_state *state)
{
	*state = (struct vminspect_events_state) { .size = sizeof(*state), .flags = flags };
	return ioctl(fd, VMINSPECT_IOC_EVENTS_STATE, state) < 0 ? -errno : 0;
}
