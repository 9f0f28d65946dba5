// SPDX-License-Identifier: GPL-2.0
/*
 * The process that a command is about, and the device bound to it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "area.h"
#include "command.h"
#include "error.h"
#include "json.h"
#include "target.h"

const char *hidden_reason(__u32 hidden)
{
	/* no capability helps against lockdown, so that comes first */
	if (hidden & VMINSPECT_HIDDEN_LOCKDOWN)
		return "lockdown";
	return hidden ? "CAP_SYS_ADMIN" : NULL;
}

int device_open(struct vminspect **device, struct vminspect_info *info)
{
	const char *path = getenv("VMINSPECT_DEVICE");
	int ret;

	if (!path || !*path)
		path = VMINSPECT_DEVICE;
	ret = vminspect_open(path, device, info);
	if (ret == -EPROTONOSUPPORT)
		return fail("the module has ABI %u, this program %d: install one version of both",
			    info->abi, VMINSPECT_ABI);
	if (ret)
		return fail_doing(DOING_DEVICE, ret, path, "");
	areas_use(*device, info);
	return 0;
}

int device_bind(struct vminspect *device, const struct process *process)
{
	int fd, ret;

	/* the access check is the kernel's, made here */
	fd = process_open_file(process, "pagemap");
	if (fd < 0)
		return fd;
	ret = vminspect_bind(device, fd);
	close(fd);
	return ret;
}

int target_check_name(const char *name)
{
	if (process_name_valid(name))
		return 0;
	return misuse("'%s' is not a pid: write a number, or self", name);
}

static int fail_process(const struct target *target, int error, const char *more)
{
	enum process_kind kind = PROCESS_USUAL;

	/* what is left of it says why there is nothing to read */
	if (error == -ESRCH || error == -ENOENT || error == -EACCES || error == -EPERM)
		kind = process_kind(&target->process);

	switch (kind) {
	case PROCESS_ZOMBIE:
		return fail("process %s is a zombie: it has exited, and its memory is gone%s",
			    target->name, more);
	case PROCESS_HEADLESS:
		return fail("the first thread of %s has exited: name another of /proc/%s/task%s",
			    target->name, target->name, more);
	case PROCESS_KERNEL_THREAD:
		return fail("%s is a kernel thread: it has no address space of its own%s",
			    target->name, more);
	default:
		return fail_doing(DOING_TARGET, error, target->name, more);
	}
}

int target_fail(const struct target *target, int error)
{
	return fail_process(target, error, "");
}

int target_fail_at(const struct target *target, int error, __u64 va)
{
	char more[64];

	snprintf(more, sizeof(more), "; nothing was read from 0x%llx on", va);
	return fail_process(target, error, more);
}

int target_open(struct target *target, const char *name)
{
	int ret;

	target->name = name;
	ret = device_open(&target->device, &target->info);
	if (ret)
		return ret;

	ret = process_open(&target->process, name);
	if (ret) {
		ret = fail_doing(DOING_PROCESS, ret, name, "");
		goto err_close_device;
	}

	ret = device_bind(target->device, &target->process);
	if (ret) {
		ret = target_fail(target, ret);
		goto err_close_process;
	}
	target->hidden = hidden_reason(vminspect_hidden(target->device));
	return 0;

err_close_process:
	process_close(&target->process);
err_close_device:
	vminspect_close(target->device);
	return ret;
}

void target_close(struct target *target)
{
	process_close(&target->process);
	vminspect_close(target->device);
}

void target_note_hidden(const struct target *target, const struct output *out)
{
	if (!target->hidden || out->json)
		return;
	if (!strcmp(target->hidden, "lockdown"))
		note("frames and swap slots are hidden: the kernel is locked down");
	else
		note("frames and swap slots are hidden: seeing them takes %s",
		     target->hidden);
}

int target_end(const struct target *target, const struct output *out, bool changed, int error,
	       __u64 resume)
{
	if (error)
		return target_fail_at(target, error, resume);
	target_note_hidden(target, out);
	if (changed && !out->json)
		note("process %s changed its mappings meanwhile: figures may not fit together",
		     target->name);
	return EXIT_SUCCESS;
}

json_t *target_end_json(bool changed, int error, __u64 resume)
{
	json_t *tail = json_object();

	if (changed)
		json_put(tail, "changed", json_true());
	if (error) {
		json_put(tail, "truncated", json_true());
		json_put(tail, "resume", json_address(resume));
	}
	return tail;
}

json_t *target_json(const struct target *target)
{
	json_t *head = json_schema();

	json_put(head, "pid", json_integer(target->process.pid));
	json_put(head, "comm", json_text(target->process.comm));
	return head;
}
