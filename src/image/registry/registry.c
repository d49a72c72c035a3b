/* SPDX-License-Identifier: Apache-2.0
 * A client of one repository: what is fetched and where it goes. How it is fetched is fetch.c. */
#include "image/registry/registry.h"

#include <errno.h>

#include "base/alloc.h"
#include "image/library/blob.h"
#include "image/registry/fetch.h"
#include "image/registry/settings.h"

enum { DOCUMENT_TIMEOUT_S = 120, PARALLEL = 4, ENDPOINTS_MAX = 17 };

struct registry {
	char *name; /* of the image, for errors */
	struct endpoint *endpoints[ENDPOINTS_MAX];
	struct fetch_context context;
};

static void add_endpoint(struct registry *g, const char *name, const char *repository, int insecure)
{
	if (g->context.endpoint_count < ENDPOINTS_MAX)
		g->endpoints[g->context.endpoint_count++] = endpoint_new(name, repository, insecure);
}

int registry_open(const struct reference *ref, int insecure, struct progress *p, struct registry **ret,
    struct error **err)
{
	AUTO_REGISTRY_SETTINGS struct registry_settings settings = { 0 };
	int result = registry_settings_load(ref->registry, &settings, err);
	if (result == 0)
		result = registry_settings_check(&settings, ref, 1, err);
	if (result < 0)
		return result;
	struct registry *g = xnew(struct registry);
	g->name = reference_to_string(ref);
	g->context = (struct fetch_context){
		.endpoints = g->endpoints,
		.progress = p,
		.silence_s = settings.timeout_s,
		.min_rate = settings.min_rate,
	};
	insecure = insecure || settings.insecure;
	for (size_t i = 0; i < settings.mirrors.count; i++)
		add_endpoint(g, settings.mirrors.items[i], ref->repository, insecure);
	add_endpoint(g, ref->registry, ref->repository, insecure);
	*ret = g;
	return 0;
}

void registry_set_login(struct registry *g, const struct credentials *c)
{
	struct endpoint *e = g->endpoints[g->context.endpoint_count - 1];
	credentials_done(&e->credentials);
	credentials_copy(c, &e->credentials);
	e->looked_up = 1;
}

void registry_free(struct registry *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->context.endpoint_count; i++)
		endpoint_free(g->endpoints[i]);
	free(g->name);
	free(g);
}

void document_done(struct document *d)
{
	free(d->data);
	free(d->media_type);
	*d = (struct document){ 0 };
}

struct document_fetch {
	struct fetch fetch;
	const char *expected; /* digest, or NULL */
	struct buffer buffer;
	struct document *ret;
};

static uint64_t document_offset(struct fetch *f)
{
	return 0;
}

static int document_restart(struct fetch *f, struct error **err)
{
	struct document_fetch *d = f->data;
	buffer_done(&d->buffer);
	return 0;
}

static int document_body(struct fetch *f, const void *data, size_t size, struct error **err)
{
	struct document_fetch *d = f->data;
	return buffer_append(&d->buffer, data, size) < 0 ?
		   error_set(err, EFBIG, "%s is bigger than %d MiB", f->what, OCI_DOCUMENT_MAX >> 20) :
		   0;
}

static int document_complete(struct fetch *f, struct error **err)
{
	struct document_fetch *d = f->data;
	const char *claimed = d->expected ? d->expected : f->request.content_digest;
	hash_memory(d->buffer.data, d->buffer.size, d->ret->digest);
	if (claimed && digest_is_valid(claimed) && !streq(claimed, d->ret->digest)) {
		document_restart(f, NULL);
		return error_set(err, EBADMSG, "wrong digest: it should be %s and is %s", claimed, d->ret->digest);
	}
	d->ret->size = d->buffer.size;
	d->ret->media_type = xstrdup(f->request.content_type);
	d->ret->data = d->buffer.size ? buffer_take_string(&d->buffer) : xstrdup("");
	return 0;
}

static int get_document(struct registry *g, const char *path, const char *what, const char *expected,
    struct document *ret, struct error **err)
{
	struct document_fetch d = {
		.fetch = {
			.path = path,
			.what = what,
			.accept = OCI_TYPE_INDEX ", " OCI_TYPE_MANIFEST ", "
"application/vnd.docker.distribution.manifest.list.v2+json, "
						 "application/vnd.docker.distribution.manifest.v2+json",
			.timeout_s = DOCUMENT_TIMEOUT_S,
			.bar = -1,
			.offset = document_offset,
			.restart = document_restart,
			.body = document_body,
			.complete = document_complete,
		},
		.expected = expected,
		.ret = ret,
	};
	struct fetch *list[] = { &d.fetch };
	*ret = (struct document){ 0 };
	d.fetch.data = &d;
	buffer_init(&d.buffer, OCI_DOCUMENT_MAX);
	int r = fetch_run(&g->context, list, 1, 1, err);
	buffer_done(&d.buffer);
	return r;
}

int registry_get_manifest(struct registry *g, const char *tag_or_digest, struct document *ret, struct error **err)
{
	AUTOFREE char *path = xasprintf("manifests/%s", tag_or_digest),
		      *what = xasprintf("manifest \"%s\"", tag_or_digest);
	return get_document(g, path, what, digest_is_valid(tag_or_digest) ? tag_or_digest : NULL, ret, err);
}

int registry_get_config(struct registry *g, const char *digest, struct document *ret, struct error **err)
{
	AUTOFREE char *path = xasprintf("blobs/%s", digest);
	return get_document(g, path, "the image's configuration", digest, ret, err);
}

struct blob_fetch {
	struct fetch fetch;
	struct library *library;
	struct progress *progress;
	const struct fetch_context *context;
	const struct oci_descriptor *descriptor;
	struct blob_writer writer;
	int open;     /* the writer is */
	int verified; /* it has all, and waits for its name */
	char digest[DIGEST_TEXT_SIZE + 1];
	char *path, *what;
};

static int blob_publish(struct blob_fetch *b, struct error **err)
{
	if (!b->verified)
		return 0;
	b->verified = 0;
	return blob_writer_publish(&b->writer, b->digest, err);
}

static int blob_open(struct blob_fetch *b, struct error **err)
{
	int r = blob_writer_open(b->library, b->descriptor->digest, b->descriptor->size, 1, &b->writer, err);
	b->open = r == 0;
	if (r == 0)
		blob_writer_show(&b->writer, b->context->streams);
	return r;
}

/* A blob that is read along gets its name at the end: the sync before that would keep its reader
 * waiting. */
static int blob_finish(struct blob_fetch *b, struct error **err)
{
	int r = blob_writer_verify(&b->writer, b->digest, err);
	b->open = 0;
	b->verified = r == 0;
	return r == 0 && !b->context->streams ? blob_publish(b, err) : r;
}

static int blob_begin(struct fetch *f, struct error **err)
{
	struct blob_fetch *b = f->data;
	int r = blob_open(b, err);
	if (r < 0 || b->writer.size == 0)
		return r;
	progress_update(b->progress, f->bar, b->writer.size);
	if (b->writer.size < b->descriptor->size)
		return 0;
	/* It ended between the last byte and its name. */
	r = blob_finish(b, NULL);
	if (r < 0)
		return blob_open(b, err);
	progress_finish(b->progress, f->bar, "done");
	return 1;
}

static uint64_t blob_offset(struct fetch *f)
{
	struct blob_fetch *b = f->data;
	return b->writer.size;
}

static int blob_restart(struct fetch *f, struct error **err)
{
	struct blob_fetch *b = f->data;
	return blob_writer_restart(&b->writer, err);
}

static int blob_body(struct fetch *f, const void *data, size_t size, struct error **err)
{
	struct blob_fetch *b = f->data;
	int r = blob_writer_write(&b->writer, data, size, err);
	progress_update(b->progress, f->bar, b->writer.size);
	return r;
}

static int blob_complete(struct fetch *f, struct error **err)
{
	struct blob_fetch *b = f->data;
	int r = blob_finish(b, err);
	if (r == 0)
		progress_finish(b->progress, f->bar, "done");
	else if (r == -EBADMSG && blob_open(b, NULL) < 0)
		return -EIO;
	return r;
}

static struct fetch *blob_fetch_init(struct blob_fetch *b, struct registry *g, struct library *l,
    const struct oci_descriptor *d)
{
	AUTOFREE char *label = xstrndup(digest_hex(d->digest), 12);
	*b = (struct blob_fetch){
		.library = l,
		.progress = g->context.progress,
		.context = &g->context,
		.descriptor = d,
		.writer = BLOB_WRITER_NONE,
	};
	b->path = xasprintf("blobs/%s", d->digest);
	b->what = xasprintf("blob %s%s", label,
	    oci_layer_is_distributable(d) ? "" : " (a layer that is not distributed with every image)");
	b->fetch = (struct fetch){
		.path = b->path,
		.what = b->what,
		.bar = progress_add(g->context.progress, label, d->size),
		.data = b,
		.begin = blob_begin,
		.offset = blob_offset,
		.restart = blob_restart,
		.body = blob_body,
		.complete = blob_complete,
	};
	return &b->fetch;
}

int registry_get_blobs(struct registry *g, struct library *l, const struct oci_descriptor *const *list, size_t count,
    struct streams *s, struct error **err)
{
	AUTOFREE struct blob_fetch *blobs = xcalloc(count + 1, sizeof *blobs);
	AUTOFREE struct fetch **fetches = xcalloc(count + 1, sizeof(void *));
	size_t missing = 0;
	for (size_t i = 0; i < count; i++) {
		int seen = library_has_blob(l, list[i]->digest, list[i]->size);
		for (size_t k = 0; k < i && !seen; k++) /* the same layer twice in one image */
			seen = streq(list[k]->digest, list[i]->digest);
		if (!seen) {
			fetches[missing] = blob_fetch_init(&blobs[missing], g, l, list[i]);
			missing++;
		}
	}
	g->context.streams = s;
	int r = fetch_run(&g->context, fetches, missing, PARALLEL, err);
	g->context.streams = NULL;
	if (r == 0 && s)
		r = streams_finish(s, err);
	for (size_t i = 0; i < missing; i++) {
		int published = blob_publish(&blobs[i], r < 0 ? NULL : err);
		r = r < 0 ? r : published;
		if (blobs[i].open)
			blob_writer_abort(&blobs[i].writer);
		free(blobs[i].path);
		free(blobs[i].what);
	}
	return r;
}
