/* SPDX-License-Identifier: Apache-2.0
 * See state.h. */
#include "image/builder/state.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "image/archive/compose.h"
#include "image/builder/cache.h"
#include "image/builder/cache_records.h"
#include "image/builder/outline.h"
#include "image/builder/timestamps.h"

#define NS_PER_S 1000000000LL

static const char *const kept_files[] = { "/etc/passwd", "/etc/group", NULL };

struct build_state *build_state_new(const struct oci_platform *platform)
{
	struct build_state *s = xnew(struct build_state);
	s->config = json_object_new_object();
	s->history = json_object_new_array();
	s->platform =
	    (struct oci_platform){ xstrdup("linux"), xstrdup(platform->architecture), xstrdup(platform->variant) };
	hash_memory("", 0, s->chain);
	return s;
}

static void listing_done(struct build_listing *l)
{
	contents_done(&l->contents);
	content_pool_done(&l->pool);
	free(l->first);
}

void build_state_free(struct build_state *s)
{
	if (!s)
		return;
	json_object_put(s->config);
	json_object_put(s->history);
	json_object_put(s->cache);
	oci_platform_done(&s->platform);
	free(s->author);
	for (size_t i = 0; i < s->layer_count; i++)
		free(s->layers[i].media_type);
	free(s->layers);
	pairs_done(&s->args);
	pairs_done(&s->env);
	listing_done(&s->files);
	listing_done(&s->hashed);
	free(s);
}

static struct json_object *copy_of(struct json_object *o)
{
	struct json_object *copy = NULL;
	return json_object_deep_copy(o, &copy, NULL) < 0 ? json_object_new_object() : copy;
}

static void add_layer(struct build_state *s, const struct build_layer *layer)
{
	AUTOFREE char *chain = xasprintf("%s %s", s->chain, layer->diff_id);
	s->layers = xrealloc(s->layers, s->layer_count + 1, sizeof *s->layers);
	s->layers[s->layer_count] = *layer;
	s->layers[s->layer_count++].media_type = xstrdup(layer->media_type);
	hash_memory(chain, strlen(chain), s->chain);
}

struct build_state *build_state_copy_below(const struct build_state *s, size_t layers)
{
	struct build_state *copy = build_state_new(&s->platform);
	json_object_put(copy->config);
	json_object_put(copy->history);
	copy->config = copy_of(s->config);
	copy->history = copy_of(s->history);
	copy->author = xstrdup(s->author);
	pairs_add_all(&copy->args, &s->args.list);
	for (size_t i = 0; i < layers; i++)
		add_layer(copy, &s->layers[i]);
	return copy;
}

struct build_state *build_state_copy(const struct build_state *s)
{
	return build_state_copy_below(s, s->layer_count);
}

/* ---- loading ---- */

static void take_member(struct json_object *from, const char *key, enum json_type type, struct json_object **to)
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(from, key, &value) || !json_object_is_type(value, type))
		return;
	json_object_put(*to);
	*to = copy_of(value);
}

int build_state_load(struct library *l, const char *digest, struct build_state **ret, struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_JSON struct json_object *o = NULL;
	AUTOFREE char *text = NULL;
	const char *author = NULL;
	size_t size;
	int r = image_load_whole(l, NULL, digest, &i, err);
	if (r == 0)
		r = library_read_blob(l, i->manifest->config.digest, &text, &size, err);
	if (r == 0)
		r = json_parse(text, size, "the image's configuration", &o, err);
	if (r < 0)
		return r;
	struct build_state *s = build_state_new(&i->config->platform);
	take_member(o, "config", json_type_object, &s->config);
	take_member(o, "history", json_type_array, &s->history);
	if (json_get_string(o, "author", &author, NULL) == 0)
		s->author = xstrdup(author);
	for (size_t k = 0; k < i->manifest->layer_count; k++) {
		const struct oci_descriptor *d = &i->manifest->layers[k];
		struct build_layer layer = { .media_type = (char *)compose_layer_type(d->media_type), .size = d->size };
		memcpy(layer.digest, d->digest, sizeof layer.digest);
		memcpy(layer.diff_id, i->config->diff_ids.items[k], sizeof layer.diff_id);
		add_layer(s, &layer);
	}
	*ret = s;
	return 0;
}

/* ---- steps ---- */

void build_state_add(struct build_state *s, const struct build_layer *layer, const char *created_by)
{
	struct json_object *step = json_object_new_object();
	int is_empty = !layer || !*layer->digest;
	json_add_string(step, "created_by", created_by);
	if (is_empty)
		json_add_bool(step, "empty_layer", 1);
	else
		add_layer(s, layer);
	json_object_array_add(s->history, step);
}

int build_state_clamp(struct library *l, struct build_state *s, size_t first, int64_t epoch, struct error **err)
{
	int r = 0;
	for (size_t i = first; r == 0 && i < s->layer_count; i++)
		r = build_layer_clamp(l, epoch, &s->layers[i], err);
	hash_memory("", 0, s->chain);
	for (size_t i = 0; i < s->layer_count; i++) {
		AUTOFREE char *chain = xasprintf("%s %s", s->chain, s->layers[i].diff_id);
		hash_memory(chain, strlen(chain), s->chain);
	}
	return r;
}

int build_state_list(struct library *l, struct build_state *s, int hashed, const struct build_listing **ret,
    struct error **err)
{
	struct build_listing *files = hashed ? &s->hashed : &s->files;
	files->pool.kept = kept_files;
	files->pool.plain = !hashed;
	while (files->layers < s->layer_count) {
		const struct build_layer *at = &s->layers[files->layers];
		files->first = xrealloc(files->first, files->layers + 1, sizeof *files->first);
		files->first[files->layers] = files->pool.count;
		files->pool.layer = files->layers;
		int r = hashed ? outline_add_hashed(l, at, &files->pool, &files->contents, err) :
				 outline_add(l, at, &files->pool, &files->contents, err);
		if (r < 0)
			return error_prefix(err, r, "layer %zu (%.19s)", files->layers + 1, at->digest);
		files->layers++;
	}
	*ret = files;
	return 0;
}

const char *build_state_text(const struct build_state *s, const char *key, const char *otherwise)
{
	const char *text = NULL;
	return json_get_string(s->config, key, &text, NULL) == 0 && *text ? text : otherwise;
}

void build_state_words(const struct build_state *s, const char *key, struct strv *to)
{
	(void)json_get_strv(s->config, key, to, NULL);
}

static void read_env(struct build_state *s)
{
	AUTO_STRV struct strv all = { 0 };
	if (s->env_state != ENV_UNREAD)
		return;
	build_state_words(s, "Env", &all);
	pairs_add_all(&s->env, &all);
	s->env_state = ENV_READ;
}

const char *build_state_get(void *state, const char *name)
{
	struct build_state *s = state;
	read_env(s);
	const char *value = pairs_get(&s->env, name);
	return value ? value : pairs_get(&s->args, name);
}

/* The array, with a text at each place of s->env. */
static struct json_object *env_array(struct build_state *s)
{
	struct json_object *array = NULL;
	if (s->env_state != ENV_OWN) {
		json_object_object_del(s->config, "Env");
		if (s->env.list.count)
			json_add_strv(s->config, "Env", &s->env.list);
		else
			json_add(s->config, "Env", json_object_new_array());
		s->env_state = ENV_OWN;
	}
	(void)json_get_array(s->config, "Env", &array, NULL);
	return array;
}

void build_state_set_env(struct build_state *s, const char *name, const char *value)
{
	read_env(s);
	struct json_object *array = env_array(s);
	size_t place = pairs_set(&s->env, name, value);
	json_object_array_put_idx(array, place, json_object_new_string(s->env.list.items[place]));
}

/* ---- writing ---- */

static struct json_object *config_of(const struct build_state *s)
{
	struct json_object *o = json_object_new_object(), *rootfs = json_object_new_object(),
			   *ids = json_object_new_array();
	json_add_string(o, "architecture", s->platform.architecture);
	json_add_string(o, "os", "linux");
	json_add_string(o, "variant", s->platform.variant);
	json_add_string(o, "author", s->author);
	for (size_t i = 0; i < s->layer_count; i++)
		json_object_array_add(ids, json_object_new_string(s->layers[i].diff_id));
	json_add_string(rootfs, "type", "layers");
	json_add(rootfs, "diff_ids", ids);
	json_add(o, "rootfs", rootfs);
	if (s->cache)
		json_add(o, CACHE_RECORDS_MEMBER, json_object_get(s->cache));
	return o;
}

static int write_image(struct library *l, const struct build_state *s, struct json_object *config,
    struct json_object *annotations, char *ret_digest, struct error **err)
{
	AUTOFREE char *text = json_to_string(config, 0);
	char digest[DIGEST_TEXT_SIZE + 1];
	int r = blob_write(l, text, strlen(text), digest, err);
	if (r < 0)
		return r;
	struct json_object *layers = json_object_new_array();
	for (size_t i = 0; i < s->layer_count; i++)
		json_object_array_add(layers,
		    compose_descriptor(s->layers[i].media_type, s->layers[i].digest, s->layers[i].size));
	return compose_manifest(l, compose_descriptor(OCI_TYPE_CONFIG, digest, strlen(text)), layers, annotations,
	    ret_digest, err);
}

/* The steps of this build get this time; those of the base have theirs. */
static struct json_object *history_at(const struct build_state *s, const char *created)
{
	struct json_object *history = copy_of(s->history);
	for (size_t i = 0; i < json_object_array_length(history); i++) {
		struct json_object *step = json_object_array_get_idx(history, i);
		if (json_object_is_type(step, json_type_object) && !json_object_object_get_ex(step, "created", NULL))
			json_add_string(step, "created", created);
	}
	return history;
}

int build_state_write(struct library *l, const struct build_state *s, struct json_object *annotations, int64_t epoch,
    char *ret_digest, struct error **err)
{
	AUTO_JSON struct json_object *config = config_of(s);
	char key[DIGEST_TEXT_SIZE + 1];
	json_add(config, "config", json_object_get(s->config));
	json_add(config, "history", json_object_get(s->history));
	AUTOFREE char *timeless = json_to_string(config, 0),
		      *notes = annotations ? json_to_string(annotations, 0) : NULL,
		      *all = xasprintf("image %s %s %s %lld", s->chain, timeless, notes ? notes : "", (long long)epoch);
	hash_memory(all, strlen(all), key);
	if (build_cache_find_image(l, key, ret_digest))
		return 0;
	AUTOFREE char *created = clock_format_rfc3339(epoch < 0 ? clock_realtime_ns() : epoch * NS_PER_S);
	json_object_object_del(config, "history");
	json_add(config, "history", history_at(s, created));
	json_add_string(config, "created", created);
	int r = write_image(l, s, config, annotations, ret_digest, err);
	if (r == 0)
		build_cache_store_image(l, key, ret_digest);
	return r;
}

int build_state_write_layers(struct library *l, const struct build_state *s, char *ret_digest, struct error **err)
{
	AUTO_JSON struct json_object *config = config_of(s);
	json_object_object_del(config, "author");
	json_add(config, "config", json_object_new_object());
	return write_image(l, s, config, NULL, ret_digest, err);
}

/* ---- to another process ---- */

struct json_object *build_state_to_json(const struct build_state *s)
{
	struct json_object *o = json_object_new_object(), *layers = json_object_new_array();
	json_add_string(o, "architecture", s->platform.architecture);
	json_add_string(o, "variant", s->platform.variant);
	json_add_string(o, "author", s->author);
	json_add(o, "config", json_object_get(s->config));
	json_add(o, "history", json_object_get(s->history));
	json_add_strv(o, "args", &s->args.list);
	for (size_t i = 0; i < s->layer_count; i++) {
		struct json_object *one =
		    compose_descriptor(s->layers[i].media_type, s->layers[i].digest, s->layers[i].size);
		json_add_string(one, "diffId", s->layers[i].diff_id);
		json_object_array_add(layers, one);
	}
	json_add(o, "layers", layers);
	return o;
}

static int add_json_layer(struct build_state *s, struct json_object *o, struct error **err)
{
	const char *type = NULL, *digest = NULL, *diff_id = NULL;
	struct build_layer layer = { 0 };
	if (json_get_string(o, "mediaType", &type, err) < 0 || json_get_string(o, "digest", &digest, err) < 0 ||
	    json_get_string(o, "diffId", &diff_id, err) < 0 || json_get_u64(o, "size", &layer.size, err) < 0 ||
	    !digest_is_valid(digest) || !digest_is_valid(diff_id))
		return -EPROTO;
	layer.media_type = (char *)type;
	memcpy(layer.digest, digest, sizeof layer.digest);
	memcpy(layer.diff_id, diff_id, sizeof layer.diff_id);
	add_layer(s, &layer);
	return 0;
}

int build_state_from_json(struct json_object *o, struct build_state **ret, struct error **err)
{
	const char *architecture = NULL, *variant = NULL, *author = NULL;
	struct json_object *layers = NULL;
	AUTO_STRV struct strv args = { 0 };
	int r = json_get_string(o, "architecture", &architecture, err);
	if (r < 0 || (r = json_get_array(o, "layers", &layers, err)) < 0)
		return r;
	(void)json_get_string(o, "variant", &variant, NULL);
	(void)json_get_string(o, "author", &author, NULL);
	const struct oci_platform platform = { (char *)"linux", (char *)architecture, (char *)variant };
	AUTO_BUILD_STATE struct build_state *s = build_state_new(&platform);
	s->author = xstrdup(author);
	take_member(o, "config", json_type_object, &s->config);
	take_member(o, "history", json_type_array, &s->history);
	(void)json_get_strv(o, "args", &args, NULL);
	pairs_add_all(&s->args, &args);
	for (size_t i = 0; r == 0 && i < json_object_array_length(layers); i++)
		r = add_json_layer(s, json_object_array_get_idx(layers, i), err);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}
