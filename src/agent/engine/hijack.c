/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/hijack.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/route.h"

#define UPGRADED "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
#define PLAIN "HTTP/1.1 200 OK\r\nConnection: close\r\n"
#define FRAMES DOCKER_HEADERS "Content-Type: application/vnd.docker.multiplexed-stream\r\n\r\n"
#define RAW DOCKER_HEADERS "Content-Type: application/vnd.docker.raw-stream\r\n\r\n"

static const char *const heads[2][2] = { { PLAIN FRAMES, PLAIN RAW }, { UPGRADED FRAMES, UPGRADED RAW } };

int hijack(struct http_exchange *x, int raw, int *ret_fd, struct buffer *early)
{
	const char *head = heads[http_exchange_head(x)->upgrade != 0][raw != 0];
	AUTO_FD int fd = -1;
	int r = http_exchange_take(x, &fd, early);
	if (r < 0)
		return r;
	if ((r = http_cut_request(early, NULL)) < 0 || (r = fd_write_full(fd, head, strlen(head))) < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
