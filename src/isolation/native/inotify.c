/* SPDX-License-Identifier: Apache-2.0
 * See inotify.h. The kernel shows nobody its count, so instances are made until it refuses, and
 * closed at once. */
#include "isolation/native/inotify.h"

#include <sys/inotify.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/macros.h"

const char native_inotify_fix[] = "sudo sysctl fs.inotify.max_user_instances=1024";

int native_inotify_room(int most)
{
	int count = 0;
	most = MIN(most, (int)NATIVE_INOTIFY_MOST);
	AUTOFREE int *made = xcalloc((size_t)most + 1, sizeof *made);
	while (count < most && (made[count] = inotify_init1(IN_CLOEXEC)) >= 0)
		count++;
	for (int i = 0; i < count; i++)
		fd_close(made[i]);
	return count;
}

char *native_inotify_shortage(void)
{
	int room = native_inotify_room(NATIVE_INOTIFY_MACHINE);
	if (room >= NATIVE_INOTIFY_MACHINE)
		return NULL;
	return xasprintf("%d inotify instances are left to you, and systemd needs about %d; to have more: %s", room,
	    (int)NATIVE_INOTIFY_MACHINE, native_inotify_fix);
}
