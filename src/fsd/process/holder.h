/* SPDX-License-Identifier: Apache-2.0
 * The holder: the process between broker and worker, which keeps a dead worker's state. Workers are
 * its children. They share its table of descriptors (clone(2) with CLONE_FILES) and its shared
 * memory, so an open file stays open under the same number when a worker dies. The holder uses
 * neither. It starts a worker when the broker sends a socket, waits for its end, and reports how it
 * ended. */
#pragma once

#include "base/error.h"

/* A message of the holder to the broker, one packet. */
struct holder_message {
	int32_t kind;
	int32_t wait_status; /* of waitpid(2); with HOLDER_ENDED */
};
enum { HOLDER_READY = 1, HOLDER_ENDED = 2 };

/* Runs until the broker ends. control is a SOCK_SEQPACKET socket (borrowed). `work` is a worker's
 * main function, in a process of its own. Its result is the exit status, and a worker that exits is
 * not replaced. 0 or -errno. */
int holder_run(int control, int (*work)(int socket, void *data), void *data, struct error **err);
