/* SPDX-License-Identifier: Apache-2.0 */
#include "base/port_spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"

const char *const port_protocol_words[] = { [PORT_TCP] = "tcp", [PORT_UDP] = "udp", NULL };

static int parse_port(const char *s, uint16_t *ret)
{
	uint32_t n;
	if (parse_u32(s, &n) < 0 || n < 1 || n > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

int port_range_parse(const char *text, struct port_range *ret)
{
	struct port_range p;
	AUTOFREE char *copy = xstrdup(text);
	char *dash = strchr(copy, '-');
	if (dash)
		*dash++ = '\0';
	if (parse_port(copy, &p.first) < 0 || parse_port(dash ? dash : copy, &p.last) < 0 || p.first > p.last)
		return -EINVAL;
	*ret = p;
	return 0;
}

/* Cuts "/PROTOCOL" off the end of text. */
static int take_protocol(char *text, enum port_protocol *ret)
{
	char *slash = strchr(text, '/');
	*ret = PORT_TCP;
	if (!slash)
		return 0;
	*slash++ = '\0';
	for (unsigned i = 0; port_protocol_words[i]; i++)
		if (strcasecmp(slash, port_protocol_words[i]) == 0) {
			*ret = (enum port_protocol)i;
			return 0;
		}
	return -EPROTONOSUPPORT;
}

int port_key_parse(const char *text, struct port_range *ret, enum port_protocol *ret_protocol)
{
	AUTOFREE char *copy = xstrdup(text);
	int r = take_protocol(copy, ret_protocol);
	return r < 0 ? r : port_range_parse(copy, ret);
}

int port_address_is_valid(const char *ip)
{
	unsigned char address[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, ip, address) == 1 || inet_pton(AF_INET6, ip, address) == 1;
}

/* "192.0.2.1" or "[2001:db8::1]", or nothing. */
static int parse_address(const char *text, char **ret)
{
	size_t n = strlen(text);
	int bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
	AUTOFREE char *ip = bracketed ? xstrndup(text + 1, n - 2) : xstrdup(text);
	if (!n)
		return 0;
	if (!port_address_is_valid(ip) || (strchr(ip, ':') != NULL) != bracketed)
		return -EINVAL;
	*ret = TAKE_PTR(ip);
	return 0;
}

static int parse_host(const char *text, struct port_range *ret)
{
	*ret = (struct port_range){ 0 };
	return *text && !streq(text, "0") ? port_range_parse(text, ret) : 0;
}

static int has_room(const struct port_spec *p)
{
	return !p->host.first || p->inside.first == p->inside.last ||
	       port_range_count(p->host) == port_range_count(p->inside);
}

int port_spec_parse(const char *text, struct port_spec *ret)
{
	struct port_spec p = { 0 };
	AUTOFREE char *copy = xstrdup(text), *ip = NULL;
	int r = take_protocol(copy, &p.protocol);
	if (r < 0)
		return r;
	char *inside = strrchr(copy, ':');
	if (inside)
		*inside++ = '\0';
	r = port_range_parse(inside ? inside : copy, &p.inside);
	if (r == 0 && inside) {
		char *host = strrchr(copy, ':');
		if (host)
			*host++ = '\0';
		r = parse_host(host ? host : copy, &p.host);
		if (r == 0 && host)
			r = parse_address(copy, &ip);
	}
	if (r < 0 || !has_room(&p))
		return -EINVAL;
	p.ip = TAKE_PTR(ip);
	*ret = p;
	return 0;
}

void port_spec_done(struct port_spec *p)
{
	free(p->ip);
	*p = (struct port_spec){ 0 };
}
