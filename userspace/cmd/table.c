// SPDX-License-Identifier: GPL-2.0
/*
 * Records as a table, as raw fields or as JSON.
 */
#include <ctype.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "digits.h"
#include "error.h"
#include "flags.h"
#include "json.h"
#include "printable.h"
#include "progress.h"
#include "stdout.h"
#include "table.h"

/*
 * Rows that are printed together. libsmartcols lays the first ones out; those that follow take
 * the widths that it found, since it needs ten times as long for a row as all else does.
 */
#define PORTION		128
#define MAX_COLUMNS	32

struct table {
	const struct view *view;
	const struct output *out;
	const char *hidden;
	int columns[MAX_COLUMNS];
	size_t nr_columns;
	struct libscols_table *scols;	/* NULL for JSON */
	size_t nr_waiting;		/* rows not printed yet */
	bool laid_out;			/* a whole portion was: widths are known */
	size_t widths[MAX_COLUMNS];
	bool has_rows;
};

const char *size_text(char *buf, __u64 bytes, bool plain)
{
	const char *unit = "\0KMGTPE";	/* bytes have none */
	bool whole = true;
	double size;

	if (plain) {
		snprintf(buf, SIZE_TEXT, "%llu", bytes);
		return buf;
	}
	for (size = bytes; size >= 1024; unit++) {
		size /= 1024;
		whole = whole && !(bytes % 1024);
		bytes /= 1024;
	}
	/* a whole number goes without its decimal, as in util-linux */
	if (whole) {
		digits_decimal(buf, bytes);
	} else {
		snprintf(buf, SIZE_TEXT, "%.1f", size);
		if (!strcmp(strchr(buf, '.'), ".0"))
			*strchr(buf, '.') = '\0';
	}
	strncat(buf, unit, 1);
	return buf;
}

/* In hundredths or tenths below a hundred, so that there are three digits. */
static char *three_digits(char *buf, __u64 number, __u64 unit)
{
	__u64 hundredths = (number * 100 + unit / 2) / unit;
	__u64 tenths = (number * 10 + unit / 2) / unit;

	if (hundredths < 1000) {
		buf = digits_decimal(buf, hundredths / 100);
		*buf++ = '.';
		return digits_padded(buf, hundredths % 100, 2);
	}
	if (tenths < 1000) {
		buf = digits_decimal(buf, tenths / 10);
		*buf++ = '.';
		return digits_padded(buf, tenths % 10, 1);
	}
	return digits_decimal(buf, (number + unit / 2) / unit);
}

const char *time_text(char *buf, __u64 ns, bool plain)
{
	static const char * const names[] = { "ns", "us", "ms", "s" };
	unsigned int i = 0;
	__u64 unit = 1;

	if (plain) {
		digits_decimal(buf, ns);
		return buf;
	}
	/* what would be rounded to four digits takes the next unit */
	while (i < ARRAY_SIZE(names) - 1 && (ns + unit / 2) / unit >= 1000) {
		unit *= 1000;
		i++;
	}
	strcpy(i ? three_digits(buf, ns, unit) : digits_decimal(buf, ns), names[i]);
	return buf;
}

static const char *value_text(const struct table *table, const struct column *column,
			      const struct value *value, char buf[FLAGS_TEXT])
{
	char *end;

	if (value->null)
		return column->type == COLUMN_STRING && value->string ? value->string : "";

	switch (column->type) {
	case COLUMN_STRING:
		return value->string;
	case COLUMN_ADDRESS:
	case COLUMN_FRAME:
		digits_hexadecimal(buf, value->number);
		return buf;
	case COLUMN_SIZE:
		return size_text(buf, value->number, table->out->bytes);
	case COLUMN_COUNT:
		digits_decimal(buf, value->number);
		return buf;
	case COLUMN_TIME:
		return time_text(buf, value->number, table->out->bytes);
	case COLUMN_SECONDS:
		end = stpcpy(digits_decimal(buf, value->number / 1000000000), ".");
		digits_padded(end, value->number % 1000000000 / 1000, 6);
		return buf;
	case COLUMN_NUMBER:
		snprintf(buf, FLAGS_TEXT, "%lld", (long long)value->number);
		return buf;
	case COLUMN_RATIO:
		snprintf(buf, FLAGS_TEXT, "%.2f", value->ratio);
		return buf;
	case COLUMN_BOOLEAN:
		return value->number ? "yes" : "no";
	case COLUMN_FLAGS:
		return flags_text(buf, value->number, ',');
	case COLUMN_SWAP:
		end = stpcpy(digits_decimal(buf, value->swap.type), ":");
		digits_decimal(end, value->swap.offset);
		return buf;
	}
	return "";
}

static json_t *value_json(const struct column *column, const struct value *value)
{
	if (value->null)
		return json_null();

	switch (column->type) {
	case COLUMN_STRING:
		return json_text(value->string);
	case COLUMN_ADDRESS:
		return json_address(value->number);
	case COLUMN_FRAME:
	case COLUMN_SIZE:
	case COLUMN_COUNT:
	case COLUMN_NUMBER:
	case COLUMN_TIME:
	case COLUMN_SECONDS:
		return json_integer(value->number);
	case COLUMN_RATIO:
		return json_real(value->ratio);
	case COLUMN_BOOLEAN:
		return json_boolean(value->number);
	case COLUMN_FLAGS:
		return json_flags(value->number);
	case COLUMN_SWAP:
		return json_swap(value->swap.type, value->swap.offset, value->swap.device,
				 value->swap.backing);
	}
	return json_null();
}

static bool is_number(enum column_type type)
{
	return type == COLUMN_FRAME || type == COLUMN_SIZE || type == COLUMN_COUNT ||
	       type == COLUMN_NUMBER || type == COLUMN_RATIO || type == COLUMN_TIME ||
	       type == COLUMN_SECONDS;
}

static const struct column *table_column(const struct table *table, size_t i)
{
	return &table->view->columns[table->columns[i]];
}

static struct value table_value(const struct table *table, size_t i, const void *record)
{
	struct value value = {};

	if (table->hidden && table_column(table, i)->flags & HIDEABLE)
		value.null = true;
	else
		table->view->value(&value, table->columns[i], record);
	return value;
}

int view_column(const struct view *view, const char *name)
{
	for (size_t i = 0; i < view->nr_columns; i++) {
		if (!strcasecmp(view->columns[i].name, name))
			return i;
	}
	return -1;
}

static int add_column(struct table *table, const char *name)
{
	int column = view_column(table->view, name);

	if (column < 0)
		return misuse("there is no column '%s' here: --list-columns names them", name);
	if (table->nr_columns == MAX_COLUMNS)
		return misuse("-o takes at most %d columns", MAX_COLUMNS);
	table->columns[table->nr_columns++] = column;
	return 0;
}

static void add_usual_columns(struct table *table)
{
	unsigned int usual = table->out->json ? IN_JSON : IN_TABLE;

	for (size_t i = 0; i < table->view->nr_columns; i++) {
		if (table->view->columns[i].flags & usual)
			table->columns[table->nr_columns++] = i;
	}
}

/* In the manner of util-linux: "A,B" in place of the usual columns, "+A,B" after them. */
static int choose_columns(struct table *table, const char *list)
{
	char *copy, *rest, *name;
	int ret = 0;

	if (!list || *list == '+')
		add_usual_columns(table);
	if (!list)
		return 0;

	copy = strdup(list);
	if (!copy)
		die_of_memory();
	rest = copy + (*list == '+');
	while (!ret && (name = strsep(&rest, ",")))
		ret = add_column(table, name);
	free(copy);
	return ret;
}

static struct libscols_table *new_scols(const struct table *table)
{
	struct libscols_table *scols = scols_new_table();

	if (!scols)
		die_of_memory();

	scols_table_enable_raw(scols, table->out->raw);
	scols_table_enable_noheadings(scols, table->out->noheadings);
	/* nothing is cut off: the same on a terminal and in a pipe */
	scols_table_set_termforce(scols, SCOLS_TERMFORCE_NEVER);

	for (size_t i = 0; i < table->nr_columns; i++) {
		const struct column *column = table_column(table, i);
		int flags = is_number(column->type) ? SCOLS_FL_RIGHT : 0;

		/* libsmartcols keeps to either the heading or a strict width */
		if (column->width > strlen(column->name))
			flags |= SCOLS_FL_STRICTWIDTH;
		if (!scols_table_new_column(scols, column->name, column->width, flags))
			die_of_memory();
	}
	return scols;
}

struct table *table_new(const struct view *view, const struct output *out)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		die_of_memory();

	table->view = view;
	table->out = out;
	if (choose_columns(table, out->columns)) {
		free(table);
		return NULL;
	}
	if (!out->json)
		table->scols = new_scols(table);
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	scols_unref_table(table->scols);
	free(table);
}

bool table_shows(const struct table *table, int column)
{
	for (size_t i = 0; i < table->nr_columns; i++) {
		if (table->columns[i] == column)
			return true;
	}
	return false;
}

static void column_key(const struct column *column, char *key, size_t size)
{
	size_t i;

	for (i = 0; i < size - 1 && column->name[i]; i++)
		key[i] = tolower(column->name[i]);
	key[i] = '\0';
}

/* Frames above all, whether they are shown or only counted in something. */
static void name_hidden(const struct table *table, json_t *head)
{
	char key[32];

	if (!table->hidden)
		return;
	json_put_hidden(head, "pfn", table->hidden);
	for (size_t i = 0; i < table->nr_columns; i++) {
		const struct column *column = table_column(table, i);

		column_key(column, key, sizeof(key));
		if (column->flags & HIDEABLE)
			json_put_hidden(head, key, table->hidden);
	}
}

void table_begin(struct table *table, json_t *head, const char *hidden)
{
	table->hidden = hidden;
	if (table->out->json) {
		/* rows are told by what follows them, and go out when the buffer is full */
		progress_erase();
		progress_yield();
		name_hidden(table, head);
		putchar('{');
		json_print_members(head);
		printf(",\"%s\":[", table->view->name);
	}
	json_decref(head);
}

json_t *table_row_json(const struct table *table, const void *record)
{
	json_t *row = json_object();
	char key[32];

	for (size_t i = 0; i < table->nr_columns; i++) {
		const struct column *column = table_column(table, i);
		struct value value = table_value(table, i, record);

		if (value.null && column->flags & OMITTED)
			continue;
		column_key(column, key, sizeof(key));
		json_put(row, key, value_json(column, &value));
	}
	return row;
}

static void print_json_row(const struct table *table, const void *record)
{
	json_t *row = table_row_json(table, record);

	fputs(table->has_rows ? ",\n" : "\n", stdout);
	json_print_row(row);
	json_decref(row);
}

static void add_scols_row(struct table *table, const void *record)
{
	struct libscols_line *line = scols_table_new_line(table->scols, NULL);
	char buf[FLAGS_TEXT];

	if (!line)
		die_of_memory();

	for (size_t i = 0; i < table->nr_columns; i++) {
		struct value value = table_value(table, i, record);

		if (scols_line_set_data(line, i, value_text(table, table_column(table, i),
							    &value, buf)))
			die_of_memory();
	}
}

/* As wide as its heading at least; the last one ends the line where it ends. */
static int line_width(const struct table *table, size_t i)
{
	const struct column *column = table_column(table, i);
	size_t width = table->out->noheadings ? 0 : strlen(column->name);

	if (table->out->raw || (i == table->nr_columns - 1 && !is_number(column->type)))
		return 0;
	if (table->laid_out)
		return table->widths[i];
	return column->width > width ? column->width : width;
}

static void print_spaces(int nr)
{
	static const char spaces[] = "                                ";
	int part;

	for (; nr > 0; nr -= part) {
		part = nr < (int)sizeof(spaces) - 1 ? nr : (int)sizeof(spaces) - 1;
		fwrite_unlocked(spaces, 1, part, stdout);
	}
}

/* Text from elsewhere: a line stays a line, and in raw ones a field a field. */
static void print_cell(const struct table *table, size_t i, const char *text)
{
	int width = line_width(table, i), length = 0;
	bool right = is_number(table_column(table, i)->type);

	while (text[length] > ' ' && text[length] <= '~')
		length++;
	if (right)
		print_spaces(width - length);
	if (text[length])
		length = print_printable(stdout, text, table->out->raw ? " \\" : "");
	else
		fwrite_unlocked(text, 1, length, stdout);
	if (!right)
		print_spaces(width - length);
}

static void print_line_end(const struct table *table, size_t i)
{
	putchar_unlocked(i == table->nr_columns - 1 ? '\n' : ' ');
}

static void print_line_heading(const struct table *table)
{
	for (size_t i = 0; i < table->nr_columns; i++) {
		print_cell(table, i, table_column(table, i)->name);
		print_line_end(table, i);
	}
}

void table_line(struct table *table, const void *record)
{
	char buf[FLAGS_TEXT];

	if (!table->has_rows && !table->out->noheadings)
		print_line_heading(table);
	table->has_rows = true;
	for (size_t i = 0; i < table->nr_columns; i++) {
		struct value value = table_value(table, i, record);

		print_cell(table, i, value_text(table, table_column(table, i), &value, buf));
		print_line_end(table, i);
	}
}

static void lay_out(struct table *table)
{
	for (size_t i = 0; i < table->nr_columns; i++) {
		struct libscols_column *column = scols_table_get_column(table->scols, i);

		table->widths[i] = scols_column_get_width(column);
	}
	table->laid_out = true;
}

void table_flush(struct table *table)
{
	progress_erase();
	if (table->scols && table->nr_waiting && !table->laid_out) {
		if (scols_print_table(table->scols))
			die_of_memory();
		if (table->nr_waiting == PORTION)
			lay_out(table);
		scols_table_remove_lines(table->scols);
		scols_table_enable_noheadings(table->scols, 1);
	}
	table->nr_waiting = 0;
	stdout_flush();
}

void table_row(struct table *table, const void *record)
{
	if (table->out->json)
		print_json_row(table, record);
	else if (table->laid_out)
		table_line(table, record);
	else
		add_scols_row(table, record);
	table->has_rows = true;
	if (++table->nr_waiting == PORTION)
		table_flush(table);
}

void table_end(struct table *table, json_t *tail)
{
	if (table->out->json) {
		fputs(table->has_rows ? "\n]" : "]", stdout);
		if (json_object_size(tail)) {
			putchar(',');
			json_print_members(tail);
		}
		puts("}");
	}
	json_decref(tail);
	table_flush(table);
}

struct order {
	const struct view *view;
	int column;
	bool descending;
};

static int compare_values(const struct view *view, int column, const void *a, const void *b)
{
	struct value x = {}, y = {};

	view->value(&x, column, a);
	view->value(&y, column, b);
	if (x.null || y.null)
		return y.null - x.null;

	switch (view->columns[column].type) {
	case COLUMN_STRING:
		return strcmp(x.string, y.string);
	case COLUMN_RATIO:
		return (x.ratio > y.ratio) - (x.ratio < y.ratio);
	default:
		return (x.number > y.number) - (x.number < y.number);
	}
}

static int compare_records(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	int ret = compare_values(order->view, order->column, a, b);

	if (order->descending)
		ret = -ret;
	return ret ? ret : compare_values(order->view, 0, a, b);
}

void view_sort(const struct view *view, int column, bool descending,
	       void *records, size_t nr, size_t size)
{
	struct order order = { view, column, descending };

	qsort_r(records, nr, size, compare_records, &order);
}
