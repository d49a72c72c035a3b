/* SPDX-License-Identifier: Apache-2.0
 * A line of a container's log. What the parser takes, the writer writes so that it reads the same
 * back. */
#include <stdint.h>

#include "docker/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[DOCKER_LOG_TEXT_MAX], again[DOCKER_LOG_TEXT_MAX];
	struct docker_log_entry e, back;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, DOCKER_LOG_LINE_MAX);
	if (docker_log_parse((const char *)data, size, text, &e) < 0 || e.time_ns < 0)
		return 0;
	if (docker_log_format(&b, &e) < 0 || docker_log_parse(b.data, b.size - 1, again, &back) < 0 ||
	    back.size != e.size || memcmp(back.text, e.text, e.size) != 0 || back.stream != e.stream ||
	    back.time_ns != e.time_ns)
		abort();
	return 0;
}
