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
#include "cli/machine/export.h"
#include "cli/output.h"

enum { STOP_MS = 10 * 1000, STATE_MS = 1000 };

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

/* The settings file for `holm-image pack`, as an unnamed file: its descriptor. */
static int write_config(const struct machine *m, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object(), *machine = machine_to_json(m);
	/* What is this host's alone. */
	static const char *const local[] = { "image_disk", "image_trees", "form", "home", "uid", "gid" };
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		json_object_object_del(machine, local[i]);
	if (m->image_config)
		json_add(o, "config", json_object_get(m->image_config));
	json_add(o, "machine", json_object_get(machine));
	json_add_string(o, "reference", m->image);
	json_add_string(o, "platform", m->platform);
	AUTOFREE char *text = json_to_string(o, 0);
	AUTO_FD int fd = memfd_create("holm-export", MFD_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_set_errno(err, errno, "settings for the archive");
	return TAKE_FD(fd);
}

static int spawn_pack(int config, int input, const char *file, pid_t *ret, struct error **err)
{
	AUTOFREE char *program = path_libexec("holm-image");
	const char *const argv[] = { program, "pack", "--config", "/dev/fd/3", "--output", file, NULL };
	struct spawn_fd fds[] = { { .from = input, .to = STDIN_FILENO }, { .from = config, .to = 3 } };
	struct spawn_options o = {
		.argv = (void *)argv,
		.fds = fds,
		.fd_count = ARRAY_SIZE(fds),
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

/* From the running agent through a pipe into holm-image. A positive result is holm-image's exit
 * status; it has said why. */
static int stream(const struct machine *m, const char *file, struct error **err)
{
	AUTO_FD int config = write_config(m, err);
	AUTO_FD int reading = -1, writing = -1;
	AUTO_ERROR struct error *why = NULL;
	int ends[2], status = 0;
	pid_t pid;
	if (config < 0)
		return config;
	int r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "pipe");
	reading = ends[0];
	writing = ends[1];
	r = spawn_pack(config, reading, file, &pid, err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(reading));
	signal(SIGPIPE, SIG_IGN);
	int sent = copy_stream(m->name, writing, &why);
	/* A stream that was cut short must not look like a whole one. */
	if (sent < 0 && sent != -EPIPE)
		kill(pid, SIGTERM);
	fd_close(TAKE_FD(writing));
	r = spawn_wait(pid, &status);
	if (sent < 0 && sent != -EPIPE)
		return error_set(err, -sent, "exporting machine \"%s\": %s", m->name, error_text(why, sent));
	return r < 0 ? error_set_errno(err, r, "waiting for holm-image") : status;
}

int export_machine(const char *name, const char *file, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	int started, r = machine_load(name, &m, err);
	if (r < 0)
		return r;
	/* One that is being stopped, perhaps by the end of another export, is waited for. */
	if (streq(client_state_word(name, clock_deadline(STATE_MS), NULL), "stopping") &&
	    (r = client_wait_gone(name, err)) < 0)
		return r;
	if (machine_is_running(name) == 1)
		return error_set(err, EBUSY, "machine \"%s\" is running; stop it first: holm machine stop %s", name,
		    name);
	r = client_start(name, CLIENT_SESSION, CLIENT_RESCUE, &started, err);
	if (r == 0 && !started)
		return error_set(err, EBUSY,
		    "machine \"%s\" was started by another command just now; stop it first: holm machine stop %s", name,
		    name);
	if (r < 0)
		return r;
	output_progress("%s: writing %s ...", name, file);
	r = stream(m, file, err);
	output_progress_clear();
	AUTO_ERROR struct error *stopping = NULL;
	int stopped = client_stop(name, STOP_MS, &stopping);
	return r == 0 && stopped < 0 ? error_set(err, -stopped, "%s", error_text(stopping, stopped)) : r;
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
