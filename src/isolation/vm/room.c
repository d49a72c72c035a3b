/* SPDX-License-Identifier: Apache-2.0
 * See room.h. */
#include "isolation/vm/room.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"

enum { BLOCK = 1024, NS_PER_S = 1000000000 }; /* BLOCK: of limits, whatever the file system's own is */

static uint64_t below(uint64_t limit_blocks, uint64_t used)
{
	uint64_t limit = limit_blocks * BLOCK;
	return limit > used ? limit - used : 0;
}

uint64_t room_of_quota(const struct if_dqblk *quota, uint64_t now)
{
	uint64_t room = quota->dqb_bhardlimit ? below(quota->dqb_bhardlimit, quota->dqb_curspace) : UINT64_MAX;
	/* A soft limit is a hard one once its time is over. */
	int is_over = quota->dqb_bsoftlimit && quota->dqb_btime && quota->dqb_btime <= now;
	return is_over ? MIN(room, below(quota->dqb_bsoftlimit, quota->dqb_curspace)) : room;
}

static uint64_t quota_left(int fd, int type, uint32_t id)
{
	struct if_dqblk quota = { 0 };
	long r = -1;
#ifdef SYS_quotactl_fd
	r = syscall(SYS_quotactl_fd, fd, QCMD((unsigned)Q_GETQUOTA, (unsigned)type), id, &quota);
#endif
	uint64_t now = (uint64_t)(clock_realtime_ns() / NS_PER_S);
	return r < 0 ? UINT64_MAX : room_of_quota(&quota, now);
}

uint64_t room_left(const char *path)
{
	struct statvfs fs;
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstatvfs(fd, &fs) < 0)
		return UINT64_MAX;
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	room = MIN(room, quota_left(fd, USRQUOTA, geteuid()));
	return MIN(room, quota_left(fd, GRPQUOTA, getegid()));
}
