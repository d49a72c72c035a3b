/* SPDX-License-Identifier: Apache-2.0
 * --change INSTRUCTION: what a person wants of a new image's configuration, in a Dockerfile's
 * words. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

/* Applies one instruction ("ENV A=1", "CMD [\"sh\"]") to the inner "config" object. 0, or -EINVAL
 * with a text that lists the instructions there are. */
int change_apply(struct json_object *config, const char *instruction, struct error **err);
/* All of a list. */
int change_apply_all(struct json_object *config, const struct strv *list, struct error **err);
