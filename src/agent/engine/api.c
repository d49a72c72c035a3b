/* SPDX-License-Identifier: Apache-2.0
 * The Docker API's requests about containers, in its own words: what changes them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/endpoints.h"
#include "agent/engine/events.h"
#include "agent/engine/hijack.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/network_join.h"
#include "agent/engine/stack.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/name.h"
#include "docker/route.h"
#include "oci/digest.h"

enum { NAME_ATTEMPTS = 100, CONTAINERS_MAX = 8192 };

/* ---- answers ---- */

/* http_respond_error() knows the statuses; Docker's differ in these. */
static int status_of(int code)
{
	switch (code < 0 ? -code : code) {
	case EOPNOTSUPP:
		return 501;
	case EEXIST:
	case EBUSY:
		return 409;
	default:
		return error_http_status(code);
	}
}

void engine_error(struct http_exchange *x, int code, const struct error *err)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "message", error_text(err, code));
	http_respond_json(x, status_of(code), o);
}

void engine_answer(struct http_exchange *x, int code, const struct error *err)
{
	if (!x)
		return;
	http_exchange_on_closed(x, NULL, NULL);
	if (code < 0)
		engine_error(x, code, err);
	else
		http_respond(x, 204, NULL, NULL, 0);
}

int engine_prune_filters(struct http_exchange *x, struct json_object **ret, int64_t *ret_until, struct error **err)
{
	static const char *const known[] = { "until", "label", "label!", NULL };
	AUTO_STRV struct strv times = { 0 };
	AUTOFREE char *text = engine_query(x, "filters");
	int r = docker_filters_parse(text, known, ret, err);
	*ret_until = 0;
	if (r < 0)
		return r;
	docker_filters_get(*ret, "until", &times);
	if (times.count && !(*ret_until = docker_parse_until(times.items[0], container_now())))
		return error_set(err, EINVAL, "invalid value for 'until': %.64s", times.items[0]);
	return 0;
}

static void respond_empty(struct http_exchange *x, int status)
{
	http_respond(x, status, NULL, NULL, 0);
}

char *engine_query(struct http_exchange *x, const char *key)
{
	return docker_query(http_exchange_head(x)->target, key);
}

int engine_flag(struct http_exchange *x, const char *key, int otherwise)
{
	AUTOFREE char *text = engine_query(x, key);
	return !text ? otherwise : *text && !streq(text, "0") && !streq(text, "false") && !streq(text, "False");
}

struct container *engine_find(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = container_find(e, name, &err);
	if (!c)
		engine_error(x, -err->code, err);
	return c;
}

/* ---- create ---- */

static struct container *find_name(const struct engine *e, const char *name)
{
	for (struct container *c = e->containers; c; c = c->next)
		if (streq(c->record.name, name))
			return c;
	return NULL;
}

int container_check_name(const struct engine *e, const char *wish, const char **ret_name, struct error **err)
{
	const char *name = wish[0] == '/' ? wish + 1 : wish;
	if (!docker_is_name(name))
		return error_set(err, EINVAL,
		    "Invalid container name (%.64s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name);
	const struct container *other = find_name(e, name);
	if (other)
		return error_set(err, EEXIST,
		    "Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to "
		    "remove (or rename) that container to be able to reuse that name.",
		    name, other->record.id);
	*ret_name = name;
	return 0;
}

static int choose_name(const struct engine *e, const char *wish, char **ret, struct error **err)
{
	const char *name;
	if (wish && *wish) {
		int r = container_check_name(e, wish, &name, err);
		if (r == 0)
			*ret = xstrdup(name);
		return r;
	}
	for (unsigned attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
		AUTOFREE char *made = docker_new_name(attempt);
		if (!find_name(e, made)) {
			*ret = TAKE_PTR(made);
			return 0;
		}
	}
	return error_set(err, EBUSY, "there is no free name; choose one with --name");
}

/* The keeper has added {"HolmImage":{"id","config"}}; nobody else can: it deletes a client's. */
static int take_image(struct json_object *body, struct record *r, struct error **err)
{
	struct json_object *image = NULL, *config = NULL;
	const char *id = NULL;
	int result = json_get_object(body, "HolmImage", &image, err);
	if (result == 0)
		result = json_get_string(image, "id", &id, err);
	if (result == 0)
		result = digest_check(id, "the image", err);
	if (result == 0)
		result = json_get_object(image, "config", &config, err);
	if (result < 0)
		return error_set(err, EINVAL, "the request names no image of the host");
	r->image_id = xstrdup(id);
	record_merge_image(body, config);
	json_object_object_del(body, "HolmImage");
	return 0;
}

static size_t count(const struct engine *e)
{
	size_t n = 0;
	for (const struct container *c = e->containers; c; c = c->next)
		n++;
	return n;
}

/* Docker's older word for the network none. */
static void disable_network(struct json_object *body)
{
	struct json_object *host = NULL;
	int on = 0;
	if (json_get_bool(body, "NetworkDisabled", &on, NULL) < 0 || !on)
		return;
	if (json_get_object(body, "HostConfig", &host, NULL) < 0) {
		host = json_object_new_object();
		json_add(body, "HostConfig", host);
	}
	json_object_object_del(host, "NetworkMode");
	json_add_string(host, "NetworkMode", "none");
	json_object_object_del(body, "NetworkingConfig");
}

/* Members that only earn a warning are gone afterwards. */
static int check_body(struct engine *e, struct json_object *body, struct strv *warnings, struct error **err)
{
	struct json_object *host = NULL;
	const char *warning = NULL;
	disable_network(body);
	int r = container_network_check(e, body, &warning, err);
	if (r == 0)
		r = container_shares_check(e, body, err);
	if (warning)
		strv_add(warnings, warning);
	if (r == 0)
		r = json_get_object(body, "HostConfig", &host, err);
	return r == 0 ? cgroups_check(e, host, warnings, err) : r == -ENOENT ? 0 : r;
}

static int make_record(struct engine *e, struct json_object *body, const char *wish, struct record *r,
    struct strv *warnings, struct error **err)
{
	stack_limit(e, body);
	int result = count(e) < CONTAINERS_MAX ?
			 check_body(e, body, warnings, err) :
			 error_set(err, EBUSY, "the machine has %d containers, which is the most", CONTAINERS_MAX);
	if (result == 0)
		result = take_image(body, r, err);
	if (result == 0)
		result = docker_body_parse(body, &r->body, err);
	if (result == 0 && !r->body.entrypoint.count && !r->body.command.count)
		result = error_set(err, EINVAL, "no command specified");
	if (result == 0)
		result = stack_read(e, body, r, err);
	if (result == 0)
		result = choose_name(e, wish, &r->name, err);
	if (result == 0)
		result = endpoints_choose(e, body, r, err);
	if (result == 0)
		result = mounts_choose(e, body, r, err);
	if (result < 0)
		return result;
	r->id = docker_new_id();
	r->created = container_now();
	r->data = json_object_get(body);
	if (mkdirat(e->folders, r->id, 0700) < 0)
		return error_set_errno(err, errno, "cannot make the container's folder");
	result = record_save(e->records, r);
	return result < 0 ? error_set_errno(err, result, "cannot write the container's record") : 0;
}

void engine_create(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	AUTOFREE char *wish = engine_query(x, "name");
	struct record r = { 0 };
	AUTO_STRV struct strv warnings = { 0 };
	int result = body ? make_record(e, body, wish, &r, &warnings, &err) : -EINVAL;
	if (result < 0) {
		record_done(&r);
		engine_error(x, result, err);
		return;
	}
	struct container *c = container_new(e, &r);
	stack_expect_holder(c);
	event_container(c, "create", NULL, NULL);
	struct json_object *answer = json_object_new_object();
	json_add_string(answer, "Id", c->record.id);
	json_add_strv(answer, "Warnings", &warnings);
	http_respond_json(x, 201, answer);
}

/* ---- start, stop, kill ---- */

static void start(struct engine *e, struct http_exchange *x, struct container *c, enum wait_kind kind)
{
	AUTO_ERROR struct error *err = NULL;
	int waits = (c->cleaning || c->preparing || c->starting) && !c->remove && !c->starter && !e->stopping;
	if (!c->pid)
		policy_cancel(c);
	if (!c->pid && c->record.stopped) {
		c->record.stopped = 0;
		container_save(c);
	}
	if (c->paused) {
		error_set(&err, EBUSY, "cannot start a paused container, try unpause instead");
		engine_error(x, -EBUSY, err);
	} else if (c->pid && kind != WAIT_NOT) {
		waiters_add(c, x, kind);
	} else if (c->pid) {
		respond_empty(x, 304);
	} else if (waits) {
		c->starter = x; /* after the last run is cleaned up, or with a start that is on its way */
		c->starter_kind = kind;
		http_exchange_on_closed(x, container_starter_gone, c);
	} else if (c->remove || c->cleaning || c->starter || c->preparing || c->starting || c->ended || e->stopping) {
		error_set(&err, EBUSY, "container %s is starting or ending; try again", c->record.id);
		engine_error(x, -EBUSY, err);
	} else {
		c->starter_kind = kind;
		container_start(c, x);
	}
}

void engine_start(struct engine *e, struct http_exchange *x, const char *name)
{
	struct container *c = engine_find(e, x, name);
	if (c)
		start(e, x, c, WAIT_NOT);
}

/* No policy starts it any more. */
static void stay_stopped(struct container *c)
{
	policy_cancel(c);
	c->record.stopped = 1;
	container_save(c);
}

/* The signals that mean an end. */
static int is_final(const struct container *c, int number)
{
	int stop = c->record.body.stop_signal ? c->record.body.stop_signal : SIGTERM;
	return number == SIGKILL || number == stop;
}

void engine_stop(struct engine *e, struct http_exchange *x, const char *name)
{
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *seconds = engine_query(x, "t");
	uint64_t n = 0;
	if (!c)
		return;
	c->again = 0;
	if (!c->pid) {
		int waited = policy_is_waiting(c);
		stay_stopped(c);
		respond_empty(x, waited ? 204 : 304);
		waiters_tell(c, 0);
		return;
	}
	stay_stopped(c);
	waiters_add(c, x, WAIT_STOPPED);
	container_stop(c, seconds && parse_u64(seconds, &n) == 0 ? (int64_t)MIN(n, 1000000U) : -1);
}

void engine_kill(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *text = engine_query(x, "signal");
	int number = text && *text ? docker_signal(text) : SIGKILL, r = 0;
	if (!c)
		return;
	if (!number)
		r = error_set(&err, EINVAL, "Invalid signal: %.64s", text);
	else if (!c->pid)
		r = error_set(&err, EBUSY, "cannot kill container: %.64s: container %s is not running", name,
		    c->record.id);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	if (is_final(c, number))
		stay_stopped(c);
	container_signal(c, number);
	if (is_final(c, number) || !c->record.body.stop_signal)
		container_thaw(c);
	if (number == SIGKILL)
		waiters_add(c, x, WAIT_STOPPED);
	else
		respond_empty(x, 204);
}

/* ---- wait ---- */

/* The request's condition; owned, or NULL for the default. Answers what is none: -EINVAL. */
static int get_condition(struct http_exchange *x, char **ret)
{
	AUTO_ERROR struct error *err = NULL;
	*ret = engine_query(x, "condition");
	if (!*ret || !**ret || streq(*ret, "not-running") || streq(*ret, "next-exit") || streq(*ret, "removed"))
		return 0;
	int r = error_set(&err, EINVAL, "invalid condition: \"%.64s\"", *ret);
	engine_error(x, r, err);
	return r;
}

/* The start and the wait of a client in one: the answer's head says that the process runs. */
void engine_run(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTOFREE char *condition = NULL;
	struct container *c = engine_find(e, x, name);
	if (c && get_condition(x, &condition) == 0)
		start(e, x, c, streq(condition, "removed") ? WAIT_REMOVED : WAIT_EXIT);
}

void engine_wait(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTOFREE char *condition = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c || get_condition(x, &condition) < 0)
		return;
	int removed = streq(condition, "removed"), next = streq(condition, "next-exit");
	if (removed && engine_flag(x, "holmHold", 0))
		waiters_hold(c, x);
	else if (!removed && !next && !c->pid && !c->ended && !c->preparing && !c->starting && !c->again &&
		 !policy_is_waiting(c))
		http_respond_json(x, 200, waiters_answer(c));
	else
		waiters_add(c, x, removed ? WAIT_REMOVED : WAIT_EXIT);
}

/* ---- rm ---- */

void engine_remove(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	int waits = policy_is_waiting(c);
	if (c->paused && !engine_flag(x, "force", 0)) {
		error_set(&err, EBUSY,
		    "cannot remove container \"/%s\": container is paused and must be unpaused first", c->record.name);
		engine_error(x, -EBUSY, err);
		return;
	}
	if (stack_is_used(c)) {
		error_set(&err, EBUSY, "cannot remove container \"/%s\": a build runs on its files", c->record.name);
		engine_error(x, -EBUSY, err);
		return;
	}
	if ((c->pid || c->preparing || c->starting || c->ended || waits) && !engine_flag(x, "force", 0)) {
		error_set(&err, EBUSY,
		    "cannot remove container \"/%s\": container is %s: stop the container before removing or force "
		    "remove",
		    c->record.name, waits ? "restarting" : "running");
		engine_error(x, -EBUSY, err);
		return;
	}
	c->drop_volumes = engine_flag(x, "v", 0);
	waiters_add(c, x, WAIT_GONE);
	container_remove(c);
}

/* ---- resize ---- */

int engine_get_size(struct http_exchange *x, unsigned *ret_rows, unsigned *ret_columns, struct error **err)
{
	AUTOFREE char *rows = engine_query(x, "h"), *columns = engine_query(x, "w");
	uint32_t h, w;
	if (!rows || !columns || parse_u32(rows, &h) < 0 || parse_u32(columns, &w) < 0 || h > UINT16_MAX ||
	    w > UINT16_MAX)
		return error_set(err, EINVAL, "h and w are no size of a terminal");
	*ret_rows = h;
	*ret_columns = w;
	return 0;
}

void engine_resize(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	unsigned rows, columns;
	if (!c)
		return;
	int r = engine_get_size(x, &rows, &columns, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	/* A client that starts it next has the right size for the first instruction. */
	if (!c->pid) {
		c->record.body.rows = (uint16_t)rows;
		c->record.body.columns = (uint16_t)columns;
		respond_empty(x, 200);
		return;
	}
	stdio_resize(container_stdio(c), rows, columns);
	AUTO_JSON struct json_object *size = json_object_new_object();
	AUTOFREE char *height = xasprintf("%u", rows), *width = xasprintf("%u", columns);
	json_add_string(size, "height", height);
	json_add_string(size, "width", width);
	event_container_more(c, "resize", json_object_get(size));
	respond_empty(x, 200);
}

/* ---- attach ---- */

/* Of a terminal; answers what are no keys. */
static int take_keys(const struct container *c, struct http_exchange *x, struct stdio_client *client)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = engine_query(x, "detachKeys");
	int r = c->record.body.tty && client->in ? docker_keys_parse(text && *text ? text : DOCKER_KEYS_DEFAULT,
						       client->keys, &client->key_count, &err) :
						   0;
	if (r < 0)
		engine_error(x, r, err);
	return r;
}

void engine_attach(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_BUFFER struct buffer early = { 0 };
	struct container *c = engine_find(e, x, name);
	if (!c || container_refuse_paused(c, x, "attach"))
		return;
	struct stdio_client client = {
		.fd = -1,
		.in = engine_flag(x, "stdin", 0) && c->record.body.open_stdin,
		.out = engine_flag(x, "stdout", 0),
		.err = engine_flag(x, "stderr", 0),
		.raw = c->record.body.tty,
	};
	if (take_keys(c, x, &client) < 0)
		return;
	if (engine_flag(x, "logs", 0)) {
		logs_attach(c, x, &client);
		return;
	}
	if (hijack(x, c->record.body.tty, &client.fd, &early) < 0)
		return;
	if (c->cleaning || c->remove || !engine_flag(x, "stream", 1))
		fd_close(client.fd);
	else if (stdio_attach(container_stdio(c), &client, &early) == 0)
		event_container(c, "attach", NULL, NULL);
}
