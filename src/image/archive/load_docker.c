/* SPDX-License-Identifier: Apache-2.0
 * Docker archives.
 *
 * manifest.json lists images:
 * [{"Config":"HEX.json","RepoTags":["alpine:3"],"Layers":["HEX/layer.tar",...]}]. There is no
 * manifest as registries have it, so one is made: the configuration as it is, the layers as they
 * are (mostly not compressed). */
#include "image/archive/load_docker.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/archive/compose.h"
#include "image/library/image.h"

enum { IMAGES_MAX = 256 };

static const char *layer_media_type(const struct source *s, const char *path)
{
	unsigned char magic[4] = { 0 };
	AUTO_FD int fd = source_open_file(s, path);
	if (fd < 0 || fd_read_full(fd, magic, sizeof magic) != sizeof magic)
		return OCI_TYPE_LAYER;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return OCI_TYPE_LAYER_GZIP;
	return memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0 ? OCI_TYPE_LAYER_ZSTD : OCI_TYPE_LAYER;
}

static int import_layers(const struct source *s, const struct strv *paths, struct progress *p,
    struct json_object *layers, struct error **err)
{
	for (size_t k = 0; k < paths->count; k++) {
		char digest[DIGEST_TEXT_SIZE + 1];
		uint64_t size = 0;
		AUTOFREE char *label = xasprintf("layer %zu", k + 1);
		int bar = progress_add(p, label, 0);
		int r = source_import(s, paths->items[k], NULL, UINT64_MAX, digest, &size, err);
		if (r < 0)
			return r;
		progress_update(p, bar, size);
		progress_finish(p, bar, "loaded");
		json_object_array_add(layers, compose_descriptor(layer_media_type(s, paths->items[k]), digest, size));
	}
	return 0;
}

/* Makes the manifest of one image. */
static int import_image(const struct source *s, struct json_object *o, struct progress *p, char *ret_digest,
    struct error **err)
{
	AUTO_STRV struct strv paths = { 0 };
	AUTO_JSON struct json_object *layers = json_object_new_array();
	const char *config = NULL;
	char config_digest[DIGEST_TEXT_SIZE + 1];
	uint64_t config_size = 0;
	int r;
	if ((r = json_get_string(o, "Config", &config, err)) < 0 || (r = json_get_strv(o, "Layers", &paths, err)) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "manifest.json lacks \"Config\" or \"Layers\"") : r;
	if (paths.count > OCI_LAYERS_MAX)
		return error_set(err, EFBIG, "an image has more than %d layers", OCI_LAYERS_MAX);
	if ((r = source_import(s, config, NULL, UINT64_MAX, config_digest, &config_size, err)) < 0 ||
	    (r = import_layers(s, &paths, p, layers, err)) < 0)
		return r;
	return compose_manifest(s->library, compose_descriptor(OCI_TYPE_CONFIG, config_digest, config_size),
	    json_object_get(layers), NULL, ret_digest, err);
}

static int load_one(const struct source *s, const char *path, struct json_object *o, const struct load_options *l,
    struct strv *ret_names, struct strv *ret_digests, struct error **err)
{
	AUTO_STRV struct strv tags = { 0 };
	char digest[DIGEST_TEXT_SIZE + 1];
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "manifest.json lists something other than objects");
	int r = json_get_strv(o, "RepoTags", &tags, err);
	if (r < 0 && r != -ENOENT)
		return r;
	r = import_image(s, o, l->progress, digest, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < MAX(tags.count, 1UL); k++) {
		const char *own = k < tags.count ? tags.items[k] : NULL;
		int lacks = l->nameless && !own && !l->tag;
		AUTOFREE char *name = l->tag ? load_given_name(l->tag, err) :
				      lacks  ? NULL :
					       load_image_name(path, own, err);
		r = name || lacks ? load_register(s->library, name, digest, l, err) : -EINVAL;
		if (r < 0)
			return r;
		strv_add(ret_names, name ? name : digest);
		strv_add(ret_digests, digest);
		if (l->tag)
			break;
	}
	return 0;
}

int load_docker(const struct source *s, const char *path, const char *data, size_t size, const struct load_options *o,
    struct strv *ret_names, struct strv *ret_digests, struct error **err)
{
	AUTO_JSON struct json_object *list = NULL;
	int r = json_parse(data, size, "manifest.json", &list, err);
	if (r < 0)
		return r;
	size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (count == 0 || count > IMAGES_MAX)
		return error_set(err, EINVAL, "%s: manifest.json lists no images, or too many", path);
	if (count > 1 && o->tag)
		return error_set(err, EINVAL, "%s holds more than one image; load it without -t", path);
	for (size_t k = 0; r == 0 && k < count; k++)
		r = load_one(s, path, json_object_array_get_idx(list, k), o, ret_names, ret_digests, err);
	return r;
}
