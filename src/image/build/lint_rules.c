/* SPDX-License-Identifier: Apache-2.0
 * The rules. One pass through the file follows what each stage has defined: variables, a SHELL, a
 * WORKDIR. A stage that begins with an image of which nothing is known has no undefined
 * variables. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/suggest.h"
#include "image/build/describe.h"
#include "image/build/expand.h"
#include "image/build/lint.h"
#include "image/build/pairs.h"
#include "oci/reference.h"

enum { COPIED_MAX = 8 << 20, SUGGESTIONS_MAX = 1000 };

struct stage {
	char *name;             /* as written, or NULL */
	struct pairs variables; /* of ENV and ARG */
	struct pairs declared;  /* names of ARG without a value */
	int is_known;           /* the variables of its base are */
	int has_shell, has_directory;
	unsigned command, entrypoint, health; /* lines of the last ones; 0: none */
};

struct run {
	const struct lint_input *in;
	struct lint *lint;
	struct pairs globals;  /* ARG before the first FROM */
	struct pairs defaults; /* the same without build arguments */
	struct pairs declared; /* without a value */
	struct stage *stages;
	size_t count;
	size_t copied; /* bytes of variables that stages have from those above */
	size_t *left;  /* bytes that words may still become */
};

static void run_done(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->stages[i].name);
		pairs_done(&r->stages[i].variables);
		pairs_done(&r->stages[i].declared);
	}
	free(r->stages);
	pairs_done(&r->globals);
	pairs_done(&r->defaults);
	pairs_done(&r->declared);
}

static struct stage *current(const struct run *r)
{
	return r->count ? &r->stages[r->count - 1] : NULL;
}

/* ---- words ---- */

static int is_upper(const char *s)
{
	for (; *s; s++)
		if (islower((unsigned char)*s))
			return 0;
	return 1;
}

static int is_lower(const char *s)
{
	for (; *s; s++)
		if (isupper((unsigned char)*s))
			return 0;
	return 1;
}

/* A proxy's variable is there without a declaration. */
static int is_predefined(const char *name)
{
	static const char *const names[] = { "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return 1;
	return 0;
}

/* "${NAME:-x}" and its like say what holds without the variable. */
static int is_guarded(const char *text, const char *name)
{
	AUTOFREE char *begin = xasprintf("${%s", name);
	for (const char *at = text; (at = strstr(at, begin)); at++) {
		const char *rest = at + strlen(begin);
		if (*rest && strchr(":-+?", *rest))
			return 1;
	}
	return 0;
}

static const char *get_value(const struct strv *given, const struct pairs *pairs, const char *name)
{
	const char *value = given ? strv_getenv(given, name) : NULL;
	return value ? value : pairs_get(pairs, name);
}

/* ---- before the first FROM ---- */

static const char *get_global(void *data, const char *name)
{
	const struct run *r = data;
	const char *value = pairs_get(&r->globals, name);
	return value ? value : strv_getenv(r->in->platform, name);
}

static void expand_global(struct run *r, const char *word, char **ret, struct strv *unset)
{
	const struct expand_scope scope = { .get = get_global,
		.data = r,
		.escape = r->in->file->escape,
		.unset = unset,
		.left = r->left };
	if (expand_word(&scope, word, ret, NULL) < 0)
		*ret = xstrdup("");
}

/* given: the build arguments count. */
static void add_global(struct run *r, const char *word)
{
	AUTOFREE char *name = xstrndup(word, strcspn(word, "=")), *value = NULL;
	const char *given = strv_getenv(r->in->given, name);
	if (!given && !strchr(word, '=')) {
		pairs_set(&r->declared, name, "");
		return;
	}
	if (!given)
		expand_global(r, strchr(word, '=') + 1, &value, NULL);
	pairs_set(&r->globals, name, given ? given : value);
}

/* ---- variables of a stage ---- */

static const char *get_variable(void *data, const char *name)
{
	return pairs_get(&((const struct stage *)data)->variables, name);
}

/* lists: texts whose names may be meant; NULL-terminated. */
static const char *suggest_name(const char *name, const struct strv *const *lists, char **ret)
{
	struct suggestion near = SUGGESTION(name);
	AUTO_STRV struct strv all = { 0 };
	for (; *lists; lists++)
		for (size_t i = 0; i < (*lists)->count && i < SUGGESTIONS_MAX; i++)
			strv_take(&all, xstrndup((*lists)->items[i], strcspn((*lists)->items[i], "=")));
	for (size_t i = 0; i < all.count; i++)
		suggestion_offer(&near, all.items[i]);
	*ret = xstrdup(near.near);
	return *ret;
}

/* Checks the variables in a text, and gives its value. Owned. */
static char *expand(struct run *r, const struct dockerfile_instruction *i, const char *text)
{
	struct stage *s = current(r);
	AUTO_STRV struct strv unset = { 0 };
	const struct expand_scope scope = { .get = get_variable,
		.data = s,
		.escape = r->in->file->escape,
		.unset = &unset,
		.left = r->left };
	char *value = NULL;
	if (expand_word(&scope, text, &value, NULL) < 0)
		return xstrdup("");
	for (size_t k = 0; s->is_known && k < unset.count; k++) {
		const char *name = unset.items[k];
		const struct strv *const known[] = { &s->variables.list, &s->declared.list, NULL };
		AUTOFREE char *near = NULL;
		if (!lint_takes(r->lint, LINT_UNDEFINED_VAR) || pairs_get(&s->declared, name) || is_predefined(name) ||
		    is_guarded(text, name) || !(isalpha((unsigned char)*name) || *name == '_'))
			continue;
		if (suggest_name(name, known, &near))
			lint_add(r->lint, LINT_UNDEFINED_VAR, i->line,
			    "Usage of undefined variable '$%s' (did you mean $%s?)", name, near);
		else
			lint_add(r->lint, LINT_UNDEFINED_VAR, i->line, "Usage of undefined variable '$%s'", name);
	}
	return value;
}

/* ---- secrets ---- */

/* Whether one of the parts between "_" is such a word. */
static int has_part(const char *name, const char *const *words)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, name, "_");
	for (size_t i = 0; i < parts.count; i++)
		for (const char *const *w = words; *w; w++)
			if (strcasecmp(parts.items[i], *w) == 0)
				return 1;
	return 0;
}

static void check_secret(struct run *r, const struct dockerfile_instruction *i, const char *name)
{
	static const char *const secrets[] = { "apikey", "auth", "credential", "credentials", "key", "password",
		"pword", "passwd", "secret", "token", NULL };
	static const char *const open[] = { "public", NULL };
	if (has_part(name, secrets) && !has_part(name, open))
		lint_add(r->lint, LINT_SECRETS_USED_IN_ARG_OR_ENV, i->line,
		    "Do not use ARG or ENV instructions for sensitive data (%s \"%s\")", i->kind->name, name);
}

/* ---- FROM ---- */

static const struct stage *find_stage(const struct run *r, const char *name)
{
	for (size_t i = r->count; i-- > 0;)
		if (r->stages[i].name && strcasecmp(r->stages[i].name, name) == 0)
			return &r->stages[i];
	return NULL;
}

static void check_from_args(struct run *r, const struct dockerfile_instruction *i, const struct strv *unset,
    const char *text)
{
	for (size_t k = 0; k < unset->count; k++) {
		const char *name = unset->items[k];
		const struct strv *const known[] = { &r->globals.list, r->in->platform, &r->declared.list, NULL };
		AUTOFREE char *near = NULL;
		if (!lint_takes(r->lint, LINT_UNDEFINED_ARG_IN_FROM) || pairs_get(&r->declared, name) ||
		    is_guarded(text, name))
			continue;
		if (suggest_name(name, known, &near))
			lint_add(r->lint, LINT_UNDEFINED_ARG_IN_FROM, i->line,
			    "FROM argument '%s' is not declared (did you mean %s?)", name, near);
		else
			lint_add(r->lint, LINT_UNDEFINED_ARG_IN_FROM, i->line, "FROM argument '%s' is not declared",
			    name);
	}
}

/* Reads the variables before the first FROM, which check_defaults() looks at for each FROM. */
static void read_defaults(struct run *r)
{
	static const struct strv none = { 0 };
	struct lint_input in = *r->in;
	CLEANUP(run_done) struct run plain = { .in = &in, .lint = r->lint, .left = r->left };
	in.given = &none;
	for (size_t k = 0; k < in.file->count && in.file->instructions[k].kind->id == DOCKERFILE_ARG; k++) {
		AUTO_STRV struct strv words = { 0 };
		dockerfile_words(in.file->instructions[k].rest, in.file->escape, &words);
		for (size_t w = 0; w < words.count; w++)
			add_global(&plain, words.items[w]);
	}
	r->defaults = plain.globals;
	plain.globals = (struct pairs){ 0 };
}

/* The image's name with defaults alone. */
static void check_defaults(struct run *r, const struct dockerfile_instruction *i, const char *text)
{
	struct run plain = { .in = r->in, .globals = r->defaults, .left = r->left };
	AUTOFREE char *name = NULL;
	AUTO_REFERENCE struct reference *reference = NULL;
	if (!strchr(text, '$'))
		return;
	expand_global(&plain, text, &name, NULL);
	if (!find_stage(r, name) && reference_parse(name, &reference, NULL) < 0)
		lint_add(r->lint, LINT_INVALID_DEFAULT_ARG_IN_FROM, i->line,
		    "Default value for ARG %s results in empty or invalid base image name", text);
}

static void check_platform(struct run *r, const struct dockerfile_instruction *i, const char *name)
{
	const char *text = dockerfile_flag(i, "platform");
	AUTO_STRV struct strv parts = { 0 }, unset = { 0 };
	AUTOFREE char *value = NULL;
	if (!text || !*text)
		return;
	expand_global(r, text, &value, &unset);
	check_from_args(r, i, &unset, text);
	if (streq(text, "$TARGETPLATFORM") || streq(text, "${TARGETPLATFORM}"))
		lint_add(r->lint, LINT_REDUNDANT_TARGET_PLATFORM, i->line,
		    "Setting platform to predefined %s in FROM is redundant as this is the default behavior", text);
	strv_split(&parts, text, "/");
	/* A stage of one platform says so in its name. */
	for (size_t k = 0; k < parts.count; k++)
		if (strchr(text, '$') || (name && *parts.items[k] && strstr(name, parts.items[k])))
			return;
	lint_add(r->lint, LINT_FROM_PLATFORM_FLAG_CONST_DISALLOWED, i->line,
	    "FROM --platform flag should not use constant value \"%s\"", text);
}

static void check_name(struct run *r, const struct dockerfile_instruction *i, const char *as, const char *name)
{
	if (!is_lower(name))
		lint_add(r->lint, LINT_STAGE_NAME_CASING, i->line, "Stage name '%s' should be lowercase", name);
	if (is_lower(i->word) ? !is_lower(as) : !is_upper(as))
		lint_add(r->lint, LINT_FROM_AS_CASING, i->line, "'%s' and '%s' keywords' casing do not match", as,
		    i->word);
	if (find_stage(r, name))
		lint_add(r->lint, LINT_DUPLICATE_STAGE_NAME, i->line,
		    "Duplicate stage name \"%s\", stage names should be unique", name);
	if (strcasecmp(name, "scratch") == 0 || strcasecmp(name, "context") == 0)
		lint_add(r->lint, LINT_RESERVED_STAGE_NAME, i->line,
		    "Stage name should not use the same name as reserved stage \"%s\"", name);
}

static void take_image(struct run *r, const struct dockerfile_instruction *i, const char *image, struct stage *s)
{
	CLEANUP(lint_base_done) struct lint_base base = { 0 };
	const char *wish = dockerfile_flag(i, "platform") ? NULL : strv_getenv(r->in->platform, "TARGETPLATFORM");
	if (streq(image, "scratch")) {
		s->is_known = 1;
		pairs_add(&s->variables, "PATH="); /* of any value */
		return;
	}
	if (!r->in->find_base || r->in->find_base(r->in->data, image, &base) < 0)
		return;
	s->is_known = 1;
	s->has_shell = base.has_shell;
	s->has_directory = base.has_directory;
	pairs_add_all(&s->variables, &base.env);
	if (wish && base.platform && !streq(wish, base.platform))
		lint_add(r->lint, LINT_INVALID_BASE_IMAGE_PLATFORM, i->line,
		    "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build", image,
		    base.platform, wish);
}

/* Copies the variables of the base. Stages that have too much of them together are unknown. */
static void take_stage(struct run *r, const struct stage *from, struct stage *s)
{
	for (size_t i = 0; i < from->variables.list.count; i++)
		r->copied += 2 * sizeof(char *) + strlen(from->variables.list.items[i]);
	s->has_shell = from->has_shell;
	s->has_directory = from->has_directory;
	s->is_known = from->is_known && r->copied <= COPIED_MAX;
	if (s->is_known)
		pairs_add_all(&s->variables, &from->variables.list);
}

static void begin_stage(struct run *r, const struct dockerfile_instruction *i)
{
	AUTO_STRV struct strv words = { 0 }, unset = { 0 };
	AUTOFREE char *base = NULL;
	dockerfile_words(i->rest, r->in->file->escape, &words);
	const char *name = words.count == 3 ? words.items[2] : NULL;
	expand_global(r, words.items[0], &base, &unset);
	check_from_args(r, i, &unset, words.items[0]);
	check_defaults(r, i, words.items[0]);
	check_platform(r, i, name);
	if (name)
		check_name(r, i, words.items[1], name);
	const struct stage *from = find_stage(r, base);
	struct stage s = { .name = xstrdup(name) };
	if (from)
		take_stage(r, from, &s);
	else
		take_image(r, i, base, &s);
	r->stages = xgrow(r->stages, r->count, sizeof *r->stages);
	r->stages[r->count++] = s;
}

/* ---- instructions of a stage ---- */

static void check_arg(struct run *r, const struct dockerfile_instruction *i)
{
	struct stage *s = current(r);
	AUTO_STRV struct strv words = { 0 };
	dockerfile_words(i->rest, r->in->file->escape, &words);
	for (size_t k = 0; k < words.count; k++) {
		const char *word = words.items[k], *equals = strchr(word, '=');
		AUTOFREE char *name = xstrndup(word, strcspn(word, "=")), *value = NULL;
		check_secret(r, i, name);
		const char *given = get_value(r->in->given, &r->globals, name);
		if (equals)
			value = expand(r, i, equals + 1);
		else if (!given)
			given = strv_getenv(r->in->platform, name);
		if (equals && !strv_getenv(r->in->given, name))
			given = value;
		if (given)
			pairs_set(&s->variables, name, given);
		else
			pairs_set(&s->declared, name, "");
	}
}

/* "NAME VALUE". */
static void check_old_pair(struct run *r, const struct dockerfile_instruction *i, int is_env)
{
	size_t n = strcspn(i->rest, " \t");
	AUTOFREE char *name = xstrndup(i->rest, n), *value = expand(r, i, i->rest + n + strspn(i->rest + n, " \t"));
	lint_add(r->lint, LINT_LEGACY_KEY_VALUE_FORMAT, i->line,
	    "\"%s key=value\" should be used instead of legacy \"%s key value\" format", i->kind->name, i->kind->name);
	if (!is_env)
		return;
	check_secret(r, i, name);
	pairs_set(&current(r)->variables, name, value);
}

static void check_pairs(struct run *r, const struct dockerfile_instruction *i)
{
	int is_env = i->kind->id == DOCKERFILE_ENV;
	AUTO_STRV struct strv words = { 0 }, pairs = { 0 };
	dockerfile_words(i->rest, r->in->file->escape, &words);
	if (words.count && !strchr(words.items[0], '=')) {
		check_old_pair(r, i, is_env);
		return;
	}
	/* All values are expanded before one is set. */
	for (size_t k = 0; k < words.count; k++) {
		const char *equals = strchr(words.items[k], '=');
		if (!equals)
			continue;
		AUTOFREE char *name = xstrndup(words.items[k], (size_t)(equals - words.items[k])),
			      *value = expand(r, i, equals + 1);
		if (is_env)
			check_secret(r, i, name);
		strv_addf(&pairs, "%s=%s", name, value);
	}
	for (size_t k = 0; is_env && k < pairs.count; k++) {
		AUTOFREE char *name = xstrndup(pairs.items[k], strcspn(pairs.items[k], "="));
		pairs_set(&current(r)->variables, name, strchr(pairs.items[k], '=') + 1);
	}
}

static void check_directory(struct run *r, const struct dockerfile_instruction *i)
{
	struct stage *s = current(r);
	AUTOFREE char *path = expand(r, i, i->rest);
	if (*path == '/')
		s->has_directory = 1;
	else if (!s->has_directory && s->is_known)
		lint_add(r->lint, LINT_WORKDIR_RELATIVE_PATH, i->line,
		    "Relative workdir \"%s\" can have unexpected results if the base image changes", path);
}

static void check_once(struct run *r, const struct dockerfile_instruction *i, unsigned *line)
{
	if (*line)
		lint_add(r->lint, LINT_MULTIPLE_INSTRUCTIONS_DISALLOWED, *line,
		    "Multiple %s instructions should not be used in the same stage because only the last one will be "
		    "used",
		    i->kind->name);
	*line = i->line;
}

static void check_command(struct run *r, const struct dockerfile_instruction *i)
{
	struct stage *s = current(r);
	check_once(r, i, i->kind->id == DOCKERFILE_CMD ? &s->command : &s->entrypoint);
	if (!i->is_json && *i->rest && !s->has_shell)
		lint_add(r->lint, LINT_JSON_ARGS_RECOMMENDED, i->line,
		    "JSON arguments recommended for %s to prevent unintended behavior related to OS signals",
		    i->kind->name);
}

static void check_health(struct run *r, const struct dockerfile_instruction *i)
{
	check_once(r, i, &current(r)->health);
}

static void check_shell(struct run *r, const struct dockerfile_instruction *i)
{
	current(r)->has_shell = 1;
}

static void check_maintainer(struct run *r, const struct dockerfile_instruction *i)
{
	lint_add(r->lint, LINT_MAINTAINER_DEPRECATED, i->line,
	    "Maintainer instruction is deprecated in favor of using label");
}

static void check_ports(struct run *r, const struct dockerfile_instruction *i)
{
	AUTO_STRV struct strv words = { 0 };
	dockerfile_words(i->rest, r->in->file->escape, &words);
	for (size_t k = 0; k < words.count; k++) {
		AUTOFREE char *port = expand(r, i, words.items[k]);
		const char *slash = strchr(port, '/');
		if (slash && !is_lower(slash))
			lint_add(r->lint, LINT_EXPOSE_PROTO_CASING, i->line,
			    "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
		if (strchr(port, ':'))
			lint_add(r->lint, LINT_EXPOSE_INVALID_FORMAT, i->line,
			    "EXPOSE instruction should not define an IP address or host-port mapping, found '%s'",
			    port);
	}
}

static void check_copy(struct run *r, const struct dockerfile_instruction *i)
{
	AUTO_STRV struct strv words = { 0 };
	if (i->is_json)
		strv_add_all(&words, &i->json);
	else
		dockerfile_words(i->rest, r->in->file->escape, &words);
	for (size_t k = 0; k < words.count; k++) {
		int is_text = i->heredoc_count && startswith(words.items[k], "<<");
		AUTOFREE char *value = is_text ? NULL : expand(r, i, words.items[k]),
			      *absolute = value ? xasprintf("/%s", value) : NULL,
			      *path = absolute ? path_normalize(absolute) : NULL;
		if (path && path[1] && k + 1 < words.count && r->in->ignore && !dockerfile_flag(i, "from") &&
		    !strstr(value, "://") && ignore_excludes(r->in->ignore, path + 1))
			lint_add(r->lint, LINT_COPY_IGNORED_FILE, i->line,
			    "Attempting to %s file \"%s\" that is excluded by .dockerignore", i->kind->name, value);
	}
	for (size_t k = 0; k < i->heredoc_count; k++)
		if (!i->heredocs[k].literal)
			free(expand(r, i, i->heredocs[k].content));
	for (size_t k = 0; k < i->flags.count; k++)
		free(expand(r, i, i->flags.items[k]));
}

static void check_text(struct run *r, const struct dockerfile_instruction *i)
{
	free(expand(r, i, i->rest));
}

static void (*const checks[])(struct run *r, const struct dockerfile_instruction *i) = {
	[DOCKERFILE_ADD] = check_copy,
	[DOCKERFILE_ARG] = check_arg,
	[DOCKERFILE_CMD] = check_command,
	[DOCKERFILE_COPY] = check_copy,
	[DOCKERFILE_ENTRYPOINT] = check_command,
	[DOCKERFILE_ENV] = check_pairs,
	[DOCKERFILE_EXPOSE] = check_ports,
	[DOCKERFILE_FROM] = begin_stage,
	[DOCKERFILE_HEALTHCHECK] = check_health,
	[DOCKERFILE_LABEL] = check_pairs,
	[DOCKERFILE_MAINTAINER] = check_maintainer,
	[DOCKERFILE_SHELL] = check_shell,
	[DOCKERFILE_STOPSIGNAL] = check_text,
	[DOCKERFILE_USER] = check_text,
	[DOCKERFILE_VOLUME] = check_text,
	[DOCKERFILE_WORKDIR] = check_directory,
};

/* ---- the whole file ---- */

/* Instructions behind the first FROM, those before it do not count. */
static void check_casing(struct run *r)
{
	const struct dockerfile *d = r->in->file;
	size_t lower = 0, upper = 0, first = 0;
	while (first < d->count && d->instructions[first].kind->id != DOCKERFILE_FROM)
		first++;
	for (size_t i = first; i < d->count; i++) {
		lower += (size_t)is_lower(d->instructions[i].word);
		upper += (size_t)is_upper(d->instructions[i].word);
	}
	for (size_t i = first; i < d->count; i++) {
		const char *word = d->instructions[i].word;
		if (lower > upper ? !is_lower(word) : !is_upper(word))
			lint_add(r->lint, LINT_CONSISTENT_INSTRUCTION_CASING, d->instructions[i].line,
			    "Command '%s' should match the case of the command majority (%s)", word,
			    lower > upper ? "lowercase" : "uppercase");
	}
}

/* A comment directly above a stage or an argument describes it: "# NAME text". */
static void check_description(struct run *r, const struct dockerfile_instruction *i)
{
	AUTO_STRV struct strv words = { 0 };
	unsigned line = 0;
	dockerfile_words(i->rest, r->in->file->escape, &words);
	const char *name = i->kind->id == DOCKERFILE_FROM ? (words.count == 3 ? words.items[2] : NULL) :
			   i->kind->id == DOCKERFILE_ARG && words.count == 1 ? words.items[0] :
									       NULL;
	const char *comment = name ? describe_above(r->in->file, i, &line) : NULL;
	if (!comment)
		return;
	AUTOFREE char *plain = xstrndup(name, strcspn(name, "=")), *wanted = xasprintf("%s ", plain);
	if (!startswith(comment, wanted))
		lint_add(r->lint, LINT_INVALID_DEFINITION_DESCRIPTION, i->line,
		    "Comment for %s should follow the format: `# %s <description>`",
		    i->kind->id == DOCKERFILE_FROM ? "build stage" : "build arg", plain);
}

void lint_run(const struct lint_input *in, struct lint *l)
{
	size_t left = EXPAND_ALL_MAX;
	CLEANUP(run_done) struct run r = { .in = in, .lint = l, .left = &left };
	read_defaults(&r);
	check_casing(&r);
	for (size_t k = 0; k < in->file->count; k++) {
		const struct dockerfile_instruction *i = &in->file->instructions[k];
		enum dockerfile_id id = i->kind->id;
		if (i->empty_line)
			lint_add(l, LINT_NO_EMPTY_CONTINUATION, i->empty_line, "Empty continuation line");
		check_description(&r, i);
		if (!r.count && id == DOCKERFILE_ARG) {
			AUTO_STRV struct strv words = { 0 };
			dockerfile_words(i->rest, in->file->escape, &words);
			for (size_t w = 0; w < words.count; w++) {
				AUTOFREE char *name = xstrndup(words.items[w], strcspn(words.items[w], "="));
				check_secret(&r, i, name);
				add_global(&r, words.items[w]);
			}
		} else if (id < ARRAY_SIZE(checks) && checks[id] && (r.count || id == DOCKERFILE_FROM)) {
			checks[id](&r, i);
		}
	}
}
