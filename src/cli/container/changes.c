/* SPDX-License-Identifier: Apache-2.0
 * `holm diff`, `holm commit`, `holm export`: what a container has changed, as a list, as an image,
 * and all its files as an archive. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"

enum { COMMIT_MS = 60 * 60 * 1000, SILENCE_MS = 120 * 1000, PIECE = 256 * 1024 };

static int run_diff(const struct command_spec *c, struct options *o);
static int run_commit(const struct command_spec *c, struct options *o);
static int run_export(const struct command_spec *c, struct options *o);

static const struct option_spec diff_options[] = { API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_diff = {
	.name = "diff",
	.synopsis = "CONTAINER",
	.summary = "list the files in which a container differs from its image",
	.details = "A line a path: A added, C changed, D deleted.",
	.options = diff_options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "container",
	.run = run_diff,
};

static const struct option_spec commit_options[] = {
	{ "author", 'a', OPTION_STRING, "TEXT", "the author" },
	{ "change", 'c', OPTION_LIST, "INSTRUCTION",
	    "an instruction as in a Dockerfile, such as CMD; may be repeated" },
	{ "message", 'm', OPTION_STRING, "TEXT", "the comment of the step" },
	{ "pause", 'p', OPTION_STRING, "BOOL", "pause the container meanwhile", .default_text = "true" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_commit = {
	.name = "commit",
	.synopsis = "CONTAINER [NAME[:TAG]]",
	.summary = "make an image of a container's files, and print its digest",
	.details =
	    "The image has the container's image below, and what the container has changed as one more layer; not "
	    "what is in volumes. A short NAME is docker.io's, as with docker.",
	.options = commit_options,
	.min_arguments = 1,
	.max_arguments = 2,
	.complete = "container",
	.run = run_commit,
};

static const struct option_spec export_options[] = {
	{ "output", 'o', OPTION_STRING, "FILE", "the archive", .default_text = "standard output", .complete = "file" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_export = {
	.name = "export",
	.synopsis = "CONTAINER",
	.summary = "write a container's files as a tar archive",
	.details = "\"holm image import\" makes an image of it. What is in volumes is left out.",
	.options = export_options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "container",
	.run = run_export,
};

static int run_diff(const struct command_spec *c, struct options *o)
{
	static const char letters[] = "CAD"; /* Docker's numbers */
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	const char *name = options_words(o)->items[0];
	AUTOFREE char *target = api_path("/containers/", name, "/changes");
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	r = api_call(&a, "GET", target, NULL, &answer, &err);
	if (r < 0)
		return api_failure(&a, "container", name, r, &err);
	for (size_t i = 0; json_object_is_type(answer, json_type_array) && i < json_object_array_length(answer); i++) {
		struct json_object *one = json_object_array_get_idx(answer, i);
		const char *path = "";
		uint64_t kind = 0;
		json_get_string(one, "Path", &path, NULL);
		json_get_u64(one, "Kind", &kind, NULL);
		output_line("%c %s", letters[MIN(kind, sizeof letters - 2)], path);
	}
	return 0;
}

/* NAME[:TAG] as repository (owned) and tag (borrowed, or NULL). */
static char *split_name(const char *name, const char **ret_tag)
{
	const char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');
	*ret_tag = colon ? colon + 1 : NULL;
	return xstrndup(name, colon ? (size_t)(colon - name) : strlen(name));
}

static char *commit_target(const struct options *o)
{
	const struct strv *words = options_words(o), *changes = options_list(o, "change");
	const char *tag = NULL;
	AUTOFREE char *repository = words->count > 1 ? split_name(words->items[1], &tag) : NULL;
	char *target = api_target("/commit", "container", words->items[0], "repo", repository, "tag", tag, "comment",
	    options_string(o, "message"), "author", options_string(o, "author"), "pause", options_string(o, "pause"),
	    NULL);
	for (size_t i = 0; i < changes->count; i++) {
		AUTOFREE char *before = target, *encoded = http_encode_query(changes->items[i]);
		target = xasprintf("%s&changes=%s", before, encoded);
	}
	return target;
}

static int run_commit(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	AUTOFREE char *target = commit_target(o);
	const char *id = "";
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	a.timeout_ms = COMMIT_MS;
	r = api_call(&a, "POST", target, NULL, &answer, &err);
	if (r >= 0)
		r = answer ? json_get_string(answer, "Id", &id, &err) : -EPROTO;
	if (r < 0)
		return api_failure(&a, "container", options_words(o)->items[0], r, &err);
	output_line("%s", id);
	return 0;
}

/* ---- export ---- */

static int copy_out(struct api_stream *s, int output, const char *file, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	ssize_t n;
	while ((n = http_response_read(&s->response, piece, PIECE, clock_deadline(SILENCE_MS), err)) > 0) {
		int r = fd_write_full(output, piece, (size_t)n);
		if (r < 0)
			return error_set_errno(err, r, "%s", file ? file : "stdout");
	}
	return (int)n;
}

/* A part of an archive is no use. What is no regular file stays. */
static void remove_part(const char *file, int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		unlink(file);
}

static int run_export(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	const char *name = options_words(o)->items[0], *file = options_string(o, "output");
	AUTOFREE char *target = api_path("/containers/", name, "/export");
	int r = api_init(&a, c, o, &err);
	if (r == 0 && !file && isatty(STDOUT_FILENO))
		r = error_set(&err, EINVAL, "stdout is a terminal; give --output FILE, or lead the archive elsewhere");
	if (r < 0)
		return output_failure(r, err);
	r = api_open(&a, "GET", target, NULL, NULL, &s, &err);
	if (r < 0)
		return api_failure(&a, "container", name, r, &err);
	AUTO_FD int output = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) :
				    fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	r = output < 0 ? error_set_errno(&err, errno, "%s", file ? file : "stdout") : copy_out(&s, output, file, &err);
	if (r < 0 && file)
		remove_part(file, output);
	return r < 0 ? api_failure(&a, NULL, NULL, r, &err) : 0;
}
