// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"
#include "kvm.h"

#define PRESENT		0x001ULL
#define WRITE		0x002ULL
#define USER		0x004ULL

static struct kvm_segment segment(unsigned int type)
{
	return (struct kvm_segment) {
		.limit = UINT32_MAX, .selector = 8, .type = type, .present = 1, .s = 1, .g = 1,
		.l = type == 11, .db = type != 11,
	};
}

static int run_to_halt(int kvm, int vcpu)
{
	struct kvm_regs regs = { .rip = KVM_CODE, .rflags = 2 };
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), ret;
	struct kvm_sregs sregs;
	struct kvm_run *run;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = segment(11);
	sregs.ds = segment(3);
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.tr.type = 11;
	sregs.cr0 = 0x80000011;
	sregs.cr3 = KVM_ROOT;
	sregs.cr4 = 0x20;
	sregs.efer = 0xd00;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return -errno;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return -errno;
	ret = ioctl(vcpu, KVM_RUN, 0) ? -errno : 0;
	if (!ret && run->exit_reason != KVM_EXIT_HLT)
		ret = -EPROTO;
	munmap(run, size);
	return ret;
}

static int set_cpuid(int kvm, int vcpu)
{
	const int nr = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + nr * sizeof(cpuid->entries[0]));
	int ret;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = nr;
	ret = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) || ioctl(vcpu, KVM_SET_CPUID2, cpuid) ?
		-errno : 0;
	free(cpuid);
	return ret;
}

static void fill(char *memory)
{
	uint64_t at;

	for (at = KVM_ROOT; at < KVM_PT; at += SZ_4K)
		*(uint64_t *)(memory + at) = (at + SZ_4K) | PRESENT | WRITE | USER;
	((uint64_t *)(memory + KVM_PT))[KVM_CODE / SZ_4K] = KVM_CODE | PRESENT;
	memory[KVM_CODE] = 0xf4;	/* hlt */
}

static int make(int kvm, struct kvm_guest *guest)
{
	struct kvm_userspace_memory_region slot = { .memory_size = KVM_MEMORY };
	int ret;

	guest->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (guest->vm < 0)
		return -errno;
	guest->memory = map_small(KVM_MEMORY);
	if (!guest->memory)
		return -ENOMEM;
	fill(guest->memory);
	slot.userspace_addr = (uintptr_t)guest->memory;
	if (ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	if (guest->vcpu < 0)
		return -errno;
	ret = set_cpuid(kvm, guest->vcpu);
	return ret ? ret : run_to_halt(kvm, guest->vcpu);
}

int kvm_guest_make(struct kvm_guest *guest)
{
	int kvm, ret;

	*guest = (struct kvm_guest){ .vm = -1, .vcpu = -1 };
	if (system("modprobe -q kvm-amd"))
		return -ENODEV;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return -ENODEV;
	ret = make(kvm, guest);
	close(kvm);
	if (ret)
		kvm_guest_drop(guest);
	return ret;
}

void kvm_guest_drop(const struct kvm_guest *guest)
{
	if (guest->vcpu >= 0)
		close(guest->vcpu);
	if (guest->vm >= 0)
		close(guest->vm);
	if (guest->memory)
		munmap(guest->memory, KVM_MEMORY);
}
