/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h: what is chosen at the creation, and what is said about it. */
#include "agent/engine/mounts.h"

#include <errno.h>
#include <stdio.h>

#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/path.h"
#include "docker/name.h"

/* ---- the choice ---- */

/* "CONTAINER[:ro|:rw]": what that has, where nothing is asked for. */
static int add_from(struct engine *e, const char *text, struct docker_mounts *list, struct error **err)
{
	const char *colon = strrchr(text, ':');
	AUTOFREE char *name = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
	const struct container *c = container_find(e, name, err);
	int r = c ? 0 : -EINVAL;
	if (colon && !streq(colon, ":ro") && !streq(colon, ":rw") && !streq(colon, ":z") && !streq(colon, ":Z"))
		return error_set(err, EINVAL, "invalid mode: %.64s", colon + 1);
	for (size_t i = 0; r == 0 && i < c->record.mounts.count; i++) {
		const struct docker_mount *m = &c->record.mounts.items[i];
		struct docker_mount copy;
		if (m->type == DOCKER_MOUNT_TMPFS || m->type >= DOCKER_MOUNT_FILE ||
		    docker_mounts_at(list, m->destination))
			continue;
		docker_mount_copy(m, &copy);
		copy.read_only |= streq(colon, ":ro");
		r = docker_mounts_add(list, &copy, err);
	}
	return r;
}

/* The keeper has looked where the host's paths lead: "HolmBinds":{"SOURCE":"PATH"}. */
static int take_path(struct docker_mount *m, struct json_object *binds, struct error **err)
{
	const char *path = NULL;
	if (m->path)
		return 0; /* of another container */
	if (!binds || json_get_string(binds, m->source, &path, NULL) < 0)
		return error_set(err, EINVAL, "the request does not say where %.128s is on the host", m->source);
	m->path = xstrdup(path);
	return 0;
}

static int take_volume(struct engine *e, struct docker_mount *m, struct error **err)
{
	AUTO_JSON struct json_object *labels = json_object_new_object();
	if (!m->source) {
		m->source = docker_new_id();
		m->anonymous = 1;
		json_add_string(labels, VOLUME_ANONYMOUS, "");
	}
	if (m->labels) {
		json_object_object_foreach(m->labels, key, value)
		    json_object_object_add(labels, key, json_object_get(value));
	}
	return volume_make(e, m->source, labels, err);
}

static int settle(struct engine *e, struct json_object *body, struct docker_mounts *list, struct error **err)
{
	struct json_object *binds = NULL;
	int r = 0;
	json_get_object(body, "HolmBinds", &binds, NULL);
	for (size_t i = 0; r == 0 && i < list->count; i++)
		if (list->items[i].type == DOCKER_MOUNT_BIND)
			r = take_path(&list->items[i], binds, err);
	for (size_t i = 0; r == 0 && i < list->count; i++)
		if (list->items[i].type == DOCKER_MOUNT_VOLUME)
			r = take_volume(e, &list->items[i], err);
	return r;
}

int mounts_choose(struct engine *e, struct json_object *body, struct record *r, struct error **err)
{
	AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 };
	int result = docker_mounts_of_body(&list, body, err);
	for (size_t i = 0; result == 0 && i < r->body.volumes_from.count; i++)
		result = add_from(e, r->body.volumes_from.items[i], &list, err);
	if (result == 0)
		result = docker_mounts_of_volumes(&list, body, err);
	if (result == 0)
		result = settle(e, body, &list, err);
	json_object_object_del(body, "HolmBinds");
	json_object_object_del(body, "HolmFiles");
	json_object_object_del(body, "HolmMounts");
	if (result < 0)
		return result;
	docker_mounts_sort(&list);
	json_add(body, "HolmMounts", docker_mounts_store(&list));
	r->mounts = list;
	list = (struct docker_mounts){ 0 };
	return 0;
}

/* ---- for crun ---- */

int mounts_replace(const struct container *c, const char *place)
{
	const struct docker_mounts *list = &c->record.mounts;
	return docker_mounts_at(list, place) || (startswith(place, "/dev/") && docker_mounts_at(list, "/dev"));
}

size_t mounts_add(const struct container *c, struct runtime_mount *to, struct strv *texts)
{
	const struct docker_mounts *list = &c->record.mounts;
	for (size_t i = 0; i < list->count; i++) {
		const struct docker_mount *m = &list->items[i];
		if (m->type == DOCKER_MOUNT_TMPFS) {
			to[i] = (struct runtime_mount){ m->destination, "tmpfs", "tmpfs", m->options };
			continue;
		}
		strv_addf(texts, ENGINE_RUN "/%s/mounts/%zu", c->record.id, i);
		to[i] =
		    (struct runtime_mount){ m->destination, "bind", texts->items[texts->count - 1], "rbind,rprivate" };
	}
	return list->count;
}

/* ---- inspect ---- */

static struct json_object *describe(const struct docker_mount *m)
{
	static const char *const types[] = { [DOCKER_MOUNT_BIND] = "bind",
		[DOCKER_MOUNT_VOLUME] = "volume",
		[DOCKER_MOUNT_TMPFS] = "tmpfs",
		[DOCKER_MOUNT_FILE] = "file",
		[DOCKER_MOUNT_LENT] = "lent" };
	struct json_object *o = json_object_new_object();
	AUTOFREE char *place = m->type == DOCKER_MOUNT_VOLUME ? volume_place(m->source) : NULL;
	json_add_string(o, "Type", types[m->type]);
	if (place) {
		json_add_string(o, "Name", m->source);
		json_add_string(o, "Driver", "local");
	}
	json_add_string(o, "Source", place ? place : m->source ? m->source : "");
	json_add_string(o, "Destination", m->destination);
	json_add_string(o, "Mode", m->mode);
	json_add_bool(o, "RW", !m->read_only);
	json_add_string(o, "Propagation", m->propagation ? m->propagation : "");
	return o;
}

struct json_object *mounts_describe(const struct container *c)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < c->record.mounts.count; i++)
		if (!c->record.mounts.items[i].unlisted)
			json_object_array_add(list, describe(&c->record.mounts.items[i]));
	return list;
}

int mounts_match(const struct container *c, const char *wish)
{
	for (size_t i = 0; i < c->record.mounts.count; i++) {
		const struct docker_mount *m = &c->record.mounts.items[i];
		if (!m->unlisted && (streq(m->destination, wish) || streq(m->source, wish)))
			return 1;
	}
	return 0;
}

void mounts_drop_volumes(const struct container *c)
{
	for (size_t i = 0; i < c->record.mounts.count; i++) {
		const struct docker_mount *m = &c->record.mounts.items[i];
		if (m->type == DOCKER_MOUNT_VOLUME && m->anonymous && !volume_user(c->engine, m->source, c))
			volume_remove(c->engine, m->source);
	}
}
