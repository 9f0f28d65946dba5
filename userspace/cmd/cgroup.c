// SPDX-License-Identifier: GPL-2.0
/*
 * Cgroups of the unified hierarchy.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "command.h"
#include "error.h"

/* FILEID_KERNFS: the handle of a file in such a file system is its id alone. */
#define HANDLE_KERNFS	0xfe

#define CACHE_SIZE	256
/* A cgroup may be removed, and its directory moved. */
#define CACHE_SECONDS	10

struct known {
	__u64 id;
	time_t time;
	char *path;		/* NULL: it can't be found */
};

static struct known cache[CACHE_SIZE];

/* Where the hierarchy is mounted: "" if it is not. */
static const char *mount_point(void)
{
	static char found[PATH_MAX];
	static bool asked;
	struct mntent *mount;
	FILE *mounts;

	if (asked)
		return found;
	asked = true;
	mounts = setmntent("/proc/self/mounts", "re");
	while (mounts && !*found && (mount = getmntent(mounts))) {
		if (!strcmp(mount->mnt_type, "cgroup2"))
			snprintf(found, sizeof(found), "%s", mount->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* From the root of the hierarchy on. */
static int open_below_root(const char *path)
{
	char full[2 * PATH_MAX];

	if (!*mount_point())
		return -ENOENT;
	snprintf(full, sizeof(full), "%s/%s", mount_point(), path);
	return open_directory(full);
}

/* Return: whether it is a directory of the hierarchy; if not, what it is lies in @type. */
static bool is_unified(int fd, long *type)
{
	struct statfs fs;

	*type = fstatfs(fd, &fs) ? 0 : fs.f_type;
	return *type == CGROUP2_SUPER_MAGIC;
}

static int fail_type(const char *path, long type)
{
	if (type == CGROUP_SUPER_MAGIC)
		return fail("%s is a cgroup v1: only those of v2 can be traced", path);
	return fail("%s is no cgroup: write a directory of a file system of type cgroup2", path);
}

/* A path as in /proc/PID/cgroup may be that of another directory, too: "/" always is. */
int cgroup_open(const char *path, int *status)
{
	int fd = open_directory(path), below;
	long type = 0;

	if (fd >= 0 && is_unified(fd, &type))
		return fd;
	if (fd >= 0)
		close(fd);
	below = open_below_root(path);
	if (below >= 0)
		return below;
	*status = fd < 0 ? fail_doing(DOING_CGROUP, fd == -ENOENT ? below : fd, path, "") :
			   fail_type(path, type);
	return -1;
}

/* The path of an open file. Return: NULL, or memory to be freed. */
static char *path_of(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return NULL;
	path[length] = '\0';
	return strdup(path);
}

/* Without the mount point, but what is left of the root is a slash. */
static char *below_root(char *path)
{
	size_t length = strlen(mount_point());
	char *rest;

	if (!path || strncmp(path, mount_point(), length)) {
		free(path);
		return NULL;
	}
	rest = strdup(path[length] ? path + length : "/");
	free(path);
	return rest;
}

static char *find(__u64 id)
{
	static int root = -1;
	struct {
		struct file_handle handle;
		__u64 id;
	} file = { { .handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS }, id };
	char *path;
	int fd;

	if (root < 0 && *mount_point())
		root = open_directory(mount_point());
	if (root < 0)
		return NULL;
	fd = open_by_handle_at(root, &file.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	path = below_root(path_of(fd));
	close(fd);
	return path;
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return time.tv_sec;
}

const char *cgroup_path(__u64 id)
{
	struct known *known = &cache[id % CACHE_SIZE];
	char *path;

	if (!id)
		return NULL;
	if (known->id == id && now() - known->time < CACHE_SECONDS)
		return known->path;
	path = find(id);
	/* what it was called while it was there says more than nothing */
	if (!path && known->id == id)
		path = known->path;
	else
		free(known->path);
	*known = (struct known) { id, now(), path };
	return path;
}
