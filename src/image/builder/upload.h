/* SPDX-License-Identifier: Apache-2.0
 * A context that comes as a stream: a tar archive, compressed or not, or a Dockerfile alone. */
#pragma once

#include "image/library/library.h"

struct build_upload {
	struct library *library;
	char *name, *folder; /* the context: its name below the library's folder, and its path */
	char *file;          /* a Dockerfile that came alone; or NULL */
};

/* Reads the stream to its end. Files go into a folder of the library, with the caller's rights and
 * owner, without set-id bits, devices and attributes; no symlink of the archive is followed. 0 or
 * -errno. */
int build_upload_read(struct library *l, int fd, struct build_upload *ret, struct error **err);
/* The same of a file, from its beginning. */
int build_upload_take(struct library *l, int file, struct build_upload *ret, struct error **err);
/* Makes the folder alone: a descriptor, or -errno. */
int build_upload_make_folder(struct build_upload *u, struct error **err);
void build_upload_done(struct build_upload *u); /* removes the folder */
