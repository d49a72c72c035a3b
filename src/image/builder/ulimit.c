/* SPDX-License-Identifier: Apache-2.0
 * See ulimit.h. The engine knows the names. */
#include "image/builder/ulimit.h"

#include <errno.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/parse.h"

/* A number, or -1 for "no limit". */
static int read_number(const char *text, int64_t *ret)
{
	uint64_t number = 0;
	*ret = -1;
	if (streq(text, "-1") || streq(text, "unlimited"))
		return 0;
	int r = parse_u64(text, &number);
	if (r < 0 || number > INT64_MAX)
		return -EINVAL;
	*ret = (int64_t)number;
	return 0;
}

static int add(struct json_object *array, const char *text, struct error **err)
{
	const char *equals = strchr(text, '=');
	AUTOFREE char *name = xstrndup(text, strcspn(text, "=")),
		      *soft = equals ? xstrndup(equals + 1, strcspn(equals + 1, ":")) : NULL;
	const char *colon = equals ? strchr(equals, ':') : NULL;
	int64_t low, high;
	if (!soft || !*name || read_number(soft, &low) < 0 || read_number(colon ? colon + 1 : soft, &high) < 0 ||
	    (high >= 0 && (low < 0 || low > high)))
		return error_set(err, EINVAL,
		    "--ulimit \"%.80s\": write NAME=SOFT[:HARD], in which SOFT is at most HARD", text);
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Name", name);
	json_add_i64(o, "Soft", low);
	json_add_i64(o, "Hard", high);
	json_object_array_add(array, o);
	return 0;
}

int build_ulimits_parse(const struct strv *texts, struct json_object **ret, struct error **err)
{
	AUTO_JSON struct json_object *array = json_object_new_array();
	int r = 0;
	for (size_t i = 0; r == 0 && texts && i < texts->count; i++)
		r = add(array, texts->items[i], err);
	if (r == 0)
		*ret = TAKE_PTR(array);
	return r;
}
