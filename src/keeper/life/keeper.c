/* SPDX-License-Identifier: Apache-2.0
 * The life of a running machine, as the keeper sees it: one state machine.
 *
 *     NEW -> ISOLATION -> VERSION -> BOOT -> READY -> RUNNING -> STOPPING -> GONE
 *                            ^         ^        |         |      (INSTALL: between BOOT and READY)
 *                            |         +--------+---------+   the init restarts
 *                            +------ AWAY <-----+---------+   the agent was lost and comes back
 *
 * Problem. A start has a dozen steps in other processes. Each can fail, stall or end at any time,
 * and clients ask, wait and stop meanwhile.
 *
 * Idea. Each stage is a row of one table: its state for a client, its text for people, and the
 * function that enters it. Three things drive the machine: the isolation's events, the agent's
 * answers (agent/calls.c) and the deadline. No code waits.
 *
 * Steps:
 * 1. ISOLATION starts the isolation's processes with the machine's shares.
 * 2. VERSION begins when the isolation has a transport to the agent. The keeper asks for the
 *    protocol.
 * 3. BOOT sends the boot request. Its answer stays open while the machine runs.
 * 4. INSTALL, if the setting asks for it: a script installs an init (install.c). SCRIPT, at the
 *    first boot, if the machine was created with one (script.c).
 * 5. READY: sessions may start; ports accept connections, the host's clock and resolver are
 *    followed.
 * 6. RUNNING: the init has finished booting, or never reports it.
 * 7. STOPPING asks the agent to stop the init, and kills the isolation at the deadline.
 * 8. GONE answers those who wait for the end, and ends the keeper.
 *
 * Failures. There is one way out of a running isolation: kill it or let it end, and its `ended`
 * event brings GONE. If the agent is lost, a VM's agent is started again by its reaper, and AWAY
 * waits AGENT_RETURN_MS for it. A failure before READY is kept: it answers the waiting clients
 * and, for LINGER_MS, those who come late, because the client that started the keeper may not have
 * asked yet. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "keeper/agent/authorities.h"
#include "keeper/agent/clock_watch.h"
#include "keeper/agent/console.h"
#include "keeper/agent/host_facts.h"
#include "keeper/agent/resolv.h"
#include "keeper/agent/lent.h"
#include "keeper/agent/text.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/automatic.h"
#include "keeper/ports/publish.h"

enum {
	AGENT_RETURN_MS = 30 * 1000,
	STOP_GRACE_MS = 20 * 1000, /* behind the agent's own limit: sync, unmount, power off, all under emulation */
	LINGER_TOLD_MS = 300,
	LINGER_MS = 3000,
};

struct stage {
	const char *state;
	const char *text; /* NULL: what was said last stays */
	void (*enter)(struct keeper *k);
};

static void enter_isolation(struct keeper *k);
static void enter_ready(struct keeper *k);
static void enter_running(struct keeper *k);
static void enter_away(struct keeper *k);
static void enter_stopping(struct keeper *k);
static void enter_gone(struct keeper *k);

static const struct stage stages[] = {
	[STAGE_NEW] = { "starting", "starting", NULL },
	[STAGE_ISOLATION] = { "starting", "starting the machine", enter_isolation },
	[STAGE_VERSION] = { "starting", "talking to the agent", agent_ask_version },
	[STAGE_BOOT] = { "starting", "booting", agent_boot },
	[STAGE_INSTALL] = { "starting", "installing an init", install_enter },
	[STAGE_SCRIPT] = { "starting", "running its script", script_enter },
	[STAGE_READY] = { "running", "ready for commands", enter_ready },
	[STAGE_RUNNING] = { "running", "running", enter_running },
	[STAGE_AWAY] = { "running", "waiting for the agent", enter_away },
	[STAGE_STOPPING] = { "stopping", "stopping", enter_stopping },
	[STAGE_GONE] = { "stopping", "stopped", enter_gone },
};

/* ---- telling ---- */

void keeper_tell_stage(struct keeper *k, const char *text)
{
	char *clean = text_clean(text);
	free(k->stage_text);
	k->stage_text = clean;
	log_info("%s", clean);
	waiters_tell_stage(k);
}

void keeper_tell_warning(struct keeper *k, const char *text)
{
	AUTOFREE char *clean = text_clean(text);
	if (k->warnings.count >= KEEPER_LOG_LINES_MAX || strv_contains(&k->warnings, clean))
		return;
	strv_add(&k->warnings, clean);
	log_warning("%s", clean);
	waiters_tell_warning(k, clean);
}

void keeper_enter(struct keeper *k, enum keeper_stage stage)
{
	k->stage = stage;
	keeper_tell_stage(k, stages[stage].text);
	if (stages[stage].enter)
		stages[stage].enter(k);
	waiters_settle(k);
}

static void set_deadline(struct keeper *k, uint64_t in_ms)
{
	source_set_timer(k->deadline, in_ms ? clock_deadline(in_ms) : UINT64_MAX);
}

static void set_failure(struct keeper *k, int code, const struct strv *log, const char *text)
{
	if (k->failure)
		return;
	k->failure = xnew(struct keeper_failure);
	k->failure->code = code < 0 ? code : -code;
	k->failure->text = text_clean(text);
	if (log)
		strv_add_all(&k->failure->log, log);
}

static void failure_free(struct keeper_failure *f)
{
	if (!f)
		return;
	free(f->text);
	strv_done(&f->log);
	free(f);
}

/* ---- ways to the end ---- */

static void kill_isolation(struct keeper *k)
{
	if (k->run && !k->isolation_ended)
		k->ops->kill(k->run);
	else
		keeper_enter(k, STAGE_GONE);
}

void keeper_fail(struct keeper *k, int code, const struct strv *log, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	if (k->stage >= STAGE_STOPPING)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *boot_log = path_join(k->options.log_dir, "boot.log");
	if (log)
		strv_add_all(&lines, log);
	else
		text_tail_of_file(boot_log, 12, &lines);
	log_error("%s", text);
	set_failure(k, code, &lines, text);
	agent_forget_calls(k);
	k->stage = STAGE_STOPPING;
	waiters_settle(k);
	set_deadline(k, 0);
	kill_isolation(k);
}

static void on_deadline(struct source *s, void *data)
{
	struct keeper *k = data;
	if (k->stage == STAGE_STOPPING)
		kill_isolation(k);
	else if (k->stage == STAGE_INSTALL)
		install_give_up(k, "the machine did not restart");
	else if (k->stage == STAGE_AWAY)
		keeper_fail(k, ETIMEDOUT, NULL,
		    "the agent inside was lost and did not come back; the machine was ended");
	else
		keeper_fail(k, ETIMEDOUT, NULL,
		    "it did not get ready within %llu s (it was: %s); see holm machine logs --boot %s",
		    (unsigned long long)(k->options.boot_timeout_ms / 1000), k->stage_text, k->machine->name);
}

/* ---- entering stages ---- */

static void on_stage(const char *text, void *data)
{
	struct keeper *k = data;
	if (k->stage < STAGE_READY)
		keeper_tell_stage(k, text);
}

static void on_warning(const char *text, void *data)
{
	keeper_tell_warning(data, text);
}

static void on_paused(const char *why, void *data)
{
	keeper_set_paused(data, why);
}

/* Of the time that the init has to stop. */
static uint64_t stop_time_left(const struct keeper *k)
{
	uint64_t end = clock_now_ms() + STOP_GRACE_MS;
	return k->stop_deadline_ms > end ? k->stop_deadline_ms - end : 0;
}

static void on_connected(struct transport *to_agent, void *data)
{
	struct keeper *k = data;
	k->transport = to_agent;
	if (k->stage == STAGE_ISOLATION || k->stage == STAGE_AWAY)
		keeper_enter(k, STAGE_VERSION);
	else if (k->stage == STAGE_STOPPING)
		agent_stop(k, stop_time_left(k));
}

static void on_accepted(int fd, void *data)
{
	http_server_serve(((struct keeper *)data)->agent_server, fd);
}

static void on_lost(const char *why, void *data)
{
	struct keeper *k = data;
	log_warning("the connection to the agent is lost: %s", why);
	agent_forget_calls(k);
	k->transport = NULL;
	k->session_ready = k->init_ready = 0;
	if (k->stage == STAGE_STOPPING || k->stage == STAGE_GONE)
		return;
	/* Before the boot request was answered the boot's own deadline goes on. */
	if (k->stage < STAGE_READY)
		k->stage = STAGE_ISOLATION;
	else
		keeper_enter(k, STAGE_AWAY);
}

static void on_sockets(void *data)
{
	publisher_sockets(((struct keeper *)data)->publisher);
}

static void on_ended(int code, const char *why, void *data)
{
	struct keeper *k = data;
	k->isolation_ended = 1;
	k->transport = NULL;
	agent_forget_calls(k);
	if (k->stage < STAGE_READY)
		keeper_fail(k, code ? code : ECONNRESET, NULL, "%s",
		    why ? why : "it powered off while it was starting");
	else if (code < 0 && k->stage != STAGE_STOPPING)
		log_error("the machine ended: %s", why ? why : strerror(-code));
	if (k->stage != STAGE_GONE)
		keeper_enter(k, STAGE_GONE);
}

static void enter_isolation(struct keeper *k)
{
	static const struct isolation_events events = {
		.stage = on_stage,
		.warning = on_warning,
		.paused = on_paused,
		.connected = on_connected,
		.accepted = on_accepted,
		.lost = on_lost,
		.sockets = on_sockets,
		.ended = on_ended,
	};
	AUTO_ERROR struct error *err = NULL;
	size_t count = 0;
	set_deadline(k, k->options.boot_timeout_ms);
	int r = shares_collect(k, &err);
	struct isolation_share *shares = r < 0 ? NULL : shares_describe(k, &count);
	if (r == 0)
		r = k->ops->start(k->loop, k->machine, k->options.runtime_dir, shares, count, &events, k, &k->run,
		    &err);
	free(shares);
	shares_given(k);
	if (r < 0)
		keeper_fail(k, r, &(struct strv){ 0 }, "%s", error_text(err, r));
}

static void enter_ready(struct keeper *k)
{
	k->session_ready = k->was_ready = 1;
	set_deadline(k, 0);
	publisher_open(k->publisher);
	auto_ports_start(k);
	if (!k->clock)
		clock_watch_new(k, &k->clock);
	if (!k->resolv)
		resolv_watch_new(k, &k->resolv);
	resolv_watch_push(k->resolv);
}

static void enter_running(struct keeper *k)
{
	k->session_ready = k->init_ready = 1;
	authorities_follow(k);
}

static void enter_away(struct keeper *k)
{
	set_deadline(k, AGENT_RETURN_MS);
}

static void enter_stopping(struct keeper *k)
{
	AUTOFREE char *text = xasprintf("machine \"%s\" is being stopped", k->machine->name);
	set_failure(k, ECANCELED, NULL, text);
}

static void tell_ended(struct source *s, void *data)
{
	struct keeper *k = data;
	int failed = k->failure && k->failure->code != -ECANCELED;
	source_free(TAKE_PTR(k->linger));
	k->options.ended(failed ? k->failure->code : 0, k->options.data);
}

static void enter_gone(struct keeper *k)
{
	int failed = k->failure && k->failure->code != -ECANCELED;
	set_deadline(k, 0);
	if (!k->failure) {
		AUTOFREE char *text = xasprintf("machine \"%s\" has stopped", k->machine->name);
		set_failure(k, ECANCELED, NULL, text);
	}
	while (k->stop_waiters) {
		struct stop_waiter *w = k->stop_waiters;
		k->stop_waiters = w->next;
		w->gone(w->data);
		free(w);
	}
	uint64_t wait = !failed || k->was_ready ? 0 : k->told_failure ? LINGER_TOLD_MS : LINGER_MS;
	if (!k->linger)
		loop_add_timer(k->loop, clock_deadline(wait), tell_ended, k, &k->linger);
}

/* ---- from outside ---- */

void keeper_start(struct keeper *k)
{
	AUTOFREE char *proxy = k->options.rescue ? NULL : host_proxy_warning(k->machine);
	if (k->options.warning)
		keeper_tell_warning(k, k->options.warning);
	if (proxy)
		keeper_tell_warning(k, proxy);
	keeper_enter(k, STAGE_ISOLATION);
}

void keeper_stop(struct keeper *k, uint64_t timeout_ms, void (*gone)(void *data), void *data)
{
	if (gone) {
		struct stop_waiter *w = xnew(struct stop_waiter);
		*w = (struct stop_waiter){ .next = k->stop_waiters, .gone = gone, .data = data };
		k->stop_waiters = w;
	}
	if (k->stage == STAGE_GONE)
		return;
	timeout_ms = MIN(timeout_ms, (uint64_t)24 * 3600 * 1000);
	/* A paused inside hears nothing, unless it goes on in time. */
	uint64_t deadline = clock_deadline(timeout_ms + (k->paused ? 0 : STOP_GRACE_MS));
	int first = k->stage != STAGE_STOPPING, was_ready = k->session_ready;
	/* An agent or an init that comes back is asked, an agent that is not here yet by
	 * on_connected(). */
	int comes_back = k->was_ready && !was_ready;
	int sooner = first || deadline < k->stop_deadline_ms;
	if (sooner) {
		k->stop_deadline_ms = deadline;
		source_set_timer(k->deadline, deadline);
	}
	if (first) {
		if (!was_ready)
			agent_forget_calls(k);
		keeper_enter(k, STAGE_STOPPING);
	}
	if (sooner && k->transport && (was_ready || comes_back))
		agent_stop(k, timeout_ms);
	else if (first && !comes_back)
		kill_isolation(k); /* nothing runs inside that could be asked */
}

void keeper_stop_cancel(struct keeper *k, void *data)
{
	for (struct stop_waiter **at = &k->stop_waiters; *at;) {
		struct stop_waiter *w = *at;
		if (w->data != data) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

int keeper_open_stream(struct keeper *k, int *ret_fd, struct error **err)
{
	if (k->paused)
		return error_set(err, ENOSPC, "machine \"%s\" is paused: %s", k->machine->name, k->paused);
	if (!k->transport || !k->session_ready)
		return error_set(err, EAGAIN, "machine \"%s\" cannot be reached now (%s)", k->machine->name,
		    k->stage_text);
	return transport_open(k->transport, ret_fd, err);
}

int keeper_open_socket(struct keeper *k, enum isolation_socket kind)
{
	if (!k->ops->open_socket || !k->run || k->isolation_ended || !k->session_ready)
		return -EOPNOTSUPP;
	return k->ops->open_socket(k->run, kind);
}

int keeper_can_give(const struct keeper *k, size_t size)
{
	return k->transport && k->session_ready && !k->paused && transport_can_give(k->transport, size);
}

int keeper_give(struct keeper *k, int fd, const struct buffer *raw, struct error **err)
{
	if (!k->transport || !k->session_ready)
		return error_set(err, EAGAIN, "machine \"%s\" cannot be reached now (%s)", k->machine->name,
		    k->stage_text);
	return transport_give(k->transport, fd, raw->data, raw->size, err);
}

int keeper_set_limits(struct keeper *k, uint64_t cpus, uint64_t memory, struct error **err)
{
	enum { CPUS_MAX = 4096 };
	if (cpus > CPUS_MAX)
		return error_set(err, EINVAL, "more than %d cpus", CPUS_MAX);
	if (!k->ops->set_limits || !k->run || k->isolation_ended)
		return error_set(err, EOPNOTSUPP, "the limits take effect when the machine starts again");
	int r = k->ops->set_limits(k->run, cpus, memory, err);
	if (r < 0)
		return r;
	k->live_cpus = cpus;
	k->live_memory = memory ? memory : k->live_memory;
	return 0;
}

struct json_object *keeper_state(struct keeper *k)
{
	struct json_object *o = json_object_new_object(), *parts = json_object_new_object();
	json_add_string(o, "state", stages[k->stage].state);
	json_add_u64(o, "pid", (uint64_t)getpid());
	json_add_string(o, "stage", k->stage_text);
	json_add_string_or_null(o, "paused", k->paused);
	json_add_string(o, "isolation", k->ops->name);
	json_add_string(o, "started", k->started);
	json_add_string(o, "init", k->init);
	json_add_string(o, "version", HOLM_VERSION);
	json_add_strv(o, "warnings", &k->warnings);
	if (k->run && !k->isolation_ended)
		k->ops->statistics(k->run, parts);
	if (k->run && !k->isolation_ended && k->ops->measure)
		k->ops->measure(k->run);
	json_add(o, "parts", parts);
	json_add(o, "ports", publisher_describe(k->publisher));
	json_add(o, "auto_ports", k->publisher ? auto_ports_describe(k->publisher->automatic) : NULL);
	return o;
}

int keeper_is_rescue(const struct keeper *k)
{
	return k->options.rescue;
}

struct loop *keeper_loop(struct keeper *k)
{
	return k->loop;
}

int keeper_new(struct loop *l, const struct keeper_options *o, struct keeper **ret, struct error **err)
{
	struct keeper *k = xnew(struct keeper);
	k->loop = l;
	k->options = *o;
	k->options.runtime_dir = xstrdup(o->runtime_dir);
	k->options.log_dir = xstrdup(o->log_dir);
	k->options.warning = xstrdup(o->warning);
	k->machine = o->machine;
	k->ops = o->isolation;
	k->auto_ports_on = k->machine->auto_ports;
	k->address = xstrdup(k->machine->address);
	k->stage_text = xstrdup("starting");
	k->started = clock_format_rfc3339(clock_realtime_ns());
	int r = loop_add_timer(l, UINT64_MAX, on_deadline, k, &k->deadline);
	if (r == 0)
		r = http_server_new(l, agent_routes, k, &k->agent_server);
	if (r == 0)
		r = console_new(k, &k->console);
	if (r == 0 && !o->rescue)
		r = publisher_new(k, err);
	if (r < 0) {
		keeper_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	agent_forget_calls(k);
	while (k->waiters)
		keeper_wait_cancel(k->waiters);
	while (k->stop_waiters)
		keeper_stop_cancel(k, k->stop_waiters->data);
	publisher_free(k->publisher);
	clock_watch_free(k->clock);
	resolv_watch_free(k->resolv);
	relays_free(k);
	http_server_free(k->agent_server);
	console_free(k->console);
	lent_sockets_free(TAKE_PTR(k->lent_sockets));
	if (k->run)
		k->ops->free(k->run);
	shares_free(k);
	failure_free(k->failure);
	source_free(k->deadline);
	source_free(k->linger);
	strv_done(&k->warnings);
	free(k->stage_text);
	free(k->paused);
	free(k->init);
	free(k->started);
	free(k->address);
	free(k->authorities);
	free((char *)k->options.runtime_dir);
	free((char *)k->options.log_dir);
	free((char *)k->options.warning);
	free(k);
}
