// SPDX-License-Identifier: GPL-2.0
/*
 * A summary in words, as tables and as JSON.
 */
#include <stdio.h>

#include "command.h"
#include "event.h"
#include "json.h"
#include "report.h"

#define PAGE	4096ULL
#define TOP	5
#define BAR	40
/* More than that a line of JSON does not need. */
#define TOP_JSON	100

static double rate(const struct summary *summary, __u64 pages)
{
	return summary->duration_ns ? pages * 1e9 / summary->duration_ns : 0;
}

enum {
	KIND_NAME, KIND_EVENTS, KIND_PAGES, KIND_SIZE, KIND_RATE, KIND_FAILED, KIND_MEDIAN,
	KIND_P90, KIND_P99, KIND_MAX,
};

static const struct column kind_columns[] = {
	[KIND_NAME] = { "KIND", 0, COLUMN_STRING, IN_BOTH, "of event" },
	[KIND_EVENTS] = { "EVENTS", 0, COLUMN_COUNT, IN_BOTH, "how many" },
	[KIND_PAGES] = { "PAGES", 0, COLUMN_COUNT, IN_BOTH, "of 4096 bytes" },
	[KIND_SIZE] = { "SIZE", 0, COLUMN_SIZE, IN_BOTH, "the same in bytes" },
	[KIND_RATE] = { "PAGES/S", 0, COLUMN_COUNT, IN_BOTH, "a second" },
	[KIND_FAILED] = { "FAILED", 0, COLUMN_COUNT, 0, "the device reported an error" },
	[KIND_MEDIAN] = { "MEDIAN", 0, COLUMN_TIME, IN_BOTH, "half take no longer" },
	[KIND_P90] = { "P90", 0, COLUMN_TIME, IN_BOTH, "nine of ten" },
	[KIND_P99] = { "P99", 0, COLUMN_TIME, IN_BOTH, "99 of a hundred" },
	[KIND_MAX] = { "MAX", 0, COLUMN_TIME, IN_BOTH, "the slowest" },
};

struct kind_row {
	const struct summary *summary;
	unsigned int kind;
};

static __u64 kind_number(int column, const struct kind_row *row)
{
	const struct kind_sum *sum = &row->summary->sums[row->kind];

	switch (column) {
	case KIND_EVENTS:
		return sum->events;
	case KIND_PAGES:
		return sum->pages;
	case KIND_SIZE:
		return sum->pages * PAGE;
	case KIND_RATE:
		return rate(row->summary, sum->pages) + 0.5;
	case KIND_FAILED:
		return sum->failed;
	case KIND_MEDIAN:
		return histogram_quantile(&sum->latency, 0.5);
	case KIND_P90:
		return histogram_quantile(&sum->latency, 0.9);
	case KIND_P99:
		return histogram_quantile(&sum->latency, 0.99);
	default:
		return sum->latency.max_ns;
	}
}

static void kind_value(struct value *value, int column, const void *record)
{
	const struct kind_row *row = record;

	if (column == KIND_NAME) {
		value->string = vminspect_event_name(row->kind);
		return;
	}
	value->null = column >= KIND_MEDIAN && !row->summary->sums[row->kind].latency.nr;
	value->number = kind_number(column, row);
}

static const struct view kind_view = {
	.name = "kinds",
	.columns = kind_columns,
	.nr_columns = ARRAY_SIZE(kind_columns),
	.value = kind_value,
};

enum { RANK_PID, RANK_COMM, RANK_IN, RANK_OUT, RANK_START, RANK_NAME };

static const struct column rank_columns[] = {
	[RANK_PID] = { "PID", 7, COLUMN_COUNT, IN_BOTH, "process" },
	[RANK_COMM] = { "COMM", 15, COLUMN_STRING, IN_BOTH, "what it is called" },
	[RANK_IN] = { "IN", 7, COLUMN_SIZE, IN_BOTH, "came in" },
	[RANK_OUT] = { "OUT", 7, COLUMN_SIZE, IN_BOTH, "went out" },
	[RANK_START] = { "START", 14, COLUMN_ADDRESS, 0, "first address" },
	[RANK_NAME] = { "MAPPING", 0, COLUMN_STRING, 0, "file or [name]" },
};

static void rank_value(struct value *value, int column, const void *record)
{
	const struct rank *rank = record;

	switch (column) {
	case RANK_PID:
		value->number = rank->pid;
		break;
	case RANK_COMM:
		value->string = rank->comm;
		break;
	case RANK_IN:
		value->number = rank->in_pages * PAGE;
		break;
	case RANK_OUT:
		value->number = rank->out_pages * PAGE;
		break;
	case RANK_START:
		value->number = rank->start;
		break;
	case RANK_NAME:
		value->string = rank->name ? rank->name : "";
		break;
	}
}

static const struct view rank_view = {
	.name = "ranks",
	.columns = rank_columns,
	.nr_columns = ARRAY_SIZE(rank_columns),
	.value = rank_value,
};

static void print_kinds(const struct summary *summary, const struct output *out)
{
	struct table *table = table_new(&kind_view, out);

	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (summary->kinds & 1U << kind)
			table_row(table, &(struct kind_row) { summary, kind });
	}
	table_flush(table);
	table_free(table);
}

static void print_bar(__u64 nr, __u64 most)
{
	int length = (nr * BAR + most - 1) / most;

	if (length)
		putchar(' ');
	while (length--)
		putchar('#');
	putchar('\n');
}

static void print_histogram(const struct histogram *histogram, const char *kind)
{
	char from[SIZE_TEXT], to[SIZE_TEXT];
	unsigned int first = 63, last = 0;
	__u64 most = 0;

	for (unsigned int power = 0; power < 63; power++) {
		__u64 nr = histogram_power(histogram, power);

		if (!nr)
			continue;
		first = power < first ? power : first;
		last = power;
		most = nr > most ? nr : most;
	}
	printf("\nHow long a %s took:\n", kind);
	for (unsigned int power = first; power <= last; power++) {
		__u64 nr = histogram_power(histogram, power);

		printf("%7s - %-7s %9llu", time_text(from, power ? 1ULL << power : 0, false),
		       time_text(to, 2ULL << power, false), nr);
		print_bar(nr, most);
	}
}

static void print_histograms(const struct summary *summary)
{
	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (summary->sums[kind].latency.nr)
			print_histogram(&summary->sums[kind].latency, vminspect_event_name(kind));
	}
}

static void print_top(const struct ranking *ranking, const struct output *out, const char *what,
		      const char *columns)
{
	const struct output format = { .bytes = out->bytes, .columns = columns };
	const struct rank *top[TOP];
	size_t nr = ranking_top(ranking, top, TOP);
	struct table *table;

	if (!nr)
		return;
	printf("\n%s that swapped most:\n", what);
	table = table_new(&rank_view, &format);
	for (size_t i = 0; i < nr; i++)
		table_row(table, top[i]);
	table_flush(table);
	table_free(table);
}

/* Whether some of the pages that came back may not have been noticed. */
static bool returned_at_least(const struct summary *summary)
{
	return summary->lost || summary->missed || recent_overflowed(summary->recent);
}

static void print_remarks(const struct summary *summary)
{
	const __u32 both = 1U << VMINSPECT_EVENT_SWAP_IN | 1U << VMINSPECT_EVENT_SWAP_OUT;

	putchar('\n');
	if (summary->unranked)
		puts("There were more of them than are counted: the lists may lack some.");
	if ((summary->kinds & both) == both)
		printf("Pages that came back within a second of going out: %s%llu\n",
		       returned_at_least(summary) ? "at least " : "",
		       summary->returned_pages);
	printf("Records lost: %llu; calls that the kernel's probes missed: %llu\n",
	       summary->lost, summary->missed);
	if (summary->missing)
		printf("This kernel does not show: %s\n", kinds_text(summary->missing));
}

void report_print(const struct summary *summary, const struct output *out, bool has_rows)
{
	const struct output format = {
		.raw = out->raw, .noheadings = out->noheadings, .bytes = out->bytes,
	};

	if (out->raw) {
		if (!has_rows)
			print_kinds(summary, &format);
		return;
	}
	if (has_rows)
		putchar('\n');
	printf("%.3f seconds\n", summary->duration_ns / 1e9);
	print_kinds(summary, &format);
	print_histograms(summary);
	print_top(summary->processes, out, "Processes", NULL);
	print_top(summary->mappings, out, "Mappings", "+START,MAPPING");
	print_remarks(summary);
}

static json_t *histogram_json(const struct histogram *histogram)
{
	json_t *list = json_array();

	for (unsigned int power = 0; power < 63; power++) {
		__u64 nr = histogram_power(histogram, power);
		json_t *class;

		if (!nr)
			continue;
		class = json_object();
		json_put(class, "from_ns", json_integer(power ? 1ULL << power : 0));
		json_put(class, "to_ns", json_integer(2ULL << power));
		json_put(class, "count", json_integer(nr));
		json_append(list, class);
	}
	return list;
}

static json_t *latency_json(const struct histogram *histogram)
{
	json_t *object = json_object();

	json_put(object, "count", json_integer(histogram->nr));
	json_put(object, "min", json_integer(histogram->min_ns));
	json_put(object, "median", json_integer(histogram_quantile(histogram, 0.5)));
	json_put(object, "p90", json_integer(histogram_quantile(histogram, 0.9)));
	json_put(object, "p99", json_integer(histogram_quantile(histogram, 0.99)));
	json_put(object, "max", json_integer(histogram->max_ns));
	json_put(object, "histogram", histogram_json(histogram));
	return object;
}

static json_t *kind_json(const struct summary *summary, const struct kind_sum *sum)
{
	json_t *object = json_object();

	json_put(object, "events", json_integer(sum->events));
	json_put(object, "pages", json_integer(sum->pages));
	json_put(object, "bytes", json_integer(sum->pages * PAGE));
	json_put(object, "failed", json_integer(sum->failed));
	json_put(object, "pages_per_second", json_real(rate(summary, sum->pages)));
	json_put(object, "latency_ns", sum->latency.nr ? latency_json(&sum->latency) :
						     json_null());
	return object;
}

static json_t *rank_json(const struct rank *rank)
{
	json_t *object = json_object();

	json_put(object, "pid", json_integer(rank->pid));
	json_put(object, "comm", json_text(rank->comm));
	if (rank->name) {
		json_put(object, "start", json_address(rank->start));
		json_put(object, "name", json_text(rank->name));
	}
	json_put(object, "in", json_integer(rank->in_pages));
	json_put(object, "out", json_integer(rank->out_pages));
	return object;
}

static json_t *top_json(const struct ranking *ranking)
{
	const struct rank *top[TOP_JSON];
	size_t nr = ranking_top(ranking, top, TOP_JSON);
	json_t *list = json_array();

	for (size_t i = 0; i < nr; i++)
		json_append(list, rank_json(top[i]));
	return list;
}

static json_t *returned_json(const struct summary *summary)
{
	json_t *object = json_object();

	json_put(object, "pages", json_integer(summary->returned_pages));
	json_put(object, "within_ns", json_integer(RECENT_NS));
	json_put(object, "at_least", json_boolean(returned_at_least(summary)));
	return object;
}

void report_print_json(const struct summary *summary)
{
	json_t *object = json_object(), *kinds = json_object(), *line = json_object();

	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		const struct kind_sum *sum = &summary->sums[kind];
		const char *name = vminspect_event_name(kind);
		bool seen = summary->kinds & 1U << kind;

		json_put(object, name, seen ? json_integer(sum->pages) : json_null());
		if (seen)
			json_put(kinds, name, kind_json(summary, sum));
	}
	json_put(object, "lost", json_integer(summary->lost));
	json_put(object, "missed", json_integer(summary->missed));
	json_put(object, "duration_ns", json_integer(summary->duration_ns));
	json_put(object, "missing", kinds_json(summary->missing));
	json_put(object, "kinds", kinds);
	json_put(object, "processes", top_json(summary->processes));
	json_put(object, "mappings", top_json(summary->mappings));
	json_put(object, "incomplete", json_boolean(summary->unranked));
	json_put(object, "thrashing", returned_json(summary));
	json_put(line, "summary", object);
	json_print(line);
}
