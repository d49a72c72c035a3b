/* SPDX-License-Identifier: Apache-2.0 */
#include "docker/ports.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"

void docker_ports_done(struct docker_ports *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].ip);
	free(p->items);
	*p = (struct docker_ports){ 0 };
}

/* ---- the list ---- */

static int same_inside(const struct docker_port *a, const struct docker_port *b)
{
	return a->inside == b->inside && a->protocol == b->protocol;
}

static int same_host(const struct docker_port *a, const struct docker_port *b)
{
	return streq(a->ip, b->ip) && a->host.first == b->host.first && a->host.last == b->host.last;
}

/* Whether both want one and the same port of the host. */
static int is_rival(const struct docker_port *a, const struct docker_port *b)
{
	return a->protocol == b->protocol && a->host.first && a->host.first == a->host.last && same_host(a, b);
}

void docker_ports_push(struct docker_ports *p, const struct docker_port *port)
{
	p->items = xrealloc(p->items, p->count + 1, sizeof *p->items);
	p->items[p->count] = *port;
	p->items[p->count++].ip = xstrdup(port->ip);
}

int docker_ports_add(struct docker_ports *p, const struct docker_port *port, const char *what, struct error **err)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct docker_port *other = &p->items[i];
		if (same_inside(other, port) && same_host(other, port))
			return 0;
		if (is_rival(other, port))
			return error_set(err, EEXIST, "port \"%.80s\": port %u/%s of the host is published already",
			    what, port->host.first, port_protocol_words[port->protocol]);
	}
	if (p->count >= DOCKER_PORTS_MAX)
		return error_set(err, E2BIG, "port \"%.80s\": a container can have %d ports at most", what,
		    DOCKER_PORTS_MAX);
	docker_ports_push(p, port);
	return 0;
}

/* Adds an entry for each port inside; a host range of the same length goes along. */
static int add_spec(struct docker_ports *p, const struct port_spec *s, const char *what, struct error **err)
{
	unsigned count = port_range_count(s->inside);
	int r = 0;
	if (count > DOCKER_PORTS_MAX)
		return error_set(err, E2BIG, "port \"%.80s\": a container can have %d ports at most", what,
		    DOCKER_PORTS_MAX);
	for (unsigned i = 0; r == 0 && i < count; i++) {
		struct docker_port one = { s->ip, s->host, (uint16_t)(s->inside.first + i), s->protocol };
		if (s->host.first && count > 1)
			one.host.first = one.host.last = (uint16_t)(s->host.first + i);
		r = docker_ports_add(p, &one, what, err);
	}
	return r;
}

static int spec_error(int code, const char *text, const char *form, struct error **err)
{
	if (code == -EPROTONOSUPPORT)
		return error_set(err, EINVAL, "port \"%.80s\": holm publishes tcp and udp; write no other protocol",
		    text);
	return error_set(err, EINVAL, "port \"%.80s\": write %s with ports from 1 to 65535 or ranges, such as %s", text,
	    form, startswith(form, "[") ? "8080:80" : "80");
}

int docker_ports_publish(struct docker_ports *p, const char *text, struct error **err)
{
	struct port_spec s;
	int r = port_spec_parse(text, &s);
	if (r < 0)
		return spec_error(r, text, "[IP:][HOST:]INSIDE[/udp]", err);
	r = add_spec(p, &s, text, err);
	port_spec_done(&s);
	return r;
}

int docker_ports_expose(struct docker_ports *p, const char *text, struct error **err)
{
	struct port_spec s = { 0 };
	int r = port_key_parse(text, &s.inside, &s.protocol);
	return r < 0 ? spec_error(r, text, "INSIDE[/udp]", err) : add_spec(p, &s, text, err);
}

const struct docker_port *docker_ports_find(const struct docker_ports *p, const struct docker_port *port)
{
	for (size_t i = 0; i < p->count; i++)
		if (same_inside(&p->items[i], port))
			return &p->items[i];
	return NULL;
}

int docker_ports_publish_all(struct docker_ports *p, const struct docker_ports *exposed, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < exposed->count; i++)
		if (!docker_ports_find(p, &exposed->items[i]))
			r = docker_ports_add(p, &exposed->items[i], "--publish-all", err);
	return r;
}

/* ---- as texts ---- */

/* "", "8080" or "8000-8010"; owned. */
static char *format_host(struct port_range host)
{
	if (!host.first)
		return xstrdup("");
	return host.first == host.last ? xasprintf("%u", host.first) : xasprintf("%u-%u", host.first, host.last);
}

char *docker_port_format(const struct docker_port *port)
{
	AUTOFREE char *host = format_host(port->host);
	const char *colon = port->ip || *host ? ":" : "", *udp = port->protocol == PORT_UDP ? "/udp" : "";
	if (!port->ip)
		return xasprintf("%s%s%u%s", host, colon, port->inside, udp);
	return xasprintf(strchr(port->ip, ':') ? "[%s]:%s:%u%s" : "%s:%s:%u%s", port->ip, host, port->inside, udp);
}

void docker_ports_to_words(const struct docker_ports *p, struct strv *ret)
{
	for (size_t i = 0; i < p->count; i++)
		strv_take(ret, docker_port_format(&p->items[i]));
}

int docker_ports_from_words(struct docker_ports *p, const struct strv *words, struct error **err)
{
	if (words->count > 2 * DOCKER_PORTS_MAX)
		return error_set(err, E2BIG, "a container can have %d ports at most", DOCKER_PORTS_MAX);
	for (size_t i = 0; i < words->count; i++) {
		struct port_spec s;
		if (port_spec_parse(words->items[i], &s) < 0)
			return error_set(err, EINVAL, "port \"%.80s\" is none", words->items[i]);
		const struct docker_port port = { s.ip, s.host, s.inside.first, s.protocol };
		int single = port_range_count(s.inside) == 1;
		if (single)
			docker_ports_push(p, &port);
		port_spec_done(&s);
		if (!single)
			return error_set(err, EINVAL, "port \"%.80s\" is a range", words->items[i]);
	}
	return 0;
}

/* ---- from JSON ---- */

/* HostPort: "", "0", "8080" or "8000-8010". */
static int read_host(struct json_object *binding, const char *key, struct port_spec *s, struct error **err)
{
	const char *ip = "", *port = "";
	int r = json_get_string(binding, "HostIp", &ip, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_string(binding, "HostPort", &port, err);
	if (r < 0 && r != -ENOENT)
		return error_prefix(err, r, "port \"%.80s\"", key);
	s->host = (struct port_range){ 0 };
	if (*port && !streq(port, "0") && port_range_parse(port, &s->host) < 0)
		return error_set(err, EINVAL, "port \"%.80s\": \"%.80s\" is not a port of the host", key, port);
	if (port_range_count(s->inside) > 1 && s->host.first &&
	    port_range_count(s->inside) != port_range_count(s->host))
		return error_set(err, EINVAL, "port \"%.80s\": \"%.80s\" is not a range of its length", key, port);
	if (*ip && !port_address_is_valid(ip))
		return error_set(err, EINVAL, "port \"%.80s\": \"%.80s\" is not an IP address", key, ip);
	s->ip = *ip ? xstrdup(ip) : NULL;
	return 0;
}

static int add_binding(struct docker_ports *p, struct json_object *binding, const char *key,
    const struct port_spec *inside, struct error **err)
{
	struct port_spec s = *inside;
	int r = json_object_is_type(binding, json_type_object) ?
		    read_host(binding, key, &s, err) :
		    error_set(err, EINVAL, "port \"%.80s\": a binding must be an object", key);
	if (r == 0)
		r = add_spec(p, &s, key, err);
	port_spec_done(&s);
	return r;
}

static int add_bindings(struct docker_ports *p, struct json_object *list, const char *key, struct error **err)
{
	struct port_spec inside = { 0 };
	int r = port_key_parse(key, &inside.inside, &inside.protocol);
	if (r < 0)
		return spec_error(r, key, "INSIDE[/udp]", err);
	if (list && !json_object_is_type(list, json_type_array))
		return error_set(err, EINVAL, "port \"%.80s\": bindings must be an array", key);
	size_t count = list ? json_object_array_length(list) : 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_binding(p, json_object_array_get_idx(list, i), key, &inside, err);
	return count ? r : add_spec(p, &inside, key, err);
}

int docker_ports_from_bindings(struct docker_ports *p, struct json_object *bindings, struct error **err)
{
	if (!bindings)
		return 0;
	if (!json_object_is_type(bindings, json_type_object))
		return error_set(err, EINVAL, "\"PortBindings\" must be an object");
	int r = 0;
	json_object_object_foreach(bindings, key, list)
	{
		if (r == 0)
			r = add_bindings(p, list, key, err);
	}
	return r;
}

int docker_ports_from_exposed(struct docker_ports *p, struct json_object *exposed, struct error **err)
{
	if (!exposed)
		return 0;
	if (!json_object_is_type(exposed, json_type_object))
		return error_set(err, EINVAL, "\"ExposedPorts\" must be an object");
	int r = 0;
	json_object_object_foreach(exposed, key, nothing)
	{
		(void)nothing;
		if (r == 0)
			r = docker_ports_expose(p, key, err);
	}
	return r;
}

/* As Docker: a port that is published needs no EXPOSE. */
static int expose_published(struct docker_ports *exposed, const struct docker_ports *published, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < published->count; i++) {
		const struct docker_port p = { .inside = published->items[i].inside,
			.protocol = published->items[i].protocol };
		r = docker_ports_add(exposed, &p, "PortBindings", err);
	}
	return r;
}

/* An optional object: NULL without one. */
static int get_object(struct json_object *o, const char *key, struct json_object **ret, struct error **err)
{
	*ret = NULL;
	int r = json_get_object(o, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

int docker_ports_read(struct json_object *body, struct docker_ports *published, struct docker_ports *exposed,
    struct error **err)
{
	struct json_object *list, *host, *bindings = NULL;
	int all = 0;
	int r = get_object(body, "ExposedPorts", &list, err);
	if (r < 0 || (r = docker_ports_from_exposed(exposed, list, err)) < 0 ||
	    (r = get_object(body, "HostConfig", &host, err)) < 0)
		return r;
	if (host && ((r = get_object(host, "PortBindings", &bindings, err)) < 0 ||
			((r = json_get_bool(host, "PublishAllPorts", &all, err)) < 0 && r != -ENOENT)))
		return r;
	r = docker_ports_from_bindings(published, bindings, err);
	if (r == 0 && all)
		r = docker_ports_publish_all(published, exposed, err);
	return r < 0 ? r : expose_published(exposed, published, err);
}

/* ---- to JSON ---- */

static void format_key(const struct docker_port *port, char ret[static 16])
{
	snprintf(ret, 16, "%u/%s", port->inside, port_protocol_words[port->protocol]);
}

static struct json_object *binding_to_json(const struct docker_port *port)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *host = format_host(port->host);
	json_add_string(o, "HostIp", port->ip ? port->ip : "");
	json_add_string(o, "HostPort", host);
	return o;
}

struct json_object *docker_ports_to_bindings(const struct docker_ports *p, const struct docker_ports *exposed)
{
	struct json_object *o = json_object_new_object(), *list;
	char key[16];
	for (size_t i = 0; i < p->count; i++) {
		format_key(&p->items[i], key);
		if (!json_object_object_get_ex(o, key, &list))
			json_add(o, key, list = json_object_new_array());
		json_object_array_add(list, binding_to_json(&p->items[i]));
	}
	for (size_t i = 0; exposed && i < exposed->count; i++) {
		format_key(&exposed->items[i], key);
		if (!json_object_object_get_ex(o, key, NULL))
			json_object_object_add(o, key, NULL);
	}
	return o;
}

struct json_object *docker_ports_to_exposed(const struct docker_ports *p)
{
	struct json_object *o = json_object_new_object();
	char key[16];
	for (size_t i = 0; i < p->count; i++) {
		format_key(&p->items[i], key);
		if (!json_object_object_get_ex(o, key, NULL))
			json_add(o, key, json_object_new_object());
	}
	return o;
}

static struct json_object *item_to_json(const struct docker_port *port, int is_bound)
{
	struct json_object *o = json_object_new_object();
	if (is_bound)
		json_add_string(o, "IP", port->ip);
	json_add_u64(o, "PrivatePort", port->inside);
	if (is_bound)
		json_add_u64(o, "PublicPort", port->host.first);
	json_add_string(o, "Type", port_protocol_words[port->protocol]);
	return o;
}

struct json_object *docker_ports_to_list(const struct docker_ports *bound, const struct docker_ports *exposed)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < bound->count; i++)
		json_object_array_add(list, item_to_json(&bound->items[i], 1));
	for (size_t i = 0; exposed && i < exposed->count; i++)
		if (!docker_ports_find(bound, &exposed->items[i]))
			json_object_array_add(list, item_to_json(&exposed->items[i], 0));
	return list;
}
