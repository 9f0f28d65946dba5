/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events as they come, until something ends them.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>

#include "child.h"
#include "signals.h"
#include "vminspect.h"

struct stream {
	int fd;
	__u32 ring_records;
	/* What ends it: */
	const struct signals *signals;
	const struct child *child;	/* or NULL; while it runs signals go there */
	int process;			/* pidfd, or -1 */
	int timer;			/* or -1 */
	struct vminspect *bound;	/* or NULL; the end of its address space */

	/* What is done with an event as soon as it is read: what it is about may soon be gone. */
	void (*glimpse)(const struct vminspect_event *event);
	/* What is done with it when its turn has come. */
	void (*event)(void *arg, const struct vminspect_event *event);
	/* After some of them, and once a second. */
	void (*pause)(void *arg);
	void *arg;

	/* At the end: */
	__u64 end_ns;
	struct vminspect_events_state state;
};

/* A timer for @stream->timer. Return: a descriptor or -errno. */
int stream_timer(double seconds);

/*
 * Waits until something may be written to standard output, or something else comes up. What
 * ends the stream makes recording stop at once. Another signal then ends the program: nobody
 * may ever read. Return: whether something may be written.
 */
bool stream_wait_for_output(struct stream *stream);

/* Reads events until something ends them, and then what is left. Return: 0 or -errno. */
int stream_run(struct stream *stream);

#endif
