// SPDX-License-Identifier: GPL-2.0
/*
 * Masks as names, and names as masks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "flags.h"
#include "vminspect.h"

/* "present" comes first, as a reader expects it; it has the highest bit. */
const char *flags_take(__u32 *flags)
{
	__u32 flag = *flags & VMINSPECT_ENTRY_PRESENT;
	const char *name;

	if (!flag)
		flag = *flags & -*flags;
	*flags &= ~flag;

	name = vminspect_flag_name(__builtin_ctz(flag));
	return name ? name : "?";
}

const char *flags_text(char *buf, __u32 flags, char separator)
{
	char *end = buf;

	*end = '\0';
	while (flags) {
		if (end != buf)
			*end++ = separator;
		end = stpcpy(end, flags_take(&flags));
	}
	return buf;
}

int flags_parse_list(const char *option, const char *list, __u64 allowed,
		     __u64 *categories)
{
	char *copy = strdup(list), *rest = copy, *name;
	__u64 category;
	int ret = 0;

	if (!copy)
		die_of_memory();

	*categories = 0;
	while (!ret && (name = strsep(&rest, ","))) {
		if (vminspect_category_parse(name, &category) || !(category & allowed))
			ret = misuse("%s does not take '%s'", option, name);
		else
			*categories |= category;
	}
	free(copy);
	return ret;
}
