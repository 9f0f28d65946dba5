/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records as a table, as raw fields or as JSON.
 *
 * A view describes its columns once: help, -o, table and JSON come from that. Rows
 * are printed in portions as they come, so that memory stays constant.
 */
#ifndef TABLE_H
#define TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* What the common options say. */
struct output {
	bool json;
	bool raw;
	bool noheadings;
	bool bytes;
	const char *columns;	/* of -o, or NULL */
};

enum column_type {
	COLUMN_STRING,		/* value.string */
	COLUMN_ADDRESS,		/* value.number: hexadecimal, in JSON a string */
	COLUMN_FRAME,		/* value.number: hexadecimal, in JSON a number */
	COLUMN_SIZE,		/* value.number: bytes */
	COLUMN_COUNT,		/* value.number */
	COLUMN_NUMBER,		/* value.number, as a signed one */
	COLUMN_RATIO,		/* value.ratio */
	COLUMN_TIME,		/* value.number: nanoseconds, with a unit that fits */
	COLUMN_SECONDS,		/* value.number: nanoseconds, as seconds */
	COLUMN_BOOLEAN,		/* value.number */
	COLUMN_FLAGS,		/* value.number: VMINSPECT_PAGE_*, VMINSPECT_ENTRY_PRESENT */
	COLUMN_SWAP,		/* value.swap */
};

struct value {
	bool null;		/* a string besides is shown where null can't be */
	union {
		const char *string;
		__u64 number;
		double ratio;
		struct {
			unsigned int type;
			__u64 offset;
			const char *device;	/* or NULL, likewise */
			const char *backing;
		} swap;
	};
};

/* Shown without being asked for: */
#define IN_TABLE	(1U << 0)
#define IN_JSON		(1U << 1)
#define IN_BOTH		(IN_TABLE | IN_JSON)
/* A frame could be told from it: null where frames are hidden. */
#define HIDEABLE	(1U << 2)
/* Has no key in JSON where it is null. */
#define OMITTED		(1U << 3)

struct column {
	const char *name;	/* in lower case the key in JSON */
	unsigned int width;	/* at least: rows that come later may need it */
	enum column_type type;
	unsigned int flags;
	const char *help;
};

struct view {
	const char *name;	/* of the array in JSON */
	const char *when;	/* for the help: which options give this view */
	const struct column *columns;
	size_t nr_columns;
	/* Fills in what one column shows of a record; @value is all zero before. */
	void (*value)(struct value *value, int column, const void *record);
};

struct table;

/* Return: NULL, after a message, if the options name a column that there is not. */
struct table *table_new(const struct view *view, const struct output *out);
void table_free(struct table *table);
/* Whether a column is among those that are printed. */
bool table_shows(const struct table *table, int column);

/*
 * @head and @tail: the members of a JSON document before and after the array; they are
 * taken over, and not printed in the other forms. @tail may be NULL.
 * @hidden: why frames are hidden, or NULL.
 */
void table_begin(struct table *table, json_t *head, const char *hidden);
void table_row(struct table *table, const void *record);
void table_end(struct table *table, json_t *tail);

/*
 * Instead of the three: a row printed at once, in columns of fixed widths. For rows that come over
 * time, and fast. Not in JSON.
 */
void table_line(struct table *table, const void *record);

/* A row as an object, as JSON shows it. */
json_t *table_row_json(const struct table *table, const void *record);

/* Prints what has been collected so far. */
void table_flush(struct table *table);

/* The number of a column by its name, in any case; -1 if there is none. */
int view_column(const struct view *view, const char *name);
/* Sorts an array of records; those that are equal by their first column. */
void view_sort(const struct view *view, int column, bool descending,
	       void *records, size_t nr, size_t size);

/* Room for what size_text() writes. */
#define SIZE_TEXT	24
/* 1.5G, or plain: 1610612736. */
const char *size_text(char *buf, __u64 bytes, bool plain);
/* 850ns, 12.3us, 4.56ms, 1.23s, or plain: 850; in the same room. */
const char *time_text(char *buf, __u64 ns, bool plain);

#endif
