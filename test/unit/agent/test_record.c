/* SPDX-License-Identifier: Apache-2.0
 * Records of containers: there and back, hostile ones, and the image's part in a create request. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/engine/record.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#include "../folder.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char whole[] = "{\"Id\":\"" ID "\",\"Name\":\"web\",\"ImageID\":\"sha256:" ID "\",\"Status\":\"exited\","
			    "\"Created\":1,\"Started\":2,\"Finished\":3,\"ExitCode\":7,\"Error\":\"why\","
			    "\"Body\":{\"Image\":\"a\",\"Cmd\":[\"true\"],\"HostConfig\":{\"AutoRemove\":true}}}";

static void test_there_and_back(void **state)
{
	struct record r = { 0 }, again = { 0 };
	assert_int_equal(record_parse(whole, strlen(whole), &r, NULL), 0);
	AUTOFREE char *text = record_format(&r);
	assert_int_equal(record_parse(text, strlen(text), &again, NULL), 0);
	assert_string_equal(again.name, "web");
	assert_int_equal(again.status, CONTAINER_EXITED);
	assert_int_equal(again.exit_code, 7);
	assert_int_equal(again.finished, 3);
	assert_string_equal(again.error, "why");
	assert_true(again.body.auto_remove);
	assert_string_equal(again.body.command.items[0], "true");
	record_done(&r);
	record_done(&again);
}

/* Each of these changes one thing in a good record. */
static void test_hostile(void **state)
{
	static const struct {
		const char *from, *to;
	} changes[] = {
		{ "\"Id\":\"" ID "\"", "\"Id\":\"../../etc\"" },
		{ "\"web\"", "\"../web\"" },
		{ "\"web\"", "7" },
		{ "sha256:", "md5:" },
		{ "exited", "paused" },
		{ "\"Created\":1", "\"Created\":-1" },
		{ "\"ExitCode\":7", "\"ExitCode\":256" },
		{ "\"ExitCode\":7", "\"ExitCode\":\"7\"" },
		{ "\"Body\":{", "\"Nobody\":{" },
		{ "\"Image\":\"a\",", "" },
		{ "\"AutoRemove\":true", "\"Privileged\":7" },
		{ "\"Cmd\":[\"true\"]", "\"Cmd\":[7]" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct record r = { 0 };
		AUTO_ERROR struct error *err = NULL;
		const char *at = strstr(whole, changes[i].from);
		assert_non_null(at);
		AUTOFREE char *text =
		    xasprintf("%.*s%s%s", (int)(at - whole), whole, changes[i].to, at + strlen(changes[i].from));
		assert_int_equal(record_parse(text, strlen(text), &r, &err), -EBADMSG);
		assert_non_null(err);
		assert_null(r.id);
	}
	struct record r = { 0 };
	assert_int_equal(record_parse("[]", 2, &r, NULL), -EBADMSG);
	assert_int_equal(record_parse("", 0, &r, NULL), -EBADMSG);
}

static void test_files(void **state)
{
	char *folder = folder_new();
	struct record r = { 0 }, loaded = { 0 };
	AUTO_FD int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(record_parse(whole, strlen(whole), &r, NULL), 0);
	assert_int_equal(record_save(directory, &r), 0);
	assert_int_equal(record_save(directory, &r), 0);
	assert_int_equal(record_load(directory, ID, &loaded, NULL), 0);
	record_done(&loaded);
	record_remove(directory, ID);
	assert_true(record_load(directory, ID, &loaded, NULL) < 0);
	/* Not a regular file, a link, and the record of another container. */
	assert_int_equal(mkfifoat(directory, ID, 0600), 0);
	assert_true(record_load(directory, ID, &loaded, NULL) < 0);
	assert_int_equal(unlinkat(directory, ID, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", directory, ID), 0);
	assert_true(record_load(directory, ID, &loaded, NULL) < 0);
	assert_int_equal(record_save(directory, &r), 0);
	assert_int_equal(renameat(directory, ID, directory, "other"), 0);
	assert_int_equal(record_load(directory, "other", &loaded, NULL), -EBADMSG);
	record_done(&r);
	folder_remove(folder);
}

static struct json_object *merged(const char *body_text, const char *image_text)
{
	struct json_object *body = NULL;
	AUTO_JSON struct json_object *image = NULL;
	assert_int_equal(json_parse(body_text, strlen(body_text), "body", &body, NULL), 0);
	assert_int_equal(json_parse(image_text, strlen(image_text), "image", &image, NULL), 0);
	record_merge_image(body, image);
	return body;
}

/* Docker's rules: an entrypoint of the request takes the image's command away, too. */
static void test_image(void **state)
{
	static const char image[] =
	    "{\"Env\":[\"PATH=/bin\",\"A=1\",\"B=2\"],\"Entrypoint\":[\"/entry\"],\"Cmd\":[\"serve\"],"
	    "\"User\":\"web\",\"WorkingDir\":\"/srv\",\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}";
	static const struct {
		const char *body, *expected;
	} cases[] = {
		{ "{}", "\"Cmd\":[\"serve\"],\"Entrypoint\":[\"/entry\"],\"User\":\"web\",\"WorkingDir\":\"/srv\"" },
		{ "{\"Cmd\":[\"x\"],\"User\":\"0\"}", "\"Cmd\":[\"x\"],\"User\":\"0\",\"Entrypoint\":[\"/entry\"]" },
		{ "{\"Entrypoint\":[\"/mine\"]}", "{\"Entrypoint\":[\"/mine\"],\"User\"" },
		{ "{\"Env\":[\"A=9\",\"B\"]}", "\"Env\":[\"A=9\",\"B\",\"PATH=/bin\"]" },
		{ "{\"Labels\":{\"b\":\"3\"}}", "\"Labels\":{\"a\":\"1\",\"b\":\"3\"}" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = merged(cases[i].body, image);
		AUTOFREE char *text = json_to_string(o, 0);
		if (!strstr(text, cases[i].expected))
			fail_msg("%s has no %s", text, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_image),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
