/* SPDX-License-Identifier: Apache-2.0
 * A line of the agent's answer to GET /v1/listening. */
#include <stdint.h>
#include <stdlib.h>

#include "keeper/ports/automatic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *line = NULL;
	uint16_t numbers[AUTO_PORTS_REPORTED];
	if (json_parse((const char *)data, size, "line", &line, NULL) < 0)
		return 0;
	int count = auto_ports_parse(line, 1024, numbers);
	for (int i = 0; i < count; i++)
		if (numbers[i] < 1024)
			abort();
	return 0;
}
