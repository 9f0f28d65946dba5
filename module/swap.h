/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_SWAP_H
#define VMI_SWAP_H

#include <linux/types.h>
#include <uapi/vminspect.h>

/* What is known of a slot. */
enum vmi_swap_slot {
	VMI_SWAP_SLOT_OUT,	/* its page is not in memory */
	VMI_SWAP_SLOT_CACHED,	/* its page is in memory as well */
	VMI_SWAP_SLOT_UNKNOWN,	/* this kernel does not let us know */
	VMI_SWAP_SLOT_STRANGE,	/* of an area that vmi_swap_learn() has not met */
};

int vmi_swap_init(void);
void vmi_swap_exit(void);
u64 vmi_swap_features(void);
int vmi_swap_area(struct vminspect_swap *area, char *path);
int vmi_swap_count_slots(struct vminspect_swap *area);
void vmi_swap_learn(void);
enum vmi_swap_slot vmi_swap_look(unsigned int type, u64 offset);
u8 vmi_swap_source(unsigned int type);
bool vmi_swap_by_file_system(unsigned int type);

#endif /* VMI_SWAP_H */
