/* SPDX-License-Identifier: Apache-2.0
 * A message is a packet of one byte, which names the descriptor, with the descriptor or without.
 * The reaper sends all that it has before it starts an agent. So nothing has to be waited for. */
#include "agent/core/kept.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/fd.h"

enum { KEPT_SOCKET = 3 }; /* the agent's end */

int kept_send(int socket, enum kept which, int fd)
{
	const uint8_t byte = which;
	ssize_t n = fd_send_bytes(socket, &byte, sizeof byte, &fd, fd >= 0, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

int kept_receive(int socket, int fds[static KEPT_COUNT])
{
	uint8_t which;
	struct fd_pass passed;
	ssize_t n = fd_receive_bytes(socket, &which, sizeof which, 1, &passed, MSG_DONTWAIT);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0 || which >= KEPT_COUNT) {
		fd_pass_close(&passed);
		return n < 0 ? (int)n : n == 0 ? -ECONNRESET : -EBADMSG;
	}
	fd_close(fds[which]);
	fds[which] = passed.count ? passed.fds[0] : -1;
	return 1;
}

void kept_put(enum kept which, int fd)
{
	(void)kept_send(KEPT_SOCKET, which, fd);
}

int kept_take(enum kept which)
{
	static int fds[KEPT_COUNT], received;
	for (int i = 0; !received && i < KEPT_COUNT; i++)
		fds[i] = -1;
	while (!received && kept_receive(KEPT_SOCKET, fds) == 1)
		continue;
	received = 1;
	return TAKE_FD(fds[which]);
}
