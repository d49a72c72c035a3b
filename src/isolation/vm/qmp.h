/* SPDX-License-Identifier: Apache-2.0
 * QEMU's monitor protocol (QEMU docs/interop/qmp-spec.txt) on the loop: JSON lines, one command at
 * a time on the wire or many; answers are matched by id. The guest cannot reach this socket, but a
 * QEMU that the guest took over can: every line is capped and checked. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/macros.h"

struct qmp;

enum {
	QMP_LINE_MAX = 256 * 1024,  /* bytes of one answer or event */
	QMP_PENDING_MAX = 64,       /* commands without an answer yet */
	QMP_TIMEOUT_MS = 10 * 1000, /* for one answer */
};

struct qmp_events {
	/* the greeting came and the commands are enabled; commands given earlier were kept until
	 * now */
	void (*ready)(void *data);
	/* both borrowed; data may be NULL */
	void (*event)(const char *name, struct json_object *event_data, void *data);
	/* last, once: end of file (0) or a broken protocol; free it */
	void (*closed)(int code, const char *why, void *data);
};

/* 0 and the answer's "return" (borrowed), or -errno and QEMU's own text: -ETIMEDOUT, -EPIPE when
 * the connection ended, -EIO for an error answer. */
typedef void (*qmp_done_fn)(int code, struct json_object *result, const char *why, void *data);

/* Takes fd, a connected AF_UNIX stream socket. 0 or -errno. */
int qmp_new(struct loop *l, int fd, const struct qmp_events *events, void *data, struct qmp **ret);
void qmp_free(struct qmp *q); /* NULL is fine; pending commands are not answered any more */
DEFINE_CLEANUP(struct qmp, qmp_free)
/* Sends a command. arguments: taken, may be NULL. pass_fd: -1, or a descriptor that goes along
 * (SCM_RIGHTS, for "getfd"), taken. done may be NULL. 0 or -errno (-ENOBUFS past QMP_PENDING_MAX,
 * -EPIPE when closed); done is not called then. */
int qmp_execute(struct qmp *q, const char *command, struct json_object *arguments, int pass_fd, qmp_done_fn done,
    void *data);
