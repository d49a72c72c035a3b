/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/port_spec.h"

static void ranges(void **state)
{
	static const char *const bad[] = { "", "0", "65536", "80-", "-80", "90-80", "80-90-100", "0-1", "80 ", "+80",
		"eighty", "80-65536" };
	struct port_range r;
	assert_int_equal(port_range_parse("65535", &r), 0);
	assert_int_equal(r.first, 65535);
	assert_int_equal(port_range_count(r), 1);
	assert_int_equal(port_range_parse("1-65535", &r), 0);
	assert_int_equal(port_range_count(r), 65535);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(port_range_parse(bad[i], &r), -EINVAL);
}

static void keys(void **state)
{
	enum port_protocol protocol;
	struct port_range r;
	assert_int_equal(port_key_parse("80", &r, &protocol), 0);
	assert_int_equal(protocol, PORT_TCP);
	assert_int_equal(port_key_parse("53-54/UDP", &r, &protocol), 0);
	assert_int_equal(protocol, PORT_UDP);
	assert_int_equal(r.last, 54);
	assert_int_equal(port_key_parse("80/sctp", &r, &protocol), -EPROTONOSUPPORT);
	assert_int_equal(port_key_parse("80/", &r, &protocol), -EPROTONOSUPPORT);
	assert_int_equal(port_key_parse("80/tcp/udp", &r, &protocol), -EPROTONOSUPPORT);
	assert_int_equal(port_key_parse("/tcp", &r, &protocol), -EINVAL);
}

struct expected {
	const char *text, *ip;
	uint16_t host, host_last, inside, inside_last;
	enum port_protocol protocol;
};

static void specs(void **state)
{
	static const struct expected all[] = {
		{ "80", NULL, 0, 0, 80, 80, PORT_TCP },
		{ "8080:80", NULL, 8080, 8080, 80, 80, PORT_TCP },
		{ "8080:80/tcp", NULL, 8080, 8080, 80, 80, PORT_TCP },
		{ ":80", NULL, 0, 0, 80, 80, PORT_TCP },
		{ "0:80", NULL, 0, 0, 80, 80, PORT_TCP },
		{ ":8080:80", NULL, 8080, 8080, 80, 80, PORT_TCP },
		{ "53/udp", NULL, 0, 0, 53, 53, PORT_UDP },
		{ "127.0.0.1:8080:80", "127.0.0.1", 8080, 8080, 80, 80, PORT_TCP },
		{ "127.0.0.1::80", "127.0.0.1", 0, 0, 80, 80, PORT_TCP },
		{ "127.0.0.1:0:80/udp", "127.0.0.1", 0, 0, 80, 80, PORT_UDP },
		{ "[::1]:8080:80", "::1", 8080, 8080, 80, 80, PORT_TCP },
		{ "[2001:db8::1]::80", "2001:db8::1", 0, 0, 80, 80, PORT_TCP },
		{ "8000-8002:80-82", NULL, 8000, 8002, 80, 82, PORT_TCP },
		{ "8000-8002:80", NULL, 8000, 8002, 80, 80, PORT_TCP },
		{ "80-82", NULL, 0, 0, 80, 82, PORT_TCP },
		{ "0.0.0.0:8000-8001:80-81/udp", "0.0.0.0", 8000, 8001, 80, 81, PORT_UDP },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct port_spec p;
		assert_int_equal(port_spec_parse(all[i].text, &p), 0);
		assert_true(streq(p.ip, all[i].ip));
		assert_int_equal(p.host.first, all[i].host);
		assert_int_equal(p.host.last, all[i].host_last);
		assert_int_equal(p.inside.first, all[i].inside);
		assert_int_equal(p.inside.last, all[i].inside_last);
		assert_int_equal(p.protocol, all[i].protocol);
		port_spec_done(&p);
	}
}

static void bad_specs(void **state)
{
	static const char *const bad[] = { "", ":", "8080:", "8080:0", "0", "a:80", "8080:80:90", "1.2.3:8080:80",
		"::1:8080:80", "[127.0.0.1]:8080:80", "[::1:8080:80", "[]:8080:80", "localhost:8080:80",
		"8000-8001:80-82", "8000-8003:80-82", "8080:80-81", "70000:80", " 8080:80", "8080:80 ", "8080::80:" };
	struct port_spec p = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(port_spec_parse(bad[i], &p), -EINVAL);
	assert_int_equal(port_spec_parse("80:80/sctp", &p), -EPROTONOSUPPORT);
	assert_null(p.ip);
}

static void addresses(void **state)
{
	assert_true(port_address_is_valid("0.0.0.0"));
	assert_true(port_address_is_valid("::"));
	assert_true(port_address_is_valid("::ffff:127.0.0.1"));
	assert_false(port_address_is_valid(""));
	assert_false(port_address_is_valid("[::1]"));
	assert_false(port_address_is_valid("fe80::1%eth0"));
	assert_false(port_address_is_valid("127.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(keys),
		cmocka_unit_test(specs),
		cmocka_unit_test(bad_specs),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
