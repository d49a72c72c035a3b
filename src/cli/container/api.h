/* SPDX-License-Identifier: Apache-2.0
 * The Docker Engine API of a machine, for the verbs of containers: which machine, requests,
 * streams, and failures in one line. A stopped machine is booted by the first request. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/options.h"
#include "http/http.h"

/* The status of a failed verb, as docker's. A wrong command line has EXIT_HOLM. */
enum { API_FAILED = 1 };

/* The option row of each verb; without a letter where -n means something else. */
/* clang-format off */
#define API_MACHINE_OPTION_ROW(letter) \
	{ "machine", letter, OPTION_STRING, "NAME", "the machine", .default_text = "the default machine", \
	  .complete = "machine" }
/* clang-format on */
#define API_MACHINE_OPTION API_MACHINE_OPTION_ROW('n')
#define API_MACHINE_OPTION_LONG API_MACHINE_OPTION_ROW(0)

struct api {
	const struct command_spec *verb; /* borrowed */
	char *machine;
	uint64_t timeout_ms; /* for one whole answer, and for a stream's head; UINT64_MAX: none */
	int failed;          /* the status of a failure: API_FAILED, unless the verb sets it (`run`) */
};
/* Finds the machine: --machine, else the host's HOLM_MACHINE, else the default one. Connects to
 * nothing. 0 or -errno. */
int api_init(struct api *a, const struct command_spec *verb, const struct options *o, struct error **err);
/* The same; where there is no machine at all, makes one for containers. */
int api_init_or_make(struct api *a, const struct command_spec *verb, const struct options *o, struct error **err);
void api_done(struct api *a);
#define AUTO_API CLEANUP(api_done)

/* ---- targets; all owned ---- */
/* "/containers/" NAME "/stop": the name encoded, also its slashes; after may be "". */
char *api_path(const char *before, const char *name, const char *after);
/* Adds parameters to a path: pairs of key and value, then NULL. A pair with the value NULL is left
 * out. */
char *api_target(const char *path, ...) __attribute__((sentinel));
/* The parameter `filters` of KEY=VALUE texts; *ret is NULL where there are none. 0 or -EINVAL. */
int api_filters(const struct strv *texts, char **ret, struct error **err);

/* The time of an option such as --since: "1700000000.000000001" of what people write. *ret stays as
 * it was where the option is not given. 0 or -EINVAL. */
int api_time(const struct options *o, const char *name, char **ret, struct error **err);

/* ---- requests ---- */
/* One request and its whole answer, on a connection of its own. body: borrowed, or NULL. *ret (ret
 * may be NULL) is NULL where the answer has no JSON. Returns the status below 400 (304: nothing
 * had to change), or -errno with the engine's own text. */
int api_call(const struct api *a, const char *method, const char *target, struct json_object *body,
    struct json_object **ret, struct error **err);

struct api_stream {
	int fd;
	struct http_response response; /* its status, and what came early */
};
void api_stream_done(struct api_stream *s);
#define API_STREAM_NONE ((struct api_stream){ .fd = -1, .response = { .fd = -1 } })
#define AUTO_API_STREAM CLEANUP(api_stream_done)
/* The same up to the head of the answer; then http_response_read() or http_response_line() read
 * what follows. upgrade: NULL, or "tcp" to get the connection itself: after status 101 fd carries
 * raw bytes both ways, and response.early has the first ones. Returns the status or -errno. */
int api_open(const struct api *a, const char *method, const char *target, struct json_object *body, const char *upgrade,
    struct api_stream *ret, struct error **err);
/* A connection to docker.sock, for a request that the caller writes itself (http_answer() reads the
 * answer): descriptor or -errno. Boots a stopped machine. */
int api_connect(const struct api *a, struct error **err);

/* ---- failures ---- */
/* Makes one line of the engine's text about a thing, `container "web": it is running; holm stop
 * web`. kind: "container", "image", "volume" or "network"; name NULL: about no thing. Returns
 * code. */
int api_explain(const struct api *a, const char *kind, const char *name, int code, struct error **err);
/* The same, and shows it. Returns a->failed, or 128+N when signal N ended the boot. */
int api_failure(const struct api *a, const char *kind, const char *name, int code, struct error **err);
/* Calls one() for each name. A failing one does not stop the others. Returns 0, or the last status
 * that is not. */
int api_each(const struct api *a, const struct strv *names,
    int (*one)(const struct api *a, const char *name, void *data), void *data);
