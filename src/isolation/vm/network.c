/* SPDX-License-Identifier: Apache-2.0
 * passt translates between the guest's packets and sockets of the host user. It gets a connected socket, never a path (its AppArmor
 * profile allows few), and fixed addresses, so that the agent configures the device without DHCP. Without --no-map-gw the gateway's
 * address would be the host's loopback: that is what host access means, and nothing else opens it. */
#include "isolation/vm/network.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "isolation/vm/find.h"

enum { ROUTE_MAX = 1024 * 1024 };

void passt_arguments(struct strv *argv, int fd, int host_access)
{
	strv_add(argv, "passt");
	strv_split(argv, "--foreground --stderr --quiet --ipv4-only --no-dhcp --no-dhcpv6 --no-ndp --no-ra", " ");
	strv_split(argv, "--tcp-ports none --udp-ports none --mtu 65520", " ");
	strv_split(argv, "--address " VM_NETWORK_ADDRESS " --netmask 24 --gateway " VM_NETWORK_GATEWAY " --dns-forward " VM_NETWORK_DNS, " ");
	if (!host_access)
		strv_add(argv, "--no-map-gw");
	strv_add(argv, "--fd");
	strv_addf(argv, "%d", fd);
}

int vm_network_has_default_route(const char *proc_net_route)
{
	for (const char *line = proc_net_route; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		unsigned destination, gateway, flags, mask;
		if (sscanf(line, "%*15s %x %x %x %*s %*s %*s %x", &destination, &gateway, &flags, &mask) == 4 && destination == 0 && mask == 0)
			return 1;
	}
	return 0;
}

enum vm_network vm_network_choose(void)
{
	AUTOFREE char *passt = vm_find_program("passt");
	AUTOFREE char *routes = NULL;
	if (!passt || path_read_file("/proc/net/route", ROUTE_MAX, &routes, NULL) < 0)
		return VM_NETWORK_USER;
	return vm_network_has_default_route(routes) ? VM_NETWORK_PASST : VM_NETWORK_USER;
}

char *vm_network_first_nameserver(const char *resolv_conf)
{
	char address[64];
	for (const char *line = resolv_conf; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (sscanf(line, "nameserver %63s", address) == 1 && !strchr(address, ':'))
			return xstrdup(address);
	}
	return NULL;
}

int vm_network_must_forward(const char *address, const char *forwarded)
{
	return startswith(address, "127.") || streq(address, "::1") || streq(address, "0.0.0.0") || streq(address, "::") ||
	       (forwarded && streq(address, forwarded));
}

void vm_network_resolv(struct json_object *resolv, const char *forwarded)
{
	AUTO_STRV struct strv servers = { 0 }, inside = { 0 };
	json_get_strv(resolv, "nameservers", &servers, NULL);
	for (size_t i = 0; i < servers.count; i++) {
		const char *server = vm_network_must_forward(servers.items[i], forwarded) ? VM_NETWORK_DNS : servers.items[i];
		if (!strv_contains(&inside, server))
			strv_add(&inside, server);
	}
	json_add_strv(resolv, "nameservers", &inside);
}
