/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_GUEST_H
#define VMI_GUEST_H

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/kconfig.h>
#include <uapi/vminspect.h>

#include "paging.h"
#include "target.h"

struct dentry;
struct kvm;
struct kvm_vcpu;

/**
 * struct vmi_guest - a guest of KVM that is inspected
 * @vm: the file of the VM, which keeps @kvm
 * @kvm: the VM
 * @target: the address space of its VMM
 */
struct vmi_guest {
	struct file *vm;
	struct kvm *kvm;
	struct vmi_target target;
};

/**
 * struct vmi_guest_view - a guest's memory as one of its vCPUs has it
 * @guest: the guest
 * @vcpu: the vCPU
 * @paging: how it reads its tables
 * @address_space: of guest-physical addresses: 1 in SMM
 * @patience_ns: how long who waits for the VMM's lock is given way to before the next look
 */
struct vmi_guest_view {
	struct vmi_guest *guest;
	struct kvm_vcpu *vcpu;
	struct vmi_paging paging;
	unsigned int address_space;
	u64 patience_ns;
};

/**
 * struct vmi_guest_place - guest-physical memory as the host has it
 * @hva: where in the VMM
 * @entry: what stands there
 */
struct vmi_guest_place {
	u64 hva;
	struct vminspect_entry entry;
};

#if IS_ENABLED(CONFIG_KVM)
int vmi_guest_open(struct file *file, struct vminspect_guest *request, struct file **made);
struct file *vmi_guest_next_vm(pid_t *tgid, unsigned int *fd);
int vmi_guests_debugfs(struct dentry *directory);
#else
static inline int vmi_guest_open(struct file *file, struct vminspect_guest *request,
				 struct file **made)
{
	return -EOPNOTSUPP;
}

static inline int vmi_guests_debugfs(struct dentry *directory)
{
	return 0;
}
#endif

int vmi_guest_slot(struct vmi_guest *guest, struct vminspect_guest_slot *slot);
struct kvm_vcpu *vmi_guest_find_vcpu(struct vmi_guest *guest, u32 id);
void vmi_guest_vcpu(struct kvm_vcpu *vcpu, struct vminspect_guest_vcpu *out);
u64 vmi_guest_c_bit(struct kvm_vcpu *vcpu);
unsigned int vmi_guest_nested(struct vmi_guest *guest, struct kvm_vcpu *vcpu, u64 gpa,
			      struct vminspect_walk_level *levels);
int vmi_guest_view_init(struct vmi_guest_view *view, struct vmi_guest *guest,
			struct vminspect_guest_vcpu *vcpu, u32 flags);
int vmi_guest_find(struct vmi_guest_view *view, u64 gpa, struct vmi_guest_place *place);
int vmi_guest_read(struct vmi_guest_view *view, u64 gpa, struct vmi_guest_place *place,
		   void *to, unsigned int size);
int vmi_guest_walk(struct vmi_guest *guest, struct vminspect_guest_walk *walk);
int vmi_guest_scan(struct vmi_guest *guest, struct vminspect_guest_scan *scan);

#endif /* VMI_GUEST_H */
