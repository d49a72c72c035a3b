/* SPDX-License-Identifier: Apache-2.0
 * Published ports as people write them: [[IP:][HOST]:]INSIDE[/PROTOCOL], in which HOST and INSIDE
 * are a port or a range and an IPv6 address stands in brackets. */
#pragma once

#include <stdint.h>

#include "base/macros.h"

enum port_protocol { PORT_TCP, PORT_UDP };
extern const char *const port_protocol_words[]; /* in the order of the enumeration, NULL-terminated */

struct port_range {
	uint16_t first, last; /* both 0: any free port */
};

struct port_spec {
	char *ip; /* without brackets; NULL: none was written */
	struct port_range host, inside;
	enum port_protocol protocol;
};

/* Parses "80" or "8000-8010", from 1 to 65535: 0 or -EINVAL. */
int port_range_parse(const char *text, struct port_range *ret);
/* Parses "80", "53/udp", "8000-8010/tcp": 0, -EINVAL, or -EPROTONOSUPPORT for another protocol. */
int port_key_parse(const char *text, struct port_range *ret, enum port_protocol *ret_protocol);
/* Parses all of it. Without HOST, and for HOST 0, host is any port. Ranges have the same length, or
 * INSIDE is one port for one of HOST's. 0, -EINVAL, or -EPROTONOSUPPORT. */
int port_spec_parse(const char *text, struct port_spec *ret);
void port_spec_done(struct port_spec *p);
int port_address_is_valid(const char *ip); /* IPv4 or IPv6, without brackets */
static inline unsigned port_range_count(struct port_range r)
{
	return (unsigned)(r.last - r.first) + 1;
}
