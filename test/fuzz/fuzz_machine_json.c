/* SPDX-License-Identifier: Apache-2.0
 * machine.json as the command line and the keeper read it; what was read must survive being written again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "machine/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_MACHINE struct machine *m = NULL, *again = NULL;
	if (json_parse((const char *)data, size, "machine.json", &o, NULL) < 0 || machine_from_json(o, &m, NULL) < 0)
		return 0;
	AUTO_JSON struct json_object *written = machine_to_json(m);
	if (machine_from_json(written, &again, NULL) < 0)
		abort();
	return 0;
}
