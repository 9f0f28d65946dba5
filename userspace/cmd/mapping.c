// SPDX-License-Identifier: GPL-2.0
/*
 * The mappings of a process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mapping.h"

/* The kernel writes a newline in a name as \012 and leaves everything else alone. */
static void unescape(char *name)
{
	char *escape;

	while ((escape = strstr(name, "\\012"))) {
		*escape = '\n';
		name = escape + 1;
		memmove(name, name + 3, strlen(name + 3) + 1);
	}
}

static bool parse(char *line, struct mapping *mapping)
{
	int name = 0;

	/* start-end access offset device inode name */
	if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %n", &mapping->start,
		   &mapping->end, &mapping->offset, &name) != 3 || !name)
		return false;
	line[strcspn(line, "\n")] = '\0';
	unescape(line + name);
	mapping->name = line + name;
	return true;
}

bool mappings_next(struct mappings *mappings)
{
	mappings->valid = false;
	while (!mappings->valid && getline(&mappings->line, &mappings->size, mappings->file) > 0)
		mappings->valid = parse(mappings->line, &mappings->current);
	/* a page of the kernel's that all processes see, and that has no table of theirs */
	if (mappings->valid && !strcmp(mappings->current.name, "[vsyscall]"))
		return mappings_next(mappings);
	return mappings->valid;
}

int mappings_open(struct mappings *mappings, const struct process *process)
{
	int fd = process_open_file(process, "maps");

	if (fd < 0)
		return fd;

	*mappings = (struct mappings) { .file = fdopen(fd, "re") };
	if (!mappings->file) {
		close(fd);
		return -ENOMEM;
	}
	mappings_next(mappings);
	return 0;
}

void mappings_close(struct mappings *mappings)
{
	fclose(mappings->file);
	free(mappings->line);
}

static bool is_called(const char *own, const char *name, size_t length, bool file)
{
	return !strncmp(own, name, length) &&
	       (own[length] == '\0' || (file && !strcmp(own + length, " (deleted)")));
}

bool mapping_is_called(const struct mapping *mapping, const char *name, size_t length)
{
	const char *path = mapping->name;

	if (*path != '/')
		return is_called(path, name, length, false);
	return is_called(path, name, length, true) ||
	       is_called(strrchr(path, '/') + 1, name, length, true);
}

char *mapping_name_at(const struct process *process, __u64 va)
{
	struct mappings mappings;
	char *name = NULL;

	if (mappings_open(&mappings, process))
		return NULL;
	while (mappings.valid && mappings.current.end <= va)
		mappings_next(&mappings);
	if (mappings.valid && mappings.current.start <= va)
		name = strdup(mappings.current.name);
	mappings_close(&mappings);
	return name;
}
