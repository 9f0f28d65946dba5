/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Masks of VMINSPECT_PAGE_* and VMINSPECT_ENTRY_PRESENT as names.
 */
#ifndef FLAGS_H
#define FLAGS_H

#include <stddef.h>
#include <linux/types.h>

/* Room for all names with a character between them. */
#define FLAGS_TEXT	320

/* Takes one flag out of a mask that is not 0. Return: its name. */
const char *flags_take(__u32 *flags);
/* The names, in @buf of FLAGS_TEXT bytes. */
const char *flags_text(char *buf, __u32 flags, char separator);
/*
 * A list of names with commas, as options take it, to categories. Return: 0 or
 * EXIT_USAGE, after a message that names the option.
 */
int flags_parse_list(const char *option, const char *list, __u64 allowed,
		     __u64 *categories);

#endif
