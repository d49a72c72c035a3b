/* SPDX-License-Identifier: Apache-2.0
 * POST /networks/X/connect and disconnect: of a container that runs, or that does not yet. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/network_join.h"
#include "agent/engine/resolver.h"
#include "base/alloc.h"
#include "base/path.h"

/* ---- both ---- */

struct request {
	struct network *network;
	struct container *container;
	struct json_object *body;
};

static int is_running(const struct container *c)
{
	return c->pid && c->namespaces.network >= 0;
}

static int read_request(struct engine *e, struct http_exchange *x, const char *name, struct request *ret,
    struct error **err)
{
	const char *id = NULL;
	ret->network = network_find(e, name, err);
	if (!ret->network)
		return -(*err)->code;
	ret->body = http_exchange_json(x, err);
	if (!ret->body || json_get_string(ret->body, "Container", &id, err) < 0)
		return -EINVAL;
	ret->container = container_find(e, id, err);
	return ret->container ? 0 : -(*err)->code;
}

/* Modes that have no other network, and states between two. */
static int check(const struct request *q, struct error **err)
{
	const struct container *c = q->container;
	const char *mode = container_network_mode(c);
	if (c->starting || c->preparing || c->ended)
		return error_set(err, EBUSY, "container %s is starting or ending; try again", c->record.id);
	if (startswith(mode, "container:"))
		return error_set(err, EINVAL,
		    "container sharing network namespace with another container or host cannot be connected to any "
		    "other "
		    "network");
	if (streq(mode, "host"))
		return error_set(err, EINVAL,
		    "cannot connect a container to the host network or disconnect it from there");
	if (streq(mode, "none") && !c->record.endpoints.count)
		return error_set(err, EPERM,
		    "container cannot be connected to multiple networks with one of the networks in private (none) "
		    "mode");
	return 0;
}

static void respond(struct http_exchange *x, int code, const struct error *err)
{
	if (code < 0)
		engine_error(x, code, err);
	else
		http_respond(x, 200, NULL, NULL, 0);
}

/* Ports lead to the address of the network with the default route. */
static void follow_route(struct container *c, uint32_t before)
{
	if (c->address != before && c->has_ports)
		container_open_ports(c);
}

/* ---- connect ---- */

static int attach(struct container *c, struct docker_endpoint *p, struct error **err)
{
	struct attachment a = { 0 };
	struct resolver_sockets sockets = { -1, -1 };
	uint32_t before = c->address;
	int r = endpoint_join(c, p, &a, err);
	if (r < 0)
		return r;
	int names = !c->resolver && endpoints_have_names(c);
	a.is_default = endpoints_primary(c) == p;
	a.is_default6 = endpoints_primary6(c) == p;
	const struct namespaces_change change = { .add = &a,
		.count = 1,
		.remove = -1,
		.resolver = names ? &sockets : NULL };
	r = container_namespaces_change(&c->namespaces, &change, err);
	if (r < 0) {
		endpoint_leave(c, p);
		endpoints_primary(c);
		return r;
	}
	if (names)
		resolver_start(c, &sockets);
	bundle_refresh_names(c);
	follow_route(c, before);
	return 0;
}

static int connect_to(struct request *q, struct error **err)
{
	struct json_object *settings = NULL;
	AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
	struct container *c = q->container;
	int r = json_get_object(q->body, "EndpointConfig", &settings, err);
	if ((r < 0 && r != -ENOENT) || (r = docker_endpoint_parse(q->network->id, settings, &p, err)) < 0 ||
	    (r = endpoint_settle(c->engine, &p, err)) < 0)
		return r;
	if (network_endpoint(q->network, c))
		return error_set(err, EPERM, "endpoint with name %s already exists in network %s", c->record.name,
		    q->network->name);
	if ((r = docker_endpoints_add(&c->record.endpoints, &p, err)) < 0)
		return r;
	size_t at = c->record.endpoints.count - 1;
	if (is_running(c))
		r = attach(c, &c->record.endpoints.items[at], err);
	if (r < 0) {
		docker_endpoints_remove(&c->record.endpoints, at);
		return r;
	}
	endpoints_save(c);
	container_save(c);
	return 0;
}

/* ---- disconnect ---- */

static int detach(struct container *c, struct docker_endpoint *p, struct error **err)
{
	struct attachment route, route6;
	const struct docker_endpoint *before6 = endpoints_primary6(c);
	uint32_t before = c->address;
	int interface = (int)p->interface;
	endpoint_leave(c, p);
	const struct docker_endpoint *primary = endpoints_primary(c);
	const struct network *n = primary ? network_by_id(c->engine, primary->network) : NULL;
	if (n)
		route = endpoint_attachment(primary, n);
	const struct docker_endpoint *primary6 = endpoints_primary6(c);
	const struct network *n6 = primary6 ? network_by_id(c->engine, primary6->network) : NULL;
	if (n6)
		route6 = endpoint_attachment(primary6, n6);
	const struct namespaces_change change = { .remove = interface,
		.route = n && c->address != before && !n->bridge.internal ? &route : NULL,
		.route6 = n6 && before6 != primary6 && !n6->bridge.internal ? &route6 : NULL };
	int r = container_namespaces_change(&c->namespaces, &change, err);
	bundle_refresh_names(c);
	follow_route(c, before);
	return r;
}

static int disconnect_from(struct request *q, struct error **err)
{
	struct container *c = q->container;
	struct docker_endpoint *p = network_endpoint(q->network, c);
	if (!p)
		return error_set(err, EPERM, "container %s is not connected to network %s", c->record.id,
		    q->network->name);
	int r = is_running(c) && p->address ? detach(c, p, err) : 0;
	if (r < 0)
		return r;
	docker_endpoints_remove(&c->record.endpoints, (size_t)(p - c->record.endpoints.items));
	endpoints_save(c);
	container_save(c);
	return 0;
}

/* ---- requests ---- */

static void change(struct engine *e, struct http_exchange *x, const char *name, const char *action,
    int (*apply)(struct request *q, struct error **err))
{
	AUTO_ERROR struct error *err = NULL;
	struct request q = { 0 };
	int r = read_request(e, x, name, &q, &err);
	if (r == 0)
		r = check(&q, &err);
	if (r == 0)
		r = apply(&q, &err);
	if (r == 0)
		network_event(e, q.network, action, q.container);
	respond(x, r, err);
}

void engine_network_connect(struct engine *e, struct http_exchange *x, const char *name)
{
	change(e, x, name, "connect", connect_to);
}

void engine_network_disconnect(struct engine *e, struct http_exchange *x, const char *name)
{
	change(e, x, name, "disconnect", disconnect_from);
}
