/* SPDX-License-Identifier: Apache-2.0
 * The dispatch of transports, and the simplest of them: a unix socket to connect to. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/transport_table.h"

int transport_open(struct transport *t, int *ret_fd, struct error **err)
{
	return t->ops->open(t, ret_fd, err);
}

int transport_give(struct transport *t, int fd, const void *data, size_t size, struct error **err)
{
	return t->ops->give ? t->ops->give(t, fd, data, size, err) :
			      error_set(err, EOPNOTSUPP, "this transport carries no descriptors");
}

int transport_can_give(const struct transport *t, size_t size)
{
	return t->ops->give && size <= TRANSPORT_GIVEN_MAX;
}

void transport_free(struct transport *t)
{
	if (t)
		t->ops->free(t);
}

struct transport_unix {
	struct transport base;
	struct sockaddr_un address;
};

static int unix_open(struct transport *t, int *ret_fd, struct error **err)
{
	struct transport_unix *u = (struct transport_unix *)t;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	if (connect(fd, (const struct sockaddr *)&u->address, sizeof u->address) < 0)
		return error_set_errno(err, errno, "connecting to %s", u->address.sun_path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void unix_free(struct transport *t)
{
	free(t);
}

int transport_unix_new(const char *path, struct transport **ret)
{
	static const struct transport_ops ops = { .open = unix_open, .free = unix_free };
	struct transport_unix *u;
	if (strlen(path) >= sizeof u->address.sun_path)
		return -ENAMETOOLONG;
	u = xnew(struct transport_unix);
	u->base.ops = &ops;
	u->address.sun_family = AF_UNIX;
	memcpy(u->address.sun_path, path, strlen(path));
	*ret = &u->base;
	return 0;
}
