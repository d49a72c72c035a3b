/* SPDX-License-Identifier: Apache-2.0
 * The engine's requests for ports of the host, by way of the agent.
 *
 * Problem. The engine is as hostile as root in the machine, and it is the engine that knows when a
 * container starts: by itself, too, after a restart.
 *
 * Idea. ports.json beside machine.json has the host's ports that a `create` on docker.sock has
 * asked for: that socket is the user's alone. The engine gets these, any free port at the addresses
 * of the configuration, and no other. A port leaves the file some seconds after the engine has no
 * container with it: the engine cannot add one. A port that names no address may also be at one
 * that a network was made with (host_binding_ipv4). */
#include <errno.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "docker/name.h"
#include "docker/ports.h"
#include "keeper/docker/docker.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/containers.h"

enum { PORTS_JSON_MAX = 1 << 20, ALLOWED_MAX = 8192, ADDRESSES_MAX = 64, GUARD_MS = 5000 };

#define HOST_BINDING "com.docker.network.bridge.host_binding_ipv4"

/* A keeper has one machine. */
static struct {
	uint64_t allowed_ms; /* when a create asked for ports last */
	int absent;          /* the engine's last answer named fewer than are allowed */
} state;

/* ---- ports.json ---- */

/* The host's part of a port, as text; NULL: any free one, which needs no leave. Owned. */
static char *host_part(const struct docker_port *port)
{
	const struct docker_port host = { port->ip, port->host, 1, port->protocol };
	return port->ip || port->host.first ? docker_port_format(&host) : NULL;
}

static void load(const struct keeper *k, const char *key, struct strv *ret)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTOFREE char *path = machine_file(k->machine->name, "ports.json");
	if (json_parse_file(path, PORTS_JSON_MAX, &o, NULL) == 0)
		(void)json_get_strv(o, key, ret, NULL);
}

static int save(const struct keeper *k, const struct strv *allowed, const struct strv *addresses, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_strv(o, "allowed", allowed);
	json_add_strv(o, "addresses", addresses);
	AUTOFREE char *text = json_to_string(o, 1), *path = machine_file(k->machine->name, "ports.json");
	return atomic_file_write(path, 0600, text, strlen(text), err);
}

int docker_ports_allow(struct keeper *k, struct json_object *body, struct error **err)
{
	AUTO_DOCKER_PORTS struct docker_ports wanted = { 0 };
	AUTO_STRV struct strv allowed = { 0 }, addresses = { 0 };
	struct json_object *host = NULL, *bindings = NULL;
	if (json_get_object(body, "HostConfig", &host, NULL) < 0 ||
	    json_get_object(host, "PortBindings", &bindings, NULL) < 0)
		return 0; /* the engine says what is wrong with it */
	int r = docker_ports_from_bindings(&wanted, bindings, err);
	if (r < 0 || !wanted.count)
		return r;
	state.allowed_ms = clock_now_ms();
	state.absent = 0;
	load(k, "allowed", &allowed);
	load(k, "addresses", &addresses);
	size_t before = allowed.count;
	for (size_t i = 0; i < wanted.count; i++) {
		AUTOFREE char *part = host_part(&wanted.items[i]);
		if (part && !strv_contains(&allowed, part))
			strv_take(&allowed, TAKE_PTR(part));
	}
	if (allowed.count > ALLOWED_MAX)
		return error_set(err, EINVAL,
		    "machine \"%s\" has had %d published ports; publish any free port instead", k->machine->name,
		    ALLOWED_MAX);
	return allowed.count == before ? 0 : save(k, &allowed, &addresses, err);
}

static int allow_address(struct keeper *k, struct json_object *body, struct error **err)
{
	AUTO_STRV struct strv allowed = { 0 }, addresses = { 0 };
	struct json_object *options = NULL;
	const char *address = NULL;
	if (json_get_object(body, "Options", &options, NULL) < 0 ||
	    json_get_string(options, HOST_BINDING, &address, NULL) < 0 || !port_address_is_valid(address))
		return 0; /* the engine says what is wrong with it */
	load(k, "allowed", &allowed);
	load(k, "addresses", &addresses);
	if (strv_contains(&addresses, address))
		return 0;
	if (addresses.count >= ADDRESSES_MAX)
		return error_set(err, EINVAL, "machine \"%s\" has had networks with %d values of %s; leave it out",
		    k->machine->name, ADDRESSES_MAX, HOST_BINDING);
	strv_add(&addresses, address);
	return save(k, &allowed, &addresses, err);
}

void docker_create_network(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = q->inside ? NULL : http_exchange_json(q->exchange, NULL);
	int r = body ? allow_address(q->keeper, body, &err) : 0;
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_hand_over(q, NULL);
}

/* Adds the host's parts of a container's ports as keys: an answer may have hundreds of thousands.
 * -EBADMSG: it has no such list. */
static int add_used(struct json_object *container, struct json_object *used)
{
	AUTO_DOCKER_PORTS struct docker_ports ports = { 0 };
	AUTO_STRV struct strv words = { 0 };
	if (json_get_strv(container, "Ports", &words, NULL) < 0 || docker_ports_from_words(&ports, &words, NULL) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < ports.count && json_object_object_length(used) <= ALLOWED_MAX; i++) {
		AUTOFREE char *part = host_part(&ports.items[i]);
		if (part)
			json_add_bool(used, part, 1);
	}
	return 0;
}

static int read_used(struct json_object *images, struct json_object *used)
{
	int r = 0;
	json_object_object_foreach(images, id, containers)
	{
		(void)id;
		size_t count =
		    json_object_is_type(containers, json_type_array) ? json_object_array_length(containers) : 0;
		for (size_t i = 0; r == 0 && i < count; i++)
			r = add_used(json_object_array_get_idx(containers, i), used);
	}
	return r;
}

int docker_ports_shrink(const struct keeper *k, struct json_object *used)
{
	AUTO_STRV struct strv allowed = { 0 }, addresses = { 0 }, kept = { 0 };
	AUTO_JSON struct json_object *named = json_object_new_object();
	if (!json_object_is_type(used, json_type_object) || read_used(used, named) < 0)
		return 0;
	load(k, "allowed", &allowed);
	load(k, "addresses", &addresses);
	for (size_t i = 0; i < allowed.count; i++)
		if (json_object_object_get_ex(named, allowed.items[i], NULL))
			strv_add(&kept, allowed.items[i]);
	int before = state.absent, fewer = kept.count < allowed.count;
	state.absent = fewer;
	if (!fewer)
		return 0;
	if (!before || clock_now_ms() < state.allowed_ms + GUARD_MS)
		return 1;
	state.absent = 0;
	(void)save(k, &kept, &addresses, NULL);
	return 0;
}

static int is_allowed(const struct docker_port *port, const struct strv *allowed)
{
	AUTOFREE char *part = host_part(port);
	return !part || strv_contains(allowed, part);
}

static int check_allowed(struct keeper *k, const struct docker_ports *wanted, struct error **err)
{
	AUTO_STRV struct strv allowed = { 0 }, addresses = { 0 };
	load(k, "allowed", &allowed);
	load(k, "addresses", &addresses);
	for (size_t i = 0; i < wanted->count; i++) {
		const struct docker_port *port = &wanted->items[i];
		const struct docker_port anywhere = { NULL, port->host, port->inside, port->protocol };
		AUTOFREE char *part = host_part(port);
		if (!is_allowed(port, &allowed) &&
		    !(port->ip && strv_contains(&addresses, port->ip) && is_allowed(&anywhere, &allowed)))
			return error_set(err, EPERM, "no container of this machine was created with port \"%s\"", part);
	}
	return 0;
}

/* ---- requests ---- */

static int bind_ports(struct keeper *k, const char *container, struct json_object *body, struct docker_ports *ret,
    struct error **err)
{
	AUTO_DOCKER_PORTS struct docker_ports wanted = { 0 };
	AUTO_STRV struct strv words = { 0 };
	int r = json_get_strv(body, "bind", &words, err);
	if (r < 0 || (r = docker_ports_from_words(&wanted, &words, err)) < 0 ||
	    (r = check_allowed(k, &wanted, err)) < 0)
		return r;
	if (container_ports_find(k, container, ret))
		return 0; /* an engine that was started again asks for those that it had */
	return container_ports_bind(k, container, &wanted, ret, err);
}

static void request_bind(struct http_exchange *x, struct keeper *k, const char *container, struct json_object *body)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	AUTO_STRV struct strv words = { 0 };
	struct json_object *o = json_object_new_object();
	int r = bind_ports(k, container, body, &bound, &err);
	docker_ports_to_words(&bound, &words);
	if (r == 0) {
		json_add_strv(o, "bound", &words);
	} else {
		json_add_string(o, "error", error_text(err, r));
		json_add_bool(o, "taken", r == -EADDRINUSE);
	}
	http_respond_json(x, 200, o);
}

static void request_open(struct http_exchange *x, struct keeper *k, const char *container, struct json_object *body)
{
	AUTO_ERROR struct error *err = NULL;
	const char *address = NULL;
	int r = json_get_string(body, "address", &address, &err);
	if ((r < 0 && r != -ENOENT) || (r == 0 && !port_address_is_valid(address))) {
		http_respond_error(x, -EINVAL, err);
		return;
	}
	container_ports_open(k, container, address);
	http_respond_json(x, 200, NULL);
}

static void request_close(struct http_exchange *x, struct keeper *k, const char *container, struct json_object *body)
{
	container_ports_close(k, container);
	http_respond_json(x, 200, NULL);
}

void docker_handle_ports(struct http_exchange *x, void *keeper)
{
	static const struct {
		const char *path;
		void (*handle)(struct http_exchange *x, struct keeper *k, const char *container,
		    struct json_object *body);
	} verbs[] = { { "/v1/engine/ports/bind", request_bind }, { "/v1/engine/ports/open", request_open },
		{ "/v1/engine/ports/close", request_close } };
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	const char *container = NULL;
	size_t i = 0;
	while (i < ARRAY_SIZE(verbs) && !streq(verbs[i].path, http_exchange_path(x)))
		i++;
	int r = body ? json_get_string(body, "container", &container, &err) : -EINVAL;
	/* To close those of all containers, the request names none. */
	if (r == -ENOENT && i < ARRAY_SIZE(verbs) && verbs[i].handle == request_close)
		r = 0;
	if (r < 0 || i == ARRAY_SIZE(verbs) || (container && !docker_is_id(container))) {
		http_respond_error(x, -EINVAL, err);
		return;
	}
	verbs[i].handle(x, keeper, container, body);
}
