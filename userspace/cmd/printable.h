/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text from elsewhere, such as the name of a mapping, that must not get at the terminal.
 */
#ifndef PRINTABLE_H
#define PRINTABLE_H

#include <stdio.h>

/* Writes what is no printable character as \xHH, like libsmartcols in tables. */
void print_printable(FILE *stream, const char *text);

#endif
