/* SPDX-License-Identifier: Apache-2.0
 * Bringing an image from the library to a registry: configuration, layers, and last the manifest,
 * as it is in the library, so its digest stays.
 *
 * One request a blob finds out whether the registry has it. The configuration goes first and alone:
 * it learns whether TLS is spoken and logs in, and the layers follow several at once. A blob that
 * the library also has under another name of the same registry is mounted from there. */
#include "image/registry/push.h"

#include <errno.h>

#include "base/alloc.h"
#include "image/registry/settings.h"
#include "image/registry/upload.h"

enum { PARALLEL = 4 };

struct push {
	struct library *library;
	const struct reference *to;
	const struct push_options *options;
	struct endpoint *endpoint;
	struct fetch_context context;
	struct upload *uploads; /* the configuration, then the layers, each digest once */
	size_t count;
	struct strv repositories; /* of the registry, to mount from; each `uploads` borrows from here */
};

static void add_upload(struct push *p, const struct oci_descriptor *d)
{
	for (size_t k = 0; k < p->count; k++)
		if (streq(p->uploads[k].descriptor->digest, d->digest))
			return;
	struct upload *u = &p->uploads[p->count++];
	upload_init(u, &p->context, p->library, d);
	u->chunk = p->options->chunk_size;
	u->skip_only = !oci_layer_is_distributable(d);
}

static void add_uploads(struct push *p, const struct oci_manifest *m)
{
	add_upload(p, &m->config);
	for (size_t k = 0; k < m->layer_count; k++)
		add_upload(p, &m->layers[k]);
}

/* Notes for each blob of another image of the registry where it can be mounted from. */
static void note_mounts(struct push *p, const struct image *other, const struct reference *ref)
{
	char *from = NULL;
	for (size_t k = 0; k < other->manifest->layer_count; k++)
		for (size_t n = 0; n < p->count; n++) {
			struct upload *u = &p->uploads[n];
			if (u->mount_from || !streq(u->descriptor->digest, other->manifest->layers[k].digest))
				continue;
			if (!from) {
				from = xstrdup(ref->repository);
				strv_take(&p->repositories, from);
			}
			u->mount_from = from;
		}
}

static void find_mounts(struct push *p)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	if (library_read_index(p->library, &index, NULL) < 0)
		return;
	for (size_t k = 0; k < index.count; k++) {
		AUTO_REFERENCE struct reference *ref = NULL;
		AUTO_IMAGE struct image *other = NULL;
		const struct library_entry *e = &index.entries[k];
		if (e->name && reference_parse(e->name, &ref, NULL) == 0 && streq(ref->registry, p->to->registry) &&
		    !streq(ref->repository, p->to->repository) &&
		    image_load_any(p->library, e->name, e->descriptor.digest, &other, NULL) == 0)
			note_mounts(p, other, ref);
	}
}

static int open_endpoint(struct push *p, struct error **err)
{
	AUTO_REGISTRY_SETTINGS struct registry_settings settings = { 0 };
	int r = registry_settings_load(p->to->registry, &settings, err);
	if (r == 0)
		r = registry_settings_check(&settings, p->to, 0, err);
	if (r < 0)
		return r;
	p->endpoint = endpoint_new(p->to->registry, p->to->repository, p->options->insecure || settings.insecure);
	p->endpoint->pushes = 1;
	if (p->options->login) {
		credentials_copy(p->options->login, &p->endpoint->credentials);
		p->endpoint->looked_up = 1;
	}
	p->context = (struct fetch_context){
		.endpoints = &p->endpoint,
		.endpoint_count = 1,
		.progress = p->options->progress,
		.silence_s = settings.timeout_s,
		.min_rate = settings.min_rate,
	};
	return 0;
}

static int send_blobs(struct push *p, struct error **err)
{
	AUTOFREE struct fetch **fetches = xcalloc(p->count + 1, sizeof(void *));
	for (size_t k = 0; k < p->count; k++)
		fetches[k] = &p->uploads[k].fetch;
	p->endpoint->mounts = &p->repositories;
	int r = fetch_run(&p->context, fetches, 1, 1, err);
	return r < 0 ? r : fetch_run(&p->context, fetches + 1, p->count - 1, PARALLEL, err);
}

static int send_manifest(struct push *p, const char *to, const char *digest, const struct oci_manifest *m,
    struct error **err)
{
	AUTOFREE char *data = NULL;
	size_t size;
	int r = library_read_blob(p->library, digest, &data, &size, err);
	if (r < 0)
		return r;
	const char *type = m->media_type ? m->media_type : OCI_TYPE_MANIFEST;
	return upload_manifest(&p->context, to, type, digest, data, size, err);
}

static const char *target(const struct push *p)
{
	return p->to->digest ? p->to->digest : p->to->tag;
}

/* Opens the registry for as many blobs. */
static int push_init(struct push *p, size_t room, struct error **err)
{
	p->uploads = xcalloc(room, sizeof *p->uploads);
	return open_endpoint(p, err);
}

static void push_done(struct push *p)
{
	for (size_t k = 0; k < p->count; k++)
		upload_done(&p->uploads[k]);
	free(p->uploads);
	strv_done(&p->repositories);
	endpoint_free(p->endpoint);
}

int image_push(struct library *l, const struct image *i, const struct reference *to, const struct push_options *o,
    struct error **err)
{
	struct push p = { .library = l, .to = to, .options = o };
	int r = push_init(&p, i->manifest->layer_count + 1, err);
	if (r == 0) {
		add_uploads(&p, i->manifest);
		find_mounts(&p);
		r = send_blobs(&p, err);
	}
	if (r == 0)
		r = send_manifest(&p, target(&p), i->digest, i->manifest, err);
	push_done(&p);
	return r;
}

static int send_bundle(struct push *p, const struct bundle *b, struct error **err)
{
	int r = send_blobs(p, err);
	for (size_t k = 0; r == 0 && k < b->count; k++) {
		const char *digest = b->items[k].descriptor.digest;
		r = send_manifest(p, digest, digest, b->items[k].manifest, err);
	}
	return r == 0 ? upload_manifest(&p->context, target(p), b->media_type, b->digest, b->data, b->size, err) : r;
}

int bundle_push(struct library *l, const struct bundle *b, const struct reference *to, const struct push_options *o,
    struct error **err)
{
	struct push p = { .library = l, .to = to, .options = o };
	size_t room = 0;
	for (size_t k = 0; k < b->count; k++)
		room += b->items[k].manifest->layer_count + 1;
	int r = push_init(&p, room, err);
	if (r == 0) {
		for (size_t k = 0; k < b->count; k++)
			add_uploads(&p, b->items[k].manifest);
		find_mounts(&p);
		r = send_bundle(&p, b, err);
	}
	push_done(&p);
	return r;
}
