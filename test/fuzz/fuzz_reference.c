/* SPDX-License-Identifier: Apache-2.0
 * Names of images: what parses is written and parses again to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_REFERENCE struct reference *ref = NULL, *again = NULL;
	if (reference_parse(text, &ref, NULL) < 0)
		return 0;
	AUTOFREE char *canonical = reference_to_string(ref);
	if (reference_parse(canonical, &again, NULL) < 0)
		abort();
	AUTOFREE char *same = reference_to_string(again);
	if (!streq(canonical, same))
		abort();
	(void)reference_registry_is_loopback(ref->registry);
	return 0;
}
