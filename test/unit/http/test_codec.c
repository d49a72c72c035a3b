/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/http.h"

static void test_request(void **state)
{
	static const char text[] = "POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nconnection: keep-alive, "
				   "Upgrade\r\nUpgrade: holm-session\r\n\r\nabc";
	AUTO_HTTP_HEAD struct http_head h;
	assert_int_equal(http_parse_request(text, sizeof text - 1, &h, NULL), sizeof text - 4);
	assert_string_equal(h.method, "POST");
	assert_string_equal(h.target, "/v1/x?a=1");
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.content_length, 3);
	assert_true(h.upgrade && h.keep_alive && !h.chunked);
	assert_string_equal(http_head_get(&h, "HOST"), "h");
	assert_null(http_head_get(&h, "absent"));
}

static void test_response(void **state)
{
	static const char text[] = "HTTP/1.0 404 Not Found\r\nTransfer-Encoding: x\r\n\r\n";
	AUTO_HTTP_HEAD struct http_head h;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(http_parse_response(text, sizeof text - 1, &h, &err), -EBADMSG);
	assert_non_null(err);
	static const char good[] = "HTTP/1.1 200\r\nConnection: close\r\n\r\n";
	assert_int_equal(http_parse_response(good, sizeof good - 1, &h, NULL), sizeof good - 1);
	assert_int_equal(h.status, 200);
	assert_false(h.keep_alive);
	assert_int_equal(h.content_length, -1);
}

static void test_incomplete(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
	for (size_t n = 0; n < sizeof text - 1; n++) {
		struct http_head h;
		assert_int_equal(http_parse_request(text, n, &h, NULL), -EAGAIN);
	}
	char *large = xmalloc(HTTP_HEAD_MAX);
	memset(large, 'a', HTTP_HEAD_MAX);
	struct http_head h;
	assert_int_equal(http_parse_request(large, HTTP_HEAD_MAX, &h, NULL), -EMSGSIZE);
	free(large);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"GET\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET x HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"G@T / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\n A: b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"\r\n\r\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct http_head h;
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(http_parse_request(bad[i], strlen(bad[i]), &h, &err), -EBADMSG);
		assert_non_null(err);
	}
}

/* Decodes text in pieces of `piece` bytes into out: 1 complete, 0 not, negative errno. */
static int decode(const char *text, size_t piece, char *out, size_t *ret_taken)
{
	struct http_chunks c = { 0 };
	size_t at = 0, size = strlen(text);
	int r = 0;
	*out = 0;
	while (r == 0 && at < size) {
		const char *data;
		size_t used, n;
		r = http_chunks_feed(&c, text + at, MIN(piece, size - at), &used, &data, &n);
		if (r >= 0) {
			strncat(out, data, n);
			at += used;
		}
	}
	*ret_taken = at;
	return r;
}

static void test_chunks(void **state)
{
	static const char text[] = "5\r\nhello\r\n1;x=y\r\n \r\n00005\r\nworld\r\n0\r\nTrailer: x\r\n\r\nnext";
	char out[128];
	size_t taken;
	for (size_t piece = 1; piece < sizeof text; piece++) {
		assert_int_equal(decode(text, piece, out, &taken), 1);
		assert_string_equal(out, "hello world");
		assert_int_equal(taken, sizeof text - 5);
	}
	assert_int_equal(decode("3\r\nab", 100, out, &taken), 0);
	static const char *const bad[] = { "x\r\n", "\r\n", "5\nhello\r\n", "1\r\nab\r\n", "11111111111111111\r\n",
		"-1\r\n", "0\r\n\n" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(decode(bad[i], 100, out, &taken), -EBADMSG);
}

static void test_endless_chunk_line(void **state)
{
	struct http_chunks c = { 0 };
	char line[512];
	const char *data;
	size_t used, n;
	int r = http_chunks_feed(&c, "1;", 2, &used, &data, &n);
	memset(line, 'x', sizeof line);
	for (int i = 0; i < 4 && r == 0; i++)
		r = http_chunks_feed(&c, line, sizeof line, &used, &data, &n);
	assert_int_equal(r, -EBADMSG);
}

static void cut(const char *request, const char *behind, size_t body_max, int wanted, const char *body_wanted)
{
	AUTO_BUFFER struct buffer raw, body;
	buffer_init(&raw, 4096);
	buffer_init(&body, body_max);
	buffer_append_string(&raw, request);
	buffer_append_string(&raw, behind);
	int r = http_cut_request(&raw, body_wanted ? &body : NULL);
	assert_int_equal(r, wanted);
	if (r < 0)
		return;
	assert_int_equal(raw.size, strlen(behind));
	assert_memory_equal(raw.data, behind, raw.size);
	if (body_wanted) {
		assert_int_equal(body.size, strlen(body_wanted));
		assert_memory_equal(body.data, body_wanted, body.size);
	}
}

static void test_cut(void **state)
{
	static const char plain[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
	static const char chunked[] = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
				      "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
	cut(plain, "stdin", 64, 0, "body");
	cut(chunked, "stdin", 64, 0, "body");
	cut(plain, "stdin", 64, 0, NULL);
	cut(chunked, "stdin", 64, 0, NULL);
	cut("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "stdin", 64, 0, "");
	cut(plain, "", 3, -EBADMSG, "body");
	cut(chunked, "", 3, -EBADMSG, "body");
	cut("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nbody", "", 64, -EBADMSG, "body");
	cut("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nb", "", 64, -EBADMSG, "body");
	cut("nonsense\r\n\r\n", "", 64, -EBADMSG, "body");
}

static void test_target(void **state)
{
	AUTOFREE char *path = http_target_path("/v1/x?a=b"), *a = http_target_query("/x?aa=1&a=b%20c%2F&b=", "a");
	AUTOFREE char *b = http_target_query("/x?aa=1&a=b&b=", "b"), *bad = http_target_query("/x?a=%zz", "a");
	AUTOFREE char *absent = http_target_query("/x?a=1", "x"), *nul = http_target_query("/x?a=%00", "a");
	AUTOFREE char *encoded = http_encode_query("/a b&c=%\xc3\xa5");
	AUTOFREE char *target = xasprintf("/x?p=%s", encoded), *back = http_target_query(target, "p");
	assert_string_equal(path, "/v1/x");
	assert_string_equal(a, "b c/");
	assert_string_equal(b, "");
	assert_null(bad);
	assert_null(nul);
	assert_null(absent);
	assert_string_equal(encoded, "/a%20b%26c%3D%25%C3%A5");
	assert_string_equal(back, "/a b&c=%\xc3\xa5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_endless_chunk_line),
		cmocka_unit_test(test_target),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
