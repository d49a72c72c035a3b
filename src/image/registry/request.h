/* SPDX-License-Identifier: Apache-2.0
 * One HTTP exchange by libcurl: no redirects followed, nothing retried, no policy. What a registry
 * answers is read with caps. */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "image/registry/challenge.h"

enum { REQUEST_ERROR_BODY_MAX = 16 << 10, REQUEST_HEADER_MAX = 16 << 10 };

/* The body of a request: bytes of a file, or of memory. */
struct request_body {
	int fd;               /* borrowed; -1: memory */
	const char *memory;   /* borrowed */
	uint64_t start, size; /* of the file's bytes */
	uint64_t sent;
	void (*on_sent)(struct request_body *b, void *data); /* or NULL */
	void *data;
};

struct request {
	CURL *easy;
	struct request_body *body; /* borrowed, or NULL */
	struct curl_slist *headers;
	/* Receives the body of a 200 or 206. -errno ends the exchange. */
	int (*on_body)(struct request *q, const void *data, size_t size, struct error **err);
	void *data;
	/* The answer */
	long status;
	char *location, *content_type, *content_digest; /* or NULL */
	int64_t retry_after_ms;                         /* -1: not said */
	uint64_t range_start;                           /* of Content-Range; UINT64_MAX: not said */
	uint64_t range_end; /* of Range, as answers to uploads have it: the last byte there; UINT64_MAX: not said */
	uint64_t chunk_min; /* of OCI-Chunk-Min-Length, bytes */
	int headers_ended;  /* the blank line came: libcurl takes a connection that ends before for an empty body */
	struct challenge challenge;
	struct buffer error_body; /* of any other status: its beginning */
	struct error *error;      /* of on_body or of a cap */
	char curl_error[CURL_ERROR_SIZE];
	int peer_refused; /* far_only ended the exchange */
};

struct request_options {
	const char *url;
	const char *authorization;                /* "Bearer ...", or NULL */
	const char *accept;                       /* or NULL */
	const char *post;                         /* a form to send, or NULL: GET */
	const char *method;                       /* HEAD, POST, PUT or PATCH; NULL: by `post` */
	const char *content_type, *content_range; /* of the body, or NULL */
	struct request_body *body;                /* with PUT and PATCH; NULL: nothing */
	uint64_t offset;                          /* > 0: Range from here */
	int timeout_s;                            /* of the whole exchange; 0: only silence ends it */
	int silence_s;                            /* below min_rate for so long: it ends; 0: a minute */
	uint64_t min_rate;                        /* bytes a second; 0: one */
	int insecure;                             /* certificates are not verified */
	const char *ca_file;                      /* or NULL */
	int far_only;                             /* nothing is sent to an address of near.h */
};

/* Makes the exchange ready in q (zeroed, or done): run it with request_perform, or add q->easy to a
 * multi handle. CURLINFO_PRIVATE is q. */
int request_init(struct request *q, const struct request_options *o, struct error **err);
void request_done(struct request *q);
#define AUTO_REQUEST CLEANUP(request_done)
CURLcode request_perform(struct request *q); /* ends early when the person interrupts */
/* Whether the answer came from an address of near.h; 0 if it came through a proxy. */
int request_peer_is_near(struct request *q);

/* The registry's own words from an error body ({"errors":[{"code","message"}]}), made fit for one
 * line; "" when there are none. Owned. */
char *request_error_message(struct request *q);
/* Whether two URLs have the same scheme, host and port. */
int request_same_origin(const char *a, const char *b);
/* Resolves a Location against the URL it came from. Owned; NULL when it is no http(s) URL. */
char *request_resolve(const char *base, const char *location);
/* Host and scheme of a URL, owned; NULL when it is none. */
char *request_url_part(const char *url, CURLUPart part);
