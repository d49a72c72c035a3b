/* SPDX-License-Identifier: Apache-2.0
 * GET /info: the engine knows the containers and the machine, the keeper counts the images of the
 * host. */
#include <errno.h>

#include "base/alloc.h"
#include "keeper/docker/private.h"

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *entries = NULL, *images = NULL;
	int r = docker_images_parse(status, output, errors, &entries, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	images = docker_images_describe(entries);
	json_add_i64(q->body, "Images", (int64_t)json_object_array_length(images));
	docker_respond_json(q, 200, json_object_get(q->body));
}

void docker_info(struct docker_request *q)
{
	static const char *const words[] = { "ls", "--format", "json", NULL };
	docker_ask_and_list(q, "/info", words, on_listed);
}
