// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest list, guest maps: which guests there are, and what of their memory the host
 * has.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "guest.h"
#include "json.h"
#include "mapping.h"
#include "progress.h"
#include "tally.h"

enum {
	LIST_PID, LIST_COMM, LIST_VM_FD, LIST_VCPUS, LIST_MEMORY, LIST_RESIDENT, LIST_HUGE,
	LIST_SWAPPED, LIST_UNPOPULATED, LIST_PAGING,
};

static const struct column list_columns[] = {
	[LIST_PID] = { "PID", 0, COLUMN_COUNT, IN_BOTH, "the process that runs it, its VMM" },
	[LIST_COMM] = { "COMM", 0, COLUMN_STRING, IN_BOTH, "its name" },
	[LIST_VM_FD] = { "VM_FD", 0, COLUMN_COUNT, IN_BOTH, "its descriptor of the VM, for --vm" },
	[LIST_VCPUS] = { "VCPUS", 0, COLUMN_COUNT, IN_BOTH, "virtual processors" },
	[LIST_MEMORY] = { "MEMORY", 0, COLUMN_SIZE, IN_BOTH, "all slots together" },
	[LIST_RESIDENT] = { "RESIDENT", 0, COLUMN_SIZE, IN_BOTH, "of that: in the host's memory" },
	[LIST_HUGE] = { "HUGE", 0, COLUMN_SIZE, IN_BOTH, "of that: in huge pages" },
	[LIST_SWAPPED] = { "SWAPPED", 0, COLUMN_SIZE, IN_BOTH, "swapped out by the host" },
	[LIST_UNPOPULATED] = { "UNPOPULATED", 0, COLUMN_SIZE, IN_BOTH, "never touched" },
	[LIST_PAGING] = { "PAGING", 0, COLUMN_STRING, IN_BOTH,
		"npt, ept or shadow: what translates guest-physical addresses" },
};

struct list_row {
	const struct process *process;
	int vm_fd;
	unsigned int vcpus;
	__u64 memory;
	struct tally tally;
	const char *paging;
};

static void list_value(struct value *value, int column, const void *record)
{
	const struct list_row *row = record;
	const __u64 numbers[] = {
		[LIST_PID] = row->process->pid,
		[LIST_VM_FD] = row->vm_fd,
		[LIST_VCPUS] = row->vcpus,
		[LIST_MEMORY] = row->memory,
		[LIST_RESIDENT] = row->tally.present,
		[LIST_HUGE] = row->tally.huge,
		[LIST_SWAPPED] = row->tally.swapped,
		[LIST_UNPOPULATED] = row->tally.unpopulated + row->tally.zero,
	};

	switch (column) {
	case LIST_COMM:
		value->string = row->process->comm;
		break;
	case LIST_PAGING:
		value->null = !row->paging;
		value->string = row->paging;
		break;
	default:
		value->number = numbers[column];
	}
}

const struct view guest_list_view = {
	.name = "guests",
	.when = "of list",
	.columns = list_columns,
	.nr_columns = ARRAY_SIZE(list_columns),
	.value = list_value,
};

enum {
	SLOT_SLOT, SLOT_AS, SLOT_GPA, SLOT_SIZE, SLOT_HVA, SLOT_FLAGS, SLOT_RESIDENT, SLOT_HUGE,
	SLOT_SWAPPED, SLOT_UNPOPULATED, SLOT_MAPPING,
};

static const struct column slot_columns[] = {
	[SLOT_SLOT] = { "SLOT", 0, COLUMN_COUNT, IN_BOTH, "its number" },
	[SLOT_AS] = { "AS", 0, COLUMN_COUNT, IN_BOTH, "0, or 1: seen in SMM alone" },
	[SLOT_GPA] = { "GPA", 0, COLUMN_ADDRESS, IN_BOTH, "first guest-physical address" },
	[SLOT_SIZE] = { "SIZE", 0, COLUMN_SIZE, IN_BOTH, "how long it is" },
	[SLOT_HVA] = { "HVA", 0, COLUMN_ADDRESS, IN_BOTH, "where the VMM has it" },
	[SLOT_FLAGS] = { "FLAGS", 0, COLUMN_STRING, IN_TABLE, "readonly, log_dirty, private" },
	[SLOT_RESIDENT] = { "RESIDENT", 0, COLUMN_SIZE, IN_BOTH, "of it: in the host's memory" },
	[SLOT_HUGE] = { "HUGE", 0, COLUMN_SIZE, IN_BOTH, "of that: in huge pages" },
	[SLOT_SWAPPED] = { "SWAPPED", 0, COLUMN_SIZE, IN_BOTH, "swapped out by the host" },
	[SLOT_UNPOPULATED] = { "UNPOPULATED", 0, COLUMN_SIZE, IN_BOTH, "never touched" },
	[SLOT_MAPPING] = { "MAPPING", 0, COLUMN_STRING, IN_BOTH,
		"what the VMM has mapped there" },
};

struct slot_row {
	struct vminspect_guest_slot slot;
	struct tally tally;
	const char *mapping;
};

static const struct {
	__u32 flag;
	const char *name;
} slot_flags[] = {
	{ VMINSPECT_SLOT_READONLY, "readonly" },
	{ VMINSPECT_SLOT_LOG_DIRTY, "log_dirty" },
	{ VMINSPECT_SLOT_PRIVATE, "private" },
};

static const char *slot_flags_text(__u32 flags)
{
	static char text[64];

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(slot_flags); i++) {
		if (!(flags & slot_flags[i].flag))
			continue;
		if (text[0])
			strcat(text, ",");
		strcat(text, slot_flags[i].name);
	}
	return text;
}

static json_t *slot_flags_json(__u32 flags)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(slot_flags); i++)
		if (flags & slot_flags[i].flag)
			json_append(list, json_string(slot_flags[i].name));
	return list;
}

static void slot_value(struct value *value, int column, const void *record)
{
	const struct slot_row *row = record;
	const __u64 numbers[] = {
		[SLOT_SLOT] = row->slot.slot,
		[SLOT_AS] = row->slot.address_space,
		[SLOT_GPA] = row->slot.gpa,
		[SLOT_SIZE] = row->slot.bytes,
		[SLOT_HVA] = row->slot.hva,
		[SLOT_RESIDENT] = row->tally.present,
		[SLOT_HUGE] = row->tally.huge,
		[SLOT_SWAPPED] = row->tally.swapped,
		[SLOT_UNPOPULATED] = row->tally.unpopulated + row->tally.zero,
	};

	switch (column) {
	case SLOT_FLAGS:
		value->string = slot_flags_text(row->slot.slot_flags);
		break;
	case SLOT_MAPPING:
		value->null = !row->mapping;
		value->string = row->mapping ? row->mapping : "?";
		break;
	default:
		value->number = numbers[column];
	}
}

const struct view guest_slot_view = {
	.name = "slots",
	.when = "of maps",
	.columns = slot_columns,
	.nr_columns = ARRAY_SIZE(slot_columns),
	.value = slot_value,
};

/* What the VMM has where a slot is. Return: 0 or -errno. */
static int add_up_slot(struct vminspect *device, __u64 va_end,
		       const struct vminspect_guest_slot *slot, struct tally *tally)
{
	__u64 end = slot->hva + slot->bytes;

	if (end > va_end || slot->hva >= end)
		return 0;
	return tally_range(tally, device, slot->hva, end);
}

/*
 * The memory of a guest is what is in its first address space: that of SMM has the same again.
 * Return: 0 or -errno.
 */
static int add_up_guest(struct vminspect *device, __u64 va_end, int guest, struct list_row *row)
{
	struct vminspect_guest_slot slot;
	unsigned int as = 0;
	__u64 gpa = 0;
	int ret;

	while ((ret = vm_next_slot(guest, 1, &as, &gpa, &slot)) > 0) {
		row->memory += slot.bytes;
		ret = add_up_slot(device, va_end, &slot, &row->tally);
		if (ret)
			break;
	}
	return ret;
}

static const char *paging_of(int guest)
{
	struct vminspect_guest_vcpu vcpu;

	if (vminspect_guest_vcpu(guest, 0, &vcpu))
		return NULL;
	return vminspect_nested_name(vcpu.nested);
}

/* Return: 0 or -errno. */
static int print_guest(const struct process *process, int vm_fd, struct table *table)
{
	struct list_row row = { .process = process, .vm_fd = vm_fd };
	struct vminspect_guest guest_info;
	struct vminspect_info info;
	struct vminspect *device;
	int guest, ret;

	ret = vminspect_open(NULL, &device, &info);
	if (ret)
		return ret;
	ret = device_bind(device, process);
	if (ret)
		goto out_close;
	guest = process_open_vm(process, vm_fd, device, &guest_info);
	if (guest < 0) {
		ret = guest;
		goto out_close;
	}
	row.vcpus = guest_info.nr_vcpus;
	row.paging = paging_of(guest);
	ret = add_up_guest(device, info.va_end, guest, &row);
	close(guest);
	if (!ret)
		table_row(table, &row);
out_close:
	vminspect_close(device);
	return ret;
}

/* What list says of all of them together. */
struct list {
	struct table *table;
	unsigned int nr;
	unsigned int unreadable;	/* processes */
	int error;			/* of module or kernel, not of one guest */
};

static bool is_forbidden(int error)
{
	return error == -EACCES || error == -EPERM;
}

/* One that is gone has none, and a VM that it has from another process is none of its own. */
static void print_process(const char *name, struct list *list)
{
	struct process process;
	bool forbidden;
	int *vms, nr;

	if (process_open(&process, name))
		return;
	nr = process_vms(&process, &vms);
	forbidden = is_forbidden(nr);
	for (int i = 0; i < nr; i++) {
		int ret = print_guest(&process, vms[i], list->table);

		list->nr += !ret;
		forbidden |= is_forbidden(ret);
		if (ret && !is_forbidden(ret) && ret != -EINVAL && ret != -EBADF && ret != -ESRCH)
			list->error = ret;
		progress("%u guests", list->nr);
	}
	list->unreadable += forbidden;
	free(vms);
	process_close(&process);
}

static void note_end(const struct list *list)
{
	if (list->unreadable)
		note("%u processes may not be read by you: be root to see their guests",
		     list->unreadable);
	else if (!list->nr)
		note(kvm_is_there() ? "no process runs a guest of KVM" :
		     "KVM is not loaded here (modprobe kvm-amd or kvm-intel): no guests");
}

static int print_guests(const struct output *out, struct table *table)
{
	struct list list = { .table = table };
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	json_t *tail;

	if (!directory)
		return fail_doing(DOING_FILE, -errno, "/proc", "");
	table_begin(table, json_schema(), NULL);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			print_process(entry->d_name, &list);
	closedir(directory);
	tail = json_object();
	json_put(tail, "unreadable", json_integer(list.unreadable));
	table_end(table, tail);
	if (list.error)
		return vmm_fail_open(list.error);
	if (!out->json)
		note_end(&list);
	return 0;
}

int guest_list(const struct output *out, const struct guest_options *options, int argc,
	       char **argv)
{
	struct vminspect *device;
	struct vminspect_info info;
	struct table *table;
	int ret;

	if (argc)
		return misuse("'%s' is too much: list takes no argument", argv[0]);
	if (options->vm_fd >= 0 || options->vcpu || options->flags)
		return misuse("list takes no such option: it lists all guests");
	table = table_new(&guest_list_view, out);
	if (!table)
		return EXIT_USAGE;
	/* whether the module is there is not to be found out guest by guest */
	ret = device_open(&device, &info);
	if (!ret) {
		vminspect_close(device);
		ret = print_guests(out, table);
	}
	table_free(table);
	return ret;
}

static void print_slot(const struct output *out, struct table *table, const struct slot_row *row,
		       json_t *array)
{
	json_t *json;

	if (!out->json) {
		table_row(table, row);
		return;
	}
	json = table_row_json(table, row);
	json_put(json, "flags", slot_flags_json(row->slot.slot_flags));
	json_append(array, json);
}

static int print_slots(const struct vmm *vmm, const struct output *out, struct table *table)
{
	json_t *document = target_json(&vmm->target), *array = json_array();
	unsigned int as = 0;
	struct slot_row row;
	__u64 gpa = 0;
	int ret;

	if (!out->json)
		table_begin(table, json_object(), NULL);
	while ((ret = vm_next_slot(vmm->guest, vmm->info.nr_address_spaces, &as, &gpa,
				   &row.slot)) > 0) {
		char *name = mapping_name_at(&vmm->target.process, row.slot.hva);

		row.mapping = name;
		row.tally = (struct tally) {};
		ret = add_up_slot(vmm->target.device, vmm->target.info.va_end, &row.slot,
				  &row.tally);
		if (!ret)
			print_slot(out, table, &row, array);
		free(name);
		if (ret)
			break;
		progress("slots up to 0x%llx", gpa);
	}
	json_put(document, "vm_fd", json_integer(vmm->vm_fd));
	json_put(document, "slots", array);
	if (ret)
		json_put(document, "truncated", json_true());
	if (out->json) {
		json_print(document);
	} else {
		json_decref(document);
		table_end(table, json_object());
	}
	return ret ? vmm_fail(vmm, ret, 0) : 0;
}

static const struct view *choose_view(const struct guest_options *options)
{
	if (options->virtual)
		return &guest_virtual_view;
	return options->extents ? &guest_extent_view : &guest_slot_view;
}

static int print_maps(const struct vmm *vmm, const struct output *out,
		      const struct guest_options *options, struct table *table)
{
	if (options->virtual)
		return guest_print_virtual(vmm, options, table);
	if (options->extents)
		return guest_print_extents(vmm, out, table);
	return print_slots(vmm, out, table);
}

int guest_maps(const struct output *out, const struct guest_options *options, int argc,
	       char **argv)
{
	struct table *table;
	struct vmm vmm;
	int ret;

	if (argc != 1)
		return misuse("maps takes one PID: see 'vminspect guest list'");
	if (options->flags & VMINSPECT_GUEST_GPA)
		return misuse("--gpa is for translate and walk: maps takes no address");
	if (!options->virtual && (options->flags || options->vcpu))
		return misuse("maps takes --cr3 and --vcpu with --virtual: slots are of all vCPUs");
	if (options->virtual && options->extents)
		return misuse("--virtual and --extents exclude each other: one is of the guest");
	ret = target_check_name(argv[0]);
	if (ret)
		return ret;
	table = table_new(choose_view(options), out);
	if (!table)
		return EXIT_USAGE;
	ret = vmm_open(&vmm, argv[0], options->vm_fd);
	if (!ret) {
		ret = print_maps(&vmm, out, options, table);
		vmm_close(&vmm);
	}
	table_free(table);
	return ret;
}
