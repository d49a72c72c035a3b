/* SPDX-License-Identifier: Apache-2.0
 * Published ports of containers. They are bound before a container starts, so that a taken port is
 * an error of the start; clients wait in the backlog until its address is known. */
#pragma once

#include "docker/ports.h"
#include "keeper/keeper.h"

/* Binds all ports of a container, or none. *ret gets an entry a socket, with the address and the
 * port of the host. 0; -EADDRINUSE, -EACCES, -E2BIG or another -errno with a text; -EOPNOTSUPP
 * while the machine does not run. */
int container_ports_bind(struct keeper *k, const char *container, const struct docker_ports *wanted,
    struct docker_ports *ret, struct error **err);
/* Adds the sockets that a container has to *ret: how many. */
size_t container_ports_find(const struct keeper *k, const char *container, struct docker_ports *ret);
/* The container runs: connections go to this IPv4 address in the machine, from now on. NULL: to the
 * machine itself, whose network the container has. */
void container_ports_open(struct keeper *k, const char *container, const char *address);
/* The container has ended (NULL: all have): closes its ports, and ends their dials and UDP flows. A
 * TCP connection that is relayed ends by itself. */
void container_ports_close(struct keeper *k, const char *container);
