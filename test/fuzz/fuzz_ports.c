/* SPDX-License-Identifier: Apache-2.0
 * Published ports, as -p and as PortBindings: what parses is written and parses again to the
 * same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "oci/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void go_round(const struct ports *p)
{
	AUTO_PORTS struct ports again = { 0 };
	AUTO_JSON struct json_object *bindings = ports_to_bindings(p, NULL);
	if (p->count > PORTS_MAX || ports_from_bindings(&again, bindings, NULL) < 0)
		abort();
	AUTO_JSON struct json_object *same = ports_to_bindings(&again, NULL);
	if (again.count != p->count || !json_object_equal(bindings, same))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_JSON struct json_object *o = NULL;
	AUTO_PORTS struct ports written = { 0 }, sent = { 0 }, exposed = { 0 };
	if (ports_publish(&written, text, NULL) == 0)
		go_round(&written);
	if (json_parse((const char *)data, size, "input", &o, NULL) < 0)
		return 0;
	if (ports_from_bindings(&sent, o, NULL) == 0)
		go_round(&sent);
	(void)ports_from_exposed(&exposed, o, NULL);
	if (exposed.count > PORTS_MAX)
		abort();
	return 0;
}
