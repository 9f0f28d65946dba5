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
#include "command.h"
#include "error.h"

#define ZSWAP_ENABLED	"/sys/module/zswap/parameters/enabled"
#define ZSWAP_STORED	"/sys/kernel/debug/zswap/stored_pages"
#define DEBUGFS_OURS	"/sys/kernel/debug/vminspect"

static struct vminspect *device;
static __u64 features;
static char *paths[MAX_AREAS];

void areas_use(struct vminspect *from, const struct vminspect_info *info)
{
	device = from;
	features = info->features;
}

static void set_path(unsigned int type, const char *path)
{
	if (paths[type] && !strcmp(paths[type], path))
		return;
	free(paths[type]);
	paths[type] = strdup(path);
	if (!paths[type])
		die_of_memory();
}

static void read_paths(void)
{
	struct vminspect_swap area;
	char path[PATH_MAX];

	for (unsigned int type = 0; type < MAX_AREAS; type = area.type + 1) {
		if (vminspect_swap(device, type, 0, path, sizeof(path), &area) ||
		    area.type >= MAX_AREAS)
			break;
		set_path(area.type, path);
	}
}

const char *area_path(unsigned int type)
{
	if (type >= MAX_AREAS || !device)
		return NULL;
	/* it may have been added since they were read */
	if (!paths[type])
		read_paths();
	return paths[type];
}

void areas_refresh(void)
{
	static int swaps = -2;
	struct pollfd change = { .events = POLLPRI };

	if (swaps == -2)
		swaps = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	change.fd = swaps;
	if (device && poll(&change, 1, 0) > 0)
		read_paths();
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
