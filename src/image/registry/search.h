/* SPDX-License-Identifier: Apache-2.0
 * Asking a registry for images by a word. */
#pragma once

#include "base/json.h"
#include "image/common/progress.h"

/* Asks "HOST[:PORT]" (docker.io: Docker Hub's index) by Docker's v1/search, the only search that
 * there is. *ret: its array of results, owned. 0; -EOPNOTSUPP: the registry has no search;
 * -errno. */
int registry_search(const char *registry, const char *term, unsigned limit, int insecure, struct progress *p,
    struct json_object **ret, struct error **err);
