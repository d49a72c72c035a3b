/* SPDX-License-Identifier: Apache-2.0
 * See parallel.h. */
#include "image/builder/parallel.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "image/builder/cache_share.h"
#include "image/builder/message.h"
#include "image/builder/named.h"
#include "image/common/interrupt.h"

enum { WORKERS_MAX = 8, READ_SIZE = 1 << 16, STOP_MS = 60 * 1000, IN_MAX = MESSAGE_MAX + READ_SIZE };

enum stage_status { STAGE_WAITS, STAGE_RUNS, STAGE_ENDED };

struct worker {
	size_t stage;
	pid_t pid;
	int fd, has_result;
	struct buffer in;
};

struct build_parallel {
	enum stage_status *status; /* of each stage */
	struct worker *workers;
	size_t count;
};

void build_parallel_done(struct builder *b)
{
	if (!b->parallel)
		return;
	free(b->parallel->status);
	free(b->parallel->workers);
	free(b->parallel);
}

int build_stage_has_ended(const struct builder *b, size_t stage)
{
	return b->parallel->status[stage] == STAGE_ENDED;
}

/* ---- which stages ---- */

static int all_above_ended(const struct builder *b, size_t stage)
{
	for (size_t i = 0; i < stage; i++)
		if (b->stages->stages[i].is_needed && !build_stage_has_ended(b, i))
			return 0;
	return 1;
}

static int source_is_there(const struct builder *b, size_t stage, const struct stage_source *s)
{
	if (s->stage != STAGE_NONE)
		return build_stage_has_ended(b, (size_t)s->stage);
	/* A variable may name any stage above. */
	return !s->image || !strchr(s->image, '$') || all_above_ended(b, stage);
}

static int is_ready(const struct builder *b, size_t stage)
{
	const struct build_stage *at = &b->stages->stages[stage];
	if (!at->is_needed || b->parallel->status[stage] != STAGE_WAITS || !source_is_there(b, stage, &at->base))
		return 0;
	for (size_t i = 0; i < at->source_count; i++)
		if (!source_is_there(b, stage, &at->sources[i]))
			return 0;
	return 1;
}

/* Whether a stage is made of one of the marked stages. */
static int is_made_of(const struct build_stage *at, const char *marked)
{
	for (size_t i = 0; i < at->source_count; i++)
		if (at->sources[i].stage != STAGE_NONE && marked[at->sources[i].stage])
			return 1;
	return at->base.stage != STAGE_NONE && marked[at->base.stage];
}

/* Whether there is more to do beside this stage. A stage is made of those above it alone, so one
 * pass downwards marks all that wait for this one. */
static int has_company(const struct builder *b, size_t stage)
{
	AUTOFREE char *waits = xcalloc(b->stages->count, 1);
	if (b->parallel->count || b->options->style == REPORT_SCREEN)
		return 1;
	waits[stage] = 1;
	for (size_t i = 0; i < b->stages->count; i++) {
		waits[i] |= (char)is_made_of(&b->stages->stages[i], waits);
		if (b->stages->stages[i].is_needed && b->parallel->status[i] == STAGE_WAITS && !waits[i])
			return 1;
	}
	return 0;
}

/* ---- the process of a stage ---- */

static int has_run_left(const struct build_step *s)
{
	const struct builder *b = s->builder;
	for (size_t i = s->at; i < b->stages->stages[s->stage].end; i++)
		if (b->file->instructions[i].kind->id == DOCKERFILE_RUN)
			return 1;
	return 0;
}

static void become_worker(struct builder *b, pid_t parent, int fd)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || interrupt_setup() < 0)
		_exit(1);
	for (size_t i = 0; i < b->parallel->count; i++)
		fd_close(b->parallel->workers[i].fd);
	b->parallel->count = 0;
	b->worker_fd = fd;
	b->named_before = b->named;
	b->notes_before = b->context ? build_context_note_size(b->context) : 0;
	b->shared.before = build_cache_note_count(b);
	b->progress = progress_new(PROGRESS_NONE);
	report_send_to(b->report, fd);
}

static void add_worker(struct builder *b, size_t stage, pid_t pid, int fd)
{
	struct build_parallel *p = b->parallel;
	p->workers = xrealloc(p->workers, p->count + 1, sizeof *p->workers);
	p->workers[p->count] = (struct worker){ .stage = stage, .pid = pid, .fd = fd };
	buffer_init(&p->workers[p->count++].in, IN_MAX);
}

int build_step_work(struct build_step *s, struct error **err)
{
	struct builder *b = s->builder;
	int ends[2];
	if (b->worker_fd >= 0 || !has_company(b, s->stage))
		return 0;
	/* One process finds the machine, or boots it. */
	int r = has_run_left(s) ? build_engine_find(b->engine, err) : 0;
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(err, errno, "socketpair");
	pid_t parent = getpid(), pid = fork();
	fd_close(ends[pid == 0 ? 0 : 1]);
	if (pid == 0) {
		become_worker(b, parent, ends[1]);
		return 0;
	}
	if (pid < 0) {
		fd_close(ends[0]);
		return 0; /* the work is done here */
	}
	add_worker(b, s->stage, pid, ends[0]);
	return -EINPROGRESS;
}

/* Sends what came of the stage, and ends. */
static _Noreturn void end_worker(struct builder *b, size_t stage, int code, const struct error *err)
{
	AUTO_JSON struct json_object *state = code < 0 ? NULL : build_state_to_json(b->states[stage]);
	AUTOFREE char *text = state ? json_to_string(state, 0) : xasprintf("%d %s", -code, error_text(err, code)),
		      *args = strv_join(&b->used_args, "\n"), *records = build_cache_notes_text(b, b->shared.before);
	if (b->context)
		build_context_send_notes(b->context, b->notes_before, b->worker_fd);
	message_send(b->worker_fd, MESSAGE_ARGS, args, strlen(args));
	message_send(b->worker_fd, MESSAGE_RECORDS, records, strlen(records));
	message_send(b->worker_fd, state ? MESSAGE_STATE : MESSAGE_ERROR, text, strlen(text));
	build_named_done(b);
	_exit(0);
}

/* ---- messages ---- */

static int take_notes(struct builder *b, const struct message *m)
{
	struct build_context *context;
	if (m->size && build_find_context(b, &context, NULL) == 0)
		build_context_take_notes(context, m->data, m->size);
	return 0;
}

static int take_args(struct builder *b, const char *text)
{
	AUTO_STRV struct strv names = { 0 };
	strv_split(&names, text, "\n");
	for (size_t i = 0; i < names.count; i++)
		if (*names.items[i] && !strv_contains(&b->used_args, names.items[i]))
			strv_add(&b->used_args, names.items[i]);
	return 0;
}

static void end_stage(struct builder *b, size_t stage)
{
	b->parallel->status[stage] = STAGE_ENDED;
	report_lane_done(report_lane(b->report, stage));
}

static int take_state(struct builder *b, struct worker *w, const char *text, size_t size, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	struct build_state *state = NULL;
	int r = json_parse_bytes(text, size, "the state of a stage", &o, err);
	if (r == 0)
		r = build_state_from_json(o, &state, err);
	if (r < 0)
		return r;
	build_state_free(b->states[w->stage]);
	b->states[w->stage] = state;
	w->has_result = 1;
	b->made = 1;
	end_stage(b, w->stage);
	return 0;
}

static int take_error(struct worker *w, const char *text, struct error **err)
{
	int code = EIO, at = 0;
	w->has_result = 1;
	(void)sscanf(text, "%d %n", &code, &at);
	return error_set(err, code > 0 ? code : EIO, "%s", text + at);
}

static int take(struct builder *b, struct worker *w, const struct message *m, struct error **err)
{
	AUTOFREE char *text = m->kind >= MESSAGE_ARGS ? xstrndup(m->data, m->size) : NULL;
	switch (m->kind) {
	case MESSAGE_NOTES:
		return take_notes(b, m);
	case MESSAGE_ARGS:
		return take_args(b, text);
	case MESSAGE_RECORDS:
		build_cache_take_notes(b, text);
		return 0;
	case MESSAGE_STATE:
		return take_state(b, w, text, m->size, err);
	case MESSAGE_ERROR:
		return take_error(w, text, err);
	default:
		report_receive(report_lane(b->report, w->stage), m);
		return 0;
	}
}

/* Takes a worker off the list, whose process has ended or is ending. */
static void remove_worker(struct builder *b, struct worker *w)
{
	struct build_parallel *p = b->parallel;
	int status;
	fd_close(w->fd);
	buffer_done(&w->in);
	(void)spawn_wait(w->pid, &status);
	*w = p->workers[--p->count];
}

/* Reads what a worker has sent. 0 or -errno; at its end it is removed. */
static int read_worker(struct builder *b, struct worker *w, struct error **err)
{
	struct message m;
	ssize_t n = buffer_read(&w->in, w->fd, READ_SIZE);
	int r = n < 0 && n != -EINTR && n != -ECONNRESET ? (int)n : 0, more = 1;
	while (r == 0 && (more = message_peek(&w->in, &m)) == 1) {
		r = take(b, w, &m, err);
		message_drop(&w->in, &m);
	}
	if (more < 0)
		r = more;
	if (r == 0 && (n == 0 || n == -ECONNRESET) && !w->has_result)
		r = error_set(err, ECHILD, "the process of a stage has ended by itself");
	if (r < 0 || n == 0 || n == -ECONNRESET)
		remove_worker(b, w);
	return r;
}

static int wait_workers(struct builder *b, int timeout_ms, struct error **err)
{
	const struct build_parallel *p = b->parallel;
	struct pollfd fds[WORKERS_MAX + 1];
	size_t count = p->count;
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = p->workers[i].fd, .events = POLLIN };
	fds[count] = (struct pollfd){ .fd = interrupt_fd(), .events = POLLIN };
	int n = poll(fds, count + 1, timeout_ms), r = interrupt_check(err);
	/* From the end, as a worker that is removed gives its place to the last one. */
	for (size_t i = count; r == 0 && n > 0 && i-- > 0;)
		if (fds[i].revents)
			r = read_worker(b, &p->workers[i], err);
	return r;
}

/* ---- the end of all ---- */

static void drain(struct builder *b, uint64_t deadline)
{
	const struct build_parallel *p = b->parallel;
	char piece[4096];
	while (p->count && clock_now_ms() < deadline) {
		struct worker *w = &p->workers[p->count - 1];
		struct pollfd one = { .fd = w->fd, .events = POLLIN };
		if (poll(&one, 1, clock_left_ms(deadline)) > 0 && read(w->fd, piece, sizeof piece) <= 0)
			remove_worker(b, w);
	}
}

/* Ends the other stages, which remove their containers first. */
static void stop_workers(struct builder *b)
{
	const struct build_parallel *p = b->parallel;
	for (size_t i = 0; i < p->count; i++)
		kill(p->workers[i].pid, SIGTERM);
	drain(b, clock_deadline(STOP_MS));
	while (p->count) {
		kill(p->workers[0].pid, SIGKILL);
		remove_worker(b, &p->workers[0]);
	}
}

static int begin_stage(struct builder *b, size_t stage, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	b->parallel->status[stage] = STAGE_RUNS;
	int r = build_stage_run(b, stage, &why);
	if (b->worker_fd >= 0)
		end_worker(b, stage, r, why);
	if (r == -EINPROGRESS)
		return 0;
	if (r < 0)
		return error_set(err, -r, "%s", error_text(why, r));
	end_stage(b, stage);
	return 0;
}

static int begin_or_wait(struct builder *b, int *ret_ended, struct error **err)
{
	size_t stage = 0;
	while (stage < b->stages->count && !is_ready(b, stage))
		stage++;
	if (stage < b->stages->count && b->parallel->count < WORKERS_MAX)
		return begin_stage(b, stage, err);
	*ret_ended = b->parallel->count == 0;
	return *ret_ended ? 0 : wait_workers(b, report_tick(b->report), err);
}

int build_stages_run(struct builder *b, struct error **err)
{
	int ended = 0, r = 0;
	b->parallel = xnew(struct build_parallel);
	b->parallel->status = xcalloc(b->stages->count, sizeof *b->parallel->status);
	b->states = xcalloc(b->stages->count, sizeof(void *));
	for (size_t i = 0; i < b->stages->count; i++) {
		const struct build_stage *at = &b->stages->stages[i];
		b->total += at->is_needed ? at->end - at->from : 0;
		if (!at->is_needed)
			report_lane_done(report_lane(b->report, i));
	}
	while (r == 0 && !ended)
		r = begin_or_wait(b, &ended, err);
	if (r < 0)
		stop_workers(b);
	return r;
}
