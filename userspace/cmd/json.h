/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What JSON documents consist of here. Memory that can't be had ends the program.
 */
#ifndef JSON_H
#define JSON_H

#include <jansson.h>
#include <linux/types.h>
#include <stdbool.h>

/* The object that every document begins with. */
json_t *json_schema(void);
/* A string, with U+FFFD for what is not UTF-8. */
json_t *json_text(const char *string);
/* Hexadecimal, as a string. */
json_t *json_address(__u64 address);
/* The names of VMINSPECT_PAGE_* and VMINSPECT_ENTRY_PRESENT. */
json_t *json_flags(__u32 flags);
/* @device and @backing may be NULL: not known. */
json_t *json_swap(unsigned int type, __u64 offset, const char *device, const char *backing);
/* Null instead of what does not exist. */
json_t *json_if(bool exists, json_t *json);

/* json_object_set_new_nocheck(), but it does not fail; keys are our own. */
void json_put(json_t *object, const char *key, json_t *value);
/* Likewise at the end of an array. */
void json_append(json_t *array, json_t *value);
/* Names @key under "hidden" with the reason @why. */
void json_put_hidden(json_t *object, const char *key, const char *why);

/* Prints a document and takes it over. */
void json_print(json_t *document);
/* The members without the braces around them. */
void json_print_members(const json_t *object);
void json_print_row(const json_t *object);
/* One string, in quotation marks; NULL is null. */
void json_print_string(const char *string);

#endif
