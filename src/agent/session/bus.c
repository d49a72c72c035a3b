/* SPDX-License-Identifier: Apache-2.0
 * systemd makes /run/user/UID when the user's manager starts and mounts a tmpfs on it, and
 * dbus.socket of that manager makes the socket in it. inotify reports the directories and the
 * socket. It reports no mount, and a watch of the directory below sees nothing of the tmpfs, so
 * /proc/self/mountinfo is polled for mounts (proc(5)). */
#include "agent/session/bus.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

int session_has_bus(int root, uint32_t uid)
{
	static const char *const units[] = { "/usr/lib/systemd/user/dbus.socket", "/lib/systemd/user/dbus.socket",
		"/etc/systemd/user/dbus.socket" };
	AUTOFREE char *bus = xasprintf("/run/user/%u/bus", uid);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (rootfs_exists(root, units[i]))
			return 1;
	return rootfs_exists(root, bus);
}

static int is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

void session_wait_bus(uint32_t uid, uint64_t deadline_ms)
{
	AUTOFREE char *directory = xasprintf("/run/user/%u", uid);
	AUTOFREE char *bus = xasprintf("%s/bus", directory);
	const char *const watched[] = { "/run", "/run/user", directory };
	char events[4096];
	if (clock_left_ms(deadline_ms) == 0 || is_there(bus))
		return;
	AUTO_FD int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	while (watch >= 0) {
		for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
			inotify_add_watch(watch, watched[i], IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
		int left = is_there(bus) ? 0 : clock_left_ms(deadline_ms);
		if (left == 0)
			return;
		struct pollfd p[] = { { .fd = watch, .events = POLLIN }, { .fd = mounts, .events = POLLPRI } };
		poll(p, ARRAY_SIZE(p), left);
		while (read(watch, events, sizeof events) > 0)
			;
	}
}
