/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/api/listen.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

enum { BACKLOG = 128 };

int keeper_listen(const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path)
		return error_set(err, ENAMETOOLONG,
		    "%s is too long for a socket; set XDG_RUNTIME_DIR to a shorter path", path);
	memcpy(address.sun_path, path, strlen(path));
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(path);
	mode_t mask = umask(0177);
	int r =
	    fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
	umask(mask);
	return r < 0 ? error_set_errno(err, r, "cannot listen on %s", path) : TAKE_FD(fd);
}
