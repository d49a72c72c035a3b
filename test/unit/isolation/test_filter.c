/* SPDX-License-Identifier: Apache-2.0
 * What a guest on QEMU's user network may send. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "isolation/vm/user_network.h"

enum { TCP = 6, UDP = 17, ICMP = 1 };

static uint8_t frame[64];

static void make(const char *destination, uint8_t protocol, uint16_t port)
{
	in_addr_t address = inet_addr(destination);
	memset(frame, 0, sizeof(frame));
	frame[12] = 0x08;
	frame[14] = 0x45;
	frame[14 + 9] = protocol;
	memcpy(frame + 14 + 16, &address, 4);
	frame[14 + 20 + 2] = (uint8_t)(port >> 8);
	frame[14 + 20 + 3] = (uint8_t)port;
}

static int allows(const char *destination, uint8_t protocol, uint16_t port)
{
	make(destination, protocol, port);
	return user_network_allows(frame, sizeof(frame));
}

static void test_internet(void **state)
{
	assert_true(allows("93.184.216.34", TCP, 443));
	assert_true(allows("192.168.1.1", UDP, 53));
	assert_true(allows("8.8.8.8", ICMP, 0));
}

static void test_host(void **state)
{
	assert_false(allows("127.0.0.1", TCP, 22));
	assert_false(allows("127.255.0.9", UDP, 22));
	assert_false(allows("0.0.0.0", TCP, 22));
	assert_false(allows("10.77.0.1", TCP, 22));
	assert_false(allows("10.77.0.9", TCP, 22));
	assert_false(allows("10.77.0.255", UDP, 22));
	assert_false(allows("255.255.255.255", UDP, 67));
	assert_false(allows("224.0.0.1", UDP, 22));
	assert_true(allows("10.77.1.1", TCP, 22));
}

static void test_lookups(void **state)
{
	assert_true(allows("10.77.0.3", UDP, 53));
	assert_true(allows("10.77.0.3", TCP, 53));
	assert_false(allows("10.77.0.3", UDP, 631));
	assert_false(allows("10.77.0.3", ICMP, 53));
	/* A fragment hides its port. */
	make("10.77.0.3", UDP, 53);
	frame[14 + 6] = 0x20;
	assert_false(user_network_allows(frame, sizeof(frame)));
	/* So does a header that is shorter or longer than the packet. */
	make("10.77.0.3", UDP, 53);
	frame[14] = 0x44;
	assert_false(user_network_allows(frame, sizeof(frame)));
	frame[14] = 0x4f;
	assert_false(user_network_allows(frame, sizeof(frame)));
}

static int allows6(const char *destination)
{
	memset(frame, 0, sizeof(frame));
	frame[12] = 0x86;
	frame[13] = 0xdd;
	frame[14] = 0x60;
	inet_pton(AF_INET6, destination, frame + 14 + 24);
	return user_network_allows(frame, sizeof(frame));
}

static void test_ipv6(void **state)
{
	static const char *const bad[] = { "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0",
		"::ffff:192.0.2.1", "::ffff:0:127.0.0.1", "fe80::1", "febf::1", "ff01::1", "ff02::1", "ff0e::1" };
	assert_true(allows6("2001:db8::1"));
	assert_true(allows6("64:ff9b::192.0.2.1"));
	assert_true(allows6("fd00::1"));
	assert_true(allows6("fec0::1"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(allows6(bad[i]));
	allows6("2001:db8::1");
	for (size_t size = 0; size < 54; size++)
		assert_false(user_network_allows(frame, size));
	frame[14] = 0x45;
	assert_false(user_network_allows(frame, sizeof(frame)));
}

static void test_other_frames(void **state)
{
	make("8.8.8.8", TCP, 80);
	for (size_t size = 0; size < 34; size++)
		assert_false(user_network_allows(frame, size));
	frame[13] = 0x06; /* ARP */
	assert_true(user_network_allows(frame, sizeof(frame)));
	frame[12] = 0x81;
	frame[13] = 0x00; /* VLAN */
	assert_false(user_network_allows(frame, sizeof(frame)));
	make("8.8.8.8", TCP, 80);
	frame[14] = 0x65;
	assert_false(user_network_allows(frame, sizeof(frame)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_internet),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_other_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
