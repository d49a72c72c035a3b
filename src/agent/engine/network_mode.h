/* SPDX-License-Identifier: Apache-2.0
 * Which network a container gets: a decision without side effects, from what `create` asks for and
 * what the machine has. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

enum network_kind { NETWORK_BRIDGE, NETWORK_NONE, NETWORK_HOST, NETWORK_CONTAINER };

/* The target of a container's published ports. */
enum network_ports { NETWORK_PORTS_CONTAINER, NETWORK_PORTS_MACHINE, NETWORK_PORTS_NONE };

/* The parts of a request that decide. Everything is borrowed. */
struct network_wish {
	const char *mode; /* HostConfig.NetworkMode; NULL, "" and "default" mean "bridge" */
	int is_network;   /* the mode names a user's network */
	int has_hostname, has_dns, has_hosts, publishes, exposes; /* as the request itself says, without the image */
};

struct network_plan {
	enum network_kind kind;
	const char *mode;      /* as inspect shows it; borrowed from the wish, or static */
	const char *container; /* name or id behind "container:", borrowed from the wish; else NULL */
	int own_namespace;     /* make a network namespace; if not, the machine's, or that of `container` */
	int has_interface;     /* with an address on the bridge; if not, loopback alone */
	int own_files;         /* its own hosts, resolv.conf and hostname; if not, those of `container` */
	enum network_ports ports;
	const char *warning; /* static, for Warnings of the answer; or NULL */
};

/* has_bridge: bridge_start() succeeded; without, "bridge" is the machine's own network, which that
 * failure's text has announced. 0; -EINVAL for options that exclude each other; -ENOENT for a
 * network that there is not. The other container is not looked up here. */
int network_decide(const struct network_wish *w, int has_bridge, struct network_plan *ret, struct error **err);
