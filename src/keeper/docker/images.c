/* SPDX-License-Identifier: Apache-2.0
 * The host's half of the engine: images. holm-image does the work, as for the command line; what it
 * prints becomes what Docker's clients expect.
 *
 * images.json beside machine.json names the images that containers of the machine were created
 * from. It has two uses: the library keeps their trees (docs/on-disk.md), and the engine, which is
 * as hostile as the machine, gets these images and no others. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "docker/route.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

enum { IMAGES_JSON_MAX = 4 << 20, REFERENCE_MAX = 512 };
#define NS_PER_S 1000000000LL

/* ---- images.json ---- */

static char *file_of(const struct keeper *k)
{
	return machine_file(k->machine->name, "images.json");
}

struct json_object *docker_images_load(const struct keeper *k)
{
	AUTOFREE char *path = file_of(k);
	struct json_object *o = NULL;
	if (json_parse_file(path, IMAGES_JSON_MAX, &o, NULL) < 0 || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = json_object_new_object();
	}
	return o;
}

int docker_images_write(const struct keeper *k, struct json_object *all, struct error **err)
{
	AUTOFREE char *path = file_of(k), *text = json_to_string(all, 1);
	return atomic_file_write(path, 0600, text, strlen(text), err);
}

/* Copies what the image is made of, a disk or trees, from holm-image's answer. 0, -EPROTO. */
static int copy_parts(struct json_object *answer, struct json_object *to, struct error **err)
{
	static const char *const keys[] = { "disk", "trees" };
	struct json_object *part = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_object_get_ex(answer, keys[i], &part) && part)
			json_add(to, keys[i], json_object_get(part));
	return json_object_object_length(to) ? 0 : error_set(err, EPROTO, "holm-image named no files of the image");
}

static int remember(struct keeper *k, const char *id, struct json_object *answer, struct error **err)
{
	AUTO_JSON struct json_object *all = docker_images_load(k);
	struct json_object *one = json_object_new_object();
	AUTOFREE char *before = json_to_string(all, 1);
	docker_images_created(k, id);
	json_object_object_add(all, id, one);
	int r = copy_parts(answer, one, err);
	if (r < 0)
		return r;
	AUTOFREE char *text = json_to_string(all, 1);
	return streq(before, text) ? 0 : docker_images_write(k, all, err);
}

int docker_image_lower(struct keeper *k, const char *id, struct strv *ret, struct error **err)
{
	AUTO_JSON struct json_object *all = docker_images_load(k);
	AUTO_STRV struct strv trees = { 0 };
	struct json_object *one = NULL;
	const char *disk = NULL;
	if (json_get_object(all, id, &one, NULL) == 0 && json_get_string(one, "disk", &disk, NULL) == 0) {
		strv_add(ret, disk);
		return 0;
	}
	if (!one || json_get_strv(one, "trees", &trees, NULL) < 0)
		return error_set(err, ENOENT, "no container of this machine was made from the image %.71s", id);
	for (size_t i = trees.count; i > 0; i--)
		strv_add(ret, trees.items[i - 1]);
	return 0;
}

/* ---- create ---- */

/* The last line of what holm-image said, without its name in front. */
char *docker_last_line(const char *errors)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, errors, "\n");
	const char *line = lines.count ? lines.items[lines.count - 1] : "holm-image failed without a word";
	const char *rest = startswith(line, "holm: ");
	return xstrdup(rest ? rest : line);
}

static int take_prepared(struct docker_request *q, const char *output, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *config = NULL, *image = NULL;
	const char *id = NULL;
	int r = json_parse_bytes(output, strlen(output), "holm-image's answer", &answer, err);
	if (r < 0 || (r = json_get_string(answer, "digest", &id, err)) < 0 ||
	    (r = json_get_object(answer, "config", &config, err)) < 0 || (r = remember(q->keeper, id, answer, err)) < 0)
		return r;
	image = json_object_new_object();
	json_add_string(image, "id", id);
	json_add(image, "config", json_object_get(config));
	json_object_object_add(q->body, "HolmImage", image);
	return 0;
}

static void on_prepared(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *line = docker_last_line(errors);
	int r = status == 0                 ? take_prepared(q, output, &err) :
		strstr(line, "no image \"") ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
					      error_set(&err, EIO, "%s", line);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_hand_over(q, q->body);
}

static void on_asked(int status, const char *output, const char *errors, void *data)
{
	const struct docker_request *q = data;
	if (status == 0)
		docker_prepared_keep(q->reference, &q->index, output);
	on_prepared(status, output, errors, data);
}

int docker_take_reference(struct docker_request *q, const char *text, struct error **err)
{
	if (!text || !*text || text[0] == '-' || strlen(text) > REFERENCE_MAX)
		return error_set(err, EINVAL, "invalid reference format");
	q->reference = xstrdup(text);
	return 0;
}

void docker_create(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(q->exchange, &err);
	const char *name = NULL;
	int r = body ? json_get_string(body, "Image", &name, NULL) : -EINVAL;
	if (body)
		r = docker_take_reference(q, name, &err);
	if (r == 0)
		r = docker_ports_allow(q->keeper, body, &err);
	if (r == 0) {
		q->body = json_object_get(body);
		r = docker_binds_add(q->keeper, q->body, &err);
	}
	const char *prepared = r == 0 ? docker_prepared_find(q->reference) : NULL;
	if (prepared) {
		on_prepared(0, prepared, "", q);
		return;
	}
	if (r == 0) {
		q->index = docker_index_now();
		const char *const words[] = { "prepare", "--form", q->keeper->ops->container_form, "--pull", "never",
			"--progress", "none", q->reference, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_asked, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- lists ---- */

/* As Docker shows names: without the parts that it adds itself. */
const char *docker_familiar(const char *name)
{
	const char *rest = startswith(name, "docker.io/library/");
	rest = rest ? rest : startswith(name, "docker.io/");
	return rest ? rest : name;
}

int64_t docker_created_of(struct json_object *o)
{
	const char *text = NULL;
	int64_t ns;
	return json_get_string(o, "created", &text, NULL) == 0 && clock_parse_rfc3339(text, &ns) == 0 ? ns / NS_PER_S :
													0;
}

static struct json_object *find_image(struct json_object *list, const char *digest)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *id = NULL;
		if (json_get_string(o, "Id", &id, NULL) == 0 && streq(id, digest))
			return o;
	}
	return NULL;
}

/* Whether a name passes {"reference":{"PATTERN":true}} or ["PATTERN"]: with its tag or without. */
static int passes(struct json_object *filters, const char *name)
{
	struct json_object *wishes = NULL;
	AUTO_STRV struct strv patterns = { 0 };
	if (!filters || !json_object_object_get_ex(filters, "reference", &wishes))
		return 1;
	if (json_object_is_type(wishes, json_type_object)) {
		json_object_object_foreach(wishes, key, value)
		{
			if (!json_object_is_type(value, json_type_boolean) || json_object_get_boolean(value))
				strv_add(&patterns, key);
		}
	}
	json_get_strv(filters, "reference", &patterns, NULL);
	const char *colon = name ? strrchr(name, ':') : NULL;
	AUTOFREE char *bare = xstrndup(name ? name : "", colon ? (size_t)(colon - name) : strlen(name ? name : ""));
	for (size_t i = 0; name && i < patterns.count; i++) {
		const char *pattern = docker_familiar(patterns.items[i]);
		if (fnmatch(pattern, name, FNM_PATHNAME) == 0 || fnmatch(pattern, bare, FNM_PATHNAME) == 0)
			return 1;
	}
	return 0;
}

static int read_filters(struct docker_request *q, struct error **err)
{
	AUTOFREE char *text = docker_query(http_exchange_head(q->exchange)->target, "filters");
	if (!text || !*text)
		return 0;
	int r = json_parse(text, strlen(text), "filters", &q->body, err);
	if (r < 0)
		return r;
	if (!json_object_is_type(q->body, json_type_object))
		return error_set(err, EINVAL, "invalid filter");
	json_object_object_foreach(q->body, key, value)
	{
		(void)value;
		if (!streq(key, "reference"))
			return error_set(err, EINVAL, "invalid filter '%.64s'", key);
	}
	return 0;
}

/* An entry is a name; Docker's list has an entry for each image. */
static void add_image(struct json_object *list, struct json_object *from)
{
	const char *digest = NULL, *name = NULL;
	uint64_t size = 0;
	struct json_object *tags = NULL;
	if (json_get_string(from, "digest", &digest, NULL) < 0)
		return;
	struct json_object *o = find_image(list, digest);
	if (!o) {
		o = json_object_new_object();
		json_get_u64(from, "size", &size, NULL);
		json_add_string(o, "Id", digest);
		json_add_string(o, "ParentId", "");
		json_add(o, "RepoTags", json_object_new_array());
		json_add(o, "RepoDigests", json_object_new_array());
		json_add_i64(o, "Created", docker_created_of(from));
		json_add_u64(o, "Size", size);
		json_add_i64(o, "SharedSize", -1);
		json_add_i64(o, "Containers", -1);
		json_add(o, "Labels", json_object_new_object());
		json_object_array_add(list, o);
	}
	if (json_get_string(from, "name", &name, NULL) == 0 && json_get_array(o, "RepoTags", &tags, NULL) == 0)
		json_object_array_add(tags, json_object_new_string(docker_familiar(name)));
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *entries = NULL;
	AUTOFREE char *line = docker_last_line(errors);
	int r = status ? error_set(&err, EIO, "%s", line) :
			 json_parse_bytes(output, strlen(output), "holm-image's answer", &entries, &err);
	if (r < 0 || !json_object_is_type(entries, json_type_array)) {
		docker_respond_error(q, r < 0 ? r : -EIO, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		const char *name = NULL;
		json_get_string(entry, "name", &name, NULL);
		if (passes(q->body, name ? docker_familiar(name) : NULL))
			add_image(list, entry);
	}
	docker_respond_json(q, 200, list);
}

void docker_get_images(struct docker_request *q)
{
	static const char *const words[] = { "ls", "--format", "json", NULL };
	AUTO_ERROR struct error *err = NULL;
	int r = read_filters(q, &err);
	if (r == 0)
		r = docker_program(keeper_loop(q->keeper), words, on_listed, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- one image ---- */

static void on_inspected(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *config = NULL, *o = NULL;
	const char *id = NULL, *platform = "", *name = NULL;
	uint64_t size = 0;
	int r = status ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
			 json_parse_bytes(output, strlen(output), "holm-image's answer", &answer, &err);
	if (r < 0 || json_get_string(answer, "digest", &id, NULL) < 0) {
		docker_respond_error(q, r < 0 ? r : -EIO, err);
		return;
	}
	struct json_object *tags = json_object_new_array();
	o = json_object_new_object();
	json_get_string(answer, "platform", &platform, NULL);
	json_get_u64(answer, "size", &size, NULL);
	json_add_string(o, "Id", id);
	if (json_get_string(answer, "reference", &name, NULL) == 0)
		json_object_array_add(tags, json_object_new_string(docker_familiar(name)));
	json_add(o, "RepoTags", tags);
	json_add(o, "RepoDigests", json_object_new_array());
	json_add_string(o, "Os", "linux");
	json_add_string(o, "Architecture", strchr(platform, '/') ? strchr(platform, '/') + 1 : "");
	json_add_u64(o, "Size", size);
	if (json_get_object(answer, "config", &config, NULL) == 0)
		json_add(o, "Config", json_object_get(config));
	docker_respond_json(q, 200, o);
}

void docker_get_image(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	int r = docker_take_reference(q, q->name, &err);
	if (r == 0) {
		const char *const words[] = { "prepare", "--form", q->keeper->ops->container_form, "--pull", "never",
			"--progress", "none", q->reference, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_inspected, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- pull ---- */

static void add_status(struct http_exchange *x, char *text)
{
	AUTOFREE char *owned = text;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "status", owned);
	http_stream_json(x, o);
}

/* The head of the answer is out, so an error is one of its lines. */
static void on_pulled(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	if (q->exchange && status == 0) {
		docker_tell_event(q->keeper, "pull", q->reference, docker_familiar(q->reference));
		add_status(q->exchange, xasprintf("Status: Image is up to date for %s", q->reference));
		http_stream_end(q->exchange);
	} else if (q->exchange) {
		struct json_object *o = json_object_new_object(), *detail = json_object_new_object();
		AUTOFREE char *line = docker_last_line(errors);
		json_add_string(detail, "message", line);
		json_add_string(o, "error", line);
		json_add(o, "errorDetail", detail);
		http_stream_json(q->exchange, o);
		http_stream_end(q->exchange);
	}
	docker_request_free(q);
}

static char *wanted_reference(struct http_exchange *x)
{
	const char *target = http_exchange_head(x)->target;
	AUTOFREE char *image = docker_query(target, "fromImage"), *tag = docker_query(target, "tag");
	if (!image)
		return NULL;
	return tag && *tag ? xasprintf(startswith(tag, "sha256:") ? "%s@%s" : "%s:%s", image, tag) : TAKE_PTR(image);
}

void docker_pull(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *wanted = wanted_reference(q->exchange);
	int r = docker_take_reference(q, wanted, &err);
	if (r == 0) {
		const char *const words[] = { "pull", "--progress", "none", q->reference, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_pulled, q, &err);
	}
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	http_stream_begin(q->exchange, 200);
	add_status(q->exchange, xasprintf("Pulling %s", q->reference));
}
