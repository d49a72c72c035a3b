/* SPDX-License-Identifier: Apache-2.0
 * See sizes.h: for `docker system df`, `ps -s` and the prunes. It is counted when somebody asks, by
 * the blocks that files have.
 *
 * The request waits for a worker, which sends a message for each container and volume. Then its
 * handler looks at containers and volumes again: they may have changed in the meantime. */
#include "agent/engine/sizes.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/core/channel.h"
#include "agent/core/worker.h"
#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

enum { COUNTING_MAX = 32 };

struct sizes {
	struct engine *engine;
	struct http_exchange *exchange;
	struct worker *worker;
	struct sizes_wish wish;
	struct json_object *containers, *volumes; /* {NAME:bytes} */
	char *name;
	sizes_fn then;
};

static size_t counting;

void sizes_wish_done(struct sizes_wish *w)
{
	strv_done(&w->containers);
	strv_done(&w->volumes);
}

static void sizes_free(struct sizes *s)
{
	counting--;
	worker_cancel(s->worker);
	sizes_wish_done(&s->wish);
	json_object_put(s->containers);
	json_object_put(s->volumes);
	free(s->name);
	free(s);
}

static uint64_t find(struct json_object *table, const char *name)
{
	uint64_t bytes = 0;
	json_get_u64(table, name, &bytes, NULL);
	return bytes;
}

uint64_t sizes_of_container(const struct sizes *s, const char *id)
{
	return find(s->containers, id);
}

uint64_t sizes_of_volume(const struct sizes *s, const char *name)
{
	return find(s->volumes, name);
}

/* ---- in the worker ---- */

static uint64_t container_size(const struct engine *e, const char *id)
{
	const struct container *c = container_find((struct engine *)e, id, NULL);
	AUTOFREE char *path = c ? image_upper(c) : path_join(id, "upper");
	AUTO_FD int upper = openat(e->folders, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return upper < 0 ? 0 : volume_tree_size(upper);
}

static int send_size(int channel, const char *key, const char *name, uint64_t bytes)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, key, name);
	json_add_u64(o, "bytes", bytes);
	return channel_send(channel, o, -1);
}

static int work(int channel, void *data, struct error **err)
{
	const struct sizes *s = data;
	const struct strv *containers = &s->wish.containers, *volumes = &s->wish.volumes;
	int r = 0;
	engine_raise_limits(); /* a deep tree takes a descriptor a level */
	for (size_t i = 0; r >= 0 && i < containers->count; i++)
		r = send_size(channel, "container", containers->items[i],
		    container_size(s->engine, containers->items[i]));
	for (size_t i = 0; r >= 0 && i < volumes->count; i++)
		r = send_size(channel, "volume", volumes->items[i], volume_size(s->engine, volumes->items[i]));
	return r < 0 ? error_set_errno(err, r, "cannot count what containers and volumes take") : 0;
}

/* ---- in the engine ---- */

static void on_message(struct json_object *o, int fd, void *data)
{
	const struct sizes *s = data;
	const char *name = NULL;
	fd_close(fd);
	struct json_object *table = json_get_string(o, "container", &name, NULL) == 0 ? s->containers :
				    json_get_string(o, "volume", &name, NULL) == 0    ? s->volumes :
											NULL;
	if (table)
		json_add_u64(table, name, find(o, "bytes"));
}

static void on_done(int code, const char *text, void *data)
{
	struct sizes *s = data;
	AUTO_ERROR struct error *err = NULL;
	s->worker = NULL;
	http_exchange_on_closed(s->exchange, NULL, NULL);
	if (code < 0) {
		error_set(&err, -code, "%s", text);
		engine_error(s->exchange, code, err);
	} else {
		s->then(s->engine, s->exchange, s->name, s);
	}
	sizes_free(s);
}

static void on_closed(void *data)
{
	sizes_free(data);
}

void sizes_count(struct engine *e, struct http_exchange *x, const char *name, struct sizes_wish *wish, sizes_fn then)
{
	static const struct worker_events events = { .message = on_message, .done = on_done };
	AUTO_ERROR struct error *err = NULL;
	struct sizes *s = xnew(struct sizes);
	*s = (struct sizes){ .engine = e,
		.exchange = x,
		.wish = *wish,
		.containers = json_object_new_object(),
		.volumes = json_object_new_object(),
		.name = xstrdup(name),
		.then = then };
	*wish = (struct sizes_wish){ 0 };
	int r = counting++ >= COUNTING_MAX ?
		    error_set(&err, EBUSY, "too many requests for sizes at a time; try again") :
		    worker_start(e->loop, work, s, &e->folders, 1, &events, s, &s->worker);
	if (r < 0) {
		engine_error(x, r, err);
		sizes_free(s);
		return;
	}
	http_exchange_on_closed(x, on_closed, s);
}
