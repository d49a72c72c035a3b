/* SPDX-License-Identifier: Apache-2.0
 * passt and pasta take the same arguments, except for the way to the machine. Without --no-map-gw
 * the gateway's address would be the host's loopback: only host access opens it. */
#include "isolation/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/resolv.h"

enum { TEXT_MAX = 1024 * 1024 };

void network_arguments(struct strv *argv, unsigned families, int host_access)
{
	static const char *const only[] = { [NETWORK_IPV4] = "--ipv4-only", [NETWORK_IPV6] = "--ipv6-only" };
	strv_split(argv, "--foreground --stderr --quiet --no-dhcp --no-dhcpv6 --no-ndp --no-ra", " ");
	if (families < ARRAY_SIZE(only) && only[families])
		strv_add(argv, only[families]);
	strv_split(argv, "--tcp-ports none --udp-ports none --mtu", " ");
	strv_addf(argv, "%d", NETWORK_MTU);
	if (families & NETWORK_IPV4)
		strv_split(argv,
		    "--address " NETWORK_ADDRESS " --netmask 24 --gateway " NETWORK_GATEWAY
		    " --dns-forward " NETWORK_DNS,
		    " ");
	if (families & NETWORK_IPV6)
		strv_split(argv, "--address " NETWORK_ADDRESS6 " --gateway " NETWORK_GATEWAY6, " ");
	if (!host_access)
		strv_add(argv, "--no-map-gw");
}

void network_describe(struct json_object *o, unsigned families)
{
	if (families & NETWORK_IPV4) {
		json_add_string(o, "address", NETWORK_ADDRESS "/24");
		json_add_string(o, "gateway", NETWORK_GATEWAY);
	}
	if (families & NETWORK_IPV6) {
		json_add_string(o, "address6", NETWORK_ADDRESS6 "/64");
		json_add_string(o, "gateway6", NETWORK_GATEWAY6);
	}
}

const char *network_host(unsigned families)
{
	return families == NETWORK_IPV6 ? NETWORK_GATEWAY6 : NETWORK_GATEWAY;
}

char *network_outward(unsigned families)
{
	/* Of the default route: nobody has an address of the documentation's (RFC 5737). */
	struct sockaddr_in other = { .sin_family = AF_INET, .sin_port = htons(9) }, own = { 0 };
	char text[INET_ADDRSTRLEN];
	socklen_t size = sizeof own;
	inet_pton(AF_INET, "203.0.113.1", &other.sin_addr);
	AUTO_FD int fd = families & NETWORK_IPV4 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0 || connect(fd, (const struct sockaddr *)&other, sizeof other) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &size) < 0 || !own.sin_addr.s_addr ||
	    ntohl(own.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
		return NULL;
	return xstrdup(inet_ntop(AF_INET, &own.sin_addr, text, sizeof text));
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

int network_has_ipv6_route(const char *proc_net_ipv6_route)
{
	enum { REJECT = 0x200 };
	for (const char *line = proc_net_ipv6_route; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char destination[33], interface[16];
		unsigned length, flags;
		if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %x %15s", destination, &length, &flags, interface) ==
			4 &&
		    length == 0 && strspn(destination, "0") == 32 && !(flags & REJECT) && !streq(interface, "lo"))
			return 1;
	}
	return 0;
}

unsigned network_families(void)
{
	AUTOFREE char *routes = NULL, *ipv6_routes = NULL;
	unsigned families = 0;
	if (path_read_file("/proc/net/route", TEXT_MAX, &routes, NULL) >= 0 && network_has_default_route(routes))
		families |= NETWORK_IPV4;
	if (path_read_file("/proc/net/ipv6_route", TEXT_MAX, &ipv6_routes, NULL) >= 0 &&
	    network_has_ipv6_route(ipv6_routes))
		families |= NETWORK_IPV6;
	return families;
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

char *network_find_dns(unsigned families)
{
	AUTOFREE char *text = NULL;
	if (!(families & NETWORK_IPV4))
		return NULL;
	path_read_file("/etc/resolv.conf", TEXT_MAX, &text, NULL);
	return text ? network_first_nameserver(text) : NULL;
}

const char *network_server_inside(const char *address, const char *forwarded)
{
	if (forwarded && streq(address, forwarded))
		return NETWORK_DNS;
	if (startswith(address, "127.") || streq(address, "0.0.0.0") || strchr(address, ':'))
		return RESOLV_RELAY;
	return address;
}

/* Whether this host's resolv.conf lists a name server at all. */
static int host_lists_servers(void)
{
	AUTOFREE char *text = NULL;
	path_read_file("/etc/resolv.conf", TEXT_MAX, &text, NULL);
	return text && (startswith(text, "nameserver") || strstr(text, "\nnameserver"));
}

void network_resolv(struct json_object *resolv, unsigned families, const char *forwarded)
{
	AUTO_STRV struct strv servers = { 0 }, inside = { 0 };
	json_get_strv(resolv, "nameservers", &servers, NULL);
	for (size_t i = 0; i < servers.count; i++) {
		const char *server =
		    families & NETWORK_IPV4 ? network_server_inside(servers.items[i], forwarded) : RESOLV_RELAY;
		if (!strv_contains(&inside, server))
			strv_add(&inside, server);
	}
	if (!inside.count && host_lists_servers())
		strv_add(&inside, RESOLV_RELAY);
	json_add_strv(resolv, "nameservers", &inside);
}
