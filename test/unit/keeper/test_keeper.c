/* SPDX-License-Identifier: Apache-2.0
 * The whole life of a machine through the keeper's API, with the fake isolation beneath. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "api/api.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "fake.h"
#include "keeper/keeper.h"

enum { ASKERS = 24 };

/* One request to the API and what came of it. */
struct asker {
	int taken, done, code;
	struct strv lines;
	char *error, *body;
	int fd; /* after an upgrade */
	struct buffer early;
};

struct fixture {
	struct loop *loop;
	struct machine *machine;
	struct fake *fake;
	struct keeper *keeper;
	struct http_server *api;
	int ended, end_code;
	struct asker askers[ASKERS];
};

static char *root; /* a temporary folder for all */

static void on_ended(int code, void *data)
{
	struct fixture *f = data;
	f->ended++;
	f->end_code = code;
}

static struct machine *example_machine(void)
{
	struct machine *m = xnew(struct machine);
	m->name = xstrdup("dev");
	m->id = xstrdup("00112233445566778899aabbccddeeff");
	m->image_config = json_tokener_parse("{\"Env\":[\"A=b\"],\"StopSignal\":\"SIGUSR1\"}");
	m->user = xstrdup("alice");
	m->uid = getuid();
	m->gid = getgid();
	m->home = path_join(root, "home");
	m->init_path = xstrdup("/sbin/init");
	return m;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	assert_int_equal(loop_new(&f->loop), 0);
	f->fake = fake_new(f->loop);
	f->machine = example_machine();
	for (int i = 0; i < ASKERS; i++)
		f->askers[i].fd = -1;
	*state = f;
	return 0;
}

static int try_new(struct fixture *f, uint64_t boot_timeout_ms, struct error **err)
{
	const struct keeper_options options = {
		.machine = f->machine,
		.isolation = &fake_isolation,
		.runtime_dir = root,
		.log_dir = root,
		.warning = "slow today",
		.boot_timeout_ms = boot_timeout_ms,
		.ended = on_ended,
		.data = f,
	};
	return keeper_new(f->loop, &options, &f->keeper, err);
}

static void begin(struct fixture *f, uint64_t boot_timeout_ms)
{
	assert_int_equal(try_new(f, boot_timeout_ms, NULL), 0);
	assert_int_equal(http_server_new(f->loop, api_routes, f->keeper, &f->api), 0);
	keeper_start(f->keeper);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	http_server_free(f->api);
	keeper_free(f->keeper);
	fake_free(f->fake);
	loop_step(f->loop, 0);
	loop_free(f->loop);
	machine_free(f->machine);
	for (int i = 0; i < ASKERS; i++) {
		strv_done(&f->askers[i].lines);
		free(f->askers[i].error);
		free(f->askers[i].body);
		fd_close(f->askers[i].fd);
		buffer_done(&f->askers[i].early);
	}
	free(f);
	return 0;
}

static void run_until(struct fixture *f, const int *flag)
{
	uint64_t deadline = clock_deadline(10000);
	while (!*flag && clock_now_ms() < deadline)
		loop_step(f->loop, deadline);
	assert_true(*flag);
}

static void settle(struct fixture *f)
{
	while (loop_step(f->loop, clock_deadline(20)) > 0)
		;
}

static void on_line(struct json_object *line, void *data)
{
	strv_take(&((struct asker *)data)->lines, json_to_string(line, 0));
}

static void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct asker *a = data;
	a->done = 1;
	a->code = code;
	a->error = xstrdup(err ? err->text : NULL);
	a->body = body ? json_to_string(body, 0) : NULL;
}

static void on_upgraded(int fd, struct buffer *early, void *data)
{
	struct asker *a = data;
	a->done = 1;
	a->fd = fd;
	buffer_init(&a->early, 4096);
	buffer_append(&a->early, early->data, early->size);
}

static struct asker *ask(struct fixture *f, const char *method, const char *target, const char *body)
{
	struct asker *a = f->askers;
	int pair[2];
	while (a->taken)
		a++;
	assert_true(a < f->askers + ASKERS);
	a->taken = 1;
	int is_session = streq(target, "/v1/sessions");
	const struct http_call_events events = {
		.line = strstr(target, "ready") ? on_line : NULL,
		.done = on_done,
		.upgrade = is_session ? "holm-session" : NULL,
		.upgraded = is_session ? on_upgraded : NULL,
	};
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(http_server_serve(f->api, pair[0]), 0);
	assert_int_equal(
		http_call(f->loop, pair[1], method, target, body ? json_tokener_parse(body) : NULL, UINT64_MAX, &events, a, NULL), 0);
	return a;
}

static const char *last_line(const struct asker *a)
{
	return a->lines.count ? a->lines.items[a->lines.count - 1] : "";
}

static void expect_state(struct fixture *f, const char *state)
{
	AUTO_JSON struct json_object *o = keeper_state(f->keeper);
	const char *text = "";
	json_get_string(o, "state", &text, NULL);
	assert_string_equal(text, state);
}

/* ---- booting ---- */

static void test_boot(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	expect_state(f, "starting");
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
	assert_true(strv_contains(&a->lines, "{\"stage\":\"mounting\"}"));
	assert_true(strv_contains(&a->lines, "{\"warning\":\"this is a fake\"}"));
	assert_true(strv_contains(&a->lines, "{\"warning\":\"slow today\"}"));
	expect_state(f, "running");
	static const char *const wanted[] = {"\"name\":\"dev\"", "\"init\":\"/sbin/init\"", "\"stop_signal\":\"SIGUSR1\"",
		"\"image_env\":[\"A=b\"]", "\"tag\":\"home\"", "\"root\":\"fake\"", "\"home_shared\":true", "\"rescue\":false",
		"\"realtime_ns\":"};
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!strstr(f->fake->boot_request, wanted[i]))
			fail_msg("%s is not in %s", wanted[i], f->fake->boot_request);
	struct asker *late = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &late->done);
	assert_string_equal(last_line(late), "{\"state\":\"running\"}");
	struct asker *s = ask(f, "GET", "/v1/state", NULL);
	run_until(f, &s->done);
	assert_non_null(strstr(s->body, "\"isolation\":\"fake\""));
	assert_non_null(strstr(s->body, "\"fake\":1"));
	struct asker *bad = ask(f, "GET", "/v1/ready?level=bogus", NULL);
	run_until(f, &bad->done);
	assert_int_equal(bad->code, -EINVAL);
}

static void test_session_before_init(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"ready\":\"session\"}";
	begin(f, 10000);
	struct asker *session = ask(f, "GET", "/v1/ready?level=session", NULL), *init = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &session->done);
	settle(f);
	assert_false(init->done);
	fake_boot_line(f->fake, "{\"ready\":\"init\"}");
	run_until(f, &init->done);
	assert_string_equal(last_line(init), "{\"state\":\"running\"}");
}

static void test_boot_fails_with_its_log(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines =
		"{\"error\":\"create-user.sh exited with status 3\\u001b[2J\",\"code\":\"ENOEXEC\",\"log\":[\"one\",\"t\\u0007wo\"]}";
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL), *b = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	run_until(f, &b->done);
	assert_string_equal(
		last_line(a), "{\"error\":\"create-user.sh exited with status 3 [2J\",\"code\":\"ENOEXEC\",\"log\":[\"one\",\"t wo\"]}");
	assert_string_equal(last_line(b), last_line(a));
	struct asker *late = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &late->done);
	assert_string_equal(last_line(late), last_line(a));
	struct asker *session = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	run_until(f, &session->done);
	assert_int_equal(session->code, -ENOEXEC);
	run_until(f, &f->ended);
	assert_true(f->end_code < 0);
	assert_int_equal(f->fake->kills, 1);
}

static void test_isolation_does_not_start(void **state)
{
	struct fixture *f = *state;
	f->fake->start_fails = 1;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"error\":\"there is no fake program; install it\",\"code\":\"ENOENT\",\"log\":[]}");
	run_until(f, &f->ended);
}

static void test_another_protocol(void **state)
{
	struct fixture *f = *state;
	f->fake->protocol = 7;
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "speaks protocol 7"));
	assert_null(strchr(last_line(a), '\x1b'));
	run_until(f, &f->ended);
}

static void test_agent_never_answers(void **state)
{
	struct fixture *f = *state;
	f->fake->protocol = 0;
	begin(f, 150);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "did not get ready"));
	assert_non_null(strstr(last_line(a), "ETIMEDOUT"));
	run_until(f, &f->ended);
}

static void test_isolation_ends_while_booting(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"stage\":\"hm\"}";
	begin(f, 10000);
	struct asker *a = ask(f, "GET", "/v1/ready", NULL);
	settle(f);
	fake_end(f->fake, 1, "crash");
	run_until(f, &a->done);
	assert_non_null(strstr(last_line(a), "it fell over"));
	run_until(f, &f->ended);
}

/* ---- running ---- */

static void wait_ready(struct fixture *f)
{
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
}

static void expect_welcome(struct fixture *f, struct asker *a)
{
	char text[64];
	run_until(f, &a->done);
	assert_true(a->fd >= 0);
	for (ssize_t n; a->early.size < 7 && (n = recv(a->fd, text, sizeof text, MSG_DONTWAIT)) != 0;
		loop_step(f->loop, clock_deadline(10)))
		if (n > 0)
			buffer_append(&a->early, text, (size_t)n);
	assert_string_equal(buffer_string(&a->early), "welcome");
}

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

static void test_agent_lost_and_back(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_lose_agent(f->fake);
	expect_state(f, "running");
	struct asker *a = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	settle(f);
	assert_false(a->done); /* waits for the new one */
	fake_return_agent(f->fake);
	expect_welcome(f, a);
	assert_int_equal(f->fake->boots, 2);
	assert_false(f->ended);
}

static void test_init_restarts(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_boot_line(f->fake, "{\"rebooting\":true}");
	settle(f);
	expect_state(f, "starting");
	fake_boot_line(f->fake, "{\"ready\":\"session\"}");
	fake_boot_line(f->fake, "{\"ready\":\"init\"}");
	settle(f);
	expect_state(f, "running");
	assert_int_equal(f->fake->boots, 1);
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

/* ---- stopping ---- */

static void test_stop(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "POST", "/v1/stop", "{\"timeout_ms\":1234}"), *b = ask(f, "POST", "/v1/stop", "{}");
	run_until(f, &a->done);
	run_until(f, &b->done);
	assert_int_equal(a->code, 0);
	assert_int_equal(b->code, 0);
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
	assert_int_equal(f->fake->kills, 0);
	assert_int_equal(f->fake->stop_timeout_ms, 1234);
}

static void test_stop_while_starting(void **state)
{
	struct fixture *f = *state;
	f->fake->boot_lines = "{\"stage\":\"hm\"}";
	begin(f, 10000);
	struct asker *waits = ask(f, "GET", "/v1/ready", NULL);
	settle(f);
	struct asker *a = ask(f, "POST", "/v1/stop", "{}");
	run_until(f, &a->done);
	run_until(f, &waits->done);
	assert_non_null(strstr(last_line(waits), "ECANCELED"));
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
	assert_int_equal(f->fake->kills, 1);
}

static void test_power_off_from_inside(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	fake_boot_line(f->fake, "{\"ended\":\"poweroff\",\"status\":0}");
	settle(f);
	expect_state(f, "stopping");
	fake_end(f->fake, 0, NULL);
	run_until(f, &f->ended);
	assert_int_equal(f->end_code, 0);
}

static void test_isolation_dies(void **state)
{
	struct fixture *f = *state;
	begin(f, 10000);
	wait_ready(f);
	struct asker *a = ask(f, "POST", "/v1/sessions", "{\"argv\":[\"true\"]}");
	expect_welcome(f, a);
	fake_end(f->fake, 1, "killed");
	run_until(f, &f->ended);
}

/* ---- ports ---- */

static int free_port(int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	AUTO_FD int fd = socket(AF_INET, type, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	return ntohs(address.sin_port);
}

static int connect_port(int port, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static ssize_t receive(struct fixture *f, int fd, char *text, size_t size)
{
	ssize_t n = -1;
	uint64_t deadline = clock_deadline(5000);
	while ((n = recv(fd, text, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	return n;
}

static void add_publish(struct machine *m, int host, int inside, int udp)
{
	m->publish = xrealloc(m->publish, m->publish_count + 1, sizeof *m->publish);
	m->publish[m->publish_count++] = (struct machine_publish){.host = (uint16_t)host, .inside = (uint16_t)inside, .udp = udp};
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

static void test_port_in_use(void **state)
{
	struct fixture *f = *state;
	AUTO_ERROR struct error *err = NULL;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
	root = folder_new();
	AUTOFREE char *data = path_join(root, "data"), *home = path_join(root, "home"), *own = path_join(data, "holm");
	mkdir(home, 0700);
	path_mkdir_all(own, 0700, NULL);
	setenv("XDG_DATA_HOME", data, 1);
	setenv("XDG_RUNTIME_DIR", root, 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_session_before_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boot_fails_with_its_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation_does_not_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_protocol, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agent_never_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation_ends_while_booting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twenty_sessions_on_a_starting_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_connection_is_given_where_that_is_possible, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ssh_agent_is_relayed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_archive_is_handed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agent_lost_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_console_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_while_starting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_power_off_from_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_published_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	folder_remove(root);
	return failed;
}
