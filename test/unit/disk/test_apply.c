/* SPDX-License-Identifier: Apache-2.0
 * Layers over one another, and layers that try to get out. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/ext4.h"
#include "layers.h"
#include "oci/layer.h"

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

static ext2_filsys write_layers(struct test_layer *layers, size_t count)
{
	AUTO_ERROR struct error *err = NULL;
	int r = write_disk(disk_path, layers, count, &err);
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

static void assert_gone(ext2_filsys fs, const char *path)
{
	assert_int_equal(disk_inode(fs, path, NULL), 0);
}

static void test_whiteouts(void **state)
{
	struct test_layer l[3];
	for (int i = 0; i < 3; i++)
		layer_start(&l[i]);
	layer_file(&l[0], "a", "old");
	layer_file(&l[0], "dir/one", "1");
	layer_file(&l[0], "dir/two", "2");
	layer_file(&l[0], "opaque/old", "o");
	layer_file(&l[0], "opaque/deep/old", "o");
	layer_file(&l[0], "gone/below/file", "g");
	layer_file(&l[0], "kept", "k");
	layer_file(&l[1], ".wh.a", "");
	layer_file(&l[1], "dir/.wh.one", "");
	layer_file(&l[1], "gone/new", "new");
	layer_file(&l[1], ".wh.gone", "");
	layer_file(&l[1], "opaque/new", "n");
	layer_file(&l[1], "opaque/.wh..wh..opq", "");
	layer_file(&l[1], "missing/.wh.nothing", "");
	layer_file(&l[1], ".wh..wh.plnk", "");
	layer_file(&l[1], "kept/.wh.below-a-file", "");
	layer_file(&l[1], "same", "layer");
	layer_file(&l[1], ".wh.same", "");
	layer_file(&l[2], "a", "again");
	layer_file(&l[2], "dir/.wh.two", "");
	ext2_filsys fs = write_layers(l, 3);
	assert_content(fs, "/a", "again");
	assert_gone(fs, "/dir/one");
	assert_gone(fs, "/dir/two");
	assert_int_not_equal(disk_inode(fs, "/dir", NULL), 0);
	assert_content(fs, "/gone/new", "new");
	assert_gone(fs, "/gone/below");
	assert_content(fs, "/opaque/new", "n");
	assert_gone(fs, "/opaque/old");
	assert_gone(fs, "/opaque/deep");
	assert_gone(fs, "/missing");
	assert_gone(fs, "/.wh.a");
	assert_gone(fs, "/.wh..wh.plnk");
	assert_content(fs, "/same", "layer");
	assert_content(fs, "/kept", "k");
	ext2fs_free(fs);
}

static void test_replace(void **state)
{
	struct test_layer l[2];
	struct ext2_inode_large inode;
	for (int i = 0; i < 2; i++)
		layer_start(&l[i]);
	layer_file(&l[0], "file-to-dir", "f");
	layer_file(&l[0], "dir-to-file/below", "d");
	layer_directory(&l[0], "real");
	layer_symlink(&l[0], "link-to-dir", "real");
	layer_file(&l[0], "dir-to-link/below", "d");
	layer_file(&l[0], "merged/old", "o");
	layer_file(&l[0], "shared", "1");
	layer_link(&l[0], "other-name", "shared");
	layer_file(&l[0], "by-link", "x");
	layer_file(&l[1], "file-to-dir/new", "n");
	layer_done(&l[1]);
	layer_start(&l[1]);
	layer_directory(&l[1], "file-to-dir/");
	layer_file(&l[1], "file-to-dir/new", "n");
	layer_file(&l[1], "dir-to-file", "now a file");
	layer_directory(&l[1], "link-to-dir");
	layer_file(&l[1], "link-to-dir/in", "i");
	layer_symlink(&l[1], "dir-to-link", "real");
	struct archive_entry *e = layer_entry(AE_IFDIR, "merged");
	archive_entry_set_perm(e, 0700);
	layer_add(&l[1], e, NULL, 0);
	layer_file(&l[1], "shared", "2");
	layer_link(&l[1], "by-link", "other-name");
	ext2_filsys fs = write_layers(l, 2);
	assert_content(fs, "/file-to-dir/new", "n");
	assert_content(fs, "/dir-to-file", "now a file");
	assert_content(fs, "/link-to-dir/in", "i");
	assert_gone(fs, "/real/in");
	disk_inode(fs, "/dir-to-link", &inode);
	assert_int_equal(inode.i_mode, S_IFLNK | 0777);
	disk_inode(fs, "/merged", &inode);
	assert_int_equal(inode.i_mode, S_IFDIR | 0700);
	assert_content(fs, "/merged/old", "o");
	assert_content(fs, "/shared", "2");
	assert_content(fs, "/other-name", "1");
	assert_int_equal(disk_inode(fs, "/by-link", &inode), disk_inode(fs, "/other-name", NULL));
	assert_int_equal(inode.i_links_count, 2);
	ext2fs_free(fs);
}

/* Blocks of replaced files are used again and their content does not shine through. */
static void test_blocks_again(void **state)
{
	enum { LAYERS = 12, SIZE = 4 << 20 };
	struct test_layer l[LAYERS];
	AUTOFREE char *data = xmalloc(SIZE);
	for (int i = 0; i < LAYERS; i++) {
		memset(data, 'a' + i, SIZE);
		layer_start(&l[i]);
		layer_add(&l[i], layer_entry(AE_IFREG, "big"), data, SIZE - (size_t)i * 100000);
		layer_add(&l[i], layer_entry(AE_IFREG, i % 2 ? "odd" : "even"), data, 10000);
	}
	ext2_filsys fs = write_layers(l, LAYERS);
	size_t size = 0;
	AUTOFREE char *content = disk_content(fs, "/big", &size);
	assert_int_equal(size, SIZE - (LAYERS - 1) * 100000);
	assert_memory_equal(content, data, size);
	ext2fs_free(fs);
	struct stat st;
	assert_int_equal(stat(disk_path, &st), 0);
	assert_true(st.st_blocks * 512 < 3 * SIZE);
	assert_true(st.st_size <= 768 << 20);
}

static void test_symlinks_on_the_way(void **state)
{
	struct test_layer l[2];
	layer_start(&l[0]);
	layer_start(&l[1]);
	layer_directory(&l[0], "usr/bin");
	layer_symlink(&l[0], "bin", "usr/bin");
	layer_symlink(&l[0], "out", "../../../..");
	layer_symlink(&l[0], "abs", "/usr");
	layer_symlink(&l[0], "dangling", "not/yet");
	layer_file(&l[1], "bin/sh", "shell");
	layer_file(&l[1], "out/escaped", "inside");
	layer_file(&l[1], "abs/lib/x", "x");
	layer_file(&l[1], "dangling/y", "y");
	layer_link(&l[1], "hard", "bin/sh");
	ext2_filsys fs = write_layers(l, 2);
	assert_content(fs, "/usr/bin/sh", "shell");
	assert_content(fs, "/escaped", "inside");
	assert_content(fs, "/usr/lib/x", "x");
	assert_content(fs, "/not/yet/y", "y");
	assert_content(fs, "/hard", "shell");
	ext2fs_free(fs);
}

/* One entry that must be refused, after a few good ones. */
static void assert_refused(unsigned type, const char *path, const char *target, int code, const char *text)
{
	struct test_layer l;
	AUTO_ERROR struct error *err = NULL;
	layer_start(&l);
	layer_file(&l, "file", "f");
	layer_directory(&l, "dir");
	layer_symlink(&l, "loop", "loop");
	if (type == AE_IFREG && target) {
		layer_link(&l, path, target);
	} else if (type == AE_IFLNK) {
		layer_symlink(&l, path, target);
	} else {
		layer_add(&l, layer_entry(type, path), type == AE_IFREG ? "x" : NULL, 1);
	}
	assert_int_equal(write_disk(disk_path, &l, 1, &err), -code);
	if (!strstr(err->text, text) || !startswith(err->text, "layer 1: "))
		print_error("%s\n", err->text);
	assert_non_null(strstr(err->text, text));
	assert_non_null(startswith(err->text, "layer 1: "));
	assert_null(strchr(err->text, '\n'));
}

static void test_refused(void **state)
{
	char name[10001];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	assert_refused(AE_IFREG, "../escape", NULL, EINVAL, "\"..\"");
	assert_refused(AE_IFREG, "a/../../escape", NULL, EINVAL, "\"..\"");
	assert_refused(AE_IFREG, "dir/..", NULL, EINVAL, "\"..\"");
	assert_refused(AE_IFREG, "x", "../../etc/passwd", EINVAL, "\"..\"");
	assert_refused(AE_IFREG, "x", "/etc/passwd", ENOENT, "hard link to \"/etc/passwd\"");
	assert_refused(AE_IFREG, "x", "dir", EPERM, "directory");
	assert_refused(AE_IFREG, "x", "loop/y", ELOOP, "symbolic links");
	assert_refused(AE_IFREG, "file/below", NULL, ENOTDIR, "\"file\"");
	assert_refused(AE_IFREG, "loop/below", NULL, ELOOP, "symbolic links");
	assert_refused(AE_IFREG, "/", NULL, EINVAL, "root");
	assert_refused(AE_IFREG, "dir/.wh...", NULL, EINVAL, "whiteout");
	assert_refused(AE_IFREG, "dir/.wh.", NULL, EINVAL, "whiteout");
	assert_refused(AE_IFREG, name, NULL, ENAMETOOLONG, "10000 bytes");
	assert_refused(AE_IFLNK, "x", name, ENAMETOOLONG, "10000 bytes");
	name[300] = 0;
	assert_refused(AE_IFREG, name, NULL, ENAMETOOLONG, "300 bytes");
	name[4] = '/';
	assert_refused(AE_IFREG, name, NULL, ENAMETOOLONG, "295 bytes");
}

static int memory_fd(const void *data, size_t size)
{
	int fd = memfd_create("layer", MFD_CLOEXEC);
	assert_int_equal(fd_write_full(fd, data, size), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int write_blob(const void *data, size_t size, const struct disk_layer *like, const struct disk_options *o,
    struct error **err)
{
	struct disk_layer layer = *like;
	AUTO_FD int blob = memory_fd(data, size);
	AUTO_FD int fd = open(disk_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	layer.fd = blob;
	return disk_write(fd, &layer, 1, o, err);
}

static void *gzip(const void *data, size_t size, size_t *ret_size)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t max = deflateBound(&z, size) + 64;
	unsigned char *out = xmalloc(max);
	z.next_in = (unsigned char *)data;
	z.avail_in = (unsigned)size;
	z.next_out = out;
	z.avail_out = (unsigned)max;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*ret_size = max - z.avail_out;
	deflateEnd(&z);
	return out;
}

static void test_codecs(void **state)
{
	static const struct disk_layer like = { .media_type = "application/vnd.oci.image.layer.v1.tar+gzip" };
	struct test_layer l;
	layer_start(&l);
	layer_file(&l, "etc/motd", "hello");
	layer_end(&l);
	size_t zipped = 0, half = 0, rest = 0;
	AUTOFREE unsigned char *gz = gzip(l.data, l.size, &zipped);
	assert_int_equal(write_blob(gz, zipped, &like, NULL, NULL), 0);
	assert_fsck(disk_path);
	/* Two members, and zeros behind them. */
	AUTOFREE unsigned char *a = gzip(l.data, 700, &half), *b = gzip(l.data + 700, l.size - 700, &rest);
	AUTOFREE unsigned char *both = xcalloc(1, half + rest + 100);
	memcpy(both, a, half);
	memcpy(both + half, b, rest);
	assert_int_equal(write_blob(both, half + rest + 100, &like, NULL, NULL), 0);
	AUTOFREE unsigned char *z = xmalloc(ZSTD_compressBound(l.size));
	size_t zsize = ZSTD_compress(z, ZSTD_compressBound(l.size), l.data, l.size, 3);
	assert_int_equal(write_blob(z, zsize, &like, NULL, NULL), 0);
	ext2_filsys fs = disk_open(disk_path);
	assert_content(fs, "/etc/motd", "hello");
	ext2fs_free(fs);
	/* Cut off, damaged, of a type that is no layer's. */
	AUTO_ERROR struct error *cut = NULL, *damaged = NULL, *type = NULL, *plain = NULL;
	assert_int_equal(write_blob(gz, zipped - 5, &like, NULL, &cut), -EBADMSG);
	assert_non_null(strstr(cut->text, "cut off"));
	gz[zipped / 2] ^= 0xff;
	assert_int_equal(write_blob(gz, zipped, &like, NULL, &damaged), -EBADMSG);
	assert_int_equal(write_blob(z, zsize, &(struct disk_layer){ .media_type = "application/x+encrypted" }, NULL,
			     &type),
	    -EOPNOTSUPP);
	/* in the content; padding may be missing */
	assert_int_equal(write_blob(l.data, 512 + 2, &like, NULL, &plain), -EBADMSG);
	layer_done(&l);
}

static void test_diff_id(void **state)
{
	static const char zeros[1024],
	    empty[] = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(write_blob(zeros, sizeof zeros, &(struct disk_layer){ .diff_id = empty }, NULL, NULL), 0);
	struct disk_layer wrong = {
		.diff_id = "sha256:0000000000000000000000000000000000000000000000000000000000000000",
		.name = "layer 7 (x)",
	};
	assert_int_equal(write_blob(zeros, sizeof zeros, &wrong, NULL, &err), -EBADMSG);
	assert_non_null(startswith(err->text, "layer 7 (x): "));
}

static void test_bomb(void **state)
{
	enum { SIZE = 64 << 20 };
	static const struct disk_layer like;
	AUTOFREE char *zeros = xcalloc(1, SIZE);
	size_t zipped = 0;
	AUTOFREE unsigned char *gz = gzip(zeros, SIZE, &zipped);
	AUTO_ERROR struct error *err = NULL;
	struct disk_options o = { .max_bytes = 8 << 20 };
	assert_int_equal(write_blob(gz, zipped, &like, &o, &err), -E2BIG);
	assert_non_null(strstr(err->text, "expand"));
	print_message("%s\n", err->text);
}

static void test_bomb_by_ratio(void **state)
{
	enum { SIZE = 64 << 20 };
	static const struct layer_limits limits = { .max_bytes = UINT64_MAX, .max_ratio = 100, .ratio_from = 1 << 20 };
	AUTOFREE char *zeros = xcalloc(1, SIZE);
	size_t zipped = 0;
	AUTOFREE unsigned char *gz = gzip(zeros, SIZE, &zipped);
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int blob = memory_fd(gz, zipped);
	CLEANUP(layer_reader_freep) struct layer_reader *l = NULL;
	const void *data;
	ssize_t n;
	assert_int_equal(layer_reader_open(blob, NULL, &limits, &l, &err), 0);
	while ((n = layer_reader_read(l, &data, &err)) > 0)
		;
	assert_int_equal(n, -E2BIG);
	assert_non_null(strstr(err->text, "bomb"));
}

/* Zeros that ISA-L or zlib has deflated are no bomb, however many they are. */
static void test_zeros_are_no_bomb(void **state)
{
	enum { SIZE = 64 << 20, DEFLATE_MAX = 1032 };
	const struct layer_limits limits = {
		.max_bytes = UINT64_MAX,
		.max_ratio = layer_default_limits.max_ratio,
		.ratio_from = 1 << 20,
	};
	AUTOFREE char *zeros = xcalloc(1, SIZE);
	size_t zipped = 0;
	AUTOFREE unsigned char *gz = gzip(zeros, SIZE, &zipped);
	AUTO_FD int blob = memory_fd(gz, zipped);
	CLEANUP(layer_reader_freep) struct layer_reader *l = NULL;
	const void *data;
	ssize_t n;
	assert_true(SIZE / zipped > DEFLATE_MAX - 32);
	assert_int_equal(layer_reader_open(blob, NULL, &limits, &l, NULL), 0);
	while ((n = layer_reader_read(l, &data, NULL)) > 0)
		;
	assert_int_equal(n, 0);
}

static int cancel(uint64_t done, uint64_t total, void *data)
{
	++*(int *)data;
	return -ECANCELED;
}

static void test_cancel(void **state)
{
	static const struct disk_layer like;
	int calls = 0;
	char zeros[4096] = { 0 };
	struct disk_options o = { .progress = cancel, .data = &calls };
	assert_int_equal(write_blob(zeros, sizeof zeros, &like, &o, NULL), -ECANCELED);
	assert_int_equal(calls, 1);
}

/* A writer of a pipe that goes silent: freeing the reader does not wait for it. */
static void test_pipe(void **state)
{
	int pipe[2];
	struct test_layer l;
	layer_start(&l);
	layer_file(&l, "../bad", "x");
	layer_end(&l);
	assert_int_equal(fd_pipe(pipe), 0);
	assert_int_equal(fd_write_full(pipe[1], l.data, l.size), 0);
	layer_done(&l);
	AUTO_FD int fd = open(disk_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* The decoder fills whole slots, so that the entry comes only with the end of the pipe or
	 * enough data. */
	AUTOFREE char *more = xcalloc(1, 65536);
	fd_set_nonblocking(pipe[1], 1);
	(void)!write(pipe[1], more, 32768);
	close(pipe[1]);
	assert_int_equal(disk_write_tar(pipe[0], fd, NULL, NULL), -EINVAL);
	close(pipe[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whiteouts),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_blocks_again),
		cmocka_unit_test(test_symlinks_on_the_way),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_diff_id),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_bomb_by_ratio),
		cmocka_unit_test(test_zeros_are_no_bomb),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_pipe),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
