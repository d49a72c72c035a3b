/* SPDX-License-Identifier: Apache-2.0
 * The target of a request to the Docker API. */
#include <stdint.h>

#include "base/alloc.h"
#include "docker/name.h"
#include "docker/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const patterns[] = { "/info", "/containers/*/start", "/containers/*", "/images/**/json" };
	AUTOFREE char *path = xstrndup((const char *)data, size);
	AUTO_ERROR struct error *err = NULL;
	const char *rest = docker_strip_version(path, &err);
	for (size_t i = 0; rest && i < ARRAY_SIZE(patterns); i++) {
		AUTOFREE char *name = NULL;
		if (docker_match(rest, patterns[i], &name) && name)
			(void)(docker_is_name(name) + docker_is_id(name));
	}
	return 0;
}
