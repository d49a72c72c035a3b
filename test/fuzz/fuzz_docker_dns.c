/* SPDX-License-Identifier: Apache-2.0
 * A query that a container sends to its resolver, and the same bytes as a name server's answer. */
#include <errno.h>
#include <stdint.h>

#include "base/macros.h"
#include "docker/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[DNS_QUERY_MAX + DNS_UDP_MAX];
	static const struct in6_addr addresses[100];
	static const uint8_t asked[] = "\0\1\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1";
	struct dns_query q;
	struct in6_addr six;
	uint32_t address;
	if (dns_parse(asked, sizeof asked - 1, &q) == 0)
		dns_is_answer(&q, 1, data, size);
	if (size > DNS_QUERY_MAX)
		return 0;
	int r = dns_parse(data, size, &q);
	if (r == 0) {
		dns_parse_reverse(q.name, &address);
		dns_parse_reverse6(q.name, &six);
		dns_answer_addresses(&q, DNS_A, addresses, ARRAY_SIZE(addresses), out, DNS_UDP_MAX);
		dns_answer_addresses(&q, DNS_AAAA, addresses, ARRAY_SIZE(addresses), out, DNS_UDP_MAX);
		dns_answer_name(&q, q.name, out, DNS_UDP_MAX);
	}
	if (r != -EBADMSG)
		dns_answer(&q, DNS_SERVER_FAILURE, out);
	return 0;
}
