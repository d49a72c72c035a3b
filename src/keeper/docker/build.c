/* SPDX-License-Identifier: Apache-2.0
 * POST /build, as Docker's clients without BuildKit send it: parameters become words of holm-image,
 * the body goes to its standard input, and it writes the answer to the client by itself, as JSON
 * lines. The builder uses this machine's docker.sock as any client does.
 *
 * A parameter that cannot be honoured is an error that names it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { WORDS_MAX = 1024 };

/* ---- parameters ---- */

enum kind {
	TEXT,   /* one value */
	TEXTS,  /* each value of several */
	FLAG,   /* true: the option alone */
	PAIRS,  /* a JSON object: NAME=VALUE each */
	SIZE,   /* a number; 0: not given */
	LIMITS, /* a JSON array of {"Name","Soft","Hard"}: NAME=SOFT:HARD each */
	ACCEPT, /* means nothing here */
	REFUSE, /* an error, unless it says "not given" */
};

static const struct parameter {
	const char *key, *option; /* of holm-image */
	enum kind kind;
} parameters[] = {
	{ "dockerfile", "--file", TEXT },
	{ "t", "--tag", TEXTS },
	{ "target", "--target", TEXT },
	{ "platform", "--platform", TEXT },
	{ "networkmode", "--network", TEXT },
	{ "extrahosts", "--add-host", TEXTS },
	{ "shmsize", "--shm-size", SIZE },
	{ "ulimits", "--ulimit", LIMITS },
	{ "nocache", "--no-cache", FLAG },
	{ "pull", "--pull", FLAG },
	{ "q", "--quiet", FLAG },
	{ "buildargs", "--build-arg", PAIRS },
	{ "labels", "--label", PAIRS },
	{ "rm", NULL, ACCEPT },
	{ "forcerm", NULL, ACCEPT },
	{ "cachefrom", NULL, ACCEPT }, /* only a hint */
	{ "buildid", NULL, ACCEPT },
	{ "version", NULL, ACCEPT }, /* of the builder: the language is the same */
	{ "session", NULL, ACCEPT }, /* for logins; see asks_client() */
	{ "remote", "--remote", TEXT },
	{ "squash", NULL, REFUSE },
	{ "memory", "--memory", TEXT },
	{ "memswap", "--memory-swap", TEXT },
	{ "cpushares", "--cpu-shares", TEXT },
	{ "cpuquota", "--cpu-quota", TEXT },
	{ "cpuperiod", "--cpu-period", TEXT },
	{ "cpusetcpus", "--cpuset-cpus", TEXT },
	{ "cgroupparent", "--cgroup-parent", TEXT },
	{ "cpusetmems", "--cpuset-mems", TEXT },
	{ "outputs", NULL, REFUSE },
	{ "securityopt", NULL, REFUSE },
	{ "isolation", NULL, REFUSE },
};

static int is_set(const char *value)
{
	static const char *const unset[] = { "", "0", "false", "False", "null", "[]", "{}" };
	for (size_t i = 0; i < ARRAY_SIZE(unset); i++)
		if (streq(value, unset[i]))
			return 0;
	return value != NULL;
}

static int add_pairs(const char *option, const char *value, struct strv *words, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	int r = json_parse(value, strlen(value), "a parameter", &o, err);
	if (r < 0 || !o)
		return r;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "%s: no JSON object", option);
	json_object_object_foreach(o, name, text)
	{
		if (text) /* null asks for the engine's own environment */
			strv_addf(words, "%s=%s=%s", option, name, json_object_get_string(text));
	}
	return 0;
}

static int add_limits(const char *option, const char *value, struct strv *words, struct error **err)
{
	AUTO_JSON struct json_object *array = NULL;
	int r = json_parse(value, strlen(value), "ulimits", &array, err);
	if (r == 0 && !json_object_is_type(array, json_type_array))
		r = error_set(err, EINVAL, "ulimits: no JSON array");
	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
		struct json_object *o = json_object_array_get_idx(array, i);
		const char *name = NULL;
		int64_t soft = 0, hard = 0;
		if (!json_object_is_type(o, json_type_object))
			return error_set(err, EINVAL, "ulimits: an entry is no object");
		if ((r = json_get_string(o, "Name", &name, err)) == 0 &&
		    (r = json_get_i64(o, "Soft", &soft, err)) == 0 && (r = json_get_i64(o, "Hard", &hard, err)) == 0)
			strv_addf(words, "%s=%s=%lld:%lld", option, name, (long long)soft, (long long)hard);
	}
	return r;
}

static int refuse(const char *key, struct error **err)
{
	return error_set(err, EOPNOTSUPP,
	    "the parameter %.64s of a build is not supported by holm's engine; leave it out", key);
}

static int add_value(const struct parameter *p, const char *value, struct strv *words, struct error **err)
{
	if (!is_set(value))
		return 0;
	switch (p->kind) {
	case TEXT:
	case TEXTS:
	case SIZE:
		if (!(streq(p->key, "networkmode") && streq(value, "default")))
			strv_addf(words, "%s=%s", p->option, value);
		return 0;
	case FLAG:
		strv_add(words, p->option);
		return 0;
	case PAIRS:
		return add_pairs(p->option, value, words, err);
	case LIMITS:
		return add_limits(p->option, value, words, err);
	case ACCEPT:
		return 0;
	case REFUSE:
		break;
	}
	return refuse(p->key, err);
}

/* part: KEY=VALUE of the query. */
static int add_parameter(const char *part, struct strv *words, struct error **err)
{
	AUTOFREE char *target = xasprintf("?%s", part), *key = xstrndup(part, strcspn(part, "="));
	AUTOFREE char *value = docker_query(target, key);
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
		if (streq(key, parameters[i].key))
			return value ? add_value(&parameters[i], value, words, err) : 0;
	return value && is_set(value) ? refuse(key, err) : 0;
}

/* Docker's own client has BuildKit ask for the context in its session. Others, such as dockerode,
 * want that version and send the context all the same. */
static int asks_client(const char *remote)
{
	return remote && (streq(remote, "client-session") || streq(remote, "upload-request"));
}

static int refuse_buildkit(struct error **err)
{
	return error_set(err, EOPNOTSUPP,
	    "holm's engine has the classic builder alone; set DOCKER_BUILDKIT=0, or use holm build");
}

static int read_parameters(const struct docker_request *q, struct strv *words, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	const char *query = strchr(http_exchange_head(q->exchange)->target, '?');
	int r = 0;
	strv_split(&parts, query ? query + 1 : "", "&");
	/* This one is the reason for the others that are not known. */
	AUTOFREE char *version = docker_query(query ? query : "", "version"),
		      *remote = docker_query(query ? query : "", "remote");
	if ((is_set(version) && !streq(version, "1") && !streq(version, "2")) || asks_client(remote))
		return refuse_buildkit(err);
	for (size_t i = 0; r == 0 && i < parts.count; i++)
		r = add_parameter(parts.items[i], words, err);
	if (r == 0 && words->count > WORDS_MAX)
		r = error_set(err, E2BIG, "a build has at most %d parameters", WORDS_MAX);
	return r;
}

/* ---- the start ---- */

struct build {
	int client;
	struct docker_upload *upload;
	struct source *child;
	pid_t pid;
};

static void build_free(struct build *b)
{
	docker_upload_free(b->upload);
	source_free(b->child);
	fd_close(b->client);
	free(b);
}

static void on_end(struct source *s, pid_t pid, int status, void *data)
{
	build_free(data);
}

/* A build without its client ends, and one of a part of a context never begins. */
static void on_broken(void *data)
{
	kill(((struct build *)data)->pid, SIGTERM);
}

static int start(struct build *b, struct loop *loop, struct strv *words, int input, struct error **err)
{
	const struct spawn_fd fds[] = { { input, 0 }, { b->client, 1 } };
	const struct spawn_options o = { .argv = strv_argv(words), .fds = fds, .fd_count = 2, .death_signal = SIGTERM };
	int status, r = spawn(&o, &b->pid, err);
	if (r < 0)
		return r;
	r = loop_add_child(loop, b->pid, on_end, b, &b->child);
	if (r == 0) {
		docker_upload_watch(b->upload, on_broken, b);
		return 0;
	}
	kill(b->pid, SIGKILL);
	spawn_wait(b->pid, &status);
	return r;
}

/* The client's connection blocks from here on, as holm-image writes to it. The keeper reads it when
 * something has come. */
static int begin(struct build *b, struct loop *loop, struct buffer *raw, struct strv *words, struct error **err)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "Connection: close\r\n"
				     "Transfer-Encoding: chunked\r\n"
				     "Content-Type: application/json\r\n\r\n";
	int input = -1;
	int r = docker_upload_new(loop, b->client, raw, &b->upload, &input, err);
	AUTO_FD int owned = input;
	if (r == 0)
		r = fd_write_full(b->client, answer, strlen(answer));
	fd_set_nonblocking(b->client, 0);
	return r < 0 ? r : start(b, loop, words, owned, err);
}

void docker_build(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	strv_take(&words, path_libexec("holm-image"));
	strv_add(&words, "build-stream");
	strv_addf(&words, "--engine=%s", q->socket);
	int r = read_parameters(q, &words, &err);
	if (r < 0) /* said in the stream, behind the body: a client that still sends would miss an answer */
		strv_addf(&words, "--problem=%s", error_text(err, r));
	strv_add(&words, "--");
	strv_add(&words, "-");
	AUTO_BUFFER struct buffer raw = { 0 };
	struct build *b = xnew(struct build);
	b->client = -1;
	r = http_exchange_take(q->exchange, &b->client, &raw);
	q->exchange = NULL;
	if (r == 0)
		r = begin(b, keeper_loop(q->keeper), &raw, &words, NULL);
	if (r < 0)
		build_free(b);
	docker_request_free(q);
}
