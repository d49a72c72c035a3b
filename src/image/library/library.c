/* SPDX-License-Identifier: Apache-2.0
 * The image library on disk: opening, locks, blobs. index.json is index.c, the sweep
 * commands/sweep.c. */
#include "image/library/library.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/path.h"
#include "image/common/hash.h"
#include "image/common/interrupt.h"
#include "image/library/stream.h"

enum { OPEN_WAIT_MS = 60000, IMAGE_WAIT_MS = 2 * 3600 * 1000, IMAGE_WAIT_STEP_MS = 500 };

static int open_directory(struct library *l, const char *name, int *ret, struct error **err)
{
	AUTOFREE char *path = path_join(l->path, name);
	int r = path_mkdir_all(path, 0700, err);
	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? error_set_errno(err, errno, "cannot open %s", path) : 0;
}

static int write_layout(struct library *l, struct error **err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
	AUTOFREE char *path = path_join(l->path, "oci-layout");
	return path_exists(path) ? 0 : atomic_file_write(path, 0600, layout, sizeof layout - 1, err);
}

static int open_all(struct library *l, struct error **err)
{
	AUTOFREE char *lock = path_join(l->path, "use.lock");
	int r;
	if ((r = open_directory(l, "", &l->root, err)) < 0 ||
	    (r = open_directory(l, "blobs/sha256", &l->blobs, err)) < 0 ||
	    (r = open_directory(l, "partial", &l->partial, err)) < 0 ||
	    (r = open_directory(l, "disks", &l->disks, err)) < 0 ||
	    (r = open_directory(l, "trees", &l->trees, err)) < 0)
		return r;
	l->use_lock = lock_file(lock, LOCK_SHARED, clock_deadline(OPEN_WAIT_MS), err);
	if (l->use_lock < 0)
		return error_prefix(err, l->use_lock, "the image library is being cleaned; try again");
	return write_layout(l, err);
}

int library_open(struct library **ret, struct error **err)
{
	AUTOFREE char *data = path_data_dir();
	AUTO_LIBRARY struct library *l = xnew(struct library);
	*l = (struct library){
		.path = path_join(data, "images"),
		.root = -1,
		.blobs = -1,
		.partial = -1,
		.disks = -1,
		.trees = -1,
		.use_lock = -1,
	};
	int r = open_all(l, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

void library_free(struct library *l)
{
	if (!l)
		return;
	fd_close(l->root);
	fd_close(l->blobs);
	fd_close(l->partial);
	fd_close(l->disks);
	fd_close(l->trees);
	fd_close(l->use_lock);
	free(l->path);
	free(l);
}

char *library_file_name(const char *digest, const char *suffix)
{
	return xasprintf("sha256-%s%s", digest_hex(digest), suffix);
}

int library_has_blob(struct library *l, const char *digest, uint64_t size)
{
	struct stat st;
	return fstatat(l->blobs, digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (size == UINT64_MAX || (uint64_t)st.st_size == size);
}

int library_open_blob(struct library *l, const char *digest, uint64_t *ret_size, struct error **err)
{
	struct stat st;
	int stream = l->streams && !ret_size ? streams_take(l->streams, digest) : -ENOENT;
	if (stream >= 0)
		return stream;
	AUTO_FD int fd = openat(l->blobs, digest_hex(digest), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "blob %s in %s; pull the image again", digest, l->path);
	if (ret_size)
		*ret_size = st.st_size;
	return TAKE_FD(fd);
}

int library_read_blob(struct library *l, const char *digest, char **ret, size_t *ret_size, struct error **err)
{
	char actual[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *data = NULL;
	size_t size = 0;
	AUTO_FD int fd = library_open_blob(l, digest, NULL, err);
	if (fd < 0)
		return fd;
	int r = fd_read_all(fd, OCI_DOCUMENT_MAX, &data, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read blob %s in %s", digest, l->path);
	hash_memory(data, size, actual);
	if (!streq(actual, digest))
		return error_set(err, EBADMSG, "blob %s in %s is damaged; remove the image and pull it again", digest,
		    l->path);
	*ret = TAKE_PTR(data);
	*ret_size = size;
	return 0;
}

/* The path of a lock, whose folder is made. Owned; NULL and an error. */
static char *lock_path(struct library *l, const char *name, struct error **err)
{
	AUTOFREE char *directory = path_join(l->path, "locks");
	return path_mkdir_all(directory, 0700, err) < 0 ? NULL : path_join(directory, name);
}

int library_try_lock(struct library *l, const char *name, struct error **err)
{
	AUTOFREE char *path = lock_path(l, name, err);
	return path ? lock_file(path, LOCK_EXCLUSIVE, 0, err) : -EIO;
}

int library_lock_as(struct library *l, const char *name, enum lock_mode mode, void (*on_wait)(void *data), void *data,
    struct error **err)
{
	AUTOFREE char *path = lock_path(l, name, err);
	if (!path)
		return -EIO;
	uint64_t deadline = clock_deadline(IMAGE_WAIT_MS);
	int fd = lock_file(path, mode, 0, NULL);
	if (fd == -EWOULDBLOCK && on_wait)
		on_wait(data);
	while (fd == -EWOULDBLOCK && clock_left_ms(deadline) > 0) {
		int r = interrupt_check(err);
		if (r < 0)
			return r;
		fd = lock_file(path, mode, clock_deadline(IMAGE_WAIT_STEP_MS), NULL);
	}
	if (fd == -EWOULDBLOCK)
		return error_set(err, EBUSY, "another process has been busy with %s for too long", path);
	return fd < 0 ? error_set_errno(err, fd, "cannot lock %s", path) : fd;
}

int library_lock(struct library *l, const char *name, void (*on_wait)(void *data), void *data, struct error **err)
{
	return library_lock_as(l, name, LOCK_EXCLUSIVE, on_wait, data, err);
}

int library_lock_image(struct library *l, const char *digest, void (*on_wait)(void *data), void *data,
    struct error **err)
{
	AUTOFREE char *name = library_file_name(digest, "");
	return library_lock(l, name, on_wait, data, err);
}
