/* SPDX-License-Identifier: Apache-2.0
 * See files.h. A worker with the container's rights writes the folder, so nothing in it is
 * trusted: a file has to be one, and no symlink is followed. */
#include "agent/engine/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/namespaces.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

enum { ENV_MAX = FILES_TOTAL_MAX };

static char *folder_of(const struct container *c)
{
	return xasprintf(ENGINE_RUN "/%s/files", c->record.id);
}

int files_folder(const struct container *c, struct error **err)
{
	const struct idmap *ids = container_ids(c);
	AUTOFREE char *path = folder_of(c), *run = path_parent(path);
	int r = path_mkdir_all(run, 0711, err);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make a folder for the container's files");
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, ids->uids[0].outside, ids->gids[0].outside) < 0)
		return error_set_errno(err, errno, "cannot make a folder for the container's files");
	return TAKE_FD(fd);
}

int files_tree(const struct container *c, const char *name)
{
	AUTOFREE char *folder = folder_of(c), *path = path_join(folder, name);
	AUTO_FD int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	int tree = (int)syscall(SYS_open_tree, file, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return tree < 0 ? -errno : tree;
}

int files_env(const struct container *c, struct strv *to, struct error **err)
{
	AUTOFREE char *folder = folder_of(c), *path = path_join(folder, "env"), *text = NULL;
	AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t size = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot read the container's variables");
	int r = fd_read_all(fd, ENV_MAX, &text, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the container's variables");
	for (size_t at = 0; at < size; at += strlen(text + at) + 1)
		if (strchr(text + at, '='))
			strv_add(to, text + at);
	return 0;
}
