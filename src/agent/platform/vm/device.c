/* SPDX-License-Identifier: Apache-2.0
 * See device.h. inotify on /dev wakes the search. */
#include "agent/platform/vm/device.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { APPEAR_MS = 20 * 1000 };

int device_open(device_finder *find, const char *name, int flags, char **ret_path)
{
	uint64_t deadline = clock_deadline(APPEAR_MS);
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch >= 0)
		inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB);
	for (;;) {
		char events[4096];
		AUTOFREE char *path = find(name);
		int fd = path ? open(path, flags | O_CLOEXEC) : -1;
		if (fd >= 0 && ret_path)
			*ret_path = TAKE_PTR(path);
		if (fd >= 0)
			return fd;
		if (path && errno != ENOENT && errno != ENXIO)
			return -errno;
		if (watch < 0 || fd_wait(watch, POLLIN, deadline) <= 0)
			return -ENODEV;
		while (read(watch, events, sizeof events) > 0)
			;
	}
}
