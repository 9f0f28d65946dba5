/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_ARGUMENT_H
#define VMI_ARGUMENT_H

#include <linux/compiler_types.h>
#include <linux/types.h>

int vmi_argument_get(void __user *user, void *argument, size_t first_size, size_t size);

#endif /* VMI_ARGUMENT_H */
