// SPDX-License-Identifier: GPL-2.0
/*
 * Whose events.
 */
#include <unistd.h>

#include "cgroup.h"
#include "json.h"
#include "subject.h"

static int open_device(struct subject *subject)
{
	return device_open(&subject->target.device, &subject->target.info);
}

static int open_cgroup(struct subject *subject)
{
	int ret;

	subject->cgroup_fd = cgroup_open(subject->cgroup, &ret);
	if (subject->cgroup_fd < 0)
		return ret;
	ret = open_device(subject);
	if (ret)
		close(subject->cgroup_fd);
	return ret;
}

int subject_open(struct subject *subject)
{
	if (subject->pid) {
		subject->name = subject->pid;
		return target_open(&subject->target, subject->pid);
	}
	if (subject->cgroup) {
		subject->name = subject->cgroup;
		return open_cgroup(subject);
	}
	subject->name = subject->all ? "all processes" : subject->program[0];
	return open_device(subject);
}

void subject_close(struct subject *subject)
{
	if (subject->cgroup)
		close(subject->cgroup_fd);
	if (subject->pid)
		target_close(&subject->target);
	else
		vminspect_close(subject->target.device);
}

void subject_request(const struct subject *subject, pid_t program,
		     struct vminspect_events *request)
{
	if (subject->pid) {
		request->scope = VMINSPECT_SCOPE_TARGET;
	} else if (subject->cgroup) {
		request->scope = VMINSPECT_SCOPE_CGROUP;
		request->cgroup_fd = subject->cgroup_fd;
	} else if (subject->all) {
		request->scope = VMINSPECT_SCOPE_ALL;
	} else {
		request->scope = VMINSPECT_SCOPE_TASKS;
		request->pid = program;
	}
}

static json_t *words_json(char **words)
{
	json_t *list = json_array();

	while (*words)
		json_append(list, json_text(*words++));
	return list;
}

void subject_put_json(const struct subject *subject, __u32 scope, json_t *document)
{
	static const char * const names[VMINSPECT_NR_SCOPES] = {
		[VMINSPECT_SCOPE_ALL] = "all",
		[VMINSPECT_SCOPE_TARGET] = "target",
		[VMINSPECT_SCOPE_TASKS] = "tasks",
		[VMINSPECT_SCOPE_CGROUP] = "cgroup",
	};

	json_put(document, "scope", json_string(names[scope]));
	if (subject->pid) {
		json_put(document, "pid", json_integer(subject->target.process.pid));
		json_put(document, "comm", json_text(subject->target.process.comm));
	}
	if (subject->cgroup)
		json_put(document, "cgroup", json_text(subject->cgroup));
	if (subject->program)
		json_put(document, "command", words_json(subject->program));
}
