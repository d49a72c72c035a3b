/* SPDX-License-Identifier: Apache-2.0
 * See user_file.h. */
#include "cli/ssh/user_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/path.h"

enum { TEXT_MAX = 4 * 1024 * 1024 };

void user_file_done(struct user_file *f)
{
	free(f->path);
	free(f->real);
	free(f->text);
}

static int read_text(struct user_file *f, struct error **err)
{
	struct stat st;
	size_t size = 0;
	if (stat(f->real, &st) < 0)
		return error_set_errno(err, errno, "%s", f->path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "%s is no ordinary file", f->path);
	if (st.st_uid != geteuid())
		return error_set(err, EPERM, "%s belongs to another user", f->path);
	f->mode = st.st_mode & 07777;
	int r = path_read_file(f->real, TEXT_MAX, &f->text, &size);
	if (r < 0)
		return error_set_errno(err, r, "%s", f->path);
	return strlen(f->text) == size ? 0 : error_set(err, EINVAL, "%s has zero bytes; it is no text", f->path);
}

int user_file_read(struct user_file *f, const char *path, struct error **err)
{
	struct stat st;
	*f = (struct user_file){ .path = xstrdup(path), .mode = 0600 };
	f->linked = lstat(f->path, &st) == 0 && S_ISLNK(st.st_mode);
	f->real = realpath(f->path, NULL);
	if (f->real)
		return read_text(f, err);
	if (errno == ENOENT && f->linked)
		return error_set(err, ENOENT, "%s is a symbolic link to a file that is missing; make that file first",
		    f->path);
	if (errno != ENOENT)
		return error_set_errno(err, errno, "%s", f->path);
	f->real = xstrdup(f->path);
	f->text = xstrdup("");
	return 0;
}

int user_file_write(const struct user_file *f, const char *text, struct error **err)
{
	AUTOFREE char *folder = path_parent(f->path);
	if (!*text && !f->linked)
		return unlink(f->path) < 0 && errno != ENOENT ?
			   error_set_errno(err, errno, "cannot delete %s", f->path) :
			   0;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make %s", folder);
	mode_t mask = umask(0); /* which would narrow the mode */
	int r = atomic_file_write(f->real, f->mode, text, strlen(text), err);
	umask(mask);
	return r;
}
