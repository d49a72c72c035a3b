/* SPDX-License-Identifier: Apache-2.0
 * A socket of this machine's engine for containers: what the host's docker.sock or
 * /var/run/docker.sock means as the source of a bind.
 *
 * The keeper answers what comes there, by the routes of docker.sock and the rights of the machine
 * (src/keeper/docker/service.c). So each connection goes to the agent, which connects it with the
 * keeper. The socket is the container's root's: it needs no more rights than that to reach it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/mounts.h"
#include "agent/engine/engine.h"
#include "base/accept.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define SOCKET_PATH "/run/docker.sock" /* in the engine's place */

enum { BACKLOG = 128, PAUSE_MS = 20 };

/* The channel to the agent has a quarter for connections: whatever containers do here, requests for
 * images, mounts and ports find room. The others wait in the backlog. */
static int must_pause(const struct engine *e)
{
	if (fd_wait(ENGINE_CHANNEL, POLLOUT, 0) == 1)
		return 0;
	source_pause(e->docker_socket, clock_deadline(PAUSE_MS));
	return 1;
}

static void on_client(struct source *s, int fd, uint32_t events, void *data)
{
	if (must_pause(data))
		return;
	AUTO_FD int client = accept_connection(s, fd);
	if (client < 0)
		return;
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "docker", 1);
	int r = channel_send(ENGINE_CHANNEL, o, client);
	if (r < 0)
		log_warning("a connection to docker.sock is dropped: %s", strerror(-r));
}

static int listen_at(const struct engine *e, struct error **err)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(SOCKET_PATH); /* an earlier engine's */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    chown(SOCKET_PATH, e->ids.uids[0].outside, e->ids.gids[0].outside) < 0 || chmod(SOCKET_PATH, 0660) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_set_errno(err, errno, "cannot make a docker.sock for containers");
	return TAKE_FD(fd);
}

int docker_socket_tree(struct engine *e, struct error **err)
{
	if (!e->docker_socket) {
		int fd = listen_at(e, err);
		int r = fd < 0 ? fd : loop_add_io(e->loop, fd, EPOLLIN, on_client, e, &e->docker_socket);
		if (r < 0) {
			fd_close(fd);
			return r;
		}
	}
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, SOCKET_PATH, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? error_set_errno(err, errno, "cannot mount docker.sock") : tree;
}
