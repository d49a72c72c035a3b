/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: names are in one chained hash table (directory and text are the key, a
 * random seed keeps an image from choosing collisions; the order of the table decides nothing that
 * is written) and in a list per directory, in the order of their making, which is the order that
 * everything is written in. Recursion goes as deep as directories do: DISK_DEPTH_MAX.
 */
#include "disk/tree.h"

#include <sys/random.h>

#include "base/alloc.h"

enum { TABLE_START = 1024 };

void disk_tree_init(struct disk_tree *t)
{
	*t = (struct disk_tree){ 0 };
	if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) < 0)
		t->seed = 0x9e3779b97f4a7c15ULL;
	t->table_size = TABLE_START;
	t->table = xcalloc(t->table_size, sizeof(struct disk_name *));
	t->root = disk_inode_new(t, TAR_DIRECTORY);
	t->root->parent = t->root;
	t->root->mode = 0755;
	t->root->links = 1;
}

struct disk_inode *disk_inode_new(struct disk_tree *t, enum tar_type type)
{
	struct disk_inode *inode = xnew(struct disk_inode);
	inode->type = type;
	t->inodes++;
	t->bytes += sizeof *inode;
	return inode;
}

void disk_inode_set_times(struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mtime = e->mtime;
	inode->atime = e->atime;
	inode->ctime = e->ctime;
	inode->mtime_ns = e->mtime_ns;
	inode->atime_ns = e->atime_ns;
	inode->ctime_ns = e->ctime_ns;
}

int disk_keep_xattr(const char *name)
{
	return startswith(name, "user.") || startswith(name, "trusted.") || startswith(name, "security.") ||
	       streq(name, "system.posix_acl_access") || streq(name, "system.posix_acl_default");
}

static void free_xattrs(struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->xattr_count; i++) {
		free(inode->xattrs[i].name);
		free(inode->xattrs[i].value);
	}
	free(inode->xattrs);
}

static void set_xattrs(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e)
{
	free_xattrs(inode);
	inode->xattrs = NULL;
	inode->xattr_count = 0;
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		if (!disk_keep_xattr(x->name))
			continue;
		inode->xattrs = xrealloc(inode->xattrs, inode->xattr_count + 1, sizeof *inode->xattrs);
		inode->xattrs[inode->xattr_count++] =
		    (struct tar_xattr){ xstrdup(x->name), xmemdup(x->value, x->size), x->size };
		t->bytes += sizeof *x + strlen(x->name) + x->size;
	}
}

void disk_inode_describe(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e)
{
	inode->mode = e->type == TAR_SYMLINK ? 0777 : e->mode;
	inode->uid = e->uid;
	inode->gid = e->gid;
	inode->major = e->major;
	inode->minor = e->minor;
	disk_inode_set_times(inode, e);
	set_xattrs(t, inode, e);
}

static void inode_free(struct disk_inode *inode)
{
	free_xattrs(inode);
	free(inode->extents);
	free(inode->target);
	free(inode);
}

void disk_inode_drop(struct disk_tree *t, struct disk_inode *inode)
{
	if (inode->extent_count > 0 && t->release)
		t->release(inode, t->data);
	t->inodes--;
	t->bytes -= sizeof *inode;
	inode_free(inode);
}

/* All names are walked by the table, all inodes by their last name. */
void disk_tree_done(struct disk_tree *t)
{
	for (size_t i = 0; i < t->table_size; i++) {
		for (struct disk_name *n = t->table[i], *next; n; n = next) {
			next = n->chain;
			if (--n->inode->links == 0)
				inode_free(n->inode);
			free(n);
		}
	}
	free(t->table);
	if (t->root)
		inode_free(t->root);
	*t = (struct disk_tree){ 0 };
}

static uint32_t hash_name(const struct disk_tree *t, const struct disk_inode *directory, const char *name,
    size_t length)
{
	uint64_t h = t->seed ^ ((uintptr_t)directory * 0x9e3779b97f4a7c15ULL);
	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3ULL + (h >> 47);
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	return (uint32_t)(h >> 32);
}

struct disk_name *disk_tree_find(const struct disk_tree *t, const struct disk_inode *directory, const char *name,
    size_t length)
{
	uint32_t hash = hash_name(t, directory, name, length);
	struct disk_name *n = t->table[hash & (t->table_size - 1)];
	while (n && (n->hash != hash || n->directory != directory || n->length != length ||
			memcmp(n->text, name, length) != 0))
		n = n->chain;
	return n;
}

static void grow_table(struct disk_tree *t)
{
	size_t size = t->table_size * 2;
	struct disk_name **table = xcalloc(size, sizeof(struct disk_name *));
	for (size_t i = 0; i < t->table_size; i++) {
		for (struct disk_name *n = t->table[i], *next; n; n = next) {
			next = n->chain;
			n->chain = table[n->hash & (size - 1)];
			table[n->hash & (size - 1)] = n;
		}
	}
	free(t->table);
	t->table = table;
	t->table_size = size;
}

struct disk_name *disk_tree_add(struct disk_tree *t, struct disk_inode *directory, const char *name, size_t length,
    struct disk_inode *inode)
{
	if (t->names >= t->table_size)
		grow_table(t);
	struct disk_name *n = xmalloc(sizeof *n + length + 1);
	*n = (struct disk_name){
		.directory = directory,
		.inode = inode,
		.before = directory->last,
		.length = (uint8_t)length,
	};
	memcpy(n->text, name, length);
	n->text[length] = 0;
	n->hash = hash_name(t, directory, name, length);
	n->chain = t->table[n->hash & (t->table_size - 1)];
	t->table[n->hash & (t->table_size - 1)] = n;
	*(directory->last ? &directory->last->after : &directory->first) = n;
	directory->last = n;
	inode->links++;
	if (inode->type == TAR_DIRECTORY) {
		inode->parent = directory;
		inode->depth = directory->depth + 1;
		directory->subdirectories++;
	}
	t->names++;
	t->bytes += sizeof *n + length + 1;
	return n;
}

static void unlink_name(struct disk_tree *t, struct disk_name *n)
{
	struct disk_inode *directory = n->directory;
	struct disk_name **at = &t->table[n->hash & (t->table_size - 1)];
	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	*(n->before ? &n->before->after : &directory->first) = n->after;
	*(n->after ? &n->after->before : &directory->last) = n->before;
	if (n->inode->type == TAR_DIRECTORY)
		directory->subdirectories--;
	t->names--;
	t->bytes -= sizeof *n + (size_t)n->length + 1;
	free(n);
}

void disk_tree_remove(struct disk_tree *t, struct disk_name *name)
{
	struct disk_inode *inode = name->inode;
	if (inode->type == TAR_DIRECTORY)
		while (inode->first)
			disk_tree_remove(t, inode->first);
	unlink_name(t, name);
	if (--inode->links == 0)
		disk_inode_drop(t, inode);
}

void disk_tree_remove_lower(struct disk_tree *t, struct disk_inode *directory, uint32_t layer)
{
	for (struct disk_name *n = directory->first, *next; n; n = next) {
		next = n->after;
		disk_tree_hide(t, n, layer);
	}
}

void disk_tree_hide(struct disk_tree *t, struct disk_name *name, uint32_t layer)
{
	struct disk_inode *inode = name->inode;
	if (inode->type == TAR_DIRECTORY)
		disk_tree_remove_lower(t, inode, layer);
	if (name->layer < layer && !inode->first)
		disk_tree_remove(t, name);
}

char *disk_tree_path(const struct disk_tree *t, const struct disk_inode *inode)
{
	if (inode == t->root)
		return xstrdup("");
	const struct disk_name *found = NULL;
	for (size_t i = 0; !found && i < t->table_size; i++)
		for (const struct disk_name *n = t->table[i]; n && !found; n = n->chain)
			if (n->inode == inode)
				found = n;
	if (!found)
		return xstrdup("?");
	AUTOFREE char *above = disk_tree_path(t, found->directory);
	return xasprintf("%s/%s", above, found->text);
}
