/* SPDX-License-Identifier: Apache-2.0
 * The network of containers: a bridge in the machine's network namespace, and for each container a
 * network namespace with one end of a veth pair. Docker's model, by netlink alone: no program runs.
 *
 *   machine's namespace   holm0 172.17.0.1/16 --- vethN --- eth0 172.17.0.2/16   container's
 *                         masquerade to everywhere else     default via 172.17.0.1
 *
 * The machine's namespace is that of the calling thread; its root needs no more rights than its
 * own. A pair goes away with the container's namespace, a moment after the last process and
 * descriptor. Nothing here removes one: RTM_DELLINK of a veth holds the kernel's lock for 16 ms,
 * and the namespace needs no help. */
#pragma once

#include <net/if.h>

#include "agent/engine/network_subnet.h"
#include "base/error.h"
#include "idmap/idmap.h"

/* 8 times the throughput of 1500, as no packet leaves the machine by the bridge itself. */
enum { BRIDGE_MTU = 65520 };
#define BRIDGE_DEFAULT "holm0"
#define CONTAINER_INTERFACE "eth0"

struct bridge {
	char name[IFNAMSIZ]; /* letters and digits */
	struct subnet subnet;
	uint32_t gateway; /* the machine's address on it */
};

/* Chooses the default bridge's subnet: `wish` (what a record has; may be NULL) or Docker's, without
 * what the machine has routes for. 0, or -errno and a text. */
int bridge_choose(const struct subnet *wish, struct bridge *ret, struct error **err);
/* Makes the bridge with its address, NAT and sysctls, or puts right the one that is there: a
 * restarted engine calls it again. 0; or -errno, nothing made, and a text that is a whole warning:
 * containers then use the machine's own network (network_mode.h). */
int bridge_start(const struct bridge *b, struct error **err);
/* Removes the bridge and its NAT; without one: nothing. */
void bridge_remove(const struct bridge *b);
/* Masquerades what leaves the subnet by another interface (network_nat.c): 0, or -errno where the
 * kernel gives the namespace no nftables. Replaces an earlier rule. */
int bridge_nat(const struct bridge *b);
void bridge_nat_remove(const struct bridge *b);

/* The two halves of connecting a container, for the process that makes its namespaces itself.
 * Here, in the machine's namespace: makes the pair, with the peer in netns. 0 or -errno and a
 * text. */
int container_attach(const struct bridge *b, uint32_t address, int netns, struct error **err);
/* There, in the container's: loopback, sysctls (any group may ping, every port may be bound), and,
 * if b is not NULL, the interface's address and default route. /proc/sys must be writable. 0 or
 * -errno; it allocates nothing. */
int container_configure(const struct bridge *b, uint32_t address);

/* Descriptors of namespaces, which keep them. */
struct container_namespaces {
	int user, network; /* -1: none */
};
void container_namespaces_done(struct container_namespaces *n); /* closes both */
#define AUTO_CONTAINER_NAMESPACES CLEANUP(container_namespaces_done)
/* Makes a container's user namespace with this mapping (NULL: none, the caller's is used) and its
 * network namespace, ready to use: on the bridge, or with loopback alone (b NULL). A child of this
 * process does it and has ended on return. The caller writes the mapping itself, as root of its
 * own user namespace. 0, or -errno and a text; -ETIMEDOUT after ten seconds. */
int container_namespaces_make(const struct idmap *ids, const struct bridge *b, uint32_t address,
    struct container_namespaces *ret, struct error **err);
