/* SPDX-License-Identifier: Apache-2.0
 * The network of a machine as both isolations make it: its addresses, the resolver that it asks,
 * and what passt and pasta have to know. */
#pragma once

#include "base/json.h"
#include "base/strv.h"

/* Addresses inside, the same in each machine: they never meet. */
#define NETWORK_ADDRESS "10.77.0.2"
#define NETWORK_GATEWAY "10.77.0.1"
#define NETWORK_DNS "10.77.0.3" /* answered by the host's resolver, also where that one listens on loopback */
#define NETWORK_ADDRESS6 "fd4f:9a1c:7e20:77::2" /* RFC 4193 */
#define NETWORK_GATEWAY6 "fd4f:9a1c:7e20:77::1"
enum { NETWORK_MTU = 65520 }; /* of passt and pasta */

/* Families of which the host has a default route, and machines have an address. */
enum { NETWORK_IPV4 = 1, NETWORK_IPV6 = 2 };

/* Adds the arguments that passt and pasta have in common. */
void network_arguments(struct strv *argv, unsigned families, int host_access);
/* Adds the machine's "address" and "gateway", and "address6" and "gateway6", of these families. */
void network_describe(struct json_object *o, unsigned families);
/* The address that leads to the host's loopback where host access is on. */
const char *network_host(unsigned families);
/* This host's own address towards other hosts, as text: the machine reaches its servers there as it
 * reaches other hosts. Owned; NULL: it has none. Sends nothing. */
char *network_outward(unsigned families);
/* The server that passt or pasta forwards questions for NETWORK_DNS to: the first IPv4 one of
 * resolv.conf's text, owned; NULL: none. */
char *network_first_nameserver(const char *resolv_conf);
/* Finds this host's server behind NETWORK_DNS: owned, or NULL, also without IPv4. passt reads the
 * same file: given by --dns, 127.0.0.53 becomes 127.0.0.1 in a version of 2023. */
char *network_find_dns(unsigned families);
/* The address that a machine asks in place of one of the host's name servers: NETWORK_DNS for
 * `forwarded` (may be NULL), because passt takes that server's answers for answers to a forwarded
 * question and changes their sender; RESOLV_RELAY for the host's loopback and for IPv6, whose
 * scopes mean nothing inside; else the address itself. Borrowed. */
const char *network_server_inside(const char *address, const char *forwarded);
/* Rewrites the nameservers of the agent's "resolv" so, each once. Machines ask RESOLV_RELAY if the
 * host's are all left out because they have a scope, and for all where they have no IPv4. */
void network_resolv(struct json_object *resolv, unsigned families, const char *forwarded);
/* Whether /proc/net/route (its text) has a default route: passt and pasta cannot start on a host
 * that is not connected to anything. */
int network_has_default_route(const char *proc_net_route);
int network_has_ipv6_route(const char *proc_net_ipv6_route); /* the same for IPv6 */
unsigned network_families(void);                             /* of this host; 0: it has no default route */
