/* SPDX-License-Identifier: Apache-2.0
 * The machine's own folders over places in the home are in native/private of the host: the
 * machine's root is an overlay, and the kernel takes no directory of an overlay as another's upper
 * one, which containers inside would want. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "oci/tar_copy.h"

/* In the host view: native/private, made for the user. A descriptor or -errno. */
static int make_private(const struct boot_request *b)
{
	AUTO_FD int machine = open(b->root_machine, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (machine < 0)
		return -errno;
	int made = mkdirat(machine, "private", 0700) == 0;
	AUTO_FD int fd =
	    made || errno == EEXIST ? path_open_beneath(machine, "private", O_RDONLY | O_DIRECTORY, 0) : -errno;
	return fd >= 0 && made && fchown(fd, b->user.uid, b->user.gid) < 0 ? -errno : TAKE_FD(fd);
}

/* Moves one entry of an imported tree to the host's directory, unless there is one. */
static int take_entry(int from, const char *name, int to, struct error **err)
{
	struct stat st;
	int r = 0;
	if (fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		AUTOFREE char *fresh = xasprintf(".new%s", name);
		path_remove_tree(to, fresh);
		r = tar_copy_tree(from, name, to, fresh, 1, err);
		if (r >= 0 && renameat(to, fresh, to, name) < 0)
			r = error_set_errno(err, errno, "cannot move %s of the machine to the host", name);
	}
	return r < 0 ? r : path_remove_tree(from, name);
}

int native_take_imported(int from, int to, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	int r = 0;
	DIR *d = path_list(from);
	if (!d)
		return -EIO;
	for (struct dirent *e; (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			strv_add(&names, e->d_name);
	closedir(d);
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		r = take_entry(from, names.items[i], to, err);
	return r;
}

int native_mount_own_folders(const struct boot_request *b, int directory, struct error **err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NODEV };
	unsigned by_descriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	int back = -1, r = native_enter_host_view(&back, err);
	if (r < 0)
		return r;
	AUTO_FD int private = make_private(b);
	AUTO_FD int tree =
	    private < 0 ? private :
			  (int)syscall(SYS_open_tree, private, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int code = tree < 0 ? errno : 0;
	r = native_return(back);
	if (private < 0 || tree < 0 || r < 0)
		return error_set_errno(err,
		    private < 0 ? private :
		    tree < 0    ? code :
				  r,
		    "home-private: cannot use the machine's own folders in %s/private", b->root_machine);
	if ((r = native_take_imported(directory, private, err)) < 0)
		return r;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ||
	    syscall(SYS_move_mount, tree, "", directory, "", by_descriptor) < 0)
		return error_set_errno(err, errno, "home-private: cannot mount %s/private", b->root_machine);
	return 0;
}
