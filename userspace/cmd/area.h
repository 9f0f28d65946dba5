/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What swap areas are called, and what backs a slot at rest.
 */
#ifndef AREA_H
#define AREA_H

#include <stdbool.h>

#include "vminspect.h"

/* More than any kernel has: MAX_SWAPFILES is below 1 << 5. */
#define MAX_AREAS	32

/* Where to ask. @device must stay open as long as anything here is called. */
void areas_use(struct vminspect *device, const struct vminspect_info *info);

/* Return: the path of an area, valid until areas_refresh(); NULL if there is none. */
const char *area_path(unsigned int type);

/*
 * For those who run for long: another area may take the place of one. Return: the path of the one
 * that had this number at a time on the clock of events; NULL if it is not known which.
 */
const char *area_path_at(unsigned int type, __u64 time_ns);

/* Looks for areas that came or went since it was last called. Cheap if there are none. */
void areas_refresh(void);

/* Return: a descriptor that is ready (POLLPRI) once after areas came or went, or -1. */
int areas_watch(void);

/* Return: "partition", "file" or "zram". */
const char *area_kind_name(const struct vminspect_swap *area);

/* Whether it can be told which swapped pages are in memory as well. */
bool area_knows_cached(void);

/*
 * Where a swapped page is that has these flags. Return: "cache", "device", or NULL: this
 * kernel does not let us know.
 */
const char *area_backing(__u32 flags);

/* Whether zswap stands in front of the areas: pages that go out stay there at first. */
bool zswap_enabled(void);

#endif
