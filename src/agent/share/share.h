/* SPDX-License-Identifier: Apache-2.0
 * The handlers of live shares. */
#pragma once

#include "http/http.h"

void share_add_handle(struct http_exchange *x, void *agent);
void share_remove_handle(struct http_exchange *x, void *agent);
