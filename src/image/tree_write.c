/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: the names of the layer's own tree are in memory as well (disk/tree.h), and paths are looked up there, never by the kernel, as
 * when a disk is written (disk/apply.c, whose rules these are): a symlink on the way is followed inside the image, later entries replace
 * earlier ones, only a directory over a directory merges. Files are written at once; folders get their metadata at the end, and whiteouts
 * are made at the end, when it is known which of them hide anything.
 *
 * A name that the layer does not have itself may be below. Most layers never ask: they describe the folders that they write to. One that
 * asks waits for the trees below (tree_lower.c) and then fits those only.
 */
#include "image/tree_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/tree_internal.h"

enum { SYMLINKS_MAX = 40, SYMLINK_MAX = 4095, SKIPPED_MAX = 1000 };
#define TREE_BYTES_MAX (2ULL << 30)
#define ROOT_TIME 1577836800 /* of a root that no entry describes, as on disks: 2020-01-01 */

static const char whiteout[] = ".wh.", opaque[] = ".wh..wh..opq", aufs[] = ".wh..wh.", between[] = ".wh..wh.holm";

struct place {
	struct disk_inode *directory;
	char name[DISK_NAME_MAX + 1];
	size_t length; /* 0: the root itself */
};

struct walk {
	struct tree_writer *writer;
	const struct tar_entry *entry; /* missing folders are made with its time; NULL: those, and files on the way, are -ENOENT without a text */
	int symlinks;                  /* followed so far */
};

static int is_dots(const char *name, size_t length)
{
	return length <= 2 && memcmp(name, "..", length) == 0;
}

static int check_room(struct tree_writer *w, const struct disk_inode *directory, struct error **err)
{
	if (directory->depth >= DISK_DEPTH_MAX)
		return error_set(err, ENAMETOOLONG, "it lies more than %d folders deep", DISK_DEPTH_MAX);
	if (w->tree.bytes > TREE_BYTES_MAX)
		return error_set(err, E2BIG, "the layer has too many files: their names and attributes fill %llu bytes", (unsigned long long)TREE_BYTES_MAX);
	return 0;
}

static void set_times(struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mtime = e->mtime;
	inode->atime = e->atime;
	inode->mtime_ns = e->mtime_ns;
	inode->atime_ns = e->atime_ns;
}

static int make_missing(struct walk *w, struct disk_inode **directory, const char *name, size_t length, struct error **err)
{
	struct disk_name *n;
	if (!w->entry)
		return -ENOENT;
	int r = check_room(w->writer, *directory, err);
	if (r == 0)
		r = tree_make_folder(w->writer, *directory, name, length, &n, err);
	if (r < 0)
		return r;
	n->inode->mode = 0755;
	set_times(n->inode, w->entry);
	*directory = n->inode;
	return 0;
}

static int walk_path(struct walk *w, struct disk_inode **directory, const char *path, size_t length, struct error **err);

/* The name in a directory, own or from below; NULL when there is none. A whiteout counts as none, a folder made in its place is opaque. */
static int find_name(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length, struct disk_name **ret, struct error **err)
{
	*ret = disk_tree_find(&w->tree, directory, name, length);
	return *ret ? 0 : tree_lower_take(w, directory, name, length, ret, err);
}

static int is_whiteout(const struct disk_name *n)
{
	return tree_is_device(n->inode) && n->inode->number == TREE_WHITEOUT;
}

/* One step down from *directory. */
static int walk_step(struct walk *w, struct disk_inode **directory, const char *name, size_t length, struct error **err)
{
	struct disk_name *n;
	if (length > DISK_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "the name \"%.40s...\" has %zu bytes (at most %d are possible)", name, length, DISK_NAME_MAX);
	int r = find_name(w->writer, *directory, name, length, &n, err);
	if (r < 0)
		return r;
	int hidden = n && is_whiteout(n);
	if (hidden && w->entry && (r = tree_remove(w->writer, n, err)) < 0)
		return r;
	if (!n || hidden) {
		r = make_missing(w, directory, name, length, err);
		if (r == 0 && hidden)
			tree_folder_of(w->writer, *directory)->opaque = 1;
		return r;
	}
	if (n->inode->type == TAR_DIRECTORY) {
		*directory = n->inode;
		return 0;
	}
	if (n->inode->type != TAR_SYMLINK && !w->entry)
		return -ENOENT;
	if (n->inode->type != TAR_SYMLINK)
		return error_set(err, ENOTDIR, "\"%.*s\" on its way is not a directory", (int)length, name);
	if (++w->symlinks > SYMLINKS_MAX)
		return error_set(err, ELOOP, "too many symbolic links on its way");
	const char *target = n->inode->target;
	if (target[0] == '/')
		*directory = w->writer->tree.root;
	return walk_path(w, directory, target, strlen(target), err);
}

/* From *directory along path to a directory. */
static int walk_path(struct walk *w, struct disk_inode **directory, const char *path, size_t length, struct error **err)
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
		int r = walk_step(w, directory, path + start, n, err);
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
			return error_set(err, EINVAL, "the path \"%.200s\" has \"..\" in it, which no layer may have", path);
		at += n;
	}
	return 0;
}

/* Where an entry's (or a hard link's) path leads; parents are made when w->entry is set. */
static int find_place(struct walk *w, const char *path, struct place *ret, struct error **err)
{
	int r = check_no_dots(path, err);
	if (r < 0)
		return r;
	size_t end = strlen(path);
	for (;;) { /* slashes and "." at the end say nothing */
		while (end > 0 && path[end - 1] == '/')
			end--;
		if (end == 0 || path[end - 1] != '.' || (end > 1 && path[end - 2] != '/'))
			break;
		end--;
	}
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	ret->directory = w->writer->tree.root;
	ret->length = end - start;
	if (ret->length > DISK_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "its name has %zu bytes (at most %d are possible)", ret->length, DISK_NAME_MAX);
	memcpy(ret->name, path + start, ret->length);
	ret->name[ret->length] = '\0';
	return walk_path(w, &ret->directory, path, start, err);
}

static void set_metadata(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mode = e->mode;
	inode->uid = e->uid;
	inode->gid = e->gid;
	set_times(inode, e);
	for (size_t i = 0; i < inode->xattr_count; i++) {
		free(inode->xattrs[i].name);
		free(inode->xattrs[i].value);
	}
	free(inode->xattrs);
	inode->xattrs = e->xattr_count ? xcalloc(e->xattr_count, sizeof *inode->xattrs) : NULL;
	inode->xattr_count = 0;
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		inode->xattrs[inode->xattr_count++] = (struct tar_xattr){ xstrdup(x->name), xmemdup(x->value, x->size), x->size };
		t->bytes += sizeof *x + strlen(x->name) + x->size;
	}
}

static void add_whiteout(struct tree_writer *w, const struct place *p, uint32_t number)
{
	struct disk_inode *inode = disk_inode_new(&w->tree, TAR_CHAR);
	inode->number = number;
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
}

static void skip_device(struct tree_writer *w, const struct place *p, const char *path)
{
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	if (w->options->skipped.count < SKIPPED_MAX)
		strv_add(&w->options->skipped, path);
	else
		w->options->skipped_more++;
	add_whiteout(w, p, TREE_SKIPPED);
}

/* A folder: merges with a folder, takes the place of anything else, and then nothing that is below shows in it. */
static int apply_folder(struct tree_writer *w, const struct tar_entry *e, const struct place *p, struct disk_name *old, struct error **err)
{
	int replaces = old && old->inode->type != TAR_DIRECTORY, r = 0;
	if (replaces) {
		r = tree_remove(w, old, err);
		old = NULL;
	}
	if (r == 0 && !old)
		r = tree_make_folder(w, p->directory, p->name, p->length, &old, err);
	if (r < 0)
		return r;
	if (replaces)
		tree_folder_of(w, old->inode)->opaque = 1;
	set_metadata(&w->tree, old->inode, e);
	old->layer = TREE_OWN;
	return 0;
}

static int check_symlink(const struct tar_entry *e, struct error **err)
{
	size_t size = strlen(e->target);
	if (size == 0 || size > SYMLINK_MAX)
		return error_set(err, EINVAL, "its target has %zu bytes (1 to %d are possible)", size, SYMLINK_MAX);
	return 0;
}

static int apply_file(struct tree_writer *w, const struct tar_entry *e, struct tar_reader *reader, const struct place *p, struct error **err)
{
	int r = e->type == TAR_SYMLINK ? check_symlink(e, err) : 0;
	int parent = r == 0 ? tree_folder_open(w, p->directory, err) : r;
	if (parent < 0)
		return parent;
	r = tree_make_file(w, parent, p->name, e, reader, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = disk_inode_new(&w->tree, e->type);
	if (e->type == TAR_SYMLINK) {
		inode->target = xstrdup(e->target);
		w->tree.bytes += strlen(e->target);
	}
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
	return 0;
}

static int find_target(struct tree_writer *w, const struct tar_entry *e, struct disk_name **ret, struct error **err)
{
	struct walk walk = { .writer = w };
	struct place p;
	int r = find_place(&walk, e->target, &p, err);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = NULL;
	if (r == 0 && p.length > 0 && (r = find_name(w, p.directory, p.name, p.length, ret, err)) < 0)
		return r;
	if (!*ret || is_whiteout(*ret))
		return error_set(err, ENOENT, "it is a hard link to \"%.200s\", which the image does not have", e->target);
	if ((*ret)->inode->type == TAR_DIRECTORY)
		return error_set(err, EPERM, "it is a hard link to the directory \"%.200s\"", e->target);
	return 0;
}

/* The old name may be a folder that the target is in: the link is made beside it first, by a name that no layer can have. A file below gets another
 * name in this tree: trees are never written to again, so one inode can be in several, and is one file in the machine too. */
static int apply_link(struct tree_writer *w, const struct tar_entry *e, const struct place *p, struct error **err)
{
	struct disk_name *target;
	int r = find_target(w, e, &target, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = target->inode;
	struct disk_name *old = disk_tree_find(&w->tree, p->directory, p->name, p->length);
	if (old && old->inode == inode && !tree_is_below(old))
		return 0;
	if (tree_is_device(inode)) {
		r = old ? tree_remove(w, old, err) : 0;
		if (r == 0)
			skip_device(w, p, e->path);
		return r;
	}
	int from = tree_open_parent(w, target, err), to = from < 0 ? from : tree_folder_open(w, p->directory, err);
	if (to < 0)
		return to;
	if (linkat(from, target->text, to, old ? between : p->name, 0) < 0)
		return error_set_errno(err, errno, "cannot link to \"%.200s\"", e->target);
	inode->links++; /* kept while the old name goes */
	r = old ? tree_remove(w, old, err) : 0;
	if (r == 0 && old && renameat(to, between, to, p->name) < 0)
		r = error_set_errno(err, errno, "cannot link to \"%.200s\"", e->target);
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
	inode->links--;
	return r;
}

static int apply_root(struct tree_writer *w, const struct tar_entry *e, struct error **err)
{
	if (e->type != TAR_DIRECTORY)
		return error_set(err, EINVAL, "the image's root can only be a directory");
	set_metadata(&w->tree, w->tree.root, e);
	return 0;
}

/* What was taken over from below goes away again; folders stay while something of the layer's own is in them. */
static int hide_inside(struct tree_writer *w, struct disk_inode *directory, struct error **err)
{
	int r = 0;
	for (struct disk_name *n = directory->first, *next; r == 0 && n; n = next) {
		next = n->after;
		if (n->inode->type == TAR_DIRECTORY)
			r = hide_inside(w, n->inode, err);
		if (r == 0 && n->layer == TREE_LOWER && !n->inode->first)
			r = tree_remove(w, n, err);
	}
	return r;
}

static int hide_all(struct tree_writer *w, struct disk_inode *directory, struct error **err)
{
	tree_folder_of(w, directory)->opaque = 1;
	return hide_inside(w, directory, err);
}

static int hide(struct tree_writer *w, const struct place *p, struct error **err)
{
	struct disk_name *n = disk_tree_find(&w->tree, p->directory, p->name, p->length);
	int r = n && n->inode->type == TAR_DIRECTORY ? hide_all(w, n->inode, err) : 0;
	if (r < 0 || (n && (n->layer == TREE_OWN || n->inode->first)))
		return r;
	r = n ? tree_remove(w, n, err) : 0;
	if (r == 0)
		add_whiteout(w, p, TREE_WHITEOUT);
	return r;
}

static int apply_whiteout(struct tree_writer *w, const char *path, struct error **err)
{
	struct walk walk = { .writer = w };
	struct place p;
	int r = find_place(&walk, path, &p, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* nothing there to hide; umoci whites out what was in a directory that it replaces by a file */
	if (streq(p.name, opaque))
		return hide_all(w, p.directory, err);
	if (startswith(p.name, aufs))
		return 0;
	size_t n = strlen(whiteout);
	memmove(p.name, p.name + n, p.length - n + 1);
	p.length -= n;
	if (is_dots(p.name, p.length))
		return error_set(err, EINVAL, "the whiteout names nothing");
	return hide(w, &p, err);
}

static int is_whiteout_path(const char *path)
{
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	return strncmp(path + start, whiteout, strlen(whiteout)) == 0;
}

static int apply_entry(struct tree_writer *w, const struct tar_entry *e, struct tar_reader *reader, struct error **err)
{
	if (is_whiteout_path(e->path))
		return apply_whiteout(w, e->path, err);
	struct walk walk = { .writer = w, .entry = e };
	struct place p;
	int r = find_place(&walk, e->path, &p, err);
	if (r < 0)
		return r;
	if (p.length == 0)
		return apply_root(w, e, err);
	if ((r = check_room(w, p.directory, err)) < 0)
		return r;
	if (e->type == TAR_LINK)
		return apply_link(w, e, &p, err);
	struct disk_name *old = disk_tree_find(&w->tree, p.directory, p.name, p.length);
	if (e->type == TAR_DIRECTORY)
		return apply_folder(w, e, &p, old, err);
	r = old ? tree_remove(w, old, err) : 0;
	if (r == 0 && (e->type == TAR_CHAR || e->type == TAR_BLOCK))
		skip_device(w, &p, e->path);
	else if (r == 0)
		r = apply_file(w, e, reader, &p, err);
	return r;
}

static int apply_all(struct tree_writer *w, struct tar_reader *reader, struct error **err)
{
	const struct tar_entry *e;
	int r;
	while ((r = tar_reader_next(reader, &e, err)) > 0)
		if ((r = apply_entry(w, e, reader, err)) < 0)
			return error_prefix(err, r, "entry \"%.200s\"", e->path);
	return r;
}

int tree_write_layer(struct tree_write *t, struct tar_reader *reader, struct error **err)
{
	struct tree_writer w = { .options = t };
	disk_tree_init(&w.tree);
	w.tree.root->mtime = w.tree.root->atime = ROOT_TIME;
	tree_folder_add(&w, w.tree.root, NULL);
	w.folders[0].fd = openat(t->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = w.folders[0].fd < 0 ? error_set_errno(err, errno, "cannot open the layer's tree") : 0;
	if (r == 0 && fchown(w.folders[0].fd, 0, 0) < 0 && errno != EPERM)
		r = error_set_errno(err, errno, "cannot own the layer's tree");
	if (r == 0)
		r = apply_all(&w, reader, err);
	if (r == 0)
		r = tree_finish(&w, err);
	for (size_t i = 0; i < w.folder_count; i++)
		fd_close(w.folders[i].fd);
	free(w.folders);
	tree_directory_done(&w.lower_directory);
	disk_tree_done(&w.tree);
	return r;
}

void tree_write_done(struct tree_write *t)
{
	strv_done(&t->skipped);
}
