/* SPDX-License-Identifier: Apache-2.0
 * What the host does to a name that the guest knows, or knows to be free, and to files that somebody inside has open. */
#include "fake_guest.h"

static int setup(void **state)
{
	struct fake *f = fake_new();
	fake_start(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static int create(struct fake *f, const char *name, int flags)
{
	struct fuse_create_in in = {.flags = (uint32_t)flags, .mode = S_IFREG | 0644};
	return fuse3(f, FUSE_CREATE, 1, PART(in), TEXT(name), NONE);
}

/* Linux, sent back, looks the name up, follows a symlink, checks permissions, and opens what there is. */
static void test_made_meanwhile(void **state)
{
	struct fake *f = *state;
	static const char *const names[] = {"file", "link", "pipe", "directory"};
	host_write(f, "file", "of the host");
	assert_int_equal(symlinkat("elsewhere", f->directory, "link"), 0);
	assert_int_equal(mkfifoat(f->directory, "pipe", 0644), 0);
	assert_int_equal(mkdirat(f->directory, "directory", 0755), 0);
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		assert_int_equal(create(f, names[n], O_WRONLY | O_CREAT | O_TRUNC), -ESTALE);
		assert_int_equal(create(f, names[n], O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	}
	assert_int_equal(faccessat(f->directory, "elsewhere", F_OK, 0), -1);
	assert_int_equal(host_stat(f, "file").st_size, 11);
	assert_int_equal(create(f, "new", O_WRONLY | O_CREAT | O_TRUNC), 0);
	assert_int_equal(f->share.handles.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_meanwhile, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
