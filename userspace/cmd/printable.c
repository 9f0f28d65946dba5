// SPDX-License-Identifier: GPL-2.0
/*
 * Text from elsewhere.
 */
#include <stdlib.h>
#include <wchar.h>
#include <wctype.h>

#include "printable.h"

void print_printable(FILE *stream, const char *text)
{
	mbstate_t state = {};
	wchar_t character;
	size_t length;

	for (; *text; text += length) {
		length = mbrtowc(&character, text, MB_CUR_MAX, &state);
		if (length <= MB_CUR_MAX && iswprint(character)) {
			fprintf(stream, "%.*s", (int)length, text);
		} else {
			fprintf(stream, "\\x%02x", (unsigned char)*text);
			state = (mbstate_t) {};
			length = 1;
		}
	}
}
