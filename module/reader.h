/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_READER_H
#define VMI_READER_H

#include <linux/fs.h>
#include <linux/mutex.h>

#include "event.h"
#include "target.h"

/* Records that are copied at once. */
#define VMI_READER_BATCH	64U

/**
 * struct vmi_reading - an open reader
 * @reader: where its records come
 * @wanted: what it made be attached: see vmi_probe_get(); 0: nothing yet
 * @missed_before: what probes had passed over when it began
 * @missed: what they had passed over from then on to its end, once it was stopped
 * @lock: of what follows, and of taking records
 * @batch: those last copied
 */
struct vmi_reading {
	struct vmi_reader *reader;
	u32 wanted;
	u64 missed_before;
	u64 missed;
	struct mutex lock;	/* batch, and taking records */
	struct vminspect_event batch[VMI_READER_BATCH];
};

struct vmi_reading *vmi_reader_open(struct vminspect_events *request,
				    const struct vmi_target *target);
void vmi_reader_close(struct vmi_reading *reading);
int vmi_reader_fetch(struct vmi_reading *reading, unsigned int max, bool wait);
__poll_t vmi_reader_poll(struct vmi_reading *reading, struct file *file,
			 struct poll_table_struct *table);
struct file *vmi_reader_file(struct vmi_reading *reading, unsigned int flags);

#endif /* VMI_READER_H */
