/* SPDX-License-Identifier: Apache-2.0
 * The machine's cgroup (cgroups(7)). It is made anew for every init: what an init has set up in it
 * (systemd enables controllers for the groups below, and then no process may be in it itself) is in
 * the way of the next one, and a child that is born into a group (clone3) which was killed once is
 * killed by some kernels, too. */
#include "agent/core/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/strv.h"

enum { EMPTY_MS = 2000, DEPTH_MAX = 128 };

/* Removes the groups below a directory (taken). */
static void remove_below(int directory, unsigned depth)
{
	DIR *d = fdopendir(directory);
	if (!d)
		fd_close(directory);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		int below = depth < DEPTH_MAX ?
				openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) :
				-1;
		if (below >= 0)
			remove_below(below, depth + 1);
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

/* Waits until the last process in it has ended, as far as it does. */
static void wait_until_empty(void)
{
	uint64_t deadline = clock_deadline(EMPTY_MS);
	AUTO_FD int fd = open(AGENT_CGROUP "/cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];
	for (ssize_t n; fd >= 0 && (n = pread(fd, text, sizeof text - 1, 0)) > 0;) {
		text[n] = '\0';
		if (strstr(text, "populated 0") || fd_wait(fd, POLLPRI, deadline) <= 0)
			return;
	}
}

void cgroup_remove(void)
{
	wait_until_empty();
	int fd = open(AGENT_CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		remove_below(fd, 0);
	rmdir(AGENT_CGROUP);
}

void cgroup_enable_controllers(void)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv names = { 0 };
	if (path_read_file("/sys/fs/cgroup/cgroup.controllers", 4096, &text, NULL) < 0)
		return;
	strv_split(&names, text, " \n");
	for (size_t i = 0; i < names.count; i++) {
		AUTO_FD int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
		AUTOFREE char *word = xasprintf("+%s", names.items[i]);
		if (fd >= 0 && fd_write_full(fd, word, strlen(word)) < 0)
			log_debug("the cgroup controller %s cannot be enabled", names.items[i]);
	}
}
