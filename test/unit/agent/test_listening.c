/* SPDX-License-Identifier: Apache-2.0
 * The list of ports that listen: entries as the kernel writes them, and this kernel's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/service/listening_list.h"
#include "base/fd.h"

static int has(const struct listening_set *s, uint16_t port)
{
	return (s->words[port / 64] >> port % 64 & 1) != 0;
}

static void test_entries(void **state)
{
	static const struct {
		const char *address;
		int state;
		uint32_t interface;
		int counts;
	} rows[] = {
		{ "0.0.0.0", TCP_LISTEN, 0, 1 },
		{ "127.0.0.1", TCP_LISTEN, 0, 1 },
		{ "::", TCP_LISTEN, 0, 1 },
		{ "::1", TCP_LISTEN, 0, 1 },
		{ "::ffff:127.0.0.1", TCP_LISTEN, 0, 1 },
		{ "127.0.0.1", TCP_ESTABLISHED, 0, 0 },
		{ "127.0.0.53", TCP_LISTEN, 0, 0 },
		{ "10.77.0.2", TCP_LISTEN, 0, 0 },
		{ "fe80::1", TCP_LISTEN, 0, 0 },
		{ "::ffff:10.77.0.2", TCP_LISTEN, 0, 0 },
		{ "0.0.0.0", TCP_LISTEN, 2, 0 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct listening_set s = { 0 };
		struct inet_diag_msg m = { .idiag_state = (uint8_t)rows[i].state };
		int is_four = !strchr(rows[i].address, ':');
		m.idiag_family = is_four ? AF_INET : AF_INET6;
		m.id.idiag_sport = htons(8080);
		m.id.idiag_if = rows[i].interface;
		assert_int_equal(inet_pton(m.idiag_family, rows[i].address, m.id.idiag_src), 1);
		listening_add(&s, &m);
		assert_int_equal(has(&s, 8080), rows[i].counts);
		listening_remove(&s, 8080);
		assert_int_equal(has(&s, 8080), 0);
	}
}

static void test_report(void **state)
{
	struct listening_set s = { 0 };
	AUTO_JSON struct json_object *none = listening_to_json(&s), *most = NULL;
	assert_int_equal(json_object_array_length(none), 0);
	memset(&s, 0xff, sizeof s);
	most = listening_to_json(&s);
	assert_int_equal(json_object_array_length(most), LISTENING_REPORTED_MAX);
	assert_int_equal(json_object_get_int(json_object_array_get_idx(most, 255)), 255);
}

static void test_kernel(void **state)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	static struct listening_set s;
	socklen_t size = sizeof four;
	AUTO_FD int list = listening_open(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd6 = -1;
	int r = list < 0 ? list : listening_read(list, &s);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&four, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&four, &size), 0);
	assert_int_equal(listening_read(list, &s), 0);
	assert_int_equal(has(&s, ntohs(four.sin_port)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(listening_read(list, &s), 0);
	assert_int_equal(has(&s, ntohs(four.sin_port)), 1);
	size = sizeof six;
	fd6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd6 < 0 || bind(fd6, (struct sockaddr *)&six, size) < 0)
		return; /* a host without IPv6 */
	assert_int_equal(listen(fd6, 1), 0);
	assert_int_equal(getsockname(fd6, (struct sockaddr *)&six, &size), 0);
	assert_int_equal(listening_read(list, &s), 0);
	assert_int_equal(has(&s, ntohs(six.sin6_port)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
