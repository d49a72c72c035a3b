/* SPDX-License-Identifier: Apache-2.0
 * The probes of `holm system info`: each needed part, whether the host has it, and how to get
 * it. */
#include "isolation/probes.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "isolation/find.h"
#include "isolation/isolation.h"

void probe_add(struct json_object *probes, const char *group, const char *name, int ok, const char *detail,
    const char *fix)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "name", name);
	json_add_string(o, "for", group);
	json_add_bool(o, "ok", ok);
	json_add_string(o, "detail", detail);
	json_add_string(o, "fix", ok ? NULL : fix);
	json_object_array_add(probes, o);
}

void probe_add_program(struct json_object *probes, const char *group, const char *name, const char *package,
    const char *without)
{
	AUTOFREE char *path = isolation_find_program(name);
	AUTOFREE char *missing = xasprintf("not installed: %s", without);
	AUTOFREE char *fix = xasprintf("sudo apt-get install %s", package);
	probe_add(probes, group, name, path != NULL, path ? path : missing, fix);
}

static void add_own_programs(struct json_object *probes)
{
	static const struct {
		const char *name, *group;
	} own[] = { { "holm-keeper", "both" }, { "holm-image", "both" }, { "holm-fsd", "vm" },
		{ "holm-agent", "native" } };
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		AUTOFREE char *path = path_libexec(own[i].name);
		probe_add(probes, own[i].group, own[i].name, access(path, X_OK) == 0, path, "install holm again");
	}
}

void isolation_probe_all(struct json_object *into)
{
	struct json_object *probes = json_object_new_array();
	add_own_programs(probes);
	vm_probes_add(probes);
	native_probes_add(probes);
	json_add(into, "probes", probes);
}
