/* SPDX-License-Identifier: Apache-2.0
 * machine.json as the command line and the keeper read it; what was read must survive being written
 * again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "machine/machine.h"

/* Adopts the input as settings of a file that nobody trusts: it must open nothing. */
static void adopt(struct json_object *settings)
{
	AUTO_MACHINE struct machine *here = machine_new("here"), *m = NULL;
	AUTO_STRV struct strv left_out = { 0 };
	here->image = xstrdup("image");
	here->home_mount = MACHINE_HOME_RO;
	here->cpus = 2;
	if (machine_adopt(here, settings, 0, &m, &left_out, NULL) < 0)
		return;
	if (m->mount_count || m->publish_count || m->host_access || m->env.count || m->transport || m->kernel ||
	    m->kernel_modules || m->home_mount < here->home_mount || m->cpus > here->cpus ||
	    m->memory > machine_memory(here) || m->disk_size > machine_disk_size(here) || m->uid != here->uid ||
	    !streq(m->home, here->home) || m->image_disk || m->image_trees.count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_MACHINE struct machine *m = NULL, *again = NULL;
	if (json_parse((const char *)data, size, "machine.json", &o, NULL) < 0)
		return 0;
	adopt(o);
	if (machine_from_json(o, &m, NULL) < 0)
		return 0;
	AUTO_JSON struct json_object *written = machine_to_json(m);
	if (machine_from_json(written, &again, NULL) < 0)
		abort();
	return 0;
}
