/* SPDX-License-Identifier: Apache-2.0
 * When the share's server looks for the next request before it sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fsd/vhost/pace.h"

/* How many sleeps until the next look. */
static unsigned sleeps(struct pace *p)
{
	unsigned n = 0;
	while (!pace_may_look(p))
		n++;
	return n;
}

static void test_found(void **state)
{
	struct pace p = { 0 };
	for (int n = 0; n < 100; n++) {
		assert_int_equal(sleeps(&p), 0);
		pace_found(&p, 1);
	}
	/* The end of a burst costs one look, not the next burst. */
	pace_found(&p, 0);
	assert_int_equal(sleeps(&p), 1);
	pace_found(&p, 1);
	assert_int_equal(sleeps(&p), 0);
}

static void test_never_found(void **state)
{
	struct pace p = { 0 };
	unsigned looks = 0, all = 0;
	for (unsigned expected = 1; expected <= PACE_SLEEPS_MAX; expected *= 2) {
		pace_found(&p, 0);
		assert_int_equal(sleeps(&p), expected);
	}
	/* From then on one look in so many requests. */
	for (; all < 100 * PACE_SLEEPS_MAX; looks++) {
		pace_found(&p, 0);
		all += sleeps(&p);
	}
	assert_int_equal(looks, 100);
	pace_found(&p, 1);
	assert_int_equal(sleeps(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_never_found),
	};
	return cmocka_run_group_tests_name("fsd_pace", tests, NULL, NULL);
}
