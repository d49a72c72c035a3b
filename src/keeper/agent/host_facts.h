/* SPDX-License-Identifier: Apache-2.0
 * What a machine takes over from the host: time zone, resolver, the name of a group. */
#pragma once

#include <sys/types.h>

#include "base/json.h"

/* resolv.conf(5) as {"nameservers":[],"search":[],"options":[]}; lines and words that make no sense
 * are left out. Owned. */
struct json_object *host_parse_resolv(const char *text);
/* The host's. A server on loopback stays: the isolation makes an address of it that leads there.
 * Owned. */
struct json_object *host_resolv(void);
char *host_timezone(void);      /* "Europe/Oslo", owned; NULL when it cannot be told */
char *host_group_name(gid_t g); /* owned; "gNUMBER" when there is none */
/* The zone in a path like "../usr/share/zoneinfo/Europe/Oslo"; borrowed, or NULL. */
const char *host_zone_of_path(const char *path);
