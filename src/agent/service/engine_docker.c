/* SPDX-License-Identifier: Apache-2.0
 * See engine_docker.h. The descriptor is the engine's, so as hostile as the machine: only a
 * connected stream socket is relayed. The machine's whole life is one agent's. */
#include "agent/service/engine_docker.h"

#include <errno.h>
#include <sys/socket.h>

#include "agent/core/upcall.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

/* In a VM each is one of the MUX_STREAMS_MAX streams that the keeper accepts: half of them stay for
 * images, mounts, ports and what else the agent asks for. */
enum { CONNECTIONS_MAX = 128 };

struct connection {
	struct agent *agent;
	int fd;
	struct upcall *call;
};

static size_t connections;

static void connection_free(struct connection *c)
{
	fd_close(c->fd);
	free(c);
	connections--;
}

static void on_ended(struct relay *relay, void *data)
{
	relay_free(relay);
	connection_free(data);
}

static void on_opened(int fd, struct buffer *early, void *data)
{
	struct connection *c = data;
	if (fd < 0 || relay_new(c->agent->loop, fd, TAKE_FD(c->fd), early, on_ended, c, NULL) < 0)
		connection_free(c);
}

static int is_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof domain;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		return 0;
	size = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX && type == SOCK_STREAM;
}

void engine_docker_connect(struct agent *a, int fd)
{
	if (fd < 0 || !is_stream(fd) || connections >= CONNECTIONS_MAX) {
		log_debug("a connection of a container to docker.sock is refused");
		fd_close(fd);
		return;
	}
	struct connection *c = xnew(struct connection);
	*c = (struct connection){ .agent = a, .fd = fd };
	connections++;
	upcall_start(a, "/v1/engine/docker", on_opened, c, &c->call);
}
