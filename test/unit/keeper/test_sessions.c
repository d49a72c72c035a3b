/* SPDX-License-Identifier: Apache-2.0
 * What goes in and out of a running machine through the keeper: sessions, ssh-agent, archives, the
 * console. The fake isolation is beneath. */
#include <sys/stat.h>
#include <sys/un.h>

#include "base/stamp.h"
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

/* ---- ssh-agent ---- */

/* A caller's agent, and a session that lends it. */
struct lent {
	char *path;
	int listener;
	struct asker *session;
	char *target; /* of the agent's request */
};

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	assert_true(strlen(path) < sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	return address;
}

static int listen_at(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static uint64_t relay_id(struct fixture *f)
{
	AUTO_JSON struct json_object *seen = json_tokener_parse(f->fake->session_request);
	struct json_object *relay = NULL;
	uint64_t id = 0;
	assert_null(strstr(f->fake->session_request, "ssh_auth_sock"));
	assert_int_equal(json_get_object(seen, "relay", &relay, NULL), 0);
	assert_int_equal(json_get_u64(relay, "id", &id, NULL), 0);
	return id;
}

static void lend(struct fixture *f, struct lent *l)
{
	l->path = path_join(root, "ssh");
	l->listener = listen_at(l->path);
	AUTOFREE char *body = xasprintf("{\"argv\":null,\"ssh_auth_sock\":\"%s\"}", l->path);
	l->session = ask(f, "POST", "/v1/sessions", body);
	expect_welcome(f, l->session);
	l->target = xasprintf("/v1/relay/socket?id=%llu", (unsigned long long)relay_id(f));
}

static void lent_done(struct lent *l)
{
	fd_close(l->listener);
	free(l->path);
	free(l->target);
}

/* The agent inside asks for a connection. */
static struct asker *connect_inside(struct fixture *f, const char *target)
{
	static const struct http_call_events events = {
		.done = on_done,
		.upgrade = "holm-stream",
		.upgraded = on_upgraded,
	};
	struct asker *a = f->askers;
	while (a->taken)
		a++;
	assert_true(a < f->askers + ASKERS);
	a->taken = 1;
	assert_int_equal(http_call(f->loop, fake_open_to_keeper(f->fake), "POST", target, NULL, UINT64_MAX, &events, a,
			     NULL),
	    0);
	run_until(f, &a->done);
	return a;
}

static void expect_refused(struct fixture *f, const char *target, int code)
{
	assert_int_equal(connect_inside(f, target)->code, code);
}

static int has_ended(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
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
	/* With an ssh-agent the keeper has to see the end; with none that it could lend it has
	 * not. */
	CLEANUP(lent_done) struct lent l = { 0 };
	lend(f, &l);
	assert_int_equal(f->fake->given, 1);
	expect_welcome(f, ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"],\"ssh_auth_sock\":\"/nowhere\"}"));
	assert_int_equal(f->fake->given, 2);
	assert_string_equal(f->fake->session_request, "{\"argv\":[\"true\"]}");
	/* A transport that changes its mind costs nothing but a stream. */
	f->fake->takes_connections = 0;
	expect_welcome(f, ask(f, "POST", "/v1/sessions", "{\"argv\":[\"false\"]}"));
	assert_int_equal(f->fake->sessions, 4);
	assert_non_null(strstr(f->fake->session_request, "false"));
}

static void test_ssh_agent_is_relayed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(lent_done) struct lent l = { 0 };
	begin(f, 10000);
	lend(f, &l);
	struct asker *inside = connect_inside(f, l.target);
	assert_true(inside->fd >= 0);
	AUTO_FD int accepted = accept(l.listener, NULL, NULL);
	assert_int_equal(fd_write_full(accepted, "key", 3), 0);
	settle(f);
	char text[8] = "";
	assert_int_equal(recv(inside->fd, text, 7, MSG_DONTWAIT), 3);
	/* Another id is nobody's. */
	expect_refused(f, "/v1/relay/socket?id=1", -ENOENT);
	/* One connection ends alone. */
	fd_close(TAKE_FD(inside->fd));
	settle(f);
	assert_true(has_ended(accepted));
	assert_true(connect_inside(f, l.target)->fd >= 0);
}

/* Open connections end with their session, whichever side ends it; those of another one stay. */
static void test_ssh_agent_ends_with_the_session(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	for (int by_agent = 0; by_agent < 2; by_agent++) {
		CLEANUP(lent_done) struct lent other = { 0 }, l = { 0 };
		lend(f, &other);
		int others = connect_inside(f, other.target)->fd;
		AUTO_FD int others_accepted = accept(other.listener, NULL, NULL);
		lend(f, &l);
		int inside = connect_inside(f, l.target)->fd;
		AUTO_FD int accepted = accept(l.listener, NULL, NULL);
		assert_true(others >= 0 && inside >= 0);
		fd_close(by_agent ? TAKE_FD(f->fake->session_fds[f->fake->sessions - 1]) : TAKE_FD(l.session->fd));
		settle(f);
		assert_true(has_ended(inside));
		assert_true(has_ended(accepted));
		expect_refused(f, l.target, -ENOENT);
		assert_false(has_ended(others));
		assert_false(has_ended(others_accepted));
	}
}

/* An agent inside that takes none of the session's bytes cannot prolong it. */
static void test_ssh_agent_ends_though_the_agent_reads_nothing(void **state)
{
	struct fixture *f = *state;
	CLEANUP(lent_done) struct lent l = { 0 };
	char *block = xcalloc(1, 65536);
	begin(f, 10000);
	lend(f, &l);
	int inside = connect_inside(f, l.target)->fd;
	AUTO_FD int accepted = accept(l.listener, NULL, NULL);
	for (int i = 0; i < 64; i++) {
		send(l.session->fd, block, 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
		settle(f);
	}
	free(block);
	fd_close(TAKE_FD(l.session->fd));
	settle(f);
	assert_true(has_ended(inside));
	assert_true(has_ended(accepted));
	expect_refused(f, l.target, -ENOENT);
}

/* The caller's agent has few descriptors of its own. */
static void test_ssh_agent_connections_are_few(void **state)
{
	struct fixture *f = *state;
	CLEANUP(lent_done) struct lent l = { 0 };
	struct asker *opened = NULL;
	begin(f, 10000);
	lend(f, &l);
	for (int i = 0; i < 16; i++)
		assert_true((opened = connect_inside(f, l.target))->fd >= 0);
	expect_refused(f, l.target, -EBUSY);
	fd_close(TAKE_FD(opened->fd));
	settle(f);
	assert_true(connect_inside(f, l.target)->fd >= 0);
}

/* The keeper's number of the socket that the agent inside was asked to mount. */
static uint64_t socket_id(struct fixture *f, uint64_t mode)
{
	AUTO_JSON struct json_object *seen = json_tokener_parse(f->fake->share_request);
	struct json_object *socket = NULL;
	uint64_t id = 0, found = 0;
	assert_int_equal(json_get_object(seen, "socket", &socket, NULL), 0);
	assert_int_equal(json_get_u64(socket, "id", &id, NULL), 0);
	assert_int_equal(json_get_u64(socket, "mode", &found, NULL), 0);
	assert_int_equal(found, mode);
	return id;
}

/* A mounted socket is not the isolation's, and its connections end with the mount. */
static void test_mounted_socket(void **state)
{
	struct fixture *f = *state;
	AUTOFREE char *path = path_join(root, "mounted");
	AUTOFREE char *body = xasprintf("{\"host\":\"%s\",\"inside\":\"/srv/s\"}", path);
	AUTO_FD int listener = listen_at(path);
	assert_int_equal(chmod(path, 0640), 0);
	begin(f, 10000);
	wait_ready(f);
	f->fake->refuse_share = 1;
	struct asker *a = ask(f, "POST", "/v1/shares", body);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	AUTOFREE char *target = xasprintf("/v1/relay/socket?id=%llu", (unsigned long long)socket_id(f, 0640));
	struct asker *inside = connect_inside(f, target);
	assert_true(inside->fd >= 0);
	AUTO_FD int accepted = accept(listener, NULL, NULL);
	assert_int_equal(fd_write_full(accepted, "word", 4), 0);
	settle(f);
	char text[8] = "";
	assert_int_equal(recv(inside->fd, text, 7, MSG_DONTWAIT), 4);
	/* The socket that takes its name later is not the one that was mounted. */
	AUTO_FD int other = listen_at(path);
	assert_int_equal(fd_set_nonblocking(other, 1), 0);
	assert_true(connect_inside(f, target)->fd >= 0);
	assert_int_equal(accept(other, NULL, NULL), -1);
	a = ask(f, "DELETE", "/v1/shares?inside=/srv/s", NULL);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	settle(f);
	assert_true(has_ended(accepted));
	expect_refused(f, target, -ENOENT);
}

/* The ssh-agent stays the same when the path leads to another one later. */
static void test_ssh_agent_stays_the_same(void **state)
{
	struct fixture *f = *state;
	CLEANUP(lent_done) struct lent l = { 0 };
	begin(f, 10000);
	lend(f, &l);
	AUTO_FD int other = listen_at(l.path);
	assert_int_equal(fd_set_nonblocking(other, 1), 0);
	assert_true(connect_inside(f, l.target)->fd >= 0);
	AUTO_FD int accepted = accept(l.listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(accept(other, NULL, NULL), -1);
}

/* A session with this agent: what the request inside says of it, "" for nothing. Owned. */
static char *relay_of(struct fixture *f, const char *path)
{
	AUTOFREE char *body = xasprintf("{\"argv\":null,\"ssh_auth_sock\":\"%s\"}", path);
	expect_welcome(f, ask(f, "POST", "/v1/sessions", body));
	AUTO_JSON struct json_object *seen = json_tokener_parse(f->fake->session_request);
	struct json_object *relay = NULL;
	return json_get_object(seen, "relay", &relay, NULL) == 0 ? json_to_string(relay, 0) : xstrdup("");
}

static void expect_relay(struct fixture *f, const char *path, const char *part)
{
	AUTOFREE char *full = path_join(root, path), *relay = relay_of(f, full);
	if (*part ? !strstr(relay, part) : *relay)
		fail_msg("%s: \"%s\" instead of \"%s\"", path, relay, part);
}

/* The home belongs to the machine: symlinks in it are not followed, though what is in it may be
 * meant. */
static void test_ssh_agent_behind_symlinks(void **state)
{
	static const char *const links[][2] = {
		{ "link", "ssh" },
		{ "to-home", "home/agent" },
		{ "home/link", "../ssh" },
		{ "home/folder", ".." },
		{ "home/round", "round" },
		{ "round", "round" },
		{ "twice", "home/link" },
	};
	struct fixture *f = *state;
	AUTOFREE char *path = path_join(root, "ssh"), *inside = path_join(root, "home/agent");
	AUTO_FD int listener = listen_at(path), other = listen_at(inside);
	assert_true(listener >= 0 && other >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		AUTOFREE char *link = path_join(root, links[i][0]);
		unlink(link);
		assert_int_equal(symlink(links[i][1], link), 0);
	}
	f->machine->home_mount = MACHINE_HOME_RW;
	begin(f, 10000);
	expect_relay(f, "ssh", "\"id\"");
	expect_relay(f, "link", "\"id\"");
	expect_relay(f, "to-home", "\"id\"");
	expect_relay(f, "home/agent", "\"id\"");
	expect_relay(f, "home/../ssh", "\"id\"");
	expect_relay(f, "home/link", "\"refused\"");
	expect_relay(f, "home/folder/ssh", "\"refused\"");
	expect_relay(f, "home/round", "\"refused\"");
	expect_relay(f, "twice", "\"refused\"");
	expect_relay(f, "round", "");
	expect_relay(f, "missing", "");
	expect_relay(f, "home", "");
	expect_relay(f, "ssh/below", "");
}

static void test_ssh_agent_behind_a_read_only_home(void **state)
{
	struct fixture *f = *state;
	AUTOFREE char *path = path_join(root, "ssh"), *link = path_join(root, "home/link");
	AUTO_FD int listener = listen_at(path);
	assert_true(listener >= 0);
	unlink(link);
	assert_int_equal(symlink("../ssh", link), 0);
	f->machine->home_mount = MACHINE_HOME_RO;
	begin(f, 10000);
	expect_relay(f, "home/link", "\"id\"");
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
	const struct http_call_events events = { .done = on_done, .upgrade = "holm-stream", .upgraded = on_upgraded };
	AUTOFREE char *log = path_join(root, "console.log"), *old = path_join(root, "console.log.1"), *text = NULL;
	struct stat st;
	int64_t when;
	unlink(log);
	unlink(old);
	begin(f, 10000);
	wait_ready(f);
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", "/v1/console", NULL, UINT64_MAX, &events, inside,
	    NULL);
	run_until(f, &inside->done);
	assert_int_equal(fd_write_full(inside->fd, "login: ", 7), 0);
	settle(f);
	assert_int_equal(path_read_file(log, 4096, &text, NULL), 0);
	assert_int_equal(stamp_read(text, strlen(text), &when), 0);
	assert_string_equal(text + STAMP_SIZE, "login: ");
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
		KEEPER_TEST(test_ssh_agent_ends_with_the_session),
		KEEPER_TEST(test_ssh_agent_ends_though_the_agent_reads_nothing),
		KEEPER_TEST(test_ssh_agent_connections_are_few),
		KEEPER_TEST(test_ssh_agent_stays_the_same),
		KEEPER_TEST(test_mounted_socket),
		KEEPER_TEST(test_ssh_agent_behind_symlinks),
		KEEPER_TEST(test_ssh_agent_behind_a_read_only_home),
		KEEPER_TEST(test_archive_is_handed_over),
		KEEPER_TEST(test_console_log),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
