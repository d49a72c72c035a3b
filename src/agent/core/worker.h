/* SPDX-License-Identifier: Apache-2.0
 * Workers: forked copies of the agent that do what may block or reads what an image holds, and
 * report by messages. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"

struct worker;

/* Runs in the child, with all descriptors closed but 0-2, `channel` and those kept. Messages sent
 * on the channel arrive at `message`. */
typedef int (*worker_fn)(int channel, void *data, struct error **err);

struct worker_events {
	void (*message)(struct json_object *o, int fd, void *data); /* o: borrowed; fd: taken, -1 none; may be NULL */
	/* once, last; the worker frees itself after. code 0 or -errno */
	void (*done)(int code, const char *text, void *data);
};

/* keep: descriptors that the child needs (any order), borrowed. *ret may be NULL. */
int worker_start(struct loop *l, worker_fn fn, void *fn_data, const int *keep, size_t keep_count,
    const struct worker_events *events, void *data, struct worker **ret);
/* The same for a worker that an agent before this one has started: its end of the channel and a
 * pidfd, both taken, also on failure. */
int worker_adopt(struct loop *l, int channel, int pidfd, const struct worker_events *events, void *data,
    struct worker **ret);
int worker_channel(const struct worker *w); /* borrowed */
pid_t worker_pid(const struct worker *w);   /* 0: adopted */
/* Lowers the soft limit of open files to what programs expect; the agent's own is higher. For every
 * child that executes something or opens a session. */
void worker_limit_files(void);
void worker_keep(int fd); /* every worker from now on has this descriptor, too; one in a process */
int worker_send(struct worker *w, struct json_object *o, int fd); /* to its channel, as channel_send() */
void worker_cancel(struct worker *w);                             /* kills it; done is not called. NULL is fine */
