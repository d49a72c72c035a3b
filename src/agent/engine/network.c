/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/network.h"
#include "base/alloc.h"
#include "base/fd.h"

enum { LOOPBACK_INDEX = 1, MAC_SIZE = 6 };

/* ---- sysctls ---- */

static int write_sysctl(const char *path, const char *value)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_full(fd, value, strlen(value));
}

static int set_machine_sysctls(void)
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
	return r;
}

static int set_container_sysctls(int has_interface)
{
	/* Docker's range first. A user namespace takes only groups that it maps. */
	static const char *const groups[] = { "0 2147483647", "0 65535", "0 0" };
	int r = -EINVAL;
	for (size_t i = 0; r == -EINVAL && i < ARRAY_SIZE(groups); i++)
		r = write_sysctl("/proc/sys/net/ipv4/ping_group_range", groups[i]);
	if (r == 0)
		r = write_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	if (r == 0 && has_interface) {
		r = write_sysctl("/proc/sys/net/ipv6/conf/" CONTAINER_INTERFACE "/disable_ipv6", "1");
		if (r == -ENOENT)
			r = 0; /* a kernel without IPv6 */
	}
	return r;
}

/* ---- the bridge ---- */

/* A locally administered address that follows from the IP address, as Docker's: a neighbour's cache
 * stays right when a new container gets the address of an old one. */
static void mac_of(uint32_t address, unsigned char ret[static MAC_SIZE])
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
	mac_of(b->gateway, mac);
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

static int set_link_up(const struct bridge *b)
{
	struct netlink n;
	int index = (int)if_nametoindex(b->name);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	netlink_init(&n);
	add_link_up(&n, index, BRIDGE_MTU);
	network_add_address(&n, index, htonl(b->gateway), b->subnet.prefix);
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
		r = set_link_up(b);
	if (r == 0)
		r = set_machine_sysctls();
	if (r == 0)
		return 0;
	bridge_remove(b);
	return error_set_errno(err, r,
	    "network \"bridge\": containers use the machine's own network, as %s cannot be set up", b->name);
}

void bridge_remove(const struct bridge *b)
{
	struct netlink n;
	const struct ifinfomsg m = { .ifi_index = (int)if_nametoindex(b->name) };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	bridge_nat_remove(b);
	if (fd < 0 || !m.ifi_index)
		return;
	netlink_init(&n);
	netlink_message(&n, RTM_DELLINK, NLM_F_ACK, &m, sizeof m);
	netlink_do(fd, &n);
}

/* ---- a container on it ---- */

/* The far end, whose attributes begin with a message of their own. It cannot be up yet: the kernel
 * would fail with ENOTCONN. */
static void add_peer(struct netlink *n, uint32_t address, int netns)
{
	unsigned char mac[MAC_SIZE];
	const struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	mac_of(address, mac);
	size_t peer = netlink_open(n, VETH_INFO_PEER);
	netlink_add_raw(n, &m, sizeof m);
	netlink_add_string(n, IFLA_IFNAME, CONTAINER_INTERFACE);
	netlink_add(n, IFLA_ADDRESS, mac, sizeof mac);
	netlink_add_u32(n, IFLA_MTU, BRIDGE_MTU);
	netlink_add_u32(n, IFLA_NET_NS_FD, (uint32_t)netns);
	netlink_close(n, peer);
}

int container_attach(const struct bridge *b, uint32_t address, int netns, struct error **err)
{
	struct netlink n;
	/* Without a name the kernel gives the next free one ("veth7"): a container that starts
	 * again may come before the kernel has removed its last pair. */
	const struct ifinfomsg m = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	unsigned bridge = if_nametoindex(b->name);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || !bridge)
		return error_set_errno(err, bridge ? fd : -ENODEV, "cannot connect the container to %s", b->name);
	netlink_init(&n);
	netlink_message(&n, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
	netlink_add_u32(&n, IFLA_MTU, BRIDGE_MTU);
	netlink_add_u32(&n, IFLA_MASTER, bridge);
	size_t info = netlink_open(&n, IFLA_LINKINFO);
	netlink_add_string(&n, IFLA_INFO_KIND, "veth");
	size_t data = netlink_open(&n, IFLA_INFO_DATA);
	add_peer(&n, address, netns);
	netlink_close(&n, data);
	netlink_close(&n, info);
	int r = netlink_do(fd, &n);
	return r < 0 ? error_set_errno(err, r, "cannot connect the container to %s", b->name) : 0;
}

int container_configure(const struct bridge *b, uint32_t address)
{
	struct netlink n;
	int r = set_container_sysctls(b != NULL);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || r < 0)
		return r < 0 ? r : fd;
	netlink_init(&n);
	add_link_up(&n, LOOPBACK_INDEX, 0);
	if (b) {
		int index = (int)if_nametoindex(CONTAINER_INTERFACE);
		if (!index)
			return -ENODEV;
		add_link_up(&n, index, 0);
		network_add_address(&n, index, htonl(address), b->subnet.prefix);
		network_add_default_route(&n, index, htonl(b->gateway));
	}
	return netlink_do(fd, &n);
}
