/* SPDX-License-Identifier: Apache-2.0
 * The record of a container, which root in the machine can write. */
#include <stdint.h>

#include "agent/engine/record.h"
#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ERROR struct error *err = NULL;
	struct record r = { 0 };
	if (record_parse((const char *)data, size, &r, &err) < 0)
		return 0;
	free(record_format(&r));
	record_done(&r);
	return 0;
}
