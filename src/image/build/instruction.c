/* SPDX-License-Identifier: Apache-2.0
 * See instruction.h. The rules of flags and here-documents are those of BuildKit's parser, as the
 * reference describes both by example only. */
#include "image/build/instruction.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/json.h"

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static size_t skip_blanks(const char *text, size_t at)
{
	while (is_blank(text[at]))
		at++;
	return at;
}

static void chop_blanks(char *text)
{
	size_t n = strlen(text);
	while (n && is_blank(text[n - 1]))
		text[--n] = '\0';
}

void instruction_done(struct dockerfile_instruction *i)
{
	free(i->word);
	free(i->text);
	free(i->rest);
	strv_done(&i->flags);
	strv_done(&i->json);
	for (size_t k = 0; k < i->heredoc_count; k++) {
		free(i->heredocs[k].name);
		free(i->heredocs[k].content);
	}
	free(i->heredocs);
	*i = (struct dockerfile_instruction){ 0 };
}

void dockerfile_words(const char *text, char escape, struct strv *to)
{
	size_t at = skip_blanks(text, 0);
	while (text[at]) {
		size_t from = at;
		char quote = '\0';
		for (; text[at] && (quote || !is_blank(text[at])); at++) {
			if (quote && text[at] == quote)
				quote = '\0';
			else if (!quote && (text[at] == '"' || text[at] == '\''))
				quote = text[at];
			else if (text[at] == escape && quote != '\'' && text[at + 1])
				at++;
		}
		strv_take(to, xstrndup(text + from, at - from));
		at = skip_blanks(text, at);
	}
}

/* ---- flags ---- */

/* The word at text + *at without quotes and escapes; owned. *at moves behind it. */
static char *take_flag(const char *text, char escape, size_t *at)
{
	AUTO_BUFFER struct buffer b;
	char quote = '\0';
	buffer_init(&b, DOCKERFILE_MAX);
	for (; text[*at] && (quote || !is_blank(text[*at])); (*at)++) {
		char c = text[*at];
		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? '\0' : c;
			continue;
		}
		if (c == escape && text[*at + 1])
			c = text[++*at];
		buffer_append(&b, &c, 1);
	}
	return buffer_take_string(&b);
}

static int check_flag(const struct dockerfile_kind *k, const char *flag, struct error **err)
{
	const char *near = NULL;
	AUTOFREE char *name = xstrndup(flag + 2, strcspn(flag + 2, "="));
	if (dockerfile_kind_has_flag(k, name, &near))
		return 0;
	if (near)
		return error_set(err, EINVAL, "%s has no flag \"--%.60s\"; did you mean --%s?", k->name, name, near);
	return error_set(err, EINVAL, "%s has no flag \"--%.60s\"", k->name, name);
}

static int read_flags(struct dockerfile_instruction *i, char escape, size_t *at, struct error **err)
{
	for (;;) {
		size_t from = skip_blanks(i->text, *at);
		*at = from;
		if (strncmp(i->text + from, "--", 2) != 0)
			return 0;
		char *flag = take_flag(i->text, escape, at);
		strv_take(&i->flags, flag);
		if (streq(flag, "--")) {
			free(i->flags.items[--i->flags.count]);
			i->flags.items[i->flags.count] = NULL;
			*at = skip_blanks(i->text, *at);
			return 0;
		}
		int r = check_flag(i->kind, flag, err);
		if (r < 0) {
			*at = from;
			return r;
		}
	}
}

const char *dockerfile_flag(const struct dockerfile_instruction *i, const char *name)
{
	const char *found = NULL;
	size_t n = strlen(name);
	for (size_t k = 0; k < i->flags.count; k++) {
		const char *flag = i->flags.items[k] + 2;
		if (strncmp(flag, name, n) == 0 && (flag[n] == '=' || !flag[n]))
			found = flag[n] ? flag + n + 1 : flag + n;
	}
	return found;
}

/* ---- arguments ---- */

int instruction_json(const char *name, const char *text, struct strv *to, struct error **err)
{
	AUTO_JSON struct json_object *array = NULL;
	AUTO_ERROR struct error *why = NULL;
	if (*text != '[' || json_parse(text, strlen(text), "the list", &array, &why) < 0)
		return 0;
	for (size_t k = 0; k < json_object_array_length(array); k++) {
		struct json_object *o = json_object_array_get_idx(array, k);
		const char *word = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
		if (!word)
			return error_set(err, EINVAL, "%s: a word of the JSON array is no string; write \"%.40s\"",
			    name, o ? json_object_get_string(o) : "null");
		if (strlen(word) != (size_t)json_object_get_string_len(o))
			return error_set(err, EINVAL, "%s: a string has a NUL character", name);
		strv_add(to, word);
	}
	return 1;
}

/* Takes the exec form where the text is one. A text that only looks like JSON is a command line, as
 * BuildKit has it, except where nothing but JSON will do. */
static int read_json(struct dockerfile_instruction *i, struct error **err)
{
	int r = instruction_json(i->kind->name, i->rest, &i->json, err);
	if (r == 0 && i->kind->form == FORM_JSON)
		return error_set(err, EINVAL, "%s needs a JSON array of strings; write %s", i->kind->name,
		    i->kind->usage);
	i->is_json = r > 0;
	return MIN(r, 0);
}

static int check_count(const struct dockerfile_instruction *i, char escape, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	const struct dockerfile_kind *k = i->kind;
	if (!i->is_json)
		dockerfile_words(i->rest, escape, &words);
	size_t n = i->is_json ? i->json.count : words.count;
	if (n < (size_t)k->min_words || (k->max_words && n > (size_t)k->max_words))
		return error_set(err, EINVAL, "%s has %zu argument%s; write %s", k->name, n, n == 1 ? "" : "s",
		    k->usage);
	if (k->id == DOCKERFILE_FROM && n > 1 && (n != 3 || strcasecmp(words.items[1], "AS") != 0))
		return error_set(err, EINVAL, "FROM takes an image and a stage's name; write %s", k->usage);
	return 0;
}

/* ---- here-documents ---- */

/* "<<NAME", "<<-NAME", with a number in front or quotes around the name: adds it to the list. */
static int read_heredoc(struct dockerfile_instruction *i, const char *word, struct error **err)
{
	while (isdigit((unsigned char)*word))
		word++;
	if (!(word = startswith(word, "<<")) || strchr(word, '<'))
		return 0;
	int chomp = *word == '-';
	word += chomp;
	size_t n = strlen(word);
	int quoted = n >= 2 && (*word == '"' || *word == '\'') && word[n - 1] == *word;
	AUTOFREE char *name = quoted ? xstrndup(word + 1, n - 2) : xstrdup(word);
	if (!*name || strpbrk(name, "\"'$"))
		return 0;
	if (i->heredoc_count == DOCKERFILE_HEREDOCS_MAX)
		return error_set(err, EINVAL, "%s has more than %d here-documents", i->kind->name,
		    DOCKERFILE_HEREDOCS_MAX);
	i->heredocs = xgrow(i->heredocs, i->heredoc_count, sizeof *i->heredocs);
	i->heredocs[i->heredoc_count++] =
	    (struct dockerfile_heredoc){ .name = TAKE_PTR(name), .literal = quoted, .chomp = chomp };
	return 0;
}

static int read_heredocs(struct dockerfile_instruction *i, char escape, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	if (!i->kind->heredocs || i->is_json)
		return 0;
	dockerfile_words(i->rest, escape, &words);
	int r = 0;
	for (size_t k = 0; r == 0 && k < words.count; k++)
		r = read_heredoc(i, words.items[k], err);
	return r;
}

/* ---- the whole ---- */

static int find_kind(struct dockerfile_instruction *i, size_t *at, struct error **err)
{
	const char *near = NULL;
	size_t n = 0;
	while (i->text[n] && !is_blank(i->text[n]))
		n++;
	i->word = xstrndup(i->text, n);
	*at = n;
	if ((i->kind = dockerfile_kind_find(i->word, &near)))
		return 0;
	*at = 0;
	if (near)
		return error_set(err, EINVAL, "unknown instruction \"%.40s\"; did you mean %s?", i->word, near);
	return error_set(err, EINVAL, "unknown instruction \"%.40s\"", i->word);
}

/* The instruction behind ONBUILD, which is kept as a text. */
static int check_trigger(struct dockerfile_instruction *i, char escape, size_t *ret_at, struct error **err)
{
	if (i->kind->id != DOCKERFILE_ONBUILD)
		return 0;
	CLEANUP(instruction_done) struct dockerfile_instruction trigger = { .text = xstrdup(i->rest) };
	size_t at = 0, before = *ret_at;
	int r = instruction_parse(&trigger, escape, &at, err);
	if (r < 0) {
		*ret_at = before + at;
		return r;
	}
	if (!trigger.kind->onbuild)
		return error_set(err, EINVAL, "ONBUILD cannot have %s", trigger.kind->name);
	i->heredocs = TAKE_PTR(trigger.heredocs); /* their contents are behind this instruction */
	i->heredoc_count = trigger.heredoc_count;
	trigger.heredoc_count = 0;
	return 0;
}

int instruction_parse(struct dockerfile_instruction *i, char escape, size_t *ret_at, struct error **err)
{
	int r = find_kind(i, ret_at, err);
	if (r < 0 || (r = read_flags(i, escape, ret_at, err)) < 0)
		return r;
	i->rest = xstrdup(i->text + *ret_at);
	chop_blanks(i->rest);
	if (i->kind->form != FORM_TEXT && (r = read_json(i, err)) < 0)
		return r;
	if ((r = check_count(i, escape, err)) < 0 || (r = read_heredocs(i, escape, err)) < 0)
		return r;
	return check_trigger(i, escape, ret_at, err);
}
