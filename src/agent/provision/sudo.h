/* SPDX-License-Identifier: Apache-2.0
 * The machine's user may do everything without a password, by sudo and by doas. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

/* Writes the user's rules where sudo and doas look. Idempotent. 0 or -errno. */
int sudo_allow(int root, const struct boot_user *u, struct error **err);
int doas_allow(int root, const struct boot_user *u, struct error **err);
/* Puts sudo's rules behind rules that were added since. A machine whose rules somebody has removed
 * stays without them. 0 or -errno. */
int sudo_renew(int root, const struct boot_user *u, struct error **err);
