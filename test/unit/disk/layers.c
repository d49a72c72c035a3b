/* SPDX-License-Identifier: Apache-2.0 */
#include "layers.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "disk/ext4.h"

void layer_start(struct test_layer *l)
{
	*l = (struct test_layer){ .data = xmalloc(LAYER_MAX), .archive = archive_write_new() };
	archive_write_set_format_pax(l->archive);
	archive_write_set_bytes_per_block(l->archive, 512);
	assert_int_equal(archive_write_open_memory(l->archive, l->data, LAYER_MAX, &l->size), ARCHIVE_OK);
}

struct archive_entry *layer_entry(unsigned type, const char *path)
{
	struct archive_entry *e = archive_entry_new();
	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_mtime(e, 1000000000, 0);
	return e;
}

void layer_add(struct test_layer *l, struct archive_entry *e, const void *data, size_t size)
{
	if (data)
		archive_entry_set_size(e, (int64_t)size);
	int r = archive_write_header(l->archive, e);
	assert_true(r == ARCHIVE_OK || r == ARCHIVE_WARN);
	if (data)
		assert_int_equal(archive_write_data(l->archive, data, size), size);
	archive_entry_free(e);
}

void layer_file(struct test_layer *l, const char *path, const char *content)
{
	layer_add(l, layer_entry(AE_IFREG, path), content, strlen(content));
}

void layer_directory(struct test_layer *l, const char *path)
{
	layer_add(l, layer_entry(AE_IFDIR, path), NULL, 0);
}

void layer_symlink(struct test_layer *l, const char *path, const char *target)
{
	struct archive_entry *e = layer_entry(AE_IFLNK, path);
	archive_entry_set_symlink(e, target);
	layer_add(l, e, NULL, 0);
}

void layer_link(struct test_layer *l, const char *path, const char *target)
{
	struct archive_entry *e = layer_entry(AE_IFREG, path);
	archive_entry_set_hardlink(e, target);
	layer_add(l, e, NULL, 0);
}

void layer_end(struct test_layer *l)
{
	if (!l->archive)
		return;
	assert_int_equal(archive_write_close(l->archive), ARCHIVE_OK);
	archive_write_free(l->archive);
	l->archive = NULL;
}

void layer_done(struct test_layer *l)
{
	layer_end(l);
	free(l->data);
	*l = (struct test_layer){ 0 };
}

int write_disk(const char *path, struct test_layer *layers, size_t count, struct error **err)
{
	AUTOFREE struct disk_layer *d = xcalloc(count, sizeof *d);
	for (size_t i = 0; i < count; i++) {
		layer_end(&layers[i]);
		d[i] = (struct disk_layer){ .fd = memfd_create("layer", MFD_CLOEXEC), .size = layers[i].size };
		assert_int_equal(fd_write_full(d[i].fd, layers[i].data, layers[i].size), 0);
		assert_int_equal(lseek(d[i].fd, 0, SEEK_SET), 0);
		layer_done(&layers[i]);
	}
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	int r = disk_write(fd, d, count, NULL, err);
	for (size_t i = 0; i < count; i++)
		close(d[i].fd);
	return r;
}

void assert_fsck(const char *path)
{
	char *argv[] = { (char *)"/sbin/e2fsck", (char *)"-fn", (char *)path, NULL };
	AUTOFREE char *output = NULL;
	int r = spawn_capture(argv, 1 << 20, clock_deadline(60000), &output, NULL);
	if (r == -ENOENT)
		return;
	if (r != 0)
		print_error("%s\n", output);
	assert_int_equal(r, 0);
}

ext2_filsys disk_open(const char *path)
{
	ext2_filsys fs = NULL;
	assert_int_equal(ext2fs_open(path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs), 0);
	return fs;
}

ext2_ino_t disk_inode(ext2_filsys fs, const char *path, struct ext2_inode_large *ret)
{
	ext2_ino_t number = 0;
	union {
		struct ext2_inode_large inode;
		char bytes[256];
	} buffer = { 0 };
	if (ext2fs_namei(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &number) != 0)
		return 0;
	assert_int_equal(ext2fs_read_inode_full(fs, number, (struct ext2_inode *)&buffer, sizeof buffer), 0);
	if (ret)
		*ret = buffer.inode;
	return number;
}

char *disk_content(ext2_filsys fs, const char *path, size_t *ret_size)
{
	ext2_file_t file = NULL;
	ext2_ino_t number = disk_inode(fs, path, NULL);
	if (number == 0)
		return NULL;
	assert_int_equal(ext2fs_file_open(fs, number, 0, &file), 0);
	__u64 size = 0;
	assert_int_equal(ext2fs_file_get_lsize(file, &size), 0);
	char *content = xcalloc(1, (size_t)size + 1);
	for (size_t have = 0; have < size;) {
		unsigned got = 0;
		assert_int_equal(ext2fs_file_read(file, content + have, (unsigned)(size - have), &got), 0);
		assert_true(got > 0);
		have += got;
	}
	ext2fs_file_close(file);
	if (ret_size)
		*ret_size = (size_t)size;
	return content;
}
