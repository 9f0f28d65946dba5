/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The same records as tracepoints, for perf, trace-cmd and bpftrace. Enabling one makes
 * the probes be attached, in a moment; see Documentation/events.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vminspect

#if !defined(VMI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VMI_TRACE_H

#include <linux/tracepoint.h>
#include <uapi/vminspect.h>

#include "probe.h"

#ifndef VMI_TRACE_SYMBOLS
#define VMI_TRACE_SYMBOLS
#define VMI_TRACE_AS						\
	{ VMINSPECT_AS_OTHER,		"other" },		\
	{ VMINSPECT_AS_FAULT,		"fault" },		\
	{ VMINSPECT_AS_KSWAPD,		"kswapd" },		\
	{ VMINSPECT_AS_DIRECT,		"direct" },		\
	{ VMINSPECT_AS_MEMCG,		"memcg" },		\
	{ VMINSPECT_AS_MADVISE,		"madvise" },		\
	{ VMINSPECT_AS_KHUGEPAGED,	"khugepaged" },		\
	{ VMINSPECT_AS_SWAPOFF,		"swapoff" }

#define VMI_TRACE_SOURCE					\
	{ VMINSPECT_SOURCE_UNKNOWN,	"unknown" },		\
	{ VMINSPECT_SOURCE_DEVICE,	"device" },		\
	{ VMINSPECT_SOURCE_ZRAM,	"zram" },		\
	{ VMINSPECT_SOURCE_ZSWAP,	"zswap" },		\
	{ VMINSPECT_SOURCE_ZERO,	"zero" },		\
	{ VMINSPECT_SOURCE_CACHE,	"cache" }

#define VMI_TRACE_FLAGS						\
	{ VMINSPECT_EVENT_MAJOR,	"major" },		\
	{ VMINSPECT_EVENT_RETRIED,	"retried" },		\
	{ VMINSPECT_EVENT_READAHEAD,	"readahead" },		\
	{ VMINSPECT_EVENT_SHMEM,	"shmem" },		\
	{ VMINSPECT_EVENT_FAILED,	"failed" },		\
	{ VMINSPECT_EVENT_VA,		"va" }
#endif

/* All have the same fields, so that one script serves several of them. */
DECLARE_EVENT_CLASS(vminspect_swap,

	TP_PROTO(const struct vminspect_event *event),

	TP_ARGS(event),

	TP_STRUCT__entry(
		__field(u64, latency_ns)
		__field(u64, va)
		__field(u64, ip)
		__field(u64, offset)
		__field(u64, cgroup)
		__field(u64, inode)
		__field(u64, index)
		__field(u32, type)
		__field(u32, source)
		__field(u32, as)
		__field(u32, flags)
		__field(u32, pages)
		__field(u32, dev)
		__field(u32, pid)
		__field(u32, actor_pid)
		__field(u32, actor_tid)
		__array(char, comm, 16)
		__array(char, actor_comm, 16)
	),

	TP_fast_assign(
		__entry->latency_ns = event->latency_ns;
		__entry->va = event->va;
		__entry->ip = event->ip;
		__entry->offset = event->offset;
		__entry->cgroup = event->cgroup;
		__entry->inode = event->inode;
		__entry->index = event->index;
		__entry->type = event->swap_type;
		__entry->source = event->source;
		__entry->as = event->as;
		__entry->flags = event->flags;
		__entry->pages = event->pages;
		__entry->dev = event->dev;
		__entry->pid = event->pid;
		__entry->actor_pid = event->actor_pid;
		__entry->actor_tid = event->actor_tid;
		memcpy(__entry->comm, event->comm, 16);
		memcpy(__entry->actor_comm, event->actor_comm, 16);
	),

	TP_printk("pid=%u comm=%s va=0x%llx pages=%u swap=%u:%llu source=%s flags=%s latency_ns=%lld as=%s actor=%s:%u/%u cgroup=%llu ip=0x%llx shmem=%u:%llu:%llu",
		  __entry->pid, __entry->comm, __entry->va, __entry->pages,
		  __entry->type, __entry->offset,
		  __print_symbolic(__entry->source, VMI_TRACE_SOURCE),
		  __print_flags(__entry->flags, "|", VMI_TRACE_FLAGS),
		  (s64)__entry->latency_ns,
		  __print_symbolic(__entry->as, VMI_TRACE_AS),
		  __entry->actor_comm, __entry->actor_pid, __entry->actor_tid,
		  __entry->cgroup, __entry->ip, __entry->dev, __entry->inode,
		  __entry->index)
);

DEFINE_EVENT_FN(vminspect_swap, swap_in,
	TP_PROTO(const struct vminspect_event *event),
	TP_ARGS(event),
	vmi_probe_trace_swap_in, vmi_probe_untrace_swap_in);

DEFINE_EVENT_FN(vminspect_swap, swap_out,
	TP_PROTO(const struct vminspect_event *event),
	TP_ARGS(event),
	vmi_probe_trace_swap_out, vmi_probe_untrace_swap_out);

DEFINE_EVENT_FN(vminspect_swap, swap_read,
	TP_PROTO(const struct vminspect_event *event),
	TP_ARGS(event),
	vmi_probe_trace_read, vmi_probe_untrace_read);

DEFINE_EVENT_FN(vminspect_swap, swap_write,
	TP_PROTO(const struct vminspect_event *event),
	TP_ARGS(event),
	vmi_probe_trace_write, vmi_probe_untrace_write);

#endif /* VMI_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
