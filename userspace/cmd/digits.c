// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers as text.
 */
#include <string.h>

#include "digits.h"

char *digits_padded(char *to, __u64 number, unsigned int nr)
{
	to[nr] = '\0';
	for (unsigned int i = nr; i; i--) {
		to[i - 1] = '0' + number % 10;
		number /= 10;
	}
	return to + nr;
}

char *digits_decimal(char *to, __u64 number)
{
	unsigned int nr = 1;

	for (__u64 rest = number; rest >= 10; rest /= 10)
		nr++;
	return digits_padded(to, number, nr);
}

char *digits_hexadecimal(char *to, __u64 number)
{
	unsigned int nr = number ? (67 - __builtin_clzll(number)) / 4 : 1;

	to = stpcpy(to, "0x");
	to[nr] = '\0';
	for (unsigned int i = nr; i; i--) {
		to[i - 1] = "0123456789abcdef"[number % 16];
		number /= 16;
	}
	return to + nr;
}
