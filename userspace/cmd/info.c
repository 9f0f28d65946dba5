// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect info: module, kernel, paging mode, features.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "command.h"
#include "error.h"
#include "json.h"
#include "target.h"
#include "vminspect.h"

enum { COL_NAME, COL_VALUE };

static const struct column columns[] = {
	[COL_NAME]  = { "NAME",  0, COLUMN_STRING, IN_BOTH, "what is told" },
	[COL_VALUE] = { "VALUE", 0, COLUMN_STRING, IN_BOTH, "how it is here" },
};

struct line {
	const char *name;
	const char *value;
};

static void line_value(struct value *value, int column, const void *record)
{
	const struct line *line = record;

	value->string = column == COL_NAME ? line->name : line->value;
}

static const struct view info_view = {
	.name = "info",
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.value = line_value,
};

/* What a kernel or a module lacks where a feature is missing. */
static const char *why_not(__u64 feature)
{
	switch (feature) {
	case VMINSPECT_FEATURE_DEBUGFS:
		return "the kernel has no debugfs, or it is locked";
	case VMINSPECT_FEATURE_SHMEM_SWAP:
		return "this kernel does not let a module see swapped pages of shared memory";
	case VMINSPECT_FEATURE_SOFT_DIRTY:
		return "the kernel was built without CONFIG_MEM_SOFT_DIRTY";
	case VMINSPECT_FEATURE_UFFD_WP:
		return "the kernel was built without CONFIG_HAVE_ARCH_USERFAULTFD_WP";
	case VMINSPECT_FEATURE_THP:
		return "the kernel was built without CONFIG_TRANSPARENT_HUGEPAGE";
	case VMINSPECT_FEATURE_DEVICE_PRIVATE:
		return "the kernel was built without CONFIG_DEVICE_PRIVATE";
	case VMINSPECT_FEATURE_SWAP:
		return "the kernel has no /proc/swaps";
	case VMINSPECT_FEATURE_SWAP_MAP:
		return "this kernel keeps what slots are used for to itself";
	case VMINSPECT_FEATURE_SWAP_IN:
	case VMINSPECT_FEATURE_SWAP_OUT:
	case VMINSPECT_FEATURE_READ:
	case VMINSPECT_FEATURE_WRITE:
		return "this kernel does not let a module see these events";
	default:
		return "this version of the module does not have it";
	}
}

static json_t *features_json(__u64 features)
{
	json_t *object = json_object();

	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = vminspect_feature_name(bit);
		__u64 feature = 1ULL << bit;

		if (name && (features & feature))
			json_put(object, name, json_true());
		else if (name)
			json_put(object, name, json_string(why_not(feature)));
	}
	return object;
}

static void print_json(const struct vminspect_info *info, const char *kernel)
{
	const char *hidden = hidden_reason(info->hidden);
	json_t *document = json_schema();

	json_put(document, "module", json_text(info->version));
	json_put(document, "abi", json_integer(info->abi));
	json_put(document, "kernel", json_text(kernel));
	json_put(document, "levels", json_integer(info->levels));
	json_put(document, "page_size", json_integer(info->page_size));
	json_put(document, "pa_bits", json_integer(info->pa_bits));
	json_put(document, "va_end", json_address(info->va_end));
	json_put(document, "features", features_json(info->features));
	if (hidden)
		json_put_hidden(document, "pfn", hidden);
	json_print(document);
}

__attribute__((format(printf, 3, 4)))
static void row(struct table *table, const char *name, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	table_row(table, &(struct line) { name, text });
}

static void feature_rows(struct table *table, __u64 features)
{
	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = vminspect_feature_name(bit);
		__u64 feature = 1ULL << bit;

		if (name && (features & feature))
			row(table, name, "yes");
		else if (name)
			row(table, name, "no: %s", why_not(feature));
	}
}

static void print_table(struct table *table, const struct vminspect_info *info, const char *kernel)
{
	const char *hidden = hidden_reason(info->hidden);

	row(table, "module", "%s", info->version);
	row(table, "abi", "%u", info->abi);
	row(table, "kernel", "%s", kernel);
	row(table, "levels", "%u", info->levels);
	row(table, "page_size", "%u", info->page_size);
	row(table, "pa_bits", "%u", info->pa_bits);
	row(table, "va_end", "0x%llx", info->va_end);
	feature_rows(table, info->features);
	row(table, "hidden", "%s", hidden ? hidden : "nothing");
	table_flush(table);
}

static int info_run(const struct output *out, int argc, char **argv)
{
	struct vminspect *device;
	struct vminspect_info info;
	struct utsname kernel;
	struct table *table;
	int ret;

	if (argc)
		return misuse("'%s' is too much: this command takes no arguments", argv[0]);
	if (out->json && out->columns)
		return misuse("--json has no columns to choose here");
	table = table_new(&info_view, out);
	if (!table)
		return EXIT_USAGE;

	ret = device_open(&device, &info);
	if (!ret) {
		uname(&kernel);
		if (out->json)
			print_json(&info, kernel.release);
		else
			print_table(table, &info, kernel.release);
		vminspect_close(device);
	}
	table_free(table);
	return ret;
}

const struct command cmd_info = {
	.name = "info",
	.args = "",
	.summary = "module, kernel, paging mode and features",
	.views = (const struct view *[]) { &info_view },
	.nr_views = 1,
	.run = info_run,
};
