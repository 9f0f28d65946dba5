/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_FLIGHT_H
#define VMI_FLIGHT_H

#include <linux/types.h>

#include "event.h"

/**
 * struct vmi_flight - a page on its way between memory and a swap area
 * @event: its record, complete but for what is known at the end
 * @start_ns: when it was submitted
 * @readers: who gets the record
 */
struct vmi_flight {
	struct vminspect_event event;
	u64 start_ns;
	u64 readers;
};

int vmi_flight_start(void);
void vmi_flight_stop(void);
u64 vmi_flight_key(u8 kind, u64 slot);
u64 vmi_flight_slot(u64 key);
bool vmi_flight_add(u64 key, struct vmi_flight *flight, const struct vmi_owner *owner);
bool vmi_flight_take(u64 key, u64 start_ns, struct vmi_flight *flight);
void vmi_flight_forget(u64 reader,
		       void (*found)(struct vminspect_event *event, u64 reader));

#endif /* VMI_FLIGHT_H */
