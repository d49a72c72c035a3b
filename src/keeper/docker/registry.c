/* SPDX-License-Identifier: Apache-2.0
 * Requests that holm-image passes on to registries: pull, push, search, distribution, auth.
 *
 * A client's login comes with each request (X-Registry-Auth). holm-image gets it on its stdin, uses
 * it for this one registry, and keeps it nowhere. Without one it uses the person's own logins, as
 * `holm image pull` does. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/base64.h"
#include "docker/filters.h"
#include "docker/name.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { AUTH_MAX = 8 * 1024 };

/* ---- logins ---- */

int docker_hold_text(const char *text)
{
	AUTO_FD int fd = memfd_create("holm-login", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return r < 0 ? r : -errno;
	return TAKE_FD(fd);
}

/* The login of a request as holm-image reads it: a descriptor; -ENOENT: it has none, -EINVAL. */
static int take_login(struct docker_request *q, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *header = http_head_get(http_exchange_head(q->exchange), "x-registry-auth");
	if (!header || !*header)
		return -ENOENT;
	AUTOFREE char *text = strlen(header) <= AUTH_MAX ? docker_base64_decode(header) : NULL;
	if (!text || json_parse(text, strlen(text), "X-Registry-Auth", &o, NULL) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "X-Registry-Auth is no login in base64");
	static const char *const secrets[] = { "username", "auth", "identitytoken" };
	int has_login = 0;
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		const char *value = NULL;
		has_login |= json_get_string(o, secrets[i], &value, NULL) == 0 && *value;
	}
	int fd = has_login ? docker_hold_text(text) : -ENOENT;
	explicit_bzero(text, strlen(text));
	return fd;
}

/* Runs holm-image's `plain` with the request's reference, or `as` with its login on stdin. */
static int run(struct docker_request *q, const char *plain, const char *as, docker_program_fn done, struct error **err)
{
	AUTO_FD int login = take_login(q, err);
	AUTOFREE char *platform = docker_platform_option(q);
	if (login < 0 && login != -ENOENT)
		return login;
	if (login < 0 && !plain)
		login = docker_hold_text("");
	const char *const words[] = { login < 0 ? plain : as, "--progress", "none", q->reference, platform, NULL };
	return docker_program_with(keeper_loop(q->keeper), words, login, done, q, err);
}

/* ---- streams ---- */

static void add_status(struct http_exchange *x, const char *id, char *text)
{
	AUTOFREE char *owned = text;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "status", owned);
	if (id)
		json_add_string(o, "id", id);
	http_stream_json(x, o);
}

/* The head of the answer is out, so an error is one of its lines. */
static void end_with_error(struct http_exchange *x, const char *errors)
{
	struct json_object *o = json_object_new_object(), *detail = json_object_new_object();
	AUTOFREE char *line = docker_last_line(errors);
	json_add_string(detail, "message", line);
	json_add(o, "errorDetail", detail);
	json_add_string(o, "error", line);
	http_stream_json(x, o);
	http_stream_end(x);
}

/* Finds the beginning of the tag or digest in a name, or NULL. */
static const char *end_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	return strpbrk(slash ? slash : name, ":@");
}

static const char *tag_of(const char *name)
{
	const char *end = end_of(name);
	return end ? end + 1 : "latest";
}

/* "library/alpine" of a name; owned. */
static char *repository_of(const char *name)
{
	const char *end = end_of(name);
	return xasprintf(strchr(name, '/') ? "%.*s" : "library/%.*s", (int)(end ? end - name : (long)strlen(name)),
	    name);
}

/* ---- POST /images/create?fromImage= ---- */

static void on_pulled(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTOFREE char *digest = xstrndup(output, strcspn(output, "\n"));
	const char *familiar = docker_familiar_name(q->reference);
	if (status == 0) {
		AUTOFREE char *name = xasprintf(end_of(familiar) ? "%s" : "%s:latest", familiar);
		docker_tell_event(q->keeper, "pull", name, name);
		if (q->exchange) {
			add_status(q->exchange, NULL, xasprintf("Digest: %s", digest));
			add_status(q->exchange, NULL, xasprintf("Status: Downloaded newer image for %s", name));
			http_stream_end(q->exchange);
		}
	} else if (q->exchange) {
		end_with_error(q->exchange, errors);
	}
	docker_request_free(q);
}

static char *wanted_reference(struct http_exchange *x)
{
	const char *target = http_exchange_head(x)->target;
	AUTOFREE char *image = docker_query(target, "fromImage"), *tag = docker_query(target, "tag");
	if (!image)
		return NULL;
	return tag && *tag ? xasprintf(startswith(tag, "sha256:") ? "%s@%s" : "%s:%s", image, tag) : TAKE_PTR(image);
}

void docker_pull(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *wanted = wanted_reference(q->exchange);
	int r = docker_take_reference(q, wanted, &err);
	if (r == 0)
		r = run(q, "pull", "pull-as", on_pulled, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	AUTOFREE char *repository = repository_of(docker_familiar_name(q->reference));
	http_stream_begin(q->exchange, 200);
	add_status(q->exchange, tag_of(q->reference), xasprintf("Pulling from %s", repository));
}

/* ---- POST /images/NAME/push ---- */

static void on_pushed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	const char *tag = tag_of(q->reference), *digest = strchr(output, '@');
	if (status == 0)
		docker_tell_event(q->keeper, "push", docker_familiar_name(q->reference),
		    docker_familiar_name(q->reference));
	if (q->exchange && status != 0) {
		end_with_error(q->exchange, errors);
	} else if (q->exchange) {
		struct json_object *o = json_object_new_object(), *aux = json_object_new_object();
		AUTOFREE char *text = xstrndup(digest ? digest + 1 : "", digest ? strcspn(digest + 1, "\n") : 0);
		json_add_string(aux, "Tag", tag);
		json_add_string(aux, "Digest", text);
		json_object_object_add(o, "progressDetail", json_object_new_object());
		json_add(o, "aux", aux);
		add_status(q->exchange, NULL, xasprintf("%s: digest: %s", tag, text));
		http_stream_json(q->exchange, o);
		http_stream_end(q->exchange);
	}
	docker_request_free(q);
}

void docker_push(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *tag = docker_query(http_exchange_head(q->exchange)->target, "tag");
	AUTOFREE char *name = tag && *tag ? xasprintf("%s:%s", q->name, tag) : xstrdup(q->name);
	int r = docker_take_reference(q, name, &err);
	if (r == 0)
		r = run(q, "push", "push-as", on_pushed, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	AUTOFREE char *repository = repository_of(q->reference);
	http_stream_begin(q->exchange, 200);
	add_status(q->exchange, NULL, xasprintf("The push refers to repository [%s]", repository));
}

/* ---- GET /images/search ---- */

static struct json_object *search_result(struct json_object *row)
{
	struct json_object *o = json_object_new_object();
	const char *name = "", *description = "", *official = "";
	int64_t stars = 0;
	json_get_string(row, "Name", &name, NULL);
	json_get_string(row, "Description", &description, NULL);
	json_get_string(row, "IsOfficial", &official, NULL);
	json_get_i64(row, "StarCount", &stars, NULL);
	json_add_string(o, "name", name);
	json_add_string(o, "description", description);
	json_add_i64(o, "star_count", stars);
	json_add_bool(o, "is_official", streq(official, "true"));
	json_add_bool(o, "is_automated", 0);
	return o;
}

static void on_searched(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *rows = NULL;
	int r = docker_images_parse(status, output, errors, &rows, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		json_object_array_add(list, search_result(json_object_array_get_idx(rows, i)));
	docker_respond_json(q, 200, list);
}

static int search(struct docker_request *q, struct error **err)
{
	static const char *const keys[] = { "stars", "is-official" };
	const char *target = http_exchange_head(q->exchange)->target;
	AUTOFREE char *limit = docker_query(target, "limit"), *filters = docker_query(target, "filters");
	AUTO_STRV struct strv words = { 0 };
	static const char *const known[] = { "stars", "is-official", "is-automated", NULL };
	int r = docker_filters_parse(filters, known, &q->body, err);
	if (r < 0)
		return r;
	strv_add(&words, "search");
	strv_add(&words, "--format");
	strv_add(&words, "json");
	if (limit && *limit && !streq(limit, "0"))
		strv_addf(&words, "--limit=%s", limit);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		AUTO_STRV struct strv values = { 0 };
		docker_filters_get(q->body, keys[i], &values);
		for (size_t k = 0; k < values.count; k++)
			strv_addf(&words, "--filter=%s=%s", keys[i], values.items[k]);
	}
	strv_add(&words, q->reference);
	return docker_program(keeper_loop(q->keeper), (const char *const *)strv_argv(&words), on_searched, q, err);
}

void docker_search(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *term = docker_query(http_exchange_head(q->exchange)->target, "term");
	int r = docker_take_reference(q, term, &err);
	if (r == 0)
		r = search(q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

/* ---- GET /distribution/NAME/json, POST /auth ---- */

static int failure_of(const char *errors, struct error **err)
{
	AUTOFREE char *line = docker_last_line(errors);
	int missing = strstr(line, "not found") || strstr(line, "has no ");
	return error_set(err, missing ? ENOENT : EACCES, "%s", line);
}

static void on_described(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	struct json_object *o = NULL;
	int r = status ? failure_of(errors, &err) :
			 json_parse_bytes(output, strlen(output), "holm-image's answer", &o, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_respond_json(q, 200, o);
}

void docker_distribution(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	int r = docker_take_reference(q, q->name, &err);
	if (r == 0)
		r = run(q, NULL, "distribution", on_described, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

static void on_tried(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	struct json_object *o = json_object_new_object();
	AUTOFREE char *line = docker_last_line(errors);
	if (status)
		json_add_string(o, "message", line);
	else
		json_add_string(o, "Status", "Login Succeeded");
	if (!status)
		json_add_string(o, "IdentityToken", "");
	docker_respond_json(q, !status ? 200 : strstr(line, "refuses the login") ? 401 : 500, o);
}

void docker_auth(struct docker_request *q)
{
	static const char *const words[] = { "try-login", "--progress", "none", NULL };
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(q->exchange, &err);
	AUTOFREE char *text = body ? json_to_string(body, 0) : NULL;
	AUTO_FD int login = text ? docker_hold_text(text) : -EINVAL;
	int r = login < 0 ? login : docker_program_with(keeper_loop(q->keeper), words, login, on_tried, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}
