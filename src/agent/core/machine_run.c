/* SPDX-License-Identifier: Apache-2.0
 * See machine_run.h. inotify_add_watch(2) and bind(2) take paths only: they get the one of the
 * descriptor in our own /proc, which leads to the open directory and nowhere else. */
#include "agent/core/machine_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

static int open_top(void)
{
	int fd = open(AGENT_MACHINE_RUN, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int machine_run_open(const char *path, int flags)
{
	AUTO_FD int top = open_top();
	return top < 0 ? top : path_open_beneath(top, path, flags | O_CLOEXEC, 0);
}

int machine_run_exists(const char *path)
{
	AUTO_FD int fd = machine_run_open(path, O_PATH);
	return fd >= 0;
}

/* mkdir and open of one component; an existing directory is fine, a symlink is not. */
static int step_into(int parent, const char *name, mode_t mode)
{
	if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
		return -errno;
	return path_open_beneath(parent, name, O_PATH | O_DIRECTORY, 0);
}

int machine_run_mkdir(const char *path, mode_t mode, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	AUTO_FD int at = open_top();
	strv_split(&names, path, "/");
	for (size_t i = 0; at >= 0 && i < names.count; i++) {
		int next = step_into(at, names.items[i], mode);
		fd_close(at);
		at = next;
	}
	return at < 0 ? error_set_errno(err, at, "cannot make /run/%s in the machine", path) : TAKE_FD(at);
}

int machine_run_bind(const char *directory, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int place = machine_run_open(directory, O_RDONLY | O_DIRECTORY);
	if (place < 0)
		return place;
	unlinkat(place, name, 0);
	int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place, name);
	if (size >= (int)sizeof address.sun_path)
		return -ENAMETOOLONG;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int machine_run_watch(int inotify, const char *directory, uint32_t mask)
{
	char path[64];
	AUTO_FD int fd = machine_run_open(directory, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return fd;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return inotify_add_watch(inotify, path, mask) < 0 ? -errno : 0;
}

/* ---- a new one ---- */

static int write_file(int directory, const char *name, mode_t mode, const char *text)
{
	AUTO_FD int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

static int mount_tmpfs(void)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "25%", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	AUTO_FD int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mount < 0 ||
		       syscall(SYS_move_mount, mount, "", AT_FDCWD, AGENT_MACHINE_RUN, MOVE_MOUNT_F_EMPTY_PATH) < 0 ?
		   -errno :
		   0;
}

/* holm's own init, visible inside as /run/holm/holm-init. */
static int add_init(const struct platform *p, int holm)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, p->own_program, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
		return -errno;
	AUTO_FD int target = openat(holm, "holm-init", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
	if (target < 0)
		return -errno;
	unsigned by_descriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return syscall(SYS_move_mount, tree, "", target, "", by_descriptor) < 0 ? -errno : 0;
}

static int add_drop_in(const char *directory, mode_t mode, const char *text, struct error **err)
{
	AUTO_FD int drop_ins = machine_run_mkdir(directory, 0755, err);
	if (drop_ins < 0)
		return drop_ins;
	int r = write_file(drop_ins, "holm.conf", mode, text);
	return r < 0 ? error_set_errno(err, r, "cannot write /run/%s/holm.conf in the machine", directory) : 0;
}

static int fill(const struct platform *p, const struct machine_run_texts *t, struct error **err)
{
	AUTO_FD int holm = machine_run_mkdir("holm", 0755, err);
	if (holm < 0)
		return holm;
	int r = add_drop_in("systemd/resolved.conf.d", 0644, t->resolved, err);
	if (r < 0 || (t->services && (r = add_drop_in("systemd/system.conf.d", 0600, t->services, err)) < 0))
		return r;
	AUTO_FD int top = open_top();
	r = top < 0 || mkdirat(top, "lock", 01777) < 0 || fchmodat(top, "lock", 01777, AT_SYMLINK_NOFOLLOW) < 0 ?
		-errno :
		0;
	if (r >= 0)
		r = add_init(p, holm);
	return r < 0 ? error_set_errno(err, r, "cannot fill the machine's /run") : 0;
}

void machine_run_drop(void)
{
	umount2(AGENT_MACHINE_RUN, MNT_DETACH | UMOUNT_NOFOLLOW);
}

int machine_run_make(const struct platform *p, const struct machine_run_texts *t, struct error **err)
{
	int r = path_mkdir_all(AGENT_MACHINE_RUN, 0755, err);
	if (r < 0)
		return r;
	machine_run_drop();
	r = mount_tmpfs();
	return r < 0 ? error_set_errno(err, r, "cannot make the machine's /run") : fill(p, t, err);
}
