/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/ports/containers.h"

#include <errno.h>

#include "base/alloc.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/automatic.h"
#include "keeper/ports/publish.h"
#include "machine/settings.h"

enum { SOCKETS_MAX = 4096 };

/* Names the socket of this machine that has a port of the host; 0: none has. */
static int find_holder(const struct publisher *p, const struct docker_port *wanted, struct error **err)
{
	const struct published *port = p->ports;
	while (port && (port->spec.host != wanted->host.first || port->spec.udp != (wanted->protocol == PORT_UDP)))
		port = port->next;
	if (!port)
		return 0;
	AUTOFREE char *who = port->container ? xasprintf("container %.12s", port->container) :
					       xasprintf("machine \"%s\"", p->keeper->machine->name);
	return error_set(err, EADDRINUSE, "%s port %u on %s is in use by %s; stop that, or publish another port",
	    port->spec.udp ? "UDP" : "TCP", port->spec.host, port->address, who);
}

static int bind_one(struct publisher *p, const char *container, const struct docker_port *wanted,
    const char *const addresses[MACHINE_PUBLISH_SOCKETS], struct docker_ports *ret, struct error **err)
{
	struct machine_publish spec = { wanted->ip, 0, wanted->inside, wanted->protocol == PORT_UDP };
	int fds[MACHINE_PUBLISH_SOCKETS];
	if (p->container_sockets >= SOCKETS_MAX)
		return error_set(err, E2BIG, "the containers of a machine can have %d published ports at most",
		    SOCKETS_MAX);
	AUTO_ERROR struct error *reason = NULL;
	int is_one = wanted->host.first == wanted->host.last;
	if (!spec.udp && is_one)
		auto_ports_yield(p->automatic, wanted->host.first);
	int r = machine_publish_open_range(&spec, wanted->host, addresses, fds, &reason);
	const struct machine_publish asked = { spec.ip ? spec.ip : (char *)addresses[0], wanted->host.first,
		spec.inside, spec.udp };
	if (r == -EADDRINUSE && is_one && auto_ports_ask_others(p->keeper, &asked)) {
		error_clear(&reason);
		r = machine_publish_open_range(&spec, wanted->host, addresses, fds, &reason);
	}
	if (r == -EADDRINUSE && wanted->host.first == wanted->host.last)
		(void)find_holder(p, wanted, err);
	if (r < 0)
		return error_set(err, -r, "%s", error_text(reason, r));
	for (size_t i = 0; r == 0 && i < MACHINE_PUBLISH_SOCKETS; i++) {
		if (fds[i] < 0)
			continue;
		struct published *port =
		    publish_add_socket(p, &spec, spec.ip ? spec.ip : addresses[i], fds[i], container);
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
	AUTO_SETTINGS struct settings settings = { 0 };
	AUTO_STRV struct strv parts = { 0 };
	const char *addresses[MACHINE_PUBLISH_SOCKETS];
	if (!k->publisher || k->isolation_ended)
		return error_set(err, EOPNOTSUPP, "the machine does not run");
	int r = settings_load(&settings, err);
	if (r == 0)
		r = machine_publish_addresses(settings.values[SETTING_PUBLISH_ADDRESS], &parts, addresses, err);
	for (size_t i = 0; r == 0 && i < wanted->count; i++)
		r = bind_one(k->publisher, container, &wanted->items[i], addresses, &bound, err);
	if (r < 0) {
		container_ports_close(k, container);
		return r;
	}
	*ret = bound;
	bound = (struct docker_ports){ 0 };
	return 0;
}

size_t container_ports_find(const struct keeper *k, const char *container, struct docker_ports *ret)
{
	size_t before = ret->count;
	for (const struct published *port = k->publisher ? k->publisher->ports : NULL; port; port = port->next) {
		const struct docker_port bound = { port->address, { port->spec.host, port->spec.host },
			port->spec.inside, port->spec.udp ? PORT_UDP : PORT_TCP };
		if (streq(port->container, container))
			docker_ports_push(ret, &bound);
	}
	return ret->count - before;
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
		if (container ? streq((*at)->container, container) : (*at)->container != NULL)
			publish_free(at);
		else
			at = &(*at)->next;
	}
}
