/* SPDX-License-Identifier: Apache-2.0
 * The files of an image.
 *
 * A layer becomes a sorted list of entries, and a sorted list of paths that hide what is below:
 * whiteouts (OCI image specification 1.1, layer.md), and entries that are no directories. Applying
 * it merges two sorted lists. Paths are texts here: symlinks on the way are not followed. */
#include "image/library/contents.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/common/hash.h"
#include "image/common/interrupt.h"
#include "oci/layer.h"

enum { LINKS_MAX = 16, RESOLVE_MAX = 40, ZEROS = 1 << 16, TEXT_MAX = 1 << 20 };
#define HOLE_HASHED_MAX ((uint64_t)1 << 30) /* longer holes count by their length */
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define WHITEOUT_META ".wh..wh."

struct layer {
	struct content_pool *pool;
	struct contents own;
	struct strv hidden;  /* paths hidden with all below; sorted */
	struct strv emptied; /* directories of which all below is hidden; sorted */
};

void content_pool_done(struct content_pool *p)
{
	for (size_t k = 0; k < p->count; k++) {
		free(p->items[k]->path);
		free(p->items[k]->target);
		free(p->items[k]->link);
		free(p->items[k]->text);
		free(p->items[k]->note);
		free(p->items[k]);
	}
	free(p->items);
	*p = (struct content_pool){ 0 };
}

void contents_done(struct contents *c)
{
	free(c->items);
	*c = (struct contents){ 0 };
}

struct content *content_pool_new(struct content_pool *p)
{
	if (p->count == p->room) {
		p->room = p->room ? p->room * 2 : 1024;
		p->items = xrealloc(p->items, p->room, sizeof(struct content *));
	}
	return p->items[p->count++] = xnew(struct content);
}

int contents_compare_paths(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	int x = *a == '/' ? 1 : (unsigned char)*a + 2 * (*a != '\0'),
	    y = *b == '/' ? 1 : (unsigned char)*b + 2 * (*b != '\0');
	return x - y;
}

static int compare_entries(const void *a, const void *b)
{
	return contents_compare_paths((*(struct content *const *)a)->path, (*(struct content *const *)b)->path);
}

/* The same, and entries with one path in the order of the archive. */
static int compare_in_order(const void *a, const void *b)
{
	const struct content *x = *(struct content *const *)a, *y = *(struct content *const *)b;
	int r = contents_compare_paths(x->path, y->path);
	return r ? r : (x->number > y->number) - (x->number < y->number);
}

static int compare_texts(const void *a, const void *b)
{
	return contents_compare_paths(*(char *const *)a, *(char *const *)b);
}

static int text_is_in(const struct strv *sorted, const char *path)
{
	return sorted->count &&
	       bsearch(&path, sorted->items, sorted->count, sizeof *sorted->items, compare_texts) != NULL;
}

struct content **contents_find(const struct contents *c, const char *path)
{
	struct content key = { .path = (char *)path }, *pointer = &key;
	return c->count ? bsearch(&pointer, c->items, c->count, sizeof(struct content *), compare_entries) : NULL;
}

static struct content *find(const struct contents *c, const char *path)
{
	struct content **found = contents_find(c, path);
	return found ? *found : NULL;
}

/* --- reading a layer ------------------------------------------------------------------------- */

static int hash_hole(struct hash *h, uint64_t size, struct error **err)
{
	static const char zeros[ZEROS];
	if (size > HOLE_HASHED_MAX) {
		hash_update(h, &size, sizeof size);
		return 0;
	}
	for (; size > 0; size -= MIN(size, (uint64_t)ZEROS))
		hash_update(h, zeros, MIN(size, (uint64_t)ZEROS));
	return interrupt_check(err);
}

/* Hashes a file's content; `text` takes it, too. */
static int hash_content(struct tar_reader *tar, uint64_t size, struct buffer *text, char *ret, struct error **err)
{
	AUTO_HASH struct hash h = { 0 };
	const void *data;
	size_t n;
	uint64_t offset, at = 0;
	int r;
	hash_init(&h);
	while ((r = tar_reader_read(tar, &data, &n, &offset, err)) == 1) {
		r = hash_hole(&h, offset - at, err);
		if (r < 0)
			return r;
		hash_update(&h, data, n);
		if (text && offset == at)
			buffer_append(text, data, n);
		at = offset + n;
	}
	if (r == 0)
		r = hash_hole(&h, size - at, err);
	if (r == 0)
		hash_text(&h, ret);
	return r;
}

static int is_kept(const struct content_pool *p, const struct content *c)
{
	for (const char *const *path = p->kept; path && *path; path++)
		if (streq(*path, c->path))
			return c->size <= TEXT_MAX;
	return 0;
}

static int take_content(const struct content_pool *p, struct content *c, struct tar_reader *tar, struct error **err)
{
	if (!is_kept(p, c))
		return p->plain ? 0 : hash_content(tar, c->size, NULL, c->digest, err);
	AUTO_BUFFER struct buffer text;
	buffer_init(&text, TEXT_MAX);
	int r = hash_content(tar, c->size, &text, c->digest, err);
	if (r == 0 && text.size == c->size && !(c->size && memchr(text.data, '\0', text.size)))
		c->text = buffer_take_string(&text);
	return r;
}

void content_set_text(struct content *c, char *text)
{
	AUTO_HASH struct hash h = { 0 };
	free(c->text);
	c->text = text;
	c->size = strlen(text);
	hash_init(&h);
	hash_update(&h, text, c->size);
	hash_text(&h, c->digest);
}

static void hash_xattrs(const struct tar_entry *e, char *ret)
{
	AUTO_HASH struct hash h = { 0 };
	if (e->xattr_count == 0)
		return;
	hash_init(&h);
	for (size_t k = 0; k < e->xattr_count; k++) {
		hash_update(&h, e->xattrs[k].name, strlen(e->xattrs[k].name) + 1);
		hash_update(&h, e->xattrs[k].value, e->xattrs[k].size);
	}
	hash_text(&h, ret);
}

/* Takes a whiteout. 1 if the path is one, 0. */
static int take_whiteout(struct layer *l, const char *path)
{
	AUTOFREE char *parent = path_parent(path);
	const char *name = path_base(path);
	if (streq(name, OPAQUE))
		strv_add(&l->emptied, parent);
	else if (startswith(name, WHITEOUT) && !startswith(name, WHITEOUT_META))
		strv_take(&l->hidden, path_join(parent, name + strlen(WHITEOUT)));
	else
		return startswith(name, WHITEOUT_META) != NULL;
	return 1;
}

static int take_entry(struct layer *l, struct tar_reader *tar, const struct tar_entry *e, struct error **err)
{
	AUTOFREE char *absolute = xasprintf("/%s", e->path), *path = path_normalize(absolute);
	if (take_whiteout(l, path))
		return 0;
	struct content *c = content_pool_new(l->pool);
	*c = (struct content){
		.type = e->type,
		.mode = e->mode,
		.uid = e->uid,
		.gid = e->gid,
		.major = e->major,
		.minor = e->minor,
		.size = e->size,
		.number = l->pool->count,
		.layer = l->pool->layer,
		.mtime = e->mtime,
	};
	hash_xattrs(e, c->xattrs);
	if (e->type == TAR_LINK) {
		AUTOFREE char *target = xasprintf("/%s", e->target);
		c->target = path_normalize(target);
		c->link = xstrdup(c->target);
	} else {
		c->target = xstrdup(e->target);
	}
	if (e->type != TAR_DIRECTORY)
		strv_add(&l->emptied, path);
	c->path = TAKE_PTR(path);
	return e->type == TAR_FILE ? take_content(l->pool, c, tar, err) : 0;
}

/* Sorts the entries of a layer; of several with one path the last counts. */
static void sort_own(struct layer *l, size_t first)
{
	size_t count = l->pool->count - first, kept = 0;
	struct content **sorted = xcalloc(count + 1, sizeof(void *));
	for (size_t k = 0; k < count; k++)
		sorted[k] = l->pool->items[first + k];
	qsort(sorted, count, sizeof(struct content *), compare_in_order);
	for (size_t k = 0; k < count; k++)
		if (k + 1 == count || !streq(sorted[k]->path, sorted[k + 1]->path))
			sorted[kept++] = sorted[k];
	l->own = (struct contents){ .items = sorted, .count = kept };
	if (l->hidden.count)
		qsort(l->hidden.items, l->hidden.count, sizeof(char *), compare_texts);
	if (l->emptied.count)
		qsort(l->emptied.items, l->emptied.count, sizeof(char *), compare_texts);
}

/* --- applying it ----------------------------------------------------------------------------- */

/* Whether the layer hides a path of those below it. */
static int is_hidden(const struct layer *l, const char *path)
{
	if (text_is_in(&l->hidden, path) || find(&l->own, path))
		return 1;
	AUTOFREE char *part = xstrdup(streq(path, "/") ? "" : path);
	for (char *slash; (slash = strrchr(part, '/'));) {
		*slash = '\0';
		const char *above = *part ? part : "/";
		if (text_is_in(&l->hidden, above) || text_is_in(&l->emptied, above))
			return 1;
	}
	return 0;
}

/* A hard link is the file that it links to. */
static void resolve_link(const struct layer *l, const struct contents *below, struct content *c)
{
	const struct content *t = c;
	for (int k = 0; t && t->type == TAR_LINK && k < LINKS_MAX; k++) {
		const struct content *own = find(&l->own, t->target);
		t = own ? own : find(below, t->target);
	}
	if (!t || t->type == TAR_LINK)
		return;
	struct content copy = *t;
	copy.path = c->path;
	copy.link = c->link;
	copy.target = xstrdup(t->target);
	copy.text = xstrdup(t->text);
	copy.note = NULL;
	free(c->target);
	*c = copy;
}

static void apply(struct layer *l, struct contents *c)
{
	struct contents merged = { .items = xcalloc(c->count + l->own.count + 1, sizeof(void *)) };
	size_t own = 0;
	for (size_t k = 0; k < l->own.count; k++)
		if (l->own.items[k]->type == TAR_LINK)
			resolve_link(l, c, l->own.items[k]);
	for (size_t k = 0; k < c->count; k++) {
		if (is_hidden(l, c->items[k]->path))
			continue;
		while (own < l->own.count && contents_compare_paths(l->own.items[own]->path, c->items[k]->path) < 0)
			merged.items[merged.count++] = l->own.items[own++];
		merged.items[merged.count++] = c->items[k];
	}
	while (own < l->own.count)
		merged.items[merged.count++] = l->own.items[own++];
	contents_done(c);
	*c = merged;
}

int contents_add_tar(struct tar_reader *tar, struct content_pool *pool, struct contents *c, struct error **err)
{
	struct layer l = { .pool = pool };
	const struct tar_entry *e;
	size_t first = pool->count;
	int r;
	while ((r = tar_reader_next(tar, &e, err)) == 1) {
		r = take_entry(&l, tar, e, err);
		if (r < 0)
			break;
	}
	if (r == 0) {
		sort_own(&l, first);
		apply(&l, c);
	}
	contents_done(&l.own);
	strv_done(&l.hidden);
	strv_done(&l.emptied);
	return r;
}

int contents_add_blob(struct library *l, const char *digest, const char *diff_id, struct content_pool *pool,
    struct contents *c, struct error **err)
{
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	AUTO_FD int fd = library_open_blob(l, digest, NULL, err);
	int r = fd < 0 ? fd : layer_reader_open(fd, NULL, NULL, &reader, err);
	if (r < 0)
		return r;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(layer_reader_read, reader, NULL);
	r = contents_add_tar(tar, pool, c, err);
	if (r == 0 && diff_id && !streq(layer_reader_digest(reader), diff_id))
		r = error_set(err, EBADMSG,
		    "its bytes are not those that the image names; remove the image and pull it again");
	return r;
}

int contents_add_layer(struct library *l, const struct image *i, size_t k, struct content_pool *pool,
    struct contents *c, struct error **err)
{
	const struct oci_descriptor *d = &i->manifest->layers[k];
	int r = contents_add_blob(l, d->digest, i->config->diff_ids.items[k], pool, c, err);
	return r < 0 ? error_prefix(err, r, "layer %zu (%.19s)", k + 1, d->digest) : 0;
}

/* ---- paths ---- */

int contents_is_whiteout(const char *path)
{
	return startswith(path_base(path), WHITEOUT) != NULL;
}

/* The path that a symlink at `path` leads to; owned. */
static char *follow(const char *path, const char *target)
{
	AUTOFREE char *parent = path_parent(path), *joined = path_join(parent, target);
	return path_normalize(joined);
}

/* Follows the first symlink among the parts of the path. The path behind it, owned; NULL: none. */
static char *follow_first(const struct contents *c, const char *path, int last)
{
	for (const char *slash = path; *slash;) {
		slash = strchrnul(slash + 1, '/');
		AUTOFREE char *part = xstrndup(path, (size_t)(slash - path));
		const struct content *at = !*slash && !last ? NULL : find(c, part);
		if (!at || at->type != TAR_SYMLINK)
			continue;
		AUTOFREE char *place = follow(part, at->target);
		return *slash ? path_join(place, slash + 1) : TAKE_PTR(place);
	}
	return NULL;
}

char *contents_resolve(const struct contents *c, const char *path, int last)
{
	char *now = path_normalize(path);
	for (int k = 0; now && k < RESOLVE_MAX; k++) {
		AUTOFREE char *next = follow_first(c, now, last);
		if (!next)
			return now;
		free(now);
		now = path_normalize(next);
	}
	free(now);
	return NULL;
}

void contents_append(struct contents *c, struct content *entry)
{
	if ((c->count & (c->count - 1)) == 0) /* room for twice as many */
		c->items = xrealloc(c->items, c->count ? 2 * c->count : 1, sizeof(struct content *));
	c->items[c->count++] = entry;
}

void contents_sort(struct contents *c)
{
	size_t kept = 0;
	for (size_t k = 0; k < c->count; k++)
		c->items[k]->number = k + 1;
	if (c->count)
		qsort(c->items, c->count, sizeof(struct content *), compare_in_order);
	for (size_t k = 0; k < c->count; k++)
		if (k + 1 == c->count || !streq(c->items[k]->path, c->items[k + 1]->path))
			c->items[kept++] = c->items[k];
	c->count = kept;
}

int content_is_same(const struct content *a, const struct content *b)
{
	return a == b || (a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
			     a->major == b->major && a->minor == b->minor && a->size == b->size &&
			     streq(a->target, b->target) && streq(a->digest, b->digest) && streq(a->xattrs, b->xattrs));
}

int contents_next_change(const struct contents *before, const struct contents *now, size_t *i, size_t *j,
    struct contents_change *ret)
{
	while (*i < before->count || *j < now->count) {
		const struct content *x = *i < before->count ? before->items[*i] : NULL,
				     *y = *j < now->count ? now->items[*j] : NULL;
		int order = !x ? 1 : !y ? -1 : contents_compare_paths(x->path, y->path);
		*i += order <= 0;
		*j += order >= 0;
		*ret = (struct contents_change){ order < 0 ? 'D' :
						 order > 0 ? 'A' :
							     'C',
			order <= 0 ? x : NULL, order >= 0 ? y : NULL };
		if (order || !content_is_same(x, y))
			return 1;
	}
	return 0;
}
