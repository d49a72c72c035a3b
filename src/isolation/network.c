/* SPDX-License-Identifier: Apache-2.0
 * passt and pasta take the same arguments, but for how they meet the machine. Without --no-map-gw
 * the gateway's address would be the host's loopback: that is what host access means, and nothing
 * else opens it. */
#include "isolation/network.h"

#include <stdio.h>

#include "base/alloc.h"

void network_arguments(struct strv *argv, int host_access)
{
	strv_split(argv, "--foreground --stderr --quiet --ipv4-only --no-dhcp --no-dhcpv6 --no-ndp --no-ra", " ");
	strv_split(argv, "--tcp-ports none --udp-ports none --mtu", " ");
	strv_addf(argv, "%d", NETWORK_MTU);
	strv_split(argv,
	    "--address " NETWORK_ADDRESS " --netmask 24 --gateway " NETWORK_GATEWAY " --dns-forward " NETWORK_DNS, " ");
	if (!host_access)
		strv_add(argv, "--no-map-gw");
}

int network_has_default_route(const char *proc_net_route)
{
	for (const char *line = proc_net_route; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		unsigned destination, gateway, flags, mask;
		if (sscanf(line, "%*15s %x %x %x %*s %*s %*s %x", &destination, &gateway, &flags, &mask) == 4 &&
		    destination == 0 && mask == 0)
			return 1;
	}
	return 0;
}

char *network_first_nameserver(const char *resolv_conf)
{
	char address[64];
	for (const char *line = resolv_conf; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (sscanf(line, "nameserver %63s", address) == 1 && !strchr(address, ':'))
			return xstrdup(address);
	}
	return NULL;
}

int network_must_forward(const char *address, const char *forwarded)
{
	return startswith(address, "127.") || streq(address, "::1") || streq(address, "0.0.0.0") ||
	       streq(address, "::") || (forwarded && streq(address, forwarded));
}

void network_resolv(struct json_object *resolv, const char *forwarded)
{
	AUTO_STRV struct strv servers = { 0 }, inside = { 0 };
	json_get_strv(resolv, "nameservers", &servers, NULL);
	for (size_t i = 0; i < servers.count; i++) {
		const char *server = network_must_forward(servers.items[i], forwarded) ? NETWORK_DNS : servers.items[i];
		if (!strv_contains(&inside, server))
			strv_add(&inside, server);
	}
	json_add_strv(resolv, "nameservers", &inside);
}
