/* SPDX-License-Identifier: Apache-2.0
 * Moving a machine's disk between virtual machines and namespaces. */
#pragma once

#include "base/error.h"
#include "machine/machine.h"

/* Moves the disk of a stopped machine to the form `to` with all that is in it, and in the same step
 * changes its settings by `change` (as change_machine() does). On failure nothing is changed. 0,
 * -errno (-EBUSY: it runs), or a positive exit status of a program that has said why. */
int convert_machine(const char *name, enum machine_isolation to,
    int (*change)(struct machine *m, void *data, struct error **err), void *data, struct error **err);
