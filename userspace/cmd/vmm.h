/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process that runs guests of KVM, and the descriptors of its VMs.
 */
#ifndef VMM_H
#define VMM_H

#include "target.h"
#include "vminspect.h"

/* A guest that is looked at. */
struct vmm {
	struct target target;		/* the process */
	int vm_fd;			/* its number of the VM's descriptor */
	int guest;			/* ours, to inspect it with */
	struct vminspect_guest info;
};

/*
 * The descriptors of the VMs of a process, in order, in an array to be freed; of several for one VM
 * the first. Return: how many, or -errno.
 */
int process_vms(const struct process *process, int **vms);

/*
 * Opens one of a process's VMs by the number of its descriptor. @info is filled in.
 * Return: a descriptor to inspect it with, or -errno.
 */
int process_open_vm(const struct process *process, int vm_fd, struct vminspect *device,
		    struct vminspect_guest *info);

/*
 * The next slot from a place on, which is moved on. @nr: of address spaces. Return: 1, 0 after the
 * last one, or -errno.
 */
int vm_next_slot(int guest, unsigned int nr, unsigned int *as, __u64 *gpa,
		 struct vminspect_guest_slot *slot);

/* @vm_fd: -1: the only one. Return: 0, EXIT_FAILED or EXIT_USAGE, after a message. */
int vmm_open(struct vmm *vmm, const char *name, int vm_fd);
void vmm_close(struct vmm *vmm);

/* The message for an error that came when its guest was read. Return: EXIT_FAILED. */
int vmm_fail(const struct vmm *vmm, int error, unsigned int vcpu);

/* The message for an error that has nothing to do with which guest it is. Return: EXIT_FAILED. */
int vmm_fail_open(int error);

/* Whether KVM is loaded, or there can be no guest at all. */
bool kvm_is_there(void);

#endif
