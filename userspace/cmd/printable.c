// SPDX-License-Identifier: GPL-2.0
/*
 * Text from elsewhere.
 */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "printable.h"

/* How many characters from there on are of ASCII, and as they are? Nearly always all. */
static size_t plain_length(const char *text, const char *others)
{
	size_t length = 0;

	while (text[length] >= ' ' && text[length] <= '~' && !strchr(others, text[length]))
		length++;
	return length;
}

int print_printable(FILE *stream, const char *text, const char *others)
{
	mbstate_t state = {};
	wchar_t character;
	size_t length;
	int width = 0;

	for (; *text; text += length) {
		length = plain_length(text, others);
		if (length) {
			fwrite(text, 1, length, stream);
			width += length;
			continue;
		}
		length = mbrtowc(&character, text, MB_CUR_MAX, &state);
		if (length <= MB_CUR_MAX && iswprint(character) && !strchr(others, *text)) {
			fprintf(stream, "%.*s", (int)length, text);
			width += wcwidth(character);
		} else {
			width += fprintf(stream, "\\x%02x", (unsigned char)*text);
			state = (mbstate_t) {};
			length = 1;
		}
	}
	return width;
}
