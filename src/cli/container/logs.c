/* SPDX-License-Identifier: Apache-2.0
 * `holm logs`. The container decides what is in its log. A terminal gets text and colours alone, a
 * file or a pipe every byte. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "docker/frame.h"

enum { BLOCK = 32 * 1024 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "follow", 'f', OPTION_FLAG, NULL, "go on showing what is added, until the container ends" },
	{ "tail", 'n', OPTION_STRING, "LINES", "only the last lines", .default_text = "all" },
	{ "since", 0, OPTION_STRING, "TIME",
	    "only lines from this time on: 2026-11-30T08:00, or 10m for the last minutes" },
	{ "until", 0, OPTION_STRING, "TIME", "only lines before this time" },
	{ "timestamps", 't', OPTION_FLAG, NULL, "each line behind its time" },
	{ "details", 0, OPTION_FLAG, NULL, "each line behind its log's own details; holm's logs have none" },
	{ "raw", 0, OPTION_FLAG, NULL, "write every byte as it is, also to a terminal" },
	API_MACHINE_OPTION_LONG,
	{ 0 },
};

const struct command_spec command_container_logs = {
	.name = "logs",
	.synopsis = "CONTAINER",
	.summary = "show the output of a container",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "container",
	.run = run,
};

/* ---- the request ---- */

static int find_target(const struct options *o, char **ret, struct error **err)
{
	AUTOFREE char *since = NULL, *until = NULL;
	AUTOFREE char *path = api_path("/containers/", options_words(o)->items[0], "/logs");
	const char *tail = options_string(o, "tail");
	uint64_t lines;
	if (tail && (streq(tail, "all") || streq(tail, "-1")))
		tail = NULL;
	if (tail && parse_u64(tail, &lines) < 0)
		return error_set(err, EINVAL, "--tail %.40s: give a number of lines", tail);
	int r = api_time(o, "since", &since, err);
	if (r == 0)
		r = api_time(o, "until", &until, err);
	if (r == 0)
		*ret = api_target(path, "stdout", "1", "stderr", "1", "follow", options_given(o, "follow") ? "1" : NULL,
		    "timestamps", options_given(o, "timestamps") ? "1" : NULL, "details",
		    options_given(o, "details") ? "1" : NULL, "tail", tail, "since", since, "until", until, NULL);
	return r;
}

/* ---- output ---- */

struct output {
	int fd, raw;
	struct printable_stream stream; /* unless raw */
};

struct log {
	struct output out, err;
	int framed; /* else all of it is stdout's: the container has a terminal */
	struct docker_frames frames;
};

static void open_output(struct output *o, int fd, int raw)
{
	*o = (struct output){ .fd = fd, .raw = raw || !isatty(fd) };
}

static int write_output(struct output *o, const char *data, size_t size)
{
	char shown[BLOCK + PRINTABLE_HELD];
	if (o->raw)
		return fd_write_full(o->fd, data, size);
	return fd_write_full(o->fd, shown, printable_stream(&o->stream, data, size, shown));
}

static int close_output(struct output *o)
{
	const char *end = o->raw ? "" : printable_stream_end(&o->stream);
	return fd_write_full(o->fd, end, strlen(end));
}

static int show(struct log *l, const char *data, size_t size)
{
	while (l->framed && size) {
		struct docker_piece piece;
		ssize_t n = docker_frames_take(&l->frames, data, size, &piece);
		int r = n < 0 ?
			    (int)n :
			piece.size ?
			    write_output(piece.stream == DOCKER_STDERR ? &l->err : &l->out, piece.data, piece.size) :
			    0;
		if (r < 0)
			return r;
		data += n;
		size -= (size_t)n;
	}
	return l->framed ? 0 : write_output(&l->out, data, size);
}

/* Waits until there is more to read: 0, or -EPIPE when nobody reads stdout any more. */
static int await(const struct api_stream *s)
{
	struct pollfd p[] = { { .fd = s->fd, .events = POLLIN }, { .fd = STDOUT_FILENO, .events = 0 } };
	if (s->response.early.size || s->response.ended)
		return 0;
	while (poll(p, ARRAY_SIZE(p), -1) < 0)
		if (errno != EINTR)
			return -errno;
	return p[1].revents & (POLLERR | POLLHUP) ? -EPIPE : 0;
}

static int show_all(struct log *l, const struct api *a, struct api_stream *s, int follows, struct error **err)
{
	char block[BLOCK];
	for (;;) {
		int r = follows ? await(s) : 0;
		ssize_t n = r < 0 ? r :
				    http_response_read(&s->response, block, sizeof block,
					follows ? UINT64_MAX : clock_deadline(a->timeout_ms), err);
		if (n <= 0)
			return (int)n;
		r = show(l, block, (size_t)n);
		if (r == -EBADMSG)
			return error_set(err, EPROTO, "the engine's answer is no log");
		if (r < 0)
			return r == -EPIPE ? r : error_set_errno(err, r, "cannot write the output");
	}
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTOFREE char *target = NULL;
	struct log l = { 0 };
	int r = api_init(&a, c, o, &err);
	if (r == 0)
		r = find_target(o, &target, &err);
	if (r < 0)
		return output_failure(r, err);
	r = api_open(&a, "GET", target, NULL, NULL, &s, &err);
	if (r >= 0) {
		const char *type = http_head_get(&s.response.head, "content-type");
		l.framed = !type || !strstr(type, "raw-stream");
		open_output(&l.out, STDOUT_FILENO, options_given(o, "raw"));
		open_output(&l.err, STDERR_FILENO, options_given(o, "raw"));
		r = show_all(&l, &a, &s, options_given(o, "follow"), &err);
		close_output(&l.out);
		close_output(&l.err);
	}
	return r < 0 && r != -EPIPE ? api_failure(&a, "container", options_words(o)->items[0], r, &err) : 0;
}
