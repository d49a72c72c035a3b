/* SPDX-License-Identifier: Apache-2.0
 * A temporary folder, for tests and fuzz targets. What cannot be made or removed ends the program:
 * the result of a group's teardown does not count for cmocka. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/path.h"

static inline void folder_fail(const char *what, const char *folder, int code)
{
	fprintf(stderr, "cannot %s %s: %s\n", what, folder, strerror(code));
	exit(EXIT_FAILURE);
}

/* Owned; for folder_remove(). */
static inline char *folder_new_below(const char *where)
{
	char *folder = xasprintf("%s/holm-%s-XXXXXX", where, program_invocation_short_name);
	if (!mkdtemp(folder))
		folder_fail("make", folder, errno);
	return folder;
}

static inline char *folder_new(void)
{
	const char *where = getenv("TMPDIR");
	return folder_new_below(where && *where == '/' ? where : "/tmp");
}

/* With all that is in it. */
static inline void folder_remove(char *folder)
{
	int r = path_remove_tree(AT_FDCWD, folder);
	if (r < 0 || path_exists(folder))
		folder_fail("remove", folder, r < 0 ? -r : ENOTEMPTY);
	free(folder);
}
