/* SPDX-License-Identifier: Apache-2.0
 * `holm run` and `holm create`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/container/body.h"
#include "cli/container/follow.h"
#include "cli/image/program.h"
#include "cli/machine/autostart.h"
#include "cli/machine/engine.h"
#include "cli/output.h"
#include "cli/target.h"
#include "isolation/isolation.h"
#include "machine/machine.h"

enum { REMOVAL_MS = 10 * 1000, SHORT_ID = 12 };

static int run(const struct command_spec *c, struct options *o);
static int run_create(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	API_MACHINE_OPTION_LONG,
	{ "detach", 'd', OPTION_SWITCH, NULL, "leave it running, and print its identity" },
	FOLLOW_OPTIONS,
	CREATE_OPTIONS,
	{ 0 },
};

static const struct option_spec create_options[] = {
	API_MACHINE_OPTION_LONG,
	CREATE_OPTIONS,
	{ 0 },
};

const struct command_spec command_container_run = {
	.name = "run",
	.synopsis = "IMAGE [CMD...]",
	.summary = "run a command in a new container",
	.details = "Options end at IMAGE. The exit status is the command's, 128+N when signal N ended it, 125 when the "
		   "container could not be made or started, 126 and 127 when the command cannot be run or is not "
		   "there.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = -1,
	.stop_at_first = 1,
	.complete = "image",
	.run = run,
};

const struct command_spec command_container_create = {
	.name = "create",
	.synopsis = "IMAGE [CMD...]",
	.summary = "make a container, and leave it for holm start",
	.options = create_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.stop_at_first = 1,
	.complete = "image",
	.run = run_create,
};

/* ---- making a container ---- */

struct making {
	struct api api;
	struct options *options;
	struct json_object *body;
	struct body_streams streams;
	char *id;
};

static void making_done(struct making *m)
{
	api_done(&m->api);
	json_object_put(m->body);
	free(m->id);
}

/* Fetches the image and unpacks it, as the host's user with the host's logins. 0, the exit status
 * of holm-image, which has said why, or -errno. */
static int fetch(const struct making *m, const char *pull, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	const char *platform = options_string(m->options, "platform");
	AUTO_MACHINE struct machine *machine = NULL;
	int r = machine_load(m->api.machine, &machine, err);
	const struct isolation_disk_ops *disk = r < 0 ? NULL : isolation_disk_table(machine->form, err);
	if (!disk)
		return r < 0 ? r : -EOPNOTSUPP;
	int own_ids = disk->own_ids_form && options_given(m->options, "userns");
	strv_add(&words, "prepare");
	strv_addf(&words, "--form=%s", own_ids ? disk->own_ids_form : disk->container_form);
	strv_addf(&words, "--pull=%s", pull);
	if (options_switch(m->options, "quiet", 0))
		strv_add(&words, "--progress=none");
	if (platform)
		strv_addf(&words, "--platform=%s", platform);
	strv_add(&words, "--");
	strv_add(&words, options_words(m->options)->items[0]);
	return image_program_run(&words, -1, -1, &answer, err);
}

static void show_warnings(struct json_object *answer)
{
	AUTO_STRV struct strv warnings = { 0 };
	json_get_strv(answer, "Warnings", &warnings, NULL);
	for (size_t i = 0; i < warnings.count; i++)
		output_note("%s", warnings.items[i]);
}

static int post_create(struct making *m, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	const char *id = NULL;
	AUTOFREE char *target = api_target("/containers/create", "name", options_string(m->options, "name"), "platform",
	    options_string(m->options, "platform"), NULL);
	int r = api_call(&m->api, "POST", target, m->body, &answer, err);
	if (r < 0)
		return r;
	if (json_get_string(answer, "Id", &id, NULL) < 0)
		return error_set(err, EPROTO, "the engine gives the container no identity");
	m->id = xstrdup(id);
	show_warnings(answer);
	return 0;
}

/* 0, a positive exit status (holm-image has said why), or -errno. */
static int create(struct making *m, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	const char *pull = options_string(m->options, "pull");
	int given = streq(pull, "always") || options_given(m->options, "platform");
	int r = given ? fetch(m, pull ? pull : "missing", err) : 0;
	if (r != 0)
		return r;
	r = post_create(m, &why);
	if (r == -ENOENT && !given && !streq(pull, "never") && startswith(error_text(why, r), "No such image")) {
		error_clear(&why);
		r = fetch(m, "missing", &why);
		if (r == 0)
			r = post_create(m, &why);
	}
	return r < 0 ? error_set(err, -r, "%s", error_text(why, r)) : r;
}

/* Makes the container with --cidfile, which must not be there before. */
static int create_with_file(struct making *m, struct error **err)
{
	const char *path = options_string(m->options, "cidfile");
	if (!path)
		return create(m, err);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_set(err, errno, "--cidfile \"%s\": %s%s", path, strerror(errno),
		    errno == EEXIST ? "; delete it, or choose another" : "");
	int r = create(m, err);
	if (r == 0)
		r = fd_write_full(fd, m->id, strlen(m->id));
	if (r != 0)
		unlink(path);
	return r;
}

static const char *name_of(const struct making *m)
{
	const char *name = options_string(m->options, "name");
	return name ? name : m->id;
}

/* Names the taken name, or the image that is not there. */
static int show_create_failure(const struct making *m, int code, struct error **err)
{
	const char *text = error_text(*err, code), *name = options_string(m->options, "name"),
		   *image = options_words(m->options)->items[0];
	if (startswith(text, "No such image"))
		return api_failure(&m->api, "image", image, code, err);
	if (name && startswith(text, "Conflict"))
		return api_failure(&m->api, "container", name, code, err);
	return api_failure(&m->api, NULL, NULL, code, err);
}

/* Reads the options and makes the container. -1: it is made; else the exit status. */
static int make(struct making *m, const struct command_spec *c, int detached, int failed)
{
	AUTO_ERROR struct error *err = NULL;
	struct stream_plan plan = { 0 };
	int attached = !detached && options_has(m->options, "detach-keys");
	int r = body_make(m->options, detached, &m->body, &m->streams, &err);
	if (r == 0 && attached)
		r = stream_take_keys(&plan, m->options, &err); /* before anything is made */
	if (r == 0 && attached)
		r = stream_check_terminal(options_switch(m->options, "tty", 0), m->streams.in, &err);
	if (r == 0)
		r = api_init_or_make(&m->api, c, m->options, &err);
	if (r < 0)
		return output_failure(r, err);
	m->api.failed = failed;
	r = create_with_file(m, &err);
	if (r > 0)
		return failed;
	if (r < 0)
		return show_create_failure(m, r, &err);
	AUTOFREE char *shown = options_given(m->options, "name") ? xstrdup(name_of(m)) : xstrndup(m->id, SHORT_ID);
	autostart_note_policy(m->api.machine, shown, options_string(m->options, "restart"));
	return -1;
}

/* ---- run ---- */

/* The engine answers a start that fails before it has removed a container with --rm. */
static void await_removal(const struct making *m)
{
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTO_JSON struct json_object *answer = NULL;
	AUTOFREE char *path = api_path("/containers/", m->id, "/wait"),
		      *target = api_target(path, "condition", "removed", NULL);
	uint64_t deadline = clock_deadline(REMOVAL_MS);
	if (api_open(&m->api, "POST", target, NULL, NULL, &s, NULL) == 200)
		(void)http_response_line(&s.response, deadline, &answer, NULL);
}

static int show_start_failure(const struct making *m, int code, struct error **err)
{
	int status = follow_start_status(&m->api, code, *err),
	    shown = api_failure(&m->api, "container", name_of(m), code, err);
	if (code != -ECANCELED && options_switch(m->options, "rm", 0))
		await_removal(m);
	return code == -ECANCELED ? shown : status;
}

static int run_detached(const struct making *m)
{
	AUTO_ERROR struct error *err = NULL;
	int r = follow_start(&m->api, m->id, &err);
	if (r < 0)
		return show_start_failure(m, r, &err);
	output_line("%s", m->id);
	return 0;
}

static int run_attached(struct making *m)
{
	AUTO_ERROR struct error *err = NULL;
	const struct follow f = {
		.api = &m->api,
		.id = m->id,
		.tty = options_switch(m->options, "tty", 0),
		.streams = m->streams,
		.condition = options_switch(m->options, "rm", 0) ? "removed" : "next-exit",
		.starts = 1,
	};
	int status = 0, r;
	if (!m->streams.out && !m->streams.err)
		output_line("%s", m->id);
	output_flush();
	r = follow_run(&f, m->options, &status, &err);
	return r < 0 ? show_start_failure(m, r, &err) : follow_end(&m->api, name_of(m), r, status, &err);
}

static int run(const struct command_spec *c, struct options *o)
{
	CLEANUP(making_done) struct making m = { .options = o };
	int detached = options_switch(o, "detach", 0), status = make(&m, c, detached, EXIT_HOLM);
	if (status >= 0)
		return status;
	return detached ? run_detached(&m) : run_attached(&m);
}

static int run_create(const struct command_spec *c, struct options *o)
{
	CLEANUP(making_done) struct making m = { .options = o };
	int status = make(&m, c, 0, API_FAILED);
	if (status >= 0)
		return status;
	output_line("%s", m.id);
	return 0;
}
