/* SPDX-License-Identifier: Apache-2.0
 * Published ports, as -p, as PortBindings and as a list: what parses is written and parses again to
 * the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "docker/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void go_round(const struct docker_ports *p)
{
	AUTO_DOCKER_PORTS struct docker_ports again = { 0 };
	AUTO_JSON struct json_object *bindings = docker_ports_to_bindings(p, NULL);
	if (p->count > DOCKER_PORTS_MAX || docker_ports_from_bindings(&again, bindings, NULL) < 0)
		abort();
	AUTO_JSON struct json_object *same = docker_ports_to_bindings(&again, NULL);
	if (again.count != p->count || !json_object_equal(bindings, same))
		abort();
}

static void check_list(struct json_object *o)
{
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 }, exposed = { 0 }, again = { 0 }, rest = { 0 };
	if (docker_ports_from_list(o, &bound, &exposed, NULL) < 0)
		return;
	AUTO_JSON struct json_object *list = docker_ports_to_list(&bound, &exposed);
	if (docker_ports_from_list(list, &again, &rest, NULL) < 0)
		abort();
	AUTOFREE char *text = docker_ports_text(&bound, &exposed), *same = docker_ports_text(&again, &rest);
	if (!streq(text, same))
		abort();
}

static void check_body(struct json_object *o)
{
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 }, exposed = { 0 };
	if (docker_ports_read(o, &published, &exposed, NULL) < 0)
		return;
	go_round(&published);
	for (size_t i = 0; i < published.count; i++)
		if (!docker_ports_find(&exposed, &published.items[i]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_JSON struct json_object *o = NULL;
	AUTO_DOCKER_PORTS struct docker_ports written = { 0 }, sent = { 0 }, exposed = { 0 };
	if (docker_ports_publish(&written, text, NULL) == 0)
		go_round(&written);
	if (json_parse((const char *)data, size, "input", &o, NULL) < 0)
		return 0;
	if (docker_ports_from_bindings(&sent, o, NULL) == 0)
		go_round(&sent);
	(void)docker_ports_from_exposed(&exposed, o, NULL);
	if (exposed.count > DOCKER_PORTS_MAX)
		abort();
	check_list(o);
	check_list(o);
	check_body(o);
	return 0;
}
