// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect translate: what stands behind addresses, from the command line or a file.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "address.h"
#include "command.h"
#include "entry.h"
#include "error.h"
#include "input.h"
#include "json.h"
#include "progress.h"
#include "target.h"
#include "vminspect.h"

/* Addresses that are asked for with one call. */
#define BATCH		1024

enum {
	COL_VA, COL_STATE, COL_PAGE, COL_PA, COL_PFN, COL_SWAP, COL_DEVICE, COL_BACKING, COL_RAW,
	COL_NODE, COL_FLAGS,
};

static const struct column columns[] = {
	[COL_VA] = { "VA", 14, COLUMN_ADDRESS, IN_BOTH, "the address, as it was asked for" },
	[COL_STATE] = { "STATE", 8, COLUMN_STRING, IN_BOTH, "state of its page" },
	[COL_PAGE] = { "PAGE", 4, COLUMN_SIZE, IN_BOTH, "size of its page" },
	[COL_PA] = { "PA", 12, COLUMN_ADDRESS, IN_BOTH | HIDEABLE, "physical address" },
	[COL_PFN] = { "PFN", 9, COLUMN_FRAME, IN_BOTH | HIDEABLE,
		"frame of 4096 bytes, inside a huge page too" },
	[COL_SWAP] = { "SWAP", 8, COLUMN_SWAP, IN_BOTH | HIDEABLE,
		"number of the swap area and offset in pages" },
	[COL_DEVICE] = { "DEVICE", 0, COLUMN_STRING, IN_TABLE | HIDEABLE,
		"file or device of the swap area" },
	[COL_BACKING] = { "BACKING", 0, COLUMN_STRING, 0,
		"device, or cache: in memory as well" },
	[COL_RAW] = { "RAW", 18, COLUMN_ADDRESS, IN_JSON | HIDEABLE | OMITTED,
		"the entry, if its state is unknown" },
	[COL_NODE] = { "NODE", 4, COLUMN_COUNT, 0, "NUMA node" },
	[COL_FLAGS] = { "FLAGS", 0, COLUMN_FLAGS, IN_BOTH, "flags of the page" },
};

static const struct cmd_option options[] = {
	{ 'f', "file", "FILE", "addresses from a file, one a line; - is standard input" },
};

static const char *file_name;

static int translate_option(int letter, const char *arg)
{
	(void)letter;
	file_name = arg;
	return 0;
}

struct row {
	__u64 va;
	struct vminspect_entry entry;
};

static void row_value(struct value *value, int column, const void *record)
{
	const struct row *row = record;

	switch (column) {
	case COL_VA:
		value->number = row->va;
		break;
	case COL_STATE:
		entry_state(value, &row->entry);
		break;
	case COL_PAGE:
		entry_page(value, &row->entry);
		break;
	case COL_PA:
		entry_pa(value, &row->entry, row->va);
		break;
	case COL_PFN:
		entry_pfn(value, &row->entry);
		break;
	case COL_SWAP:
		entry_swap(value, &row->entry);
		break;
	case COL_DEVICE:
		entry_device(value, &row->entry);
		break;
	case COL_BACKING:
		entry_backing(value, &row->entry);
		break;
	case COL_RAW:
		entry_raw(value, &row->entry);
		break;
	case COL_NODE:
		entry_node(value, &row->entry);
		break;
	case COL_FLAGS:
		value->number = row->entry.flags;
		break;
	}
}

static const struct view translation_view = {
	.name = "translations",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = row_value,
};

struct translation {
	struct target target;
	struct table *table;
	__u64 return_mask;
	__u64 nr_printed;
	bool has_resume;
	__u64 resume;	/* what could not be translated */
	__u32 nr;		/* addresses that wait */
	__u64 addresses[BATCH];
	struct vminspect_entry entries[BATCH];
};

/* Translates and prints what waits. Return: 0 or EXIT_FAILED, after a message. */
static int flush(struct translation *work)
{
	__u32 nr = work->nr;
	int done = 0;

	work->nr = 0;
	for (__u32 i = 0; i < nr; i += done) {
		done = vminspect_translate(work->target.device, work->addresses + i, nr - i,
					   work->return_mask, work->entries + i);
		if (done < 0) {
			work->has_resume = true;
			work->resume = work->addresses[i];
			table_flush(work->table);
			return target_fail_at(&work->target, done, work->resume);
		}
		for (__u32 j = i; j < i + done; j++) {
			struct row row = { work->addresses[j], work->entries[j] };

			table_row(work->table, &row);
		}
	}
	work->nr_printed += nr;
	progress("%llu addresses", work->nr_printed);
	return 0;
}

/* Return: 0, or an exit status after a message; what came before it is printed. */
static int add(struct translation *work, const char *where, const struct address *address)
{
	__u64 va;
	int ret;

	ret = address_resolve(where, address, &work->target, &va);
	if (ret) {
		work->has_resume = !address->name;
		work->resume = address->value;
		return ret;
	}
	work->addresses[work->nr++] = va;
	return work->nr == BATCH ? flush(work) : 0;
}

static int add_arguments(struct translation *work, int argc, char **argv)
{
	struct address address;
	int ret = 0;

	for (int i = 0; i < argc && !ret; i++) {
		ret = address_parse("", argv[i], &address);
		if (!ret)
			ret = add(work, "", &address);
	}
	return ret;
}

static int add_line(struct translation *work, const struct input *input, const char *text)
{
	struct address address;
	char where[PATH_MAX];
	int ret;

	if (!*text || *text == '#')
		return 0;
	snprintf(where, sizeof(where), "%s:%llu: ", input->name, input->line);
	ret = address_parse(where, text, &address);
	return ret ? ret : add(work, where, &address);
}

static int add_lines(struct translation *work, struct input *input)
{
	const char *text;
	int ret = 0;

	while (!ret) {
		if (input_must_wait(input)) {
			ret = flush(work);
			table_flush(work->table);
			if (ret)
				break;
		}
		text = input_next(input);
		if (!text)
			break;
		ret = add_line(work, input, text);
	}
	if (!ret && input->error == -EMSGSIZE)
		ret = misuse("%s:%llu: this line is too long to be an address", input->name,
			     input->line + 1);
	else if (!ret && input->error)
		ret = fail_doing(DOING_FILE, input->error, input->name, "");
	return ret;
}

/* What was asked for before something went wrong is answered all the same. */
static int print(struct translation *work, const struct output *out, struct input *input,
		 int argc, char **argv)
{
	json_t *tail = json_object();
	int ret, last;

	table_begin(work->table, target_json(&work->target), work->target.hidden);
	ret = add_arguments(work, argc, argv);
	if (!ret && input)
		ret = add_lines(work, input);
	last = work->nr ? flush(work) : 0;
	if (!ret)
		ret = last;

	if (ret) {
		json_put(tail, "truncated", json_true());
		/* what could not be made an address is told in words alone */
		if (work->has_resume)
			json_put(tail, "resume", json_address(work->resume));
	}
	table_end(work->table, tail);
	if (!ret)
		target_note_hidden(&work->target, out);
	return ret;
}

static int open_and_print(const struct output *out, struct translation *work,
			  struct input *input, int argc, char **argv)
{
	int ret;

	work->table = table_new(&translation_view, out);
	if (!work->table)
		return EXIT_USAGE;
	work->return_mask = VMINSPECT_PAGE_FLAGS | VMINSPECT_RETURN_FRAME;
	if (table_shows(work->table, COL_NODE))
		work->return_mask |= VMINSPECT_RETURN_NODE;

	ret = target_open(&work->target, argv[0]);
	if (!ret) {
		ret = print(work, out, input, argc - 1, argv + 1);
		target_close(&work->target);
	}
	table_free(work->table);
	return ret;
}

/* What is wrong with the command line. Return: 0 or EXIT_USAGE, after a message. */
static int check_usage(int argc, char **argv)
{
	struct address address;
	int ret;

	if (!argc || (argc == 1 && !file_name))
		return misuse("a PID is needed, and addresses or --file: see --help");
	ret = target_check_name(argv[0]);
	for (int i = 1; i < argc && !ret; i++)
		ret = address_parse("", argv[i], &address);
	return ret;
}

static int translate_run(const struct output *out, int argc, char **argv)
{
	static struct translation work;
	static struct input input;
	int ret;

	ret = check_usage(argc, argv);
	if (ret)
		return ret;
	if (!file_name)
		return open_and_print(out, &work, NULL, argc, argv);

	ret = input_open(&input, file_name);
	if (ret)
		return fail_doing(DOING_FILE, ret, file_name, "");
	ret = open_and_print(out, &work, &input, argc, argv);
	input_close(&input);
	return ret;
}

const struct command cmd_translate = {
	.name = "translate",
	.args = "PID VA...",
	.summary = "what stands behind addresses",
	.notes = "VA is a number, 0x7f10c0001234, or a place in a mapping: '[heap]' (quoted for\n"
		 "the shell), '[stack]+0x1000', libc.so.6+0x2000 (an offset in the file).\n"
		 "In a FILE, empty lines and those that begin with # are skipped.",
	.options = options,
	.nr_options = ARRAY_SIZE(options),
	.views = (const struct view *[]) { &translation_view },
	.nr_views = 1,
	.option = translate_option,
	.run = translate_run,
};
