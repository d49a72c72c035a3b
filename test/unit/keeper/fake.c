/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/transport_table.h"

struct fake *fake;

/* ---- the agent ---- */

static void handle_version(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	if (!f->protocol)
		return;
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "protocol", f->protocol);
	json_add_string(o, "version", "9\x1b[31m");
	http_respond_json(x, 200, o);
}

void fake_boot_line(struct fake *f, const char *line)
{
	if (f->boot)
		http_stream_json(f->boot, json_tokener_parse(line));
}

static void on_boot_closed(void *data)
{
	((struct fake *)data)->boot = NULL;
}

static void handle_boot(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	AUTO_STRV struct strv lines = { 0 };
	f->boots++;
	f->boot = x;
	free(f->boot_request);
	f->boot_request = json_to_string(http_exchange_json(x, NULL), 0);
	http_exchange_on_closed(x, on_boot_closed, f);
	http_stream_begin(x, 200);
	strv_split(&lines, f->boot_lines, "\n");
	for (size_t i = 0; i < lines.count; i++)
		fake_boot_line(f, lines.items[i]);
}

void fake_listening_line(struct fake *f, const char *line)
{
	if (f->listening)
		http_stream_json(f->listening, json_tokener_parse(line));
}

static void on_listening_closed(void *data)
{
	((struct fake *)data)->listening = NULL;
}

static void handle_listening(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	f->listenings++;
	f->listening = x;
	http_exchange_on_closed(x, on_listening_closed, f);
	http_stream_begin(x, 200);
}

static void handle_stop(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	f->stops++;
	json_get_u64(http_exchange_json(x, NULL), "timeout_ms", &f->stop_timeout_ms, NULL);
	http_respond_json(x, 200, NULL);
	if (!f->ignore_stop)
		fake_end(f, 0, NULL);
}

/* A session that says one word and stays. */
static void handle_session(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	struct buffer early;
	int fd;
	free(f->session_request);
	f->session_request = json_to_string(http_exchange_json(x, NULL), 0);
	if (f->sessions == FAKE_SESSIONS_MAX || http_upgrade(x, "holm-session", &fd, &early) < 0)
		return;
	if (f->session_frames)
		fd_write_full(fd, f->session_frames->data, f->session_frames->size);
	else
		fd_write_full(fd, "welcome", 7);
	f->session_fds[f->sessions++] = fd;
	buffer_done(&early);
}

static void handle_put(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	if (streq(http_exchange_path(x), "/v1/clock"))
		f->clocks++;
	else
		f->resolvs++;
	http_respond_json(x, 200, NULL);
}

static void handle_ok(struct http_exchange *x, void *data)
{
	http_respond_json(x, 200, NULL);
}

static void handle_share(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	free(f->share_request);
	f->share_request = json_to_string(http_exchange_json(x, NULL), 0);
	http_respond_json(x, 200, NULL);
}

static void handle_dial(struct http_exchange *x, void *data)
{
	struct fake *f = data;
	struct buffer early;
	int fd;
	uint64_t port = 0;
	const char *address = NULL;
	json_get_u64(http_exchange_json(x, NULL), "port", &port, NULL);
	json_get_string(http_exchange_json(x, NULL), "address", &address, NULL);
	free(f->dialled);
	f->dialled = xstrdup(address);
	if (port != 80) {
		http_respond_error(x, ECONNREFUSED, NULL);
		return;
	}
	if (http_upgrade(x, "holm-stream", &fd, &early) < 0)
		return;
	fd_set_nonblocking(fd, 0);
	fd_write_full(fd, "\0\5hello", 7);
	shutdown(fd, SHUT_WR);
	fd_close(fd);
	buffer_done(&early);
}

static const struct http_route routes[] = {
	{ "GET", "/v1/version", handle_version, 0 },
	{ "POST", "/v1/boot", handle_boot, 0 },
	{ "POST", "/v1/stop", handle_stop, 0 },
	{ "POST", "/v1/sessions", handle_session, 0 },
	{ "PUT", "/v1/clock", handle_put, 0 },
	{ "PUT", "/v1/resolv", handle_put, 0 },
	{ "POST", "/v1/shares", handle_share, 0 },
	{ "DELETE", "/v1/shares", handle_ok, 0 },
	{ "POST", "/v1/dial", handle_dial, 0 },
	{ "GET", "/v1/listening", handle_listening, 0 },
	{ "GET", "/v1/archive", handle_ok, 0 },
	{ 0 },
};

/* ---- its transport ---- */

struct fake_transport {
	struct transport base;
	struct fake *fake;
};

static int open_stream(struct transport *t, int *ret_fd, struct error **err)
{
	struct fake *f = ((struct fake_transport *)t)->fake;
	int pair[2];
	if (fd_socketpair(SOCK_STREAM, pair) < 0)
		return -errno;
	*ret_fd = pair[0];
	return http_server_serve(f->agent, pair[1]);
}

static void free_transport(struct transport *t)
{
	free(t);
}

static int give_connection(struct transport *t, int fd, const void *data, size_t size, struct error **err)
{
	struct fake *f = ((struct fake_transport *)t)->fake;
	if (!f->takes_connections)
		return error_set(err, EOPNOTSUPP, "not today");
	f->given++;
	return http_server_serve_given(f->agent, fd, data, size);
}

static const struct transport_ops transport_ops = {
	.open = open_stream,
	.give = give_connection,
	.free = free_transport,
};

void fake_return_agent(struct fake *f)
{
	http_server_new(f->loop, routes, f, &f->agent);
	struct fake_transport *t = xnew(struct fake_transport);
	t->base.ops = &transport_ops;
	t->fake = f;
	f->transport = &t->base;
	f->events->connected(f->transport, f->data);
}

void fake_lose_agent(struct fake *f)
{
	f->events->lost("the agent crashed", f->data);
	http_server_free(TAKE_PTR(f->agent));
	transport_free(TAKE_PTR(f->transport));
}

static void on_ended(struct source *s, void *data)
{
	struct fake *f = data;
	source_free(TAKE_PTR(f->deferred));
	http_server_free(TAKE_PTR(f->agent));
	transport_free(TAKE_PTR(f->transport));
	f->events->ended(f->ended == 1 ? 0 : -EIO, f->ended == 1 ? NULL : "it fell over", f->data);
}

void fake_end(struct fake *f, int code, const char *why)
{
	if (f->ended)
		return;
	f->ended = code == 0 ? 1 : 2;
	source_free(TAKE_PTR(f->deferred));
	loop_add_deferred(f->loop, on_ended, f, &f->deferred);
}

int fake_open_to_keeper(struct fake *f)
{
	int pair[2];
	fd_socketpair(SOCK_STREAM, pair);
	f->events->accepted(pair[0], f->data);
	return pair[1];
}

/* ---- the table ---- */

static void on_started(struct source *s, void *data)
{
	struct fake *f = data;
	source_free(TAKE_PTR(f->deferred));
	f->events->stage("starting the fake", f->data);
	f->events->warning("this is a fake", f->data);
	fake_return_agent(f);
}

static void keep_events(struct fake *f, const struct isolation_share *s)
{
	fd_close(f->share_events);
	f->share_events = s && s->events >= 0 ? fcntl(s->events, F_DUPFD_CLOEXEC, 3) : -1;
}

static int start(struct loop *l, const struct machine *m, const char *runtime_dir, const struct isolation_share *shares,
    size_t share_count, const struct isolation_events *events, void *data, struct isolation_run **ret,
    struct error **err)
{
	if (fake->start_fails)
		return error_set(err, ENOENT, "there is no fake program; install it");
	fake->starts++;
	keep_events(fake, share_count ? &shares[share_count - 1] : NULL);
	fake->events = events;
	fake->data = data;
	*ret = (struct isolation_run *)fake;
	return loop_add_deferred(l, on_started, fake, &fake->deferred);
}

static void describe(struct isolation_run *run, struct json_object *boot)
{
	json_add_string(boot, "root", "fake");
}

static int add_share(struct isolation_run *run, const struct isolation_share *s,
    void (*done)(int code, const char *why, void *data), void *data, struct error **err)
{
	if (((struct fake *)run)->refuse_share)
		return error_set(err, EOPNOTSUPP, "takes effect at the next start");
	keep_events((struct fake *)run, s);
	done(0, NULL, data);
	return 0;
}

static int remove_share(struct isolation_run *run, const char *tag, void (*done)(int code, const char *why, void *data),
    void *data, struct error **err)
{
	done(0, NULL, data);
	return 0;
}

static int set_limits(struct isolation_run *run, uint64_t cpus, uint64_t memory, struct error **err)
{
	struct fake *f = (struct fake *)run;
	f->cpus = cpus;
	f->memory = memory;
	return memory == 1 ? error_set(err, EOPNOTSUPP, "at the next start") : 0;
}

static void on_sockets_come(struct source *s, void *data)
{
	struct fake *f = data;
	source_free(TAKE_PTR(f->sockets_come));
	f->events->sockets(f->data);
}

/* The network inside is the test's own. */
static int open_socket(struct isolation_run *run, enum isolation_socket kind)
{
	struct fake *f = (struct fake *)run;
	int family = kind == ISOLATION_TCP6 || kind == ISOLATION_UDP6 ? AF_INET6 : AF_INET;
	int type = kind == ISOLATION_TCP4 || kind == ISOLATION_TCP6 ? SOCK_STREAM : SOCK_DGRAM;
	if (f->open_socket_code < 0)
		return f->open_socket_code;
	if (f->asked_sockets[kind]++ == 0) {
		if (!f->sockets_come)
			loop_add_deferred(f->loop, on_sockets_come, f, &f->sockets_come);
		return -EAGAIN;
	}
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

static void do_kill(struct isolation_run *run)
{
	struct fake *f = (struct fake *)run;
	f->kills++;
	fake_end(f, 1, "killed");
}

static void statistics(struct isolation_run *run, struct json_object *into)
{
	json_add_u64(into, "fake", 1);
}

static void free_run(struct isolation_run *run)
{
}

static char *shortage(const struct isolation_run *run)
{
	return xstrdup(fake->shortage);
}

const struct isolation_ops fake_isolation = {
	.name = "fake",
	.tells_changes = 1,
	.relays_sockets = 1,
	.start = start,
	.describe = describe,
	.add_share = add_share,
	.remove_share = remove_share,
	.open_socket = open_socket,
	.set_limits = set_limits,
	.kill = do_kill,
	.shortage = shortage,
	.statistics = statistics,
	.free = free_run,
};

struct fake *fake_new(struct loop *l)
{
	fake = xnew(struct fake);
	fake->loop = l;
	fake->protocol = 1;
	fake->open_socket_code = -EOPNOTSUPP;
	fake->share_events = -1;
	fake->boot_lines = "{\"stage\":\"mounting\"}\n{\"ready\":\"session\"}\n{\"ready\":\"init\"}";
	return fake;
}

void fake_free(struct fake *f)
{
	source_free(f->deferred);
	source_free(f->sockets_come);
	http_server_free(f->agent);
	transport_free(f->transport);
	free(f->boot_request);
	free(f->share_request);
	free(f->session_request);
	free(f->dialled);
	for (int i = 0; i < f->sessions; i++)
		fd_close(f->session_fds[i]);
	fd_close(f->share_events);
	free(f);
}
