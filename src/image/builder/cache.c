/* SPDX-License-Identifier: Apache-2.0
 * See cache.h. A cache that cannot be read or written makes a build slow, not wrong. A layer is
 * synced before its record is written; the record itself is not. */
#include "image/builder/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/path.h"
#include "oci/digest.h"

enum { RECORD_MAX = 64 << 10 };

static char *record_path(struct library *l, const char *key)
{
	return xasprintf("%s/build/%s", l->path, digest_hex(key));
}

static struct json_object *read_record(struct library *l, const char *key)
{
	AUTOFREE char *path = record_path(l, key);
	struct json_object *o = NULL;
	if (json_parse_file(path, RECORD_MAX, &o, NULL) < 0)
		return NULL;
	utimensat(AT_FDCWD, path, NULL, 0); /* the time of its last use, for a prune */
	return o;
}

static void write_record(struct library *l, const char *key, struct json_object *o)
{
	AUTOFREE char *path = record_path(l, key), *folder = path_parent(path), *text = json_to_string(o, 0);
	if (path_mkdir_all(folder, 0700, NULL) == 0)
		(void)atomic_file_write_cache(path, 0600, text, strlen(text), NULL);
}

static int take_digest(struct json_object *o, const char *key, char *ret)
{
	const char *text = NULL;
	if (json_get_string(o, key, &text, NULL) < 0 || !digest_is_valid(text))
		return -EINVAL;
	memcpy(ret, text, DIGEST_TEXT_SIZE + 1);
	return 0;
}

int build_cache_find(struct library *l, const char *key, struct build_layer *ret)
{
	AUTO_JSON struct json_object *o = read_record(l, key);
	struct build_layer layer = { 0 };
	const char *type = NULL;
	if (!o || json_get_string(o, "mediaType", &type, NULL) < 0)
		return 0;
	if (*type &&
	    (take_digest(o, "digest", layer.digest) < 0 || take_digest(o, "diffId", layer.diff_id) < 0 ||
		json_get_u64(o, "size", &layer.size, NULL) < 0 || !library_has_blob(l, layer.digest, layer.size)))
		return 0;
	layer.media_type = xstrdup(type);
	*ret = layer;
	return 1;
}

void build_cache_store(struct library *l, const char *key, const struct build_layer *layer)
{
	build_cache_store_second(l, key, NULL, layer);
}

int build_cache_first_key(struct library *l, const char *key, char *ret)
{
	AUTO_JSON struct json_object *o = read_record(l, key);
	return o && take_digest(o, "first", ret) == 0;
}

void build_cache_store_second(struct library *l, const char *key, const char *first, const struct build_layer *layer)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	int is_empty = !*layer->digest;
	json_add_string(o, "mediaType", is_empty ? "" : layer->media_type);
	json_add_string(o, "first", first);
	if (!is_empty) {
		json_add_string(o, "digest", layer->digest);
		json_add_string(o, "diffId", layer->diff_id);
		json_add_u64(o, "size", layer->size);
	}
	write_record(l, key, o);
}

int build_cache_find_image(struct library *l, const char *key, char *ret_digest)
{
	AUTO_JSON struct json_object *o = read_record(l, key);
	AUTO_IMAGE struct image *i = NULL;
	return o && take_digest(o, "image", ret_digest) == 0 && image_load_whole(l, NULL, ret_digest, &i, NULL) == 0;
}

void build_cache_store_image(struct library *l, const char *key, const char *digest)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "image", digest);
	write_record(l, key, o);
}
