/* SPDX-License-Identifier: Apache-2.0
 * The host's side of a copy, for `machine cp` and `cp`. */
#pragma once

#include "base/error.h"
#include "oci/tar_unpack.h"

struct host_file {
	const char *path; /* as given, without slashes behind; "" is nothing */
	int slash;        /* it ended in "/": it must be a directory */
	int contents;     /* it ended in "/." or is one of "." and ".." */
};
/* The path as the structure has it, owned. */
char *host_file_parse(const char *text, int *ret_slash, int *ret_contents);

/* The source's path without symbolic links above it, and in it if `follow` or a slash says so.
 * Owned; NULL and errno. */
char *host_file_real(const struct host_file *from, int follow);
/* Checks what may be copied. 1: a directory, 0: something else, -errno. */
int host_file_check(const struct host_file *from, const char *real, struct error **err);

/* Opens the directory that a copy lands in, and says in *u which name it gets. own: the source's
 * name; contents: of a directory alone; many: `to` must be a directory. *place is owned and lives
 * as long as u->name. A descriptor or -errno. */
int host_file_open_target(const struct host_file *to, const char *own, int contents, int many, int from_directory,
    struct tar_unpack *u, char **place, struct error **err);
