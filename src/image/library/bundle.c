/* SPDX-License-Identifier: Apache-2.0
 * See bundle.h. */
#include "image/library/bundle.h"

#include <errno.h>

#include "base/alloc.h"
#include "image/common/hash.h"
#include "image/library/blob.h"
#include "oci/digest.h"

#define DOCKER_TYPE_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

void bundle_free(struct bundle *b)
{
	if (!b)
		return;
	for (size_t k = 0; k < b->count; k++) {
		oci_descriptor_done(&b->items[k].descriptor);
		oci_manifest_free(b->items[k].manifest);
	}
	free(b->items);
	free(b->digest);
	free(b->media_type);
	free(b->data);
	free(b);
}

int bundle_is_index(const char *media_type)
{
	return streq(media_type, OCI_TYPE_INDEX) || streq(media_type, DOCKER_TYPE_LIST);
}

/* The type that the index itself says, else the server's. Owned. */
static char *type_of(const struct bundle *b, const char *media_type)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *own = NULL;
	if (json_parse(b->data, b->size, "index", &o, NULL) == 0 && json_get_string(o, "mediaType", &own, NULL) == 0 &&
	    bundle_is_index(own))
		return xstrdup(own);
	return xstrdup(bundle_is_index(media_type) ? media_type : OCI_TYPE_INDEX);
}

int bundle_parse(char *data, size_t size, const char *media_type, const char *name, struct bundle **ret,
    struct error **err)
{
	AUTO_BUNDLE struct bundle *b = xnew(struct bundle);
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	char digest[DIGEST_TEXT_SIZE + 1];
	b->data = data;
	b->size = size;
	int r = oci_index_parse(data, size, name, &index, err);
	if (r < 0)
		return r;
	if (index->count == 0 || index->count > BUNDLE_MANIFESTS_MAX)
		return error_set(err, EFBIG, "index of image \"%s\" has %zu manifests; 1 to %d are possible", name,
		    index->count, BUNDLE_MANIFESTS_MAX);
	hash_memory(data, size, digest);
	b->digest = xstrdup(digest);
	b->media_type = type_of(b, media_type);
	b->items = xcalloc(index->count, sizeof *b->items);
	for (; b->count < index->count; b->count++) {
		struct oci_descriptor *d = &index->manifests[b->count];
		if (bundle_is_index(d->media_type))
			return error_set(err, EOPNOTSUPP,
			    "index of image \"%s\" has another index in it, which is not supported", name);
		b->items[b->count].descriptor = *d;
		*d = (struct oci_descriptor){ 0 };
	}
	*ret = TAKE_PTR(b);
	return 0;
}

/* Makes a bundle of an index's bytes, which it takes, and of manifests in the library. */
static int load(struct library *l, char *data, size_t size, const char *media_type, const char *name,
    struct bundle **ret, struct error **err)
{
	AUTO_BUNDLE struct bundle *b = NULL;
	int r = bundle_parse(data, size, media_type, name, &b, err);
	for (size_t k = 0; r == 0 && k < b->count; k++) {
		AUTOFREE char *text = NULL;
		r = library_read_blob(l, b->items[k].descriptor.digest, &text, &size, err);
		if (r == 0)
			r = oci_manifest_parse(text, size, name, &b->items[k].manifest, err);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(b);
	return 0;
}

int bundle_load(struct library *l, const struct oci_descriptor *index, const char *name, struct bundle **ret,
    struct error **err)
{
	char *data = NULL;
	size_t size;
	int r = library_read_blob(l, index->digest, &data, &size, err);
	return r < 0 ? r : load(l, data, size, index->media_type, name, ret, err);
}

static struct json_object *descriptor_of(const struct oci_descriptor *d)
{
	struct json_object *o = json_object_new_object(), *p = json_object_new_object();
	json_add_string(o, "mediaType", *d->media_type ? d->media_type : OCI_TYPE_MANIFEST);
	json_add_string(o, "digest", d->digest);
	json_add_u64(o, "size", d->size);
	json_add_string(p, "architecture", d->platform.architecture);
	json_add_string(p, "os", d->platform.os);
	json_add_string(p, "variant", d->platform.variant);
	json_add(o, "platform", p);
	return o;
}

/* An index of the manifests with this name, in the order of their platforms. */
static int compose(struct library *l, const struct library_index *index, const char *name, struct bundle **ret,
    struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *manifests = json_object_new_array();
	char digest[DIGEST_TEXT_SIZE + 1];
	for (size_t k = 0; k < index->count; k++)
		if (streq(index->entries[k].name, name))
			json_object_array_add(manifests, descriptor_of(&index->entries[k].descriptor));
	json_add_u64(o, "schemaVersion", 2);
	json_add_string(o, "mediaType", OCI_TYPE_INDEX);
	json_add(o, "manifests", manifests);
	if (json_object_array_length(manifests) == 0)
		return error_set(err, ENOENT, "no image \"%s\" in the library; see holm image ls", name);
	char *text = json_to_string(o, 0);
	int r = blob_write(l, text, strlen(text), digest, err);
	if (r < 0) {
		free(text);
		return r;
	}
	return load(l, text, strlen(text), OCI_TYPE_INDEX, name, ret, err);
}

int bundle_of_name(struct library *l, const char *name, struct bundle **ret, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	int r = library_read_index(l, &index, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < index.index_count; k++)
		if (streq(index.indexes[k].name, name))
			return bundle_load(l, &index.indexes[k].descriptor, name, ret, err);
	return compose(l, &index, name, ret, err);
}

void bundle_list_blobs(const struct bundle *b, struct strv *ret)
{
	strv_add(ret, b->digest);
	for (size_t k = 0; k < b->count; k++) {
		const struct oci_manifest *m = b->items[k].manifest;
		strv_add(ret, b->items[k].descriptor.digest);
		strv_add(ret, m->config.digest);
		for (size_t n = 0; n < m->layer_count; n++)
			strv_add(ret, m->layers[n].digest);
	}
}
