/* SPDX-License-Identifier: Apache-2.0
 * See expand.h. The text is read once, from the left. A value that is put in is not read again, so
 * expansion ends.
 *
 * ${NAME}, ${NAME-w} ${NAME:-w}   w if NAME is not set (with ":": or empty)
 * ${NAME+w} ${NAME:+w}            w if NAME is set (with ":": and not empty)
 * ${NAME?w} ${NAME:?w}            the error w if NAME is not set (with ":": or empty)
 * ${NAME#p} ${NAME##p}            without the shortest or longest prefix that fits p
 * ${NAME%p} ${NAME%%p}            without the shortest or longest suffix that fits p
 * ${NAME/p/w} ${NAME//p/w}        with the first, or each, longest piece that fits p replaced */
#include "image/build/expand.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"

enum { DEPTH_MAX = 16, WORK_MAX = 1 << 26, UNSET_MAX = 64 };

struct expansion {
	const struct expand_scope *scope;
	const char *at;
	int depth;
	struct buffer out;
	struct strv *words; /* the words that blanks divide; NULL: blanks stay */
	int in_word;
	struct error **err;
};

/* ---- patterns ---- */

/* Finds how long a piece at the beginning of text fits: the shortest and the longest length. 0:
 * none fits. All places of the pattern that a length may have reached are followed at once, so
 * that the time is O(pattern * text). */
static int span(const char *pattern, char escape, const char *text, size_t *ret_shortest, size_t *ret_longest)
{
	size_t n = strlen(pattern), found = 0;
	AUTOFREE char *now = xcalloc(n + 1, 1), *next = xcalloc(n + 1, 1);
	now[0] = 1;
	for (size_t at = 0;; at++) {
		int alive = 0;
		memset(next, 0, n + 1);
		for (size_t i = 0; i < n; i++) {
			int quoted = pattern[i] == escape && i + 1 < n;
			if (!now[i])
				continue;
			if (pattern[i] == '*') {
				now[i + 1] = next[i] = 1;
				alive = 1;
			} else if ((!quoted && pattern[i] == '?') || pattern[i + (size_t)quoted] == text[at]) {
				next[i + 1 + (size_t)quoted] = 1;
				alive = 1;
			}
		}
		if (now[n]) {
			*ret_shortest = found++ ? *ret_shortest : at;
			*ret_longest = at;
		}
		if (!text[at] || !alive)
			return found > 0;
		char *turn = now;
		now = next;
		next = turn;
	}
}

static int fits(const char *pattern, char escape, const char *text)
{
	size_t shortest, longest;
	return span(pattern, escape, text, &shortest, &longest) && longest == strlen(text);
}

/* Pieces that begin at each place of a value are tried. */
static int too_much_work(const char *pattern, size_t size)
{
	return size && (strlen(pattern) + 1) > WORK_MAX / size / size;
}

static char *cut_prefix(const char *value, const char *pattern, char escape, int want_longest)
{
	size_t shortest, longest;
	int found = span(pattern, escape, value, &shortest, &longest);
	return xstrdup(value + (found ? (want_longest ? longest : shortest) : 0));
}

static char *cut_suffix(const char *value, const char *pattern, char escape, int want_longest)
{
	size_t n = strlen(value);
	for (size_t i = 0; i <= n; i++) {
		size_t from = want_longest ? i : n - i;
		if (fits(pattern, escape, value + from))
			return xstrndup(value, from);
	}
	return xstrdup(value);
}

/* The first piece, or each, that fits and is not empty is replaced. */
static int replace(struct expansion *e, const char *value, const char *pattern, const char *by, int all)
{
	int r = 0, left = 1;
	while (r == 0 && *value) {
		size_t shortest, n = 0;
		if (left && !span(pattern, e->scope->escape, value, &shortest, &n))
			n = 0;
		r = n ? buffer_append_string(&e->out, by) : buffer_append(&e->out, value, 1);
		value += n ? n : 1;
		left = all || (left && !n);
	}
	return r;
}

/* ---- values ---- */

/* A variable of a megabyte that many words have would take all memory. */
static int spend(struct expansion *e, size_t size)
{
	size_t *left = e->scope->left;
	if (left && size > *left)
		return error_set(e->err, E2BIG, "the words become larger than %d MiB together", EXPAND_ALL_MAX >> 20);
	if (left)
		*left -= size;
	return 0;
}

static int put(struct expansion *e, const char *text, size_t size)
{
	int r = spend(e, size);
	if (r < 0)
		return r;
	e->in_word = 1;
	if (buffer_append(&e->out, text, size) < 0)
		return error_set(e->err, E2BIG, "a word is larger than %d bytes", EXPAND_MAX);
	return 0;
}

static void end_word(struct expansion *e)
{
	if (e->in_word)
		strv_take(e->words, buffer_take_string(&e->out));
	e->in_word = 0;
}

/* A value outside of quotes: its blanks divide words. */
static int put_value(struct expansion *e, const char *value, int quoted)
{
	if (!e->words || quoted)
		return put(e, value, strlen(value));
	int r = 0;
	for (; r == 0 && *value; value++) {
		if (isspace((unsigned char)*value))
			end_word(e);
		else
			r = put(e, value, 1);
	}
	return r;
}

static const char *look_up(struct expansion *e, const char *name)
{
	const char *value = e->scope->get(e->scope->data, name);
	if (!value && e->scope->unset && e->scope->unset->count < UNSET_MAX && !strv_contains(e->scope->unset, name))
		strv_add(e->scope->unset, name);
	return value;
}

/* A positional or special parameter has one character; others are names. Owned; NULL: none here. */
static char *take_name(struct expansion *e)
{
	size_t n = 0;
	if (*e->at && strchr("@*#?-$!0", *e->at))
		n = 1;
	else if (isdigit((unsigned char)*e->at))
		while (isdigit((unsigned char)e->at[n]))
			n++;
	else
		while (isalnum((unsigned char)e->at[n]) || e->at[n] == '_')
			n++;
	if (!n)
		return NULL;
	char *name = xstrndup(e->at, n);
	e->at += n;
	return name;
}

/* The text up to the first of `ends` outside of quotes and braces, as it stands; owned. NULL: there
 * is no end. e->at is at the end then. */
static char *take_raw(struct expansion *e, const char *ends)
{
	const char *from = e->at;
	char quote = '\0';
	int depth = 0, plain = e->scope->plain_quotes;
	for (; *e->at; e->at++) {
		char c = *e->at;
		if (c == e->scope->escape && quote != '\'' && e->at[1])
			e->at++;
		else if (quote)
			quote = c == quote ? '\0' : quote;
		else if (!plain && (c == '"' || c == '\''))
			quote = c;
		else if (!depth && strchr(ends, c))
			return xstrndup(from, (size_t)(e->at - from));
		else if (c == '$' && e->at[1] == '{')
			depth++;
		else if (c == '}' && depth)
			depth--;
	}
	return NULL;
}

static int expand_inner(struct expansion *e, const char *raw, int is_pattern, char **ret);

static int fail_modifier(struct expansion *e, const char *name, const char *problem)
{
	return error_set(e->err, EINVAL, "${%.80s...}: %s", name, problem);
}

/* ${NAME#p} and its like; e->at is at the first letter of the modifier. */
static int put_cut(struct expansion *e, const char *name, const char *value)
{
	char kind = *e->at++;
	int longest = *e->at == kind;
	e->at += longest;
	AUTOFREE char *raw = take_raw(e, "}"), *pattern = NULL;
	if (!raw)
		return fail_modifier(e, name, "the \"}\" is missing");
	int r = expand_inner(e, raw, 1, &pattern);
	if (r < 0 || !value)
		return r;
	if (too_much_work(pattern, strlen(value)))
		return fail_modifier(e, name, "the value is too long for a pattern");
	AUTOFREE char *cut = kind == '#' ? cut_prefix(value, pattern, e->scope->escape, longest) :
					   cut_suffix(value, pattern, e->scope->escape, longest);
	return put_value(e, cut, 0);
}

static int put_replaced(struct expansion *e, const char *name, const char *value)
{
	int all = *++e->at == '/';
	e->at += all;
	AUTOFREE char *raw = take_raw(e, "/}"), *pattern = NULL, *by = NULL;
	int r = raw ? expand_inner(e, raw, 1, &pattern) : fail_modifier(e, name, "the \"}\" is missing");
	if (r < 0)
		return r;
	AUTOFREE char *raw_by = *e->at == '/' ? (e->at++, take_raw(e, "}")) : xstrdup("");
	r = raw_by ? expand_inner(e, raw_by, 0, &by) : fail_modifier(e, name, "the \"}\" is missing");
	if (r < 0 || !value)
		return r;
	if (too_much_work(pattern, strlen(value) + 1))
		return fail_modifier(e, name, "the value is too long for a pattern");
	e->in_word = 1;
	size_t before = e->out.size;
	if (replace(e, value, pattern, by, all) < 0)
		return error_set(e->err, E2BIG, "a word is larger than %d bytes", EXPAND_MAX);
	return spend(e, e->out.size - before);
}

/* ${NAME-w}, ${NAME+w}, ${NAME?w}, each also with ":". */
static int put_chosen(struct expansion *e, const char *name, const char *value)
{
	int colon = *e->at == ':';
	e->at += colon;
	char kind = *e->at++;
	AUTOFREE char *raw = kind ? take_raw(e, "}") : NULL, *word = NULL;
	if (!raw || !strchr("-+?", kind))
		return fail_modifier(e, name, raw ? "the modifier is unknown" : "the \"}\" is missing");
	int set = value && (!colon || *value);
	int r = expand_inner(e, raw, 0, &word);
	if (r < 0)
		return r;
	if (kind == '?' && !set)
		return error_set(e->err, EINVAL, "%.80s: %s", name, *word ? word : "not set");
	if (kind == '+')
		return set ? put_value(e, word, 0) : 0;
	return put_value(e, set ? value : word, 0);
}

/* Whether the modifier says itself what holds without a value. */
static int is_choice(const char *at)
{
	return *at && strchr(":-+?", *at);
}

static int put_braced(struct expansion *e)
{
	AUTOFREE char *name = take_name(e);
	if (!name)
		return error_set(e->err, EINVAL, "\"${\" has no name of a variable behind it");
	const char *value = is_choice(e->at) ? e->scope->get(e->scope->data, name) : look_up(e, name);
	AUTOFREE char *copy = xstrdup(value);
	int r = 0;
	if (*e->at == '}')
		r = copy ? put_value(e, copy, 0) : 0;
	else if (*e->at == '#' || *e->at == '%')
		r = put_cut(e, name, copy);
	else if (*e->at == '/')
		r = put_replaced(e, name, copy);
	else
		r = is_choice(e->at) ?
			put_chosen(e, name, copy) :
			fail_modifier(e, name, *e->at ? "the modifier is unknown" : "the \"}\" is missing");
	if (r == 0)
		e->at++; /* the brace */
	return r;
}

static int put_variable(struct expansion *e, int quoted)
{
	if (*++e->at == '{') {
		e->at++;
		struct strv *words = e->words;
		if (quoted)
			e->words = NULL;
		int r = put_braced(e);
		e->words = words;
		return r;
	}
	AUTOFREE char *name = take_name(e);
	if (!name)
		return put(e, "$", 1);
	const char *value = look_up(e, name);
	return value ? put_value(e, value, quoted) : 0;
}

/* ---- quotes ---- */

static int fail_quote(struct expansion *e, char quote)
{
	return error_set(e->err, EINVAL, "a %s quote has no end", quote == '"' ? "double" : "single");
}

static int put_single(struct expansion *e)
{
	const char *from = ++e->at, *end = strchr(from, '\'');
	if (!end)
		return fail_quote(e, '\'');
	e->at = end + 1;
	return put(e, from, (size_t)(end - from));
}

static int put_escaped(struct expansion *e, int in_quotes)
{
	char c = e->at[1];
	int special = !in_quotes || c == '"' || c == '$' || c == e->scope->escape;
	int r = !special || e->scope->keep_escapes || !c ? put(e, e->at, 1) : 0;
	if (r == 0 && c)
		r = put(e, &c, 1);
	e->at += c ? 2 : 1;
	return r;
}

static int put_double(struct expansion *e)
{
	int r = put(e, "", 0);
	e->at++;
	while (r == 0 && *e->at != '"') {
		if (!*e->at)
			return fail_quote(e, '"');
		if (*e->at == e->scope->escape)
			r = put_escaped(e, 1);
		else if (*e->at == '$')
			r = put_variable(e, 1);
		else
			r = put(e, e->at++, 1);
	}
	e->at++;
	return r;
}

static int run(struct expansion *e)
{
	int r = 0, plain = e->scope->plain_quotes;
	while (r == 0 && *e->at) {
		if (!plain && *e->at == '\'')
			r = put_single(e);
		else if (!plain && *e->at == '"')
			r = put_double(e);
		else if (*e->at == '$')
			r = put_variable(e, 0);
		else if (*e->at == e->scope->escape)
			r = put_escaped(e, 0);
		else if (e->words && isspace((unsigned char)*e->at)) {
			end_word(e);
			e->at++;
		} else
			r = put(e, e->at++, 1);
	}
	return r;
}

/* Expands the word of a modifier. A pattern keeps its escapes, which make "*" plain. */
static int expand_inner(struct expansion *e, const char *raw, int is_pattern, char **ret)
{
	struct expand_scope scope = *e->scope;
	struct expansion inner = { .scope = &scope, .at = raw, .depth = e->depth + 1, .err = e->err };
	if (inner.depth > DEPTH_MAX)
		return error_set(e->err, EINVAL, "variables are nested more than %d deep", DEPTH_MAX);
	scope.keep_escapes = is_pattern;
	buffer_init(&inner.out, EXPAND_MAX);
	int r = run(&inner);
	if (r == 0)
		*ret = buffer_take_string(&inner.out);
	buffer_done(&inner.out);
	return r;
}

int expand_word(const struct expand_scope *s, const char *word, char **ret, struct error **err)
{
	struct expansion e = { .scope = s, .at = word, .err = err };
	buffer_init(&e.out, EXPAND_MAX);
	int r = run(&e);
	if (r == 0)
		*ret = buffer_take_string(&e.out);
	buffer_done(&e.out);
	return r;
}

int expand_words(const struct expand_scope *s, const char *text, struct strv *to, struct error **err)
{
	struct expansion e = { .scope = s, .at = text, .words = to, .err = err };
	buffer_init(&e.out, EXPAND_MAX);
	int r = run(&e);
	if (r == 0)
		end_word(&e);
	buffer_done(&e.out);
	return r;
}
