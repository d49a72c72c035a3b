/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/shares/source.h"

struct world {
	char *folder, *real; /* real: as the kernel knows it */
};

static char *below(const struct world *w, const char *name)
{
	return path_join(w->real, name);
}

static int setup(void **state)
{
	static const char *const folders[] = { "plain", "plain/deep", "open", "open/inner", "elsewhere" };
	struct world *w = xnew(struct world);
	w->folder = folder_new();
	w->real = realpath(w->folder, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		AUTOFREE char *path = below(w, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	folder_remove(w->folder);
	free(w->real);
	free(w);
	return 0;
}

static void put_link(const struct world *w, const char *name, const char *target)
{
	AUTOFREE char *path = below(w, name);
	assert_int_equal(symlink(target, path), 0);
}

/* Resolves NAME below the world, where open/ is writable; wanted NULL: refused with that code. */
static void see(const struct world *w, const char *name, const char *wanted, int code)
{
	AUTO_STRV struct strv writable = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path = below(w, name), *got = NULL, *expected = wanted ? below(w, wanted) : NULL;
	strv_take(&writable, below(w, "open"));
	AUTO_FD int fd = -1;
	int r = share_source_resolve(path, &writable, &got, &fd, &err);
	assert_int_equal(r, -code);
	if (wanted)
		assert_true(fd >= 0 && streq(got, expected));
	else
		assert_non_null(err);
}

static void test_as_realpath(void **state)
{
	const struct world *w = *state;
	AUTOFREE char *absolute = below(w, "plain");
	put_link(w, "to-deep", "plain/./deep");
	put_link(w, "to-absolute", absolute);
	put_link(w, "to-link", "to-absolute/");
	put_link(w, "plain/up", "../elsewhere");
	see(w, "plain/deep", "plain/deep", 0);
	see(w, "plain//deep/.././deep/", "plain/deep", 0);
	see(w, "to-deep", "plain/deep", 0);
	see(w, "to-link/deep", "plain/deep", 0);
	see(w, "to-link/up", "elsewhere", 0);
	see(w, "open/inner", "open/inner", 0);
	see(w, "missing/deep", NULL, ENOENT);
	see(w, "to-deep/missing", NULL, ENOENT);
}

static void test_the_root(void **state)
{
	AUTO_STRV struct strv nothing = { 0 };
	AUTOFREE char *got = NULL;
	AUTO_FD int fd = -1;
	assert_int_equal(share_source_resolve("/..//.", &nothing, &got, &fd, NULL), 0);
	assert_string_equal(got, "/");
}

static void test_links_of_the_machine(void **state)
{
	const struct world *w = *state;
	put_link(w, "open/out", "../elsewhere");
	put_link(w, "open/inner/deep", "/");
	put_link(w, "open/same", "inner");
	put_link(w, "way-in", "open");
	see(w, "open/out", NULL, EACCES);
	see(w, "open/inner/deep", NULL, EACCES);
	see(w, "open/inner/deep/etc", NULL, EACCES);
	see(w, "open/same", NULL, EACCES);
	/* The link beside it is the user's own; what it leads to is not. */
	see(w, "way-in/inner", "open/inner", 0);
	see(w, "way-in/out", NULL, EACCES);
}

static void test_loops(void **state)
{
	const struct world *w = *state;
	put_link(w, "a", "b");
	put_link(w, "b", "a");
	see(w, "a", NULL, ELOOP);
	see(w, "a/deep", NULL, ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_as_realpath, setup, teardown),
		cmocka_unit_test(test_the_root),
		cmocka_unit_test_setup_teardown(test_links_of_the_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loops, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
