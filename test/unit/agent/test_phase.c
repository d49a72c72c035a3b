/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/life/phase.h"

static void see(struct agent *a, enum agent_phase wanted, int result)
{
	enum agent_phase before = a->phase;
	assert_int_equal(agent_enter(a, wanted), result);
	assert_int_equal(a->phase, result == 0 ? wanted : before);
}

static void test_a_respawned_agent_adopts(void **state)
{
	struct agent a = { .phase = PHASE_IDLE };
	see(&a, PHASE_IDLE, -EPERM);
	see(&a, PHASE_RUNNING, 0);
	see(&a, PHASE_BOOTING, -EPERM);
	see(&a, PHASE_RUNNING, -EPERM);
}

static void test_nothing_follows_a_stop(void **state)
{
	static const enum agent_phase starts[] = { PHASE_IDLE, PHASE_BOOTING, PHASE_RUNNING };
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct agent a = { .phase = starts[i] };
		see(&a, PHASE_STOPPING, 0);
		see(&a, PHASE_STOPPING, -EPERM);
		see(&a, PHASE_IDLE, -EPERM);
		see(&a, PHASE_BOOTING, -EPERM);
		see(&a, PHASE_RUNNING, -EPERM);
	}
}

/* The worker that mounts the disk reports its failure after a stop request. */
static void test_a_late_failure(void **state)
{
	struct agent a = { .phase = PHASE_BOOTING };
	see(&a, PHASE_STOPPING, 0);
	agent_fail(&a, EIO, "the disk is not there", NULL);
	assert_int_equal(a.phase, PHASE_STOPPING);
	struct agent b = { .phase = PHASE_BOOTING };
	agent_fail(&b, EIO, "the disk is not there", NULL);
	assert_int_equal(b.phase, PHASE_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_respawned_agent_adopts),
		cmocka_unit_test(test_nothing_follows_a_stop),
		cmocka_unit_test(test_a_late_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
