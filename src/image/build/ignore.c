/* SPDX-License-Identifier: Apache-2.0
 * See ignore.h. A pattern becomes tokens, and a path is matched by following all its tokens at
 * once: the time is O(tokens * path), whatever a hostile pattern looks like. */
#include "image/build/ignore.h"

#include <errno.h>
#include <limits.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/strv.h"

enum token_kind {
	TOKEN_CHARACTER,
	TOKEN_ONE,   /* "?" */
	TOKEN_SET,   /* "[...]" */
	TOKEN_NAME,  /* "*": all but a slash */
	TOKEN_DEEP,  /* "**" at the end: all */
	TOKEN_ABOVE, /* "**" and a slash: nothing, or any directories */
};

struct token {
	enum token_kind kind;
	char character;
	const char *set; /* behind the "[" */
	size_t set_size; /* up to the "]" */
};

struct pattern {
	char *text;
	int takes_back; /* it began with "!" */
	struct token *tokens;
	size_t count;
};

struct ignore {
	struct pattern *patterns;
	size_t count;
	int takes_back; /* a pattern does */
};

static void pattern_done(struct pattern *p)
{
	free(p->text);
	free(p->tokens);
	*p = (struct pattern){ 0 };
}

void ignore_free(struct ignore *i)
{
	if (!i)
		return;
	for (size_t k = 0; k < i->count; k++)
		pattern_done(&i->patterns[k]);
	free(i->patterns);
	free(i);
}

/* ---- patterns ---- */

/* The length of a set up to its "]"; 0: it has no end. */
static size_t set_size(const char *set)
{
	size_t n = *set == '^' ? 1 : 0;
	size_t first = n;
	for (; set[n] && (set[n] != ']' || n == first); n++)
		if (set[n] == '\\' && !set[++n])
			return 0;
	return set[n] ? n : 0;
}

/* Reads one token at s; the bytes that it took, or -EINVAL. */
static int read_token(const char *s, struct token *to)
{
	*to = (struct token){ .kind = TOKEN_CHARACTER, .character = *s };
	if (s[0] == '*' && s[1] == '*') {
		to->kind = s[2] == '/' ? TOKEN_ABOVE : TOKEN_DEEP;
		return s[2] == '/' ? 3 : 2;
	}
	if (*s == '*' || *s == '?') {
		to->kind = *s == '*' ? TOKEN_NAME : TOKEN_ONE;
		return 1;
	}
	if (*s == '[') {
		to->kind = TOKEN_SET;
		to->set = s + 1;
		to->set_size = set_size(s + 1);
		return to->set_size ? (int)to->set_size + 2 : -EINVAL;
	}
	if (*s != '\\')
		return 1;
	to->character = s[1];
	return s[1] ? 2 : -EINVAL;
}

static int compile(struct pattern *p)
{
	const char *s = p->text;
	p->tokens = xcalloc(strlen(s) + 1, sizeof *p->tokens);
	while (*s) {
		int n = read_token(s, &p->tokens[p->count++]);
		if (n < 0)
			return n;
		s += n;
	}
	return 0;
}

static char set_character(const struct token *t, size_t *at)
{
	if (t->set[*at] == '\\' && *at + 1 < t->set_size)
		(*at)++;
	return t->set[(*at)++];
}

static int in_set(const struct token *t, char c)
{
	size_t at = *t->set == '^' ? 1 : 0;
	int outside = at == 1, found = 0;
	while (at < t->set_size) {
		unsigned char low = (unsigned char)set_character(t, &at), high = low;
		if (at + 1 < t->set_size && t->set[at] == '-') {
			at++;
			high = (unsigned char)set_character(t, &at);
		}
		found |= (unsigned char)c >= low && (unsigned char)c <= high;
	}
	return found != outside;
}

static int token_takes(const struct token *t, char c)
{
	switch (t->kind) {
	case TOKEN_CHARACTER:
		return c == t->character;
	case TOKEN_SET:
		return c != '/' && in_set(t, c);
	default:
		return c != '/';
	}
}

/* From the places of the path that the tokens before have reached to those that this one
 * reaches. */
static void step(const struct token *t, const char *path, size_t n, char *reached)
{
	char before = 0; /* of the place to the left */
	int open = 0;    /* a place to the left was reached, in this name or (TOKEN_DEEP) anywhere */
	for (size_t at = 0; at <= n; at++) {
		char here = reached[at];
		switch (t->kind) {
		case TOKEN_NAME:
			open = here || (open && at && path[at - 1] != '/');
			break;
		case TOKEN_DEEP:
			open |= here;
			break;
		default:
			break;
		}
		if (t->kind == TOKEN_ABOVE) {
			reached[at] = (char)(here || (open && at && path[at - 1] == '/'));
			open |= here;
		} else if (t->kind == TOKEN_NAME || t->kind == TOKEN_DEEP) {
			reached[at] = (char)open;
		} else {
			reached[at] = (char)(before && token_takes(t, path[at - 1]));
		}
		before = here;
	}
}

static int fits(const struct pattern *p, const char *path, size_t n)
{
	char small[PATH_MAX + 1];
	if (n >= sizeof small)
		return 0;
	memset(small, 0, n + 1);
	small[0] = 1;
	for (size_t i = 0; i < p->count; i++)
		step(&p->tokens[i], path, n, small);
	return small[n];
}

int ignore_matches(const char *pattern, const char *path)
{
	CLEANUP(pattern_done) struct pattern p = { .text = xstrdup(pattern) };
	int r = strlen(pattern) > IGNORE_PATTERN_MAX ? -EINVAL : compile(&p);
	return r < 0 ? r : fits(&p, path, strlen(path));
}

/* ---- the file ---- */

static char *trim(char *line)
{
	static const char blanks[] = " \t\r\v\f";
	line += strspn(line, blanks);
	size_t n = strlen(line);
	while (n && strchr(blanks, line[n - 1]))
		line[--n] = '\0';
	return line;
}

/* A line without "." and "..", and without a slash at either end (Go's filepath.Clean); owned.
 * NULL: it names the context itself. */
static char *clean(const char *line)
{
	AUTOFREE char *absolute = xasprintf("/%s", line), *whole = path_normalize(absolute);
	return whole && whole[1] ? xstrdup(whole + 1) : NULL;
}

static int add_line(struct ignore *i, char *line, unsigned number, const char *name, struct error **err)
{
	struct pattern p = { 0 };
	char *text = *line == '#' ? NULL : trim(line);
	if (!text || !*text)
		return 0;
	p.takes_back = *text == '!';
	if (p.takes_back && !*(text = trim(text + 1)))
		return error_set(err, EINVAL, "%s:%u: \"!\" has no pattern behind it", name, number);
	if (!(p.text = clean(text)))
		return 0;
	if (i->count == IGNORE_PATTERNS_MAX || strlen(p.text) > IGNORE_PATTERN_MAX) {
		pattern_done(&p);
		return error_set(err, E2BIG, "%s:%u: more than %d patterns, or one of more than %d bytes", name, number,
		    IGNORE_PATTERNS_MAX, IGNORE_PATTERN_MAX);
	}
	if (compile(&p) < 0) {
		pattern_done(&p);
		return error_set(err, EINVAL, "%s:%u: \"%.80s\" is no pattern", name, number, text);
	}
	i->takes_back |= p.takes_back;
	i->patterns = xgrow(i->patterns, i->count, sizeof *i->patterns);
	i->patterns[i->count++] = p;
	return 0;
}

int ignore_parse(const char *data, size_t size, const char *name, struct ignore **ret, struct error **err)
{
	static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark */
	AUTO_IGNORE struct ignore *i = xnew(struct ignore);
	if (size > IGNORE_MAX)
		return error_set(err, E2BIG, "%s: larger than %d KiB", name, IGNORE_MAX >> 10);
	if (memchr(data, '\0', size))
		return error_set(err, EINVAL, "%s: has a NUL character; is it a text?", name);
	size_t at = size >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
	int r = 0;
	for (unsigned number = 1; r == 0 && at < size; number++) {
		const char *end = memchr(data + at, '\n', size - at);
		size_t n = end ? (size_t)(end - data) - at : size - at;
		AUTOFREE char *line = xstrndup(data + at, n);
		r = add_line(i, line, number, name, err);
		at += n + 1;
	}
	if (r == 0)
		*ret = TAKE_PTR(i);
	return r;
}

/* Whether a pattern fits a path or one of its parents. */
static int covers(const struct pattern *p, const char *path)
{
	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/'))
		if (fits(p, path, (size_t)(end - path)))
			return 1;
	return fits(p, path, strlen(path));
}

int ignore_excludes(const struct ignore *i, const char *path)
{
	int excluded = 0;
	for (size_t k = 0; i && k < i->count; k++)
		if (i->patterns[k].takes_back == excluded && covers(&i->patterns[k], path))
			excluded = !excluded;
	return excluded;
}

/* A path below `directory` can fit if the pattern's tokens go on when the directory and a slash are
 * used up. */
static int may_fit_below(const struct pattern *p, const char *directory)
{
	AUTOFREE char *path = xasprintf("%s/", directory);
	size_t n = strlen(path);
	if (n > PATH_MAX)
		return 1;
	char reached[PATH_MAX + 1] = { 1 };
	for (size_t i = 0; i <= p->count; i++) {
		if (reached[n])
			return 1;
		if (i < p->count && p->tokens[i].kind == TOKEN_DEEP && memchr(reached, 1, n + 1))
			return 1;
		if (i < p->count)
			step(&p->tokens[i], path, n, reached);
	}
	return 0;
}

int ignore_may_include_below(const struct ignore *i, const char *directory)
{
	for (size_t k = 0; i && k < i->count && i->takes_back; k++)
		if (i->patterns[k].takes_back && may_fit_below(&i->patterns[k], directory))
			return 1;
	return 0;
}
