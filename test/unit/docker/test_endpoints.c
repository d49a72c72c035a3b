/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "docker/endpoints.h"

#define ID "1111111111111111111111111111111111111111111111111111111111111111"

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return o;
}

static void of_body(void **state)
{
	static const struct {
		const char *body, *networks;
	} good[] = {
		{ "{}", "bridge" },
		{ "{\"HostConfig\":{\"NetworkMode\":\"default\"},\"NetworkingConfig\":{\"EndpointsConfig\":{"
		  "\"default\":{}}}}",
		    "bridge" },
		{ "{\"HostConfig\":{\"NetworkMode\":\"bridge\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"bridge\":"
		  "null}}}",
		    "bridge" },
		{ "{\"HostConfig\":{\"NetworkMode\":\"b\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{},\"b\":{}"
		  "}}}",
		    "b a" },
		{ "{\"HostConfig\":{\"NetworkMode\":\"none\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"none\":{}}}"
		  "}",
		    "" },
		{ "{\"HostConfig\":{\"NetworkMode\":\"container:x\"}}", "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO_JSON struct json_object *o = parse(good[i].body);
		AUTO_DOCKER_ENDPOINTS struct docker_endpoints list = { 0 };
		AUTO_STRV struct strv names = { 0 };
		assert_int_equal(docker_endpoints_of_body(&list, o, NULL), 0);
		for (size_t k = 0; k < list.count; k++)
			strv_add(&names, list.items[k].network);
		AUTOFREE char *text = strv_join(&names, " ");
		assert_string_equal(text, good[i].networks);
	}
}

static void settings(void **state)
{
	AUTO_JSON struct json_object *o =
	    parse("{\"MacAddress\":\"02:42:AC:11:00:09\",\"HostConfig\":{\"NetworkMode\":\"a\","
		  "\"Links\":[\"/db_1:/web/db\",\"cache\"]},\"NetworkingConfig\":{"
		  "\"EndpointsConfig\":{\"a\":{\"Aliases\":[\"x\",\"y\",\"x\"],\"IPAMConfig\":{"
		  "\"IPv4Address\":\"10.1.0.9\",\"IPv6Address\":\"fd00::9\"},\"GwPriority\":7,\"IPAddress\":\"10.1.0."
		  "1\"}}}}");
	AUTO_DOCKER_ENDPOINTS struct docker_endpoints list = { 0 }, again = { 0 };
	assert_int_equal(docker_endpoints_of_body(&list, o, NULL), 0);
	assert_int_equal(list.count, 1);
	struct docker_endpoint *p = &list.items[0];
	AUTOFREE char *aliases = strv_join(&p->aliases, " "), *links = strv_join(&p->links, " ");
	assert_string_equal(aliases, "x y");
	assert_string_equal(links, "db_1:db cache:cache");
	assert_int_equal(p->wish, 0x0a010009);
	assert_int_equal(p->wish6.s6_addr[15], 9);
	assert_int_equal(p->priority, 7);
	assert_true(p->has_mac);
	assert_memory_equal(p->mac, "\x02\x42\xac\x11\0\x09", 6);
	/* The record's form and back. */
	free(p->network);
	p->network = xstrdup(ID);
	p->name = xstrdup("a");
	p->run = 5;
	p->address = 0x0a010009;
	p->address6 = p->wish6;
	p->interface = 3;
	AUTO_JSON struct json_object *array = docker_endpoints_store(&list);
	assert_int_equal(docker_endpoints_load(&again, array, NULL), 0);
	AUTO_JSON struct json_object *twice = docker_endpoints_store(&again);
	AUTOFREE char *one = json_to_string(array, 0), *two = json_to_string(twice, 0);
	assert_string_equal(one, two);
	assert_int_equal(again.items[0].run, 5);
	assert_int_equal(again.items[0].interface, 3);
	assert_memory_equal(&again.items[0].address6, &p->wish6, sizeof p->wish6);
}

static void bad_bodies(void **state)
{
	static const struct {
		const char *body;
		int code;
	} bad[] = {
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":[]}}", -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":1}}}", -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"\":{}}}}", -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"Aliases\":[\"a b\"]}}}}", -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"Links\":[\"a:b:c/\"]}}}}", -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"MacAddress\":\"01:00:00:00:00:01\"}}}}",
		    -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"IPAMConfig\":{\"IPv4Address\":\"x\"}}}}}",
		    -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"IPAMConfig\":{\"IPv6Address\":\"1.2.3.4\"}}}}}",
		    -EINVAL },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"IPAMConfig\":{\"LinkLocalIPs\":[\"fe80::2\"]}}}"
		  "}}",
		    -EOPNOTSUPP },
		{ "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{\"DriverOpts\":{\"x\":\"y\"}}}}}", -EOPNOTSUPP },
		{ "{\"HostConfig\":{\"NetworkMode\":\"host\"},\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{}}}}",
		    -EINVAL },
		{ "{\"HostConfig\":{\"NetworkMode\":\"none\"},\"MacAddress\":\"02:00:00:00:00:01\"}", -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_JSON struct json_object *o = parse(bad[i].body);
		AUTO_DOCKER_ENDPOINTS struct docker_endpoints list = { 0 };
		assert_int_equal(docker_endpoints_of_body(&list, o, &err), bad[i].code);
		assert_non_null(err);
	}
}

static void bad_records(void **state)
{
	static const char *const bad[] = { "[1]", "[{}]", "[{\"network\":\"x\",\"name\":\"a\"}]",
		"[{\"network\":\"" ID "\"}]", "[{\"network\":\"" ID "\",\"name\":\"a\",\"mac\":\"x\"}]",
		"[{\"network\":\"" ID "\",\"name\":\"a\",\"run\":-1}]",
		"[{\"network\":\"" ID "\",\"name\":\"a\",\"run\":1,\"interface\":10000}]",
		"[{\"network\":\"" ID "\",\"name\":\"a\",\"run\":1,\"interface\":0,\"id\":\"../x\"}]",
		"[{\"network\":\"" ID "\",\"name\":\"a\",\"aliases\":[\"a/b\"]}]" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_JSON struct json_object *o = parse(bad[i]);
		AUTO_DOCKER_ENDPOINTS struct docker_endpoints list = { 0 };
		assert_int_equal(docker_endpoints_load(&list, o, NULL), -EBADMSG);
	}
}

static void macs(void **state)
{
	static const char *const bad[] = { "", "02", "02:42:ac:11:00", "02:42:ac:11:00:0g", "02:42:ac:11:00:022",
		"02-42:ac:11:00:02", "03:42:ac:11:00:02", "02:42:ac:11:00:0" };
	unsigned char mac[DOCKER_MAC_SIZE];
	char text[DOCKER_MAC_TEXT];
	assert_int_equal(docker_mac_parse("02-42-AC-11-00-fe", mac), 0);
	docker_mac_format(mac, text);
	assert_string_equal(text, "02:42:ac:11:00:fe");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(docker_mac_parse(bad[i], mac), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_body),
		cmocka_unit_test(settings),
		cmocka_unit_test(bad_bodies),
		cmocka_unit_test(bad_records),
		cmocka_unit_test(macs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
