/* SPDX-License-Identifier: Apache-2.0
 * Trying a login at a registry: GET /v2/ (OCI distribution specification 1.1, "Determining
 * Support"), which asks for a login where one is needed. */
#include "image/registry/login.h"

#include <errno.h>

#include "base/alloc.h"
#include "image/registry/fetch.h"
#include "image/registry/settings.h"

enum { TIMEOUT_S = 60 };

struct trial {
	struct fetch fetch;
	const struct endpoint *endpoint;
};

static uint64_t trial_offset(struct fetch *f)
{
	return 0;
}

static int trial_restart(struct fetch *f, struct error **err)
{
	return 0;
}

static int trial_answer(struct fetch *f, struct error **err)
{
	const struct trial *t = f->data;
	const char *registry = t->endpoint->registry;
	switch (f->request.status) {
	case 200:
		return FETCH_DONE;
	case 404:
		return error_set(err, ENOENT, "%s is no registry: it has no /v2/; check the name", registry);
	case 403:
		return error_set(err, EACCES, "registry %s refuses the login", registry);
	case 401:
		if (t->endpoint->authorization)
			return error_set(err, EACCES, "registry %s refuses the login; check user and password",
			    registry);
		return FETCH_UNANSWERED;
	default:
		return FETCH_UNANSWERED;
	}
}

int login_try(const char *registry, struct credentials *c, int insecure, struct progress *p, struct error **err)
{
	AUTO_REGISTRY_SETTINGS struct registry_settings settings = { 0 };
	int r = registry_settings_load(registry, &settings, err);
	if (r < 0)
		return r;
	CLEANUP(endpoint_freep) struct endpoint *e = endpoint_new(registry, "", insecure || settings.insecure);
	e->credentials = *c;
	*c = (struct credentials){ 0 };
	e->looked_up = 1;
	struct fetch_context context = { .endpoints = &e, .endpoint_count = 1, .progress = p };
	struct trial t = { .endpoint = e };
	struct fetch *list[] = { &t.fetch };
	t.fetch = (struct fetch){
		.path = "v2/",
		.what = "login",
		.timeout_s = TIMEOUT_S,
		.bar = -1,
		.data = &t,
		.offset = trial_offset,
		.restart = trial_restart,
		.answer = trial_answer,
		.sends = 1,
	};
	r = fetch_run(&context, list, 1, 1, err);
	return r < 0 ? r : e->authorization != NULL;
}
