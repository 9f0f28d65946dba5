// SPDX-License-Identifier: GPL-2.0
/*
 * A process as /proc shows it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"

/* What follows the name in /proc/PID/stat: state, flags, number of threads. */
#define STAT_FORMAT	" %c" SKIP_5 " %u" SKIP_5 SKIP_5 " %ld"
#define SKIP_5		" %*d %*d %*d %*d %*d"

/* Of those flags. */
#define PF_KTHREAD	0x00200000

bool process_name_valid(const char *name)
{
	if (!strcmp(name, "self"))
		return true;
	return *name >= '1' && *name <= '9' && name[strspn(name, "0123456789")] == '\0';
}

int process_open_file(const struct process *process, const char *file)
{
	int fd = openat(process->directory, file, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Return: length or -errno; the text ends in a zero byte. */
static ssize_t read_file(const struct process *process, const char *file, char *buf, size_t size)
{
	int fd = process_open_file(process, file);
	ssize_t length;

	if (fd < 0)
		return fd;
	length = read(fd, buf, size - 1);
	if (length < 0)
		length = -errno;
	close(fd);
	if (length >= 0)
		buf[length] = '\0';
	return length;
}

int process_open(struct process *process, const char *name)
{
	bool self = !strcmp(name, "self");
	ssize_t length;
	char *path;
	int ret = 0;

	if (asprintf(&path, "/proc/%s", name) < 0)
		return -ENOMEM;
	process->directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process->directory < 0)
		ret = -errno;
	free(path);
	if (ret)
		return ret;

	process->pid = self ? getpid() : atoi(name);
	length = read_file(process, "comm", process->comm, sizeof(process->comm));
	if (length > 0)
		process->comm[length - 1] = '\0';
	else
		process->comm[0] = '\0';
	return 0;
}

void process_close(struct process *process)
{
	close(process->directory);
}

enum process_kind process_kind(const struct process *process)
{
	unsigned int flags;
	char stat[1024];
	long threads;
	char *fields;
	char state;

	if (read_file(process, "stat", stat, sizeof(stat)) <= 0)
		return PROCESS_GONE;
	/* the name comes before and may contain anything, brackets too */
	fields = strrchr(stat, ')');
	if (!fields || sscanf(fields + 1, STAT_FORMAT, &state, &flags, &threads) != 3)
		return PROCESS_GONE;

	if (flags & PF_KTHREAD)
		return PROCESS_KERNEL_THREAD;
	if (state == 'Z' || state == 'X')
		return threads > 1 ? PROCESS_HEADLESS : PROCESS_ZOMBIE;
	return PROCESS_USUAL;
}

bool text_find_size(const char *text, const char *key, __u64 *bytes)
{
	size_t length = strlen(key);
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && line[length] == ':') {
			*bytes = strtoull(line + length + 1, NULL, 10) * 1024;
			return true;
		}
	}
	return false;
}

/* Line by line: the one with the groups has no bound. */
static int find_size(FILE *status, const char *key, __u64 *bytes)
{
	char *line = NULL;
	int ret = -ENODATA;
	size_t size = 0;

	while (ret && getline(&line, &size, status) > 0)
		ret = text_find_size(line, key, bytes) ? 0 : -ENODATA;
	free(line);
	return ret;
}

int process_status_size(const struct process *process, const char *key, __u64 *bytes)
{
	int fd = process_open_file(process, "status"), ret;
	FILE *status;

	if (fd < 0)
		return fd;
	status = fdopen(fd, "re");
	if (!status) {
		close(fd);
		return -ENOMEM;
	}
	ret = find_size(status, key, bytes);
	fclose(status);
	return ret;
}

int process_open_thread(struct process *thread, const struct process *process)
{
	int fd = openat(process->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int ret = -ESRCH;
	DIR *tasks;

	if (fd < 0)
		return -errno;
	tasks = fdopendir(fd);
	if (!tasks) {
		close(fd);
		return -ENOMEM;
	}
	while (ret && (entry = readdir(tasks))) {
		if (!process_name_valid(entry->d_name))
			continue;
		ret = process_open(thread, entry->d_name);
		if (!ret && process_kind(thread) != PROCESS_USUAL) {
			process_close(thread);
			ret = -ESRCH;
		}
	}
	closedir(tasks);
	return ret;
}
