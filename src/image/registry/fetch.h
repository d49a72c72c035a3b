/* SPDX-License-Identifier: Apache-2.0
 * Getting things from a registry, through as many exchanges as it takes: logging in, redirects,
 * retries, mirrors, several at once. */
#pragma once

#include "image/common/progress.h"
#include "image/library/stream.h"
#include "image/registry/endpoint.h"
#include "image/registry/request.h"

/* One thing to get. The embedder fills the first part and keeps it at one address until fetch_run()
 * has returned. */
struct fetch {
	const char *path;         /* below the endpoint's base: "blobs/sha256:..." */
	const char *accept;       /* or NULL */
	const char *what;         /* for errors: "layer ab12cd34ef56" */
	int timeout_s, silence_s; /* as in request_options */
	/* Something is sent. Then offset() and body() have nothing to do with the answer's
	 * body, and restart() is called before an exchange is repeated after a failure. */
	int sends;
	const char *method;                       /* or NULL: GET */
	const char *content_type, *content_range; /* or NULL */
	struct request_body *body_to_send;        /* or NULL */
	char *url;                                /* in place of `path`; or NULL */
	int bar;                                  /* of the progress, or -1 */
	void *data;
	/* Called once, when its turn has come: 1 when there is nothing to get any more, 0,
	 * -errno. */
	int (*begin)(struct fetch *f, struct error **err);
	uint64_t (*offset)(struct fetch *f);                 /* bytes that are there already */
	int (*restart)(struct fetch *f, struct error **err); /* forget them */
	int (*body)(struct fetch *f, const void *data, size_t size, struct error **err);
	/* The whole is there. -EBADMSG: not what it should be; then another endpoint may have the
	 * right one. */
	int (*complete)(struct fetch *f, struct error **err);
	/* Looks at an answer's status before everything else: an enum fetch_verdict or -errno. May
	 * change the next request. NULL: none. */
	int (*answer)(struct fetch *f, struct error **err);

	/* fetch.c's own */
	struct request request;
	size_t endpoint;
	char *redirect;
	int started, active, finished, redirects, logins, attempts, fresh;
	unsigned generation;
	uint64_t not_before, progress_mark;
};

struct fetch_context {
	struct endpoint **endpoints; /* tried in this order */
	size_t endpoint_count;
	size_t preferred; /* the one that answered first: later fetches start there */
	struct progress *progress;
	struct streams *streams; /* of blobs that are read along, or NULL */
	int silence_s;           /* of each fetch that says nothing else, as in request_options */
	uint64_t min_rate;       /* of all fetches, as in request_options */
};

enum fetch_verdict {
	FETCH_DONE,
	FETCH_AGAIN,      /* at f->not_before */
	FETCH_UNANSWERED, /* of answer(): judge it as usual */
	FETCH_LATER,      /* of answer(): start again after a pause, a number of times */
};

/* The address of the next exchange of f. Owned. */
char *fetch_url(const struct fetch_context *c, const struct fetch *f);
/* Whether that is the registry itself, and not a place that it has named. */
int fetch_is_direct(const struct fetch_context *c, const struct fetch *f);
/* Gets all of them, at most `parallel` at once; stops at the first that fails for good. */
int fetch_run(struct fetch_context *c, struct fetch **list, size_t count, int parallel, struct error **err);
