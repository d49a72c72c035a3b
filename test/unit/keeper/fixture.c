/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <sys/stat.h>

#include "../folder.h"

char *root;

int fixture_group_setup(void **state)
{
	root = folder_new();
	AUTOFREE char *data = path_join(root, "data"), *home = path_join(root, "home"), *own = path_join(data, "holm");
	assert_int_equal(mkdir(home, 0700), 0);
	assert_int_equal(path_mkdir_all(own, 0700, NULL), 0);
	setenv("XDG_DATA_HOME", data, 1);
	setenv("XDG_RUNTIME_DIR", root, 1);
	return 0;
}

int fixture_group_teardown(void **state)
{
	folder_remove(root);
	return 0;
}

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

int fixture_setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	assert_int_equal(loop_new(&f->loop), 0);
	f->fake = fake_new(f->loop);
	f->machine = example_machine();
	assert_int_equal(setenv("HOLM_AUTHORITIES", "/nonexistent", 1), 0);
	for (int i = 0; i < ASKERS; i++)
		f->askers[i].fd = -1;
	*state = f;
	return 0;
}

int try_new(struct fixture *f, uint64_t boot_timeout_ms, struct error **err)
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

void begin(struct fixture *f, uint64_t boot_timeout_ms)
{
	assert_int_equal(try_new(f, boot_timeout_ms, NULL), 0);
	assert_int_equal(http_server_new(f->loop, api_routes, f->keeper, &f->api), 0);
	keeper_start(f->keeper);
}

int fixture_teardown(void **state)
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

void run_until(struct fixture *f, const int *flag)
{
	uint64_t deadline = clock_deadline(60000);
	while (!*flag && clock_now_ms() < deadline)
		loop_step(f->loop, deadline);
	assert_true(*flag);
}

void settle(struct fixture *f)
{
	while (loop_step(f->loop, clock_deadline(20)) > 0)
		;
}

static void on_line(struct json_object *line, void *data)
{
	strv_take(&((struct asker *)data)->lines, json_to_string(line, 0));
}

void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct asker *a = data;
	a->done = 1;
	a->code = code;
	a->error = xstrdup(err ? err->text : NULL);
	a->body = body ? json_to_string(body, 0) : NULL;
}

void on_upgraded(int fd, struct buffer *early, void *data)
{
	struct asker *a = data;
	a->done = 1;
	a->fd = fd;
	buffer_init(&a->early, 4096);
	buffer_append(&a->early, early->data, early->size);
}

struct asker *ask(struct fixture *f, const char *method, const char *target, const char *body)
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
	assert_int_equal(http_call(f->loop, pair[1], method, target, body ? json_tokener_parse(body) : NULL, UINT64_MAX,
			     &events, a, NULL),
	    0);
	return a;
}

const char *last_line(const struct asker *a)
{
	return a->lines.count ? a->lines.items[a->lines.count - 1] : "";
}

void expect_state(struct fixture *f, const char *state)
{
	AUTO_JSON struct json_object *o = keeper_state(f->keeper);
	const char *text = "";
	json_get_string(o, "state", &text, NULL);
	assert_string_equal(text, state);
}

void wait_ready(struct fixture *f)
{
	struct asker *a = ask(f, "GET", "/v1/ready?level=init", NULL);
	run_until(f, &a->done);
	assert_string_equal(last_line(a), "{\"state\":\"running\"}");
}

void expect_welcome(struct fixture *f, struct asker *a)
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
