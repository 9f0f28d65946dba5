// SPDX-License-Identifier: GPL-2.0
/*
 * Load and unload, nothing else.
 */
#include <linux/module.h>

#include "chardev.h"
#include "debugfs.h"
#include "event.h"
#include "probe.h"
#include "swap.h"
#include "target.h"

static uint mode = 0600;
module_param(mode, uint, 0444);
MODULE_PARM_DESC(mode, "permissions of /dev/vminspect, default 0600");

static int __init vmi_init(void)
{
	int ret;

	if (mode & ~0777) {
		pr_err("vminspect: mode=0%o is no file mode: use 0600 to 0666\n", mode);
		return -EINVAL;
	}
	/* Tables hold frames of the machine there, and the walk reads words as they stand. */
	if (cpu_feature_enabled(X86_FEATURE_XENPV)) {
		pr_err("vminspect: a paravirtual guest of Xen is not supported\n");
		return -EOPNOTSUPP;
	}
	ret = vmi_target_init();
	if (ret) {
		pr_err("vminspect: can't open /proc/self/pagemap (%d): mount /proc first\n",
		       ret);
		return ret;
	}
	/* Where memory was too short to find out what the kernel has, nothing is known to lack. */
	ret = vmi_swap_init();
	if (ret)
		return ret;
	vmi_event_init();
	ret = vmi_probe_init();
	if (ret)
		goto err_probe_exit;
	ret = vmi_chardev_init(mode);
	if (ret)
		goto err_probe_exit;
	/* Last, since a load can't fail any more once somebody has a file of it open. */
	vmi_debugfs_init();
	vmi_probe_ready();
	return 0;

err_probe_exit:
	vmi_probe_exit();
	vmi_swap_exit();
	return ret;
}

static void __exit vmi_exit(void)
{
	vmi_chardev_exit();
	vmi_debugfs_exit();
	vmi_probe_exit();
	vmi_swap_exit();
}

module_init(vmi_init);
module_exit(vmi_exit);

MODULE_DESCRIPTION("shows what stands behind virtual addresses");
MODULE_LICENSE("GPL");
MODULE_VERSION(VMI_VERSION);
