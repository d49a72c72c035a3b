/* SPDX-License-Identifier: Apache-2.0
 * See oom_score.h. */
#include "agent/core/oom_score.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"

#define SCORE "/proc/self/oom_score_adj"

int oom_score_set(int64_t score)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%lld", (long long)score);
	AUTO_FD int fd = open(SCORE, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_full(fd, text, (size_t)size);
}

void oom_score_give_up(void)
{
	char sign = 0;
	AUTO_FD int fd = open(SCORE, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && read(fd, &sign, 1) == 1 && sign == '-')
		(void)!pwrite(fd, "0", 1, 0);
}
