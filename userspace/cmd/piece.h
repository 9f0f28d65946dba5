/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extents cut where mappings begin and end. Both are read in step, but not in the
 * same instant, and a process may change its mappings between.
 */
#ifndef PIECE_H
#define PIECE_H

#include "mapping.h"
#include "target.h"
#include "vminspect.h"

/* A part of an extent that lies in one mapping, or in none that was listed. */
struct piece {
	struct vminspect_extent extent;
	const struct mapping *mapping;	/* or NULL; valid until the next piece */
};

struct pieces {
	struct mappings mappings;
	struct vminspect_extents *extents;
	__u64 start;		/* the range */
	__u64 end;
	bool complete;		/* all that is mapped there comes */
	bool changed;		/* mappings and extents did not agree */
	struct vminspect_extent rest;	/* not yet handed out */
	__u64 covered;	/* of the current mapping, in bytes */
};

/*
 * @what: as for vminspect_extents_start(). @complete: it selects all that is mapped.
 * Return: 0 or -errno.
 */
int pieces_start(struct pieces *pieces, const struct target *target,
		 const struct vminspect_scan *what, bool complete);
/* Return: 1, or 0 after the last one, or -errno as vminspect_extents_next(). */
int pieces_next(struct pieces *pieces, struct piece *piece);
void pieces_stop(struct pieces *pieces);

#endif
