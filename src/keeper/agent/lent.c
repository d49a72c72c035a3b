/* SPDX-License-Identifier: Apache-2.0
 * Unix sockets of the host that are lent to the inside: the ssh-agents of callers, and the sockets
 * that are mounted in a virtual machine. Each has a random id; the inside names that id when a
 * program there connects, and is connected to the socket that was there when it was lent and to no
 * other, until it is taken back. */
#include "keeper/agent/lent.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/keeper_private.h"

struct lent_sockets {
	struct lent_sockets *next;
	uint32_t id;
	unsigned max; /* connections at once */
	int socket;   /* O_PATH */
};

static void lent_free(struct lent_sockets *l)
{
	fd_close(l->socket);
	free(l);
}

uint32_t keeper_lend_socket(struct keeper *k, int socket, unsigned max)
{
	struct lent_sockets *l = xnew(struct lent_sockets);
	while (l->id == 0)
		if (getrandom(&l->id, sizeof l->id, 0) != sizeof l->id)
			abort();
	l->socket = socket;
	l->max = max;
	l->next = k->lent_sockets;
	k->lent_sockets = l;
	return l->id;
}

void keeper_take_socket_back(struct keeper *k, uint32_t id)
{
	for (struct lent_sockets **at = &k->lent_sockets; *at; at = &(*at)->next) {
		struct lent_sockets *l = *at;
		if (l->id != id)
			continue;
		*at = l->next;
		lent_free(l);
		relays_end_lent(k, id);
		return;
	}
}

void lent_sockets_free(struct lent_sockets *l)
{
	while (l) {
		struct lent_sockets *next = l->next;
		lent_free(l);
		l = next;
	}
}

int lent_socket_connect(struct keeper *k, uint32_t id, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct lent_sockets *l = k->lent_sockets;
	while (l && l->id != id)
		l = l->next;
	if (!l)
		return -ENOENT;
	if (!relays_may_lend(k, id, l->max))
		return -EBUSY;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", l->socket);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
