/* SPDX-License-Identifier: Apache-2.0
 * A question of the keeper to the engine, by the way that clients' requests take. The engine is as
 * hostile as the machine: its answer is capped, and only shrinks what the machine has. */
#include <errno.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/docker/private.h"

enum { ASK_MS = 10 * 1000, ANSWER_MAX = HTTP_BODY_MAX + HTTP_HEAD_MAX, STEP = 64 * 1024 };

struct ask {
	docker_answer_fn done;
	void *data;
	int fd;
	struct source *io, *timer;
	struct buffer in;
};

static int parse(struct ask *a, struct json_object **ret)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	ssize_t size = http_parse_response(a->in.data, a->in.size, &head, NULL);
	if (size < 0)
		return -EPROTO;
	buffer_consume(&a->in, (size_t)size);
	if (head.status >= 300)
		return head.status == 404 ? -ENOENT : head.status == 503 ? -EAGAIN : -EIO;
	if (head.status == 204)
		return 0;
	if (head.chunked || head.content_length < 0 || (size_t)head.content_length != a->in.size)
		return -EPROTO;
	return json_parse(a->in.data, a->in.size, "the engine's answer", ret, NULL);
}

static void conclude(struct ask *a, int code)
{
	AUTO_JSON struct json_object *o = NULL;
	docker_answer_fn done = a->done;
	void *data = a->data;
	if (code == 0)
		code = parse(a, &o);
	source_free(a->io);
	source_free(a->timer);
	fd_close(a->fd);
	buffer_done(&a->in);
	free(a);
	if (done)
		done(code, o, data);
}

static void on_bytes(struct source *s, int fd, uint32_t events, void *data)
{
	struct ask *a = data;
	ssize_t n = buffer_read(&a->in, fd, STEP);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
		conclude(a, (int)n);
}

static void on_time(struct source *s, void *data)
{
	conclude(data, -ETIMEDOUT);
}

int docker_ask(struct keeper *k, const char *method, const char *target, struct json_object *body,
    docker_answer_fn done, void *data)
{
	AUTOFREE char *text = body ? json_to_string(body, 0) : xstrdup("");
	AUTOFREE char *request = xasprintf(DOCKER_ENVELOPE "%s %s HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
							   "Content-Length: %zu\r\n\r\n%s",
	    method, target, strlen(text), text);
	struct ask *a = xnew(struct ask);
	*a = (struct ask){ .done = done, .data = data, .fd = -1 };
	buffer_init(&a->in, ANSWER_MAX);
	int r = keeper_open_stream(k, &a->fd, NULL);
	if (r >= 0)
		r = fd_write_full(a->fd, request, strlen(request));
	if (r >= 0)
		r = fd_set_nonblocking(a->fd, 1);
	if (r >= 0)
		r = loop_add_io(keeper_loop(k), a->fd, EPOLLIN, on_bytes, a, &a->io);
	if (r >= 0)
		r = loop_add_timer(keeper_loop(k), clock_deadline(ASK_MS), on_time, a, &a->timer);
	if (r >= 0)
		return 0;
	a->done = NULL;
	conclude(a, r);
	return r;
}

struct asking {
	struct docker_request *request;
	const char *const *words;
	docker_program_fn listed;
};

static void on_object(int code, struct json_object *answer, void *data)
{
	AUTOFREE struct asking *a = data;
	struct docker_request *q = a->request;
	AUTO_ERROR struct error *err = NULL;
	int r = code < 0 ? code : json_object_is_type(answer, json_type_object) ? 0 : -EPROTO;
	if (r == 0) {
		q->body = json_object_get(answer);
		r = docker_program(keeper_loop(q->keeper), a->words, a->listed, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}

void docker_ask_and_list(struct docker_request *q, const char *target, const char *const *words,
    docker_program_fn listed)
{
	struct asking *a = xnew(struct asking);
	*a = (struct asking){ .request = q, .words = words, .listed = listed };
	int r = docker_ask(q->keeper, "GET", target, NULL, on_object, a);
	if (r == 0)
		return;
	free(a);
	docker_respond_error(q, r, NULL);
}

void docker_tell_event(struct keeper *k, const char *action, const char *id, const char *name)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *attributes = json_object_new_object();
	json_add_string(o, "Action", action);
	json_add_string(o, "ID", id);
	json_add_string(attributes, "name", name);
	json_add(o, "Attributes", attributes);
	(void)docker_ask(k, "POST", "/holm/event", o, NULL, NULL);
}

void docker_tell_prune(struct keeper *k, const char *type, uint64_t reclaimed)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *attributes = json_object_new_object();
	AUTOFREE char *text = xasprintf("%llu", (unsigned long long)reclaimed);
	json_add_string(o, "Type", type);
	json_add_string(o, "Action", "prune");
	json_add_string(attributes, "reclaimed", text);
	json_add(o, "Attributes", attributes);
	(void)docker_ask(k, "POST", "/holm/event", o, NULL, NULL);
}

void docker_tell_commit(struct keeper *k, const char *container, const char *image, const char *name)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *attributes = json_object_new_object();
	json_add_string(o, "Type", "container");
	json_add_string(o, "Action", "commit");
	json_add_string(o, "ID", container);
	json_add_string(attributes, "imageID", image);
	if (name)
		json_add_string(attributes, "imageRef", name);
	json_add(o, "Attributes", attributes);
	(void)docker_ask(k, "POST", "/holm/event", o, NULL, NULL);
	if (name)
		docker_tell_event(k, "tag", image, name);
}
