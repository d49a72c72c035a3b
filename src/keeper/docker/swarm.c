/* SPDX-License-Identifier: Apache-2.0
 * Swarms and plugins, which holm's engine has not: the answers of a node of Docker that is no swarm
 * manager and has no plugins. */
#include "keeper/docker/private.h"

#define NO_MANAGER                                                                                                     \
	"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this "        \
	"node to swarm and try again."

enum { UNAVAILABLE = 503 };

/* The first row that matches: a whole path, or all that is below one that ends with a slash. */
static const struct absent {
	const char *method, *path; /* method NULL: any */
	const char *problem;
} absent[] = {
	{ "POST", "/swarm/init", "holm's engine has no swarms; run services with docker-compose" },
	{ "POST", "/swarm/join", "holm's engine has no swarms; run services with docker-compose" },
	{ "POST", "/swarm/leave", "This node is not part of a swarm" },
	{ NULL, "/swarm", NO_MANAGER },
	{ NULL, "/swarm/", NO_MANAGER },
	{ NULL, "/nodes", NO_MANAGER },
	{ NULL, "/nodes/", NO_MANAGER },
	{ NULL, "/services", NO_MANAGER },
	{ NULL, "/services/", NO_MANAGER },
	{ NULL, "/tasks", NO_MANAGER },
	{ NULL, "/tasks/", NO_MANAGER },
	{ NULL, "/secrets", NO_MANAGER },
	{ NULL, "/secrets/", NO_MANAGER },
	{ NULL, "/configs", NO_MANAGER },
	{ NULL, "/configs/", NO_MANAGER },
};

void docker_list_plugins(struct docker_request *q)
{
	docker_respond_json(q, 200, json_object_new_array());
}

int docker_refuse_swarm(struct http_exchange *x, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		const struct absent *a = &absent[i];
		if ((a->method && !streq(a->method, http_exchange_head(x)->method)) ||
		    !(endswith(a->path, "/") ? startswith(path, a->path) != NULL : streq(path, a->path)))
			continue;
		struct json_object *o = json_object_new_object();
		json_add_string(o, "message", a->problem);
		http_respond_json(x, UNAVAILABLE, o);
		return 1;
	}
	return 0;
}
