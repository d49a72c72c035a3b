/* SPDX-License-Identifier: Apache-2.0
 * The body of a client's request on its way to the standard input of a program, at most BEHIND
 * bytes of it in this process's memory. A program that takes no more, and a client that stalls,
 * end it.
 *
 * A tar archive that is cut off can look like a whole one. So the owner hears of a body that lacks
 * its end before the program sees an end of its input. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/docker/private.h"

enum { BEHIND = 256 * 1024, STEP = 64 * 1024, STALL_MS = 120 * 1000 };

struct docker_upload {
	int pipe; /* -1: the program takes no more */
	struct source *from, *to, *timer;
	struct buffer in, body; /* as it came, and decoded */
	struct http_chunks chunks;
	int chunked, ended, broken;
	uint64_t left;
	docker_upload_fn *on_broken; /* or NULL */
	void *data;
};

void docker_upload_free(struct docker_upload *u)
{
	if (!u)
		return;
	source_free(u->from);
	source_free(u->to);
	source_free(u->timer);
	fd_close(u->pipe);
	buffer_done(&u->in);
	buffer_done(&u->body);
	free(u);
}

static void close_pipe(struct docker_upload *u)
{
	source_free(TAKE_PTR(u->to));
	fd_close(TAKE_FD(u->pipe));
	buffer_consume(&u->body, u->body.size);
}

/* The body has no end, or the client is gone. */
static void break_off(struct docker_upload *u)
{
	u->ended = 1;
	if (u->broken++ == 0 && u->on_broken)
		u->on_broken(u->data);
}

/* Decodes what is there as far as there is room. 0 or -EBADMSG. */
static int decode(struct docker_upload *u)
{
	while (!u->ended && u->in.size && u->body.size < BEHIND) {
		const char *data = u->in.data;
		size_t used = (size_t)MIN((uint64_t)u->in.size, u->left), size = used;
		if (u->chunked) {
			int r = http_chunks_feed(&u->chunks, u->in.data, u->in.size, &used, &data, &size);
			if (r < 0)
				return r;
			u->ended = r > 0;
		} else {
			u->left -= used;
			u->ended = u->left == 0;
		}
		if (size && u->pipe >= 0 && buffer_append(&u->body, data, size) < 0)
			return -EBADMSG;
		buffer_consume(&u->in, used);
	}
	return 0;
}

static void write_body(struct docker_upload *u)
{
	while (u->pipe >= 0 && u->body.size) {
		ssize_t n = buffer_write(&u->body, u->pipe);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n < 0)
			close_pipe(u);
	}
}

/* Moves what can be moved. An end of the input is an end of holm-image's, which then answers. */
static void move(struct docker_upload *u)
{
	do {
		if (decode(u) < 0)
			break_off(u);
		write_body(u);
	} while (!u->body.size && !u->ended && u->in.size);
	if (u->ended && !u->body.size && u->pipe >= 0)
		close_pipe(u);
	if (u->from)
		source_set_events(u->from, !u->ended && u->body.size < BEHIND && u->in.size < BEHIND ? EPOLLIN : 0);
	if (u->to)
		source_set_events(u->to, u->body.size ? EPOLLOUT : 0);
	source_set_timer(u->timer, u->ended ? UINT64_MAX : clock_deadline(STALL_MS));
}

static void on_client(struct source *s, int fd, uint32_t events, void *data)
{
	struct docker_upload *u = data;
	/* A hang-up is always reported, also when nobody asks for events. */
	if ((events & (EPOLLHUP | EPOLLERR)) && (u->ended || u->on_broken)) {
		source_free(TAKE_PTR(u->from));
		break_off(u);
	} else if (events & EPOLLIN) {
		ssize_t n = buffer_read(&u->in, fd, STEP);
		if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR && n != -ENOBUFS))
			break_off(u);
	}
	move(u);
}

static void on_pipe(struct source *s, int fd, uint32_t events, void *data)
{
	struct docker_upload *u = data;
	if (events & EPOLLERR)
		close_pipe(u);
	move(u);
}

static void on_stall(struct source *s, void *data)
{
	struct docker_upload *u = data;
	break_off(u);
	close_pipe(u);
	if (u->from)
		source_set_events(u->from, 0);
}

static int take_head(struct docker_upload *u, struct error **err)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	ssize_t size = http_parse_request(u->in.data, u->in.size, &head, err);
	if (size < 0)
		return (int)size;
	buffer_consume(&u->in, (size_t)size);
	u->in.max = 2 * BEHIND;
	u->chunked = head.chunked;
	u->left = head.content_length > 0 ? (uint64_t)head.content_length : 0;
	u->ended = !head.chunked && !u->left;
	return 0;
}

int docker_upload_new(struct loop *loop, int client, struct buffer *raw, struct docker_upload **ret, int *ret_input,
    struct error **err)
{
	struct docker_upload *u = *ret = xnew(struct docker_upload);
	int ends[2], r;
	*u = (struct docker_upload){ .pipe = -1, .in = *raw };
	*raw = (struct buffer){ 0 };
	buffer_init(&u->body, 2 * BEHIND);
	if ((r = take_head(u, err)) < 0 || (r = fd_pipe(ends)) < 0)
		return r;
	*ret_input = ends[0];
	u->pipe = ends[1];
	fd_set_nonblocking(u->pipe, 1);
	if ((r = loop_add_io(loop, client, 0, on_client, u, &u->from)) < 0 ||
	    (r = loop_add_io(loop, u->pipe, 0, on_pipe, u, &u->to)) < 0 ||
	    (r = loop_add_timer(loop, UINT64_MAX, on_stall, u, &u->timer)) < 0)
		return r;
	move(u);
	return 0;
}

void docker_upload_watch(struct docker_upload *u, docker_upload_fn *on_broken, void *data)
{
	u->on_broken = on_broken;
	u->data = data;
	if (u->broken)
		on_broken(data);
}
