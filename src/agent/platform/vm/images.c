/* SPDX-License-Identifier: Apache-2.0
 * An image comes as a SCSI disk, plugged in when its first container starts. Its files have the
 * owners that the image gives them; the mount maps them to those of containers (mount_setattr(2),
 * MOUNT_ATTR_IDMAP), so one disk and its page cache serve all machines and containers.
 *
 * Root in a container is the machine's user. All others come from a range that nothing else in a
 * machine uses (systemd's UIDS-GIDS: 1879048192 and up is free). */
#include "agent/platform/vm/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/rootfs.h"
#include "agent/platform/vm/device.h"
#include "agent/platform/vm/modules.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "idmap/storage.h"

#define CONTAINERS "/" STORAGE_FOLDER
#define HOSTS "/sys/class/scsi_host"

enum { NAME_MAX_SIZE = 32 };

int vm_open_containers(const struct boot_request *b, struct error **err)
{
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int folder = root < 0 ? -errno : rootfs_mkdir(root, CONTAINERS, 0700, err);
	if (folder < 0)
		return root < 0 ? error_set_errno(err, root, "cannot open the machine's disk") : folder;
	int tree = (int)syscall(SYS_open_tree, folder, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? error_set_errno(err, errno, "cannot use " CONTAINERS " of the machine") : tree;
}

void vm_container_ids(const struct boot_user *u, struct idmap *ret)
{
	storage_ids_of_vm(u->name ? u->uid : 0, u->name ? u->gid : 0, ret);
}

/* ---- the disk ---- */

/* Whether the SCSI host of this name ("host0") is QEMU's. */
static int is_ours(const char *name)
{
	AUTOFREE char *path = xasprintf(HOSTS "/%s/proc_name", name), *text = NULL;
	return path_read_file(path, 256, &text, NULL) == 0 && startswith(text, "virtio_scsi");
}

/* The block device of "CHANNEL:TARGET:LUN", owned; NULL: not there (yet). */
static char *find_device(const char *name)
{
	DIR *hosts = opendir(HOSTS);
	char *found = NULL;
	for (struct dirent *e; hosts && !found && (e = readdir(hosts));) {
		if (!startswith(e->d_name, "host") || !is_ours(e->d_name))
			continue;
		AUTOFREE char *path = xasprintf("/sys/bus/scsi/devices/%s:%s/block", e->d_name + 4, name);
		DIR *block = opendir(path);
		for (struct dirent *b; block && !found && (b = readdir(block));)
			if (b->d_name[0] != '.')
				found = xasprintf("/dev/%s", b->d_name);
		if (block)
			closedir(block);
	}
	if (hosts)
		closedir(hosts);
	return found;
}

/* Waits until the kernel has found the disk and read its size. A path, owned, or NULL. */
static char *wait_for_device(const char *name, struct error **err)
{
	char *path = NULL;
	AUTO_FD int fd = device_open(find_device, name, O_RDONLY, &path);
	if (fd < 0)
		error_set_errno(err, fd, "the disk %s of an image did not appear", name);
	return path;
}

/* Digits and colons: the keeper's, but it becomes part of a path. */
static int is_name(const char *name)
{
	return strlen(name) < NAME_MAX_SIZE && strspn(name, "0123456789:") == strlen(name);
}

static int set_option(int fs, const char *key, const char *value)
{
	int command = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
	return syscall(SYS_fsconfig, fs, command, key, value, 0) < 0 ? -errno : 0;
}

static int mount_disk(const char *device, int ids, struct error **err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_IDMAP,
		.userns_fd = (uint64_t)ids };
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC);
	int r = fs < 0 ? -errno : set_option(fs, "source", device);
	if (r == 0)
		r = set_option(fs, "ro", NULL);
	if (r == 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	AUTO_FD int mount = r < 0 ? r : (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	if (r == 0 &&
	    (mount < 0 || syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0))
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "cannot mount the disk %s of an image", device) : TAKE_FD(mount);
}

int vm_take_layers(int machine, const struct boot_user *u, const struct strv *names, int *ret_fds, struct error **err)
{
	struct idmap map;
	for (size_t i = 0; i < names->count; i++)
		ret_fds[i] = -1;
	/* A kernel of the machine's own may have them built in: then there is nothing to load. */
	modules_load("virtio_scsi");
	modules_load("sd_mod");
	if (u)
		vm_container_ids(u, &map);
	else
		storage_own_ids_of_vm(&map);
	AUTO_FD int ids = idmap_open_namespace(&map, err);
	int r = ids < 0 ? ids : 0;
	for (size_t i = 0; r >= 0 && i < names->count; i++) {
		if (!is_name(names->items[i]))
			return error_set(err, EPROTO, "the keeper named no disk");
		AUTOFREE char *device = wait_for_device(names->items[i], err);
		r = device ? ret_fds[i] = mount_disk(device, ids, err) : -ENODEV;
	}
	return r < 0 ? r : 0;
}
