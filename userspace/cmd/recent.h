/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages that went out a moment ago, to notice those that come back.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdbool.h>
#include <linux/types.h>

#include "vminspect.h"

/* How long a moment is. */
#define RECENT_NS	1000000000ULL

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent *recent);

/* A swap_out. */
void recent_add(struct recent *recent, const struct vminspect_event *event);
/* A swap_in. Return: how many of its pages are among them; they are no more then. */
__u32 recent_take(struct recent *recent, const struct vminspect_event *event);
/* Whether some were forgotten too early for lack of room. */
bool recent_overflowed(const struct recent *recent);

#endif
