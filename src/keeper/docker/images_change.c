/* SPDX-License-Identifier: Apache-2.0
 * Requests that change images, or tell how they were made. holm-image does the work. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/name.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

static int flag(struct docker_request *q, const char *key)
{
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, key);
	return text && *text && !streq(text, "0") && !streq(text, "false");
}

/* ---- finding ---- */

/* Finds an image in the answer of `ls`: its digest, and its name that was meant, or NULL (both
 * borrowed). 0 or -ENOENT. */
static int find(struct json_object *list, const char *wish, const char **ret_digest, const char **ret_name)
{
	int by_name;
	struct json_object *found = docker_images_find(list, wish, &by_name);
	*ret_digest = *ret_name = NULL;
	if (found)
		json_get_string(found, "digest", ret_digest, NULL);
	if (by_name)
		json_get_string(found, "name", ret_name, NULL);
	return *ret_digest ? 0 : -ENOENT;
}

/* ---- DELETE /images/NAME ---- */

struct removal {
	struct docker_request *q;
	struct json_object *list; /* of `ls` */
	int force;
	char *digest, *name; /* name NULL: the client names the digest */
};

static void removal_free(struct removal *r)
{
	json_object_put(r->list);
	free(r->digest);
	free(r->name);
	free(r);
}

static void fail(struct removal *r, int code, const struct error *err)
{
	docker_respond_error(r->q, code, err);
	removal_free(r);
}

static void add_answer(struct json_object *list, const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, key, value);
	json_object_array_add(list, o);
}

/* Docker's answer of the rows {"untagged":NAME} and {"deleted":DIGEST}, and its events. */
static struct json_object *tell_removed(const struct removal *r, struct json_object *rows)
{
	struct json_object *answer = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *name = NULL;
		if (json_get_string(row, "untagged", &name, NULL) == 0) {
			add_answer(answer, "Untagged", docker_familiar_name(name));
			docker_tell_event(r->q->keeper, "untag", r->digest, docker_familiar_name(name));
		} else {
			add_answer(answer, "Deleted", r->digest);
			docker_tell_event(r->q->keeper, "delete", r->digest, r->digest);
		}
	}
	return answer;
}

static void on_removed(int status, const char *output, const char *errors, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *rows = NULL;
	int result = 0;
	if (status != 0) {
		AUTOFREE char *line = docker_last_line(errors);
		result = error_set(&err, startswith(line, "conflict:") ? EEXIST : EIO, "%s", line);
	} else {
		result = json_parse_bytes(output, strlen(output), "holm-image's answer", &rows, &err);
	}
	if (result < 0 || !json_object_is_type(rows, json_type_array)) {
		fail(r, result < 0 ? result : -EIO, err);
		return;
	}
	docker_respond_json(r->q, 200, tell_removed(r, rows));
	removal_free(r);
}

/* holm-image looks at the containers of all machines, this one among them. */
static void on_used(int code, struct json_object *used, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	if (code == 0 && used)
		docker_images_shrink(r->q->keeper, used);
	const char *const words[] = { "rm", "--format=json", r->name ? r->name : r->digest, r->force ? "--force" : NULL,
		NULL };
	int result = docker_program(keeper_loop(r->q->keeper), words, on_removed, r, &err);
	if (result < 0)
		fail(r, result, err);
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	const char *digest, *name;
	int result = docker_images_parse(status, output, errors, &r->list, &err);
	if (result == 0 && find(r->list, r->q->reference, &digest, &name) < 0)
		result = error_set(&err, ENOENT, "No such image: %s", r->q->reference);
	if (result < 0) {
		fail(r, result, err);
		return;
	}
	r->digest = xstrdup(digest);
	r->name = name ? xstrdup(name) : NULL;
	/* A machine whose engine cannot be asked runs no containers. */
	if (docker_ask(r->q->keeper, "GET", DOCKER_USED_IMAGES, NULL, on_used, r) < 0)
		on_used(-ENOTCONN, NULL, r);
}

void docker_remove_image(struct docker_request *q)
{
	static const char *const words[] = { "ls", "--format", "json", NULL };
	AUTO_ERROR struct error *err = NULL;
	int force = flag(q, "force"), result = docker_take_reference(q, q->name, &err);
	if (result < 0) {
		docker_respond_error(q, result, err);
		return;
	}
	struct removal *r = xnew(struct removal);
	*r = (struct removal){ .q = q, .force = force };
	if ((result = docker_program(keeper_loop(q->keeper), words, on_listed, r, &err)) < 0)
		fail(r, result, err);
}

/* ---- POST /images/NAME/tag ---- */

static void on_tagged(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *line = docker_last_line(errors), *name = xstrndup(output, strcspn(output, "\n"));
	if (status != 0) {
		int missing = strstr(line, "no image \"") != NULL;
		int r = missing ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
				  error_set(&err, EINVAL, "%s", line);
		docker_respond_error(q, r, err);
		return;
	}
	docker_tell_event(q->keeper, "tag", q->reference, docker_familiar_name(name));
	if (q->exchange)
		http_respond(q->exchange, 201, NULL, NULL, 0);
	docker_request_free(q);
}

void docker_tag_image(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	const char *target = http_exchange_head(q->exchange)->target;
	AUTOFREE char *repository = docker_query(target, "repo"), *tag = docker_query(target, "tag");
	int r = docker_take_reference(q, q->name, &err);
	if (r == 0 && (!repository || !*repository || repository[0] == '-'))
		r = error_set(&err, EINVAL, "invalid reference format");
	if (r == 0) {
		AUTOFREE char *name = tag && *tag ? xasprintf("%s:%s", repository, tag) : xstrdup(repository);
		const char *const words[] = { "tag", q->reference, name, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_tagged, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- GET /images/NAME/history ---- */

static struct json_object *history_entry(struct json_object *from)
{
	struct json_object *o = json_object_new_object();
	const char *image = NULL, *by = "", *comment = "";
	uint64_t size = 0;
	json_get_string(from, "image", &image, NULL);
	json_get_string(from, "created_by", &by, NULL);
	json_get_string(from, "comment", &comment, NULL);
	json_get_u64(from, "size", &size, NULL);
	json_add_string(o, "Id", image ? image : "<missing>");
	json_add_i64(o, "Created", docker_created_of(from));
	json_add_string(o, "CreatedBy", by);
	json_object_object_add(o, "Tags", NULL);
	json_add_u64(o, "Size", size);
	json_add_string(o, "Comment", comment);
	return o;
}

static void on_history(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *steps = NULL;
	int r = status ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
			 json_parse_bytes(output, strlen(output), "holm-image's answer", &steps, &err);
	if (r < 0 || !json_object_is_type(steps, json_type_array)) {
		docker_respond_error(q, r < 0 ? r : -EIO, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(steps); i++)
		json_object_array_add(list, history_entry(json_object_array_get_idx(steps, i)));
	docker_respond_json(q, 200, list);
}

void docker_image_history(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	int r = docker_take_reference(q, q->name, &err);
	if (r == 0) {
		AUTOFREE char *platform = docker_platform_option(q);
		const char *const words[] = { "history", "--format", "json", q->reference, platform, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_history, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- POST /images/prune ---- */

static void on_pruned(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *rows = NULL;
	AUTOFREE char *line = docker_last_line(errors);
	int r = status ? error_set(&err, EIO, "%s", line) :
			 json_parse_bytes(output, strlen(output), "holm-image's answer", &rows, &err);
	if (r < 0 || !json_object_is_type(rows, json_type_array)) {
		docker_respond_error(q, r < 0 ? r : -EIO, err);
		return;
	}
	struct json_object *o = json_object_new_object(), *deleted = json_object_new_array();
	uint64_t total = 0;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		AUTO_STRV struct strv names = { 0 };
		uint64_t bytes = 0;
		json_get_u64(json_object_array_get_idx(rows, i), "bytes", &bytes, NULL);
		json_get_strv(json_object_array_get_idx(rows, i), "names", &names, NULL);
		total += bytes;
		for (size_t k = 0; k < names.count; k++) {
			add_answer(deleted, "Untagged", docker_familiar_name(names.items[k]));
			docker_tell_event(q->keeper, "untag", names.items[k], docker_familiar_name(names.items[k]));
		}
	}
	json_add(o, "ImagesDeleted", deleted);
	json_add_u64(o, "SpaceReclaimed", total);
	docker_tell_prune(q->keeper, "image", total);
	docker_respond_json(q, 200, o);
}

/* holm-image lets each machine's keeper look at its containers first. */
static void prune(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv dangling = { 0 };
	docker_filters_get(q->body, "dangling", &dangling);
	int all = dangling.count && (streq(dangling.items[0], "false") || streq(dangling.items[0], "0"));
	static const char *const keys[] = { "until", "label", "label!" };
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, all ? "prune --format json --all" : "prune --format json", " ");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		AUTO_STRV struct strv values = { 0 };
		docker_filters_get(q->body, keys[i], &values);
		for (size_t k = 0; k < values.count; k++)
			strv_addf(&words, "--filter=%s=%s", keys[i], values.items[k]);
	}
	int r = docker_program(keeper_loop(q->keeper), (const char *const *)strv_argv(&words), on_pruned, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

void docker_prune_images(struct docker_request *q)
{
	static const char *const known[] = { "dangling", "until", "label", "label!", NULL };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, "filters");
	int r = docker_filters_parse(text, known, &q->body, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		prune(q);
}
