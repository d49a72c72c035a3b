/* SPDX-License-Identifier: Apache-2.0
 * F_OFD_SETLKW has no time limit, so a wait with a deadline asks again at growing intervals: there
 * is no event for "unlocked". */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { WAIT_FIRST_MS = 2, WAIT_MOST_MS = 50 };

static int take(int fd, short type, uint64_t deadline_ms)
{
	int wait = WAIT_FIRST_MS;
	for (;;) {
		struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -errno;
		int left = deadline_ms == 0 ? 0 : clock_left_ms(deadline_ms);
		if (left == 0)
			return -EWOULDBLOCK;
		poll(NULL, 0, left < 0 ? wait : MIN(wait, left));
		wait = MIN(wait * 2, WAIT_MOST_MS);
	}
}

int lock_file(const char *path, enum lock_mode mode, uint64_t deadline_ms, struct error **err)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open lock %s", path);
	int r = take(fd, mode == LOCK_SHARED ? F_RDLCK : F_WRLCK, deadline_ms);
	if (r == -EWOULDBLOCK)
		return error_set(err, EWOULDBLOCK, "%s is locked by another process", path);
	if (r < 0)
		return error_set_errno(err, r, "cannot lock %s", path);
	return TAKE_FD(fd);
}

int lock_is_held(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
		return -errno;
	return whole.l_type != F_UNLCK;
}
