/* SPDX-License-Identifier: Apache-2.0
 * The next step after one exchange of a fetch.
 *
 * A table gives the meaning of each status. Retries are bounded: a number of attempts that starts
 * again only if an attempt brought PROGRESS_MIN bytes, waits that double, and Retry-After is
 * followed up to a limit. So a registry that sends a byte at a time does not hold a pull for ever.
 * What fails at a mirror goes on at the next endpoint; what fails at a redirect's target goes back
 * to the registry, because such addresses expire. */
#include "image/registry/fetch_judge.h"

#include <errno.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "image/common/interrupt.h"
#include "image/registry/near.h"

enum {
	REDIRECTS_MAX = 10,
	LOGINS_MAX = 3,
	ATTEMPTS_MAX = 6,
	CONNECT_ATTEMPTS_MAX = 3,
	PROGRESS_MIN = 64 << 10,
	PAUSE_FIRST_MS = 500,
	PAUSE_MAX_MS = 16000,
	RETRY_AFTER_MAX_MS = 120000,
};

static struct endpoint *endpoint_of(struct fetch_context *c, struct fetch *f)
{
	return c->endpoints[f->endpoint];
}

static void drop_redirect(struct fetch *f)
{
	free(TAKE_PTR(f->redirect));
	f->redirects = 0;
}

/* The error stands unless another endpoint is left. Takes the exchange to that one then. */
static int next_endpoint(struct fetch_context *c, struct fetch *f, int code, struct error **err)
{
	if (f->endpoint + 1 >= c->endpoint_count || interrupt_check(NULL) < 0)
		return code;
	progress_note(c->progress, "mirror %s: %s; going on with the next", endpoint_of(c, f)->registry,
	    error_text(err ? *err : NULL, code));
	if (err)
		error_clear(err);
	drop_redirect(f);
	/* A document comes whole from one place. */
	if (f->offset(f) == 0)
		(void)f->restart(f, NULL);
	f->endpoint++;
	f->logins = f->attempts = 0;
	f->not_before = 0;
	return FETCH_AGAIN;
}

static uint64_t pause_ms(int attempt)
{
	unsigned char noise = 0;
	uint64_t ms = MIN((uint64_t)PAUSE_FIRST_MS << MIN(attempt - 1, 10), (uint64_t)PAUSE_MAX_MS);
	ssize_t n UNUSED = getrandom(&noise, 1, GRND_NONBLOCK);
	return ms + ms * noise / 1024; /* up to a quarter more, so that many clients do not come back together */
}

/* "manifest "12" of "library/debian"", or "login", which is of the registry as a whole. Owned. */
static char *describe(const struct fetch *f, const struct endpoint *e)
{
	return *e->repository ? xasprintf("%s of \"%s\"", f->what, e->repository) : xstrdup(f->what);
}

/* Tries again later, if there are attempts left; else fails with the text given. */
static int later(struct fetch_context *c, struct fetch *f, int most, int64_t wait_ms, const char *why,
    struct error **err)
{
	if (f->offset(f) >= f->progress_mark + PROGRESS_MIN)
		f->attempts = 0;
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *asked = describe(f, e);
	f->attempts++;
	drop_redirect(f);
	if (f->attempts >= most)
		return next_endpoint(c, f,
		    error_set(err, EIO, "registry %s: %s: %s; tried %d times%s", e->registry, asked, why, f->attempts,
			most == CONNECT_ATTEMPTS_MAX ? "; check its name, and this host's network" : ""),
		    err);
	if (wait_ms > RETRY_AFTER_MAX_MS)
		return next_endpoint(c, f,
		    error_set(err, EBUSY, "registry %s: %s; it asks to come back in %lld s",
			endpoint_of(c, f)->registry, why, (long long)wait_ms / 1000),
		    err);
	if ((f->sends || f->offset(f) == 0) && f->restart(f, err) < 0)
		return -EIO;
	uint64_t wait = wait_ms >= 0 ? (uint64_t)wait_ms : pause_ms(f->attempts);
	f->not_before = clock_deadline(wait);
	AUTOFREE char *text = xasprintf("%s, retrying in %llu.%llu s", why, (unsigned long long)wait / 1000,
	    (unsigned long long)wait % 1000 / 100);
	progress_state(c->progress, f->bar, text);
	if (wait >= 1000 && (f->bar < 0 || !progress_has_bars(c->progress)))
		progress_note(c->progress, "registry %s: %s: %s", e->registry, asked, text);
	return FETCH_AGAIN;
}

static int judge_transport(struct fetch_context *c, struct fetch *f, CURLcode code, struct error **err)
{
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *asked = describe(f, e);
	const char *why = f->request.curl_error[0] ? f->request.curl_error : curl_easy_strerror(code);
	AUTOFREE char *text = xstrdup(f->request.peer_refused ? "redirected to this machine or its link" : why);
	if (!f->redirect && (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_COULDNT_CONNECT) && endpoint_use_plain(e))
		return FETCH_AGAIN;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT: /* a registry that is slow or silent, too */
		return later(c, f, CONNECT_ATTEMPTS_MAX, -1, text, err);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_SSL_CONNECT_ERROR:
		return later(c, f, ATTEMPTS_MAX, -1, text, err);
	case CURLE_PEER_FAILED_VERIFICATION:
		return next_endpoint(c, f,
		    error_set(err, EACCES,
			"registry %s: %s; put its authority's certificate into ~/.config/containers/certs.d/%s/ca.crt",
			e->registry, text, e->registry),
		    err);
	default:
		return next_endpoint(c, f, error_set(err, EIO, "registry %s: %s: %s", e->registry, asked, text), err);
	}
}

static int judge_complete(struct fetch_context *c, struct fetch *f, struct error **err)
{
	int r = f->complete(f, err);
	if (r == -EBADMSG)
		return next_endpoint(c, f,
		    error_prefix(err, r, "registry %s: %s", endpoint_of(c, f)->registry, f->what), err);
	return r < 0 ? r : FETCH_DONE;
}

int fetch_leads_near(struct fetch_context *c, struct fetch *f, const char *to)
{
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *host = request_url_part(to, CURLUPART_HOST);
	e->near |= fetch_is_direct(c, f) && request_peer_is_near(&f->request);
	return !e->near && host && near_host(host);
}

static int judge_redirect(struct fetch_context *c, struct fetch *f, struct error **err)
{
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *from = fetch_url(c, f);
	AUTOFREE char *to = f->request.location ? request_resolve(from, f->request.location) : NULL;
	if (!to || ++f->redirects > REDIRECTS_MAX)
		return next_endpoint(c, f,
		    error_set(err, EPROTO, "registry %s: %s: %s", e->registry, f->what,
			to ? "redirected too often" : "redirected to nowhere"),
		    err);
	if (startswith(from, "https://") && startswith(to, "http://") && !e->insecure)
		return next_endpoint(c, f,
		    error_set(err, EACCES,
			"registry %s: %s: redirected to plain HTTP; allow it with --tls-verify=false", e->registry,
			f->what),
		    err);
	if (fetch_leads_near(c, f, to))
		return next_endpoint(c, f,
		    error_set(err, EACCES, "registry %s: %s: redirected to this machine or its link (%s)", e->registry,
			f->what, to),
		    err);
	free(f->redirect);
	f->redirect = TAKE_PTR(to);
	f->not_before = 0;
	return FETCH_AGAIN;
}

static int judge_unauthorized(struct fetch_context *c, struct fetch *f, struct error **err)
{
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *url = fetch_url(c, f);
	if (!request_same_origin(url, e->base))
		return later(c, f, CONNECT_ATTEMPTS_MAX, -1, "its storage refuses access", err);
	/* Another fetch logged in meanwhile: just use that. */
	if (f->generation != e->generation)
		return FETCH_AGAIN;
	if (++f->logins > LOGINS_MAX || (e->authorization && f->request.challenge.scheme == CHALLENGE_BASIC)) {
		AUTOFREE char *message = request_error_message(&f->request);
		return next_endpoint(c, f,
		    error_set(err, EACCES,
			"registry %s: access to %s is denied%s; check the name, or log in with \"holm image login %s\"",
			e->registry, e->repository, message, e->registry),
		    err);
	}
	if (fetch_is_direct(c, f) && request_peer_is_near(&f->request))
		e->near = 1;
	int r = endpoint_authenticate(e, &f->request.challenge, err);
	return r < 0 ? next_endpoint(c, f, r, err) : FETCH_AGAIN;
}

static int judge_denied(struct fetch_context *c, struct fetch *f, struct error **err)
{
	struct endpoint *e = endpoint_of(c, f);
	if (f->redirect)
		return later(c, f, CONNECT_ATTEMPTS_MAX, -1, "its storage refuses access", err);
	AUTOFREE char *message = request_error_message(&f->request);
	return next_endpoint(c, f,
	    error_set(err, EACCES, "registry %s: access to %s is denied%s; check the name and the login", e->registry,
		e->repository, message),
	    err);
}

static int judge_missing(struct fetch_context *c, struct fetch *f, struct error **err)
{
	struct endpoint *e = endpoint_of(c, f);
	AUTOFREE char *message = request_error_message(&f->request);
	return next_endpoint(c, f,
	    error_set(err, ENOENT, "registry %s has no %s of \"%s\"%s; check the name", e->registry, f->what,
		e->repository, message),
	    err);
}

static int judge_range(struct fetch_context *c, struct fetch *f, struct error **err)
{
	int r = f->restart(f, err);
	return r < 0 ? r : later(c, f, CONNECT_ATTEMPTS_MAX, 0, "it cannot resume", err);
}

static int judge_busy(struct fetch_context *c, struct fetch *f, struct error **err)
{
	AUTOFREE char *text =
	    xasprintf(f->request.status == 429 ? "too many requests" : "it answers %ld", f->request.status);
	return later(c, f, ATTEMPTS_MAX, f->request.retry_after_ms, text, err);
}

static const struct {
	long status;
	int (*judge)(struct fetch_context *c, struct fetch *f, struct error **err);
} verdicts[] = {
	{ 200, judge_complete },
	{ 206, judge_complete },
	{ 301, judge_redirect },
	{ 302, judge_redirect },
	{ 303, judge_redirect },
	{ 307, judge_redirect },
	{ 308, judge_redirect },
	{ 401, judge_unauthorized },
	{ 403, judge_denied },
	{ 404, judge_missing },
	{ 408, judge_busy },
	{ 416, judge_range },
	{ 429, judge_busy },
	{ 500, judge_busy },
	{ 502, judge_busy },
	{ 503, judge_busy },
	{ 504, judge_busy },
};

/* Each step of a fetch has its own redirects and logins. */
static int next_step(struct fetch *f)
{
	drop_redirect(f);
	f->logins = 0;
	f->not_before = 0;
	return FETCH_AGAIN;
}

int fetch_judge(struct fetch_context *c, struct fetch *f, CURLcode code, struct error **err)
{
	struct request *q = &f->request;
	int r = interrupt_check(err);
	if (r < 0)
		return r;
	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &q->status);
	if (q->error) {
		struct error *own = TAKE_PTR(q->error);
		r = error_set(err, own->code, "%s", own->text);
		/* Another endpoint may have the right bytes; it does not help against a full disk
		 * here. */
		int theirs = own->code == EFBIG || own->code == EPROTO;
		error_free(own);
		if (theirs && f->restart(f, NULL) < 0)
			theirs = 0;
		return theirs ? next_endpoint(c, f, r, err) : r;
	}
	if (code == CURLE_OK && !q->headers_ended)
		code = CURLE_PARTIAL_FILE;
	if (code != CURLE_OK)
		return judge_transport(c, f, code, err);
	r = f->answer ? f->answer(f, err) : FETCH_UNANSWERED;
	if (r == FETCH_LATER)
		return later(c, f, ATTEMPTS_MAX, -1, "it has lost the upload", err);
	if (r != FETCH_UNANSWERED)
		return r == FETCH_AGAIN ? next_step(f) : r;
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++)
		if (verdicts[i].status == q->status && !(f->sends && verdicts[i].judge == judge_complete))
			return verdicts[i].judge(c, f, err);
	AUTOFREE char *message = request_error_message(q);
	return next_endpoint(c, f,
	    error_set(err, EIO, "registry %s: %s: it answers %ld%s", endpoint_of(c, f)->registry, f->what, q->status,
		message),
	    err);
}
