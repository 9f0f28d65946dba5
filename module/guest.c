// SPDX-License-Identifier: GPL-2.0
/*
 * A guest of KVM: from the descriptor of its VM to its slots, vCPUs and nested tables.
 *
 * Nothing here is linked against kvm: what is read of its structures is what the kernel's
 * own headers say, and no symbol of it is called. What keeps them in place:
 *
 * - The file of the VM is held, and with it the VM with its vCPUs (kvm_destroy_vm() in
 *   virt/kvm/kvm_main.c is called with the last reference) and the module kvm.
 * - Slots are read in a section of kvm->srcu, as KVM itself reads them.
 * - Nested tables are read under kvm->mmu_lock, held for reading, and in an RCU section:
 *   those of the TDP MMU are freed by RCU, all others under that lock held for writing
 *   (arch/x86/kvm/mmu).
 * - A vCPU's registers are read while it may run, word by word: what they are worth is said.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/kallsyms.h>
#include <linux/kvm_host.h>
#include <linux/magic.h>
#include <linux/mem_encrypt.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "argument.h"
#include "compat.h"
#include "guest.h"
#include "paging.h"

static_assert(sizeof(struct vminspect_guest) == 32);
static_assert(sizeof(struct vminspect_guest_slot) == 48);
static_assert(sizeof(struct vminspect_guest_vcpu) == 64);
static_assert(sizeof(struct vminspect_guest_level) == 168);
static_assert(sizeof(struct vminspect_guest_walk) == 1048);
static_assert(sizeof(struct vminspect_guest_extent) == 40);
static_assert(sizeof(struct vminspect_guest_scan) == 80);

/* Is this the address of a function with that name, kvm's own? */
static bool guest_is_function(const void *address, const char *name)
{
	char found[KSYM_SYMBOL_LEN];

	snprintf(found, sizeof(found), "%ps", address);
	return !strcmp(found, name);
}

/*
 * Files of VMs have no operations that a module could compare with. But only the kernel makes
 * anonymous inodes and gives them names, and the function is kvm's.
 */
static bool guest_is_vm(struct file *file)
{
	return file_inode(file)->i_sb->s_magic == ANON_INODE_FS_MAGIC &&
	       !strcmp(file->f_path.dentry->d_name.name, "kvm-vm") &&
	       file->private_data && file->f_op->release &&
	       (guest_is_function(file->f_op->release, "kvm_vm_release [kvm]") ||
		guest_is_function(file->f_op->release, "kvm_vm_release"));
}

/*
 * Are KVM's structures those that we were built with? What can be told is. Only vCPUs that are
 * online are looked at, here and everywhere: one that is being created may be freed again, one
 * that is online stays as long as the VM.
 */
static bool guest_is_plausible(struct kvm *kvm)
{
	int nr = atomic_read(&kvm->online_vcpus);
	int i;

	if (nr < 0 || nr > KVM_MAX_VCPUS || kvm->created_vcpus < nr || !kvm->mm)
		return false;
	for (i = 0; i < nr; i++) {
		struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, i);

		if (!vcpu || vcpu->kvm != kvm || vcpu->vcpu_idx != i)
			return false;
	}
	return true;
}

static void guest_fill_slot(const struct kvm_memory_slot *from,
			    struct vminspect_guest_slot *to)
{
	to->gpa = from->base_gfn << PAGE_SHIFT;
	to->bytes = (u64)from->npages << PAGE_SHIFT;
	to->hva = from->userspace_addr;
	to->slot = (u16)from->id;
	to->slot_flags = 0;
	if (from->flags & KVM_MEM_LOG_DIRTY_PAGES)
		to->slot_flags |= VMINSPECT_SLOT_LOG_DIRTY;
	if (from->flags & KVM_MEM_READONLY)
		to->slot_flags |= VMINSPECT_SLOT_READONLY;
	if (vmi_compat_slot_is_private(from))
		to->slot_flags |= VMINSPECT_SLOT_PRIVATE;
}

/* The first slot that ends above an address, or NULL; within the section of srcu. */
static const struct kvm_memory_slot *guest_slot_from(struct kvm_memslots *slots, gfn_t gfn)
{
	const struct kvm_memory_slot *slot, *found = NULL;
	struct rb_node *node = slots->gfn_tree.rb_node;

	while (node) {
		slot = container_of(node, struct kvm_memory_slot,
				    gfn_node[slots->node_idx]);
		if (gfn < slot->base_gfn + slot->npages) {
			found = slot;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/**
 * vmi_guest_slot() - a slot of a guest
 * @guest: the guest
 * @slot: in and out: as VMINSPECT_IOC_GUEST_SLOT has it
 *
 * Return: 0, EINVAL or ENOENT, as there
 */
int vmi_guest_slot(struct vmi_guest *guest, struct vminspect_guest_slot *slot)
{
	const struct kvm_memory_slot *found;
	struct kvm *kvm = guest->kvm;
	int index;

	if (slot->address_space >= vmi_compat_address_spaces(kvm))
		return -EINVAL;
	index = srcu_read_lock(&kvm->srcu);
	found = guest_slot_from(srcu_dereference(kvm->memslots[slot->address_space],
						 &kvm->srcu), slot->gpa >> PAGE_SHIFT);
	if (found)
		guest_fill_slot(found, slot);
	srcu_read_unlock(&kvm->srcu, index);
	return found ? 0 : -ENOENT;
}

/**
 * vmi_guest_find_vcpu() - a vCPU by its number
 * @guest: the guest
 * @id: the number
 *
 * Return: the vCPU, which stays as long as the guest is held; NULL: there is none
 */
struct kvm_vcpu *vmi_guest_find_vcpu(struct vmi_guest *guest, u32 id)
{
	int nr = atomic_read(&guest->kvm->online_vcpus);
	int i;

	for (i = 0; i < nr; i++) {
		struct kvm_vcpu *vcpu = kvm_get_vcpu(guest->kvm, i);

		if (vcpu && vcpu->vcpu_id == id)
			return vcpu;
	}
	return NULL;
}

#define ENCRYPTION_LEAF	0x8000001f	/* AMD APM vol. 3, E.4.17 */

/* One that is replaced each time we look at it: not by accident. */
#define CPUID_TRIES	16

/*
 * What memory encryption the guest was told of. KVM_SET_CPUID2 may replace the array meanwhile
 * and free it: reading does not fault then, and what was read counts if it is still in use.
 */
static bool guest_encryption(struct kvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entry)
{
	const struct kvm_cpuid_entry2 *entries;
	unsigned int tries = CPUID_TRIES;
	int i, nr;

	do {
		entries = READ_ONCE(vcpu->arch.cpuid_entries);
		nr = min(READ_ONCE(vcpu->arch.cpuid_nent), KVM_MAX_CPUID_ENTRIES);
		for (i = 0; i < nr; i++) {
			if (copy_from_kernel_nofault(entry, &entries[i], sizeof(*entry)))
				nr = 0;
			else if (entry->function == ENCRYPTION_LEAF)
				break;
		}
	} while (entries != READ_ONCE(vcpu->arch.cpuid_entries) && --tries);
	return i < nr;
}

#define SEV_BIT		BIT(1)
#define C_BIT_MASK	GENMASK(5, 0)

/**
 * vmi_guest_c_bit() - the bit of an entry that says that its page is encrypted
 * @vcpu: the vCPU whose tables are meant
 *
 * That the guest was told of it does not mean that it has encrypted memory: some VMMs pass on
 * what the host's processors can do. It is the bit itself that says so, in CR3 first of all.
 *
 * Return: its mask; 0: there is no such bit
 */
u64 vmi_guest_c_bit(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 entry;

	if (!guest_encryption(vcpu, &entry) || !(entry.eax & SEV_BIT))
		return 0;
	return BIT_ULL(entry.ebx & C_BIT_MASK);
}

/*
 * What translates the guest's own addresses: arch.mmu is another one while the vCPU runs a guest
 * that has a nested table of the guest's making.
 */
static const struct kvm_mmu *guest_mmu(const struct kvm_vcpu *vcpu)
{
	return &vcpu->arch.root_mmu;
}

static u8 guest_nested_kind(const struct kvm_mmu *mmu)
{
	const void *fault = READ_ONCE(mmu->page_fault);

	if (!fault)
		return VMINSPECT_NESTED_NONE;
	if (!guest_is_function(fault, "kvm_tdp_page_fault [kvm]") &&
	    !guest_is_function(fault, "kvm_tdp_page_fault"))
		return VMINSPECT_NESTED_SHADOW;
	return boot_cpu_has(X86_FEATURE_VMX) ? VMINSPECT_NESTED_EPT : VMINSPECT_NESTED_NPT;
}

/*
 * A vCPU that no ioctl of its VMM is about (they hold its mutex, KVM_RUN above all), or that
 * blocks in the kernel after HLT, does not run: nothing is left to be read from the processor.
 * CR3 is read from it after each exit on AMD, on Intel when KVM needs it (vmx_cache_reg()).
 */
static u8 guest_registers(struct kvm_vcpu *vcpu)
{
	if (!vmi_compat_cr3_is_read(vcpu))
		return VMINSPECT_REGISTERS_STALE;
	if (!mutex_is_locked(&vcpu->mutex) || READ_ONCE(vcpu->stat.generic.blocking))
		return VMINSPECT_REGISTERS_CURRENT;
	return VMINSPECT_REGISTERS_LAST_EXIT;
}

/**
 * vmi_guest_vcpu() - what of a vCPU matters to paging
 * @vcpu: the vCPU
 * @out: out: all but size, and vcpu
 */
void vmi_guest_vcpu(struct kvm_vcpu *vcpu, struct vminspect_guest_vcpu *out)
{
	const struct kvm_mmu *mmu = guest_mmu(vcpu);
	u64 root = READ_ONCE(mmu->root.hpa);
	struct vmi_paging paging;
	unsigned int tries = 3;
	u32 state, before;

	/*
	 * Before or after the vCPU entered SMM or a guest of its own, not both. One that does
	 * nothing else is taken as it is: the flag of a guest of its own counts in any case.
	 */
	do {
		before = READ_ONCE(vcpu->arch.hflags);
		out->registers = guest_registers(vcpu);
		out->cr0 = READ_ONCE(vcpu->arch.cr0);
		out->cr3 = READ_ONCE(vcpu->arch.cr3);
		out->cr4 = READ_ONCE(vcpu->arch.cr4);
		out->efer = READ_ONCE(vcpu->arch.efer);
		state = READ_ONCE(vcpu->arch.hflags);
	} while (((state ^ before) & (HF_GUEST_MASK | HF_SMM_MASK)) && --tries);
	out->pa_bits = READ_ONCE(vcpu->arch.maxphyaddr);
	vmi_paging_init(&paging, out->cr0, out->cr4, out->efer, out->pa_bits);
	out->mode = paging.mode;
	out->nested = guest_nested_kind(mmu);
	out->nested_root = VALID_PAGE(root) ? root : 0;
	out->address_space = !!(state & HF_SMM_MASK);
	out->vcpu_flags = 0;
	if ((state | before) & HF_GUEST_MASK)
		out->vcpu_flags |= VMINSPECT_VCPU_NESTED;
	if (vmi_compat_guest_is_protected(vcpu) ||
	    (paging.mode != VMINSPECT_MODE_NONE && (out->cr3 & vmi_guest_c_bit(vcpu))))
		out->vcpu_flags |= VMINSPECT_VCPU_ENCRYPTED;
	if (READ_ONCE(vcpu->arch.last_vmentry_cpu) == -1)
		out->vcpu_flags |= VMINSPECT_VCPU_NEVER_RAN;
}

/* Tables are the kernel's own; that they can be read is not left to trust all the same. */
static bool nested_read(u64 pa, u64 *raw)
{
	return !copy_from_kernel_nofault(raw, __va(pa), sizeof(*raw));
}

/*
 * Bits of an address that the processor has not: it faults on an entry with one of them. KVM
 * marks MMIO so, in entries that are present otherwise (kvm_mmu_reset_all_pte_masks()).
 */
static u64 nested_reserved(void)
{
	unsigned int bits = boot_cpu_data.x86_phys_bits;

	return bits < 52 ? GENMASK_ULL(51, bits) & ~sme_me_mask : 0;
}

static unsigned int nested_walk(const struct kvm_mmu *mmu, unsigned int kind, u64 gpa,
				struct vminspect_walk_level *levels)
{
	const u64 reserved = nested_reserved();
	u64 table = READ_ONCE(mmu->root.hpa);
	int level = mmu->root_role.level;
	unsigned int nr = 0;

	if (!VALID_PAGE(table) || level < 1 || level > VMINSPECT_MAX_LEVELS ||
	    gpa >> (PAGE_SHIFT + 9 * level))
		return 0;
	for (; level >= 1; level--) {
		struct vminspect_walk_level *out = &levels[nr];

		*out = (struct vminspect_walk_level){
			.index = gpa >> (PAGE_SHIFT + 9 * (level - 1)) & 511,
			.level = level,
		};
		out->entry_pa = table + out->index * sizeof(u64);
		if (!nested_read(out->entry_pa, &out->raw))
			break;
		nr++;
		if (!(out->raw & reserved))
			out->flags = vmi_paging_nested_flags(kind, level, out->raw);
		out->leaf = !out->flags || vmi_paging_nested_leaf(level, out->raw);
		if (out->leaf)
			break;
		table = out->raw & PTE_PFN_MASK;
	}
	return nr;
}

/**
 * vmi_guest_nested() - the nested entries for a guest-physical address
 * @guest: the guest
 * @vcpu: one of its vCPUs
 * @gpa: the address
 * @levels: out: room for VMINSPECT_MAX_LEVELS
 *
 * Return: how many there are; 0: no nested table has been set up, or KVM shadows
 */
unsigned int vmi_guest_nested(struct vmi_guest *guest, struct kvm_vcpu *vcpu, u64 gpa,
			      struct vminspect_walk_level *levels)
{
	const struct kvm_mmu *mmu = guest_mmu(vcpu);
	unsigned int kind = guest_nested_kind(mmu);
	unsigned int nr;

	if (kind != VMINSPECT_NESTED_NPT && kind != VMINSPECT_NESTED_EPT)
		return 0;
	read_lock(&guest->kvm->mmu_lock);
	rcu_read_lock();
	nr = nested_walk(mmu, kind, gpa, levels);
	rcu_read_unlock();
	read_unlock(&guest->kvm->mmu_lock);
	return nr;
}

/* Descriptors that are looked at under one hold of their table's lock, which is another's. */
#define GUEST_DESCRIPTORS	256

/* @fd: in and out: as below. Returns false after the last one. */
static bool guest_look_on(struct files_struct *files, unsigned int *fd, struct file **found)
{
	unsigned int end, max;
	struct file *file;

	spin_lock(&files->file_lock);
	max = files_fdtable(files)->max_fds;
	end = min_t(u64, max, (u64)*fd + GUEST_DESCRIPTORS);
	for (; *fd < end; ++*fd) {
		file = files_lookup_fd_locked(files, *fd);
		if (file && guest_is_vm(file)) {
			*found = get_file(file);
			break;
		}
	}
	spin_unlock(&files->file_lock);
	return *fd < max;
}

/*
 * The first VM of a process from a descriptor on, or NULL. The process's lock keeps its table,
 * which it may exchange for another in between. One that is not as KVM's structures have it is
 * passed over.
 */
static struct file *guest_vm_of(struct task_struct *task, unsigned int *fd)
{
	struct file *found = NULL;
	bool more;

	do {
		task_lock(task);
		more = task->files && guest_look_on(task->files, fd, &found);
		task_unlock(task);
		if (found && !guest_is_plausible(found->private_data)) {
			fput(found);
			found = NULL;
			++*fd;
		}
		cond_resched();
	} while (more && !found && !fatal_signal_pending(current));
	return found;
}

/*
 * What has the number @nr, or the next one that there is: as next_tgid() in fs/proc/base.c finds
 * processes, but one number at a time. A process that exits meanwhile has no table any more.
 *
 * @task: out: a reference to the process, or NULL: what has that number is none
 *
 * Return: false: there is no such number
 */
static bool guest_next_process(pid_t *nr, struct task_struct **task)
{
	struct pid *pid;

	rcu_read_lock();
	pid = idr_get_next(&init_pid_ns.idr, nr);
	*task = pid ? pid_task(pid, PIDTYPE_TGID) : NULL;
	if (*task)
		get_task_struct(*task);
	rcu_read_unlock();
	return pid;
}

/**
 * vmi_guest_next_vm() - the next VM of the machine
 * @tgid: in and out: the process that has it open
 * @fd: in and out: its descriptor there, from which on is looked
 *
 * However many processes and descriptors there are, nothing is held for more than
 * GUEST_DESCRIPTORS of them, and who waits for the answer may be killed.
 *
 * Return: its file, for fput(); NULL after the last one, or for a fatal signal
 *
 * Context: may sleep.
 */
struct file *vmi_guest_next_vm(pid_t *tgid, unsigned int *fd)
{
	struct task_struct *task;
	struct file *found;
	pid_t nr = *tgid;

	while (!fatal_signal_pending(current) && guest_next_process(&nr, &task)) {
		if (nr != *tgid)
			*fd = 0;
		*tgid = nr;
		if (task) {
			found = guest_vm_of(task, fd);
			put_task_struct(task);
			if (found)
				return found;
		}
		nr++;
		cond_resched();
	}
	return NULL;
}

static int guest_do_slot(struct vmi_guest *guest, void *arg)
{
	struct vminspect_guest_slot *slot = arg;

	if (slot->flags || slot->reserved)
		return -EINVAL;
	return vmi_guest_slot(guest, slot);
}

static int guest_do_vcpu(struct vmi_guest *guest, void *arg)
{
	struct vminspect_guest_vcpu *out = arg;
	struct kvm_vcpu *vcpu = vmi_guest_find_vcpu(guest, out->vcpu);

	if (memchr_inv(out->reserved, 0, sizeof(out->reserved)))
		return -EINVAL;
	if (!vcpu)
		return -ENOENT;
	*out = (struct vminspect_guest_vcpu){ .size = out->size, .vcpu = out->vcpu };
	vmi_guest_vcpu(vcpu, out);
	if (vmi_target_hidden(&guest->target))
		out->nested_root = 0;
	return 0;
}

static int guest_do_walk(struct vmi_guest *guest, void *arg)
{
	return vmi_guest_walk(guest, arg);
}

static int guest_do_scan(struct vmi_guest *guest, void *arg)
{
	return vmi_guest_scan(guest, arg);
}

/* Sizes as vmi_argument_get() has them. */
static const struct guest_command {
	unsigned int cmd;
	size_t first_size;
	size_t size;
	int (*run)(struct vmi_guest *guest, void *arg);
} guest_commands[] = {
	{ VMINSPECT_IOC_GUEST_SLOT, 48, sizeof(struct vminspect_guest_slot), guest_do_slot },
	{ VMINSPECT_IOC_GUEST_VCPU, 64, sizeof(struct vminspect_guest_vcpu), guest_do_vcpu },
	{ VMINSPECT_IOC_GUEST_WALK, 1048, sizeof(struct vminspect_guest_walk), guest_do_walk },
	{ VMINSPECT_IOC_GUEST_SCAN, 80, sizeof(struct vminspect_guest_scan), guest_do_scan },
};

static int guest_run(struct vmi_guest *guest, const struct guest_command *command,
		     void __user *user)
{
	void *argument = kzalloc(command->size, GFP_KERNEL_ACCOUNT);
	int size, ret;

	if (!argument)
		return -ENOMEM;
	size = vmi_argument_get(user, argument, command->first_size, command->size);
	ret = size < 0 ? size : command->run(guest, argument);
	if (!ret && copy_to_user(user, argument, size))
		ret = -EFAULT;
	kfree(argument);
	return ret;
}

static long guest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guest_commands); i++)
		if (guest_commands[i].cmd == cmd)
			return guest_run(file->private_data, &guest_commands[i],
					 (void __user *)arg);
	return -ENOTTY;
}

static void guest_free(struct vmi_guest *guest)
{
	vmi_target_drop(&guest->target);
	fput(guest->vm);
	kfree(guest);
}

static int guest_release(struct inode *inode, struct file *file)
{
	guest_free(file->private_data);
	return 0;
}

static const struct file_operations guest_fops = {
	.owner = THIS_MODULE,
	.release = guest_release,
	.unlocked_ioctl = guest_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* Takes over the reference to @vm if it succeeds. */
static struct vmi_guest *guest_bind(struct file *opened, struct file *vm, struct file *mem)
{
	struct vmi_guest *guest;
	struct kvm *kvm;
	int ret;

	if (!guest_is_vm(vm))
		return ERR_PTR(-EINVAL);
	kvm = vm->private_data;
	if (!guest_is_plausible(kvm))
		return ERR_PTR(-EOPNOTSUPP);
	guest = kzalloc(sizeof(*guest), GFP_KERNEL_ACCOUNT);
	if (!guest)
		return ERR_PTR(-ENOMEM);
	guest->vm = vm;
	guest->kvm = kvm;
	ret = vmi_target_grab(&guest->target, kvm->mm, opened, mem);
	if (ret) {
		kfree(guest);
		return ERR_PTR(ret);
	}
	return guest;
}

static struct vmi_guest *guest_get(struct file *opened, const struct vminspect_guest *request)
{
	struct file *vm = fget(request->vm_fd);
	struct file *mem = NULL;
	struct vmi_guest *guest = ERR_PTR(-EBADF);

	if (request->mem_fd >= 0)
		mem = fget(request->mem_fd);
	if (vm && (mem || request->mem_fd == -1))
		guest = guest_bind(opened, vm, mem);
	if (mem)
		fput(mem);
	if (vm && IS_ERR(guest))
		fput(vm);
	return guest;
}

/**
 * vmi_guest_open() - a descriptor to inspect a guest with
 * @file: the file of the device
 * @request: in and out: as VMINSPECT_IOC_GUEST has it
 * @made: out: the file, to be installed at the descriptor
 *
 * Return: a descriptor that is reserved, or the errors described there
 */
int vmi_guest_open(struct file *file, struct vminspect_guest *request, struct file **made)
{
	struct vmi_guest *guest;
	int fd;

	if (request->flags || request->reserved)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	guest = guest_get(file, request);
	if (IS_ERR(guest)) {
		put_unused_fd(fd);
		return PTR_ERR(guest);
	}
	request->hidden = vmi_target_hidden(&guest->target);
	request->nr_vcpus = atomic_read(&guest->kvm->online_vcpus);
	request->nr_address_spaces = vmi_compat_address_spaces(guest->kvm);
	*made = anon_inode_getfile("[vminspect-guest]", &guest_fops, guest, O_RDONLY);
	if (IS_ERR(*made)) {
		guest_free(guest);
		put_unused_fd(fd);
		return PTR_ERR(*made);
	}
	return fd;
}
