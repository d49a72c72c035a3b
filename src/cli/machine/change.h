/* SPDX-License-Identifier: Apache-2.0
 * Changing machine.json: read, change, write, under the machine's configuration lock. */
#pragma once

#include "base/error.h"
#include "machine/machine.h"

/* change gets the machine as it is now; when it returns 0 the result is written. */
int change_machine(const char *name, int (*change)(struct machine *m, void *data, struct error **err), void *data,
    struct error **err);
/* Says how a running machine took the change, which its settings have already: nothing for 0 and
 * -ESRCH (it does not run), else a note. */
void change_tell_running(const char *name, int r, const struct error *err);
