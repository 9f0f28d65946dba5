// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: the contract of a descriptor to inspect a guest with. Bad descriptors, sizes, flags,
 * reserved members, vCPUs and slots that there are not; who may have one; what it keeps. The VM is
 * made here and never runs: what a guest's memory holds is for ./chain.sh.
 * machines: kvm
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "kselftest_harness.h"

#define GPA	0x100000ULL

static int call(int fd, unsigned long command, void *argument)
{
	int ret = ioctl(fd, command, argument);

	return ret < 0 ? -errno : ret;
}

/* One slot, one vCPU. */
FIXTURE(guest)
{
	int device;
	int vm;
	int vcpu;
	char *memory;
	struct vminspect_guest argument;
	int fd;
};

FIXTURE_SETUP(guest)
{
	struct kvm_userspace_memory_region slot = {
		.slot = 5, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = GPA,
		.memory_size = 2 * SZ_4K,
	};
	int kvm;

	ASSERT_EQ(0, system("modprobe kvm-amd"));
	kvm = open("/dev/kvm", O_RDWR);
	ASSERT_GE(kvm, 0);
	self->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ASSERT_GE(self->vm, 0);
	close(kvm);
	self->vcpu = ioctl(self->vm, KVM_CREATE_VCPU, 3);
	ASSERT_GE(self->vcpu, 0);
	self->memory = mmap(NULL, 2 * SZ_4K, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	slot.userspace_addr = (uintptr_t)self->memory;
	ASSERT_EQ(0, ioctl(self->vm, KVM_SET_USER_MEMORY_REGION, &slot));
	self->device = device_open();
	ASSERT_GE(self->device, 0);
	self->argument = (struct vminspect_guest) {
		.size = sizeof(self->argument), .vm_fd = self->vm, .mem_fd = -1,
	};
	self->fd = call(self->device, VMINSPECT_IOC_GUEST, &self->argument);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(guest)
{
	close(self->fd);
	close(self->device);
	close(self->vcpu);
	close(self->vm);
	munmap(self->memory, 2 * SZ_4K);
}

TEST_F(guest, says_what_there_is)
{
	EXPECT_EQ(1, self->argument.nr_vcpus);
	EXPECT_EQ(2, self->argument.nr_address_spaces);
	EXPECT_EQ(0, self->argument.hidden);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

TEST_F(guest, is_made_of_a_vm_alone)
{
	struct vminspect_guest argument = self->argument;

	argument.vm_fd = self->vcpu;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	argument.vm_fd = self->fd;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	argument.vm_fd = open("/dev/kvm", O_RDWR);
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	close(argument.vm_fd);
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	argument.vm_fd = open(".", O_PATH);
	EXPECT_EQ(-EBADF, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	close(argument.vm_fd);
}

TEST_F(guest, takes_the_memory_of_its_vmm_alone)
{
	struct vminspect_guest argument = self->argument;
	char path[32];
	int pid, fd;

	argument.mem_fd = open("/proc/self/mem", O_RDONLY);
	fd = call(self->device, VMINSPECT_IOC_GUEST, &argument);
	EXPECT_GE(fd, 0);
	close(fd);
	close(argument.mem_fd);
	argument.mem_fd = self->vm;
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	argument.mem_fd = open("/proc/self/pagemap", O_RDONLY);
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	close(argument.mem_fd);

	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	argument.mem_fd = open(path, O_RDONLY);
	ASSERT_GE(argument.mem_fd, 0);
	EXPECT_EQ(-EINVAL, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	close(argument.mem_fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As somebody else, with a descriptor of the VM that was handed over. Return: what came of it. */
static int open_as_user(struct __test_metadata *_metadata, struct vminspect_guest *argument)
{
	int status, pid = fork();

	if (!pid) {
		int device, ret;

		if (setgid(1000) || setuid(1000))
			_exit(255);
		device = device_open();
		ret = device < 0 ? device : call(device, VMINSPECT_IOC_GUEST, argument);
		_exit(ret < 0 ? -ret : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

TEST_F(guest, a_vm_alone_gives_nothing_to_who_lacks_the_capability)
{
	struct vminspect_guest argument = self->argument;

	ASSERT_EQ(0, system("chmod 666 /dev/vminspect"));
	EXPECT_EQ(-EPERM, open_as_user(_metadata, &argument));
	/* with the right to look into its memory it is another matter */
	argument.mem_fd = open("/proc/self/mem", O_RDONLY);
	EXPECT_EQ(0, open_as_user(_metadata, &argument));
	close(argument.mem_fd);
	ASSERT_EQ(0, system("chmod 600 /dev/vminspect"));
}

TEST_F(guest, finds_slots)
{
	struct vminspect_guest_slot slot = { .size = sizeof(slot) };

	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	EXPECT_EQ(GPA, slot.gpa);
	EXPECT_EQ(2 * SZ_4K, slot.bytes);
	EXPECT_EQ((uintptr_t)self->memory, slot.hva);
	EXPECT_EQ(5, slot.slot);
	EXPECT_EQ(VMINSPECT_SLOT_LOG_DIRTY, slot.slot_flags);
	slot.gpa = GPA + 2 * SZ_4K - 1;
	EXPECT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	EXPECT_EQ(GPA, slot.gpa);
	slot.gpa = GPA + 2 * SZ_4K;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	slot.gpa = UINT64_MAX;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	slot.gpa = 0;
	slot.address_space = 1;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	slot.address_space = 2;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	slot.address_space = UINT32_MAX;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
}

TEST_F(guest, knows_vcpus_by_the_number_that_the_vmm_gave)
{
	struct vminspect_guest_vcpu vcpu = { .size = sizeof(vcpu), .vcpu = 3 };

	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
	EXPECT_EQ(VMINSPECT_MODE_NONE, vcpu.mode);
	EXPECT_EQ(VMINSPECT_VCPU_NEVER_RAN, vcpu.vcpu_flags);
	EXPECT_EQ(VMINSPECT_REGISTERS_CURRENT, vcpu.registers);
	vcpu.vcpu = 0;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
	vcpu.vcpu = UINT32_MAX;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
}

TEST_F(guest, walks_to_memory_and_to_none)
{
	struct vminspect_guest_walk walk = {
		.size = sizeof(walk), .flags = VMINSPECT_GUEST_GPA, .vcpu = 3,
		.address = GPA + 0x123,
	};

	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	EXPECT_EQ(VMINSPECT_MISSING_HOST, walk.missing);
	EXPECT_EQ(VMINSPECT_STATE_NONE, walk.entry.state);
	EXPECT_EQ((uintptr_t)self->memory + 0x123, walk.hva);
	*(volatile char *)self->memory = 1;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	EXPECT_EQ(VMINSPECT_MISSING_NOTHING, walk.missing);
	EXPECT_EQ(0, walk.nr_nested);
	walk.address = UINT64_MAX;
	ASSERT_EQ(0, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	EXPECT_EQ(VMINSPECT_MISSING_SLOT, walk.missing);
	walk.flags = 0;
	EXPECT_EQ(-ENODATA, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	walk.vcpu = 0;
	EXPECT_EQ(-ENOENT, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
}

TEST_F(guest, refuses_flags_and_reserved_members)
{
	struct vminspect_guest_slot slot = { .size = sizeof(slot), .flags = 1 };
	struct vminspect_guest_vcpu vcpu = { .size = sizeof(vcpu), .vcpu = 3 };
	struct vminspect_guest_walk walk = { .size = sizeof(walk), .vcpu = 3 };

	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	slot.flags = 0;
	slot.reserved = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_SLOT, &slot));
	vcpu.reserved[6] = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_VCPU, &vcpu));
	walk.flags = VMINSPECT_GUEST_MODE << 1;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	walk.flags = VMINSPECT_GUEST_GPA;
	walk.reserved[5] = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, VMINSPECT_IOC_GUEST_WALK, &walk));
}

TEST_F(guest, refuses_sizes_and_pointers_as_the_rules_have_it)
{
	static const struct {
		unsigned long command;
		uint32_t size;
	} commands[] = {
		{ VMINSPECT_IOC_GUEST_SLOT, sizeof(struct vminspect_guest_slot) },
		{ VMINSPECT_IOC_GUEST_VCPU, sizeof(struct vminspect_guest_vcpu) },
		{ VMINSPECT_IOC_GUEST_WALK, sizeof(struct vminspect_guest_walk) },
		{ VMINSPECT_IOC_GUEST_SCAN, sizeof(struct vminspect_guest_scan) },
	};
	uint32_t argument[2048] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		argument[0] = commands[i].size - 1;
		EXPECT_EQ(-EINVAL, call(self->fd, commands[i].command, argument));
		argument[0] = commands[i].size + 4;
		argument[commands[i].size / 4] = 1;
		EXPECT_EQ(-E2BIG, call(self->fd, commands[i].command, argument));
		argument[commands[i].size / 4] = 0;
		argument[0] = 4097;
		EXPECT_EQ(-E2BIG, call(self->fd, commands[i].command, argument));
		EXPECT_EQ(-EFAULT, call(self->fd, commands[i].command, NULL));
	}
	EXPECT_EQ(-ENOTTY, call(self->fd, VMINSPECT_IOC_INFO, argument));
	EXPECT_EQ(-ENOTTY, call(self->fd, _IO(VMINSPECT_IOC_TYPE, 0x54), argument));
	EXPECT_EQ(-ENOTTY, call(self->device, VMINSPECT_IOC_GUEST_SLOT, argument));
}

/* A VMM that is gone leaves the VM to whoever holds it, but no memory. */
TEST_F(guest, says_that_the_vmm_is_gone)
{
	struct vminspect_guest_walk walk = {
		.size = sizeof(walk), .flags = VMINSPECT_GUEST_GPA, .address = GPA,
	};
	struct vminspect_guest argument = { .size = sizeof(argument), .mem_fd = -1 };
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = GPA, .memory_size = SZ_4K,
	};
	int pipes[2], pid, killer, pidfd, vm, fd, ret;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		void *memory = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		int child = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, 0);

		slot.userspace_addr = (uintptr_t)memory;
		ioctl(child, KVM_SET_USER_MEMORY_REGION, &slot);
		ioctl(child, KVM_CREATE_VCPU, 0);
		if (write(pipes[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		pause();
		_exit(0);
	}
	ASSERT_EQ(sizeof(vm), read(pipes[0], &vm, sizeof(vm)));
	pidfd = syscall(434, pid, 0);
	argument.vm_fd = syscall(438, pidfd, vm, 0);
	ASSERT_GE(argument.vm_fd, 0);
	fd = call(self->device, VMINSPECT_IOC_GUEST, &argument);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, call(fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	/* while it is looked at */
	killer = fork();
	if (!killer) {
		usleep(50000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	do
		ret = call(fd, VMINSPECT_IOC_GUEST_WALK, &walk);
	while (!ret && walk.missing == VMINSPECT_MISSING_HOST);
	EXPECT_EQ(-ESRCH, ret);
	waitpid(killer, NULL, 0);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(-ESRCH, call(fd, VMINSPECT_IOC_GUEST_WALK, &walk));
	EXPECT_EQ(-ESRCH, call(self->device, VMINSPECT_IOC_GUEST, &argument));
	close(fd);
	close(argument.vm_fd);
	close(pidfd);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(guest, keeps_module_and_kvm_while_it_is_open)
{
	EXPECT_NE(0, system("rmmod vminspect 2>/dev/null"));
	close(self->device);
	close(self->vcpu);
	close(self->vm);
	EXPECT_NE(0, system("rmmod kvm-amd 2>/dev/null"));
	close(self->fd);
	EXPECT_EQ(0, system("rmmod kvm-amd"));
	EXPECT_EQ(0, system("modprobe kvm-amd"));
	EXPECT_EQ(0, system("rmmod vminspect && modprobe vminspect"));
	self->fd = -1;
	self->vm = -1;
	self->vcpu = -1;
	self->device = -1;
}

#define MANY_PROCESSES	1500
#define MANY_FILES	(1U << 20)

static int wait_for_ever(void *arg)
{
	(void)arg;
	while (pause())		/* -1, when a signal was handled */
		;
	return 0;
}

static void read_the_list(int fd)
{
	static char text[4096];

	while (read(fd, text, sizeof(text)) > 0)
		;
}

/*
 * However many descriptors there are to be looked at, the kernel does other things in between, or
 * its watchdog would bark; and who does not want to wait for the end may be killed.
 */
TEST_F_TIMEOUT(guest, list_of_a_machine_with_many_descriptors, 300)
{
	const struct rlimit files = { MANY_FILES, MANY_FILES };
	const struct rlimit processes = { RLIM_INFINITY, RLIM_INFINITY };
	static pid_t pids[MANY_PROCESSES];
	static char stack[65536];
	struct timespec begin, end;
	struct rusage used;
	pid_t reader;
	int list, i;

	list = open("/sys/kernel/debug/vminspect/guests", O_RDONLY);
	ASSERT_LE(0, list);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &processes));
	close(self->vm);	/* nobody has one that would be found before the end */
	self->vm = -1;
	ASSERT_EQ((int)MANY_FILES - 1, dup2(self->device, MANY_FILES - 1));
	for (i = 0; i < MANY_PROCESSES; i++) {
		pids[i] = clone(wait_for_ever, stack + sizeof(stack) - 64,
				CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
		ASSERT_LT(0, pids[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	reader = fork();
	if (!reader) {
		read_the_list(list);
		_exit(0);
	}
	usleep(200000);
	EXPECT_EQ(0, waitpid(reader, NULL, WNOHANG));	/* still at it */
	kill(reader, SIGKILL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	EXPECT_EQ(reader, wait4(reader, NULL, 0, &used));
	/* All of it takes much longer, and not just by the clock. */
	EXPECT_GE(end.tv_sec - begin.tv_sec + 4 * time_scale(), used.ru_stime.tv_sec);
	close(list);
	for (i = 0; i < MANY_PROCESSES; i++)
		process_end(pids[i]);
}

TEST_HARNESS_MAIN
