/* SPDX-License-Identifier: Apache-2.0
 * The client's bytes: between this process's stdin and stdout and the one socket that libssh
 * wants. */
#pragma once

#include "base/loop.h"

struct pump;

/* Makes a pump between the descriptors in and out (both borrowed, non-blocking from now on) and
 * *ret_socket (owned by the caller, non-blocking). `ended` runs once: out takes no more bytes, or
 * all that the caller wrote before it closed the socket are delivered. 0 or -errno; -EPERM if in
 * or out cannot be waited for, as a file. */
int pump_new(struct loop *l, int in, int out, void (*ended)(void *data), void *data, struct pump **ret,
    int *ret_socket);
void pump_free(struct pump *p);
DEFINE_CLEANUP(struct pump, pump_free)
