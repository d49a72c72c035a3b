/* SPDX-License-Identifier: Apache-2.0
 * rtnetlink(7): one message a step, so that an error says which one failed. */
#include "agent/core/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

static int link_up(int fd, int index, uint32_t mtu)
{
	struct netlink n;
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	netlink_init(&n);
	netlink_message(&n, RTM_NEWLINK, NLM_F_ACK, &m, sizeof m);
	if (mtu)
		netlink_add_u32(&n, IFLA_MTU, mtu);
	return netlink_do(fd, &n);
}

void network_add_address(struct netlink *n, int index, uint32_t address, uint8_t prefix)
{
	struct ifaddrmsg m = { .ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = (unsigned)index };
	netlink_message(n, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	netlink_add_u32(n, IFA_LOCAL, address);
	netlink_add_u32(n, IFA_ADDRESS, address);
}

void network_add_default_route(struct netlink *n, int index, uint32_t gateway)
{
	struct rtmsg m = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST,
	};
	netlink_message(n, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	netlink_add_u32(n, RTA_GATEWAY, gateway);
	netlink_add_u32(n, RTA_OIF, (uint32_t)index);
}

void network_add_address6(struct netlink *n, int index, const struct in6_addr *address, uint8_t prefix)
{
	struct ifaddrmsg m = {
		.ifa_family = AF_INET6,
		.ifa_prefixlen = prefix,
		.ifa_flags = IFA_F_NODAD,
		.ifa_index = (unsigned)index,
	};
	netlink_message(n, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	netlink_add(n, IFA_LOCAL, address, sizeof *address);
	netlink_add(n, IFA_ADDRESS, address, sizeof *address);
}

void network_add_default_route6(struct netlink *n, int index, const struct in6_addr *gateway)
{
	struct rtmsg m = {
		.rtm_family = AF_INET6,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST,
	};
	netlink_message(n, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	netlink_add(n, RTA_GATEWAY, gateway, sizeof *gateway);
	netlink_add_u32(n, RTA_OIF, (uint32_t)index);
}

/* Nobody on the network answers questions for a neighbour (NDP); passt and pasta take frames for
 * any Ethernet address. */
static void add_neighbour6(struct netlink *n, int index, const struct in6_addr *address)
{
	static const unsigned char any[] = { 0x52, 0x54, 0x00, 0x0a, 0x4d, 0x01 };
	const struct ndmsg m = { .ndm_family = AF_INET6, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT };
	netlink_message(n, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	netlink_add(n, NDA_DST, address, sizeof *address);
	netlink_add(n, NDA_LLADDR, any, sizeof any);
}

static int give_address(int fd, int index, uint32_t address, uint8_t prefix)
{
	struct netlink n;
	netlink_init(&n);
	network_add_address(&n, index, address, prefix);
	return netlink_do(fd, &n);
}

static int give_default_route(int fd, int index, uint32_t gateway)
{
	struct netlink n;
	netlink_init(&n);
	network_add_default_route(&n, index, gateway);
	return netlink_do(fd, &n);
}

static int parse_cidr(const char *text, int family, uint32_t prefix_max, void *ret_address, uint8_t *ret_prefix)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t prefix = 0;
	struct in6_addr address; /* large enough for both */
	if (!slash || parse_u32(slash + 1, &prefix) < 0 || prefix > prefix_max)
		return -EINVAL;
	*slash = '\0';
	if (inet_pton(family, copy, &address) != 1)
		return -EINVAL;
	memcpy(ret_address, &address, prefix_max / 8);
	*ret_prefix = (uint8_t)prefix;
	return 0;
}

int network_parse_cidr(const char *text, uint32_t *ret_address, uint8_t *ret_prefix)
{
	return parse_cidr(text, AF_INET, 32, ret_address, ret_prefix);
}

int network_parse_cidr6(const char *text, struct in6_addr *ret_address, uint8_t *ret_prefix)
{
	return parse_cidr(text, AF_INET6, 128, ret_address, ret_prefix);
}

static int bad_address(const char *address, const char *gateway, struct error **err)
{
	return error_set(err, EINVAL, "\"%s\" via \"%s\" is not a usable network address", address,
	    gateway ? gateway : "");
}

static int apply4(int fd, int index, const struct boot_network *n, struct error **err)
{
	uint32_t address = 0;
	uint8_t prefix = 0;
	struct in_addr gateway = { 0 };
	if (network_parse_cidr(n->address, &address, &prefix) < 0 ||
	    (n->gateway && inet_pton(AF_INET, n->gateway, &gateway) != 1))
		return bad_address(n->address, n->gateway, err);
	int r = give_address(fd, index, address, prefix);
	if (r < 0)
		return error_set_errno(err, r, "cannot give %s the address %s", n->device, n->address);
	r = n->gateway ? give_default_route(fd, index, gateway.s_addr) : 0;
	return r < 0 ? error_set_errno(err, r, "cannot route by %s", n->gateway) : 0;
}

static int apply6(int fd, int index, const struct boot_network *n, struct error **err)
{
	struct netlink batch;
	struct in6_addr address, gateway;
	uint8_t prefix = 0;
	if (network_parse_cidr6(n->address6, &address, &prefix) < 0 ||
	    (n->gateway6 && inet_pton(AF_INET6, n->gateway6, &gateway) != 1))
		return bad_address(n->address6, n->gateway6, err);
	netlink_init(&batch);
	network_add_address6(&batch, index, &address, prefix);
	if (n->gateway6) {
		add_neighbour6(&batch, index, &gateway);
		network_add_default_route6(&batch, index, &gateway);
	}
	int r = netlink_do(fd, &batch);
	if (n->address && (r == -EACCES || r == -EOPNOTSUPP || r == -EAFNOSUPPORT))
		return 0; /* a kernel without IPv6 */
	return r < 0 ? error_set_errno(err, r, "cannot give %s the address %s", n->device, n->address6) : 0;
}

int network_apply(const struct boot_network *n, struct error **err)
{
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return error_set_errno(err, fd, "cannot talk to the kernel about the network");
	int r = link_up(fd, (int)if_nametoindex("lo"), 0);
	if (r < 0)
		return error_set_errno(err, r, "cannot bring the loopback interface up");
	if (!n->device)
		return 0;
	int index = (int)if_nametoindex(n->device);
	if (!index)
		return error_set(err, ENODEV, "there is no network interface %s", n->device);
	r = link_up(fd, index, n->mtu);
	if (r < 0 && n->mtu)
		r = link_up(fd, index, 0); /* a driver may refuse a large mtu; the network works without */
	if (r < 0)
		return error_set_errno(err, r, "cannot bring %s up", n->device);
	if (n->address && (r = apply4(fd, index, n, err)) < 0)
		return r;
	return n->address6 ? apply6(fd, index, n, err) : 0;
}

int network_move(const char *device, int netns, struct error **err)
{
	struct netlink n;
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(device) };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return error_set_errno(err, fd, "cannot talk to the kernel about the network");
	netlink_init(&n);
	netlink_message(&n, RTM_NEWLINK, NLM_F_ACK, &m, sizeof m);
	netlink_add_u32(&n, IFLA_NET_NS_FD, (uint32_t)netns);
	int r = netlink_do(fd, &n);
	return r < 0 ? error_set_errno(err, r, "cannot give %s to the machine", device) : 0;
}
