/* SPDX-License-Identifier: Apache-2.0
 * The history of an image. */
#include "oci/history.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/json.h"
#include "oci/manifest.h"

enum { STEPS_MAX = 4096 };

void oci_history_done(struct oci_history *h)
{
	for (size_t k = 0; k < h->count; k++) {
		struct oci_step *s = &h->steps[k];
		free(s->created);
		free(s->created_by);
		free(s->author);
		free(s->comment);
	}
	free(h->steps);
	*h = (struct oci_history){ 0 };
}

static int get_text(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *text = NULL;
	int r = json_get_string(o, key, &text, err);
	if (r == 0 && *text)
		*ret = xstrdup(text);
	return r == -ENOENT ? 0 : r;
}

static int parse_step(struct json_object *o, struct oci_step *s, struct error **err)
{
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "a step is not an object");
	int r;
	if ((r = get_text(o, "created", &s->created, err)) < 0 ||
	    (r = get_text(o, "created_by", &s->created_by, err)) < 0 ||
	    (r = get_text(o, "author", &s->author, err)) < 0 || (r = get_text(o, "comment", &s->comment, err)) < 0)
		return r;
	r = json_get_bool(o, "empty_layer", &s->empty_layer, err);
	return r == -ENOENT ? 0 : r;
}

static int parse_steps(struct json_object *o, struct oci_history *h, struct error **err)
{
	struct json_object *array = NULL;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	int r = json_get_array(o, "history", &array, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	size_t count = json_object_array_length(array);
	if (count > STEPS_MAX)
		return error_set(err, EFBIG, "more than %d steps", STEPS_MAX);
	h->steps = xcalloc(count + 1, sizeof *h->steps);
	for (size_t k = 0; r == 0 && k < count; k++) {
		h->count++;
		r = parse_step(json_object_array_get_idx(array, k), &h->steps[k], err);
	}
	return r;
}

int oci_history_parse(const char *data, size_t size, const char *name, struct oci_history *ret, struct error **err)
{
	*ret = (struct oci_history){ 0 };
	if (size > OCI_DOCUMENT_MAX)
		return error_set(err, EFBIG, "configuration of image \"%s\" is bigger than %d MiB", name,
		    OCI_DOCUMENT_MAX >> 20);
	AUTOFREE char *what = xasprintf("history of image \"%s\"", name);
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse(data, size, what, &o, err);
	if (r < 0)
		return r;
	r = parse_steps(o, ret, err);
	if (r < 0) {
		oci_history_done(ret);
		error_prefix(err, r, "%s", what);
	}
	return r;
}
