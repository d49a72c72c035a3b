/* SPDX-License-Identifier: Apache-2.0
 * The HTTP resources that a keeper serves to the command line: see docs/keeper-api.md. */
#pragma once

#include "http/http.h"

extern const struct http_route api_routes[]; /* data: struct keeper * */
