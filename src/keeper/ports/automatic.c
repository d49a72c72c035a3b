/* SPDX-License-Identifier: Apache-2.0
 * See automatic.h.
 *
 * Problem. The list of ports comes from inside, where an attacker may open and close as many as he
 * likes, and the numbers are the host's, which has programs of its own.
 *
 * Idea. The agent's answer to GET /v1/listening has a line for each change: the whole list. The
 * last line counts. It is carried out at most each APPLY_MS, and each number costs one of
 * TRIES_MAX tokens, of which TRIES_A_SECOND come back. A number is tried once: on the machine's own
 * address, and on localhost. An address that another program of the host has is left to it, also
 * when that program ends: it may come back. Localhost is 127.0.0.1 and ::1, and a client of that
 * name tries ::1 first. So a program that has the number at one of them keeps it at both. Sockets
 * go into the publisher's list, so connections are its own. */
#include "keeper/ports/automatic.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "http/http.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

enum {
	APPLY_MS = 100,
	TRIES_MAX = 2 * AUTO_PORTS_MAX,
	TRIES_A_SECOND = 32,
	LINES_MAX = 64, /* in APPLY_MS; the agent sends a few */
	FLOOD_MS = 10 * 1000,
};

struct auto_port {
	uint16_t number;
	int tried;
};

struct auto_ports {
	struct keeper *keeper;
	struct http_call *call;
	struct source *timer;
	uint64_t applied_ms, tokens_ms, flood_ms;
	uint32_t first;         /* number that needs no privileges */
	unsigned tokens, lines; /* lines: since the last apply */
	uint16_t wanted[AUTO_PORTS_REPORTED];
	size_t wanted_count;
	struct auto_port ports[AUTO_PORTS_MAX]; /* those of wanted that have room */
	size_t count;
};

/* ---- the report ---- */

/* Services that a host has under these numbers, or looks for there. */
static int is_reserved(uint64_t number)
{
	static const uint16_t reserved[] = { 22, 53, 111, 5353, 5355 };
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (number == reserved[i])
			return 1;
	return 0;
}

static int has_number(const uint16_t *list, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return 1;
	return 0;
}

int auto_ports_parse(struct json_object *line, uint32_t first, uint16_t ret[static AUTO_PORTS_REPORTED])
{
	struct json_object *list;
	int count = 0;
	if (!json_object_is_type(line, json_type_object) || json_get_array(line, "ports", &list, NULL) < 0)
		return -EBADMSG;
	size_t length = MIN(json_object_array_length(list), (size_t)AUTO_PORTS_REPORTED);
	for (size_t i = 0; i < length; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		int64_t number = json_object_get_int64(item);
		if (!json_object_is_type(item, json_type_int) || number < 1 || number > UINT16_MAX)
			return -EBADMSG;
		if (number >= first && !is_reserved((uint64_t)number) &&
		    !has_number(ret, (size_t)count, (uint64_t)number))
			ret[count++] = (uint16_t)number;
	}
	return count;
}

/* ---- sockets ---- */

static struct published **find_socket(struct publisher *p, uint16_t number, const char *address)
{
	struct published **at = &p->ports;
	while (*at && (!(*at)->automatic || (*at)->spec.host != number || (address && !streq((*at)->address, address))))
		at = &(*at)->next;
	return at;
}

static void close_number(struct publisher *p, uint16_t number)
{
	struct published **at;
	while (*(at = find_socket(p, number, NULL)))
		publish_free(at);
}

static int bind_number(uint16_t number, const char *address, int *ret_fd)
{
	const struct machine_publish spec = { (char *)address, number, number, 0 };
	int r = machine_publish_bind(address, &spec, ret_fd);
	if (r < 0)
		log_debug("port %u stays closed at %s: %s", number, address, strerror(-r));
	return r;
}

static void add_number(struct publisher *p, uint16_t number, const char *address, int fd)
{
	const struct machine_publish spec = { (char *)address, number, number, 0 };
	publish_accept(publish_add_automatic(p, &spec, fd));
}

/* Opens both addresses of localhost, or one on a host that lacks the other. None, if a program has
 * the number at one of them. */
static void open_at_localhost(struct publisher *p, uint16_t number)
{
	int fds[MACHINE_PUBLISH_SOCKETS] = { -1, -1 }, taken = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (!*find_socket(p, number, machine_publish_loopback[i]))
			taken |= bind_number(number, machine_publish_loopback[i], &fds[i]) == -EADDRINUSE;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct published **open = find_socket(p, number, machine_publish_loopback[i]);
		if (taken && *open)
			publish_free(open);
		if (taken)
			fd_close(fds[i]);
		else if (fds[i] >= 0)
			add_number(p, number, machine_publish_loopback[i], fds[i]);
	}
}

static void open_number(struct publisher *p, uint16_t number)
{
	const char *own = p->keeper->address;
	int fd;
	if (!*find_socket(p, number, own) && bind_number(number, own, &fd) == 0)
		add_number(p, number, own, fd);
	open_at_localhost(p, number);
}

/* ---- from the report to the sockets ---- */

static void refill_tokens(struct auto_ports *a)
{
	uint64_t now = clock_now_ms(), more = (now - a->tokens_ms) * TRIES_A_SECOND / 1000;
	if (more == 0)
		return;
	a->tokens = (unsigned)MIN(a->tokens + more, (uint64_t)TRIES_MAX);
	a->tokens_ms = now;
}

static struct auto_port *find(struct auto_ports *a, uint16_t number)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->ports[i].number == number)
			return &a->ports[i];
	return NULL;
}

/* Closes what listens no more, and gives its room to others. */
static void choose(struct auto_ports *a)
{
	for (size_t i = 0; i < a->count;) {
		if (has_number(a->wanted, a->wanted_count, a->ports[i].number)) {
			i++;
			continue;
		}
		close_number(a->keeper->publisher, a->ports[i].number);
		a->ports[i] = a->ports[--a->count];
	}
	for (size_t i = 0; i < a->wanted_count && a->count < AUTO_PORTS_MAX; i++)
		if (!find(a, a->wanted[i]))
			a->ports[a->count++] = (struct auto_port){ .number = a->wanted[i] };
}

/* Opens those that were not tried yet, as far as the tokens go. Returns when it can go on. */
static uint64_t open_new(struct auto_ports *a)
{
	refill_tokens(a);
	for (size_t i = 0; i < a->count; i++) {
		if (a->ports[i].tried)
			continue;
		if (a->tokens == 0)
			return clock_deadline(1000 / TRIES_A_SECOND);
		a->tokens--;
		a->ports[i].tried = 1;
		open_number(a->keeper->publisher, a->ports[i].number);
	}
	return UINT64_MAX;
}

/* Ends an answer that floods the keeper; the next question comes later. 0 or 1. */
static int end_flood(struct auto_ports *a)
{
	int flood = a->lines > LINES_MAX;
	a->lines = 0;
	if (!flood)
		return 0;
	log_warning("the machine reports its ports too often");
	http_call_cancel(TAKE_PTR(a->call));
	a->flood_ms = clock_deadline(FLOOD_MS);
	source_set_timer(a->timer, a->flood_ms);
	return 1;
}

static void on_apply(struct source *s, void *data)
{
	struct auto_ports *a = data;
	a->applied_ms = clock_now_ms();
	if (a->flood_ms && a->applied_ms >= a->flood_ms) {
		a->flood_ms = 0;
		auto_ports_start(a->keeper);
	}
	if (end_flood(a))
		return;
	choose(a);
	uint64_t next = open_new(a);
	source_set_timer(a->timer, a->flood_ms ? MIN(next, a->flood_ms) : next);
}

static void apply_soon(struct auto_ports *a)
{
	source_set_timer(a->timer, MAX(a->applied_ms + APPLY_MS, clock_now_ms()));
}

static void on_line(struct json_object *line, void *data)
{
	struct auto_ports *a = data;
	int count = auto_ports_parse(line, a->first, a->wanted);
	a->wanted_count = count < 0 ? 0 : (size_t)count;
	a->lines++;
	apply_soon(a);
}

static void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct auto_ports *a = data;
	a->call = NULL;
	if (code < 0)
		log_info("ports that open by themselves: %s", error_text(err, code));
}

/* ---- from outside ---- */

static struct auto_ports *auto_ports_new(struct keeper *k)
{
	struct auto_ports *a = xnew(struct auto_ports);
	*a = (struct auto_ports){ .keeper = k,
		.first = machine_publish_first_port(),
		.tokens = TRIES_MAX,
		.tokens_ms = clock_now_ms() };
	if (loop_add_timer(k->loop, UINT64_MAX, on_apply, a, &a->timer) == 0)
		return a;
	free(a);
	return NULL;
}

void auto_ports_start(struct keeper *k)
{
	static const struct http_call_events events = { .line = on_line, .done = on_done };
	AUTO_ERROR struct error *err = NULL;
	int fd;
	if (!k->auto_ports_on || !k->publisher)
		return;
	if (!k->publisher->automatic)
		k->publisher->automatic = auto_ports_new(k);
	struct auto_ports *a = k->publisher->automatic;
	if (!a)
		return;
	http_call_cancel(TAKE_PTR(a->call));
	int r = keeper_open_stream(k, &fd, &err);
	if (r == 0)
		r = http_call(k->loop, fd, "GET", "/v1/listening", NULL, UINT64_MAX, &events, a, &a->call);
	if (r < 0)
		log_info("ports do not open by themselves: %s", error_text(err, r));
}

void auto_ports_free(struct auto_ports *a)
{
	if (!a)
		return;
	http_call_cancel(a->call);
	source_free(a->timer);
	free(a);
}

void auto_ports_yield(struct auto_ports *a, uint16_t number)
{
	struct auto_port *port = a ? find(a, number) : NULL;
	if (!port)
		return;
	close_number(a->keeper->publisher, number);
	auto_ports_retry(a, number);
}

void auto_ports_retry(struct auto_ports *a, uint16_t number)
{
	struct auto_port *port = a ? find(a, number) : NULL;
	if (!port)
		return;
	port->tried = 0;
	apply_soon(a);
}

struct json_object *auto_ports_describe(const struct auto_ports *a)
{
	struct json_object *list = a ? json_object_new_array() : NULL;
	for (size_t i = 0; a && i < a->count; i++)
		json_object_array_add(list, json_object_new_int(a->ports[i].number));
	return list;
}

/* Whether the port cannot be bound as long as the socket is open. Both of localhost go together. */
static int is_in_way(const struct published *socket, const struct machine_publish *port, const char *own)
{
	if (!socket->automatic || socket->spec.host != port->host)
		return 0;
	if (streq(socket->address, own))
		return port->ip && (streq(port->ip, "0.0.0.0") || streq(port->ip, own));
	return !port->ip || streq(port->ip, machine_publish_loopback[0]) ||
	       streq(port->ip, machine_publish_loopback[1]) || streq(port->ip, "0.0.0.0") || streq(port->ip, "::");
}

int keeper_yield_port(struct keeper *k, const struct machine_publish *spec, struct error **err)
{
	struct publisher *p = k->publisher;
	int closed = 0;
	for (struct published **at = p ? &p->ports : NULL; at && *at;) {
		if (!is_in_way(*at, spec, k->address)) {
			at = &(*at)->next;
			continue;
		}
		publish_free(at);
		closed = 1;
	}
	return closed ? 0 : error_set(err, ENOENT, "port %u has not opened by itself", spec->host);
}

int keeper_set_auto_ports(struct keeper *k, int on, const char *address, struct error **err)
{
	struct publisher *p = k->publisher;
	if (!p || k->isolation_ended)
		return error_set(err, EOPNOTSUPP, "the ports open when the machine starts again");
	if (address && !machine_address_is_valid(address))
		return error_set(err, EINVAL, "\"%.40s\" is no address of a machine", address);
	k->auto_ports_on = on;
	for (struct published **at = &p->ports; *at;) {
		if ((*at)->automatic)
			publish_free(at);
		else
			at = &(*at)->next;
	}
	auto_ports_free(TAKE_PTR(p->automatic));
	if (address) {
		free(k->address);
		k->address = xstrdup(address);
	}
	if (k->session_ready)
		auto_ports_start(k);
	return 0;
}
