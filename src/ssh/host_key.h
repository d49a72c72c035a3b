/* SPDX-License-Identifier: Apache-2.0
 * holm's own keys for ssh(1). The connection is as private as any pipe, but ssh(1) wants a host key
 * all the same, and an sshd wants a key of its client. */
#pragma once

#include <libssh/libssh.h>

#include "base/error.h"

enum own_key {
	OWN_HOST_KEY,      /* of holm's server, for all machines */
	OWN_SSHD_HOST_KEY, /* of the machines' own sshd, whose root can read it */
	OWN_CLIENT_KEY,    /* with which ssh logs in at that sshd */
};

/* Reads the key, or makes it, and the file of known hosts that goes with a host key. *ret:
 * ssh_key_free(). 0 or -errno. */
int host_key_load(enum own_key which, ssh_key *ret, struct error **err);
