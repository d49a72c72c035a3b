/* SPDX-License-Identifier: Apache-2.0
 * Shared by `start`, `stop` and `restart`. */
#pragma once

#include "base/options.h"
#include "cli/client.h"

/* Boots the machine and prints that it is ready; the exit status, failures are shown. */
int power_start(const char *name, enum client_level level);
/* Boots the command's targets, one after another up to an interrupt; the exit status. */
int power_start_all(const struct strv *names, enum client_level level);
/* Stops the machine; the exit status, failures are shown. */
int power_stop(const char *name, uint64_t timeout_ms);
/* The option --time in milliseconds: 0, or -EINVAL with a text. */
int power_time(struct options *o, uint64_t *ret_ms, struct error **err);
