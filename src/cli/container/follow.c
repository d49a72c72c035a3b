/* SPDX-License-Identifier: Apache-2.0
 * Nothing of the output and no exit is lost: attach is answered before the container is started,
 * and one request starts it and waits for its end. */
#include "cli/container/follow.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/client.h"
#include "cli/output.h"

static int open_attach(const struct follow *f, const char *keys, struct api_stream *ret, struct error **err)
{
	const struct body_streams *s = &f->streams;
	AUTOFREE char *path = api_path("/containers/", f->id, "/attach"),
		      *target = api_target(path, "stream", "1", "stdin", s->in ? "1" : NULL, "stdout",
			  s->out ? "1" : NULL, "stderr", s->err ? "1" : NULL, "detachKeys", keys, NULL);
	int r = api_open(f->api, "POST", target, NULL, "tcp", ret, err);
	return r < 0 || r == 101 ? MIN(r, 0) : error_set(err, EPROTO, "the engine attaches nothing");
}

struct following {
	const struct follow *f;
	const char *resize;
	struct api_stream waiter;
};

/* Opens "/wait", or "/run", which starts it first. 0 or -errno. */
static int open_waiter(struct following *x, const char *what, struct error **err)
{
	AUTOFREE char *path = api_path("/containers/", x->f->id, what),
		      *target = api_target(path, "condition", x->f->condition, NULL);
	return MIN(api_open(x->f->api, "POST", target, NULL, NULL, &x->waiter, err), 0);
}

/* The size comes first, so that it is right for the first instruction. */
static int begin(void *data, struct error **err)
{
	struct following *x = data;
	if (x->f->tty && x->f->resizes)
		stream_send_size(x->f->api, x->resize, 0);
	return open_waiter(x, "/run", err);
}

static void following_done(struct following *x)
{
	api_stream_done(&x->waiter);
}

int follow_run(const struct follow *f, const struct options *o, int *ret_status, struct error **err)
{
	AUTO_API_STREAM struct api_stream connection = API_STREAM_NONE;
	AUTOFREE char *resize = api_path("/containers/", f->id, "/resize"),
		      *kill = api_path("/containers/", f->id, "/kill");
	int attached = f->streams.in || f->streams.out || f->streams.err;
	CLEANUP(following_done) struct following x = { .f = f, .resize = resize, .waiter = API_STREAM_NONE };
	struct stream_plan plan = {
		.api = f->api,
		.connection = attached ? &connection : NULL,
		.waiter = &x.waiter,
		.resize = resize,
		.kill = options_switch(o, "sig-proxy", 1) ? kill : NULL,
		.tty = f->tty,
		.in = f->streams.in,
		.begin = f->starts ? begin : NULL,
		.data = &x,
	};
	int r = stream_take_keys(&plan, o, err);
	if (r == 0 && attached)
		r = open_attach(f, options_string(o, "detach-keys"), &connection, err);
	if (r == 0 && !f->starts)
		r = open_waiter(&x, "/wait", err);
	if (r == 0 && f->tty && f->redraw)
		stream_send_size(f->api, resize, 1);
	return r < 0 ? r : stream_run(&plan, ret_status, err);
}

int follow_start(const struct api *a, const char *id, struct error **err)
{
	AUTOFREE char *target = api_path("/containers/", id, "/start");
	return MIN(api_call(a, "POST", target, NULL, NULL, err), 0);
}

int follow_start_status(const struct api *a, int code, const struct error *err)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "executable file not found", EXIT_NOT_FOUND },
		{ "no such file or directory", EXIT_NOT_FOUND },
		{ "permission denied", EXIT_NOT_EXECUTABLE },
		{ "is a directory", EXIT_NOT_EXECUTABLE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcasestr(error_text(err, code), rows[i].text))
			return rows[i].status;
	return a->failed;
}

static int get_flag(struct json_object *o, const char *key)
{
	int value = 0;
	json_get_bool(o, key, &value, NULL);
	return value;
}

int follow_inspect(const struct api *a, const char *id, struct follow_facts *ret, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *config = NULL, *host = NULL, *state = NULL;
	AUTOFREE char *target = api_path("/containers/", id, "/json");
	int r = api_call(a, "GET", target, NULL, &answer, err);
	if (r < 0)
		return r;
	if (json_get_object(answer, "Config", &config, NULL) < 0 || json_get_object(answer, "State", &state, NULL) < 0)
		return error_set(err, EPROTO, "the engine says nothing of the container's state");
	json_get_object(answer, "HostConfig", &host, NULL);
	*ret = (struct follow_facts){
		.tty = get_flag(config, "Tty"),
		.open_stdin = get_flag(config, "OpenStdin"),
		.running = get_flag(state, "Running"),
		.paused = get_flag(state, "Paused"),
		.auto_remove = host && get_flag(host, "AutoRemove"),
	};
	return 0;
}

int follow_end(const struct api *a, const char *name, int r, int status, struct error **err)
{
	if (r == STREAM_DETACHED)
		output_note("container \"%.64s\" goes on; holm attach %.64s returns to it", name, name);
	if (r >= 0)
		return r == STREAM_DETACHED ? 0 : status;
	return api_failure(a, "container", name, r, err);
}
