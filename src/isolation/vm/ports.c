/* SPDX-License-Identifier: Apache-2.0
 * The two virtio-serial ports. QEMU holds one end of a socket pair for each, we the other; a
 * multiplexer (HTTP/2 streams) is put on ours when the agent has the port open: QEMU says so, or
 * the first bytes do. QEMU's event is limited to one a second for a port, which is why both are
 * watched.
 *
 * When the agent dies (its port closes, or the multiplexer finds something that is not its
 * protocol), bytes of the old conversation may sit in the socket. So the pair is thrown away: QEMU
 * gets the end of a new one (getfd, chardev-change) and the next agent starts clean.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "isolation/vm/run.h"

static void port_reset(struct vm_port *p);

static int is_keepers(const struct vm_port *p)
{
	return p->role == MUX_CLIENT;
}

static void on_accept(int fd, void *data)
{
	struct vm_port *p = data;
	p->run->events.accepted(fd, p->run->data);
}

static void on_broken(struct source *s, void *data)
{
	struct vm_port *p = data;
	source_free(p->broken);
	p->broken = NULL;
	port_reset(p);
}

static void on_closed(int code, const char *why, void *data)
{
	struct vm_port *p = data;
	if (p->broken)
		return;
	free(p->why);
	p->why = xstrdup(why ? why : strerror(-code));
	loop_add_deferred(p->run->loop, on_broken, p, &p->broken);
}

/* The agent is there: streams can be opened. */
static void port_opened(struct vm_port *p)
{
	struct isolation_run *run = p->run;
	if (p->mux || p->fd < 0 || run->end.begun)
		return;
	source_free(p->readable);
	p->readable = NULL;
	int result = transport_mux_new(run->loop, TAKE_FD(p->fd), p->role, on_accept, on_closed, p, &p->mux);
	if (result < 0) {
		run_fail(run, result, "cannot talk to the machine's agent: %s", strerror(-result));
		return;
	}
	if (is_keepers(p))
		run->events.connected(p->mux, run->data);
}

static void on_readable(struct source *s, int fd, uint32_t events, void *data)
{
	struct vm_port *p = data;
	if (!(events & (EPOLLHUP | EPOLLERR))) {
		port_opened(p);
	} else {
		source_free(p->readable); /* QEMU is going; its exit is heard elsewhere */
		p->readable = NULL;
	}
}

static int make_pair(struct vm_port *p, int *ret_qemu_fd)
{
	int pair[2];
	int result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return result;
	p->fd = pair[0];
	fd_set_nonblocking(p->fd, 1);
	result = loop_add_io(p->run->loop, p->fd, EPOLLIN, on_readable, p, &p->readable);
	if (result < 0) {
		fd_close(pair[1]);
		return result;
	}
	*ret_qemu_fd = pair[1];
	return 0;
}

int port_init(struct vm_port *p, struct isolation_run *run, const char *chardev, const char *device, enum mux_role role,
    int *ret_qemu_fd)
{
	*p = (struct vm_port){ .run = run, .chardev = chardev, .device = device, .role = role, .fd = -1 };
	return make_pair(p, ret_qemu_fd);
}

static void drop(struct vm_port *p)
{
	source_free(p->readable);
	p->readable = NULL;
	source_free(p->broken);
	p->broken = NULL;
	transport_free(p->mux);
	p->mux = NULL;
	fd_close(p->fd);
	p->fd = -1;
}

static void on_changed(int code, struct json_object *result, const char *why, void *data)
{
	struct vm_port *p = data;
	if (code < 0)
		run_fail(p->run, code, "cannot renew the connection to the machine's agent: %s", why);
}

static void port_reset(struct vm_port *p)
{
	struct isolation_run *run = p->run;
	int had_mux = p->mux != NULL, qemu_fd = -1;
	if (had_mux && is_keepers(p))
		run->events.lost(p->why ? p->why : "the agent closed its port", run->data);
	drop(p);
	if (run->end.begun || run->powered_off)
		return;
	if (had_mux && ++p->losses > PORT_LOSSES_MAX) {
		run_fail(run, -EPROTO, "the machine's agent keeps breaking its protocol");
		return;
	}
	int result = make_pair(p, &qemu_fd);
	if (result < 0) {
		run_fail(run, result, "cannot renew the connection to the machine's agent: %s", strerror(-result));
		return;
	}
	struct json_object *name = json_object_new_object();
	json_add_string(name, "fdname", p->chardev);
	qmp_execute(run->qmp, "getfd", name, qemu_fd, NULL, NULL);
	struct json_object *address_data = json_object_new_object(), *address = json_object_new_object(),
			   *data = json_object_new_object(), *backend = json_object_new_object(),
			   *arguments = json_object_new_object();
	json_add_string(address_data, "str", p->chardev);
	json_add_string(address, "type", "fd");
	json_add(address, "data", address_data);
	json_add(data, "addr", address);
	json_add_bool(data, "server", 0);
	json_add_string(backend, "type", "socket");
	json_add(backend, "data", data);
	json_add_string(arguments, "id", p->chardev);
	json_add(arguments, "backend", backend);
	qmp_execute(run->qmp, "chardev-change", arguments, -1, on_changed, p);
}

void port_event(struct isolation_run *run, struct json_object *event_data)
{
	const char *id;
	int open;
	if (!event_data || json_get_string(event_data, "id", &id, NULL) < 0 ||
	    json_get_bool(event_data, "open", &open, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(run->ports); i++) {
		struct vm_port *p = &run->ports[i];
		if (!streq(p->device, id))
			continue;
		log_debug("port %s is %s", id, open ? "open" : "closed");
		if (open)
			port_opened(p);
		else if (p->mux)
			port_reset(p);
	}
}

void port_done(struct vm_port *p)
{
	drop(p);
	free(p->why);
	p->why = NULL;
}
