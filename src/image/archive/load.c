/* SPDX-License-Identifier: Apache-2.0
 * Taking images from archives and directories. Which of the forms it is, its files say:
 * "index.json" is an OCI layout (of which newer docker archives are one too), "manifest.json" alone
 * a docker archive (load_docker.c). */
#include "image/archive/load.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/load_docker.h"
#include "image/archive/source.h"
#include "image/library/blob.h"
#include "image/library/image.h"
#include "oci/reference.h"

enum { NESTED_MAX = 4, LOOKS_MAX = 8 };

char *load_base_name(const char *path)
{
	static const char *const endings[] = { ".gz", ".zst", ".xz", ".bz2", ".tgz", ".tar", ".oci", ".img",
		".docker" };
	AUTOFREE char *absolute = realpath(path, NULL);
	char *name = xstrdup(path_base(absolute ? absolute : path));
	for (int again = 1; again;) {
		again = 0;
		for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
			if (endswith(name, endings[i]) && strlen(name) > strlen(endings[i])) {
				name[strlen(name) - strlen(endings[i])] = '\0';
				again = 1;
			}
	}
	for (char *p = name; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	return name;
}

char *load_image_name(const char *path, const char *name, struct error **err)
{
	AUTO_REFERENCE struct reference *ref = NULL;
	AUTOFREE char *base = load_base_name(path), *text = NULL;
	if (name && strpbrk(name, ":/"))
		text = xstrdup(name);
	else if (!streq(path, "-"))
		text = name ? xasprintf("%s:%s", base, name) : xstrdup(base);
	if (!text || reference_parse(text, &ref, NULL) < 0) {
		error_set(err, EINVAL, "the image in %s has no name that can be used; give it one with -t NAME",
		    streq(path, "-") ? "standard input" : path);
		return NULL;
	}
	return reference_to_string(ref);
}

char *load_given_name(const char *name, struct error **err)
{
	AUTO_REFERENCE struct reference *ref = NULL;
	if (reference_parse(name, &ref, err) < 0)
		return NULL;
	if (ref->digest) {
		error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", name);
		return NULL;
	}
	return reference_to_string(ref);
}

struct loading {
	struct source *source;
	const char *path;
	const struct load_options *options;
	const struct oci_platform *platform;
	struct strv *names, *digests;
};

static int import_blob(struct loading *g, const char *what, const struct oci_descriptor *d, struct error **err)
{
	char digest[DIGEST_TEXT_SIZE + 1];
	uint64_t size;
	AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(d->digest)),
		      *label = xstrndup(digest_hex(d->digest), 12);
	int bar = what ? progress_add(g->options->progress, label, d->size) : -1;
	int r = source_import(g->source, path, d->digest, d->size, digest, &size, err);
	if (r == 0)
		progress_finish(g->options->progress, bar, what);
	return r;
}

static int import_manifest(struct loading *g, const struct oci_descriptor *d, const char *name, struct error **err)
{
	AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
	AUTOFREE char *data = NULL;
	size_t size;
	int r;
	if ((r = library_read_blob(g->source->library, d->digest, &data, &size, err)) < 0 ||
	    (r = oci_manifest_parse(data, size, name ? name : d->digest, &m, err)) < 0 ||
	    (r = import_blob(g, NULL, &m->config, err)) < 0)
		return r;
	for (size_t k = 0; r == 0 && k < m->layer_count; k++)
		r = import_blob(g, "loaded", &m->layers[k], err);
	return r;
}

int load_register(struct library *l, const char *name, const char *digest, const struct load_options *o,
    struct error **err)
{
	int r = image_register(l, o->unnamed || !name ? NULL : name, digest, o->platform, err);
	return r == 0 && !name && o->nameless ? image_register_nameless(l, digest, err) : r;
}

/* name: NULL, it has none. */
static int load_manifest(struct loading *g, const struct oci_descriptor *d, const char *name, struct error **err)
{
	int r = import_manifest(g, d, name, err);
	if (r < 0)
		return r;
	r = load_register(g->source->library, name, d->digest, g->options, err);
	if (r < 0)
		return r;
	strv_add(g->names, name ? name : d->digest);
	strv_add(g->digests, d->digest);
	return 0;
}

/* Follows indexes down to the platform's manifest. */
static int load_descriptor(struct loading *g, const struct oci_descriptor *d, const char *name, struct error **err)
{
	const char *shown = name ? name : d->digest;
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	for (int depth = 0; depth < NESTED_MAX; depth++) {
		AUTOFREE char *data = NULL;
		size_t size;
		enum oci_document kind;
		int r;
		if ((r = import_blob(g, NULL, d, err)) < 0 ||
		    (r = library_read_blob(g->source->library, d->digest, &data, &size, err)) < 0 ||
		    (r = oci_document_kind(data, size, d->media_type, shown, &kind, err)) < 0)
			return r;
		if (kind == OCI_DOCUMENT_MANIFEST)
			return load_manifest(g, d, name, err);
		struct oci_index *inner = NULL;
		r = oci_index_parse(data, size, shown, &inner, err);
		if (r < 0)
			return r;
		oci_index_free(index);
		index = inner;
		r = oci_index_choose(index, g->platform, shown, &d, err);
		if (r < 0)
			return r;
	}
	return error_set(err, ELOOP, "image \"%s\": its indexes name each other", shown);
}

/* Loads the best of those entries that carry this name (which may be none). */
static int load_named(struct loading *g, const struct oci_index *index, const char *name, struct error **err)
{
	AUTOFREE struct oci_descriptor *list = xcalloc(index->count + 1, sizeof *list);
	struct oci_index same = { .manifests = list };
	const struct oci_descriptor *chosen;
	AUTOFREE char *canonical =
	    g->options->tag ? load_given_name(g->options->tag, err) : load_image_name(g->path, name, err);
	int may_lack = g->options->unnamed || (g->options->nameless && !name && !g->options->tag);
	if (!canonical && !may_lack)
		return -EINVAL;
	if (!canonical && err)
		error_clear(err);
	for (size_t k = 0; k < index->count; k++)
		if (streq(index->manifests[k].name, name))
			list[same.count++] = index->manifests[k]; /* borrowed */
	int r = oci_index_choose(&same, g->platform, canonical ? canonical : g->path, &chosen, err);
	return r < 0 ? r :
		       load_descriptor(g, chosen,
			   canonical           ? canonical :
			   g->options->unnamed ? chosen->digest :
						 NULL,
			   err);
}

static int load_layout(struct loading *g, const char *data, size_t size, struct error **err)
{
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	int r = oci_index_parse(data, size, g->path, &index, err);
	if (r < 0)
		return r;
	if (index->count == 0)
		return error_set(err, ENOENT, "%s holds no image", g->path);
	size_t names = 0;
	for (size_t k = 0; k < index->count; k++) {
		int seen = 0;
		for (size_t j = 0; j < k && !seen; j++)
			seen = streq(index->manifests[j].name, index->manifests[k].name);
		if (seen)
			continue;
		if (++names > 1 && g->options->tag)
			return error_set(err, EINVAL, "%s holds more than one image; load it without -t", g->path);
	}
	for (size_t k = 0; k < index->count; k++) {
		int seen = 0;
		for (size_t j = 0; j < k && !seen; j++)
			seen = streq(index->manifests[j].name, index->manifests[k].name);
		r = seen ? 0 : load_named(g, index, index->manifests[k].name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether a descriptor of index.json names a manifest without layers. */
static int is_hollow(struct loading *g, const struct oci_descriptor *d)
{
	AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
	AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(d->digest)), *data = NULL;
	size_t size;
	return source_read_file(g->source, path, &data, &size, NULL) == 0 &&
	       oci_manifest_parse(data, size, g->path, &m, NULL) == 0 && m->layer_count == 0;
}

/* Some versions of docker save write an index whose manifests have lost their layers. Whether
 * manifest.json is the better one. */
static int docker_knows_better(struct loading *g, const char *data, size_t size)
{
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	AUTO_FD int docker = source_open_file(g->source, "manifest.json");
	if (docker < 0 || oci_index_parse(data, size, g->path, &index, NULL) < 0)
		return 0;
	for (size_t k = 0; k < index->count; k++)
		if (is_hollow(g, &index->manifests[k]))
			return 1;
	return 0;
}

static int load_source(struct loading *g, struct error **err)
{
	AUTOFREE char *data = NULL, *docker = NULL;
	size_t size;
	int r = source_read_file(g->source, "index.json", &data, &size, err);
	if (r == 0 && !docker_knows_better(g, data, size))
		return load_layout(g, data, size, err);
	if (r < 0 && r != -ENOENT)
		return r;
	r = source_read_file(g->source, "manifest.json", &docker, &size, err);
	if (r == 0)
		return load_docker(g->source, g->path, docker, size, g->options, g->names, g->digests, err);
	if (r != -ENOENT)
		return r;
	return error_set(err, EINVAL, "%s is not an image: it has neither index.json (OCI) nor manifest.json (docker)",
	    streq(g->path, "-") ? "standard input" : g->path);
}

/* Shows the manifests of an OCI layout to the caller. A document that cannot be read is loading's
 * to refuse. */
static int look(const struct source *s, void *data, struct error **err)
{
	const struct load_options *o = data;
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	AUTOFREE char *text = NULL;
	size_t size;
	int r = 0;
	if (source_read_file(s, "index.json", &text, &size, NULL) < 0 ||
	    oci_index_parse(text, size, "archive", &index, NULL) < 0)
		return 0;
	for (size_t k = 0; r == 0 && k < index->count && k < LOOKS_MAX; k++) {
		AUTO_OCI_MANIFEST struct oci_manifest *m = NULL;
		AUTOFREE char *path = xasprintf("blobs/sha256/%s", digest_hex(index->manifests[k].digest)),
			      *manifest = NULL;
		if (source_read_file(s, path, &manifest, &size, NULL) == 0 &&
		    oci_manifest_parse(manifest, size, "archive", &m, NULL) == 0)
			r = o->look(m->annotations, o->look_data, err);
	}
	return r;
}

int load_images(struct library *l, const char *path, const struct load_options *o, struct strv *ret_names,
    struct strv *ret_digests, struct error **err)
{
	AUTO_SOURCE struct source source = SOURCE_NONE;
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	oci_platform_host(&host);
	struct loading g = {
		.source = &source,
		.path = path,
		.options = o,
		.platform = o->platform ? o->platform : &host,
		.names = ret_names,
		.digests = ret_digests,
	};
	int r = source_open(l, path, o->look ? look : NULL, (void *)o, &source, err);
	return r < 0 ? r : load_source(&g, err);
}
