/* SPDX-License-Identifier: Apache-2.0
 * The words that Docker's own clients use for times and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "docker/units.h"

static void durations(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = { { -5, "Less than a second" }, { 0, "Less than a second" }, { 1, "1 second" }, { 2, "2 seconds" },
		{ 59, "59 seconds" }, { 60, "About a minute" }, { 119, "About a minute" }, { 120, "2 minutes" },
		{ 3599, "59 minutes" }, { 3600, "About an hour" }, { 5399, "About an hour" }, { 5400, "2 hours" },
		{ 3 * 3600, "3 hours" }, { 47 * 3600, "47 hours" }, { 48 * 3600, "2 days" }, { 13 * 86400, "13 days" },
		{ 14 * 86400, "2 weeks" }, { 60 * 86400, "2 months" }, { 729 * 86400, "24 months" },
		{ 730 * 86400, "2 years" }, { INT64_MAX / 1000000000, "292 years" } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text = docker_duration(cases[i].seconds * 1000000000);
		assert_string_equal(text, cases[i].text);
	}
}

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = { { 0, "0B" }, { 999, "999B" }, { 1000, "1kB" }, { 1536, "1.54kB" }, { 999499, "999kB" },
		{ 999500, "1MB" }, { 4040000, "4.04MB" }, { 123456789012, "123GB" }, { UINT64_MAX, "18.4EB" } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text = docker_size(cases[i].bytes);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(durations), cmocka_unit_test(sizes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
