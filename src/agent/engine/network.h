/* SPDX-License-Identifier: Apache-2.0
 * The network of containers: a bridge in the machine's network namespace, and for each container a
 * network namespace with one end of a veth pair. Docker's model, by netlink alone: no program runs.
 *
 *   machine's namespace   holm0 172.17.0.1/16 --- vethN --- eth0 172.17.0.2/16   container's
 *                         rules (network_nat.c)             default via 172.17.0.1
 *
 * A user's network is one more bridge; a container on several has an interface for each.
 * The machine's namespace is that of the calling thread; its root needs no more rights than its
 * own. A pair goes away with the container's namespace, a moment after the last process and
 * descriptor. Nothing here removes one: RTM_DELLINK of a veth holds the kernel's lock for 16 ms,
 * and the namespace needs no help. */
#pragma once

#include <net/if.h>

#include "agent/engine/network_subnet.h"
#include "agent/engine/network_subnet6.h"
#include "base/error.h"
#include "idmap/idmap.h"

/* 8 times the throughput of 1500, as no packet leaves the machine by the bridge itself. */
enum { BRIDGE_MTU = 65520, MAC_SIZE = 6 };
/* Of the machine's ends of all containers' interfaces (IFLA_GROUP). */
enum { BRIDGE_PORT_GROUP = 0x686f6c70 };
#define BRIDGE_DEFAULT "holm0"
#define RESOLVER_ADDRESS "127.0.0.11"

struct bridge {
	char name[IFNAMSIZ]; /* letters and digits */
	struct subnet subnet;
	uint32_t gateway;   /* the machine's address on it */
	struct subnet6 six; /* prefix 0: the bridge has no IPv6 */
	struct in6_addr gateway6;
	uint32_t mtu;      /* 0: BRIDGE_MTU */
	int internal;      /* it leads nowhere */
	int no_masquerade; /* packets leave with the container's address */
	int apart;         /* its containers do not reach each other */
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
/* The same for many, in the time of one: the kernel waits for its readers once. */
void bridges_remove(const struct bridge *const *list, size_t count);
/* Masquerades what leaves the subnet by another interface, and keeps other networks out
 * (network_nat.c): 0, or -errno where the kernel gives the namespace no nftables. Replaces earlier
 * rules. */
int bridge_nat(const struct bridge *b);
/* Whether the kernel gives bridges IPv6, with rules. */
int bridge_has_ipv6(void);
void bridge_nat_remove(const struct bridge *b);

/* One interface of a container. */
struct attachment {
	const struct bridge *bridge;
	uint32_t address;
	struct in6_addr address6; /* ::, none */
	unsigned char mac[MAC_SIZE];
	unsigned interface; /* N of ethN */
	int is_default;     /* the default route goes here, unless the bridge is internal */
	int is_default6;    /* that of IPv6 does */
};
enum { ATTACHMENTS_MAX = 64 };
/* A locally administered address that follows from the IP address, as Docker's: a neighbour's cache
 * stays right when a new container gets the address of an old one. */
void network_mac(uint32_t address, unsigned char ret[static MAC_SIZE]);
void interface_name(unsigned interface, char ret[static IFNAMSIZ]);

/* The two halves of connecting a container, for the process that makes its namespaces itself.
 * Here, in the machine's namespace: makes the pair, with the peer in netns. 0 or -errno and a
 * text. */
int container_attach(const struct attachment *a, int netns, struct error **err);
/* There, in the container's: the addresses of these interfaces and the default route. 0 or -errno;
 * they allocate nothing. */
int container_configure(const struct attachment *list, size_t count);
/* There, once: loopback, and sysctls (any group may ping, every port may be bound). /proc/sys must
 * be writable. */
int container_configure_loopback(void);

/* Sockets in a container's namespace that its lookups come to (resolver.h). */
struct resolver_sockets {
	int udp, tcp; /* -1: none */
};
/* There: opens both at 127.0.0.11, and leads port 53 of that address to them. 0 or -errno. */
int container_open_resolver(struct resolver_sockets *ret);

/* Descriptors of namespaces, which keep them. */
struct container_namespaces {
	int user, network; /* -1: none */
};
void container_namespaces_done(struct container_namespaces *n); /* closes both */
#define AUTO_CONTAINER_NAMESPACES CLEANUP(container_namespaces_done)
/* Makes a container's user namespace with this mapping (NULL: none, the caller's is used) and its
 * network namespace, ready to use, with these interfaces beside the loopback. ret->user of 0 and
 * more: that user namespace is used, and no mapping. A child of this process does it and has ended
 * on return. The caller writes the mapping itself, as root of its own user namespace. *resolver
 * (NULL: none wanted) gets open sockets. 0, or -errno and a text; -ETIMEDOUT after ten seconds. */
int container_namespaces_make(const struct idmap *ids, const struct attachment *list, size_t count,
    struct container_namespaces *ret, struct resolver_sockets *resolver, struct error **err);
/* Changes what has been made: adds these interfaces, removes one (its N; -1: none), leads the
 * default routes to `route` and `route6` (NULL: as they are), and opens a resolver's sockets (NULL:
 * none wanted). */
struct namespaces_change {
	const struct attachment *add;
	size_t count;
	int remove;
	const struct attachment *route, *route6;
	struct resolver_sockets *resolver;
};
int container_namespaces_change(const struct container_namespaces *n, const struct namespaces_change *change,
    struct error **err);
