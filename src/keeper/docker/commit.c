/* SPDX-License-Identifier: Apache-2.0
 * POST /commit: an image of a container. The engine says what the container is made of and sends
 * what it has changed, as a layer (GET /containers/ID/layer). holm-image reads that from the
 * connection itself, and puts it on the container's image. A container that runs is paused
 * meanwhile, where its engine can pause.
 *
 * The base is one of images.json: an image that a create has named. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { THAWS_MAX = 60, THAW_MS = 1000 };

struct commit {
	struct docker_request *q;
	char *id, *base; /* of the container, of its image */
	struct json_object *config;
	int paused; /* or it may be */
};

/* A container that has to go on, also if the engine or the agent ends meanwhile. */
struct thaw {
	struct keeper *keeper;
	char *target;
	unsigned count;
	struct source *timer;
};

/* Its request is answered. */
static void commit_free(struct commit *c)
{
	json_object_put(c->config);
	free(c->id);
	free(c->base);
	free(c);
}

static void fail(struct commit *c, int code, const struct error *err)
{
	docker_respond_error(c->q, code, err);
	commit_free(c);
}

static char *query(const struct commit *c, const char *key)
{
	char *text = docker_query(http_exchange_head(c->q->exchange)->target, key);
	if (text && *text)
		return text;
	free(text);
	return NULL;
}

/* ---- the end of the pause ---- */

/* Whether the engine has said nothing, so that it may have been killed. */
static int has_no_answer(int code)
{
	return code < 0 && code != -EIO && code != -ENOENT;
}

static void thaw(struct thaw *t);

static void on_thaw_time(struct source *s, void *data)
{
	struct thaw *t = data;
	source_free(TAKE_PTR(t->timer));
	thaw(t);
}

static void on_thawed(int code, struct json_object *answer, void *data)
{
	struct thaw *t = data;
	if (has_no_answer(code) && ++t->count < THAWS_MAX &&
	    loop_add_timer(keeper_loop(t->keeper), clock_deadline(THAW_MS), on_thaw_time, t, &t->timer) == 0)
		return;
	free(t->target);
	free(t);
}

static void thaw(struct thaw *t)
{
	int r = docker_ask(t->keeper, "POST", t->target, NULL, on_thawed, t);
	if (r < 0)
		on_thawed(r, NULL, t);
}

static void unpause(const struct commit *c)
{
	if (!c->paused)
		return;
	struct thaw *t = xnew(struct thaw);
	*t = (struct thaw){ .keeper = c->q->keeper, .target = xasprintf("/containers/%s/unpause", c->id) };
	thaw(t);
}

/* ---- the configuration ---- */

static int is_empty(struct json_object *o)
{
	return !o || (json_object_is_type(o, json_type_string) && !*json_object_get_string(o)) ||
	       (json_object_is_type(o, json_type_array) && !json_object_array_length(o)) ||
	       (json_object_is_type(o, json_type_object) && !json_object_object_length(o));
}

/* Environment and the like of the request come on top of the container's. */
static void add_env(struct json_object *config, struct json_object *more)
{
	AUTO_JSON struct json_object *wrapped = json_object_new_object();
	AUTO_STRV struct strv all = { 0 }, wished = { 0 };
	json_add(wrapped, "Env", json_object_get(more));
	json_get_strv(config, "Env", &all, NULL);
	json_get_strv(wrapped, "Env", &wished, NULL);
	for (size_t i = 0; i < wished.count; i++) {
		const char *value = strchr(wished.items[i], '=');
		AUTOFREE char *key = xstrndup(wished.items[i], strcspn(wished.items[i], "="));
		if (value)
			strv_setenv(&all, key, value + 1);
	}
	json_object_object_del(config, "Env");
	json_add_strv(config, "Env", &all);
}

static void add_members(struct json_object *to, struct json_object *from)
{
	json_object_object_foreach(from, key, value) json_object_object_add(to, key, json_object_get(value));
}

/* The members of a container's configuration that an image has, too. Owned. */
static struct json_object *image_config(struct json_object *container, struct json_object *wish)
{
	static const char *const keys[] = { "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir",
		"Labels", "StopSignal", "Healthcheck", "Shell", "OnBuild" };
	struct json_object *config = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct json_object *value = NULL, *wished = NULL, *old = NULL;
		if (json_object_object_get_ex(container, keys[i], &value) && !is_empty(value))
			json_object_object_add(config, keys[i], json_object_get(value));
		if (!wish || !json_object_object_get_ex(wish, keys[i], &wished) || is_empty(wished))
			continue;
		json_object_object_get_ex(config, keys[i], &old);
		if (streq(keys[i], "Env"))
			add_env(config, wished);
		else if (json_object_is_type(old, json_type_object) && json_object_is_type(wished, json_type_object))
			add_members(old, wished);
		else
			json_object_object_add(config, keys[i], json_object_get(wished));
	}
	return config;
}

/* ---- the image ---- */

static void on_committed(int status, const char *output, const char *errors, void *data)
{
	struct commit *c = data;
	AUTO_ERROR struct error *err = NULL;
	unpause(c);
	if (status != 0) {
		AUTOFREE char *line = docker_last_line(errors);
		error_set(&err, EIO, "%s", line);
		fail(c, -EIO, err);
		return;
	}
	struct json_object *o = json_object_new_object();
	AUTOFREE char *id = xstrndup(output, strcspn(output, "\n"));
	json_add_string(o, "Id", id);
	docker_tell_commit(c->q->keeper, c->id, id, c->q->reference);
	docker_respond_json(c->q, 201, o);
	commit_free(c);
}

/* Sends the request; the connection is holm-image's. */
static int ask_layer(struct commit *c, int *ret, struct error **err)
{
	AUTO_FD int fd = -1;
	AUTOFREE char *request =
	    xasprintf(DOCKER_ENVELOPE "GET /containers/%s/layer HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n",
		c->id);
	int r = keeper_open_stream(c->q->keeper, &fd, err);
	if (r == 0 && (r = fd_write_full(fd, request, strlen(request))) == 0)
		r = fd_set_nonblocking(fd, 0);
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}

static int take_words(struct commit *c, struct strv *words, struct error **err)
{
	static const struct {
		const char *key, *option;
	} options[] = { { "comment", "message" }, { "author", "author" } };
	AUTOFREE char *repository = query(c, "repo"), *tag = query(c, "tag");
	strv_add(words, "commit-layer");
	strv_addf(words, "--base=%s", c->base);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		AUTOFREE char *text = query(c, options[i].key);
		if (text)
			strv_addf(words, "--%s=%s", options[i].option, text);
	}
	AUTO_STRV struct strv command = { 0 };
	json_get_strv(c->config, "Cmd", &command, NULL);
	AUTOFREE char *by = strv_join(&command, " ");
	strv_addf(words, "--created-by=%s", by);
	if (!repository)
		return 0;
	AUTOFREE char *name = tag ? xasprintf("%s:%s", repository, tag) : xstrdup(repository);
	int r = docker_take_reference(c->q, name, err);
	if (r == 0)
		strv_add(words, name);
	return r;
}

static int commit(struct commit *c, struct error **err)
{
	AUTO_STRV struct strv words = { 0 }, changes = { 0 };
	AUTO_JSON struct json_object *document = json_object_new_object();
	AUTO_FD int layer = -1;
	int r = take_words(c, &words, err);
	if (r < 0)
		return r;
	docker_query_all(http_exchange_head(c->q->exchange)->target, "changes", &changes);
	json_add(document, "config", json_object_get(c->config));
	json_add_strv(document, "changes", &changes);
	AUTOFREE char *text = json_to_string(document, 0);
	AUTO_FD int config = docker_hold_text(text);
	if (config < 0)
		return config;
	if ((r = ask_layer(c, &layer, err)) < 0)
		return r;
	return docker_program_two(keeper_loop(c->q->keeper), (const char *const *)strv_argv(&words), layer, config,
	    on_committed, c, err);
}

static void on_paused(int code, struct json_object *answer, void *data)
{
	struct commit *c = data;
	AUTO_ERROR struct error *err = NULL;
	/* An engine that is late may still pause it, and one that was killed may have done so. */
	c->paused = code == 0 || has_no_answer(code);
	int r = c->q->exchange ? commit(c, &err) : -ECANCELED;
	if (r < 0) {
		unpause(c);
		fail(c, r, err);
	}
}

/* ---- the container ---- */

static int read_container(struct commit *c, struct json_object *o, int *ret_runs, struct error **err)
{
	AUTO_JSON struct json_object *images = docker_images_load(c->q->keeper);
	struct json_object *config = NULL, *state = NULL;
	const char *id = NULL, *base = NULL;
	int r, paused = 0;
	if ((r = json_get_string(o, "Id", &id, err)) < 0 || (r = json_get_string(o, "Image", &base, err)) < 0 ||
	    (r = json_get_object(o, "Config", &config, err)) < 0)
		return r;
	if (strlen(id) != strspn(id, "0123456789abcdef") || !json_object_object_get_ex(images, base, NULL))
		return error_set(err, ENOENT, "no container of this machine was made from the image %.71s", base);
	if (json_get_object(o, "State", &state, NULL) == 0) {
		json_get_bool(state, "Running", ret_runs, NULL);
		json_get_bool(state, "Paused", &paused, NULL);
	}
	*ret_runs &= !paused; /* that is the user's */
	c->id = xstrdup(id);
	c->base = xstrdup(base);
	c->config = image_config(config, c->q->body);
	return 0;
}

static void on_inspected(int code, struct json_object *answer, void *data)
{
	struct commit *c = data;
	AUTO_ERROR struct error *err = NULL;
	int runs = 0, r = code;
	if (code == -ENOENT)
		error_set(&err, ENOENT, "No such container: %.256s", c->q->name);
	if (r == 0)
		r = c->q->exchange && answer ? read_container(c, answer, &runs, &err) : -EPROTO;
	if (r < 0) {
		fail(c, r, err);
		return;
	}
	AUTOFREE char *wish = query(c, "pause"), *target = xasprintf("/containers/%s/pause", c->id);
	int pauses = runs && !streq(wish, "0") && !streq(wish, "false") && !streq(wish, "False");
	if (!pauses || docker_ask(c->q->keeper, "POST", target, NULL, on_paused, c) < 0)
		on_paused(-EIO, NULL, c);
}

/* The body is a configuration, null, or nothing. */
static int take_body(struct docker_request *q, struct error **err)
{
	struct json_object *body = http_exchange_json(q->exchange, NULL);
	if (body)
		q->body = json_object_get(body);
	return q->name && *q->name ? 0 : error_set(err, EINVAL, "the request names no container");
}

void docker_commit(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	q->name = docker_query(http_exchange_head(q->exchange)->target, "container");
	int r = take_body(q, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	struct commit *c = xnew(struct commit);
	*c = (struct commit){ .q = q };
	AUTOFREE char *encoded = http_encode_query(q->name), *target = xasprintf("/containers/%s/json", encoded);
	r = docker_ask(q->keeper, "GET", target, NULL, on_inspected, c);
	if (r < 0)
		fail(c, r, NULL);
}
