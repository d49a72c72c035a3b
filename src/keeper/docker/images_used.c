/* SPDX-License-Identifier: Apache-2.0
 * images.json follows the containers. It grows when one is created (images.c), before the engine
 * knows of it. It shrinks by what the engine says a while after containers came or went: that
 * answer adds nothing. An image that a container was created from within GUARD_MS stays, since the
 * engine may not know the container yet. Of an image that went, the agent may still return the
 * disk (DELETE /v1/engine/image), so its entry is kept here.
 *
 * A keeper has one machine, so all of it is one variable. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "keeper/docker/private.h"

enum { GUARD_MS = 5000, QUIET_MS = 6000, DROPPED_MAX = 1024 };

static struct {
	struct source *timer;
	struct json_object *created; /* {"sha256:HEX":ms} */
	struct json_object *dropped; /* {"sha256:HEX":{...}}: entries of images.json that went */
} state;

static void on_answer(int code, struct json_object *answer, void *data)
{
	if (code == 0 && answer)
		docker_images_shrink(data, answer);
}

static void on_time(struct source *s, void *data)
{
	source_free(TAKE_PTR(state.timer));
	(void)docker_ask(data, "GET", "/holm/images", NULL, on_answer, data);
}

/* ---- DELETE /holm/images ---- */

static void on_released(int code, struct json_object *answer, void *data)
{
	struct docker_request *q = data;
	if (code == 0 && answer)
		docker_images_shrink(q->keeper, answer);
	if (q->exchange)
		http_respond(q->exchange, 204, NULL, NULL, 0);
	docker_request_free(q);
}

void docker_release_images(struct docker_request *q)
{
	if (docker_ask(q->keeper, "GET", DOCKER_USED_IMAGES, NULL, on_released, q) < 0)
		on_released(-ENOTCONN, NULL, q);
}

/* ---- the file ---- */

void docker_images_changed(struct keeper *k)
{
	uint64_t at = clock_deadline(QUIET_MS);
	if (state.timer)
		source_set_timer(state.timer, at);
	else
		(void)loop_add_timer(keeper_loop(k), at, on_time, k, &state.timer);
}

void docker_images_created(struct keeper *k, const char *id)
{
	if (!state.created)
		state.created = json_object_new_object();
	json_object_object_add(state.created, id, json_object_new_uint64(clock_now_ms()));
	docker_images_changed(k);
}

static int is_new(const char *id)
{
	uint64_t at = 0;
	return state.created && json_get_u64(state.created, id, &at, NULL) == 0 && at + GUARD_MS > clock_now_ms();
}

static void keep_dropped(const char *id, struct json_object *image)
{
	if (!state.dropped || json_object_object_length(state.dropped) >= DROPPED_MAX) {
		json_object_put(state.dropped);
		state.dropped = json_object_new_object();
	}
	json_object_object_add(state.dropped, id, json_object_get(image));
}

struct json_object *docker_images_dropped(const char *id)
{
	struct json_object *image = NULL;
	return state.dropped && json_get_object(state.dropped, id, &image, NULL) == 0 ? image : NULL;
}

void docker_images_shrink(struct keeper *k, struct json_object *used)
{
	AUTO_JSON struct json_object *all = docker_images_load(k), *kept = json_object_new_object();
	int waits = docker_ports_shrink(k, used);
	json_object_object_foreach(all, id, image)
	{
		struct json_object *containers = NULL;
		int needed = json_object_object_get_ex(used, id, &containers);
		if (!needed && !is_new(id)) {
			keep_dropped(id, image);
			continue;
		}
		json_object_object_add(kept, id, json_object_get(image));
		waits |= !needed || !json_object_is_type(containers, json_type_array) ||
			 !json_object_array_length(containers);
	}
	if (json_object_object_length(kept) != json_object_object_length(all))
		docker_images_write(k, kept, NULL);
	if (waits)
		docker_images_changed(k);
}

void docker_images_done(void)
{
	source_free(TAKE_PTR(state.timer));
	json_object_put(TAKE_PTR(state.created));
	json_object_put(TAKE_PTR(state.dropped));
}
