/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMI_PROBE_H
#define VMI_PROBE_H

#include <linux/bits.h>
#include <linux/types.h>

/* Besides kinds of events, as a bit beside theirs: who starts whom. */
#define VMI_PROBE_FORKS		BIT(31)

int vmi_probe_init(void);
void vmi_probe_ready(void);
void vmi_probe_exit(void);
u32 vmi_probe_kinds(void);
int vmi_probe_get(u32 wanted, u32 *missing);
void vmi_probe_put(u32 wanted);
u64 vmi_probe_missed(void);

int vmi_probe_trace_swap_in(void);
void vmi_probe_untrace_swap_in(void);
int vmi_probe_trace_swap_out(void);
void vmi_probe_untrace_swap_out(void);
int vmi_probe_trace_read(void);
void vmi_probe_untrace_read(void);
int vmi_probe_trace_write(void);
void vmi_probe_untrace_write(void);

#endif /* VMI_PROBE_H */
