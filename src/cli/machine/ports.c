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

enum { PORT_MS = 10 * 1000 };

/* Whether `before`, which may run, has the port of the host now: then another try of it says
 * nothing. */
static int has_host_port(const struct machine *before, const struct machine_publish *p)
{
	for (size_t i = 0; before && i < before->publish_count; i++)
		if (before->publish[i].host == p->host && before->publish[i].udp == p->udp)
			return 1;
	return 0;
}

int ports_try(const struct machine *before, const struct machine *after, enum ports_need need, struct error **err)
{
	for (size_t i = 0; i < after->publish_count; i++) {
		AUTO_ERROR struct error *why = NULL;
		int fds[MACHINE_PUBLISH_SOCKETS] = { -1, -1 };
		if (has_host_port(before, &after->publish[i]))
			continue;
		int r = machine_publish_open(NULL, &after->publish[i], fds, &why);
		for (size_t j = 0; j < ARRAY_SIZE(fds); j++)
			fd_close(fds[j]);
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

void ports_follow(const struct machine *before, const struct machine *after)
{
	if (machine_is_running(after->name) != 1)
		return;
	for (size_t i = 0; i < before->publish_count; i++)
		if (!machine_publish_find(after, &before->publish[i]))
			remove_live(after->name, &before->publish[i]);
	for (size_t i = 0; i < after->publish_count; i++)
		if (!machine_publish_find(before, &after->publish[i]))
			add_live(after->name, &after->publish[i]);
}
