/* SPDX-License-Identifier: Apache-2.0
 * Instructions that change the configuration of the image, and no file: a function each
 * (Dockerfile reference; the members are those of the OCI image specification 1.1, config.md, and
 * Docker's). */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/path.h"
#include "docker/body.h"
#include "image/build/expand.h"
#include "image/build/instruction.h"
#include "image/builder/step.h"
#include "image/common/expose.h"

#define NS_PER_MS 1000000

void build_step_scope(struct build_step *s, struct expand_scope *ret)
{
	*ret = (struct expand_scope){
		.get = build_state_get,
		.data = s->state,
		.escape = s->builder->file->escape,
		.left = &s->builder->expand_left,
	};
}

static int expand_rest(struct build_step *s, char **ret, struct error **err)
{
	struct expand_scope scope;
	build_step_scope(s, &scope);
	return expand_word(&scope, s->instruction->rest, ret, err);
}

/* The words of the instruction, each expanded: blanks of a value divide none. */
static int expand_list(struct build_step *s, struct strv *to, struct error **err)
{
	struct expand_scope scope;
	AUTO_STRV struct strv words = { 0 };
	build_step_scope(s, &scope);
	if (s->instruction->is_json)
		strv_add_all(&words, &s->instruction->json);
	else
		dockerfile_words(s->instruction->rest, s->builder->file->escape, &words);
	int r = 0;
	for (size_t i = 0; r == 0 && i < words.count; i++) {
		char *word = NULL;
		r = expand_word(&scope, words.items[i], &word, err);
		if (r == 0)
			strv_take(to, word);
	}
	return r;
}

static void set_text(struct build_state *s, const char *key, const char *value)
{
	json_object_object_del(s->config, key);
	json_add_string(s->config, key, value);
}

static void set_words(struct build_state *s, const char *key, const struct strv *words)
{
	json_object_object_del(s->config, key);
	json_add_strv(s->config, key, words);
}

/* The object of this name, made if it is missing. Borrowed. */
static struct json_object *object_of(struct build_state *s, const char *key)
{
	struct json_object *o = NULL;
	if (json_get_object(s->config, key, &o, NULL) < 0) {
		json_object_object_del(s->config, key);
		o = json_object_new_object();
		json_add(s->config, key, o);
	}
	return o;
}

/* ---- NAME=VALUE ---- */

static int add_named(struct build_step *s, const char *name, const char *value, struct strv *to, struct error **err)
{
	if (!*name || strchr(name, '='))
		return error_set(err, EINVAL, "%s: \"%.60s\" is no name", s->instruction->kind->name, name);
	strv_addf(to, "%s=%s", name, value);
	return 0;
}

static int add_pair(struct build_step *s, struct strv *to, const char *word, struct error **err)
{
	struct expand_scope scope;
	const char *equals = strchr(word, '=');
	AUTOFREE char *name = NULL, *value = NULL, *raw = NULL;
	if (!equals || equals == word)
		return error_set(err, EINVAL, "%s: \"%.60s\" is not NAME=VALUE", s->instruction->kind->name, word);
	raw = xstrndup(word, (size_t)(equals - word));
	build_step_scope(s, &scope);
	int r = expand_word(&scope, raw, &name, err);
	if (r == 0)
		r = expand_word(&scope, equals + 1, &value, err);
	return r == 0 ? add_named(s, name, value, to, err) : r;
}

/* "NAME VALUE ...", the old form: one pair, with all that follows. */
static int read_old_pair(struct build_step *s, struct strv *to, struct error **err)
{
	const char *rest = s->instruction->rest;
	size_t n = strcspn(rest, " \t");
	struct expand_scope scope;
	AUTOFREE char *raw = xstrndup(rest, n), *name = NULL, *value = NULL;
	if (!rest[n])
		return error_set(err, EINVAL, "%s \"%.60s\" lacks a value; write %s", s->instruction->kind->name, rest,
		    s->instruction->kind->usage);
	build_step_scope(s, &scope);
	int r = expand_word(&scope, raw, &name, err);
	if (r == 0)
		r = expand_word(&scope, rest + n + strspn(rest + n, " \t"), &value, err);
	return r == 0 ? add_named(s, name, value, to, err) : r;
}

/* All values are expanded before one is set. */
static int read_pairs(struct build_step *s, struct strv *to, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	dockerfile_words(s->instruction->rest, s->builder->file->escape, &words);
	if (!strchr(words.items[0], '='))
		return read_old_pair(s, to, err);
	int r = 0;
	for (size_t i = 0; r == 0 && i < words.count; i++)
		r = add_pair(s, to, words.items[i], err);
	return r;
}

static int set_env(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv pairs = { 0 };
	int r = read_pairs(s, &pairs, err);
	for (size_t i = 0; r == 0 && i < pairs.count; i++) {
		AUTOFREE char *name = xstrndup(pairs.items[i], strcspn(pairs.items[i], "="));
		build_state_set_env(s->state, name, strchr(pairs.items[i], '=') + 1);
	}
	return r;
}

static int set_labels(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv pairs = { 0 };
	struct json_object *labels = object_of(s->state, "Labels");
	int r = read_pairs(s, &pairs, err);
	for (size_t i = 0; r == 0 && i < pairs.count; i++) {
		AUTOFREE char *name = xstrndup(pairs.items[i], strcspn(pairs.items[i], "="));
		json_object_object_del(labels, name);
		json_add_string(labels, name, strchr(pairs.items[i], '=') + 1);
	}
	return r;
}

/* The value of an ARG: --build-arg, else its default, else that of an ARG before the first FROM. */
static int set_arg(struct build_step *s, const char *word, struct error **err)
{
	struct expand_scope scope;
	struct builder *b = s->builder;
	AUTOFREE char *raw = xstrndup(word, strcspn(word, "=")), *name = NULL, *value = NULL;
	build_step_scope(s, &scope);
	if (expand_word(&scope, raw, &name, err) < 0)
		return -EINVAL;
	if (!*name)
		return error_set(err, EINVAL, "ARG \"%.60s\" has no name", word);
	const char *given = b->options->args ? strv_getenv(b->options->args, name) : NULL;
	if (given)
		strv_add(&b->used_args, name);
	else if (strchr(word, '=')) {
		int r = expand_word(&scope, strchr(word, '=') + 1, &value, err);
		if (r < 0)
			return r;
		given = value;
	} else {
		given = pairs_get(&b->stages->args, name);
		given = given ? given : strv_getenv(&b->platform_args, name);
	}
	if (given)
		pairs_set(&s->state->args, name, given);
	return 0;
}

static int set_args(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	dockerfile_words(s->instruction->rest, s->builder->file->escape, &words);
	int r = 0;
	for (size_t i = 0; r == 0 && i < words.count; i++)
		r = set_arg(s, words.items[i], err);
	return r;
}

/* ---- texts ---- */

static int set_user(struct build_step *s, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = expand_rest(s, &text, err);
	if (r == 0)
		set_text(s->state, "User", text);
	return r;
}

static int set_stop_signal(struct build_step *s, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = expand_rest(s, &text, err);
	if (r == 0 && !docker_signal(text))
		return error_set(err, EINVAL, "\"%.40s\" is no signal; write SIGTERM or a number", text);
	if (r == 0)
		set_text(s->state, "StopSignal", text);
	return r;
}

static int set_directory(struct build_step *s, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = expand_rest(s, &text, err);
	if (r < 0)
		return r;
	if (!*text)
		return error_set(err, EINVAL, "WORKDIR has an empty path");
	AUTOFREE char *joined = path_join(build_state_text(s->state, "WorkingDir", "/"), text),
		      *path = path_normalize(joined);
	set_text(s->state, "WorkingDir", path);
	return build_make_directory(s, path, err);
}

static int set_maintainer(struct build_step *s, struct error **err)
{
	free(s->state->author);
	s->state->author = xstrdup(s->instruction->rest);
	return 0;
}

/* ---- lists ---- */

static int add_ports(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	struct json_object *ports = object_of(s->state, "ExposedPorts");
	struct expand_scope scope;
	build_step_scope(s, &scope);
	int r = expand_words(&scope, s->instruction->rest, &words, err);
	for (size_t i = 0; r == 0 && i < words.count; i++)
		r = expose_add(ports, "EXPOSE", words.items[i], err);
	return r;
}

static int add_volumes(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	struct json_object *volumes = object_of(s->state, "Volumes");
	int r = expand_list(s, &words, err);
	for (size_t i = 0; r == 0 && i < words.count; i++) {
		if (!*words.items[i])
			return error_set(err, EINVAL, "VOLUME has an empty path");
		json_object_object_del(volumes, words.items[i]);
		json_add(volumes, words.items[i], json_object_new_object());
	}
	return r;
}

/* ---- commands ---- */

static void command_words(struct build_step *s, const struct dockerfile_instruction *i, struct strv *to)
{
	if (i->is_json) {
		strv_add_all(to, &i->json);
		return;
	}
	build_state_words(s->state, "Shell", to);
	if (!to->count) {
		strv_add(to, "/bin/sh");
		strv_add(to, "-c");
	}
	strv_add(to, i->rest);
}

static int set_command(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	command_words(s, s->instruction, &words);
	set_words(s->state, "Cmd", &words);
	s->has_command = 1;
	return 0;
}

/* A new entry point makes the base's CMD meaningless. */
static int set_entrypoint(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	if (s->instruction->is_json || *s->instruction->rest)
		command_words(s, s->instruction, &words);
	set_words(s->state, "Entrypoint", &words);
	if (!s->has_command)
		json_object_object_del(s->state->config, "Cmd");
	return 0;
}

static int set_shell(struct build_step *s, struct error **err)
{
	set_words(s->state, "Shell", &s->instruction->json);
	return 0;
}

static int add_trigger(struct build_step *s, struct error **err)
{
	const struct dockerfile_instruction *i = s->instruction;
	AUTO_STRV struct strv triggers = { 0 };
	AUTO_BUFFER struct buffer text;
	buffer_init(&text, 2 * DOCKERFILE_MAX);
	buffer_append_string(&text, i->rest);
	for (size_t k = 0; k < i->heredoc_count; k++)
		buffer_appendf(&text, "\n%s%s", i->heredocs[k].content, i->heredocs[k].name);
	build_state_words(s->state, "OnBuild", &triggers);
	strv_take(&triggers, buffer_take_string(&text));
	set_words(s->state, "OnBuild", &triggers);
	return 0;
}

/* ---- HEALTHCHECK ---- */

static const struct {
	const char *flag, *member;
} times[] = { { "interval", "Interval" }, { "timeout", "Timeout" }, { "start-period", "StartPeriod" },
	{ "start-interval", "StartInterval" } };

/* Go's durations: "1m30s", "1.5h", "100ms". 0 or -EINVAL. */
static int parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "µs", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
		{ "h", 3600e9 } };
	double sum = 0;
	if (!*text || streq(text, "0")) {
		*ret_ns = 0;
		return *text ? 0 : -EINVAL;
	}
	while (*text) {
		char *end;
		size_t i = 0;
		double value = isdigit((unsigned char)*text) ? strtod(text, &end) : -1;
		if (value < 0)
			return -EINVAL;
		size_t n = strcspn(end, "0123456789.");
		while (i < ARRAY_SIZE(units) && !(strlen(units[i].unit) == n && strncmp(units[i].unit, end, n) == 0))
			i++;
		if (i == ARRAY_SIZE(units))
			return -EINVAL;
		sum += value * units[i].ns;
		text = end + n;
	}
	if (sum > 9e18)
		return -EINVAL;
	*ret_ns = (int64_t)sum;
	return 0;
}

static int add_times(const struct dockerfile_instruction *i, struct json_object *check, struct error **err)
{
	const char *retries = dockerfile_flag(i, "retries");
	uint32_t count;
	for (size_t k = 0; k < ARRAY_SIZE(times); k++) {
		const char *text = dockerfile_flag(i, times[k].flag);
		int64_t ns;
		if (!text)
			continue;
		if (parse_duration(text, &ns) < 0 || (ns && ns < NS_PER_MS))
			return error_set(err, EINVAL,
			    "HEALTHCHECK --%s=%.40s: write a time such as 30s or 1m30s, of 1ms at least", times[k].flag,
			    text);
		json_add_i64(check, times[k].member, ns);
	}
	if (retries && parse_u32(retries, &count) < 0)
		return error_set(err, EINVAL, "HEALTHCHECK --retries=%.40s is no number", retries);
	if (retries)
		json_add_u64(check, "Retries", count);
	return 0;
}

/* The command behind "CMD", as Docker writes it down. */
static int read_check(const char *command, struct strv *to, struct error **err)
{
	strv_add(to, "CMD");
	int r = instruction_json("HEALTHCHECK", command, to, err);
	if (r == 0 && *command) {
		free(to->items[0]);
		to->items[0] = xstrdup("CMD-SHELL");
		strv_add(to, command);
	}
	if (r >= 0 && to->count == 1)
		return error_set(err, EINVAL, "HEALTHCHECK CMD has no command; write HEALTHCHECK CMD COMMAND");
	return MIN(r, 0);
}

static int set_health(struct build_step *s, struct error **err)
{
	const struct dockerfile_instruction *i = s->instruction;
	size_t n = strcspn(i->rest, " \t");
	const char *command = i->rest + n + strspn(i->rest + n, " \t");
	AUTO_JSON struct json_object *check = json_object_new_object();
	AUTO_STRV struct strv test = { 0 };
	int is_none = n == 4 && strncasecmp(i->rest, "NONE", 4) == 0, r = 0;
	if (is_none ? *command : n != 3 || strncasecmp(i->rest, "CMD", 3) != 0)
		return error_set(err, EINVAL,
		    "HEALTHCHECK \"%.40s\": write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE", i->rest);
	if (is_none)
		strv_add(&test, "NONE");
	else
		r = read_check(command, &test, err);
	json_add_strv(check, "Test", &test);
	if (r == 0 && !is_none)
		r = add_times(i, check, err);
	if (r == 0) {
		json_object_object_del(s->state->config, "Healthcheck");
		json_add(s->state->config, "Healthcheck", TAKE_PTR(check));
	}
	return r;
}

/* ---- the table ---- */

static int (*const handlers[])(struct build_step *s, struct error **err) = {
	[DOCKERFILE_ARG] = set_args,
	[DOCKERFILE_CMD] = set_command,
	[DOCKERFILE_ENTRYPOINT] = set_entrypoint,
	[DOCKERFILE_ENV] = set_env,
	[DOCKERFILE_EXPOSE] = add_ports,
	[DOCKERFILE_HEALTHCHECK] = set_health,
	[DOCKERFILE_LABEL] = set_labels,
	[DOCKERFILE_MAINTAINER] = set_maintainer,
	[DOCKERFILE_ONBUILD] = add_trigger,
	[DOCKERFILE_SHELL] = set_shell,
	[DOCKERFILE_STOPSIGNAL] = set_stop_signal,
	[DOCKERFILE_USER] = set_user,
	[DOCKERFILE_VOLUME] = add_volumes,
	[DOCKERFILE_WORKDIR] = set_directory,
};

int build_configure(struct build_step *s, struct error **err)
{
	int r = handlers[s->instruction->kind->id](s, err);
	/* WORKDIR has added its own step. */
	if (r == 0 && s->instruction->kind->id != DOCKERFILE_WORKDIR && s->instruction->kind->id != DOCKERFILE_ARG)
		build_state_add(s->state, NULL, s->instruction->text);
	return r;
}
