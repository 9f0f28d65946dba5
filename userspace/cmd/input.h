/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lines of a file or a pipe.
 */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

struct input {
	const char *name;	/* for messages */
	int fd;
	__u64 line;		/* number of the line that was read last */
	bool ended;
	int error;		/* 0 or -errno: why it ended */
	size_t start;		/* what of the buffer was not handed out yet */
	size_t end;
	char buffer[65536];
};

/* @name: "-" is standard input. Return: 0 or -errno. */
int input_open(struct input *input, const char *name);
void input_close(struct input *input);

/* Whether the next line has not come yet, so that there is time for other things. */
bool input_must_wait(const struct input *input);

/*
 * Return: the next line without space around it, valid until the next call; NULL after
 * the last one, or at one that is longer than the buffer (error is -EMSGSIZE then).
 */
char *input_next(struct input *input);

#endif
