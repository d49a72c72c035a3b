/* SPDX-License-Identifier: Apache-2.0
 * Server and both clients against each other: the server and the loop's client in one loop, the
 * blocking client in a child. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/http.h"

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct http_exchange *kept;
	int closed, upgraded_fd;
	struct buffer early;
	/* what a call brought */
	int done, code, lines;
	char *text;
	int upgraded;
};

static void handle_echo(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	if (body)
		http_respond_json(x, 200, json_object_get(body));
	else
		http_respond_error(x, EINVAL, err);
}

static void handle_lines(struct http_exchange *x, void *data)
{
	http_stream_begin(x, 200);
	for (int i = 0; i < 3; i++) {
		struct json_object *line = json_object_new_object();
		json_add_u64(line, "n", (uint64_t)i);
		http_stream_json(x, line);
	}
	http_stream_end(x);
}

static void handle_fail(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	error_set(&err, EBUSY, "the thing is busy");
	http_respond_error(x, EBUSY, err);
}

static void on_kept_closed(void *data)
{
	struct fixture *f = data;
	f->closed++;
	f->kept = NULL;
}

static void handle_keep(struct http_exchange *x, void *data)
{
	struct fixture *f = data;
	f->kept = x;
	http_exchange_on_closed(x, on_kept_closed, f);
}

static void handle_flood(struct http_exchange *x, void *data)
{
	http_exchange_on_closed(x, on_kept_closed, data);
	http_stream_begin(x, 200);
	for (int i = 0; i < 40000; i++) {
		struct json_object *line = json_object_new_object();
		json_add_string(line, "text", "a line of some length, so that a reader who does not read falls behind");
		http_stream_json(x, line);
	}
}

/* Ends its answer although the reader was dropped: it has done with it, and is not told of the end
 * any more. */
static void handle_flood_and_end(struct http_exchange *x, void *data)
{
	handle_flood(x, data);
	http_stream_end(x);
}

static void handle_upgrade(struct http_exchange *x, void *data)
{
	struct fixture *f = data;
	http_upgrade(x, "holm-stream", &f->upgraded_fd, &f->early);
}

static void handle_take(struct http_exchange *x, void *data)
{
	struct fixture *f = data;
	assert_int_equal(http_exchange_take(x, &f->upgraded_fd, &f->early), 0);
}

static void handle_text(struct http_exchange *x, void *data)
{
	http_respond(x, 200, "text/plain", "OK", 2);
}

static void handle_empty(struct http_exchange *x, void *data)
{
	http_respond(x, 204, NULL, NULL, 0);
}

static const struct http_route routes[] = {
	{ "HEAD", "/text", handle_text },
	{ "GET", "/empty", handle_empty },
	{ "POST", "/echo", handle_echo },
	{ "GET", "/lines", handle_lines },
	{ "GET", "/fail", handle_fail },
	{ "GET", "/keep", handle_keep },
	{ "GET", "/flood", handle_flood },
	{ "GET", "/flood-end", handle_flood_and_end },
	{ "POST", "/upgrade", handle_upgrade },
	{ "POST", "/take", handle_take },
	{ "POST", "/stream", handle_take, .stream_body = 1 },
	{ "GET", "/prefix/*", handle_lines },
	{ 0 },
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	f->upgraded_fd = -1;
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(http_server_new(f->loop, routes, f, &f->server), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	http_server_free(f->server);
	loop_free(f->loop);
	fd_close(f->upgraded_fd);
	buffer_done(&f->early);
	free(f->text);
	free(f);
	return 0;
}

static int client(struct fixture *f)
{
	int pair[2];
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(http_server_serve(f->server, pair[0]), 0);
	return pair[1];
}

static void run_until(struct fixture *f, const int *flag)
{
	uint64_t deadline = clock_deadline(60000);
	while (!*flag && clock_now_ms() < deadline)
		loop_step(f->loop, deadline);
	assert_true(*flag);
}

static void on_line(struct json_object *line, void *data)
{
	((struct fixture *)data)->lines++;
}

static void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct fixture *f = data;
	f->done++;
	f->code = code;
	free(f->text);
	f->text = xstrdup(body ? json_object_to_json_string_ext(body, 0) : err ? err->text : NULL);
}

static void on_upgraded(int fd, struct buffer *early, void *data)
{
	struct fixture *f = data;
	f->upgraded = 1;
	fd_close(fd);
}

static void call(struct fixture *f, const char *method, const char *target, struct json_object *body,
    const char *upgrade)
{
	struct http_call_events events = { .line = strstr(target, "line") ? on_line : NULL, .done = on_done };
	if (upgrade) {
		events.upgrade = upgrade;
		events.upgraded = on_upgraded;
	}
	f->done = 0;
	assert_int_equal(http_call(f->loop, client(f), method, target, body, clock_deadline(60000), &events, f, NULL),
	    0);
}

static void test_calls(void **state)
{
	struct fixture *f = *state;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "a", "b");
	call(f, "POST", "/echo", o, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->code, 0);
	assert_string_equal(f->text, "{\"a\":\"b\"}");
	call(f, "GET", "/prefix/line", NULL, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->lines, 3);
	call(f, "GET", "/fail", NULL, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->code, -EBUSY);
	assert_string_equal(f->text, "the thing is busy");
	call(f, "GET", "/nothing", NULL, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->code, -ENOENT);
	call(f, "PUT", "/echo", NULL, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->code, -EOPNOTSUPP);
	call(f, "POST", "/echo", NULL, NULL);
	run_until(f, &f->done);
	assert_int_equal(f->code, -EINVAL);
}

static void test_upgrade(void **state)
{
	struct fixture *f = *state;
	call(f, "POST", "/upgrade", NULL, "holm-stream");
	run_until(f, &f->upgraded);
	assert_true(f->upgraded_fd >= 0);
	fd_close(TAKE_FD(f->upgraded_fd));
	call(f, "POST", "/upgrade", NULL, "other");
	run_until(f, &f->done);
	assert_int_equal(f->code, -EINVAL);
	call(f, "GET", "/prefix/x", NULL, "holm-stream");
	run_until(f, &f->done);
	assert_true(f->code < 0);
}

static void test_take_gives_everything_back(void **state)
{
	static const char *const texts[] = {
		"POST /take HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}after",
		"POST /stream HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}after",
		"POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nafter",
		"POST /take HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nafter",
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_FD int fd = client(f);
		f->upgraded_fd = -1;
		assert_int_equal(fd_write_full(fd, texts[i], strlen(texts[i])), 0);
		while (f->upgraded_fd < 0)
			assert_true(loop_step(f->loop, clock_deadline(60000)) > 0);
		loop_step(f->loop, 0);
		assert_string_equal(buffer_string(&f->early), texts[i]);
		buffer_done(&f->early);
		fd_close(TAKE_FD(f->upgraded_fd));
	}
}

static void test_pipelined_and_kept_alive(void **state)
{
	static const char two[] =
	    "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /lines HTTP/1.1\r\n\r\nGET /fail HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	char answer[4096];
	assert_int_equal(fd_write_full(fd, two, sizeof two - 1), 0);
	while (loop_step(f->loop, clock_deadline(100)) > 0)
		;
	ssize_t n = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	answer[n] = 0;
	char *lines = strstr(answer, "chunked");
	assert_non_null(lines);
	assert_non_null(strstr(lines, "409"));
}

/* Headers of the server's own, a body of any kind, none for HEAD, none and no length for 204. */
static void test_dialect(void **state)
{
	static const char three[] = "HEAD /text HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\nGET /fail HTTP/1.1\r\n\r\n";
	static const char expected[] =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nX-Mine: 1\r\n\r\n"
	    "HTTP/1.1 204 No Content\r\nX-Mine: 1\r\n\r\n"
	    "HTTP/1.1 409 Conflict\r\n";
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	char answer[4096];
	http_server_set_dialect(f->server, "X-Mine: 1\r\n", "message");
	assert_int_equal(fd_write_full(fd, three, sizeof three - 1), 0);
	while (loop_step(f->loop, clock_deadline(100)) > 0)
		;
	ssize_t n = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	answer[n] = 0;
	assert_memory_equal(answer, expected, strlen(expected));
	assert_non_null(strstr(answer, "{\"message\":\"the thing is busy\""));
}

static void test_one_request(void **state)
{
	static const char two[] = "POST /echo HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: "
				  "2\r\n\r\n{}HEAD /text HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	AUTOFREE char *text = NULL;
	http_server_set_one_request(f->server);
	assert_int_equal(fd_write_full(fd, two, strlen(two)), 0);
	while (loop_step(f->loop, clock_deadline(80)) > 0)
		;
	assert_int_equal(fd_read_all(fd, 4096, &text, NULL), 0);
	assert_non_null(strstr(text, "Connection: close\r\n"));
	assert_true(endswith(text, "\r\n\r\n{}"));
}

/* Writes, lets the server run, and compares what it says then. */
static void exchange(struct fixture *f, int fd, const char *request, const char *expected)
{
	char answer[4096];
	assert_int_equal(fd_write_full(fd, request, strlen(request)), 0);
	while (loop_step(f->loop, clock_deadline(80)) > 0)
		;
	ssize_t n = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
	answer[MAX(n, 0)] = 0;
	assert_int_equal(strncmp(answer, expected, strlen(expected)), 0);
	assert_true(*expected || n < 0);
}

/* A client that waits for 100 gets it once, for a body that is held and for a stream, and not if
 * there is no body, or if a part of it has come. */
static void test_continue(void **state)
{
	static const char waits[] = "POST /echo HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n",
			  stream[] =
			      "POST /stream HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	exchange(f, fd, waits, "");
	exchange(f, fd, "{}", "HTTP/1.1 200 OK");
	http_server_set_continue(f->server);
	exchange(f, fd, waits, "HTTP/1.1 100 Continue\r\n\r\n");
	exchange(f, fd, "{}", "HTTP/1.1 200 OK");
	exchange(f, fd, "HEAD /text HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 200 OK");
	exchange(f, fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
	    "HTTP/1.1 200 OK");
	exchange(f, fd, stream, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void take_kept(struct source *s, void *data)
{
	struct fixture *f = data;
	assert_int_equal(http_exchange_take(f->kept, &f->upgraded_fd, &f->early), -EPIPE);
	f->kept = NULL;
}

/* The connection goes away and is taken over in the same turn: its owner hears of it once. */
static void test_peer_gone_before_take(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);
	assert_int_equal(fd_write_full(fd, "GET /keep HTTP/1.1\r\n\r\n", 22), 0);
	while (!f->kept)
		assert_true(loop_step(f->loop, clock_deadline(60000)) > 0);
	fd_close(fd);
	assert_int_equal(loop_add_deferred(f->loop, take_kept, f, NULL), 0);
	while (loop_step(f->loop, clock_deadline(80)) > 0)
		;
	assert_null(f->kept);
	assert_int_equal(f->closed, 0);
}

static void test_peer_gone(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);
	assert_int_equal(fd_write_full(fd, "GET /keep HTTP/1.1\r\n\r\n", 22), 0);
	while (!f->kept)
		loop_step(f->loop, clock_deadline(60000));
	fd_close(fd);
	run_until(f, &f->closed);
	fd = client(f);
	assert_int_equal(fd_write_full(fd, "GET /keep HTTP/1.1\r\n\r\n", 22), 0);
	while (!f->kept)
		loop_step(f->loop, clock_deadline(60000));
	http_server_free(TAKE_PTR(f->server));
	assert_int_equal(f->closed, 2);
	fd_close(fd);
}

static void test_reader_that_falls_behind(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	assert_int_equal(fd_write_full(fd, "GET /flood HTTP/1.1\r\n\r\n", 23), 0);
	run_until(f, &f->closed);

	AUTO_FD int other = client(f);
	f->closed = 0;
	assert_int_equal(fd_write_full(other, "GET /flood-end HTTP/1.1\r\n\r\n", 27), 0);
	while (loop_step(f->loop, clock_deadline(50)) > 0)
		;
	assert_int_equal(f->closed, 0);
}

/* A head has one time limit, however its bytes come. */
static void test_slow_head(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = client(f);
	char answer[1024];
	ssize_t n = -1;
	http_server_set_head_limit(f->server, 100);
	for (int i = 0; i < 1000 && n < 0; i++) {
		assert_int_equal(send(fd, "G", 1, MSG_NOSIGNAL), 1);
		while (loop_step(f->loop, clock_deadline(10)) > 0)
			;
		n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
	}
	assert_true(n > 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0);
}

/* accept(2) fails with EMFILE: the server does not turn in circles, and goes on later. */
static void test_no_descriptors(void **state)
{
	static const char request[] = "GET /fail HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof address;
	struct rlimit before, none;
	char answer[1024];
	int turns = 0, listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address.sun_family), 0); /* any name */
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(listening, 8), 0);
	assert_int_equal(http_server_listen(f->server, listening), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	for (uint64_t until = clock_deadline(200); clock_now_ms() < until; turns++)
		loop_step(f->loop, until);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(turns < 20);
	assert_int_equal(fd_write_full(fd, request, sizeof request - 1), 0);
	ssize_t n = -1;
	for (uint64_t until = clock_deadline(60000); n < 0 && clock_now_ms() < until;) {
		loop_step(f->loop, clock_deadline(20));
		n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
	}
	assert_true(n > 12 && memcmp(answer, "HTTP/1.1 4", 10) == 0);
}

static void test_garbage_and_too_large(void **state)
{
	static const char *const bad[] = {
		"garbage\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
		"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_FD int fd = client(f);
		char answer[1024];
		assert_int_equal(fd_write_full(fd, bad[i], strlen(bad[i])), 0);
		while (loop_step(f->loop, clock_deadline(50)) > 0)
			;
		ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
		assert_true(n > 12 && memcmp(answer, "HTTP/1.1 4", 10) == 0);
		assert_int_equal(recv(fd, answer, sizeof answer, MSG_DONTWAIT), 0);
	}
}

/* ---- the blocking client, in a child ---- */

static int child_fd;

static int child_requests(void)
{
	struct http_response response;
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *line = NULL, *answer = NULL;
	uint64_t deadline = clock_deadline(60000), n = 9;
	AUTO_ERROR struct error *err = NULL;
	json_add_u64(o, "n", 7);
	if (http_request(child_fd, "POST", "/echo", NULL, o, deadline, &response, NULL) < 0 ||
	    http_response_json(&response, deadline, &answer, NULL) < 0)
		return 1;
	if (json_get_u64(answer, "n", &n, NULL) < 0 || n != 7)
		return 2;
	json_object_put(answer);
	http_response_done(&response);
	if (http_request(child_fd, "GET", "/lines", NULL, NULL, deadline, &response, NULL) < 0)
		return 3;
	for (uint64_t i = 0; i < 3; i++) {
		if (http_response_line(&response, deadline, &line, NULL) != 1 ||
		    json_get_u64(line, "n", &n, NULL) < 0 || n != i)
			return 4;
		json_object_put(line);
	}
	if (http_response_line(&response, deadline, &line, NULL) != 0)
		return 5;
	http_response_done(&response);
	if (http_request(child_fd, "GET", "/fail", NULL, NULL, deadline, &response, &err) != -EBUSY ||
	    !streq(err->text, "the thing is busy"))
		return 6;
	http_response_done(&response);
	if (http_request(child_fd, "GET", "/keep", NULL, NULL, clock_deadline(50), &response, NULL) != -ETIMEDOUT)
		return 7;
	return 0;
}

static void test_blocking_client(void **state)
{
	struct fixture *f = *state;
	child_fd = client(f);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_requests());
	fd_close(child_fd);
	int status;
	uint64_t deadline = clock_deadline(60000);
	while (waitpid(pid, &status, WNOHANG) == 0 && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_int_equal(status, 0);
}

static void test_call_deadline_and_cancel(void **state)
{
	struct fixture *f = *state;
	struct http_call_events events = { .done = on_done };
	struct http_call *c;
	assert_int_equal(http_call(f->loop, client(f), "GET", "/keep", NULL, clock_deadline(50), &events, f, NULL), 0);
	run_until(f, &f->done);
	assert_int_equal(f->code, -ETIMEDOUT);
	assert_int_equal(http_call(f->loop, client(f), "GET", "/keep", NULL, clock_deadline(50), &events, f, &c), 0);
	http_call_cancel(c);
	while (loop_step(f->loop, clock_deadline(80)) > 0)
		;
	assert_int_equal(f->done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_gives_everything_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipelined_and_kept_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dialect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_continue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_gone_before_take, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_that_falls_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_and_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocking_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_call_deadline_and_cancel, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
