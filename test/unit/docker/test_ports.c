/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "docker/ports.h"

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return o;
}

/* Takes o. */
static void expect_json(struct json_object *o, const char *wanted)
{
	AUTOFREE char *text = json_to_string(o, 0);
	AUTO_JSON struct json_object *other = parse(wanted);
	if (!json_object_equal(o, other))
		print_message("%s\n", text);
	assert_true(json_object_equal(o, other));
	json_object_put(o);
}

static void publish(struct docker_ports *p, const char *text)
{
	assert_int_equal(docker_ports_publish(p, text, NULL), 0);
}

static void options(void **state)
{
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
	publish(&p, "8080:80");
	publish(&p, "8080:80/tcp"); /* the same once more */
	publish(&p, "127.0.0.1:8080:80");
	publish(&p, "8080:80/udp");
	publish(&p, "9000-9001:90-91");
	publish(&p, "7000-7009:70");
	publish(&p, "[::1]::60-61");
	expect_json(docker_ports_to_bindings(&p, NULL),
	    "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"},{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}],"
	    "\"80/udp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}],"
	    "\"90/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"9000\"}],\"91/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"9001\"}],"
	    "\"70/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"7000-7009\"}],"
	    "\"60/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"\"}],\"61/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"\"}]}");
	expect_json(docker_ports_to_exposed(&p),
	    "{\"80/tcp\":{},\"80/udp\":{},\"90/tcp\":{},\"91/tcp\":{},\"70/tcp\":{},\"60/tcp\":{},\"61/tcp\":{}}");
}

static void bad_options(void **state)
{
	static const struct {
		const char *text, *says;
		int code;
	} all[] = {
		{ "80:x", "[IP:][HOST:]INSIDE[/udp]", -EINVAL },
		{ "80:80/sctp", "tcp and udp", -EINVAL },
		{ "8080:90", "8080/tcp of the host is published already", -EEXIST },
		{ "8079-8080:1-2", "8080/tcp of the host is published already", -EEXIST },
		{ "1-65535:1-65535", "1024 ports at most", -E2BIG },
	};
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
	publish(&p, "8080:80");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(docker_ports_publish(&p, all[i].text, &err), all[i].code);
		assert_non_null(strstr(error_text(err, 0), all[i].says));
		assert_non_null(strstr(error_text(err, 0), all[i].text));
	}
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(docker_ports_expose(&p, "8080:80", &err), -EINVAL);
	assert_non_null(strstr(error_text(err, 0), "write INSIDE[/udp]"));
}

static void many(void **state)
{
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
	publish(&p, "1-1024");
	publish(&p, "1-1024");
	assert_int_equal(p.count, DOCKER_PORTS_MAX);
	assert_int_equal(docker_ports_publish(&p, "2000", NULL), -E2BIG);
	assert_int_equal(p.count, DOCKER_PORTS_MAX);
}

static void all_exposed(void **state)
{
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 }, exposed = { 0 };
	publish(&p, "8080:80");
	assert_int_equal(docker_ports_expose(&exposed, "80", NULL), 0);
	assert_int_equal(docker_ports_expose(&exposed, "80/udp", NULL), 0);
	assert_int_equal(docker_ports_expose(&exposed, "90-91", NULL), 0);
	assert_int_equal(docker_ports_publish_all(&p, &exposed, NULL), 0);
	expect_json(docker_ports_to_bindings(&p, NULL),
	    "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}],\"80/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],"
	    "\"90/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],\"91/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}");
}

static int read_bindings(const char *text, struct docker_ports *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = parse(text);
	return docker_ports_from_bindings(ret, o, err);
}

static void bindings(void **state)
{
	static const char whole[] =
	    "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"},{\"HostIp\":\"::1\",\"HostPort\":\"\"}],"
	    "\"53/udp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"5300-5309\"}]}";
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 }, loose = { 0 };
	assert_int_equal(read_bindings(whole, &p, NULL), 0);
	assert_int_equal(p.count, 3);
	expect_json(docker_ports_to_bindings(&p, NULL), whole);
	/* The forms that clients send beside that. */
	assert_int_equal(read_bindings("{\"1\":null,\"2/tcp\":[],\"3/UDP\":[{\"HostPort\":\"0\"}],\"4/tcp\":"
				       "[{\"HostIp\":null,\"HostPort\":null}],\"5-6/tcp\":[{\"HostPort\":\"15-16\"}]}",
			     &loose, NULL),
	    0);
	expect_json(docker_ports_to_bindings(&loose, NULL),
	    "{\"1/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],\"2/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],"
	    "\"3/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],\"4/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],"
	    "\"5/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"15\"}],\"6/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"16\"}]}");
	assert_int_equal(docker_ports_from_bindings(&p, NULL, NULL), 0);
	assert_int_equal(p.count, 3);
}

static void bad_bindings(void **state)
{
	static const char *const bad[] = { "[]", "5", "{\"\":[]}", "{\"0/tcp\":[]}", "{\"80/sctp\":null}",
		"{\"80/tcp\":{}}", "{\"80/tcp\":\"8080\"}", "{\"80/tcp\":[null]}", "{\"80/tcp\":[8080]}",
		"{\"80/tcp\":[{\"HostPort\":8080}]}", "{\"80/tcp\":[{\"HostPort\":\"x\"}]}",
		"{\"80/tcp\":[{\"HostPort\":\"65536\"}]}", "{\"80/tcp\":[{\"HostIp\":\"localhost\"}]}",
		"{\"80/tcp\":[{\"HostIp\":\"[::1]\"}]}", "{\"80/tcp\":[{\"HostPort\":\"8080\\u0000\"}]}",
		"{\"5-6/tcp\":[{\"HostPort\":\"15-17\"}]}", "{\"5-6/tcp\":[{\"HostPort\":\"15\"}]}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
		int r = read_bindings(bad[i], &p, &err);
		if (r != -EINVAL)
			print_message("%s\n", bad[i]);
		assert_int_equal(r, -EINVAL);
		assert_non_null(err);
		assert_null(strchr(error_text(err, 0), '\n'));
	}
}

static void exposed_of_image(void **state)
{
	AUTO_JSON struct json_object *o = parse("{\"80/tcp\":{},\"443\":null,\"53/udp\":{}}");
	AUTO_JSON struct json_object *bad = parse("{\"http\":{}}"), *list = parse("[]");
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
	assert_int_equal(docker_ports_from_exposed(&p, o, NULL), 0);
	expect_json(docker_ports_to_exposed(&p), "{\"80/tcp\":{},\"443/tcp\":{},\"53/udp\":{}}");
	assert_int_equal(docker_ports_from_exposed(&p, NULL, NULL), 0);
	assert_int_equal(docker_ports_from_exposed(&p, bad, NULL), -EINVAL);
	assert_int_equal(docker_ports_from_exposed(&p, list, NULL), -EINVAL);
}

static void bodies(void **state)
{
	static const char *const bad[] = { "{\"ExposedPorts\":[]}", "{\"HostConfig\":5}",
		"{\"HostConfig\":{\"PortBindings\":[]}}", "{\"HostConfig\":{\"PublishAllPorts\":\"yes\"}}",
		"{\"HostConfig\":{\"PortBindings\":{\"x\":null}}}", "{\"ExposedPorts\":{\"80/x\":{}}}" };
	static const struct {
		const char *body, *published, *exposed;
	} good[] = {
		{ "{}", "{}", "{}" },
		{ "{\"ExposedPorts\":null,\"HostConfig\":{\"PortBindings\":null,\"PublishAllPorts\":null}}", "{}",
		    "{}" },
		{ "{\"ExposedPorts\":{\"80/tcp\":{}},\"HostConfig\":{\"PortBindings\":{\"53/udp\":null}}}",
		    "{\"53/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}", "{\"80/tcp\":{},\"53/udp\":{}}" },
		{ "{\"ExposedPorts\":{\"80/tcp\":{},\"90/tcp\":{}},\"HostConfig\":{\"PublishAllPorts\":true,"
		  "\"PortBindings\":{\"90/tcp\":[{\"HostPort\":\"9\"}]}}}",
		    "{\"90/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"9\"}],\"80/"
		    "tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}",
		    "{\"80/tcp\":{},\"90/tcp\":{}}" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
		int is_good = i < ARRAY_SIZE(good);
		AUTO_JSON struct json_object *o = parse(is_good ? good[i].body : bad[i - ARRAY_SIZE(good)]);
		AUTO_DOCKER_PORTS struct docker_ports published = { 0 }, exposed = { 0 };
		assert_int_equal(docker_ports_read(o, &published, &exposed, NULL), is_good ? 0 : -EINVAL);
		if (!is_good)
			continue;
		expect_json(docker_ports_to_bindings(&published, NULL), good[i].published);
		expect_json(docker_ports_to_exposed(&exposed), good[i].exposed);
	}
}

static void answers(void **state)
{
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 }, exposed = { 0 };
	publish(&bound, "127.0.0.1:8080:80");
	publish(&bound, "[::1]:8080:80");
	assert_int_equal(docker_ports_expose(&exposed, "80", NULL), 0);
	assert_int_equal(docker_ports_expose(&exposed, "443", NULL), 0);
	expect_json(docker_ports_to_bindings(&bound, &exposed),
	    "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"},{\"HostIp\":\"::1\",\"HostPort\":\"8080\"}],"
	    "\"443/tcp\":null}");
	expect_json(docker_ports_to_list(&bound, &exposed),
	    "[{\"IP\":\"127.0.0.1\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
	    "{\"IP\":\"::1\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
	    "{\"PrivatePort\":443,\"Type\":\"tcp\"}]");
}

/* The text of a list, which the engine writes and the command line reads. */
static void expect_text(const char *list, const char *wanted)
{
	AUTO_JSON struct json_object *o = parse(list);
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 }, exposed = { 0 };
	assert_int_equal(docker_ports_from_list(o, &bound, &exposed, NULL), 0);
	AUTOFREE char *text = docker_ports_text(&bound, &exposed);
	assert_string_equal(text, wanted);
}

#define BOUND(ip, inside, host)                                                                                        \
	"{\"IP\":\"" ip "\",\"PrivatePort\":" inside ",\"PublicPort\":" host ",\"Type\":\"tcp\"}"

static void column(void **state)
{
	expect_text("[]", "");
	expect_text("[" BOUND("127.0.0.1", "80", "8080") "," BOUND("::1", "80", "8080") "]",
	    "127.0.0.1:8080->80/tcp, [::1]:8080->80/tcp");
	expect_text("[{\"PrivatePort\":443,\"Type\":\"tcp\"},{\"PrivatePort\":53,\"Type\":\"udp\"}," BOUND("0.0.0.0",
			"80", "8080") "]",
	    "53/udp, 443/tcp, 0.0.0.0:8080->80/tcp");
	/* The same inside and outside: ranges. */
	expect_text("[" BOUND("0.0.0.0", "81", "81") "," BOUND("0.0.0.0", "80", "80") "," BOUND("0.0.0.0", "90",
			"90") "," BOUND("::", "80", "80") "," BOUND("::", "81", "81") "]",
	    "0.0.0.0:80-81->80-81/tcp, 0.0.0.0:90->90/tcp, [::]:80-81->80-81/tcp");
	/* Not published where it is published, too. */
	expect_text("[" BOUND("0.0.0.0", "80", "80") ",{\"PrivatePort\":80,\"Type\":\"tcp\"}]", "0.0.0.0:80->80/tcp");
}

static void bad_lists(void **state)
{
	static const char *const bad[] = { "{}", "[5]", "[{}]", "[{\"PrivatePort\":80}]",
		"[{\"PrivatePort\":70000,\"Type\":\"tcp\"}]", "[{\"PrivatePort\":80,\"Type\":\"sctp\"}]",
		"[" BOUND("web", "80", "80") "]", "[" BOUND("::1", "80", "-1") "]" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_JSON struct json_object *o = parse(bad[i]);
		AUTO_ERROR struct error *err = NULL;
		AUTO_DOCKER_PORTS struct docker_ports bound = { 0 }, exposed = { 0 };
		assert_int_equal(docker_ports_from_list(o, &bound, &exposed, &err), -EINVAL);
		assert_non_null(err);
	}
}

static void words(void **state)
{
	static const char *const good[] = { "80", "8080:80", "8000-8010:80/udp", "127.0.0.1::80", "[::1]:8080:80/udp" };
	AUTO_DOCKER_PORTS struct docker_ports p = { 0 };
	AUTO_STRV struct strv in = { 0 }, out = { 0 }, range = { 0 }, none = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		strv_add(&in, good[i]);
	assert_int_equal(docker_ports_from_words(&p, &in, NULL), 0);
	docker_ports_to_words(&p, &out);
	assert_int_equal(out.count, ARRAY_SIZE(good));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_string_equal(out.items[i], good[i]);
	strv_add(&range, "80-81");
	assert_int_equal(docker_ports_from_words(&p, &range, NULL), -EINVAL);
	strv_add(&none, "x:80");
	assert_int_equal(docker_ports_from_words(&p, &none, NULL), -EINVAL);
	for (size_t i = 0; i <= 2 * DOCKER_PORTS_MAX; i++)
		strv_add(&in, "80");
	assert_int_equal(docker_ports_from_words(&p, &in, NULL), -E2BIG);
	assert_int_equal(p.count, ARRAY_SIZE(good));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(many),
		cmocka_unit_test(all_exposed),
		cmocka_unit_test(bindings),
		cmocka_unit_test(bad_bindings),
		cmocka_unit_test(exposed_of_image),
		cmocka_unit_test(bodies),
		cmocka_unit_test(answers),
		cmocka_unit_test(column),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
