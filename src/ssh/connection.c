/* SPDX-License-Identifier: Apache-2.0
 * libssh (0.10) on holm's own loop. libssh reads and writes its socket in ssh_event_dopoll(), which
 * never waits here, and inside of ssh_channel_write(). Its callbacks run there; they only set marks
 * and fill buffers. All else happens in the turn that follows: connection_turn() takes the client's
 * requests, which libssh has put in a queue, and looks at every channel. libssh reports neither a
 * window that grew nor the end of a key exchange, but both come by packets, and each packet leads
 * to a turn.
 *
 * There is no authentication: the streams are those of a process of the user's own, and whoever can
 * run this program can run `holm machine run` as well.
 *
 * Bounds. What libssh holds of a channel's output is TURN_BYTES at most, because channels write
 * only while it has nothing left to send. Its answers to requests have no such bound, so it reads
 * little from a client that takes none. What it holds of a channel's input is the window, 1.3 MB;
 * libssh takes more from a client that does not keep to it, so HELD_MAX ends the connection. A
 * channel counts until both sides have closed it.
 *
 * A message of libssh's names its channel by address. libssh frees a channel that both sides have
 * closed, so a message may name one that is gone: it is answered only if the channel is known. */
#include "ssh/connection.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "ssh/forward.h"
#include "ssh/pump.h"
#include "ssh/remote.h"
#include "ssh/session.h"

enum { LOGIN_MS = 120 * 1000, GOODBYE_MS = 2000, POLLS = 64, UNSENT_READS_MAX = 1024 };

void connection_fail(struct connection *c, const char *text)
{
	if (c->failure)
		return;
	error_set(&c->failure, EPROTO, "machine \"%s\": %s", c->machine, text);
	loop_exit(c->loop, -EPROTO);
}

int connection_takes_output(const struct connection *c)
{
	return !(ssh_get_poll_flags(c->ssh) & SSH_WRITE_PENDING);
}

/* ---- channels that the client has still to close ---- */

static int on_late_data(ssh_session ssh, ssh_channel channel, void *bytes, uint32_t size, int is_stderr, void *data)
{
	if (size > HELD_MAX)
		connection_fail(data, "the ssh client sends more than a channel's window");
	return 0;
}

static void on_late_close(ssh_session ssh, ssh_channel channel, void *data)
{
	((struct connection *)data)->channels--;
}

static void set_up_leaving(struct connection *c)
{
	c->leaving = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = on_late_data,
		.channel_close_function = on_late_close,
	};
	ssh_callbacks_init(&c->leaving);
}

void connection_leave_channel(struct connection *c, ssh_channel channel, int is_closed)
{
	if (is_closed)
		c->channels--;
	else
		ssh_set_channel_callbacks(channel, &c->leaving);
	ssh_channel_free(channel);
}

/* ---- requests of the client ---- */

enum answer {
	ANSWER_NO,    /* the caller refuses */
	ANSWER_GIVEN, /* the message has its answer, or can have none */
	ANSWER_LATER, /* the message belongs to somebody else */
};

static int is_user_name(const char *user)
{
	uint32_t uid;
	return parse_u32(user, &uid) == 0 || machine_user_check(user, NULL) == 0;
}

static enum answer log_in(struct connection *c, ssh_message m)
{
	const char *user = ssh_message_auth_user(m);
	if (c->phase != PHASE_LOGIN || ssh_message_subtype(m) != SSH_AUTH_METHOD_NONE || !user || !is_user_name(user)) {
		ssh_message_auth_set_methods(m, SSH_AUTH_METHOD_NONE);
		return ANSWER_NO;
	}
	c->user = xstrdup(user);
	c->phase = PHASE_OPEN;
	source_free(TAKE_PTR(c->login_timer));
	ssh_message_auth_reply_success(m, 0);
	return ANSWER_GIVEN;
}

static enum answer open_channel(struct connection *c, ssh_message m)
{
	int kind = ssh_message_subtype(m);
	if (c->phase != PHASE_OPEN || c->channels >= CHANNELS_MAX ||
	    (kind != SSH_CHANNEL_SESSION && kind != SSH_CHANNEL_DIRECT_TCPIP))
		return ANSWER_NO;
	if (kind == SSH_CHANNEL_DIRECT_TCPIP) {
		forward_dial(c, m);
		return ANSWER_LATER;
	}
	ssh_channel channel = ssh_message_channel_request_open_reply_accept(m);
	if (channel)
		session_new(c, channel);
	return ANSWER_GIVEN;
}

static enum answer ask_channel(struct connection *c, ssh_message m)
{
	ssh_channel channel = ssh_message_channel_request_channel(m);
	struct session *s = session_find(c, channel);
	if (!s)
		return forward_has_channel(c, channel) ? ANSWER_NO : ANSWER_GIVEN;
	if (!session_request(s, m))
		return ANSWER_NO;
	ssh_message_channel_request_reply_success(m);
	return ANSWER_GIVEN;
}

/* Answers to these come in the order of the requests (RFC 4254, 4). */
static enum answer ask_connection(struct connection *c, ssh_message m)
{
	if (c->phase != PHASE_OPEN)
		return ANSWER_NO;
	if (c->answering) {
		if (c->waiting_count == WAITING_MAX) {
			connection_fail(c, "the ssh client does not wait for answers");
			return ANSWER_GIVEN;
		}
		c->waiting[c->waiting_count++] = m;
		return ANSWER_LATER;
	}
	if (ssh_message_subtype(m) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
		return remote_listen(c, m) ? ANSWER_LATER : ANSWER_NO;
	if (ssh_message_subtype(m) != SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD || !remote_cancel(c, m))
		return ANSWER_NO;
	ssh_message_global_request_reply_success(m, 0);
	return ANSWER_GIVEN;
}

static enum answer begin_service(struct connection *c, ssh_message m)
{
	ssh_message_service_reply_success(m);
	return ANSWER_GIVEN;
}

static const struct {
	int type;
	enum answer (*take)(struct connection *c, ssh_message m);
} takers[] = {
	{ SSH_REQUEST_SERVICE, begin_service },
	{ SSH_REQUEST_AUTH, log_in },
	{ SSH_REQUEST_CHANNEL_OPEN, open_channel },
	{ SSH_REQUEST_CHANNEL, ask_channel },
	{ SSH_REQUEST_GLOBAL, ask_connection },
};

static void take_message(struct connection *c, ssh_message m)
{
	enum answer answer = ANSWER_NO;
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		if (takers[i].type == ssh_message_type(m))
			answer = takers[i].take(c, m);
	if (answer == ANSWER_NO)
		ssh_message_reply_default(m);
	if (answer != ANSWER_LATER)
		ssh_message_free(m);
}

/* Requests that have waited; each may make the others wait again. */
static void take_waiting(struct connection *c)
{
	while (!c->answering && c->waiting_count) {
		ssh_message m = c->waiting[0];
		memmove(c->waiting, c->waiting + 1, --c->waiting_count * sizeof(ssh_message));
		take_message(c, m);
	}
}

static void take_messages(struct connection *c)
{
	take_waiting(c);
	for (ssh_message m; c->phase != PHASE_KEY_EXCHANGE && (m = ssh_message_get(c->ssh));)
		take_message(c, m);
}

/* ---- the loop ---- */

static int has_ended(const struct connection *c)
{
	return ssh_get_status(c->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR);
}

static void exchange_keys(struct connection *c)
{
	int r = ssh_handle_key_exchange(c->ssh);
	if (r == SSH_AGAIN)
		return;
	if (r != SSH_OK) {
		connection_fail(c, ssh_get_error(c->ssh));
		return;
	}
	c->phase = PHASE_LOGIN;
}

/* Whether the client is read from as fast as it sends. */
static int reads(const struct connection *c)
{
	return c->unsent_reads < UNSENT_READS_MAX;
}

static void connection_turn(struct source *s, void *data)
{
	struct connection *c = data;
	source_free(TAKE_PTR(c->turn));
	if (c->phase == PHASE_KEY_EXCHANGE)
		exchange_keys(c);
	take_messages(c);
	for (struct session *at = c->sessions, *next; at; at = next) {
		next = session_next(at);
		session_step(at);
	}
	for (struct forward *at = c->forwards, *next; at; at = next) {
		next = forward_next(at);
		forward_step(at);
	}
	if (has_ended(c))
		loop_exit(c->loop, 0);
	int takes = connection_takes_output(c);
	if (takes)
		c->unsent_reads = 0;
	source_set_events(c->io, (reads(c) ? EPOLLIN : 0) | (takes ? 0 : EPOLLOUT));
}

void connection_wake(struct connection *c)
{
	if (!c->turn)
		loop_add_deferred(c->loop, connection_turn, c, &c->turn);
}

static int is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct connection *c = data;
	int more = 1;
	/* libssh reads a few kilobytes a call. */
	for (int i = 0; more && i < (reads(c) ? POLLS : 1) && !has_ended(c) && !c->failure; i++) {
		if (c->phase == PHASE_KEY_EXCHANGE)
			exchange_keys(c);
		else if (ssh_event_dopoll(c->event, 0) == SSH_ERROR)
			break;
		more = is_readable(fd);
		c->unsent_reads += !connection_takes_output(c);
	}
	connection_wake(c);
}

static void on_login_timer(struct source *s, void *data)
{
	connection_fail(data, "the ssh client did not log in within two minutes");
}

static void on_pump_end(void *data)
{
	struct connection *c = data;
	c->delivered = 1;
	loop_exit(c->loop, 0);
}

/* ---- beginning and end ---- */

static int set_up_server(struct connection *c, ssh_key key, struct error **err)
{
	bool reads_files = false;
	/* The bind owns its key. */
	ssh_key own = ssh_key_dup(key);
	c->bind = ssh_bind_new();
	c->ssh = ssh_new();
	if (!own || !c->bind || !c->ssh)
		return error_set(err, ENOMEM, "libssh cannot be used");
	if (ssh_bind_options_set(c->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &reads_files) < 0 ||
	    ssh_bind_options_set(c->bind, SSH_BIND_OPTIONS_IMPORT_KEY, own) < 0)
		return error_set(err, EIO, "libssh: %s", ssh_get_error(c->bind));
	if (ssh_bind_accept_fd(c->bind, c->ssh, c->fd) != SSH_OK)
		return error_set(err, EIO, "libssh: %s", ssh_get_error(c->bind));
	ssh_set_blocking(c->ssh, 0);
	return 0;
}

static int set_up_loop(struct connection *c, struct error **err)
{
	int r = loop_add_io(c->loop, c->fd, EPOLLIN, on_io, c, &c->io);
	if (r == 0)
		r = loop_add_timer(c->loop, clock_deadline(LOGIN_MS), on_login_timer, c, &c->login_timer);
	if (r < 0)
		return error_set_errno(err, r, "cannot wait for the ssh client");
	exchange_keys(c); /* sends our side's part; only then libssh has something to poll */
	c->event = ssh_event_new();
	if (!c->event || ssh_event_add_session(c->event, c->ssh) != SSH_OK)
		return error_set(err, EIO, "libssh: %s", ssh_get_error(c->ssh));
	connection_wake(c);
	return 0;
}

static void on_goodbye_timer(struct source *s, void *data)
{
	loop_exit(((struct connection *)data)->loop, 0);
}

/* libssh has closed its socket: what it wrote last goes out. */
static void deliver_rest(struct connection *c)
{
	CLEANUP(source_freep) struct source *timer = NULL;
	if (!c->delivered && loop_add_timer(c->loop, clock_deadline(GOODBYE_MS), on_goodbye_timer, c, &timer) == 0)
		loop_run(c->loop);
}

/* Says goodbye, so that the client shows no broken connection. */
static void part(struct connection *c)
{
	while (c->sessions)
		session_free(c->sessions);
	while (c->forwards)
		forward_free(c->forwards);
	while (c->remotes)
		remote_free(c->remotes);
	for (size_t i = 0; i < c->waiting_count; i++)
		ssh_message_free(c->waiting[i]);
	source_free(c->turn);
	source_free(c->io);
	source_free(c->login_timer);
	if (c->event) {
		ssh_event_remove_session(c->event, c->ssh);
		ssh_event_free(c->event);
	}
	if (c->ssh) {
		ssh_disconnect(c->ssh);
		ssh_free(c->ssh);
	}
	ssh_bind_free(c->bind);
	deliver_rest(c);
}

static int serve(struct connection *c, ssh_key key, struct error **err)
{
	int r = pump_new(c->loop, STDIN_FILENO, STDOUT_FILENO, on_pump_end, c, &c->pump, &c->fd);
	if (r == -EPERM)
		return error_set(err, EINVAL, "holm-ssh is a ProxyCommand of ssh: stdin and stdout must be pipes");
	if (r < 0)
		return error_set_errno(err, r, "cannot take the connection on stdin and stdout");
	r = set_up_server(c, key, err);
	if (r == 0)
		r = set_up_loop(c, err);
	if (r == 0)
		r = loop_run(c->loop);
	part(c);
	if (r < 0 && c->failure)
		error_set(err, c->failure->code, "%s", c->failure->text);
	return r;
}

int connection_run(const char *machine, const struct machine *settings, ssh_key key, struct error **err)
{
	CLEANUP(loop_freep) struct loop *loop = NULL;
	struct connection c = { .machine = machine, .settings = settings, .fd = -1 };
	int r = loop_new(&loop);
	if (r < 0)
		return error_set_errno(err, r, "epoll");
	signal(SIGPIPE, SIG_IGN);
	c.loop = loop;
	set_up_leaving(&c);
	r = serve(&c, key, err);
	pump_free(c.pump);
	error_free(c.failure);
	free(c.user);
	return r;
}
