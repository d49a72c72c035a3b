/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { COPY_CHUNK = 1 << 20, HOLE_UNIT = 64 << 10 };

void fd_close(int fd)
{
	if (fd < 0)
		return;
	int saved = errno;
	close(fd);
	errno = saved;
}

static int set_flag(int fd, int get, int set, int flag, int on)
{
	int flags = fcntl(fd, get);
	if (flags < 0)
		return -errno;
	int wanted = on ? flags | flag : flags & ~flag;
	return wanted == flags || fcntl(fd, set, wanted) >= 0 ? 0 : -errno;
}

int fd_set_nonblocking(int fd, int on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, int on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_socketpair(int type, int ret[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int fd_pipe(int ret[2])
{
	return pipe2(ret, O_CLOEXEC) < 0 ? -errno : 0;
}

ssize_t fd_read_full(int fd, void *data, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

int fd_write_full(int fd, const void *data, size_t size)
{
	const char *at = data;
	while (size) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int pwrite_full(int fd, const char *data, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, (off_t)offset);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			offset += (uint64_t)n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int is_zero(const char *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

int fd_write_sparse(int fd, const void *data, size_t size, uint64_t offset)
{
	const char *at = data;
	size_t ready = 0; /* bytes from `at` on that are to be written together */
	int r = 0;
	while (r >= 0 && size > ready) {
		size_t unit = MIN(size - ready, (size_t)(HOLE_UNIT - (offset + ready) % HOLE_UNIT));
		int hole = is_zero(at + ready, unit);
		ready += hole ? 0 : unit;
		if (!hole && ready < size)
			continue;
		r = pwrite_full(fd, at, ready, offset);
		size_t passed = ready + (hole ? unit : 0);
		at += passed;
		offset += passed;
		size -= passed;
		ready = 0;
	}
	return r;
}

int fd_wait(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	for (;;) {
		int r = poll(&p, 1, clock_left_ms(deadline_ms));
		if (r > 0)
			return 1;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && clock_left_ms(deadline_ms) == 0)
			return 0;
	}
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, max + 1);
	for (;;) {
		ssize_t n = buffer_read(&b, fd, 64 * 1024);
		if (n == 0)
			break;
		if (n < 0)
			return n == -ENOBUFS ? -EFBIG : (int)n;
		if (b.size > max)
			return -EFBIG;
	}
	if (ret_size)
		*ret_size = b.size;
	*ret = buffer_take_string(&b);
	return 0;
}

static int64_t copy_plain(int from, int to, uint64_t size)
{
	AUTOFREE char *data = xmalloc(COPY_CHUNK);
	uint64_t done = 0;
	while (done < size) {
		ssize_t n = read(from, data, (size_t)MIN(size - done, (uint64_t)COPY_CHUNK));
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int r = fd_write_full(to, data, (size_t)n);
		if (r < 0)
			return r;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

int64_t fd_copy(int from, int to, uint64_t size)
{
	uint64_t done = 0;
	int use_range = 1;
	while (done < size) {
		size_t want = (size_t)MIN(size - done, (uint64_t)COPY_CHUNK * 64);
		ssize_t n = use_range ? copy_file_range(from, NULL, to, NULL, want, 0) : sendfile(to, from, NULL, want);
		if (n == 0)
			break;
		if (n > 0) {
			done += (uint64_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EBADF)
			return -errno;
		if (use_range) {
			use_range = 0;
			continue;
		}
		int64_t r = copy_plain(from, to, size - done);
		return r < 0 ? r : (int64_t)done + r;
	}
	return (int64_t)done;
}

/* The kernel wakes a writer while it still counts one byte of what was read. */
int fd_is_unread(int fd)
{
	int size = 0;
	return ioctl(fd, SIOCOUTQ, &size) == 0 && size > 1;
}

void fd_close_from(int first, const int *except, size_t count)
{
	unsigned from = (unsigned)first;
	for (size_t i = 0; i < count; i++) {
		if (except[i] < (int)from)
			continue;
		if ((unsigned)except[i] > from)
			syscall(SYS_close_range, from, (unsigned)except[i] - 1, 0);
		from = (unsigned)except[i] + 1;
	}
	syscall(SYS_close_range, from, UINT_MAX, 0);
}

void fd_fix_standard(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	fd_close(fd);
}
