/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who has most, of a great many: counted exactly up to a number of them that memory allows.
 */
#ifndef RANKING_H
#define RANKING_H

#include <stddef.h>
#include <linux/types.h>

struct rank {
	__u64 key[2];		/* not both zero */
	__u64 in_pages;
	__u64 out_pages;
	__u32 pid;
	char comm[16];
	__u64 start;		/* of a mapping */
	char *name;		/* likewise; NULL: not set */
};

struct ranking;

struct ranking *ranking_new(void);
void ranking_free(struct ranking *ranking);

/* The one with this key, a new one if there is none. Return: NULL if there is no room. */
struct rank *ranking_find(struct ranking *ranking, __u64 first, __u64 second);

/* The @nr with most pages, the first one first. Return: how many were filled in. */
size_t ranking_top(const struct ranking *ranking, const struct rank *top[], size_t nr);

#endif
