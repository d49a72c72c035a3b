/* SPDX-License-Identifier: Apache-2.0
 * Shares of a native machine: clones of the host's mounts, which the machine can neither loosen
 * nor look under.
 *
 * Problem. Root inside may mount, remount and unmount. A share must stay read-only if it is, and a
 * folder that holm hides in it (holm's own: other machines' disks) must stay hidden. And the
 * machine's own directories and symlinks must not lead the agent, which may do more, to another
 * place.
 *
 * Idea. The kernel locks the mounts that a less privileged mount namespace gets from its parent
 * (mount_namespaces(7), "Restrictions on mount namespaces"): read-only stays read-only, a cover
 * stays in its place. So the agent makes a share as strict as it has to be in its own namespace.
 * The machine gets clones only, made in a mount namespace of its own user namespace. A runtime
 * that takes clones along from outside, as crun does with bind mounts, would lose the locks.
 *
 * Steps:
 * 1. The keeper says where a share comes from, or, for a machine of root, sends a detached mount.
 * 2. A worker clones the host's mount from the host view, where it goes on following the host's
 *    mounts.
 * 3. place() restricts the clone, mounts it at AGENT_SHARES/TAG and covers each hidden folder by
 *    an empty directory that nobody may enter.
 * 4. At the start, native_attach_main() clones the shares in the init's mount namespace, before
 *    AGENT_ROOT becomes its root. For a live share, native_take_share() makes a namespace for the
 *    clone.
 * 5. Before each start of an init, native_check_shares() covers hidden folders that have come
 *    since.
 *
 * Failures. The folders above a hidden one can be renamed by another machine between the keeper's
 * look and step 3: device and inode tell, and the share is refused.
 * The keeper has resolved the path of a share. A symlink that comes later, made by
 * somebody who may write above, is not followed (clone_resolved()). A hidden folder that does not
 * exist needs no cover. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/mounts.h"
#include "agent/platform/native/native.h"
#include "agent/platform/native/start.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

static struct native_share *find(struct native *n, const char *tag)
{
	for (size_t i = 0; i < n->share_count; i++)
		if (streq(n->shares[i].tag, tag))
			return &n->shares[i];
	return NULL;
}

void native_share_drop(struct native *n, const char *tag)
{
	struct native_share *s = find(n, tag);
	if (!s)
		return;
	native_share_done(s);
	*s = n->shares[--n->share_count];
}

int native_share_put(struct native *n, struct native_share *s, struct error **err)
{
	native_share_drop(n, s->tag);
	if (n->share_count >= NATIVE_SHARES_MAX) {
		native_share_done(s);
		return error_set(err, EBUSY, "the machine has %d shares, which is the most", NATIVE_SHARES_MAX);
	}
	n->shares = xrealloc(n->shares, n->share_count + 1, sizeof *n->shares);
	n->shares[n->share_count++] = *s;
	*s = (struct native_share){ 0 };
	return 0;
}

/* An empty directory that nobody may enter, detached. */
static int make_cover(void)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0000", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return mount < 0 ? -errno : mount;
}

/* Whether a directory is a cover: the root of a mount, of a tmpfs, that lets nobody in. */
static int is_cover(int directory)
{
	struct statx st;
	struct statfs fs;
	return statx(directory, "", AT_EMPTY_PATH, STATX_MODE, &st) == 0 && st.stx_attributes & STATX_ATTR_MOUNT_ROOT &&
	       (st.stx_mode & 07777) == 0 && fstatfs(directory, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Whether a hidden folder is the one that the keeper saw. Another machine that can write above it
 * may have renamed the way there since: then the folder is visible by another name, and what is
 * here is not it. */
static int is_expected(int target, const char *identity)
{
	AUTOFREE char *found = target >= 0 ? path_identity(target, "") : xstrdup(PATH_NOTHING);
	return streq(identity, PATH_NOTHING) || streq(identity, found);
}

/* A path that is not there hides itself. The keeper has resolved it: a symlink in it was put there
 * since, and is an error. identity: what the keeper saw there; NULL, when the share was covered
 * before and covers move along with their folders. */
static int cover(int share, const char *relative, const char *identity, struct error **err)
{
	AUTO_FD int target = path_open_beneath(share, relative + strspn(relative, "/"), O_PATH | O_DIRECTORY, 0);
	if (identity && !is_expected(target, identity))
		return error_set(err, ESTALE,
		    "%s, which is hidden, was moved while the machine took the share; start the machine again",
		    relative);
	if (target == -ENOENT || target == -ENOTDIR || (target >= 0 && is_cover(target)))
		return 0;
	AUTO_FD int mount = target < 0 ? target : make_cover();
	if (mount < 0 ||
	    syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set_errno(err, mount < 0 ? -mount : errno, "cannot hide %s in a share", relative);
	return 0;
}

/* The keeper has resolved the path: a symlink on the way was put there since, by somebody who may
 * write to a directory above. */
static int clone_resolved(const char *host)
{
	AUTO_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = top < 0 ? -errno : path_open_beneath(top, host[1] ? host + 1 : ".", O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
		return -ENOTDIR;
	int tree =
	    (int)syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	return tree < 0 ? -errno : tree;
}

static int clone_host(const struct native_share *s, struct error **err)
{
	int back = -1;
	int r = native_enter_host_view(&back, err);
	if (r < 0)
		return r;
	AUTO_FD int tree = clone_resolved(s->host);
	r = native_return(back);
	if (tree < 0 || r < 0)
		return error_set_errno(err, tree < 0 ? tree : r, "cannot share %s", s->host);
	return TAKE_FD(tree);
}

/* Mounts a directory on itself. The new mount's descriptor, 0 where the directory is a mount's root
 * already, or -errno. */
static int mount_on_itself(int directory)
{
	struct statx st;
	if (statx(directory, "", AT_EMPTY_PATH, STATX_MODE, &st) < 0)
		return -errno;
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
	AUTO_FD int tree = (int)syscall(SYS_open_tree, directory, "", flags);
	unsigned by_descriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return tree < 0 || syscall(SYS_move_mount, tree, "", directory, "", by_descriptor) < 0 ? -errno : TAKE_FD(tree);
}

/* Holds the directories on the way to a hidden one in their places: the kernel does not rename a
 * mount point. The machine could else put other folders in the place of holm's, or mislead cover().
 * 0, also when a directory is not there, or -errno. */
static int hold(int share, const char *relative, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	AUTO_FD int at = openat(share, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	strv_split(&names, relative, "/");
	for (size_t i = 0; at >= 0 && i + 1 < names.count; i++) {
		AUTO_FD int next = path_open_beneath(at, names.items[i], O_PATH | O_DIRECTORY, 0);
		int mount = next < 0 ? next : mount_on_itself(next);
		fd_close(at);
		at = mount == 0 ? TAKE_FD(next) : mount;
	}
	return at < 0 && at != -ENOENT && at != -ENOTDIR ?
		   error_set_errno(err, at, "cannot hold the folders above %s in a share", relative) :
		   0;
}

/* Not in a home: a machine that may write to it is trusted with the account (holm-security(7)), and
 * programs rename and link files between the home and its .local. */
static int holds_folders(const struct native_share *s)
{
	return !s->read_only && !streq(s->tag, "home");
}

/* first: the share was not covered before. */
static int hide(const struct native_share *s, int share, int first, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r >= 0 && i < s->hidden.count; i++) {
		const char *relative = s->hidden.items[i] + strlen(s->host);
		r = holds_folders(s) ? hold(share, relative, err) : 0;
		if (r >= 0)
			r = cover(share, relative, first ? s->hidden_ids.items[i] : NULL, err);
	}
	return r;
}

/* Puts a file in the place of the empty directory `path` of our own, if the mount is one of a file.
 * 0 or -errno. */
static int fit_mount_point(int tree, const char *path)
{
	struct stat st;
	if (fstat(tree, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return 0;
	if (rmdir(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

/* Makes a detached mount as strict as the share is and mounts it. */
static int place(const struct native_share *from, int tree, int read_only, const char *path, struct error **err)
{
	struct mount_attr attributes = {
		.attr_set =
		    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only || from->read_only ? MOUNT_ATTR_RDONLY : 0),
	};
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
		return error_set_errno(err, errno, "cannot restrict the share of %s", from->host);
	int r = fit_mount_point(tree, path);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a place for the share of %s", from->host);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot mount the share of %s", from->host);
	r = hide(from, tree, 1, err);
	if (r < 0)
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	return r;
}

int native_mount_share(const struct boot_share *s, const char *path, struct error **err)
{
	const struct native_share *from = find(native_self(), s->tag);
	if (!from)
		return error_set(err, ENOENT, "the keeper did not say where the share \"%s\" comes from", s->tag);
	AUTO_FD int tree = clone_host(from, err);
	return tree < 0 ? tree : place(from, tree, s->read_only, path, err);
}

int native_place_share(struct native *n, const char *tag, int tree, struct error **err)
{
	const struct native_share *s = find(n, tag);
	AUTOFREE char *path = path_join(AGENT_SHARES, tag);
	int r = path_mkdir_all(path, 0755, err);
	return r < 0 ? r : place(s, tree, 0, path, err);
}

/* Covers each hidden folder that has none: one that is new since the share was mounted. */
int native_check_shares(const struct boot_request *b, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r >= 0 && i < b->share_count; i++) {
		const struct native_share *s = find(native_self(), b->shares[i].tag);
		AUTOFREE char *path = path_join(AGENT_SHARES, b->shares[i].tag);
		AUTO_FD int share = s ? open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (share < 0)
			return error_set_errno(err, s ? errno : ENOENT, "the share of %s is not mounted",
			    b->shares[i].inside);
		r = hide(s, share, 0, err);
	}
	return r;
}

int native_take_share(int machine, const char *path, struct error **err)
{
	int r = native_become_machine(machine);
	if (r < 0 || unshare(CLONE_NEWNS) < 0)
		return error_set_errno(err, r < 0 ? -r : errno, "cannot enter the machine");
	return mounts_clone(path, err);
}

/* The machine's root may look for it, and nobody with more rights does. What is hidden in the share
 * is locked in this namespace's copy, and stays covered in the clone. */
int native_take_bind(int machine, const char *share, const char *relative, struct error **err)
{
	int r = native_become_machine(machine);
	if (r < 0 || unshare(CLONE_NEWNS) < 0)
		return error_set_errno(err, r < 0 ? -r : errno, "cannot enter the machine");
	return mounts_clone_beneath(share, relative);
}
