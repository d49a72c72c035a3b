/* SPDX-License-Identifier: Apache-2.0
 * The engine of a machine, as the builder uses it: docker.sock. The first request finds the
 * machine, and boots it. */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "base/strv.h"
#include "oci/tar.h"

struct build_engine;

/* machine: its name, or NULL: the default one, which is made where there is none. socket: the path
 * of docker.sock, or NULL: that machine's. Neither is looked at here. */
struct build_engine *build_engine_new(const char *machine, const char *socket);
void build_engine_free(struct build_engine *e);
DEFINE_CLEANUP(struct build_engine, build_engine_free)
#define AUTO_BUILD_ENGINE CLEANUP(build_engine_freep)

/* Finds the machine, which is made and booted where that is needed. 0 or -errno. */
int build_engine_find(struct build_engine *e, struct error **err);
/* One request and its JSON answer (*ret, owned; ret may be NULL). 0 or -errno with the engine's
 * text. */
int build_engine_call(struct build_engine *e, const char *method, const char *target, struct json_object *body,
    struct json_object **ret, struct error **err);
/* One GET, whose answer is read in pieces. may_wait: a piece may come after hours, as from a
 * command that says nothing. NULL and an error. */
struct build_stream;
struct build_stream *build_engine_open(struct build_engine *e, const char *target, int may_wait, struct error **err);
/* The next piece, valid until the next call: bytes, 0 at the end, -errno. A tar_source. */
ssize_t build_stream_read(void *stream, const void **ret, struct error **err);
void build_stream_free(struct build_stream *s);
DEFINE_CLEANUP(struct build_stream, build_stream_free)
#define AUTO_BUILD_STREAM CLEANUP(build_stream_freep)
/* Sends a POST that asks for an upgrade: a descriptor, on which http_answer() reads the answer, or
 * -errno. */
int build_engine_upgrade(struct build_engine *e, const char *target, struct error **err);
/* Sends a request without a body, whose answer nobody reads: the connection lives until the
 * descriptor is closed. Descriptor or -errno. */
int build_engine_hold(struct build_engine *e, const char *method, const char *target, struct error **err);
/* One PUT of a tar stream that is in memory. */
int build_engine_put(struct build_engine *e, const char *target, const void *data, size_t size, struct error **err);
/* The same of a stream that is read while it is sent. */
int build_engine_put_stream(struct build_engine *e, const char *target, tar_source *read, void *data,
    struct error **err);
/* Deletes all of them at the same time. Ends requests by itself; a signal does not end these. */
void build_engine_delete_all(struct build_engine *e, const struct strv *targets);
void build_engine_delete(struct build_engine *e, const char *target);
