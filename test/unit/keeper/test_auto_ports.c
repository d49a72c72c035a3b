/* SPDX-License-Identifier: Apache-2.0
 * Ports that open by themselves. The machine's network is the test's own: the services are sockets
 * of the test, at 127.0.0.1, so that their numbers are free at the machine's own address alone. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "fixture.h"
#include "keeper/ports/automatic.h"

enum { REPORT_MAX = 8192 };

/* A socket at an address; port 0: any, which *port gets. -1: the port is taken. */
static int serve(const char *ip, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t size = sizeof a;
	inet_pton(AF_INET, ip, &a.sin_addr);
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, 16) < 0)
		return -1;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	*port = ntohs(a.sin_port);
	return TAKE_FD(fd);
}

/* 0, or -errno of connect(2). */
static int connect_to(const char *ip, uint16_t port, int *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, ip, &a.sin_addr);
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return -errno;
	if (ret)
		*ret = TAKE_FD(fd);
	return 0;
}

/* The sockets at localhost that have opened by themselves. */
static size_t count_at_localhost(struct fixture *f)
{
	AUTO_JSON struct json_object *state = keeper_state(f->keeper);
	struct json_object *ports = NULL;
	size_t count = 0;
	assert_int_equal(json_get_array(state, "ports", &ports, NULL), 0);
	for (size_t i = 0; i < json_object_array_length(ports); i++) {
		const char *ip = "";
		json_get_string(json_object_array_get_idx(ports, i), "ip", &ip, NULL);
		count += streq(ip, "127.0.0.1") || streq(ip, "::1");
	}
	return count;
}

/* The numbers of GET /v1/state, as JSON. */
static char *numbers(struct fixture *f)
{
	AUTO_JSON struct json_object *state = keeper_state(f->keeper);
	struct json_object *list = NULL;
	return json_get_array(state, "auto_ports", &list, NULL) < 0 ? xstrdup("off") : json_to_string(list, 0);
}

static void expect_numbers(struct fixture *f, const char *wanted)
{
	AUTOFREE char *got = NULL;
	uint64_t deadline = clock_deadline(60000);
	do {
		loop_step(f->loop, clock_deadline(20));
		free(got);
		got = numbers(f);
	} while (!streq(got, wanted) && clock_now_ms() < deadline);
	assert_string_equal(got, wanted);
}

static void begin_on(struct fixture *f)
{
	f->machine->auto_ports = 1;
	f->machine->address = machine_address_from("test");
	f->fake->open_socket_code = 0;
	begin(f, 60000);
	wait_ready(f);
	run_until(f, &f->fake->listenings);
}

static void report_one(struct fixture *f, uint16_t port)
{
	AUTOFREE char *line = xasprintf("{\"ports\":[%u]}", port), *list = xasprintf("[%u]", port);
	fake_listening_line(f->fake, line);
	expect_numbers(f, list);
}

static void test_parse(void **state)
{
	static const struct {
		const char *line;
		int count;
	} rows[] = {
		{ "{\"ports\":[8080,8081,8080]}", 2 },
		{ "{\"ports\":[1,22,53,111,1023,5353,5355,1024]}", 1 },
		{ "{\"ports\":[]}", 0 },
		{ "{\"ports\":[0]}", -EBADMSG },
		{ "{\"ports\":[65536]}", -EBADMSG },
		{ "{\"ports\":[\"8080\"]}", -EBADMSG },
		{ "{\"ports\":[8080.5]}", -EBADMSG },
		{ "{\"ports\":[null]}", -EBADMSG },
		{ "{\"ports\":8080}", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "[8080]", -EBADMSG },
	};
	uint16_t got[AUTO_PORTS_REPORTED];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *line = json_tokener_parse(rows[i].line);
		assert_int_equal(auto_ports_parse(line, 1024, got), rows[i].count);
	}
	AUTO_JSON struct json_object *low = json_tokener_parse("{\"ports\":[22,53,80,111]}");
	assert_int_equal(auto_ports_parse(low, 0, got), 1);
	assert_int_equal(got[0], 80);
}

static void test_open_and_close(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;
	AUTO_FD int service = serve("127.0.0.1", &port), client = -1, inside = -1;
	begin_on(f);
	report_one(f, port);
	assert_int_equal(connect_to(f->machine->address, port, &client), 0);
	uint64_t deadline = clock_deadline(60000);
	while ((inside = accept4(service, NULL, NULL, SOCK_CLOEXEC)) < 0 && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_true(inside >= 0);
	fake_listening_line(f->fake, "{\"ports\":[]}");
	expect_numbers(f, "[]");
	assert_int_equal(connect_to(f->machine->address, port, NULL), -ECONNREFUSED);
}

/* A client of "localhost" would try ::1 first, and reach the machine in the program's place. */
static void test_localhost_is_one(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;
	AUTO_FD int program = serve("127.0.0.1", &port), client = -1;
	begin_on(f);
	report_one(f, port);
	assert_int_equal(connect_to(f->machine->address, port, &client), 0);
	assert_int_equal(count_at_localhost(f), 0);
	/* Its end changes nothing, until the listener is another one. */
	fd_close(TAKE_FD(program));
	fake_listening_line(f->fake, "{\"ports\":[]}");
	expect_numbers(f, "[]");
	report_one(f, port);
	uint64_t deadline = clock_deadline(60000);
	while (connect_to("127.0.0.1", port, NULL) < 0 && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_true(count_at_localhost(f) > 0);
}

/* Without it nobody asks the agent, and nothing opens. */
static void test_off(void **state)
{
	struct fixture *f = *state;
	begin(f, 60000);
	wait_ready(f);
	settle(f);
	assert_int_equal(f->fake->listenings, 0);
	AUTOFREE char *none = numbers(f);
	assert_string_equal(none, "off");
	struct asker *a = ask(f, "PUT", "/v1/auto-ports", "{\"on\":true}");
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	run_until(f, &f->fake->listenings);
	a = ask(f, "PUT", "/v1/auto-ports", "{\"on\":true,\"address\":\"127.0.0.1\"}");
	run_until(f, &a->done);
	assert_int_equal(a->code, -EINVAL);
}

/* As many as there are, and not one more; those that are open stay. */
static void test_most(void **state)
{
	struct fixture *f = *state;
	AUTO_BUFFER struct buffer line = { 0 };
	buffer_init(&line, REPORT_MAX);
	begin_on(f);
	report_one(f, 30200);
	for (int i = 0; i < AUTO_PORTS_REPORTED; i++) {
		AUTOFREE char *item = xasprintf("%s%d", i ? "," : "{\"ports\":[", 30000 + i);
		buffer_append(&line, item, strlen(item));
	}
	buffer_append(&line, "]}", 3);
	fake_listening_line(f->fake, line.data);
	int found = 0, count = 0;
	for (uint64_t deadline = clock_deadline(60000); count < AUTO_PORTS_MAX && clock_now_ms() < deadline;) {
		loop_step(f->loop, clock_deadline(20));
		AUTOFREE char *got = numbers(f);
		AUTO_JSON struct json_object *list = json_tokener_parse(got);
		count = (int)json_object_array_length(list);
		found = strstr(got, "30200") != NULL;
	}
	assert_int_equal(count, AUTO_PORTS_MAX);
	assert_true(found);
}

static int change(struct fixture *f, const char *method, const char *target, const char *body)
{
	struct asker *a = ask(f, method, target, body);
	run_until(f, &a->done);
	return a->code;
}

/* A published port takes the number, and gives it back. */
static void test_published_first(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;
	close(serve("127.0.0.1", &port));
	AUTOFREE char *body = xasprintf("{\"port\":\"%u:80\"}", port), *gone = xasprintf("/v1/ports?port=%u:80", port);
	AUTOFREE char *any = xasprintf("{\"port\":\"0.0.0.0:%u:80\"}", port);
	AUTOFREE char *elsewhere = xasprintf("{\"port\":\"192.0.2.1:%u:80\"}", port);
	begin_on(f);
	report_one(f, port);
	assert_int_equal(connect_to("127.0.0.1", port, NULL), 0);
	assert_int_equal(change(f, "POST", "/v1/ports", body), 0);
	report_one(f, port);
	assert_int_equal(change(f, "DELETE", gone, NULL), 0);
	uint64_t deadline = clock_deadline(60000);
	while (connect_to("127.0.0.1", port, NULL) < 0 && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	/* Another machine wants it where it is not open, at localhost, then everywhere. */
	assert_int_equal(change(f, "POST", "/v1/auto-ports", elsewhere), -ENOENT);
	assert_int_equal(connect_to("127.0.0.1", port, NULL), 0);
	assert_int_equal(change(f, "POST", "/v1/auto-ports", body), 0);
	assert_int_equal(connect_to("127.0.0.1", port, NULL), -ECONNREFUSED);
	assert_int_equal(connect_to(f->machine->address, port, NULL), 0);
	assert_int_equal(change(f, "POST", "/v1/auto-ports", any), 0);
	assert_int_equal(connect_to(f->machine->address, port, NULL), -ECONNREFUSED);
	assert_int_equal(change(f, "POST", "/v1/auto-ports", any), -ENOENT);
}

/* An agent that sends lines without an end is not read on. */
static void test_flood(void **state)
{
	struct fixture *f = *state;
	begin_on(f);
	uint64_t deadline = clock_deadline(60000);
	while (f->fake->listening && clock_now_ms() < deadline) {
		for (int i = 0; i < 100; i++)
			fake_listening_line(f->fake, "{\"ports\":[]}");
		loop_step(f->loop, clock_deadline(20));
	}
	assert_null(f->fake->listening);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		KEEPER_TEST(test_open_and_close),
		KEEPER_TEST(test_localhost_is_one),
		KEEPER_TEST(test_off),
		KEEPER_TEST(test_most),
		KEEPER_TEST(test_published_first),
		KEEPER_TEST(test_flood),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
