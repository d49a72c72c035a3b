/* SPDX-License-Identifier: Apache-2.0
 * The settings of registries in $XDG_CONFIG_HOME/holm/config:
 *
 *   [registry "docker.io"]
 *   mirror = mirror.example.com/docker    ; tried first, in this order; a path in front of the
 *                                         repository is allowed
 *   mirror = localhost:5000
 *   tls-verify = false                    ; for the registry itself and its mirrors
 *   blocked = true                        ; nothing is pulled from it or pushed to it
 *   require-digest = true                 ; nothing is pulled by a tag alone
 *   min-rate = 1K                         ; bytes a second that count as slow, and
 *   timeout = 60                          ; the seconds after which a slow exchange ends
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

struct registry_settings {
	struct strv mirrors; /* HOST[:PORT][/PATH] */
	int insecure;        /* plain HTTP and unverified certificates are fine */
	int blocked, require_digest;
	uint64_t min_rate; /* bytes a second */
	int timeout_s;     /* below min_rate for so long: the exchange has failed */
};
#define REGISTRY_SETTINGS_DEFAULT ((struct registry_settings){ .min_rate = 1024, .timeout_s = 60 })
void registry_settings_done(struct registry_settings *s);
#define AUTO_REGISTRY_SETTINGS CLEANUP(registry_settings_done)

/* For one registry; a missing file gives the defaults. -EINVAL names file and line. Sections of
 * other names are others' business. */
int registry_settings_load(const char *registry, struct registry_settings *ret, struct error **err);
struct reference;
/* Whether the settings allow this reference; pulls only heed require-digest. 0 or -EACCES. */
int registry_settings_check(const struct registry_settings *s, const struct reference *ref, int pulls,
    struct error **err);
int registry_settings_parse(const char *text, const char *path, const char *registry, struct registry_settings *ret,
    struct error **err);
