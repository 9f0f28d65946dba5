// SPDX-License-Identifier: GPL-2.0
/*
 * What swap areas are called, and what backs a slot at rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "area.h"
#include "clock.h"
#include "command.h"
#include "error.h"

#define ZSWAP_ENABLED	"/sys/module/zswap/parameters/enabled"
#define ZSWAP_STORED	"/sys/kernel/debug/zswap/stored_pages"
#define DEBUGFS_OURS	"/sys/kernel/debug/vminspect"

static struct vminspect *device;
static __u64 features;

/* What an area is or was called, and when: by the clock of events. */
struct name {
	struct name *older;
	char *path;
	__u64 from_ns;
	__u64 to_ns;
};

static struct name *names[MAX_AREAS];

/* When they were last seen to be right. */
static __u64 looked_ns;

void areas_use(struct vminspect *from, const struct vminspect_info *info)
{
	device = from;
	features = info->features;
}

static bool is_in_use(const struct name *name)
{
	return name && name->to_ns == VMINSPECT_UNKNOWN;
}

/*
 * @path: NULL if there is no such area. What was in use between two looks is known if only one
 * of them found an area; if each found another one it may have been either.
 */
static void set_path(unsigned int type, const char *path)
{
	struct name *last = names[type];
	bool replaced = is_in_use(last);
	struct name *name;

	if (replaced && path && !strcmp(last->path, path))
		return;
	if (replaced)
		last->to_ns = path ? looked_ns : clock_now_ns();
	if (!path)
		return;
	name = malloc(sizeof(*name));
	if (!name)
		die_of_memory();
	name->older = last;
	name->path = strdup(path);
	if (!name->path)
		die_of_memory();
	name->from_ns = replaced ? clock_now_ns() : looked_ns;
	name->to_ns = VMINSPECT_UNKNOWN;
	names[type] = name;
}

static void read_paths(void)
{
	unsigned int type = 0;
	struct vminspect_swap area;
	char path[PATH_MAX];

	while (type < MAX_AREAS) {
		bool found = !vminspect_swap(device, type, 0, path, sizeof(path), &area) &&
			     area.type < MAX_AREAS;
		unsigned int end = found ? area.type : MAX_AREAS;

		for (; type < end; type++)
			set_path(type, NULL);
		if (found)
			set_path(type++, path);
	}
}

const char *area_path(unsigned int type)
{
	if (type >= MAX_AREAS || !device)
		return NULL;
	/* it may have been added since they were read */
	if (!is_in_use(names[type]))
		read_paths();
	return is_in_use(names[type]) ? names[type]->path : NULL;
}

static const struct name *name_at(unsigned int type, __u64 time_ns)
{
	const struct name *name = names[type];

	while (name && (time_ns < name->from_ns || time_ns > name->to_ns))
		name = name->older;
	return name;
}

const char *area_path_at(unsigned int type, __u64 time_ns)
{
	const struct name *name;

	if (type >= MAX_AREAS || !device)
		return NULL;
	name = name_at(type, time_ns);
	if (!name) {
		read_paths();
		name = name_at(type, time_ns);
	}
	return name ? name->path : NULL;
}

static int watch_areas(int *fd)
{
	if (!*fd)
		*fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	return *fd;
}

int areas_watch(void)
{
	static int fd;

	return watch_areas(&fd);
}

void areas_refresh(void)
{
	/* one of its own: a descriptor tells of a change once, and areas_watch()'s has told */
	static int fd;
	struct pollfd change = { .fd = watch_areas(&fd), .events = POLLPRI };
	__u64 now_ns;

	if (!device)
		return;
	/* the time before: what comes while they are read may not be among them */
	now_ns = clock_now_ns();
	if (!looked_ns || poll(&change, 1, 0) > 0)
		read_paths();
	looked_ns = now_ns;
}

const char *area_kind_name(const struct vminspect_swap *area)
{
	static const char * const names[] = {
		[VMINSPECT_SWAP_PARTITION] = "partition",
		[VMINSPECT_SWAP_FILE] = "file",
		[VMINSPECT_SWAP_ZRAM] = "zram",
	};

	return area->kind < ARRAY_SIZE(names) ? names[area->kind] : "?";
}

bool area_knows_cached(void)
{
	return features & VMINSPECT_FEATURE_SWAP_MAP;
}

/* The first character of a file, or 0. */
static char first_character(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char character = 0;

	if (fd < 0)
		return 0;
	if (read(fd, &character, 1) != 1)
		character = 0;
	close(fd);
	return character;
}

bool zswap_enabled(void)
{
	return first_character(ZSWAP_ENABLED) == 'Y';
}

/* Whether zswap surely holds nothing: what it holds can't be told slot by slot. */
static bool zswap_is_empty(void)
{
	if (access(ZSWAP_ENABLED, F_OK))
		return errno == ENOENT;
	if (first_character(ZSWAP_STORED) == '0')
		return true;
	/* its directory comes with its first use */
	return access(ZSWAP_STORED, F_OK) && errno == ENOENT && !access(DEBUGFS_OURS, F_OK);
}

const char *area_backing(__u32 flags)
{
	static enum { UNASKED, EMPTY, UNSURE } zswap;

	if (!area_knows_cached())
		return NULL;
	if (flags & VMINSPECT_PAGE_SWAPCACHE)
		return "cache";
	if (zswap == UNASKED)
		zswap = zswap_is_empty() ? EMPTY : UNSURE;
	return zswap == EMPTY ? "device" : NULL;
}
