/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network_subnet6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { BYTES = sizeof(struct in6_addr), MADE_PREFIX = 64 };

/* The first `prefix` bits. */
static struct in6_addr masked(const struct in6_addr *address, unsigned prefix)
{
	struct in6_addr a = *address;
	for (unsigned i = 0; i < BYTES; i++) {
		unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;
		a.s6_addr[i] &= kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);
	}
	return a;
}

int address6_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

int address6_is_set(const struct in6_addr *address)
{
	return !IN6_IS_ADDR_UNSPECIFIED(address);
}

int address6_parse(const char *text, struct in6_addr *ret)
{
	struct in6_addr a;
	if (inet_pton(AF_INET6, text, &a) != 1 || !address6_is_set(&a))
		return -EINVAL;
	*ret = a;
	return 0;
}

void address6_format(const struct in6_addr *address, char ret[static ADDRESS6_TEXT_MAX])
{
	ret[0] = '\0';
	if (address6_is_set(address))
		inet_ntop(AF_INET6, address, ret, ADDRESS6_TEXT_MAX);
}

int subnet6_parse(const char *text, struct subnet6 *ret)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	struct in6_addr address;
	uint32_t prefix = 0;
	if (!slash || parse_u32(slash + 1, &prefix) < 0 || prefix < SUBNET6_WIDEST || prefix > SUBNET6_NARROWEST)
		return -EINVAL;
	*slash = '\0';
	if (address6_parse(copy, &address) < 0 || IN6_IS_ADDR_MULTICAST(&address) || IN6_IS_ADDR_LINKLOCAL(&address))
		return -EINVAL;
	*ret = (struct subnet6){ masked(&address, prefix), (uint8_t)prefix };
	return address6_is_set(&ret->base) ? 0 : -EINVAL;
}

char *subnet6_format(const struct subnet6 *s)
{
	char base[ADDRESS6_TEXT_MAX];
	address6_format(&s->base, base);
	return xasprintf("%s/%u", base, s->prefix);
}

int subnet6_contains(const struct subnet6 *s, const struct in6_addr *address)
{
	const struct in6_addr a = masked(address, s->prefix);
	return s->prefix && address6_equal(&a, &s->base);
}

int subnet6_overlaps(const struct subnet6 *a, const struct subnet6 *b)
{
	return a->prefix <= b->prefix ? subnet6_contains(a, &b->base) : subnet6_contains(b, &a->base);
}

struct in6_addr subnet6_behind(const struct subnet6 *s)
{
	struct in6_addr a = s->base;
	unsigned carry = 1U << (7 - (s->prefix - 1) % 8);
	for (int i = (s->prefix - 1) / 8; i >= 0 && carry; i--) {
		carry += a.s6_addr[i];
		a.s6_addr[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return a;
}

int subnet6_at(const struct subnet6 *s, uint64_t place, struct in6_addr *ret)
{
	unsigned bits = BYTES * 8 - s->prefix;
	struct in6_addr a = s->base;
	if (bits < 64 && place >> bits)
		return -ERANGE;
	for (int i = BYTES - 1; place; i--, place >>= 8)
		a.s6_addr[i] |= (uint8_t)place;
	*ret = a;
	return 0;
}

void subnet6_make(struct subnet6 *ret)
{
	*ret = (struct subnet6){ .prefix = MADE_PREFIX };
	ret->base.s6_addr[0] = 0xfd;
	(void)!getrandom(ret->base.s6_addr + 1, MADE_PREFIX / 8 - 1, 0);
}
