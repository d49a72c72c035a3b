/* SPDX-License-Identifier: Apache-2.0
 * What the keeper tells a native machine's agent. */
#include <stdint.h>

#include "agent/platform/native/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *first = NULL;
	AUTO_ERROR struct error *second = NULL;
	struct native_go g;
	struct native_share s;
	if (json_parse_bytes((const char *)data, size, "message", &o, NULL) < 0)
		return 0;
	if (native_go_parse(o, &g, &first) >= 0)
		native_go_done(&g);
	if (native_share_parse(o, &s, &second) >= 0)
		native_share_done(&s);
	return 0;
}
