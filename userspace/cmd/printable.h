/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text from elsewhere, such as the name of a mapping, that must not get at the terminal.
 */
#ifndef PRINTABLE_H
#define PRINTABLE_H

#include <stdio.h>

/*
 * Writes what is no printable character, or among those of @others, as \xHH, like libsmartcols in
 * tables. Return: how many columns of the terminal it takes.
 */
int print_printable(FILE *stream, const char *text, const char *others);

#endif
