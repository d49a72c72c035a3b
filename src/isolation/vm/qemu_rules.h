/* SPDX-License-Identifier: Apache-2.0
 * The files that QEMU may open. */
#pragma once

#include "isolation/vm/qemu_arguments.h"

#include "base/error.h"

/* Makes Landlock rules for a QEMU with this plan: a descriptor; -EOPNOTSUPP if the kernel has no
 * Landlock, or QEMU is not where programs of the host are; -errno. */
int qemu_rules(const struct qemu_plan *p, struct error **err);
