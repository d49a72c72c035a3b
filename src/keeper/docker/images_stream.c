/* SPDX-License-Identifier: Apache-2.0
 * Archives: POST /images/load and /images/create?fromSrc=-, GET /images/get and
 * GET /images/NAME/get. The archive goes between the client and holm-image (upload.c), or
 * holm-image writes it to the client itself. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "docker/name.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { NAMES_MAX = 64, STALL_S = 120 };

static const char stream_head[] = "HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "Connection: close\r\n";

/* ---- load ---- */

struct load {
	struct docker_request *q;
	struct strv words; /* of holm-image */
	int is_import;
	int client;
	struct docker_upload *upload;
	struct program *program;
};

static void load_free(struct load *l)
{
	docker_upload_free(l->upload);
	fd_close(l->client);
	strv_done(&l->words);
	docker_request_free(l->q);
	free(l);
}

static void add_line(struct buffer *out, struct json_object *line)
{
	AUTO_JSON struct json_object *owned = line;
	AUTOFREE char *text = json_to_string(owned, 0);
	(void)buffer_append_string(out, text);
	(void)buffer_append_string(out, "\r\n");
}

/* The names that holm-image has printed, a line each, or its error. */
static void on_loaded(int status, const char *output, const char *errors, void *data)
{
	struct load *l = data;
	AUTO_BUFFER struct buffer out;
	AUTO_STRV struct strv names = { 0 };
	AUTOFREE char *line = docker_last_line(errors);
	buffer_init(&out, HTTP_BODY_MAX);
	(void)buffer_appendf(&out, "%sContent-Type: application/json\r\n\r\n", stream_head);
	strv_split(&names, status ? "" : output, "\n");
	for (size_t i = 0; i < names.count; i++) {
		struct json_object *o = json_object_new_object();
		const char *name = names.items[i];
		AUTOFREE char *text =
		    xasprintf(startswith(name, "sha256:") ? "Loaded image ID: %s\n" : "Loaded image: %s\n",
			docker_familiar_name(name));
		json_add_string(o, l->is_import ? "status" : "stream", l->is_import ? name : text);
		add_line(&out, o);
		docker_tell_event(l->q->keeper, l->is_import ? "import" : "load", name, docker_familiar_name(name));
	}
	if (status != 0) {
		struct json_object *o = json_object_new_object(), *detail = json_object_new_object();
		json_add_string(detail, "message", line);
		json_add(o, "errorDetail", detail);
		json_add_string(o, "error", line);
		add_line(&out, o);
	}
	(void)buffer_send(&out, l->client);
	load_free(l);
}

/* Nothing is loaded of a part of an archive. */
static void on_broken(void *data)
{
	docker_program_stop(((struct load *)data)->program);
}

static int begin(struct load *l, struct buffer *raw, struct error **err)
{
	struct loop *loop = keeper_loop(l->q->keeper);
	int input = -1;
	int r = docker_upload_new(loop, l->client, raw, &l->upload, &input, err);
	AUTO_FD int owned = input;
	if (r == 0)
		r = docker_program_fed(loop, (const char *const *)strv_argv(&l->words), owned, on_loaded, l,
		    &l->program, err);
	if (r == 0)
		docker_upload_watch(l->upload, on_broken, l);
	return r;
}

/* words: taken. */
static void upload(struct docker_request *q, struct strv *words, int is_import)
{
	struct load *l = xnew(struct load);
	AUTO_BUFFER struct buffer raw = { 0 };
	*l = (struct load){ .q = q, .words = *words, .is_import = is_import, .client = -1 };
	*words = (struct strv){ 0 };
	int r = http_exchange_take(q->exchange, &l->client, &raw);
	q->exchange = NULL;
	if (r == 0)
		r = begin(l, &raw, NULL);
	if (r < 0)
		load_free(l);
}

void docker_load_images(struct docker_request *q)
{
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *platform = docker_platform_option(q);
	strv_split(&words, "load --progress none -", " ");
	if (platform)
		strv_add(&words, platform);
	upload(q, &words, 0);
}

/* ---- import ---- */

void docker_query_all(const char *target, const char *key, struct strv *to)
{
	AUTO_STRV struct strv parts = { 0 };
	const char *query = strchr(target, '?');
	strv_split(&parts, query ? query + 1 : "", "&");
	for (size_t i = 0; i < parts.count; i++) {
		AUTOFREE char *one = xasprintf("?%s", parts.items[i]), *value = docker_query(one, key);
		if (value && *value)
			strv_add(to, value);
	}
}

static int import_words(struct docker_request *q, const char *source, struct strv *words, struct error **err)
{
	const char *target = http_exchange_head(q->exchange)->target;
	AUTOFREE char *repository = docker_query(target, "repo"), *tag = docker_query(target, "tag"),
		      *message = docker_query(target, "message"), *platform = docker_query(target, "platform");
	AUTO_STRV struct strv changes = { 0 };
	if (!streq(source, "-"))
		return error_set(err, EOPNOTSUPP,
		    "holm's engine imports no URL; get the file and send it: docker import - NAME < FILE");
	if (repository && repository[0] == '-')
		return error_set(err, EINVAL, "invalid reference format");
	docker_query_all(target, "changes", &changes);
	strv_split(words, "import --progress none", " ");
	if (message && *message)
		strv_addf(words, "--message=%s", message);
	if (platform && *platform)
		strv_addf(words, "--platform=%s", platform);
	for (size_t i = 0; i < changes.count; i++)
		strv_addf(words, "--change=%s", changes.items[i]);
	strv_add(words, "-");
	if (repository && *repository)
		strv_addf(words, tag && *tag ? "%s:%s" : "%s", repository, tag);
	return 0;
}

void docker_create_image(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *source = docker_query(http_exchange_head(q->exchange)->target, "fromSrc");
	if (!source || !*source) {
		docker_pull(q);
		return;
	}
	int r = import_words(q, source, &words, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		upload(q, &words, 1);
}

/* ---- save ---- */

struct saving {
	struct docker_request *q; /* until holm-image has ended: so it counts as one from inside */
	struct strv names;
};

static void saving_free(struct saving *s)
{
	docker_request_free(s->q);
	strv_done(&s->names);
	free(s);
}

static void on_saved(struct source *source, pid_t pid, int status, void *data)
{
	source_free(source);
	saving_free(data);
}

/* holm-image writes to the client itself. Takes s, unless that fails. */
static int save(struct saving *s, int client)
{
	AUTOFREE char *path = path_libexec("holm-image");
	AUTO_STRV struct strv argv = { 0 };
	const struct spawn_fd fds[] = { { client, 1 } };
	pid_t pid;
	strv_add(&argv, path);
	strv_add(&argv, "--docker-names");
	strv_add(&argv, "save");
	strv_add(&argv, "--progress");
	strv_add(&argv, "none");
	strv_add_all(&argv, &s->names);
	const struct spawn_options o = { .argv = strv_argv(&argv), .fds = fds, .fd_count = 1, .death_signal = SIGKILL };
	struct source *child = NULL;
	int r = spawn(&o, &pid, NULL);
	return r < 0 ? r : loop_add_child(keeper_loop(s->q->keeper), pid, on_saved, s, &child);
}

/* Writes the head of the answer. A client that has left so many answers unread that it does not fit
 * is dropped. One from inside that takes nothing for a while makes holm-image fail. */
static int begin_save(const struct saving *s, int client)
{
	static const struct timeval stall = { .tv_sec = STALL_S };
	AUTOFREE char *head = xasprintf("%sContent-Type: application/x-tar\r\n\r\n", stream_head);
	int r = fd_write_full(client, head, strlen(head));
	if (r == 0 && s->q->inside && setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall) < 0)
		r = -errno;
	return r == 0 ? fd_set_nonblocking(client, 0) : r;
}

/* All are there: the answer may begin. */
static void on_checked(int status, const char *output, const char *errors, void *data)
{
	struct saving *s = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer raw = { 0 };
	AUTO_FD int client = -1;
	if (status != 0) {
		AUTOFREE char *line = docker_last_line(errors);
		int missing = strstr(line, "no image \"") != NULL;
		error_set(&err, missing ? ENOENT : EIO, missing ? "No such image: %s" : "%s",
		    missing ? s->names.items[0] : line);
		docker_respond_error(TAKE_PTR(s->q), missing ? -ENOENT : -EIO, err);
		strv_done(&s->names);
		free(s);
		return;
	}
	int r = s->q->exchange ? http_exchange_take(s->q->exchange, &client, &raw) : -EPIPE;
	if (r == 0) {
		s->q->exchange = NULL;
		r = begin_save(s, client);
	}
	if (r < 0 || save(s, client) < 0)
		saving_free(s);
}

static void check_and_save(struct docker_request *q, struct strv *names)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	int r = names->count && names->count <= NAMES_MAX ? 0 : error_set(&err, EINVAL, "no image was named");
	strv_add(&words, "inspect");
	for (size_t i = 0; r == 0 && i < names->count; i++) {
		if (names->items[i][0] == '-' || !names->items[i][0])
			r = error_set(&err, EINVAL, "invalid reference format");
		strv_add(&words, names->items[i]);
	}
	AUTOFREE char *platform = docker_platform_option(q);
	if (platform) {
		strv_add(&words, platform);
		strv_add(names, platform);
	}
	struct saving *s = xnew(struct saving);
	*s = (struct saving){ .q = q, .names = *names };
	*names = (struct strv){ 0 };
	if (r == 0)
		r = docker_program(keeper_loop(q->keeper), (const char *const *)strv_argv(&words), on_checked, s, &err);
	if (r < 0) {
		docker_respond_error(TAKE_PTR(s->q), r, err);
		strv_done(&s->names);
		free(s);
	}
}

void docker_save_image(struct docker_request *q)
{
	AUTO_STRV struct strv names = { 0 };
	strv_add(&names, q->name);
	check_and_save(q, &names);
}

/* ?names=a&names=b, or names=a,b. */
void docker_save_images(struct docker_request *q)
{
	AUTO_STRV struct strv parts = { 0 }, names = { 0 };
	docker_query_all(http_exchange_head(q->exchange)->target, "names", &parts);
	for (size_t i = 0; i < parts.count; i++)
		strv_split(&names, parts.items[i], ",");
	check_and_save(q, &names);
}
