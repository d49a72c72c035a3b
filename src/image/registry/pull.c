/* SPDX-License-Identifier: Apache-2.0
 * Bringing an image from its registry into the library: index, manifest, configuration, layers, and
 * last the name. */
#include "image/registry/pull.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/library/blob.h"
#include "image/library/bundle.h"
#include "image/library/image.h"
#include "image/registry/registry.h"

struct pull {
	struct library *library;
	const struct pull_options *options;
	const char *name;
	struct registry *registry;
	struct document manifest;
	struct oci_manifest *parsed;
	struct bundle *bundle; /* of all platforms, or NULL */
};

/* Refuses an artifact before its blobs come, if an image is needed. */
static int check_is_image(const struct pull *p, struct error **err)
{
	const char *type = p->options->artifacts ? NULL : oci_manifest_artifact(p->parsed);
	return type ? error_set(err, ENOTSUP,
			  "\"%s\" is an artifact of the type \"%.80s\"; choose the name of an image", p->name, type) :
		      0;
}

/* The manifest of this digest, from the library where it is there. */
static int get_chosen(struct pull *p, const char *digest, struct error **err)
{
	AUTOFREE char *data = NULL;
	size_t size;
	if (library_read_blob(p->library, digest, &data, &size, NULL) < 0)
		return registry_get_manifest(p->registry, digest, &p->manifest, err);
	p->manifest = (struct document){ .data = TAKE_PTR(data), .size = size };
	snprintf(p->manifest.digest, sizeof p->manifest.digest, "%s", digest);
	return 0;
}

/* Gets the manifest for the platform into p->manifest, by way of an index where there is one. */
static int get_manifest(struct pull *p, const struct reference *ref, const struct oci_platform *wanted,
    struct error **err)
{
	AUTO_DOCUMENT struct document first = { 0 };
	AUTO_OCI_INDEX struct oci_index *index = NULL;
	const struct oci_descriptor *chosen;
	enum oci_document kind;
	int result;
	if ((result = registry_get_manifest(p->registry, ref->digest ? ref->digest : ref->tag, &first, err)) < 0 ||
	    (result = oci_document_kind(first.data, first.size, first.media_type, p->name, &kind, err)) < 0)
		return result;
	if (kind != OCI_DOCUMENT_INDEX) {
		p->manifest = first;
		first = (struct document){ 0 };
	} else if (p->options->all) {
		return bundle_parse(TAKE_PTR(first.data), first.size, first.media_type, p->name, &p->bundle, err);
	} else if ((result = oci_index_parse(first.data, first.size, p->name, &index, err)) < 0 ||
		   (result = oci_index_choose(index, wanted, p->name, &chosen, err)) < 0 ||
		   (result = get_chosen(p, chosen->digest, err)) < 0) {
		return result;
	}
	result = oci_manifest_parse(p->manifest.data, p->manifest.size, p->name, &p->parsed, err);
	return result < 0 ? result : check_is_image(p, err);
}

static void tell_waiting(void *data)
{
	struct pull *p = data;
	progress_note(p->options->progress, "another process is getting %s; waiting for it", p->name);
}

/* Brings what a reader needs before the layers. 1: layers are to come, so one is worth it. */
static int prepare_reader(struct pull *p, struct streams *s, struct error **err)
{
	const struct oci_manifest *m = p->parsed;
	const struct oci_descriptor *config = &m->config;
	char digest[DIGEST_TEXT_SIZE + 1];
	if (!p->options->start || streams_init(s, p->library, m->layers, m->layer_count) < 0 || s->count == 0)
		return 0;
	int r = registry_get_blobs(p->registry, p->library, &config, 1, NULL, err);
	if (r == 0)
		r = blob_write(p->library, p->manifest.data, p->manifest.size, digest, err);
	return r < 0 ? r : 1;
}

static int get_blobs_for_reader(struct pull *p, const struct oci_descriptor *const *list, size_t count,
    struct streams *s, struct error **err)
{
	p->options->start(p->options->data, p->name, p->manifest.digest, s);
	int r = registry_get_blobs(p->registry, p->library, list, count, s, err);
	streams_done(s);
	p->options->end(p->options->data);
	return r;
}

static int get_blobs(struct pull *p, struct error **err)
{
	AUTO_STREAMS struct streams streams = { 0 };
	size_t count = p->parsed->layer_count + 1;
	AUTOFREE const struct oci_descriptor **list = xcalloc(count, sizeof(void *));
	list[0] = &p->parsed->config;
	for (size_t i = 0; i + 1 < count; i++)
		list[i + 1] = &p->parsed->layers[i];
	AUTO_FD int lock = library_lock_image(p->library, p->manifest.digest, tell_waiting, p, err);
	if (lock < 0)
		return lock;
	int r = prepare_reader(p, &streams, err);
	return r < 0 ? r :
	       r > 0 ? get_blobs_for_reader(p, list, count, &streams, err) :
		       registry_get_blobs(p->registry, p->library, list, count, NULL, err);
}

/* One manifest of the index: into the library, and its blobs into the list. */
static int get_item(struct pull *p, struct bundle_item *item, const struct oci_descriptor ***list, size_t *count,
    struct error **err)
{
	char digest[DIGEST_TEXT_SIZE + 1];
	int r = get_chosen(p, item->descriptor.digest, err);
	if (r == 0)
		r = oci_manifest_parse(p->manifest.data, p->manifest.size, p->name, &item->manifest, err);
	if (r == 0)
		r = blob_write(p->library, p->manifest.data, p->manifest.size, digest, err);
	document_done(&p->manifest);
	if (r < 0)
		return r;
	const struct oci_manifest *m = item->manifest;
	if (*count + m->layer_count + 1 > BUNDLE_BLOBS_MAX)
		return error_set(err, EFBIG, "the platforms of image \"%s\" have more than %d blobs", p->name,
		    BUNDLE_BLOBS_MAX);
	*list = xrealloc(*list, *count + m->layer_count + 1, sizeof(void *));
	(*list)[(*count)++] = &m->config;
	for (size_t k = 0; k < m->layer_count; k++)
		(*list)[(*count)++] = &m->layers[k];
	return 0;
}

/* Gives the images for Linux among the manifests the name, and the name its index, which keeps the
 * artifacts. ret_digest: of the one for `wanted`, or the first. */
static int register_all(struct pull *p, const struct oci_platform *wanted, char *ret_digest, struct error **err)
{
	const struct bundle *b = p->bundle;
	const struct oci_descriptor d = { .media_type = b->media_type, .digest = b->digest, .size = b->size };
	int best = -1;
	for (size_t k = 0; k < b->count; k++) {
		const struct oci_descriptor *one = &b->items[k].descriptor;
		if (!streq(one->platform.os, "linux") || oci_manifest_artifact(b->items[k].manifest))
			continue;
		int score = oci_platform_match(wanted, &one->platform);
		int r = image_register(p->library, p->name, one->digest, NULL, err);
		if (r < 0)
			return r;
		if (score > best)
			snprintf(ret_digest, DIGEST_TEXT_SIZE + 1, "%s", one->digest);
		best = MAX(best, score);
	}
	if (best < 0)
		return error_set(err, ENOENT, "image \"%s\" has no platform of Linux in its index", p->name);
	return library_set_index(p->library, p->name, &d, err);
}

static int get_all(struct pull *p, const struct oci_platform *wanted, struct error **err)
{
	AUTOFREE const struct oci_descriptor **list = NULL;
	char digest[DIGEST_TEXT_SIZE + 1];
	size_t count = 0;
	AUTO_FD int lock = library_lock_image(p->library, p->bundle->digest, tell_waiting, p, err);
	int r = lock < 0 ? lock : 0;
	for (size_t k = 0; r == 0 && k < p->bundle->count; k++)
		r = get_item(p, &p->bundle->items[k], &list, &count, err);
	if (r == 0)
		r = registry_get_blobs(p->registry, p->library, list, count, NULL, err);
	if (r == 0)
		r = blob_write(p->library, p->bundle->data, p->bundle->size, digest, err);
	return r == 0 ? register_all(p, wanted, p->manifest.digest, err) : r;
}

static int pull(struct pull *p, const struct reference *ref, const struct oci_platform *wanted, struct error **err)
{
	char digest[DIGEST_TEXT_SIZE + 1];
	int result = registry_open(ref, p->options->insecure, p->options->progress, &p->registry, err);
	if (result < 0)
		return result;
	if (p->options->login)
		registry_set_login(p->registry, p->options->login);
	progress_note(p->options->progress, "pulling %s", p->name);
	if ((result = get_manifest(p, ref, wanted, err)) < 0)
		return result;
	if (p->bundle)
		return get_all(p, wanted, err);
	if ((result = get_blobs(p, err)) < 0 ||
	    (result = blob_write(p->library, p->manifest.data, p->manifest.size, digest, err)) < 0)
		return result;
	return image_register(p->library, p->name, digest, p->options->platform, err);
}

/* The suite of a name that Docker Hub has for Debian ("debian:12", "trixie"), or NULL. Borrowed. */
static const char *debian_suite(const struct reference *ref)
{
	static const struct {
		const char *release, *suite;
	} releases[] = { { "latest", "trixie" }, { "stable", "trixie" }, { "13", "trixie" }, { "12", "bookworm" },
		{ "11", "bullseye" } };
	const char *name = ref->short_name ? ref->short_name : "", *tag = ref->tag ? ref->tag : "";
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		if (streq(name, releases[i].suite))
			return releases[i].suite;
		size_t n = strlen(releases[i].release), m = strlen(releases[i].suite);
		int is_suite = strncmp(tag, releases[i].suite, m) == 0 && (!tag[m] || tag[m] == '-'),
		    is_release = strncmp(tag, releases[i].release, n) == 0 && (!tag[n] || strchr(".-", tag[n]));
		if (streq(name, "debian") && (is_suite || is_release))
			return releases[i].suite;
	}
	return NULL;
}

/* Passes an error on with what else would give the image that a person named. */
static int add_remedy(int code, const struct error *why, const char *text, const struct reference *ref,
    struct error **err)
{
	AUTOFREE char *file = pull_file_hint(text);
	const char *suite = ref ? debian_suite(ref) : NULL;
	AUTOFREE char *debian =
	    suite ?
		xasprintf("; \"holm image debootstrap %s\" makes one of Debian's packages without a registry", suite) :
		NULL;
	return error_set(err, -code, "%s%s", error_text(why, code), file ? file : debian ? debian : "");
}

char *pull_file_hint(const char *text)
{
	struct stat st;
	if (stat(text, &st) < 0 || !(S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && strchr("./", *text))))
		return NULL;
	if (S_ISDIR(st.st_mode))
		return xasprintf("; \"%.200s\" is a directory here: \"holm image load\" takes an image from it", text);
	return xasprintf("; \"%.200s\" is a file here: \"holm image load\" takes an image from it, \"holm image "
			 "import\" "
			 "makes one of a tar file of a file system",
	    text);
}

int image_pull(struct library *l, const char *text, const struct pull_options *o, char **ret_name, char **ret_digest,
    struct error **err)
{
	AUTO_REFERENCE struct reference *reference = NULL;
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	AUTO_ERROR struct error *why = NULL;
	oci_platform_host(&host);
	int r = reference_parse(text, &reference, &why);
	if (r < 0)
		return add_remedy(r, why, text, NULL, err);
	AUTOFREE char *name = reference_to_string(reference);
	if (reference_is_local(reference))
		return error_set(err, ENOENT,
		    "no image \"%s\" in the library, and no registry has images of localhost/; see holm image ls, "
		    "or "
		    "write localhost:PORT/NAME for a registry on this host",
		    name);
	struct pull p = { .library = l, .options = o, .name = name };
	r = pull(&p, reference, o->platform ? o->platform : &host, &why);
	if (r == 0) {
		*ret_digest = xstrdup(p.manifest.digest);
		*ret_name = TAKE_PTR(name);
	}
	registry_free(p.registry);
	document_done(&p.manifest);
	oci_manifest_free(p.parsed);
	bundle_free(p.bundle);
	return r < 0 ? add_remedy(r, why, text, reference, err) : 0;
}
