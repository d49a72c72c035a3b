/* SPDX-License-Identifier: Apache-2.0
 * cgroup2 wants processes in leaves only, where there are controllers: the agent's own goes
 * aside. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/core/cgroup.h"
#include "agent/platform/native/native.h"
#include "base/fd.h"

#define OWN_GROUP "/sys/fs/cgroup/holm-agent"

int native_cgroup_move_aside(void)
{
	if (mkdir(OWN_GROUP, 0755) < 0 && errno != EEXIST)
		return -errno;
	AUTO_FD int fd = open(OWN_GROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_full(fd, "0", 1);
	if (r >= 0)
		cgroup_enable_controllers();
	return r;
}
