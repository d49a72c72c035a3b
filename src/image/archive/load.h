/* SPDX-License-Identifier: Apache-2.0
 * Taking images from archives and directories: docker-archive, oci-archive, OCI layouts. */
#pragma once

#include "base/json.h"
#include "base/strv.h"
#include "image/common/progress.h"
#include "image/library/library.h"

struct load_options {
	const char *tag;                     /* the name to give, or NULL: those inside */
	const struct oci_platform *platform; /* NULL: this machine's */
	struct progress *progress;
	/* Judges the annotations (may be NULL) of a manifest before large files are unpacked. 0 or
	 * -errno; NULL: nobody does. */
	int (*look)(struct json_object *annotations, void *data, struct error **err);
	void *look_data;
	int nameless; /* an image whose archive gives it no name stays without one; its name is its digest */
	int unnamed; /* checked, but not given its name: whoever calls keeps the library open as long as it is needed */
};

/* Loads all images of path ("-": stdin). Names and manifest digests, in the same order, are added
 * to the two lists. */
int load_images(struct library *l, const char *path, const struct load_options *o, struct strv *ret_names,
    struct strv *ret_digests, struct error **err);

/* Gives an image that has come its name (NULL: none) as the options say. 0 or -errno. */
int load_register(struct library *l, const char *name, const char *digest, const struct load_options *o,
    struct error **err);
/* The canonical name for an image that calls itself `name` (NULL, a tag, or a reference) in a file
 * or directory `path`. Owned; NULL with an error. */
char *load_image_name(const char *path, const char *name, struct error **err);
/* "debian-12" of "/tmp/Debian-12.tar.gz". Owned. */
char *load_base_name(const char *path);
/* The canonical name of -t NAME: "foo" is foo:latest. Owned; NULL with an error. */
char *load_given_name(const char *name, struct error **err);
