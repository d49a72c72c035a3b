/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/core/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

enum { ANSWER_MAX = 32 * 1024, ANSWER_MS = 5000 };

/* ---- messages ---- */

void netlink_init(struct netlink *n)
{
	*n = (struct netlink){ 0 };
}

static struct nlmsghdr *last_message(struct netlink *n)
{
	return (struct nlmsghdr *)(n->bytes + n->last);
}

/* Room for size bytes at the end, or NULL. The padding is zero. */
static void *reserve(struct netlink *n, size_t size)
{
	char *at = n->bytes + n->size;
	n->overflow |= size > sizeof n->bytes - n->size || NLMSG_ALIGN(size) > sizeof n->bytes - n->size;
	if (n->overflow)
		return NULL;
	n->size += NLMSG_ALIGN(size);
	return at;
}

static void grow_message(struct netlink *n)
{
	last_message(n)->nlmsg_len = (uint32_t)(n->size - n->last);
}

void netlink_message(struct netlink *n, uint16_t type, uint16_t flags, const void *head, size_t size)
{
	size_t at = n->size;
	struct nlmsghdr *h = reserve(n, NLMSG_HDRLEN);
	if (!h)
		return;
	n->last = at;
	n->answers += (flags & NLM_F_ACK) != 0;
	*h = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags };
	netlink_add_raw(n, head, size);
}

void netlink_add_raw(struct netlink *n, const void *data, size_t size)
{
	void *to = reserve(n, size);
	if (!to)
		return;
	memcpy(to, data, size);
	grow_message(n);
}

void netlink_add(struct netlink *n, uint16_t type, const void *data, size_t size)
{
	struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type };
	netlink_add_raw(n, &a, sizeof a);
	netlink_add_raw(n, data, size);
}

void netlink_add_u32(struct netlink *n, uint16_t type, uint32_t value)
{
	netlink_add(n, type, &value, sizeof value);
}

void netlink_add_string(struct netlink *n, uint16_t type, const char *value)
{
	netlink_add(n, type, value, strlen(value) + 1);
}

size_t netlink_open(struct netlink *n, uint16_t type)
{
	struct nlattr a = { .nla_len = NLA_HDRLEN, .nla_type = NLA_F_NESTED | type };
	size_t at = n->size;
	netlink_add_raw(n, &a, sizeof a);
	return at;
}

void netlink_close(struct netlink *n, size_t opened)
{
	if (!n->overflow)
		((struct nlattr *)(n->bytes + opened))->nla_len = (uint16_t)(n->size - opened);
}

/* ---- the kernel's answers ---- */

int netlink_socket(int protocol)
{
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The state of reading answers. */
struct reader {
	unsigned expected; /* acknowledgements still to come */
	int ended;         /* the end of a dump */
	size_t min;
	void (*each)(const struct nlmsghdr *h, void *data);
	void *data;
};

/* One message of an answer: 0 or -errno. */
static int judge(struct reader *r, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == NLMSG_DONE) {
		r->ended = 1;
		return 0;
	}
	if (h->nlmsg_type != NLMSG_ERROR) {
		if (!r->each || h->nlmsg_len < NLMSG_LENGTH(r->min))
			return -EPROTO;
		r->each(h, r->data);
		return 0;
	}
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EPROTO;
	r->expected -= r->expected > 0;
	return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static int read_answer(int fd, struct reader *reader)
{
	char answer[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;
	do
		n = recv(fd, answer, sizeof answer, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n > sizeof answer || n == 0)
		return -EPROTO;
	int r = 0;
	size_t left = (size_t)n;
	for (const struct nlmsghdr *h = (const void *)answer; r == 0 && NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		r = judge(reader, h);
	return r;
}

static int send_batch(int fd, const struct netlink *n)
{
	if (n->overflow)
		return -EMSGSIZE;
	return send(fd, n->bytes, n->size, 0) < 0 ? -errno : 0;
}

int netlink_do(int fd, const struct netlink *n)
{
	struct reader reader = { .expected = n->answers };
	int r = send_batch(fd, n);
	while (r == 0 && reader.expected > 0)
		r = read_answer(fd, &reader);
	return r;
}

int netlink_dump(int fd, const struct netlink *n, size_t min, void (*each)(const struct nlmsghdr *h, void *data),
    void *data)
{
	struct reader reader = { .min = min, .each = each, .data = data };
	int r = send_batch(fd, n);
	while (r == 0 && !reader.ended)
		r = read_answer(fd, &reader);
	return r;
}
