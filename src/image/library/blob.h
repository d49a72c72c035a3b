/* SPDX-License-Identifier: Apache-2.0
 * Writing blobs into the library: hashed while they stream, named only when whole and right. */
#pragma once

#include "base/atomic_file.h"
#include "base/reserve.h"
#include "base/writeback.h"
#include "image/common/hash.h"
#include "image/library/library.h"
#include "image/library/stream.h"

struct blob_writer {
	struct library *library;
	struct hash hash;
	uint64_t size;          /* bytes so far */
	char *digest;           /* expected; NULL: whatever comes */
	uint64_t expected_size; /* UINT64_MAX: not known */
	int partial;            /* resumable: partial/sha256-HEX, locked; else -1 */
	struct atomic_file file;
	struct reserve reserve;
	struct writeback writeback;
	struct streams *streams; /* of blobs that are read along, or NULL */
};
#define BLOB_WRITER_NONE ((struct blob_writer){ .partial = -1, .file = ATOMIC_FILE_NONE })

/* A blob with a known digest and size. When `resumable`, bytes of an earlier attempt are kept and
 * hashed again (w->size says how many; a second process that fetches the same blob gets a file of
 * its own and starts at 0). */
int blob_writer_open(struct library *l, const char *digest, uint64_t size, int resumable, struct blob_writer *w,
    struct error **err);
/* Lets those who read along have all that is written, and what will be. */
void blob_writer_show(struct blob_writer *w, struct streams *s);
/* A blob that is only now being made. */
int blob_writer_open_new(struct library *l, struct blob_writer *w, struct error **err);
/* -EFBIG past the expected size. */
int blob_writer_write(struct blob_writer *w, const void *data, size_t size, struct error **err);
int blob_writer_restart(struct blob_writer *w, struct error **err); /* forgets what was written */
/* Checks size and digest, syncs, gives the blob its name. ret_digest: DIGEST_TEXT_SIZE + 1 bytes,
 * or NULL. w is done after. A wrong digest is -EBADMSG, and nothing stays. */
int blob_writer_commit(struct blob_writer *w, char *ret_digest, struct error **err);
/* The first half of that: checks; after success comes blob_writer_publish(), the second. w is done
 * after a failure. */
int blob_writer_verify(struct blob_writer *w, char *ret_digest, struct error **err);
int blob_writer_publish(struct blob_writer *w, const char *digest, struct error **err);
/* Gives up; what can be resumed stays in partial/. Fine after commit. */
void blob_writer_abort(struct blob_writer *w);
#define AUTO_BLOB_WRITER CLEANUP(blob_writer_abort)

/* A small blob from memory; ret_digest as above. */
int blob_write(struct library *l, const void *data, size_t size, char *ret_digest, struct error **err);
