/* SPDX-License-Identifier: Apache-2.0
 * The root file system: overlayfs over the layers' trees of the host
 * (Documentation/filesystems/overlayfs.rst), the machine's own directory on top. mount(2) takes one
 * page of options, so the directories get short names: symbolic links in a directory of our own
 * tmpfs, which is the working directory while their targets are found in the host view. The mount
 * is made on the machine's directory there, where nobody looks, and a clone of it is taken home. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "oci/layer.h"

#define OVERLAYFS_MAGIC 0x794c7630

enum { OPTIONS_MAX = 4095, DEPTH_MAX = 256 };

char *native_overlay_options(size_t layers)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 2 * OPTIONS_MAX);
	buffer_append_string(&b, "lowerdir=");
	for (size_t i = 0; i < layers; i++)
		buffer_appendf(&b, "%s%zu", i ? ":" : "", i);
	if (!layers)
		buffer_append_string(&b, "e");
	buffer_append_string(&b, ",upperdir=u,workdir=w,userxattr");
	return b.size > OPTIONS_MAX ? NULL : buffer_take_string(&b);
}

static int put_link(const char *target, const char *name)
{
	AUTOFREE char *path = path_join(NATIVE_LAYERS, name);
	unlink(path);
	return symlink(target, path) < 0 ? -errno : 0;
}

static int put_links(const struct boot_request *b, struct error **err)
{
	AUTOFREE char *upper = path_join(b->root_machine, "upper");
	AUTOFREE char *work = path_join(b->root_machine, "work");
	int r = path_mkdir_all(NATIVE_LAYERS "/e", 0755, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < b->root_lower.count; i++) {
		AUTOFREE char *name = xasprintf("%zu", i);
		r = put_link(b->root_lower.items[i], name);
	}
	if (r < 0 || (r = put_link(upper, "u")) < 0 || (r = put_link(work, "w")) < 0)
		return error_set_errno(err, r, "cannot name the machine's layers");
	return 0;
}

/* Says what is wrong with the directories, as mount(2) says EINVAL to most of it. */
static int explain(const struct boot_request *b, int code, struct error **err)
{
	struct statfs fs;
	struct stat st;
	for (size_t i = 0; i < b->root_lower.count; i++)
		if (stat(b->root_lower.items[i], &st) < 0)
			return error_set_errno(err, errno, "cannot use the layer %s of the machine's image",
			    b->root_lower.items[i]);
	if (statfs(b->root_machine, &fs) == 0 && (unsigned long)fs.f_type == OVERLAYFS_MAGIC)
		return error_set(err, EOPNOTSUPP,
		    "%s is on overlayfs, which cannot hold native machines; set XDG_DATA_HOME to a directory on "
		    "another file system",
		    b->root_machine);
	return error_set_errno(err, code, "cannot mount the machine's root file system in %s", b->root_machine);
}

static int make_directory(const char *parent, const char *name, struct error **err)
{
	AUTOFREE char *path = path_join(parent, name);
	return mkdir(path, 0755) < 0 && errno != EEXIST ? error_set_errno(err, errno, "cannot make %s", path) : 0;
}

/* The directory whose mode and owner "/" has: the topmost layer that describes "/", or the upper
 * directory of a machine that this one is a clone of. Trees of older versions bear no mark: then
 * the topmost. */
static const char *find_root(const struct strv *lower)
{
	char value[1];
	for (size_t i = 0; i < lower->count; i++)
		if (streq(path_base(lower->items[i]), "upper") ||
		    getxattr(lower->items[i], LAYER_XATTR_ROOT, value, sizeof value) > 0)
			return lower->items[i];
	return lower->items[0];
}

/* The upper directory is the machine's "/": it begins as the image's, whatever our umask. */
static int make_upper(const struct boot_request *b, struct error **err)
{
	struct stat st = { .st_mode = 0755 };
	AUTOFREE char *path = path_join(b->root_machine, "upper");
	if (access(path, F_OK) == 0)
		return 0;
	AUTOFREE char *fresh = path_join(b->root_machine, "upper.new");
	int r = make_directory(b->root_machine, "upper.new", err);
	if (r < 0)
		return r;
	if (b->root_lower.count && stat(find_root(&b->root_lower), &st) < 0)
		return explain(b, errno, err);
	if (chown(fresh, st.st_uid, st.st_gid) < 0 || chmod(fresh, st.st_mode & 07777) < 0 || rename(fresh, path) < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	return 0;
}

/* In the host view: the overlay, detached. */
static int make_overlay(const struct boot_request *b, int names, struct error **err)
{
	AUTOFREE char *options = native_overlay_options(b->root_lower.count);
	if (!options)
		return error_set(err, E2BIG, "the image has too many layers");
	int r = make_upper(b, err);
	if (r < 0 || (r = make_directory(b->root_machine, "work", err)) < 0)
		return r;
	if (fchdir(names) < 0)
		return error_set_errno(err, errno, "cannot name the machine's layers");
	if (mount("holm", b->root_machine, "overlay", 0, options) < 0)
		return explain(b, errno, err);
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, b->root_machine, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	r = tree < 0 ? error_set_errno(err, errno, "cannot take the machine's root file system along") : tree;
	umount2(b->root_machine, MNT_DETACH);
	return r;
}

int native_mount_root(const struct boot_request *b, struct error **err)
{
	struct stat here, above;
	int back = -1;
	if (!b->root_machine)
		return error_set(err, EINVAL, "the boot request names no layers");
	int r = path_mkdir_all(AGENT_ROOT, 0755, err);
	if (r < 0 || (stat(AGENT_ROOT, &here) == 0 && stat(AGENT_RUN, &above) == 0 && here.st_dev != above.st_dev))
		return r;
	if ((r = put_links(b, err)) < 0)
		return r;
	AUTO_FD int names = open(NATIVE_LAYERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (names < 0 || (r = native_enter_host_view(&back, err)) < 0)
		return r < 0 ? r : -errno;
	AUTO_FD int tree = make_overlay(b, names, err);
	r = native_return(back);
	if (tree < 0)
		return tree;
	if (r < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, AGENT_ROOT, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set_errno(err, r < 0 ? -r : errno, "cannot mount the machine's root file system");
	return 0;
}

/* Sums up blocks below a directory (taken); -ETIME past the deadline. A file with several names
 * counts in parts. */
static int sum(int directory, uint64_t deadline, unsigned depth, uint64_t *total)
{
	DIR *d = fdopendir(directory);
	int r = d ? 0 : -errno;
	if (!d)
		fd_close(directory);
	for (struct dirent *e; r >= 0 && d && (e = readdir(d));) {
		struct stat st;
		if (streq(e->d_name, ".") || streq(e->d_name, "..") ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*total += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : st.st_nlink);
		if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
			continue;
		if (clock_left_ms(deadline) == 0)
			r = -ETIME;
		int below = r < 0 ? -1 : openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			r = sum(below, deadline, depth + 1, total);
	}
	if (d)
		closedir(d);
	return r;
}

int native_usage(const char *machine, uint64_t deadline_ms, uint64_t *ret_bytes)
{
	static const char *const parts[] = { "upper", "private" };
	int back = -1, r = native_enter_host_view(&back, NULL);
	fd_close(back);
	*ret_bytes = 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		AUTOFREE char *path = path_join(machine, parts[i]);
		int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (directory >= 0)
			r = sum(directory, deadline_ms, 0, ret_bytes);
		else if (i == 0)
			r = -errno;
	}
	return r;
}
