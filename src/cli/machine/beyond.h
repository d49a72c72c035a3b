/* SPDX-License-Identifier: Apache-2.0
 * Amounts that the host does not have. They are no error, because a machine may move to a larger
 * host. */
#pragma once

#include "machine/machine.h"

/* Notes each amount of m that is set, differs from that of `before` (NULL: a new machine), and is
 * more than the host has or means nothing in the machine's isolation. */
void beyond_note(const struct machine *before, const struct machine *m);
