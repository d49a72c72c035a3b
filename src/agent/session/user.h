/* SPDX-License-Identifier: Apache-2.0
 * A session's user, environment and working directory. They come from the machine's own files, with
 * its root at `root`. The session's child calls this after it has joined the machine. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "agent/core/boot_request.h"
#include "agent/session/request.h"
#include "base/error.h"

enum { SESSION_GROUPS_MAX = 256 };

struct session_user {
	char *name, *home, *shell;
	uint32_t uid, gid;
	gid_t groups[SESSION_GROUPS_MAX];
	size_t group_count;
	int lingers; /* has a user manager, so a runtime directory */
	int has_bus; /* and that manager a message bus */
};
void session_user_done(struct session_user *u);

/* The user that the request names, else the machine's. -ENOENT for a name that is not there; a
 * number need not be in passwd. */
int session_user_resolve(int root, const struct session_request *q, const struct boot_user *machine_user,
    struct session_user *ret, struct error **err);
/* The whole environment. ssh_auth_sock: path inside, or NULL. */
void session_environment(const struct session_request *q, const struct boot_request *b, const struct session_user *u,
    const char *ssh_auth_sock, struct strv *ret);
/* The path inside of a directory of the host (NULL is fine) that lies in one of the machine's
 * shares, owned; NULL if it lies in none. */
char *session_shared_path(const struct boot_request *b, const char *path);
