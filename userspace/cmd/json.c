// SPDX-License-Identifier: GPL-2.0
/*
 * What JSON documents consist of here.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "flags.h"
#include "json.h"

/* Fifteen digits print what was rounded to two decimals as it was rounded. */
#define STYLE	(JSON_COMPACT | JSON_REAL_PRECISION(15))

/* Every call here has valid arguments, so NULL can only mean one thing. */
static json_t *made(json_t *json)
{
	if (!json)
		die_of_memory();
	return json;
}

json_t *json_schema(void)
{
	return made(json_pack("{s:i}", "schema", 1));
}

/* Length of the UTF-8 sequence at the beginning of a string, 0 if there is none. */
static size_t sequence(const char *string)
{
	for (size_t length = 1; length <= strnlen(string, 4); length++) {
		json_t *json = json_stringn(string, length);

		if (json) {
			json_decref(json);
			return length;
		}
	}
	return 0;
}

static json_t *repaired(const char *string)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *text, *end;
	json_t *json;

	text = malloc(strlen(string) * strlen(replacement) + 1);
	if (!text)
		die_of_memory();

	for (end = text; *string;) {
		size_t length = sequence(string);

		if (length) {
			end = mempcpy(end, string, length);
			string += length;
		} else {
			end = mempcpy(end, replacement, strlen(replacement));
			string++;
		}
	}
	json = made(json_stringn(text, end - text));
	free(text);
	return json;
}

json_t *json_text(const char *string)
{
	json_t *json = json_string(string);

	return json ? json : repaired(string);
}

json_t *json_address(__u64 address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", address);
	return made(json_string_nocheck(text));
}

json_t *json_flags(__u32 flags)
{
	json_t *list = made(json_array());

	while (flags) {
		const char *name = flags_take(&flags);

		json_append(list, json_string_nocheck(name));
	}
	return list;
}

json_t *json_swap(unsigned int type, __u64 offset, const char *device, const char *backing)
{
	json_t *swap = made(json_pack("{s:i,s:I}", "type", type, "offset", (json_int_t)offset));

	json_put(swap, "device", device ? json_text(device) : json_null());
	if (backing)
		json_put(swap, "backing", json_string(backing));
	return swap;
}

json_t *json_if(bool exists, json_t *json)
{
	if (exists)
		return json;
	json_decref(json);
	return json_null();
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(object, key, made(value)))
		die_of_memory();
}

void json_append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, made(value)))
		die_of_memory();
}

void json_put_hidden(json_t *object, const char *key, const char *why)
{
	json_t *hidden = json_object_get(object, "hidden");

	if (!hidden) {
		hidden = made(json_object());
		json_put(object, "hidden", hidden);
	}
	json_put(hidden, key, json_string(why));
}

void json_print_members(const json_t *object)
{
	json_dumpf(object, stdout, STYLE | JSON_EMBED);
}

void json_print_row(const json_t *object)
{
	char text[4096];
	size_t length;

	/* there may be millions of these, and json_dumpf() writes each comma by itself */
	length = json_dumpb(object, text, sizeof(text), STYLE);
	if (length <= sizeof(text))
		fwrite(text, 1, length, stdout);
	else
		json_dumpf(object, stdout, STYLE);
}

/* Whether a string stands in JSON as it is. */
static bool is_plain(const char *string)
{
	while (*string >= ' ' && *string <= '~' && *string != '"' && *string != '\\')
		string++;
	return !*string;
}

void json_print_string(const char *string)
{
	json_t *json;

	if (!string) {
		fputs_unlocked("null", stdout);
	} else if (is_plain(string)) {
		putchar_unlocked('"');
		fputs_unlocked(string, stdout);
		putchar_unlocked('"');
	} else {
		json = json_text(string);
		json_dumpf(json, stdout, STYLE | JSON_ENCODE_ANY);
		json_decref(json);
	}
}

void json_print(json_t *document)
{
	json_print_row(document);
	putchar('\n');
	json_decref(document);
}
