/* SPDX-License-Identifier: Apache-2.0
 * Deleting a machine's files. They belong to subordinate ids of the user, and the kernel lets the
 * user delete them only as root of a user namespace that maps those ids. The directory is opened
 * outside of it, because directories on its path may be unsearchable inside. */
#include "isolation/native/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "idmap/idmap.h"

/* The names in a directory: 0 or -errno. The descriptor stays the caller's. */
static int list_names(int directory, struct strv *ret)
{
	DIR *d = path_list(directory);
	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			strv_add(ret, e->d_name);
	closedir(d);
	return 0;
}

static int remove_directories(void *data, struct error **err)
{
	int directory = *(int *)data;
	AUTO_STRV struct strv names = { 0 };
	int r = list_names(directory, &names);
	for (size_t i = 0; r >= 0 && i < names.count; i++) {
		struct stat st;
		if (fstatat(directory, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			r = path_remove_tree(directory, names.items[i]);
	}
	return r < 0 ? error_set_errno(err, r, "deleting files of subordinate ids") : 0;
}

int native_tree_remove(const char *path, struct error **err)
{
	struct idmap map;
	int r = path_remove_tree(AT_FDCWD, path);
	if ((r != -EACCES && r != -EPERM && r != -ENOTEMPTY) || geteuid() == 0)
		return r < 0 ? error_set_errno(err, r, "cannot delete %s", path) : 0;
	AUTO_FD int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = directory < 0 ? error_set_errno(err, errno, "%s", path) : idmap_of_user_or_single(&map, err);
	if (r >= 0)
		r = idmap_run(&map, remove_directories, &directory, err);
	if (r < 0)
		return error_prefix(err, r, "cannot delete %s", path);
	r = path_remove_tree(AT_FDCWD, path);
	return r < 0 ? error_set_errno(err, r, "cannot delete %s", path) : 0;
}

int native_tree_hand_over(const char *path, struct error **err)
{
	struct idmap map;
	uint32_t uid, gid;
	if (geteuid() != 0)
		return 0;
	/* Without ranges nothing could be started from it: that is isolation_resolve's to say. */
	if (idmap_of_user(&map, NULL) < 0)
		return 0;
	if (!idmap_outside(map.uids, map.uid_count, 0, &uid) || !idmap_outside(map.gids, map.gid_count, 0, &gid))
		return error_set(err, EINVAL,
		    "the subordinate ids of root in /etc/subuid and /etc/subgid have no place for root inside");
	return chown(path, uid, gid) < 0 ? error_set_errno(err, errno, "%s", path) : 0;
}
