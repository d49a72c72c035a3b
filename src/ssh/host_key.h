/* SPDX-License-Identifier: Apache-2.0
 * The host key: one of holm's own for all machines, since the connection is as private as any pipe.
 * ssh(1) wants one all the same. */
#pragma once

#include <libssh/libssh.h>

#include "base/error.h"

/* Reads the key of holm's folder, or makes one there, and writes known_hosts beside it. *ret:
 * ssh_key_free(). 0 or -errno. */
int host_key_load(ssh_key *ret, struct error **err);
