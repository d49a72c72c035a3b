/* SPDX-License-Identifier: Apache-2.0
 * One image of the library. */
#include "image/library/image.h"

#include <errno.h>

#include "base/alloc.h"
#include "oci/digest.h"

enum { ID_MIN = 12 };

void image_free(struct image *i)
{
	if (!i)
		return;
	free(i->name);
	free(i->digest);
	oci_manifest_free(i->manifest);
	oci_config_free(i->config);
	free(i);
}

static int read_config(struct library *l, struct image *i, const char *name, struct error **err)
{
	AUTOFREE char *config = NULL;
	size_t size;
	int r = library_read_blob(l, i->manifest->config.digest, &config, &size, err);
	i->artifact = oci_manifest_artifact(i->manifest);
	if (r == 0 && i->artifact) {
		i->config = xnew(struct oci_config);
		i->config->labels = json_object_new_object();
		return 0;
	}
	if (r == 0)
		r = oci_config_parse(config, size, name, &i->config, err);
	if (r < 0)
		return r;
	return i->config->diff_ids.count == i->manifest->layer_count ?
		   0 :
		   error_set(err, EINVAL, "image \"%s\": the manifest has %zu layers, the configuration %zu", name,
		       i->manifest->layer_count, i->config->diff_ids.count);
}

static int read_documents(struct library *l, struct image *i, struct error **err)
{
	AUTOFREE char *manifest = NULL;
	size_t manifest_size;
	const char *name = i->name ? i->name : i->digest;
	int r;
	if ((r = library_read_blob(l, i->digest, &manifest, &manifest_size, err)) < 0 ||
	    (r = oci_manifest_parse(manifest, manifest_size, name, &i->manifest, err)) < 0 ||
	    (r = read_config(l, i, name, err)) < 0)
		return r;
	i->size = manifest_size + i->manifest->config.size;
	for (size_t k = 0; k < i->manifest->layer_count; k++)
		i->size += i->manifest->layers[k].size;
	return 0;
}

int image_load_any(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err)
{
	AUTO_IMAGE struct image *i = xnew(struct image);
	i->name = xstrdup(name);
	i->digest = xstrdup(digest);
	int r = read_documents(l, i, err);
	if (r == 0)
		*ret = TAKE_PTR(i);
	return r;
}

/* Passes on what was loaded, if it is an image. Takes i. */
static int refuse_artifact(int r, struct image *i, struct image **ret, struct error **err)
{
	AUTO_IMAGE struct image *owned = i;
	if (r == 0 && i->artifact)
		return error_set(err, ENOTSUP,
		    "\"%s\" is an artifact of the type \"%.80s\"; choose the name of an image",
		    i->name ? i->name : i->digest, i->artifact);
	if (r == 0)
		*ret = TAKE_PTR(owned);
	return r;
}

int image_load(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err)
{
	struct image *i = NULL;
	int r = image_load_any(l, name, digest, &i, err);
	return refuse_artifact(r, i, ret, err);
}

int image_load_whole(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err)
{
	struct image *i = NULL;
	int r = image_load_any_whole(l, name, digest, &i, err);
	return refuse_artifact(r, i, ret, err);
}

int image_load_any_whole(struct library *l, const char *name, const char *digest, struct image **ret,
    struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	int r = image_load_any(l, name, digest, &i, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < i->manifest->layer_count; k++)
		if (!library_has_blob(l, i->manifest->layers[k].digest, i->manifest->layers[k].size))
			return error_set(err, ENOENT, "image \"%s\": layer %zu is missing in %s; pull it again",
			    name ? name : digest, k + 1, l->path);
	*ret = TAKE_PTR(i);
	return 0;
}

static int find_by_name(const struct library_index *index, const char *name, const struct oci_platform *platform,
    int strict, const struct library_entry **ret)
{
	const struct library_entry *best = NULL;
	int best_score = 0;
	for (size_t k = 0; k < index->count; k++) {
		const struct library_entry *e = &index->entries[k];
		if (!streq(e->name, name))
			continue;
		int score = oci_platform_match(platform, &e->descriptor.platform);
		/* Without a wish, an image for another platform is still the one that has this
		 * name. */
		if (score == 0 && !strict)
			score = 1;
		if (score > best_score) {
			best = e;
			best_score = score;
		}
	}
	*ret = best;
	return best ? 0 : -ENOENT;
}

static int find_by_digest(const struct library_index *index, const char *text, const struct library_entry **ret,
    struct error **err)
{
	const char *hex = startswith(text, "sha256:") ? text + 7 : text;
	size_t n = strlen(hex);
	if (n < ID_MIN || n > DIGEST_HEX_SIZE || strspn(hex, "0123456789abcdef") != n)
		return -ENOENT;
	*ret = NULL;
	for (size_t k = 0; k < index->count; k++) {
		const struct library_entry *e = &index->entries[k];
		if (!startswith(digest_hex(e->descriptor.digest), hex))
			continue;
		if (*ret && !streq((*ret)->descriptor.digest, e->descriptor.digest))
			return error_set(err, EINVAL,
			    "\"%s\" is the beginning of more than one image; write more of it", text);
		*ret = e;
	}
	return *ret ? 0 : -ENOENT;
}

/* A whole digest finds a manifest that has no name, too: a build's, or a container's. */
static int find_nameless(struct library *l, const char *text, char **ret_name, char **ret_digest)
{
	AUTO_IMAGE struct image *i = NULL;
	if (!digest_is_valid(text) || image_load_any(l, NULL, text, &i, NULL) < 0)
		return -ENOENT;
	*ret_name = NULL;
	*ret_digest = xstrdup(text);
	return 0;
}

/* A short name is first one of this host's own images, then docker.io's; the other way round for
 * Docker's clients. */
static int find_by_reference(const struct library_index *index, const struct reference *ref,
    const struct oci_platform *platform, const struct library_entry **ret)
{
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	AUTOFREE char *local = reference_to_localhost(ref), *name = reference_to_string(ref);
	const int hub = reference_uses_hub_names();
	oci_platform_host(&host);
	const struct oci_platform *wanted = platform ? platform : &host;
	if (local && !hub && find_by_name(index, local, wanted, platform != NULL, ret) == 0)
		return 0;
	int r = find_by_name(index, name, wanted, platform != NULL, ret);
	return r < 0 && local && hub ? find_by_name(index, local, wanted, platform != NULL, ret) : r;
}

static int say_missing(const struct reference *ref, const struct oci_platform *platform, struct error **err)
{
	AUTOFREE char *name = reference_to_string(ref), *wish = platform ? oci_platform_to_string(platform) : NULL;
	return error_set(err, ENOENT, "no image \"%s\"%s%s in the library; get it with \"%s\", or see holm image ls",
	    name, wish ? " for " : "", wish ? wish : "",
	    reference_is_local(ref) ? "holm image debootstrap" : "holm image pull");
}

int image_is_named(const char *text, const char *name)
{
	AUTO_REFERENCE struct reference *ref = NULL;
	if (!name || reference_parse(text, &ref, NULL) < 0)
		return 0;
	AUTOFREE char *local = reference_to_localhost(ref), *canonical = reference_to_string(ref);
	return (local && streq(name, local)) || streq(name, canonical);
}

int image_find(struct library *l, const char *text, const struct oci_platform *platform, char **ret_name,
    char **ret_digest, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_REFERENCE struct reference *reference = NULL;
	const struct library_entry *e = NULL;
	int r = library_read_index(l, &index, err);
	if (r < 0)
		return r;
	r = find_by_digest(&index, text, &e, err);
	if (r == -ENOENT && find_nameless(l, text, ret_name, ret_digest) == 0)
		return 0;
	if (r == -ENOENT) {
		r = reference_parse(text, &reference, err);
		if (r < 0)
			return r;
		r = find_by_reference(&index, reference, platform, &e);
		if (r < 0)
			return say_missing(reference, platform, err);
	}
	if (r < 0)
		return r;
	*ret_name = xstrdup(e->name);
	*ret_digest = xstrdup(e->descriptor.digest);
	return 0;
}

static int set_name(struct library *l, const char *name, const struct image *i, struct error **err)
{
	struct oci_descriptor d = { .digest = i->digest, .platform = i->config->platform };
	AUTOFREE char *data = NULL;
	size_t size;
	int r = library_read_blob(l, i->digest, &data, &size, err);
	if (r < 0)
		return r;
	d.size = size;
	d.media_type = i->manifest->media_type ? i->manifest->media_type : (char *)OCI_TYPE_MANIFEST;
	return library_set_name(l, name, &d, err);
}

const char *image_parent(const struct image *i)
{
	const char *parent = NULL;
	return i->manifest->annotations &&
		       json_get_string(i->manifest->annotations, OCI_ANNOTATION_BASE, &parent, NULL) == 0 &&
		       digest_is_valid(parent) ?
		   parent :
		   "";
}

int image_register_nameless(struct library *l, const char *digest, struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	int r = image_load_any_whole(l, NULL, digest, &i, err);
	return r < 0 ? r : set_name(l, NULL, i, err);
}

int image_register(struct library *l, const char *name, const char *digest, const struct oci_platform *wanted,
    struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	int r = image_load_any_whole(l, name, digest, &i, err);
	if (r < 0)
		return r;
	if (wanted && i->config->platform.architecture && !oci_platform_match(wanted, &i->config->platform)) {
		AUTOFREE char *is = oci_platform_to_string(&i->config->platform),
			      *wish = oci_platform_to_string(wanted);
		return error_set(err, ENOENT, "image \"%s\" is for %s, not for %s", name ? name : digest, is, wish);
	}
	return name ? set_name(l, name, i, err) : 0;
}
