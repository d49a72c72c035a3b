/* SPDX-License-Identifier: Apache-2.0
 * holm-agent --engine GO: the engine's process. GO: a JSON object of the agent
 * (src/agent/service/engine.c). Clients' connections come from the agent, with what was read of
 * them; each carries one request. */
#include "agent/engine/main.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/rootfs.h"
#include "agent/engine/container_cgroup.h"
#include "agent/engine/events.h"
#include "agent/engine/gone.h"
#include "agent/engine/links.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/networks.h"
#include "agent/engine/place.h"
#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/route.h"

enum { GIVEN_MAX = 64 * 1024, ANSWER_MS = 30 * 1000 };

/* ---- requests ---- */

static const struct {
	const char *method, *pattern;
	engine_handler_fn handle;
} routes[] = {
	{ "GET", "/info", engine_info },
	{ "GET", "/containers/json", engine_list },
	{ "GET", "/events", engine_events },
	{ "POST", "/holm/event", engine_take_event },
	{ "GET", "/holm/images", engine_images },
	{ "GET", "/holm/df", engine_df },
	{ "GET", "/containers/*/changes", engine_changes },
	{ "POST", "/containers/create", engine_create },
	{ "GET", "/containers/*/json", engine_inspect },
	{ "GET", "/containers/*/logs", engine_logs },
	{ "POST", "/containers/*/start", engine_start },
	{ "POST", "/containers/*/stop", engine_stop },
	{ "POST", "/containers/*/kill", engine_kill },
	{ "POST", "/containers/*/restart", engine_restart },
	{ "POST", "/containers/*/rename", engine_rename },
	{ "POST", "/containers/*/pause", engine_pause },
	{ "POST", "/containers/*/unpause", engine_unpause },
	{ "GET", "/containers/*/stats", engine_stats },
	{ "GET", "/containers/*/top", engine_top },
	{ "POST", "/containers/*/update", engine_update },
	{ "POST", "/containers/prune", engine_prune },
	{ "GET", "/containers/*/export", engine_export },
	{ "GET", "/containers/*/layer", engine_layer },
	{ "PUT", "/containers/*/layer", engine_layer },
	{ "HEAD", "/containers/*/archive", engine_archive },
	{ "GET", "/containers/*/archive", engine_archive },
	{ "PUT", "/containers/*/archive", engine_archive },
	{ "POST", "/containers/*/socket", engine_socket },
	{ "POST", "/containers/*/wait", engine_wait },
	{ "POST", "/containers/*/run", engine_run },
	{ "POST", "/containers/*/attach", engine_attach },
	{ "POST", "/containers/*/resize", engine_resize },
	{ "POST", "/containers/*/exec", engine_exec_create },
	{ "DELETE", "/containers/*", engine_remove },
	{ "DELETE", "/containers/**", engine_link_remove },
	{ "POST", "/exec/*/start", engine_exec_start },
	{ "POST", "/exec/*/resize", engine_exec_resize },
	{ "GET", "/exec/*/json", engine_exec_inspect },
	{ "GET", "/volumes", engine_volumes },
	{ "POST", "/volumes/create", engine_volume_create },
	{ "POST", "/volumes/prune", engine_volumes_prune },
	{ "GET", "/volumes/*", engine_volume_inspect },
	{ "DELETE", "/volumes/*", engine_volume_remove },
	{ "GET", "/networks", engine_networks },
	{ "POST", "/networks/create", engine_network_create },
	{ "POST", "/networks/prune", engine_networks_prune },
	{ "POST", "/networks/*/connect", engine_network_connect },
	{ "POST", "/networks/*/disconnect", engine_network_disconnect },
	{ "GET", "/networks/*", engine_network_inspect },
	{ "DELETE", "/networks/*", engine_network_remove },
};

void engine_dispatch(struct http_exchange *x, void *engine)
{
	AUTO_ERROR struct error *err = NULL;
	const char *path = docker_strip_version(http_exchange_path(x), &err);
	for (size_t i = 0; path && i < ARRAY_SIZE(routes); i++) {
		AUTOFREE char *name = NULL;
		if (!streq(routes[i].method, http_exchange_head(x)->method) ||
		    !docker_match(path, routes[i].pattern, &name))
			continue;
		routes[i].handle(engine, x, name);
		return;
	}
	if (path)
		error_set(&err, ENOENT, "page not found");
	engine_error(x, path ? -ENOENT : -EINVAL, err);
}

static const struct http_route http_routes[] = {
	{ "GET", "/*", engine_dispatch, 0 },
	{ "POST", "/*", engine_dispatch, 0 },
	{ "DELETE", "/*", engine_dispatch, 0 },
	{ "HEAD", "/*", engine_dispatch, 0 },
	{ "PUT", "/*", engine_dispatch, 1 }, /* archives: the handler reads the body */
	{ 0 },
};

static void on_connection(struct source *s, int socket, uint32_t events, void *data)
{
	struct engine *e = data;
	static char bytes[GIVEN_MAX];
	struct fd_pass passed;
	ssize_t n = fd_receive_bytes(socket, bytes, sizeof bytes, 1, &passed, MSG_DONTWAIT);
	if (n >= 0 && passed.count == 1 && !passed.truncated) {
		int r = http_server_serve_given(e->server, passed.fds[0], bytes, (size_t)n);
		if (r < 0)
			log_warning("cannot serve a connection: %s", strerror(-r));
		return;
	}
	fd_pass_close(&passed);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
		loop_exit(e->loop, 0);
}

static void serve(struct engine *e)
{
	source_free(TAKE_PTR(e->unanswered));
	if (loop_add_io(e->loop, ENGINE_CONNECTIONS, EPOLLIN, on_connection, e, NULL) < 0)
		loop_exit(e->loop, 1);
}

void engine_serve(struct engine *e)
{
	if (!e->unanswered)
		return;
	for (const struct container *c = e->containers; c; c = c->next)
		if (c->preparing || c->starting || (c->cleaning && c->again))
			return;
	serve(e);
}

static void on_answer_time(struct source *s, void *data)
{
	log_warning("clients are served before all containers have started");
	serve(data);
}

/* ---- the agent ---- */

void engine_tell_stopped(struct engine *e)
{
	for (const struct container *c = e->containers; c; c = c->next)
		if (c->pid || c->ended || c->preparing || c->starting || c->cleaning)
			return;
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "stopped", 1);
	if (e->stopping)
		channel_send(ENGINE_CHANNEL, o, -1);
	else
		json_object_put(o);
}

static void stop_all(struct engine *e)
{
	e->stopping = 1;
	for (struct container *c = e->containers; c; c = c->next)
		if (c->pid)
			container_stop(c, -1);
	engine_tell_stopped(e);
}

/* Another agent has come, which knows nothing of what the last one was asked for. */
static void ask_again(struct engine *e)
{
	e->agents++;
	containers_ask_ports_again(e);
	images_ask_again(e);
	mounts_ask_again(e);
	if (e->stopping)
		engine_tell_stopped(e);
}

static void on_channel(struct source *s, int socket, uint32_t events, void *data)
{
	struct engine *e = data;
	AUTO_JSON struct json_object *o = NULL;
	int fd = -1;
	int r = channel_receive(socket, &o, &fd);
	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		loop_exit(e->loop, 0);
		return;
	}
	if (json_object_object_get_ex(o, "stop", NULL)) {
		fd_close(fd);
		stop_all(e);
	} else if (json_object_object_get_ex(o, "again", NULL)) {
		fd_close(fd);
		ask_again(e);
	} else if (json_object_object_get_ex(o, "ports", NULL)) {
		fd_close(fd);
		container_ports_message(e, o);
	} else if (json_object_object_get_ex(o, "bind", NULL)) {
		mounts_message(e, o, fd);
	} else {
		image_message(e, o, fd);
	}
}

/* An agent that wants the machine to stop says so again. */
static void tell_started(void)
{
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "started", 1);
	channel_send(ENGINE_CHANNEL, o, -1);
}

/* ---- the start ---- */

static int get_user(struct json_object *o, struct engine *e, struct error **err)
{
	uint64_t uid = 0, gid = 0;
	int r = json_get_u64(o, "uid", &uid, err);
	if (r == 0)
		r = json_get_u64(o, "gid", &gid, err);
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	return r;
}

static int parse_go(const char *text, struct engine *e, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *crun = NULL, *host = NULL;
	int has_cgroup = 0;
	int r = json_parse(text, strlen(text), "go", &o, err);
	if (r == 0)
		r = json_get_string(o, "crun", &crun, err);
	if (r == 0)
		r = json_get_strv(o, "nameservers", &e->nameservers, err);
	if (r == 0)
		r = engine_place_parse_ids(o, 0, &e->ids, err);
	if (r == 0)
		r = engine_place_parse_ids(o, 1, &e->own_ids, err);
	if (r == 0)
		r = get_user(o, e, err);
	if (r == 0)
		e->crun = xstrdup(crun);
	if (r == 0 && json_get_bool(o, "cgroup", &has_cgroup, NULL) == 0)
		e->limits = cgroups_find(has_cgroup);
	if (r == 0 && json_get_string(o, "host", &host, NULL) == 0)
		e->host = xstrdup(host);
	if (r == 0 && json_get_string(o, "outward", &host, NULL) == 0)
		e->outward = xstrdup(host);
	return r;
}

static int open_folders(struct engine *e, struct error **err)
{
	AUTO_FD int machine = open(ENGINE_MACHINE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int records = machine < 0 ? -errno : rootfs_mkdir(machine, ENGINE_RECORDS, 0700, err);
	if (records < 0)
		return records;
	e->records = openat(records, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e->folders = open(ENGINE_CONTAINERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->records >= 0)
		atomic_file_sweep(e->records);
	return e->records < 0 || e->folders < 0 ? error_set_errno(err, errno, "cannot open the containers' folders") :
						  0;
}

static void start_network(struct engine *e)
{
	AUTO_ERROR struct error *err = NULL;
	int r = bridge_choose(NULL, &e->bridge, &err);
	if (r == 0)
		r = bridge_start(&e->bridge, &err);
	if (r < 0) {
		log_warning("%s", error_text(err, r));
		return;
	}
	e->has_bridge = 1;
	(void)bridge_has_ipv6(); /* the rule on ports is wanted where no network has IPv6, too */
}

static int prepare(struct engine *e, const char *go, struct error **err)
{
	int r = loop_new(&e->loop);
	if (r < 0 || (r = parse_go(go, e, err)) < 0 || (r = open_folders(e, err)) < 0)
		return r;
	if ((r = path_mkdir_all(ENGINE_RUN, 0711, err)) < 0 || (r = path_mkdir_all(ENGINE_CRUN_STATE, 0700, err)) < 0)
		return r;
	start_network(e);
	networks_load(e);
	if ((r = http_server_new(e->loop, http_routes, e, &e->server)) < 0)
		return r;
	http_server_set_dialect(e->server, DOCKER_HEADERS, "message");
	http_server_set_one_request(e->server); /* the next one may be the keeper's */
	fd_set_nonblocking(ENGINE_CHANNEL, 1);
	fd_set_cloexec(ENGINE_CHANNEL, 1);
	fd_set_cloexec(ENGINE_CONNECTIONS, 1);
	if ((r = container_load_all(e, err)) < 0 || (r = monitor_connect(e, err)) < 0)
		return r;
	containers_settle(e);
	containers_settle_ports(e);
	images_load(e);
	tell_started();
	uint64_t last = clock_deadline(ANSWER_MS);
	if ((r = loop_add_io(e->loop, ENGINE_CHANNEL, EPOLLIN, on_channel, e, NULL)) < 0 ||
	    (r = loop_add_timer(e->loop, last, on_answer_time, e, &e->unanswered)) < 0)
		return r;
	e->mount_number = (uint64_t)container_now(); /* no answer to an engine before this one fits */
	gone_sweep(e, e->folders);
	volumes_sweep(e);
	policy_start_all(e);
	engine_serve(e);
	return 0;
}

/* Some six descriptors for each container that runs. */
void engine_raise_limits(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_debug("the limit of open files stays as it is: %s", strerror(errno));
}

/* In a VM stderr leads nowhere: the kernel's log is the agent's, too. */
void engine_open_log(const char *program)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	log_set_program(program);
	if (fd >= 0)
		log_set_kmsg(fd);
}

int engine_main(const char *go)
{
	static struct engine engine = { .records = -1, .folders = -1 };
	AUTO_ERROR struct error *err = NULL;
	engine_open_log("holm-engine");
	prctl(PR_SET_NAME, "holm-engine");
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	engine_raise_limits();
	int r = prepare(&engine, go, &err);
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	return loop_run(engine.loop);
}
