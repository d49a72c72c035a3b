/* SPDX-License-Identifier: Apache-2.0
 * The probe's cache line, and the probe itself on whatever this machine has: it must come to a
 * verdict in time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "isolation/vm/probe.h"

static void test_cache_line(void **state)
{
	const struct probe_result before = { .verdict = PROBE_SLOW, .microseconds = 987654 };
	struct probe_result after = { 0 };
	AUTOFREE char *line = probe_cache_format("boot-1:2:3", before);
	assert_string_equal(line, "v1 boot-1:2:3 slow 987654\n");
	assert_int_equal(probe_cache_parse(line, "boot-1:2:3", &after), 0);
	assert_int_equal(after.verdict, PROBE_SLOW);
	assert_int_equal(after.microseconds, 987654);
}

static void test_cache_of_another_boot(void **state)
{
	struct probe_result result;
	static const char *const bad[] = { "", "v1", "v2 key works 1", "v1 other works 1", "v1 key perfect 1",
		"v1 key works -1", "v1 key works 1 2", "v1 key works" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(probe_cache_parse(bad[i], "key", &result), -EINVAL);
}

static void test_every_verdict_has_a_text(void **state)
{
	for (int v = 0; v < PROBE_VERDICT_COUNT; v++)
		assert_true(strlen(probe_text((enum probe_verdict)v)) > 0);
}

static void test_verdict_comes_in_time(void **state)
{
	uint64_t start = clock_now_ms();
	struct probe_result result = probe_run();
	assert_true(clock_now_ms() - start < 20 * PROBE_DEADLINE_MS);
	print_message("this machine: %s (%llu us)\n", probe_text(result.verdict),
	    (unsigned long long)result.microseconds);
	if (result.verdict == PROBE_WORKS)
		assert_true(result.microseconds <= PROBE_LIMIT_MS * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_line),
		cmocka_unit_test(test_cache_of_another_boot),
		cmocka_unit_test(test_every_verdict_has_a_text),
		cmocka_unit_test(test_verdict_comes_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
