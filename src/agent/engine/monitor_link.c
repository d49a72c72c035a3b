/* SPDX-License-Identifier: Apache-2.0
 * The engine's side of monitor.h. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "agent/engine/engine.h"
#include "agent/engine/packet.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "docker/name.h"

enum { ROUND_MS = 10 * 1000 };

static int parse(struct packet *p, struct monitor_report *ret)
{
	uint64_t held = 0;
	int64_t state = -1, pid = 0, status = 0;
	struct json_object *o = p->object;
	*ret = (struct monitor_report){ 0 };
	json_get_u64(o, "held", &held, NULL);
	json_get_i64(o, "state", &state, NULL);
	json_get_i64(o, "pid", &pid, NULL);
	json_get_i64(o, "status", &status, NULL);
	json_get_i64(o, "finished", &ret->finished, NULL);
	json_get_string(o, "note", &ret->note, NULL);
	if (json_get_string(o, "container", &ret->id, NULL) < 0 || !docker_is_id(ret->id) || state < 0 ||
	    state >= MONITORED_STATES)
		return -EPROTO;
	ret->state = (enum monitored_state)state;
	ret->pid = (pid_t)pid;
	ret->status = (int)status;
	return packet_unpack(p, held, ret->fds, HELD_COUNT);
}

static int handle(struct engine *e, struct packet *p)
{
	struct monitor_report report;
	int r = parse(p, &report);
	if (r < 0)
		return r;
	container_report(e, &report);
	for (size_t i = 0; i < HELD_COUNT; i++)
		fd_close(report.fds[i]);
	return 0;
}

static void on_monitor(struct source *s, int fd, uint32_t events, void *data)
{
	struct engine *e = data;
	AUTO_PACKET struct packet p;
	int r = packet_receive(fd, &p);
	if (r == -EAGAIN)
		return;
	if (r == 1)
		r = handle(e, &p);
	if (r < 0)
		log_warning("a message of the monitor is left out: %s", strerror(-r));
	else if (r == 0 && !p.object)
		loop_exit(e->loop, 1);
}

/* 1: the round is over. */
static int read_round(struct engine *e)
{
	AUTO_PACKET struct packet p = { 0 };
	int r = fd_wait(ENGINE_MONITOR, POLLIN, clock_deadline(ROUND_MS));
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	r = packet_receive(ENGINE_MONITOR, &p);
	if (r <= 0)
		return r < 0 ? r : -ECONNRESET;
	return json_object_object_get_ex(p.object, "complete", NULL) ? 1 : handle(e, &p);
}

int monitor_connect(struct engine *e, struct error **err)
{
	int r = 0;
	fd_set_cloexec(ENGINE_MONITOR, 1);
	while (r == 0)
		r = read_round(e);
	if (r > 0)
		r = loop_add_io(e->loop, ENGINE_MONITOR, EPOLLIN, on_monitor, e, NULL);
	return r < 0 ? error_set_errno(err, r, "cannot get the containers that run") : 0;
}

int monitor_run(const char *id, const struct strv *argv, const int standard[3], const int fds[static HELD_COUNT],
    const char *note)
{
	struct fd_pass passed = { 0 };
	struct json_object *o = json_object_new_object();
	json_add_string(o, "run", id);
	json_add_strv(o, "argv", argv);
	json_add_string(o, "note", note);
	json_add_u64(o, "standard", packet_pack(standard, 3, &passed));
	json_add_u64(o, "held", packet_pack(fds, HELD_COUNT, &passed));
	return packet_send(ENGINE_MONITOR, o, &passed, 0);
}

void monitor_close(const char *id, enum held which)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "close", id);
	json_add_u64(o, "descriptor", which);
	packet_send(ENGINE_MONITOR, o, NULL, 0);
}

void monitor_forget(const char *id)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "forget", id);
	packet_send(ENGINE_MONITOR, o, NULL, 0);
}
