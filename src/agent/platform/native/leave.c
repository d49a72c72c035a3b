/* SPDX-License-Identifier: Apache-2.0
 * How a process of the agent gives up its rights over the agent's mounts, before it looks at
 * anything that the machine can change.
 *
 * Into a running machine: a worker joins the init's user namespace first, and from there on has
 * the rights of root inside. The worker stays in the agent's pid namespace, so that nobody inside
 * can name it; it is not dumpable all the same.
 *
 * The way out for a program of the image's that runs before there is an init (create-user.sh): into
 * the user and network namespaces of the init to come, which have no power over what the agent
 * mounted, and new ones of every other kind, so that neither the host's network nor the agent's
 * processes are within its reach.
 *
 * A pid namespace is entered by forking. The process that was started stays outside and passes the
 * result on; process 1 inside prepares the place, and forks the program (native_run_below). When
 * process 1 ends, or whoever waits for it is killed, the kernel ends all that is left. */
#include <errno.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/below.h"
#include "agent/core/mounts.h"
#include "agent/platform/native/native.h"
#include "base/fd.h"

static int became_machine; /* once in a worker: the kernel refuses a second time */

static int become(int machine, int namespaces)
{
	fd_close(TAKE_FD(native_self()->host_view));
	if (setns(machine, namespaces) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return -errno;
	became_machine = 1;
	return 0;
}

int native_become_machine(int machine)
{
	return became_machine ? 0 : become(machine, CLONE_NEWUSER);
}

/* Joins both namespaces in one call if it can: a process with the rights of root inside may not
 * look at an init that has not executed its program yet. */
int native_enter(int machine)
{
	if (!became_machine)
		return become(machine, CLONE_NEWUSER | CLONE_NEWNS);
	return setns(machine, CLONE_NEWNS) < 0 ? -errno : 0;
}

static int join_machine(void)
{
	const pid_t holder = native_self()->holder;
	if (!holder)
		return -ESRCH;
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, holder, 0);
	return fd < 0 || setns(fd, CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -errno : 0;
}

int native_leave(void)
{
	int r = join_machine();
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	return below_fork();
}

int native_run_below(void)
{
	return below_fork();
}

static int attach_new(const char *type, int root, const char *path, unsigned attributes)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	AUTO_FD int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	    attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return mount < 0 ? -errno : mounts_attach(mount, root, path, NULL);
}

int native_mount_kernel(int root)
{
	int r = attach_new("proc", root, "/proc", 0);
	return r < 0 ? r : attach_new("sysfs", root, "/sys", MOUNT_ATTR_RDONLY);
}
