/* SPDX-License-Identifier: Apache-2.0
 * Filters, times and base64 of the Docker API. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "docker/base64.h"
#include "docker/filters.h"

static const char *const known[] = { "label", "label!", "name", NULL };

static void test_both_forms(void **state)
{
	static const char *const texts[] = { "{\"name\":{\"a\":true,\"b\":true,\"c\":false}}",
		"{\"name\":[\"a\",\"b\"]}" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_JSON struct json_object *filters = NULL;
		AUTO_STRV struct strv values = { 0 };
		assert_int_equal(docker_filters_parse(texts[i], known, &filters, NULL), 0);
		docker_filters_get(filters, "name", &values);
		docker_filters_get(filters, "label", &values);
		docker_filters_get(NULL, "name", &values);
		AUTOFREE char *all = strv_join(&values, " ");
		assert_string_equal(all, "a b");
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = { "{", "[]", "7", "{\"other\":[]}", "{\"name\":\"a\"}", "{\"name\":[1]}" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_JSON struct json_object *filters = NULL;
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(docker_filters_parse(texts[i], known, &filters, &err), -EINVAL);
		assert_null(filters);
		assert_non_null(err);
	}
}

/* The keeper looks at filters that only the engine checks. */
static void test_unchecked(void **state)
{
	static const char *const texts[] = { "{\"name\":\"a\"}", "{\"name\":7}", "{\"name\":null}", "{\"name\":[null]}",
		"{\"name\":true}" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_JSON struct json_object *filters = NULL;
		AUTO_STRV struct strv values = { 0 };
		assert_int_equal(json_parse(texts[i], strlen(texts[i]), "filters", &filters, NULL), 0);
		docker_filters_get(filters, "name", &values);
		assert_int_equal(values.count, 0);
	}
}

static void test_labels(void **state)
{
	static const struct {
		const char *filters;
		int match;
	} cases[] = { { "", 1 }, { "null", 1 }, { "{\"label\":[\"k\"]}", 1 }, { "{\"label\":[\"k=v\"]}", 1 },
		{ "{\"label\":[\"k=w\"]}", 0 }, { "{\"label\":[\"k\",\"m\"]}", 0 }, { "{\"label!\":[\"k\"]}", 0 },
		{ "{\"label!\":[\"k=w\"]}", 1 } };
	AUTO_JSON struct json_object *labels = json_object_new_object();
	json_add_string(labels, "k", "v");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *filters = NULL;
		assert_int_equal(docker_filters_parse(cases[i].filters, known, &filters, NULL), 0);
		assert_int_equal(docker_filters_match_labels(filters, labels), cases[i].match);
	}
}

static void test_texts(void **state)
{
	static const struct {
		const char *value, *text;
		int match;
	} cases[] = { { "web", "web-1", 1 }, { "^web$", "web-1", 0 }, { "^web$", "web", 1 }, { "^/web$", "web", 0 },
		{ "web|db", "my-db", 1 }, { "^w.*[0-9]$", "web-1", 1 }, { "w\\\\.b", "web", 0 },
		{ "w\\\\.b", "w.b", 1 }, { "(", "web", 0 }, { "a{9}", "aaaaaaaaa", 0 }, { "a{9}", "xa{9}", 1 },
		{ "(w)\\\\1", "ww", 0 }, { "^w+e*b+$", "wwebb", 1 },
		/* regcomp(3) would take gigabytes for these two, so they are no patterns. */
		{ "((((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", "a", 0 },
		{ "a++++++++++++++++++++++++++++++", "a", 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *filters = NULL;
		AUTOFREE char *text = xasprintf("{\"name\":[\"none\",\"%s\"]}", cases[i].value);
		assert_int_equal(docker_filters_parse(text, known, &filters, NULL), 0);
		assert_int_equal(docker_filters_match_text(filters, "name", cases[i].text), cases[i].match);
		assert_int_equal(docker_filters_match_text(filters, "label", cases[i].text), 1);
		assert_int_equal(docker_filters_match_word(filters, "name", "none"), 1);
		assert_int_equal(docker_filters_match_word(filters, "name", "non"), 0);
	}
}

static void test_ports(void **state)
{
	static const char *const wrong[] = { "", "x", "0", "70000", "80/icmp", "1:2", "90-80" };
	AUTO_JSON struct json_object *filters = NULL;
	static const char *const names[] = { "publish", NULL };
	assert_int_equal(docker_filters_parse("{\"publish\":[\"80\",\"1-9/udp\"]}", names, &filters, NULL), 0);
	assert_int_equal(docker_filters_check_ports(filters, "publish", NULL), 0);
	assert_int_equal(docker_filters_match_port(filters, "publish", 80, PORT_TCP), 1);
	assert_int_equal(docker_filters_match_port(filters, "publish", 80, PORT_UDP), 0);
	assert_int_equal(docker_filters_match_port(filters, "publish", 9, PORT_UDP), 1);
	assert_int_equal(docker_filters_match_port(filters, "publish", 10, PORT_UDP), 0);
	assert_int_equal(docker_filters_match_port(filters, "expose", 80, PORT_TCP), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		AUTO_JSON struct json_object *bad = NULL;
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *text = xasprintf("{\"publish\":[\"%s\"]}", wrong[i]);
		assert_int_equal(docker_filters_parse(text, names, &bad, NULL), 0);
		assert_int_equal(docker_filters_check_ports(bad, "publish", &err), -EINVAL);
		assert_non_null(strstr(err->text, "publish"));
	}
}

static void test_times(void **state)
{
	assert_int_equal(docker_parse_time(NULL), 0);
	assert_int_equal(docker_parse_time("never"), 0);
	assert_int_equal(docker_parse_time("12"), 12000000000);
	assert_int_equal(docker_parse_time("12.000000034"), 12000000034);
	assert_int_equal(docker_parse_time("12.5"), 12500000000);
	assert_int_equal(docker_parse_time("1970-01-01T00:00:02Z"), 2000000000);
	assert_int_equal(docker_parse_time("99999999999999999999"), 0);
	assert_int_equal(docker_parse_until("1h30m", 6000 * 1000000000LL), 600 * 1000000000LL);
	assert_int_equal(docker_parse_until("500ms", 1000000000), 500000000);
	assert_int_equal(docker_parse_until("12", 1000000000), 12000000000);
	assert_int_equal(docker_parse_until("1x", 1000000000), 0);
}

static void test_base64(void **state)
{
	static const struct {
		const char *plain, *encoded;
	} cases[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "\xfb\xff\xbe", "+/++" } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *encoded = docker_base64(cases[i].plain, strlen(cases[i].plain)),
			      *decoded = docker_base64_decode(cases[i].encoded);
		assert_string_equal(encoded, cases[i].encoded);
		assert_string_equal(decoded, cases[i].plain);
	}
	AUTOFREE char *url = docker_base64_decode("-_--"), *bare = docker_base64_decode("e30"),
		      *bad = docker_base64_decode("a*=="), *one = docker_base64_decode("a"),
		      *nul = docker_base64_decode("AA==");
	assert_string_equal(url, "\xfb\xff\xbe");
	assert_string_equal(bare, "{}");
	assert_null(bad);
	assert_null(one);
	assert_null(nul);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unchecked),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
