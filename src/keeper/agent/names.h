/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: lookups at the host's name servers. */
#pragma once

#include "base/udp_relay.h"
#include "http/http.h"

/* The first name servers of resolv.conf(5)'s text, at port 53; those with a scope too. */
void names_servers(const char *resolv_conf, struct udp_targets *ret);
/* POST /v1/relay/names?protocol=udp|tcp, of the agent. data: the keeper. */
void names_handle(struct http_exchange *x, void *data);
