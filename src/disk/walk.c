/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: an entry's parent folder is looked up in the tree, never on the host, so
 * nothing in a layer can reach outside: a symlink on the way is followed inside the image (".." in
 * its target stops at the root), as container tools do. Names with ".." and hard links to what is
 * not in the image are errors. Missing folders on the way are made.
 *
 * Of two entries for one name the later wins; only a directory over a directory merges. A whiteout
 * ".wh.NAME" takes away what lower layers have under that name, ".wh..wh..opq" all that they have
 * in its folder; both leave alone what their own layer adds, wherever in the layer they stand.
 * Other names with ".wh..wh." in front are AUFS's own books and are passed over.
 */
#include "disk/walk.h"

#include <errno.h>

#include "base/alloc.h"

enum { SYMLINKS_MAX = 40 };
#define TREE_BYTES_MAX (2ULL << 30)

static const char whiteout[] = ".wh.", opaque[] = ".wh..wh..opq", aufs[] = ".wh..wh.";

struct way {
	const struct disk_walk *walk;
	const struct tar_entry
	    /* missing folders are made with its time; NULL: those, and files on the way, are
	     * -ENOENT without a text */
	    *entry;
	int symlinks; /* followed so far */
};

static int is_dots(const char *name, size_t length)
{
	return length <= 2 && memcmp(name, "..", length) == 0;
}

static int check_room(const struct disk_walk *w, const struct disk_inode *directory, struct error **err)
{
	if (directory->depth >= DISK_DEPTH_MAX)
		return error_set(err, ENAMETOOLONG, "it lies more than %d folders deep", DISK_DEPTH_MAX);
	if (w->tree->bytes > TREE_BYTES_MAX)
		return error_set(err, E2BIG, "the %s has too many files: their names and attributes fill %llu bytes",
		    w->rules->whole, (unsigned long long)TREE_BYTES_MAX);
	return 0;
}

static int make_missing(const struct way *way, struct disk_inode **directory, const char *name, size_t length,
    struct error **err)
{
	struct disk_name *n;
	if (!way->entry)
		return -ENOENT;
	int r = check_room(way->walk, *directory, err);
	if (r == 0)
		r = way->walk->rules->make_folder(way->walk, *directory, name, length, &n, err);
	if (r < 0)
		return r;
	n->inode->mode = 0755;
	disk_inode_set_times(n->inode, way->entry);
	*directory = n->inode;
	return 0;
}

static int walk_path(struct way *way, struct disk_inode **directory, const char *path, size_t length,
    struct error **err);

/* One step down from *directory. */
static int walk_step(struct way *way, struct disk_inode **directory, const char *name, size_t length,
    struct error **err)
{
	struct disk_name *n;
	if (length > DISK_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "the name \"%.40s...\" has %zu bytes (at most %d are possible)",
		    name, length, DISK_NAME_MAX);
	int r = way->walk->rules->find(way->walk, *directory, name, length, &n, err);
	if (r < 0)
		return r;
	if (!n)
		return make_missing(way, directory, name, length, err);
	if (n->inode->type == TAR_DIRECTORY) {
		*directory = n->inode;
		return 0;
	}
	if (n->inode->type != TAR_SYMLINK && !way->entry)
		return -ENOENT;
	if (n->inode->type != TAR_SYMLINK)
		return error_set(err, ENOTDIR, "\"%.*s\" on its way is not a directory", (int)length, name);
	if (++way->symlinks > SYMLINKS_MAX)
		return error_set(err, ELOOP, "too many symbolic links on its way");
	const char *target = n->inode->target;
	if (target[0] == '/')
		*directory = way->walk->tree->root;
	return walk_path(way, directory, target, strlen(target), err);
}

/* From *directory along path to a directory. */
static int walk_path(struct way *way, struct disk_inode **directory, const char *path, size_t length,
    struct error **err)
{
	for (size_t i = 0; i < length;) {
		size_t start = i;
		while (i < length && path[i] != '/')
			i++;
		size_t n = i++ - start;
		if (n == 0 || (n == 1 && path[start] == '.'))
			continue;
		if (n == 2 && is_dots(path + start, n)) {
			*directory = (*directory)->parent;
			continue;
		}
		int r = walk_step(way, directory, path + start, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_no_dots(const char *path, struct error **err)
{
	for (const char *at = path; *at; at += *at == '/') {
		size_t n = strcspn(at, "/");
		if (n == 2 && is_dots(at, n))
			return error_set(err, EINVAL, "the path \"%.200s\" has \"..\" in it, which no layer may have",
			    path);
		at += n;
	}
	return 0;
}

static size_t trim_slashes(const char *path, size_t end)
{
	while (end > 0 && path[end - 1] == '/')
		end--;
	return end;
}

static size_t start_of_last(const char *path, size_t end)
{
	while (end > 0 && path[end - 1] != '/')
		end--;
	return end;
}

/* Finds the place of an entry's path, or of a hard link's target; without a name it is the root
 * itself. Makes missing parents if there is an entry. 0 or -errno. */
static int find_place(const struct disk_walk *w, const struct tar_entry *entry, const char *path,
    struct disk_place *ret, struct error **err)
{
	struct way way = { .walk = w, .entry = entry };
	int r = check_no_dots(path, err);
	if (r < 0)
		return r;
	size_t end = strlen(path);
	for (;;) { /* slashes and "." at the end say nothing */
		end = trim_slashes(path, end);
		if (end == 0 || path[end - 1] != '.' || (end > 1 && path[end - 2] != '/'))
			break;
		end--;
	}
	size_t start = start_of_last(path, end);
	ret->directory = w->tree->root;
	ret->length = end - start;
	if (ret->length > DISK_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "its name has %zu bytes (at most %d are possible)", ret->length,
		    DISK_NAME_MAX);
	memcpy(ret->name, path + start, ret->length);
	ret->name[ret->length] = '\0';
	return walk_path(&way, &ret->directory, path, start, err);
}

int disk_walk_link_target(const struct disk_walk *w, const struct tar_entry *e, struct disk_name **ret,
    struct error **err)
{
	struct disk_place p;
	int r = find_place(w, NULL, e->target, &p, err);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = NULL;
	if (r == 0 && p.length > 0 && (r = w->rules->find(w, p.directory, p.name, p.length, ret, err)) < 0)
		return r;
	if (!*ret)
		return error_set(err, ENOENT, "it is a hard link to \"%.200s\", which the image does not have",
		    e->target);
	if ((*ret)->inode->type == TAR_DIRECTORY)
		return error_set(err, EPERM, "it is a hard link to the directory \"%.200s\"", e->target);
	return 0;
}

static int walk_root(const struct disk_walk *w, const struct tar_entry *e, struct error **err)
{
	if (e->type != TAR_DIRECTORY)
		return error_set(err, EINVAL, "the image's root can only be a directory");
	disk_inode_describe(w->tree, w->tree->root, e);
	w->tree->root_described = 1;
	return 0;
}

static int is_whiteout(const char *path)
{
	return startswith(path + start_of_last(path, trim_slashes(path, strlen(path))), whiteout) != NULL;
}

static int walk_whiteout(const struct disk_walk *w, const char *path, struct error **err)
{
	struct disk_place p;
	int r = find_place(w, NULL, path, &p, err);
	if (r < 0)
		/* nothing there to hide; umoci whites out what was in a directory that it replaces
		 * by a file */
		return r == -ENOENT ? 0 : r;
	if (streq(p.name, opaque))
		return w->rules->hide_all(w, p.directory, err);
	if (startswith(p.name, aufs))
		return 0;
	p.length -= strlen(whiteout);
	memmove(p.name, p.name + strlen(whiteout), p.length + 1);
	if (is_dots(p.name, p.length))
		return error_set(err, EINVAL, "the whiteout names nothing");
	return w->rules->hide(w, &p, err);
}

static int walk_entry(const struct disk_walk *w, const struct tar_entry *e, struct tar_reader *reader,
    struct error **err)
{
	struct disk_place p;
	if (is_whiteout(e->path))
		return walk_whiteout(w, e->path, err);
	int r = find_place(w, e, e->path, &p, err);
	if (r < 0)
		return r;
	if (p.length == 0)
		return walk_root(w, e, err);
	r = check_room(w, p.directory, err);
	return r < 0 ? r : w->rules->put(w, e, reader, &p, err);
}

int disk_walk_layer(const struct disk_walk *w, struct tar_reader *reader, struct error **err)
{
	const struct tar_entry *e;
	int r;
	while ((r = tar_reader_next(reader, &e, err)) > 0)
		if ((r = walk_entry(w, e, reader, err)) < 0)
			return error_prefix(err, r, "entry \"%.200s\"", e->path);
	return r;
}
