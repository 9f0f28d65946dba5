/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_TARGET_H
#define VMI_TARGET_H

#include <linux/fs.h>
#include <linux/mm_types.h>
#include <linux/types.h>

/**
 * struct vmi_target - a bound address space and what may be seen of it
 * @mm: the address space; its mm_count is held, its mm_users is not: the target
 *	exits and gives back its memory as if nobody looked
 * @hidden: mask of VMINSPECT_HIDDEN_*: what the openers' capabilities say, for good.
 *	See vmi_target_hidden()
 */
struct vmi_target {
	struct mm_struct *mm;
	u32 hidden;
};

int vmi_target_init(void);
u32 vmi_target_file_hidden(struct file *file);
u32 vmi_target_hidden(const struct vmi_target *target);
struct vmi_target *vmi_target_bind(struct file *opened, struct file *pagemap);
struct vmi_target *vmi_target_open(struct file *opened, const char *pid);
int vmi_target_grab(struct vmi_target *target, struct mm_struct *mm, struct file *opened,
		    struct file *mem);
void vmi_target_drop(struct vmi_target *target);
void vmi_target_free(struct vmi_target *target);
bool vmi_target_give_way(const struct vmi_target *target, u64 patience_ns);
int vmi_target_lock(struct vmi_target *target);
int vmi_target_trylock(struct vmi_target *target);
void vmi_target_unlock(struct vmi_target *target);

#endif /* VMI_TARGET_H */
