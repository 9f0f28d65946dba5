/* SPDX-License-Identifier: GPL-2.0 */
/* What constructors of entries are called: see the table in ../../module/compat.h. */
#ifndef TEST_COMPAT_H
#define TEST_COMPAT_H

#include <linux/pgtable.h>
#include <linux/swapops.h>

#ifdef _PAGE_UFFD
#define compat_pte_mkuffd		pte_mkuffd
#define compat_pte_swp_mkuffd		pte_swp_mkuffd
#else
#define compat_pte_mkuffd		pte_mkuffd_wp
#define compat_pte_swp_mkuffd		pte_swp_mkuffd_wp
#endif

/* 6.15: one kind of exclusive entry, that says nothing of writing. */
#ifdef SWP_DEVICE_EXCLUSIVE_READ
#define compat_readable_exclusive	make_readable_device_exclusive_entry
#define compat_writable_exclusive	make_writable_device_exclusive_entry
#define COMPAT_EXCLUSIVE_WRITE		VMINSPECT_PAGE_WRITE
#else
#define compat_readable_exclusive	make_device_exclusive_entry
#define compat_writable_exclusive	make_device_exclusive_entry
#define COMPAT_EXCLUSIVE_WRITE		0
#endif

#endif
