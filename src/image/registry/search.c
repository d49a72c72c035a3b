/* SPDX-License-Identifier: Apache-2.0
 * See search.h. */
#include "image/registry/search.h"

#include <errno.h>

#include "base/alloc.h"
#include "image/registry/fetch.h"
#include "image/registry/settings.h"

enum { TIMEOUT_S = 60, ANSWER_MAX = 4 << 20 };

struct search {
	struct fetch fetch;
	const char *registry;
	struct buffer buffer;
};

static uint64_t search_offset(struct fetch *f)
{
	return 0;
}

static int search_restart(struct fetch *f, struct error **err)
{
	struct search *s = f->data;
	buffer_done(&s->buffer);
	return 0;
}

static int search_body(struct fetch *f, const void *data, size_t size, struct error **err)
{
	struct search *s = f->data;
	return buffer_append(&s->buffer, data, size) < 0 ?
		   error_set(err, EFBIG, "registry %s: the answer to a search is too long", s->registry) :
		   0;
}

static int search_answer(struct fetch *f, struct error **err)
{
	const struct search *s = f->data;
	return f->request.status == 404 || f->request.status == 405 ?
		   error_set(err, EOPNOTSUPP, "registry %s answers no search; search docker.io, or ask for a name",
		       s->registry) :
		   FETCH_UNANSWERED;
}

static int search_complete(struct fetch *f, struct error **err)
{
	return 0;
}

static int parse(struct search *s, struct json_object **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *results = NULL;
	if (json_parse_bytes(s->buffer.data ? s->buffer.data : "", s->buffer.size, "the answer", &o, NULL) < 0 ||
	    !json_object_is_type(o, json_type_object) || json_get_array(o, "results", &results, NULL) < 0)
		return error_set(err, EPROTO, "registry %s: the answer to a search has no results", s->registry);
	*ret = json_object_get(results);
	return 0;
}

int registry_search(const char *registry, const char *term, unsigned limit, int insecure, struct progress *p,
    struct json_object **ret, struct error **err)
{
	AUTO_REGISTRY_SETTINGS struct registry_settings settings = { 0 };
	int r = registry_settings_load(registry, &settings, err);
	if (r < 0)
		return r;
	const char *host = streq(registry, "docker.io") ? "index.docker.io" : registry;
	CLEANUP(endpoint_freep) struct endpoint *e = endpoint_new(host, "", insecure || settings.insecure);
	char *word = curl_easy_escape(NULL, term, 0);
	AUTOFREE char *path = xasprintf("v1/search?q=%s&n=%u", word ? word : "", limit);
	curl_free(word);
	struct fetch_context context = { .endpoints = &e, .endpoint_count = 1, .progress = p };
	struct search s = { .registry = registry };
	struct fetch *list[] = { &s.fetch };
	e->looked_up = 1; /* a search needs no login */
	buffer_init(&s.buffer, ANSWER_MAX);
	s.fetch = (struct fetch){
		.path = path,
		.what = "search",
		.timeout_s = TIMEOUT_S,
		.bar = -1,
		.data = &s,
		.offset = search_offset,
		.restart = search_restart,
		.body = search_body,
		.complete = search_complete,
		.answer = search_answer,
	};
	r = fetch_run(&context, list, 1, 1, err);
	if (r == 0)
		r = parse(&s, ret, err);
	buffer_done(&s.buffer);
	return r;
}
