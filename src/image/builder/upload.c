/* SPDX-License-Identifier: Apache-2.0
 * See upload.h. The stream goes to a file without a name first, since only its first entry tells
 * what it is. The folder's name is one that a sweep removes if this process does not. */
#include "image/builder/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/reserve.h"
#include "image/build/dockerfile.h"
#include "image/builder/emit.h"
#include "image/common/interrupt.h"
#include "oci/tar_unpack.h"

enum { PIECE = 1 << 17 };

void build_upload_done(struct build_upload *u)
{
	if (u->name)
		path_remove_tree(u->library->root, u->name);
	free(u->name);
	free(u->folder);
	free(u->file);
	*u = (struct build_upload){ 0 };
}

static int spool(int from, int to, struct error **err)
{
	static char piece[PIECE];
	struct reserve reserve = { 0 };
	ssize_t n = 1;
	int r = 0;
	while (r == 0 && (n = read(from, piece, sizeof piece)) != 0) {
		if (n < 0 && errno != EINTR)
			return error_set_errno(err, errno, "reading the context");
		r = interrupt_check(err);
		if (r == 0 && n > 0)
			r = reserve_take(&reserve, to, (uint64_t)n, err);
		if (r == 0 && n > 0 && (r = fd_write_full(to, piece, (size_t)n)) < 0)
			error_set_errno(err, r, "writing the context");
	}
	return r;
}

/* Bytes of the archive on their way to files: they take room, too. */
struct unpacking {
	struct emit_archive *archive;
	struct reserve reserve;
	int directory;
};

static ssize_t read_unpacked(void *data, const void **ret, struct error **err)
{
	struct unpacking *u = data;
	ssize_t n = emit_archive_read(u->archive, ret, err);
	int r = n > 0 ? reserve_take(&u->reserve, u->directory, (uint64_t)n, err) : 0;
	return r < 0 ? r : n;
}

int build_upload_make_folder(struct build_upload *u, struct error **err)
{
	uint64_t random;
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return error_set_errno(err, errno, "getrandom");
	AUTOFREE char *name = xasprintf("unpacked-%016llx", (unsigned long long)random);
	if (mkdirat(u->library->root, name, 0700) < 0)
		return error_set_errno(err, errno, "cannot make a folder for the context");
	u->folder = path_join(u->library->path, name);
	u->name = TAKE_PTR(name);
	return openat(u->library->root, u->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int unpack(int fd, int directory, struct error **err)
{
	struct unpacking from = { .archive = emit_archive_open(fd), .directory = directory };
	const struct tar_unpack to = { .directory = directory, .uid = getuid(), .gid = getgid(), .foreign = 1 };
	size_t left_out = 0;
	int r = from.archive ? tar_unpack_run(&to, read_unpacked, &from, &left_out, err) : -EBADMSG;
	emit_archive_close(from.archive);
	return r < 0 ? error_prefix(err, r, "the context") : 0;
}

/* A stream that is no archive is a Dockerfile. */
static int read_file(int fd, char **ret, struct error **err)
{
	size_t size;
	int r = fd_read_all(fd, DOCKERFILE_MAX, ret, &size);
	if (r == 0 && strlen(*ret) != size)
		return error_set(err, EINVAL, "standard input is neither a tar archive nor a Dockerfile");
	return r < 0 ? error_set_errno(err, r, "reading the Dockerfile") : 0;
}

int build_upload_take(struct library *l, int file, struct build_upload *ret, struct error **err)
{
	struct build_upload u = { .library = l };
	AUTO_FD int directory = build_upload_make_folder(&u, err);
	int r = directory < 0 ? directory : 0;
	int is_archive = r == 0 && lseek(file, 0, SEEK_SET) == 0 && emit_is_archive(file);
	if (r == 0 && lseek(file, 0, SEEK_SET) == 0)
		r = is_archive ? unpack(file, directory, err) : read_file(file, &u.file, err);
	if (r < 0)
		build_upload_done(&u);
	else
		*ret = u;
	return r;
}

int build_upload_read(struct library *l, int fd, struct build_upload *ret, struct error **err)
{
	AUTO_FD int file = openat(l->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = file < 0 ? error_set_errno(err, errno, "cannot make a file in %s", l->path) : spool(fd, file, err);
	return r < 0 ? r : build_upload_take(l, file, ret, err);
}
