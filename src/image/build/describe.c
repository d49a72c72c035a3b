/* SPDX-License-Identifier: Apache-2.0
 * See describe.h. */
#include "image/build/describe.h"

#include <strings.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "image/build/expand.h"

enum { TEXT_MAX = 16 << 20, CELLS_MAX = 3 };

/* ---- descriptions ---- */

static int is_directive(const char *text)
{
	static const char *const names[] = { "check", "escape", "syntax" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *rest = startswith(text, names[i]);
		if (rest && rest[strspn(rest, " \t")] == '=')
			return 1;
	}
	return 0;
}

/* The text behind the "#" of a line; NULL: it is no comment. */
static const char *comment_of(const struct dockerfile *d, unsigned line)
{
	const char *text = d->lines.items[line - 1];
	if (*text != '#')
		return NULL;
	text += 1 + strspn(text + 1, " \t");
	return is_directive(text) ? NULL : text;
}

const char *describe_above(const struct dockerfile *d, const struct dockerfile_instruction *i, unsigned *ret_line)
{
	unsigned line = i->line;
	while (line > 1 && comment_of(d, line - 1))
		line--;
	*ret_line = line;
	return line < i->line ? comment_of(d, line) : NULL;
}

char *describe_comment(const struct dockerfile *d, const struct dockerfile_instruction *i, const char *name)
{
	unsigned line = i->line;
	size_t n = strlen(name);
	const char *first = describe_above(d, i, &line);
	if (!first || !n || strncasecmp(first, name, n) != 0 || first[n] != ' ')
		return NULL;
	AUTO_STRV struct strv lines = { 0 };
	strv_add(&lines, first + n + 1);
	for (line++; line < i->line; line++)
		strv_add(&lines, comment_of(d, line));
	return strv_join(&lines, " ");
}

static void add_description(struct json_object *o, const struct dockerfile *d, const struct dockerfile_instruction *i,
    const char *name)
{
	AUTOFREE char *text = name ? describe_comment(d, i, name) : NULL;
	json_add_string(o, "description", text);
}

/* ---- targets ---- */

struct json_object *describe_targets(const struct dockerfile *d, const struct stages *s)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();
	for (size_t i = 0; i < s->count; i++) {
		const struct build_stage *at = &s->stages[i];
		struct json_object *o = json_object_new_object();
		json_add_string(o, "name", at->name);
		if (i + 1 == s->count)
			json_add_bool(o, "default", 1);
		add_description(o, d, &d->instructions[at->from], at->name);
		json_add_string(o, "base", at->base.image ? at->base.image : s->stages[at->base.stage].name);
		json_add_string(o, "platform", at->platform);
		json_object_array_add(list, o);
	}
	json_add(all, "targets", list);
	return all;
}

/* ---- the outline ---- */

struct outline {
	const struct dockerfile *d;
	const struct stages *s;
	const struct strv *given;
	struct pairs values;                              /* of arguments so far */
	struct json_object *args, *secrets, *ssh, *cache; /* arrays */
	size_t left;
};

static const char *get_value(void *data, const char *name)
{
	const struct outline *o = data;
	return pairs_get(&o->values, name);
}

static struct json_object *find_name(struct json_object *list, const char *key, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *text = NULL;
		if (json_get_string(one, key, &text, NULL) == 0 && streq(text, name))
			return one;
	}
	return NULL;
}

/* word: NAME or NAME=DEFAULT. */
static void add_arg(struct outline *o, const struct dockerfile_instruction *i, const char *word)
{
	AUTOFREE char *name = xstrndup(word, strcspn(word, "=")), *value = NULL;
	const struct expand_scope scope = { .get = get_value, .data = o, .escape = o->d->escape, .left = &o->left };
	const char *given = strv_getenv(o->given, name), *equals = strchr(word, '=');
	if (given)
		value = xstrdup(given);
	else if (equals && expand_word(&scope, equals + 1, &value, NULL) < 0)
		value = xstrdup(equals + 1);
	if (value)
		pairs_set(&o->values, name, value);
	const char *now = pairs_get(&o->values, name);
	AUTOFREE char *description = describe_comment(o->d, i, name);
	struct json_object *one = find_name(o->args, "name", name);
	if (!one) {
		one = json_object_new_object();
		json_add_string(one, "name", name);
		json_object_array_add(o->args, one);
	}
	if (now) {
		json_object_object_del(one, "value");
		json_add_string(one, "value", now);
	}
	if (description && !json_object_object_get_ex(one, "description", NULL))
		json_add_string(one, "description", description);
}

static void add_args(struct outline *o, const struct dockerfile_instruction *i)
{
	AUTO_STRV struct strv words = { 0 };
	dockerfile_words(i->rest, o->d->escape, &words);
	for (size_t k = 0; k < words.count; k++)
		add_arg(o, i, words.items[k]);
}

/* A secret or an ssh agent; the keys of the mount in `parts`. */
static void add_wish(struct json_object *list, const struct strv *parts, const char *otherwise)
{
	const char *id = strv_getenv(parts, "id"), *target = strv_getenv(parts, "target"),
		   *required = strv_getenv(parts, "required");
	int on = strv_contains(parts, "required");
	const char *name = id ? id : target && !otherwise ? target : otherwise;
	if (!name || find_name(list, "name", name))
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "name", name);
	if (on || (required && parse_bool(required, &on) == 0 && on))
		json_add_bool(o, "required", 1);
	json_object_array_add(list, o);
}

static void add_cache(struct json_object *list, const struct strv *parts)
{
	const char *id = strv_getenv(parts, "id"), *target = strv_getenv(parts, "target");
	const char *name = id ? id : target;
	if (!name || find_name(list, "ID", name))
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "ID", name);
	json_object_array_add(list, o);
}

static void add_mounts(struct outline *o, const struct dockerfile_instruction *i)
{
	for (size_t k = 0; k < i->flags.count; k++) {
		const char *text = startswith(i->flags.items[k], "--mount=");
		AUTO_STRV struct strv parts = { 0 };
		strv_split(&parts, text ? text : "", ",");
		const char *type = strv_getenv(&parts, "type");
		if (streq(type, "secret"))
			add_wish(o->secrets, &parts, NULL);
		else if (streq(type, "ssh"))
			add_wish(o->ssh, &parts, "default");
		else if (streq(type, "cache"))
			add_cache(o->cache, &parts);
	}
}

static void read_stage(struct outline *o, const struct build_stage *at)
{
	for (size_t i = at->from; i < at->end; i++) {
		const struct dockerfile_instruction *one = &o->d->instructions[i];
		if (one->kind->id == DOCKERFILE_ARG)
			add_args(o, one);
		else if (one->kind->id == DOCKERFILE_RUN)
			add_mounts(o, one);
	}
}

static void add_list(struct json_object *to, const char *key, struct json_object *list)
{
	if (json_object_array_length(list))
		json_add(to, key, list);
	else
		json_object_put(list);
}

struct json_object *describe_outline(const struct dockerfile *d, const struct stages *s, const struct strv *given)
{
	struct outline o = { .d = d,
		.s = s,
		.given = given,
		.args = json_object_new_array(),
		.secrets = json_object_new_array(),
		.ssh = json_object_new_array(),
		.cache = json_object_new_array(),
		.left = EXPAND_ALL_MAX };
	struct json_object *all = json_object_new_object();
	const struct build_stage *target = &s->stages[s->target];
	json_add_string(all, "name", target->name);
	add_description(all, d, &d->instructions[target->from], target->name);
	for (size_t i = 0; i < d->count && d->instructions[i].kind->id != DOCKERFILE_FROM; i++)
		add_args(&o, &d->instructions[i]);
	for (size_t i = 0; i < s->count; i++)
		if (s->stages[i].is_needed)
			read_stage(&o, &s->stages[i]);
	add_list(all, "args", o.args);
	add_list(all, "secrets", o.secrets);
	add_list(all, "ssh", o.ssh);
	add_list(all, "cache", o.cache);
	pairs_done(&o.values);
	return all;
}

/* ---- text ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;
	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

/* Rows of objects below a heading, as Go's tabwriter has them: three blanks between columns. */
struct table {
	const char *heads[CELLS_MAX], *keys[CELLS_MAX];
};

static size_t width_of(struct json_object *list, const struct table *t, size_t column)
{
	size_t width = strlen(t->heads[column]);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		size_t n = strlen(text_of(json_object_array_get_idx(list, i), t->keys[column]));
		width = MAX(width, n);
	}
	return width;
}

static void put_table(struct buffer *b, struct json_object *list, const struct table *t)
{
	size_t widths[CELLS_MAX] = { 0 }, columns = 0;
	for (; columns < CELLS_MAX && t->heads[columns]; columns++)
		widths[columns] = width_of(list, t, columns);
	for (size_t i = 0; i <= json_object_array_length(list); i++)
		for (size_t c = 0; c < columns; c++) {
			const char *cell =
			    i ? text_of(json_object_array_get_idx(list, i - 1), t->keys[c]) : t->heads[c];
			if (c + 1 < columns)
				buffer_appendf(b, "%-*s   ", (int)widths[c], cell);
			else
				buffer_appendf(b, "%s\n", cell);
		}
}

static void put_targets(struct buffer *b, struct json_object *list)
{
	static const struct table table = { { "TARGET", "DESCRIPTION" }, { "shown", "description" } };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *from = json_object_array_get_idx(list, i), *o = json_object_new_object();
		int is_default = json_object_object_get_ex(from, "default", NULL);
		const char *name = text_of(from, "name");
		AUTOFREE char *shown =
		    xasprintf("%s%s%s", name, *name && is_default ? " " : "", is_default ? "(default)" : "");
		json_add_string(o, "shown", shown);
		json_add_string(o, "description", text_of(from, "description"));
		json_object_array_add(rows, o);
	}
	put_table(b, rows, &table);
}

static void put_outline(struct buffer *b, struct json_object *o)
{
	static const struct {
		const char *key;
		struct table table;
	} parts[] = { { "args", { { "BUILD ARG", "VALUE", "DESCRIPTION" }, { "name", "value", "description" } } },
		{ "secrets", { { "SECRET", "REQUIRED" }, { "name", "required" } } },
		{ "ssh", { { "SSH", "REQUIRED" }, { "name", "required" } } } };
	const char *name = text_of(o, "name"), *description = text_of(o, "description");
	if (*description)
		buffer_appendf(b, "TARGET:        %s\nDESCRIPTION:   %s\n", name, description);
	else
		buffer_appendf(b, "TARGET:   %s\n", *name ? name : "(default)");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct json_object *list = NULL;
		if (!json_object_object_get_ex(o, parts[i].key, &list))
			continue;
		buffer_append_string(b, "\n");
		put_table(b, list, &parts[i].table);
	}
}

char *describe_text(struct json_object *described)
{
	struct json_object *targets = NULL;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, TEXT_MAX);
	if (json_object_object_get_ex(described, "targets", &targets))
		put_targets(&b, targets);
	else
		put_outline(&b, described);
	return buffer_take_string(&b);
}
