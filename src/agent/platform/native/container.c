/* SPDX-License-Identifier: Apache-2.0
 * The init's container: nested namespaces of every kind, the ids mapped onto themselves, so that it
 * has power over nothing that the agent mounted. What is below /proc and /sys and belongs to the
 * host's root is out of its reach by ownership alone: host ids are not mapped. So nothing there is
 * covered, which would keep rootless containers inside from mounting a /proc of their own
 * (mount_namespaces(7)); /sys is read-only, by which systemd also knows that devices are not its
 * business. */
#include <errno.h>
#include <stdio.h>

#include "agent/confine/confine.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"

enum { CONTAINER_MOUNTS_MAX = 16, TTY_GROUP = 5 };

static size_t list_mounts(const struct native *n, struct runtime_mount *to)
{
	static const struct runtime_mount base[] = {
		{ "/proc", "proc", "proc", "nosuid,noexec,nodev" },
		{ "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro" },
		{ "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=0755,size=65536k" },
		{ "/dev/shm", "tmpfs", "shm", "nosuid,nodev,mode=1777" },
		{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
	};
	size_t count = 0;
	uint32_t tty;
	for (size_t i = 0; i < ARRAY_SIZE(base); i++)
		to[count++] = base[i];
	to[count++] = (struct runtime_mount){ "/dev/pts", "devpts", "devpts",
		idmap_outside(n->go.ids.gids, n->go.ids.gid_count, TTY_GROUP, &tty) ?
		    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" :
		    "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620" };
	if (n->writable_cgroup)
		to[count++] =
		    (struct runtime_mount){ "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,rw" };
	if (n->has_fuse)
		to[count++] = (struct runtime_mount){ "/dev/fuse", "bind", "/dev/fuse", "bind,nosuid,noexec" };
	if (n->has_tun)
		to[count++] = (struct runtime_mount){ "/dev/net/tun", "bind", "/dev/net/tun", "bind,nosuid,noexec" };
	return count;
}

int native_container(enum init_kind kind, struct platform_container *ret, struct error **err)
{
	static struct runtime_mount mounts[CONTAINER_MOUNTS_MAX];
	static char user[64], network[64];
	static const char *const with_group[] = { "--root", NATIVE_CRUN_ROOT, "--cgroup-manager=cgroupfs", NULL };
	static const char *const without_group[] = { "--root", NATIVE_CRUN_ROOT, "--cgroup-manager=disabled", NULL };
	const struct native *n = native_self();
	if (kind == INIT_SYSTEMD && !n->writable_cgroup)
		return error_set(err, EOPNOTSUPP,
		    "systemd needs a writable cgroup, and this login has none: log in through systemd, or run holm "
		    "under \"systemd-run --user --scope -p Delegate=yes\"; or do without services: holm machine set "
		    "init=holm; or holm machine set isolation=vm");
	if (!n->holder)
		return error_set(err, ESRCH, "the machine's namespaces could not be made");
	snprintf(user, sizeof user, "/proc/%d/ns/user", (int)n->holder);
	snprintf(network, sizeof network, "/proc/%d/ns/net", (int)n->holder);
	*ret = (struct platform_container){
		.mounts = mounts,
		.mount_count = list_mounts(n, mounts),
		.namespaces = RUNTIME_PID | RUNTIME_MOUNT | RUNTIME_UTS | RUNTIME_IPC | RUNTIME_CGROUP |
			      RUNTIME_NETWORK | RUNTIME_USER,
		.cgroups_path = n->writable_cgroup ? "/holm-machine" : NULL,
		.user_namespace = user,
		.network_namespace = network,
		.capabilities = confine_capabilities(),
		.seccomp_filter = confine_filter_base64(),
		.hook_program = NATIVE_PROGRAM,
		.hook_attaches = 1,
		.crun = n->go.crun,
		.crun_options = n->writable_cgroup ? with_group : without_group,
	};
	return 0;
}
