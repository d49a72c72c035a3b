/* SPDX-License-Identifier: Apache-2.0
 * See cache_share.h: the way in. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/archive/compose.h"
#include "image/archive/source.h"
#include "image/builder/cache.h"
#include "image/builder/cache_records.h"
#include "image/builder/cache_share.h"
#include "image/common/interrupt.h"
#include "image/library/contents.h"
#include "image/registry/pull.h"
#include "oci/layer_decode.h"

#define LAYER_SIZE_MAX (UINT64_C(1) << 40) /* as a manifest may have it */

/* ---- records ---- */

static int take_digest(struct json_object *o, const char *key, char *ret)
{
	const char *text = NULL;
	if (json_get_string(o, key, &text, NULL) < 0 || !digest_is_valid(text))
		return -EBADMSG;
	memcpy(ret, text, DIGEST_TEXT_SIZE + 1);
	return 0;
}

/* The types that the decoder of layers knows. Borrowed, or NULL. */
static const char *known_type(const char *text)
{
	static const char *const types[] = { OCI_TYPE_LAYER, OCI_TYPE_LAYER_GZIP, OCI_TYPE_LAYER_ZSTD };
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (streq(text, types[i]))
			return types[i];
	return NULL;
}

static int parse_record(struct cache_records *to, struct json_object *o, const char *source)
{
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	const char *type = NULL;
	if (!json_object_is_type(o, json_type_object) || take_digest(o, "key", key) < 0)
		return -EBADMSG;
	if (json_get_string(o, "mediaType", &type, NULL) == 0) {
		layer.media_type = (char *)known_type(type);
		if (!layer.media_type || take_digest(o, "digest", layer.digest) < 0 ||
		    take_digest(o, "diffId", layer.diff_id) < 0 || json_get_u64(o, "size", &layer.size, NULL) < 0 ||
		    layer.size > LAYER_SIZE_MAX)
			return -EBADMSG;
	}
	cache_records_add(to, key, &layer);
	to->items[to->count - 1].source = xstrdup(source);
	return 0;
}

int cache_records_parse(struct cache_records *to, struct json_object *array, const char *source)
{
	int r = json_object_is_type(array, json_type_array) &&
			to->count + json_object_array_length(array) <= CACHE_RECORDS_MAX ?
		    0 :
		    -EBADMSG;
	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++)
		r = parse_record(to, json_object_array_get_idx(array, i), source);
	return r;
}

/* ---- a folder ---- */

/* A document of the folder, whose digest is checked; owned. */
static int read_document(const struct source *s, struct json_object *descriptor, struct json_object **ret,
    struct error **err)
{
	char digest[DIGEST_TEXT_SIZE + 1], found[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *text = NULL;
	size_t size;
	if (!descriptor || take_digest(descriptor, "digest", digest) < 0)
		return error_set(err, EBADMSG, "it is no cache of builds");
	AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(digest));
	int r = source_read_file(s, path, &text, &size, err);
	if (r < 0)
		return r;
	hash_memory(text, size, found);
	if (!streq(found, digest))
		return error_set(err, EBADMSG, "the blob %.19s is damaged", digest);
	return json_parse(text, size, "a document of the cache", ret, err);
}

static int read_folder(struct builder *b, const char *folder, struct error **err)
{
	AUTO_SOURCE struct source s = SOURCE_NONE;
	AUTO_JSON struct json_object *index = NULL, *manifest = NULL, *config = NULL;
	AUTOFREE char *text = NULL;
	struct json_object *list = NULL, *next = NULL, *records = NULL;
	size_t size;
	int r = source_open(b->library, folder, NULL, NULL, &s, err);
	if (r == 0)
		r = source_read_file(&s, "index.json", &text, &size, err);
	if (r == 0)
		r = json_parse(text, size, "index.json", &index, err);
	if (r == 0)
		r = json_get_array(index, "manifests", &list, err);
	if (r == 0)
		r = read_document(&s, json_object_array_get_idx(list, 0), &manifest, err);
	if (r == 0)
		r = json_get_object(manifest, "config", &next, err);
	if (r == 0)
		r = read_document(&s, next, &config, err);
	if (r == 0)
		r = json_get_array(config, "records", &records, err);
	return r < 0 ? r : cache_records_parse(&b->shared.imported, records, folder);
}

/* ---- an image ---- */

static int read_image(struct builder *b, const char *name, struct error **err)
{
	const struct pull_options o = { .platform = &b->platform, .progress = b->progress };
	AUTOFREE char *found = NULL, *digest = NULL, *text = NULL;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_JSON struct json_object *config = NULL;
	struct json_object *records = NULL;
	size_t size;
	int r = image_find(b->library, name, &b->platform, &found, &digest, NULL);
	if (r < 0) {
		report_pause(b->report);
		r = image_pull(b->library, name, &o, &found, &digest, err);
	}
	if (r == 0)
		r = image_load_whole(b->library, NULL, digest, &i, err);
	if (r == 0)
		r = library_read_blob(b->library, i->manifest->config.digest, &text, &size, err);
	if (r == 0)
		r = json_parse(text, size, "the image's configuration", &config, err);
	if (r == 0 && (json_get_array(config, CACHE_RECORDS_MEMBER, &records, NULL) < 0))
		return error_set(err, ENODATA, "the image has no cache; build it with --cache-to type=inline");
	return r < 0 ? r : cache_records_parse(&b->shared.imported, records, NULL);
}

/* ---- words ---- */

/* "type=local,src=DIR", "type=registry,ref=NAME", or a name. Both owned; one of them is set. */
static int parse_from(const char *text, char **ret_folder, char **ret_name, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTOFREE char *folder = NULL, *name = NULL;
	int is_local = 0, r = 0;
	if (!strchr(text, '=')) {
		*ret_name = xstrdup(text);
		return 0;
	}
	strv_split(&parts, text, ",");
	for (size_t i = 0; r == 0 && i < parts.count; i++) {
		const char *part = parts.items[i], *src = startswith(part, "src="), *ref = startswith(part, "ref=");
		if (src && !folder)
			folder = xstrdup(src);
		else if (ref && !name)
			name = xstrdup(ref);
		else if (streq(part, "type=local"))
			is_local = 1;
		else if (!streq(part, "type=registry"))
			r = -EINVAL;
	}
	if (r < 0 || (is_local ? !folder || name : !name || folder))
		return error_set(err, EINVAL,
		    "--cache-from %.200s: write type=local,src=DIR, or type=registry,ref=NAME, or NAME", text);
	*ret_folder = TAKE_PTR(folder);
	*ret_name = TAKE_PTR(name);
	return 0;
}

int build_cache_check(const struct build_options *o, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && o->cache_to && i < o->cache_to->count; i++) {
		CLEANUP(cache_target_done) struct cache_target t = { 0 };
		r = cache_target_parse(o->cache_to->items[i], &t, err);
	}
	for (size_t i = 0; r == 0 && o->cache_from && i < o->cache_from->count; i++) {
		AUTOFREE char *folder = NULL, *name = NULL;
		r = parse_from(o->cache_from->items[i], &folder, &name, err);
	}
	return r;
}

static int import_one(struct builder *b, const char *text, struct error **err)
{
	AUTOFREE char *folder = NULL, *name = NULL;
	AUTO_ERROR struct error *why = NULL;
	int r = parse_from(text, &folder, &name, err);
	if (r < 0)
		return r;
	r = folder ? read_folder(b, folder, &why) : read_image(b, name, &why);
	if (r < 0 && (r = interrupt_check(err)) == 0)
		report_note(b->report, "warning: --cache-from %s: %s", text, error_text(why, -EBADMSG));
	return r;
}

int build_cache_import(struct builder *b, struct error **err)
{
	const struct strv *all = b->options->cache_from;
	int r = 0;
	for (size_t i = 0; r == 0 && all && i < all->count; i++)
		r = import_one(b, all->items[i], err);
	cache_records_sort(&b->shared.imported);
	return r;
}

/* ---- layers ---- */

/* Whether the bytes are compressed as the type says, which goes into the image. */
static int has_type(struct library *l, const struct build_layer *layer, struct error **err)
{
	unsigned char magic[LAYER_MAGIC_SIZE];
	AUTO_FD int fd = library_open_blob(l, layer->digest, NULL, err);
	ssize_t n = fd < 0 ? 0 : fd_read_full(fd, magic, sizeof magic);
	if (fd < 0 || n < 0)
		return fd < 0 ? fd : (int)n;
	const char *name = layer_codec_find(magic, (size_t)n)->name;
	const char *wanted = streq(layer->media_type, OCI_TYPE_LAYER_GZIP) ? "gzip" :
			     streq(layer->media_type, OCI_TYPE_LAYER_ZSTD) ? "zstd" :
									     "tar";
	return streq(name, wanted) ? 0 : error_set(err, EBADMSG, "the bytes are %s, the type is %s", name, wanted);
}

/* Reads the whole layer, as whoever unpacks it would. */
static int is_sound(struct builder *b, const struct build_layer *layer, struct error **err)
{
	AUTO_CONTENT_POOL struct content_pool pool = { .plain = 1 };
	AUTO_CONTENTS struct contents contents = { 0 };
	int r = has_type(b->library, layer, err);
	if (r < 0)
		return r;
	return contents_add_blob(b->library, layer->digest, layer->diff_id, &pool, &contents, err);
}

static int fetch(struct builder *b, const struct cache_record *at, struct error **err)
{
	AUTO_SOURCE struct source s = SOURCE_NONE;
	AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(at->layer.digest));
	char digest[DIGEST_TEXT_SIZE + 1];
	uint64_t size;
	if (library_has_blob(b->library, at->layer.digest, at->layer.size))
		return 0;
	if (!at->source)
		return -ENOENT;
	int r = source_open(b->library, at->source, NULL, NULL, &s, err);
	return r < 0 ? r : source_import(&s, path, at->layer.digest, at->layer.size, digest, &size, err);
}

int build_cache_find_imported(struct builder *b, const char *key, struct build_layer *ret)
{
	const struct cache_record *at = cache_records_find(&b->shared.imported, key);
	AUTO_ERROR struct error *why = NULL;
	if (!at)
		return 0;
	int r = *at->layer.digest ? fetch(b, at, &why) : 0;
	if (r == 0 && *at->layer.digest)
		r = is_sound(b, &at->layer, &why);
	if (r < 0) {
		report_note(b->report, "warning: a layer of --cache-from is of no use: %s", error_text(why, r));
		return 0;
	}
	*ret = at->layer;
	ret->media_type = xstrdup(at->layer.media_type);
	build_cache_store(b->library, key, ret);
	return 1;
}
