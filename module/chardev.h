/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_CHARDEV_H
#define VMI_CHARDEV_H

#include <uapi/vminspect.h>

/* Not THIS_MODULE->version, which is NULL where the kernel had no memory for it. */
#define VMI_VERSION	"0.1.0"

int vmi_chardev_init(unsigned int mode);
void vmi_chardev_exit(void);
void vmi_chardev_offer(u64 features);
void vmi_chardev_info(struct vminspect_info *info);

#endif /* VMI_CHARDEV_H */
