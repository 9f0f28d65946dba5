// SPDX-License-Identifier: GPL-2.0
/*
 * Single addresses: many at once, or one with every level.
 */
#include <errno.h>
#include <stdint.h>

#include "device.h"
#include "vminspect.h"

int vminspect_translate(struct vminspect *dev, const __u64 *addresses, __u32 nr,
			__u64 return_mask, struct vminspect_entry *entries)
{
	struct vminspect_translate call;
	__u32 done;
	int ret = 0;

	/* A signal can end a call early. */
	for (done = 0; done < nr; done += call.nr_done) {
		call = (struct vminspect_translate) {
			.size = sizeof(call),
			.addresses = (uintptr_t)(addresses + done),
			.entries = (uintptr_t)(entries + done),
			.nr = nr - done,
			.entry_size = sizeof(entries[0]),
			.return_mask = return_mask,
		};
		ret = vminspect_device_ioctl(dev, VMINSPECT_IOC_TRANSLATE, &call);
		if (!ret && (!call.nr_done || call.nr_done > nr - done))
			ret = -EIO;
		if (ret)
			break;
	}
	return done ? (int)done : ret;
}

int vminspect_walk(struct vminspect *dev, __u64 va, __u64 return_mask,
		   struct vminspect_walk *walk)
{
	int ret;

	*walk = (struct vminspect_walk) {
		.size = sizeof(*walk),
		.va = va,
		.return_mask = return_mask,
	};
	ret = vminspect_device_ioctl(dev, VMINSPECT_IOC_WALK, walk);
	if (!ret && walk->nr_levels > VMINSPECT_MAX_LEVELS)
		ret = -EIO;
	return ret;
}
