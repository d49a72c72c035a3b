/* SPDX-License-Identifier: Apache-2.0
 * Private to the API: the handlers, one file a resource. */
#pragma once

#include "http/http.h"

void api_get_state(struct http_exchange *x, void *data);
void api_get_ready(struct http_exchange *x, void *data);
void api_get_pauses(struct http_exchange *x, void *keeper);
void api_post_session(struct http_exchange *x, void *data);
void api_hand_over(struct http_exchange *x, void *data);
void api_post_stop(struct http_exchange *x, void *data);
void api_put_limits(struct http_exchange *x, void *data);
void api_post_share(struct http_exchange *x, void *data);
void api_delete_share(struct http_exchange *x, void *data);
void api_post_port(struct http_exchange *x, void *data);
void api_delete_port(struct http_exchange *x, void *data);
void api_post_auto_ports(struct http_exchange *x, void *data);
void api_put_auto_ports(struct http_exchange *x, void *data);
