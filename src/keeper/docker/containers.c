/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/json: the engine lists, but knows names of images only as containers were created
 * from. The keeper adds to the filter "ancestor" the digests that the library has under its
 * names. */
#include <stdio.h>

#include "base/alloc.h"
#include "docker/filters.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

/* The filters with the digest behind each name. */
static void add_digests(struct json_object *filters, struct json_object *images)
{
	AUTO_STRV struct strv wishes = { 0 }, all = { 0 };
	docker_filters_get(filters, "ancestor", &wishes);
	for (size_t i = 0; i < wishes.count; i++) {
		int by_name;
		const char *digest = NULL;
		struct json_object *found = docker_images_find(images, wishes.items[i], &by_name);
		strv_add(&all, wishes.items[i]);
		if (found && json_get_string(found, "digest", &digest, NULL) == 0)
			strv_add(&all, digest);
	}
	json_object_object_del(filters, "ancestor");
	json_add_strv(filters, "ancestor", &all);
}

/* The target with other filters; owned. */
static char *replace_filters(const char *target, struct json_object *filters)
{
	AUTO_STRV struct strv parts = { 0 }, kept = { 0 };
	const char *query = strchr(target, '?');
	AUTOFREE char *text = json_to_string(filters, 0), *encoded = http_encode_query(text);
	strv_split(&parts, query ? query + 1 : "", "&");
	for (size_t i = 0; i < parts.count; i++)
		if (!startswith(parts.items[i], "filters="))
			strv_add(&kept, parts.items[i]);
	strv_addf(&kept, "filters=%s", encoded);
	AUTOFREE char *joined = strv_join(&kept, "&");
	return xasprintf("%.*s?%s", (int)strcspn(target, "?"), target, joined);
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_JSON struct json_object *images = NULL;
	if (q->exchange && docker_images_parse(status, output, errors, &images, NULL) == 0) {
		add_digests(q->body, images);
		q->target = replace_filters(http_exchange_head(q->exchange)->target, q->body);
	}
	docker_hand_over(q, NULL);
}

void docker_list_containers(struct docker_request *q)
{
	static const char *const words[] = { "ls", "--format", "json", NULL };
	AUTO_STRV struct strv wishes = { 0 };
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, "filters");
	/* The engine refuses what is no filter. */
	if (text && *text && json_parse(text, strlen(text), "filters", &q->body, NULL) == 0 &&
	    json_object_is_type(q->body, json_type_object))
		docker_filters_get(q->body, "ancestor", &wishes);
	if (!wishes.count || docker_program(keeper_loop(q->keeper), words, on_listed, q, NULL) < 0)
		docker_hand_over(q, NULL);
}
