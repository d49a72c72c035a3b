/* SPDX-License-Identifier: Apache-2.0
 * Each step that takes a namespace for good runs in a process of its own, which says what became of
 * it by its exit status or in the shared memory. Everything that is mounted goes with the
 * namespaces. */
#include "isolation/native/probe_inside.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/path.h"
#include "base/spawn.h"

#define OVERLAYFS_MAGIC 0x794c7630 /* linux/magic.h */

static const char *const directories[] = { "lower", "upper", "work", "place" };

/* Runs fn in a child: its result, a positive errno. */
static int in_child(int (*fn)(struct probe_inside *p), struct probe_inside *p)
{
	int status = EIO;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn(p) & 0xff);
	return pid < 0 ? errno : spawn_wait(pid, &status) < 0 ? EIO : status;
}

static int nest(struct probe_inside *p)
{
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int mount_overlay(void)
{
	struct statfs fs;
	if (statfs(".", &fs) == 0 && fs.f_type == OVERLAYFS_MAGIC)
		return EXDEV;
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		if (mkdir(directories[i], 0755) < 0)
			return errno;
	if (setxattr("upper", "user.overlay.probe", "y", 1, 0) < 0)
		return errno == ENOTSUP ? EOPNOTSUPP : errno;
	/* volatile: its end does not write out the whole file system below it, which takes seconds
	 * on a busy host. */
	if (mount("overlay", "place", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr,volatile") <
	    0)
		return errno;
	int code = mkdir("place/written", 0755) < 0 || rmdir("place/written") < 0 ? errno : 0;
	umount2("place", MNT_DETACH);
	return code;
}

static int mount_kernel_views(struct probe_inside *p)
{
	static const struct {
		const char *type;
		enum native_fact fact;
	} views[] = { { "proc", NATIVE_PROC }, { "sysfs", NATIVE_SYSFS } };
	mkdir("place", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		p->facts->codes[views[i].fact] =
		    mount(views[i].type, "place", views[i].type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno :
													       0;
	return 0;
}

static int mount_all(struct probe_inside *p)
{
	/* In this order: unshare takes the current directory along into the new mount namespace,
	 * and overlayfs wants directories of its own. */
	if (fchdir(p->folder) < 0 || unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	p->facts->codes[NATIVE_OVERLAY] = mount_overlay();
	in_child(mount_kernel_views, p); /* the first process of the new pid namespace */
	return 0;
}

int probe_inside(void *data, struct error **err)
{
	struct probe_inside *p = data;
	p->facts->codes[NATIVE_NESTED] = in_child(nest, p);
	int code = in_child(mount_all, p);
	if (code != 0)
		p->facts->codes[NATIVE_OVERLAY] = p->facts->codes[NATIVE_PROC] = p->facts->codes[NATIVE_SYSFS] = code;
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		path_remove_tree(p->folder, directories[i]);
	return 0;
}
