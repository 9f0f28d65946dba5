// SPDX-License-Identifier: GPL-2.0
/*
 * The device: open, ask, bind, close.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "vminspect.h"

int vminspect_device_ioctl(const struct vminspect *dev, unsigned long command, void *arg)
{
	return ioctl(dev->fd, command, arg) < 0 ? -errno : 0;
}

static int open_device(struct vminspect *dev, const char *path, struct vminspect_info *info)
{
	int ret;

	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0)
		return -errno;

	info->size = sizeof(*info);
	ret = vminspect_device_ioctl(dev, VMINSPECT_IOC_INFO, info);
	if (!ret && info->abi != VMINSPECT_ABI)
		ret = -EPROTONOSUPPORT;
	if (ret)
		close(dev->fd);
	return ret;
}

int vminspect_open(const char *path, struct vminspect **out, struct vminspect_info *info)
{
	struct vminspect_info answer = {};
	struct vminspect *dev;
	int ret;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;

	ret = open_device(dev, path ? path : VMINSPECT_DEVICE, &answer);
	if (info && (!ret || ret == -EPROTONOSUPPORT))
		*info = answer;
	if (ret) {
		free(dev);
		return ret;
	}
	*out = dev;
	return 0;
}

void vminspect_close(struct vminspect *dev)
{
	if (!dev)
		return;
	close(dev->fd);
	free(dev);
}

int vminspect_bind(struct vminspect *dev, int pagemap_fd)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .fd = pagemap_fd };
	int ret;

	ret = vminspect_device_ioctl(dev, VMINSPECT_IOC_BIND, &bind);
	if (!ret)
		dev->hidden = bind.hidden;
	return ret;
}

__u32 vminspect_hidden(const struct vminspect *dev)
{
	return dev->hidden;
}
