/* SPDX-License-Identifier: Apache-2.0
 * Messages of netlink(7) and the kernel's answers. A batch is one send(2) of several messages,
 * which the kernel carries out in order. A message that does not fit makes netlink_do() fail, so
 * that builders need no checks of their own. */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

enum { NETLINK_BATCH_MAX = 8192 };

struct netlink {
	size_t size, last; /* bytes used; where the last message begins */
	unsigned answers;  /* acknowledgements to wait for */
	int overflow;
	char bytes[NETLINK_BATCH_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
};

void netlink_init(struct netlink *n);
/* Begins the next message with its fixed part. flags: NLM_F_ACK for an answer, NLM_F_CREATE and so
 * on; NLM_F_REQUEST comes by itself. */
void netlink_message(struct netlink *n, uint16_t type, uint16_t flags, const void *head, size_t size);
/* Adds an attribute to the last message. */
void netlink_add(struct netlink *n, uint16_t type, const void *data, size_t size);
void netlink_add_u32(struct netlink *n, uint16_t type, uint32_t value);       /* host byte order */
void netlink_add_string(struct netlink *n, uint16_t type, const char *value); /* with its NUL */
/* Adds bytes without a header, as the structure that some attributes begin with. */
void netlink_add_raw(struct netlink *n, const void *data, size_t size);
/* Opens an attribute that holds attributes; the result is for netlink_close(). */
size_t netlink_open(struct netlink *n, uint16_t type);
void netlink_close(struct netlink *n, size_t opened);

/* A socket of NETLINK_ROUTE or NETLINK_NETFILTER in the thread's network namespace, which it keeps;
 * reads end after five seconds. fd or -errno. */
int netlink_socket(int protocol);
/* Sends the batch and waits for its answers: 0, the kernel's first -errno, -EMSGSIZE if the batch
 * was too large, -EAGAIN without an answer. After an error, answers to later messages may still
 * arrive: close the socket. */
int netlink_do(int fd, const struct netlink *n);
/* Sends one message with NLM_F_DUMP and calls `each` for every part of the answer, whose length has
 * been checked against min. 0 or -errno. */
int netlink_dump(int fd, const struct netlink *n, size_t min, void (*each)(const struct nlmsghdr *h, void *data),
    void *data);
