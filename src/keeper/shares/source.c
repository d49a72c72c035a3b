/* SPDX-License-Identifier: Apache-2.0
 * See source.h. Whoever opens the result follows no symlink any more, so that a change after this
 * look is an error there. */
#include "keeper/shares/source.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/shares/walk.h"

int share_source_resolve(const char *path, const struct strv *writable, char **ret, int *ret_fd, struct error **err)
{
	AUTOFREE char *link = NULL, *real = NULL;
	AUTO_FD int fd = walk_path(path, writable, &link);
	if (fd < 0 && link)
		return error_set(err, EACCES,
		    "share \"%s\": \"%s\" is a symbolic link in a folder that the machine can write to; share the "
		    "folder that it leads to instead",
		    path, link);
	if (fd < 0)
		return error_set_errno(err, fd, "share \"%s\"", path);
	real = walk_path_of(fd);
	if (!real)
		return error_set_errno(err, ENAMETOOLONG, "share \"%s\"", path);
	*ret = TAKE_PTR(real);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
