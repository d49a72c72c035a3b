/* SPDX-License-Identifier: Apache-2.0
 * The handlers of the services. */
#pragma once

#include "http/http.h"

/* resources.c */
void version_handle(struct http_exchange *x, void *agent);
void memory_handle(struct http_exchange *x, void *agent);
void clock_handle(struct http_exchange *x, void *agent);
void resolv_handle(struct http_exchange *x, void *agent);
void timezone_handle(struct http_exchange *x, void *agent);

void usage_handle(struct http_exchange *x, void *agent);
void listen_handle(struct http_exchange *x, void *agent);
void listening_handle(struct http_exchange *x, void *agent);
void accept_handle(struct http_exchange *x, void *agent);
void dial_handle(struct http_exchange *x, void *agent);
void archive_get_handle(struct http_exchange *x, void *agent);
void archive_put_handle(struct http_exchange *x, void *agent);
void pause_handle(struct http_exchange *x, void *agent);
void engine_handle(struct http_exchange *x, void *agent); /* POST /v1/engine */

/* listen.c: takes the ports of POST /v1/listen out of a set. */
struct agent;
struct listening_set;
void listen_leave_out(const struct agent *a, struct listening_set *s);
