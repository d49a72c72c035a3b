/* SPDX-License-Identifier: Apache-2.0
 * The files of ssh in holm's data folder. */
#pragma once

#define SSH_SUFFIX ".holm"    /* of the machines' host names: dev.holm */
#define SSH_HOST_ALIAS "holm" /* the name that the host key has in known_hosts */

/* "config", "host_key", "known_hosts", or NULL for the folder itself. Owned. */
char *ssh_place(const char *name);
