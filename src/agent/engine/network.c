/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/network.h"
#include "base/alloc.h"
#include "base/fd.h"

enum { LOOPBACK_INDEX = 1, REMOVED_GROUP = 0x686f6c6d };

/* ---- sysctls ---- */

static int write_sysctl(const char *path, const char *value)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_full(fd, value, strlen(value));
}

static int set_machine_sysctls(int six)
{
	/* A host with br_netfilter would send frames between two containers through the machine's
	 * IP tables. Another host has no such files. */
	static const char *const off[] = { "/proc/sys/net/bridge/bridge-nf-call-iptables",
		"/proc/sys/net/bridge/bridge-nf-call-ip6tables", "/proc/sys/net/bridge/bridge-nf-call-arptables" };
	int r = write_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(off); i++) {
		r = write_sysctl(off[i], "0");
		if (r == -ENOENT)
			r = 0;
	}
	return r == 0 && six ? write_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", "1") : r;
}

static int set_container_sysctls(void)
{
	/* Docker's range first. A user namespace takes only groups that it maps. */
	static const char *const groups[] = { "0 2147483647", "0 65535", "0 0" };
	int r = -EINVAL;
	for (size_t i = 0; r == -EINVAL && i < ARRAY_SIZE(groups); i++)
		r = write_sysctl("/proc/sys/net/ipv4/ping_group_range", groups[i]);
	return r == 0 ? write_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0") : r;
}

/* "all" and "default" of a host may say that interfaces have none. */
static int set_ipv6(const char *interface, int on)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	int r = write_sysctl(path, on ? "0" : "1");
	return r == -ENOENT && !on ? 0 : r; /* a kernel without IPv6 */
}

/* ---- the bridge ---- */

void network_mac(uint32_t address, unsigned char ret[static MAC_SIZE])
{
	const uint32_t wire = htonl(address);
	ret[0] = 0x02;
	ret[1] = 0x42;
	memcpy(ret + 2, &wire, sizeof wire);
}

int bridge_choose(const struct subnet *wish, struct bridge *ret, struct error **err)
{
	struct bridge b = { .name = BRIDGE_DEFAULT };
	AUTOFREE struct subnet *routes = NULL;
	size_t count = 0;
	int r = subnet_read_routes(b.name, &routes, &count);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the machine's routes");
	r = subnet_choose(wish, routes, count, &b.subnet);
	if (r < 0)
		return error_set(err, -r,
		    "network \"bridge\": the machine's routes leave no subnet free; containers use the machine's "
		    "own network");
	b.gateway = b.subnet.base + 1;
	*ret = b;
	return 0;
}

static int make_link(const struct bridge *b)
{
	struct netlink n;
	unsigned char mac[MAC_SIZE];
	const struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	network_mac(b->gateway, mac);
	netlink_init(&n);
	netlink_message(&n, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
	netlink_add_string(&n, IFLA_IFNAME, b->name);
	netlink_add(&n, IFLA_ADDRESS, mac, sizeof mac); /* or else it changes with the ports */
	size_t info = netlink_open(&n, IFLA_LINKINFO);
	netlink_add_string(&n, IFLA_INFO_KIND, "bridge");
	netlink_close(&n, info);
	int r = netlink_do(fd, &n);
	return r == -EEXIST ? 0 : r;
}

static void add_link_up(struct netlink *n, int index, uint32_t mtu)
{
	const struct ifinfomsg m = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	netlink_message(n, RTM_NEWLINK, NLM_F_ACK, &m, sizeof m);
	if (mtu)
		netlink_add_u32(n, IFLA_MTU, mtu);
}

static uint32_t mtu_of(const struct bridge *b)
{
	return b->mtu ? b->mtu : BRIDGE_MTU;
}

static int set_link_up(const struct bridge *b)
{
	struct netlink n;
	int index = (int)if_nametoindex(b->name);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	netlink_init(&n);
	add_link_up(&n, index, mtu_of(b));
	network_add_address(&n, index, htonl(b->gateway), b->subnet.prefix);
	if (b->six.prefix)
		network_add_address6(&n, index, &b->gateway6, b->six.prefix);
	return netlink_do(fd, &n);
}

int bridge_start(const struct bridge *b, struct error **err)
{
	int r = bridge_nat(b);
	if (r < 0)
		return error_set_errno(err, r,
		    "network \"bridge\": containers use the machine's own network, as the kernel gives it no nftables");
	r = make_link(b);
	if (r == 0)
		r = set_ipv6(b->name, b->six.prefix > 0);
	if (r == 0)
		r = set_link_up(b);
	if (r == 0)
		r = set_machine_sysctls(b->six.prefix > 0);
	if (r == 0)
		return 0;
	bridge_remove(b);
	return error_set_errno(err, r,
	    "network \"bridge\": containers use the machine's own network, as %s cannot be set up", b->name);
}

void bridges_remove(const struct bridge *const *list, size_t count)
{
	struct netlink n;
	const struct ifinfomsg any = { .ifi_family = AF_UNSPEC };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	for (size_t i = 0; i < count; i++) {
		const struct ifinfomsg m = { .ifi_index = (int)if_nametoindex(list[i]->name) };
		bridge_nat_remove(list[i]);
		if (fd < 0 || !m.ifi_index)
			continue;
		netlink_init(&n);
		netlink_message(&n, RTM_NEWLINK, NLM_F_ACK, &m, sizeof m);
		netlink_add_u32(&n, IFLA_GROUP, REMOVED_GROUP);
		(void)netlink_do(fd, &n);
	}
	if (fd < 0)
		return;
	netlink_init(&n);
	netlink_message(&n, RTM_DELLINK, NLM_F_ACK, &any, sizeof any);
	netlink_add_u32(&n, IFLA_GROUP, REMOVED_GROUP);
	(void)netlink_do(fd, &n);
}

void bridge_remove(const struct bridge *b)
{
	bridges_remove(&b, 1);
}

/* ---- a container on it ---- */

void interface_name(unsigned interface, char ret[static IFNAMSIZ])
{
	snprintf(ret, IFNAMSIZ, "eth%u", interface % 10000);
}

/* The far end, whose attributes begin with a message of their own. It cannot be up yet: the kernel
 * would fail with ENOTCONN. */
static void add_peer(struct netlink *n, const struct attachment *a, int netns)
{
	char name[IFNAMSIZ];
	const struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	interface_name(a->interface, name);
	size_t peer = netlink_open(n, VETH_INFO_PEER);
	netlink_add_raw(n, &m, sizeof m);
	netlink_add_string(n, IFLA_IFNAME, name);
	netlink_add(n, IFLA_ADDRESS, a->mac, sizeof a->mac);
	netlink_add_u32(n, IFLA_MTU, mtu_of(a->bridge));
	netlink_add_u32(n, IFLA_NET_NS_FD, (uint32_t)netns);
	netlink_close(n, peer);
}

/* Makes the interface a port that reaches the bridge itself, and no other such port. */
static int set_apart(int fd, const char *name)
{
	struct netlink n;
	const unsigned char one = 1;
	const struct ifinfomsg m = { .ifi_family = AF_BRIDGE, .ifi_index = (int)if_nametoindex(name) };
	netlink_init(&n);
	netlink_message(&n, RTM_SETLINK, NLM_F_ACK, &m, sizeof m);
	size_t port = netlink_open(&n, IFLA_PROTINFO);
	netlink_add(&n, IFLA_BRPORT_ISOLATED, &one, sizeof one);
	netlink_close(&n, port);
	return netlink_do(fd, &n);
}

int container_attach(const struct attachment *a, int netns, struct error **err)
{
	struct netlink n;
	/* Without a name the kernel gives the next free one ("veth7"): a container that starts
	 * again may come before the kernel has removed its last pair. */
	const struct ifinfomsg m = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	unsigned bridge = if_nametoindex(a->bridge->name);
	char name[IFNAMSIZ];
	uint32_t number = 0;
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || !bridge)
		return error_set_errno(err, bridge ? fd : -ENODEV, "cannot connect the container to %s",
		    a->bridge->name);
	netlink_init(&n);
	netlink_message(&n, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
	netlink_add_u32(&n, IFLA_MTU, mtu_of(a->bridge));
	netlink_add_u32(&n, IFLA_MASTER, bridge);
	netlink_add_u32(&n, IFLA_GROUP, BRIDGE_PORT_GROUP);
	if (a->bridge->apart && getrandom(&number, sizeof number, 0) == sizeof number) {
		snprintf(name, sizeof name, "veth%08x", number);
		netlink_add_string(&n, IFLA_IFNAME, name);
	}
	size_t info = netlink_open(&n, IFLA_LINKINFO);
	netlink_add_string(&n, IFLA_INFO_KIND, "veth");
	size_t data = netlink_open(&n, IFLA_INFO_DATA);
	add_peer(&n, a, netns);
	netlink_close(&n, data);
	netlink_close(&n, info);
	int r = netlink_do(fd, &n);
	if (r == 0 && a->bridge->apart)
		r = set_apart(fd, name);
	return r < 0 ? error_set_errno(err, r, "cannot connect the container to %s", a->bridge->name) : 0;
}

int container_configure_loopback(void)
{
	struct netlink n;
	int r = set_container_sysctls();
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || r < 0)
		return r < 0 ? r : fd;
	netlink_init(&n);
	add_link_up(&n, LOOPBACK_INDEX, 0);
	return netlink_do(fd, &n);
}

static void add_addresses(struct netlink *n, int index, const struct attachment *a)
{
	const struct bridge *b = a->bridge;
	network_add_address(n, index, htonl(a->address), b->subnet.prefix);
	if (a->is_default && !b->internal)
		network_add_default_route(n, index, htonl(b->gateway));
	if (!address6_is_set(&a->address6))
		return;
	network_add_address6(n, index, &a->address6, b->six.prefix);
	if (a->is_default6 && !b->internal)
		network_add_default_route6(n, index, &b->gateway6);
}

int container_configure(const struct attachment *list, size_t count)
{
	struct netlink n;
	AUTO_FD int fd = count ? netlink_socket(NETLINK_ROUTE) : -1;
	int r = count && fd < 0 ? fd : 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		char name[IFNAMSIZ];
		interface_name(list[i].interface, name);
		int index = (int)if_nametoindex(name);
		if (!index)
			return -ENODEV;
		if ((r = set_ipv6(name, address6_is_set(&list[i].address6))) < 0)
			return r;
		netlink_init(&n);
		add_link_up(&n, index, 0);
		add_addresses(&n, index, &list[i]);
		r = netlink_do(fd, &n);
	}
	return r;
}
