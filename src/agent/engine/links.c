/* SPDX-License-Identifier: Apache-2.0
 * See links.h. The names are those of Docker's links on the default bridge:
 *
 *   DB_NAME=/web/db, DB_ENV_KEY=VALUE                    of each variable but HOME and PATH
 *   DB_PORT=tcp://172.17.0.2:5432                        the lowest exposed port
 *   DB_PORT_5432_TCP=tcp://..., _ADDR, _PORT, _PROTO     of each exposed port
 *   DB_PORT_8000_TCP_START=tcp://..., _PORT_START        of three or more in a row, instead */
#include "agent/engine/links.h"

#include <ctype.h>
#include <errno.h>

#include "agent/engine/endpoints.h"
#include "base/alloc.h"

enum { VARIABLES_MAX = 4096 }; /* with those of all links */

struct link {
	char *prefix; /* DB */
	char address[ADDRESS_TEXT_MAX];
	struct strv *env;
};

static char *prefix_of(const char *alias)
{
	char *prefix = xstrdup(alias);
	for (char *at = prefix; *at; at++)
		*at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
	return prefix;
}

/* Of two ports of one number TCP's comes first. */
static int lowest_first(const void *a, const void *b)
{
	const struct docker_port *x = a, *y = b;
	return x->inside != y->inside ? (x->inside < y->inside ? -1 : 1) : (int)x->protocol - (int)y->protocol;
}

static void add(const struct link *l, const char *key, const char *value)
{
	if (l->env->count < VARIABLES_MAX)
		strv_addf(l->env, "%s%s=%s", l->prefix, key, value);
}

static void set(const struct link *l, const struct docker_port *p, const char *ending, char *value)
{
	AUTOFREE char *owned = value,
		      *key = xasprintf("_PORT_%u_%s%s", p->inside, p->protocol == PORT_UDP ? "UDP" : "TCP", ending);
	add(l, key, owned);
}

static char *url_of(const struct link *l, const struct docker_port *p)
{
	return xasprintf("%s://%s:%u", port_protocol_words[p->protocol], l->address, p->inside);
}

static void add_address(const struct link *l, const struct docker_port *p)
{
	set(l, p, "_ADDR", xstrdup(l->address));
	set(l, p, "_PROTO", xstrdup(port_protocol_words[p->protocol]));
}

static void add_range(const struct link *l, const struct docker_port *first, const struct docker_port *last)
{
	set(l, first, "_START", url_of(l, first));
	add_address(l, first);
	set(l, first, "_PORT_START", xasprintf("%u", first->inside));
	set(l, first, "_END", url_of(l, last));
	set(l, first, "_PORT_END", xasprintf("%u", last->inside));
}

/* The last of those that follow one another from i on. */
static size_t find_last(const struct docker_ports *ports, size_t i)
{
	const struct docker_port *all = ports->items;
	while (i + 1 < ports->count && all[i + 1].inside == all[i].inside + 1 && all[i + 1].protocol == all[i].protocol)
		i++;
	return i;
}

static void add_ports(const struct link *l, const struct docker_ports *ports)
{
	if (!ports->count)
		return;
	AUTOFREE char *url = url_of(l, &ports->items[0]);
	add(l, "_PORT", url);
	for (size_t i = 0; i < ports->count; i++) {
		size_t last = find_last(ports, i);
		if (last > i + 1)
			add_range(l, &ports->items[i], &ports->items[last]);
		if (last > i + 1)
			i = last;
	}
	for (size_t i = 0; i < ports->count; i++) {
		const struct docker_port *p = &ports->items[i];
		set(l, p, "", url_of(l, p));
		add_address(l, p);
		set(l, p, "_PORT", xasprintf("%u", p->inside));
	}
}

static void add_variables(const struct link *l, const struct strv *env)
{
	for (size_t i = 0; i < env->count; i++) {
		const char *equals = strchr(env->items[i], '=');
		if (!equals || startswith(env->items[i], "HOME=") || startswith(env->items[i], "PATH="))
			continue;
		AUTOFREE char *key = xasprintf("_ENV_%.*s", (int)(equals - env->items[i]), env->items[i]);
		add(l, key, equals + 1);
	}
}

static void add_link(const struct container *c, const struct network *n, const char *text, struct strv *env)
{
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 };
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	AUTOFREE char *name = xstrndup(text, strcspn(text, ":"));
	struct container *other = container_find(c->engine, name, NULL);
	const struct docker_endpoint *at = other ? network_endpoint(n, other) : NULL;
	if (!at || !at->address)
		return;
	const char *alias = strchr(text, ':') + 1;
	AUTOFREE char *prefix = prefix_of(alias), *path = xasprintf("/%s/%s", c->record.name, alias);
	struct link l = { .prefix = prefix, .env = env };
	address_format(at->address, l.address);
	if (docker_ports_read(other->record.data, &published, &exposed, NULL) == 0 && exposed.count)
		qsort(exposed.items, exposed.count, sizeof *exposed.items, lowest_first);
	add_ports(&l, &exposed);
	add(&l, "_NAME", path);
	add_variables(&l, &other->record.body.env);
}

void links_environment(const struct container *c, struct strv *env)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct docker_endpoint *p = &c->record.endpoints.items[i];
		const struct network *n = p->links.count && p->address ? network_by_id(c->engine, p->network) : NULL;
		for (size_t k = 0; n && n->is_default && k < p->links.count; k++)
			add_link(c, n, p->links.items[k], env);
	}
}

/* ---- the removal of one ---- */

/* Whether a link gives this alias: CONTAINER:ALIAS, /CONTAINER:/NAME/ALIAS, or a name alone. */
static int gives(const char *link, const char *alias)
{
	const char *own = link + strcspn(link, ":");
	const char *slash = strrchr(link, '/');
	own = slash ? slash + 1 : *own ? own + 1 : link;
	return streq(own, alias);
}

static int take_out(struct strv *links, const char *alias)
{
	AUTO_STRV struct strv rest = { 0 };
	for (size_t i = 0; i < links->count; i++)
		if (!gives(links->items[i], alias))
			strv_add(&rest, links->items[i]);
	if (rest.count == links->count)
		return 0;
	struct strv all = *links;
	*links = rest;
	rest = all;
	return 1;
}

/* Takes it from what inspect shows. */
static void take_out_of_body(struct container *c, const char *alias)
{
	struct json_object *host = NULL;
	AUTO_STRV struct strv links = { 0 };
	if (json_get_object(c->record.data, "HostConfig", &host, NULL) < 0 ||
	    json_get_strv(host, "Links", &links, NULL) < 0 || !take_out(&links, alias))
		return;
	json_object_object_del(host, "Links");
	json_add_strv(host, "Links", &links);
}

static int remove_link(struct container *c, const char *alias, struct error **err)
{
	int found = 0;
	for (size_t i = 0; i < c->record.endpoints.count; i++)
		found |= take_out(&c->record.endpoints.items[i].links, alias);
	if (!found)
		return error_set(err, ENOENT, "container %s has no link %.64s", c->record.name, alias);
	take_out_of_body(c, alias);
	endpoints_save(c);
	container_save(c);
	if (c->pid)
		bundle_refresh_names(c);
	return 0;
}

void engine_link_remove(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	const char *slash = strrchr(name, '/');
	AUTOFREE char *parent = slash ? xstrndup(name, (size_t)(slash - name)) : xstrdup(name);
	struct container *c = container_find(e, parent, &err);
	int r = c ? 0 : -ENOENT;
	if (r == 0 && (!slash || !engine_flag(x, "link", 0)))
		r = error_set(&err, ENOENT, "No such container: %.200s", name);
	if (r == 0)
		r = remove_link(c, slash + 1, &err);
	if (r < 0)
		engine_error(x, r, err);
	else
		http_respond(x, 204, NULL, NULL, 0);
}
