/* SPDX-License-Identifier: Apache-2.0
 * The new mount API (fsopen, fsmount, open_tree, move_mount; Linux 5.2) through syscall(2), as the
 * C library of Debian 12 has the numbers and constants. */
#include "agent/core/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"

enum { PLUG_MS = 20 * 1000 };
/* one request of the largest size; Linux's own 128 for a file that is read from its start to its
 * end are eight */
#define READ_AHEAD_KIB "1024"

static int fs_set(int fs, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

/* A configured file system for this tag; -EINVAL: the kernel knows no device with it (yet). */
static int create_virtiofs(const char *tag)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "virtiofs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	int r = fs_set(fs, "source", tag);
	if (r >= 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	return r < 0 ? r : TAKE_FD(fs);
}

/* The kernel's announcements of devices. */
static int open_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : TAKE_FD(fd);
}

/* The kernel lowers it to what it was when the share's server answers to the mount, which is some
 * time later: asking for attributes waits for that. Where the kernel does not let itself be told,
 * it stays as it is. */
static void set_read_ahead(int mount)
{
	struct statx st;
	char path[64];
	if (statx(mount, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0)
		return;
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, READ_AHEAD_KIB, sizeof READ_AHEAD_KIB - 1);
}

int mounts_open_virtiofs(const struct boot_share *s, struct error **err)
{
	char event[4096];
	uint64_t deadline = clock_deadline(PLUG_MS);
	AUTO_FD int uevents = open_uevents();
	AUTO_FD int fs = create_virtiofs(s->tag);
	/* A device that was just plugged in is there before its driver is. */
	while (fs == -EINVAL && uevents >= 0 && fd_wait(uevents, POLLIN, deadline) > 0) {
		while (recv(uevents, event, sizeof event, 0) > 0)
			;
		fs = create_virtiofs(s->tag);
	}
	if (fs < 0)
		return error_set_errno(err, fs, "cannot mount the share \"%s\" for %s", s->tag, s->inside);
	unsigned attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (s->read_only ? MOUNT_ATTR_RDONLY : 0);
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	if (mount < 0)
		return error_set_errno(err, errno, "cannot mount the share \"%s\"", s->tag);
	set_read_ahead(mount);
	return mount;
}

int mounts_clone(const char *path, struct error **err)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return fd < 0 ? error_set_errno(err, errno, "cannot take the mount %s along", path) : fd;
}

int mounts_clone_beneath(const char *path, const char *relative)
{
	AUTO_FD int top = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return -errno;
	AUTO_FD int at = *relative ? path_open_beneath(top, relative, O_PATH, 0) : TAKE_FD(top);
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
	int tree = at < 0 ? at : (int)syscall(SYS_open_tree, at, "", flags);
	return tree < 0 && at >= 0 ? -errno : tree;
}

int mounts_leave_file(const char *path)
{
	AUTO_FD int file = mounts_clone_beneath(path, MOUNTS_SHARED_FILE);
	if (file < 0)
		return file;
	/* A socket that is bound there keeps its mount busy. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 || rmdir(path) < 0)
		return -errno;
	AUTO_FD int place = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place < 0 || syscall(SYS_move_mount, file, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int mounts_is_file(const char *tag)
{
	struct stat st;
	AUTOFREE char *path = path_join(AGENT_SHARES, tag);
	return lstat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

int mounts_attach(int mount, int root, const char *inside, struct error **err)
{
	struct stat st;
	int is_file = fstat(mount, &st) == 0 && !S_ISDIR(st.st_mode);
	AUTO_FD int target = is_file ? rootfs_open_file(root, inside, err) : rootfs_mkdir(root, inside, 0755, err);
	if (target < 0)
		return target;
	if (is_file && fstat(target, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "cannot mount a file on the directory %s in the machine", inside);
	if (syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot mount on %s in the machine", inside);
	return 0;
}

int mounts_refuse(const struct boot_request *b, const struct boot_share *s, int code, const char *why,
    struct error **err)
{
	if (streq(s->tag, "home"))
		return error_set(err, -code, "%s", why);
	return error_set(err, -code, "mount \"%s\": %s; holm machine mount rm -n %s %s takes it away", s->inside, why,
	    b->name, s->inside);
}

int mounts_share_at_home(const struct platform *p, const struct boot_share *s, struct error **err)
{
	struct stat here, above;
	AUTOFREE char *path = path_join(AGENT_SHARES, s->tag);
	int is_file = mounts_is_file(s->tag); /* of an earlier mount, or the mount itself */
	int r = is_file ? 0 : path_mkdir_all(path, 0755, err);
	if (r < 0)
		return r;
	if (stat(path, &here) == 0 && stat(AGENT_SHARES, &above) == 0 && here.st_dev != above.st_dev)
		return 0;
	return p->mount_share(s, path, err);
}

int mounts_shares(const struct platform *p, const struct boot_request *b, struct error **err)
{
	for (size_t i = 0; i < b->share_count; i++) {
		AUTO_ERROR struct error *why = NULL;
		int r = mounts_share_at_home(p, &b->shares[i], &why);
		if (r < 0)
			return mounts_refuse(b, &b->shares[i], r, error_text(why, r), err);
	}
	return 0;
}

uint32_t mounts_share_device(const char *tag)
{
	struct statx here, above;
	AUTOFREE char *path = path_join(AGENT_SHARES, tag);
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &here) < 0 ||
	    statx(AT_FDCWD, AGENT_SHARES, AT_STATX_DONT_SYNC, STATX_TYPE, &above) < 0)
		return 0;
	uint32_t device = here.stx_dev_major << 20 | here.stx_dev_minor;
	return device == (above.stx_dev_major << 20 | above.stx_dev_minor) ? 0 : device;
}
