/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "agent/engine/network_mode.h"

static struct network_plan decide(const char *mode, int publishes, int has_bridge)
{
	const struct network_wish w = { .mode = mode, .publishes = publishes };
	struct network_plan p;
	assert_int_equal(network_decide(&w, has_bridge, &p, NULL), 0);
	return p;
}

static void bridge(void **state)
{
	static const char *const words[] = { NULL, "", "default", "bridge" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct network_plan p = decide(words[i], 1, 1);
		assert_int_equal(p.kind, NETWORK_BRIDGE);
		assert_string_equal(p.mode, "bridge");
		assert_true(p.own_namespace && p.has_interface && p.own_files);
		assert_int_equal(p.ports, NETWORK_PORTS_CONTAINER);
		assert_null(p.warning);
		assert_null(p.container);
	}
}

static void without_bridge(void **state)
{
	struct network_plan p = decide("default", 1, 0);
	assert_int_equal(p.kind, NETWORK_BRIDGE);
	assert_false(p.own_namespace || p.has_interface);
	assert_true(p.own_files);
	assert_int_equal(p.ports, NETWORK_PORTS_MACHINE);
	p = decide("none", 0, 0);
	assert_true(p.own_namespace);
}

static void none_and_host(void **state)
{
	struct network_plan p = decide("none", 0, 1);
	assert_int_equal(p.kind, NETWORK_NONE);
	assert_true(p.own_namespace && p.own_files);
	assert_false(p.has_interface);
	assert_null(p.warning);
	p = decide("host", 0, 1);
	assert_int_equal(p.kind, NETWORK_HOST);
	assert_false(p.own_namespace || p.has_interface);
	assert_int_equal(p.ports, NETWORK_PORTS_NONE);
	assert_null(p.warning);
	p = decide("host", 1, 1);
	assert_string_equal(p.warning, "Published ports are discarded when using host network mode");
	p = decide("none", 1, 1);
	assert_non_null(p.warning);
	const struct network_wish all = { .mode = "host",
		.has_hostname = 1,
		.has_dns = 1,
		.has_hosts = 1,
		.exposes = 1 };
	assert_int_equal(network_decide(&all, 1, &p, NULL), 0);
}

static void container(void **state)
{
	struct network_plan p = decide("container:web", 0, 1);
	assert_int_equal(p.kind, NETWORK_CONTAINER);
	assert_string_equal(p.container, "web");
	assert_string_equal(p.mode, "container:web");
	assert_false(p.own_namespace || p.has_interface || p.own_files);
	assert_int_equal(p.ports, NETWORK_PORTS_NONE);
}

static void conflicts(void **state)
{
	static const struct {
		struct network_wish wish;
		const char *says;
	} all[] = {
		{ { .mode = "container:x", .has_hostname = 1 }, "--hostname" },
		{ { .mode = "container:x", .has_dns = 1 }, "--dns" },
		{ { .mode = "container:x", .has_hosts = 1 }, "--add-host" },
		{ { .mode = "container:x", .publishes = 1 }, "port publishing and the network mode" },
		{ { .mode = "container:x", .exposes = 1 }, "--expose" },
		{ { .mode = "container:" }, "container:NAME" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		AUTO_ERROR struct error *err = NULL;
		struct network_plan p;
		assert_int_equal(network_decide(&all[i].wish, 1, &p, &err), -EINVAL);
		assert_non_null(strstr(error_text(err, 0), all[i].says));
	}
}

static void unknown(void **state)
{
	static const char *const words[] = { "mine", "Bridge", "hosts", "container", "bridge ", "ns:/proc/1/ns/net" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		AUTO_ERROR struct error *err = NULL;
		const struct network_wish w = { .mode = words[i] };
		struct network_plan p;
		assert_int_equal(network_decide(&w, 1, &p, &err), -ENOENT);
		assert_non_null(strstr(error_text(err, 0), words[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridge),
		cmocka_unit_test(without_bridge),
		cmocka_unit_test(none_and_host),
		cmocka_unit_test(container),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
