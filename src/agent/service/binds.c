/* SPDX-License-Identifier: Apache-2.0
 * See binds.h. */
#include "agent/service/binds.h"

#include <errno.h>
#include <stdio.h>

#include "agent/core/agent.h"
#include "agent/core/channel.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { ASK_MS = 30 * 1000, REQUESTS_MAX = 512, PATH_TEXT_MAX = 4096 };

struct bind_request {
	struct bind_request *next;
	struct binds *binds;
	uint64_t number;
	char *path, *share, *relative; /* relative: in the share, without a slash in front */
	struct http_call *call;
	struct worker *worker;
};

static void request_free(struct bind_request *q)
{
	for (struct bind_request **at = &q->binds->requests; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			q->binds->count--;
			break;
		}
	if (q->call)
		http_call_cancel(q->call);
	worker_cancel(q->worker);
	free(q->path);
	free(q->share);
	free(q->relative);
	free(q);
}

/* text: NULL: the descriptor is the answer. */
static void answer(const struct binds *b, uint64_t number, const char *text, int fd)
{
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "bind", number);
	json_add_string(o, "error", text);
	int r = b->engine ? worker_send(b->engine, o, fd) : 0;
	if (!b->engine)
		json_object_put(o);
	if (r < 0)
		log_warning("cannot hand a mount over to the engine: %s", strerror(-r));
}

static void refuse(struct bind_request *q, const char *text)
{
	answer(q->binds, q->number, text, -1);
	request_free(q);
}

/* In a worker. */
static int take(int channel, void *data, struct error **err)
{
	const struct bind_request *q = data;
	const struct agent *a = q->binds->agent;
	AUTO_FD int tree = a->platform->take_bind(a->init_pidfd, q->share, q->relative, err);
	if (tree == -ENOENT)
		return error_set(err, ENOENT, "bind source path does not exist: %s", q->path);
	if (tree < 0)
		return error_set_errno(err, tree, "cannot mount %s", q->path);
	return channel_send(channel, json_object_new_object(), tree);
}

static void on_tree(struct json_object *o, int fd, void *data)
{
	const struct bind_request *q = data;
	AUTO_FD int tree = fd;
	answer(q->binds, q->number, NULL, tree);
}

static void on_taken(int code, const char *text, void *data)
{
	struct bind_request *q = data;
	q->worker = NULL;
	if (code < 0)
		refuse(q, text ? text : strerror(-code));
	else
		request_free(q);
}

static int read_answer(struct bind_request *q, struct json_object *body)
{
	const char *tag = NULL, *relative = NULL;
	if (json_get_string(body, "tag", &tag, NULL) < 0 || json_get_string(body, "relative", &relative, NULL) < 0)
		return -EPROTO;
	q->share = path_join(AGENT_SHARES, tag);
	q->relative = xstrdup(relative);
	return 0;
}

static void on_answer(int code, struct json_object *body, const struct error *err, void *data)
{
	static const struct worker_events events = { .message = on_tree, .done = on_taken };
	struct bind_request *q = data;
	struct agent *a = q->binds->agent;
	q->call = NULL;
	if (code == 0)
		code = read_answer(q, body);
	if (code < 0) {
		refuse(q, error_text(err, code));
		return;
	}
	int r = worker_start(a->loop, take, q, &a->init_pidfd, 1, &events, q, &q->worker);
	if (r < 0)
		refuse(q, strerror(-r));
}

static int call_keeper(struct bind_request *q, struct error **err)
{
	static const struct http_call_events events = { .done = on_answer };
	struct agent *a = q->binds->agent;
	AUTOFREE char *query = http_encode_query(q->path), *target = xasprintf("/v1/engine/bind?path=%s", query);
	int fd = -1, r = a->to_keeper ? transport_open(a->to_keeper, &fd, err) : -ECONNRESET;
	return r < 0 ? r : http_call(a->loop, fd, "GET", target, NULL, clock_deadline(ASK_MS), &events, q, &q->call);
}

void binds_ask(struct binds *b, struct json_object *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *path = NULL;
	uint64_t number = 0;
	if (json_get_u64(o, "bind", &number, NULL) < 0)
		return;
	if (json_get_string(o, "path", &path, NULL) < 0 || strlen(path) > PATH_TEXT_MAX || b->count >= REQUESTS_MAX) {
		answer(b, number, "the agent cannot mount this path of the host now", -1);
		return;
	}
	struct bind_request *q = xnew(struct bind_request);
	*q = (struct bind_request){ .next = b->requests, .binds = b, .number = number, .path = xstrdup(path) };
	b->requests = q;
	b->count++;
	int r = call_keeper(q, &err);
	if (r < 0)
		refuse(q, error_text(err, r));
}

void binds_drop(struct binds *b)
{
	while (b->requests)
		request_free(b->requests); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
}
