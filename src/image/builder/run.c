/* SPDX-License-Identifier: Apache-2.0
 * RUN: a container of the engine for each.
 *
 * The layers so far become an image without a name and without a configuration, so that the engine
 * prepares them once, whatever ENV and CMD say. The container of that image gets its command,
 * environment, user and directory from the step. What it changes comes back as a layer
 * (src/agent/engine/archive.c), and the container goes.
 *
 * The key in the cache: the layers below, the command and all that it can see of the build.
 * Variables for proxies do not count. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "docker/frame.h"
#include "docker/name.h"
#include "http/http.h"
#include "image/builder/emit.h"
#include "image/builder/leftovers.h"
#include "image/builder/mounts.h"
#include "image/builder/prune.h"
#include "image/builder/run_layer.h"
#include "image/builder/step.h"
#include "image/builder/ulimit.h"
#include "oci/tar_write.h"

enum { FILES_MAX = 16 << 20 };
#define SCRIPT "/.holm-build-script"
#define MEMORY_LEFT "; the kernel killed a process, as there was no memory left"
#define SCRIPT_FILE "script" /* its name among the files of the start */

/* A RUN under way. */
struct running {
	struct build_step *step;
	struct strv words, env;
	const char *network; /* NULL: the default one */
	const char *script;  /* with an interpreter of its own: a file for the start; or NULL */
	struct run_mounts mounts;
	char *id;    /* of the container; NULL: there is none */
	int hold;    /* a connection: without it the engine removes the container; -1: none */
	int is_link; /* the next RUN may stand on its files */
	struct docker_frames frames;
};

static void running_done(struct running *r)
{
	AUTOFREE char *target = r->id ? xasprintf("/containers/%s?force=1&v=1", r->id) : NULL;
	run_mounts_close_ssh(&r->mounts);
	if (target)
		build_engine_delete(r->step->builder->engine, target);
	fd_close(r->hold);
	run_mounts_done(&r->mounts);
	strv_done(&r->words);
	strv_done(&r->env);
	free(r->id);
}

/* ---- the command ---- */

static void add_shell(struct running *r)
{
	build_state_words(r->step->state, "Shell", &r->words);
	if (!r->words.count) {
		strv_add(&r->words, "/bin/sh");
		strv_add(&r->words, "-c");
	}
}

/* The text of a command with its here-documents behind it, for the shell. */
static char *with_heredocs(const struct dockerfile_instruction *i)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, DOCKERFILE_MAX * 2);
	buffer_append_string(&b, i->rest);
	for (size_t k = 0; k < i->heredoc_count; k++)
		buffer_appendf(&b, "\n%s%s", i->heredocs[k].content, i->heredocs[k].name);
	buffer_append_string(&b, "\n");
	return buffer_take_string(&b);
}

/* Whether the instruction is a here-document alone, which then is the script. */
static int is_script(const struct dockerfile_instruction *i)
{
	return i->heredoc_count == 1 && !strpbrk(i->rest, " \t") && startswith(i->rest, "<<");
}

static void set_words(struct running *r)
{
	const struct dockerfile_instruction *i = r->step->instruction;
	if (i->is_json) {
		strv_add_all(&r->words, &i->json);
		return;
	}
	if (is_script(i) && startswith(i->heredocs[0].content, "#!")) {
		r->script = i->heredocs[0].content;
		strv_add(&r->words, SCRIPT);
		return;
	}
	add_shell(r);
	if (is_script(i))
		strv_add(&r->words, i->heredocs[0].content);
	else if (i->heredoc_count)
		strv_take(&r->words, with_heredocs(i));
	else
		strv_add(&r->words, i->rest);
}

/* ---- the environment ---- */

int build_is_proxy(const char *pair)
{
	static const char *const names[] = { "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY" };
	size_t n = strcspn(pair, "=");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], pair, n) == 0)
			return 1;
	return 0;
}

static void set_all(struct pairs *to, const struct strv *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		AUTOFREE char *name = xstrndup(texts->items[i], strcspn(texts->items[i], "="));
		const char *value = strchr(texts->items[i], '=');
		pairs_set(to, name, value ? value + 1 : "");
	}
}

static void set_env(struct running *r)
{
	const struct build_state *s = r->step->state;
	const struct strv *given = r->step->builder->options->args;
	AUTO_STRV struct strv proxies = { 0 }, env = { 0 };
	AUTO_PAIRS struct pairs all = { 0 };
	for (size_t i = 0; given && i < given->count; i++)
		if (build_is_proxy(given->items[i]))
			strv_add(&proxies, given->items[i]);
	build_state_words(s, "Env", &env);
	set_all(&all, &proxies);
	set_all(&all, &s->args.list);
	set_all(&all, &env);
	strv_add_all(&r->env, &all.list);
	run_mounts_add_env(&r->mounts, &r->env);
}

/* ---- flags ---- */

static int read_flags(struct running *r, struct error **err)
{
	static const struct {
		const char *word, *mode;
	} networks[] = { { "default", NULL }, { "none", "none" }, { "host", "host" } };
	const struct dockerfile_instruction *i = r->step->instruction;
	const char *network = dockerfile_flag(i, "network"), *security = dockerfile_flag(i, "security");
	r->network = r->step->builder->options->network;
	for (size_t k = 0; network && k <= ARRAY_SIZE(networks); k++) {
		if (k == ARRAY_SIZE(networks))
			return error_set(err, EINVAL, "RUN --network=%.40s: there are default, none and host", network);
		if (streq(network, networks[k].word)) {
			r->network = networks[k].mode ? networks[k].mode : r->network;
			break;
		}
	}
	if (security && !streq(security, "sandbox"))
		return error_set(err, EOPNOTSUPP, "RUN --security=%.40s is not supported; leave it out", security);
	if (dockerfile_flag(i, "device"))
		return error_set(err, EOPNOTSUPP, "RUN --device is not supported; leave it out");
	return run_mounts_read(r->step, &r->mounts, err);
}

/* The name of the host that a command sees; NULL: that of its container. */
static const char *hostname_of(const struct running *r)
{
	return strv_getenv(r->step->builder->options->args, "BUILDKIT_SANDBOX_HOSTNAME");
}

/* ---- the key ---- */

static void add_text(struct hash *h, const char *text)
{
	hash_update(h, text ? text : "", text ? strlen(text) + 1 : 1);
}

static int make_key(struct running *r, char *ret, struct error **err)
{
	AUTO_HASH struct hash h = { 0 };
	const struct build_state *s = r->step->state;
	const struct build_options *o = r->step->builder->options;
	hash_init(&h);
	add_text(&h, "run 2");
	add_text(&h, s->chain);
	add_text(&h, build_state_text(s, "User", ""));
	add_text(&h, build_state_text(s, "WorkingDir", "/"));
	add_text(&h, r->network);
	AUTOFREE char *numbers = xasprintf("%s %llu %zu %zu", s->platform.architecture, (unsigned long long)o->shm_size,
	    o->hosts ? o->hosts->count : 0, r->words.count);
	add_text(&h, numbers);
	for (size_t i = 0; o->hosts && i < o->hosts->count; i++)
		add_text(&h, o->hosts->items[i]);
	for (size_t i = 0; o->ulimits && i < o->ulimits->count; i++)
		add_text(&h, o->ulimits->items[i]);
	for (size_t i = 0; i < r->words.count; i++)
		add_text(&h, r->words.items[i]);
	add_text(&h, r->script);
	if (hostname_of(r))
		add_text(&h, hostname_of(r));
	for (size_t i = 0; i < r->env.count; i++)
		if (!build_is_proxy(r->env.items[i]))
			add_text(&h, r->env.items[i]);
	int result = run_mounts_add_key(r->step, &r->mounts, &h, err);
	hash_text(&h, ret);
	return result;
}

/* ---- the container ---- */

static void add_limits(struct json_object *limits, struct json_object *host)
{
	if (!limits)
		return;
	json_object_object_foreach(limits, member, value)
	{
		json_add(host, member, json_object_get(value));
	}
}

static struct json_object *host_config(const struct running *r)
{
	const struct build_options *o = r->step->builder->options;
	struct json_object *host = json_object_new_object();
	json_add_string(host, "NetworkMode", r->network);
	if (o->processes)
		json_add_u64(host, "PidsLimit", o->processes);
	if (o->hosts && o->hosts->count)
		json_add_strv(host, "ExtraHosts", o->hosts);
	if (o->shm_size)
		json_add_u64(host, "ShmSize", o->shm_size);
	struct json_object *ulimits = NULL;
	if (build_ulimits_parse(o->ulimits, &ulimits, NULL) == 0)
		json_add(host, "Ulimits", ulimits);
	add_limits(o->limits, host);
	run_mounts_add_body(&r->mounts, host);
	return host;
}

/* The files that put_files() sends. */
static struct json_object *files_of(const struct running *r)
{
	struct json_object *files = json_object_new_array();
	run_mounts_add_files(&r->mounts, files);
	if (!r->script)
		return files;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Name", SCRIPT_FILE);
	json_add_string(o, "Target", SCRIPT);
	json_add_bool(o, "ReadOnly", 1);
	json_object_array_add(files, o);
	return files;
}

static struct json_object *make_body(const struct running *r, const char *image)
{
	struct json_object *o = json_object_new_object(), *health = json_object_new_object(),
			   *labels = json_object_new_object();
	AUTO_STRV struct strv first = { 0 }, rest = { 0 }, no_check = { 0 };
	strv_add(&first, r->words.items[0]);
	for (size_t i = 1; i < r->words.count; i++)
		strv_add(&rest, r->words.items[i]);
	strv_add(&no_check, "NONE");
	json_add_strv(health, "Test", &no_check);
	json_add_string(labels, BUILD_LABEL, r->step->builder->token);
	json_add_string(o, "Image", image);
	json_add_strv(o, "Entrypoint", &first);
	json_add_strv(o, "Cmd", &rest);
	json_add_strv(o, "Env", &r->env);
	json_add_string(o, "User", build_state_text(r->step->state, "User", NULL));
	json_add_string(o, "Hostname", hostname_of(r));
	json_add_string(o, "WorkingDir", build_state_text(r->step->state, "WorkingDir", "/"));
	json_add(o, "Healthcheck", health);
	json_add(o, "Labels", labels);
	json_add(o, "HostConfig", host_config(r));
	json_add(o, "HolmFiles", files_of(r));
	json_add_bool(o, "HolmHeld", 1);
	return o;
}

/* The limits that the engine cannot honour. */
static void show_warnings(const struct running *r, struct json_object *answer)
{
	AUTO_STRV struct strv warnings = { 0 };
	(void)json_get_strv(answer, "Warnings", &warnings, NULL);
	for (size_t i = 0; r->step->builder->options->limits && i < warnings.count; i++)
		report_note(r->step->builder->report, "warning: %s", warnings.items[i]);
}

static int ask_create(struct running *r, const char *on, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL, *body = make_body(r, r->step->chain->image);
	const char *id = NULL;
	json_add_string(body, "HolmOn", on);
	int result = build_engine_call(r->step->builder->engine, "POST", "/containers/create", body, &answer, err);
	if (result == 0)
		result = json_get_string(answer, "Id", &id, err);
	if (result == 0 && !docker_is_id(id))
		result = error_set(err, EPROTO, "the engine's number of the container is none");
	if (result < 0)
		return result;
	show_warnings(r, answer);
	r->id = xstrdup(id);
	return 0;
}

/* A container of an image with the layers. */
static int create_of_image(struct running *r, const struct build_state *below, struct error **err)
{
	struct builder *b = r->step->builder;
	build_chain_end(r->step->chain, b->engine);
	int result = build_state_write_layers(b->library, below, r->step->chain->image, err);
	return result < 0 ? result : ask_create(r, NULL, err);
}

/* below: the layers that the container has. */
static int create(struct running *r, const struct build_state *below, struct error **err)
{
	struct builder *b = r->step->builder;
	const char *on = NULL;
	int result = build_leftovers_begin(b, err);
	if (result == 0)
		result = build_chain_reach(r->step, below, &on, err);
	if (result == 0 && (!on || ask_create(r, on, NULL) < 0)) /* a failure costs an image */
		result = create_of_image(r, below, err);
	if (result < 0)
		return result;
	AUTOFREE char *hold = xasprintf("/containers/%s/wait?condition=removed&holmHold=1", r->id);
	r->hold = build_engine_hold(b->engine, "POST", hold, err);
	return MIN(r->hold, 0);
}

static int call(struct running *r, const char *method, const char *what, struct json_object **ret, struct error **err)
{
	AUTOFREE char *target = xasprintf("/containers/%s/%s", r->id, what);
	return build_engine_call(r->step->builder->engine, method, target, NULL, ret, err);
}

/* ---- files that are there for the command alone ---- */

static int append(void *buffer, const void *bytes, size_t size)
{
	return buffer_append(buffer, bytes, size);
}

/* The script is added to the files of secrets (tar). The engine keeps them in memory. */
static int put_files(struct running *r, struct buffer *tar, struct error **err)
{
	const struct tar_text text = { .name = SCRIPT_FILE, .text = r->script, .mode = 0755 };
	AUTOFREE char *target = xasprintf("/containers/%s/archive?path=%%2F&holmFiles=1", r->id);
	if (!r->script && !tar->size)
		return 0;
	if ((r->script && tar_write_text(&text, append, tar) < 0) || tar_write_end(append, tar) < 0)
		return error_set(err, E2BIG, "the files of the command are too large");
	return build_engine_put(r->step->builder->engine, target, tar->data, tar->size, err);
}

/* ---- its output ---- */

static int take_output(struct running *r, const char *bytes, size_t size, struct error **err)
{
	while (size) {
		struct docker_piece piece;
		ssize_t n = docker_frames_take(&r->frames, bytes, size, &piece);
		if (n < 0)
			return error_set(err, EPROTO, "the engine's output has no frames");
		report_output(report_lane(r->step->builder->report, r->step->stage), piece.stream == DOCKER_STDERR,
		    piece.data, piece.size);
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static int follow(struct running *r, struct error **err)
{
	AUTOFREE char *target = xasprintf("/containers/%s/logs?follow=1&stdout=1&stderr=1", r->id);
	AUTO_BUILD_STREAM struct build_stream *s = build_engine_open(r->step->builder->engine, target, 1, err);
	const void *bytes;
	ssize_t n = -1;
	int result = s ? 0 : -EIO;
	while (result == 0 && (n = build_stream_read(s, &bytes, err)) > 0)
		result = take_output(r, bytes, (size_t)n, err);
	return result < 0 ? result : n < 0 ? (int)n : 0;
}

/* -ECHILD and why the command failed, if the engine knows. */
static int explain_exit(struct running *r, int64_t status, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *state = NULL;
	int64_t processes = 0;
	int is_killed = 0;
	if (call(r, "GET", "json", &answer, NULL) == 0 && json_get_object(answer, "State", &state, NULL) == 0) {
		json_get_i64(state, "HolmPidsLimited", &processes, NULL);
		json_get_bool(state, "OOMKilled", &is_killed, NULL);
	}
	if (r->step->builder->options->style == REPORT_DOCKER) {
		AUTOFREE char *words = strv_join(&r->words, " ");
		return error_set(err, ECHILD, "The command '%s' returned a non-zero code: %lld%s", words,
		    (long long)status,
		    processes ? "; it had as many processes as it may have" :
		    is_killed ? MEMORY_LEFT :
				"");
	}
	if (processes)
		return error_set(err, ECHILD,
		    "exit %lld; the command had %lld processes, which is the most (--pids-limit)", (long long)status,
		    (long long)processes);
	return error_set(err, ECHILD, "exit %lld%s", (long long)status, is_killed ? MEMORY_LEFT : "");
}

static int wait_end(struct running *r, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	int64_t status = -1;
	int result = call(r, "POST", "wait", &answer, err);
	if (result == 0)
		result = json_get_i64(answer, "StatusCode", &status, err);
	if (result < 0)
		return result;
	return status == 0 ? 0 : explain_exit(r, status, err);
}

static int run(struct running *r, struct build_layer *ret, struct error **err)
{
	struct builder *b = r->step->builder;
	struct build_state *state = r->step->state;
	AUTO_BUILD_STATE struct build_state *below = build_state_copy(state);
	AUTO_STRV struct strv without = { 0 };
	AUTO_BUFFER struct buffer tar;
	buffer_init(&tar, FILES_MAX);
	int result = run_mounts_add_layers(r->step, &r->mounts, below, err);
	if (result == 0) /* without a bind the state's own list, which is kept, has the same files */
		result = run_mounts_place(b->library, &r->mounts,
		    below->layer_count == state->layer_count ? state : below, err);
	if (result == 0)
		result = run_mounts_add_secrets(r->step, &r->mounts, &tar, err);
	if (result == 0)
		result = run_mounts_open_ssh(r->step, &r->mounts, err);
	if (result == 0)
		result = run_mounts_lock(r->step, &r->mounts, err);
	if (result == 0)
		result = create(r, below, err);
	if (result == 0)
		result = put_files(r, &tar, err);
	if (result == 0)
		result = call(r, "POST", "start", NULL, err);
	if (result == 0)
		result = run_mounts_serve_ssh(r->step, &r->mounts, r->id, err);
	if (result == 0)
		result = follow(r, err);
	if (result == 0)
		result = wait_end(r, err);
	if (result < 0)
		return result;
	r->is_link =
	    below->layer_count == state->layer_count && b->options->epoch < 0 && !run_mounts_are_elsewhere(&r->mounts);
	AUTOFREE char *target = xasprintf("/containers/%s/layer%s", r->id, r->is_link ? "?holmTidy=1" : "");
	AUTO_BUILD_STREAM struct build_stream *s = build_engine_open(b->engine, target, 0, err);
	run_mounts_hide(&r->mounts, &without);
	if (r->script)
		strv_add(&without, SCRIPT);
	return s ? run_layer_write(b->library, s, &without, state, ret, err) : -EIO;
}

/* The container stays for the next RUN. */
static void keep_container(struct running *r)
{
	if (!r->is_link)
		return;
	build_chain_add(r->step->chain, r->step->state, (struct build_link){ r->id, r->hold });
	r->id = NULL;
	r->hold = -1;
}

/* The caches of this command are in use, and stay. */
static void limit_mounts(const struct running *r)
{
	AUTO_ERROR struct error *err = NULL;
	struct builder *b = r->step->builder;
	int result = run_mounts_has_cache(&r->mounts) ? build_prune_mounts(b->library, b->engine, &err) : 0;
	if (result < 0)
		report_note(b->report, "warning: cache mounts were not pruned: %s", error_text(err, result));
}

/* Programs of another platform run where somebody emulates it, and fail in odd ways elsewhere. */
static int explain_platform(const struct build_step *s, int code, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	oci_platform_host(&host);
	if (code == -ECANCELED || streq(host.architecture, s->state->platform.architecture))
		return code;
	return error_prefix(err, code, "the image is for linux/%s, and this host is linux/%s",
	    s->state->platform.architecture, host.architecture);
}

int build_run(struct build_step *s, struct error **err)
{
	CLEANUP(running_done) struct running r = { .step = s, .hold = -1 };
	struct build_layer layer = { 0 };
	char key[DIGEST_TEXT_SIZE + 1];
	int result = read_flags(&r, err);
	if (result < 0)
		return result;
	if (!s->state->layer_count)
		return error_set(err, ENOENT,
		    "RUN: there is no file to run yet; begin with FROM an image, or COPY first");
	set_words(&r);
	set_env(&r);
	if ((result = make_key(&r, key, err)) < 0)
		return result;
	s->is_cached = build_step_find(s, key, &layer);
	if (!s->is_cached)
		result = build_step_work(s, err);
	if (result == 0 && !s->is_cached)
		result = run(&r, &layer, err);
	if (result < 0)
		return result == -EINPROGRESS ? result : explain_platform(s, result, err);
	if (!s->is_cached)
		limit_mounts(&r);
	if (!s->is_cached)
		build_step_store(s, key, NULL, &layer);
	build_step_add(s, &layer);
	keep_container(&r);
	return 0;
}
