/* SPDX-License-Identifier: Apache-2.0
 * See starter_mounts.h. A mount is made detached, with all its flags, and then moved to its place,
 * which is resolved with the container's root as "/": no symlink of the image leads elsewhere. */
#include "agent/engine/starter_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/mounts.h"
#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

static const char *const devices[] = { "null", "zero", "full", "tty", "random", "urandom" };
static const struct {
	const char *name, *target;
} links[] = { { "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" }, { "ptmx", "pts/ptmx" } };

/* Words of mount(8) that are attributes; the others are the file system's. */
static const struct {
	const char *word;
	uint64_t set;
	int is_ignored; /* the default */
} words[] = { { "ro", MOUNT_ATTR_RDONLY, 0 }, { "nosuid", MOUNT_ATTR_NOSUID, 0 }, { "nodev", MOUNT_ATTR_NODEV, 0 },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 }, { "noatime", MOUNT_ATTR_NOATIME, 0 },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 }, { "strictatime", MOUNT_ATTR_STRICTATIME, 0 }, { "rw", 0, 1 },
	{ "suid", 0, 1 }, { "dev", 0, 1 }, { "exec", 0, 1 }, { "relatime", 0, 1 }, { "bind", 0, 1 }, { "rbind", 0, 1 },
	{ "private", 0, 1 }, { "rprivate", 0, 1 }, { "newinstance", 0, 1 } };

struct options {
	uint64_t attributes;
	struct strv own; /* the file system's */
};

static void options_done(struct options *o)
{
	strv_done(&o->own);
}
#define AUTO_OPTIONS CLEANUP(options_done)

static void read_options(struct json_object *mount, struct options *ret)
{
	AUTO_STRV struct strv all = { 0 };
	json_get_strv(mount, "options", &all, NULL);
	for (size_t i = 0; i < all.count; i++) {
		size_t k = 0;
		while (k < ARRAY_SIZE(words) && !streq(words[k].word, all.items[i]))
			k++;
		if (k == ARRAY_SIZE(words))
			strv_add(&ret->own, all.items[i]);
		else
			ret->attributes |= words[k].set;
	}
	/* As with mount(2), strictatime is the stronger of the two. */
	if (ret->attributes & MOUNT_ATTR_STRICTATIME)
		ret->attributes &= ~(uint64_t)MOUNT_ATTR_NOATIME;
}

/* ---- detached mounts ---- */

static int set_attributes(int mount, uint64_t attributes)
{
	struct mount_attr a = { .attr_set = attributes,
		.attr_clr = attributes & MOUNT_ATTR__ATIME ? MOUNT_ATTR__ATIME : 0 };
	return attributes && syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &a, sizeof a) < 0 ? -errno : 0;
}

static int clone_at(int directory, const char *path)
{
	int fd = (int)syscall(SYS_open_tree, directory, path,
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0U : (unsigned)AT_EMPTY_PATH));
	return fd < 0 ? -errno : fd;
}

static int make_bind(const char *source, uint64_t attributes)
{
	AUTO_FD int tree = clone_at(AT_FDCWD, source);
	int r = tree < 0 ? tree : set_attributes(tree, attributes);
	return r < 0 ? r : TAKE_FD(tree);
}

static int configure(int fs, const char *source, const struct strv *own)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return -errno;
	for (size_t i = 0; i < own->count; i++) {
		const char *equals = strchr(own->items[i], '=');
		AUTOFREE char *key = xstrndup(own->items[i], strcspn(own->items[i], "="));
		unsigned command = equals ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (syscall(SYS_fsconfig, fs, command, key, equals ? equals + 1 : NULL, 0) < 0)
			return -errno;
	}
	return syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

static int make_new(const char *type, const char *source, const struct strv *own, uint64_t attributes)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int r = fs < 0 ? -errno : configure(fs, source, own);
	if (r < 0)
		return r;
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned)attributes);
	return mount < 0 ? -errno : mount;
}

/* ---- the specification ---- */

static int add_mount(int root, struct json_object *o, struct error **err)
{
	AUTO_OPTIONS struct options options = { 0 };
	const char *destination = "", *type = "", *source = "";
	json_get_string(o, "destination", &destination, NULL);
	json_get_string(o, "type", &type, NULL);
	json_get_string(o, "source", &source, NULL);
	read_options(o, &options);
	if (streq(type, "cgroup"))
		type = "cgroup2";
	AUTO_FD int mount = streq(type, "bind") ? make_bind(source, options.attributes) :
						  make_new(type, source, &options.own, options.attributes);
	/* Without a cgroup namespace of its own the container sees the engine's cgroups. */
	if (mount == -EPERM && streq(type, "cgroup2"))
		mount = make_bind(destination, options.attributes);
	return mount < 0 ? error_set_errno(err, mount, "cannot mount %s for %s", type, destination) :
			   mounts_attach(mount, root, destination, err);
}

static int add_mounts(int root, struct json_object *spec, struct error **err)
{
	struct json_object *list = NULL;
	int r = json_get_array(spec, "mounts", &list, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++)
		r = add_mount(root, json_object_array_get_idx(list, i), err);
	return r;
}

static int add_devices(int root, struct error **err)
{
	AUTO_FD int dev = path_open_in_root(root, "/dev", O_RDONLY | O_DIRECTORY, 0);
	int r = dev < 0 ? error_set_errno(err, dev, "cannot open /dev of the container") : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(devices); i++) {
		AUTOFREE char *source = path_join("/dev", devices[i]);
		AUTO_FD int mount = make_bind(source, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		r = mount < 0 ? error_set_errno(err, mount, "cannot use %s", source) :
				mounts_attach(mount, root, source, err);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
			r = error_set_errno(err, errno, "cannot make /dev/%s of the container", links[i].name);
	return r;
}

int starter_mount(struct json_object *spec, struct error **err)
{
	struct json_object *o = NULL;
	const char *path = "";
	int r = json_get_object(spec, "root", &o, err);
	if (r == 0)
		r = json_get_string(o, "path", &path, err);
	if (r < 0)
		return r;
	/* Nothing of the engine's mounts comes here later. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set_errno(err, errno, "cannot make the mounts private");
	AUTO_FD int root = clone_at(AT_FDCWD, path);
	if (root < 0 || syscall(SYS_move_mount, root, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set_errno(err, root < 0 ? root : errno, "cannot mount the container's root");
	if ((r = add_mounts(root, spec, err)) < 0 || (r = add_devices(root, err)) < 0)
		return r;
	return TAKE_FD(root);
}

int starter_mount_console(int root, int terminal, struct error **err)
{
	AUTO_FD int mount = clone_at(terminal, "");
	return mount < 0 ? error_set_errno(err, mount, "cannot use the terminal as /dev/console") :
			   mounts_attach(mount, root, "/dev/console", err);
}

/* ---- masked and read-only paths ---- */

static int place(int mount, int target)
{
	return syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ?
		   -errno :
		   0;
}

static int mask(int target)
{
	static const struct strv none = { 0 };
	struct stat st;
	if (fstat(target, &st) < 0)
		return -errno;
	AUTO_FD int mount = S_ISDIR(st.st_mode) ? make_new("tmpfs", "tmpfs", &none, MOUNT_ATTR_RDONLY) :
						  make_bind("/dev/null", MOUNT_ATTR_RDONLY);
	return mount < 0 ? mount : place(mount, target);
}

static int make_read_only(int target)
{
	AUTO_FD int tree = clone_at(target, "");
	int r = tree < 0 ? tree : set_attributes(tree, MOUNT_ATTR_RDONLY);
	return r < 0 ? r : place(tree, target);
}

static int for_paths(int root, struct json_object *spec, const char *key, int (*change)(int target), struct error **err)
{
	AUTO_STRV struct strv paths = { 0 };
	json_get_strv(spec, key, &paths, NULL);
	for (size_t i = 0; i < paths.count; i++) {
		AUTO_FD int target = path_open_in_root(root, paths.items[i], O_PATH, 0);
		int r = target == -ENOENT || target == -EACCES ? 0 : target < 0 ? target : change(target);
		if (r < 0)
			return error_set_errno(err, r, "cannot cover %s of the container", paths.items[i]);
	}
	return 0;
}

int starter_hide(int root, struct json_object *spec, struct error **err)
{
	struct json_object *linux_part = NULL, *o = NULL;
	int read_only = 0;
	json_get_object(spec, "linux", &linux_part, NULL);
	json_get_object(spec, "root", &o, NULL);
	json_get_bool(o, "readonly", &read_only, NULL);
	int r = for_paths(root, linux_part, "readonlyPaths", make_read_only, err);
	if (r == 0)
		r = for_paths(root, linux_part, "maskedPaths", mask, err);
	if (r == 0 && read_only && (r = set_attributes(root, MOUNT_ATTR_RDONLY)) < 0)
		error_set_errno(err, r, "cannot make the container's root read-only");
	return r;
}
