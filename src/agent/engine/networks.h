/* SPDX-License-Identifier: Apache-2.0
 * The networks of containers: bridge, host and none, which are always there, and a user's own.
 *
 * A network of a user is a file in ENGINE_NETWORKS of the machine, named by its id, so root in the
 * machine can write anything there: it is parsed as what a client sends is. Its bridge is made when
 * the first container on it starts. */
#pragma once

#include "agent/engine/engine.h"
#include "agent/engine/network_mode.h"

#define ENGINE_NETWORKS "/var/lib/holm/networks" /* in the machine */

enum { NETWORKS_MAX = 1024, NETWORK_FILE_MAX = 256 * 1024 };

struct network {
	struct network *next;
	char *id, *name;
	enum network_kind kind; /* NETWORK_BRIDGE, NETWORK_NONE or NETWORK_HOST */
	int is_default;         /* one of the three */
	int64_t created;
	struct json_object *data; /* the request; inspect shows Labels, Options, IPAM and so on */
	struct bridge bridge;     /* of NETWORK_BRIDGE */
	int has_own_subnet;       /* a user chose it, so fixed addresses are allowed */
	char *binding;            /* the host's address of ports that name none; NULL: publish-address */
	struct subnet range;      /* of the addresses that are given out */
	int wants_ipv6, has_own_subnet6;
	struct subnet6 range6;
	struct address_pool *pool;
	int is_up; /* the bridge is there */
};

/* Reads a create body or a record: 0; -EINVAL, -EPERM, -ENOENT (the driver) or -EOPNOTSUPP and a
 * text in Docker's words. A body without a subnet leaves the bridge's prefix 0. */
int network_parse(struct json_object *o, struct network *ret, struct error **err);
/* The record: {"Id","Name","Created","Bridge","Subnet","Data"}. -EBADMSG and a text. */
int network_load(const char *text, size_t size, struct network *ret, struct error **err);
char *network_store(const struct network *n); /* owned */
void network_done(struct network *n);
#define AUTO_NETWORK CLEANUP(network_done)
/* An option of the driver that nobody knows; borrowed. NULL: none. */
const char *network_unknown_option(struct json_object *all);

/* Reads the records and adds the three. */
void networks_load(struct engine *e);
/* By the whole id, the name, or the beginning of one id alone. NULL and an error in Docker's
 * words. */
struct network *network_find(const struct engine *e, const char *name, struct error **err);
struct network *network_by_id(const struct engine *e, const char *id); /* the whole one */
struct network *network_default(const struct engine *e);               /* "bridge" */
/* Adds a parsed network (taken): a subnet is chosen where it has none. 0, or -errno. */
int network_add(struct engine *e, struct network *n, struct network **ret, struct error **err);
/* Its bridge goes, its record, and the network itself. */
void network_remove(struct engine *e, struct network *n);
void networks_remove(struct engine *e, struct network *const *list, size_t count);
int network_up(struct engine *e, struct network *n, struct error **err); /* makes the bridge */
/* Takes an address: `wish`, or a free one where that is 0. 0; -EADDRINUSE or -EINVAL and a text. */
int network_take(struct network *n, uint32_t wish, uint32_t *ret, struct error **err);

/* Takes the IPv6 address that goes with `address`, or `wish` where that is one. A network without
 * IPv6: ::. 0; -EPERM, -EINVAL or -ENOSPC and a text. */
int network_take6(const struct engine *e, const struct network *n, uint32_t address, const struct in6_addr *wish,
    struct in6_addr *ret, struct error **err);

/* A container's endpoint on it, or NULL. */
struct docker_endpoint *network_endpoint(const struct network *n, struct container *c);
int network_is_used(const struct engine *e, const struct network *n); /* by a container that runs */
void network_event(struct engine *e, const struct network *n, const char *action, const struct container *c);

void engine_networks(struct engine *e, struct http_exchange *x, const char *name);
void engine_network_create(struct engine *e, struct http_exchange *x, const char *name);
void engine_network_inspect(struct engine *e, struct http_exchange *x, const char *name);
void engine_network_remove(struct engine *e, struct http_exchange *x, const char *name);
void engine_networks_prune(struct engine *e, struct http_exchange *x, const char *name);
void engine_network_connect(struct engine *e, struct http_exchange *x, const char *name);
void engine_network_disconnect(struct engine *e, struct http_exchange *x, const char *name);
