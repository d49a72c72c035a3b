/* SPDX-License-Identifier: Apache-2.0
 * The files of a machine beside those of its image: what of them is the machine's own. */
#pragma once

#include "image/library/contents.h"

struct machine_facts {
	const char *user, *home; /* borrowed */
	uint32_t gid;
	struct strv places; /* mount points: the home and others */
};
void machine_facts_done(struct machine_facts *f);
/* Reads machine.json; what it keeps is borrowed from `machine`. 0 or -EINVAL. */
int machine_facts_read(struct json_object *machine, struct machine_facts *ret, struct error **err);

/* Whether a path is holm's, of this host or of this one machine: it belongs in no image. */
int machine_tree_leaves_out(const struct machine_facts *f, const char *path);
/* Takes the account of the machine's user out of the texts of `now`. */
void machine_tree_clean(const struct machine_facts *f, const struct contents *base, struct contents *now);
