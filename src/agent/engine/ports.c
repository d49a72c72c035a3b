/* SPDX-License-Identifier: Apache-2.0
 * Published ports. They are the host's: the engine asks the agent, the agent asks the keeper
 * (src/keeper/docker/ports.c). Three messages, in this order:
 *
 *   bind    before anything else of a start, so that a taken port starts nothing
 *   open    the container runs and has an address
 *   close   it has ended, or did not start */
#include <errno.h>
#include <poll.h>

#include "agent/core/channel.h"
#include "agent/engine/engine.h"
#include "agent/engine/network_join.h"
#include "agent/engine/networks.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { SEND_MS = 5000 };

static int send_message(const struct container *c, const char *verb, const char *key, struct json_object *value)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "ports", verb);
	json_add_string(o, "container", c->record.id);
	if (value)
		json_add(o, key, value);
	int r = channel_send(ENGINE_CHANNEL, json_object_get(o), -1);
	if (r == -EAGAIN && fd_wait(ENGINE_CHANNEL, POLLOUT, clock_deadline(SEND_MS)) > 0)
		r = channel_send(ENGINE_CHANNEL, json_object_get(o), -1);
	json_object_put(o);
	return r;
}

/* ---- bind ---- */

static int read_published(const struct container *c, struct docker_ports *published, struct error **err)
{
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	struct network_plan plan;
	int r = container_network_plan(c, &plan, err);
	if (r < 0 || plan.ports == NETWORK_PORTS_NONE)
		return r;
	return docker_ports_read(c->record.data, published, &exposed, err);
}

/* Ports that name no address of the host get that of the container's network, if it has one. */
static void add_binding(const struct container *c, struct docker_ports *published)
{
	const struct network *n = network_find(c->engine, container_network_mode(c), NULL);
	for (size_t i = 0; n && n->binding && i < published->count; i++)
		if (!published->items[i].ip)
			published->items[i].ip = xstrdup(n->binding);
}

static struct json_object *list_words(const struct docker_ports *ports)
{
	AUTO_STRV struct strv words = { 0 };
	struct json_object *list = json_object_new_array();
	docker_ports_to_words(ports, &words);
	for (size_t i = 0; i < words.count; i++)
		json_object_array_add(list, json_object_new_string(words.items[i]));
	return list;
}

struct json_object *container_ports_wanted(const struct container *c)
{
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 };
	(void)read_published(c, &published, NULL);
	return list_words(&published);
}

void container_bind_ports(struct container *c)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 };
	int r = read_published(c, &published, &err);
	if (r == 0 && published.count) {
		add_binding(c, &published);
		r = send_message(c, "bind", "bind", list_words(&published));
		c->has_ports = r == 0;
		if (r < 0)
			error_set_errno(&err, r, "cannot ask for the container's ports");
	}
	if (!c->has_ports && c->preparing)
		container_bound(c, r, err);
}

/* Docker answers a taken port with 500 and these words, which clients look for. */
static int explain(const struct container *c, struct json_object *o, const char *text, struct error **err)
{
	int taken = 0;
	(void)json_get_bool(o, "taken", &taken, NULL);
	return error_set(err, EIO, "driver failed programming external connectivity on endpoint %s: %s%s",
	    c->record.name, taken ? "port is already allocated: " : "", text);
}

void container_ports_message(struct engine *e, struct json_object *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	const char *id = NULL, *text = NULL;
	struct container *c = json_get_string(o, "container", &id, NULL) == 0 ? container_find(e, id, NULL) : NULL;
	if (!c || !c->has_ports || c->ports.count)
		return;
	int r = json_get_string(o, "error", &text, NULL) == 0 ? explain(c, o, text, &err) :
								json_get_strv(o, "bound", &words, &err);
	if (r == 0)
		r = docker_ports_from_words(&c->ports, &words, &err);
	if (c->preparing)
		container_bound(c, r, err);
}

/* ---- open and close ---- */

void container_open_ports(struct container *c)
{
	char address[ADDRESS_TEXT_MAX];
	if (!c->has_ports)
		return;
	address_format(c->address, address);
	send_message(c, "open", "address", c->address ? json_object_new_string(address) : NULL);
}

void container_close_ports(struct container *c)
{
	if (!c->has_ports)
		return;
	c->has_ports = 0;
	docker_ports_done(&c->ports);
	send_message(c, "close", NULL, NULL);
}

void containers_settle_ports(struct engine *e)
{
	for (struct container *c = e->containers; c; c = c->next) {
		AUTO_DOCKER_PORTS struct docker_ports published = { 0 };
		if (c->held || c->preparing || read_published(c, &published, NULL) < 0 || !published.count)
			continue;
		c->has_ports = 1;
		container_close_ports(c);
	}
}

void containers_ask_ports_again(struct engine *e)
{
	containers_settle_ports(e);
	for (struct container *c = e->containers, *next; c; c = next) {
		next = c->next;
		if (c->has_ports && !c->ports.count)
			container_bind_ports(c);
		if (c->pid)
			container_open_ports(c);
	}
}

/* ---- to clients ---- */

/* Those that a running container has; with host's network, or another container's, none. */
static void read_exposed(const struct container *c, struct docker_ports *exposed)
{
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 };
	struct network_plan plan;
	if (!c->pid || container_network_plan(c, &plan, NULL) < 0 || plan.ports == NETWORK_PORTS_NONE ||
	    docker_ports_read(c->record.data, &published, exposed, NULL) < 0)
		docker_ports_done(exposed);
}

struct json_object *container_ports_object(const struct container *c)
{
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	read_exposed(c, &exposed);
	return docker_ports_to_bindings(&c->ports, &exposed);
}

struct json_object *container_ports_list(const struct container *c)
{
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	read_exposed(c, &exposed);
	return docker_ports_to_list(&c->ports, &exposed);
}
