/* SPDX-License-Identifier: Apache-2.0
 * The WWW-Authenticate header. */
#include <stdint.h>
#include <stdlib.h>

#include "image/registry/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_CHALLENGE struct challenge c = { 0 };
	challenge_parse((const char *)data, size, &c);
	challenge_parse((const char *)data, size / 2, &c);
	if (c.scheme == CHALLENGE_BEARER && !c.realm)
		abort();
	return 0;
}
