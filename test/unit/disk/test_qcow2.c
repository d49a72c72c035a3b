/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/spawn.h"
#include "disk/qcow2.h"

static char *folder;
static char *base_path, *overlay_path;

static int set_up(void **state)
{
	folder = folder_new();
	base_path = path_join(folder, "base.ext4");
	overlay_path = path_join(folder, "disk.qcow2");
	AUTO_FD int fd = open(base_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 5 << 20) < 0 || pwrite(fd, "base content", 12, 1 << 20) != 12)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	folder_remove(folder);
	free(base_path);
	free(overlay_path);
	return 0;
}

static int remove_overlay(void **state)
{
	unlink(overlay_path);
	return 0;
}

/* Runs qemu-img where it is installed: its status and output. */
static int qemu_img(char **output, const char *verb, const char *format, const char *path)
{
	char *argv[] = { (char *)"qemu-img", (char *)verb, (char *)"--output=json", (char *)path, NULL };
	return spawn_capture(argv, 1 << 20, clock_deadline(30000), output, NULL);
}

static void assert_clean(const char *path, uint64_t size)
{
	AUTOFREE char *output = NULL;
	int r = qemu_img(&output, "check", NULL, path);
	if (r == -ENOENT)
		return;
	assert_int_equal(r, 0);
	AUTOFREE char *info = NULL;
	assert_int_equal(qemu_img(&info, "info", NULL, path), 0);
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(info, strlen(info), "info", &o, NULL), 0);
	uint64_t virtual_size = 0;
	assert_int_equal(json_get_u64(o, "virtual-size", &virtual_size, NULL), 0);
	assert_int_equal(virtual_size, size);
	const char *format = NULL;
	assert_int_equal(json_get_string(o, "backing-filename-format", &format, NULL), 0);
}

static void test_create(void **state)
{
	static const uint64_t sizes[] = { 512, 5 << 20, 100ULL << 30, 4ULL << 40, 20ULL << 40 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(qcow2_create(overlay_path, base_path, "raw", sizes[i], NULL), 0);
		assert_clean(overlay_path, sizes[i]);
		AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
		assert_int_equal(qcow2_read(overlay_path, &info, NULL), 0);
		assert_int_equal(info.virtual_size, sizes[i]);
		assert_string_equal(info.backing, base_path);
		assert_string_equal(info.backing_format, "raw");
		struct stat st;
		assert_int_equal(stat(overlay_path, &st), 0);
		assert_true(st.st_blocks * 512 <= 64 << 10);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(qcow2_create(overlay_path, base_path, "raw", sizes[i], NULL), -EEXIST);
		unlink(overlay_path);
	}
}

static void test_refused(void **state)
{
	char longer[1100];
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 0, NULL), -EINVAL);
	assert_int_equal(qcow2_create(overlay_path, base_path, "raw", UINT64_MAX, NULL), -EINVAL);
	assert_int_equal(qcow2_create(overlay_path, base_path, "vmdk", 1 << 20, NULL), -EINVAL);
	assert_int_equal(qcow2_create(overlay_path, longer, "raw", 1 << 20, NULL), -ENAMETOOLONG);
	assert_false(path_exists(overlay_path));
}

static void test_grow(void **state)
{
	assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 1 << 30, NULL), 0);
	assert_int_equal(qcow2_grow(overlay_path, (200ULL << 30) + 1, NULL), 0);
	assert_clean(overlay_path, (200ULL << 30) + 512);
	assert_int_equal(qcow2_grow(overlay_path, QCOW2_GROW_MAX, NULL), 0);
	assert_clean(overlay_path, QCOW2_GROW_MAX);
	assert_int_equal(qcow2_grow(overlay_path, QCOW2_GROW_MAX + 512, NULL), -EFBIG);
	assert_int_equal(qcow2_grow(overlay_path, 1 << 20, NULL), -EINVAL);
}

/* What qemu-img writes through the overlay is there after the header was rewritten. */
static void test_written(void **state)
{
	assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 1 << 30, NULL), 0);
	char *write_argv[] = { (char *)"qemu-io", (char *)"-c", (char *)"write -P 7 512M 1M", overlay_path, NULL };
	char *read_argv[] = { (char *)"qemu-io", (char *)"-c", (char *)"read -P 7 512M 1M", (char *)"-c",
		(char *)"read -P 98 1M 1", overlay_path, NULL };
	AUTOFREE char *output = NULL;
	int r = spawn_capture(write_argv, 1 << 16, clock_deadline(30000), &output, NULL);
	if (r == -ENOENT)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(qcow2_grow(overlay_path, 2ULL << 30, NULL), 0);
	AUTOFREE char *moved = path_join(folder, "moved.ext4");
	assert_int_equal(rename(base_path, moved), 0);
	assert_int_equal(qcow2_set_backing(overlay_path, "moved.ext4", "raw", NULL), 0);
	assert_clean(overlay_path, 2ULL << 30);
	AUTOFREE char *again = NULL;
	assert_int_equal(spawn_capture(read_argv, 1 << 16, clock_deadline(30000), &again, NULL), 0);
	assert_null(strstr(again, "verification failed"));
	assert_int_equal(rename(moved, base_path), 0);
}

static int count_backing(const char *backing, const char *format, void *data)
{
	++*(int *)data;
	return 0;
}

static void test_chain(void **state)
{
	AUTOFREE char *top = path_join(folder, "top.qcow2");
	assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 1 << 30, NULL), 0);
	assert_int_equal(qcow2_create(top, "disk.qcow2", "qcow2", 1 << 30, NULL), 0);
	assert_clean(top, 1 << 30);
	int count = 0;
	assert_int_equal(qcow2_walk_chain(top, count_backing, &count, NULL), 0);
	assert_int_equal(count, 2);
	/* One that is its own backing file. */
	unlink(top);
	assert_int_equal(qcow2_create(top, "top.qcow2", "qcow2", 1 << 30, NULL), 0);
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(qcow2_walk_chain(top, count_backing, &count, &err), -ELOOP);
	unlink(top);
}

static void poke(const char *path, off_t at, const void *data, size_t size)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, data, size, at), size);
}

static void test_damaged(void **state)
{
	static const struct {
		off_t at;
		unsigned char bytes[8];
		size_t size;
	} damages[] = {
		{ 0, "QFJ", 3 },
		{ 4, { 0, 0, 0, 9 }, 4 },
		{ 8, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 8 },
		{ 16, { 0xff, 0xff, 0xff, 0xff }, 4 },
		{ 16, { 0, 0, 0, 0 }, 4 },
		{ 20, { 0, 0, 0, 63 }, 4 },
		{ 24, { 0xff }, 1 },
		{ 100, { 0xff, 0xff, 0xff, 0xf8 }, 4 },
		{ 116, { 0, 0, 0xff, 0 }, 4 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 1 << 30, NULL), 0);
		poke(overlay_path, damages[i].at, damages[i].bytes, damages[i].size);
		AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(qcow2_read(overlay_path, &info, &err), -EINVAL);
		assert_non_null(strstr(err->text, overlay_path));
		unlink(overlay_path);
	}
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	assert_int_equal(qcow2_read(base_path, &info, NULL), -EINVAL);
	assert_int_equal(qcow2_read("/dev/null", &info, NULL), -EINVAL);
	assert_int_equal(qcow2_read(overlay_path, &info, NULL), -ENOENT);
}

static void test_fast(void **state)
{
	AUTO_FD int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t start = clock_now_ms();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(qcow2_create(overlay_path, base_path, "raw", 100ULL << 30, NULL), 0);
		unlinkat(directory, "disk.qcow2", 0);
	}
	print_message("20 overlays in %llu ms\n", (unsigned long long)(clock_now_ms() - start));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_create, remove_overlay),
		cmocka_unit_test_teardown(test_refused, remove_overlay),
		cmocka_unit_test_teardown(test_grow, remove_overlay),
		cmocka_unit_test_teardown(test_written, remove_overlay),
		cmocka_unit_test_teardown(test_chain, remove_overlay),
		cmocka_unit_test_teardown(test_damaged, remove_overlay),
		cmocka_unit_test_teardown(test_fast, remove_overlay) };
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
