/* SPDX-License-Identifier: Apache-2.0
 * Descriptors over unix sockets (unix(7), cmsg(3)): the one place that knows how control messages
 * are laid out. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/macros.h"

union control {
	char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
	struct cmsghdr align;
};

ssize_t fd_send_bytes(int socket_fd, const void *data, size_t size, const int *fds, size_t count, int flags)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (count > FD_PASS_MAX)
		return -EINVAL;
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(socket_fd, &message, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The descriptors of one control message. There was room for no more than max; should there be more
 * all the same, they are closed. */
static void take(const struct cmsghdr *c, size_t max, struct fd_pass *ret)
{
	size_t got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < got; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
		if (ret->count < max)
			ret->fds[ret->count++] = fd;
		else
			fd_close(fd);
	}
}

ssize_t fd_receive_bytes(int socket_fd, void *data, size_t size, size_t max, struct fd_pass *ret, int flags)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };
	max = MIN(max, (size_t)FD_PASS_MAX);
	/* Not CMSG_SPACE: the kernel would put a descriptor into the padding of an odd number of
	 * them. */
	message.msg_controllen = CMSG_LEN(max * sizeof(int));
	ssize_t n;
	do
		n = recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*ret = (struct fd_pass){ 0 };
	if (n < 0)
		return -errno;
	ret->truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take(c, max, ret);
	if (n == 0)
		fd_pass_close(ret);
	return n;
}

void fd_pass_close(struct fd_pass *p)
{
	while (p->count > 0)
		fd_close(p->fds[--p->count]);
}

int fd_send(int socket_fd, const int *fds, size_t count)
{
	char byte = 0;
	ssize_t n = fd_send_bytes(socket_fd, &byte, 1, fds, count, 0);
	return n < 0 ? (int)n : 0;
}

int fd_receive(int socket_fd, int *fds, size_t max, size_t *ret_count)
{
	char byte;
	struct fd_pass p;
	ssize_t n = fd_receive_bytes(socket_fd, &byte, 1, max, &p, 0);
	if (n < 0)
		return (int)n;
	memcpy(fds, p.fds, p.count * sizeof(int));
	*ret_count = p.count;
	return n == 0 ? -ECONNRESET : 0;
}
