/* SPDX-License-Identifier: Apache-2.0
 * The TCP ports that listen in a network namespace, from the kernel's list (sock_diag(7)). */
#pragma once

#include <stdint.h>

#include "base/json.h"

enum { LISTENING_REPORTED_MAX = 256, LISTENING_WORDS = 65536 / 64 };

/* A bit for each port. */
struct listening_set {
	uint64_t words[LISTENING_WORDS];
};

/* A socket for listening_read() in the thread's network namespace, which it keeps: a descriptor or
 * -errno. */
int listening_open(void);
/* Reads which ports listen on the loopback interface, at 127.0.0.1, ::1 or any address. 0;
 * -EOPNOTSUPP if this kernel has no such list; -errno. */
int listening_read(int fd, struct listening_set *ret);
/* Adds the port of one entry of the list, if it is such a one. */
struct inet_diag_msg;
void listening_add(struct listening_set *s, const struct inet_diag_msg *entry);
void listening_remove(struct listening_set *s, uint16_t port);
/* The lowest LISTENING_REPORTED_MAX ports, as numbers; owned. */
struct json_object *listening_to_json(const struct listening_set *s);
