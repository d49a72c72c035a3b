/* SPDX-License-Identifier: Apache-2.0
 * A published port that another machine has opened by itself: its keeper gives it up when it is
 * asked. This keeper waits for the answer, a short time; nobody asks for numbers that no machine
 * has. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/http.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/automatic.h"

enum { ASK_MS = 500, PAUSE_MS = 1000 };

static int connect_keeper(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTOFREE char *path = machine_socket_find(name);
	if (!path)
		return -ESRCH;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int ask(const char *name, const struct machine_publish *spec)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTO_JSON struct json_object *body = json_object_new_object();
	AUTOFREE char *text = machine_publish_format(spec);
	AUTO_FD int fd = connect_keeper(name);
	json_add_string(body, "port", text);
	if (fd < 0)
		return fd;
	return http_request(fd, "POST", "/v1/auto-ports", NULL, body, clock_deadline(ASK_MS), &response, NULL);
}

int auto_ports_ask_others(const struct keeper *k, const struct machine_publish *spec)
{
	static uint64_t next_ms; /* a keeper has one machine, whose engine may want ports without an end */
	AUTO_STRV struct strv names = { 0 };
	int given = 0;
	if (spec->udp || !spec->host || clock_now_ms() < next_ms)
		return 0;
	next_ms = clock_deadline(PAUSE_MS);
	machine_list(&names, NULL);
	for (size_t i = 0; i < names.count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		if (!streq(names.items[i], k->machine->name) && machine_is_running(names.items[i]) == 1 &&
		    machine_load(names.items[i], &m, NULL) == 0 && m->auto_ports)
			given |= ask(names.items[i], spec) == 0;
	}
	return given;
}
