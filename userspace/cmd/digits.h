/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers as text, for what is printed hundreds of thousands of times a second: printf() takes
 * several times as long.
 */
#ifndef DIGITS_H
#define DIGITS_H

#include <linux/types.h>

/* Room for any of them. */
#define DIGITS_TEXT	24

/* Each returns the end of what it wrote, where a zero byte stands. */
char *digits_decimal(char *to, __u64 number);
/* With 0x. */
char *digits_hexadecimal(char *to, __u64 number);
/* With so many digits, zeroes before it. */
char *digits_padded(char *to, __u64 number, unsigned int nr);

#endif
