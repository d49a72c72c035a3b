/* SPDX-License-Identifier: Apache-2.0
 * The ports of a container, as Docker's API has them (1.51: PortBindings, ExposedPorts, Ports) and
 * as `run` takes them (-p, -P, --expose). A range becomes one entry a port. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/port_spec.h"

enum { DOCKER_PORTS_MAX = 1024 };

/* A port inside. In a list of exposed ports ip and host are empty. */
struct docker_port {
	char *ip; /* of the host, without brackets; NULL: the addresses of the configuration */
	/* of the host; both 0: any that is free; a range: one of it that is free */
	struct port_range host;
	uint16_t inside;
	enum port_protocol protocol;
};

struct docker_ports {
	struct docker_port *items;
	size_t count;
};
void docker_ports_done(struct docker_ports *p);
#define AUTO_DOCKER_PORTS CLEANUP(docker_ports_done)

/* Adds what -p says, [[IP:][HOST]:]INSIDE[/udp] with ranges; or what --expose says,
 * INSIDE[/udp] with ranges. One that is there already is left out. 0; -EINVAL, -E2BIG past
 * DOCKER_PORTS_MAX, or -EEXIST if the same host port leads elsewhere already, each with a text. */
int docker_ports_publish(struct docker_ports *p, const char *text, struct error **err);
int docker_ports_expose(struct docker_ports *p, const char *text, struct error **err);
/* Adds a copy of one port, by the same rules; `what` names it in the error. */
int docker_ports_add(struct docker_ports *p, const struct docker_port *port, const char *what, struct error **err);
/* Adds a copy of one port without any rule: for the bound ones, one a socket. */
void docker_ports_push(struct docker_ports *p, const struct docker_port *port);
/* -P: adds each exposed port that `p` does not publish yet, on any free port. */
int docker_ports_publish_all(struct docker_ports *p, const struct docker_ports *exposed, struct error **err);

/* Adds the members of HostConfig.PortBindings, {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}, or of
 * Config.ExposedPorts, {"80/tcp":{}}. NULL is an empty object. A port without a list, or with an
 * empty one, is published on any free port. Results as for docker_ports_publish(). */
int docker_ports_from_bindings(struct docker_ports *p, struct json_object *bindings, struct error **err);
int docker_ports_from_exposed(struct docker_ports *p, struct json_object *exposed, struct error **err);

/* Reads ExposedPorts, HostConfig.PortBindings and HostConfig.PublishAllPorts of a body of `create`,
 * which has the image's ExposedPorts, too. A published port is exposed. Results as for
 * docker_ports_publish(). */
int docker_ports_read(struct json_object *body, struct docker_ports *published, struct docker_ports *exposed,
    struct error **err);

/* The ways back, owned. Bindings: for HostConfig.PortBindings, and with `exposed` (or NULL) for
 * NetworkSettings.Ports, where those not published are null. List: for Ports of a container in a
 * list, an item for each bound port and each exposed one. */
struct json_object *docker_ports_to_bindings(const struct docker_ports *p, const struct docker_ports *exposed);
struct json_object *docker_ports_to_exposed(const struct docker_ports *p);
struct json_object *docker_ports_to_list(const struct docker_ports *bound, const struct docker_ports *exposed);
/* Adds the items of such a list. 0, or -EINVAL and a text. */
int docker_ports_from_list(struct json_object *list, struct docker_ports *bound, struct docker_ports *exposed,
    struct error **err);
/* The column of `ps`: "127.0.0.1:8080->80/tcp, 443/tcp", with ranges as Docker's client makes them.
 * Owned; exposed may be NULL. */
char *docker_ports_text(const struct docker_ports *bound, const struct docker_ports *exposed);
/* As -p has it, [IP:][HOST:]INSIDE[/udp]; owned. */
char *docker_port_format(const struct docker_port *port);
/* A list of ports as such texts, and the way back, which adds them without any rule. 0; -EINVAL,
 * also for a range inside, or -E2BIG past two sockets for each of DOCKER_PORTS_MAX. */
void docker_ports_to_words(const struct docker_ports *p, struct strv *ret);
int docker_ports_from_words(struct docker_ports *p, const struct strv *words, struct error **err);
/* The first entry of the same port inside, borrowed, or NULL. */
const struct docker_port *docker_ports_find(const struct docker_ports *p, const struct docker_port *port);
