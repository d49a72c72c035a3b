/* SPDX-License-Identifier: Apache-2.0
 * Parts of `holm build` that are no steps: options of Docker's, and the push behind a build.
 * Private to build.c and build_docker.c. */
#pragma once

#include "base/json.h"
#include "base/options.h"
#include "image/builder/output.h"
#include "image/common/progress.h"
#include "image/library/library.h"

/* Refuses the options of Docker's builders that holm cannot honour. 0 or -EOPNOTSUPP. */
int build_check_docker(const struct options *o, struct error **err);
/* Reads --memory and its like as members of HostConfig; *ret is owned, NULL without any. 0 or
 * -EINVAL. */
int build_read_limits(const struct options *o, struct json_object **ret, struct error **err);
/* Whether each name has a registry to push to, and there is one, and an image. 0 or -EINVAL. */
int build_check_push(const struct strv *tags, const struct build_outputs *outputs, struct error **err);
/* Sends the image with this digest under each name. 0 or -errno. */
int build_push(struct library *l, const struct strv *tags, const char *digest, enum progress_mode mode,
    struct error **err);
