/* SPDX-License-Identifier: Apache-2.0
 * The library's file `summaries` keeps the columns of a listing for each image, so that a listing
 * of many images opens neither manifests nor configurations.
 *
 * The file is a cache. A line counts while the blobs of that manifest and its configuration have
 * their sizes; a file that is cut or wrong is read as far as it is right. */
#pragma once

#include "image/library/library.h"
#include "oci/digest.h"

struct summary {
	char digest[DIGEST_TEXT_SIZE + 1], config[DIGEST_TEXT_SIZE + 1];
	uint64_t config_size, size; /* bytes; size: of all blobs */
	uint64_t layers;            /* their number */
	char *platform, *created;   /* created: as in the configuration, or "" */
	char *parent;               /* digest of the image that a commit made this one of, or "" */
	char *labels;               /* a JSON object, or "" */
};

struct summaries;
/* Reads the file. A library without one is fine. */
void summaries_open(struct library *l, struct summaries **ret);
/* Writes the file again when this listing has read many images that it lacked. */
void summaries_close(struct summaries *s);
DEFINE_CLEANUP(struct summaries, summaries_close)
#define AUTO_SUMMARIES CLEANUP(summaries_closep)

/* The summary of an entry of the index, borrowed until the next call. NULL: the image is
 * damaged. */
const struct summary *summaries_get(struct summaries *s, const struct library_entry *e);
