/* SPDX-License-Identifier: Apache-2.0
 * See ignore.h. A pattern is compiled once: its first characters up to a wildcard are a text, the
 * rest becomes tokens. Most paths do not begin with the text, which a comparison finds. The others
 * are matched by following all tokens at once: the time is O(tokens * path), whatever a hostile
 * pattern looks like. One pass answers for the path and all its parents. */
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

struct ignore_pattern {
	char *text;
	int takes_back; /* it began with "!" */
	char *prefix;   /* each path begins with it; without escapes */
	size_t prefix_size;
	struct token *tokens; /* behind the prefix; their sets are in the text */
	size_t count;
};

struct ignore {
	struct ignore_pattern *patterns;
	size_t count;
	int takes_back; /* a pattern does */
};

static void pattern_done(struct ignore_pattern *p)
{
	free(p->text);
	free(p->prefix);
	free(p->tokens);
	*p = (struct ignore_pattern){ 0 };
}

void ignore_pattern_free(struct ignore_pattern *p)
{
	if (p)
		pattern_done(p);
	free(p);
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

static int compile(struct ignore_pattern *p)
{
	const char *s = p->text;
	p->prefix = xmalloc(strlen(s) + 1);
	while (*s) {
		struct token t;
		int n = read_token(s, &t);
		if (n < 0)
			return n;
		s += n;
		if (t.kind == TOKEN_CHARACTER && !p->count) {
			p->prefix[p->prefix_size++] = t.character;
			continue;
		}
		p->tokens = xgrow(p->tokens, p->count, sizeof *p->tokens);
		p->tokens[p->count++] = t;
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

/* From the places of the path that the tokens before have reached to those that this one reaches,
 * from `first` on. Returns whether there are any. */
static int step(const struct token *t, const char *path, size_t first, size_t n, char *reached)
{
	char before = 0; /* of the place to the left */
	int open = 0;    /* a place to the left was reached, in this name or (TOKEN_DEEP) anywhere */
	char any = 0;
	for (size_t at = first; at <= n; at++) {
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
		any |= reached[at];
		before = here;
	}
	return any;
}

/* Follows all tokens. The pattern fits the path if reached[n] is set, a parent if the place of the
 * slash behind it is. Returns whether any place was reached. */
static int follow(const struct ignore_pattern *p, const char *path, size_t n, char reached[PATH_MAX + 1])
{
	size_t first = p->prefix_size;
	if (n < first || n > PATH_MAX || memcmp(path, p->prefix, first) != 0)
		return 0;
	memset(reached + first, 0, n - first + 1);
	reached[first] = 1;
	for (size_t i = 0; i < p->count; i++)
		if (!step(&p->tokens[i], path, first, n, reached))
			return 0;
	return 1;
}

struct ignore_pattern *ignore_compile(const char *text)
{
	struct ignore_pattern *p = xnew(struct ignore_pattern);
	p->text = xstrdup(text);
	if (strlen(text) <= IGNORE_PATTERN_MAX && compile(p) == 0)
		return p;
	ignore_pattern_free(p);
	return NULL;
}

int ignore_fits(const struct ignore_pattern *p, const char *path)
{
	char reached[PATH_MAX + 1];
	size_t n = strlen(path);
	return follow(p, path, n, reached) && reached[n];
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
	struct ignore_pattern p = { 0 };
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
static int covers(const struct ignore_pattern *p, const char *path, size_t n)
{
	char reached[PATH_MAX + 1];
	if (!p->count) /* the common case: a name */
		return n >= p->prefix_size && memcmp(path, p->prefix, p->prefix_size) == 0 &&
		       (!path[p->prefix_size] || path[p->prefix_size] == '/');
	if (!follow(p, path, n, reached))
		return 0;
	for (size_t at = p->prefix_size; at < n; at++)
		if (reached[at] && path[at] == '/')
			return 1;
	return reached[n];
}

int ignore_excludes(const struct ignore *i, const char *path)
{
	int excluded = 0;
	size_t n = strlen(path);
	for (size_t k = 0; i && k < i->count; k++)
		if (i->patterns[k].takes_back == excluded && covers(&i->patterns[k], path, n))
			excluded = !excluded;
	return excluded;
}

/* A path below a directory ("a/b/") can fit if the pattern goes on when the directory is used
 * up. */
static int may_fit_below(const struct ignore_pattern *p, const char *directory, size_t n)
{
	char reached[PATH_MAX + 1];
	size_t first = p->prefix_size;
	if (n > PATH_MAX)
		return 1;
	if (memcmp(directory, p->prefix, MIN(n, first)) != 0)
		return 0;
	if (n <= first)
		return 1;
	memset(reached + first, 0, n - first + 1);
	reached[first] = 1;
	for (size_t i = 0; i < p->count; i++) {
		if (p->tokens[i].kind == TOKEN_DEEP)
			return 1;
		if (!step(&p->tokens[i], directory, first, n, reached))
			return 0;
		if (reached[n])
			return 1;
	}
	return 0;
}

int ignore_may_include_below(const struct ignore *i, const char *directory)
{
	AUTOFREE char *path = i && i->takes_back ? xasprintf("%s/", directory) : NULL;
	size_t n = path ? strlen(path) : 0;
	for (size_t k = 0; path && k < i->count; k++)
		if (i->patterns[k].takes_back && may_fit_below(&i->patterns[k], path, n))
			return 1;
	return 0;
}
