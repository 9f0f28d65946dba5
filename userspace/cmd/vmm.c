// SPDX-License-Identifier: GPL-2.0
/*
 * A process that runs guests of KVM, and the descriptors of its VMs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
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

static int compare_fds(const void *left, const void *right)
{
	return *(const int *)left - *(const int *)right;
}

/* Whether two descriptors of a process are one open file. */
static bool is_same_file(pid_t pid, int fd, int other)
{
	return !syscall(SYS_kcmp, pid, pid, KCMP_FILE, fd, other);
}

static int drop_duplicates(pid_t pid, int *vms, int nr)
{
	int kept = 0;

	for (int i = 0; i < nr; i++) {
		int j = 0;

		while (j < kept && !is_same_file(pid, vms[j], vms[i]))
			j++;
		if (j == kept)
			vms[kept++] = vms[i];
	}
	return kept;
}

int process_vms(const struct process *process, int **vms)
{
	int fd = process_open_file(process, "fd");
	struct dirent *entry;
	DIR *directory;
	int nr = 0;

	*vms = NULL;
	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(directory))) {
		if (!is_vm(fd, entry->d_name))
			continue;
		*vms = reallocarray(*vms, nr + 1, sizeof(**vms));
		if (!*vms)
			die_of_memory();
		(*vms)[nr++] = atoi(entry->d_name);
	}
	closedir(directory);
	if (nr)
		qsort(*vms, nr, sizeof(**vms), compare_fds);
	return drop_duplicates(process->pid, *vms, nr);
}

/* Of the process whose directory is open, and not of one that has its pid by now. */
static int process_get_fd(const struct process *process, int number)
{
	int pidfd, fd;

	pidfd = syscall(SYS_pidfd_open, process->pid, 0);
	if (pidfd < 0)
		return -errno;
	/* if it is still there its pid was its own all the time */
	if (process_kind(process) == PROCESS_GONE) {
		close(pidfd);
		return -ESRCH;
	}
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
	mem = process_open_file(process, "mem");
	/* who may not open it needs the capability */
	if (mem == -EACCES || mem == -EPERM)
		guest = vminspect_guest(device, vm, -1, info);
	else
		guest = mem < 0 ? mem : vminspect_guest(device, vm, mem, info);
	if (mem >= 0)
		close(mem);
	close(vm);
	return guest;
}

int vm_next_slot(int guest, unsigned int nr, unsigned int *as, __u64 *gpa,
		 struct vminspect_guest_slot *slot)
{
	int ret;

	for (; *as < nr; (*as)++, *gpa = 0) {
		ret = vminspect_guest_slot(guest, *as, *gpa, slot);
		if (!ret) {
			*gpa = slot->gpa + slot->bytes;
			return 1;
		}
		if (ret != -ENOENT)
			return ret;
	}
	return 0;
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
	const char *name = vmm->target.name;
	int *vms, nr, chosen = -1;

	nr = process_vms(&vmm->target.process, &vms);
	if (nr < 0)
		fail_doing(DOING_TARGET, nr, name, "");
	else if (!nr)
		fail_no_vm(name);
	else if (nr > 1)
		fail("process %s has several VMs: choose one with --vm, see 'vminspect guest list'",
		     name);
	else
		chosen = vms[0];
	free(vms);
	return chosen;
}

int vmm_fail_open(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return fail("the kernel's KVM is not what the module was built for: rebuild it");
	case -ENOTTY:
		return fail("guests take a newer module: install one version of both");
	default:
		return fail("some guests can't be read: %s", strerror(-error));
	}
}

static int fail_open(const struct vmm *vmm, int error)
{
	switch (error) {
	case -EINVAL:
	case -EBADF:
		return fail("descriptor %d of process %s is no VM of its own: see guest list",
			    vmm->vm_fd, vmm->target.name);
	case -EOPNOTSUPP:
	case -ENOTTY:
		return vmm_fail_open(error);
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
	case -ESTALE:
		return fail("vCPU %u of %s is in another mode (paging, SMM) by now: try again",
			    vcpu, name);
	case -ELOOP:
		return fail("the guest of %s has tables that lead to each other: this is not all",
			    name);
	case -EAGAIN:
		return fail("tables of the guest of %s were moved all the time: try again", name);
	default:
		return fail_doing(DOING_TARGET, error, name, "");
	}
}
