/* SPDX-License-Identifier: Apache-2.0
 * See boot_id.h. */
#include "agent/core/boot_id.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/mounts.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define FILE_OF_ID AGENT_RUN "/boot-id"

enum { UUID_MAX = 64 };

static int write_new(void)
{
	AUTOFREE char *uuid = NULL;
	size_t size = 0;
	int r = path_read_file("/proc/sys/kernel/random/uuid", UUID_MAX, &uuid, &size);
	if (r < 0)
		return r;
	AUTO_FD int fd = open(FILE_OF_ID, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	return fd < 0 ? -errno : fd_write_full(fd, uuid, size);
}

int boot_id_make(struct error **err)
{
	const unsigned long flags = MS_BIND | MS_NOSUID | MS_NOEXEC | MS_NODEV;
	umount2(FILE_OF_ID, MNT_DETACH | UMOUNT_NOFOLLOW); /* of the init before */
	unlink(FILE_OF_ID);
	int r = write_new();
	if (r >= 0 && (mount(FILE_OF_ID, FILE_OF_ID, NULL, MS_BIND, NULL) < 0 ||
			  mount(NULL, FILE_OF_ID, NULL, flags | MS_REMOUNT | MS_RDONLY, NULL) < 0))
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "cannot make the machine's boot id") : 0;
}

static int attach_proc(int root, struct error **err)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_set_errno(err, errno, "cannot mount /proc");
	AUTO_FD int mount =
	    (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return mount < 0 ? error_set_errno(err, errno, "cannot mount /proc") :
			   mounts_attach(mount, root, "/dev/.holm/proc", err);
}

int boot_id_attach(int root, struct error **err)
{
	const unsigned by_descriptor = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	int r = attach_proc(root, err);
	if (r < 0)
		return r;
	AUTO_FD int tree = mounts_clone(FILE_OF_ID, err);
	if (tree < 0)
		return tree;
	AUTO_FD int over = path_open_in_root(root, "/proc/sys/kernel/random/boot_id", O_PATH, 0);
	if (over < 0 || syscall(SYS_move_mount, tree, "", over, "", by_descriptor) < 0)
		return error_set_errno(err, over < 0 ? over : errno, "cannot put the boot id in place");
	return 0;
}
