/* SPDX-License-Identifier: Apache-2.0
 * The inside of namespaces on the host's kernel: what platform.h asks for, and the keeper's
 * messages. Parts: native.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/cgroup.h"
#include "agent/core/channel.h"
#include "agent/core/machine_run.h"
#include "agent/core/orphans.h"
#include "agent/core/worker.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
	END_MS = 20,
	MEASURE_AFTER_MS = 2000,
	TERMINATE_MS = 30 * 1000,
	USAGE_LAST_MS = 2000,       /* at the end somebody waits */
	USAGE_LIVE_MS = 120 * 1000, /* beside the running machine */
	USAGE_NICE = 19,
};

static void measure_live(struct agent *a);

static void tell(struct agent *a, struct json_object *o, int fd)
{
	AUTO_JSON struct json_object *owned = o;
	AUTOFREE char *text = json_to_string(owned, 0);
	int r = transport_fds_send(a->to_keeper, text, fd);
	if (r < 0)
		log_warning("cannot tell the keeper: %s", strerror(-r));
}

static void tell_flag(struct agent *a, const char *key, int value, int fd)
{
	struct json_object *o = json_object_new_object();
	json_add_bool(o, key, value);
	tell(a, o, fd);
}

static void tell_usage(struct agent *a, uint64_t bytes)
{
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "usage", bytes);
	tell(a, o, -1);
}

/* ---- messages of the keeper ---- */

/* A mount that the keeper made (idmapped) takes the share's place at once. */
static int put_share(struct agent *a, struct json_object *o, int fd, struct error **err)
{
	struct native_share s = { 0 };
	int r = native_share_parse(o, &s, err);
	if (r < 0)
		return r;
	AUTOFREE char *tag = xstrdup(s.tag);
	r = native_share_put(native_self(), &s, err);
	return r < 0 || fd < 0 ? r : native_place_share(native_self(), tag, fd, err);
}

static int handle(struct agent *a, struct json_object *o, int fd, struct error **err)
{
	struct json_object *share = NULL;
	const char *tag = NULL;
	uint64_t cpus = 0;
	int wanted = 0;
	if (json_get_object(o, "share", &share, NULL) >= 0)
		return put_share(a, share, fd, err);
	if (json_get_object(o, "unshare", &share, NULL) >= 0 && json_get_string(share, "tag", &tag, NULL) >= 0) {
		native_share_drop(native_self(), tag);
		return 0;
	}
	if (json_get_u64(o, "cpus", &cpus, NULL) >= 0) {
		native_set_cpus(native_self(), cpus);
		return 0;
	}
	if (json_get_bool(o, "measure", &wanted, NULL) >= 0 && wanted) {
		measure_live(a);
		return 0;
	}
	return error_set(err, EPROTO, "a message of the keeper is not understood");
}

static void on_message(const char *text, int fd, void *data)
{
	AUTO_FD int passed = fd;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse_bytes(text, strlen(text), "message of the keeper", &o, &err);
	if (r >= 0)
		r = json_object_is_type(o, json_type_object) ?
			handle(data, o, passed, &err) :
			error_set(&err, EPROTO, "a message of the keeper is no object");
	if (r < 0)
		log_error("%s", error_text(err, r));
}

/* ---- the table ---- */

static struct platform_streams streams;

static void on_accept(int fd, void *data)
{
	streams.accept(fd, streams.data);
}

/* A connection of the keeper's client. */
static void on_given(int fd, const void *bytes, size_t size, void *data)
{
	int r = http_server_serve_given(((struct agent *)data)->server, fd, bytes, size);
	if (r < 0)
		log_warning("cannot serve a connection: %s", strerror(-r));
}

static void on_closed(int code, const char *why, void *data)
{
	streams.closed(code, why, streams.data);
}

/* A machine that has no network namespace of its own cannot start: crun will say so. */
static void init_starting(struct agent *a)
{
	AUTO_ERROR struct error *err = NULL;
	struct native *n = native_self();
	if (n->holder)
		return;
	int r = native_network_make(n, &err);
	if (r >= 0)
		r = native_gate_start(n, &err);
	if (r < 0)
		log_error("%s", error_text(err, r));
	else
		tell_flag(a, "network", 1, n->gate);
}

/* systemd ends the scope around the machine, as at the last logout and when the host shuts down,
 * and gives everything in it some time. The init got the signal as well; whatever that means to it,
 * it is told to stop after that. From inside nobody can name this process. */
static void on_terminate(struct source *s, int number, void *agent)
{
	log_info("the host ends the machine");
	stop_begin(agent, TERMINATE_MS);
}

static int open_streams(struct agent *a, const struct platform_streams *s, struct error **err)
{
	static const struct transport_fds_events events = {
		.accept = on_accept,
		.given = on_given,
		.message = on_message,
		.closed = on_closed,
	};
	streams = *s;
	worker_keep(native_self()->host_view);
	int r = transport_fds_new(a->loop, NATIVE_CONTROL, &events, a, &a->to_keeper);
	if (r < 0 || (r = orphans_watch(a)) < 0 || (r = loop_add_signal(a->loop, SIGTERM, on_terminate, a, NULL)) < 0)
		return error_set_errno(err, r, "cannot speak to the keeper");
	a->from_keeper = a->to_keeper;
	AUTO_FD int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return error_set_errno(err, errno, "cannot name this process");
	tell_flag(a, "ready", 1, self);
	/* While the keeper asks for the boot. */
	init_starting(a);
	return 0;
}

static void open_log(void)
{
	log_set_program("holm-agent");
}

static int set_clock(uint64_t ns, struct error **err)
{
	return 0; /* it is the host's */
}

static int mount_modules(const struct boot_request *b, struct error **err)
{
	return 0; /* the kernel is the host's */
}

static int set_network(const struct boot_network *n, struct error **err)
{
	return 0; /* the keeper configures it from outside, once there is an init */
}

/* From here on sockets of the agent's are the machine's: POST /v1/dial connects there. */
static void init_started(struct agent *a)
{
	if (setns(a->init_pidfd, CLONE_NEWNET) < 0)
		log_error("cannot enter the machine's network: %s", strerror(errno));
	tell_flag(a, "init", 1, a->init_pidfd);
}

static void init_ended(struct agent *a)
{
	native_gate_stop(native_self());
	native_network_drop(native_self());
	tell_flag(a, "init", 0, -1);
}

static int measure(int channel, const struct agent *a, int limit_ms)
{
	uint64_t bytes = 0;
	int r = native_usage(a->boot->root_machine, clock_deadline(limit_ms), &bytes);
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "usage", bytes);
	if (r >= 0 && channel >= 0)
		channel_send(channel, o, -1);
	else
		json_object_put(o);
	return 0;
}

static void on_measured(struct json_object *o, struct agent *a)
{
	uint64_t bytes = 0;
	if (json_get_u64(o, "usage", &bytes, NULL) >= 0)
		tell_usage(a, bytes);
}

static void on_measure_message(struct json_object *o, int fd, void *data)
{
	fd_close(fd);
	on_measured(o, data);
}

/* A worker_fn: everything else comes first. */
static int work_measure(int channel, void *agent, struct error **err)
{
	(void)!nice(USAGE_NICE);
	return measure(channel, agent, USAGE_LIVE_MS);
}

static void on_measure_done(int code, const char *text, void *agent)
{
	(void)code, (void)text, (void)agent;
	native_self()->measuring = 0;
}

static void measure_live(struct agent *a)
{
	static const struct worker_events events = { .message = on_measure_message, .done = on_measure_done };
	struct native *n = native_self();
	if (n->measuring || a->phase != PHASE_RUNNING || !a->boot->root_machine)
		return;
	n->measuring = worker_start(a->loop, work_measure, a, NULL, 0, &events, a, NULL) >= 0;
}

static void on_measure_time(struct source *s, void *data)
{
	source_free(s);
	measure_live(data);
}

/* Not while the first session is in a hurry. */
static void is_ready(struct agent *a)
{
	if (a->boot->root_machine)
		loop_add_timer(a->loop, clock_deadline(MEASURE_AFTER_MS), on_measure_time, a, NULL);
}

/* syncfs(2) of this file system alone: the host's others are none of our business. */
static int put_away(int channel, void *agent, struct error **err)
{
	const struct agent *a = agent;
	AUTO_FD int root = open(AGENT_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		syncfs(root);
	fd_close(TAKE_FD(root));
	machine_run_drop();
	umount2(AGENT_ROOT, MNT_DETACH);
	if (native_self()->writable_cgroup)
		cgroup_remove();
	return a->boot && a->boot->root_machine ? measure(channel, a, USAGE_LAST_MS) : 0;
}

static void on_end(struct source *s, void *data)
{
	loop_exit(((struct agent *)data)->loop, 0);
}

/* Ends the agent. The kernel delivers the data in the streams; the loop runs its pending events. */
static void end(struct agent *a)
{
	if (loop_add_timer(a->loop, clock_deadline(END_MS), on_end, a, NULL) < 0)
		loop_exit(a->loop, 0);
}

const struct platform platform_native = {
	.joined =
	    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET,
	.own_program = NATIVE_PROGRAM,
	.open_log = open_log,
	.open_streams = open_streams,
	.set_clock = set_clock,
	.mount_root = native_mount_root,
	.mount_modules = mount_modules,
	.network = set_network,
	.mount_share = native_mount_share,
	.mount_own_folders = native_mount_own_folders,
	.take_share = native_take_share,
	.check_shares = native_check_shares,
	.enter = native_enter,
	.leave = native_leave,
	.mount_kernel = native_mount_kernel,
	.run_below = native_run_below,
	.open_containers = native_open_containers,
	.mount_containers = native_mount_containers,
	.take_layers = native_take_layers,
	.take_bind = native_take_bind,
	.container_ids = native_container_ids,
	.own_ids = native_own_ids,
	.container = native_container,
	.init_starting = init_starting,
	.init_started = init_started,
	.init_ended = init_ended,
	.is_ready = is_ready,
	.put_away = put_away,
	.put_away_message = on_measured,
	.end = end,
};
