/* SPDX-License-Identifier: Apache-2.0
 * The broker: the process that QEMU is connected to. It passes QEMU's messages on to a worker and
 * remembers them, and when the worker dies it has another one started and tells it all again. It
 * sees neither the shared directory nor the guest's memory. */
#pragma once

#include "base/error.h"

enum { BROKER_RESTARTS_MAX = 5, BROKER_RESTARTS_MS = 60000 };

/* Serves until QEMU's connection (socket) ends: 0; 1 when it breaks, or workers die too often.
 * control: the holder's other end. Both borrowed. before_loop() is called when the holder is ready:
 * 0 or -errno. */
int broker_run(int socket, int control, int (*before_loop)(struct error **err), struct error **err);
