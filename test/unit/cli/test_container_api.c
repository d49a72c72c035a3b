/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/container/api.h"

static void targets(void **state)
{
	AUTOFREE char *path = api_path("/images/", "a/b:c d", "/json"),
		      *none = api_target("/x", "a", (const char *)NULL, NULL),
		      *two = api_target("/x", "a", "1 &", "b", (const char *)NULL, "c", "", NULL);
	assert_string_equal(path, "/images/a%2Fb%3Ac%20d/json");
	assert_string_equal(none, "/x");
	assert_string_equal(two, "/x?a=1%20%26&c=");
}

static int filters_of(const char *a, const char *b, char **ret, struct error **err)
{
	AUTO_STRV struct strv texts = { 0 };
	if (a)
		strv_add(&texts, a);
	if (b)
		strv_add(&texts, b);
	return api_filters(&texts, ret, err);
}

static void filters(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *none = NULL, *two = NULL, *broken = NULL;
	assert_int_equal(filters_of(NULL, NULL, &none, &err), 0);
	assert_null(none);
	assert_int_equal(filters_of("label=a=b", "label=c", &two, &err), 0);
	assert_string_equal(two, "{\"label\":{\"a=b\":true,\"c\":true}}");
	assert_int_equal(filters_of("name", NULL, &broken, &err), -EINVAL);
	assert_non_null(strstr(err->text, "KEY=VALUE"));
	error_clear(&err);
	assert_int_equal(filters_of("=x", NULL, &broken, &err), -EINVAL);
}

static void explanations(void **state)
{
	static const struct {
		const char *kind, *name, *said, *shown;
	} cases[] = {
		{ "container", "web", "No such container: web",
		    "container \"web\": no such container; see holm ps -a" },
		{ "container", "web", "cannot kill container: web: container 0123 is not running",
		    "container \"web\": it is not running; holm start web" },
		{ "image", "x", "No such image: x", "image \"x\": no such image; holm pull x, or see holm images" },
		{ "container", "web", "something else", "container \"web\": something else" },
		{ "container", "web", "machine \"dev\" is stopping", "machine \"dev\" is stopping" },
		{ "container", NULL, "invalid filter", "invalid filter" },
	};
	struct api a = { .verb = &command_container_kill };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_ERROR struct error *err = NULL;
		error_set(&err, ENOENT, "%s", cases[i].said);
		assert_int_equal(api_explain(&a, cases[i].kind, cases[i].name, -ENOENT, &err), -ENOENT);
		assert_string_equal(err->text, cases[i].shown);
	}
}

static int count(const struct api *a, const char *name, void *data)
{
	++*(int *)data;
	return *name == 'x' ? 7 : 0;
}

static void each(void **state)
{
	AUTO_STRV struct strv names = { 0 };
	int calls = 0;
	assert_int_equal(api_each(NULL, &names, count, &calls), 0);
	strv_add(&names, "x");
	strv_add(&names, "b");
	assert_int_equal(api_each(NULL, &names, count, &calls), 7);
	assert_int_equal(calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(filters),
		cmocka_unit_test(explanations),
		cmocka_unit_test(each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
