/* SPDX-License-Identifier: Apache-2.0
 * Credential helpers: programs docker-credential-NAME that keep logins elsewhere. Each has some
 * seconds, and its output is capped. */
#pragma once

#include "base/error.h"
#include "image/registry/credentials.h"

/* Asks for the login of a registry: 1 found, 0 none or no such program, -errno. */
int helper_get(const char *name, const char *registry, struct credentials *ret, struct error **err);
/* Gives it a login, takes one away. 0 or -errno; helper_erase: 1 if there may have been one. */
int helper_store(const char *name, const char *registry, const struct credentials *c, struct error **err);
int helper_erase(const char *name, const char *registry, struct error **err);
