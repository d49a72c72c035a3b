/* SPDX-License-Identifier: Apache-2.0
 * The sockets of a container's resolver, as Docker has them: free ports of 127.0.0.11, to which
 * rules in the container's network namespace lead port 53. So a name server in the container can
 * have 0.0.0.0:53. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/engine/network.h"
#include "agent/engine/nft.h"
#include "base/fd.h"

#define TABLE "holm-dns"
enum { PRIORITY_DSTNAT = -100, BACKLOG = 64, DNS_PORT = 53 };

static int open_one(int type, uint32_t address, uint16_t *ret_port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	socklen_t size = sizeof here;
	AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const void *)&here, sizeof here) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) || getsockname(fd, (void *)&here, &size) < 0)
		return -errno;
	*ret_port = ntohs(here.sin_port);
	return TAKE_FD(fd);
}

static void add_rule(struct nft *n, const char *chain, uint8_t protocol, const struct subnet *address, uint16_t port)
{
	size_t rule = nft_rule_open(n, TABLE, chain);
	nft_match_destination(n, address);
	nft_match_port(n, protocol, DNS_PORT);
	nft_destination(n, address->base, port);
	nft_rule_close(n, rule);
}

int container_open_resolver(struct resolver_sockets *ret)
{
	static const struct nft_hook output = { "output", "nat", NF_INET_LOCAL_OUT, PRIORITY_DSTNAT };
	struct nft n;
	struct subnet address = { .prefix = 32 };
	uint16_t udp_port = 0, tcp_port = 0;
	address_parse(RESOLVER_ADDRESS, &address.base);
	AUTO_FD int udp = open_one(SOCK_DGRAM, address.base, &udp_port);
	AUTO_FD int tcp = udp < 0 ? udp : open_one(SOCK_STREAM, address.base, &tcp_port);
	if (tcp < 0)
		return tcp;
	nft_begin(&n, NFPROTO_IPV4);
	nft_table_new(&n, TABLE);
	nft_chain(&n, TABLE, &output);
	add_rule(&n, output.chain, IPPROTO_UDP, &address, udp_port);
	add_rule(&n, output.chain, IPPROTO_TCP, &address, tcp_port);
	int r = nft_commit(&n);
	if (r < 0)
		return r;
	*ret = (struct resolver_sockets){ TAKE_FD(udp), TAKE_FD(tcp) };
	return 0;
}
