/* SPDX-License-Identifier: Apache-2.0
 * See leftovers.h. Labels come from the machine, so a text that is no builder's name counts as a
 * dead one's. */
#include "image/builder/leftovers.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/name.h"

#define PREFIX "build-"

enum { DIGITS = 16 };

static int is_token(const char *text)
{
	const char *digits = startswith(text, PREFIX);
	return digits && strlen(digits) == DIGITS && strspn(digits, "0123456789abcdef") == DIGITS;
}

/* Whether no process is the builder any more. */
static int is_dead(struct library *l, const char *token)
{
	if (!is_token(token))
		return 1;
	AUTO_FD int lock = library_try_lock(l, token, NULL);
	return lock >= 0;
}

static void sweep_one(struct builder *b, struct json_object *container)
{
	struct json_object *labels = NULL;
	const char *id = NULL, *token = "";
	if (!json_object_is_type(container, json_type_object) || json_get_string(container, "Id", &id, NULL) < 0 ||
	    !docker_is_id(id) || json_get_object(container, "Labels", &labels, NULL) < 0)
		return;
	json_get_string(labels, BUILD_LABEL, &token, NULL);
	if (streq(token, b->token) || !is_dead(b->library, token))
		return;
	AUTOFREE char *target = xasprintf("/containers/%s?force=1&v=1", id);
	build_engine_delete(b->engine, target);
}

static int sweep(struct builder *b, struct error **err)
{
	static const char target[] =
	    "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22" BUILD_LABEL "%22%5D%7D"; /* {"label":["..."]} */
	AUTO_JSON struct json_object *answer = NULL;
	int r = build_engine_call(b->engine, "GET", target, NULL, &answer, err);
	if (r == 0 && !json_object_is_type(answer, json_type_array))
		r = error_set(err, EPROTO, "the engine's list of containers is none");
	for (size_t i = 0; r == 0 && i < json_object_array_length(answer); i++)
		sweep_one(b, json_object_array_get_idx(answer, i));
	return r;
}

int build_leftovers_begin(struct builder *b, struct error **err)
{
	uint64_t random;
	if (b->token)
		return 0;
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return error_set_errno(err, errno, "getrandom");
	AUTOFREE char *token = xasprintf(PREFIX "%016llx", (unsigned long long)random);
	int lock = library_try_lock(b->library, token, err);
	if (lock < 0)
		return lock;
	b->token_lock = lock;
	b->token = TAKE_PTR(token);
	return sweep(b, err);
}
