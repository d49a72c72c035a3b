/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

char *host_file_parse(const char *text, int *ret_slash, int *ret_contents)
{
	const char *last = path_base(text);
	char *path = xstrdup(text);
	*ret_slash = endswith(text, "/") != 0;
	*ret_contents = streq(last, ".") || streq(last, "..");
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	return path;
}

char *host_file_real(const struct host_file *from, int follow)
{
	struct stat st;
	if (lstat(from->path, &st) < 0)
		return NULL;
	if (!S_ISLNK(st.st_mode) || follow || from->slash)
		return realpath(from->path, NULL);
	AUTOFREE char *parent = path_parent(from->path), *real = realpath(parent, NULL);
	return real ? path_join(real, path_base(from->path)) : NULL;
}

int host_file_check(const struct host_file *from, const char *real, struct error **err)
{
	struct stat st;
	if (lstat(real, &st) < 0)
		return error_set_errno(err, errno, "\"%s\"", from->path);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISSOCK(st.st_mode))
		return error_set(err, EINVAL, "\"%s\" is a %s; cp copies files and directories", from->path,
		    S_ISSOCK(st.st_mode) ? "socket" : "device");
	if ((from->slash || from->contents) && !S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "\"%s\" is not a directory", from->path);
	if (streq(real, "/"))
		return error_set(err, EINVAL, "the host's whole root cannot be copied");
	return S_ISDIR(st.st_mode);
}

/* Opens the directory beside a target that is no directory, and sets *ret_name to the target's name
 * there, borrowed from *place. A descriptor or -errno. */
static int open_beside(const struct host_file *to, char **place, const char **ret_name, struct error **err)
{
	struct stat st;
	*place = xstrdup(to->path);
	if (lstat(to->path, &st) == 0 && S_ISLNK(st.st_mode)) {
		free(*place);
		*place = realpath(to->path, NULL);
		if (!*place)
			return error_set_errno(err, errno, "the symbolic link \"%s\"", to->path);
	}
	if (stat(*place, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, EEXIST,
		    "\"%s\" is neither a file nor a directory; cp NAME:PATH - writes a tar stream to stdout", to->path);
	AUTOFREE char *parent = path_parent(*place);
	*ret_name = path_base(*place);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "\"%s\"", parent) : fd;
}

int host_file_open_target(const struct host_file *to, const char *own, int contents, int many, int from_directory,
    struct tar_unpack *u, char **place, struct error **err)
{
	struct stat st;
	if (stat(to->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		u->strip = contents;
		u->name = own;
		int fd = open(to->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? error_set_errno(err, errno, "\"%s\"", to->path) : fd;
	}
	if (many || (to->slash && !from_directory))
		return error_set(err, ENOTDIR, "\"%s\" is not a directory", to->path);
	return open_beside(to, place, &u->name, err);
}
