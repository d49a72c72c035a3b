/* SPDX-License-Identifier: Apache-2.0
 * Changing machine.json: read, change, write, under the machine's configuration lock. */
#pragma once

#include "base/error.h"
#include "machine/machine.h"

/* change gets the machine as it is now; when it returns 0 the result is written. */
int change_machine(const char *name, int (*change)(struct machine *m, void *data, struct error **err), void *data,
    struct error **err);
