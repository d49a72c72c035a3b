/* SPDX-License-Identifier: Apache-2.0
 * Requests to a machine's docker.sock. Each has a connection of its own, as the engine closes one
 * after its answer. */
#include "cli/container/api.h"

#include <errno.h>
#include <stdarg.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/stamp.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/engine.h"
#include "cli/output.h"
#include "cli/target.h"
#include "machine/machine.h"

enum { ANSWER_MS = 2 * 60 * 1000, FILTERS_MAX = 1000 };
#define NS_PER_S 1000000000LL

int api_init(struct api *a, const struct command_spec *verb, const struct options *o, struct error **err)
{
	*a = (struct api){ .verb = verb, .timeout_ms = ANSWER_MS, .failed = API_FAILED };
	return target_machine(options_string(o, "machine"), &a->machine, err);
}

int api_init_or_make(struct api *a, const struct command_spec *verb, const struct options *o, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	AUTOFREE char *name = NULL;
	int r = api_init(a, verb, o, &why);
	if (r == -ENOENT && !options_given(o, "machine") && target_default(&name, NULL) == -ENOENT) {
		int made = engine_make_first(&name, err);
		if (made < 0)
			return made;
		if (made) {
			a->machine = TAKE_PTR(name);
			r = 0;
		}
	}
	return r < 0 ? error_set(err, -r, "%s", error_text(why, r)) : 0;
}

void api_done(struct api *a)
{
	free(TAKE_PTR(a->machine));
}

/* ---- targets ---- */

/* The text with each `mark` replaced; owned. */
static char *replace(const char *text, char mark, const char *by)
{
	AUTO_STRV struct strv parts = { 0 };
	const char marks[] = { mark, 0 };
	for (;;) {
		size_t size = strcspn(text, marks);
		strv_take(&parts, xstrndup(text, size));
		if (!text[size])
			return strv_join(&parts, by);
		text += size + 1;
	}
}

char *api_path(const char *before, const char *name, const char *after)
{
	AUTOFREE char *encoded = http_encode_query(name), *whole = replace(encoded, '/', "%2F");
	return xasprintf("%s%s%s", before, whole, after);
}

char *api_target(const char *path, ...)
{
	AUTO_BUFFER struct buffer out;
	const char *key;
	va_list pairs;
	buffer_init(&out, SIZE_MAX / 2);
	buffer_append_string(&out, path);
	va_start(pairs, path);
	for (char mark = '?'; (key = va_arg(pairs, const char *));) {
		const char *value = va_arg(pairs, const char *);
		AUTOFREE char *encoded = value ? http_encode_query(value) : NULL;
		if (!encoded)
			continue;
		buffer_appendf(&out, "%c%s=%s", mark, key, encoded);
		mark = '&';
	}
	va_end(pairs);
	return buffer_take_string(&out);
}

int api_filters(const struct strv *texts, char **ret, struct error **err)
{
	AUTO_JSON struct json_object *all = json_object_new_object();
	*ret = NULL;
	if (texts->count > FILTERS_MAX)
		return error_set(err, E2BIG, "--filter: at most %d of them", FILTERS_MAX);
	for (size_t i = 0; i < texts->count; i++) {
		const char *equals = strchr(texts->items[i], '=');
		if (!equals || equals == texts->items[i])
			return error_set(err, EINVAL, "--filter \"%.80s\": write KEY=VALUE, such as name=web",
			    texts->items[i]);
		AUTOFREE char *key = xstrndup(texts->items[i], (size_t)(equals - texts->items[i]));
		struct json_object *wishes = NULL;
		if (!json_object_object_get_ex(all, key, &wishes)) {
			wishes = json_object_new_object();
			json_add(all, key, wishes);
		}
		json_add_bool(wishes, equals + 1, 1);
	}
	if (texts->count)
		*ret = json_to_string(all, 0);
	return 0;
}

int api_time(const struct options *o, const char *name, char **ret, struct error **err)
{
	const char *text = options_string(o, name);
	int64_t ns;
	if (!text)
		return 0;
	if (moment_parse(text, clock_realtime_ns(), &ns) < 0)
		return error_set(err, EINVAL,
		    "--%s %.40s: give a time such as 2026-11-30T08:00:00Z, or 10m for ten minutes ago", name, text);
	*ret = xasprintf("%lld.%09lld", (long long)(ns / NS_PER_S), (long long)(ns % NS_PER_S));
	return 0;
}

/* ---- requests ---- */

int api_connect(const struct api *a, struct error **err)
{
	int fd = client_connect_docker(a->machine, err);
	if (fd != -ESRCH)
		return fd;
	int r = client_start(a->machine, CLIENT_SESSION, 0, NULL, err);
	if (r < 0)
		return r;
	fd = client_connect_docker(a->machine, err);
	return fd == -ESRCH ? error_set(err, EOPNOTSUPP,
				  "machine \"%s\" runs without containers, as --rescue has it; restart it: holm "
				  "machine restart %s",
				  a->machine, a->machine) :
			      fd;
}

void api_stream_done(struct api_stream *s)
{
	http_response_done(&s->response);
	fd_close(s->fd);
	s->fd = -1;
}

static uint64_t deadline_of(const struct api *a)
{
	return clock_deadline(a->timeout_ms);
}

int api_open(const struct api *a, const char *method, const char *target, struct json_object *body, const char *upgrade,
    struct api_stream *ret, struct error **err)
{
	*ret = API_STREAM_NONE;
	ret->fd = api_connect(a, err);
	if (ret->fd < 0)
		return ret->fd;
	int r = http_request(ret->fd, method, target, upgrade, body, deadline_of(a), &ret->response, err);
	return r < 0 ? r : ret->response.head.status;
}

static int has_json(const struct http_response *response)
{
	const char *type = http_head_get(&response->head, "content-type");
	return !response->ended && type && startswith(type, "application/json");
}

int api_call(const struct api *a, const char *method, const char *target, struct json_object *body,
    struct json_object **ret, struct error **err)
{
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTO_JSON struct json_object *answer = NULL;
	int status = api_open(a, method, target, body, NULL, &s, err);
	int r =
	    status >= 0 && has_json(&s.response) ? http_response_json(&s.response, deadline_of(a), &answer, err) : 0;
	if (status < 0 || r < 0)
		return status < 0 ? status : r;
	if (ret)
		*ret = TAKE_PTR(answer);
	return status;
}

/* ---- failures ---- */

/* The engine's texts, in Docker's words, and what a person reads instead. $ is the name. */
static const struct explanation {
	const char *said, *problem;
} explanations[] = {
	{ "No such container", "no such container; see holm ps -a" },
	{ "No such image", "no such image; holm pull $, or see holm images" },
	{ "volume is in use", "a container has it; see holm ps -a" },
	{ "no such volume", "no such volume; see holm volume ls" },
	{ "Conflict. The container name", "the name is in use; holm rm $, or choose another name" },
	{ "container is running", "it is running; holm stop $, or holm rm -f $" },
	{ "is not running", "it is not running; holm start $" },
	{ "is not paused", "it is not paused" },
	{ "is already paused", "it is paused already; holm unpause $" },
	{ "is paused", "it is paused; holm unpause $" },
};

/* Whether a machine has the name, and `holm machine` has the verb. */
static int is_machine(const struct api *a, const char *name)
{
	AUTO_MACHINE struct machine *m = NULL;
	int words;
	char *const argv[] = { (char *)a->verb->name };
	return command_find(command_group_find("machine"), 1, argv, &words) && machine_load(name, &m, NULL) == 0;
}

int api_explain(const struct api *a, const char *kind, const char *name, int code, struct error **err)
{
	AUTOFREE char *said = xstrdup(error_text(*err, code)), *problem = NULL;
	/* A machine that does not boot says so itself. */
	if (!name || code == -ECANCELED || startswith(said, "machine \""))
		return code;
	for (size_t i = 0; !problem && i < ARRAY_SIZE(explanations); i++)
		if (strstr(said, explanations[i].said))
			problem = replace(explanations[i].problem, '$', name);
	if (streq(kind, "container") && strstr(said, "No such container") && is_machine(a, name)) {
		free(problem);
		problem =
		    xasprintf("no such container; the machine of this name: holm machine %s %s", a->verb->name, name);
	}
	error_clear(err);
	return error_set(err, -code, "%s \"%s\": %s", kind, name, problem ? problem : said);
}

int api_failure(const struct api *a, const char *kind, const char *name, int code, struct error **err)
{
	if (code == -ECANCELED)
		return client_start_failure(code, *err);
	api_explain(a, kind, name, code, err);
	output_failure(code, *err);
	return a->failed;
}

int api_each(const struct api *a, const struct strv *names,
    int (*one)(const struct api *a, const char *name, void *data), void *data)
{
	int status = 0;
	for (size_t i = 0; i < names->count; i++) {
		int failed = one(a, names->items[i], data);
		status = failed ? failed : status;
	}
	return status;
}
