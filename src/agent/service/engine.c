/* SPDX-License-Identifier: Apache-2.0
 * The agent's half of the engine (docs/engine.md): it starts the engine at the first request, hands
 * clients' connections over to it, and gets it the layers of images.
 *
 * Problem. The engine has the rights of the machine's root, so it is as hostile as that. What it
 * asks for must not give it more.
 *
 * Idea. It asks for one thing only: an image, by its digest. The agent asks the keeper, which knows
 * the images that this machine was given and where their trees are. The engine gets clones that it
 * cannot make writable, and never a path.
 *
 * In a VM the engine and its containers outlive an agent that is killed: the reaper has copies of
 * the agent's ends of the sockets, which the next agent gets. The engine then repeats what it has
 * asked for.
 *
 * A request is POST /v1/engine with the client's own request behind its head. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/channel.h"
#include "agent/core/kept.h"
#include "agent/core/platform.h"
#include "agent/core/rootfs.h"
#include "agent/core/worker.h"
#include "agent/engine/engine.h"
#include "agent/engine/place.h"
#include "agent/service/binds.h"
#include "agent/service/engine_docker.h"
#include "agent/service/engine_ports.h"
#include "agent/service/service.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "oci/digest.h"

/* The engine may have so many images on their way. Each is a connection to the keeper, whose server
 * takes HTTP_CONNECTIONS_MAX. */
enum { ASK_MS = 60 * 1000, REQUESTS_MAX = 256 };

struct engine_link {
	struct agent *agent;
	struct worker *worker; /* NULL: the engine has ended */
	int connections;
	struct platform_container container;
	struct engine_place place;
	struct request *requests;
	size_t request_count;
	struct source *starting; /* for the mark that the last boot left */
	struct engine_ports *ports;
	struct binds binds;
};

/* An image that the engine has asked for, or has unmounted. */
struct request {
	struct request *next;
	struct engine_link *link;
	char *image;
	int gives_back; /* unmounted */
	int again[2];   /* asked for once more since: without and with own_ids */
	int own_ids;    /* its files have the machine's ids, not those of containers */
	int64_t tag;    /* the engine's, given back to it */
	struct http_call *call;
	struct worker *worker;
	struct strv lower;
};

/* ---- images ---- */

static void request_free(struct request *q)
{
	for (struct request **at = &q->link->requests; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			q->link->request_count--;
			break;
		}
	if (q->call)
		http_call_cancel(q->call);
	worker_cancel(q->worker);
	strv_done(&q->lower);
	free(q->image);
	free(q);
}

static void refuse(struct request *q, const char *text)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "image", q->image);
	json_add_i64(o, "tag", q->tag);
	json_add_bool(o, "own_ids", q->own_ids);
	json_add_string(o, "error", text);
	if (q->link->worker)
		worker_send(q->link->worker, o, -1);
	else
		json_object_put(o);
	request_free(q);
}

/* In a worker. */
static int take_layers(int channel, void *data, struct error **err)
{
	const struct request *q = data;
	const struct agent *a = q->link->agent;
	AUTOFREE int *fds = xcalloc(q->lower.count + 1, sizeof *fds);
	int r = a->platform->take_layers(a->init_pidfd, q->own_ids ? NULL : &a->boot->user, &q->lower, fds, err);
	for (size_t i = 0; r >= 0 && i < q->lower.count; i++) {
		struct json_object *o = json_object_new_object();
		json_add_string(o, "image", q->image);
		json_add_i64(o, "tag", q->tag);
		json_add_bool(o, "own_ids", q->own_ids);
		json_add_u64(o, "count", q->lower.count);
		r = channel_send(channel, o, fds[i]);
	}
	return r;
}

static void on_layer(struct json_object *o, int fd, void *data)
{
	struct request *q = data;
	AUTO_FD int tree = fd;
	int r = q->link->worker ? worker_send(q->link->worker, json_object_get(o), tree) : 0;
	if (r < 0)
		log_warning("cannot hand a layer over to the engine: %s", strerror(-r));
}

static void on_layers_done(int code, const char *text, void *data)
{
	struct request *q = data;
	q->worker = NULL;
	if (code < 0)
		refuse(q, text);
	else
		request_free(q);
}

static void on_answer(int code, struct json_object *body, const struct error *err, void *data)
{
	static const struct worker_events events = { .message = on_layer, .done = on_layers_done };
	struct request *q = data;
	struct agent *a = q->link->agent;
	q->call = NULL;
	if (code < 0 || json_get_strv(body, "lower", &q->lower, NULL) < 0 || q->lower.count > ENGINE_LAYERS_MAX) {
		refuse(q, error_text(err, code < 0 ? code : EPROTO));
		return;
	}
	int r = worker_start(a->loop, take_layers, q, &a->init_pidfd, 1, &events, q, &q->worker);
	if (r < 0)
		refuse(q, strerror(-r));
}

static struct request *request_new(struct engine_link *l, const char *image, int64_t tag)
{
	struct request *q = xnew(struct request);
	*q = (struct request){ .next = l->requests, .link = l, .image = xstrdup(image), .tag = tag };
	l->requests = q;
	l->request_count++;
	return q;
}

static int call_keeper(struct request *q, const char *method, const struct http_call_events *events, struct error **err)
{
	struct agent *a = q->link->agent;
	AUTOFREE char *target = xasprintf("/v1/engine/image?id=%s%s", q->image, q->own_ids ? "&own_ids=1" : "");
	int fd = -1, r = a->to_keeper ? transport_open(a->to_keeper, &fd, err) : -ECONNRESET;
	return r < 0 ? r : http_call(a->loop, fd, method, target, NULL, clock_deadline(ASK_MS), events, q, &q->call);
}

/* A disk that is about to go must have gone before it comes back. */
static void ask_keeper(struct engine_link *l, const char *image, int64_t tag, int own_ids)
{
	static const struct http_call_events events = { .done = on_answer };
	AUTO_ERROR struct error *err = NULL;
	for (struct request *q = l->requests; q; q = q->next)
		if (q->gives_back && streq(q->image, image)) {
			q->again[own_ids] = 1;
			q->tag = tag;
			return;
		}
	struct request *q = request_new(l, image, tag);
	q->own_ids = own_ids;
	int r = l->request_count > REQUESTS_MAX ?
		    error_set(&err, EBUSY, "the engine asks for too many images at a time") :
		    call_keeper(q, "GET", &events, &err);
	if (r < 0)
		refuse(q, error_text(err, r));
}

static void on_given_back(int code, struct json_object *body, const struct error *err, void *data)
{
	struct request *q = data;
	struct engine_link *l = q->link;
	int64_t tag = q->tag;
	const int again[] = { q->again[0], q->again[1] };
	AUTOFREE char *image = xstrdup(q->image);
	q->call = NULL;
	if (code < 0)
		log_warning("an image that is not in use stays in the machine: %s", error_text(err, code));
	request_free(q);
	for (int own_ids = 0; own_ids < 2; own_ids++)
		if (again[own_ids])
			ask_keeper(l, image, tag, own_ids);
}

static void give_back(struct engine_link *l, const char *image, int64_t tag, int own_ids)
{
	static const struct http_call_events events = { .done = on_given_back };
	AUTO_ERROR struct error *err = NULL;
	struct request *q = request_new(l, image, tag);
	q->gives_back = 1;
	int r = l->request_count > REQUESTS_MAX ?
		    error_set(&err, EBUSY, "the engine returns too many images at a time") :
		    call_keeper(q, "DELETE", &events, &err);
	if (r < 0)
		on_given_back(r, NULL, err, q);
}

/* ---- the engine ---- */

static void on_message(struct json_object *o, int fd, void *data)
{
	struct engine_link *l = data;
	static const struct {
		const char *key;
		void (*handle)(struct engine_link *l, const char *image, int64_t tag, int own_ids);
	} wishes[] = { { "image", ask_keeper }, { "unused", give_back } };
	const char *image = NULL;
	int64_t tag = 0;
	int own_ids = 0;
	if (json_object_object_get_ex(o, "docker", NULL)) {
		engine_docker_connect(l->agent, fd);
		return;
	}
	fd_close(fd);
	json_get_i64(o, "tag", &tag, NULL);
	json_get_bool(o, "own_ids", &own_ids, NULL);
	if (json_object_object_get_ex(o, "started", NULL) && l->agent->phase == PHASE_STOPPING)
		engine_machine_stops(l->agent);
	if (json_object_object_get_ex(o, "stopped", NULL))
		stop_containers_ended(l->agent);
	engine_ports_message(l->ports, o);
	if (json_object_object_get_ex(o, "bind", NULL))
		binds_ask(&l->binds, o);
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
		if (json_get_string(o, wishes[i].key, &image, NULL) == 0 && digest_check(image, "an image", NULL) == 0)
			wishes[i].handle(l, image, tag, own_ids);
}

static void drop_requests(struct engine_link *l)
{
	while (l->requests)
		request_free(l->requests); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
	l->binds.engine = NULL;
	binds_drop(&l->binds);
}

/* Leaves the engine with the reaper, for the next agent. */
static void keep(const struct engine_link *l)
{
	if (!l->agent->platform->is_respawned)
		return;
	AUTO_FD int place = l->worker ? (int)syscall(SYS_pidfd_open, worker_pid(l->worker), 0) : -1;
	kept_put(KEPT_ENGINE_CHANNEL, l->worker ? worker_channel(l->worker) : -1);
	kept_put(KEPT_ENGINE_CONNECTIONS, l->connections);
	kept_put(KEPT_ENGINE_PLACE, place);
}

/* All that is left is the containers' ports on the host. */
static void forget(struct engine_link *l)
{
	fd_close(TAKE_FD(l->connections));
	drop_requests(l);
	engine_ports_end(l->ports);
	keep(l);
}

static void on_done(int code, const char *text, void *data)
{
	struct engine_link *l = data;
	log_warning("the engine has ended: %s", text ? text : "without a word");
	l->worker = NULL;
	forget(l);
	stop_containers_ended(l->agent);
}

static const struct worker_events engine_events = { .message = on_message, .done = on_done };

static int start(struct engine_link *l, struct error **err)
{
	struct agent *a = l->agent;
	int ends[2];
	int r = a->platform->container(a->init_kind, &l->container, err);
	if (r < 0)
		return r;
	if ((r = fd_socketpair(SOCK_SEQPACKET, ends)) < 0)
		return error_set_errno(err, r, "cannot make a socket for the engine");
	AUTO_FD int theirs = ends[1];
	l->connections = ends[0];
	l->place = (struct engine_place){ .agent = a, .connections = theirs, .crun = l->container.crun };
	r = worker_start(a->loop, engine_place, &l->place, &theirs, 1, &engine_events, l, &l->worker);
	if (r < 0)
		fd_close(TAKE_FD(l->connections));
	else
		keep(l);
	l->binds = (struct binds){ .agent = a, .engine = l->worker };
	return r < 0 ? error_set_errno(err, r, "cannot start the engine") : 0;
}

static void answer_ports(struct json_object *o, void *data)
{
	struct engine_link *l = data;
	if (l->worker)
		worker_send(l->worker, o, -1);
	else
		json_object_put(o);
}

static struct engine_link *link_of(struct agent *a)
{
	if (!a->engine) {
		a->engine = xnew(struct engine_link);
		*a->engine = (struct engine_link){ .agent = a, .connections = -1 };
		a->engine->ports = engine_ports_new(a, answer_ports, a->engine);
	}
	return a->engine;
}

/* Goes on with the engine that an agent before this one has started. Takes its channel. 0 or
 * -errno. */
static int adopt(struct engine_link *l, int engine_channel)
{
	struct agent *a = l->agent;
	AUTO_FD int channel = engine_channel;
	AUTO_FD int connections = kept_take(KEPT_ENGINE_CONNECTIONS);
	AUTO_FD int place = kept_take(KEPT_ENGINE_PLACE);
	int r = connections < 0 || place < 0 ? -ENOENT : 0;
	if (r == 0)
		r = worker_adopt(a->loop, TAKE_FD(channel), TAKE_FD(place), &engine_events, l, &l->worker);
	if (r < 0) {
		keep(l);
		return r;
	}
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "again", 1);
	l->connections = TAKE_FD(connections);
	l->binds = (struct binds){ .agent = a, .engine = l->worker };
	return worker_send(l->worker, o, -1);
}

/* NULL: it does not run. */
static struct engine_link *running(struct agent *a)
{
	int channel = !a->engine && a->platform->is_respawned ? kept_take(KEPT_ENGINE_CHANNEL) : -1;
	if (channel >= 0)
		(void)adopt(link_of(a), channel);
	return a->engine && a->engine->worker ? a->engine : NULL;
}

static void on_start(struct source *s, void *data)
{
	struct engine_link *l = data;
	AUTO_ERROR struct error *err = NULL;
	source_free(TAKE_PTR(l->starting));
	if (l->agent->init_pidfd >= 0 && !l->worker && start(l, &err) < 0)
		log_warning("containers are not started: %s", error_text(err, EIO));
}

/* The mark is the machine's: root inside may have the engine started, as by a request. */
void engine_machine_ready(struct agent *a)
{
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!a->platform->open_containers || root < 0 || !rootfs_exists(root, ENGINE_RESTART_MARK))
		return;
	struct engine_link *l = link_of(a);
	if (!l->starting && loop_add_deferred(a->loop, on_start, l, &l->starting) < 0)
		log_warning("containers are not started");
}

void engine_machine_adopt(struct agent *a)
{
	if (a->engine || a->init_pidfd < 0 || running(a))
		return;
	engine_ports_end(link_of(a)->ports);
	engine_machine_ready(a);
}

int engine_machine_stops(struct agent *a)
{
	const struct engine_link *l = running(a);
	if (!l)
		return 0;
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "stop", 1);
	return worker_send(l->worker, o, -1) == 0;
}

void engine_machine_ended(struct agent *a)
{
	(void)running(a);
	if (!a->engine)
		return;
	source_free(TAKE_PTR(a->engine->starting));
	worker_cancel(TAKE_PTR(a->engine->worker));
	forget(a->engine);
}

/* ---- POST /v1/engine ---- */

static int check(struct agent *a, struct error **err)
{
	if (!a->platform->open_containers)
		return error_set(err, EOPNOTSUPP, "a machine of this isolation has no containers");
	if (a->phase != PHASE_RUNNING || !a->ready_session || a->init_pidfd < 0)
		return error_set(err, EAGAIN, "the machine is not ready for containers");
	struct engine_link *l = link_of(a);
	return l->worker ? 0 : start(l, err);
}

void engine_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer raw = { 0 };
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	int r = check(a, &err);
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	AUTO_FD int fd = -1;
	if (http_exchange_take(x, &fd, &raw) < 0)
		return;
	ssize_t size = http_parse_request(raw.data, raw.size, &head, NULL);
	if (size > 0)
		buffer_consume(&raw, (size_t)size);
	/* Of a stream, the client's request may still be on its way. */
	ssize_t sent =
	    size < 0 ? -EPROTO : fd_send_bytes(a->engine->connections, raw.data, raw.size, &fd, 1, MSG_DONTWAIT);
	if (sent < 0)
		log_warning("cannot hand a connection over to the engine: %s", strerror((int)-sent));
}
