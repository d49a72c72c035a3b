/* SPDX-License-Identifier: Apache-2.0
 * The agent's requests to the keeper: lent sockets, the console's output, and the host's changes in
 * shares. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "keeper/agent/console.h"
#include "keeper/agent/names.h"
#include "keeper/agent/lent.h"
#include "keeper/docker/docker.h"
#include "keeper/keeper_private.h"
#include "keeper/shares/events.h"

static void handle_socket(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int lent = -1;
	AUTOFREE char *text = http_target_query(http_exchange_head(x)->target, "id");
	uint32_t id = 0;
	int r = text && parse_u32(text, &id) == 0 ? lent_socket_connect(k, id, &lent) : -EINVAL;
	if (r < 0) {
		error_set_errno(&err, r, "a socket of the host");
		http_respond_error(x, r, err);
		return;
	}
	struct buffer early;
	int fd;
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	relays_lend(k, id, fd, TAKE_FD(lent), &early);
	buffer_done(&early);
}

static void handle_console(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	struct buffer early;
	int fd;
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	console_attach(k->console, fd, &early);
	buffer_done(&early);
}

static void handle_share_events(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *tag = http_target_query(http_exchange_head(x)->target, "tag");
	struct keeper_share *s = tag ? share_find(k, tag) : NULL;
	if (!s || !s->events) {
		error_set(&err, ENOENT, "there is no share of that name with events");
		http_respond_error(x, ENOENT, err);
		return;
	}
	struct buffer early;
	int fd;
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	share_events_attach(s->events, fd, &early);
	buffer_done(&early);
}

/* ---- images for the engine inside ---- */

static void answer_lower(struct http_exchange *x, const struct strv *lower)
{
	struct json_object *o = json_object_new_object();
	json_add_strv(o, "lower", lower);
	http_respond_json(x, 200, o);
}

/* A disk is on its way into the machine; NULL: the agent is gone. */
struct lending {
	struct http_exchange *exchange;
};

static void on_lent(int code, const char *name_or_why, void *data)
{
	AUTOFREE struct lending *l = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv lower = { 0 };
	if (!l->exchange)
		return;
	http_exchange_on_closed(l->exchange, NULL, NULL);
	if (code < 0) {
		error_set(&err, -code, "%s", name_or_why ? name_or_why : strerror(-code));
		http_respond_error(l->exchange, code, err);
		return;
	}
	strv_add(&lower, name_or_why);
	answer_lower(l->exchange, &lower);
}

static void on_agent_gone(void *data)
{
	((struct lending *)data)->exchange = NULL;
}

static int lend(struct keeper *k, const char *disk, struct http_exchange *x, struct error **err)
{
	if (!k->run || k->isolation_ended)
		return error_set(err, ESRCH, "the machine is stopping");
	struct lending *l = xnew(struct lending);
	l->exchange = x;
	http_exchange_on_closed(x, on_agent_gone, l);
	int r = k->ops->lend_disk(k->run, disk, on_lent, l, err);
	if (r < 0) {
		http_exchange_on_closed(x, NULL, NULL);
		free(l);
	}
	return r;
}

/* Whether its files are to have the machine's ids. */
static int wants_own_ids(struct http_exchange *x)
{
	AUTOFREE char *text = http_target_query(http_exchange_head(x)->target, "own_ids");
	return text != NULL;
}

/* The image of this request as the host has it: trees, or a disk. 0, -ENOENT. */
static int find_image(struct keeper *k, struct http_exchange *x, struct strv *ret, struct error **err)
{
	AUTOFREE char *id = http_target_query(http_exchange_head(x)->target, "id");
	return docker_image_lower(k, id ? id : "", wants_own_ids(x), ret, err);
}

static void give_image(struct keeper *k, struct http_exchange *x, int may_prepare);

/* An image that is being prepared; exchange NULL: the agent is gone. */
struct preparing {
	struct keeper *keeper;
	struct http_exchange *exchange;
};

static void on_prepared(int code, const char *why, void *data)
{
	AUTOFREE struct preparing *p = data;
	AUTO_ERROR struct error *err = NULL;
	if (!p->exchange)
		return;
	http_exchange_on_closed(p->exchange, NULL, NULL);
	if (code == 0) {
		give_image(p->keeper, p->exchange, 0);
		return;
	}
	error_set(&err, -code, "%s", why);
	http_respond_error(p->exchange, code, err);
}

static void on_asker_gone(void *data)
{
	((struct preparing *)data)->exchange = NULL;
}

static int prepare(struct keeper *k, struct http_exchange *x, struct error **err)
{
	AUTOFREE char *id = http_target_query(http_exchange_head(x)->target, "id");
	struct preparing *p = xnew(struct preparing);
	*p = (struct preparing){ k, x };
	http_exchange_on_closed(x, on_asker_gone, p);
	int r = docker_image_prepare(k, id, wants_own_ids(x), on_prepared, p, err);
	if (r < 0) {
		http_exchange_on_closed(x, NULL, NULL);
		free(p);
	}
	return r;
}

static void give_image(struct keeper *k, struct http_exchange *x, int may_prepare)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv lower = { 0 };
	int r = find_image(k, x, &lower, &err);
	if (r == -ENODATA && may_prepare) {
		error_clear(&err);
		r = prepare(k, x, &err);
		if (r < 0)
			http_respond_error(x, r, err);
		return;
	}
	if (r == 0 && !k->ops->lend_disk) {
		answer_lower(x, &lower);
		return;
	}
	if (r == 0)
		r = lend(k, lower.items[0], x, &err);
	if (r < 0)
		http_respond_error(x, r, err);
}

/* The engine wants to mount an image. */
static void handle_engine_image(struct http_exchange *x, void *data)
{
	give_image(data, x, 1);
}

/* The engine has unmounted it. Only a disk has to be taken back. */
static void handle_engine_image_done(struct http_exchange *x, void *data)
{
	struct keeper *k = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *id = http_target_query(http_exchange_head(x)->target, "id"), *disk = NULL;
	if (k->ops->return_disk && docker_image_disk(k, id ? id : "", &disk) < 0) {
		error_set(&err, ENOENT, "no container of this machine was made from the image");
		http_respond_error(x, -ENOENT, err);
		return;
	}
	if (disk && k->run && !k->isolation_ended)
		k->ops->return_disk(k->run, disk);
	http_respond_json(x, 200, NULL);
}

/* The engine inside wants to mount a path of the host. */
static void handle_engine_bind(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path = http_target_query(http_exchange_head(x)->target, "path"), *relative = NULL;
	const char *tag = NULL;
	int r = docker_bind_find(data, path ? path : "", &tag, &relative, &err);
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	struct json_object *o = json_object_new_object();
	json_add_string(o, "tag", tag);
	json_add_string(o, "relative", relative);
	http_respond_json(x, 200, o);
}

const struct http_route agent_routes[] = {
	{ "GET", "/v1/engine/bind", handle_engine_bind, 0 },
	{ "GET", "/v1/engine/image", handle_engine_image, 0 },
	{ "DELETE", "/v1/engine/image", handle_engine_image_done, 0 },
	{ "POST", "/v1/engine/ports/*", docker_handle_ports, 0 },
	{ "POST", "/v1/engine/docker", docker_handle_inside, 0 },
	{ "POST", "/v1/relay/socket", handle_socket, 0 },
	{ "POST", "/v1/relay/names", names_handle, 0 },
	{ "POST", "/v1/console", handle_console, 0 },
	{ "POST", "/v1/share-events", handle_share_events, 0 },
	{ 0 },
};
