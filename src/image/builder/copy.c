/* SPDX-License-Identifier: Apache-2.0
 * See copy.h. Of a directory the contents are copied, of anything else the thing itself. A symlink
 * is copied as one, whatever it leads to. */
#include "image/builder/copy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/path.h"
#include "image/build/ignore.h"
#include "image/builder/chmod.h"

struct adding {
	struct copy_plan *plan;
	const struct copy_wish *wish;
	const struct contents *source;
	struct ignore_pattern **excludes; /* those of the wish, compiled; NULL: it is no pattern */
	const char *pivot;                /* with `parents`: what the paths lose in front */
	int into;                         /* a file gets its own name below `to` */
	int (*is_archive)(void *data, const struct content *file, struct error **err);
	void *data;
	struct error **err;
};

void copy_wish_done(struct copy_wish *w)
{
	strv_done(&w->patterns);
	strv_done(&w->excludes);
	free(w->to);
	free(w->mode_words);
}

void copy_plan_done(struct copy_plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].to);
	free(p->items);
	*p = (struct copy_plan){ 0 };
}

/* Takes `to`. */
static void add_item(struct copy_plan *p, const struct content *from, char *to, int unpack)
{
	if ((p->count & (p->count - 1)) == 0) /* room for twice as many */
		p->items = xrealloc(p->items, p->count ? 2 * p->count : 1, sizeof *p->items);
	p->items[p->count] = (struct copy_item){ from, to, p->count, unpack };
	p->count++;
}

char *copy_pattern_base(const char *pattern, const char **ret_rest)
{
	size_t n = strcspn(pattern, "*?[\\");
	if (!pattern[n]) {
		*ret_rest = pattern + n;
		return path_normalize(pattern);
	}
	while (n > 1 && pattern[n - 1] != '/')
		n--;
	*ret_rest = pattern + n;
	AUTOFREE char *base = xstrndup(pattern, n);
	return path_normalize(base);
}

/* The path behind a directory's; "" is the directory itself. NULL: it is not in there. */
static const char *behind(const char *path, const char *directory)
{
	size_t n = streq(directory, "/") ? 0 : strlen(directory);
	if (strncmp(path, directory, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path[n] == '/' ? path + n + 1 : path + n;
}

/* A pattern of --exclude counts from the source's root or from the directory that is copied. */
static int is_excluded(const struct adding *a, const char *path, const char *below)
{
	for (size_t i = 0; i < a->wish->excludes.count; i++) {
		const struct ignore_pattern *p = a->excludes[i];
		if (p && (ignore_fits(p, path + 1) || (below && *below && ignore_fits(p, below))))
			return 1;
	}
	return 0;
}

/* Whether a parent below `directory`, or the path itself, is excluded. */
static int is_hidden(const struct adding *a, const char *path, const char *directory)
{
	AUTOFREE char *part = a->wish->excludes.count ? xstrdup(path) : NULL;
	const char *below;
	while (part && (below = behind(part, directory)) && *below) {
		if (is_excluded(a, part, below))
			return 1;
		*strrchr(part, '/') = '\0';
	}
	return 0;
}

/* ---- names ---- */

/* The place of a path under `to`, with the parents that it has behind the pivot. */
static char *place_with_parents(const struct adding *a, const char *path)
{
	const char *rest = behind(path, a->pivot);
	return path_join(a->wish->to, rest ? rest : path + 1);
}

static void add_parents(const struct adding *a, const char *path)
{
	AUTOFREE char *part = path_parent(path);
	const char *rest;
	while ((rest = behind(part, a->pivot)) && *rest) {
		struct content **at = contents_find(a->source, part);
		if (at)
			add_item(a->plan, *at, place_with_parents(a, part), 0);
		AUTOFREE char *next = path_parent(part);
		free(part);
		part = TAKE_PTR(next);
	}
}

/* ---- matches ---- */

static void add_directory(const struct adding *a, const char *directory)
{
	for (size_t i = 0; i < a->source->count; i++) {
		const struct content *c = a->source->items[i];
		const char *below = behind(c->path, directory);
		if (!below || !*below || is_hidden(a, c->path, directory))
			continue;
		add_item(a->plan, c, a->wish->parents ? place_with_parents(a, c->path) : path_join(a->wish->to, below),
		    0);
	}
}

static int add_file(const struct adding *a, const struct content *c)
{
	int unpack = a->is_archive && c->type == TAR_FILE ? a->is_archive(a->data, c, a->err) : 0;
	if (unpack < 0)
		return unpack;
	if (a->wish->parents)
		add_item(a->plan, c, place_with_parents(a, c->path), unpack);
	else if (a->into && !unpack)
		add_item(a->plan, c, path_join(a->wish->to, path_base(c->path)), 0);
	else
		add_item(a->plan, c, xstrdup(a->wish->to), unpack);
	return 0;
}

/* c NULL: the root of the source. */
static int add_match(const struct adding *a, const struct content *c)
{
	const char *path = c ? c->path : "/";
	if (c && is_excluded(a, path, path_base(path)))
		return 0;
	if (a->wish->parents && c)
		add_parents(a, path);
	if (c && c->type != TAR_DIRECTORY)
		return add_file(a, c);
	if (a->wish->parents && c)
		add_item(a->plan, c, place_with_parents(a, path), 0);
	add_directory(a, path);
	return 0;
}

static int add_path(const struct adding *a, const char *path, const char *pattern)
{
	struct content **at = streq(path, "/") ? NULL : contents_find(a->source, path);
	if (!at && !streq(path, "/"))
		return error_set(a->err, ENOENT, "%s \"%s\": no such file or directory", a->wish->word, pattern + 1);
	int r = add_match(a, at ? *at : NULL);
	return r < 0 ? r : 1;
}

static int is_match(const struct content *c, const char *base, const struct ignore_pattern *p)
{
	const char *below = p ? behind(c->path, base) : NULL;
	return below && *below && ignore_fits(p, below);
}

/* One file may become the destination itself: "COPY *.jar /app.jar". */
static int check_matches(const struct adding *a, const char *base, const char *rest, const struct ignore_pattern *p)
{
	int count = 0, files = 0;
	for (size_t i = 0; !a->into && !a->wish->parents && i < a->source->count; i++) {
		const struct content *c = a->source->items[i];
		int is_one = is_match(c, base, p) && !is_excluded(a, c->path, path_base(c->path));
		count += is_one;
		files += is_one && c->type != TAR_DIRECTORY;
	}
	return files && count > 1 ?
		   error_set(a->err, EINVAL, "%s: several files fit \"%s\", so that \"%s\" is a directory; write %s/",
		       a->wish->word, rest, a->wish->to, a->wish->to) :
		   0;
}

static int add_matches(const struct adding *a, const char *base, const char *rest)
{
	AUTO_IGNORE_PATTERN struct ignore_pattern *p = ignore_compile(rest);
	int count = 0, r = check_matches(a, base, rest, p);
	for (size_t i = 0; r >= 0 && i < a->source->count; i++) {
		const struct content *c = a->source->items[i];
		if (!is_match(c, base, p))
			continue;
		r = add_match(a, c);
		count++;
	}
	return r < 0 ? r : count;
}

/* Go's filepath.Match has no "**": without --parents it is "*". Owned. */
static char *plain_stars(const char *pattern)
{
	char *copy = xstrdup(pattern), *to = copy;
	for (const char *at = pattern; *at; at++) {
		if (*at == '\\' && at[1])
			*to++ = *at++;
		else if (*at == '*' && at[1] == '*')
			continue;
		*to++ = *at;
	}
	*to = '\0';
	return copy;
}

/* The directory in front of "/./"; owned. */
static char *pivot_of(const char *pattern)
{
	const char *at = strstr(pattern, "/./");
	return at && at > pattern ? xstrndup(pattern, (size_t)(at - pattern)) : xstrdup("/");
}

static struct ignore_pattern **compile_excludes(const struct copy_wish *w)
{
	struct ignore_pattern **all = xcalloc(w->excludes.count + 1, sizeof(void *));
	for (size_t i = 0; i < w->excludes.count; i++)
		all[i] = ignore_compile(w->excludes.items[i]);
	return all;
}

static void free_excludes(struct ignore_pattern **all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ignore_pattern_free(all[i]);
	free(all);
}

int copy_plan_add(struct copy_plan *p, const struct copy_wish *w, const char *pattern, const char *base,
    const struct contents *source, int (*is_archive)(void *data, const struct content *file, struct error **err),
    void *data, struct error **err)
{
	const char *rest = NULL;
	AUTOFREE char *pivot = pivot_of(pattern);
	free(copy_pattern_base(pattern, &rest));
	const struct adding a = {
		.plan = p,
		.wish = w,
		.source = source,
		.excludes = compile_excludes(w),
		.pivot = pivot,
		.into = w->to_is_directory || endswith(w->to, "/") || w->patterns.count > 1,
		.is_archive = is_archive,
		.data = data,
		.err = err,
	};
	AUTOFREE char *matched = w->parents ? xstrdup(rest) : plain_stars(rest);
	int r = *rest ? add_matches(&a, base, matched) : add_path(&a, base, pattern);
	free_excludes(a.excludes, w->excludes.count);
	return r;
}

/* ---- the end ---- */

static int compare_items(const void *a, const void *b)
{
	const struct copy_item *x = a, *y = b;
	int r = contents_compare_paths(x->to, y->to);
	return r ? r : (x->number > y->number) - (x->number < y->number);
}

/* A file of such a name would delete another one, as layers have it. */
static int check_name(const struct copy_wish *w, const char *to, struct error **err)
{
	if (!startswith(path_base(to), ".wh.") && !strstr(to, "/.wh."))
		return 0;
	return error_set(err, EINVAL, "%s: \"%s\": no file of an image can have a name that begins with .wh.", w->word,
	    to);
}

/* Sorted, what lies below an item comes right behind it. */
static int check_places(const struct copy_plan *p, const struct copy_wish *w, struct error **err)
{
	for (size_t i = 1; i < p->count; i++) {
		const struct copy_item *above = &p->items[i - 1];
		if (!above->unpack && above->from->type != TAR_DIRECTORY && path_is_below(p->items[i].to, above->to))
			return error_set(err, ENOTDIR, "%s: \"%s\" would be a file and a directory", w->word,
			    above->to);
	}
	return 0;
}

int copy_plan_finish(struct copy_plan *p, const struct copy_wish *w, struct error **err)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->count; i++) {
		AUTOFREE char *raw = p->items[i].to;
		p->items[i].to = path_normalize(raw);
		int r = check_name(w, p->items[i].to, err);
		if (r < 0)
			return r;
	}
	if (p->count)
		qsort(p->items, p->count, sizeof *p->items, compare_items);
	for (size_t i = 0; i < p->count; i++) {
		int again = i + 1 < p->count && !p->items[i].unpack && streq(p->items[i].to, p->items[i + 1].to);
		if (again || (streq(p->items[i].to, "/") && !p->items[i].unpack))
			free(p->items[i].to);
		else
			p->items[kept++] = p->items[i];
	}
	p->count = kept;
	return check_places(p, w, err);
}

void copy_owner(const struct copy_wish *w, const struct content *from, uint32_t *ret_uid, uint32_t *ret_gid)
{
	*ret_uid = w->has_owner ? w->uid : w->keeps_owners && from ? from->uid : 0;
	*ret_gid = w->has_owner ? w->gid : w->keeps_owners && from ? from->gid : 0;
}

uint32_t copy_mode(const struct copy_wish *w, const struct content *from)
{
	uint32_t mode = from->mode | (from->type == TAR_DIRECTORY ? CHMOD_DIRECTORY : 0);
	if (w->mode_words)
		return chmod_apply(w->mode_words, mode, &mode) == 0 ? mode : from->mode;
	return w->has_mode ? w->mode : from->mode;
}
