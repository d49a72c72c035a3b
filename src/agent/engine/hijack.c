/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/hijack.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/route.h"

static const char *const answers[2] = { "200 OK\r\nConnection: close\r\n",
	"101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" };

int hijack_with(struct http_exchange *x, int raw, const char *more, int *ret_fd, struct buffer *early)
{
	AUTOFREE char *head =
	    xasprintf("HTTP/1.1 %s" DOCKER_HEADERS "%sContent-Type: application/vnd.docker.%s-stream\r\n\r\n",
		answers[http_exchange_head(x)->upgrade != 0], more, raw ? "raw" : "multiplexed");
	AUTO_FD int fd = -1;
	int r = http_exchange_take(x, &fd, early);
	if (r < 0)
		return r;
	if ((r = http_cut_request(early, NULL)) < 0 || (r = fd_write_full(fd, head, strlen(head))) < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int hijack(struct http_exchange *x, int raw, int *ret_fd, struct buffer *early)
{
	return hijack_with(x, raw, "", ret_fd, early);
}
