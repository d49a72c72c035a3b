/* SPDX-License-Identifier: Apache-2.0
 * See remote.h. The agent listens while our request to it is open, and reports each connection
 * in a line; we fetch it by another request and open a channel for it. */
#include "ssh/remote.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "cli/client.h"
#include "http/http.h"
#include "ssh/forward.h"

enum { REMOTES_MAX = 64, FETCHES_MAX = 128, FETCH_MS = 30 * 1000, PRIVILEGED = 1024, HOST_MAX = 255 };

/* A connection that is on its way. */
struct fetch {
	struct fetch *next;
	struct remote *remote;
	struct http_call *call;
	char *origin;
	int origin_port;
};

struct remote {
	struct remote *next;
	struct connection *connection;
	struct http_call *call;
	ssh_message asked; /* not answered yet; NULL */
	char *host;
	int port; /* that is open */
	struct fetch *fetches;
	size_t count;
};

static void fetch_release(struct fetch *f)
{
	http_call_cancel(f->call);
	free(f->origin);
	free(f);
}

static void fetch_free(struct fetch *f)
{
	for (struct fetch **at = &f->remote->fetches; *at; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			break;
		}
	}
	f->remote->count--;
	fetch_release(f);
}

/* Answers the client's request: port 0 refuses it. */
static void answer(struct remote *r, int port)
{
	ssh_message m = TAKE_PTR(r->asked);
	if (!m)
		return;
	if (port)
		ssh_message_global_request_reply_success(m, (uint16_t)port);
	else
		ssh_message_reply_default(m);
	ssh_message_free(m);
	r->connection->answering = 0;
	connection_wake(r->connection);
}

void remote_free(struct remote *r)
{
	for (struct remote **at = &r->connection->remotes; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	answer(r, 0);
	for (struct fetch *f = r->fetches, *next; f; f = next) {
		next = f->next;
		fetch_release(f);
	}
	http_call_cancel(r->call);
	free(r->host);
	free(r);
}

/* ---- a connection ---- */

static void on_fetched(int fd, struct buffer *early, void *data)
{
	struct fetch *f = data;
	struct remote *r = f->remote;
	f->call = NULL;
	forward_from_port(r->connection, fd, early, r->host, r->port, f->origin, f->origin_port);
	fetch_free(f);
}

static void on_not_fetched(int code, struct json_object *body, const struct error *err, void *data)
{
	struct fetch *f = data;
	f->call = NULL;
	fetch_free(f);
}

static void fetch(struct remote *r, uint64_t number, const char *origin, uint64_t origin_port)
{
	static const struct http_call_events events = {
		.done = on_not_fetched,
		.upgrade = "holm-stream",
		.upgraded = on_fetched,
	};
	int fd = r->count < FETCHES_MAX ? client_connect(r->connection->machine, NULL) : -EBUSY;
	if (fd < 0)
		return;
	struct fetch *f = xnew(struct fetch);
	*f = (struct fetch){ .remote = r,
		.next = r->fetches,
		.origin = xstrdup(origin),
		.origin_port = (int)origin_port };
	r->fetches = f;
	r->count++;
	struct json_object *body = json_object_new_object();
	json_add_u64(body, "connection", number);
	if (http_call(r->connection->loop, fd, "POST", "/v1/accept", body, clock_deadline(FETCH_MS), &events, f,
		&f->call) < 0)
		fetch_free(f);
}

/* ---- the port ---- */

static void on_line(struct json_object *line, void *data)
{
	struct remote *r = data;
	const char *origin = NULL;
	uint64_t number = 0, port = 0;
	if (json_get_u64(line, "port", &port, NULL) < 0 || port > 65535)
		return;
	if (r->asked) {
		r->port = (int)port;
		answer(r, r->port);
	} else if (json_get_u64(line, "connection", &number, NULL) == 0 &&
		   json_get_string(line, "address", &origin, NULL) == 0 && strlen(origin) <= HOST_MAX) {
		fetch(r, number, origin, port);
	}
}

static void on_end(int code, struct json_object *body, const struct error *err, void *data)
{
	struct remote *r = data;
	r->call = NULL;
	remote_free(r);
}

/* As sshd(8) has it: only root takes these. */
static int may_listen(const struct connection *c, int port)
{
	return port == 0 || port >= PRIVILEGED || streq(c->user, "root") || streq(c->user, "0") || geteuid() == 0;
}

static size_t count_remotes(const struct connection *c)
{
	size_t n = 0;
	for (const struct remote *r = c->remotes; r; r = r->next)
		n++;
	return n;
}

int remote_listen(struct connection *c, ssh_message m)
{
	static const struct http_call_events events = { .line = on_line, .done = on_end };
	const char *host = ssh_message_global_request_address(m);
	int port = ssh_message_global_request_port(m);
	if (!host || strlen(host) > HOST_MAX || port < 0 || port > 65535 || !may_listen(c, port) ||
	    count_remotes(c) >= REMOTES_MAX)
		return 0;
	int fd = client_connect(c->machine, NULL);
	if (fd < 0)
		return 0;
	struct remote *r = xnew(struct remote);
	*r = (struct remote){ .connection = c, .next = c->remotes, .host = xstrdup(host), .asked = m };
	c->remotes = r;
	c->answering = 1;
	struct json_object *body = json_object_new_object();
	json_add_i64(body, "port", port);
	if (http_call(c->loop, fd, "POST", "/v1/listen", body, UINT64_MAX, &events, r, &r->call) < 0)
		remote_free(r);
	return 1;
}

int remote_cancel(struct connection *c, ssh_message m)
{
	const char *host = ssh_message_global_request_address(m);
	int port = ssh_message_global_request_port(m);
	for (struct remote *r = c->remotes; r; r = r->next) {
		if (r->port != port || !streq(r->host, host))
			continue;
		remote_free(r);
		return 1;
	}
	return 0;
}
