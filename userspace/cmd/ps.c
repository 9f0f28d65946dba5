// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect ps: all processes and the machine they share.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "json.h"
#include "process.h"
#include "progress.h"
#include "tally.h"
#include "target.h"
#include "vminspect.h"

enum {
	COL_PID, COL_COMM, COL_VIRTUAL, COL_RESIDENT, COL_HUGE, COL_SWAPPED, COL_UNPOPULATED,
	COL_TABLES, COL_RATIO, COL_ZERO, COL_OTHER,
};

static const struct column columns[] = {
	[COL_PID] = { "PID", 0, COLUMN_COUNT, IN_BOTH, "process" },
	[COL_COMM] = { "COMM", 0, COLUMN_STRING, IN_BOTH, "its name" },
	[COL_VIRTUAL] = { "VIRTUAL", 0, COLUMN_SIZE, IN_BOTH, "all of its mappings" },
	[COL_RESIDENT] = { "RESIDENT", 0, COLUMN_SIZE, IN_BOTH,
		"in memory, as VmRSS counts: no zero page, no hugetlb" },
	[COL_HUGE] = { "HUGE", 0, COLUMN_SIZE, IN_BOTH,
		"in memory by huge entries (THP and hugetlb)" },
	[COL_SWAPPED] = { "SWAPPED", 0, COLUMN_SIZE, IN_BOTH,
		"in a swap area, shared memory included" },
	[COL_UNPOPULATED] = { "UNPOPULATED", 0, COLUMN_SIZE, IN_BOTH,
		"no entry: never touched, discarded, or clean pages dropped" },
	[COL_TABLES] = { "TABLES", 0, COLUMN_SIZE, IN_BOTH,
		"its page tables (VmPTE: all levels but the top one)" },
	[COL_RATIO] = { "RATIO", 0, COLUMN_RATIO, IN_BOTH, "overcommit: VIRTUAL / RESIDENT" },
	[COL_ZERO] = { "ZERO", 0, COLUMN_SIZE, 0, "the shared page of zeroes" },
	[COL_OTHER] = { "OTHER", 0, COLUMN_SIZE, 0,
		"migrating, poisoned, device, marker or unknown" },
};

static const struct cmd_option options[] = {
	{ 's', "sort", "[+|-]COLUMN", "+ ascending, - descending; usually -resident" },
};

struct row {
	pid_t pid;
	char comm[64];
	__u64 tables;
	bool has_tables;
	struct tally tally;
};

static const char *sort_by = "-RESIDENT";

static int ps_option(int letter, const char *arg)
{
	(void)letter;
	sort_by = arg;
	return 0;
}

/* To two decimals: more would be noise, and JSON shows every digit there is. */
static double ratio(const struct tally *tally)
{
	return round(100.0 * tally->size / tally->resident) / 100;
}

static void row_value(struct value *value, int column, const void *record)
{
	const struct row *row = record;
	const __u64 numbers[] = {
		[COL_PID] = row->pid,
		[COL_VIRTUAL] = row->tally.size,
		[COL_RESIDENT] = row->tally.resident,
		[COL_HUGE] = row->tally.huge,
		[COL_SWAPPED] = row->tally.swapped,
		[COL_UNPOPULATED] = row->tally.unpopulated,
		[COL_TABLES] = row->tables,
		[COL_ZERO] = row->tally.zero,
		[COL_OTHER] = row->tally.other,
	};

	switch (column) {
	case COL_COMM:
		value->string = row->comm;
		break;
	case COL_RATIO:
		value->null = !row->tally.resident;
		if (!value->null)
			value->ratio = ratio(&row->tally);
		break;
	default:
		value->null = column == COL_TABLES && !row->has_tables;
		value->number = numbers[column];
	}
}

static const struct view process_view = {
	.name = "processes",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = row_value,
};

struct list {
	struct row *rows;
	size_t nr;
	size_t nr_allocated;
	__u64 unreadable;
};

static void list_add(struct list *list, const struct row *row)
{
	if (list->nr == list->nr_allocated) {
		list->nr_allocated = list->nr ? 2 * list->nr : 256;
		list->rows = reallocarray(list->rows, list->nr_allocated, sizeof(*row));
		if (!list->rows)
			die_of_memory();
	}
	list->rows[list->nr++] = *row;
}

/* Return: 0 or -errno: -EACCES or -EPERM if it may not be read, -ESRCH if it is gone. */
static int read_process(struct vminspect *device, __u64 end, const struct process *process,
			struct row *row)
{
	int ret;

	ret = device_bind(device, process);
	if (ret)
		return ret;

	*row = (struct row) { .pid = process->pid };
	ret = tally_range(&row->tally, device, 0, end);
	row->has_tables = !process_status_size(process, "VmPTE", &row->tables);
	memcpy(row->comm, process->comm, sizeof(row->comm));
	return ret;
}

static int add_process(struct list *list, const struct process *process, const char *name)
{
	struct vminspect_info info;
	struct vminspect *device;
	struct row row;
	int ret;

	/* a descriptor of the device is for one address space */
	ret = device_open(&device, &info);
	if (ret)
		return ret;
	ret = read_process(device, info.va_end, process, &row);
	vminspect_close(device);
	if (!ret)
		list_add(list, &row);
	else if (ret == -EACCES || ret == -EPERM)
		list->unreadable++;
	else if (ret != -ESRCH && ret != -ENOENT)
		return fail_doing(DOING_TARGET, ret, name, "");
	return 0;
}

/* What is looked at instead of a process whose first thread has exited. */
static int add_thread(struct list *list, const struct process *process, const char *name)
{
	struct process thread;
	int ret;

	if (process_open_thread(&thread, process))
		return 0;
	thread.pid = process->pid;
	memcpy(thread.comm, process->comm, sizeof(thread.comm));
	ret = add_process(list, &thread, name);
	process_close(&thread);
	return ret;
}

/* Return: 0, also if it is not to be listed, or EXIT_FAILED after a message. */
static int list_process(struct list *list, const char *name)
{
	struct process process;
	__u64 size;
	int ret;

	if (process_open(&process, name))
		return 0;
	/* kernel threads and zombies have no address space */
	ret = process_status_size(&process, "VmSize", &size);
	if (!ret) {
		ret = add_process(list, &process, name);
	} else {
		if (ret == -EACCES || ret == -EPERM)
			list->unreadable++;
		ret = 0;
		if (process_kind(&process) == PROCESS_HEADLESS)
			ret = add_thread(list, &process, name);
	}
	process_close(&process);
	return ret;
}

static int list_processes(struct list *list)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int ret = 0;

	if (!proc)
		return fail_doing(DOING_FILE, -errno, "/proc", "");
	while (!ret && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		ret = list_process(list, entry->d_name);
		progress("%zu processes", list->nr);
	}
	closedir(proc);
	return ret;
}

struct machine {
	__u64 memory, free, available, swap, swap_free, committed, commit_limit;
};

/* Return: 0 or EXIT_FAILED, after a message. */
static int read_machine(struct machine *machine)
{
	static const char name[] = "/proc/meminfo";
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t length = -1;
	char text[8192];

	if (fd >= 0) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (length < 0)
		return fail_doing(DOING_FILE, -errno, name, "");
	text[length] = '\0';

	if (!text_find_size(text, "MemTotal", &machine->memory) ||
	    !text_find_size(text, "MemFree", &machine->free) ||
	    !text_find_size(text, "MemAvailable", &machine->available) ||
	    !text_find_size(text, "SwapTotal", &machine->swap) ||
	    !text_find_size(text, "SwapFree", &machine->swap_free) ||
	    !text_find_size(text, "Committed_AS", &machine->committed) ||
	    !text_find_size(text, "CommitLimit", &machine->commit_limit))
		return fail("%s does not have the lines it should", name);
	return 0;
}

static json_t *machine_json(const struct machine *machine)
{
	json_t *object = json_object();

	json_put(object, "memory", json_integer(machine->memory));
	json_put(object, "free", json_integer(machine->free));
	json_put(object, "available", json_integer(machine->available));
	json_put(object, "swap", json_integer(machine->swap));
	json_put(object, "swap_used", json_integer(machine->swap - machine->swap_free));
	json_put(object, "committed", json_integer(machine->committed));
	json_put(object, "commit_limit", json_integer(machine->commit_limit));
	return object;
}

static void print_machine(const struct machine *machine, bool bytes)
{
	char memory[SIZE_TEXT], free_memory[SIZE_TEXT], available[SIZE_TEXT], swap[SIZE_TEXT];
	char used[SIZE_TEXT], committed[SIZE_TEXT], exists[SIZE_TEXT], limit[SIZE_TEXT];

	printf("\nmemory %s, free %s, available %s; swap %s, used %s\n",
	       size_text(memory, machine->memory, bytes),
	       size_text(free_memory, machine->free, bytes),
	       size_text(available, machine->available, bytes),
	       size_text(swap, machine->swap, bytes),
	       size_text(used, machine->swap - machine->swap_free, bytes));
	printf("promised %s, exists %s (memory and swap), commit limit %s\n",
	       size_text(committed, machine->committed, bytes),
	       size_text(exists, machine->memory + machine->swap, bytes),
	       size_text(limit, machine->commit_limit, bytes));
}

static void print(const struct output *out, struct table *table, const struct list *list,
		  const struct machine *machine)
{
	json_t *tail = json_object();

	json_put(tail, "unreadable", json_integer(list->unreadable));
	json_put(tail, "machine", machine_json(machine));

	table_begin(table, json_schema(), NULL);
	for (size_t i = 0; i < list->nr; i++)
		table_row(table, &list->rows[i]);
	table_end(table, tail);
	if (!out->json && !out->raw)
		print_machine(machine, out->bytes);
	if (list->unreadable && !out->json)
		note("%llu more processes may not be read by you: run this as root to see them",
		     list->unreadable);
}

/* Return: the number of the column, or -1 after a message. */
static int sort_column(bool *descending)
{
	const char *name = sort_by + (*sort_by == '+' || *sort_by == '-');
	int column = view_column(&process_view, name);

	*descending = *sort_by == '-';
	if (column < 0)
		misuse("there is no column '%s' to sort by: --list-columns names them", name);
	return column;
}

static int ps_run(const struct output *out, int argc, char **argv)
{
	struct list list = {};
	struct machine machine;
	struct table *table;
	bool descending;
	int column, ret;

	if (argc)
		return misuse("'%s' is too much: this command takes no arguments", argv[0]);
	column = sort_column(&descending);
	if (column < 0)
		return EXIT_USAGE;
	table = table_new(&process_view, out);
	if (!table)
		return EXIT_USAGE;

	ret = list_processes(&list);
	if (!ret)
		ret = read_machine(&machine);
	if (!ret) {
		view_sort(&process_view, column, descending, list.rows, list.nr,
			  sizeof(*list.rows));
		print(out, table, &list, &machine);
	}
	free(list.rows);
	table_free(table);
	return ret;
}

const struct command cmd_ps = {
	.name = "ps",
	.args = "",
	.summary = "all processes: virtual, resident, huge, swapped, unpopulated",
	.options = options,
	.nr_options = ARRAY_SIZE(options),
	.views = (const struct view *[]) { &process_view },
	.nr_views = 1,
	.option = ps_option,
	.run = ps_run,
};
