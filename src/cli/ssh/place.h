/* SPDX-License-Identifier: Apache-2.0
 * The files of ssh in holm's data folder. */
#pragma once

#define SSH_SUFFIX ".holm"    /* of the machines' host names: dev.holm */
#define SSH_HOST_ALIAS "holm" /* the name that the host key has in known_hosts */

/* Of machines whose own sshd answers. */
#define SSH_SSHD_ALIAS "holm-sshd"
#define SSH_SSHD_HOST_KEY "sshd_host_key"
#define SSH_SSHD_KNOWN_HOSTS "sshd_known_hosts"
#define SSH_CLIENT_KEY "client_key" /* ssh's, at that sshd */

/* "config", "host_key", "known_hosts", or NULL for the folder itself. Owned. */
char *ssh_place(const char *name);
