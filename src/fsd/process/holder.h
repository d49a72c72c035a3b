/* SPDX-License-Identifier: Apache-2.0
 * The process between broker and worker: it holds what a worker that dies leaves behind. Workers
 * are its children and share its table of descriptors (clone(2) with CLONE_FILES) and its shared
 * memory, so an open file stays open, under the same number, when a worker is gone. It never looks
 * at either; it starts a worker when the broker sends it a socket, waits for its end and says how
 * it ended. */
#pragma once

#include "base/error.h"

/* What the holder says to the broker, one packet each. */
struct holder_message {
	int32_t kind;
	int32_t wait_status; /* as waitpid(2) gives it, with HOLDER_ENDED */
};
enum { HOLDER_READY = 1, HOLDER_ENDED = 2 };

/* Runs until the broker is gone: control is a SOCK_SEQPACKET socket. `work` is a worker's whole
 * life, in a process of its own; what it returns is its exit status, and a worker that ends like
 * that is not replaced. 0 or -errno. */
int holder_run(int control, int (*work)(int socket, void *data), void *data, struct error **err);
