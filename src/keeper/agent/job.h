/* SPDX-License-Identifier: Apache-2.0
 * A job: a script that the keeper runs once inside a machine, as root. It is a session like any
 * other (docs/agent-api.md), so it is confined as sessions are. Its output goes to the boot log. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

struct keeper;
struct job;

struct job_plan {
	const char *name;       /* in front of each line in the log */
	const char *script;     /* for /bin/sh */
	const struct strv *env; /* or NULL */
	const char *input;      /* its stdin, at most JOB_INPUT_MAX bytes; NULL: empty */
	uint64_t timeout_ms;
	/* Once, last; the job frees itself before. status: of the script, or -errno. text: its last
	 * line, or what is wrong. */
	void (*done)(struct keeper *k, int status, const char *text);
};

enum { JOB_INPUT_MAX = 192 * 1024 };

/* Needs a transport to an agent whose machine is ready for sessions. Copies the plan. 0 or
 * -errno. */
int job_start(struct keeper *k, const struct job_plan *plan, struct job **ret, struct error **err);
void job_cancel(struct job *j); /* ends the script; done is not called. NULL is fine */
