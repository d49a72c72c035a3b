/* SPDX-License-Identifier: Apache-2.0
 * Packets over a SOCK_SEQPACKET pair: the kernel keeps the borders, SCM_RIGHTS carries descriptors.
 * A child that was forked to read what an image holds may have been taken over by it, so what comes
 * is parsed as strictly as anything from outside. */
#include "agent/core/channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"

int channel_new(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int channel_send(int socket, struct json_object *o, int fd)
{
	AUTO_JSON struct json_object *owned = o;
	AUTOFREE char *text = json_to_string(owned, 0);
	size_t size = strlen(text);
	if (size > CHANNEL_MESSAGE_MAX)
		return -EMSGSIZE;
	ssize_t n = fd_send_bytes(socket, text, size, &fd, fd >= 0, 0);
	return n < 0 ? (int)n : 0;
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
	struct fd_pass p;
	ssize_t n = fd_receive_bytes(socket, text, CHANNEL_MESSAGE_MAX, 1, &p, 0);
	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
	AUTO_FD int fd = p.count ? p.fds[0] : -1;
	AUTO_JSON struct json_object *o = NULL;
	if (p.truncated)
		return -EBADMSG;
	int r = json_parse_bytes(text, (size_t)n, "message of a child", &o, NULL);
	if (r < 0 || !json_object_is_type(o, json_type_object))
		return r < 0 ? r : -EBADMSG;
	*ret = TAKE_PTR(o);
	*ret_fd = TAKE_FD(fd);
	return 1;
}
