// SPDX-License-Identifier: GPL-2.0
/*
 * Who has most.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ranking.h"

#define NR_PLACES	8192	/* a power of two */
#define MOST		(NR_PLACES / 2)

struct ranking {
	size_t nr;
	struct rank ranks[NR_PLACES];
};

struct ranking *ranking_new(void)
{
	struct ranking *ranking = calloc(1, sizeof(*ranking));

	if (!ranking)
		die_of_memory();
	return ranking;
}

void ranking_free(struct ranking *ranking)
{
	for (size_t i = 0; i < NR_PLACES; i++)
		free(ranking->ranks[i].name);
	free(ranking);
}

struct rank *ranking_find(struct ranking *ranking, __u64 first, __u64 second)
{
	/* the multiplier of Fibonacci hashing, 2^64 divided by the golden ratio */
	__u64 hash = (first * 31 + second) * 0x9e3779b97f4a7c15ULL;
	struct rank *rank;

	for (size_t i = hash >> 51;; i++) {
		rank = &ranking->ranks[i % NR_PLACES];
		if (rank->key[0] == first && rank->key[1] == second)
			return rank;
		if (!rank->key[0] && !rank->key[1])
			break;
	}
	if (ranking->nr == MOST)
		return NULL;
	ranking->nr++;
	rank->key[0] = first;
	rank->key[1] = second;
	return rank;
}

static __u64 pages(const struct rank *rank)
{
	return rank->in_pages + rank->out_pages;
}

static void insert(const struct rank *top[], size_t nr, const struct rank *rank)
{
	size_t at = nr - 1;

	for (; at > 0 && (!top[at - 1] || pages(top[at - 1]) < pages(rank)); at--)
		top[at] = top[at - 1];
	top[at] = rank;
}

size_t ranking_top(const struct ranking *ranking, const struct rank *top[], size_t nr)
{
	size_t filled = 0;

	memset(top, 0, nr * sizeof(top[0]));
	for (size_t i = 0; i < NR_PLACES; i++) {
		const struct rank *rank = &ranking->ranks[i];

		if (pages(rank) && (!top[nr - 1] || pages(top[nr - 1]) < pages(rank)))
			insert(top, nr, rank);
	}
	while (filled < nr && top[filled])
		filled++;
	return filled;
}
