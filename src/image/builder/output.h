/* SPDX-License-Identifier: Apache-2.0
 * The results of a build: an image of the library, and what --output asks for in its place. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

struct builder;

enum output_type {
	OUTPUT_IMAGE,  /* in the library */
	OUTPUT_LOCAL,  /* files in a directory */
	OUTPUT_TAR,    /* these as an archive */
	OUTPUT_OCI,    /* an OCI layout: an archive, or a directory */
	OUTPUT_DOCKER, /* an archive for docker load */
};

struct build_output {
	enum output_type type;
	char *path; /* "-": standard output; NULL: of OUTPUT_IMAGE */
	char *name; /* of OUTPUT_IMAGE: one more name; or NULL */
	int is_directory;
	int push; /* its names are pushed, too */
};
struct build_outputs {
	struct build_output *items;
	size_t count;
};
void build_outputs_done(struct build_outputs *o);
#define AUTO_BUILD_OUTPUTS CLEANUP(build_outputs_done)

/* Parses "DIR", "-" and "type=TYPE,dest=PATH" texts. 0 or -EINVAL, -EOPNOTSUPP. */
int build_outputs_parse(const struct strv *texts, struct build_outputs *ret, struct error **err);
/* Whether the image gets its names: no other output is asked for, or this one as well. */
int build_outputs_has_image(const struct build_outputs *o);
int build_outputs_uses_stdout(const struct build_outputs *o);
/* Writes all but images. digest: of the image. 0 or -errno. */
int build_outputs_write(struct builder *b, const char *digest, struct error **err);
/* Writes --metadata-file. 0 or -errno. */
int build_metadata_write(struct builder *b, const char *digest, struct error **err);
