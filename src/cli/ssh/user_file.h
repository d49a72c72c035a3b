/* SPDX-License-Identifier: Apache-2.0
 * The user's ~/.ssh/config on disk. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct user_file {
	char *path; /* as people know it */
	char *real; /* behind symbolic links */
	char *text; /* "" if there is no file */
	mode_t mode;
	int linked; /* the path is a symbolic link */
};

/* Reads the file, which may be missing. 0 or -errno; f is to be freed in both cases. */
int user_file_read(struct user_file *f, const char *path, struct error **err);
/* Replaces its text, keeps its mode, and follows symbolic links. Makes the folder (0700) and the
 * file (0600) if they are missing; deletes a file that is empty now, unless it is linked. 0 or
 * -errno. */
int user_file_write(const struct user_file *f, const char *text, struct error **err);
void user_file_done(struct user_file *f);
