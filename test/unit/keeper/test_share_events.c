/* SPDX-License-Identifier: Apache-2.0
 * The relay between a share's server and the agent, and who gets one. */
#include "base/share_events.h"
#include "fixture.h"
#include "keeper/shares/events.h"

enum { FLOOD = 4096 };

struct ends {
	struct loop *loop;
	struct share_events *events;
	int server, agent;
};

static int setup(void **state)
{
	struct ends *e = xnew(struct ends);
	e->agent = -1;
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(share_events_new(e->loop, &e->events, &e->server), 0);
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct ends *e = *state;
	share_events_free(e->events);
	fd_close(e->server);
	fd_close(e->agent);
	loop_free(e->loop);
	free(e);
	return 0;
}

static void run(struct ends *e)
{
	while (loop_step(e->loop, 0) > 0)
		;
}

/* A new stream of the agent's, of which `early` was read with the request. */
static int attach(struct ends *e, const struct buffer *early)
{
	struct buffer none = { 0 };
	int pair[2];
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	fd_set_nonblocking(pair[0], 1);
	share_events_attach(e->events, pair[0], early ? early : &none);
	return pair[1];
}

static void append(struct buffer *b, uint8_t type, size_t size)
{
	uint8_t payload[SHARE_PAYLOAD_MAX] = { type };
	assert_int_equal(share_frame_append(b, payload, size), 0);
}

static void send_frame(int fd, uint8_t type, size_t size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 2 * SHARE_PAYLOAD_MAX);
	append(&b, type, size);
	assert_int_equal(fd_write_full(fd, b.data, b.size), 0);
}

static void expect_packet(struct ends *e, uint8_t type, size_t size)
{
	uint8_t packet[SHARE_PAYLOAD_MAX + 1];
	run(e);
	assert_int_equal(recv(e->server, packet, sizeof packet, MSG_DONTWAIT), size);
	assert_int_equal(packet[0], type);
}

static void expect_no_packet(struct ends *e)
{
	char byte;
	run(e);
	assert_int_equal(recv(e->server, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* The server hears that nobody replays. */
static void expect_farewell(struct ends *e)
{
	struct share_hello hello;
	run(e);
	assert_int_equal(recv(e->server, &hello, sizeof hello, MSG_DONTWAIT), sizeof hello);
	assert_int_equal(hello.type, SHARE_HELLO);
	assert_int_equal(hello.version, SHARE_EVENTS_VERSION);
	assert_int_equal(hello.pid, 0);
}

static void expect_closed(struct ends *e, int fd)
{
	char byte;
	run(e);
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void test_both_ways(void **state)
{
	struct ends *e = *state;
	AUTO_BUFFER struct buffer early;
	buffer_init(&early, SHARE_PAYLOAD_MAX);
	append(&early, SHARE_HELLO, 8);
	e->agent = attach(e, &early);
	expect_packet(e, SHARE_HELLO, 8);
	send_frame(e->agent, SHARE_WATCH, SHARE_PAYLOAD_MAX);
	expect_packet(e, SHARE_WATCH, SHARE_PAYLOAD_MAX);
	assert_int_equal(send(e->server, "event", 5, 0), 5);
	run(e);
	char text[64];
	assert_int_equal(recv(e->agent, text, sizeof text, MSG_DONTWAIT), 9);
	assert_memory_equal(text, "\5\0\0\0event", 9);
}

static void test_a_frame_comes_in_pieces(void **state)
{
	struct ends *e = *state;
	static const char bytes[] = "\10\0\0\0\2"
				    "bcdefgh"
				    "\1\0\0\0\3";
	e->agent = attach(e, NULL);
	for (size_t i = 0; i < sizeof bytes - 1; i++) {
		if (i == 12)
			expect_packet(e, '\2', 8);
		else
			expect_no_packet(e);
		assert_int_equal(fd_write_full(e->agent, bytes + i, 1), 0);
	}
	expect_packet(e, '\3', 1);
}

static void test_a_size_that_is_not_allowed_ends_the_stream(void **state)
{
	struct ends *e = *state;
	static const char *const sizes[] = { "\0\0\0\0", "\1\20\0\0", "\377\377\377\377" };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd_close(e->agent);
		e->agent = attach(e, NULL);
		send_frame(e->agent, SHARE_HELLO, 8);
		expect_packet(e, SHARE_HELLO, 8);
		assert_int_equal(fd_write_full(e->agent, sizes[i], 4), 0);
		expect_farewell(e);
		expect_closed(e, e->agent);
	}
}

static void test_a_new_stream_takes_the_place_of_the_old(void **state)
{
	struct ends *e = *state;
	int old = attach(e, NULL);
	/* Half a frame of the old one is no part of the new one's. */
	assert_int_equal(fd_write_full(old, "\10\0\0\0\2", 5), 0);
	expect_no_packet(e);
	e->agent = attach(e, NULL);
	expect_closed(e, old);
	fd_close(old);
	send_frame(e->agent, SHARE_HELLO, 8);
	expect_farewell(e);
	expect_packet(e, SHARE_HELLO, 8);
	fd_close(TAKE_FD(e->agent));
	expect_farewell(e);
	expect_no_packet(e);
	/* Without an agent nothing waits for one. */
	for (int i = 0; i < FLOOD; i++)
		if (send(e->server, "event", 5, MSG_DONTWAIT) < 0)
			run(e);
	run(e);
	e->agent = attach(e, NULL);
	char byte;
	run(e);
	assert_int_equal(recv(e->agent, &byte, 1, MSG_DONTWAIT), -1);
}

/* Whole frames until nothing more is taken: how many. */
static int flood(struct ends *e, int fd, const void *data, size_t size, int limit)
{
	int sent = 0;
	while (sent < limit) {
		ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		run(e);
		if (n < 0 && send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		sent++;
	}
	return sent;
}

static void test_a_server_that_takes_nothing_stops_the_agent(void **state)
{
	struct ends *e = *state;
	uint8_t frame[4 + 1000] = { 0xe8, 3, 0, 0, SHARE_WATCH };
	e->agent = attach(e, NULL);
	int sent = flood(e, e->agent, frame, sizeof frame, FLOOD);
	assert_true(sent > 0 && sent < FLOOD);
	/* The agent goes while the server is full: it is told once there is room. */
	fd_close(TAKE_FD(e->agent));
	run(e);
	uint8_t packet[SHARE_PAYLOAD_MAX];
	int received = 0;
	ssize_t n;
	while (run(e), (n = recv(e->server, packet, sizeof packet, MSG_DONTWAIT)) == 1000)
		received++;
	assert_true(received > 0 && received <= sent);
	assert_int_equal(n, sizeof(struct share_hello));
	assert_int_equal(packet[0], SHARE_HELLO);
	expect_no_packet(e);
}

static void test_an_agent_that_takes_nothing_stops_the_server(void **state)
{
	struct ends *e = *state;
	uint8_t packet[1000] = { SHARE_EVENT };
	e->agent = attach(e, NULL);
	int sent = flood(e, e->server, packet, sizeof packet, FLOOD);
	assert_true(sent > 0 && sent < FLOOD);
	size_t received = 0;
	char bytes[65536];
	ssize_t n;
	while (run(e), (n = recv(e->agent, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		received += (size_t)n;
	assert_int_equal(received % 1004, 0);
	assert_true(received / 1004 >= (size_t)sent);
	/* And it goes on. */
	assert_int_equal(send(e->server, packet, sizeof packet, MSG_DONTWAIT), sizeof packet);
	run(e);
	assert_int_equal(recv(e->agent, bytes, sizeof bytes, MSG_DONTWAIT), 1004);
}

static void test_the_end_of_the_server_ends_the_stream(void **state)
{
	struct ends *e = *state;
	e->agent = attach(e, NULL);
	fd_close(TAKE_FD(e->server));
	expect_closed(e, e->agent);
	fd_close(e->agent);
	e->agent = attach(e, NULL);
	expect_closed(e, e->agent);
}

/* ---- in the keeper ---- */

static void ask_for(struct fixture *f, struct asker *a, const char *tag)
{
	const struct http_call_events events = { .done = on_done, .upgrade = "holm-stream", .upgraded = on_upgraded };
	AUTOFREE char *target = xasprintf("/v1/share-events?tag=%s", tag);
	http_call(f->loop, fake_open_to_keeper(f->fake), "POST", target, NULL, UINT64_MAX, &events, a, NULL);
	run_until(f, &a->done);
}

static void expect_relayed(struct fixture *f, const struct asker *a)
{
	char packet[16];
	assert_true(a->fd >= 0);
	send_frame(a->fd, SHARE_WATCH, 16);
	settle(f);
	assert_int_equal(recv(f->fake->share_events, packet, sizeof packet, MSG_DONTWAIT), 16);
}

static void test_each_share_has_its_own(void **state)
{
	struct fixture *f = *state;
	struct asker *home = &f->askers[ASKERS - 1], *none = &f->askers[ASKERS - 2], *later = &f->askers[ASKERS - 3];
	begin(f, 10000);
	wait_ready(f);
	assert_non_null(strstr(f->fake->boot_request, "\"events\":true"));
	ask_for(f, home, "home");
	expect_relayed(f, home);
	ask_for(f, none, "share1");
	assert_int_equal(none->code, -ENOENT);
	AUTOFREE char *folder = path_join(root, "later"),
		      *body = xasprintf("{\"host\":\"%s\",\"inside\":\"/later\",\"read_only\":true}", folder);
	assert_int_equal(path_mkdir_all(folder, 0700, NULL), 0);
	struct asker *added = ask(f, "POST", "/v1/shares", body);
	run_until(f, &added->done);
	assert_int_equal(added->code, 0);
	ask_for(f, later, "share1");
	expect_relayed(f, later);
	/* With the share its stream goes. */
	struct asker *removed = ask(f, "DELETE", "/v1/shares?inside=/later", NULL);
	run_until(f, &removed->done);
	assert_int_equal(removed->code, 0);
	char byte;
	settle(f);
	assert_int_equal(recv(later->fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* Sets a choice by its word, and begins. */
static void begin_with(struct fixture *f, const char *key, const char *value)
{
	assert_int_equal(machine_set(f->machine, key, value, NULL), 0);
	begin(f, 10000);
	wait_ready(f);
}

static void expect_none(struct fixture *f)
{
	struct asker *a = &f->askers[ASKERS - 1];
	assert_int_equal(f->fake->share_events, -1);
	assert_non_null(strstr(f->fake->boot_request, "\"events\":false"));
	ask_for(f, a, "home");
	assert_int_equal(a->code, -ENOENT);
}

static void test_off_is_off(void **state)
{
	begin_with(*state, "share-events", "off");
	expect_none(*state);
}

static void test_not_where_writes_are_held_back(void **state)
{
	begin_with(*state, "share-cache", "writeback");
	expect_none(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_frame_comes_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_size_that_is_not_allowed_ends_the_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_new_stream_takes_the_place_of_the_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_server_that_takes_nothing_stops_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_agent_that_takes_nothing_stops_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_of_the_server_ends_the_stream, setup, teardown),
		KEEPER_TEST(test_each_share_has_its_own), KEEPER_TEST(test_off_is_off),
		KEEPER_TEST(test_not_where_writes_are_held_back) };
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
