/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_EVENT_H
#define VMI_EVENT_H

#include <linux/cgroup.h>
#include <linux/irq_work.h>
#include <linux/mm_types.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <uapi/vminspect.h>

/* As many as a mask of them has bits; see struct vminspect_events. */
#define VMI_MAX_READERS		64
#define VMI_MAX_RINGS		64

/**
 * struct vmi_ring - records that wait for a reader, those of some processors
 * @records: the records; position modulo the reader's ring_records
 * @head: where the next one goes; written by producers
 * @tail: the oldest one that was not read; written by the reader
 * @seen: how far the reader may look at the moment; its own
 * @at: where it looks at the moment; its own
 * @lost: records lost since the last one that found room
 * @lost_ns: when the first of them was lost
 *
 * @head, @lost and @lost_ns are changed under the lock of the ring's number, which the
 * rings of all readers share: see event.c.
 */
struct vmi_ring {
	struct vminspect_event *records;
	u32 head;
	u32 tail;
	u32 seen;
	u32 at;
	u64 lost;
	u64 lost_ns;
};

/**
 * struct vmi_reader - somebody who wants events
 * @bit: of masks of readers: its own
 * @kinds: mask of 1 << VMINSPECT_EVENT_*
 * @scope: VMINSPECT_SCOPE_*
 * @mm: TARGET: the address space; its mm_count is held
 * @tasks: TASKS: a bit for each pid: set if it belongs to it
 * @cgroup: CGROUP: a reference
 * @stopping: wants nothing new any more
 * @stopped: nothing will come any more
 * @told: was it woken up since it last looked?
 * @ring_records: size of each ring, a power of two
 * @wait: for records
 * @wake: wakes it up, from where waking up is not possible
 * @records: records meant for it, one figure for each ring: written under its lock
 * @lost: likewise those lost
 * @rings: as many as there are numbers of rings
 */
struct vmi_reader {
	u64 bit;
	u32 kinds;
	u32 scope;
	struct mm_struct *mm;
	unsigned long *tasks;
	struct cgroup *cgroup;
	bool stopping;
	bool stopped;
	int told;
	u32 ring_records;
	wait_queue_head_t wait;
	struct irq_work wake;
	u64 records[VMI_MAX_RINGS];
	u64 lost[VMI_MAX_RINGS];
	struct vmi_ring rings[VMI_MAX_RINGS];
};

/**
 * struct vmi_owner - whom a page belongs to, as filters need it
 * @mm: the address space, only compared; NULL: not known
 * @cgroup: its cgroup, or the one that the page is charged to; valid in the same
 *	RCU section; NULL: none
 */
struct vmi_owner {
	struct mm_struct *mm;
	struct cgroup *cgroup;
};

/* What was counted since the module was loaded. */
struct vmi_event_stats {
	u64 events[VMINSPECT_NR_EVENTS];
	u64 pages[VMINSPECT_NR_EVENTS];
	u64 lost;
	unsigned int readers;
};

void vmi_event_init(void);

unsigned int vmi_event_nr_rings(void);
u32 vmi_event_default_records(void);
struct vmi_reader *vmi_event_reader_alloc(u32 ring_records);
void vmi_event_reader_free(struct vmi_reader *reader);
int vmi_event_reader_add(struct vmi_reader *reader);
void vmi_event_reader_remove(struct vmi_reader *reader);

u64 vmi_event_wanted_by(const struct vminspect_event *event, const struct vmi_owner *owner);
void vmi_event_record(struct vminspect_event *event, u64 readers);
void vmi_event_hand(struct vminspect_event *event, u64 readers);
void vmi_event_forked(pid_t parent, pid_t child);

bool vmi_event_pending(struct vmi_reader *reader);
unsigned int vmi_event_peek(struct vmi_reader *reader, struct vminspect_event *to,
			    unsigned int max);
void vmi_event_consume(struct vmi_reader *reader);
void vmi_event_reader_state(const struct vmi_reader *reader, u64 *records, u64 *lost);
void vmi_event_stats(struct vmi_event_stats *stats);

#endif /* VMI_EVENT_H */
