/* SPDX-License-Identifier: Apache-2.0
 * Published ports by sockets in the machine's network, which is the test's own here: the services
 * are sockets of the test. What goes by streams: test_resources.c. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "fixture.h"

struct place {
	struct sockaddr_storage address;
	socklen_t size;
	uint16_t port;
};

/* The port of an address that nobody has: bound once and given back; 0: any. */
static struct place make_place(const char *ip, uint16_t port)
{
	struct place p = { .port = port };
	struct sockaddr_in *four = (struct sockaddr_in *)&p.address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&p.address;
	if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		p.size = sizeof *four;
	} else {
		assert_int_equal(inet_pton(AF_INET6, ip, &six->sin6_addr), 1);
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		p.size = sizeof *six;
	}
	return p;
}

/* -1: the host does not have this address. */
static int serve(const char *ip, int type, int backlog, uint16_t *ret)
{
	struct place p = make_place(ip, 0);
	int fd = socket(p.address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&p.address, p.size) < 0) {
		fd_close(fd);
		return -1;
	}
	assert_true(type != SOCK_STREAM || listen(fd, backlog) == 0);
	getsockname(fd, (struct sockaddr *)&p.address, &p.size);
	*ret = ntohs(p.size == sizeof(struct sockaddr_in) ? ((struct sockaddr_in *)&p.address)->sin_port :
							    ((struct sockaddr_in6 *)&p.address)->sin6_port);
	return fd;
}

static uint16_t free_port(int type)
{
	uint16_t port;
	close(serve("127.0.0.1", type, 1, &port));
	return port;
}

static int connect_port(uint16_t port, int type)
{
	struct place p = make_place("127.0.0.1", port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&p.address, p.size), 0);
	fd_set_nonblocking(fd, 1);
	return fd;
}

static uint16_t publish(struct fixture *f, uint16_t inside, int udp)
{
	struct machine *m = f->machine;
	uint16_t host = free_port(udp ? SOCK_DGRAM : SOCK_STREAM);
	m->publish = xrealloc(m->publish, m->publish_count + 1, sizeof *m->publish);
	m->publish[m->publish_count++] = (struct machine_publish){ .host = host, .inside = inside, .udp = udp };
	return host;
}

static ssize_t receive(struct fixture *f, int fd, char *text, size_t size)
{
	ssize_t n = -1;
	uint64_t deadline = clock_deadline(60000);
	while ((n = recv(fd, text, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	return n;
}

static void expect(struct fixture *f, int fd, const char *text)
{
	char got[64];
	assert_int_equal(receive(f, fd, got, sizeof got), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static int accept_inside(struct fixture *f, int listening)
{
	int fd;
	uint64_t deadline = clock_deadline(60000);
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0 && errno == EAGAIN &&
	       clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_true(fd >= 0);
	return fd;
}

static void begin_with_sockets(struct fixture *f)
{
	f->fake->open_socket_code = 0;
	begin(f, 60000);
	wait_ready(f);
}

static void exchange(struct fixture *f, uint16_t host, int listening)
{
	AUTO_FD int client = connect_port(host, SOCK_STREAM);
	assert_int_equal(send(client, "question", 8, 0), 8);
	AUTO_FD int service = accept_inside(f, listening);
	expect(f, service, "question");
	shutdown(client, SHUT_WR);
	assert_int_equal(receive(f, service, (char[1]){ 0 }, 1), 0);
	assert_int_equal(send(service, "answer", 6, 0), 6);
	expect(f, client, "answer");
	fd_close(TAKE_FD(service));
	assert_int_equal(receive(f, client, (char[1]){ 0 }, 1), 0);
}

static void test_connection(void **state)
{
	struct fixture *f = *state;
	uint16_t inside;
	AUTO_FD int listening = serve("127.0.0.1", SOCK_STREAM, 16, &inside);
	uint16_t host = publish(f, inside, 0), closed = publish(f, free_port(SOCK_STREAM), 0);
	begin_with_sockets(f);
	exchange(f, host, listening);
	exchange(f, host, listening);
	AUTO_FD int nobody = connect_port(closed, SOCK_STREAM);
	assert_int_equal(receive(f, nobody, (char[1]){ 0 }, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_null(f->fake->dialled);
}

/* The keeper's socket that is connected to this one; -1: none. */
static int other_end(int fd)
{
	struct sockaddr_in peer, own;
	socklen_t size = sizeof peer;
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &size), 0);
	for (int other = 3; other < 1024; other++) {
		size = sizeof own;
		if (getsockname(other, (struct sockaddr *)&own, &size) == 0 && own.sin_family == AF_INET &&
		    own.sin_port == peer.sin_port)
			return other;
	}
	return -1;
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t size = sizeof value;
	return getsockopt(fd, level, option, &value, &size) < 0 ? -1 : value;
}

static void wait_keepalive(struct fixture *f, int fd)
{
	uint64_t deadline = clock_deadline(60000);
	while (option_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 1 && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_SYNCNT), 6);
}

/* Of a service that goes away without a word: also of the connections after the first. */
static void test_lasting_connections(void **state)
{
	struct fixture *f = *state;
	uint16_t inside;
	AUTO_FD int listening = serve("127.0.0.1", SOCK_STREAM, 16, &inside);
	uint16_t host = publish(f, inside, 0);
	begin_with_sockets(f);
	int clients[3], services[3];
	for (int i = 0; i < 3; i++) {
		clients[i] = connect_port(host, SOCK_STREAM);
		services[i] = accept_inside(f, listening);
		if (i != 1)
			wait_keepalive(f, other_end(services[i]));
	}
	assert_int_equal(option_of(other_end(services[1]), SOL_SOCKET, SO_KEEPALIVE), 1);
	for (int i = 0; i < 3; i++) {
		close(clients[i]);
		close(services[i]);
	}
}

static void test_service_on_six_alone(void **state)
{
	struct fixture *f = *state;
	uint16_t inside, inside_udp;
	AUTO_FD int listening = serve("::1", SOCK_STREAM, 16, &inside), udp = serve("::1", SOCK_DGRAM, 0, &inside_udp);
	if (listening < 0 || udp < 0)
		skip();
	uint16_t host = publish(f, inside, 0), host_udp = publish(f, inside_udp, 1);
	begin_with_sockets(f);
	exchange(f, host, listening);
	AUTO_FD int client = connect_port(host_udp, SOCK_DGRAM);
	assert_int_equal(send(client, "datagram", 8, 0), 8);
	expect(f, udp, "datagram");
}

/* Takes the next datagram from service, and sends it back. */
static void echo(struct fixture *f, int service)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	char text[64];
	ssize_t n;
	uint64_t deadline = clock_deadline(60000);
	while ((n = recvfrom(service, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&from, &size)) < 0 &&
	       errno == EAGAIN && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_true(n >= 0);
	assert_int_equal(sendto(service, text, (size_t)n, 0, (struct sockaddr *)&from, size), n);
}

/* Several clients at once, also with datagrams that come before the first socket does. */
static void test_datagrams(void **state)
{
	enum { CLIENTS = 3 };
	struct fixture *f = *state;
	uint16_t inside;
	int clients[CLIENTS];
	AUTO_FD int service = serve("127.0.0.1", SOCK_DGRAM, 0, &inside);
	uint16_t host = publish(f, inside, 1);
	begin_with_sockets(f);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = connect_port(host, SOCK_DGRAM);
		assert_int_equal(send(clients[i], "first", 5, 0), 5);
		assert_int_equal(send(clients[i], "second", 6, 0), 6);
	}
	for (int i = 0; i < 2 * CLIENTS; i++)
		echo(f, service);
	for (int i = 0; i < CLIENTS; i++) {
		expect(f, clients[i], "first");
		expect(f, clients[i], "second");
		assert_int_equal(send(clients[i], "", 0, 0), 0);
		echo(f, service);
		assert_int_equal(receive(f, clients[i], (char[1]){ 0 }, 1), 0);
		close(clients[i]);
	}
	assert_null(f->fake->dialled);
}

/* The service ends and comes again at another address: a datagram that was refused follows it. */
static void test_datagrams_follow(void **state)
{
	struct fixture *f = *state;
	uint16_t inside;
	AUTO_FD int four = serve("127.0.0.1", SOCK_DGRAM, 0, &inside);
	uint16_t host = publish(f, inside, 1);
	begin_with_sockets(f);
	AUTO_FD int client = connect_port(host, SOCK_DGRAM);
	assert_int_equal(send(client, "four", 4, 0), 4);
	echo(f, four);
	expect(f, client, "four");
	struct place p = make_place("::1", inside);
	AUTO_FD int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (six < 0 || bind(six, (struct sockaddr *)&p.address, p.size) < 0)
		skip();
	fd_close(TAKE_FD(four));
	assert_int_equal(send(client, "lost", 4, 0), 4);
	assert_int_equal(send(client, "six", 3, 0), 3);
	char text[8];
	ssize_t n = receive(f, six, text, sizeof text);
	if (n == 4)
		n = receive(f, six, text, sizeof text);
	assert_int_equal(n, 3);
	assert_memory_equal(text, "six", 3);
}

/* With descriptors for two connections the third client waits until one of them ends. */
static void test_no_more_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, few;
	uint16_t inside;
	AUTO_FD int listening = serve("127.0.0.1", SOCK_STREAM, 16, &inside);
	uint16_t host = publish(f, inside, 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = 256 + 2 * 6;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin_with_sockets(f);
	int clients[3], services[3];
	for (int i = 0; i < 3; i++) {
		clients[i] = connect_port(host, SOCK_STREAM);
		assert_int_equal(send(clients[i], "x", 1, 0), 1);
	}
	for (int i = 0; i < 2; i++) {
		services[i] = accept_inside(f, listening);
		expect(f, services[i], "x");
	}
	settle(f);
	assert_int_equal(accept4(listening, NULL, NULL, SOCK_NONBLOCK), -1);
	assert_int_equal(errno, EAGAIN);
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(clients[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(clients[0]);
	services[2] = accept_inside(f, listening);
	expect(f, services[2], "x");
	for (int i = 0; i < 3; i++) {
		fd_close(i ? clients[i] : -1);
		close(services[i]);
	}
	setrlimit(RLIMIT_NOFILE, &before);
}

/* accept(2) fails with EMFILE: the keeper does not turn in circles, and goes on later. */
static void test_accept_fails(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;
	uint16_t inside;
	AUTO_FD int listening = serve("127.0.0.1", SOCK_STREAM, 16, &inside);
	uint16_t host = publish(f, inside, 0);
	begin_with_sockets(f);
	AUTO_FD int client = connect_port(host, SOCK_STREAM);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_step(f->loop, clock_deadline(60000));
	int turns = 0;
	for (uint64_t until = clock_deadline(200); clock_now_ms() < until; turns++)
		loop_step(f->loop, until);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(turns < 20);
	AUTO_FD int service = accept_inside(f, listening);
	assert_int_equal(send(service, "late", 4, 0), 4);
	expect(f, client, "late");
}

/* The service's backlog is full: a client waits, as it would without a keeper between. */
static void test_full_backlog(void **state)
{
	enum { CLIENTS = 4 };
	struct fixture *f = *state;
	uint16_t inside;
	int clients[CLIENTS];
	AUTO_FD int listening = serve("127.0.0.1", SOCK_STREAM, 1, &inside);
	uint16_t host = publish(f, inside, 0);
	begin_with_sockets(f);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = connect_port(host, SOCK_STREAM);
		assert_int_equal(send(clients[i], "x", 1, 0), 1);
	}
	settle(f);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(recv(clients[i], (char[1]){ 0 }, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i < CLIENTS; i++) {
		AUTO_FD int service = accept_inside(f, listening);
		expect(f, service, "x");
	}
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_connection),
		KEEPER_TEST(test_lasting_connections),
		KEEPER_TEST(test_service_on_six_alone),
		KEEPER_TEST(test_datagrams),
		KEEPER_TEST(test_datagrams_follow),
		KEEPER_TEST(test_no_more_descriptors),
		KEEPER_TEST(test_accept_fails),
		KEEPER_TEST(test_full_backlog),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
