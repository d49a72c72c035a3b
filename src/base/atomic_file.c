/* SPDX-License-Identifier: Apache-2.0
 * A writer holds a lock on its ".tmp-*" file, so the sweep can tell what a crash left from what is
 * being written. */
#include "base/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define PREFIX ".tmp-"

static char *random_name(void)
{
	uint64_t random = 0;
	ssize_t n UNUSED = getrandom(&random, sizeof random, 0);
	return xasprintf(PREFIX "%016llx", (unsigned long long)random);
}

/* The sweep may lock a file between its creation and its lock, and delete it then or a moment
 * later: another name is tried. 0, -EEXIST or -errno. */
static int create_locked(int directory, const char *name, mode_t mode, int *ret)
{
	struct stat mine, there;
	AUTO_FD int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EEXIST : -errno;
	if (fstat(fd, &mine) < 0)
		return -errno;
	if (fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) < 0 || mine.st_ino != there.st_ino)
		return -EEXIST;
	*ret = TAKE_FD(fd);
	return 0;
}

int atomic_file_open(struct atomic_file *f, int directory, mode_t mode, struct error **err)
{
	*f = ATOMIC_FILE_NONE;
	AUTO_FD int own = fcntl(directory, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return error_set_errno(err, errno, "cannot keep the directory open");
	int r = -EEXIST;
	for (int i = 0; i < 8 && r == -EEXIST; i++) {
		AUTOFREE char *name = random_name();
		r = create_locked(own, name, mode, &f->fd);
		if (r == 0)
			f->temporary = TAKE_PTR(name);
	}
	if (r < 0)
		return error_set_errno(err, r, "cannot create a temporary file");
	f->directory = TAKE_FD(own);
	return 0;
}

static int commit(struct atomic_file *f, const char *name, int syncs, struct error **err)
{
	int r = 0;
	if ((syncs && fsync(f->fd) < 0) || renameat(f->directory, f->temporary, f->directory, name) < 0)
		r = error_set_errno(err, errno, "cannot write %s", name);
	else if (syncs && fsync(f->directory) < 0)
		r = error_set_errno(err, errno, "cannot sync the directory of %s", name);
	if (r == 0)
		free(TAKE_PTR(f->temporary));
	atomic_file_abort(f);
	return r;
}

int atomic_file_commit(struct atomic_file *f, const char *name, struct error **err)
{
	return commit(f, name, 1, err);
}

void atomic_file_abort(struct atomic_file *f)
{
	if (f->temporary && f->directory >= 0)
		unlinkat(f->directory, f->temporary, 0);
	free(TAKE_PTR(f->temporary));
	/* A zeroed structure owns nothing: descriptor 0 is never ours. */
	if (f->fd > 0)
		fd_close(TAKE_FD(f->fd));
	if (f->directory > 0)
		fd_close(TAKE_FD(f->directory));
}

int atomic_file_write_at(int directory, const char *name, mode_t mode, const void *data, size_t size, int syncs,
    struct error **err)
{
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	int r = atomic_file_open(&f, directory, mode, err);
	if (r < 0)
		return error_prefix(err, r, "%s", name);
	r = fd_write_full(f.fd, data, size);
	if (r < 0)
		return error_set_errno(err, r, "cannot write %s", name);
	return commit(&f, name, syncs, err);
}

static int write_whole(const char *path, mode_t mode, const void *data, size_t size, int syncs, struct error **err)
{
	AUTOFREE char *parent = path_parent(path);
	AUTO_FD int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(err, errno, "cannot open %s", parent);
	int r = atomic_file_write_at(directory, path_base(path), mode, data, size, syncs, err);
	return r < 0 ? error_prefix(err, r, "%s", parent) : 0;
}

int atomic_file_write(const char *path, mode_t mode, const void *data, size_t size, struct error **err)
{
	return write_whole(path, mode, data, size, 1, err);
}

int atomic_file_write_cache(const char *path, mode_t mode, const void *data, size_t size, struct error **err)
{
	return write_whole(path, mode, data, size, 0, err);
}

void atomic_file_sweep(int directory)
{
	AUTO_FD int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return;
	copy = -1;
	for (struct dirent *e; (e = readdir(d));) {
		if (!startswith(e->d_name, PREFIX))
			continue;
		AUTO_FD int fd = openat(directory, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(directory, e->d_name, 0);
	}
	closedir(d);
}
