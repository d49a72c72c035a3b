/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/macros.h"
#include "docker/dns.h"

#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define WEB HEAD "\3WeB\0\0\1\0\1"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static void parses(void **state)
{
	struct dns_query q;
	assert_int_equal(dns_parse(BYTES(WEB), &q), 0);
	assert_string_equal(q.name, "web");
	assert_int_equal(q.type, DNS_A);
	assert_int_equal(q.class, 1);
	assert_true(q.is_plain);
	assert_int_equal(q.size, sizeof WEB - 1);
	/* EDNS and all else behind the question is left alone. */
	assert_int_equal(dns_parse(BYTES(HEAD "\3a_b\2-c\0\0\x1c\0\1\0\0\x29"), &q), 0);
	assert_string_equal(q.name, "a_b.-c");
	assert_int_equal(q.type, DNS_AAAA);
	assert_int_equal(dns_parse(BYTES(HEAD "\0\0\2\0\1"), &q), 0);
	assert_string_equal(q.name, "");
	assert_false(q.is_plain);
}

static void odd_names(void **state)
{
	static const char *const names[] = { "\3a.b", "\3a b", "\3a\0b", "\2\xc3\xa9" };
	static const size_t sizes[] = { 4, 4, 4, 3 };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct dns_query q;
		uint8_t bytes[64];
		memcpy(bytes, HEAD, DNS_HEADER);
		memcpy(bytes + DNS_HEADER, names[i], sizes[i]);
		memcpy(bytes + DNS_HEADER + sizes[i], "\0\0\1\0\1", 5);
		assert_int_equal(dns_parse(bytes, DNS_HEADER + sizes[i] + 5, &q), 0);
		assert_false(q.is_plain);
	}
	struct dns_query q; /* of another class */
	assert_int_equal(dns_parse(BYTES(HEAD "\1a\0\0\1\0\3"), &q), 0);
	assert_false(q.is_plain);
}

static void refuses(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int result;
	} bad[] = {
		{ "", 0, -EBADMSG },
		{ HEAD, 11, -EBADMSG },
		{ "\0\1\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19, -EBADMSG },
		{ "\0\1\x28\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19, -EOPNOTSUPP },
		{ HEAD, 12, -EINVAL },
		{ HEAD "\1a\0\0\1\0", 18, -EINVAL },
		{ HEAD "\5a\0\0\1\0\1", 19, -EINVAL },
		{ HEAD "\xc0\x0c\0\1\0\1", 18, -EINVAL },
		{ HEAD "\x40"
		       "a\0\0\1\0\1",
		    19, -EINVAL },
		{ "\0\1\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1", 19, -EINVAL },
		{ "\0\1\1\0\0\1\0\1\0\0\0\0\1a\0\0\1\0\1", 19, -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct dns_query q;
		uint8_t out[DNS_UDP_MAX];
		assert_int_equal(dns_parse(bad[i].bytes, bad[i].size, &q), bad[i].result);
		if (bad[i].result == -EBADMSG)
			continue;
		assert_int_equal(dns_answer(&q, DNS_MALFORMED, out), DNS_HEADER);
		assert_int_equal(out[3] & 15, DNS_MALFORMED);
		assert_int_equal(out[5], 0);
	}
}

/* 127 labels are 253 characters; one more is too long. */
static void long_names(void **state)
{
	uint8_t bytes[400] = HEAD;
	struct dns_query q;
	for (size_t labels = 127; labels <= 128; labels++) {
		uint8_t *at = bytes + DNS_HEADER;
		for (size_t i = 0; i < labels; i++, at += 2)
			memcpy(at, "\1a", 2);
		memcpy(at, "\0\0\1\0\1", 5);
		assert_int_equal(dns_parse(bytes, (size_t)(at - bytes) + 5, &q), labels == 127 ? 0 : -EINVAL);
		assert_true(labels > 127 || strlen(q.name) == DNS_NAME_MAX);
	}
}

static void reverse(void **state)
{
	static const char *const bad[] = { "", "1.0.18.172", "1.0.18.172.in-addr.arpa.x", "01.0.18.172.in-addr.arpa",
		"256.0.18.172.in-addr.arpa", "0.18.172.in-addr.arpa", "-1.0.18.172.in-addr.arpa", "web" };
	uint32_t address = 0;
	assert_int_equal(dns_parse_reverse("2.0.18.172.in-addr.arpa", &address), 0);
	assert_int_equal(address, 0xac120002);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(dns_parse_reverse(bad[i], &address), -EINVAL);
#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	static const char six[] = "2.0.0.a." ZEROS "7.0.0.0.0.0.d.f.ip6.arpa";
	struct in6_addr address6;
	assert_int_equal(dns_parse_reverse6(six, &address6), 0);
	assert_memory_equal(&address6, "\xfd\0\0\7\0\0\0\0\0\0\0\0\0\0\xa0\2", 16);
	assert_int_equal(dns_parse_reverse6(six + 2, &address6), -EINVAL);
	assert_int_equal(dns_parse_reverse6("g.0.0.a." ZEROS "7.0.0.0.0.0.d.f.ip6.arpa", &address6), -EINVAL);
	assert_int_equal(dns_parse_reverse6("2-0.0.a." ZEROS "7.0.0.0.0.0.d.f.ip6.arpa", &address6), -EINVAL);
	assert_int_equal(dns_parse_reverse6("", &address6), -EINVAL);
}

static void answers(void **state)
{
	const uint32_t addresses[100] = { htonl(0xac120002), htonl(0xac120003) };
	static const struct in6_addr six[40] = { { { { 0xfd, 0, 0, 7, [15] = 2 } } } };
	struct dns_query q;
	uint8_t out[DNS_UDP_MAX];
	dns_parse(BYTES(WEB), &q);
	assert_int_equal(dns_answer_addresses(&q, DNS_A, addresses, 2, out, sizeof out), sizeof WEB - 1 + 32);
	/* The id, QR AA RD RA, one question, two answers; the name as it was asked for. */
	assert_memory_equal(out, "\x12\x34\x85\x80\0\1\0\2\0\0\0\0\3WeB\0\0\1\0\1", sizeof WEB - 1);
	assert_memory_equal(out + sizeof WEB - 1, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xac\x12\0\2", 16);
	/* More than fit: truncated. */
	assert_true(dns_answer_addresses(&q, DNS_A, addresses, 100, out, sizeof out) <= sizeof out);
	assert_int_equal(out[2], 0x87);
	assert_int_equal(out[7], (DNS_UDP_MAX - (sizeof WEB - 1)) / 16);
	assert_int_equal(dns_answer_addresses(&q, DNS_AAAA, six, 1, out, sizeof out), sizeof WEB - 1 + 28);
	assert_memory_equal(out + sizeof WEB - 1,
	    "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\xfd\0\0\7\0\0\0\0\0\0\0\0\0\0\0\2", 28);
	assert_true(dns_answer_addresses(&q, DNS_AAAA, six, 40, out, sizeof out) <= sizeof out);
	assert_int_equal(dns_answer_addresses(&q, DNS_AAAA, six, 0, out, sizeof out), sizeof WEB - 1);
	assert_int_equal(dns_answer(&q, DNS_NO_ERROR, out), sizeof WEB - 1);
	assert_memory_equal(out, "\x12\x34\x81\x80\0\1\0\0\0\0\0\0", DNS_HEADER);
	assert_int_equal(dns_answer(&q, DNS_SERVER_FAILURE, out), sizeof WEB - 1);
	assert_int_equal(out[3], 0x82);
	assert_int_equal(dns_answer_name(&q, "web.one", out, sizeof out), sizeof WEB - 1 + 12 + 9);
	assert_memory_equal(out + sizeof WEB - 1, "\xc0\x0c\0\x0c\0\1\0\0\0\x3c\0\x09\3web\3one", 21);
	assert_int_equal(dns_answer_name(&q, "web..one", out, sizeof out), sizeof WEB - 1);
}

static void answers_of_servers(void **state)
{
	struct dns_query q;
	dns_parse(BYTES(WEB), &q);
	uint8_t answer[] = "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3wEb\0\0\1\0\1 and more";
	assert_true(dns_is_answer(&q, 0x1234, answer, sizeof answer));
	assert_false(dns_is_answer(&q, 0x1235, answer, sizeof answer));
	assert_false(dns_is_answer(&q, 0x1234, answer, 20));
	assert_false(dns_is_answer(&q, 0x1234, answer, 4));
	answer[15] = 'x';
	assert_false(dns_is_answer(&q, 0x1234, answer, sizeof answer));
	assert_false(dns_is_answer(&q, 0x1234, BYTES(WEB)));
	assert_true(dns_is_answer(&q, 0x1234, BYTES("\x12\x34\x81\x85\0\0\0\0\0\0\0\0")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(refuses),
		cmocka_unit_test(long_names),
		cmocka_unit_test(reverse),
		cmocka_unit_test(answers),
		cmocka_unit_test(answers_of_servers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
