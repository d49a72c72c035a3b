/* SPDX-License-Identifier: Apache-2.0
 * The addresses of a name, as a program in the machine would get them. */
#pragma once

#include <sys/socket.h>

#include "agent/core/agent.h"

enum { LOOKUP_ADDRESSES_MAX = 8, LOOKUP_NAME_MAX = 255 };

struct lookup;

struct lookup_address {
	struct sockaddr_storage address; /* without a port */
	socklen_t size;
};

/* Reads an IPv4 or IPv6 address, or "localhost" (127.0.0.1 and ::1). How many; 0: it is a name. */
size_t lookup_literal(const char *text, struct lookup_address *ret);
/* Finds the name in the text of a hosts(5) file. How many. */
size_t lookup_hosts(const char *hosts, const char *name, struct lookup_address *ret);
/* Reads the addresses of a name server's answer (RFC 1035, 4.1), of the type A (1) or AAAA (28).
 * How many. */
size_t lookup_answer(const unsigned char *answer, size_t size, int type, struct lookup_address *ret);
/* Looks a name up, in the machine's /etc/hosts and then at its name servers, in a worker. `done`
 * runs once; count 0: there is no such name. 0 or -errno. */
int lookup_start(struct agent *a, const char *name,
    void (*done)(const struct lookup_address *found, size_t count, void *data), void *data, struct lookup **ret);
void lookup_cancel(struct lookup *l); /* done is not called; NULL is fine */
