/* SPDX-License-Identifier: Apache-2.0
 * The broker: the process at the other end of QEMU's socket. It forwards QEMU's messages to a
 * worker and records them. When the worker dies, it has another one started and repeats the
 * messages. It reaches neither the shared directory nor the guest's memory. */
#pragma once

#include "base/error.h"

enum { BROKER_RESTARTS_MAX = 5, BROKER_RESTARTS_MS = 60000 };

/* Serves until QEMU's connection (socket) ends. control: the other end of the holder's socket. Both
 * are borrowed. Calls before_loop() (NULL: none; 0 or -errno) when the holder is ready. 0; 1 when
 * the connection breaks or workers die too often; -errno. */
int broker_run(int socket, int control, int (*before_loop)(struct error **err), struct error **err);
