/* SPDX-License-Identifier: Apache-2.0
 * See environment.h. */
#include "agent/core/environment.h"

#include "base/alloc.h"

void environment_complete_path(struct strv *env)
{
	AUTO_STRV struct strv folders = { 0 }, usual = { 0 };
	const char *path = strv_getenv(env, "PATH");
	strv_split(&folders, path ? path : "", ":");
	strv_split(&usual, ENVIRONMENT_PATH, ":");
	size_t own = folders.count;
	for (size_t i = 0; i < usual.count; i++)
		if (!strv_contains(&folders, usual.items[i]))
			strv_add(&folders, usual.items[i]);
	if (folders.count == own)
		return;
	AUTOFREE char *whole = strv_join(&folders, ":");
	strv_setenv(env, "PATH", whole);
}
