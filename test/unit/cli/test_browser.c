/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cli/machine/browser.h"

static void words(void **state)
{
	static const struct {
		const char *entry, *words;
	} rows[] = {
		{ "firefox", "firefox|http://a:1/" },
		{ " firefox  --new-tab ", "firefox|--new-tab|http://a:1/" },
		{ "chromium --app=%s --x", "chromium|--app=http://a:1/|--x" },
		{ "b 100%% %s", "b|100%|http://a:1/" },
		{ "b $(id) `id` %", "b|$(id)|`id`|%|http://a:1/" },
		{ "", "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_STRV struct strv got = { 0 };
		browser_words(rows[i].entry, "http://a:1/", &got);
		AUTOFREE char *text = strv_join(&got, "|");
		assert_string_equal(text, rows[i].words);
	}
}

static void starting(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	setenv("PATH", "/nonexistent", 1);
	unsetenv("BROWSER");
	assert_int_equal(browser_open("http://a:1/", NULL), -ENOENT);
	setenv("BROWSER", "/nonexistent/one:/bin/false", 1);
	assert_int_equal(browser_open("http://a:1/", &err), -EIO);
	assert_string_equal(err->text, "/bin/false ended with status 1");
	setenv("BROWSER", "/bin/true", 1);
	assert_int_equal(browser_open("http://a:1/", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(starting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
