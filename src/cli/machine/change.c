/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/change.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/output.h"

enum { LOCK_MS = 5000 };

int change_machine(const char *name, int (*change)(struct machine *m, void *data, struct error **err), void *data,
    struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_FD int lock = machine_config_lock(name, clock_deadline(LOCK_MS), err);
	if (lock < 0)
		return lock;
	int r = machine_load(name, &m, err);
	if (r == 0)
		r = change(m, data, err);
	if (r < 0)
		return r;
	machine_address_settle(m);
	return machine_save(m, err);
}

void change_tell_running(const char *name, int r, const struct error *err)
{
	if (r == 0 || r == -ESRCH)
		return;
	if (r == -EOPNOTSUPP)
		output_note("machine \"%s\" is running: this takes effect at its next start", name);
	else
		output_note("this takes effect at the next start of machine \"%s\", which could not do it now: %s",
		    name, error_text(err, r));
}
