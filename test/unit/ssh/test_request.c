/* SPDX-License-Identifier: Apache-2.0
 * From a client's wishes to a session request; the names of signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ssh/request.h"
#include "ssh/signals.h"

static struct ssh_request q;

static int set_up(void **state)
{
	ssh_request_init(&q);
	return 0;
}

static int tear_down(void **state)
{
	ssh_request_done(&q);
	return 0;
}

static void member(struct json_object *o, const char *key, const char *wanted)
{
	struct json_object *found = NULL;
	json_object_object_get_ex(o, key, &found);
	assert_string_equal(found ? json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN) : "-", wanted);
}

static int has_variable(struct json_object *o, const char *variable)
{
	AUTO_STRV struct strv env = { 0 };
	json_get_strv(o, "env", &env, NULL);
	return strv_contains(&env, variable);
}

static void a_command(void **state)
{
	q.command = xstrdup("echo \"a  b\"");
	assert_int_equal(ssh_request_set_env(&q, "A", "x=y z"), 0);
	setenv("TERM", "from-here", 1);
	AUTO_JSON struct json_object *o = ssh_request_json(&q, NULL, "root-of-nobody", "/run/a");
	member(o, "argv", "[\"echo \\\"a  b\\\"\"]");
	member(o, "shell", "true");
	member(o, "ssh_auth_sock", "\"\\/run\\/a\"");
	member(o, "tty", "false");
	member(o, "user", "{\"name\":\"root-of-nobody\"}");
	assert_true(has_variable(o, "A=x=y z"));
	assert_false(has_variable(o, "TERM=from-here"));
}

static void a_shell(void **state)
{
	const struct passwd *p = getpwuid(geteuid());
	assert_int_equal(ssh_request_set_terminal(&q, "vt100", 132, 43), 0);
	AUTO_JSON struct json_object *o = ssh_request_json(&q, NULL, p ? p->pw_name : "0", NULL);
	member(o, "argv", "-");
	member(o, "tty", "true");
	member(o, "rows", "43");
	member(o, "columns", "132");
	if (p)
		member(o, "user", "-"); /* the machine's own */
	assert_true(has_variable(o, "TERM=vt100"));
}

static void sftp_and_numbers(void **state)
{
	q.sftp = 1;
	AUTO_JSON struct json_object *o = ssh_request_json(&q, NULL, "4242", NULL);
	member(o, "subsystem", "\"sftp\"");
	member(o, "user", "{\"uid\":4242}");
}

static void limits(void **state)
{
	AUTOFREE char *long_text = xcalloc(1, 300 * 1024);
	memset(long_text, 'a', 300 * 1024 - 1);
	assert_int_equal(ssh_request_set_env(&q, "A", long_text), -E2BIG);
	assert_int_equal(ssh_request_set_env(&q, "", "x"), -EINVAL);
	assert_int_equal(ssh_request_set_env(&q, "A=B", "x"), -EINVAL);
	int r = 0;
	for (int i = 0; i < 2000; i++) {
		AUTOFREE char *name = xasprintf("A%d", i);
		r = ssh_request_set_env(&q, name, "");
	}
	assert_int_equal(r, -E2BIG);
	assert_true(q.env.count <= 1024);
	assert_int_equal(ssh_request_set_terminal(&q, long_text, 1, 1), -E2BIG);
	ssh_request_set_size(&q, -1, 100000);
	assert_int_equal(q.columns, 0);
	assert_int_equal(q.rows, 10000);
}

static void signals(void **state)
{
	assert_int_equal(signal_number("TERM"), SIGTERM);
	assert_int_equal(signal_number("SIGTERM"), 0);
	assert_string_equal(signal_name(SIGKILL), "KILL");
	assert_null(signal_name(SIGWINCH));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_shell, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sftp_and_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits, set_up, tear_down),
		cmocka_unit_test(signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
