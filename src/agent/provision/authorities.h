/* SPDX-License-Identifier: Apache-2.0
 * The host's certificate authorities on the machine's disk (keeper/agent/authorities.c installs
 * them). */
#pragma once

#include "agent/core/boot_request.h"
#include "agent/core/platform.h"
#include "base/error.h"

#define AUTHORITIES_SET "/var/lib/holm/authorities.pem" /* all of them; missing: none is installed */

/* Takes them out of the image's stores by the image's own tool, for an export. Nothing installed:
 * 0. 0 or -errno. Blocks: for workers. */
int authorities_leave_out(const struct platform *p, const struct boot_request *b, int root, struct error **err);
/* Adds the variables by which programs with stores of their own find the authorities. */
void authorities_environment(int root, struct strv *env);
