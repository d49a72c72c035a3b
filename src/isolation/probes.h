/* SPDX-License-Identifier: Apache-2.0
 * The list of what was found on this host, in the order in which people read it. */
#pragma once

#include "base/json.h"

/* One finding. group: "vm", "native" or "both": what cannot do without it. fix: what to do when it
 * is not ok; may be NULL. */
void probe_add(struct json_object *probes, const char *group, const char *name, int ok, const char *detail,
    const char *fix);
/* The same for a program in PATH: `without` says what its lack means, package whence it comes. */
void probe_add_program(struct json_object *probes, const char *group, const char *name, const char *package,
    const char *without);

void vm_probes_add(struct json_object *probes);
void native_probes_add(struct json_object *probes);
