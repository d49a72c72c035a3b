/* SPDX-License-Identifier: Apache-2.0
 * The life of a machine through the keeper's API: it boots or fails to, loses its agent, restarts,
 * stops. The fake isolation is beneath. */
#include "fixture.h"
#include "http/session_frame.h"

static void test_boot(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	expect_state(f, "starting");
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
	assert_true(strv_contains(&a->lines, "{\"stage\":\"mounting\"}"));
	assert_true(strv_contains(&a->lines, "{\"warning\":\"this is a fake\"}"));
	assert_true(strv_contains(&a->lines, "{\"warning\":\"slow today\"}"));
	expect_state(f, "running");
	static const char *const wanted[] = { "\"name\":\"dev\"", "\"init\":\"/sbin/init\"",
		"\"stop_signal\":\"SIGUSR1\"", "\"image_env\":[\"A=b\"]", "\"tag\":\"home\"", "\"root\":\"fake\"",
		"\"home_shared\":true", "\"rescue\":false", "\"realtime_ns\":" };
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!strstr(f->fake->boot_request, wanted[i]))
			fail_msg("%s is not in %s", wanted[i], f->fake->boot_request);
	struct asker *late = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &late->done);
	assert_string_equal(last_line(late), "{\"state\":\"running\"}");
	struct asker *s = ask(f, "GET", "/v1/state", NULL);
	run_until(f, &s->done);
	assert_non_null(strstr(s->body, "\"isolation\":\"fake\""));
	assert_non_null(strstr(s->body, "\"fake\":1"));
	struct asker *bad = ask(f, "GET", "/v1/ready?level=bogus", NULL);
	run_until(f, &bad->done);
	assert_int_equal(bad->code, -EINVAL);
}

static void test_session_before_init(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"ready\":\"session\"}";
	begin(f, 10000);
	struct asker *session = ask(f, "GET", "/v1/ready?level=session", NULL),
		     *init = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &session->done);
	settle(f);
	assert_false(init->done);
	fake_boot_line(f->fake, "{\"ready\":\"init\"}");
	run_until(f, &init->done);
	assert_string_equal(last_line(init), "{\"state\":\"running\"}");
}

/* Lets the script say two lines and end. */
static void script_ends(struct fixture *f, struct buffer *frames, uint32_t status)
{
	static const char output[] = "fetching\033[2J\nno way to the archive\n";
	f->machine->init = MACHINE_INIT_INSTALL;
	buffer_init(frames, 4096);
	session_frame_append(frames, SESSION_STDOUT, output, 10);
	session_frame_append(frames, SESSION_STDERR, output + 10, sizeof output - 11);
	session_frame_append_u32(frames, SESSION_EXIT, status);
	f->fake->session_frames = frames;
}

static void test_an_init_is_installed_and_started(void **state)
{
	struct fixture *f = *state;
	AUTO_BUFFER struct buffer frames;
	script_ends(f, &frames, 0);
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	uint64_t deadline = clock_deadline(60000);
	while (f->fake->sessions < 2 && clock_now_ms() < deadline)
		loop_step(f->loop, deadline);
	assert_false(a->done);
	expect_state(f, "starting");
	assert_non_null(strstr(f->fake->session_request, "kill -HUP 1"));
	assert_non_null(strstr(f->fake->session_request, "\"user\":{\"name\":\"root\"}"));
	fake_boot_line(f->fake, "{\"rebooting\":true}");
	fake_boot_line(f->fake, "{\"init\":\"/lib/systemd/systemd\"}");
	fake_boot_line(f->fake, "{\"ready\":\"session\"}");
	fake_boot_line(f->fake, "{\"ready\":\"init\"}");
	run_until(f, &a->done);
	assert_true(strv_contains(&a->lines, "{\"stage\":\"installing an init\"}"));
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
	assert_int_equal(f->fake->sessions, 2);
}

static void test_an_init_that_cannot_be_installed(void **state)
{
	struct fixture *f = *state;
	AUTO_BUFFER struct buffer frames;
	script_ends(f, &frames, 100);
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
	assert_true(
	    strv_contains(&a->lines, "{\"warning\":\"no init was installed (no way to the archive), so there are no "
				     "services; see holm machine logs "
				     "--boot dev; the next start tries again\"}"));
	assert_int_equal(f->fake->sessions, 1);
}

static void test_an_init_that_was_there(void **state)
{
	struct fixture *f = *state;
	AUTO_BUFFER struct buffer frames;
	script_ends(f, &frames, 3);
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
	assert_int_equal(f->fake->sessions, 1);
	for (size_t i = 0; i < a->lines.count; i++)
		assert_null(strstr(a->lines.items[i], "no init"));
}

/* Frames that make no sense are a failure like another. */
static void test_a_script_whose_agent_lies(void **state)
{
	struct fixture *f = *state;
	AUTO_BUFFER struct buffer frames;
	script_ends(f, &frames, 0);
	frames.data[0] = 99;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
}

static void test_boot_fails_with_its_log(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"error\":\"create-user.sh exited with status "
			      "3\\u001b[2J\",\"code\":\"ENOEXEC\",\"log\":[\"one\",\"t\\u0007wo\"]}";
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL), *b = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	run_until(f, &b->done);
	assert_string_equal(last_line(a),
	    "{\"error\":\"create-user.sh exited with status 3 [2J\",\"code\":\"ENOEXEC\",\"log\":[\"one\",\"t wo\"]}");
	assert_string_equal(last_line(b), last_line(a));
	struct asker *late = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &late->done);
	assert_string_equal(last_line(late), last_line(a));
	struct asker *session = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	run_until(f, &session->done);
	assert_int_equal(session->code, -ENOEXEC);
	run_until(f, &f->ended);
	assert_true(f->end_code < 0);
	assert_int_equal(f->fake->kills, 1);
}

static void test_a_failed_boot_names_what_the_host_is_short_of(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"error\":\"the init ended\",\"code\":\"EIO\",\"log\":[]}";
	f->fake->shortage = "2 inotify instances are left";
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "\"the init ended (2 inotify instances are left)\""));
	run_until(f, &f->ended);
}

static void test_isolation_does_not_start(void **state)
{
	struct fixture *f = *state;
	f->fake->start_fails = 1;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a),
	    "{\"error\":\"there is no fake program; install it\",\"code\":\"ENOENT\",\"log\":[]}");
	run_until(f, &f->ended);
}

static void test_another_protocol(void **state)
{
	struct fixture *f = *state;
	f->fake->protocol = 7;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "speaks protocol 7"));
	assert_null(strchr(last_line(a), '\x1b'));
	run_until(f, &f->ended);
}

static void test_agent_never_answers(void **state)
{
	struct fixture *f = *state;
	f->fake->protocol = 0;
	begin(f, 150);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "did not get ready"));
	assert_non_null(strstr(last_line(a), "ETIMEDOUT"));
	run_until(f, &f->ended);
}

static void test_isolation_ends_while_booting(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"stage\":\"hm\"}";
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	settle(f);
	fake_end(f->fake, 1, "crash");
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "it fell over"));
	run_until(f, &f->ended);
}

static void test_agent_lost_and_back(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_lose_agent(f->fake);
	expect_state(f, "running");
	struct asker *a = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	settle(f);
	assert_false(a->done); /* waits for the new one */
	fake_return_agent(f->fake);
	expect_welcome(f, a);
	assert_int_equal(f->fake->boots, 2);
	assert_false(f->ended);
}

/* A stop waits for the agent that comes back, which can ask the init. */
static void test_stop_while_the_agent_is_lost(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_lose_agent(f->fake);
	struct asker *a = ask(f, "POST", "/v1/stop", "{\"timeout_ms\":100000}");
	settle(f);
	assert_false(a->done);
	fake_return_agent(f->fake);
	run_until(f, &a->done);
	run_until(f, &f->ended);
	assert_int_equal(f->fake->kills, 0);
	assert_in_range(f->fake->stop_timeout_ms, 1, 100000);
}

static void test_init_restarts(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_boot_line(f->fake, "{\"rebooting\":true}");
	settle(f);
	expect_state(f, "starting");
	fake_boot_line(f->fake, "{\"ready\":\"session\"}");
	fake_boot_line(f->fake, "{\"ready\":\"init\"}");
	settle(f);
	expect_state(f, "running");
	assert_int_equal(f->fake->boots, 1);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "POST", "/v1/stop", "{\"timeout_ms\":1234}"), *b = ask(f, "POST", "/v1/stop", "{}");
	run_until(f, &a->done);
	run_until(f, &b->done);
	assert_int_equal(a->code, 0);
	assert_int_equal(b->code, 0);
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
	assert_int_equal(f->fake->kills, 0);
	assert_int_equal(f->fake->stop_timeout_ms, 1234);
}

static void test_stop_while_starting(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"stage\":\"hm\"}";
	begin(f, 10000);
	struct asker *waits = ask(f, "GET", "/v1/ready", NULL);
	settle(f);
	struct asker *a = ask(f, "POST", "/v1/stop", "{}");
	run_until(f, &a->done);
	run_until(f, &waits->done);
	assert_non_null(strstr(last_line(waits), "ECANCELED"));
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
	assert_int_equal(f->fake->kills, 1);
}

static void test_power_off_from_inside(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_boot_line(f->fake, "{\"ended\":\"poweroff\",\"status\":0}");
	settle(f);
	expect_state(f, "stopping");
	fake_end(f->fake, 0, NULL);
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
}

static void test_isolation_dies(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	expect_welcome(f, a);
	fake_end(f->fake, 1, "killed");
	run_until(f, &f->ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_boot),
		KEEPER_TEST(test_session_before_init),
		KEEPER_TEST(test_an_init_is_installed_and_started),
		KEEPER_TEST(test_an_init_that_cannot_be_installed),
		KEEPER_TEST(test_an_init_that_was_there),
		KEEPER_TEST(test_a_script_whose_agent_lies),
		KEEPER_TEST(test_boot_fails_with_its_log),
		KEEPER_TEST(test_a_failed_boot_names_what_the_host_is_short_of),
		KEEPER_TEST(test_isolation_does_not_start),
		KEEPER_TEST(test_another_protocol),
		KEEPER_TEST(test_agent_never_answers),
		KEEPER_TEST(test_isolation_ends_while_booting),
		KEEPER_TEST(test_agent_lost_and_back),
		KEEPER_TEST(test_stop_while_the_agent_is_lost),
		KEEPER_TEST(test_init_restarts),
		KEEPER_TEST(test_stop),
		KEEPER_TEST(test_stop_while_starting),
		KEEPER_TEST(test_power_off_from_inside),
		KEEPER_TEST(test_isolation_dies),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
