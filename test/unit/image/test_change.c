/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "image/commands/change.h"

static const struct {
	const char *first, *second, *result; /* NULL: the last of them is refused */
} rows[] = {
	{ "ENV A=1", NULL, "{\"Env\":[\"A=1\"]}" },
	{ "env A 1 2", NULL, "{\"Env\":[\"A=1 2\"]}" },
	{ "ENV A=1", "ENV A='x y'", "{\"Env\":[\"A=x y\"]}" },
	{ "LABEL a=1", "LABEL a=\"\"", "{\"Labels\":{\"a\":\"\"}}" },
	{ "USER=me", NULL, "{\"User\":\"me\"}" },
	{ "USER me", "USER you", "{\"User\":\"you\"}" },
	{ "CMD []", NULL, "{\"Cmd\":[]}" },
	{ "CMD a \"b\"", NULL, "{\"Cmd\":[\"/bin/sh\",\"-c\",\"a \\\"b\\\"\"]}" },
	{ "ENV", NULL, NULL },
	{ "ENV =1", NULL, NULL },
	{ "ENV A", NULL, NULL },
	{ "CMD [\"a\"", NULL, NULL },
	{ "CMD [{}]", NULL, NULL },
	{ "EXPOSE 80 53/udp", "EXPOSE 443", "{\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{},\"443/tcp\":{}}}" },
	{ "VOLUME [\"/x y\"]", "VOLUME /z", "{\"Volumes\":{\"/x y\":{},\"/z\":{}}}" },
	{ "ONBUILD RUN a", "ONBUILD RUN b", "{\"OnBuild\":[\"RUN a\",\"RUN b\"]}" },
	{ "EXPOSE [{}]", NULL, NULL },
	{ "FROM x", NULL, NULL },
	{ "", NULL, NULL },
};

static void changes(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		AUTO_JSON struct json_object *o = json_object_new_object();
		AUTO_ERROR struct error *err = NULL;
		int r = change_apply(o, rows[k].first, &err);
		if (r == 0 && rows[k].second)
			r = change_apply(o, rows[k].second, &err);
		AUTOFREE char *text = json_to_string(o, 0);
		if (rows[k].result) {
			assert_int_equal(r, 0);
			assert_string_equal(text, rows[k].result);
		} else {
			assert_true(r < 0);
			assert_non_null(err);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(changes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
