/* SPDX-License-Identifier: Apache-2.0
 * See stream.h. */
#include "image/library/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/common/interrupt.h"
#include "image/library/library.h"

enum { PIPE_SIZE = 1 << 20, PIECE = 1 << 20, SILENCE_MAX_MS = 10 * 60 * 1000 };

static int add(struct streams *s, const struct oci_descriptor *d)
{
	int ends[2];
	if (s->count == STREAMS_MAX)
		return -E2BIG;
	int r = fd_pipe(ends);
	if (r < 0)
		return r;
	fd_set_nonblocking(ends[1], 1);
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE); /* fewer turns, where the user may */
	s->items[s->count++] = (struct stream){
		.digest = xstrdup(d->digest),
		.size = d->size,
		.reader = ends[0],
		.writer = ends[1],
		.file = -1,
	};
	return 0;
}

int streams_init(struct streams *s, struct library *l, const struct oci_descriptor *layers, size_t count)
{
	int r = 0;
	*s = (struct streams){ 0 };
	for (size_t k = 0; r == 0 && k < count; k++)
		if (!library_has_blob(l, layers[k].digest, layers[k].size))
			r = add(s, &layers[k]);
	if (r < 0)
		streams_done(s);
	return r;
}

void streams_done(struct streams *s)
{
	for (size_t k = 0; k < s->count; k++) {
		free(s->items[k].digest);
		fd_close(s->items[k].reader);
		fd_close(s->items[k].writer);
		fd_close(s->items[k].file);
	}
	s->count = 0;
}

void streams_be_reader(struct streams *s)
{
	for (size_t k = 0; k < s->count; k++)
		fd_close(TAKE_FD(s->items[k].writer));
}

void streams_be_writer(struct streams *s)
{
	for (size_t k = 0; k < s->count; k++)
		fd_close(TAKE_FD(s->items[k].reader));
}

int streams_take(struct streams *s, const char *digest)
{
	for (size_t k = 0; k < s->count; k++)
		if (s->items[k].reader >= 0 && streq(s->items[k].digest, digest))
			return TAKE_FD(s->items[k].reader);
	return -ENOENT;
}

static void end(struct stream *one)
{
	fd_close(TAKE_FD(one->writer));
	fd_close(TAKE_FD(one->file));
}

static void feed(struct stream *one)
{
	while (one->writer >= 0 && one->sent < one->came) {
		off_t at = (off_t)one->sent;
		size_t size = (size_t)MIN(one->came - one->sent, (uint64_t)PIECE);
		ssize_t n = splice(one->file, &at, one->writer, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) /* the reader is gone, or the file cannot be read here */
			end(one);
		else
			one->sent += (uint64_t)n;
	}
	if (one->sent == one->size)
		end(one);
}

static void grow(struct stream *one, int file, uint64_t size)
{
	/* Another try may have another file, and the same bytes in it or none. */
	if (size < one->sent)
		end(one);
	if (one->writer < 0)
		return;
	if (size <= one->came || one->file < 0) {
		fd_close(one->file);
		one->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
	}
	one->came = size;
	feed(one);
}

void streams_grow(struct streams *s, const char *digest, int file, uint64_t size)
{
	for (size_t k = 0; s && k < s->count; k++)
		if (streq(s->items[k].digest, digest))
			grow(&s->items[k], file, size);
}

void streams_feed(struct streams *s)
{
	for (size_t k = 0; s && k < s->count; k++)
		feed(&s->items[k]);
}

size_t streams_poll(const struct streams *s, struct pollfd *ret)
{
	size_t count = 0;
	for (size_t k = 0; s && k < s->count; k++)
		if (s->items[k].writer >= 0 && s->items[k].sent < s->items[k].came)
			ret[count++] = (struct pollfd){ .fd = s->items[k].writer, .events = POLLOUT };
	return count;
}

int streams_finish(struct streams *s, struct error **err)
{
	for (;;) {
		struct pollfd polls[STREAMS_MAX + 1];
		streams_feed(s);
		size_t count = streams_poll(s, polls);
		if (count == 0)
			return 0;
		polls[count] = (struct pollfd){ .fd = interrupt_fd(), .events = POLLIN };
		int n = poll(polls, count + 1, SILENCE_MAX_MS), r = interrupt_check(err);
		if (r < 0 || n == 0)
			return r;
	}
}
