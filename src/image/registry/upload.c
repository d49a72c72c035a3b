/* SPDX-License-Identifier: Apache-2.0
 * Sending one blob to a registry.
 *
 * Steps. CHECK asks whether the blob is there (HEAD). START opens an upload (POST), and offers to
 * mount the blob from another repository. WHOLE sends everything in one PUT; or CHUNK sends pieces
 * by PATCH and CLOSE ends them. Each step has a row: what is asked, and what its answer means.
 * Answers that no row takes are judged as those of a download: logins, redirects, retries.
 *
 * Failures. An upload that breaks starts again from START: its address is worth nothing after that.
 * A registry that refuses the whole as too large gets pieces, halved until it takes them. */
#include "image/registry/upload.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/registry/fetch_judge.h"
#include "oci/digest.h"

enum { QUICK_TIMEOUT_S = 120, COMMIT_SILENCE_S = 600 };

struct step {
	const char *method;
	void (*prepare)(struct upload *u);
	int (*answer)(struct upload *u, long status, struct error **err);
};

static void go_to(struct upload *u, enum upload_step step);

static int is_success(long status)
{
	return status >= 200 && status < 300;
}

/* The first 12 digits of the digest. Owned. */
static char *short_name(const char *digest)
{
	return xstrndup(digest_hex(digest), 12);
}

static void on_sent(struct request_body *b, void *data)
{
	struct upload *u = data;
	progress_update(u->context->progress, u->fetch.bar, u->offset + b->sent);
}

static void set_path(struct upload *u, char *path)
{
	free(u->path);
	u->fetch.path = u->path = path;
}

/* --- CHECK ---------------------------------------------------------------------------------- */

static void prepare_check(struct upload *u)
{
	set_path(u, xasprintf("blobs/%s", u->descriptor->digest));
}

static int end(struct upload *u, const char *word)
{
	progress_finish(u->context->progress, u->fetch.bar, word);
	return FETCH_DONE;
}

static int answer_check(struct upload *u, long status, struct error **err)
{
	/* A redirect leads to where its bytes are. */
	if (status == 200 || (status >= 301 && status <= 308))
		return end(u, "there already");
	/* A registry that does not know HEAD may still take the blob, and one that refuses it
	 * says why in answer to a POST only. */
	if (status != 404 && status != 403 && status != 405 && status != 400 && status != 501)
		return FETCH_UNANSWERED;
	if (u->skip_only)
		return end(u, "not distributable");
	go_to(u, UPLOAD_START);
	return FETCH_AGAIN;
}

/* --- START ---------------------------------------------------------------------------------- */

static void prepare_start(struct upload *u)
{
	char *from = u->mount_from ? curl_easy_escape(NULL, u->mount_from, 0) : NULL;
	u->offset = 0;
	set_path(u, from ? xasprintf("blobs/uploads/?mount=%s&from=%s", u->descriptor->digest, from) :
			   xstrdup("blobs/uploads/"));
	curl_free(from);
}

/* Keeps where the upload goes on. 0 or -errno. */
static int take_location(struct upload *u, struct error **err)
{
	struct endpoint *e = u->context->endpoints[u->fetch.endpoint];
	AUTOFREE char *base = fetch_url(u->context, &u->fetch);
	char *to = u->fetch.request.location ? request_resolve(base, u->fetch.request.location) : NULL;
	if (!to)
		return error_set(err, EPROTO, "registry %s does not say where to send %s", e->registry, u->what);
	if (startswith(e->base, "https://") && startswith(to, "http://") && !e->insecure) {
		free(to);
		return error_set(err, EACCES,
		    "registry %s wants %s sent by plain HTTP; allow it with --tls-verify=false", e->registry, u->what);
	}
	if (fetch_leads_near(u->context, &u->fetch, to)) {
		AUTOFREE char *where = to;
		return error_set(err, EACCES, "registry %s wants %s sent to this machine or its link (%s)", e->registry,
		    u->what, where);
	}
	free(u->location);
	u->location = to;
	return 0;
}

static int refuse_start(struct upload *u, struct error **err)
{
	const struct endpoint *e = u->context->endpoints[u->fetch.endpoint];
	AUTOFREE char *message = request_error_message(&u->fetch.request);
	return error_set(err, ENOENT, "registry %s takes no uploads for \"%s\"%s; check the name, or create it there",
	    e->registry, e->repository, message);
}

static int answer_start(struct upload *u, long status, struct error **err)
{
	if (status == 201 && u->mount_from)
		return end(u, "mounted");
	if (u->mount_from && (status == 400 || status == 404 || status == 405)) {
		u->mount_from = NULL;
		go_to(u, UPLOAD_START);
		return FETCH_AGAIN;
	}
	if (status == 404)
		return refuse_start(u, err);
	if (status != 202)
		return FETCH_UNANSWERED;
	int r = take_location(u, err);
	if (r < 0)
		return r;
	if (u->chunk > 0)
		u->chunk = MAX(u->chunk, u->fetch.request.chunk_min);
	go_to(u, u->chunk > 0 && u->chunk < u->descriptor->size ? UPLOAD_CHUNK : UPLOAD_WHOLE);
	return FETCH_AGAIN;
}

/* --- WHOLE, CHUNK, CLOSE -------------------------------------------------------------------- */

/* The address of the upload, with the digest that ends it. Owned. */
static char *closing_url(const struct upload *u)
{
	return xasprintf("%s%sdigest=%s", u->location, strchr(u->location, '?') ? "&" : "?", u->descriptor->digest);
}

static void set_body(struct upload *u, uint64_t start, uint64_t size)
{
	u->body.start = start;
	u->body.size = size;
	u->fetch.body_to_send = &u->body;
	u->fetch.content_type = "application/octet-stream";
}

static void prepare_whole(struct upload *u)
{
	u->fetch.url = closing_url(u);
	set_body(u, 0, u->descriptor->size);
}

static int verify(struct upload *u, struct error **err)
{
	const char *claimed = u->fetch.request.content_digest;
	if (claimed && digest_is_valid(claimed) && !streq(claimed, u->descriptor->digest))
		return error_set(err, EBADMSG, "registry %s took %s as %s",
		    u->context->endpoints[u->fetch.endpoint]->registry, u->what, claimed);
	return end(u, "pushed");
}

/* Goes over to pieces, or to smaller ones. */
static int shrink(struct upload *u)
{
	uint64_t chunk = u->chunk > 0 && u->step == UPLOAD_CHUNK ? u->chunk / 2 : UPLOAD_CHUNK_FALLBACK;
	if (chunk >= u->descriptor->size)
		chunk = u->descriptor->size / 2;
	if (chunk < UPLOAD_CHUNK_MIN)
		return FETCH_UNANSWERED;
	u->chunk = chunk;
	go_to(u, UPLOAD_START);
	return FETCH_AGAIN;
}

/* The registry does not know the upload any more, or has other bytes of it. */
static int is_lost(long status)
{
	return status == 404 || status == 416;
}

static int answer_whole(struct upload *u, long status, struct error **err)
{
	if (status == 413)
		return shrink(u);
	return is_success(status) ? verify(u, err) : is_lost(status) ? FETCH_LATER : FETCH_UNANSWERED;
}

static void prepare_chunk(struct upload *u)
{
	uint64_t size = MIN(u->chunk, u->descriptor->size - u->offset);
	u->fetch.url = xstrdup(u->location);
	set_body(u, u->offset, size);
	u->range = xasprintf("%llu-%llu", (unsigned long long)u->offset, (unsigned long long)(u->offset + size - 1));
	u->fetch.content_range = u->range;
}

static int answer_chunk(struct upload *u, long status, struct error **err)
{
	if (status == 413)
		return shrink(u);
	if (!is_success(status))
		return is_lost(status) ? FETCH_LATER : FETCH_UNANSWERED;
	uint64_t end_of_range = u->offset + u->body.size, got = u->fetch.request.range_end;
	if (got != UINT64_MAX && got + 1 != end_of_range)
		return error_set(err, EPROTO, "registry %s says that it has %llu bytes of %s, not %llu",
		    u->context->endpoints[u->fetch.endpoint]->registry, (unsigned long long)got + 1, u->what,
		    (unsigned long long)end_of_range);
	int r = u->fetch.request.location ? take_location(u, err) : 0;
	if (r < 0)
		return r;
	u->offset = end_of_range;
	go_to(u, u->offset < u->descriptor->size ? UPLOAD_CHUNK : UPLOAD_CLOSE);
	return FETCH_AGAIN;
}

static void prepare_close(struct upload *u)
{
	u->fetch.url = closing_url(u);
	set_body(u, 0, 0);
}

static int answer_close(struct upload *u, long status, struct error **err)
{
	return is_success(status) ? verify(u, err) : is_lost(status) ? FETCH_LATER : FETCH_UNANSWERED;
}

static const struct step steps[] = {
	[UPLOAD_CHECK] = { "HEAD", prepare_check, answer_check },
	[UPLOAD_START] = { "POST", prepare_start, answer_start },
	[UPLOAD_WHOLE] = { "PUT", prepare_whole, answer_whole },
	[UPLOAD_CHUNK] = { "PATCH", prepare_chunk, answer_chunk },
	[UPLOAD_CLOSE] = { "PUT", prepare_close, answer_close },
};

static void go_to(struct upload *u, enum upload_step step)
{
	struct fetch *f = &u->fetch;
	u->step = step;
	free(TAKE_PTR(f->url));
	free(TAKE_PTR(u->range));
	f->content_range = f->content_type = NULL;
	f->body_to_send = NULL;
	f->method = steps[step].method;
	f->timeout_s = step == UPLOAD_CHECK || step == UPLOAD_START ? QUICK_TIMEOUT_S : 0;
	steps[step].prepare(u);
}

/* --- as a fetch ------------------------------------------------------------------------------ */

static int upload_begin(struct fetch *f, struct error **err)
{
	struct upload *u = f->data;
	u->body.fd = library_open_blob(u->library, u->descriptor->digest, NULL, err);
	return u->body.fd < 0 ? u->body.fd : 0;
}

static int upload_answer(struct fetch *f, struct error **err)
{
	struct upload *u = f->data;
	return steps[u->step].answer(u, f->request.status, err);
}

static uint64_t upload_offset(struct fetch *f)
{
	const struct upload *u = f->data;
	return u->offset;
}

/* An exchange failed and will be repeated. */
static int upload_restart(struct fetch *f, struct error **err)
{
	struct upload *u = f->data;
	if (u->step != UPLOAD_CHECK)
		go_to(u, UPLOAD_START);
	return 0;
}

void upload_init(struct upload *u, struct fetch_context *c, struct library *l, const struct oci_descriptor *d)
{
	AUTOFREE char *name = short_name(d->digest);
	*u = (struct upload){ .context = c, .library = l, .descriptor = d };
	u->what = xasprintf("blob %s", name);
	u->body = (struct request_body){ .fd = -1, .on_sent = on_sent, .data = u };
	u->fetch = (struct fetch){
		.what = u->what,
		.silence_s = COMMIT_SILENCE_S,
		.bar = progress_add(c->progress, name, d->size),
		.data = u,
		.begin = upload_begin,
		.offset = upload_offset,
		.restart = upload_restart,
		.answer = upload_answer,
		.sends = 1,
	};
	go_to(u, UPLOAD_CHECK);
}

void upload_done(struct upload *u)
{
	fd_close(TAKE_FD(u->body.fd));
	free(TAKE_PTR(u->fetch.url));
	free(TAKE_PTR(u->path));
	free(TAKE_PTR(u->what));
	free(TAKE_PTR(u->location));
	free(TAKE_PTR(u->range));
}

/* --- manifests ------------------------------------------------------------------------------- */

struct manifest_upload {
	struct fetch fetch;
	struct fetch_context *context;
	const char *digest;
};

static uint64_t manifest_offset(struct fetch *f)
{
	return 0;
}

static int manifest_restart(struct fetch *f, struct error **err)
{
	return 0;
}

static int manifest_answer(struct fetch *f, struct error **err)
{
	struct manifest_upload *m = f->data;
	const char *claimed = f->request.content_digest;
	if (!is_success(f->request.status))
		return FETCH_UNANSWERED;
	if (claimed && digest_is_valid(claimed) && !streq(claimed, m->digest))
		return error_set(err, EBADMSG, "registry %s took the manifest as %s instead of %s",
		    m->context->endpoints[f->endpoint]->registry, claimed, m->digest);
	return FETCH_DONE;
}

int upload_manifest(struct fetch_context *c, const char *tag_or_digest, const char *media_type, const char *digest,
    const char *data, size_t size, struct error **err)
{
	AUTOFREE char *path = xasprintf("manifests/%s", tag_or_digest),
		      *what = xasprintf("manifest \"%s\"", tag_or_digest);
	struct request_body body = { .fd = -1, .memory = data, .size = size };
	struct manifest_upload m = { .context = c, .digest = digest };
	struct fetch *list[] = { &m.fetch };
	m.fetch = (struct fetch){
		.path = path,
		.what = what,
		.method = "PUT",
		.content_type = media_type,
		.body_to_send = &body,
		.timeout_s = QUICK_TIMEOUT_S,
		.bar = -1,
		.data = &m,
		.offset = manifest_offset,
		.restart = manifest_restart,
		.answer = manifest_answer,
		.sends = 1,
	};
	return fetch_run(c, list, 1, 1, err);
}
