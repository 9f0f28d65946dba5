// SPDX-License-Identifier: GPL-2.0
/*
 * vminspect trace: swapping as it happens, and what it came to.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "address.h"
#include "area.h"
#include "clock.h"
#include "child.h"
#include "command.h"
#include "error.h"
#include "event.h"
#include "json.h"
#include "owner.h"
#include "pace.h"
#include "report.h"
#include "signals.h"
#include "stdout.h"
#include "stream.h"
#include "subject.h"
#include "summary.h"
#include "vminspect.h"

#define HIGHEST_PRIORITY	(-20)

enum {
	OPTION_CGROUP = 256, OPTION_FOR, OPTION_ONLY, OPTION_PAGES_OF, OPTION_SUMMARY, OPTION_ALL,
	OPTION_TO,
};

static const struct cmd_option options[] = {
	{ 'a', "all-processes", NULL, "the whole machine" },
	{ OPTION_CGROUP, "cgroup", "PATH", "a cgroup (v2) and those below it" },
	{ OPTION_FOR, "for", "SECONDS", "end after so long" },
	{ OPTION_ONLY, "only", "KINDS", "of swap_in,swap_out,read,write" },
	{ OPTION_PAGES_OF, "pages-of", "MAPPING", "pages of this file, [name] or address alone" },
	{ OPTION_SUMMARY, "summary", NULL, "the summary alone" },
	{ OPTION_ALL, "all", NULL, "every event, even to a terminal" },
	{ OPTION_TO, "to", "FILE", "write there, and leave standard output to the program" },
};

static struct {
	bool everybody;
	const char *cgroup;
	double seconds;		/* 0: no limit */
	__u32 kinds;		/* 0: all */
	const char *pages_of;
	bool summary;
	bool all;
	const char *to;
} chosen;

/* What is traced, and everything that takes. */
struct trace {
	const struct output *out;
	struct subject subject;
	struct guest_memory guests;	/* of the subject's, if that is a process */
	struct address pages_of;

	struct vminspect_events request;
	int stdout;			/* the program's, or -1: the same as ours */
	struct signals signals;
	struct child child;
	struct stream stream;
	struct stdout_care care;

	struct table *table;		/* or NULL: no table of events */
	struct pace pace;
	struct summary summary;
	bool any;			/* event was among those to be shown */
	__u64 start_ns;			/* all events are recorded from here on */
};

static int parse_seconds(const char *text)
{
	char *end;

	chosen.seconds = strtod(text, &end);
	/* a timer takes no more than it can count */
	if (end == text || *end || !(chosen.seconds > 0) || chosen.seconds > 1e9)
		return misuse("--for: '%s' is not a number of seconds above 0", text);
	return 0;
}

static int parse_kinds(const char *list)
{
	char *copy = strdup(list), *rest = copy, *name;
	int ret = 0;

	if (!copy)
		die_of_memory();
	while (!ret && (name = strsep(&rest, ","))) {
		unsigned int kind = 1;

		while (kind < VMINSPECT_NR_EVENTS && strcmp(name, vminspect_event_name(kind)))
			kind++;
		if (kind < VMINSPECT_NR_EVENTS)
			chosen.kinds |= 1U << kind;
		else
			ret = misuse("--only: there is no kind '%s': there are %s", name,
				     kinds_text(VMINSPECT_EVENT_KINDS));
	}
	free(copy);
	return ret;
}

static int trace_option(int letter, const char *arg)
{
	switch (letter) {
	case 'a':
		chosen.everybody = true;
		return 0;
	case OPTION_CGROUP:
		chosen.cgroup = arg;
		return 0;
	case OPTION_FOR:
		return parse_seconds(arg);
	case OPTION_ONLY:
		return parse_kinds(arg);
	case OPTION_PAGES_OF:
		chosen.pages_of = arg;
		return 0;
	case OPTION_SUMMARY:
		chosen.summary = true;
		return 0;
	case OPTION_TO:
		chosen.to = arg;
		return 0;
	default:
		chosen.all = true;
		return 0;
	}
}

/* What stands before and after --. Return: 0 or an exit status, after a message. */
static int parse_words(struct trace *trace, int argc, char **argv)
{
	int own = 0;

	while (own < argc && strcmp(argv[own], "--"))
		own++;
	if (own < argc && own + 1 == argc)
		return misuse("a program is needed after --");
	if (own < argc)
		trace->subject.program = argv + own + 1;
	if (own > 1)
		return misuse("'%s' is too much: one PID, and a program to be started after --",
			      argv[1]);
	if (own)
		trace->subject.pid = argv[0];
	return 0;
}

static int check_pages_of(struct trace *trace)
{
	int ret;

	if (!chosen.pages_of)
		return 0;
	ret = address_parse("--pages-of: ", chosen.pages_of, &trace->pages_of);
	if (!ret && trace->pages_of.name && trace->pages_of.value)
		ret = misuse("--pages-of: '%s' is one place of a mapping: write its name alone",
			     chosen.pages_of);
	return ret;
}

static int check_usage(struct trace *trace)
{
	const struct subject *subject = &trace->subject;
	int nr = !!subject->pid + subject->all + !!subject->cgroup;

	if (subject->pid && !process_name_valid(subject->pid))
		return misuse("'%s' is not a pid: write a number, or -- before a program to start",
			      subject->pid);
	if (nr > 1)
		return misuse("a PID, --all-processes and --cgroup exclude each other");
	if (!nr && !subject->program)
		return misuse("whom? a PID, -a for all, --cgroup PATH, or -- CMD to start one");
	if (subject->cgroup && !*subject->cgroup)
		return misuse("--cgroup: '' is not a path: that of the root is /");
	if (trace->out->json && trace->out->columns)
		return misuse("--json has no columns to choose here");
	if (chosen.summary && (chosen.all || trace->out->columns))
		return misuse("--summary shows no events: --all and --output do not go with it");
	return check_pages_of(trace);
}

static bool is_among_pages(const struct trace *trace, const struct mapping *mapping)
{
	const struct address *pages_of = &trace->pages_of;

	if (!chosen.pages_of)
		return true;
	if (!mapping)
		return false;
	if (pages_of->name)
		return mapping_is_called(mapping, pages_of->name, pages_of->length);
	return pages_of->value >= mapping->start && pages_of->value < mapping->end;
}

static void print_event(struct trace *trace, const struct event_row *row)
{
	if (trace->out->json)
		event_print_json(row);
	else if (pace_admits(&trace->pace, row->event))
		table_line(trace->table, row);
}

static bool find_mapping(const struct vminspect_event *event, struct mapping *mapping)
{
	return event->flags & VMINSPECT_EVENT_VA &&
	       owner_mapping(event->pid, event->comm, event->va, mapping);
}

static void take_glimpse(const struct vminspect_event *event)
{
	struct mapping mapping;

	/* it is remembered there */
	find_mapping(event, &mapping);
}

static void take_event(void *arg, const struct vminspect_event *event)
{
	struct trace *trace = arg;
	struct event_row row = {
		.event = event, .start_ns = trace->start_ns,
		.guests = trace->guests.nr ? &trace->guests : NULL,
	};
	struct mapping mapping;
	bool known;

	/* what was recorded before the call returned: times are told from its return on */
	if (event->kind != VMINSPECT_EVENT_LOST && event->time_ns < trace->start_ns)
		return;
	known = find_mapping(event, &mapping);
	/* what was lost may have been among them */
	if (event->kind != VMINSPECT_EVENT_LOST &&
	    !is_among_pages(trace, known ? &mapping : NULL))
		return;
	trace->any |= event->kind != VMINSPECT_EVENT_LOST;
	summary_add(&trace->summary, event, known ? &mapping : NULL);
	row.mapping = known ? mapping.name : NULL;
	if (!chosen.summary)
		print_event(trace, &row);
}

static void take_pause(void *arg)
{
	struct trace *trace = arg;

	pace_tick(&trace->pace, clock_now_ns());
	stdout_flush();
}

static void print_start(const struct trace *trace)
{
	json_t *line = json_schema();

	json_put(line, "event", json_string("start"));
	json_put(line, "time_ns", json_integer(trace->start_ns));
	subject_put_json(&trace->subject, trace->request.scope, line);
	json_put(line, "page_size", json_integer(trace->subject.target.info.page_size));
	json_put(line, "kinds", kinds_json(trace->request.kinds & ~trace->request.missing));
	json_put(line, "missing", kinds_json(trace->request.missing));
	json_print(line);
}

/* What is not as one may think, but no reason to stop. */
static void print_notes(const struct trace *trace)
{
	struct vminspect_swap area;

	if (vminspect_swap(trace->subject.target.device, 0, 0, NULL, 0, &area) == -ENOENT)
		note("this machine has no swap area: nothing can be swapped out");
	if (trace->request.missing && !trace->out->json)
		note("this kernel does not show %s; the others go on",
		     kinds_text(trace->request.missing));
}

/* Those that the kernel lets be seen. Their features stand in the order of the kinds. */
static __u32 visible_kinds(const struct vminspect_info *info)
{
	__u32 kinds = 0;

	for (unsigned int kind = 1; kind < VMINSPECT_NR_EVENTS; kind++) {
		if (info->features & VMINSPECT_FEATURE_SWAP_IN << (kind - 1))
			kinds |= 1U << kind;
	}
	return kinds;
}

/* The events of whoever was asked for. Return: 0 or an exit status, after a message. */
static int open_events(struct trace *trace)
{
	struct vminspect_events *request = &trace->request;
	int fd;

	*request = (struct vminspect_events) {
		.flags = VMINSPECT_EVENTS_NONBLOCK,
		.kinds = chosen.kinds ? chosen.kinds : VMINSPECT_EVENT_KINDS,
	};
	subject_request(&trace->subject, trace->child.pid, request);
	if (!(request->kinds & visible_kinds(&trace->subject.target.info)))
		return fail("this kernel does not show %s: see 'vminspect info'",
			    kinds_text(request->kinds));
	fd = vminspect_events(trace->subject.target.device, request);
	if (fd < 0)
		return fail_doing(DOING_EVENTS, fd, trace->subject.name, "");
	trace->start_ns = clock_now_ns();
	trace->stream.fd = fd;
	return 0;
}

static void close_events(struct trace *trace)
{
	if (trace->stream.fd >= 0)
		close(trace->stream.fd);
	trace->stream.fd = -1;
}

/* What ends it, besides signals. Return: 0 or an exit status, after a message. */
static int open_ends(struct trace *trace)
{
	struct stream *stream = &trace->stream;

	stream->signals = &trace->signals;
	stream->process = -1;
	stream->timer = -1;
	if (trace->subject.program) {
		stream->child = &trace->child;
		stream->process = trace->child.pidfd;
	} else if (trace->subject.pid) {
		/* a thread has none before 6.9; its end is noticed all the same, a bit later */
		stream->process = open_pidfd(trace->subject.target.process.pid);
	}
	if (trace->subject.pid)
		stream->bound = trace->subject.target.device;
	if (chosen.seconds)
		stream->timer = stream_timer(chosen.seconds);
	if (chosen.seconds && stream->timer < 0)
		return fail("can't set a timer: %s", strerror(-stream->timer));
	return 0;
}

static void close_ends(const struct trace *trace)
{
	if (trace->stream.timer >= 0)
		close(trace->stream.timer);
	if (trace->stream.process >= 0 && !trace->subject.program)
		close(trace->stream.process);
}

/*
 * The tracer's own pages should not be swapped, and who swaps keeps the processors busy: it takes
 * little time of theirs, but has to have it soon. What is started was forked before.
 */
static void claim_resources(void)
{
	setpriority(PRIO_PROCESS, 0, HIGHEST_PRIORITY);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		note("this program's memory can't be locked (%s): it may be swapped out itself",
		     strerror(errno));
}

static bool wait_for_output(void *arg)
{
	struct trace *trace = arg;

	return stream_wait_for_output(&trace->stream);
}

/* Nobody sees what happens any more, but the program goes on. */
static void survive_output(void *arg)
{
	struct trace *trace = arg;

	close_events(trace);
	if (trace->subject.program)
		child_wait(&trace->child, &trace->signals);
}

static int run_stream(struct trace *trace)
{
	struct stream *stream = &trace->stream;
	int ret;

	stdout_take_care(&trace->care);
	stream->ring_records = trace->request.ring_records;
	stream->glimpse = take_glimpse;
	stream->event = take_event;
	stream->pause = take_pause;
	stream->arg = trace;
	trace->pace = (struct pace) {
		.limited = isatty(STDOUT_FILENO) && !chosen.all && !trace->out->json,
		.start_ns = trace->start_ns,
		.second_ns = trace->start_ns,
	};
	ret = stream_run(stream);
	/* a program may go on for long: it should not pay for probes that nobody reads */
	close_events(trace);
	if (ret)
		return fail_doing(DOING_EVENTS, ret, trace->subject.name, "");
	trace->summary.lost = stream->state.lost;
	trace->summary.missed = stream->state.missed;
	return 0;
}

static void print_summary(struct trace *trace)
{
	struct summary *summary = &trace->summary;

	summary->duration_ns = trace->stream.end_ns - trace->start_ns;
	if (trace->out->json)
		report_print_json(summary);
	else
		report_print(summary, trace->out, !chosen.summary);
	stdout_flush();
	if (chosen.pages_of && !trace->any)
		note("no event had an address in a mapping called '%s'", chosen.pages_of);
}

/* With the program executed, if there is one. Return: the exit status. */
static int run_to_end(struct trace *trace)
{
	int ret, status;

	if (trace->out->json)
		print_start(trace);
	ret = run_stream(trace);
	print_summary(trace);
	stdout_take_care(NULL);
	if (!trace->subject.program)
		return ret;
	status = child_wait(&trace->child, &trace->signals);
	return ret ? ret : status;
}

/* From the moment on that events are recorded. */
static int trace_events(struct trace *trace)
{
	int ret = 0;

	summary_init(&trace->summary, trace->request.kinds, trace->request.missing);
	claim_resources();
	print_notes(trace);
	if (trace->subject.program)
		ret = child_go(&trace->child);
	if (!ret)
		ret = run_to_end(trace);
	summary_free(&trace->summary);
	close_ends(trace);
	return ret;
}

static int open_and_trace(struct trace *trace)
{
	int ret;

	ret = signals_open(&trace->signals);
	if (ret)
		return fail("can't receive signals: %s", strerror(-ret));
	if (trace->subject.program)
		ret = child_prepare(&trace->child, trace->subject.program, trace->stdout,
				    &trace->signals);
	if (ret)
		goto out_close_signals;
	/* it has to be waited for */
	if (trace->subject.program)
		signals_ignore_pipe();

	ret = open_events(trace);
	if (ret)
		goto err_cancel_child;
	ret = open_ends(trace);
	if (ret)
		goto err_close_events;

	ret = trace_events(trace);
	close_events(trace);
	goto out_close_signals;

err_close_events:
	close_events(trace);
err_cancel_child:
	if (trace->subject.program)
		child_cancel(&trace->child);
out_close_signals:
	signals_close(&trace->signals);
	return ret;
}

static int trace_run(const struct output *out, int argc, char **argv)
{
	struct trace trace = {
		.out = out,
		.stdout = -1,
		.subject = { .all = chosen.everybody, .cgroup = chosen.cgroup },
		.care = { wait_for_output, survive_output, &trace },
	};
	int ret;

	ret = parse_words(&trace, argc, argv);
	if (!ret)
		ret = check_usage(&trace);
	if (ret)
		return ret;
	if (!out->json) {
		trace.table = table_new(&event_view, out);
		if (!trace.table)
			return trace.subject.program ? EXIT_OWN_FAILURE : EXIT_USAGE;
	}
	if (chosen.to) {
		ret = stdout_divert(chosen.to, &trace.stdout);
		if (ret)
			goto out_free_table;
	}
	ret = subject_open(&trace.subject);
	if (!ret) {
		if (trace.subject.pid)
			guest_memory_take(&trace.guests, &trace.subject.target.process,
					  trace.subject.target.device);
		ret = open_and_trace(&trace);
		guest_memory_free(&trace.guests);
		subject_close(&trace.subject);
	}
out_free_table:
	table_free(trace.table);
	return ret;
}

const struct command cmd_trace = {
	.name = "trace",
	.args = "PID|-a|-- CMD",
	.summary = "swapping as it happens; a summary at the end",
	.notes = "-- CMD ARGUMENTS... is started: alone, it and its children are traced; with -a,\n"
		 "--cgroup or a PID those, while it runs. Its exit status becomes this one's.",
	.options = options,
	.nr_options = ARRAY_SIZE(options),
	.views = (const struct view *[]) { &event_view },
	.nr_views = 1,
	.starts_program = true,
	.option = trace_option,
	.run = trace_run,
};
