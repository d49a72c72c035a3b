/* SPDX-License-Identifier: Apache-2.0
 * Growing is done online by the kernel (EXT4_IOC_RESIZE_FS, the number of blocks that the file
 * system shall have). */
#include "agent/platform/vm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

#define RESIZE_FS _IOW('f', 16, uint64_t)

enum { APPEAR_MS = 20 * 1000, GROW_MIN_BLOCKS = 1024 };

/* The driver may still be looking at the device when the boot request comes. */
static int open_device(const char *device, struct error **err)
{
	uint64_t deadline = clock_deadline(APPEAR_MS);
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch >= 0)
		inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB);
	for (;;) {
		char events[4096];
		int fd = open(device, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno != ENOENT && errno != ENXIO)
			return error_set_errno(err, errno, "cannot open the disk %s", device);
		if (watch < 0 || fd_wait(watch, POLLIN, deadline) <= 0)
			return error_set(err, ENODEV, "the disk %s did not appear", device);
		while (read(watch, events, sizeof events) > 0)
			;
	}
}

static int is_mount_point(const char *path)
{
	struct stat here, above;
	return stat(path, &here) == 0 && stat(AGENT_RUN, &above) == 0 && here.st_dev != above.st_dev;
}

static void grow(int device, const char *name)
{
	uint64_t bytes = 0;
	struct statfs fs;
	AUTO_FD int root = open(AGENT_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || ioctl(device, BLKGETSIZE64, &bytes) < 0 || fstatfs(root, &fs) < 0 || fs.f_bsize <= 0)
		return;
	uint64_t wanted = bytes / (uint64_t)fs.f_bsize;
	/* f_blocks leaves the file system's own overhead out, so a full-sized one looks some per
	 * cent small: the kernel knows better and answers at once when there is nothing to do. */
	if (wanted < (uint64_t)fs.f_blocks + GROW_MIN_BLOCKS)
		return;
	/* With noinit_itable, which the image's disk has by default, growing zeroes all new inode
	 * tables at once; with init_itable a thread would do it later. They read as zeros as it is:
	 * so neither. */
	int much =
	    fs.f_blocks < wanted / 4 * 3 && mount(NULL, AGENT_ROOT, NULL, MS_REMOUNT, "discard,init_itable") == 0;
	if (ioctl(root, RESIZE_FS, &wanted) < 0)
		log_warning("cannot grow the file system on %s to %llu blocks: %s", name, (unsigned long long)wanted,
		    strerror(errno));
	if (much && mount(NULL, AGENT_ROOT, NULL, MS_REMOUNT, "discard,noinit_itable") < 0)
		log_warning("%s: %s", name, strerror(errno));
}

int disk_mount_root(const char *device, struct error **err)
{
	AUTO_FD int fd = open_device(device, err);
	if (fd < 0)
		return fd;
	int r = path_mkdir_all(AGENT_ROOT, 0755, err);
	if (r < 0)
		return r;
	if (!is_mount_point(AGENT_ROOT) && mount(device, AGENT_ROOT, "ext4", 0, "discard") < 0)
		return error_set_errno(err, errno, "cannot mount the machine's disk %s (is it damaged?)", device);
	grow(fd, device);
	return 0;
}

int disk_mount_modules(const char *device, struct error **err)
{
	AUTO_FD int fd = open_device(device, err);
	if (fd < 0)
		return fd;
	int r = path_mkdir_all(AGENT_MODULES, 0755, err);
	if (r < 0)
		return r;
	if (!is_mount_point(AGENT_MODULES) &&
	    mount(device, AGENT_MODULES, "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV, "noload") < 0)
		return error_set_errno(err, errno, "cannot mount the modules disk %s", device);
	return 0;
}
