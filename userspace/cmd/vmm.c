// SPDX-License-Identifier: GPL-2.0
/*
 * A process that runs guests of KVM, and the descriptors of its VMs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "vmm.h"

bool kvm_is_there(void)
{
	return !access("/sys/module/kvm", F_OK);
}

static bool is_vm(int directory, const char *name)
{
	static const char vm[] = "anon_inode:kvm-vm";
	char link[sizeof(vm) + 1];
	ssize_t length = readlinkat(directory, name, link, sizeof(link));

	return length == sizeof(vm) - 1 && !memcmp(link, vm, length);
}

int process_next_vm(const struct process *process, int from)
{
	int fd = openat(process->directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int found = INT_MAX;
	struct dirent *entry;
	DIR *directory;

	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(directory))) {
		int number = atoi(entry->d_name);

		if (number >= from && number < found && entry->d_name[0] != '.' &&
		    is_vm(fd, entry->d_name))
			found = number;
	}
	closedir(directory);
	return found == INT_MAX ? -ENOENT : found;
}

/* The directory in /proc has been open since before: its pid can't have become another's. */
static int process_get_fd(const struct process *process, int number)
{
	int pidfd, fd;

	pidfd = syscall(SYS_pidfd_open, process->pid, 0);
	if (pidfd < 0)
		return -errno;
	fd = syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		fd = -errno;
	close(pidfd);
	return fd;
}

int process_open_vm(const struct process *process, int vm_fd, struct vminspect *device,
		    struct vminspect_guest *info)
{
	int vm, mem, guest;

	vm = process_get_fd(process, vm_fd);
	if (vm < 0)
		return vm;
	/* who may not open it needs the capability */
	mem = process_open_file(process, "mem");
	guest = vminspect_guest(device, vm, mem < 0 ? -1 : mem, info);
	if (mem >= 0)
		close(mem);
	close(vm);
	return guest;
}

static int fail_no_vm(const char *name)
{
	if (!kvm_is_there())
		return fail("KVM is not loaded here (modprobe kvm-amd or kvm-intel): no guests");
	return fail("process %s runs no guest of KVM: see 'vminspect guest list'", name);
}

/* Return: the number of the descriptor, or -1 after a message. */
static int choose_vm(const struct vmm *vmm)
{
	int first = process_next_vm(&vmm->target.process, 0);

	if (first == -ENOENT) {
		fail_no_vm(vmm->target.name);
		return -1;
	}
	if (first < 0) {
		fail_doing(DOING_TARGET, first, vmm->target.name, "");
		return -1;
	}
	if (process_next_vm(&vmm->target.process, first + 1) >= 0) {
		fail("process %s has several VMs: choose one with --vm, see 'vminspect guest list'",
		     vmm->target.name);
		return -1;
	}
	return first;
}

static int fail_open(const struct vmm *vmm, int error)
{
	switch (error) {
	case -EINVAL:
	case -EBADF:
		return fail("descriptor %d of process %s is no VM: see 'vminspect guest list'",
			    vmm->vm_fd, vmm->target.name);
	case -EOPNOTSUPP:
		return fail("the kernel's KVM is not what the module was built for: rebuild it");
	case -ENOTTY:
		return fail("guests take a newer module: install one version of both");
	default:
		return fail_doing(DOING_TARGET, error, vmm->target.name, "");
	}
}

int vmm_open(struct vmm *vmm, const char *name, int vm_fd)
{
	int ret;

	ret = target_open(&vmm->target, name);
	if (ret)
		return ret;
	vmm->vm_fd = vm_fd >= 0 ? vm_fd : choose_vm(vmm);
	if (vmm->vm_fd < 0) {
		ret = EXIT_FAILED;
		goto err_close;
	}
	vmm->guest = process_open_vm(&vmm->target.process, vmm->vm_fd, vmm->target.device,
				     &vmm->info);
	if (vmm->guest < 0) {
		ret = fail_open(vmm, vmm->guest);
		goto err_close;
	}
	if (!vmm->target.hidden)
		vmm->target.hidden = hidden_reason(vmm->info.hidden);
	return 0;

err_close:
	target_close(&vmm->target);
	return ret;
}

void vmm_close(struct vmm *vmm)
{
	close(vmm->guest);
	target_close(&vmm->target);
}

int vmm_fail(const struct vmm *vmm, int error, unsigned int vcpu)
{
	const char *name = vmm->target.name;

	switch (error) {
	case -ENOENT:
		return fail("the guest of %s has no vCPU %u: it has %u", name, vcpu,
			    vmm->info.nr_vcpus);
	case -ENODATA:
		return fail("vCPU %u of %s has not run yet, so that it has no address space", vcpu,
			    name);
	case -EBUSY:
		return fail("vCPU %u of %s runs a guest of its own: its tables are that one's",
			    vcpu, name);
	case -ENOKEY:
		return fail("the memory of the guest of %s is encrypted: its tables can't be read",
			    name);
	case -EOPNOTSUPP:
		return fail("the guest of %s has memory that its VMM does not map (guest_memfd)",
			    name);
	case -EIO:
		return fail("a table of the guest of %s is in memory that the host can't read",
			    name);
	case -EAGAIN:
		return fail("tables of the guest of %s were moved all the time: try again", name);
	default:
		return fail_doing(DOING_TARGET, error, name, "");
	}
}
