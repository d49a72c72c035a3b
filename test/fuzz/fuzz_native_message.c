/* SPDX-License-Identifier: Apache-2.0
 * What the agent of a native machine says: the first byte chooses the parser. 'c': /proc/PID/cgroup
 * behind a mountinfo, separated by a NUL. */
#include <stdint.h>

#include "base/alloc.h"
#include "isolation/native/cgroup_path.h"
#include "isolation/native/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct native_message m;
	if (size == 0)
		return 0;
	AUTOFREE char *text = xstrndup((const char *)data + 1, size - 1), *second = NULL;
	if (data[0] != 'c') {
		native_message_parse(text, &m);
		return 0;
	}
	size_t first = strlen(text);
	second = first + 2 < size ? xstrndup((const char *)data + first + 2, size - first - 2) : xstrdup("0::/a\n");
	free(cgroup_path_of(text, second));
	return 0;
}
