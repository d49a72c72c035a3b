/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/boot. The answer stays open while the machine runs; when the keeper's connection is lost
 * the machine continues. The answer to a second boot request (from a keeper that has reconnected,
 * or to a respawned agent) reports the present state. */
#include <errno.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "agent/life/life.h"
#include "agent/life/prepare.h"
#include "agent/life/phase.h"
#include "agent/life/report.h"
#include "agent/share/sockets.h"
#include "base/alloc.h"

struct boot {
	struct agent *agent;
	struct json_object *log; /* last lines of create-user.sh */
};

static void on_prepare_message(struct json_object *o, int fd, void *data)
{
	struct boot *b = data;
	const char *text = NULL;
	struct json_object *log = NULL;
	if (json_get_string(o, "stage", &text, NULL) >= 0)
		boot_line(b->agent, "stage", text);
	else if (json_get_string(o, "note", &text, NULL) >= 0)
		boot_line(b->agent, "note", text);
	else if (json_get_array(o, "log", &log, NULL) >= 0 && !b->log)
		b->log = json_object_get(log);
	if (fd >= 0)
		close(fd);
}

static void on_prepared(int code, const char *text, void *data)
{
	struct boot *b = data;
	struct agent *a = b->agent;
	if (code < 0) {
		agent_fail(a, -code, text, TAKE_PTR(b->log));
	} else if (a->boot->rescue && agent_enter(a, PHASE_RUNNING) == 0) {
		boot_mark_ready(a, 0);
		boot_mark_ready(a, 1);
	} else if (a->phase == PHASE_BOOTING) {
		init_start(a);
	}
	json_object_put(b->log);
	free(b);
}

static void on_answer_closed(void *agent)
{
	struct agent *a = agent;
	a->boot_answer = NULL;
}

/* Reports the present state, to a boot request that is not the first. */
static void tell_state(struct agent *a)
{
	if (a->ready_session)
		boot_line(a, "ready", "session");
	if (a->ready_init)
		boot_line(a, "ready", "init");
}

void boot_prepare(struct agent *a)
{
	static const struct worker_events events = { .message = on_prepare_message, .done = on_prepared };
	AUTO_ERROR struct error *err = NULL;
	a->ready_session = a->ready_init = 0;
	int r = share_sockets_open(a, &err);
	if (r < 0) {
		agent_fail(a, -r, error_text(err, r), NULL);
		return;
	}
	struct boot *b = xnew(struct boot);
	b->agent = a;
	r = worker_start(a->loop, prepare_run, a, NULL, 0, &events, b, NULL);
	if (r < 0) {
		free(b);
		agent_fail(a, -r, "cannot start a process", NULL);
	}
}

/* Whether the agent can boot now, and this machine. 0 or -errno. */
static int check_boot(const struct agent *a, const struct boot_request *request, struct error **err)
{
	if (a->phase == PHASE_STOPPING)
		return error_set(err, EBUSY, "the machine is stopping");
	if (a->boot_answer)
		return error_set(err, EBUSY, "the machine is being booted already");
	if (a->phase != PHASE_IDLE && !streq(a->boot->id, request->id))
		return error_set(err, EINVAL, "this is machine %s, not %s", a->boot->name, request->name);
	return 0;
}

void boot_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(boot_request_freep) struct boot_request *request = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? boot_request_parse(body, &request, &err) : -EINVAL;
	if (r < 0 || (r = check_boot(a, request, &err)) < 0) {
		http_respond_error(x, r, err);
		return;
	}
	a->boot_answer = x;
	http_exchange_on_closed(x, on_answer_closed, a);
	http_stream_begin(x, 200);
	if (a->phase != PHASE_IDLE) {
		tell_state(a);
		engine_machine_adopt(a);
		return;
	}
	boot_request_free(a->boot);
	a->boot = TAKE_PTR(request);
	agent_enter(a, PHASE_BOOTING);
}
