/* SPDX-License-Identifier: Apache-2.0
 * ssh-agent sockets of callers. A session that names one gets a random id; the inside names that id
 * when a program there connects, and is connected to the socket that was there when the session
 * began and to no other, as long as the session lives. */
#include "keeper/agent/ssh_agent.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/keeper_private.h"

struct ssh_agents {
	struct ssh_agents *next;
	uint32_t id;
	int socket; /* O_PATH */
};

static void agent_free(struct ssh_agents *a)
{
	fd_close(a->socket);
	free(a);
}

int keeper_add_ssh_agent(struct keeper *k, const char *path, uint32_t *ret_id, struct error **err)
{
	int socket = ssh_socket_open(k, path, err);
	if (socket < 0)
		return socket;
	struct ssh_agents *a = xnew(struct ssh_agents);
	while (a->id == 0)
		if (getrandom(&a->id, sizeof a->id, 0) != sizeof a->id)
			abort();
	a->socket = socket;
	a->next = k->ssh_agents;
	k->ssh_agents = a;
	*ret_id = a->id;
	return 0;
}

void keeper_remove_ssh_agent(struct keeper *k, uint32_t id)
{
	for (struct ssh_agents **at = &k->ssh_agents; *at; at = &(*at)->next) {
		struct ssh_agents *a = *at;
		if (a->id != id)
			continue;
		*at = a->next;
		agent_free(a);
		relays_end_lent(k, id);
		return;
	}
}

void ssh_agents_free(struct ssh_agents *a)
{
	while (a) {
		struct ssh_agents *next = a->next;
		agent_free(a);
		a = next;
	}
}

int ssh_agent_connect(struct keeper *k, uint32_t id, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ssh_agents *a = k->ssh_agents;
	while (a && a->id != id)
		a = a->next;
	if (!a)
		return -ENOENT;
	if (!relays_may_lend(k, id))
		return -EBUSY;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", a->socket);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
