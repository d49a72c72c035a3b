/* SPDX-License-Identifier: Apache-2.0
 * See rights.h. All of it is relative to the container's user namespace: --privileged is everything
 * there, and never more, since the filter and the rights of the machine hold, too. */
#include "agent/engine/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "base/alloc.h"
#include "base/fd.h"

#define INIT_FOLDER "/run/init"
#define INIT_COPY INIT_FOLDER "/docker-init"

static const char *const masked[] = { "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
	"/sys/firmware", "/sys/devices/virtual/powercap", NULL };
static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
	NULL };

/* The kernel's highest capability may be lower than the newest that there is. */
static unsigned last_capability(void)
{
	static unsigned last;
	AUTO_FD int fd = last ? -1 : open("/proc/sys/kernel/cap_last_cap", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	if (fd >= 0 && fd_read_full(fd, text, sizeof text - 1) > 0)
		last = (unsigned)strtoul(text, NULL, 10);
	return last ? last : DOCKER_CAPABILITIES - 1;
}

void rights_fill_process(const struct docker_rights *r, struct rights_lists *lists, struct runtime_spec *s)
{
	size_t n = 0;
	for (unsigned i = 0; i < DOCKER_CAPABILITIES && i <= last_capability(); i++)
		if (r->capabilities & UINT64_C(1) << i)
			lists->capabilities[n++] = docker_capabilities[i];
	lists->capabilities[n] = NULL;
	for (size_t i = 0; i < r->ulimit_count; i++)
		lists->limits[i] = (struct runtime_limit){ r->ulimits[i].name, (uint64_t)r->ulimits[i].soft,
			(uint64_t)r->ulimits[i].hard };
	s->capabilities = lists->capabilities;
	s->no_new_privileges = r->no_new_privileges;
	s->limits = lists->limits;
	s->limit_count = r->ulimit_count;
}

void rights_fill_container(const struct docker_rights *r, struct runtime_spec *s)
{
	s->sysctls = r->sysctls;
	s->masked_paths = r->privileged ? NULL : masked;
	s->readonly_paths = r->privileged ? NULL : read_only;
	s->seccomp_filter = r->privileged || r->unconfined ?
				NULL :
				confine_container_filter_base64(confine_container_choose(r->capabilities));
}

/* ---- devices and --init ---- */

/* The engine's /dev has the devices of the machine. */
static int check_device(const char *path, struct error **err)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return error_set(err, ENOENT,
		    "error gathering device information while adding custom device \"%.256s\": the machine has no such "
		    "device",
		    path);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, EINVAL, "\"%.256s\" is not a device", path);
	return 0;
}

static int write_init(void)
{
	AUTO_FD int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	AUTO_FD int to = open(INIT_COPY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	int64_t r = from < 0 || to < 0 ? -errno : fd_copy(from, to, UINT64_MAX);
	return r < 0 ? (int)r : 0;
}

/* A copy of this program on a tmpfs of its own: what is executed lies in no mount namespace that
 * can be bound from. The file system itself is read-only, not the mount alone. Natively root of a
 * container with the machine's ids is the copy's owner, and a privileged one can make its
 * /sbin/docker-init writable, which is the init of other containers, too. */
static int copy_init(struct error **err)
{
	enum { FLAGS = MS_NOSUID | MS_NODEV };
	struct statvfs there;
	if (statvfs(INIT_COPY, &there) == 0 && there.f_flag & ST_RDONLY)
		return 0;
	int r = (mkdir(INIT_FOLDER, 0755) < 0 && errno != EEXIST) ||
			mount("init", INIT_FOLDER, "tmpfs", FLAGS, "mode=0755") < 0 ?
		    -errno :
		    write_init();
	if (r == 0 && mount(NULL, INIT_FOLDER, NULL, MS_REMOUNT | MS_RDONLY | FLAGS, NULL) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "cannot copy the container's init") : 0;
}

int rights_prepare(const struct docker_rights *r, struct error **err)
{
	int result = r->init ? copy_init(err) : 0;
	for (size_t i = 0; result == 0 && i < r->device_count; i++)
		result = check_device(r->devices[i].from, err);
	return result;
}

/* Devices that every container has. */
static int is_basic(const char *path)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(path + strlen("/dev/"), names[i]))
			return 1;
	return 0;
}

size_t rights_mounts(const struct docker_rights *r, struct runtime_mount *to)
{
	static const char *const further[] = { "/dev/fuse", "/dev/net/tun", "/dev/kvm" };
	size_t n = 0;
	if (r->init)
		to[n++] = (struct runtime_mount){ RIGHTS_INIT, "bind", INIT_COPY, "bind,ro,nosuid,nodev" };
	for (size_t i = 0; i < r->device_count; i++)
		if (!is_basic(r->devices[i].to))
			to[n++] = (struct runtime_mount){ r->devices[i].to, "bind", r->devices[i].from,
				"bind,nosuid,noexec" };
	for (size_t i = 0; r->privileged && i < ARRAY_SIZE(further); i++)
		if (check_device(further[i], NULL) == 0)
			to[n++] = (struct runtime_mount){ further[i], "bind", further[i], "bind,nosuid,noexec" };
	return n;
}
