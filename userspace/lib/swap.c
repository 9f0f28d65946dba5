// SPDX-License-Identifier: GPL-2.0
/*
 * Swap areas.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "device.h"
#include "vminspect.h"

int vminspect_swap(struct vminspect *dev, unsigned int type, __u32 flags, char *path,
		   size_t size, struct vminspect_swap *area)
{
	if (type > UINT16_MAX)
		return -ENOENT;
	*area = (struct vminspect_swap) {
		.size = sizeof(*area),
		.flags = flags,
		.path = (uintptr_t)path,
		.path_size = size < PATH_MAX ? size : PATH_MAX,
		.type = type,
	};
	return vminspect_device_ioctl(dev, VMINSPECT_IOC_SWAP, area);
}
