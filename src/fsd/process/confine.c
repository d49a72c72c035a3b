/* SPDX-License-Identifier: Apache-2.0
 * Namespaces, capabilities, Landlock. The system calls are in confine_calls.c. */
#include "fsd/process/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* Constants of kernels later than Debian 12's headers. */
#define ACCESS_FS_TRUNCATE (1ULL << 14)  /* since version 3 */
#define ACCESS_FS_IOCTL_DEV (1ULL << 15) /* since version 5 */
#define ACCESS_NET_ALL 3ULL              /* since version 4: bind and connect, TCP */
#define SCOPE_ALL 3ULL                   /* since version 6: abstract sockets, signals */

static int write_file(const char *path, const char *format, unsigned id)
{
	char text[64];
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_full(fd, text, (size_t)snprintf(text, sizeof text, format, id, id));
}

/* Enters a user namespace that maps the user and the group to themselves, and no other id. 0 or
 * -errno. */
static int enter_user_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	int r;
	if ((r = write_file("/proc/self/setgroups", "deny", 0)) < 0 ||
	    (r = write_file("/proc/self/uid_map", "%u %u 1\n", uid)) < 0)
		return r;
	return write_file("/proc/self/gid_map", "%u %u 1\n", gid);
}

static int set_working_directory(int proc)
{
	return proc < 0 || fchdir(proc) < 0 ? -errno : 0;
}

/* The new root: a directory, or one that contains only this file of it. */
struct target {
	int directory;
	const char *file; /* NULL: the directory itself */
	int read_only;
};

/* Clones the mount at `path` as a detached one, whose root has no parent: nosuid, nodev, and
 * read-only if wanted. A descriptor or -errno. */
static int clone_mount(const char *path, int read_only, unsigned flags)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0),
	};
	AUTO_FD int tree =
	    (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | flags);
	if (tree < 0 ||
	    syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
		return -errno;
	return TAKE_FD(tree);
}

/* Makes a detached tmpfs with one empty file, CONFINE_FILE. A descriptor or -errno. */
static int make_directory(void)
{
	static const char *const options[][2] = { { "mode", "0555" }, { "size", "4k" }, { "nr_inodes", "2" } };
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	for (size_t n = 0; fs >= 0 && n < ARRAY_SIZE(options); n++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[n][0], options[n][1], 0) < 0)
			return -errno;
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	AUTO_FD int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount < 0)
		return -errno;
	AUTO_FD int file = openat(mount, CONFINE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
	return file < 0 ? -errno : TAKE_FD(mount);
}

/* Mounts the file in the directory, which is mounted already, and makes the directory read-only. 0
 * or -errno. */
static int put_file(int file, int directory)
{
	struct mount_attr fixed = { .attr_set = MOUNT_ATTR_RDONLY };
	if (syscall(SYS_move_mount, file, "", directory, CONFINE_FILE, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    syscall(SYS_mount_setattr, directory, "", AT_EMPTY_PATH, &fixed, sizeof fixed) < 0)
		return -errno;
	return 0;
}

/* Mounts the new root on the working directory. A descriptor or -errno. */
static int mount_root(const struct target *t)
{
	AUTO_FD int file = t->file ? clone_mount(t->file, t->read_only, AT_SYMLINK_NOFOLLOW) : -1;
	if (t->file && file < 0)
		return file;
	AUTO_FD int tree = t->file ? make_directory() : clone_mount(".", t->read_only, 0);
	if (tree < 0)
		return tree;
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	int r = t->file ? put_file(file, tree) : 0;
	return r < 0 ? r : TAKE_FD(tree);
}

/* Makes the target the root. The caller has entered a new mount namespace, with the directory as
 * its working directory. The old root is unmounted. Mounts that the host makes later beneath the
 * directory still appear here, and the host can unmount them. */
static int change_root(const struct target *t, int *ret_root, int *ret_proc)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	/* A detached mount, whose root has no parent. */
	AUTO_FD int proc = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	AUTO_FD int all_of_proc = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (proc < 0 || all_of_proc < 0)
		return -errno;
	AUTO_FD int tree = mount_root(t);
	if (tree < 0)
		return tree;
	if (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	AUTO_FD int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	int r = set_working_directory(proc);
	if (r == 0) {
		*ret_root = TAKE_FD(root);
		*ret_proc = TAKE_FD(all_of_proc);
	}
	return r;
}

/* Enters the namespace. 0, and *root is replaced by the target in there; or -errno, after which
 * confine() continues without a namespace. */
static int enter(const struct target *t, int *root, struct confinement *c)
{
	struct stat before, after;
	AUTO_FD int inside = -1, proc = -1;
	if (fstat(*root, &before) < 0 || fchdir(t->directory) < 0)
		return -errno;
	int r = geteuid() == 0 ? (unshare(CLONE_NEWNS) < 0 ? -errno : 0) : enter_user_namespace();
	if (r == 0)
		r = change_root(t, &inside, &proc);
	if (r == 0 && fstatat(inside, t->file ? CONFINE_FILE : ".", &after, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && (before.st_dev != after.st_dev || before.st_ino != after.st_ino))
		r = -ESTALE;
	if (r < 0)
		return r;
	fd_close(*root);
	*root = TAKE_FD(inside);
	if (geteuid() != 0)
		c->proc = TAKE_FD(proc);
	return 0;
}

/* Enters the namespace of the target, if `wanted`. The working directory becomes /proc/self/fd. 0,
 * even if the host allows no such namespace; or -errno. */
static int confine(const struct target *t, int wanted, int *root, struct confinement *c, struct error **err)
{
	AUTO_FD int proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return error_set_errno(err, errno, "/proc/self/fd");
	int death_signal = 0;
	pid_t parent = getppid();
	(void)prctl(PR_GET_PDEATHSIG, &death_signal);
	int entered = wanted ? enter(t, root, c) : 0;
	c->namespaced = wanted && entered == 0;
	if (entered < 0)
		log_debug("no namespace of its own: %s", strerror(-entered));
	/* A change of credentials clears the parent-death signal. */
	if (death_signal && (prctl(PR_SET_PDEATHSIG, death_signal) < 0 || getppid() != parent))
		return error_set(err, ESRCH, "the keeper has ended");
	if (t->file && entered < 0)
		return error_set_errno(err, entered,
		    "a single file needs user and mount namespaces, which this host does not allow; mount its "
		    "directory instead");
	int r = c->namespaced ? 0 : set_working_directory(proc);
	return r < 0 ? error_set_errno(err, r, "/proc/self/fd") : 0;
}

int confine_to_directory(int *root, int read_only, struct confinement *c, struct error **err)
{
	struct stat st;
	const struct target t = { .directory = *root, .read_only = read_only };
	if (fstat(*root, &st) < 0)
		return error_set_errno(err, errno, "the shared directory");
	return confine(&t, geteuid() == 0 || st.st_uid == geteuid(), root, c, err);
}

int confine_to_file(int directory, const char *name, int read_only, int *root, struct confinement *c,
    struct error **err)
{
	const struct target t = { .directory = directory, .file = name, .read_only = read_only };
	return confine(&t, 1, root, c, err);
}

/* Drops capabilities. With keep_ownership root keeps the three that let it act as the owner of all
 * files. An ordinary user keeps CAP_DAC_OVERRIDE of the user namespace in reserve, which applies to
 * files whose owner and group that namespace maps: the user's own. 0 or -errno. */
static int drop_capabilities(int keep_ownership)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = { { 0 } }, wanted[2] = { { 0 } };
	if (syscall(SYS_capget, &header, now) < 0)
		return -errno;
	if (keep_ownership && geteuid() == 0) {
		uint32_t keep = 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER;
		wanted[0].permitted = wanted[0].effective = now[0].permitted & keep;
	} else if (keep_ownership)
		wanted[0].permitted = now[0].permitted & 1U << CAP_DAC_OVERRIDE;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, wanted) < 0 ? -errno : 0;
}

int confine_own_descriptors(const struct confinement *c)
{
	if (c->proc < 0)
		return 0;
	AUTO_FD int own = openat(c->proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return own < 0 ? -errno : set_working_directory(own);
}

int confine_ignore_modes(int on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct wanted[2] = {
		{ .permitted = 1U << CAP_DAC_OVERRIDE, .effective = on ? 1U << CAP_DAC_OVERRIDE : 0 }, { 0 }
	};
	return syscall(SYS_capset, &header, wanted) < 0 ? -errno : 0;
}

/* Puts Landlock on root, the one directory with rights; -1: there is none. 0 or -errno. */
static int restrict_paths(int root, int read_only, struct confinement *c)
{
	struct {
		uint64_t fs, net, scoped;
	} handled = { .fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1 };
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	/* Version 1 forbids renames and links from one directory to another. */
	if (version < 1 || (version == 1 && !read_only && root >= 0))
		return 0;
	handled.fs |= (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (version >= 3 ? ACCESS_FS_TRUNCATE : 0) |
		      (version >= 5 ? ACCESS_FS_IOCTL_DEV : 0);
	handled.net = version >= 4 ? ACCESS_NET_ALL : 0;
	handled.scoped = version >= 6 ? SCOPE_ALL : 0;
	uint64_t allowed = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (!read_only)
		/* Creating a character device other than 0:0 needs a capability. */
		allowed |=
		    handled.fs & ~(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_BLOCK | ACCESS_FS_IOCTL_DEV);
	struct landlock_path_beneath_attr rule = { .allowed_access = allowed, .parent_fd = root };
	size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	AUTO_FD int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
	if (rules < 0 || (root >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0))
		return -errno;
	if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return -errno;
	c->landlock = (int)version;
	return 0;
}

int confine_privileges(int root, int read_only, struct confinement *c, struct error **err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(err, errno, "cannot give up new privileges");
	int r = drop_capabilities(1);
	if (r < 0)
		return error_set_errno(err, r, "cannot give up capabilities");
	r = restrict_paths(root, read_only, c);
	return r < 0 ? error_set_errno(err, r, "Landlock") : 0;
}

int confine_nothing_to_see(struct error **err)
{
	struct confinement c = { .proc = -1 };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(err, errno, "cannot give up new privileges");
	int r = drop_capabilities(0);
	if (r < 0)
		return error_set_errno(err, r, "cannot give up capabilities");
	r = restrict_paths(-1, 1, &c);
	return r < 0 ? error_set_errno(err, r, "Landlock") : 0;
}
