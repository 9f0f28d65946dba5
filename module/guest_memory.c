// SPDX-License-Identifier: GPL-2.0
/*
 * Guest-physical memory as the host has it: found by its slot, in the address space of the VMM,
 * by the walk that everything else here is found by. Nothing outside a slot is ever read.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "guest.h"
#include "scan.h"

/* The entry's own flags, and where a swapped page is besides. */
#define PLACE_FLAGS							\
	((VMINSPECT_PAGE_FLAGS & ~VMINSPECT_PAGE_FROM_PAGE) | VMINSPECT_PAGE_SWAPCACHE)

/*
 * A page that is on its way each time we look: not by accident. All of these waits are longer than
 * it takes to copy a page of 2M. Without waiting one of 4K can take longer.
 */
#define READ_TRIES	16
#define READ_WAIT_US	500

static int place_look(struct vmi_guest *guest, struct vmi_guest_place *place, u64 *patience_ns)
{
	int ret = vmi_scan_translate(&guest->target, &place->hva, &place->entry, 1,
				     VMINSPECT_RETURN_FRAME | PLACE_FLAGS,
				     0, patience_ns, false);

	return min(ret, 0);
}

/**
 * vmi_guest_find() - where the host has guest-physical memory
 * @view: the guest
 * @gpa: guest-physical address
 * @place: out
 *
 * Return: VMINSPECT_MISSING_*, or -errno
 */
int vmi_guest_find(struct vmi_guest_view *view, u64 gpa, struct vmi_guest_place *place)
{
	struct vminspect_guest_slot slot = {
		.gpa = gpa, .address_space = view->address_space,
	};
	int ret;

	*place = (struct vmi_guest_place){ .entry.node = -1 };
	ret = vmi_guest_slot(view->guest, &slot);
	if (ret == -ENOENT || (!ret && gpa < slot.gpa))
		return VMINSPECT_MISSING_SLOT;
	if (ret)
		return ret;
	if (slot.slot_flags & VMINSPECT_SLOT_PRIVATE)
		return -EOPNOTSUPP;
	place->hva = slot.hva + (gpa - slot.gpa);
	/* KVM took it for user memory; what it has not does not matter then */
	if (place->hva >= TASK_SIZE_MAX)
		return VMINSPECT_MISSING_HOST;
	ret = place_look(view->guest, place, &view->patience_ns);
	if (ret)
		return ret;
	return place->entry.state == VMINSPECT_STATE_PRESENT ? VMINSPECT_MISSING_NOTHING :
							       VMINSPECT_MISSING_HOST;
}

/*
 * A reference to the page that is mapped there. It may have been unmapped and become another's
 * since the entry was read: hence the entry is looked at again once the page is held, and
 * holding it what it says stays true. Nobody is given way to meanwhile: who holds a page keeps it
 * from being moved. Return: 1; 0: try again; or -errno: no page to be read
 */
static int place_hold(const struct vmi_guest_view *view, struct vmi_guest_place *place,
		      struct folio **folio)
{
	u64 frame = place->entry.frame, patience_ns = 0;
	struct page *page = pfn_to_online_page(frame);
	bool same;
	int ret;

	if (!page)
		return -EIO;
	*folio = page_folio(page);
	if (!folio_try_get(*folio))
		return 0;
	ret = place_look(view->guest, place, &patience_ns);
	same = !ret && page_folio(page) == *folio && place->entry.frame == frame &&
	       place->entry.state == VMINSPECT_STATE_PRESENT;
	/* memory of a device is not read; the page of zeroes is the kernel's own */
	if (same && (place->entry.flags & VMINSPECT_PAGE_SPECIAL) &&
	    !(place->entry.flags & VMINSPECT_PAGE_ZERO))
		ret = -EIO;
	if (same && !ret)
		return 1;
	folio_put(*folio);
	return ret;
}

/*
 * Pages that the kernel has not mapped (secret memory) or that are poisoned are not read: the
 * copy fails instead of faulting.
 */
static int place_copy(const struct vmi_guest_place *place, void *to, unsigned int size)
{
	struct page *page = pfn_to_page(place->entry.frame);
	void *from;
	int ret;

	if (PageHWPoison(page))
		return -EIO;
	from = kmap_local_page(page);
	ret = copy_from_kernel_nofault(to, from + (place->hva & ~PAGE_MASK), size);
	kunmap_local(from);
	return ret ? -EIO : 0;
}

/**
 * vmi_guest_read() - read guest-physical memory
 * @view: the guest
 * @gpa: guest-physical address; what is read ends within its page
 * @place: out: where the host has it
 * @to: out
 * @size: bytes
 *
 * Return: as vmi_guest_find(); what is there is in @to if nothing is missing. EIO: it can't be
 * read; EAGAIN: it is moved all the time
 */
int vmi_guest_read(struct vmi_guest_view *view, u64 gpa, struct vmi_guest_place *place,
		   void *to, unsigned int size)
{
	unsigned int tries = READ_TRIES;
	struct folio *folio;
	int ret;

	do {
		if (!tries--)
			return -EAGAIN;
		ret = vmi_guest_find(view, gpa, place);
		if (ret < 0 || ret == VMINSPECT_MISSING_SLOT)
			return ret;
		/* it will be back in a moment */
		if (place->entry.state == VMINSPECT_STATE_MIGRATING) {
			usleep_range(READ_WAIT_US, 2 * READ_WAIT_US);
			ret = 0;
			continue;
		}
		if (ret)
			return ret;
		ret = place_hold(view, place, &folio);
		if (ret < 0)
			return ret;
	} while (!ret);
	ret = place_copy(place, to, size);
	folio_put(folio);
	return ret;
}

/* Whether what the vCPU has can be taken for the guest's tables. */
static int view_check(const struct vminspect_guest_vcpu *vcpu)
{
	if (vcpu->vcpu_flags & VMINSPECT_VCPU_ENCRYPTED)
		return -ENOKEY;
	if (vcpu->vcpu_flags & VMINSPECT_VCPU_NESTED)
		return -EBUSY;
	return vcpu->vcpu_flags & VMINSPECT_VCPU_NEVER_RAN ? -ENODATA : 0;
}

/* Whether it has come to something else than was given. */
static bool view_differs(const struct vminspect_guest_vcpu *vcpu,
			 const struct vminspect_guest_vcpu *given, u32 flags)
{
	if (vcpu->address_space != given->address_space)
		return true;
	return !(flags & VMINSPECT_GUEST_GPA) && vcpu->mode != given->mode;
}

/**
 * vmi_guest_view_init() - with the registers of a vCPU
 * @view: out: the guest as that vCPU has it
 * @guest: the guest
 * @vcpu: in and out: as VMINSPECT_IOC_GUEST_VCPU has it, but that also cr3, mode and address_space
 *	are in, as @flags say; and out: cr3 is the one to begin with
 * @flags: VMINSPECT_GUEST_*
 *
 * Return: 0; ENOENT: there is no such vCPU; or ENOKEY, EBUSY, ENODATA, ESTALE, EINVAL, as
 * VMINSPECT_IOC_GUEST_WALK has them
 */
int vmi_guest_view_init(struct vmi_guest_view *view, struct vmi_guest *guest,
			struct vminspect_guest_vcpu *vcpu, u32 flags)
{
	const struct vminspect_guest_vcpu given = *vcpu;
	int ret;

	*view = (struct vmi_guest_view){
		.guest = guest, .vcpu = vmi_guest_find_vcpu(guest, vcpu->vcpu),
		.patience_ns = VMI_WALK_PATIENCE_NS,
	};
	if (!view->vcpu)
		return -ENOENT;
	vmi_guest_vcpu(view->vcpu, vcpu);
	view->address_space = vcpu->address_space;
	vmi_paging_init(&view->paging, vcpu->cr0, vcpu->cr4, vcpu->efer, vcpu->pa_bits);
	view->paging.c_bit = vmi_guest_c_bit(view->vcpu);
	ret = flags & VMINSPECT_GUEST_GPA ? 0 : view_check(vcpu);
	if (ret)
		return ret;
	if ((flags & VMINSPECT_GUEST_MODE) && view_differs(vcpu, &given, flags))
		return -ESTALE;
	if (flags & VMINSPECT_GUEST_CR3) {
		/* that of the vCPU is one: it may have been loaded in another mode */
		if (given.cr3 != vcpu->cr3 && !vmi_paging_is_cr3(&view->paging, given.cr3))
			return -EINVAL;
		vcpu->cr3 = given.cr3;
	}
	return 0;
}
