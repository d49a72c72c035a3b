/* SPDX-License-Identifier: Apache-2.0
 * Facts of the host that a machine copies: time zone, resolver, the name of a group. */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "base/strv.h"
#include "machine/machine.h"

/* resolv.conf(5) as {"nameservers":[],"search":[],"options":[]}; lines and words that make no sense
 * are left out. Owned. */
struct json_object *host_parse_resolv(const char *text);
/* The host's. A server on loopback stays: the isolation makes an address of it that leads there.
 * Owned. */
struct json_object *host_resolv(void);
char *host_timezone(void);      /* "Europe/Oslo", owned; NULL when it cannot be told */
char *host_group_name(gid_t g); /* owned; "gNUMBER" when there is none */
/* Adds the proxy variables of a text like the host's /etc/environment (pam_env(8)). */
void host_parse_proxies(const char *text, struct strv *env);
/* Adds the proxy variables that the machine's services have: those of its own proxy, or the
 * host's. */
void host_proxies(const struct machine *m, struct strv *env);
/* Names a proxy of the machine, of its services or of this process that is on the host's
 * loopback, owned; NULL if there is none. */
char *host_proxy_warning(const struct machine *m);
/* The zone in a path like "../usr/share/zoneinfo/Europe/Oslo"; borrowed, or NULL. */
const char *host_zone_of_path(const char *path);
