/* SPDX-License-Identifier: Apache-2.0
 * Boot and session requests. */
#include <stdint.h>

#include "agent/core/boot_request.h"
#include "agent/session/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	CLEANUP(boot_request_freep) struct boot_request *b = NULL;
	CLEANUP(session_request_freep) struct session_request *q = NULL;
	AUTO_ERROR struct error *first = NULL;
	AUTO_ERROR struct error *second = NULL;
	if (json_parse((const char *)data, size, "request", &o, NULL) < 0)
		return 0;
	boot_request_parse(o, &b, &first);
	session_request_parse(o, &q, &second);
	return 0;
}
