/* SPDX-License-Identifier: Apache-2.0
 * OpenSSH's sftp-server as holm brings it: the same in every image, whatever C library that has. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

/* The program and what it is made of; descriptors of sealed files in memory, which stay the
 * agent's. */
struct session_sftp {
	int loader, libc, server;
};

/* Reads the files where the agent has them, once. 0 or -errno; -ENOENT: the agent has none. */
int session_sftp_open(struct session_sftp *ret);
/* In the session's process: replaces it by sftp-server, else by the image's own one. Returns -errno
 * only. sftp may be NULL. */
int session_sftp_execute(const struct session_sftp *sftp, struct strv *env);
