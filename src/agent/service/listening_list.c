/* SPDX-License-Identifier: Apache-2.0
 * See listening_list.h. A dump of one family at a time: sockets of AF_INET6 that take IPv4, too,
 * are in the second. */
#include "agent/service/listening_list.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "agent/core/netlink.h"
#include "base/macros.h"

int listening_open(void)
{
	return netlink_socket(NETLINK_SOCK_DIAG);
}

static int is_on_loopback(const struct inet_diag_msg *entry)
{
	static const struct in6_addr any = IN6ADDR_ANY_INIT, loopback = IN6ADDR_LOOPBACK_INIT;
	const uint32_t *source = entry->id.idiag_src;
	if (entry->idiag_family == AF_INET)
		return source[0] == htonl(INADDR_ANY) || source[0] == htonl(INADDR_LOOPBACK);
	const int is_mapped = source[0] == 0 && source[1] == 0 && source[2] == htonl(0xffff);
	return memcmp(source, &any, sizeof any) == 0 || memcmp(source, &loopback, sizeof loopback) == 0 ||
	       (is_mapped && source[3] == htonl(INADDR_LOOPBACK));
}

void listening_add(struct listening_set *s, const struct inet_diag_msg *entry)
{
	uint16_t port = ntohs(entry->id.idiag_sport);
	/* One that is bound to an interface is not reached from the loopback interface. */
	if (entry->idiag_state == TCP_LISTEN && port && !entry->id.idiag_if && is_on_loopback(entry))
		s->words[port / 64] |= UINT64_C(1) << port % 64;
}

void listening_remove(struct listening_set *s, uint16_t port)
{
	s->words[port / 64] &= ~(UINT64_C(1) << port % 64);
}

static void on_entry(const struct nlmsghdr *h, void *data)
{
	listening_add(data, NLMSG_DATA(h));
}

static int read_family(int fd, uint8_t family, struct listening_set *s)
{
	struct inet_diag_req_v2 request = { .sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1U << TCP_LISTEN };
	struct netlink message;
	netlink_init(&message);
	netlink_message(&message, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof request);
	return netlink_dump(fd, &message, sizeof(struct inet_diag_msg), on_entry, s);
}

int listening_read(int fd, struct listening_set *ret)
{
	*ret = (struct listening_set){ 0 };
	int r = read_family(fd, AF_INET, ret);
	if (r == 0)
		r = read_family(fd, AF_INET6, ret);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

struct json_object *listening_to_json(const struct listening_set *s)
{
	struct json_object *list = json_object_new_array();
	int count = 0;
	for (size_t i = 0; i < LISTENING_WORDS; i++) {
		for (uint64_t word = s->words[i]; word && count < LISTENING_REPORTED_MAX; word &= word - 1, count++) {
			int port = (int)i * 64 + __builtin_ctzll(word);
			json_object_array_add(list, json_object_new_int(port));
		}
	}
	return list;
}
