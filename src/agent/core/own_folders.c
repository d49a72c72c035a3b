/* SPDX-License-Identifier: Apache-2.0
 * See own_folders.h. The machine can change both ends: OWN_FOLDERS is in its tree, the places are
 * in its home. Every directory is opened beneath one that is held open, without symbolic links, and
 * mounts go from descriptor to descriptor. */
#include "agent/core/own_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

int own_folders_open(int root)
{
	return path_open_beneath(root, OWN_FOLDERS, O_RDONLY | O_DIRECTORY, 0);
}

/* Opens OWN_FOLDERS and makes what is missing of it. A descriptor or -errno. */
static int make_folder(int root, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	AUTO_FD int at = path_open_beneath(root, ".", O_RDONLY | O_DIRECTORY, 0);
	strv_split(&names, OWN_FOLDERS, "/");
	for (size_t i = 0; at >= 0 && i < names.count; i++) {
		int made = mkdirat(at, names.items[i], 0755) == 0 || errno == EEXIST;
		int next = made ? path_open_beneath(at, names.items[i], O_RDONLY | O_DIRECTORY, 0) : -errno;
		fd_close(at);
		at = next;
	}
	return at < 0 ? error_set_errno(err, at, "home-private: cannot use /" OWN_FOLDERS " in the machine") :
			TAKE_FD(at);
}

static int is_mount(int directory)
{
	struct statx st;
	return statx(directory, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0 && st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* OWN_FOLDERS, with the platform's own directory mounted there. A descriptor or -errno. */
static int open_folder(const struct platform *p, int root, const struct boot_request *b, struct error **err)
{
	AUTO_FD int folder = make_folder(root, err);
	if (folder < 0 || !p->mount_own_folders || is_mount(folder))
		return TAKE_FD(folder);
	int r = p->mount_own_folders(b, folder, err);
	fd_close(TAKE_FD(folder));
	return r < 0 ? r : make_folder(root, err);
}

static int is_same(int a, int b)
{
	struct stat first, second;
	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* Opens the folder for a place and makes it, for the user, if it is missing. Descriptor or -errno.
 */
static int open_own(int folder, const char *place, const struct boot_user *u)
{
	AUTOFREE char *name = path_flatten(place);
	int made = mkdirat(folder, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	int own = path_open_beneath(folder, name, O_RDONLY | O_DIRECTORY, 0);
	if (own >= 0 && made && fchown(own, u->uid, u->gid) < 0) {
		int r = -errno;
		fd_close(own);
		return r;
	}
	return own;
}

/* Mounts the directory `own` on `target`. 0 or -errno. */
static int mount_over(int own, int target)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NODEV };
	AUTO_FD int tree = (int)syscall(SYS_open_tree, own, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
		return -errno;
	unsigned by_descriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return syscall(SYS_move_mount, tree, "", target, "", by_descriptor) < 0 ? -errno : 0;
}

static int mount_place(int share, const char *place, int folder, const struct boot_user *u)
{
	AUTO_FD int target = path_open_beneath(share, place, O_PATH | O_DIRECTORY, 0);
	AUTO_FD int own = target < 0 ? target : open_own(folder, place, u);
	if (own < 0)
		return own;
	return is_same(own, target) ? 0 : mount_over(own, target);
}

static int open_share(const struct boot_share *s)
{
	AUTOFREE char *path = path_join(AGENT_SHARES, s->tag);
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Mounts all places of a share. 0 or the first -errno. */
static int mount_places(const struct boot_share *s, int folder, const struct boot_user *u, struct error **err)
{
	AUTO_FD int share = open_share(s);
	int failed = 0;
	for (size_t i = 0; i < s->private.count; i++) {
		int r = share < 0 ? share : mount_place(share, s->private.items[i], folder, u);
		if (r < 0 && !failed)
			failed = error_set_errno(err, r, "home-private: left shared: %s", s->private.items[i]);
	}
	return failed;
}

static int has_places(const struct boot_request *b)
{
	for (size_t i = 0; i < b->share_count; i++)
		if (b->shares[i].private.count)
			return 1;
	return 0;
}

int own_folders_mount(const struct platform *p, int root, const struct boot_request *b, struct error **err)
{
	if (!b->rescue && !has_places(b))
		return 0;
	AUTO_FD int folder = open_folder(p, root, b, err);
	int failed = folder < 0 ? folder : 0;
	for (size_t i = 0; folder >= 0 && !b->rescue && i < b->share_count; i++) {
		int r = mount_places(&b->shares[i], folder, &b->user, failed ? NULL : err);
		failed = failed ? failed : r;
	}
	return failed;
}

/* The last component is the mount itself, so only the descriptor names it. */
static void unmount_place(int share, const char *place)
{
	char path[64];
	AUTO_FD int mounted = path_open_beneath(share, place, O_PATH | O_DIRECTORY, 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", mounted);
	if (mounted >= 0 && is_mount(mounted))
		umount2(path, MNT_DETACH);
}

void own_folders_unmount(const struct boot_request *b)
{
	for (size_t i = 0; b && i < b->share_count; i++) {
		AUTO_FD int share = open_share(&b->shares[i]);
		for (size_t j = 0; share >= 0 && j < b->shares[i].private.count; j++)
			unmount_place(share, b->shares[i].private.items[j]);
	}
}
