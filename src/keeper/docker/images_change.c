/* SPDX-License-Identifier: Apache-2.0
 * Requests that change images, or tell how they were made. holm-image does the work; before an
 * image is removed, the engine says which containers of this machine are made of it. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

static int flag(struct docker_request *q, const char *key)
{
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, key);
	return text && *text && !streq(text, "0") && !streq(text, "false");
}

/* ---- finding ---- */

/* Finds an image in what `ls` says: its digest (borrowed), and its names. by_name: it was named by
 * one of them, which is *ret_name. -ENOENT. */
static int find(struct json_object *list, const char *wish, const char **ret_digest, const char **ret_name,
    struct strv *names)
{
	const char *digest = NULL, *name = NULL;
	int by_name;
	struct json_object *found = docker_images_find(list, wish, &by_name);
	*ret_digest = *ret_name = NULL;
	if (found)
		json_get_string(found, "digest", ret_digest, NULL);
	if (by_name)
		json_get_string(found, "name", ret_name, NULL);
	for (size_t i = 0; *ret_digest && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		if (json_get_string(o, "digest", &digest, NULL) == 0 && streq(digest, *ret_digest) &&
		    json_get_string(o, "name", &name, NULL) == 0)
			strv_add(names, name);
	}
	return *ret_digest ? 0 : -ENOENT;
}

/* ---- DELETE /images/NAME ---- */

struct removal {
	struct docker_request *q;
	struct json_object *list; /* of `ls` */
	struct json_object *answer;
	int force, last; /* last: the image goes with its names */
	char *digest, *name;
};

static void removal_free(struct removal *r)
{
	json_object_put(r->list);
	json_object_put(r->answer);
	free(r->digest);
	free(r->name);
	free(r);
}

static void fail(struct removal *r, int code, const struct error *err)
{
	docker_respond_error(r->q, code, err);
	removal_free(r);
}

static void on_removed(int status, const char *output, const char *errors, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	if (status != 0) {
		AUTOFREE char *line = docker_last_line(errors);
		error_set(&err, EIO, "%s", line);
		fail(r, -EIO, err);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(r->answer); i++) {
		const char *name = NULL;
		if (json_get_string(json_object_array_get_idx(r->answer, i), "Untagged", &name, NULL) == 0)
			docker_tell_event(r->q->keeper, "untag", r->digest, name);
		else
			docker_tell_event(r->q->keeper, "delete", r->digest, r->digest);
	}
	docker_respond_json(r->q, 200, json_object_get(r->answer));
	removal_free(r);
}

/* {"sha256:HEX":[{"Id","Running"}]} */
static int check_use(const struct removal *r, struct json_object *used, int *ret_used, struct error **err)
{
	struct json_object *containers = NULL;
	const char *id = "", *hex = r->digest + strlen("sha256:");
	int running = 0;
	if (!used || json_get_array(used, r->digest, &containers, NULL) < 0 || !json_object_array_length(containers))
		return 0;
	*ret_used = 1;
	for (size_t i = 0; i < json_object_array_length(containers) && !running; i++) {
		struct json_object *o = json_object_array_get_idx(containers, i);
		json_get_string(o, "Id", &id, NULL);
		json_get_bool(o, "Running", &running, NULL);
	}
	if (!r->last || (r->force && (r->name || !running)))
		return 0;
	if (r->name)
		return error_set(err, EEXIST,
		    "conflict: unable to remove repository reference \"%s\" (must force) - container %.12s is using "
		    "its "
		    "referenced image %.12s",
		    docker_familiar(r->name), id, hex);
	return error_set(err, EEXIST,
	    "conflict: unable to delete %.12s (%s be forced) - image is being used by %s "
	    "container %.12s",
	    hex, running ? "cannot" : "must", running ? "running" : "stopped", id);
}

static void add_answer(struct json_object *list, const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, key, value);
	json_object_array_add(list, o);
}

static void on_used(int code, struct json_object *used, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv names = { 0 };
	const char *digest, *name;
	int in_use = 0;
	if (code == 0 && used)
		docker_images_shrink(r->q->keeper, used);
	int result = find(r->list, r->q->reference, &digest, &name, &names);
	r->last = !name || names.count <= 1;
	if (!name && names.count > 1 && !r->force)
		result = error_set(&err, EEXIST,
		    "conflict: unable to delete %.12s (must be forced) - image is referenced in multiple repositories",
		    digest + strlen("sha256:"));
	if (result == 0)
		result = check_use(r, used, &in_use, &err);
	if (result < 0) {
		fail(r, result, err);
		return;
	}
	r->answer = json_object_new_array();
	for (size_t i = 0; i < names.count; i++)
		if (!name || streq(name, names.items[i]))
			add_answer(r->answer, "Untagged", docker_familiar(names.items[i]));
	if (r->last && !in_use)
		add_answer(r->answer, "Deleted", digest);
	const char *const words[] = { "rm", name ? name : digest, NULL };
	if ((result = docker_program(keeper_loop(r->q->keeper), words, on_removed, r, &err)) < 0)
		fail(r, result, err);
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct removal *r = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv names = { 0 };
	const char *digest, *name;
	int result = docker_images_parse(status, output, errors, &r->list, &err);
	if (result == 0 && find(r->list, r->q->reference, &digest, &name, &names) < 0)
		result = error_set(&err, ENOENT, "No such image: %s", r->q->reference);
	if (result < 0) {
		fail(r, result, err);
		return;
	}
	r->digest = xstrdup(digest);
	r->name = name ? xstrdup(name) : NULL;
	/* A machine whose engine cannot be asked runs no containers. */
	if (docker_ask(r->q->keeper, "GET", "/holm/images", NULL, on_used, r) < 0)
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
	docker_tell_event(q->keeper, "tag", q->reference, docker_familiar(name));
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
	const char *layer = NULL, *by = "", *comment = "";
	uint64_t size = 0;
	json_get_string(from, "layer", &layer, NULL);
	json_get_string(from, "created_by", &by, NULL);
	json_get_string(from, "comment", &comment, NULL);
	json_get_u64(from, "size", &size, NULL);
	json_add_string(o, "Id", "<missing>");
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
		const char *const words[] = { "history", "--format", "json", q->reference, NULL };
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
			add_answer(deleted, "Untagged", docker_familiar(names.items[k]));
			docker_tell_event(q->keeper, "untag", names.items[k], docker_familiar(names.items[k]));
		}
	}
	json_add(o, "ImagesDeleted", deleted);
	json_add_u64(o, "SpaceReclaimed", total);
	docker_respond_json(q, 200, o);
}

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

static void on_used_for_prune(int code, struct json_object *used, void *data)
{
	struct docker_request *q = data;
	if (code == 0 && used)
		docker_images_shrink(q->keeper, used);
	prune(q);
}

void docker_prune_images(struct docker_request *q)
{
	static const char *const known[] = { "dangling", "until", "label", "label!", NULL };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, "filters");
	int r = docker_filters_parse(text, known, &q->body, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
	else if (docker_ask(q->keeper, "GET", "/holm/images", NULL, on_used_for_prune, q) < 0)
		prune(q);
}
