/* SPDX-License-Identifier: Apache-2.0
 * The files of containers are in machines/NAME/containers of the host: the machine's root is an
 * overlay, and the kernel takes no directory of an overlay as another's upper one. An imported tree
 * has them in STORAGE_FOLDER, as a VM's disk has. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "idmap/storage.h"

/* (in the host view) The folder is the user's, who looks into it and removes it from outside. */
static int open_folder(const char *path, const struct boot_user *u, int make)
{
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return make && !native_self()->go.ids.single && fchown(fd, u->uid, u->gid) < 0 ? -errno : TAKE_FD(fd);
}

/* Opens the folder on the host, and makes a detached mount of it. 0 or -errno. */
static int take_folder(const struct boot_request *b, int make, int *ret_folder, int *ret_tree)
{
	AUTOFREE char *machine = path_parent(b->root_machine), *path = path_join(machine, "containers");
	int back = -1, r = native_enter_host_view(&back, NULL);
	if (r < 0)
		return r;
	AUTO_FD int folder = open_folder(path, &b->user, make);
	AUTO_FD int tree =
	    folder < 0 ? folder :
			 (int)syscall(SYS_open_tree, folder, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int code = folder < 0 ? folder : tree < 0 ? -errno : 0;
	r = native_return(back);
	if (code < 0 || r < 0)
		return code < 0 ? code : r;
	*ret_folder = TAKE_FD(folder);
	*ret_tree = TAKE_FD(tree);
	return 0;
}

int native_open_containers(const struct boot_request *b, struct error **err)
{
	AUTO_FD int folder = -1;
	int tree = -1;
	if (native_self()->go.ids.by_root)
		return error_set(err, EOPNOTSUPP, "machines of root have no containers; start one as an ordinary user");
	int r = take_folder(b, 1, &folder, &tree);
	return r < 0 ? error_set_errno(err, r, "cannot use the machine's folder of containers on the host") : tree;
}

int native_mount_containers(const struct boot_request *b, int root, struct error **err)
{
	AUTO_FD int folder = -1, tree = -1;
	if (native_self()->go.ids.by_root)
		return 0;
	AUTO_FD int imported = path_open_beneath(root, STORAGE_FOLDER, O_RDONLY | O_DIRECTORY, 0);
	if (imported < 0 && !b->rescue)
		return 0;
	int r = take_folder(b, imported >= 0, &folder, &tree);
	if (r == 0 && imported >= 0)
		r = native_take_imported(imported, folder, err);
	if (r == -ENOENT || (r == 0 && !b->rescue))
		return 0;
	AUTO_FD int place = r < 0 ? r : rootfs_mkdir(root, "/" STORAGE_FOLDER, 0700, err);
	if (place < 0)
		return error_set_errno(err, place, "cannot use the machine's folder of containers on the host");
	if (syscall(SYS_move_mount, tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot mount the machine's folder of containers");
	return 0;
}
