/* SPDX-License-Identifier: Apache-2.0
 * docker.sock: the table of resources. The keeper answers a resource HERE (images, the version),
 * gives the request to the engine inside (HAND_OVER), or BOTH: the keeper adds the host's part,
 * then hands it over. Each request of a connection finds its own way.
 *
 * Containers with a docker.sock of their own ask by way of the agent. The table says which
 * resources are the HOST's alone: requests from inside see the host's images and make containers
 * of them, but change no name of an image, use no login, and reach no registry.
 *
 * The parser of requests is the one of the keeper's own API, fuzzed, and only the machine's user
 * can connect. The bodies that the keeper parses are capped. */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "docker/route.h"
#include "keeper/api/listen.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

/* One of them for each server. */
struct face {
	struct docker_service *service;
	int inside;
};

struct docker_service {
	struct keeper *keeper;
	struct http_server *server, *inside;
	struct face faces[2];
	int busy; /* requests from inside that the keeper answers */
	char *path;
};

enum { BUSY_MAX = 16 };

/* A keeper has one machine, and so one of these. */
static struct docker_service *the_service;

#define KEEPER_HEADERS DOCKER_HEADERS "Builder-Version: 1\r\nSwarm: inactive\r\nCache-Control: no-cache\r\n"

/* ---- requests ---- */

void docker_request_free(struct docker_request *q)
{
	if (q->waiter)
		keeper_wait_cancel(q->waiter);
	if (q->inside && the_service)
		the_service->busy--;
	json_object_put(q->body);
	free(q->name);
	free(q->reference);
	free(q->target);
	free(q);
}

void docker_respond_json(struct docker_request *q, int status, struct json_object *o)
{
	if (q->exchange)
		http_respond_json(q->exchange, status, o);
	else
		json_object_put(o);
	docker_request_free(q);
}

void docker_respond_error(struct docker_request *q, int code, const struct error *err)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "message", error_text(err, code));
	docker_respond_json(q, error_http_status(code < 0 ? -code : code), o);
}

static void on_closed(void *data)
{
	struct docker_request *q = data;
	q->exchange = NULL;
	if (q->waiter) /* nobody else has it */
		docker_request_free(q);
}

/* ---- resources of the keeper ---- */

static void ping(struct docker_request *q)
{
	http_respond(q->exchange, 200, "text/plain; charset=utf-8", "OK", 2);
	docker_request_free(q);
}

static void version(struct docker_request *q)
{
	struct json_object *o = json_object_new_object(), *platform = json_object_new_object(),
			   *components = json_object_new_array(), *engine = json_object_new_object(),
			   *details = json_object_new_object();
	struct utsname u = { 0 };
	uname(&u);
	const char *architecture = streq(u.machine, "x86_64")  ? "amd64" :
				   streq(u.machine, "aarch64") ? "arm64" :
								 u.machine;
	json_add_string(platform, "Name", "holm " HOLM_VERSION);
	json_add_string(engine, "Name", "Engine");
	json_add_string(engine, "Version", DOCKER_SERVER_VERSION);
	json_add_string(details, "ApiVersion", DOCKER_API_VERSION);
	json_add_string(details, "MinAPIVersion", DOCKER_API_MINIMUM);
	json_add_string(details, "Os", "linux");
	json_add_string(details, "Arch", architecture);
	json_add_string(details, "KernelVersion", u.release);
	json_add_string(details, "Experimental", "false");
	json_add_string(details, "GitCommit", "holm-" HOLM_VERSION);
	json_add(engine, "Details", details);
	json_object_array_add(components, engine);
	json_add(o, "Platform", platform);
	json_add(o, "Components", components);
	json_add_string(o, "GoVersion", "none"); /* clients read it */
	json_add_string(o, "GitCommit", "holm-" HOLM_VERSION);
	json_add_string(o, "BuildTime", "");
	json_add_string(o, "Version", DOCKER_SERVER_VERSION);
	json_add_string(o, "ApiVersion", DOCKER_API_VERSION);
	json_add_string(o, "MinAPIVersion", DOCKER_API_MINIMUM);
	json_add_string(o, "Os", "linux");
	json_add_string(o, "Arch", architecture);
	json_add_string(o, "KernelVersion", u.release);
	docker_respond_json(q, 200, o);
}

static void take_connections(struct docker_request *q)
{
	docker_take_connections(q, the_service->server);
}

/* ---- routing ---- */

enum how { HERE, HAND_OVER, BOTH };
enum who { ANYONE, HOST };

static const struct resource {
	const char *method, *pattern;
	enum how how;
	void (*handle)(struct docker_request *q); /* NULL: HAND_OVER */
	enum who who;                             /* may ask */
} resources[] = {
	{ "GET", "/_ping", HERE, ping },
	{ "HEAD", "/_ping", HERE, ping },
	{ "GET", "/version", HERE, version },
	{ "GET", "/images/json", HERE, docker_get_images },
	{ "POST", "/images/create", HERE, docker_create_image, HOST },
	{ "GET", "/images/search", HERE, docker_search, HOST },
	{ "POST", "/images/**/push", HERE, docker_push, HOST },
	{ "GET", "/distribution/**/json", HERE, docker_distribution, HOST },
	{ "POST", "/auth", HERE, docker_auth, HOST },
	{ "GET", "/images/**/json", HERE, docker_get_image },
	{ "GET", "/images/**/history", HERE, docker_image_history },
	{ "POST", "/images/**/tag", HERE, docker_tag_image, HOST },
	{ "POST", "/images/prune", HERE, docker_prune_images, HOST },
	{ "DELETE", "/images/**", HERE, docker_remove_image, HOST },
	{ "POST", "/images/load", HERE, docker_load_images, HOST },
	{ "GET", "/images/get", HERE, docker_save_images },
	{ "GET", "/images/**/get", HERE, docker_save_image },
	{ "POST", "/build", HERE, docker_build, HOST },
	{ "POST", "/grpc", HERE, docker_grpc, HOST },
	{ "POST", "/session", HERE, docker_session, HOST },
	{ "POST", "/containers/create", BOTH, docker_create },
	{ "POST", "/commit", BOTH, docker_commit, HOST },
	{ "GET", "/system/df", BOTH, docker_df },
	{ "POST", "/build/prune", HERE, docker_prune_builds, HOST },
	{ "POST", "/holm/connections", HERE, take_connections, HOST },
	{ "DELETE", "/holm/images", HERE, docker_release_images, HOST },
	{ "GET", "/info", BOTH, docker_info },
	{ "GET", "/plugins", HERE, docker_list_plugins },
	{ "GET", "/containers/json", BOTH, docker_list_containers },
	{ "GET", "/events", HAND_OVER, NULL },
	{ "GET", "/containers/*/json", HAND_OVER, NULL },
	{ "GET", "/containers/*/logs", HAND_OVER, NULL },
	{ "POST", "/containers/*/start", HAND_OVER, NULL },
	{ "POST", "/containers/*/stop", HAND_OVER, NULL },
	{ "POST", "/containers/*/kill", HAND_OVER, NULL },
	{ "POST", "/containers/*/restart", HAND_OVER, NULL },
	{ "POST", "/containers/*/rename", HAND_OVER, NULL },
	{ "POST", "/containers/*/pause", HAND_OVER, NULL },
	{ "POST", "/containers/*/unpause", HAND_OVER, NULL },
	{ "GET", "/containers/*/stats", HAND_OVER, NULL },
	{ "GET", "/containers/*/top", HAND_OVER, NULL },
	{ "POST", "/containers/*/update", HAND_OVER, NULL },
	{ "POST", "/containers/prune", HAND_OVER, NULL },
	{ "GET", "/containers/*/export", HAND_OVER, NULL },
	{ "GET", "/containers/*/layer", HAND_OVER, NULL },
	{ "PUT", "/containers/*/layer", HAND_OVER, NULL },
	{ "GET", "/containers/*/changes", HAND_OVER, NULL },
	{ "HEAD", "/containers/*/archive", HAND_OVER, NULL },
	{ "GET", "/containers/*/archive", HAND_OVER, NULL },
	{ "PUT", "/containers/*/archive", HAND_OVER, NULL },
	{ "POST", "/containers/*/socket", HAND_OVER, NULL },
	{ "POST", "/containers/*/wait", HAND_OVER, NULL },
	{ "POST", "/containers/*/run", HAND_OVER, NULL },
	{ "POST", "/containers/*/attach", HAND_OVER, NULL },
	{ "POST", "/containers/*/resize", HAND_OVER, NULL },
	{ "POST", "/containers/*/exec", HAND_OVER, NULL },
	{ "DELETE", "/containers/*", HAND_OVER, NULL },
	{ "DELETE", "/containers/**", HAND_OVER, NULL }, /* a link */
	{ "POST", "/exec/*/start", HAND_OVER, NULL },
	{ "POST", "/exec/*/resize", HAND_OVER, NULL },
	{ "GET", "/exec/*/json", HAND_OVER, NULL },
	{ "GET", "/volumes", HAND_OVER, NULL },
	{ "POST", "/volumes/create", HAND_OVER, NULL },
	{ "POST", "/volumes/prune", HAND_OVER, NULL },
	{ "GET", "/volumes/*", HAND_OVER, NULL },
	{ "DELETE", "/volumes/*", HAND_OVER, NULL },
	{ "GET", "/networks", HAND_OVER, NULL },
	{ "POST", "/networks/create", BOTH, docker_create_network },
	{ "POST", "/networks/prune", HAND_OVER, NULL },
	{ "POST", "/networks/*/connect", HAND_OVER, NULL },
	{ "POST", "/networks/*/disconnect", HAND_OVER, NULL },
	{ "GET", "/networks/*", HAND_OVER, NULL },
	{ "DELETE", "/networks/*", HAND_OVER, NULL },
};

static void go_on(struct docker_request *q, const struct resource *resource)
{
	if (streq(http_exchange_head(q->exchange)->method, "DELETE") || endswith(resource->pattern, "/prune"))
		docker_images_changed(q->keeper);
	if (resource->how == HAND_OVER)
		docker_hand_over(q, NULL);
	else
		resource->handle(q);
}

static void on_ready(const struct keeper_failure *failure, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	q->waiter = NULL;
	if (!failure) {
		go_on(q, q->resource);
		return;
	}
	int r = error_set(&err, -failure->code, "%s", failure->text);
	docker_respond_error(q, r, err);
}

/* The engine can answer when the machine has booted. */
static void when_ready(struct docker_request *q, const struct resource *resource)
{
	static const struct keeper_wait_events events = { .done = on_ready };
	q->resource = resource;
	struct keeper_waiter *waiter = keeper_wait(q->keeper, KEEPER_LEVEL_SESSION, &events, q);
	if (waiter)
		q->waiter = waiter;
}

static void refuse(struct http_exchange *x, int code, const struct error *err)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "message", error_text(err, code));
	http_respond_json(x, error_http_status(code), o);
}

/* Whether a request may go on. 0 or -errno. */
static int check(const struct face *f, const struct resource *resource, struct error **err)
{
	if (f->inside && resource->who == HOST)
		return error_set(err, EACCES,
		    "images of the host are not changed, and registries not asked, from inside the machine \"%s\"; ask "
		    "docker.sock on the host",
		    f->service->keeper->machine->name);
	if (f->inside && f->service->busy >= BUSY_MAX)
		return error_set(err, EBUSY, "too many requests from inside at a time; try again");
	return 0;
}

static void dispatch(struct http_exchange *x, void *data)
{
	const struct face *f = data;
	struct docker_service *s = f->service;
	AUTO_ERROR struct error *err = NULL;
	const char *path = docker_strip_version(http_exchange_path(x), &err);
	for (size_t i = 0; path && i < ARRAY_SIZE(resources); i++) {
		char *name = NULL;
		if (!streq(resources[i].method, http_exchange_head(x)->method) ||
		    !docker_match(path, resources[i].pattern, &name))
			continue;
		int r = check(f, &resources[i], &err);
		if (r < 0) {
			free(name);
			refuse(x, -r, err);
			return;
		}
		s->busy += f->inside;
		struct docker_request *q = xnew(struct docker_request);
		*q = (struct docker_request){ .keeper = s->keeper,
			.socket = s->path,
			.exchange = x,
			.inside = f->inside,
			.name = name };
		http_exchange_on_closed(x, on_closed, q);
		if (resources[i].how == HERE)
			resources[i].handle(q);
		else
			when_ready(q, &resources[i]);
		return;
	}
	if (path && docker_refuse_swarm(x, path))
		return;
	if (path)
		error_set(&err, ENOENT, "page not found: holm's engine has no %s %s", http_exchange_head(x)->method,
		    path);
	refuse(x, path ? ENOENT : EINVAL, err);
}

static const struct http_route routes[] = {
	{ "GET", "/*", dispatch, 0 },
	{ "HEAD", "/*", dispatch, 0 },
	{ "POST", "*/images/load", dispatch, 1 }, /* behind any version */
	{ "POST", "*/build", dispatch, 1 },
	{ "POST", "*/images/create", dispatch, 1 },
	{ "POST", "/*", dispatch, 0 },
	{ "PUT", "/*", dispatch, 1 }, /* archives, which the engine reads */
	{ "DELETE", "/*", dispatch, 0 },
	{ 0 },
};

/* ---- from inside ---- */

void docker_handle_inside(struct http_exchange *x, void *keeper)
{
	AUTO_ERROR struct error *err = NULL;
	struct buffer early;
	int fd, r = the_service ? docker_inside_check(the_service->keeper, &err) : -ENOENT;
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	(void)http_server_serve_given(the_service->inside, fd, early.data ? early.data : "", early.size);
	buffer_done(&early);
}

/* ---- the socket ---- */

int docker_service_reopen(struct docker_service *s, const char *runtime_dir, struct error **err)
{
	AUTOFREE char *path = path_join(runtime_dir, "docker.sock");
	int fd = keeper_listen(path, err);
	int r = fd < 0 ? fd : http_server_listen(s->server, fd);
	if (r < 0)
		return r;
	free(s->path);
	s->path = TAKE_PTR(path);
	return 0;
}

int docker_service_new(struct keeper *k, const char *runtime_dir, struct docker_service **ret, struct error **err)
{
	struct docker_service *s = xnew(struct docker_service);
	s->keeper = k;
	s->faces[0] = (struct face){ s, 0 };
	s->faces[1] = (struct face){ s, 1 };
	the_service = s;
	int r = http_server_new(keeper_loop(k), routes, &s->faces[0], &s->server);
	if (r == 0)
		r = http_server_new(keeper_loop(k), routes, &s->faces[1], &s->inside);
	if (r == 0) {
		http_server_set_continue(s->server);
		http_server_set_continue(s->inside);
		http_server_set_dialect(s->server, KEEPER_HEADERS, "message");
		http_server_set_dialect(s->inside, KEEPER_HEADERS, "message");
		r = docker_service_reopen(s, runtime_dir, err);
	}
	if (r < 0) {
		docker_service_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void docker_service_free(struct docker_service *s)
{
	if (!s)
		return;
	http_server_free(s->server);
	http_server_free(s->inside);
	the_service = NULL;
	docker_images_done();
	docker_givers_done();
	docker_grpc_done();
	if (s->path)
		unlink(s->path);
	free(s->path);
	free(s);
}
