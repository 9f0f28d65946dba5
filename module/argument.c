// SPDX-License-Identifier: GPL-2.0
/*
 * The argument of an ioctl: a structure that begins with its size and may be an older
 * or a newer one than ours.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "argument.h"

/*
 * What can't be written is found out before anything is done: @size bytes, at most a
 * page, lie in two pages at most.
 */
static int argument_probe(u8 __user *user, const void *argument, size_t size)
{
	const u8 *bytes = argument;

	return put_user(bytes[0], user) ?: put_user(bytes[size - 1], user + size - 1);
}

/**
 * vmi_argument_get() - copy an argument in
 * @user: where it is
 * @argument: out: the argument, with zeroes for what the caller does not have
 * @first_size: the size that the structure had in its first version, a number that never
 *	changes: a shorter one has never been
 * @size: today's
 *
 * Return: how many bytes of it the caller is to get back, or EFAULT, EINVAL, E2BIG as the
 * rules in uapi/vminspect.h say
 *
 * Context: may sleep.
 */
int vmi_argument_get(void __user *user, void *argument, size_t first_size, size_t size)
{
	u32 theirs;
	int ret;

	if (get_user(theirs, (u32 __user *)user))
		return -EFAULT;
	if (theirs < first_size)
		return -EINVAL;
	if (theirs > PAGE_SIZE)	/* the rule of clone3: no tail of gigabytes is read */
		return -E2BIG;
	ret = copy_struct_from_user(argument, size, user, theirs);
	if (ret)
		return ret;
	/* As long as it was when read: another thread may have changed it since. */
	theirs = min_t(size_t, theirs, size);
	return argument_probe(user, argument, theirs) ? -EFAULT : theirs;
}
