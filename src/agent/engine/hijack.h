/* SPDX-License-Identifier: Apache-2.0
 * Connections that become streams. */
#pragma once

#include "http/http.h"

/* Takes the connection over after the head of an answer: 101 where the client asks for an upgrade,
 * else 200. early: bytes behind the request, initialised by this call. 0 or -errno, after which the
 * exchange is over, too. raw: a terminal's stream, without frames. */
int hijack(struct http_exchange *x, int raw, int *ret_fd, struct buffer *early);
/* The same with further header lines, each with its line break. */
int hijack_with(struct http_exchange *x, int raw, const char *more, int *ret_fd, struct buffer *early);
