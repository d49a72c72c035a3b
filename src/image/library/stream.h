/* SPDX-License-Identifier: Apache-2.0
 * Blobs that another process reads while this one fetches them.
 *
 * Problem. An image is fetched, then its layers are unpacked. The network is idle during the second
 * half and the disk during the first.
 *
 * Idea. Each missing layer has a pipe. The process that fetches writes a blob to its file and
 * splices it into the pipe from there, so a reader that is slow, or waits for another layer, holds
 * up nothing: what it has not read stays in the file. The reader gets the pipe in place of the blob
 * (library_open_blob()).
 *
 * The bytes in the pipe are not verified. Readers check the digest of what they make of them, and
 * the blob gets its name only with the right digest.
 *
 * Failures. A pipe that ends early is a layer that is cut off, which every reader refuses. It ends
 * so when a download fails, or begins again after bytes of it were read. What the reader would have
 * made is made later of whole blobs. */
#pragma once

#include <poll.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "oci/manifest.h"

enum { STREAMS_MAX = 64 };

struct library;

struct stream {
	char *digest;
	uint64_t size;
	int reader, writer; /* ends of the pipe, -1 where it is closed or not this process's */
	int file;           /* the bytes that came in; -1: none yet */
	uint64_t came, sent;
};

struct streams {
	struct stream items[STREAMS_MAX];
	size_t count;
};

/* Makes a pipe for each layer that the library lacks; a layer that an image has twice has two. 0,
 * also if nothing is missing; -E2BIG for more than STREAMS_MAX, -errno. */
int streams_init(struct streams *s, struct library *l, const struct oci_descriptor *layers, size_t count);
void streams_done(struct streams *s);
#define AUTO_STREAMS CLEANUP(streams_done)
/* After fork: what the other process has is closed. */
void streams_be_reader(struct streams *s);
void streams_be_writer(struct streams *s);

/* The reading end for the next reader of this blob, which takes it. -ENOENT: there is none. */
int streams_take(struct streams *s, const char *digest);

/* The blob's file, open for reading (not kept), has `size` bytes now. 0 begins it again. s may be
 * NULL. */
void streams_grow(struct streams *s, const char *digest, int file, uint64_t size);
/* Moves what fits into the pipes. */
void streams_feed(struct streams *s);
/* Adds what streams_feed() waits for: the number of entries, STREAMS_MAX at most. s may be NULL. */
size_t streams_poll(const struct streams *s, struct pollfd *ret);
/* Moves all that is left; a reader that takes nothing for minutes is given up. 0, or -ECANCELED on
 * a signal. */
int streams_finish(struct streams *s, struct error **err);
