/* SPDX-License-Identifier: Apache-2.0
 * What `holm machine create` and `import` need of an image, as one JSON line on stdout (ARCHITECTURE.md, "holm-image"). */
#pragma once

#include "image/library.h"
#include "image/progress.h"

/* Makes sure that the disk of this image exists and returns the answer. with_machine adds the member "machine" from the manifest's annotation. */
int prepare_image(struct library *l, const char *name, const char *digest, int with_machine, struct progress *p, struct json_object **ret, struct error **err);
#define PREPARE_ANNOTATION "org.holm.machine"
