/* SPDX-License-Identifier: Apache-2.0
 * What goes in and out of a running machine through the keeper: sessions, ssh-agent, archives, the console. The fake isolation is
 * beneath. */
#include <sys/stat.h>
#include <sys/un.h>

#include "fixture.h"

static void test_twenty_sessions_on_a_starting_machine(void **state)
{
	struct fixture *f = *state;
	struct asker *a[20];
	begin(f, 10000);
	for (int i = 0; i < 20; i++)
		a[i] = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	for (int i = 0; i < 20; i++)
		expect_welcome(f, a[i]);
	assert_int_equal(f->fake->boots, 1);
	assert_int_equal(f->fake->sessions, 20);
}

static void test_a_connection_is_given_where_that_is_possible(void **state)
{
	struct fixture *f = *state;
	f->fake->takes_connections = 1;
	begin(f, 10000);
	wait_ready(f);
	expect_welcome(f, ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}"));
	assert_int_equal(f->fake->given, 1);
	assert_non_null(strstr(f->fake->session_request, "true"));
	/* With an ssh-agent the keeper has to see the end. */
	expect_welcome(f, ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"],\"ssh_auth_sock\":\"/nowhere\"}"));
	assert_int_equal(f->fake->given, 1);
	/* A transport that changes its mind costs nothing but a stream. */
	f->fake->takes_connections = 0;
	expect_welcome(f, ask(f, "POST", "/v1/sessions", "{\"argv\":[\"false\"]}"));
	assert_int_equal(f->fake->sessions, 3);
	assert_non_null(strstr(f->fake->session_request, "false"));
}

static void test_ssh_agent_is_relayed(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	begin(f, 10000);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/ssh", root);
	AUTO_FD int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 5), 0);
	AUTOFREE char *body = xasprintf("{\"argv\":null,\"ssh_auth_sock\":\"%s\"}", address.sun_path);
	struct asker *a = ask(f, "POST", "/v1/sessions", body);
	expect_welcome(f, a);
	AUTO_JSON struct json_object *seen = json_tokener_parse(f->fake->session_request), *relay = NULL;
	uint64_t id = 0;
	assert_null(strstr(f->fake->session_request, "ssh_auth_sock"));
	assert_int_equal(json_get_object(seen, "relay", &relay, NULL), 0);
	assert_int_equal(json_get_u64(relay, "id", &id, NULL), 0);
	relay = NULL; /* borrowed */
	/* The inside connects. */
	struct asker *inside = &f->askers[ASKERS - 1], *other = &f->askers[ASKERS - 2];
	AUTOFREE char *target = xasprintf("/v1/relay/ssh-agent?id=%llu", (unsigned long long)id);
	const struct http_call_events events = {.done = on_done, .upgrade = "holm-stream", .upgraded = on_upgraded};
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", target, NULL, UINT64_MAX, &events, inside, NULL);
	run_until(f, &inside->done);
	assert_true(inside->fd >= 0);
	AUTO_FD int accepted = accept(listener, NULL, NULL);
	assert_int_equal(fd_write_full(accepted, "key", 3), 0);
	settle(f);
	char text[8] = "";
	assert_int_equal(recv(inside->fd, text, 7, MSG_DONTWAIT), 3);
	/* Another id is nobody's. */
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", "/v1/relay/ssh-agent?id=1", NULL, UINT64_MAX, &events, other, NULL);
	run_until(f, &other->done);
	assert_int_equal(other->code, -ENOENT);
	/* The session ends: its id is gone. */
	fd_close(TAKE_FD(a->fd));
	settle(f);
	free(TAKE_PTR(other->error));
	other->done = 0;
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", target, NULL, UINT64_MAX, &events, other, NULL);
	run_until(f, &other->done);
	assert_int_equal(other->code, -ENOENT);
}

static void test_archive_is_handed_over(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/archive?path=/etc", NULL);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
}

static void test_console_log(void **state)
{
	struct fixture *f = *state;
	struct asker *inside = &f->askers[ASKERS - 1];
	const struct http_call_events events = {.done = on_done, .upgrade = "holm-stream", .upgraded = on_upgraded};
	AUTOFREE char *log = path_join(root, "console.log"), *old = path_join(root, "console.log.1"), *text = NULL;
	struct stat st;
	unlink(log);
	unlink(old);
	begin(f, 10000);
	wait_ready(f);
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", "/v1/console", NULL, UINT64_MAX, &events, inside, NULL);
	run_until(f, &inside->done);
	assert_int_equal(fd_write_full(inside->fd, "login: ", 7), 0);
	settle(f);
	assert_int_equal(path_read_file(log, 4096, &text, NULL), 0);
	assert_string_equal(text, "login: ");
	char *block = xcalloc(1, 65536);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(fd_write_full(inside->fd, block, 65536), 0);
		settle(f);
	}
	free(block);
	assert_int_equal(stat(log, &st), 0);
	assert_true(st.st_size <= 1 << 20);
	assert_int_equal(stat(old, &st), 0);
	assert_true(st.st_size <= 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_twenty_sessions_on_a_starting_machine),
		KEEPER_TEST(test_a_connection_is_given_where_that_is_possible),
		KEEPER_TEST(test_ssh_agent_is_relayed),
		KEEPER_TEST(test_archive_is_handed_over),
		KEEPER_TEST(test_console_log),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
