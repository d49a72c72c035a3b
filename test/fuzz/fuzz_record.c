/* SPDX-License-Identifier: Apache-2.0
 * What stands in a file's attribute as a record of its owner: whatever is taken for one says the
 * same when it is written again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"
#include "fsd/files/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record first, second;
	char text[RECORD_TEXT_MAX];
	if (record_parse((const char *)data, size, &first) < 0)
		return 0;
	assert(first.mode == RECORD_NONE || first.mode <= 07777);
	size_t length = record_format(&first, text);
	assert(length < sizeof text && record_parse(text, length, &second) == 0);
	assert(memcmp(&first, &second, sizeof first) == 0);
	return 0;
}
