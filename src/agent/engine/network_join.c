/* SPDX-License-Identifier: Apache-2.0
 * See network_join.h. A container that shares another one's network has descriptors of the same
 * namespaces, so they outlive the first one's end; its address stays taken as long. */
#include "agent/engine/network_join.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/lease.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/network_files.h"
#include "agent/engine/resolver.h"
#include "base/alloc.h"
#include "base/log.h"
#include "docker/ports.h"

#define PREFIX "container:"

/* ---- create ---- */

static int read_wish(const struct engine *e, struct json_object *body, struct network_wish *w, struct error **err)
{
	AUTO_CONTAINER_NAMES struct container_names names = { 0 };
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 }, exposed = { 0 };
	struct json_object *host = NULL;
	const char *hostname = "";
	int r = json_get_object(body, "HostConfig", &host, err);
	if (r == 0)
		r = json_get_string(host, "NetworkMode", &w->mode, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_string(body, "Hostname", &hostname, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if ((r = container_names_read(&names, host, err)) < 0 ||
	    (r = docker_ports_read(body, &published, &exposed, err)) < 0)
		return r;
	w->has_hostname = *hostname != '\0';
	w->has_dns = names.resolv.nameservers.count || names.resolv.search.count || names.resolv.options.count ||
		     names.no_search;
	w->has_hosts = names.hosts.count > 0;
	const struct network *n = w->mode ? network_find(e, w->mode, NULL) : NULL;
	/* One that there is not may be there at the start. */
	w->is_network = w->mode && (!n || (n->kind == NETWORK_BRIDGE && !n->is_default));
	w->publishes = published.count > 0;
	w->exposes = exposed.count > 0;
	return 0;
}

/* Names can change; the id of the other container cannot. */
static int fix_peer(struct engine *e, struct json_object *body, const char *wish, struct error **err)
{
	struct json_object *host = NULL;
	const struct container *other = container_find(e, wish, err);
	if (!other)
		return -EINVAL;
	AUTOFREE char *mode = xasprintf(PREFIX "%s", other->record.id);
	int r = json_get_object(body, "HostConfig", &host, err);
	if (r == 0)
		json_add_string(host, "NetworkMode", mode);
	return r;
}

int container_network_check(struct engine *e, struct json_object *body, const char **ret_warning, struct error **err)
{
	struct network_wish w = { 0 };
	struct network_plan plan;
	int r = read_wish(e, body, &w, err);
	/* 404 would have clients fetch the image. */
	if (r < 0 || (r = network_decide(&w, e->has_bridge, &plan, err)) < 0)
		return r == -ENOENT ? -EINVAL : r;
	*ret_warning = plan.warning;
	return plan.kind == NETWORK_CONTAINER ? fix_peer(e, body, plan.container, err) : 0;
}

/* ---- start and end ---- */

int container_network_plan(const struct container *c, struct network_plan *ret, struct error **err)
{
	/* Its endpoints say which networks it has, and whether they are still there. */
	const char *mode = c->record.body.network_mode;
	const struct network *n = mode && !c->record.endpoints.count ? network_find(c->engine, mode, NULL) : NULL;
	const struct network_wish w = { .mode = mode,
		.is_network = c->record.endpoints.count > 0 || (n && n->kind == NETWORK_BRIDGE) };
	int r = network_decide(&w, c->engine->has_bridge, ret, err);
	return r == -ENOENT ? -EINVAL : r;
}

const char *container_network_mode(const struct container *c)
{
	const char *mode = c->record.body.network_mode;
	return mode && !streq(mode, "default") ? mode : "bridge";
}

const struct container *container_network_peer(const struct container *c)
{
	const char *id = startswith(container_network_mode(c), PREFIX);
	return id && *id ? container_find(c->engine, id, NULL) : NULL;
}

static int copy_descriptor(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int join_peer(struct container *c, struct error **err)
{
	const struct container *other = container_network_peer(c);
	if (!other || !other->pid)
		return error_set(err, EBUSY, "cannot join network of a non running container: %s",
		    container_network_mode(c) + sizeof PREFIX - 1);
	int r = container_take_user(c, copy_descriptor(other->namespaces.user), err);
	if (r < 0)
		return r;
	c->namespaces.network = copy_descriptor(other->namespaces.network);
	c->address = other->address;
	lease_copy(c, other);
	return c->namespaces.network < 0 && other->namespaces.network >= 0 ?
		   error_set_errno(err, errno, "cannot join the other container's network") :
		   0;
}

int container_network_join(struct container *c, struct error **err)
{
	struct network_plan plan;
	int r = container_network_plan(c, &plan, err);
	if (r < 0)
		return r;
	if (plan.kind == NETWORK_CONTAINER)
		return join_peer(c, err);
	if (!plan.own_namespace)
		return 0;
	struct resolver_sockets sockets = { -1, -1 };
	struct attachment list[ATTACHMENTS_MAX];
	size_t count = 0;
	if (plan.has_interface && !c->record.endpoints.count)
		r = endpoints_restore(c, err);
	if (r == 0 && plan.has_interface)
		r = endpoints_join(c, list, &count, err);
	if (r < 0)
		return r;
	int names = endpoints_have_names(c);
	r = container_namespaces_make(container_ids(c), list, count, &c->namespaces, names ? &sockets : NULL, err);
	if (r == 0 && names)
		resolver_start(c, &sockets);
	return r;
}

void container_network_leave(struct container *c)
{
	resolver_stop(c);
	container_namespaces_done(&c->namespaces);
	container_shares_leave(c);
	c->address = 0;
	endpoints_leave(c);
	lease_drop_all(c);
}

void container_network_adopt(struct container *c)
{
	AUTO_ERROR struct error *err = NULL;
	struct resolver_sockets sockets = { -1, -1 };
	const struct namespaces_change change = { .remove = -1, .resolver = &sockets };
	if (c->namespaces.network < 0 || !endpoints_have_names(c))
		return;
	int r = container_namespaces_change(&c->namespaces, &change, &err);
	if (r < 0)
		log_warning("container %.12s: its lookups are not answered: %s", c->record.id, error_text(err, r));
	else
		resolver_start(c, &sockets);
}
