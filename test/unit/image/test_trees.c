/* SPDX-License-Identifier: Apache-2.0
 * Layers as directories for overlayfs. The meaning of entries is tested in this process, whoever
 * runs it; owners, and that trees are what a disk of the same layers is, inside the user's mapping,
 * where the user has one.
 *
 *   test_trees LIST-TREE */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "../disk/layers.h"
#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "idmap/idmap.h"
#include "image/trees/jobs.h"
#include "image/trees/write.h"

enum { LAYERS_MAX = 4, OUTPUT_MAX = 8 << 20 };

static const char *list_tree;
static char *folder;

struct stack {
	struct test_layer layers[LAYERS_MAX];
	size_t count;
};

static int set_up(void **state)
{
	folder = folder_new_below("/var/tmp"); /* on a disk */
	return chmod(folder, 0755);
}

static int empty_folder(void *data, struct error **err)
{
	return path_remove_tree(AT_FDCWD, data);
}

static int tear_down(void **state)
{
	struct idmap ids;
	if (path_remove_tree(AT_FDCWD, folder) < 0 && idmap_of_user_or_single(&ids, NULL) == 0)
		(void)idmap_run(&ids, empty_folder, folder, NULL);
	folder_remove(folder);
	return 0;
}

static void stack_init(struct stack *s, size_t count)
{
	s->count = count;
	for (size_t i = 0; i < count; i++)
		layer_start(&s->layers[i]);
}

static struct test_layer *start_one(struct stack *s)
{
	stack_init(s, 1);
	return &s->layers[0];
}

static void stack_done(struct stack *s)
{
	for (size_t i = 0; i < s->count; i++)
		layer_done(&s->layers[i]);
}

static ssize_t give(void *data, const void **ret, struct error **err)
{
	struct test_layer *l = data;
	size_t n = l->size;
	*ret = l->data;
	l->size = 0;
	return (ssize_t)n;
}

struct below {
	int fds[LAYERS_MAX]; /* topmost first */
	size_t count;
	int asked;
};

static int lower(void *data, struct tree_view *ret, struct error **err)
{
	struct below *b = data;
	b->asked++;
	*ret = (struct tree_view){ .trees = b->fds, .count = b->count };
	return 0;
}

static char *tree_path(size_t layer, const char *name)
{
	return xasprintf("%s/t%zu/%s", folder, layer, name);
}

/* Writes all layers into t0, t1, ...; what the last one's writer says. */
static int write_trees(struct stack *s, struct tree_write *ret, struct error **err)
{
	struct below b = { 0 };
	int r = 0;
	for (size_t i = 0; i < s->count && r == 0; i++) {
		AUTOFREE char *path = tree_path(i, "");
		assert_int_equal(mkdir(path, 0700), 0);
		AUTO_FD int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		layer_end(&s->layers[i]);
		CLEANUP(tar_reader_freep) struct tar_reader *reader = tar_reader_new(give, &s->layers[i], NULL);
		if (i > 0)
			tree_write_done(ret);
		*ret = (struct tree_write){ .directory = fd, .lower = lower, .data = &b };
		r = tree_write_layer(ret, reader, err);
		assert_true(b.asked <= (int)i + 1);
		memmove(b.fds + 1, b.fds, b.count * sizeof b.fds[0]);
		b.fds[0] = TAKE_FD(fd);
		b.count++;
	}
	for (size_t i = 0; i < b.count; i++)
		close(b.fds[i]);
	return r;
}

static void write_well(struct stack *s, struct tree_write *t)
{
	AUTO_ERROR struct error *err = NULL;
	int r = write_trees(s, t, &err);
	assert_string_equal(r < 0 ? error_text(err, r) : "", "");
	stack_done(s);
}

static struct stat look(size_t layer, const char *name)
{
	AUTOFREE char *path = tree_path(layer, name);
	struct stat st = { 0 };
	if (lstat(path, &st) < 0)
		assert_int_equal(errno, ENOENT);
	return st;
}

static int is_there(size_t layer, const char *name)
{
	return look(layer, name).st_mode != 0;
}

static int is_whiteout(size_t layer, const char *name)
{
	return S_ISCHR(look(layer, name).st_mode) && look(layer, name).st_rdev == 0;
}

static int is_opaque(size_t layer, const char *name)
{
	AUTOFREE char *path = tree_path(layer, name);
	char value[2];
	return lgetxattr(path, TREE_XATTR_OPAQUE, value, sizeof value) == 1 && value[0] == 'y';
}

static void assert_content(size_t layer, const char *name, const char *expected)
{
	AUTOFREE char *path = tree_path(layer, name), *content = NULL;
	assert_int_equal(path_read_file(path, 1 << 20, &content, NULL), 0);
	assert_string_equal(content, expected);
}

static void test_whiteouts(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 2);
	layer_directory(&s.layers[0], "d");
	layer_file(&s.layers[0], "d/one", "1");
	layer_file(&s.layers[0], "d/two", "2");
	layer_directory(&s.layers[0], "gone");
	layer_file(&s.layers[0], "gone/x", "x");
	layer_directory(&s.layers[0], "new");
	layer_file(&s.layers[0], "new/old", "x");
	layer_directory(&s.layers[1], "d");
	layer_file(&s.layers[1], "d/.wh.one", "");
	layer_file(&s.layers[1], "d/.wh.nothing", "");
	layer_file(&s.layers[1], "d/.wh..wh.plnk", "");
	layer_file(&s.layers[1], ".wh.gone", "");
	layer_directory(&s.layers[1], "new");
	layer_file(&s.layers[1], "new/.wh..wh..opq", "");
	layer_file(&s.layers[1], "new/.wh.old", "");
	layer_file(&s.layers[1], "new/fresh", "f");
	write_well(&s, &t);
	assert_true(t.needs_lower);
	assert_true(is_whiteout(1, "d/one"));
	assert_false(is_there(1, "d/two"));
	assert_false(is_there(1, "d/nothing"));
	assert_false(is_there(1, "d/.wh.one"));
	assert_false(is_there(1, "d/.wh..wh.plnk"));
	assert_true(is_whiteout(1, "gone"));
	assert_true(is_opaque(1, "new"));
	assert_false(is_there(1, "new/old"));
	assert_content(1, "new/fresh", "f");
	assert_false(is_opaque(1, "d"));
	tree_write_done(&t);
}

static void test_stands_alone(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 2);
	layer_file(&s.layers[0], "below/it", "1");
	layer_directory(&s.layers[1], "./a/");
	layer_file(&s.layers[1], "/a/f", "1");
	layer_link(&s.layers[1], "a/g", "a/f");
	layer_symlink(&s.layers[1], "s", "a");
	layer_file(&s.layers[1], "s/by-symlink", "2");
	layer_file(&s.layers[1], "a/becomes", "file");
	layer_directory(&s.layers[1], "a/becomes");
	write_well(&s, &t);
	assert_false(t.needs_lower);
	assert_int_equal(look(1, "a/f").st_nlink, 2);
	assert_int_equal(look(1, "a/f").st_mtime, 1000000000);
	assert_content(1, "a/by-symlink", "2");
	assert_true(S_ISLNK(look(1, "s").st_mode));
	/* What was a directory below a file of this layer must not show in the directory that comes
	 * after it. */
	assert_true(is_opaque(1, "a/becomes"));
	tree_write_done(&t);
}

static void test_needs_lower(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 3);
	struct archive_entry *e = layer_entry(AE_IFDIR, "private");
	archive_entry_set_perm(e, 0710);
	archive_entry_set_mtime(e, 900000000, 5);
	archive_entry_xattr_add_entry(e, "user.note", "kept", 4);
	layer_add(&s.layers[0], e, NULL, 0);
	layer_file(&s.layers[0], "private/f", "one");
	layer_symlink(&s.layers[0], "link", "private");
	layer_file(&s.layers[0], "gone", "g");
	layer_directory(&s.layers[0], "hidden");
	layer_file(&s.layers[1], ".wh.hidden", "");
	layer_file(&s.layers[1], ".wh.gone", "");
	layer_file(&s.layers[2], "link/new", "two");
	layer_link(&s.layers[2], "hard", "private/f");
	layer_file(&s.layers[2], "hidden/new", "three");
	write_well(&s, &t);
	assert_true(t.needs_lower);
	assert_content(2, "private/new", "two");
	assert_int_equal(look(2, "private").st_mode & 07777, 0710);
	assert_int_equal(look(2, "private").st_mtime, 900000000);
	AUTOFREE char *private = tree_path(2, "private");
	char value[8];
	assert_int_equal(lgetxattr(private, "user.note", value, sizeof value), 4);
	assert_content(2, "hard", "one");
	assert_int_equal(look(2, "hard").st_ino, look(0, "private/f").st_ino);
	assert_false(is_there(2, "private/f"));
	assert_false(is_there(2, "link"));
	assert_int_equal(look(2, "hidden").st_mode & 07777, 0755);
	tree_write_done(&t);
}

static void test_attributes(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 1);
	struct archive_entry *e = layer_entry(AE_IFREG, "f");
	archive_entry_set_perm(e, 04755);
	archive_entry_set_mtime(e, 1000000001, 123456789);
	archive_entry_xattr_add_entry(e, "user.mine", "v", 1);
	archive_entry_xattr_add_entry(e, TREE_XATTR_OPAQUE, "y", 1);
	archive_entry_xattr_add_entry(e, "user.overlay.metacopy", "", 0);
	layer_add(&s.layers[0], e, "x", 1);
	e = layer_entry(AE_IFDIR, "d");
	archive_entry_set_perm(e, 02555);
	archive_entry_xattr_add_entry(e, TREE_XATTR_OPAQUE, "y", 1);
	archive_entry_xattr_add_entry(e, "user.overlay.redirect", "/etc", 4);
	layer_add(&s.layers[0], e, NULL, 0);
	e = layer_entry(AE_IFDIR, "roots");
	archive_entry_xattr_add_entry(e, "trusted.overlay.opaque", "y", 1);
	layer_add(&s.layers[0], e, NULL, 0);
	layer_add(&s.layers[0], layer_entry(AE_IFIFO, "fifo"), NULL, 0);
	e = layer_entry(AE_IFCHR, "null");
	archive_entry_set_rdev(e, makedev(1, 3));
	layer_add(&s.layers[0], e, NULL, 0);
	e = layer_entry(AE_IFCHR, "zero");
	archive_entry_set_rdev(e, makedev(1, 5));
	layer_add(&s.layers[0], e, NULL, 0);
	layer_link(&s.layers[0], "null2", "null");
	write_well(&s, &t);
	AUTOFREE char *f = tree_path(0, "f"), *d = tree_path(0, "d"), *roots = tree_path(0, "roots");
	char value[16];
	assert_int_equal(look(0, "f").st_mode & 07777, 04755);
	assert_int_equal(look(0, "f").st_mtim.tv_nsec, 123456789);
	assert_int_equal(lgetxattr(f, "user.mine", value, sizeof value), 1);
	assert_int_equal(lgetxattr(f, "user.overlay.metacopy", value, sizeof value), -1);
	assert_false(is_opaque(0, "f"));
	assert_false(is_opaque(0, "d"));
	assert_int_equal(lgetxattr(d, "user.overlay.redirect", value, sizeof value), -1);
	/* As the kernel shows them to a machine: without the escape. */
	assert_int_equal(lgetxattr(f, "user.overlay.overlay.metacopy", value, sizeof value), 0);
	assert_int_equal(lgetxattr(d, "user.overlay.overlay.opaque", value, sizeof value), 1);
	assert_int_equal(lgetxattr(d, "user.overlay.overlay.redirect", value, sizeof value), 4);
	assert_false(is_opaque(0, "roots"));
	assert_int_equal(lgetxattr(roots, "user.overlay.overlay.opaque", value, sizeof value), 1);
	assert_int_equal(look(0, "d").st_mode & 07777, 02555);
	assert_true(S_ISFIFO(look(0, "fifo").st_mode));
	assert_false(is_there(0, "null"));
	assert_false(is_there(0, "null2"));
	assert_false(is_there(0, "zero"));
	assert_int_equal(t.skipped.count, 3);
	assert_string_equal(t.skipped.items[0], "null");
	tree_write_done(&t);
}

static ssize_t attribute(size_t layer, const char *path, const char *name)
{
	char value[16];
	AUTOFREE char *full = tree_path(layer, path);
	return lgetxattr(full, name, value, sizeof value);
}

/* Whiteouts that an image has among its own files, as storage of containers does. */
static void test_whiteouts_of_the_image(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 1);
	layer_add(&s.layers[0], layer_entry(AE_IFDIR, "storage"), NULL, 0);
	struct archive_entry *e = layer_entry(AE_IFCHR, "storage/gone");
	archive_entry_set_rdev(e, makedev(0, 0));
	archive_entry_set_mtime(e, 1000000001, 0);
	layer_add(&s.layers[0], e, NULL, 0);
	e = layer_entry(AE_IFDIR, "roots");
	archive_entry_xattr_add_entry(e, "trusted.overlay.opaque", "y", 1);
	archive_entry_xattr_add_entry(e, "user.holm.kept.forged", "y", 1);
	layer_add(&s.layers[0], e, NULL, 0);
	layer_link(&s.layers[0], "roots/gone", "storage/gone");
	write_well(&s, &t);
	assert_int_equal(t.skipped.count, 0);
	assert_true(S_ISREG(look(0, "storage/gone").st_mode));
	assert_int_equal(look(0, "storage/gone").st_size, 0);
	assert_int_equal(look(0, "storage/gone").st_mtim.tv_sec, 1000000001);
	assert_int_equal(look(0, "roots/gone").st_ino, look(0, "storage/gone").st_ino);
	assert_int_equal(attribute(0, "storage/gone", "user.overlay.overlay.whiteout"), 1);
	assert_int_equal(attribute(0, "storage/gone", "user.holm.kept.device"), 1);
	assert_int_equal(attribute(0, "storage", "user.overlay.overlay.opaque"), 1);
	assert_int_equal(attribute(0, "storage", "user.holm.kept.folder"), 1);
	assert_int_equal(attribute(0, "roots", "user.overlay.overlay.opaque"), 1);
	assert_int_equal(attribute(0, "roots", "user.holm.kept.trusted.overlay.opaque"), 1);
	assert_int_equal(attribute(0, "roots", "user.holm.kept.forged"), -1);
	assert_false(is_opaque(0, "storage"));
	tree_write_done(&t);
}

static void test_sparse(void **state)
{
	struct tree_write t;
	struct stack s;
	stack_init(&s, 1);
	struct archive_entry *e = layer_entry(AE_IFREG, "sparse");
	archive_entry_set_size(e, 8 << 20);
	archive_entry_sparse_add_entry(e, 4 << 20, 4096);
	assert_int_equal(archive_write_header(s.layers[0].archive, e), ARCHIVE_OK);
	AUTOFREE char *content = xcalloc(1, 8 << 20);
	memset(content + (4 << 20), 'd', 4096);
	assert_true(archive_write_data(s.layers[0].archive, content, 8 << 20) > 0);
	archive_entry_free(e);
	write_well(&s, &t);
	struct stat st = look(0, "sparse");
	assert_int_equal(st.st_size, 8 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
	tree_write_done(&t);
}

static void expect_failure(struct stack *s, int code, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	struct tree_write t = { 0 };
	int r = write_trees(s, &t, &err);
	assert_int_equal(r, -code);
	assert_non_null(strstr(error_text(err, r), text));
	tree_write_done(&t);
	stack_done(s);
	assert_int_equal(tear_down(NULL), 0);
	assert_int_equal(set_up(NULL), 0);
}

static void test_hostile(void **state)
{
	struct stack s;
	layer_file(start_one(&s), "../../out", "x");
	expect_failure(&s, EINVAL, "\"..\"");
	layer_link(start_one(&s), "l", "../../../etc/passwd");
	expect_failure(&s, EINVAL, "\"..\"");
	layer_link(start_one(&s), "l", "/etc/passwd");
	expect_failure(&s, ENOENT, "which the image does not have");
	layer_symlink(start_one(&s), "a", "b");
	layer_symlink(&s.layers[0], "b", "a");
	layer_file(&s.layers[0], "a/x", "x");
	expect_failure(&s, ELOOP, "too many symbolic links");
	layer_file(start_one(&s), "f", "x");
	layer_file(&s.layers[0], "f/x", "x");
	expect_failure(&s, ENOTDIR, "is not a directory");
	layer_file(start_one(&s), "d/.wh.", "");
	layer_directory(&s.layers[0], "d");
	layer_file(&s.layers[0], "d/.wh..", "");
	expect_failure(&s, EINVAL, "the whiteout names nothing");
	layer_directory(start_one(&s), "d");
	layer_link(&s.layers[0], "l", "d");
	expect_failure(&s, EPERM, "a hard link to the directory");
}

/* Symlinks lead around inside the tree and nowhere else. */
static void test_symlinks_stay_inside(void **state)
{
	struct tree_write t;
	struct stack s;
	AUTOFREE char *outside = xasprintf("%s/outside", folder),
		      *up = xasprintf("../../../../../..%s/outside", folder);
	assert_int_equal(mkdir(outside, 0755), 0);
	stack_init(&s, 2);
	layer_symlink(&s.layers[0], "abs", outside);
	layer_symlink(&s.layers[0], "rel", up);
	layer_file(&s.layers[0], "abs/one", "1");
	layer_file(&s.layers[1], "rel/two", "2");
	write_well(&s, &t);
	AUTOFREE char *one = xasprintf("%s/one", outside), *two = xasprintf("%s/two", outside);
	assert_false(path_exists(one));
	assert_false(path_exists(two));
	assert_content(0, one + 1, "1");
	assert_content(1, two + 1, "2");
	tree_write_done(&t);
}

/* A hard link in the place of the folder that its target is in. */
static void test_link_over_its_folder(void **state)
{
	struct tree_write t;
	struct stack s;
	layer_directory(start_one(&s), "d");
	layer_file(&s.layers[0], "d/f", "content");
	layer_link(&s.layers[0], "d", "d/f");
	write_well(&s, &t);
	assert_content(0, "d", "content");
	tree_write_done(&t);
}

/* As deep as one name can say, with fewer descriptors than that; then a file takes the place of it
 * all. */
static void test_deep(void **state)
{
	enum { DEPTH = 1500, DESCRIPTORS = 300 };
	struct rlimit limit, few;
	struct tree_write t;
	struct stack s;
	AUTOFREE char *path = xcalloc(DEPTH * 2 + 2, 1);
	for (size_t i = 0; i < DEPTH; i++)
		memcpy(path + i * 2, "d/", 2);
	path[DEPTH * 2] = 'f';
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ DESCRIPTORS, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	stack_init(&s, 2);
	layer_file(&s.layers[0], path, "x");
	layer_file(&s.layers[1], path, "x");
	layer_file(&s.layers[1], "d", "a file");
	write_well(&s, &t);
	assert_content(1, "d", "a file");
	tree_write_done(&t);
	AUTOFREE char *first = tree_path(0, "");
	AUTO_FD int fd = open(first, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(is_there(0, "d"));
	assert_int_equal(tree_empty(fd), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void add_owned(struct test_layer *l, unsigned type, const char *path, int mode, int uid, int gid)
{
	struct archive_entry *e = layer_entry(type, path);
	archive_entry_set_perm(e, mode);
	archive_entry_set_uid(e, uid);
	archive_entry_set_gid(e, gid);
	layer_add(l, e, type == AE_IFREG ? path : NULL, type == AE_IFREG ? strlen(path) : 0);
}

static void fill_first(struct test_layer *l)
{
	static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 4 };
	layer_directory(l, "etc/");
	layer_file(l, "etc/a", "a");
	layer_link(l, "etc/a2", "etc/a");
	layer_symlink(l, "sbin", "usr/sbin");
	add_owned(l, AE_IFDIR, "usr", 0755, 0, 0);
	add_owned(l, AE_IFDIR, "usr/sbin", 02750, 3, 4);
	add_owned(l, AE_IFREG, "usr/sbin/init", 04755, 5, 6);
	add_owned(l, AE_IFIFO, "fifo", 0620, 1000, 1000);
	add_owned(l, AE_IFREG, "usr/sbin/secret", 0, 65000, 65000);
	layer_directory(l, "w");
	layer_file(l, "w/x", "x");
	layer_directory(l, "w/y");
	layer_file(l, "w/y/z", "z");
	layer_directory(l, "w/y/deep");
	layer_file(l, "w/y/deep/z", "z");
	layer_file(l, "w/file", "becomes a directory");
	layer_directory(l, "w/directory");
	struct archive_entry *e = layer_entry(AE_IFREG, "able");
	archive_entry_set_perm(e, 0755);
	archive_entry_xattr_add_entry(e, "security.capability", capability, sizeof capability);
	archive_entry_xattr_add_entry(e, "user.note", "n", 1);
	layer_add(l, e, "x", 1);
	e = layer_entry(AE_IFDIR, "acl");
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 7, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 5, ARCHIVE_ENTRY_ACL_USER, 33, "www-data");
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 5, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 5, ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 5, ARCHIVE_ENTRY_ACL_OTHER, -1, NULL);
	layer_add(l, e, NULL, 0);
}

static void fill_second(struct test_layer *l)
{
	layer_file(l, "etc/b", "implied folder");
	layer_link(l, "c", "etc/a");
	layer_file(l, "sbin/by-symlink", "s");
	layer_file(l, ".wh.nothing", "");
	layer_file(l, "w/.wh.x", "");
	layer_file(l, "w/y/.wh..wh..opq", "");
	layer_file(l, "w/y/n", "n");
	layer_directory(l, "w/y/deep");
	layer_file(l, "w/file/.wh.inside-nothing", "");
	layer_directory(l, "w/file");
	layer_file(l, "w/file/f", "f");
	layer_file(l, "w/directory", "a file");
	layer_directory(l, "again");
	layer_file(l, "again", "a file, then a folder");
	layer_directory(l, "again");
	layer_file(l, "no/folders/described", "x");
	layer_file(l, "acl/more", "x");
}

static void fill_third(struct test_layer *l)
{
	layer_directory(l, "w");
	layer_file(l, "w/.wh.y", "");
	layer_file(l, "w/y/back", "in a new folder");
	layer_file(l, "w/x", "back");
	layer_file(l, "again/in", "x");
	layer_file(l, "no/folders/.wh.described", "");
	layer_link(l, "no/link", "no/folders/other");
}

static void fill(struct stack *s)
{
	stack_init(s, 3);
	fill_first(&s->layers[0]);
	fill_second(&s->layers[1]);
	layer_file(&s->layers[2], "no/folders/other", "o");
	fill_third(&s->layers[2]);
}

/* Inside the mapping: writes the trees, mounts them, lists them. */
static int list_overlay(void *data, struct error **err)
{
	struct tree_write t = { 0 };
	struct stack s;
	umask(0);
	fill(&s);
	int r = write_trees(&s, &t, err);
	stack_done(&s);
	tree_write_done(&t);
	if (r < 0)
		return r;
	AUTOFREE char *merged = xasprintf("%s/merged", folder),
		      *options = xasprintf("userxattr,lowerdir=%s/t2:%s/t1:%s/t0", folder, folder, folder),
		      *path = xasprintf("%s/listed", folder), *output = NULL;
	if (mkdir(merged, 0755) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("overlay", merged, "overlay", MS_RDONLY, options) < 0)
		return error_set_errno(err, errno, "cannot mount");
	char *argv[] = { (char *)list_tree, merged, NULL };
	r = spawn_capture(argv, OUTPUT_MAX, clock_deadline(60000), &output, err);
	if (r != 0)
		return r < 0 ? r : error_set(err, EIO, "list-tree failed");
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd_write_full(fd, output, strlen(output));
}

static void lines_of(char *text, struct strv *ret)
{
	AUTO_STRV struct strv all = { 0 };
	strv_split(&all, text, "\n");
	for (size_t i = 0; i < all.count; i++)
		if (!startswith(all.items[i], "/ ")) /* no layer says anything about the root */
			strv_add(ret, all.items[i]);
	strv_sort(ret);
}

static void test_same_as_a_disk(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv on_disk = { 0 }, in_trees = { 0 };
	struct idmap ids;
	struct stack s;
	uint32_t root = 0;
	if (idmap_of_user(&ids, &err) < 0) {
		print_message("skipped: %s\n", error_text(err, 0));
		skip();
	}
	assert_true(idmap_outside(ids.uids, ids.uid_count, 0, &root));
	if (ids.by_root)
		assert_int_equal(chown(folder, root, root), 0);
	fill(&s);
	AUTOFREE char *disk = xasprintf("%s/disk.ext4", folder), *path = xasprintf("%s/listed", folder), *wanted = NULL,
		      *listed = NULL;
	assert_int_equal(write_disk(disk, s.layers, s.count, &err), 0);
	int r = idmap_run(&ids, list_overlay, NULL, &err);
	assert_string_equal(r < 0 ? error_text(err, r) : "", "");
	char *argv[] = { (char *)list_tree, (char *)"--disk", disk, NULL };
	assert_int_equal(spawn_capture(argv, OUTPUT_MAX, clock_deadline(60000), &wanted, &err), 0);
	assert_int_equal(path_read_file(path, OUTPUT_MAX, &listed, NULL), 0);
	lines_of(wanted, &on_disk);
	lines_of(listed, &in_trees);
	for (size_t i = 0; i < MIN(on_disk.count, in_trees.count); i++)
		assert_string_equal(in_trees.items[i], on_disk.items[i]);
	assert_int_equal(in_trees.count, on_disk.count);
	assert_true(in_trees.count > 20);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_whiteouts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stands_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_needs_lower, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attributes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_whiteouts_of_the_image, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sparse, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_symlinks_stay_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link_over_its_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deep, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_as_a_disk, set_up, tear_down) };
	if (argc < 2)
		return 77;
	list_tree = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
