/* SPDX-License-Identifier: Apache-2.0
 * How ~/.ssh/config is written: modes, symbolic links, missing folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../folder.h"
#include "cli/ssh/user_file.h"

static char *folder, *path;

static void put(const char *file, const char *text, mode_t mode)
{
	FILE *out = fopen(file, "we");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(chmod(file, mode), 0);
}

static void holds(const char *file, const char *text, mode_t mode)
{
	AUTOFREE char *found = NULL;
	struct stat st;
	assert_int_equal(path_read_file(file, 4096, &found, NULL), 0);
	assert_string_equal(found, text);
	assert_int_equal(lstat(file, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | mode);
}

static int write_text(const char *text)
{
	CLEANUP(user_file_done) struct user_file f = { 0 };
	int r = user_file_read(&f, path, NULL);
	return r < 0 ? r : user_file_write(&f, text, NULL);
}

static int set_up(void **state)
{
	umask(022);
	folder = folder_new();
	path = xasprintf("%s/.ssh/config", folder);
	return 0;
}

static int tear_down(void **state)
{
	free(path);
	folder_remove(folder);
	return 0;
}

static void makes_what_is_missing(void **state)
{
	AUTOFREE char *ssh = xasprintf("%s/.ssh", folder);
	struct stat st;
	assert_int_equal(write_text("a\n"), 0);
	holds(path, "a\n", 0600);
	assert_int_equal(stat(ssh, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	/* And leaves no empty file. */
	assert_int_equal(write_text(""), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(write_text(""), 0);
}

static void keeps_modes(void **state)
{
	AUTOFREE char *ssh = xasprintf("%s/.ssh", folder);
	assert_int_equal(mkdir(ssh, 0755), 0);
	put(path, "b\n", 0644);
	assert_int_equal(write_text("a\nb\n"), 0);
	holds(path, "a\nb\n", 0644);
}

static void follows_links(void **state)
{
	AUTOFREE char *ssh = xasprintf("%s/.ssh", folder), *real = xasprintf("%s/dotfiles", folder);
	char target[64];
	assert_int_equal(mkdir(ssh, 0700), 0);
	assert_int_equal(symlink("../dotfiles", path), 0);
	assert_int_equal(write_text("a\n"), -ENOENT); /* it may be a file on a disk that is not mounted */
	put(real, "b\n", 0640);
	assert_int_equal(write_text("a\nb\n"), 0);
	holds(real, "a\nb\n", 0640);
	assert_int_equal(write_text(""), 0);
	holds(real, "", 0640);
	assert_int_equal(readlink(path, target, sizeof target), strlen("../dotfiles"));
}

static void refuses_what_is_no_text(void **state)
{
	AUTOFREE char *ssh = xasprintf("%s/.ssh", folder);
	assert_int_equal(mkdir(ssh, 0700), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(write_text("a\n"), -EINVAL);
	assert_int_equal(rmdir(path), 0);
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	fwrite("a\0b", 1, 3, out);
	fclose(out);
	assert_int_equal(write_text("a\n"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_what_is_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(follows_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_text, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
