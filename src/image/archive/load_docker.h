/* SPDX-License-Identifier: Apache-2.0
 * Docker archives: what "docker save" has always written. */
#pragma once

#include "image/archive/load.h"
#include "image/archive/source.h"

/* data: manifest.json. The rest as load_images(). */
int load_docker(const struct source *s, const char *path, const char *data, size_t size, const struct load_options *o,
    struct strv *ret_names, struct strv *ret_digests, struct error **err);
