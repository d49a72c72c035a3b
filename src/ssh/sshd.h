/* SPDX-License-Identifier: Apache-2.0
 * The machine's own sshd in the place of holm's server. */
#pragma once

#include "base/error.h"
#include "machine/machine.h"

/* Runs `sshd -i` in the machine, as its root, on this process's stdin and stdout. Returns the exit
 * status of that session, or -errno. */
int sshd_run(const char *machine, const struct machine *settings, struct error **err);
