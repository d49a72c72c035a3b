/* SPDX-License-Identifier: Apache-2.0
 * The small resources: version, memory, clock, resolver, time zone. Those that write into the
 * machine do it in a worker, on its disk: what lies there is not to be trusted by the agent
 * itself. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/service.h"
#include "agent/core/machine_run.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "agent/provision/etcfiles.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"

enum { PROTOCOL = 1 };

/* A change that a worker makes for an exchange. */
struct change {
	struct agent *agent;
	struct json_object *source;     /* the resolver's settings as they came, or NULL */
	struct http_exchange *exchange; /* NULL when the asker is gone */
	struct resolv resolv;
	char *timezone;
};

static void change_free(struct change *c)
{
	resolv_done(&c->resolv);
	json_object_put(c->source);
	free(c->timezone);
	free(c);
}

static void on_change_closed(void *data)
{
	((struct change *)data)->exchange = NULL;
}

/* The next init's /run is filled from the boot request, so that has to know. */
static void remember(struct change *c)
{
	struct boot_request *b = c->agent->boot;
	if (!c->source || !b)
		return;
	struct resolv old = b->resolv;
	b->resolv = c->resolv;
	c->resolv = old;
	json_object_object_add(b->source, "resolv", TAKE_PTR(c->source));
	state_save(c->agent);
	names_start(c->agent);
}

static void on_changed(int code, const char *text, void *data)
{
	struct change *c = data;
	AUTO_ERROR struct error *err = NULL;
	if (code == 0)
		remember(c);
	if (c->exchange && code == 0) {
		http_respond_json(c->exchange, 200, NULL);
	} else if (c->exchange) {
		error_set(&err, -code, "%s", text);
		http_respond_error(c->exchange, code, err);
	}
	change_free(c);
}

static void start_change(struct agent *a, struct http_exchange *x, struct change *c, worker_fn fn)
{
	static const struct worker_events events = { .done = on_changed };
	c->agent = a;
	c->exchange = x;
	http_exchange_on_closed(x, on_change_closed, c);
	int r = a->phase == PHASE_RUNNING ? worker_start(a->loop, fn, c, NULL, 0, &events, c, NULL) : -EAGAIN;
	if (r < 0)
		on_changed(r, r == -EAGAIN ? "the machine is not running" : "cannot start a process", c);
}

void version_handle(struct http_exchange *x, void *agent)
{
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "protocol", PROTOCOL);
	json_add_string(o, "version", HOLM_VERSION);
	http_respond_json(x, 200, o);
}

/* Reports the agent's own memory: the second figure of /proc/self/statm (proc(5)), in pages. */
void memory_handle(struct http_exchange *x, void *agent)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv fields = { 0 };
	AUTO_ERROR struct error *err = NULL;
	uint64_t pages = 0;
	int r = path_read_file("/proc/self/statm", 256, &text, NULL);
	if (r >= 0)
		strv_split(&fields, text, " \n");
	if (r >= 0)
		r = fields.count > 1 ? parse_u64(fields.items[1], &pages) : -EBADMSG;
	if (r < 0) {
		error_set_errno(&err, r, "cannot read /proc/self/statm");
		http_respond_error(x, r, err);
		return;
	}
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "rss", pages * (uint64_t)sysconf(_SC_PAGESIZE));
	http_respond_json(x, 200, o);
}

void clock_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	uint64_t ns = 0;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? json_get_u64(body, "realtime_ns", &ns, &err) : -EINVAL;
	if (r >= 0)
		r = ((struct agent *)agent)->platform->set_clock(ns, &err);
	if (r < 0)
		http_respond_error(x, r == -ENOENT ? -EINVAL : r, err);
	else
		http_respond_json(x, 200, NULL);
}

static int work_resolv(int channel, void *data, struct error **err)
{
	struct change *c = data;
	AUTOFREE char *text = etc_resolved_text(&c->resolv);
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int drop_in =
	    machine_run_open("systemd/resolved.conf.d/holm.conf", O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY);
	if (drop_in >= 0)
		(void)fd_write_full(drop_in, text, strlen(text));
	return root < 0 ? -errno : etc_write_resolv(root, &c->resolv, 0, err);
}

static int work_timezone(int channel, void *data, struct error **err)
{
	struct change *c = data;
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -errno : etc_write_timezone(root, c->timezone, err);
}

void resolv_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	struct change *c = xnew(struct change);
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? resolv_parse(body, &c->resolv, &err) : -EINVAL;
	if (r >= 0) {
		c->source = json_object_get(body);
		start_change(agent, x, c, work_resolv);
		return;
	}
	http_respond_error(x, r, err);
	change_free(c);
}

void timezone_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? json_get_string(body, "name", &name, &err) : -EINVAL;
	if (r >= 0 && !timezone_is_valid(name))
		r = error_set(&err, EINVAL, "\"%.64s\" is not a time zone", name);
	if (r < 0) {
		http_respond_error(x, r == -ENOENT ? -EINVAL : r, err);
		return;
	}
	struct change *c = xnew(struct change);
	c->timezone = xstrdup(name);
	start_change(agent, x, c, work_timezone);
}
