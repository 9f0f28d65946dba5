/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_PAGING_H
#define VMI_PAGING_H

#include <linux/types.h>
#include <uapi/vminspect.h>

/**
 * struct vmi_paging - how a processor reads its tables, by its registers
 * @c_bit: the bit of an entry that says its page is encrypted, as a mask; 0: none
 * @mode: VMINSPECT_MODE_*
 * @levels: how many there are
 * @pa_bits: width of a physical address
 * @huge: does 32-bit paging have pages of 4 MiB?
 * @nx: is there a bit against execution?
 */
struct vmi_paging {
	u64 c_bit;
	u8 mode;
	u8 levels;
	u8 pa_bits;
	bool huge;
	bool nx;
};

void vmi_paging_init(struct vmi_paging *paging, u64 cr0, u64 cr4, u64 efer,
		     unsigned int pa_bits);
unsigned int vmi_paging_va_bits(const struct vmi_paging *paging);
u64 vmi_paging_extend(const struct vmi_paging *paging, u64 bits);
bool vmi_paging_canonical(const struct vmi_paging *paging, u64 va);
bool vmi_paging_is_cr3(const struct vmi_paging *paging, u64 cr3);
u64 vmi_paging_root(const struct vmi_paging *paging, u64 cr3);
unsigned int vmi_paging_entry_size(const struct vmi_paging *paging);
unsigned int vmi_paging_table_size(const struct vmi_paging *paging, unsigned int level);
u64 vmi_paging_entry(const struct vmi_paging *paging, const void *table, unsigned int index);
bool vmi_paging_same(u64 a, u64 b);
unsigned int vmi_paging_shift(const struct vmi_paging *paging, unsigned int level);
unsigned int vmi_paging_index(const struct vmi_paging *paging, unsigned int level, u64 va);
bool vmi_paging_leaf(const struct vmi_paging *paging, unsigned int level, u64 raw);
bool vmi_paging_reserved(const struct vmi_paging *paging, unsigned int level, u64 raw);
u64 vmi_paging_frame(const struct vmi_paging *paging, unsigned int level, u64 raw);
u32 vmi_paging_flags(const struct vmi_paging *paging, unsigned int level, u64 raw);
u32 vmi_paging_rights(const struct vmi_paging *paging, unsigned int level, u32 above, u32 flags);

bool vmi_paging_nested_present(unsigned int nested, u64 raw);
bool vmi_paging_nested_leaf(unsigned int level, u64 raw);
u32 vmi_paging_nested_flags(unsigned int nested, unsigned int level, u64 raw);

#endif /* VMI_PAGING_H */
