/* SPDX-License-Identifier: Apache-2.0
 * The record of a network, whose larger part is what a client sends. */
#include <stdint.h>

#include "agent/engine/networks.h"
#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_NETWORK struct network n = { 0 };
	if (network_load((const char *)data, size, &n, &err) < 0)
		return 0;
	AUTOFREE char *text = network_store(&n);
	return text == NULL;
}
