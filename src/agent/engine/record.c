/* SPDX-License-Identifier: Apache-2.0
 * See record.h. A record is replaced by a rename, so a reader finds the old or the new one; it is
 * not synced, as an exit status is not worth the milliseconds of every start and end. */
#include "agent/engine/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "docker/name.h"
#include "oci/digest.h"

static const char *const status_names
    [] = { [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running", [CONTAINER_EXITED] = "exited" };

enum { ERROR_MAX = 4096, EXIT_MAX = 255 };

static int get_status(struct json_object *o, enum container_status *ret)
{
	const char *text = NULL;
	if (json_get_string(o, "Status", &text, NULL) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(status_names); i++) {
		*ret = (enum container_status)i;
		if (streq(status_names[i], text))
			return 0;
	}
	return -EBADMSG;
}

static int get_name(struct json_object *o, const char *key, int (*is_good)(const char *), char **ret)
{
	const char *text = NULL;
	if (json_get_string(o, key, &text, NULL) < 0 || !is_good(text))
		return -EBADMSG;
	*ret = xstrdup(text);
	return 0;
}

static int is_digest(const char *text)
{
	return digest_check(text, "an image", NULL) == 0;
}

static int get_state(struct json_object *o, struct record *r)
{
	int64_t code = 0;
	const char *text = NULL;
	if (get_status(o, &r->status) < 0 || json_get_i64(o, "Created", &r->created, NULL) < 0 ||
	    json_get_i64(o, "Started", &r->started, NULL) < 0 || json_get_i64(o, "Finished", &r->finished, NULL) < 0 ||
	    json_get_i64(o, "ExitCode", &code, NULL) < 0 || code < 0 || code > EXIT_MAX || r->created < 0 ||
	    r->started < 0 || r->finished < 0)
		return -EBADMSG;
	r->exit_code = (int)code;
	json_get_bool(o, "Stopped", &r->stopped, NULL);
	json_get_bool(o, "OOMKilled", &r->oom_killed, NULL);
	uint64_t restarts = 0;
	if (json_get_u64(o, "Restarts", &restarts, NULL) == 0)
		r->restarts = (uint32_t)MIN(restarts, (uint64_t)UINT32_MAX);
	int result = json_get_string(o, "Error", &text, NULL);
	if (result == 0 && strlen(text) <= ERROR_MAX)
		r->error = xstrdup(text);
	return result == -ENOENT || result == 0 ? 0 : -EBADMSG;
}

static int parse(struct json_object *o, struct record *r, struct error **err)
{
	const char *on = NULL;
	struct json_object *data = NULL, *mounts = NULL, *networks = NULL;
	if (!json_object_is_type(o, json_type_object) || get_name(o, "Id", docker_is_id, &r->id) < 0 ||
	    get_name(o, "Name", docker_is_name, &r->name) < 0 || get_name(o, "ImageID", is_digest, &r->image_id) < 0 ||
	    get_state(o, r) < 0 || json_get_object(o, "Body", &data, NULL) < 0)
		return error_set(err, EBADMSG, "it is no record of a container");
	r->data = json_object_get(data);
	int result = json_get_array(data, "HolmMounts", &mounts, err);
	if (result == 0 || result == -ENOENT)
		result = docker_mounts_load(&r->mounts, mounts, err);
	if (result == 0)
		result = json_get_array(data, "HolmNetworks", &networks, err);
	if (result == 0 || result == -ENOENT)
		result = docker_endpoints_load(&r->endpoints, networks, err);
	if (result >= 0 && json_get_string(data, "HolmOn", &on, NULL) == 0 && docker_is_id(on))
		r->on = xstrdup(on);
	json_get_bool(data, "HolmHeld", &r->held, NULL);
	return result < 0 || docker_body_parse(data, &r->body, err) < 0 ? -EBADMSG : 0;
}

int record_parse(const char *text, size_t size, struct record *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	struct record r = { 0 };
	int result = size > RECORD_MAX ? error_set(err, EBADMSG, "it is too long") :
					 json_parse_bytes(text, size, "record", &o, err);
	if (result >= 0)
		result = parse(o, &r, err);
	if (result < 0) {
		record_done(&r);
		return -EBADMSG;
	}
	*ret = r;
	return 0;
}

char *record_format(const struct record *r)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "Id", r->id);
	json_add_string(o, "Name", r->name);
	json_add_string(o, "ImageID", r->image_id);
	json_add_string(o, "Status", status_names[r->status]);
	json_add_i64(o, "Created", r->created);
	json_add_i64(o, "Started", r->started);
	json_add_i64(o, "Finished", r->finished);
	json_add_i64(o, "ExitCode", r->exit_code);
	json_add_bool(o, "Stopped", r->stopped);
	json_add_bool(o, "OOMKilled", r->oom_killed);
	json_add_u64(o, "Restarts", r->restarts);
	json_add_string(o, "Error", r->error);
	json_add(o, "Body", json_object_get(r->data));
	return json_to_string(o, 0);
}

void record_done(struct record *r)
{
	docker_body_done(&r->body);
	docker_mounts_done(&r->mounts);
	docker_endpoints_done(&r->endpoints);
	json_object_put(TAKE_PTR(r->data));
	free(TAKE_PTR(r->id));
	free(TAKE_PTR(r->name));
	free(TAKE_PTR(r->image_id));
	free(TAKE_PTR(r->error));
	free(TAKE_PTR(r->on));
}

/* ---- files ---- */

int record_save(int directory, const struct record *r)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = record_format(r);
	return atomic_file_write_at(directory, r->id, 0600, text, strlen(text), !r->body.auto_remove && !r->held, &err);
}

int record_load(int directory, const char *id, struct record *ret, struct error **err)
{
	struct stat st;
	AUTOFREE char *text = NULL;
	size_t size;
	AUTO_FD int fd = openat(directory, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "cannot open it");
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return error_set(err, ENODATA, "it was lost with the machine's power");
	int result = S_ISREG(st.st_mode) ? fd_read_all(fd, RECORD_MAX, &text, &size) : -EINVAL;
	if (result < 0)
		return error_set_errno(err, result, "cannot read it");
	result = record_parse(text, size, ret, err);
	if (result == 0 && !streq(ret->id, id)) {
		record_done(ret);
		return error_set(err, EBADMSG, "it is of another container");
	}
	return result;
}

void record_remove(int directory, const char *id)
{
	unlinkat(directory, id, 0);
}

/* ---- the image's part ---- */

static int is_empty(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(o, key, &value) || !value)
		return 1;
	return (json_object_is_type(value, json_type_string) && !*json_object_get_string(value)) ||
	       (json_object_is_type(value, json_type_array) && json_object_array_length(value) == 0);
}

static void copy_member(struct json_object *body, struct json_object *image, const char *key)
{
	struct json_object *value = NULL;
	if (json_object_object_get_ex(image, key, &value) && value)
		json_object_object_add(body, key, json_object_get(value));
}

static int has_variable(const struct strv *env, const char *entry)
{
	size_t size = strcspn(entry, "=");
	for (size_t i = 0; i < env->count; i++)
		if (strcspn(env->items[i], "=") == size && strncmp(env->items[i], entry, size) == 0)
			return 1;
	return 0;
}

/* The request's variables, also NAME alone, which takes one away, and the image's others. */
static void merge_env(struct json_object *body, struct json_object *image)
{
	AUTO_STRV struct strv all = { 0 }, from = { 0 };
	if (json_get_strv(image, "Env", &from, NULL) < 0)
		return;
	json_get_strv(body, "Env", &all, NULL);
	size_t own = all.count;
	for (size_t i = 0; i < from.count; i++) {
		const struct strv wanted = { .items = all.items, .count = own };
		if (!has_variable(&wanted, from.items[i]))
			strv_add(&all, from.items[i]);
	}
	json_object_object_del(body, "Env");
	json_add_strv(body, "Env", &all);
}

/* The image's members of an object, and the request's, which count more. */
static void merge_object(struct json_object *body, struct json_object *image, const char *member)
{
	struct json_object *from = NULL, *own = NULL, *all = json_object_new_object();
	if (json_get_object(image, member, &from, NULL) == 0) {
		json_object_object_foreach(from, key, value) json_object_object_add(all, key, json_object_get(value));
	}
	if (json_get_object(body, member, &own, NULL) == 0) {
		json_object_object_foreach(own, name, text) json_object_object_add(all, name, json_object_get(text));
	}
	json_object_object_add(body, member, all);
}

/* A check of the request takes what it does not say from the image's. */
static void merge_health(struct json_object *body, struct json_object *image)
{
	static const char *const members[] = { "Test", "Interval", "Timeout", "StartPeriod", "StartInterval",
		"Retries" };
	struct json_object *own = NULL, *from = NULL;
	if (json_get_object(image, "Healthcheck", &from, NULL) < 0)
		return;
	if (json_get_object(body, "Healthcheck", &own, NULL) < 0) {
		copy_member(body, image, "Healthcheck");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		int64_t number = 0;
		int has_number = json_get_i64(own, members[i], &number, NULL) == 0 && number != 0;
		if (i == 0 ? is_empty(own, members[i]) : !has_number)
			copy_member(own, from, members[i]);
	}
}

void record_merge_image(struct json_object *body, struct json_object *image)
{
	static const char *const plain[] = { "User", "WorkingDir", "StopSignal" };
	struct json_object *entrypoint = NULL;
	int own = json_object_object_get_ex(body, "Entrypoint", &entrypoint) && entrypoint;
	if (!own) {
		if (is_empty(body, "Cmd"))
			copy_member(body, image, "Cmd");
		copy_member(body, image, "Entrypoint");
	}
	merge_health(body, image);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (is_empty(body, plain[i]))
			copy_member(body, image, plain[i]);
	merge_env(body, image);
	merge_object(body, image, "Labels");
	merge_object(body, image, "ExposedPorts");
	merge_object(body, image, "Volumes");
}
