/* SPDX-License-Identifier: Apache-2.0
 * See stages.h. A stage may use those above it only, so one pass downwards resolves all names,
 * and one pass upwards from the target marks what it needs. */
#include "image/build/stages.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "image/build/expand.h"

struct resolver {
	const struct dockerfile *d;
	const char *name;
	const struct strv *given, *platform;
	struct stages *s;
	const char *target;
	size_t left; /* bytes that words may still become */
};

static void source_done(struct stage_source *s)
{
	free(s->image);
}

void stages_free(struct stages *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct build_stage *at = &s->stages[i];
		for (size_t k = 0; k < at->source_count; k++)
			source_done(&at->sources[k]);
		source_done(&at->base);
		free(at->sources);
		free(at->name);
		free(at->platform);
	}
	free(s->stages);
	pairs_done(&s->args);
	strv_done(&s->unset);
	free(s);
}

static int fail_at(const struct resolver *r, const struct dockerfile_instruction *i, int code, struct error **err)
{
	return error_prefix(err, code, "%s:%u", r->name, i->line);
}

/* ---- arguments before the first FROM ---- */

static const char *get(void *data, const char *name)
{
	const struct resolver *r = data;
	const char *value = pairs_get(&r->s->args, name);
	return value ? value : strv_getenv(r->platform, name);
}

static int set_arg(struct resolver *r, const struct expand_scope *scope, const char *word, struct error **err)
{
	AUTOFREE char *name = xstrndup(word, strcspn(word, "=")), *value = NULL;
	const char *given = strv_getenv(r->given, name);
	if (!*name)
		return error_set(err, EINVAL, "ARG \"%.60s\" has no name", word);
	if (given) {
		pairs_set(&r->s->args, name, given);
		return 0;
	}
	if (!strchr(word, '='))
		return 0;
	int code = expand_word(scope, strchr(word, '=') + 1, &value, err);
	if (code == 0)
		pairs_set(&r->s->args, name, value);
	return code;
}

static int set_args(struct resolver *r, const struct dockerfile_instruction *i, struct error **err)
{
	struct expand_scope scope = { .get = get, .data = r, .escape = r->d->escape, .left = &r->left };
	AUTO_STRV struct strv words = { 0 };
	int code = 0;
	dockerfile_words(i->rest, r->d->escape, &words);
	for (size_t k = 0; code == 0 && k < words.count; k++)
		code = set_arg(r, &scope, words.items[k], err);
	return code < 0 ? fail_at(r, i, code, err) : 0;
}

/* ---- names ---- */

static char *lower(const char *name)
{
	char *copy = xstrdup(name);
	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

static int is_stage_name(const char *name)
{
	if (!(*name >= 'a' && *name <= 'z'))
		return 0;
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0';
}

/* The stage of a name among the first `count`; STAGE_NONE: none. The last of two counts. */
static int find_stage(const struct stages *s, const char *name, size_t count)
{
	AUTOFREE char *wanted = lower(name);
	for (size_t i = count; i-- > 0;)
		if (streq(s->stages[i].name, wanted))
			return (int)i;
	return STAGE_NONE;
}

/* ---- sources ---- */

static void add_source(struct build_stage *stage, int number, const char *image)
{
	for (size_t i = 0; i < stage->source_count; i++)
		if (stage->sources[i].stage == number && streq(stage->sources[i].image, image))
			return;
	stage->sources = xgrow(stage->sources, stage->source_count, sizeof *stage->sources);
	stage->sources[stage->source_count++] = (struct stage_source){ number, xstrdup(image) };
}

int stages_find(const struct stages *s, const char *name, size_t before)
{
	uint32_t number;
	int found = find_stage(s, name, before);
	return found == STAGE_NONE && parse_u32(name, &number) == 0 && number < before ? (int)number : found;
}

/* A stage's name or index, or an image. */
static int use_source(struct resolver *r, size_t stage, const char *from, struct error **err)
{
	uint32_t number;
	int found = find_stage(r->s, from, stage);
	if (found == STAGE_NONE && parse_u32(from, &number) == 0) {
		if (number >= stage)
			return error_set(err, EINVAL, "stage %s is not above this one", from);
		found = (int)number;
	}
	add_source(&r->s->stages[stage], found, found == STAGE_NONE ? from : NULL);
	return 0;
}

/* The value of from= in "--mount=type=bind,from=x"; owned, or NULL. */
static char *mount_source(const char *flag)
{
	AUTO_STRV struct strv parts = { 0 };
	const char *value = startswith(flag, "--mount=");
	if (!value)
		return NULL;
	strv_split(&parts, value, ",");
	for (size_t i = 0; i < parts.count; i++)
		if (startswith(parts.items[i], "from="))
			return xstrdup(startswith(parts.items[i], "from="));
	return NULL;
}

static int read_sources(struct resolver *r, size_t stage, const struct dockerfile_instruction *i, struct error **err)
{
	int code = 0;
	const char *from = i->kind->id == DOCKERFILE_COPY ? dockerfile_flag(i, "from") : NULL;
	if (from && *from)
		code = use_source(r, stage, from, err);
	for (size_t k = 0; code == 0 && i->kind->id == DOCKERFILE_RUN && k < i->flags.count; k++) {
		AUTOFREE char *mount = mount_source(i->flags.items[k]);
		if (mount && *mount)
			code = use_source(r, stage, mount, err);
	}
	return code < 0 ? fail_at(r, i, code, err) : 0;
}

/* ---- stages ---- */

static int read_from(struct resolver *r, const struct dockerfile_instruction *i, struct build_stage *stage,
    struct error **err)
{
	struct expand_scope scope = { .get = get,
		.data = r,
		.escape = r->d->escape,
		.unset = &r->s->unset,
		.left = &r->left };
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *base = NULL;
	const char *platform = dockerfile_flag(i, "platform");
	dockerfile_words(i->rest, r->d->escape, &words);
	int code = expand_word(&scope, words.items[0], &base, err);
	if (code == 0 && platform)
		code = expand_word(&scope, platform, &stage->platform, err);
	if (code < 0)
		return code;
	if (!*base)
		return error_set(err, EINVAL, "the image %.80s is empty; give its ARG a default", words.items[0]);
	if (words.count == 3) {
		stage->name = lower(words.items[2]);
		if (!is_stage_name(stage->name))
			return error_set(err, EINVAL, "stage \"%.80s\": a name is a letter and letters, digits, - _ .",
			    words.items[2]);
	}
	stage->base.stage = find_stage(r->s, base, r->s->count - 1);
	stage->base.image = stage->base.stage == STAGE_NONE ? TAKE_PTR(base) : NULL;
	return 0;
}

static int begin_stage(struct resolver *r, size_t at, struct error **err)
{
	struct stages *s = r->s;
	s->stages = xgrow(s->stages, s->count, sizeof *s->stages);
	s->stages[s->count] = (struct build_stage){ .from = at, .end = at + 1, .base = { .stage = STAGE_NONE } };
	const struct dockerfile_instruction *i = &r->d->instructions[at];
	int code = read_from(r, i, &s->stages[s->count++], err);
	return code < 0 ? fail_at(r, i, code, err) : 0;
}

static int read_stages(struct resolver *r, struct error **err)
{
	int code = 0;
	for (size_t i = 0; code == 0 && i < r->d->count; i++) {
		const struct dockerfile_instruction *at = &r->d->instructions[i];
		if (at->kind->id == DOCKERFILE_FROM) {
			code = begin_stage(r, i, err);
		} else if (!r->s->count) {
			code = set_args(r, at, err); /* the parser lets nothing else stand here */
		} else {
			r->s->stages[r->s->count - 1].end = i + 1;
			code = read_sources(r, r->s->count - 1, at, err);
		}
	}
	return code;
}

/* ---- the target ---- */

static int find_target(struct resolver *r, struct error **err)
{
	struct stages *s = r->s;
	uint32_t number;
	s->target = s->count - 1;
	if (!r->target || !*r->target)
		return 0;
	int found = find_stage(s, r->target, s->count);
	if (found == STAGE_NONE && parse_u32(r->target, &number) == 0 && number < s->count)
		found = (int)number;
	if (found != STAGE_NONE) {
		s->target = (size_t)found;
		return 0;
	}
	struct suggestion near = SUGGESTION(r->target);
	for (size_t i = 0; i < s->count; i++)
		if (s->stages[i].name)
			suggestion_offer(&near, s->stages[i].name);
	if (near.near)
		return error_set(err, ENOENT, "%s: no stage \"%.80s\"; did you mean %s?", r->name, r->target,
		    near.near);
	return error_set(err, ENOENT, "%s: no stage \"%.80s\"", r->name, r->target);
}

static void need(struct stages *s, int stage)
{
	if (stage != STAGE_NONE)
		s->stages[stage].is_needed = 1;
}

static void mark_needed(struct stages *s)
{
	need(s, (int)s->target);
	for (size_t i = s->target + 1; i-- > 0;) {
		const struct build_stage *at = &s->stages[i];
		if (!at->is_needed)
			continue;
		need(s, at->base.stage);
		for (size_t k = 0; k < at->source_count; k++)
			need(s, at->sources[k].stage);
	}
}

int stages_resolve(const struct dockerfile *d, const char *name, const struct strv *given, const struct strv *platform,
    const char *target, struct stages **ret, struct error **err)
{
	AUTO_STAGES struct stages *s = xnew(struct stages);
	struct resolver r = { .d = d,
		.name = name,
		.given = given,
		.platform = platform,
		.s = s,
		.target = target,
		.left = EXPAND_ALL_MAX };
	int code = read_stages(&r, err);
	if (code == 0)
		code = find_target(&r, err);
	if (code < 0)
		return code;
	mark_needed(s);
	*ret = TAKE_PTR(s);
	return 0;
}
