/* SPDX-License-Identifier: Apache-2.0
 * Manifests and indexes.
 *
 * Docker's and OCI's forms have the same members; only the media types differ. So they are told
 * apart by shape ("manifests" or "layers"), after the document's own mediaType and the server's
 * Content-Type had their say, and read by the same code. */
#include "oci/manifest.h"

#include <errno.h>

#include "base/alloc.h"
#include "oci/digest.h"

enum { TEXT_MAX = 255 };

void oci_descriptor_done(struct oci_descriptor *d)
{
	free(d->media_type);
	free(d->digest);
	free(d->name);
	oci_platform_done(&d->platform);
	*d = (struct oci_descriptor){ 0 };
}

static void free_descriptors(struct oci_descriptor *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		oci_descriptor_done(&list[i]);
	free(list);
}

void oci_index_free(struct oci_index *i)
{
	if (!i)
		return;
	free_descriptors(i->manifests, i->count);
	free(i);
}

void oci_manifest_free(struct oci_manifest *m)
{
	if (!m)
		return;
	free(m->media_type);
	free(m->artifact_type);
	oci_descriptor_done(&m->config);
	free_descriptors(m->layers, m->layer_count);
	json_object_put(m->annotations);
	free(m);
}

/* An optional short string member, copied. */
static int copy_string(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (strlen(s) > TEXT_MAX)
		return error_set(err, EINVAL, "\"%s\" is longer than %d", key, TEXT_MAX);
	free(*ret);
	*ret = xstrdup(s);
	return 0;
}

static int is_word_or_empty(const char *text)
{
	return !text || !*text || oci_platform_word(text);
}

static int parse_platform(struct json_object *o, struct oci_platform *ret, struct error **err)
{
	struct json_object *p = NULL;
	int r = json_get_object(o, "platform", &p, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = copy_string(p, "os", &ret->os, err)) < 0 ||
	    (r = copy_string(p, "architecture", &ret->architecture, err)) < 0 ||
	    (r = copy_string(p, "variant", &ret->variant, err)) < 0)
		return r;
	/* Not an error: the other descriptors of the document can be used. */
	if (!is_word_or_empty(ret->os) || !is_word_or_empty(ret->architecture) || !is_word_or_empty(ret->variant))
		oci_platform_done(ret);
	return 0;
}

static int parse_names(struct json_object *o, char **ret, struct error **err)
{
	struct json_object *annotations = NULL;
	int r = json_get_object(o, "annotations", &annotations, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = copy_string(annotations, OCI_ANNOTATION_NAME, ret, err);
	/* containerd keeps the whole name here and only the tag in the other */
	return r < 0 ? r : copy_string(annotations, "io.containerd.image.name", ret, err);
}

static int parse_descriptor(struct json_object *o, const char *what, struct oci_descriptor *d, struct error **err)
{
	const char *digest = NULL;
	int r = copy_string(o, "mediaType", &d->media_type, err);
	if (r == 0)
		r = json_get_string(o, "digest", &digest, err);
	if (r == 0 || r == -ENOENT)
		r = digest_check(digest, what, err);
	if (r < 0)
		return r;
	d->digest = xstrdup(digest);
	if (!d->media_type)
		d->media_type = xstrdup("");
	r = json_get_u64(o, "size", &d->size, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "%s has no size", what) : r;
	if (d->size > OCI_LAYER_SIZE_MAX)
		return error_set(err, EFBIG, "%s says that it is bigger than 1 TiB", what);
	r = parse_platform(o, &d->platform, err);
	return r < 0 ? r : parse_names(o, &d->name, err);
}

int oci_descriptor_parse(struct json_object *o, const char *what, struct oci_descriptor *ret, struct error **err)
{
	struct oci_descriptor d = { 0 };
	int r = json_object_is_type(o, json_type_object) ? parse_descriptor(o, what, &d, err) :
							   error_set(err, EINVAL, "%s is not a JSON object", what);
	if (r < 0)
		oci_descriptor_done(&d);
	else
		*ret = d;
	return r;
}

/* Finds a document's kind by its mediaType and members. 0 or -errno. */
static int kind_of_object(struct json_object *o, const char *media_type, const char *name, enum oci_document *ret,
    struct error **err)
{
	uint64_t version = 2;
	struct json_object *member = NULL;
	(void)json_get_u64(o, "schemaVersion", &version, NULL);
	if (version == 1)
		return error_set(err, EINVAL,
		    "image \"%s\" has a manifest of Docker's schema 1, which is not supported; push it again with a "
		    "current tool",
		    name);
	const char *own = NULL;
	if (json_get_string(o, "mediaType", &own, NULL) == 0)
		media_type = own;
	int has_manifests = json_get_array(o, "manifests", &member, NULL) == 0,
	    has_layers = json_get_array(o, "layers", &member, NULL) == 0;
	/* A document that could be read as both is a known trick: two readers would see two
	 * images. */
	if (has_manifests && has_layers)
		return error_set(err, EINVAL, "image \"%s\": its manifest has both layers and manifests", name);
	if (has_manifests)
		*ret = OCI_DOCUMENT_INDEX;
	else if (has_layers)
		*ret = OCI_DOCUMENT_MANIFEST;
	else
		return error_set(err, EINVAL, "image \"%s\": neither a manifest nor an index (type \"%.80s\")", name,
		    media_type ? media_type : "");
	return 0;
}

static int parse_document(const char *data, size_t size, const char *name, struct json_object **ret, struct error **err)
{
	if (size > OCI_DOCUMENT_MAX)
		return error_set(err, EFBIG, "image \"%s\": its manifest is bigger than %d MiB", name,
		    OCI_DOCUMENT_MAX >> 20);
	AUTOFREE char *what = xasprintf("manifest of image \"%s\"", name);
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse(data, size, what, &o, err);
	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "%s is not a JSON object", what);
	*ret = TAKE_PTR(o);
	return 0;
}

int oci_document_kind(const char *data, size_t size, const char *media_type, const char *name, enum oci_document *ret,
    struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	int r = parse_document(data, size, name, &o, err);
	return r < 0 ? r : kind_of_object(o, media_type, name, ret, err);
}

/* An array of descriptors, at most max of them. */
static int parse_descriptors(struct json_object *array, const char *what, size_t max, struct oci_descriptor **ret,
    size_t *ret_count, struct error **err)
{
	size_t count = json_object_array_length(array);
	if (count > max)
		return error_set(err, EFBIG, "it has %zu %ss; %zu are the most", count, what, max);
	struct oci_descriptor *list = xcalloc(count + 1, sizeof *list);
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *label = xasprintf("%s %zu", what, i + 1);
		int r = oci_descriptor_parse(json_object_array_get_idx(array, i), label, &list[i], err);
		if (r < 0) {
			free_descriptors(list, i);
			return r;
		}
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

int oci_index_parse(const char *data, size_t size, const char *name, struct oci_index **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *array = NULL;
	int r = parse_document(data, size, name, &o, err);
	if (r < 0)
		return r;
	AUTO_OCI_INDEX struct oci_index *i = xnew(struct oci_index);
	r = json_get_array(o, "manifests", &array, err);
	if (r == -ENOENT)
		return error_set(err, EINVAL, "image \"%s\": its index lists no manifests", name);
	if (r == 0)
		r = parse_descriptors(array, "manifest", OCI_MANIFESTS_MAX, &i->manifests, &i->count, err);
	if (r < 0)
		return error_prefix(err, r, "index of image \"%s\"", name);
	*ret = TAKE_PTR(i);
	return 0;
}

/* Old registries know no types of configurations. Signatures of cosign and attestations of BuildKit
 * have the configuration of an image, and layers of JSON. */
const char *oci_manifest_artifact(const struct oci_manifest *m)
{
	static const char *const ends[] = { "image.config.v1+json", "container.image.v1+json", "octet-stream" };
	const char *type = m->config.media_type;
	int is_image = !*type;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		is_image |= endswith(type, ends[i]);
	for (size_t i = 0; is_image && i < m->layer_count; i++)
		if (endswith(m->layers[i].media_type, "json"))
			return m->layers[i].media_type;
	if (is_image)
		return NULL;
	return m->artifact_type && *m->artifact_type ? m->artifact_type : type;
}

int oci_layer_is_distributable(const struct oci_descriptor *d)
{
	return !strstr(d->media_type, "foreign") && !strstr(d->media_type, "nondistributable");
}

static int check_layer(const struct oci_descriptor *d, size_t number, struct error **err)
{
	if (strstr(d->media_type, "encrypted"))
		return error_set(err, ENOTSUP, "layer %zu is encrypted, which is not supported", number);
	return 0;
}

static int parse_manifest(struct json_object *o, struct oci_manifest *m, struct error **err)
{
	struct json_object *config = NULL, *layers = NULL, *annotations = NULL;
	int r = copy_string(o, "mediaType", &m->media_type, err);
	if (r == 0)
		r = copy_string(o, "artifactType", &m->artifact_type, err);
	if (r < 0)
		return r;
	r = json_get_object(o, "config", &config, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "no configuration is named") : r;
	r = oci_descriptor_parse(config, "the configuration", &m->config, err);
	if (r < 0)
		return r;
	if (m->config.size > OCI_DOCUMENT_MAX)
		return error_set(err, EFBIG, "the configuration is bigger than %d MiB", OCI_DOCUMENT_MAX >> 20);
	r = json_get_array(o, "layers", &layers, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "no layers are listed") : r;
	r = parse_descriptors(layers, "layer", OCI_LAYERS_MAX, &m->layers, &m->layer_count, err);
	for (size_t i = 0; r == 0 && i < m->layer_count; i++)
		r = check_layer(&m->layers[i], i + 1, err);
	if (r < 0)
		return r;
	r = json_get_object(o, "annotations", &annotations, err);
	m->annotations = r == 0 ? json_object_get(annotations) : NULL;
	return r == -ENOENT ? 0 : r;
}

int oci_manifest_parse(const char *data, size_t size, const char *name, struct oci_manifest **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	int r = parse_document(data, size, name, &o, err);
	if (r < 0)
		return r;
	AUTO_OCI_MANIFEST struct oci_manifest *m = xnew(struct oci_manifest);
	r = parse_manifest(o, m, err);
	if (r < 0)
		return error_prefix(err, r, "manifest of image \"%s\"", name);
	*ret = TAKE_PTR(m);
	return 0;
}
