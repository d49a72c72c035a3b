/* SPDX-License-Identifier: Apache-2.0
 * The columns of docker's lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/container/list.h"

static void same(char *text, const char *wanted)
{
	assert_string_equal(text, wanted);
	free(text);
}

static void texts(void **state)
{
	same(list_id("sha256:0123456789abcdef", 0), "0123456789ab");
	same(list_id("0123456789abcdef", 0), "0123456789ab");
	same(list_id("sha256:0123456789abcdef", 1), "sha256:0123456789abcdef");
	same(list_ellipsis("", 5), "");
	same(list_ellipsis("12345", 5), "12345");
	same(list_ellipsis("123456", 5), "1234…");
	same(list_ellipsis("æøåæø", 5), "æøåæø");
	same(list_ellipsis("æøåæøå", 5), "æøåæ…");
	same(list_quote("a \"b\" \\ \n\t\001 æ"), "\"a \\\"b\\\" \\\\ \\n\\t\\x01 æ\"");
}

static void pairs(void **state)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	same(list_pairs(NULL), "");
	same(list_pairs(o), "");
	json_add_string(o, "b", "2");
	json_add_string(o, "a", "");
	json_add(o, "c", NULL);
	same(list_pairs(o), "a=,b=2,c=");
}

static void times(void **state)
{
	setenv("TZ", "UTC", 1);
	tzset();
	same(list_time(1700000000), "2023-11-14 22:13:20 +0000 UTC");
	same(list_ago(0), "N/A");
	same(list_ago(time(NULL) - 150), "2 minutes ago");
	same(list_ago(time(NULL) + 1000), "Less than a second ago");
	same(list_ago(INT64_MAX), "Less than a second ago");
	free(list_ago(INT64_MIN));
	free(list_time(INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(texts), cmocka_unit_test(pairs), cmocka_unit_test(times) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
