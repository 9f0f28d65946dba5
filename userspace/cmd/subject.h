/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose events: a process's, a cgroup's, those of a program that is started, or everybody's.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <jansson.h>
#include <stdbool.h>

#include "target.h"
#include "vminspect.h"

struct subject {
	/* As it was asked for: at most one of the first three. */
	const char *pid;
	const char *cgroup;
	bool all;
	char **program;		/* alone, it is the subject; else the time that it takes counts */

	const char *name;	/* for messages */
	struct target target;	/* of the pid; else of it the device alone */
	int cgroup_fd;
};

/* Opens what it takes. Return: 0 or an exit status, after a message. */
int subject_open(struct subject *subject);
void subject_close(struct subject *subject);

/* What to ask the module for. @program: the pid of the program that is started, if there is one. */
void subject_request(const struct subject *subject, pid_t program,
		     struct vminspect_events *request);
/* The members of a document that say it. */
void subject_put_json(const struct subject *subject, __u32 scope, json_t *document);

#endif
