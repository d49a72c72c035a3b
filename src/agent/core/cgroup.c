/* SPDX-License-Identifier: Apache-2.0
 * The machine's cgroup (cgroups(7)). Each init gets a new one, for two reasons. systemd enables
 * controllers for the groups below it, after which the group itself may have no process, so the
 * next init could not enter it. And some kernels kill each child that is born (clone3) into a group
 * that was killed once. */
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
static void wait_until_empty(const char *group)
{
	uint64_t deadline = clock_deadline(EMPTY_MS);
	AUTOFREE char *path = path_join(group, "cgroup.events");
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[256];
	for (ssize_t n; fd >= 0 && (n = pread(fd, text, sizeof text - 1, 0)) > 0;) {
		text[n] = '\0';
		if (strstr(text, "populated 0") || fd_wait(fd, POLLPRI, deadline) <= 0)
			return;
	}
}

void cgroup_remove_tree(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		remove_below(fd, 0);
	rmdir(path);
}

static void remove_group(const char *group)
{
	wait_until_empty(group);
	cgroup_remove_tree(group);
}

/* Linux before 5.14 has no such file, and kills nothing. */
static void kill_group(const char *group)
{
	AUTOFREE char *path = path_join(group, "cgroup.kill");
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)fd_write_full(fd, "1", 1);
}

void cgroup_end(const char *path)
{
	kill_group(path);
	remove_group(path);
}

void cgroup_remove_containers(void)
{
	remove_group(AGENT_CONTAINERS_CGROUP);
}

void cgroup_remove(void)
{
	remove_group(AGENT_CGROUP);
	cgroup_remove_containers();
}

void cgroup_kill(void)
{
	kill_group(AGENT_CGROUP);
	kill_group(AGENT_CONTAINERS_CGROUP);
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
