/* SPDX-License-Identifier: Apache-2.0
 * Health checks of running containers. */
#pragma once

#include "agent/engine/engine.h"

struct health;

void health_start(struct container *c); /* it runs */
void health_stop(struct container *c);  /* it has ended; what was seen stays */
void health_free(struct container *c);
/* "starting", "healthy", "unhealthy"; "none" without a check. */
const char *health_status(const struct container *c);
/* For State.Health, owned; NULL without a check. */
struct json_object *health_object(const struct container *c);

/* exec.c: runs a command in a container as its user, and calls done(status, output) once, unless
 * the container ends before. Output: of both streams, its first EXEC_PROBE_MAX bytes. The same for
 * -errno as status. */
enum { EXEC_PROBE_MAX = 4096 };
typedef void (*exec_probe_fn)(struct container *c, int status, const char *output);
struct exec *exec_probe(struct container *c, const struct strv *command, exec_probe_fn done);
void exec_kill(struct exec *x); /* done follows */
