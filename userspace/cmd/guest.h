/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the commands on guests share: each has a file of its own.
 */
#ifndef GUEST_H
#define GUEST_H

#include "command.h"
#include "vmm.h"

/* What their options say. */
struct guest_options {
	int vm_fd;		/* of --vm, or -1 */
	unsigned int vcpu;	/* of --vcpu */
	__u64 cr3;		/* of --cr3 */
	__u32 flags;		/* VMINSPECT_GUEST_*, of --cr3 and --gpa */
	__u8 mode;		/* with VMINSPECT_GUEST_MODE: of guest_pin() */
	__u8 address_space;	/* likewise */
	bool extents;		/* of --extents */
	bool virtual;		/* of --virtual */
};

/* An address of a guest: a number. Return: 0, or EXIT_USAGE after a message. */
int guest_parse_address(const char *text, __u64 *address);

extern const struct view guest_list_view, guest_slot_view, guest_extent_view,
	guest_virtual_view, guest_translation_view, guest_level_view;

/* Each gets the words after its name. Return: the exit status. */
int guest_list(const struct output *out, const struct guest_options *options, int argc,
	       char **argv);
int guest_maps(const struct output *out, const struct guest_options *options, int argc,
	       char **argv);
int guest_translate(const struct output *out, const struct guest_options *options, int argc,
		    char **argv);
int guest_walk(const struct output *out, const struct guest_options *options, int argc,
	       char **argv);

/* Return: the exit status. */
int guest_print_extents(const struct vmm *vmm, const struct output *out, struct table *table);
int guest_print_virtual(const struct vmm *vmm, const struct guest_options *options,
			struct table *table);

/*
 * The registers that all of a document is read with: they are given from here on, whatever the
 * vCPU comes to, and told in @head. Return: 0 or -errno.
 */
int guest_pin(const struct vmm *vmm, struct guest_options *options,
	      struct vminspect_guest_vcpu *vcpu, json_t *head);

/* The message for an error that such a call has. Return: EXIT_FAILED. */
int guest_fail(const struct vmm *vmm, int error, const struct guest_options *asked);

/* A walk. Return: 0, or EXIT_FAILED after a message. */
int guest_do_walk(const struct vmm *vmm, const struct guest_options *options, __u64 address,
		  struct vminspect_guest_walk *walk);

/* VMINSPECT_FAULT_*, or NULL. */
const char *guest_fault_name(unsigned int fault);

/* Whether the guest-physical address is known. */
bool guest_has_gpa(const struct vminspect_guest_walk *walk);
/* Whether entry is: that of the address, or with missing_level of a table. */
bool guest_has_place(const struct vminspect_guest_walk *walk);
__u64 guest_pa(const struct vminspect_guest_walk *walk);
/* Sizes as powers of two; 0: not known. */
unsigned int guest_nested_shift(const struct vminspect_guest_walk *walk);
unsigned int guest_host_shift(const struct vminspect_guest_walk *walk);

#endif
