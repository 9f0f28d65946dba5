// SPDX-License-Identifier: GPL-2.0
/*
 * What a stream of events comes to.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "summary.h"

void summary_init(struct summary *summary, __u32 kinds, __u32 missing)
{
	*summary = (struct summary) {
		.kinds = kinds & ~missing,
		.missing = missing,
		.processes = ranking_new(),
		.mappings = ranking_new(),
		.recent = recent_new(),
	};
}

void summary_free(struct summary *summary)
{
	ranking_free(summary->processes);
	ranking_free(summary->mappings);
	recent_free(summary->recent);
}

static void add_to_kind(struct kind_sum *sum, const struct vminspect_event *event)
{
	sum->events++;
	sum->pages += event->pages;
	sum->failed += !!(event->flags & VMINSPECT_EVENT_FAILED);
	if (event->latency_ns != VMINSPECT_UNKNOWN)
		histogram_add(&sum->latency, event->latency_ns);
}

/* Of the two kinds of one direction the one that owners are counted by, lest pages count twice. */
static bool counts_for_owner(const struct summary *summary, unsigned int kind, unsigned int swap,
			     unsigned int transfer)
{
	return kind == ((summary->kinds & 1U << swap) ? swap : transfer);
}

static void add_to_rank(struct summary *summary, struct rank *rank,
			const struct vminspect_event *event)
{
	if (counts_for_owner(summary, event->kind, VMINSPECT_EVENT_SWAP_IN, VMINSPECT_EVENT_READ))
		rank->in_pages += event->pages;
	if (counts_for_owner(summary, event->kind, VMINSPECT_EVENT_SWAP_OUT,
			     VMINSPECT_EVENT_WRITE))
		rank->out_pages += event->pages;
	rank->pid = event->pid;
	memcpy(rank->comm, event->comm, sizeof(rank->comm));
}

/* FNV-1a. */
static __u64 hash_text(const char *text)
{
	__u64 hash = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

static void add_to_process(struct summary *summary, const struct vminspect_event *event)
{
	char comm[sizeof(event->comm) + 1] = "";
	struct rank *rank;

	memcpy(comm, event->comm, sizeof(event->comm));
	rank = ranking_find(summary->processes, event->pid, hash_text(comm));
	if (rank)
		add_to_rank(summary, rank, event);
	else
		summary->unranked = true;
}

static void add_to_mapping(struct summary *summary, const struct vminspect_event *event,
			   const struct mapping *mapping)
{
	__u64 key = *mapping->name ? hash_text(mapping->name) : mapping->start;
	struct rank *rank = ranking_find(summary->mappings, event->pid, key);

	if (!rank) {
		summary->unranked = true;
		return;
	}
	add_to_rank(summary, rank, event);
	if (rank->name)
		return;
	/* the parts of a file count together, and this is one of them */
	rank->start = mapping->start;
	rank->name = strdup(mapping->name);
	if (!rank->name)
		die_of_memory();
}

void summary_add(struct summary *summary, const struct vminspect_event *event,
		 const struct mapping *mapping)
{
	if (event->kind == VMINSPECT_EVENT_LOST) {
		summary->lost += event->pages;
		return;
	}
	if (event->kind >= VMINSPECT_NR_EVENTS)
		return;
	add_to_kind(&summary->sums[event->kind], event);
	if (event->pid)
		add_to_process(summary, event);
	if (event->pid && mapping)
		add_to_mapping(summary, event, mapping);
	if (event->kind == VMINSPECT_EVENT_SWAP_OUT)
		recent_add(summary->recent, event);
	if (event->kind == VMINSPECT_EVENT_SWAP_IN)
		summary->returned_pages += recent_take(summary->recent, event);
}
