/* SPDX-License-Identifier: Apache-2.0
 * The list of images, and the description of one. holm-image reads the library. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/name.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { HEX_MIN = 4 };
#define NS_PER_S 1000000000LL

int64_t docker_created_of(struct json_object *o)
{
	const char *text = NULL;
	int64_t ns;
	return json_get_string(o, "created", &text, NULL) == 0 && clock_parse_rfc3339(text, &ns) == 0 ? ns / NS_PER_S :
													0;
}

/* REPOSITORY@DIGEST; NAME has a tag behind its last slash. */
static char *repository_digest(const char *name, const char *digest)
{
	const char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');
	return xasprintf("%.*s@%s", (int)(colon ? colon - name : (long)strlen(name)), name, digest);
}

/* Adds a name to RepoTags and RepoDigests. */
static void add_name(struct json_object *o, const char *name, const char *digest)
{
	struct json_object *tags = NULL, *digests = NULL;
	AUTOFREE char *by_digest = repository_digest(docker_familiar_name(name), digest);
	if (json_get_array(o, "RepoTags", &tags, NULL) < 0 || json_get_array(o, "RepoDigests", &digests, NULL) < 0)
		return;
	json_object_array_add(tags, json_object_new_string(docker_familiar_name(name)));
	for (size_t i = 0; i < json_object_array_length(digests); i++)
		if (streq(json_object_get_string(json_object_array_get_idx(digests, i)), by_digest))
			return;
	json_object_array_add(digests, json_object_new_string(by_digest));
}

/* ---- finding ---- */

/* Whether a name in the library is what a client calls it: with or without Docker's own parts and
 * the tag "latest". */
static int is_name(const char *name, const char *wish)
{
	AUTOFREE char *latest = xasprintf("%s:latest", docker_familiar_name(wish));
	return streq(name, wish) || streq(docker_familiar_name(name), docker_familiar_name(wish)) ||
	       streq(docker_familiar_name(name), latest);
}

static int is_digest(const char *digest, const char *wish)
{
	const char *hex = startswith(wish, "sha256:");
	hex = hex ? hex : wish;
	return strlen(hex) >= HEX_MIN && strspn(hex, "0123456789abcdef") == strlen(hex) &&
	       startswith(digest + strlen("sha256:"), hex) != NULL;
}

struct json_object *docker_images_find(struct json_object *list, const char *wish, int *ret_by_name)
{
	for (int by_name = 1; by_name >= 0; by_name--)
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);
			const char *name = NULL, *digest = NULL;
			json_get_string(o, "name", &name, NULL);
			if (json_get_string(o, "digest", &digest, NULL) < 0)
				continue;
			*ret_by_name = by_name;
			if (by_name ? name && is_name(name, wish) : is_digest(digest, wish))
				return o;
		}
	*ret_by_name = 0;
	return NULL;
}

/* ---- filters ---- */

static const char *const known_filters[] = { "reference", "dangling", "label", "label!", "before", "since", "until",
	NULL };

/* Whether a name passes one of the patterns: with its tag or without. */
static int is_like(const struct strv *patterns, const char *name)
{
	const char *slash = name ? strrchr(name, '/') : NULL, *colon = name ? strrchr(slash ? slash : name, ':') : NULL;
	AUTOFREE char *bare = xstrndup(name ? name : "", colon ? (size_t)(colon - name) : strlen(name ? name : ""));
	for (size_t i = 0; name && i < patterns->count; i++) {
		const char *pattern = docker_familiar_name(patterns->items[i]);
		if (fnmatch(pattern, name, FNM_PATHNAME) == 0 || fnmatch(pattern, bare, FNM_PATHNAME) == 0)
			return 1;
	}
	return 0;
}

/* The creation of the image that "before" or "since" names; `otherwise` without that filter. */
static int time_of(struct json_object *filters, const char *key, struct json_object *entries, int64_t otherwise,
    int64_t *ret, struct error **err)
{
	AUTO_STRV struct strv wishes = { 0 };
	docker_filters_get(filters, key, &wishes);
	*ret = otherwise;
	if (!wishes.count)
		return 0;
	int by_name;
	struct json_object *found = docker_images_find(entries, wishes.items[0], &by_name);
	if (!found)
		return error_set(err, ENOENT, "No such image: %s", wishes.items[0]);
	*ret = docker_created_of(found);
	return 0;
}

struct filter {
	struct json_object *filters;
	struct strv references, dangling, until;
	int64_t before, since;
};

static void filter_done(struct filter *f)
{
	strv_done(&f->references);
	strv_done(&f->dangling);
	strv_done(&f->until);
}

static int filter_read(struct filter *f, struct json_object *filters, struct json_object *entries, struct error **err)
{
	int wanted;
	*f = (struct filter){ .filters = filters };
	docker_filters_get(filters, "reference", &f->references);
	docker_filters_get(filters, "dangling", &f->dangling);
	docker_filters_get(filters, "until", &f->until);
	if (f->dangling.count && parse_bool(f->dangling.items[0], &wanted) < 0)
		return error_set(err, EINVAL, "invalid filter 'dangling=[%.64s]'", f->dangling.items[0]);
	int r = time_of(filters, "before", entries, INT64_MAX, &f->before, err);
	if (r == 0)
		r = time_of(filters, "since", entries, INT64_MIN, &f->since, err);
	for (size_t i = 0; r == 0 && i < f->until.count; i++)
		f->before = MIN(f->before, docker_parse_until(f->until.items[i], clock_realtime_ns()) / NS_PER_S);
	return r;
}

static int passes(const struct filter *f, struct json_object *entry, const char *name)
{
	struct json_object *labels = NULL;
	int64_t created = docker_created_of(entry);
	int dangling = 0;
	if (f->references.count && !is_like(&f->references, name))
		return 0;
	if (f->dangling.count && (parse_bool(f->dangling.items[0], &dangling) < 0 || dangling != !name))
		return 0;
	json_get_object(entry, "labels", &labels, NULL);
	return created < f->before && created > f->since && docker_filters_match_labels(f->filters, labels);
}

/* ---- GET /images/json ---- */

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

/* An entry is a name; Docker's list has an entry for each image. */
static void add_image(struct json_object *list, struct json_object *from, const char *name)
{
	const char *digest = NULL, *parent = "";
	uint64_t size = 0;
	int64_t shared = -1;
	struct json_object *labels = NULL;
	if (json_get_string(from, "digest", &digest, NULL) < 0)
		return;
	struct json_object *o = find_image(list, digest);
	if (!o) {
		o = json_object_new_object();
		json_get_u64(from, "size", &size, NULL);
		json_get_object(from, "labels", &labels, NULL);
		json_add_string(o, "Id", digest);
		(void)json_get_string(from, "parent", &parent, NULL);
		json_add_string(o, "ParentId", parent);
		json_add(o, "RepoTags", json_object_new_array());
		json_add(o, "RepoDigests", json_object_new_array());
		json_add_i64(o, "Created", docker_created_of(from));
		json_add_u64(o, "Size", size);
		json_add_u64(o, "VirtualSize", size); /* clients before 1.44 */
		json_get_i64(from, "shared_size", &shared, NULL);
		json_add_i64(o, "SharedSize", shared);
		json_add_i64(o, "Containers", -1);
		json_add(o, "Labels", labels ? json_object_get(labels) : json_object_new_object());
		json_object_array_add(list, o);
	}
	if (name)
		add_name(o, name, digest);
}

static int newest_first(const void *a, const void *b)
{
	int64_t x = 0, y = 0;
	json_get_i64(*(struct json_object *const *)a, "Created", &x, NULL);
	json_get_i64(*(struct json_object *const *)b, "Created", &y, NULL);
	return x < y ? 1 : x > y ? -1 : 0;
}

int docker_images_parse(int status, const char *output, const char *errors, struct json_object **ret,
    struct error **err)
{
	AUTOFREE char *line = docker_last_line(errors);
	if (status)
		return error_set(err, EIO, "%s", line);
	int r = json_parse_bytes(output, strlen(output), "holm-image's answer", ret, err);
	return r < 0                                      ? r :
	       json_object_is_type(*ret, json_type_array) ? 0 :
							    error_set(err, EIO, "holm-image's answer is no list");
}

struct json_object *docker_images_describe(struct json_object *entries)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		const char *name = NULL;
		json_get_string(entry, "name", &name, NULL);
		add_image(list, entry, name);
	}
	return list;
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *entries = NULL;
	CLEANUP(filter_done) struct filter filter = { 0 };
	int r = docker_images_parse(status, output, errors, &entries, &err);
	if (r == 0)
		r = filter_read(&filter, q->body, entries, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		const char *name = NULL;
		json_get_string(entry, "name", &name, NULL);
		if (passes(&filter, entry, name ? docker_familiar_name(name) : NULL))
			add_image(list, entry, name);
	}
	json_object_array_sort(list, newest_first);
	docker_respond_json(q, 200, list);
}

void docker_get_images(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	const char *target = http_exchange_head(q->exchange)->target;
	AUTOFREE char *text = docker_query(target, "filters"), *shared = docker_query(target, "shared-size");
	int with_shared = shared && (streq(shared, "1") || streq(shared, "true"));
	const char *const words[] = { "ls", "--format", "json", with_shared ? "--shared" : NULL, NULL };
	int r = docker_filters_parse(text, known_filters, &q->body, &err);
	if (r == 0)
		r = docker_program(keeper_loop(q->keeper), words, on_listed, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- GET /images/NAME/json ---- */

/* The members that the configuration has under other names. */
static void describe_config(struct json_object *o, struct json_object *config)
{
	static const struct {
		const char *from, *to;
	} texts[] = { { "created", "Created" }, { "author", "Author" }, { "architecture", "Architecture" },
		{ "os", "Os" }, { "variant", "Variant" } };
	/* Clients in languages without types read these unasked. */
	static const char *const members[] = { "Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels" };
	struct json_object *inner = NULL, *from = NULL, *layers = NULL, *root = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = NULL;
		int r = json_get_string(config, texts[i].from, &text, NULL);
		if (r == 0 || i < ARRAY_SIZE(texts) - 1)
			json_add_string(o, texts[i].to, r == 0 ? text : "");
	}
	int has_inner = json_get_object(config, "config", &inner, NULL) == 0;
	inner = has_inner ? json_object_get(inner) : json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!json_object_object_get_ex(inner, members[i], NULL))
			json_object_object_add(inner, members[i], NULL);
	json_add(o, "Config", inner);
	/* docker-compose 1 makes no container again without it, whichever version it speaks. */
	json_add(o, "ContainerConfig", json_object_get(inner));
	json_add_string(root, "Type", "layers");
	if (json_get_object(config, "rootfs", &from, NULL) == 0 && json_get_array(from, "diff_ids", &layers, NULL) == 0)
		json_add(root, "Layers", json_object_get(layers));
	json_add(o, "RootFS", root);
}

/* The image that a commit has made this one of; else "". Borrowed. */
static const char *parent_of(struct json_object *from)
{
	struct json_object *manifest = NULL, *annotations = NULL;
	const char *parent = "";
	if (json_get_object(from, "manifest", &manifest, NULL) == 0 &&
	    json_get_object(manifest, "annotations", &annotations, NULL) == 0)
		json_get_string(annotations, "org.opencontainers.image.base.digest", &parent, NULL);
	return parent;
}

static struct json_object *describe(struct json_object *from)
{
	struct json_object *o = json_object_new_object(), *config = NULL, *driver = json_object_new_object(),
			   *metadata = json_object_new_object();
	AUTO_STRV struct strv names = { 0 };
	const char *digest = "";
	uint64_t size = 0;
	json_get_string(from, "digest", &digest, NULL);
	json_get_u64(from, "size", &size, NULL);
	json_get_strv(from, "names", &names, NULL);
	json_add_string(o, "Id", digest);
	json_add(o, "RepoTags", json_object_new_array());
	json_add(o, "RepoDigests", json_object_new_array());
	for (size_t i = 0; i < names.count; i++)
		add_name(o, names.items[i], digest);
	json_add_string(o, "Parent", parent_of(from));
	json_add_string(o, "Comment", "");
	json_add_u64(o, "Size", size);
	json_add_u64(o, "VirtualSize", size);
	json_add_string(driver, "Name", "overlay2");
	json_object_object_add(driver, "Data", NULL);
	json_add(o, "GraphDriver", driver);
	json_add_string(metadata, "LastTagTime", "0001-01-01T00:00:00Z");
	json_add(o, "Metadata", metadata);
	if (json_get_object(from, "config", &config, NULL) == 0)
		describe_config(o, config);
	return o;
}

static void on_inspected(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *list = NULL;
	int r = status ? error_set(&err, ENOENT, "No such image: %s", q->reference) :
			 docker_images_parse(status, output, errors, &list, &err);
	struct json_object *one = r == 0 ? json_object_array_get_idx(list, 0) : NULL;
	if (r == 0 && !json_object_is_type(one, json_type_object))
		r = -EIO;
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_respond_json(q, 200, describe(one));
}

void docker_get_image(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	int r = docker_take_reference(q, q->name, &err);
	if (r == 0) {
		AUTOFREE char *platform = docker_platform_option(q);
		const char *const words[] = { "inspect", q->reference, platform, NULL };
		r = docker_program(keeper_loop(q->keeper), words, on_inspected, q, &err);
	}
	if (r < 0)
		docker_respond_error(q, r, err);
}
