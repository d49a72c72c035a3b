/* SPDX-License-Identifier: Apache-2.0
 * The two mount namespaces of process 1. The first is the copy of the host's that it was born with:
 * made a slave, so that what the host mounts shows up in it and nothing comes back, and kept as a
 * descriptor. The second is made of it: what is to be taken along is cloned first, a tmpfs is
 * filled with it and becomes the root, the old tree goes.
 *
 * /proc and /sys are mounted while the host's are still there: the kernel allows a new one only
 * next to one that is fully visible (mount_namespaces(7)), and crun needs the same of ours. /sys is
 * the host's, recursive, as parts cannot be left out. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/cgroup.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

/* The host's directories that hold crun and its libraries, on any distribution. */
static const char *const taken[] = { "usr", "lib", "lib32", "lib64", "libx32", "bin", "sbin", "nix", "gnu" };
static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun" };

struct clones {
	int trees[ARRAY_SIZE(taken)];
	char *links[ARRAY_SIZE(taken)];
	int nodes[ARRAY_SIZE(nodes)];
	int linker_cache, program;
};

static int clone_tree(const char *path, unsigned flags)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

static int attach(int tree, const char *path)
{
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int make_read_only(int tree)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0 ?
		   -errno :
		   0;
}

static void clones_done(struct clones *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		fd_close(c->trees[i]);
		free(c->links[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		fd_close(c->nodes[i]);
	fd_close(c->linker_cache);
	fd_close(c->program);
}

static int clone_usable_node(const char *path, int must_open)
{
	AUTO_FD int fd = must_open ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
	return must_open && fd < 0 ? -errno : clone_tree(path, 0);
}

static int take_clones(struct clones *c, struct error **err)
{
	char self[4096];
	ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		char target[256];
		AUTOFREE char *path = xasprintf("/%s", taken[i]);
		ssize_t n = readlink(path, target, sizeof target - 1);
		if (n > 0)
			c->links[i] = xstrndup(target, (size_t)n);
		c->trees[i] = n > 0 ? -1 : clone_tree(path, AT_RECURSIVE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		AUTOFREE char *path = xasprintf("/dev/%s", nodes[i]);
		c->nodes[i] = clone_usable_node(path, streq(nodes[i], "fuse") || streq(nodes[i], "net/tun"));
	}
	c->linker_cache = clone_tree("/etc/ld.so.cache", 0);
	if (size <= 0)
		return error_set_errno(err, errno, "cannot find out where this program lies");
	self[size] = '\0';
	c->program = clone_tree(self, 0);
	return c->program < 0 ? error_set_errno(err, c->program, "cannot take %s along", self) : 0;
}

static int make_file(const char *path)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : 0;
}

static int put_file(int tree, const char *path)
{
	int r = make_file(path);
	return r < 0 ? r : attach(tree, path);
}

static int put_trees(const struct clones *c, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		int r = 0;
		if (c->links[i])
			r = symlink(c->links[i], taken[i]) < 0 ? -errno : 0;
		else if (c->trees[i] >= 0)
			r = mkdir(taken[i], 0755) < 0 ? -errno : make_read_only(c->trees[i]);
		if (r >= 0 && c->trees[i] >= 0)
			r = attach(c->trees[i], taken[i]);
		if (r < 0)
			return error_set_errno(err, r, "cannot take /%s of the host along", taken[i]);
	}
	mkdir("etc", 0755);
	if (c->linker_cache >= 0 && make_read_only(c->linker_cache) >= 0)
		put_file(c->linker_cache, "etc/ld.so.cache");
	return 0;
}

static int put_devices(struct native *n, const struct clones *c, struct error **err)
{
	if (mkdir("dev", 0755) < 0 || mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k") < 0 ||
	    mkdir("dev/net", 0755) < 0)
		return error_set_errno(err, errno, "cannot make /dev of the agent");
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		AUTOFREE char *path = xasprintf("dev/%s", nodes[i]);
		int r = c->nodes[i] < 0 ? c->nodes[i] : put_file(c->nodes[i], path);
		if (streq(nodes[i], "fuse"))
			n->has_fuse = r >= 0;
		else if (streq(nodes[i], "net/tun"))
			n->has_tun = r >= 0;
		else if (r < 0)
			return error_set_errno(err, r, "cannot take /dev/%s of the host along", nodes[i]);
	}
	/* create-user.sh sees it, and must not put something in the place of what crun takes from
	 * here. */
	if (mount(NULL, "dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0)
		return error_set_errno(err, errno, "cannot finish /dev of the agent");
	return 0;
}

static int put_kernel(struct error **err)
{
	if (mkdir("proc", 0555) < 0 || mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return error_set_errno(err, errno, "cannot mount /proc; is this a container that covers parts of it?");
	if (mkdir("sys", 0555) < 0 || mount("/sys", "sys", NULL, MS_BIND | MS_REC, NULL) < 0)
		return error_set_errno(err, errno, "cannot take /sys of the host along");
	return 0;
}

static int put_own(const struct clones *c, struct error **err)
{
	int r = mkdir("tmp", 01777) < 0 || mkdir("run", 0755) < 0 || mkdir("run/holm", 0700) < 0 ||
			mkdir("run/holm/crun", 0700) < 0 ?
		    -errno :
		    0;
	if (r >= 0)
		r = put_file(c->program, "run/holm/holm-agent");
	return r < 0 ? error_set_errno(err, r, "cannot fill the agent's root") : 0;
}

/* Mounts cgroup2. If the host has it at the same place, it came along with /sys, and the kernel
 * refuses to mount a file system on itself. So a tmpfs lies in between. 0 or -errno. */
static int put_cgroup2(void)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int r = mount("cgroup2", "sys/fs/cgroup", "cgroup2", flags, NULL) < 0 ? -errno : 0;
	if (r == -EBUSY && mount("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=0555") == 0)
		r = mount("cgroup2", "sys/fs/cgroup", "cgroup2", flags, NULL) < 0 ? -errno : 0;
	return r;
}

/* Fills a tmpfs, in a mount namespace of its own, and makes it the root. */
static int make_root(struct native *n, const struct clones *c, struct error **err)
{
	static const char *const places[] = { "/tmp", "/run", "/mnt", "/var" };
	int r = -ENOENT;
	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(places); i++)
		r = mount("tmpfs", places[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 || chdir(places[i]) < 0 ?
			-errno :
			0;
	if (r < 0)
		return error_set_errno(err, r, "cannot mount a tmpfs");
	if ((r = put_kernel(err)) < 0 || (r = put_trees(c, err)) < 0 || (r = put_devices(n, c, err)) < 0 ||
	    (r = put_own(c, err)) < 0)
		return r;
	/* If cgroup2 cannot be mounted, the host's shows, and the machine has no groups of its
	 * own. */
	r = put_cgroup2();
	n->writable_cgroup = r >= 0;
	if (r < 0)
		log_warning("cannot mount cgroup2: %s", strerror(-r));
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_set_errno(err, errno, "cannot make the agent's own root");
	return 0;
}

int native_place_make(struct native *n, struct error **err)
{
	struct clones c;
	memset(&c, 0xff, sizeof c);
	memset(c.links, 0, sizeof c.links);
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return error_set_errno(err, errno, "cannot separate the mounts from the host's");
	n->host_view = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (n->host_view < 0 || unshare(CLONE_NEWNS) < 0)
		return error_set_errno(err, errno, "cannot make a mount namespace");
	int r = take_clones(&c, err);
	if (r >= 0)
		r = make_root(n, &c, err);
	clones_done(&c);
	if (r < 0)
		return r;
	int moved = n->go.delegated && n->writable_cgroup ? native_cgroup_move_aside() : -EACCES;
	if (n->go.delegated && moved < 0)
		log_warning("the machine gets no cgroup: %s", strerror(-moved));
	n->writable_cgroup = moved >= 0;
	if (n->writable_cgroup)
		cgroup_remove(); /* the groups of a run that was killed */
	return 0;
}

int native_enter_host_view(int *ret_back, struct error **err)
{
	AUTO_FD int back = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (back < 0 || setns(native_self()->host_view, CLONE_NEWNS) < 0)
		return error_set_errno(err, errno, "cannot look at the host's files");
	*ret_back = TAKE_FD(back);
	return 0;
}

int native_return(int back)
{
	int r = setns(back, CLONE_NEWNS) < 0 ? -errno : 0;
	fd_close(back);
	return r;
}
