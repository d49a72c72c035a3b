/* SPDX-License-Identifier: Apache-2.0
 * holm build: the command line of src/image/builder. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "image/builder/builder.h"
#include "image/builder/git.h"
#include "image/builder/ulimit.h"
#include "image/builder/remote.h"
#include "image/commands/build.h"
#include "image/builder/ssh.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "oci/digest.h"
#include "oci/reference.h"

/* The names as the library has them. */
static int read_tags(const struct options *o, struct strv *to, struct error **err)
{
	const struct strv *tags = options_list(o, "tag");
	for (size_t i = 0; i < tags->count; i++) {
		AUTO_REFERENCE struct reference *reference = NULL;
		if (reference_parse(tags->items[i], &reference, err) < 0)
			return -EINVAL;
		if (reference->digest)
			return error_set(err, EINVAL, "--tag \"%s\" has a digest; a name is NAME[:TAG]",
			    tags->items[i]);
		strv_take(to, reference_to_local_string(reference));
	}
	return 0;
}

/* NAME=VALUE; NAME alone takes the value of this process's environment. */
static void read_pairs(const struct options *o, const char *name, struct strv *to)
{
	const struct strv *pairs = options_list(o, name);
	for (size_t i = 0; i < pairs->count; i++) {
		const char *pair = pairs->items[i], *value = strchr(pair, '=') ? NULL : getenv(pair);
		if (strchr(pair, '='))
			strv_add(to, pair);
		else if (value)
			strv_addf(to, "%s=%s", pair, value);
	}
}

/* Of a build argument, else of the environment, as Docker's clients have it. */
static int read_epoch(const struct strv *args, int64_t *ret, struct error **err)
{
	const char *given = strv_getenv(args, "SOURCE_DATE_EPOCH"), *text = given ? given : getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;
	*ret = -1;
	if (!text || !*text)
		return 0;
	if (parse_u64(text, &seconds) < 0 || seconds > UINT32_MAX)
		return error_set(err, EINVAL, "SOURCE_DATE_EPOCH \"%.40s\" is no number of seconds", text);
	*ret = (int64_t)seconds;
	return 0;
}

static int read_size(const struct options *o, uint64_t *ret, struct error **err)
{
	const char *text = options_string(o, "shm-size");
	if (text && parse_size(text, 1, ret) < 0)
		return error_set(err, EINVAL, "--shm-size %.40s: write a size such as 128M", text);
	return 0;
}

/* The limits of a RUN. */
static int read_limits(const struct options *o, struct build_options *b, struct error **err)
{
	const char *text = options_has(o, "pids-limit") ? options_string(o, "pids-limit") : NULL;
	int r = read_size(o, &b->shm_size, err);
	if (r == 0 && text && (parse_u32(text, &b->processes) < 0 || !b->processes))
		return error_set(err, EINVAL, "--pids-limit %.40s: write a number of processes", text);
	return r;
}

/* The value of an option that only one of the two commands has. */
static const char *own_string(const struct options *o, const char *name)
{
	return options_has(o, name) ? options_string(o, name) : NULL;
}

/* The context; a Docker client names what is elsewhere by a parameter, and nothing of the host. */
static int read_context(const struct options *o, const char **ret, struct error **err)
{
	const char *remote = own_string(o, "remote");
	*ret = remote ? remote : options_words(o)->items[0];
	return !remote || build_remote_is_one(remote) ?
		   0 :
		   error_set(err, EINVAL, "remote=%.200s is neither a URL nor a git repository", remote);
}

/* Lists of options that holm build alone has. */
struct own {
	struct build_outputs outputs;
	struct strv again, cache_to;
	struct json_object *limits;
	int push;
};

static void own_done(struct own *own)
{
	build_outputs_done(&own->outputs);
	strv_done(&own->again);
	strv_done(&own->cache_to);
	json_object_put(own->limits);
}

/* --output type=image,name=NAME names the image, too. */
static int add_output_names(struct own *own, struct strv *tags, struct error **err)
{
	for (size_t i = 0; i < own->outputs.count; i++) {
		AUTO_REFERENCE struct reference *reference = NULL;
		own->push |= own->outputs.items[i].push;
		if (!own->outputs.items[i].name)
			continue;
		if (reference_parse(own->outputs.items[i].name, &reference, err) < 0)
			return -EINVAL;
		strv_take(tags, reference_to_local_string(reference));
	}
	return 0;
}

static int is_true(const char *text)
{
	int on = 0;
	return text && parse_bool(text, &on) == 0 && on;
}

/* The option's table has the words. */
static enum build_call read_call(const char *text, int *ret_json)
{
	static const struct {
		const char *word;
		enum build_call call;
	} words[] = { { "check", BUILD_CALL_CHECK }, { "lint", BUILD_CALL_CHECK }, { "outline", BUILD_CALL_OUTLINE },
		{ "targets", BUILD_CALL_TARGETS } };
	for (size_t i = 0; text && i < ARRAY_SIZE(words); i++) {
		const char *rest = startswith(text, words[i].word);
		*ret_json = streq(rest, ",format=json");
		if (rest)
			return words[i].call;
	}
	return BUILD_CALL_BUILD;
}

static int read_own(const struct options *o, struct build_options *b, struct own *own, struct strv *tags,
    struct error **err)
{
	AUTO_JSON struct json_object *ulimits = NULL;
	b->ulimits = options_list(o, "ulimit");
	int r = build_ulimits_parse(b->ulimits, &ulimits, err);
	if (r == 0)
		r = build_read_limits(o, &own->limits, err);
	b->limits = own->limits;
	if (r < 0 || !options_has(o, "output"))
		return r;
	const struct strv *again = options_list(o, "no-cache-filter");
	const char *call = options_string(o, "call");
	b->call = read_call(call, &b->as_json);
	if (options_switch(o, "check", 0)) {
		if (call && b->call != BUILD_CALL_CHECK)
			return error_set(err, EINVAL, "--check and --call %s exclude each other", call);
		b->call = BUILD_CALL_CHECK;
	}
	own->push = options_switch(o, "push", 0);
	b->outputs = &own->outputs;
	b->metadata = options_string(o, "metadata-file");
	b->again = &own->again;
	b->cache_to = &own->cache_to;
	strv_add_all(&own->cache_to, options_list(o, "cache-to"));
	if (is_true(strv_getenv(b->args, "BUILDKIT_INLINE_CACHE")))
		strv_add(&own->cache_to, "type=inline");
	b->contexts = options_list(o, "build-context");
	for (size_t i = 0; i < again->count; i++)
		strv_split(&own->again, again->items[i], ",");
	for (size_t i = 0; i < b->contexts->count; i++) {
		const char *equals = strchr(b->contexts->items[i], '=');
		if (!equals || equals == b->contexts->items[i] || !equals[1])
			return error_set(err, EINVAL,
			    "--build-context \"%.80s\": write NAME=DIR or NAME=docker-image://IMAGE",
			    b->contexts->items[i]);
	}
	r = build_check_docker(o, err);
	if (r == 0)
		r = build_outputs_parse(options_list(o, "output"), &own->outputs, err);
	if (r == 0)
		r = add_output_names(own, tags, err);
	return r == 0 && own->push ? build_check_push(tags, &own->outputs, err) : r;
}

static enum progress_mode push_mode(enum report_style style)
{
	return style == REPORT_SCREEN ? PROGRESS_AUTO : style == REPORT_PLAIN ? PROGRESS_PLAIN : PROGRESS_NONE;
}

static int build(struct options *o, const struct oci_platform *platform, enum report_style style, struct error **err)
{
	AUTO_STRV struct strv tags = { 0 }, args = { 0 }, labels = { 0 }, annotations = { 0 };
	struct build_options b = { .file = options_string(o, "file"),
		.target = options_string(o, "target"),
		.machine = own_string(o, "machine"),
		.socket = own_string(o, "engine"),
		.iidfile = own_string(o, "iidfile"),
		.network = options_string(o, "network"),
		.hosts = options_list(o, "add-host"),
		.secrets = options_has(o, "secret") ? options_list(o, "secret") : NULL,
		.ssh = options_has(o, "ssh") ? options_list(o, "ssh") : NULL,
		.cache_from = options_has(o, "cache-from") ? options_list(o, "cache-from") : NULL,
		.tags = &tags,
		.args = &args,
		.labels = &labels,
		.annotations = &annotations,
		.platform = platform,
		.no_cache = options_switch(o, "no-cache", 0),
		.pull = options_switch(o, "pull", 0),
		.quiet = options_switch(o, "quiet", 0),
		.style = style };
	CLEANUP(own_done) struct own own = { 0 };
	char digest[DIGEST_TEXT_SIZE + 1];
	int pruned = 0;
	struct library *l = NULL;
	b.pruned = &pruned;
	read_pairs(o, "build-arg", &args);
	read_pairs(o, "label", &labels);
	if (options_has(o, "annotation"))
		read_pairs(o, "annotation", &annotations);
	int r = read_context(o, &b.context, err);
	if (r == 0)
		r = read_tags(o, &tags, err);
	if (r == 0)
		r = read_own(o, &b, &own, &tags, err);
	if (r == 0)
		r = build_ssh_check(b.ssh, err);
	git_use_ssh(b.ssh);
	if (r == 0)
		r = read_limits(o, &b, err);
	if (r == 0)
		r = read_epoch(&args, &b.epoch, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = build_image(l, &b, digest, err);
	if (r == 0 && own.push && b.call == BUILD_CALL_BUILD)
		r = build_push(l, &tags, digest, push_mode(style), err);
	if (pruned)
		library_free_and_sweep(l, 0);
	else
		library_free(l);
	return r;
}

static int run(struct options *o, enum report_style style, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	const char *text = options_string(o, "platform");
	if (text && strchr(text, ','))
		return error_set(err, EOPNOTSUPP,
		    "--platform \"%.80s\": a build makes an image of one platform; build for each", text);
	int given, r = command_platform(o, &platform, &given, err);
	return r < 0 ? r : build(o, given ? &platform : NULL, style, err);
}

int command_build(struct options *o, struct error **err)
{
	enum report_style style;
	const char *given = options_string(o, "progress"), *text = given ? given : getenv("BUILDKIT_PROGRESS");
	if (report_style_parse(text && *text ? text : NULL, &style) < 0)
		return error_set(err, EINVAL, "%s: there are auto, plain, tty, rawjson and quiet",
		    given ? "--progress" : "BUILDKIT_PROGRESS");
	return run(o, options_switch(o, "quiet", 0) ? REPORT_QUIET : style, err);
}

/* Lets the client send all that it wants to, then fails. */
static int refuse(const char *problem, struct error **err)
{
	char piece[4096];
	while (read(STDIN_FILENO, piece, sizeof piece) > 0)
		;
	return error_set(err, EOPNOTSUPP, "%s", problem);
}

/* The exit status in the error of a command of RUN; 0: it is none. */
static int status_of(const char *text, int code)
{
	static const char mark[] = "' returned a non-zero code: ";
	const char *at = NULL;
	for (const char *next = text; code == -ECHILD && (next = strstr(next, mark)); next++)
		at = next + strlen(mark);
	return at ? atoi(at) : 0; /* NOLINT(cert-err34-c) our own text */
}

/* A client of the Docker API means docker.io by a short name, and reads errors from the stream. */
int command_build_stream(struct options *o, struct error **err)
{
	reference_use_hub_names();
	signal(SIGPIPE, SIG_IGN);
	const char *problem = options_string(o, "problem");
	int r = problem ? refuse(problem, err) : run(o, REPORT_DOCKER, err);
	if (r < 0) {
		const char *text = error_text(err ? *err : NULL, r);
		report_docker_error(text, status_of(text, r));
	}
	report_docker_end();
	return r;
}
