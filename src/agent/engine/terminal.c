/* SPDX-License-Identifier: Apache-2.0
 * See terminal.h. Only processes of the engine's mount namespace find the socket. */
#include "agent/engine/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static int listen_at(const struct sockaddr_un *address)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(address->sun_path);
	return fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 || listen(fd, 1) < 0 ?
		   -errno :
		   TAKE_FD(fd);
}

int terminal_listen(const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = size >= (int)sizeof address.sun_path ? -ENAMETOOLONG : listen_at(&address);
	return fd < 0 ? error_set_errno(err, fd, "cannot make a socket for a terminal") : fd;
}
