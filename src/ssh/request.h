/* SPDX-License-Identifier: Apache-2.0
 * The wishes of a client on a session channel before it starts something, and the session request
 * (docs/agent-api.md) that they make. */
#pragma once

#include <stdint.h>

#include "base/json.h"
#include "base/strv.h"
#include "machine/machine.h"

struct ssh_request {
	char *command; /* NULL: a login shell */
	int sftp;      /* instead of a command */
	struct strv env;
	size_t env_bytes;
	int tty;
	int wants_agent; /* its ssh-agent, for this session */
	char *term;      /* the value of TERM */
	uint16_t rows, columns;
};

void ssh_request_init(struct ssh_request *q);
void ssh_request_done(struct ssh_request *q);
/* Each: 0, or -errno for something that is refused. */
int ssh_request_set_env(struct ssh_request *q, const char *name, const char *value);
int ssh_request_set_terminal(struct ssh_request *q, const char *term, int columns, int rows);
void ssh_request_set_size(struct ssh_request *q, int columns, int rows);
/* The session request; owned. m: NULL if it cannot be read. user: the name of the login. agent: the
 * path of a socket, or NULL. */
struct json_object *ssh_request_json(const struct ssh_request *q, const struct machine *m, const char *user,
    const char *agent);
