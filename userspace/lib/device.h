/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DEVICE_H
#define DEVICE_H

#include <linux/types.h>

struct vminspect {
	int fd;
	__u32 hidden;
};

/* ioctl(2) with the error as the return value. Of the library's own: not exported. */
__attribute__((visibility("hidden")))
int vminspect_device_ioctl(const struct vminspect *dev, unsigned long command, void *arg);

#endif
