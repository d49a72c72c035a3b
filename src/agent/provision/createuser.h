/* SPDX-License-Identifier: Apache-2.0
 * /etc/machine/create-user.sh: an image's own way of making the user. */
#pragma once

#include "agent/core/boot_request.h"
#include "agent/core/platform.h"
#include "base/error.h"

#define CREATE_USER_SCRIPT "/etc/machine/create-user.sh"

/* Runs it inside the machine's root with the CONTAINER_ variables. Its output goes to the log and,
 * the last lines, to *ret_lines. A status that is not zero is an error that shows the last line.
 * Blocks: for workers. */
int createuser_run(const struct platform *p, int root, const struct boot_request *b, struct strv *ret_lines,
    struct error **err);
