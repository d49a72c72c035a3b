/* SPDX-License-Identifier: Apache-2.0
 * The ports of a container, as Docker's API has them (1.51: PortBindings, ExposedPorts, Ports) and
 * as `run` takes them (-p, -P, --expose). A range becomes one entry a port. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/port_spec.h"

enum { PORTS_MAX = 1024 };

/* A port inside. In a list of exposed ports ip and host are empty. */
struct port {
	char *ip; /* of the host, without brackets; NULL: the addresses of the configuration */
	/* of the host; both 0: any that is free; a range: one of it that is free */
	struct port_range host;
	uint16_t inside;
	enum port_protocol protocol;
};

struct ports {
	struct port *items;
	size_t count;
};
void ports_done(struct ports *p);
#define AUTO_PORTS CLEANUP(ports_done)

/* Adds what -p says, [[IP:][HOST]:]INSIDE[/udp] with ranges; or what --expose says,
 * INSIDE[/udp] with ranges. One that is there already is left out. 0; -EINVAL, -E2BIG past
 * PORTS_MAX, or -EEXIST if the same host port leads elsewhere already, each with a text. */
int ports_publish(struct ports *p, const char *text, struct error **err);
int ports_expose(struct ports *p, const char *text, struct error **err);
/* Adds a copy of one port, by the same rules; `what` names it in the error. */
int ports_add(struct ports *p, const struct port *port, const char *what, struct error **err);
/* -P: adds each exposed port that `p` does not publish yet, on any free port. */
int ports_publish_all(struct ports *p, const struct ports *exposed, struct error **err);

/* Adds the members of HostConfig.PortBindings, {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}, or of
 * Config.ExposedPorts, {"80/tcp":{}}. NULL is an empty object. A port without a list, or with an
 * empty one, is published on any free port. Results as for ports_publish(). */
int ports_from_bindings(struct ports *p, struct json_object *bindings, struct error **err);
int ports_from_exposed(struct ports *p, struct json_object *exposed, struct error **err);

/* The ways back, owned. Bindings: for HostConfig.PortBindings, and with `exposed` (or NULL) for
 * NetworkSettings.Ports, where those not published are null. List: for Ports of a container in a
 * list, an item for each bound port and each exposed one. */
struct json_object *ports_to_bindings(const struct ports *p, const struct ports *exposed);
struct json_object *ports_to_exposed(const struct ports *p);
struct json_object *ports_to_list(const struct ports *bound, const struct ports *exposed);
