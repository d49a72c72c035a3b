/* SPDX-License-Identifier: Apache-2.0
 * The body of POST /containers/create, of a client or from a container's record. */
#include <stdint.h>

#include "docker/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	AUTO_DOCKER_BODY struct docker_body b = { 0 };
	if (json_parse_bytes((const char *)data, size, "body", &o, NULL) < 0)
		return 0;
	(void)docker_body_parse(o, &b, &err);
	return 0;
}
