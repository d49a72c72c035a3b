/* SPDX-License-Identifier: Apache-2.0
 * See near.h. */
#include "image/registry/near.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/macros.h"

static int ipv4_is_near(uint32_t a)
{
	return a >> 24 == 127 || a >> 24 == 0 || a >> 16 == 0xa9fe; /* 169.254.0.0/16: RFC 3927 */
}

static int ipv6_is_near(const struct in6_addr *a)
{
	uint32_t last;
	memcpy(&last, a->s6_addr + 12, sizeof last);
	if (IN6_IS_ADDR_V4MAPPED(a))
		return ipv4_is_near(ntohl(last));
	return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a);
}

int near_address(const char *address)
{
	AUTOFREE char *text = xstrndup(address, strcspn(address, "%")); /* a scope: fe80::1%eth0 */
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, text, &four) == 1)
		return ipv4_is_near(ntohl(four.s_addr));
	return inet_pton(AF_INET6, text, &six) == 1 && ipv6_is_near(&six);
}

int near_host(const char *host)
{
	AUTOFREE char *name = xstrdup(*host == '[' ? host + 1 : host);
	name[strcspn(name, "]")] = '\0';
	if (endswith(name, "."))
		name[strlen(name) - 1] = '\0';
	const char *dot = strrchr(name, '.');
	return near_address(name) || strcasecmp(dot ? dot + 1 : name, "localhost") == 0;
}

int near_proxy_is_set(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return 1;
	}
	return 0;
}
