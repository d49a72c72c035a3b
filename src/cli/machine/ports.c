/* SPDX-License-Identifier: Apache-2.0
 * A port is tried here before the settings change, by the same code with which the keeper binds
 * it. */
#include "cli/machine/ports.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/machine/change.h"
#include "cli/client.h"
#include "cli/output.h"
#include "http/http.h"

enum { PORT_MS = 10 * 1000, ASK_MS = 2000 };

/* Whether `before`, which may run, has the port of the host now: then another try of it says
 * nothing. */
static int has_host_port(const struct machine *before, const struct machine_publish *p)
{
	for (size_t i = 0; before && i < before->publish_count; i++)
		if (before->publish[i].host == p->host && before->publish[i].udp == p->udp)
			return 1;
	return 0;
}

/* Asks running machines, one of which may have opened the port by itself, to give it up: whether
 * one did. */
static int ask_machines(const struct machine_publish *p)
{
	AUTO_STRV struct strv names = { 0 };
	AUTO_JSON struct json_object *body = json_object_new_object();
	AUTOFREE char *text = machine_publish_format(p);
	int given = 0;
	json_add_string(body, "port", text);
	machine_list(&names, NULL);
	for (size_t i = 0; !p->udp && i < names.count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		if (machine_is_running(names.items[i]) == 1 && machine_load(names.items[i], &m, NULL) == 0 &&
		    m->auto_ports)
			given |=
			    client_call(m->name, "POST", "/v1/auto-ports", body, clock_deadline(ASK_MS), NULL) == 0;
	}
	return given;
}

/* Binds a port and lets it go again. 0 or -errno. */
static int try_port(const struct machine_publish *p, struct error **err)
{
	int fds[MACHINE_PUBLISH_SOCKETS] = { -1, -1 };
	int r = machine_publish_open(NULL, p, fds, err);
	for (size_t j = 0; j < ARRAY_SIZE(fds); j++)
		fd_close(fds[j]);
	return r;
}

int ports_try(const struct machine *before, const struct machine *after, enum ports_need need, struct error **err)
{
	for (size_t i = 0; i < after->publish_count; i++) {
		AUTO_ERROR struct error *why = NULL;
		if (has_host_port(before, &after->publish[i]))
			continue;
		int r = try_port(&after->publish[i], &why);
		if (r == -EADDRINUSE && ask_machines(&after->publish[i])) {
			error_clear(&why);
			r = try_port(&after->publish[i], &why);
		}
		if (r < 0 && need == PORTS_NEEDED_NOW)
			return error_set(err, -r, "%s", error_text(why, r));
		if (r < 0)
			output_note("%s", error_text(why, r));
	}
	return 0;
}

static void remove_live(const char *name, const struct machine_publish *p)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = machine_publish_format(p), *encoded = http_encode_query(text),
		      *target = xasprintf("/v1/ports?port=%s", encoded);
	int r = client_call(name, "DELETE", target, NULL, clock_deadline(PORT_MS), &err);
	change_tell_running(name, r == -ENOENT ? 0 : r, err);
}

static void add_live(const char *name, const struct machine_publish *p)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *body = json_object_new_object();
	AUTOFREE char *text = machine_publish_format(p);
	json_add_string(body, "port", text);
	int r = client_call(name, "POST", "/v1/ports", body, clock_deadline(PORT_MS), &err);
	change_tell_running(name, r == -EEXIST ? 0 : r, err);
}

static void follow_auto_ports(const struct machine *after)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *body = json_object_new_object();
	json_add_bool(body, "on", after->auto_ports);
	json_add_string(body, "address", after->address);
	int r = client_call(after->name, "PUT", "/v1/auto-ports", body, clock_deadline(PORT_MS), &err);
	change_tell_running(after->name, r, err);
}

void ports_follow(const struct machine *before, const struct machine *after)
{
	if (machine_is_running(after->name) != 1)
		return;
	if (before->auto_ports != after->auto_ports)
		follow_auto_ports(after);
	for (size_t i = 0; i < before->publish_count; i++)
		if (!machine_publish_find(after, &before->publish[i]))
			remove_live(after->name, &before->publish[i]);
	for (size_t i = 0; i < after->publish_count; i++)
		if (!machine_publish_find(before, &after->publish[i]))
			add_live(after->name, &after->publish[i]);
}
