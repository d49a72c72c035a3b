/* SPDX-License-Identifier: Apache-2.0
 * Programs of the host, as execvp(3) would find them. */
#include "isolation/find.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/path.h"
#include "base/strv.h"

char *isolation_find_program(const char *name)
{
	AUTO_STRV struct strv places = { 0 };
	const char *path = getenv("PATH");
	strv_split(&places, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", ":");
	for (size_t i = 0; i < places.count; i++) {
		AUTOFREE char *candidate = path_join(places.items[i], name);
		if (access(candidate, X_OK) == 0)
			return TAKE_PTR(candidate);
	}
	return NULL;
}
