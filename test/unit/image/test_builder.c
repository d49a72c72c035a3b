/* SPDX-License-Identifier: Apache-2.0
 * Plans of COPY: which file goes where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "image/builder/chmod.h"
#include "image/builder/copy.h"

/* A source: "path" a file, "path/" a directory, "path>target" a symlink; sorted. */
static const char *const source[] = { "/a", "/dir/", "/dir/link>../../etc", "/dir/one.c", "/dir/sub/", "/dir/sub/two.c",
	"/dir/sub/two.h", "/other/", "/other/three.c" };

static void fill(struct content_pool *pool, struct contents *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(source); i++) {
		struct content *at = content_pool_new(pool);
		const char *arrow = strchr(source[i], '>');
		size_t n = arrow ? (size_t)(arrow - source[i]) : strlen(source[i]);
		int is_directory = source[i][n - 1] == '/';
		at->path = xstrndup(source[i], n - (size_t)is_directory);
		at->type = arrow ? TAR_SYMLINK : is_directory ? TAR_DIRECTORY : TAR_FILE;
		at->target = arrow ? xstrdup(arrow + 1) : NULL;
		at->mode = is_directory ? 0755 : 0644;
		contents_append(c, at);
	}
	contents_sort(c);
}

static const struct {
	const char *patterns, *to; /* patterns: divided by blanks */
	int to_is_directory, parents;
	const char *exclude;
	const char *want; /* "FROM=TO", divided by blanks; or an error's part behind "!" */
} plans[] = {
	{ "/a", "/x", 0, 0, NULL, "/a=/x" },
	{ "/a", "/x/", 0, 0, NULL, "/a=/x/a" },
	{ "/a", "/x", 1, 0, NULL, "/a=/x/a" },
	{ "/dir", "/x", 0, 0, NULL,
	    "/dir/link=/x/link /dir/one.c=/x/one.c /dir/sub=/x/sub /dir/sub/two.c=/x/sub/two.c "
	    "/dir/sub/two.h=/x/sub/two.h" },
	{ "/dir/link", "/x", 0, 0, NULL, "/dir/link=/x" },
	{ "/dir/*.c /other/*.c", "/x/", 0, 0, NULL, "/dir/one.c=/x/one.c /other/three.c=/x/three.c" },
	{ "/*/sub", "/x/", 0, 0, NULL, "/dir/sub/two.c=/x/two.c /dir/sub/two.h=/x/two.h" },
	{ "/dir/*.c", "/x", 0, 0, NULL, "/dir/one.c=/x" },
	{ "/dir/*.c", "/x", 1, 0, NULL, "/dir/one.c=/x/one.c" },
	{ "/dir/sub/*", "/x", 0, 0, NULL, "!several files fit" },
	{ "/dir/sub/*", "/x", 0, 0, "*.h", "/dir/sub/two.c=/x" },
	{ "/dir/s*", "/x", 0, 0, NULL, "/dir/sub/two.c=/x/two.c /dir/sub/two.h=/x/two.h" },
	{ "/**/*.c", "/x/", 0, 0, NULL, "/dir/one.c=/x/one.c /other/three.c=/x/three.c" },
	{ "/**/two.c", "/x/", 0, 1, NULL, "/dir=/x/dir /dir/sub=/x/dir/sub /dir/sub/two.c=/x/dir/sub/two.c" },
	{ "/dir/sub /a", "/x/", 0, 0, NULL, "/a=/x/a /dir/sub/two.c=/x/two.c /dir/sub/two.h=/x/two.h" },
	{ "/a /dir/one.c", "/x/", 0, 0, NULL, "/a=/x/a /dir/one.c=/x/one.c" },
	{ "/dir/sub/two.c", "/x/", 0, 1, NULL, "/dir=/x/dir /dir/sub=/x/dir/sub /dir/sub/two.c=/x/dir/sub/two.c" },
	{ "/dir/./sub/*.c", "/x/", 0, 1, NULL, "/dir/sub=/x/sub /dir/sub/two.c=/x/sub/two.c" },
	{ "/dir", "/x", 0, 0, "sub", "/dir/link=/x/link /dir/one.c=/x/one.c" },
	{ "/dir", "/x", 0, 0, "**/*.c", "/dir/link=/x/link /dir/sub=/x/sub /dir/sub/two.h=/x/sub/two.h" },
	{ "/nothing*", "/x/", 0, 0, NULL, "" },
	{ "/nothing", "/x", 0, 0, NULL, "!no such file" },
	{ "/a", "/x/.wh.a", 0, 0, NULL, "!begins with .wh." },
	{ "/a", "/.wh.x/", 0, 0, NULL, "!begins with .wh." },
};

static char *describe(const struct copy_plan *p)
{
	AUTO_STRV struct strv words = { 0 };
	for (size_t i = 0; i < p->count; i++)
		strv_addf(&words, "%s=%s", p->items[i].from->path, p->items[i].to);
	char *text = strv_join(&words, " ");
	return text ? text : xstrdup("");
}

static int make(size_t at, const struct contents *c, struct copy_plan *p, struct error **err)
{
	CLEANUP(copy_wish_done)
	struct copy_wish w = { .word = "COPY",
		.to = xstrdup(plans[at].to),
		.to_is_directory = plans[at].to_is_directory,
		.parents = plans[at].parents };
	int r = 0;
	strv_split(&w.patterns, plans[at].patterns, " ");
	if (plans[at].exclude)
		strv_add(&w.excludes, plans[at].exclude);
	for (size_t i = 0; r >= 0 && i < w.patterns.count; i++) {
		const char *rest;
		AUTOFREE char *base = copy_pattern_base(w.patterns.items[i], &rest);
		r = copy_plan_add(p, &w, w.patterns.items[i], base, c, NULL, NULL, err);
	}
	return r < 0 ? r : copy_plan_finish(p, &w, err);
}

static void test_plans(void **state)
{
	CLEANUP(content_pool_done) struct content_pool pool = { 0 };
	AUTO_CONTENTS struct contents c = { 0 };
	fill(&pool, &c);
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		AUTO_COPY_PLAN struct copy_plan p = { 0 };
		AUTO_ERROR struct error *err = NULL;
		int r = make(i, &c, &p, &err);
		AUTOFREE char *got = describe(&p);
		if (plans[i].want[0] == '!') {
			assert_true(r < 0);
			assert_non_null(strstr(error_text(err, r), plans[i].want + 1));
		} else {
			assert_int_equal(r, 0);
			assert_string_equal(got, plans[i].want);
		}
	}
}

/* Symlinks of a listing lead nowhere but inside of it. */
static void test_resolve(void **state)
{
	static const char *const entries[] = { "/bin>usr/bin", "/loop>loop", "/up>../../../usr", "/usr/", "/usr/bin/",
		"/usr/bin/sh", "/usr/here>." };
	static const struct {
		const char *path;
		int last;
		const char *want; /* NULL: too many links */
	} cases[] = { { "/bin/sh", 0, "/usr/bin/sh" }, { "/bin", 0, "/bin" }, { "/bin", 1, "/usr/bin" },
		{ "/up/bin", 1, "/usr/bin" }, { "/usr/here/here/bin/new", 0, "/usr/bin/new" },
		{ "/not/there", 1, "/not/there" }, { "/loop/x", 0, NULL }, { "/", 1, "/" } };
	CLEANUP(content_pool_done) struct content_pool pool = { 0 };
	AUTO_CONTENTS struct contents c = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		struct content *at = content_pool_new(&pool);
		const char *arrow = strchr(entries[i], '>');
		size_t n = strcspn(entries[i], ">");
		at->path = xstrndup(entries[i], entries[i][n - 1] == '/' ? n - 1 : n);
		at->type = arrow ? TAR_SYMLINK : TAR_DIRECTORY;
		at->target = arrow ? xstrdup(arrow + 1) : NULL;
		contents_append(&c, at);
	}
	contents_sort(&c);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *got = contents_resolve(&c, cases[i].path, cases[i].last);
		if (cases[i].want)
			assert_string_equal(got, cases[i].want);
		else
			assert_null(got);
	}
}

static void modes_in_words(void **state)
{
	static const struct {
		const char *words;
		uint32_t mode, wanted;
	} cases[] = {
		{ "u=rwX,go=rX", 0600, 0644 },
		{ "u=rwX,go=rX", 0700, 0755 },
		{ "u=rwX,go=rX", 0600 | CHMOD_DIRECTORY, 0755 },
		{ "a+x", 0640, 0751 },
		{ "+x", 0640, 0751 },
		{ "go-rwx,u+s", 0755, 04700 },
		{ "g=u,o=", 0741, 0770 },
		{ "a=rx+w", 0, 0777 },
		{ "+t", 0755, 01755 },
	};
	static const char *const bad[] = { "", "u", "x", "u~x", "u=q", "u=r,", "755", ",u=r" };
	uint32_t mode = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(chmod_apply(cases[i].words, cases[i].mode, &mode), 0);
		assert_int_equal(mode, cases[i].wanted);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(chmod_apply(bad[i], 0644, &mode), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(modes_in_words), cmocka_unit_test(test_plans),
		cmocka_unit_test(test_resolve) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
