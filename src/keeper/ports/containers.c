/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/ports/containers.h"

#include <errno.h>

#include "base/alloc.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

enum { SOCKETS_MAX = 4096 };

static int bind_one(struct publisher *p, const char *container, const struct docker_port *wanted,
    struct docker_ports *ret, struct error **err)
{
	struct machine_publish spec = { wanted->ip, 0, wanted->inside, wanted->protocol == PORT_UDP };
	int fds[MACHINE_PUBLISH_SOCKETS];
	if (p->container_sockets >= SOCKETS_MAX)
		return error_set(err, E2BIG, "the containers of a machine can have %d published ports at most",
		    SOCKETS_MAX);
	int r = machine_publish_open_range(&spec, wanted->host, fds, err);
	for (size_t i = 0; r == 0 && i < MACHINE_PUBLISH_SOCKETS; i++) {
		if (fds[i] < 0)
			continue;
		struct published *port =
		    publish_add_socket(p, &spec, spec.ip ? spec.ip : machine_publish_loopback[i], fds[i], container);
		const struct docker_port bound = { port->address, { spec.host, spec.host }, spec.inside,
			wanted->protocol };
		docker_ports_push(ret, &bound);
	}
	return r;
}

int container_ports_bind(struct keeper *k, const char *container, const struct docker_ports *wanted,
    struct docker_ports *ret, struct error **err)
{
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	int r = 0;
	if (!k->publisher || k->isolation_ended)
		return error_set(err, EOPNOTSUPP, "the machine does not run");
	for (size_t i = 0; r == 0 && i < wanted->count; i++)
		r = bind_one(k->publisher, container, &wanted->items[i], &bound, err);
	if (r < 0) {
		container_ports_close(k, container);
		return r;
	}
	*ret = bound;
	bound = (struct docker_ports){ 0 };
	return 0;
}

void container_ports_open(struct keeper *k, const char *container, const char *address)
{
	for (struct published *port = k->publisher ? k->publisher->ports : NULL; port; port = port->next) {
		if (!streq(port->container, container))
			continue;
		free(port->target);
		port->target = xstrdup(address);
		publish_accept(port);
	}
}

void container_ports_close(struct keeper *k, const char *container)
{
	for (struct published **at = k->publisher ? &k->publisher->ports : NULL; at && *at;) {
		if (streq((*at)->container, container))
			publish_free(at);
		else
			at = &(*at)->next;
	}
}
