/* SPDX-License-Identifier: Apache-2.0
 * The inside of a VM: block devices, virtiofs, virtio ports, the kernel's own power switch. The VM
 * is the machine's alone, so its init gets every device and capability and shares the network
 * namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/core/below.h"
#include "agent/core/machine_run.h"
#include "agent/core/mounts.h"
#include "agent/core/network.h"
#include "agent/core/platform.h"
#include "agent/core/own_folders.h"
#include "agent/platform/vm/disk.h"
#include "agent/platform/vm/images.h"
#include "agent/platform/vm/listen_events.h"
#include "agent/platform/vm/ports.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "idmap/storage.h"
#include "base/log.h"

enum { FLUSH_MS = 200 };

static void vm_open_log(void)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	log_set_program("holm-agent");
	if (fd >= 0)
		log_set_kmsg(fd);
}

static int vm_open_streams(struct agent *a, const struct platform_streams *s, struct error **err)
{
	return ports_open(a->loop, s, &a->from_keeper, &a->to_keeper, err);
}

static int vm_set_clock(uint64_t ns, struct error **err)
{
	struct timespec now = { .tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U) };
	return clock_settime(CLOCK_REALTIME, &now) < 0 ? error_set_errno(err, errno, "cannot set the clock") : 0;
}

static int vm_mount_root(const struct boot_request *b, struct error **err)
{
	return b->root_device ? disk_mount_root(b->root_device, err) :
				error_set(err, EINVAL, "the boot request names no disk");
}

static int vm_mount_modules(const struct boot_request *b, struct error **err)
{
	return b->modules_device ? disk_mount_modules(b->modules_device, err) : 0;
}

static int vm_mount_share(const struct boot_share *s, const char *path, struct error **err)
{
	AUTO_FD int mount = mounts_open_virtiofs(s, err);
	if (mount < 0)
		return mount;
	if (syscall(SYS_move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot mount the share for %s", s->inside);
	fd_close(TAKE_FD(mount));
	int r = s->is_file ? mounts_leave_file(path) : 0;
	if (r < 0)
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	return r < 0 ? error_set_errno(err, r, "cannot mount the share for %s", s->inside) : 0;
}

static int vm_take_share(int machine, const char *path, struct error **err)
{
	return mounts_clone(path, err);
}

static int vm_take_bind(int machine, const char *share, const char *relative, struct error **err)
{
	return mounts_clone_beneath(share, relative);
}

static int vm_enter(int machine)
{
	return setns(machine, CLONE_NEWNS) < 0 ? -errno : 0;
}

static int vm_leave(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* The engine outlives an agent that is killed (service/engine.c), and so does this process, which
 * waits for it. */
static int vm_contain(void)
{
	prctl(PR_SET_NAME, "holm-place");
	if (prctl(PR_SET_PDEATHSIG, 0) < 0 || unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return -errno;
	return below_fork();
}

static const struct runtime_mount vm_mounts[] = {
	{ "/proc", "proc", "proc", "nosuid,noexec,nodev" },
	{ "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev" },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,rw" },
	{ "/dev", "devtmpfs", "devtmpfs", "nosuid,mode=0755" },
	{ "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
	{ "/dev/shm", "tmpfs", "shm", "nosuid,nodev,mode=1777" },
	{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
};

static int vm_container(enum init_kind kind, struct platform_container *ret, struct error **err)
{
	static const char *const options[] = { "--cgroup-manager=cgroupfs", NULL };
	*ret = (struct platform_container){
		.mounts = vm_mounts,
		.mount_count = ARRAY_SIZE(vm_mounts),
		.cgroups_path = "/holm-machine",
		.namespaces = RUNTIME_PID | RUNTIME_MOUNT | RUNTIME_UTS | RUNTIME_IPC | RUNTIME_CGROUP,
		.hook_program = "/init",
		.has_boot_id = 1,
		.crun = "/bin/crun",
		.crun_options = options,
	};
	return 0;
}

static void vm_nothing(struct agent *a)
{
}

/* A mount that is still held by something dying is made read-only, which writes it out as well. */
static int vm_put_away(int channel, void *agent, struct error **err)
{
	sync();
	machine_run_drop();
	own_folders_unmount(((const struct agent *)agent)->boot);
	umount2(AGENT_MODULES, MNT_DETACH);
	if (umount2(AGENT_ROOT, 0) < 0 && errno != EINVAL && errno != ENOENT) {
		mount(NULL, AGENT_ROOT, NULL, MS_REMOUNT | MS_RDONLY, NULL);
		umount2(AGENT_ROOT, MNT_DETACH);
	}
	sync();
	return 0;
}

static void on_power_off(struct source *s, void *data)
{
	struct agent *a = data;
	reboot(RB_POWER_OFF);
	loop_exit(a->loop, 1);
}

/* The transport needs some turns of the loop to carry the answers away. */
static void vm_end(struct agent *a)
{
	if (loop_add_timer(a->loop, clock_deadline(FLUSH_MS), on_power_off, a, NULL) < 0)
		on_power_off(NULL, a);
}

const struct platform platform_vm = {
	.is_respawned = 1,
	.joined = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP,
	.own_program = "/proc/self/exe",
	.open_log = vm_open_log,
	.open_streams = vm_open_streams,
	.set_clock = vm_set_clock,
	.mount_root = vm_mount_root,
	.mount_modules = vm_mount_modules,
	.network = network_apply,
	.mount_share = vm_mount_share,
	.take_share = vm_take_share,
	.enter = vm_enter,
	.leave = vm_leave,
	.contain = vm_contain,
	.open_containers = vm_open_containers,
	.take_layers = vm_take_layers,
	.take_bind = vm_take_bind,
	.container_ids = vm_container_ids,
	.own_ids = storage_own_ids_of_vm,
	.container = vm_container,
	.init_starting = vm_nothing,
	.init_started = vm_nothing,
	.init_ended = vm_nothing,
	.is_ready = vm_nothing,
	.open_listen_events = vm_open_listen_events,
	.put_away = vm_put_away,
	.end = vm_end,
};
