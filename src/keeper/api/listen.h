/* SPDX-License-Identifier: Apache-2.0
 * The keeper's API socket. */
#pragma once

#include "base/error.h"

/* Binds and listens, mode 0600, replacing what a dead keeper left: the caller holds the machine's
 * lock. fd or -errno. */
int keeper_listen(const char *path, struct error **err);
