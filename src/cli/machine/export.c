/* SPDX-License-Identifier: Apache-2.0
 * `holm machine export NAME -o FILE`: the machine is booted without its init, the agent sends its
 * root file system as a tar stream, and holm-image makes an OCI archive of it, with the machine's
 * settings as an annotation. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/archive.h"
#include "cli/machine/containers.h"
#include "cli/machine/export.h"
#include "cli/output.h"

enum { STOP_MS = 10 * 1000, STATE_MS = 1000, PAUSE_MS = 30 * 1000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "output", 'o', OPTION_STRING, "FILE", "the file to write", .complete = "file" },
	{ 0 },
};

const struct command_spec command_export = {
	.name = "export",
	.synopsis = "NAME -o FILE",
	.summary = "write a stopped machine to a file: an OCI archive with holm's settings",
	.details = "Any tool that reads OCI archives can load it as an image; holm machine import makes a machine of "
		   "it again.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run,
};

/* The settings as an unnamed file: its descriptor. */
static int write_settings(struct json_object *settings, struct error **err)
{
	AUTOFREE char *text = json_to_string(settings, 0);
	AUTO_FD int fd = memfd_create("holm-export", MFD_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_set_errno(err, errno, "settings for the archive");
	return TAKE_FD(fd);
}

/* The reading ends of the pipes go to holm-image. */
static int spawn_image(const struct export_job *job, int settings, const int *inputs, pid_t *ret, struct error **err)
{
	AUTOFREE char *program = path_libexec("holm-image");
	AUTO_STRV struct strv argv = { 0 };
	strv_add(&argv, program);
	strv_add_all(&argv, &job->words);
	struct spawn_fd fds[] = { { .from = inputs[0], .to = STDIN_FILENO }, { .from = settings, .to = 3 },
		{ .from = inputs[1], .to = 4 } };
	struct spawn_options o = {
		.argv = (void *)strv_argv(&argv),
		.fds = fds,
		.fd_count = job->twice ? 3 : 2,
		.death_signal = SIGTERM,
		.inherit_standard = 1,
	};
	return spawn(&o, ret, err);
}

static int copy_stream(const char *machine, int output, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	const void *data;
	ssize_t n = archive_download_begin(&d, machine, "/", "&root=rootfs", err);
	while (n == 0 && (n = archive_download_read(&d, &data, err)) > 0) {
		n = fd_write_full(output, data, (size_t)n);
		if (n < 0)
			return error_set_errno(err, (int)n, "writing the archive");
	}
	return (int)n;
}

/* A running machine that stands still as long as the connection is open. */
struct still {
	int fd; /* -1: the machine is a stopped one */
	struct http_response response;
};
#define STILL_NONE ((struct still){ .fd = -1, .response.fd = -1 })

static void still_done(struct still *s)
{
	http_response_done(&s->response);
	fd_close(TAKE_FD(s->fd));
}
#define AUTO_STILL CLEANUP(still_done)

/* Waits for a line: it stands still, or why it does not. -ETIMEDOUT: there is none. */
static int still_read(struct still *s, uint64_t deadline_ms, struct error **err)
{
	AUTO_JSON struct json_object *line = NULL;
	const char *why = NULL;
	int r = http_response_line(&s->response, deadline_ms, &line, err);
	if (r < 0)
		return r;
	if (r == 0 || json_get_string(line, "error", &why, NULL) == 0)
		return error_set(err, EBUSY, "%s", why ? why : "it has stopped");
	return 0;
}

static int still_begin(struct still *s, const char *machine, struct error **err)
{
	uint64_t deadline = clock_deadline(PAUSE_MS);
	s->fd = client_connect(machine, err);
	if (s->fd == -ESRCH)
		return error_set(err, ESRCH, "it stopped just now; try again");
	if (s->fd < 0)
		return s->fd;
	int r = http_request(s->fd, "POST", "/v1/pause", NULL, NULL, deadline, &s->response, err);
	return r < 0 ? r : still_read(s, deadline, err);
}

/* Whether it has stood still until now. */
static int still_check(struct still *s, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	int r = s->fd < 0 ? 0 : still_read(s, 0, &why);
	return r == 0 || r == -ETIMEDOUT || r == -EAGAIN ? 0 : error_set(err, -r, "%s", error_text(why, r));
}

/* Sends the files through each pipe, and closes it; after a failure the pipes stay open, as a
 * stream that was cut short must not look like a whole one. A reader that is gone has said why:
 * 0. */
static int send_all(const char *machine, int *outputs, int count, struct still *still, struct error **err)
{
	for (int i = 0; i < count; i++) {
		int r = copy_stream(machine, outputs[i], err);
		if (r < 0)
			return r == -EPIPE ? 0 : r;
		if ((r = still_check(still, err)) < 0)
			return r;
		fd_close(TAKE_FD(outputs[i]));
	}
	return 0;
}

static int make_pipes(int *reading, int *writing, int count, struct error **err)
{
	for (int i = 0; i < count; i++) {
		int ends[2], r = fd_pipe(ends);
		if (r < 0)
			return error_set_errno(err, r, "pipe");
		reading[i] = ends[0];
		writing[i] = ends[1];
	}
	return 0;
}

static void close_pair(int (*fds)[2])
{
	fd_close((*fds)[0]);
	fd_close((*fds)[1]);
}

/* From the running agent through pipes into holm-image. A positive result is holm-image's exit
 * status. */
static int stream(const char *machine, const struct export_job *job, struct still *still, struct error **err)
{
	AUTO_FD int settings = write_settings(job->settings, err);
	CLEANUP(close_pair) int reading[2] = { -1, -1 };
	CLEANUP(close_pair) int writing[2] = { -1, -1 };
	AUTO_ERROR struct error *why = NULL;
	int count = job->twice ? 2 : 1, status = 0, r;
	pid_t pid;
	if (settings < 0)
		return settings;
	if ((r = make_pipes(reading, writing, count, err)) < 0 ||
	    (r = spawn_image(job, settings, reading, &pid, err)) < 0)
		return r;
	for (int i = 0; i < count; i++)
		fd_close(TAKE_FD(reading[i]));
	signal(SIGPIPE, SIG_IGN);
	int sent = send_all(machine, writing, count, still, &why);
	if (sent < 0)
		kill(pid, SIGTERM);
	r = spawn_wait(pid, &status);
	if (sent < 0)
		return error_set(err, -sent, "reading machine \"%s\": %s", machine, error_text(why, sent));
	return r < 0 ? error_set_errno(err, r, "waiting for holm-image") : status;
}

static int refuse_running(const char *name, const struct export_job *job, struct error **err)
{
	return error_set(err, EBUSY, "machine \"%s\" is running; stop it first: holm machine stop %s%s", name, name,
	    job->hint ? job->hint : "");
}

/* The machine stands still until all was read. */
static int read_running(const char *name, const struct export_job *job, struct error **err)
{
	AUTO_STILL struct still still = STILL_NONE;
	output_progress("%s: %s ...", name, job->progress);
	int r = still_begin(&still, name, err);
	if (r < 0)
		error_prefix(err, r, "machine \"%s\"", name);
	else
		r = stream(name, job, &still, err);
	output_progress_clear();
	return r;
}

int export_run(const char *name, const struct export_job *job, struct error **err)
{
	struct still none = STILL_NONE;
	int started, r;
	/* One that is being stopped, perhaps by the end of another export, is waited for. */
	if (streq(client_state_word(name, clock_deadline(STATE_MS), NULL), "stopping") &&
	    (r = client_wait_gone(name, err)) < 0)
		return r;
	if (machine_is_running(name) == 1)
		return job->pause ? read_running(name, job, err) : refuse_running(name, job, err);
	r = client_start(name, CLIENT_SESSION, CLIENT_RESCUE, &started, err);
	if (r == 0 && !started)
		return error_set(err, EBUSY,
		    "machine \"%s\" was started by another command just now; stop it first: holm machine stop %s", name,
		    name);
	if (r < 0)
		return r;
	output_progress("%s: %s ...", name, job->progress);
	r = stream(name, job, &none, err);
	output_progress_clear();
	AUTO_ERROR struct error *stopping = NULL;
	int stopped = client_stop(name, STOP_MS, &stopping);
	return r == 0 && stopped < 0 ? error_set(err, -stopped, "%s", error_text(stopping, stopped)) : r;
}

/* The settings for `holm-image pack`; owned. */
static struct json_object *pack_settings(const struct machine *m)
{
	struct json_object *o = json_object_new_object(), *machine = machine_to_json(m);
	/* Members of this host alone. */
	static const char *const local[] = { "image_disk", "image_trees", "form", "home", "uid", "gid" };
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		json_object_object_del(machine, local[i]);
	containers_describe(m->name, machine);
	if (m->image_config)
		json_add(o, "config", json_object_get(m->image_config));
	json_add(o, "machine", machine);
	json_add_string(o, "reference", m->image);
	json_add_string(o, "platform", m->platform);
	return o;
}

int export_machine(const char *name, const char *file, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	int r = machine_load(name, &m, err);
	if (r < 0)
		return r;
	AUTOFREE char *progress = xasprintf("writing %s", file);
	AUTO_JSON struct json_object *settings = pack_settings(m);
	struct export_job job = { .progress = progress, .settings = settings };
	strv_split(&job.words, "pack --config /dev/fd/3 --output", " ");
	strv_add(&job.words, file);
	r = export_run(name, &job, err);
	strv_done(&job.words);
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_target(o), *file = options_string(o, "output");
	if (!file || !*file) {
		output_error("export needs --output FILE; see holm machine export --help");
		return EXIT_HOLM;
	}
	if (streq(file, "-")) {
		output_error("export writes a file: give --output a name (./- for a file that is called so)");
		return EXIT_HOLM;
	}
	int r = export_machine(name, file, &err);
	if (r < 0)
		return client_start_failure(r, err);
	if (r == 0)
		output_line("%s", name);
	return r;
}
