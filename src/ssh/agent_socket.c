/* SPDX-License-Identifier: Apache-2.0
 * See agent_socket.h. The socket has a name for a moment only, from the session's request to its
 * answer: the keeper opens it once (keeper-api.md), and connects by its descriptor. */
#include "ssh/agent_socket.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/accept.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "ssh/forward.h"

enum { BACKLOG = 16 };

struct agent_socket {
	struct connection *connection;
	char *path;
	int fd, hidden;
	struct source *io;
};

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	const struct agent_socket *a = data;
	struct ucred who;
	socklen_t size = sizeof who;
	int accepted = accept_connection(s, fd);
	if (accepted < 0)
		return;
	if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 || who.uid != geteuid())
		fd_close(accepted);
	else
		forward_to_agent(a->connection, accepted);
}

static int listen_at(struct agent_socket *a)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(a->path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, a->path, strlen(a->path));
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(a->path); /* of a process with this number that was killed */
	mode_t mask = umask(0177);
	int r =
	    a->fd < 0 || bind(a->fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(a->fd, BACKLOG) < 0 ?
		-errno :
		0;
	umask(mask);
	return r < 0 ? r : loop_add_io(a->connection->loop, a->fd, EPOLLIN, on_connection, a, &a->io);
}

int agent_socket_new(struct connection *c, struct agent_socket **ret, struct error **err)
{
	static unsigned number;
	AUTOFREE char *folder = NULL;
	int r = path_runtime_dir(&folder, err);
	if (r < 0)
		return r;
	struct agent_socket *a = xnew(struct agent_socket);
	*a = (struct agent_socket){ .connection = c, .fd = -1 };
	a->path = xasprintf("%s/ssh-agent-%d-%u", folder, (int)getpid(), number++);
	r = listen_at(a);
	if (r < 0) {
		error_set_errno(err, r, "cannot listen on %s", a->path);
		agent_socket_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

const char *agent_socket_path(const struct agent_socket *a)
{
	return a->path;
}

void agent_socket_hide(struct agent_socket *a)
{
	if (!a->hidden)
		unlink(a->path);
	a->hidden = 1;
}

void agent_socket_free(struct agent_socket *a)
{
	if (!a)
		return;
	agent_socket_hide(a);
	source_free(a->io);
	fd_close(a->fd);
	free(a->path);
	free(a);
}
