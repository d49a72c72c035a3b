/* SPDX-License-Identifier: Apache-2.0
 * What a running machine has of the host through the keeper: limits, shares, published ports. The
 * fake isolation is beneath. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "fixture.h"
#include "keeper/ports/containers.h"

static void test_limits(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "PUT", "/v1/limits", "{\"cpus\":3,\"memory\":4096}");
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	assert_int_equal(f->fake->cpus, 3);
	assert_int_equal(f->fake->memory, 4096);
	a = ask(f, "PUT", "/v1/limits", "{\"memory\":1}");
	run_until(f, &a->done);
	assert_int_equal(a->code, -EOPNOTSUPP);
	a = ask(f, "PUT", "/v1/limits", "{\"cpus\":-1}");
	run_until(f, &a->done);
	assert_int_equal(a->code, -EINVAL);
	assert_int_equal(f->fake->cpus, 0);
}

/* The members that the machine runs with: changed limits and mounts count at once. */
static void test_settings(void **state)
{
	struct fixture *f = *state;
	AUTOFREE char *share = xasprintf("{\"host\":\"%s\",\"inside\":\"/srv/x\",\"read_only\":true}", root);
	uint64_t cpus = 0, memory = 0, started = machine_memory(f->machine);
	begin(f, 10000);
	wait_ready(f);
	AUTO_JSON struct json_object *first = keeper_settings(f->keeper);
	assert_int_equal(json_get_u64(first, "memory", &memory, NULL), 0);
	assert_int_equal(memory, f->machine->memory);
	assert_false(json_object_object_get_ex(first, "image_config", NULL));
	assert_int_equal(json_object_array_length(json_object_object_get(first, "mounts")), 0);
	struct asker *a = ask(f, "PUT", "/v1/limits", "{\"cpus\":3,\"memory\":4096}");
	run_until(f, &a->done);
	a = ask(f, "POST", "/v1/shares", share);
	run_until(f, &a->done);
	AUTO_JSON struct json_object *second = keeper_settings(f->keeper);
	assert_int_equal(json_get_u64(second, "cpus", &cpus, NULL), 0);
	assert_int_equal(json_get_u64(second, "memory", &memory, NULL), 0);
	assert_true(cpus == 3 && memory == 4096 && started != 4096);
	struct json_object *mount = json_object_array_get_idx(json_object_object_get(second, "mounts"), 0);
	assert_string_equal(json_object_get_string(json_object_object_get(mount, "inside")), "/srv/x");
	a = ask(f, "GET", "/v1/settings", NULL);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
}

static void test_shares(void **state)
{
	struct fixture *f = *state;
	AUTOFREE char *good = xasprintf("{\"host\":\"%s\",\"inside\":\"/srv/x\"}", root);
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "POST", "/v1/shares", good);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	a = ask(f, "POST", "/v1/shares", good);
	run_until(f, &a->done);
	assert_int_equal(a->code, -EEXIST);
	a = ask(f, "DELETE", "/v1/shares?inside=/srv/x", NULL);
	run_until(f, &a->done);
	assert_int_equal(a->code, 0);
	a = ask(f, "DELETE", "/v1/shares?inside=/srv/x", NULL);
	run_until(f, &a->done);
	assert_int_equal(a->code, -ENOENT);
	a = ask(f, "POST", "/v1/shares", "{\"host\":\"/nonexistent\",\"inside\":\"/x\"}");
	run_until(f, &a->done);
	assert_int_equal(a->code, -ENOENT);
	AUTOFREE char *own = xasprintf("{\"host\":\"%s/data/holm\",\"inside\":\"/x\"}", root);
	a = ask(f, "POST", "/v1/shares", own);
	run_until(f, &a->done);
	assert_int_equal(a->code, -EACCES);
	f->fake->refuse_share = 1;
	a = ask(f, "POST", "/v1/shares", good);
	run_until(f, &a->done);
	assert_int_equal(a->code, -EOPNOTSUPP);
}

static int free_port(int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	AUTO_FD int fd = socket(AF_INET, type, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	return ntohs(address.sin_port);
}

static int connect_port(int port, int type)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static ssize_t receive(struct fixture *f, int fd, char *text, size_t size)
{
	ssize_t n = -1;
	uint64_t deadline = clock_deadline(60000);
	while ((n = recv(fd, text, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	return n;
}

static void add_publish(struct machine *m, int host, int inside, int udp)
{
	m->publish = xrealloc(m->publish, m->publish_count + 1, sizeof *m->publish);
	m->publish[m->publish_count++] =
	    (struct machine_publish){ .host = (uint16_t)host, .inside = (uint16_t)inside, .udp = udp };
}

static void test_published_ports(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int tcp = free_port(SOCK_STREAM), udp = free_port(SOCK_DGRAM), closed = free_port(SOCK_STREAM);
	add_publish(f->machine, tcp, 80, 0);
	add_publish(f->machine, udp, 80, 1);
	add_publish(f->machine, closed, 81, 0);
	begin(f, 10000);
	AUTO_FD int early = connect_port(tcp, SOCK_STREAM); /* before the machine is ready: waits */
	assert_int_equal(receive(f, early, text, sizeof text), 7);
	assert_memory_equal(text, "\0\5hello", 7);
	AUTO_FD int datagram = connect_port(udp, SOCK_DGRAM);
	assert_int_equal(send(datagram, "x", 1, 0), 1);
	assert_int_equal(receive(f, datagram, text, sizeof text), 5);
	assert_memory_equal(text, "hello", 5);
	AUTO_FD int nobody = connect_port(closed, SOCK_STREAM);
	assert_int_equal(receive(f, nobody, text, sizeof text), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The 1025th client drops the one that was silent for longest, and no other. */
static void test_many_udp_clients(void **state)
{
	enum { CLIENTS = 1025 };
	struct fixture *f = *state;
	struct rlimit files = { 0 };
	int clients[CLIENTS], udp = free_port(SOCK_DGRAM);
	char text[64];
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max < 5 * CLIENTS || setrlimit(RLIMIT_NOFILE, &files) < 0)
		skip();
	add_publish(f->machine, udp, 80, 1);
	begin(f, 60000);
	wait_ready(f);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = connect_port(udp, SOCK_DGRAM);
		assert_int_equal(send(clients[i], "x", 1, 0), 1);
		assert_int_equal(receive(f, clients[i], text, sizeof text), 5);
	}
	/* A new flow says hello again; the others' streams are the same as before. */
	for (int i = CLIENTS - 1; i >= 1; i -= 100) {
		assert_int_equal(send(clients[i], "y", 1, 0), 1);
		loop_step(f->loop, clock_deadline(20));
		assert_int_equal(recv(clients[i], text, sizeof text, MSG_DONTWAIT), -1);
	}
	assert_int_equal(send(clients[0], "y", 1, 0), 1);
	assert_int_equal(receive(f, clients[0], text, sizeof text), 5);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
}

/* Asks for a change of the ports: the code of the answer. */
static int change_port(struct fixture *f, const char *method, const char *port)
{
	AUTOFREE char *body = xasprintf("{\"port\":\"%s\"}", port), *target = xasprintf("/v1/ports?port=%s", port);
	int adds = streq(method, "POST");
	struct asker *a = ask(f, method, adds ? "/v1/ports" : target, adds ? body : NULL);
	run_until(f, &a->done);
	return a->code;
}

static void test_live_ports(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int tcp = free_port(SOCK_STREAM), udp = free_port(SOCK_DGRAM), silent = free_port(SOCK_STREAM);
	AUTOFREE char *tcp_port = xasprintf("%d:80", tcp), *udp_port = xasprintf("127.0.0.1:%d:80/udp", udp),
		      *other = xasprintf("%d:81", tcp);
	AUTOFREE char *silent_port = xasprintf("127.0.0.1:%d:82", silent);
	begin(f, 10000);
	assert_int_equal(change_port(f, "POST", udp_port), 0); /* not ready yet, perhaps */
	wait_ready(f);
	assert_int_equal(change_port(f, "POST", tcp_port), 0);
	assert_int_equal(change_port(f, "POST", tcp_port), -EEXIST);
	assert_int_equal(change_port(f, "POST", other), -EADDRINUSE);
	assert_int_equal(change_port(f, "POST", "80"), -EINVAL);
	assert_int_equal(change_port(f, "DELETE", other), -ENOENT);
	AUTO_FD int open = connect_port(tcp, SOCK_STREAM);
	assert_int_equal(receive(f, open, text, sizeof text), 7);
	AUTO_FD int datagram = connect_port(udp, SOCK_DGRAM);
	assert_int_equal(send(datagram, "x", 1, 0), 1);
	assert_int_equal(receive(f, datagram, text, sizeof text), 5);
	assert_int_equal(change_port(f, "DELETE", tcp_port), 0);
	assert_int_equal(change_port(f, "DELETE", udp_port), 0);
	assert_int_equal(send(open, "more", 4, 0), 4); /* goes on */
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)tcp) };
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(change_port(f, "POST", silent_port), 0);
	AUTO_FD int dialling = connect_port(silent, SOCK_STREAM);
	assert_int_equal(change_port(f, "DELETE", silent_port), 0); /* while the dial is under way */
	assert_int_equal(receive(f, dialling, text, sizeof text), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Binds what -p says, for a container. */
static int bind_container(struct fixture *f, const char *container, const char *text, struct docker_ports *ret)
{
	AUTO_DOCKER_PORTS struct docker_ports wanted = { 0 };
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, text, " ");
	for (size_t i = 0; i < words.count; i++)
		assert_int_equal(docker_ports_publish(&wanted, words.items[i], NULL), 0);
	return container_ports_bind(f->keeper, container, &wanted, ret, NULL);
}

static void expect_refused(int port)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void test_container_ports(void **state)
{
	struct fixture *f = *state;
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	char text[64];
	begin(f, 10000);
	wait_ready(f);
	assert_int_equal(bind_container(f, "web", "127.0.0.1::80 127.0.0.1::80/udp", &bound), 0);
	assert_int_equal(bound.count, 2);
	assert_string_equal(bound.items[0].ip, "127.0.0.1");
	int tcp = bound.items[0].host.first, udp = bound.items[1].host.first;
	/* A client waits until the container has its address. */
	AUTO_FD int early = connect_port(tcp, SOCK_STREAM), datagram = connect_port(udp, SOCK_DGRAM);
	settle(f);
	assert_null(f->fake->dialled);
	container_ports_open(f->keeper, "web", "172.17.0.2");
	assert_int_equal(receive(f, early, text, sizeof text), 7);
	assert_string_equal(f->fake->dialled, "172.17.0.2");
	assert_int_equal(send(datagram, "x", 1, 0), 1);
	assert_int_equal(receive(f, datagram, text, sizeof text), 5);
	/* They are no ports of the machine. */
	AUTOFREE char *as_machine = xasprintf("127.0.0.1:%d:80", tcp);
	assert_int_equal(change_port(f, "DELETE", as_machine), -ENOENT);
	container_ports_close(f->keeper, "other");
	AUTO_FD int later = connect_port(tcp, SOCK_STREAM);
	assert_int_equal(receive(f, later, text, sizeof text), 7);
	container_ports_close(f->keeper, "web");
	expect_refused(tcp);
}

static void test_container_in_machine_network(void **state)
{
	struct fixture *f = *state;
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	char text[64];
	begin(f, 10000);
	wait_ready(f);
	assert_int_equal(bind_container(f, "web", "80", &bound), 0);
	assert_true(bound.count >= 1); /* ::1 where the host has it */
	container_ports_open(f->keeper, "web", NULL);
	AUTO_FD int client = connect_port(bound.items[0].host.first, SOCK_STREAM);
	assert_int_equal(receive(f, client, text, sizeof text), 7);
	assert_null(f->fake->dialled);
}

/* All ports of a container are bound, or none. */
static void test_container_port_in_use(void **state)
{
	struct fixture *f = *state;
	AUTO_DOCKER_PORTS struct docker_ports first = { 0 }, second = { 0 };
	int free = free_port(SOCK_STREAM);
	begin(f, 10000);
	wait_ready(f);
	assert_int_equal(bind_container(f, "web", "127.0.0.1::80", &first), 0);
	int taken = first.items[0].host.first;
	AUTOFREE char *both = xasprintf("127.0.0.1:%d:80 127.0.0.1:%d:81", free, taken);
	assert_int_equal(bind_container(f, "late", both, &second), -EADDRINUSE);
	assert_int_equal(second.count, 0);
	expect_refused(free);
	container_ports_close(f->keeper, "web");
	assert_int_equal(bind_container(f, "late", both, &second), 0);
	assert_int_equal(second.count, 2);
}

static void test_port_in_use(void **state)
{
	struct fixture *f = *state;
	AUTO_ERROR struct error *err = NULL;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	add_publish(f->machine, ntohs(address.sin_port), 80, 0);
	assert_int_equal(try_new(f, 1000, &err), -EADDRINUSE);
	AUTOFREE char *port = xasprintf("port %d", ntohs(address.sin_port));
	assert_non_null(strstr(err->text, port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER_TEST(test_limits),
		KEEPER_TEST(test_shares),
		KEEPER_TEST(test_settings),
		KEEPER_TEST(test_published_ports),
		KEEPER_TEST(test_many_udp_clients),
		KEEPER_TEST(test_live_ports),
		KEEPER_TEST(test_container_ports),
		KEEPER_TEST(test_container_in_machine_network),
		KEEPER_TEST(test_container_port_in_use),
		KEEPER_TEST(test_port_in_use),
	};
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
