/* SPDX-License-Identifier: Apache-2.0
 * One command or shell in a running machine, with this process's stdin, stdout, stderr and
 * signals. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* POST /v1/sessions with this request (see docs/agent-api.md; borrowed), then frames until the
 * command ended. first: what the command reads before stdin, a few kilobytes at most; or NULL.
 * Returns the exit status: the command's own, 128+n, or 125-127 with a line on stderr; or a
 * negative errno when no session came about. */
int session_run(const char *machine, struct json_object *request, const char *first, struct error **err);
