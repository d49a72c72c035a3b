/* SPDX-License-Identifier: Apache-2.0
 * `holm machine diff NAME` and `holm machine commit NAME IMAGE`: what a machine's disk has
 * beside its image, as a list, and as one more layer. holm-image compares
 * (src/image/commands/commit.c). */
#include "base/alloc.h"
#include "base/format.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/export.h"
#include "cli/output.h"

static int run_commit(const struct command_spec *c, struct options *o);
static int run_diff(const struct command_spec *c, struct options *o);

#define PAUSE_OPTION                                                                                                   \
	{                                                                                                              \
		"pause", 0, OPTION_FLAG, NULL, "of a running machine, which stands still meanwhile"                    \
	}
#define PAUSE_HINT ", or let it stand still meanwhile: --pause"

static const struct option_spec commit_options[] = {
	{ "squash", 0, OPTION_FLAG, NULL, "make an image of one layer, without the image's own" },
	{ "message", 'm', OPTION_STRING, "TEXT", "a comment, for holm image history" },
	{ "author", 'a', OPTION_STRING, "TEXT", "who made it" },
	PAUSE_OPTION,
	{ 0 },
};

static const struct option_spec diff_options[] = {
	FORMAT_OPTION("lines"),
	PAUSE_OPTION,
	{ 0 },
};

/* clang-format off */
#define LEFT_OUT \
	"The home and other mounts, the account that holm makes, host keys, the machine id and the files that " \
	"holm writes at each boot do not count."
/* clang-format on */

const struct command_spec command_commit = {
	.name = "commit",
	.synopsis = "NAME IMAGE",
	.summary = "make an image of a machine: its image and one more layer",
	.details = "A short IMAGE becomes localhost/IMAGE. " LEFT_OUT,
	.options = commit_options,
	.min_arguments = 2,
	.max_arguments = 2,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run_commit,
};

const struct command_spec command_diff = {
	.name = "diff",
	.synopsis = "NAME",
	.summary = "list what a machine has changed of its image",
	.details = "A line a path: A added, C changed, D deleted. " LEFT_OUT,
	.options = diff_options,
	.min_arguments = 1,
	.max_arguments = 1,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run_diff,
};

/* Runs holm-image on the machine's files; `job` has the rest. */
static int compare(const char *name, struct export_job *job)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	int r = machine_load(name, &m, &err);
	if (r == 0) {
		AUTO_JSON struct json_object *settings = machine_to_json(m);
		job->settings = settings;
		r = export_run(name, job, &err);
	}
	strv_done(&job->words);
	return r < 0 ? client_start_failure(r, err) : r;
}

static int run_diff(const struct command_spec *c, struct options *o)
{
	const char *format = options_string(o, "format");
	struct export_job job = {
		.progress = "comparing",
		.pause = options_given(o, "pause"),
		.hint = PAUSE_HINT,
	};
	strv_split(&job.words, "machine-diff --config /dev/fd/3", " ");
	if (format)
		strv_addf(&job.words, "--format=%s", format);
	return compare(options_target(o), &job);
}

static int run_commit(const struct command_spec *c, struct options *o)
{
	static const char *const texts[] = { "message", "author" };
	struct export_job job = {
		.progress = "comparing and writing",
		.twice = 1,
		.pause = options_given(o, "pause"),
		.hint = PAUSE_HINT,
	};
	strv_split(&job.words, "commit --config /dev/fd/3", " ");
	if (options_given(o, "squash"))
		strv_add(&job.words, "--squash");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (options_string(o, texts[i]))
			strv_addf(&job.words, "--%s=%s", texts[i], options_string(o, texts[i]));
	strv_add(&job.words, "--");
	strv_add(&job.words, options_words(o)->items[0]);
	return compare(options_target(o), &job);
}
