/* SPDX-License-Identifier: Apache-2.0
 * A machine's life as one table.
 *
 *     IDLE -------------> BOOTING -------------> RUNNING -------------> STOPPING
 *          boot request           the init runs          stop request,
 *                                                        or the init is gone
 *
 * A boot that fails leads back to IDLE: from BOOTING, or from RUNNING while the init is not up. An
 * agent that was respawned adopts the running machine and goes from IDLE to RUNNING. A stop request
 * leads to STOPPING from everywhere, and nothing leads out of it. A reboot inside starts another
 * init within RUNNING.
 *
 * Events call agent_enter(); nothing else writes the phase. Two of them may cross: a stop request
 * arrives while a worker mounts the disk, and that worker reports its success or failure
 * afterwards. The table refuses the late step. */
#include "agent/life/life.h"
#include "agent/life/phase.h"

#include <errno.h>

#include "agent/life/report.h"
#include "base/log.h"

#define FROM(phase) (1U << (phase))

static const struct {
	const char *name;
	unsigned from;                  /* the phases that lead here */
	void (*enter)(struct agent *a); /* begins its work; NULL: none */
} phases[] = {
	[PHASE_IDLE] = { "idle", FROM(PHASE_BOOTING) | FROM(PHASE_RUNNING), NULL },
	[PHASE_BOOTING] = { "booting", FROM(PHASE_IDLE), boot_prepare },
	[PHASE_RUNNING] = { "running", FROM(PHASE_IDLE) | FROM(PHASE_BOOTING), NULL },
	[PHASE_STOPPING] = { "stopping", FROM(PHASE_IDLE) | FROM(PHASE_BOOTING) | FROM(PHASE_RUNNING), NULL },
};

int agent_enter(struct agent *a, enum agent_phase phase)
{
	if (!(phases[phase].from & FROM(a->phase))) {
		log_debug("%s: not after %s", phases[phase].name, phases[a->phase].name);
		return -EPERM;
	}
	a->phase = phase;
	if (phases[phase].enter)
		phases[phase].enter(a);
	return 0;
}

void agent_fail(struct agent *a, int code, const char *text, struct json_object *log)
{
	agent_enter(a, PHASE_IDLE);
	boot_fail(a, code, text, log);
}
