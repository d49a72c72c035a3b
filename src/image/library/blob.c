/* SPDX-License-Identifier: Apache-2.0
 * Writing blobs into the library.
 *
 * A resumable blob is written under partial/sha256-HEX with a lock on the file itself. Whoever gets
 * the lock looks again whether the name still is this file: the one before may have finished it
 * (renamed it into blobs/) or thrown it away. */
#include "image/library/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/common/interrupt.h"

enum { PIECE = 1 << 18 };

/* Opens and locks the partial file: descriptor, -EBUSY when another process writes it. */
static int open_partial(struct library *l, const char *digest, struct error **err)
{
	AUTOFREE char *name = library_file_name(digest, "");
	for (int attempt = 0; attempt < 8; attempt++) {
		struct stat mine, there;
		AUTO_FD int fd = openat(l->partial, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || fstat(fd, &mine) < 0)
			return error_set_errno(err, errno, "cannot create %s/partial/%s", l->path, name);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return -EBUSY;
		if (fstatat(l->partial, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == mine.st_ino)
			return TAKE_FD(fd);
	}
	return -EBUSY;
}

/* Hashes what an earlier attempt left. */
static int resume(struct blob_writer *w, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	for (;;) {
		ssize_t n = fd_read_full(w->partial, piece, PIECE);
		int r = n < 0 ? error_set_errno(err, (int)n, "cannot read partial download of %s", w->digest) :
				interrupt_check(err);
		if (r < 0)
			return r;
		hash_update(&w->hash, piece, n);
		w->size += n;
		if (n < PIECE)
			break;
	}
	return w->size > w->expected_size ? blob_writer_restart(w, err) : 0;
}

int blob_writer_open(struct library *l, const char *digest, uint64_t size, int resumable, struct blob_writer *w,
    struct error **err)
{
	*w = BLOB_WRITER_NONE;
	w->library = l;
	w->digest = xstrdup(digest);
	w->expected_size = size;
	hash_init(&w->hash);
	int r = resumable ? open_partial(l, digest, err) : -EBUSY;
	if (r >= 0) {
		w->partial = r;
		r = resume(w, err);
	} else if (r == -EBUSY) {
		r = atomic_file_open(&w->file, l->blobs, 0600, err);
	}
	if (r < 0)
		blob_writer_abort(w);
	return r;
}

int blob_writer_open_new(struct library *l, struct blob_writer *w, struct error **err)
{
	*w = BLOB_WRITER_NONE;
	w->library = l;
	w->expected_size = UINT64_MAX;
	hash_init(&w->hash);
	int r = atomic_file_open(&w->file, l->blobs, 0600, err);
	if (r < 0)
		blob_writer_abort(w);
	return r;
}

static int writer_fd(const struct blob_writer *w)
{
	return w->partial >= 0 ? w->partial : w->file.fd;
}

int blob_writer_write(struct blob_writer *w, const void *data, size_t size, struct error **err)
{
	if (size > w->expected_size - w->size)
		return error_set(err, EFBIG, "%s is longer than the %llu bytes that its manifest says", w->digest,
		    (unsigned long long)w->expected_size);
	int r = reserve_take(&w->reserve, writer_fd(w), size, err);
	if (r < 0)
		return error_prefix(err, r, "cannot write to %s", w->library->path);
	r = fd_write_full(writer_fd(w), data, size);
	if (r < 0)
		return error_set_errno(err, r, "cannot write to %s", w->library->path);
	writeback_note(&w->writeback, writer_fd(w), size);
	hash_update(&w->hash, data, size);
	w->size += size;
	streams_grow(w->streams, w->digest, writer_fd(w), w->size);
	return 0;
}

void blob_writer_show(struct blob_writer *w, struct streams *s)
{
	w->streams = s;
	streams_grow(s, w->digest, writer_fd(w), w->size);
}

int blob_writer_restart(struct blob_writer *w, struct error **err)
{
	int fd = writer_fd(w);
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_set_errno(err, errno, "cannot write to %s", w->library->path);
	w->size = 0;
	hash_done(&w->hash);
	hash_init(&w->hash);
	streams_grow(w->streams, w->digest, fd, 0);
	return 0;
}

static int check(struct blob_writer *w, const char *actual, struct error **err)
{
	if (w->expected_size != UINT64_MAX && w->size != w->expected_size)
		return error_set(err, EBADMSG, "%s ends after %llu of %llu bytes", w->digest,
		    (unsigned long long)w->size, (unsigned long long)w->expected_size);
	if (w->digest && !streq(w->digest, actual))
		return error_set(err, EBADMSG, "wrong digest: it should be %s and is %s", w->digest, actual);
	return 0;
}

static void discard_partial(struct blob_writer *w)
{
	AUTOFREE char *name = library_file_name(w->digest, "");
	unlinkat(w->library->partial, name, 0);
}

static int commit_partial(struct blob_writer *w, struct error **err)
{
	AUTOFREE char *name = library_file_name(w->digest, "");
	if (fsync(w->partial) < 0 ||
	    renameat(w->library->partial, name, w->library->blobs, digest_hex(w->digest)) < 0 ||
	    fsync(w->library->blobs) < 0)
		return error_set_errno(err, errno, "cannot write to %s", w->library->path);
	return 0;
}

int blob_writer_verify(struct blob_writer *w, char *ret_digest, struct error **err)
{
	hash_text(&w->hash, ret_digest);
	int r = check(w, ret_digest, err);
	if (r < 0 && w->partial >= 0)
		discard_partial(w);
	if (r < 0)
		blob_writer_abort(w);
	return r;
}

int blob_writer_publish(struct blob_writer *w, const char *digest, struct error **err)
{
	int r = w->partial >= 0 ? commit_partial(w, err) : atomic_file_commit(&w->file, digest_hex(digest), err);
	blob_writer_abort(w);
	return r;
}

int blob_writer_commit(struct blob_writer *w, char *ret_digest, struct error **err)
{
	char actual[DIGEST_TEXT_SIZE + 1];
	int r = blob_writer_verify(w, actual, err);
	if (r == 0)
		r = blob_writer_publish(w, actual, err);
	if (r == 0 && ret_digest)
		memcpy(ret_digest, actual, sizeof actual);
	return r;
}

void blob_writer_abort(struct blob_writer *w)
{
	/* An empty partial file is worth nothing. */
	if (w->partial >= 0 && w->size == 0)
		discard_partial(w);
	fd_close(TAKE_FD(w->partial));
	atomic_file_abort(&w->file);
	w->file = ATOMIC_FILE_NONE;
	free(TAKE_PTR(w->digest));
	hash_done(&w->hash);
}

int blob_write(struct library *l, const void *data, size_t size, char *ret_digest, struct error **err)
{
	AUTO_BLOB_WRITER struct blob_writer w = BLOB_WRITER_NONE;
	char digest[DIGEST_TEXT_SIZE + 1];
	hash_memory(data, size, digest);
	if (library_has_blob(l, digest, size)) {
		memcpy(ret_digest, digest, sizeof digest);
		return 0;
	}
	int r = blob_writer_open(l, digest, size, 0, &w, err);
	if (r == 0)
		r = blob_writer_write(&w, data, size, err);
	return r == 0 ? blob_writer_commit(&w, ret_digest, err) : r;
}
