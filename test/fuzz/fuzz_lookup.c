/* SPDX-License-Identifier: Apache-2.0
 * A name server's answer; the same bytes as a hosts(5) file. */
#include <stdint.h>

#include "agent/service/lookup.h"
#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lookup_address found[LOOKUP_ADDRESSES_MAX];
	AUTOFREE char *text = xstrndup((const char *)data, size);
	lookup_answer(data, size, 1, found);
	lookup_answer(data, size, 28, found);
	lookup_hosts(text, "web", found);
	lookup_literal(text, found);
	return 0;
}
