// SPDX-License-Identifier: GPL-2.0
/*
 * An event as a row and as an object.
 */
#include <stdio.h>
#include <string.h>

#include "area.h"
#include "cgroup.h"
#include "command.h"
#include "digits.h"
#include "event.h"
#include "json.h"

#define MINOR_BITS	20

enum {
	COL_TIME, COL_EVENT, COL_PID, COL_COMM, COL_VA, COL_PAGES, COL_SWAP, COL_SOURCE,
	COL_FLAGS, COL_LATENCY, COL_AS, COL_ACTOR, COL_TID, COL_MAPPING, COL_DEVICE, COL_CGROUP,
	COL_IP, COL_INODE, COL_INDEX, COL_GPA,
};

static const struct column columns[] = {
	[COL_TIME] = { "TIME", 11, COLUMN_SECONDS, IN_TABLE, "seconds since the start" },
	[COL_EVENT] = { "EVENT", 8, COLUMN_STRING, IN_TABLE, "swap_in, swap_out, read, write" },
	[COL_PID] = { "PID", 7, COLUMN_COUNT, IN_TABLE, "whose page it is" },
	[COL_COMM] = { "COMM", 15, COLUMN_STRING, IN_TABLE, "what that process is called" },
	[COL_VA] = { "VA", 14, COLUMN_ADDRESS, IN_TABLE, "address, of the first page of several" },
	[COL_PAGES] = { "PAGES", 5, COLUMN_COUNT, IN_TABLE, "pages of 4096 bytes" },
	[COL_SWAP] = { "SWAP", 10, COLUMN_SWAP, IN_TABLE, "area:slot" },
	[COL_SOURCE] = { "SOURCE", 6, COLUMN_STRING, IN_TABLE,
		"where from or to: device, zram, zswap, zero, cache" },
	[COL_FLAGS] = { "FLAGS", 16, COLUMN_STRING, IN_TABLE,
		"major, retried, readahead, shmem, failed" },
	[COL_LATENCY] = { "LATENCY", 7, COLUMN_TIME, IN_TABLE, "how long it took" },
	[COL_AS] = { "AS", 10, COLUMN_STRING, IN_TABLE, "as what the actor did it" },
	[COL_ACTOR] = { "ACTOR", 15, COLUMN_STRING, IN_TABLE, "the task that did it" },
	[COL_TID] = { "TID", 7, COLUMN_COUNT, IN_TABLE, "its thread id" },
	[COL_MAPPING] = { "MAPPING", 0, COLUMN_STRING, IN_TABLE, "file or [name]" },
	[COL_DEVICE] = { "DEVICE", 12, COLUMN_STRING, 0, "path of the swap area" },
	[COL_CGROUP] = { "CGROUP", 20, COLUMN_STRING, 0, "cgroup of the process or the page" },
	[COL_IP] = { "IP", 14, COLUMN_ADDRESS, 0, "instruction that faulted" },
	[COL_INODE] = { "INODE", 8, COLUMN_COUNT, 0, "of shared memory: its file" },
	[COL_INDEX] = { "INDEX", 8, COLUMN_COUNT, 0, "of shared memory: page in the file" },
	[COL_GPA] = { "GPA", 12, COLUMN_ADDRESS, 0, "of a VMM: address in its guest" },
};

/* By the position of their bits. */
static const char * const flag_names[] = { "major", "retried", "readahead", "shmem", "failed" };

static bool is_transfer(const struct vminspect_event *event)
{
	return event->kind == VMINSPECT_EVENT_READ || event->kind == VMINSPECT_EVENT_WRITE;
}

static bool has_latency(const struct vminspect_event *event)
{
	return event->kind == VMINSPECT_EVENT_SWAP_IN || is_transfer(event);
}

static bool is_lost(const struct vminspect_event *event)
{
	return event->kind == VMINSPECT_EVENT_LOST;
}

static const char *kind_name(const struct vminspect_event *event)
{
	const char *name = vminspect_event_name(event->kind);

	return name ? name : "?";
}

static const char *flags_list(__u32 flags)
{
	static char text[64];
	char *end = text;

	*end = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
		if (!(flags & (1U << i)))
			continue;
		if (end > text)
			*end++ = ',';
		end = stpcpy(end, flag_names[i]);
	}
	return text;
}

static void string_value(struct value *value, const char *string)
{
	value->null = !string || !*string;
	value->string = string ? string : "";
}

static void number_value(struct value *value, __u64 number, bool known)
{
	value->null = !known;
	value->number = number;
}

/* Return: whether the address of an event is one of a guest. */
static bool find_gpa(const struct event_row *row, __u64 *gpa)
{
	return row->guests && (row->event->flags & VMINSPECT_EVENT_VA) &&
	       guest_memory_find(row->guests, row->event->va, gpa);
}

static void owner_value(struct value *value, int column, const struct event_row *row)
{
	const struct vminspect_event *event = row->event;

	switch (column) {
	case COL_PID:
		number_value(value, event->pid, event->pid);
		break;
	case COL_COMM:
		string_value(value, event->comm);
		break;
	case COL_VA:
		number_value(value, event->va, event->flags & VMINSPECT_EVENT_VA);
		break;
	case COL_GPA:
		value->null = !find_gpa(row, &value->number);
		break;
	case COL_IP:
		number_value(value, event->ip, event->ip);
		break;
	case COL_MAPPING:
		string_value(value, row->mapping);
		break;
	case COL_CGROUP:
		string_value(value, cgroup_path(event->cgroup));
		break;
	case COL_INODE:
		number_value(value, event->inode, event->flags & VMINSPECT_EVENT_SHMEM);
		break;
	case COL_INDEX:
		number_value(value, event->index, event->flags & VMINSPECT_EVENT_SHMEM);
		break;
	}
}

static const char *device_of(const struct vminspect_event *event)
{
	return area_path_at(event->swap_type, event->time_ns);
}

static void act_value(struct value *value, int column, const struct vminspect_event *event)
{
	switch (column) {
	case COL_PAGES:
		value->number = event->pages;
		break;
	case COL_SWAP:
		value->null = is_lost(event);
		value->swap.type = event->swap_type;
		value->swap.offset = event->offset;
		break;
	case COL_DEVICE:
		string_value(value, is_lost(event) ? NULL : device_of(event));
		break;
	case COL_SOURCE:
		string_value(value, vminspect_source_name(event->source));
		break;
	case COL_FLAGS:
		string_value(value, flags_list(event->flags));
		break;
	case COL_LATENCY:
		number_value(value, event->latency_ns,
			     event->latency_ns != VMINSPECT_UNKNOWN);
		break;
	case COL_AS:
		string_value(value, is_lost(event) ? NULL : vminspect_as_name(event->as));
		break;
	case COL_ACTOR:
		string_value(value, event->actor_comm);
		break;
	case COL_TID:
		number_value(value, event->actor_tid, event->actor_tid);
		break;
	}
}

static void event_value(struct value *value, int column, const void *record)
{
	const struct event_row *row = record;
	const struct vminspect_event *event = row->event;

	switch (column) {
	case COL_TIME:
		number_value(value, event->time_ns - row->start_ns,
			     event->time_ns >= row->start_ns);
		break;
	case COL_EVENT:
		value->string = kind_name(event);
		break;
	case COL_PID:
	case COL_COMM:
	case COL_VA:
	case COL_GPA:
	case COL_IP:
	case COL_MAPPING:
	case COL_CGROUP:
	case COL_INODE:
	case COL_INDEX:
		owner_value(value, column, row);
		break;
	default:
		act_value(value, column, event);
	}
}

const struct view event_view = {
	.name = "events",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = event_value,
};

/*
 * There may be hundreds of thousands a second, and who reads too slowly loses some: so these
 * objects are written, not built.
 */
static void print_text(const char *text)
{
	fputs_unlocked(text, stdout);
}

static void print_key(const char *key)
{
	print_text(",\"");
	print_text(key);
	print_text("\":");
}

static void print_decimal(__u64 number)
{
	char text[DIGITS_TEXT];

	digits_decimal(text, number);
	print_text(text);
}

static void print_number(const char *key, __u64 number, bool known)
{
	print_key(key);
	if (known)
		print_decimal(number);
	else
		print_text("null");
}

static void print_address(const char *key, __u64 address, bool known)
{
	char text[DIGITS_TEXT];

	digits_hexadecimal(text, address);
	print_key(key);
	json_print_string(known ? text : NULL);
}

static void print_string(const char *key, const char *string)
{
	print_key(key);
	json_print_string(string);
}

static void print_boolean(const char *key, bool value)
{
	print_key(key);
	print_text(value ? "true" : "false");
}

static const char *known_name(const char *name)
{
	return *name ? name : NULL;
}

static void print_owner(const struct event_row *row)
{
	const struct vminspect_event *event = row->event;
	bool has_va = event->flags & VMINSPECT_EVENT_VA;
	__u64 gpa = 0;

	print_number("pid", event->pid, event->pid);
	print_string("comm", known_name(event->comm));
	print_string("cgroup", cgroup_path(event->cgroup));
	print_address("va", event->va, has_va);
	if (row->guests) {
		bool known = find_gpa(row, &gpa);

		print_address("gpa", gpa, known);
	}
	print_string("mapping", row->mapping);
	if (event->flags & VMINSPECT_EVENT_SHMEM)
		printf(",\"shmem\":{\"inode\":%llu,\"index\":%llu,\"dev\":\"%u:%u\"}",
		       event->inode, event->index, event->dev >> MINOR_BITS,
		       event->dev & ((1U << MINOR_BITS) - 1));
}

/* Of what is read and written: zram is a device there. */
static const char *backing_name(const struct vminspect_event *event)
{
	if (event->source == VMINSPECT_SOURCE_ZRAM)
		return "device";
	return vminspect_source_name(event->source);
}

static void print_swap(const struct vminspect_event *event)
{
	const char *backing = is_transfer(event) ? backing_name(event) : NULL;

	print_text(",\"swap\":{\"type\":");
	print_decimal(event->swap_type);
	print_number("offset", event->offset, true);
	print_string("device", device_of(event));
	if (backing)
		print_string("backing", backing);
	print_text("}");
}

static void print_actor(const struct vminspect_event *event)
{
	print_text(",\"actor\":{\"as\":");
	json_print_string(vminspect_as_name(event->as));
	print_number("pid", event->actor_pid, event->actor_pid || *event->actor_comm);
	print_number("tid", event->actor_tid, event->actor_tid || *event->actor_comm);
	print_string("comm", known_name(event->actor_comm));
	print_text("}");
}

static void print_fault(const struct vminspect_event *event)
{
	print_string("source", vminspect_source_name(event->source));
	print_boolean("major", event->flags & VMINSPECT_EVENT_MAJOR);
	print_boolean("retried", event->flags & VMINSPECT_EVENT_RETRIED);
	print_address("ip", event->ip, event->ip);
}

static void print_transfer(const struct vminspect_event *event)
{
	if (event->kind == VMINSPECT_EVENT_READ)
		print_boolean("readahead", event->flags & VMINSPECT_EVENT_READAHEAD);
	print_boolean("failed", event->flags & VMINSPECT_EVENT_FAILED);
}

static void print_kind(const struct vminspect_event *event)
{
	if (event->kind == VMINSPECT_EVENT_SWAP_IN)
		print_fault(event);
	if (is_transfer(event))
		print_transfer(event);
	if (has_latency(event))
		print_number("latency_ns", event->latency_ns,
			     event->latency_ns != VMINSPECT_UNKNOWN);
}

void event_print_json(const struct event_row *row)
{
	const struct vminspect_event *event = row->event;

	if (is_lost(event)) {
		printf("{\"event\":\"lost\",\"records\":%u,\"time_ns\":%llu}\n", event->pages,
		       event->time_ns);
		return;
	}
	print_text("{\"time_ns\":");
	print_decimal(event->time_ns);
	print_string("event", kind_name(event));
	print_owner(row);
	print_number("pages", event->pages, true);
	print_swap(event);
	print_kind(event);
	print_actor(event);
	print_text("}\n");
}

json_t *kinds_json(__u32 kinds)
{
	json_t *list = json_array();

	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (kinds & 1U << kind)
			json_append(list, json_text(vminspect_event_name(kind)));
	}
	return list;
}

const char *kinds_text(__u32 kinds)
{
	static char text[64];
	char *end = text;

	*end = '\0';
	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (kinds & 1U << kind)
			end += sprintf(end, "%s%s", end > text ? ", " : "",
				       vminspect_event_name(kind));
	}
	return text;
}
