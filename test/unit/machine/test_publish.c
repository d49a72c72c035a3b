/* SPDX-License-Identifier: Apache-2.0
 * Sockets of published ports, on the loopback of this host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "../folder.h"
#include "base/fd.h"
#include "machine/machine.h"

static const struct port_range any;

static int set_up(void **state)
{
	/* Errors name the machine that has the port: there is none. */
	*state = folder_new();
	return setenv("XDG_DATA_HOME", *state, 1);
}

static int tear_down(void **state)
{
	folder_remove(*state);
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 six = { 0 };
	socklen_t size = sizeof six;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&six, &size), 0);
	return ntohs(six.sin6_port); /* sockaddr_in has it at the same place */
}

static void close_both(const int fds[static MACHINE_PUBLISH_SOCKETS])
{
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static void chosen(int udp, char *ip)
{
	struct machine_publish p = { .ip = ip, .inside = 80, .udp = udp };
	int fds[MACHINE_PUBLISH_SOCKETS];
	assert_int_equal(machine_publish_open_range(&p, any, machine_publish_loopback, fds, NULL), 0);
	assert_true(p.host > 0);
	assert_int_equal(port_of(fds[0]), p.host);
	if (fds[1] >= 0) /* a host with IPv6 */
		assert_int_equal(port_of(fds[1]), p.host);
	assert_true(!ip || fds[1] < 0);
	close_both(fds);
}

static void test_any(void **state)
{
	char four[] = "127.0.0.1";
	chosen(0, NULL);
	chosen(1, NULL);
	chosen(0, four);
	chosen(1, four);
}

static void test_one(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	struct machine_publish p = { .inside = 80 }, again = p;
	int fds[MACHINE_PUBLISH_SOCKETS], more[MACHINE_PUBLISH_SOCKETS];
	assert_int_equal(machine_publish_open_range(&p, any, machine_publish_loopback, fds, NULL), 0);
	const struct port_range same = { p.host, p.host };
	assert_int_equal(machine_publish_open_range(&again, same, machine_publish_loopback, more, &err), -EADDRINUSE);
	assert_non_null(strstr(error_text(err, 0), "in use by another program"));
	close_both(fds);
	assert_int_equal(machine_publish_open_range(&again, same, machine_publish_loopback, more, NULL), 0);
	assert_int_equal(again.host, p.host);
	close_both(more);
}

static void test_range(void **state)
{
	enum { WIDTH = 3 };
	AUTO_ERROR struct error *err = NULL;
	int fds[WIDTH][MACHINE_PUBLISH_SOCKETS], more[MACHINE_PUBLISH_SOCKETS];
	struct machine_publish all[WIDTH];
	struct port_range range = any;
	/* A range that is free now: other programs may take of it at any time. */
	for (unsigned first = 20000; !range.first; first += WIDTH) {
		struct machine_publish p = { .inside = 80 };
		unsigned n = 0;
		for (; n < WIDTH; n++) {
			const struct port_range one = { (uint16_t)(first + n), (uint16_t)(first + n) };
			all[n] = p;
			if (machine_publish_open_range(&all[n], one, machine_publish_loopback, fds[n], NULL) < 0)
				break;
		}
		if (n == WIDTH)
			range = (struct port_range){ (uint16_t)first, (uint16_t)(first + WIDTH - 1) };
		else
			while (n-- > 0)
				close_both(fds[n]);
		assert_true(first < 30000);
	}
	struct machine_publish p = { .inside = 80 };
	assert_int_equal(machine_publish_open_range(&p, range, machine_publish_loopback, more, &err), -EADDRINUSE);
	assert_non_null(strstr(error_text(err, 0), "are all in use"));
	close_both(fds[1]);
	assert_int_equal(machine_publish_open_range(&p, range, machine_publish_loopback, more, NULL), 0);
	assert_int_equal(p.host, range.first + 1);
	close_both(more);
	close_both(fds[0]);
	close_both(fds[2]);
}

static void test_no_such_address(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	char far[] = "192.0.2.1";
	struct machine_publish p = { .ip = far, .inside = 80 };
	int fds[MACHINE_PUBLISH_SOCKETS];
	assert_int_equal(machine_publish_open_range(&p, any, machine_publish_loopback, fds, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(error_text(err, 0), "a TCP port on 192.0.2.1 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_no_such_address),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
