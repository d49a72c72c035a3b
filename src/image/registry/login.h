/* SPDX-License-Identifier: Apache-2.0
 * Trying a login at a registry. */
#pragma once

#include "image/common/progress.h"
#include "image/registry/credentials.h"

/* Asks the registry ("HOST[:PORT]") with these credentials, which it takes. 1: it accepts them, 0:
 * it asks for none, -EACCES: it refuses them, other -errno. */
int login_try(const char *registry, struct credentials *c, int insecure, struct progress *p, struct error **err);
