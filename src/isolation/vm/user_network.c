/* SPDX-License-Identifier: Apache-2.0
 * QEMU's user network is what a host without passt (or without any network) gets. It turns every
 * address of its own network, and 127.0.0.1 itself, into the host's loopback, and has no option
 * against that. So what the guest sends takes a detour through us: QEMU's filter-redirector writes
 * each frame to one socket (32-bit big-endian length in front) and takes from another what may go
 * on.
 *
 * Refused: whatever is meant for the host itself (127/8, 0/8, the virtual network) except name
 * lookups at the network's DNS address; multicast and broadcast; of IPv6 ::/64 with all forms of
 * IPv4 addresses, which a socket of the host takes for those, and fe80::/10; and everything that is
 * neither IP nor ARP. Fragments for the virtual network are refused whole. QEMU's user network has
 * no IPv6, passt has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "isolation/network.h"
#include "isolation/vm/run.h"
#include "isolation/vm/user_network.h"

enum { FRAME_MAX = 68 * 1024, BACKLOG_MAX = 4 * FRAME_MAX, ETHERNET = 14, DNS_PORT = 53 };

struct user_network {
	struct isolation_run *run;
	int from, back; /* our ends */
	struct source *from_source, *back_source;
	struct buffer in, out;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Something for an address of the virtual network itself. */
static int local_packet_allowed(const uint8_t *ip, size_t size, uint32_t destination)
{
	size_t header = (size_t)(ip[0] & 15) * 4;
	int fragment = (be16(ip + 6) & 0x3fff) != 0;
	if (header < 20 || size < header + 4 || fragment || destination != ntohl(inet_addr(NETWORK_DNS)))
		return 0;
	return (ip[9] == IPPROTO_UDP || ip[9] == IPPROTO_TCP) && be16(ip + header + 2) == DNS_PORT;
}

static int ipv6_allowed(const uint8_t *ip, size_t size)
{
	const uint8_t *destination = ip + 24;
	if (size < 40 || ip[0] >> 4 != 6)
		return 0;
	int is_this = be32(destination) == 0 && be32(destination + 4) == 0;
	int is_link_local = (be16(destination) & 0xffc0) == 0xfe80;
	return !is_this && !is_link_local && destination[0] != 0xff;
}

int user_network_allows(const uint8_t *frame, size_t size)
{
	if (size < ETHERNET)
		return 0;
	uint16_t type = be16(frame + 12);
	if (type == 0x0806)
		return 1; /* ARP ends in QEMU */
	if (type == 0x86dd)
		return ipv6_allowed(frame + ETHERNET, size - ETHERNET);
	if (type != 0x0800 || size < ETHERNET + 20 || frame[ETHERNET] >> 4 != 4)
		return 0;
	const uint8_t *ip = frame + ETHERNET;
	uint32_t destination = be32(ip + 16), network = ntohl(inet_addr(NETWORK_GATEWAY)) & 0xffffff00;
	if ((destination & 0xffffff00) == network)
		return local_packet_allowed(ip, size - ETHERNET, destination);
	return destination >> 24 != 127 && destination >> 24 != 0 && destination >> 28 != 14 &&
	       destination != 0xffffffff;
}

static void pass_on(struct user_network *n)
{
	while (n->in.size >= 4) {
		size_t size = be32((const uint8_t *)n->in.data);
		if (size > FRAME_MAX) {
			run_fail(n->run, -EPROTO, "the virtual machine's network sends an impossible frame");
			return;
		}
		if (n->in.size < 4 + size || n->out.size + 4 + size > BACKLOG_MAX)
			break;
		if (user_network_allows((const uint8_t *)n->in.data + 4, size))
			buffer_append(&n->out, n->in.data, 4 + size);
		buffer_consume(&n->in, 4 + size);
	}
	while (n->out.size > 0 && buffer_write(&n->out, n->back) > 0)
		;
	/* Frames that do not fit wait in the socket, and so does the guest. */
	source_set_events(n->back_source, n->out.size > 0 ? EPOLLOUT : 0);
	source_set_events(n->from_source, n->out.size < BACKLOG_MAX / 2 ? EPOLLIN : 0);
}

static void on_from(struct source *s, int fd, uint32_t events, void *data)
{
	struct user_network *n = data;
	ssize_t size = buffer_read(&n->in, fd, FRAME_MAX + 4 - MIN(n->in.size, (size_t)FRAME_MAX));
	if (size == -EAGAIN || size == -EINTR)
		return;
	if (size <= 0)
		source_set_events(s, 0); /* QEMU is going */
	else
		pass_on(n);
}

static void on_back(struct source *s, int fd, uint32_t events, void *data)
{
	if (events & EPOLLOUT)
		pass_on(data);
	else
		source_set_events(s, 0);
}

int user_network_open(struct isolation_run *run, int *ret_out_fd, int *ret_back_fd, struct error **err)
{
	struct user_network *n = run->user_network = xnew(struct user_network);
	int from[2], back[2];
	n->run = run;
	n->from = n->back = -1;
	buffer_init(&n->in, FRAME_MAX + 4);
	buffer_init(&n->out, BACKLOG_MAX);
	int result = fd_socketpair(SOCK_STREAM, from);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the network");
	n->from = from[0];
	AUTO_FD int out_fd = from[1];
	result = fd_socketpair(SOCK_STREAM, back);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the network");
	n->back = back[0];
	AUTO_FD int back_fd = back[1];
	fd_set_nonblocking(n->from, 1);
	fd_set_nonblocking(n->back, 1);
	result = loop_add_io(run->loop, n->from, EPOLLIN, on_from, n, &n->from_source);
	if (result >= 0)
		result = loop_add_io(run->loop, n->back, 0, on_back, n, &n->back_source);
	if (result < 0)
		return error_set_errno(err, result, "cannot watch the network");
	*ret_out_fd = TAKE_FD(out_fd);
	*ret_back_fd = TAKE_FD(back_fd);
	return 0;
}

void user_network_done(struct isolation_run *run)
{
	struct user_network *n = run->user_network;
	if (!n)
		return;
	source_free(n->from_source);
	source_free(n->back_source);
	fd_close(n->from);
	fd_close(n->back);
	buffer_done(&n->in);
	buffer_done(&n->out);
	free(n);
	run->user_network = NULL;
}
