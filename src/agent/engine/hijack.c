/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/hijack.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/route.h"

#define STREAM_TYPE "Content-Type: application/vnd.docker.multiplexed-stream\r\n"

static const char upgraded[] =
    "HTTP/1.1 101 UPGRADED\r\n" STREAM_TYPE "Connection: Upgrade\r\nUpgrade: tcp\r\n" DOCKER_HEADERS "\r\n";
static const char plain[] = "HTTP/1.1 200 OK\r\n" STREAM_TYPE "Connection: close\r\n" DOCKER_HEADERS "\r\n";

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

int hijack(struct http_exchange *x, int *ret_fd, struct buffer *early)
{
	const char *head = http_exchange_head(x)->upgrade ? upgraded : plain;
	AUTO_FD int fd = -1;
	int r = http_exchange_take(x, &fd, early);
	if (r < 0)
		return r;
	if ((r = skip_request(early)) < 0 || (r = fd_write_full(fd, head, strlen(head))) < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
