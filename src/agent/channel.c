/* SPDX-License-Identifier: Apache-2.0
 * Packets over a SOCK_SEQPACKET pair: the kernel keeps the borders, SCM_RIGHTS carries descriptors. A child that was forked to read
 * what an image holds may have been taken over by it, so what comes is parsed as strictly as anything from outside. */
#include "channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

union control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int channel_new(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int channel_send(int socket, struct json_object *o, int fd)
{
	AUTO_JSON struct json_object *owned = o;
	AUTOFREE char *text = json_to_string(owned, 0);
	struct iovec part = { .iov_base = text, .iov_len = MIN(strlen(text), (size_t)CHANNEL_MESSAGE_MAX) };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	ssize_t n;
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send_string(int socket, const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, key, value);
	return channel_send(socket, o, -1);
}

int channel_receive(int socket, struct json_object **ret, int *ret_fd)
{
	AUTOFREE char *text = xmalloc(CHANNEL_MESSAGE_MAX);
	union control control = { 0 };
	struct iovec part = { .iov_base = text, .iov_len = CHANNEL_MESSAGE_MAX };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;
	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	AUTO_FD int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse_bytes(text, (size_t)n, "message of a child", &o, NULL);
	if (r < 0 || !json_object_is_type(o, json_type_object))
		return r < 0 ? r : -EBADMSG;
	*ret = TAKE_PTR(o);
	*ret_fd = TAKE_FD(fd);
	return 1;
}
