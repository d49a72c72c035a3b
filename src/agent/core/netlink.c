/* SPDX-License-Identifier: Apache-2.0
 * rtnetlink(7): one request a step, each acknowledged. */
#include "agent/core/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

enum { REQUEST_MAX = 512, ANSWER_MAX = 4096, ANSWER_MS = 5000 };

struct request {
	struct nlmsghdr header;
	char body[REQUEST_MAX];
};

static void request_init(struct request *q, uint16_t type, uint16_t flags, const void *message, size_t size)
{
	*q = (struct request){ .header = { .nlmsg_len = NLMSG_LENGTH(size),
				   .nlmsg_type = type,
				   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, }, };
	memcpy(NLMSG_DATA(&q->header), message, size);
}

static void request_add(struct request *q, uint16_t type, const void *data, size_t size)
{
	struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->header.nlmsg_len));
	if (NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(size) > sizeof *q)
		return;
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(size);
}

/* Sends and waits for the acknowledgement: 0 or the kernel's -errno. */
static int request_do(int fd, const struct request *q)
{
	char answer[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	if (send(fd, q, q->header.nlmsg_len, 0) < 0)
		return -errno;
	ssize_t n = recv(fd, answer, sizeof answer, 0);
	if (n < 0)
		return -errno;
	const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != NLMSG_ERROR ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static int link_up(int fd, int index, uint32_t mtu)
{
	struct request q;
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	request_init(&q, RTM_NEWLINK, 0, &m, sizeof m);
	if (mtu)
		request_add(&q, IFLA_MTU, &mtu, sizeof mtu);
	return request_do(fd, &q);
}

static int add_address(int fd, int index, uint32_t address, uint8_t prefix)
{
	struct request q;
	struct ifaddrmsg m = { .ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = (unsigned)index };
	request_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	request_add(&q, IFA_LOCAL, &address, sizeof address);
	request_add(&q, IFA_ADDRESS, &address, sizeof address);
	return request_do(fd, &q);
}

static int add_default_route(int fd, int index, uint32_t gateway)
{
	struct request q;
	struct rtmsg m = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST,
	};
	request_init(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m);
	request_add(&q, RTA_GATEWAY, &gateway, sizeof gateway);
	request_add(&q, RTA_OIF, &index, sizeof index);
	return request_do(fd, &q);
}

int network_parse_cidr(const char *text, uint32_t *ret_address, uint8_t *ret_prefix)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t prefix = 0;
	struct in_addr address;
	if (!slash || parse_u32(slash + 1, &prefix) < 0 || prefix > 32)
		return -EINVAL;
	*slash = '\0';
	if (inet_pton(AF_INET, copy, &address) != 1)
		return -EINVAL;
	*ret_address = address.s_addr;
	*ret_prefix = (uint8_t)prefix;
	return 0;
}

int network_apply(const struct boot_network *n, struct error **err)
{
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return error_set_errno(err, errno, "cannot talk to the kernel about the network");
	int r = link_up(fd, (int)if_nametoindex("lo"), 0);
	if (r < 0)
		return error_set_errno(err, r, "cannot bring the loopback interface up");
	if (!n->device)
		return 0;
	uint32_t address = 0;
	uint8_t prefix = 0;
	struct in_addr gateway = { 0 };
	int index = (int)if_nametoindex(n->device);
	if (!index)
		return error_set(err, ENODEV, "there is no network interface %s", n->device);
	if (network_parse_cidr(n->address, &address, &prefix) < 0 ||
	    (n->gateway && inet_pton(AF_INET, n->gateway, &gateway) != 1))
		return error_set(err, EINVAL, "\"%s\" via \"%s\" is not a usable network address", n->address,
		    n->gateway ? n->gateway : "");
	r = link_up(fd, index, n->mtu);
	if (r < 0 && n->mtu)
		r = link_up(fd, index, 0); /* a driver may refuse a large mtu; the network works without */
	if (r < 0)
		return error_set_errno(err, r, "cannot bring %s up", n->device);
	r = add_address(fd, index, address, prefix);
	if (r < 0)
		return error_set_errno(err, r, "cannot give %s the address %s", n->device, n->address);
	r = n->gateway ? add_default_route(fd, index, gateway.s_addr) : 0;
	return r < 0 ? error_set_errno(err, r, "cannot route by %s", n->gateway) : 0;
}

int network_move(const char *device, int netns, struct error **err)
{
	struct request q;
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(device) };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return error_set_errno(err, errno, "cannot talk to the kernel about the network");
	request_init(&q, RTM_NEWLINK, 0, &m, sizeof m);
	request_add(&q, IFLA_NET_NS_FD, &netns, sizeof netns);
	int r = request_do(fd, &q);
	return r < 0 ? error_set_errno(err, r, "cannot give %s to the machine", device) : 0;
}
