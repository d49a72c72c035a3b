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

/* Drops the request, head and body, from the bytes that were read. */
static int skip_request(struct buffer *raw)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	ssize_t size = http_parse_request(raw->data, raw->size, &head, NULL);
	if (size < 0)
		return -EBADMSG;
	buffer_consume(raw, (size_t)size);
	struct http_chunks chunks = { 0 };
	for (int done = !head.chunked; !done;) {
		const char *data;
		size_t used, part;
		done = http_chunks_feed(&chunks, raw->data, raw->size, &used, &data, &part);
		if (done < 0 || (!done && !used))
			return -EBADMSG;
		buffer_consume(raw, used);
	}
	if (head.content_length > 0)
		buffer_consume(raw, MIN((size_t)head.content_length, raw->size));
	return 0;
}

int hijack(struct http_exchange *x, int raw, int *ret_fd, struct buffer *early)
{
	const char *head = heads[http_exchange_head(x)->upgrade != 0][raw != 0];
	AUTO_FD int fd = -1;
	int r = http_exchange_take(x, &fd, early);
	if (r < 0)
		return r;
	if ((r = skip_request(early)) < 0 || (r = fd_write_full(fd, head, strlen(head))) < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
