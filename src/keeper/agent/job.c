/* SPDX-License-Identifier: Apache-2.0
 * See job.h. The frames come from inside: their lengths are checked by the codec, and what they say
 * is cleaned, cut and counted before it is logged. */
#include "keeper/agent/job.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "http/http.h"
#include "http/session_frame.h"
#include "http/transport.h"
#include "keeper/agent/text.h"
#include "keeper/keeper_private.h"

enum { READ_SIZE = 16 * 1024, BUFFER_MAX = 512 * 1024, LINES_MAX = 2000, LINE_BYTES_MAX = 2000 };

struct job {
	struct keeper *keeper;
	struct http_call *call; /* until it is a session */
	int fd;                 /* from then on */
	struct source *io, *timer;
	struct buffer in, out, line;
	char *name, *last; /* the last line of its output */
	size_t lines;
	void (*done)(struct keeper *k, int status, const char *text);
};

void job_cancel(struct job *j)
{
	if (!j)
		return;
	http_call_cancel(j->call);
	source_free(j->io);
	source_free(j->timer);
	fd_close(j->fd);
	buffer_done(&j->in);
	buffer_done(&j->out);
	buffer_done(&j->line);
	free(j->name);
	free(j->last);
	free(j);
}

static void finish(struct job *j, int status, const char *text)
{
	struct keeper *k = j->keeper;
	void (*done)(struct keeper * k, int status, const char *text) = j->done;
	AUTOFREE char *said = xstrdup(text ? text : j->last ? j->last : "no output");
	job_cancel(j);
	done(k, status, said);
}

static void end_line(struct job *j)
{
	AUTOFREE char *clean = text_clean(buffer_string(&j->line));
	buffer_consume(&j->line, j->line.size);
	if (!*clean)
		return;
	if (j->lines++ < LINES_MAX)
		log_info("%s: %s", j->name, clean);
	free(j->last);
	j->last = TAKE_PTR(clean);
}

static void take_output(struct job *j, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] == '\n' || j->line.size >= LINE_BYTES_MAX)
			end_line(j);
		else if (data[i])
			buffer_append(&j->line, data + i, 1);
}

static int status_of(const struct session_frame *f)
{
	return f->size >= 4 ? (unsigned char)f->data[3] : 255;
}

/* Takes the frames that are there. 1: the job is gone. */
static int take_frames(struct job *j)
{
	struct session_frame f;
	int r;
	while ((r = session_frame_next(&j->in, &f)) == 1) {
		if (f.type == SESSION_STDOUT || f.type == SESSION_STDERR)
			take_output(j, f.data, f.size);
		if (f.type == SESSION_ERROR && f.size > 4)
			take_output(j, f.data + 4, f.size - 4);
		if (f.type == SESSION_EXIT || f.type == SESSION_ERROR) {
			int status = status_of(&f);
			end_line(j);
			finish(j, status, NULL);
			return 1;
		}
		buffer_consume(&j->in, SESSION_HEADER_SIZE + f.size);
	}
	if (r < 0)
		finish(j, r, "the agent's frames make no sense");
	return r < 0;
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct job *j = data;
	if (events & EPOLLOUT) {
		ssize_t sent = buffer_send(&j->out, fd);
		if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
			buffer_consume(&j->out, j->out.size);
		source_set_events(source, j->out.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = buffer_read(&j->in, fd, READ_SIZE);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0)
		finish(j, n < 0 ? (int)n : -ECONNRESET, "the session was lost");
	else
		take_frames(j);
}

static void on_time(struct source *s, void *data)
{
	finish(data, -ETIMEDOUT, "the time was up");
}

static void on_upgraded(int fd, struct buffer *early, void *data)
{
	struct job *j = data;
	j->call = NULL;
	j->fd = fd;
	if (buffer_append(&j->in, early->data, early->size) < 0 ||
	    loop_add_io(j->keeper->loop, fd, j->out.size ? EPOLLIN | EPOLLOUT : EPOLLIN, on_io, j, &j->io) < 0)
		finish(j, -EIO, "the session cannot be watched");
	else if (j->in.size)
		take_frames(j);
}

static void on_refused(int code, struct json_object *body, const struct error *err, void *data)
{
	struct job *j = data;
	j->call = NULL;
	finish(j, code < 0 ? code : -EPROTO, error_text(err, code < 0 ? code : -EPROTO));
}

static struct json_object *session_request(const struct job_plan *plan)
{
	struct json_object *o = json_object_new_object(), *user = json_object_new_object();
	AUTO_STRV struct strv argv = { 0 };
	strv_add(&argv, "/bin/sh");
	strv_add(&argv, "-c");
	strv_add(&argv, plan->script);
	json_add_strv(o, "argv", &argv);
	json_add_string(user, "name", "root");
	json_add(o, "user", user);
	if (plan->env)
		json_add_strv(o, "env", plan->env);
	json_add_bool(o, "stdin", 1);
	json_add_string(o, "workdir", "/");
	return o;
}

static void add_input(struct buffer *out, const char *input)
{
	for (size_t at = 0, n = input ? strlen(input) : 0; at < n;) {
		size_t size = MIN(n - at, (size_t)SESSION_FRAME_MAX);
		session_frame_append(out, SESSION_STDIN, input + at, size);
		at += size;
	}
	session_frame_append(out, SESSION_STDIN_END, NULL, 0);
}

int job_start(struct keeper *k, const struct job_plan *plan, struct job **ret, struct error **err)
{
	static const struct http_call_events events = {
		.done = on_refused,
		.upgrade = "holm-session",
		.upgraded = on_upgraded,
	};
	int fd = -1, r;
	if (plan->input && strlen(plan->input) > JOB_INPUT_MAX)
		return error_set(err, E2BIG, "the input of a job is bigger than %d KiB", JOB_INPUT_MAX >> 10);
	r = k->transport ? transport_open(k->transport, &fd, err) : error_set(err, ECONNRESET, "there is no agent");
	if (r < 0)
		return r;
	struct job *j = xnew(struct job);
	*j = (struct job){ .keeper = k, .fd = -1, .name = xstrdup(plan->name), .done = plan->done };
	buffer_init(&j->in, BUFFER_MAX);
	buffer_init(&j->out, BUFFER_MAX);
	buffer_init(&j->line, LINE_BYTES_MAX + 1);
	add_input(&j->out, plan->input);
	r = loop_add_timer(k->loop, clock_deadline(plan->timeout_ms), on_time, j, &j->timer);
	if (r < 0)
		fd_close(fd);
	else
		r = http_call(k->loop, fd, "POST", "/v1/sessions", session_request(plan), UINT64_MAX, &events, j,
		    &j->call);
	if (r < 0) {
		job_cancel(j);
		return error_set_errno(err, r, "cannot run %s inside", plan->name);
	}
	*ret = j;
	return 0;
}
