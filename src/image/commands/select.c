/* SPDX-License-Identifier: Apache-2.0
 * See select.h. */
#include "image/commands/select.h"

#include <errno.h>
#include <fnmatch.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/stamp.h"
#include "docker/name.h"

void selection_done(struct selection *s)
{
	strv_done(&s->patterns);
	strv_done(&s->labels);
	strv_done(&s->unlabels);
}

static int64_t created_of(const struct image *i)
{
	int64_t ns = 0;
	return i->config->created && clock_parse_rfc3339(i->config->created, &ns) == 0 ? ns : 0;
}

/* ---- reading ---- */

/* The creation of the image that before= or since= names. */
static int find_creation(struct library *l, const char *text, int64_t *ret, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_IMAGE struct image *i = NULL;
	int r = image_find(l, text, NULL, &name, &digest, err);
	if (r == 0)
		r = image_load_any(l, name, digest, &i, err);
	if (r == 0)
		*ret = created_of(i);
	return r;
}

static int read_time(const char *text, int64_t *ret, struct error **err)
{
	return moment_parse(text, clock_realtime_ns(), ret) < 0 ?
		   error_set(err, EINVAL, "--filter \"until=%.80s\": write a time, or how long ago: 24h", text) :
		   0;
}

static int read_filter(struct library *l, const char *text, struct selection *s, struct error **err)
{
	static const char *const keys[] = { "reference=", "label=", "label!=", "dangling=", "before=", "since=",
		"until=" };
	struct strv *const lists[] = { &s->patterns, &s->labels, &s->unlabels };
	const char *value = NULL;
	int64_t ns = INT64_MAX;
	size_t i = 0;
	int r = 0;
	while (i < ARRAY_SIZE(keys) && !(value = startswith(text, keys[i])))
		i++;
	if (i < ARRAY_SIZE(lists)) {
		strv_add(lists[i], value);
		return 0;
	}
	if (!value || (i == 3 && parse_bool(value, &s->dangling) < 0))
		return error_set(err, EINVAL,
		    "--filter \"%.80s\": images have reference=, dangling=, label=, label!=, before=, since= and "
		    "until=",
		    text);
	if (i == 5)
		return find_creation(l, value, &s->since_ns, err);
	if (i > 3)
		r = i == 4 ? find_creation(l, value, &ns, err) : read_time(value, &ns, err);
	s->before_ns = MIN(s->before_ns, ns);
	return r;
}

int selection_read(struct library *l, const struct options *o, struct selection *ret, struct error **err)
{
	const struct strv *filters = options_list(o, "filter"), *words = options_words(o);
	*ret = (struct selection){ .word = words->count ? words->items[0] : NULL,
		.dangling = -1,
		.before_ns = INT64_MAX,
		.since_ns = INT64_MIN };
	int r = 0;
	for (size_t i = 0; r == 0 && i < filters->count; i++)
		r = read_filter(l, filters->items[i], ret, err);
	return r;
}

/* ---- matching ---- */

/* A pattern, of a name with its tag or without. A colon before a slash is a port's. */
static int is_like(const char *pattern, const char *name)
{
	const char *slash = strrchr(name, '/'), *colon = strrchr(slash ? slash : name, ':');
	AUTOFREE char *repository = xstrndup(name, colon ? (size_t)(colon - name) : strlen(name));
	pattern = docker_typed_name(pattern);
	return fnmatch(pattern, name, FNM_PATHNAME) == 0 || fnmatch(pattern, repository, FNM_PATHNAME) == 0;
}

static int passes_name(const struct selection *s, const char *name)
{
	int any = !s->patterns.count;
	if (s->dangling >= 0 && s->dangling == (name != NULL))
		return 0;
	if (!name)
		return any && !s->word;
	name = docker_typed_name(name);
	for (size_t i = 0; i < s->patterns.count; i++)
		any |= is_like(s->patterns.items[i], name);
	return any && (!s->word || is_like(s->word, name));
}

static int has_label(const struct image *i, const char *wish)
{
	AUTOFREE char *key = xstrndup(wish, strcspn(wish, "="));
	const char *value = strchr(wish, '=');
	struct json_object *label = NULL;
	if (!i->config->labels || !json_object_object_get_ex(i->config->labels, key, &label))
		return 0;
	return !value || streq(json_object_get_string(label), value + 1);
}

static int passes_image(const struct selection *s, const struct image *i)
{
	int64_t created = created_of(i);
	int pass = created < s->before_ns && created > s->since_ns;
	for (size_t k = 0; k < s->labels.count; k++)
		pass &= has_label(i, s->labels.items[k]);
	for (size_t k = 0; k < s->unlabels.count; k++)
		pass &= !has_label(i, s->unlabels.items[k]);
	return pass;
}

int selection_passes(const struct selection *s, struct library *l, const struct library_entry *e)
{
	AUTO_IMAGE struct image *i = NULL;
	if (!passes_name(s, e->name))
		return 0;
	if (!s->labels.count && !s->unlabels.count && s->before_ns == INT64_MAX && s->since_ns == INT64_MIN)
		return 1;
	return image_load_any(l, e->name, e->descriptor.digest, &i, NULL) == 0 && passes_image(s, i);
}
