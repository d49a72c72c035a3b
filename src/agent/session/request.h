/* SPDX-License-Identifier: Apache-2.0
 * The session request (docs/agent-api.md) as a structure. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

enum { SESSION_UMASK = 022, SESSION_ARGS_MAX = 65536, SESSION_ARGS_BYTES_MAX = 2 * 1024 * 1024 };

/* The caller's terminfo(5) entry; name NULL: it has sent none. */
struct session_terminal {
	char *name;
	unsigned char *entry;
	size_t size;
};

struct session_request {
	struct strv argv; /* empty: the login shell */
	struct strv env;
	int tty, use_stdin, detach;
	mode_t umask; /* of the machine's user; everybody else has SESSION_UMASK */
	int shell;    /* the login shell runs argv, joined by blanks */
	int sftp;     /* sftp-server instead of a command */
	uint16_t rows, columns;
	char *user;       /* name, or NULL */
	int64_t uid, gid; /* -1: not given */
	char *workdir;    /* explicit, or NULL */
	char *cwd;        /* wished, or NULL */
	int64_t relay;    /* id of the relayed ssh-agent; -1: none */
	struct session_terminal terminal;
	char *relay_refused; /* why there is none, for the user; NULL */
};

int session_request_parse(struct json_object *o, struct session_request **ret, struct error **err);
void session_request_free(struct session_request *q);
DEFINE_CLEANUP(struct session_request, session_request_free)
