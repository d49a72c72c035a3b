/* SPDX-License-Identifier: Apache-2.0
 * Preparing an image for `holm machine create` and `import`, with the result as one JSON line on
 * stdout (docs/images.md). */
#pragma once

#include "image/commands/command.h"
#include "image/common/progress.h"
#include "image/library/library.h"

/* Makes sure that the disk of this image exists, or the trees of its layers, and returns the
 * answer. */
/* PREPARE_CONTAINERS: trees with the ids of containers. PREPARE_CONTAINER_DISK: the disk, with the
 * configuration that containers need. PREPARE_OWN_IDS: trees with the ids of machines and that
 * configuration. */
enum prepare_form { PREPARE_DISK, PREPARE_TREES, PREPARE_CONTAINERS, PREPARE_CONTAINER_DISK, PREPARE_OWN_IDS };
struct prepare_wish {
	enum prepare_form form;
	int with_machine;         /* adds the member "machine" from the manifest's annotation */
	const struct strv *taken; /* names of other machines, or NULL */
};
int prepare_image(struct library *l, const char *name, const char *digest, const struct prepare_wish *wish,
    struct progress *p, struct json_object **ret, struct error **err);
/* Parses the settings of an exported machine in a manifest's annotations (may be NULL); the caller
 * checks their members. 0 (*ret stays NULL if there are none), -EBADMSG, -EINVAL: no JSON object,
 * -EEXIST: the machine's name is among those that are taken. */
int prepare_read_machine(struct json_object *annotations, const struct strv *taken, struct json_object **ret,
    struct error **err);
/* The value of --form; "disk" without it. */
enum prepare_form prepare_form(struct options *o);
#define PREPARE_ANNOTATION "org.holm.machine"
