/* SPDX-License-Identifier: Apache-2.0
 * Getting things from a registry.
 *
 * Each fetch goes round: start an exchange, judge how it ended (fetch_judge.c), and then it is
 * finished, starts again now or later, or fails. One libcurl multi handle runs all of them; it
 * keeps connections, so a new exchange rarely opens one. The loop waits for sockets, the earliest
 * retry and Ctrl-C in one poll. */
#include "image/registry/fetch.h"

#include <errno.h>
#include <poll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "image/common/interrupt.h"
#include "image/registry/fetch_judge.h"

enum { POLL_MAX_MS = 1000 };

struct run {
	struct fetch_context *context;
	struct fetch **list;
	size_t count;
	CURLM *multi;
	int active, parallel;
};

char *fetch_url(const struct fetch_context *c, const struct fetch *f)
{
	if (f->redirect || f->url)
		return xstrdup(f->redirect ? f->redirect : f->url);
	return xasprintf("%s/%s", c->endpoints[f->endpoint]->base, f->path);
}

int fetch_is_direct(const struct fetch_context *c, const struct fetch *f)
{
	return !f->redirect && (!f->url || request_same_origin(f->url, c->endpoints[f->endpoint]->base));
}

static int on_body(struct request *q, const void *data, size_t size, struct error **err)
{
	struct fetch *f = q->data;
	if (f->sends)
		return 0;
	if (!f->fresh) {
		/* A server that does not know ranges, or answers with another one, sends all from
		 * the beginning. */
		uint64_t offset = f->offset(f);
		f->fresh = 1;
		if (q->status == 206 && q->range_start != offset)
			return error_set(err, EPROTO, "%s: the registry sent another part than was asked for", f->what);
		if (q->status == 200 && offset > 0 && f->restart(f, err) < 0)
			return -EIO;
	}
	return f->body(f, data, size, err);
}

static int start_exchange(struct run *run, struct fetch *f, struct error **err)
{
	struct endpoint *e = run->context->endpoints[f->endpoint];
	AUTOFREE char *url = fetch_url(run->context, f);
	int trusted = request_same_origin(url, e->base);
	struct request_options o = {
		.url = url,
		.authorization = trusted ? e->authorization : NULL,
		.accept = f->accept,
		.method = f->method,
		.content_type = f->content_type,
		.content_range = f->content_range,
		.body = f->body_to_send,
		.offset = f->sends ? 0 : f->offset(f),
		.timeout_s = f->timeout_s,
		.silence_s = f->silence_s ? f->silence_s : run->context->silence_s,
		.min_rate = run->context->min_rate,
		.insecure = e->insecure,
		.ca_file = trusted ? e->ca_file : NULL,
		.far_only = !fetch_is_direct(run->context, f) && !e->near,
	};
	int r = request_init(&f->request, &o, err);
	if (r < 0)
		return r;
	f->request.on_body = on_body;
	f->request.data = f;
	f->fresh = 0;
	f->generation = e->generation;
	f->progress_mark = f->offset(f);
	curl_easy_setopt(f->request.easy, CURLOPT_PRIVATE, f);
	if (curl_multi_add_handle(run->multi, f->request.easy) != CURLM_OK)
		return error_set(err, ENOMEM, "libcurl cannot start a request");
	f->active = 1;
	run->active++;
	progress_state(run->context->progress, f->bar, NULL);
	return 0;
}

static void end_exchange(struct run *run, struct fetch *f)
{
	if (!f->active)
		return;
	curl_multi_remove_handle(run->multi, f->request.easy);
	request_done(&f->request);
	f->active = 0;
	run->active--;
}

static int start_one(struct run *run, struct fetch *f, struct error **err)
{
	if (!f->started) {
		f->started = 1;
		f->endpoint = run->context->preferred;
		int r = f->begin ? f->begin(f, err) : 0;
		if (r != 0) {
			f->finished = r > 0;
			return r < 0 ? r : 0;
		}
	}
	return start_exchange(run, f, err);
}

/* Starts what may start; *ret_next is when the earliest of the waiting ones may. */
static int start_ready(struct run *run, uint64_t *ret_next, struct error **err)
{
	uint64_t now = clock_now_ms();
	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < run->count; i++) {
		struct fetch *f = run->list[i];
		if (f->finished || f->active)
			continue;
		if (f->not_before > now) {
			*ret_next = MIN(*ret_next, f->not_before);
			continue;
		}
		if (run->active >= run->parallel)
			continue;
		int r = start_one(run, f, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int finish_one(struct run *run, struct fetch *f, CURLcode code, struct error **err)
{
	int r = fetch_judge(run->context, f, code, err);
	end_exchange(run, f);
	if (r == FETCH_DONE) {
		f->finished = 1;
		run->context->preferred = f->endpoint;
	}
	return r < 0 ? r : 0;
}

static int handle_messages(struct run *run, struct error **err)
{
	int left, r = 0;
	CURLMsg *m;
	while (r == 0 && (m = curl_multi_info_read(run->multi, &left))) {
		struct fetch *f = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		r = finish_one(run, f, code, err);
	}
	return r;
}

static int all_finished(const struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		if (!run->list[i]->finished)
			return 0;
	return 1;
}

/* Waits for sockets, a signal, room in the pipes of streams, or `next`. */
static void wait_for_some(struct run *run, uint64_t next)
{
	struct pollfd pipes[STREAMS_MAX];
	struct curl_waitfd extra[STREAMS_MAX + 1];
	unsigned count = (unsigned)streams_poll(run->context->streams, pipes);
	for (unsigned i = 0; i < count; i++)
		extra[i] = (struct curl_waitfd){ .fd = pipes[i].fd, .events = CURL_WAIT_POLLOUT };
	if (interrupt_fd() >= 0)
		extra[count++] = (struct curl_waitfd){ .fd = interrupt_fd(), .events = CURL_WAIT_POLLIN };
	int left = clock_left_ms(next);
	curl_multi_poll(run->multi, extra, count, left < 0 ? POLL_MAX_MS : MIN(left, POLL_MAX_MS), NULL);
}

static int run_loop(struct run *run, struct error **err)
{
	for (;;) {
		uint64_t next;
		int running, r = start_ready(run, &next, err);
		if (r < 0 || all_finished(run))
			return r;
		if (curl_multi_perform(run->multi, &running) != CURLM_OK)
			return error_set(err, EIO, "libcurl failed");
		r = handle_messages(run, err);
		if (r == 0)
			r = interrupt_check(err);
		if (r < 0)
			return r;
		if (running < run->active || (run->active == 0 && next == UINT64_MAX))
			continue; /* something can start right away */
		wait_for_some(run, next);
		streams_feed(run->context->streams);
		r = interrupt_check(err);
		if (r < 0)
			return r;
	}
}

int fetch_run(struct fetch_context *c, struct fetch **list, size_t count, int parallel, struct error **err)
{
	struct run run = {
		.context = c,
		.list = list,
		.count = count,
		.parallel = parallel,
		.multi = curl_multi_init(),
	};
	if (!run.multi)
		return error_set(err, ENOMEM, "libcurl cannot start");
	int r = run_loop(&run, err);
	for (size_t i = 0; i < count; i++) {
		end_exchange(&run, list[i]);
		free(TAKE_PTR(list[i]->redirect));
	}
	curl_multi_cleanup(run.multi);
	return r;
}
