// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect guest: guests of KVM. A word chooses what is shown of them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "error.h"
#include "guest.h"
#include "json.h"

static struct guest_options chosen = { .vm_fd = -1 };

enum { OPTION_VM = 256, OPTION_VCPU, OPTION_CR3, OPTION_GPA, OPTION_EXTENTS,
	OPTION_VIRTUAL };

static const struct cmd_option options[] = {
	{ OPTION_VM, "vm", "FD", "the VM that has this descriptor in its VMM" },
	{ OPTION_VCPU, "vcpu", "N", "with the registers of this vCPU; default 0" },
	{ OPTION_CR3, "cr3", "X", "with tables that begin there; default: those in use" },
	{ OPTION_EXTENTS, "extents", NULL, "maps: runs of memory, and where the host has them" },
	{ OPTION_VIRTUAL, "virtual", NULL, "maps: what the guest's own tables map" },
	{ OPTION_GPA, "gpa", NULL, "addresses are guest-physical" },
};

int guest_parse_address(const char *text, __u64 *value)
{
	struct address address;
	int ret = address_parse("", text, &address);

	if (ret)
		return ret;
	if (address.name)
		return misuse("'%s' is not an address: write a number, 0xffff888000001000", text);
	*value = address.value;
	return 0;
}

static int parse_number(const char *option, const char *text, unsigned int *number)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > INT_MAX)
		return misuse("%s takes a number, not '%s'", option, text);
	*number = value;
	return 0;
}

static int guest_option(int letter, const char *arg)
{
	unsigned int number;
	int ret;

	switch (letter) {
	case OPTION_VM:
		ret = parse_number("--vm", arg, &number);
		if (!ret)
			chosen.vm_fd = number;
		return ret;
	case OPTION_VCPU:
		return parse_number("--vcpu", arg, &chosen.vcpu);
	case OPTION_CR3:
		chosen.flags |= VMINSPECT_GUEST_CR3;
		return guest_parse_address(arg, &chosen.cr3);
	case OPTION_EXTENTS:
		chosen.extents = true;
		return 0;
	case OPTION_VIRTUAL:
		chosen.virtual = true;
		return 0;
	default:
		chosen.flags |= VMINSPECT_GUEST_GPA;
		return 0;
	}
}

int guest_fail(const struct vmm *vmm, int error, const struct guest_options *asked)
{
	if (error == -EINVAL && (asked->flags & VMINSPECT_GUEST_CR3))
		return fail("0x%llx is no CR3: it has bits that a CR3 of this guest can't have",
			    asked->cr3);
	return vmm_fail(vmm, error, asked->vcpu);
}

int guest_do_walk(const struct vmm *vmm, const struct guest_options *asked, __u64 address,
		  struct vminspect_guest_walk *walk)
{
	int ret;

	*walk = (struct vminspect_guest_walk) {
		.flags = asked->flags, .address = address, .cr3 = asked->cr3,
		.vcpu = asked->vcpu, .mode = asked->mode,
		.address_space = asked->address_space,
	};
	ret = vminspect_guest_walk(vmm->guest, walk);
	return ret ? guest_fail(vmm, ret, asked) : 0;
}

int guest_pin(const struct vmm *vmm, struct guest_options *options,
	      struct vminspect_guest_vcpu *vcpu, json_t *head)
{
	int ret = vminspect_guest_vcpu(vmm->guest, options->vcpu, vcpu);

	bool is_gva = !(options->flags & VMINSPECT_GUEST_GPA);

	if (!ret) {
		if (!(options->flags & VMINSPECT_GUEST_CR3))
			options->cr3 = vcpu->cr3;
		options->flags |= VMINSPECT_GUEST_MODE | (is_gva ? VMINSPECT_GUEST_CR3 : 0);
		options->mode = vcpu->mode;
		options->address_space = vcpu->address_space;
	}
	json_put(head, "vcpu", json_integer(options->vcpu));
	json_put(head, "cr3", json_if(!ret && is_gva, json_address(options->cr3)));
	json_put(head, "mode",
		 json_if(!ret && is_gva, json_string(vminspect_mode_name(vcpu->mode))));
	json_put(head, "registers",
		 ret ? json_null() : json_string(vminspect_registers_name(vcpu->registers)));
	return ret;
}

const char *guest_fault_name(unsigned int fault)
{
	static const char * const names[] = {
		[VMINSPECT_FAULT_NOT_PRESENT] = "not_present",
		[VMINSPECT_FAULT_RESERVED] = "reserved_bit",
		[VMINSPECT_FAULT_NOT_CANONICAL] = "not_canonical",
	};

	return fault < ARRAY_SIZE(names) ? names[fault] : NULL;
}

bool guest_has_gpa(const struct vminspect_guest_walk *walk)
{
	return walk->missing != VMINSPECT_MISSING_GUEST && !walk->missing_level;
}

bool guest_has_place(const struct vminspect_guest_walk *walk)
{
	return walk->missing == VMINSPECT_MISSING_NOTHING ||
	       walk->missing == VMINSPECT_MISSING_HOST;
}

__u64 guest_pa(const struct vminspect_guest_walk *walk)
{
	return walk->entry.frame << 12 | (walk->hva & 0xfff);
}

unsigned int guest_nested_shift(const struct vminspect_guest_walk *walk)
{
	const struct vminspect_walk_level *last = &walk->nested[walk->nr_nested - 1];

	if (!walk->nr_nested || !last->leaf || !(last->flags & VMINSPECT_ENTRY_PRESENT))
		return 0;
	return 12 + 9 * (last->level - 1);
}

unsigned int guest_host_shift(const struct vminspect_guest_walk *walk)
{
	return walk->missing ? 0 : walk->entry.page_shift;
}

static const struct {
	const char *name;
	int (*run)(const struct output *out, const struct guest_options *options, int argc,
		   char **argv);
} verbs[] = {
	{ "list", guest_list },
	{ "maps", guest_maps },
	{ "translate", guest_translate },
	{ "walk", guest_walk },
};

static int guest_run(const struct output *out, int argc, char **argv)
{
	if ((chosen.extents || chosen.virtual) && (!argc || strcmp(argv[0], "maps")))
		return misuse("--extents and --virtual are for maps: write 'guest maps PID'");
	if (!argc)
		return guest_list(out, &chosen, 0, argv);
	if ((chosen.flags & VMINSPECT_GUEST_CR3) && (chosen.flags & VMINSPECT_GUEST_GPA))
		return misuse("--cr3 and --gpa exclude each other: no table is read for a GPA");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[0], verbs[i].name))
			return verbs[i].run(out, &chosen, argc - 1, argv + 1);
	return misuse("'%s' is not list, maps, translate or walk: see 'vminspect guest --help'",
		      argv[0]);
}

const struct command cmd_guest = {
	.name = "guest",
	.args = "list | maps PID | translate PID GVA... | walk PID GVA",
	.summary = "guests of KVM, down to machine memory",
	.notes = "PID is the guest's VMM, as list has it. GVA is an address in the guest.",
	.options = options,
	.nr_options = ARRAY_SIZE(options),
	.views = (const struct view *[]) {
		&guest_list_view, &guest_slot_view, &guest_extent_view, &guest_virtual_view,
		&guest_translation_view, &guest_level_view,
	},
	.nr_views = 6,
	.option = guest_option,
	.run = guest_run,
};
