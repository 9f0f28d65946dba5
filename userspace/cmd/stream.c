// SPDX-License-Identifier: GPL-2.0
/*
 * Events as they come.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "area.h"
#include "clock.h"
#include "command.h"
#include "stream.h"

/*
 * What is read waits here for its turn, so that the rings are emptied while there is much to
 * print: at most 64 MiB, in pieces of 256 KiB.
 */
#define CHUNK_RECORDS	(256 * 1024 / sizeof(struct vminspect_event))
#define MOST_CHUNKS	256

/* How many have their turn before the rings are looked at again. */
#define PORTION		512

struct chunk {
	struct chunk *next;
	size_t nr;		/* records that were read into it */
	size_t done;		/* of them have had their turn */
	struct vminspect_event records[CHUNK_RECORDS];
};

struct queue {
	struct chunk *first;
	struct chunk *last;
	unsigned int nr;
};

/* Between two batches, so that events that come one by one do not wake us one by one. */
#define REST_MS		20
#define TICK_MS		1000

/* One processor makes fewer of them in a millisecond. */
#define RECORDS_MS	1000

int stream_timer(double seconds)
{
	struct itimerspec time = { .it_value.tv_sec = floor(seconds) };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	time.it_value.tv_nsec = (seconds - floor(seconds)) * 1e9;
	/* zero would mean never */
	if (!time.it_value.tv_sec && !time.it_value.tv_nsec)
		time.it_value.tv_nsec = 1;
	if (!timerfd_settime(fd, 0, &time, NULL))
		return fd;
	close(fd);
	return -EINVAL;
}

/* The last chunk if there is room in it, or else a new one. Return: NULL if it may not be. */
static struct chunk *chunk_with_room(struct queue *queue)
{
	struct chunk *chunk = queue->last;

	if (chunk && chunk->nr < CHUNK_RECORDS)
		return chunk;
	if (queue->nr == MOST_CHUNKS)
		return NULL;
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->nr = 0;
	chunk->done = 0;
	if (queue->last)
		queue->last->next = chunk;
	else
		queue->first = chunk;
	queue->last = chunk;
	queue->nr++;
	return chunk;
}

static void free_first(struct queue *queue)
{
	struct chunk *chunk = queue->first;

	queue->first = chunk->next;
	if (!queue->first)
		queue->last = NULL;
	queue->nr--;
	free(chunk);
}

/* Return: how many were read, 0 for none now, -ENODATA after the last one, or -errno. */
static int read_some(const struct stream *stream, struct chunk *chunk)
{
	struct vminspect_event *records = chunk->records + chunk->nr;
	size_t room = CHUNK_RECORDS - chunk->nr;
	ssize_t length = read(stream->fd, records, room * sizeof(*records));
	int nr;

	if (!length)
		return -ENODATA;
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	nr = length / sizeof(*records);
	for (int i = 0; i < nr; i++)
		stream->glimpse(&records[i]);
	chunk->nr += nr;
	return nr;
}

/* All that are there. Return: how many, or as above once there are no more. */
static int read_all(const struct stream *stream, struct queue *queue)
{
	struct chunk *chunk;
	int nr, sum = 0;

	/* for the sake of what is read: at the time of it these were the areas */
	areas_refresh();
	while ((chunk = chunk_with_room(queue))) {
		nr = read_some(stream, chunk);
		if (nr <= 0)
			return sum ? sum : nr;
		sum += nr;
		/* a full buffer may have left some */
		if (chunk->nr < CHUNK_RECORDS)
			break;
	}
	/* what is there would wait for ever */
	return queue->first ? sum : -ENOMEM;
}

/* Return: whether there are more of them. */
static bool handle_portion(struct stream *stream, struct queue *queue)
{
	struct chunk *chunk;

	for (int i = 0; i < PORTION; i++) {
		chunk = queue->first;
		if (chunk && chunk->done == CHUNK_RECORDS) {
			free_first(queue);
			chunk = queue->first;
		}
		if (!chunk || chunk->done == chunk->nr)
			return false;
		stream->event(stream->arg, &chunk->records[chunk->done++]);
	}
	return true;
}

/* A rest in which no ring becomes more than half full. */
static int rest_ms(const struct stream *stream)
{
	int most = stream->ring_records / 2 / RECORDS_MS;

	if (most < 1)
		return 1;
	return most < REST_MS ? most : REST_MS;
}

/* Whether nobody runs in the address space any more: its process may live on in another. */
static bool target_is_gone(const struct stream *stream)
{
	static __u64 due_ns;
	struct vminspect_entry entry;
	const __u64 va = 0;

	if (!stream->bound || clock_now_ns() < due_ns)
		return false;
	due_ns = clock_now_ns() + TICK_MS * 1000000ULL;
	return vminspect_translate(stream->bound, &va, 1, 0, &entry) == -ESRCH;
}

static bool signal_ends(const struct stream *stream)
{
	int signal = signals_next(stream->signals);

	if (signal && stream->child)
		child_pass_signal(stream->child, signal);
	return signal && !stream->child;
}

/* Return: whether something ends the stream. */
static bool wait_or_end(const struct stream *stream, int timeout, bool for_events)
{
	struct pollfd polls[] = {
		{ .fd = stream->signals->fd, .events = POLLIN },
		{ .fd = stream->process, .events = POLLIN },
		{ .fd = stream->timer, .events = POLLIN },
		{ .fd = for_events ? stream->fd : -1, .events = POLLIN },
		{ .fd = areas_watch(), .events = POLLPRI },
	};

	if (poll(polls, ARRAY_SIZE(polls), timeout) < 0)
		return false;
	if (polls[0].revents && signal_ends(stream))
		return true;
	return polls[1].revents || polls[2].revents || target_is_gone(stream);
}

/* Recording ends; what was recorded is still to be read. Return: 0 or -errno. */
static int stop(struct stream *stream)
{
	if (!stream->end_ns)
		stream->end_ns = clock_now_ns();
	return vminspect_events_state(stream->fd, VMINSPECT_EVENTS_STOP, &stream->state);
}

static void take_signal_while_waiting(struct stream *stream)
{
	int signal = signals_next(stream->signals);

	if (!signal)
		return;
	if (stream->child && !child_has_ended(stream->child))
		child_pass_signal(stream->child, signal);
	else if (stream->end_ns)
		signals_die(stream->signals, signal);
	else
		stop(stream);
}

bool stream_wait_for_output(struct stream *stream)
{
	bool ended = stream->end_ns;
	struct pollfd polls[] = {
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
		{ .fd = stream->signals->fd, .events = POLLIN },
		{ .fd = ended ? -1 : stream->process, .events = POLLIN },
		{ .fd = ended ? -1 : stream->timer, .events = POLLIN },
	};

	if (poll(polls, ARRAY_SIZE(polls), -1) < 0)
		return false;
	/* those that come while there is room are taken elsewhere */
	if (polls[0].revents)
		return true;
	if (polls[1].revents)
		take_signal_while_waiting(stream);
	if (polls[2].revents || polls[3].revents)
		stop(stream);
	return false;
}

/* Return: 0 or -errno. */
static int run(struct stream *stream, struct queue *queue)
{
	bool more, ended;
	int nr;

	do {
		nr = read_all(stream, queue);
		more = handle_portion(stream, queue);
		stream->pause(stream->arg);
		if (nr < 0)
			return nr;
		if (more)
			ended = wait_or_end(stream, 0, false);
		else if (nr)
			/* those that come during a rest wait for its end */
			ended = wait_or_end(stream, rest_ms(stream), false);
		else
			ended = wait_or_end(stream, TICK_MS, true);
	} while (!ended);
	return 0;
}

/* What is left after the end. */
static int drain(struct stream *stream, struct queue *queue)
{
	int ret = stop(stream);

	while (ret >= 0) {
		ret = read_all(stream, queue);
		handle_portion(stream, queue);
		stream->pause(stream->arg);
	}
	while (handle_portion(stream, queue))
		stream->pause(stream->arg);
	if (ret == -ENODATA)
		ret = vminspect_events_state(stream->fd, 0, &stream->state);
	return ret;
}

int stream_run(struct stream *stream)
{
	struct queue queue = {};
	int ret, error;

	ret = run(stream, &queue);
	error = drain(stream, &queue);
	while (queue.first)
		free_first(&queue);
	return ret && ret != -ENODATA ? ret : error;
}
