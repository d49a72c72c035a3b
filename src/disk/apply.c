/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: an entry's parent folder is looked up in the tree, never on the host, so nothing in a layer can reach outside: a
 * symlink on the way is followed inside the image (".." in its target stops at the root), as container tools do. Names with ".." and hard
 * links to what is not in the image are errors. Missing folders on the way are made.
 *
 * Of two entries for one name the later wins; only a directory over a directory merges. A whiteout ".wh.NAME" takes away what
 * lower layers have under that name, ".wh..wh..opq" all that they have in its folder; both leave alone what their own layer
 * adds, wherever in the layer they stand. Other names with ".wh..wh." in front are AUFS's own books and are passed over.
 */
#include "disk/apply.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"

enum { SYMLINKS_MAX = 40, SYMLINK_MAX = 4095 };
#define TREE_BYTES_MAX (2ULL << 30)

static const char whiteout[] = ".wh.", opaque[] = ".wh..wh..opq", aufs[] = ".wh..wh.";

struct place {
	struct disk_inode *directory;
	const char *name; /* in the entry's path; not terminated */
	size_t length;    /* 0: the root itself */
};

struct walk {
	struct disk_apply *apply;
	const struct tar_entry
		*entry; /* missing folders are made with its time; NULL: those, and files on the way, are -ENOENT without a text */
	int symlinks;   /* followed so far */
};

static int is_dots(const char *name, size_t length)
{
	return length <= 2 && memcmp(name, "..", length) == 0;
}

static void set_times(struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mtime = e->mtime;
	inode->atime = e->atime;
	inode->ctime = e->ctime;
	inode->mtime_ns = e->mtime_ns;
	inode->atime_ns = e->atime_ns;
	inode->ctime_ns = e->ctime_ns;
}

static int check_room(struct disk_apply *a, const struct disk_inode *directory, struct error **err)
{
	if (directory->depth >= DISK_DEPTH_MAX)
		return error_set(err, ENAMETOOLONG, "it lies more than %d folders deep", DISK_DEPTH_MAX);
	if (a->tree->bytes > TREE_BYTES_MAX)
		return error_set(err, E2BIG, "the image has too many files: their names and attributes fill %llu bytes",
			(unsigned long long)TREE_BYTES_MAX);
	return 0;
}

static int make_directory(struct walk *w, struct disk_inode **directory, const char *name, size_t length, struct error **err)
{
	if (!w->entry)
		return -ENOENT;
	int r = check_room(w->apply, *directory, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = disk_inode_new(w->apply->tree, TAR_DIRECTORY);
	inode->mode = 0755;
	set_times(inode, w->entry);
	disk_tree_add(w->apply->tree, *directory, name, length, inode)->layer = w->apply->layer;
	*directory = inode;
	return 0;
}

static int walk_path(struct walk *w, struct disk_inode **directory, const char *path, size_t length, struct error **err);

/* One step down from *directory. */
static int walk_step(struct walk *w, struct disk_inode **directory, const char *name, size_t length, struct error **err)
{
	if (length > DISK_NAME_MAX)
		return error_set(
			err, ENAMETOOLONG, "the name \"%.40s...\" has %zu bytes (at most %d are possible)", name, length, DISK_NAME_MAX);
	struct disk_name *n = disk_tree_find(w->apply->tree, *directory, name, length);
	if (!n)
		return make_directory(w, directory, name, length, err);
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
		*directory = w->apply->tree->root;
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
	*ret = (struct place){w->apply->tree->root, path + start, end - start};
	if (ret->length > DISK_NAME_MAX)
		return error_set(err, ENAMETOOLONG, "its name has %zu bytes (at most %d are possible)", ret->length, DISK_NAME_MAX);
	return walk_path(w, &ret->directory, path, start, err);
}

/* Attributes that a Linux file system has; others (macOS's, NFS's) are dropped, as nothing could read them. */
static int keep_xattr(const char *name)
{
	return startswith(name, "user.") || startswith(name, "trusted.") || startswith(name, "security.") ||
	       streq(name, "system.posix_acl_access") || streq(name, "system.posix_acl_default");
}

static void set_xattrs(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e)
{
	for (size_t i = 0; i < inode->xattr_count; i++) {
		free(inode->xattrs[i].name);
		free(inode->xattrs[i].value);
	}
	free(inode->xattrs);
	inode->xattrs = e->xattr_count ? xcalloc(e->xattr_count, sizeof *inode->xattrs) : NULL;
	inode->xattr_count = 0;
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		if (!keep_xattr(x->name))
			continue;
		inode->xattrs[inode->xattr_count++] = (struct tar_xattr){xstrdup(x->name), xmemdup(x->value, x->size), x->size};
		t->bytes += sizeof *x + strlen(x->name) + x->size;
	}
}

static void set_metadata(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mode = e->type == TAR_SYMLINK ? 0777 : e->mode;
	inode->uid = e->uid;
	inode->gid = e->gid;
	inode->major = e->major;
	inode->minor = e->minor;
	set_times(inode, e);
	set_xattrs(t, inode, e);
}

static int add_content(struct disk_apply *a, struct disk_inode *inode, struct tar_reader *reader, struct error **err)
{
	struct disk_content content;
	const void *data;
	size_t size;
	uint64_t offset;
	int r;
	disk_content_start(&content, a->space, inode, inode->size);
	while ((r = tar_reader_read(reader, &data, &size, &offset, err)) > 0)
		if ((r = disk_content_add(&content, data, size, offset, err)) < 0)
			break;
	int finished = disk_content_finish(&content, r < 0 ? NULL : err);
	return r < 0 ? r : finished;
}

/* A symlink's target is in the inode, or from 60 bytes on in a block of its own. */
static int add_target(struct disk_apply *a, struct disk_inode *inode, const char *target, struct error **err)
{
	struct disk_content content;
	inode->size = strlen(target);
	if (inode->size == 0 || inode->size > SYMLINK_MAX)
		return error_set(
			err, EINVAL, "its target has %llu bytes (1 to %d are possible)", (unsigned long long)inode->size, SYMLINK_MAX);
	inode->target = xstrdup(target);
	a->tree->bytes += inode->size;
	if (inode->size < 60)
		return 0;
	disk_content_start(&content, a->space, inode, inode->size);
	int r = disk_content_add(&content, target, (size_t)inode->size, 0, err);
	int finished = disk_content_finish(&content, r < 0 ? NULL : err);
	return r < 0 ? r : finished;
}

static int check_entry(const struct tar_entry *e, struct error **err)
{
	if (e->size / DISK_BLOCK >= DISK_FILE_BLOCKS_MAX)
		return error_set(err, EFBIG, "it is larger than 16 TiB");
	if (e->major > 0xfff || e->minor > 0xfffff)
		return error_set(err, EINVAL, "there is no device %u:%u", e->major, e->minor);
	return 0;
}

/* A new inode of the entry's, with its content. */
static int make_inode(
	struct disk_apply *a, const struct tar_entry *e, struct tar_reader *reader, struct disk_inode **ret, struct error **err)
{
	int r = check_entry(e, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = disk_inode_new(a->tree, e->type);
	set_metadata(a->tree, inode, e);
	inode->size = e->size;
	if (e->type == TAR_FILE)
		r = add_content(a, inode, reader, err);
	else if (e->type == TAR_SYMLINK)
		r = add_target(a, inode, e->target, err);
	if (r < 0) {
		disk_inode_drop(a->tree, inode);
		return r;
	}
	*ret = inode;
	return 0;
}

static int find_target(struct disk_apply *a, const struct tar_entry *e, struct disk_inode **ret, struct error **err)
{
	struct walk w = {.apply = a};
	struct place p;
	int r = find_place(&w, e->target, &p, err);
	struct disk_name *n = r == 0 && p.length > 0 ? disk_tree_find(a->tree, p.directory, p.name, p.length) : NULL;
	if (r < 0 && r != -ENOENT)
		return r;
	if (!n)
		return error_set(err, ENOENT, "it is a hard link to \"%.200s\", which the image does not have", e->target);
	if (n->inode->type == TAR_DIRECTORY)
		return error_set(err, EPERM, "it is a hard link to the directory \"%.200s\"", e->target);
	if (n->inode->links >= DISK_LINKS_MAX)
		return error_set(err, EMLINK, "the file \"%.200s\" has more than %d names", e->target, DISK_LINKS_MAX);
	*ret = n->inode;
	return 0;
}

/* Puts the inode (which carries one link for the time being) under the name, in the place of what is there. */
static void put_name(struct disk_apply *a, const struct place *p, struct disk_inode *inode)
{
	struct disk_name *old = disk_tree_find(a->tree, p->directory, p->name, p->length);
	if (old && old->inode == inode) {
		old->layer = a->layer;
	} else {
		if (old)
			disk_tree_remove(a->tree, old);
		disk_tree_add(a->tree, p->directory, p->name, p->length, inode)->layer = a->layer;
	}
	inode->links--;
}

static int apply_root(struct disk_apply *a, const struct tar_entry *e, struct error **err)
{
	if (e->type != TAR_DIRECTORY)
		return error_set(err, EINVAL, "the image's root can only be a directory");
	set_metadata(a->tree, a->tree->root, e);
	return 0;
}

static int apply_whiteout(struct disk_apply *a, const char *path, struct error **err)
{
	struct walk w = {.apply = a};
	struct place p;
	int r = find_place(&w, path, &p, err);
	if (r < 0)
		return r == -ENOENT ? 0
				    : r; /* nothing there to hide; umoci whites out what was in a directory that it replaces by a file */
	if (p.length == strlen(opaque) && memcmp(p.name, opaque, p.length) == 0) {
		disk_tree_remove_lower(a->tree, p.directory, a->layer);
		return 0;
	}
	if (p.length >= strlen(aufs) && memcmp(p.name, aufs, strlen(aufs)) == 0)
		return 0;
	p.name += strlen(whiteout);
	p.length -= strlen(whiteout);
	if (is_dots(p.name, p.length))
		return error_set(err, EINVAL, "the whiteout names nothing");
	struct disk_name *n = disk_tree_find(a->tree, p.directory, p.name, p.length);
	if (n)
		disk_tree_hide(a->tree, n, a->layer);
	return 0;
}

static int is_whiteout(const char *path)
{
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	return strncmp(path + start, whiteout, strlen(whiteout)) == 0;
}

static int apply_entry(struct disk_apply *a, const struct tar_entry *e, struct tar_reader *reader, struct error **err)
{
	if (is_whiteout(e->path))
		return apply_whiteout(a, e->path, err);
	struct walk w = {.apply = a, .entry = e};
	struct place p;
	int r = find_place(&w, e->path, &p, err);
	if (r < 0)
		return r;
	if (p.length == 0)
		return apply_root(a, e, err);
	if ((r = check_room(a, p.directory, err)) < 0)
		return r;
	struct disk_name *old = disk_tree_find(a->tree, p.directory, p.name, p.length);
	if (e->type == TAR_DIRECTORY && old && old->inode->type == TAR_DIRECTORY) {
		set_metadata(a->tree, old->inode, e);
		old->layer = a->layer;
		return 0;
	}
	struct disk_inode *inode = NULL;
	r = e->type == TAR_LINK ? find_target(a, e, &inode, err) : make_inode(a, e, reader, &inode, err);
	if (r < 0)
		return r;
	inode->links++;
	put_name(a, &p, inode);
	return 0;
}

int disk_apply_layer(struct disk_apply *a, struct tar_reader *reader, struct error **err)
{
	const struct tar_entry *e;
	int r;
	while ((r = tar_reader_next(reader, &e, err)) > 0)
		if ((r = apply_entry(a, e, reader, err)) < 0)
			return error_prefix(err, r, "entry \"%.200s\"", e->path);
	return r;
}
