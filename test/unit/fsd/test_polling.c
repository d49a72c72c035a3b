/* SPDX-License-Identifier: Apache-2.0
 * Tests when the share's worker polls before it sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fsd/vhost/polling.h"

/* The number of sleeps before the next poll. */
static unsigned sleeps(struct polling *p)
{
	unsigned n = 0;
	while (!polling_pays(p))
		n++;
	return n;
}

static void test_found(void **state)
{
	struct polling p = { 0 };
	for (int n = 0; n < 100; n++) {
		assert_int_equal(sleeps(&p), 0);
		polling_note(&p, 1);
	}
	/* The end of a burst costs one poll, not the next burst. */
	polling_note(&p, 0);
	assert_int_equal(sleeps(&p), 1);
	polling_note(&p, 1);
	assert_int_equal(sleeps(&p), 0);
}

static void test_never_found(void **state)
{
	struct polling p = { 0 };
	unsigned polls = 0, all = 0;
	for (unsigned expected = 1; expected <= POLLING_SLEEPS_MAX; expected *= 2) {
		polling_note(&p, 0);
		assert_int_equal(sleeps(&p), expected);
	}
	/* From then on it polls once in so many requests. */
	for (; all < 100 * POLLING_SLEEPS_MAX; polls++) {
		polling_note(&p, 0);
		all += sleeps(&p);
	}
	assert_int_equal(polls, 100);
	polling_note(&p, 1);
	assert_int_equal(sleeps(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_never_found),
	};
	return cmocka_run_group_tests_name("fsd_polling", tests, NULL, NULL);
}
