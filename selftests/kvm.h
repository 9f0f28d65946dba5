/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of guests: the smallest one, in 64-bit mode, which has run and halted. Its memory is
 * one slot that begins at 0.
 */
#ifndef SELFTESTS_KVM_H
#define SELFTESTS_KVM_H

#include <stdint.h>

#define KVM_ROOT	0x1000ULL	/* a table for each level, one after the other */
#define KVM_PT		0x4000ULL	/* the last of them: maps KVM_CODE as itself, no more */
#define KVM_CODE	0x5000ULL
#define KVM_MEMORY	0x40000ULL

struct kvm_guest {
	int vm;
	int vcpu;
	char *memory;
};

int kvm_guest_make(struct kvm_guest *guest);	/* 0 or -errno: ENODEV, no KVM here */
void kvm_guest_drop(const struct kvm_guest *guest);

#endif /* SELFTESTS_KVM_H */
