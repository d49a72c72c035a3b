/* SPDX-License-Identifier: Apache-2.0
 * The host's part of the machine's containers: the trees of images.
 *
 * The trees are shared by all machines of the user, and root inside may remount what is its own. So
 * a worker makes a clone of each that is read-only, mounts the clones in a mount namespace of the
 * agent's and copies that namespace into the machine's user namespace: the kernel locks what comes
 * that way (mount_namespaces(7), "Restrictions on mount namespaces"). Clones of the locked mounts
 * are handed out. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/mounts.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define PLACES "/tmp" /* in the worker's own mount namespace */

static int clone_tree(const char *path)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void native_container_ids(const struct boot_user *u, struct idmap *ret)
{
	const struct idmap *ids = &native_self()->go.ids;
	struct idmap own;
	idmap_onto_itself(ids, &own);
	own.single = ids->single;
	idmap_for_containers(&own, u->uid, u->gid, ret);
}

void native_own_ids(struct idmap *ret)
{
	idmap_onto_itself(&native_self()->go.ids, ret);
}

/* Clones from the host view, read-only. */
static int clone_all(const struct strv *paths, int *fds, struct error **err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };
	int back = -1, r = native_enter_host_view(&back, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < paths->count; i++) {
		fds[i] = clone_tree(paths->items[i]);
		if (fds[i] < 0 ||
		    syscall(SYS_mount_setattr, fds[i], "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
			r = error_set_errno(err, fds[i] < 0 ? -fds[i] : errno, "cannot use the layer %s",
			    paths->items[i]);
	}
	int returned = native_return(back);
	return r < 0 ? r : returned;
}

static char *place_of(size_t i)
{
	return xasprintf(PLACES "/%zu", i);
}

static int mount_all(size_t count, int *fds)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", PLACES, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *place = place_of(i);
		if (mkdir(place, 0755) < 0 ||
		    syscall(SYS_move_mount, fds[i], "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -errno;
		fd_close(fds[i]);
		fds[i] = -1;
	}
	return 0;
}

/* In the machine's user namespace, whose copy of the mounts is locked. */
static int take_locked(int machine, size_t count, int *fds)
{
	int r = native_become_machine(machine);
	if (r < 0 || unshare(CLONE_NEWNS) < 0)
		return r < 0 ? r : -errno;
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *place = place_of(i);
		if ((fds[i] = clone_tree(place)) < 0)
			return fds[i];
	}
	return 0;
}

int native_take_layers(int machine, const struct boot_user *u, const struct strv *paths, int *ret_fds,
    struct error **err)
{
	for (size_t i = 0; i < paths->count; i++)
		ret_fds[i] = -1;
	int r = clone_all(paths, ret_fds, err);
	if (r < 0)
		return r;
	r = mount_all(paths->count, ret_fds);
	if (r == 0)
		r = take_locked(machine, paths->count, ret_fds);
	return r < 0 ? error_set_errno(err, r, "cannot mount the layers of an image") : 0;
}
