/* SPDX-License-Identifier: Apache-2.0
 * Unpacks a tar stream beneath a directory: the agent into a machine, the command line out of
 * one. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "oci/tar.h"

struct tar_unpack {
	int directory;    /* everything lands beneath; symlinks found there are not followed, unless `follow` is set */
	const char *name; /* takes the place of the first part of every entry's path; NULL: as in the stream */
	int strip;        /* leaves that first part out; what it names itself stays as it is */
	int64_t uid, gid; /* owner of everything; -1: as in the stream */
	/* the stream comes from a machine: no setuid and setgid bits, no extended attributes,
	 * devices are left out */
	int foreign;
	/* Symlinks to directories on the way are followed. For a process that has no more rights
	 * than whoever made them. */
	int follow;
	/* A layer of an image, by a process that is root of its files: directories that are there
	 * get the stream's owner and mode, and what cannot be made as it is in there is an error.
	 * So is what would change files of the layers below: a whiteout, a device, an attribute of
	 * overlayfs. */
	int layer;
};

/* Unpacks the stream. 0 or -errno. *left_out, unless NULL, gets the devices that `foreign` left
 * out. */
int tar_unpack_run(const struct tar_unpack *u, tar_source *source, void *data, size_t *left_out, struct error **err);
