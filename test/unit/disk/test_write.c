/* SPDX-License-Identifier: Apache-2.0
 * What a disk holds of one layer: every kind of entry and everything that an inode says. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/ext4.h"
#include "layers.h"

static char *folder;
static char *disk_path;

static int set_up(void **state)
{
	folder = folder_new();
	disk_path = path_join(folder, "disk.ext4");
	return 0;
}

static int tear_down(void **state)
{
	folder_remove(folder);
	free(disk_path);
	return 0;
}

static ext2_filsys write_one(struct test_layer *l)
{
	AUTO_ERROR struct error *err = NULL;
	int r = write_disk(disk_path, l, 1, &err);
	if (r < 0)
		print_error("%s\n", error_text(err, r));
	assert_int_equal(r, 0);
	assert_fsck(disk_path);
	return disk_open(disk_path);
}

static void assert_content(ext2_filsys fs, const char *path, const char *expected)
{
	AUTOFREE char *content = disk_content(fs, path, NULL);
	assert_non_null(content);
	assert_string_equal(content, expected);
}

static void test_empty(void **state)
{
	struct test_layer l;
	layer_start(&l);
	ext2_filsys fs = write_one(&l);
	struct ext2_inode_large inode;
	assert_int_not_equal(disk_inode(fs, "/lost+found", &inode), 0);
	assert_int_equal(inode.i_mode, S_IFDIR | 0700);
	ext2fs_free(fs);
	struct stat st;
	assert_int_equal(stat(disk_path, &st), 0);
	assert_true(st.st_size >= 512 << 20);
	assert_true(st.st_blocks * 512 < 4 << 20);
	/* No layer at all is an empty disk too. */
	assert_int_equal(write_disk(disk_path, NULL, 0, NULL), 0);
	assert_fsck(disk_path);
}

static void test_metadata(void **state)
{
	struct test_layer l;
	layer_start(&l);
	struct archive_entry *e = layer_entry(AE_IFREG, "etc/file");
	archive_entry_set_perm(e, 06751);
	archive_entry_set_uid(e, 4000000000LL);
	archive_entry_set_gid(e, 70000);
	archive_entry_set_mtime(e, 4102444800LL, 123456789); /* 2100 */
	archive_entry_set_atime(e, -1, 0);                   /* 1969 */
	layer_add(&l, e, "x", 1);
	e = layer_entry(AE_IFDIR, "./");
	archive_entry_set_perm(e, 01700);
	archive_entry_set_uid(e, 7);
	layer_add(&l, e, NULL, 0);
	ext2_filsys fs = write_one(&l);
	struct ext2_inode_large i;
	assert_int_not_equal(disk_inode(fs, "/etc/file", &i), 0);
	assert_int_equal(i.i_mode, S_IFREG | 06751);
	assert_int_equal((uint32_t)inode_uid(i), 4000000000U);
	assert_int_equal(inode_gid(i), 70000);
	assert_int_equal((int32_t)i.i_mtime + ((int64_t)(i.i_mtime_extra & 3) << 32), 4102444800LL);
	assert_int_equal(i.i_mtime_extra >> 2, 123456789);
	assert_int_equal((int32_t)i.i_atime, -1);
	assert_int_equal(i.i_atime_extra & 3, 0);
	assert_int_equal(i.i_atime_extra >> 2, 0);
	assert_int_equal(i.i_links_count, 1);
	assert_int_not_equal(disk_inode(fs, "/etc", &i), 0); /* made on the way */
	assert_int_equal(i.i_mode, S_IFDIR | 0755);
	assert_int_not_equal(disk_inode(fs, "/", &i), 0);
	assert_int_equal(i.i_mode, S_IFDIR | 01700);
	assert_int_equal(inode_uid(i), 7);
	ext2fs_free(fs);
}

static void test_kinds(void **state)
{
	struct test_layer l;
	char target[4000];
	memset(target, 't', sizeof target - 1);
	target[sizeof target - 1] = 0;
	layer_start(&l);
	layer_file(&l, "a", "content");
	layer_file(&l, "empty", "");
	layer_link(&l, "d/b", "a");
	layer_link(&l, "a", "d/b"); /* to itself */
	layer_symlink(&l, "fast", "a/b");
	layer_symlink(&l, "slow", target);
	struct archive_entry *e = layer_entry(AE_IFCHR, "null");
	archive_entry_set_rdevmajor(e, 1);
	archive_entry_set_rdevminor(e, 3);
	layer_add(&l, e, NULL, 0);
	e = layer_entry(AE_IFBLK, "disk");
	archive_entry_set_rdevmajor(e, 259);
	archive_entry_set_rdevminor(e, 70000);
	layer_add(&l, e, NULL, 0);
	layer_add(&l, layer_entry(AE_IFIFO, "fifo"), NULL, 0);
	ext2_filsys fs = write_one(&l);
	struct ext2_inode_large i;
	assert_content(fs, "/d/b", "content");
	assert_content(fs, "/empty", "");
	assert_int_equal(disk_inode(fs, "/a", &i), disk_inode(fs, "/d/b", NULL));
	assert_int_equal(i.i_links_count, 2);
	disk_inode(fs, "/fast", &i);
	assert_int_equal(i.i_mode, S_IFLNK | 0777);
	assert_memory_equal(i.i_block, "a/b", 3);
	assert_content(fs, "/slow", target);
	disk_inode(fs, "/null", &i);
	assert_int_equal(i.i_mode, S_IFCHR | 0644);
	assert_int_equal(i.i_block[0], 0x103);
	disk_inode(fs, "/disk", &i);
	assert_int_equal(i.i_mode, S_IFBLK | 0644);
	assert_int_equal(i.i_block[0], 0);
	assert_int_equal(i.i_block[1], (70000 & 0xff) | 259 << 8 | (70000 & ~0xff) << 12);
	disk_inode(fs, "/fifo", &i);
	assert_int_equal(i.i_mode, S_IFIFO | 0644);
	ext2fs_free(fs);
}

static void assert_xattr(ext2_filsys fs, const char *path, const char *name, const void *value, size_t size)
{
	struct ext2_xattr_handle *h = NULL;
	void *found = NULL;
	size_t found_size = 0;
	assert_int_equal(ext2fs_xattrs_open(fs, disk_inode(fs, path, NULL), &h), 0);
	assert_int_equal(ext2fs_xattrs_read(h), 0);
	assert_int_equal(ext2fs_xattr_get(h, name, &found, &found_size), 0);
	assert_int_equal(found_size, size);
	assert_memory_equal(found, value, size);
	ext2fs_free_mem(&found);
	ext2fs_xattrs_close(&h);
}

static void test_xattrs(void **state)
{
	static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 4 };
	char large[3000];
	struct test_layer l;
	memset(large, 'v', sizeof large);
	layer_start(&l);
	struct archive_entry *e = layer_entry(AE_IFREG, "ping");
	archive_entry_xattr_add_entry(e, "security.capability", capability, sizeof capability);
	archive_entry_xattr_add_entry(e, "user.small", "a\0b", 3);
	archive_entry_xattr_add_entry(e, "user.empty", "", 0);
	archive_entry_xattr_add_entry(e, "com.apple.nothing", "x", 1);
	layer_add(&l, e, "", 0);
	e = layer_entry(AE_IFDIR, "large");
	archive_entry_xattr_add_entry(e, "user.large", large, sizeof large);
	archive_entry_xattr_add_entry(e, "trusted.overlay.x", "y", 1);
	layer_add(&l, e, NULL, 0);
	e = layer_entry(AE_IFREG, "acl");
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_USER, 1234, "joe");
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
	archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, NULL);
	layer_add(&l, e, "", 0);
	ext2_filsys fs = write_one(&l);
	assert_xattr(fs, "/ping", "security.capability", capability, sizeof capability);
	assert_xattr(fs, "/ping", "user.small", "a\0b", 3);
	assert_xattr(fs, "/ping", "user.empty", "", 0);
	assert_xattr(fs, "/large", "user.large", large, sizeof large);
	assert_xattr(fs, "/large", "trusted.overlay.x", "y", 1);
	/* libext2fs gives entries that have no number on disk the number 0. */
	static const unsigned char acl[44] = { 2, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 2, 0, 4, 0, 0xd2, 4, 0, 0, 4, 0, 4,
		0, 0, 0, 0, 0, 16, 0, 4, 0, 0, 0, 0, 0, 32 };
	assert_xattr(fs, "/acl", "system.posix_acl_access", acl, sizeof acl);
	ext2fs_free(fs);
}

static void test_xattrs_too_large(void **state)
{
	char large[5000];
	struct test_layer l;
	AUTO_ERROR struct error *err = NULL;
	memset(large, 'v', sizeof large);
	layer_start(&l);
	struct archive_entry *e = layer_entry(AE_IFREG, "etc/large");
	archive_entry_xattr_add_entry(e, "user.large", large, sizeof large);
	layer_add(&l, e, "", 0);
	assert_int_equal(write_disk(disk_path, &l, 1, &err), -E2BIG);
	assert_non_null(strstr(err->text, "/etc/large"));
}

static void test_names(void **state)
{
	char name[256], path[4000];
	struct test_layer l;
	memset(name, 'n', 255);
	name[255] = 0;
	size_t length = 0;
	while (length + 101 < sizeof path) {
		memset(path + length, 'p', 100);
		path[length + 100] = '/';
		length += 101;
	}
	path[length - 1] = 0;
	layer_start(&l);
	layer_file(&l, name, "longest");
	layer_file(&l, path, "deep");
	layer_file(&l, "/absolute", "inside");
	layer_file(&l, "./with space\n\xff\xfe", "bytes");
	layer_file(&l,
	    "stra\xc3\x9f"
	    "e",
	    "umlaut");
	ext2_filsys fs = write_one(&l);
	AUTOFREE char *slashed = xasprintf("/%s", name);
	assert_content(fs, slashed, "longest");
	AUTOFREE char *deep = xasprintf("/%s", path);
	assert_content(fs, deep, "deep");
	assert_content(fs, "/absolute", "inside");
	assert_content(fs, "/with space\n\xff\xfe", "bytes");
	assert_content(fs,
	    "/stra\xc3\x9f"
	    "e",
	    "umlaut");
	ext2fs_free(fs);
}

/* Directories of one block, of one level of leaves and of two. */
static void test_large_directories(void **state)
{
	static const int counts[] = { 100, 5000, 60000 };
	struct test_layer l;
	layer_start(&l);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (int n = 0; n < counts[i]; n++) {
			char path[100];
			snprintf(path, sizeof path, "d%zu/a-name-that-is-not-so-short-%d", i, n);
			struct archive_entry *e = layer_entry(n % 1000 ? AE_IFIFO : AE_IFDIR, path);
			layer_add(&l, e, NULL, 0);
		}
	}
	ext2_filsys fs = write_one(&l);
	struct ext2_inode_large inode;
	assert_int_not_equal(disk_inode(fs, "/d2", &inode), 0);
	assert_true(inode.i_flags & EXT2_INDEX_FL);
	assert_int_equal(inode.i_links_count, 62);
	assert_int_not_equal(disk_inode(fs, "/d1/a-name-that-is-not-so-short-4999", NULL), 0);
	assert_int_not_equal(disk_inode(fs, "/d2/a-name-that-is-not-so-short-59999", NULL), 0);
	ext2fs_free(fs);
}

static void test_zeros(void **state)
{
	size_t size = 3 << 20;
	AUTOFREE char *data = xcalloc(1, size);
	struct test_layer l;
	layer_start(&l);
	layer_add(&l, layer_entry(AE_IFREG, "zeros"), data, size);
	data[0] = 'a';
	memcpy(data + (1 << 20) + 10, "middle", 6);
	memcpy(data + (1 << 20) + 20000, "near", 4);
	data[size - 1] = 'z';
	layer_add(&l, layer_entry(AE_IFREG, "mixed"), data, size);
	ext2_filsys fs = write_one(&l);
	struct ext2_inode_large inode;
	disk_inode(fs, "/zeros", &inode);
	assert_int_equal(inode.i_blocks, 0);
	assert_int_equal(inode.i_size, size);
	disk_inode(fs, "/mixed", &inode);
	assert_true(inode.i_blocks <= 8 * 8);
	size_t got = 0;
	AUTOFREE char *content = disk_content(fs, "/mixed", &got);
	assert_int_equal(got, size);
	assert_memory_equal(content, data, size);
	ext2fs_free(fs);
}

/* A sparse file in the archive, with so many pieces that its extents need blocks of their own. */
static void test_sparse(void **state)
{
	enum { PIECES = 2000, STEP = 128 << 10 };
	struct test_layer l;
	layer_start(&l);
	struct archive_entry *e = layer_entry(AE_IFREG, "sparse");
	size_t size = (size_t)PIECES * STEP + 777;
	archive_entry_set_size(e, (int64_t)size);
	for (int i = 0; i < PIECES; i++)
		archive_entry_sparse_add_entry(e, (int64_t)i * STEP + 100, 50);
	assert_int_equal(archive_write_header(l.archive, e), ARCHIVE_OK);
	AUTOFREE char *data = xcalloc(1, size);
	for (int i = 0; i < PIECES; i++)
		snprintf(data + (size_t)i * STEP + 100, 50, "piece %d", i);
	assert_int_equal(archive_write_data(l.archive, data, size), size);
	archive_entry_free(e);
	layer_file(&l, "after", "it");
	ext2_filsys fs = write_one(&l);
	size_t got = 0;
	AUTOFREE char *content = disk_content(fs, "/sparse", &got);
	assert_int_equal(got, size);
	assert_memory_equal(content, data, size);
	assert_content(fs, "/after", "it");
	struct ext2_inode_large inode;
	disk_inode(fs, "/sparse", &inode);
	assert_true(inode.i_blocks < 8 * (PIECES + 20));
	ext2fs_free(fs);
}

static void test_same_bytes(void **state)
{
	AUTOFREE char *other = path_join(folder, "other.ext4");
	for (int i = 0; i < 2; i++) {
		struct test_layer l;
		layer_start(&l);
		for (int n = 0; n < 300; n++) {
			char path[32];
			snprintf(path, sizeof path, "d/file-%d", n);
			layer_file(&l, path, path);
		}
		assert_int_equal(write_disk(i ? other : disk_path, &l, 1, NULL), 0);
	}
	AUTO_FD int a = open(disk_path, O_RDONLY | O_CLOEXEC), b = open(other, O_RDONLY | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(a, &st), 0);
	AUTOFREE char *x = xmalloc(1 << 20), *y = xmalloc(1 << 20);
	for (off_t at = 0; at < st.st_size; at += 1 << 20) {
		ssize_t n = pread(a, x, 1 << 20, at);
		assert_int_equal(pread(b, y, 1 << 20, at), n);
		assert_memory_equal(x, y, (size_t)n);
	}
	unlink(other);
}

static void test_find_first(void **state)
{
	static const char *const paths[] = { "/sbin/init", "/usr/sbin/init", "/init", NULL };
	struct test_layer l;
	const char *found = NULL;
	layer_start(&l);
	layer_symlink(&l, "sbin", "usr/sbin");
	layer_symlink(&l, "usr/sbin/init", "/lib/systemd/systemd");
	layer_file(&l, "init", "not executable");
	struct archive_entry *e = layer_entry(AE_IFREG, "lib/systemd/systemd");
	archive_entry_set_perm(e, 0755);
	layer_add(&l, e, "#!", 2);
	ext2fs_free(write_one(&l));
	assert_int_equal(disk_find_first(disk_path, paths, &found, NULL), 0);
	assert_string_equal(found, "/sbin/init");
	layer_start(&l);
	layer_file(&l, "init", "not executable");
	layer_symlink(&l, "sbin/init", "init");
	layer_directory(&l, "usr/sbin/init");
	ext2fs_free(write_one(&l));
	assert_int_equal(disk_find_first(disk_path, paths, &found, NULL), -ENOENT);
	assert_int_equal(disk_find_first("/dev/null", paths, &found, NULL), -EBADMSG);
}

static void test_refused_output(void **state)
{
	AUTO_FD int full = open(disk_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(full, "x", 1), 1);
	assert_int_equal(disk_write(full, NULL, 0, NULL, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_xattrs_too_large),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_large_directories),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_find_first),
		cmocka_unit_test(test_refused_output),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
