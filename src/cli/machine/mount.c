/* SPDX-License-Identifier: Apache-2.0
 * `holm machine mount ls|add|rm`: machine.json is changed first, then a running machine is asked to
 * follow at once; where it cannot, a note says that it will at its next start. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/change.h"
#include "cli/machine/make.h"
#include "cli/machine/mount_points.h"
#include "cli/output.h"
#include "http/http.h"

enum { SHARE_MS = 30 * 1000 };

static int run_ls(const struct command_spec *c, struct options *o);
static int run_add(const struct command_spec *c, struct options *o);
static int run_rm(const struct command_spec *c, struct options *o);

static const struct option_spec ls_options[] = {
	NAME_OPTION,
	FORMAT_OPTION("table"),
	{ 0 },
};
static const struct option_spec name_option[] = { NAME_OPTION, { 0 } };

const struct command_spec command_mount_ls = {
	.name = "mount ls",
	.aliases = (const char *const[]){ "mount list", NULL },
	.summary = "list the directories, files and sockets of the host that a machine sees",
	.options = ls_options,
	.target = TARGET_NAMED_OR_DEFAULT,
	.run = run_ls,
};
const struct command_spec command_mount_add = {
	.name = "mount add",
	.synopsis = "HOST[:INSIDE[:ro]]|type=bind,...",
	.summary = "mount a directory, file or socket of the host in a machine",
	.details = "A path with a colon is written type=bind,source=HOST[,target=INSIDE][,readonly].",
	.options = name_option,
	.min_arguments = 1,
	.max_arguments = 1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.complete = "file",
	.run = run_add,
};
const struct command_spec command_mount_rm = {
	.name = "mount rm",
	.aliases = (const char *const[]){ "mount delete", NULL },
	.synopsis = "INSIDE",
	.summary = "take a mounted directory, file or socket away again; the host keeps it",
	.options = name_option,
	.min_arguments = 1,
	.max_arguments = 1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.run = run_rm,
};

static void add_row(struct json_object *rows, const char *host, const char *inside, int read_only)
{
	struct json_object *row = json_object_new_object();
	json_add_string(row, "host", host);
	json_add_string(row, "inside", inside);
	json_add_bool(row, "read_only", read_only);
	json_object_array_add(rows, row);
}

static void print_table(struct json_object *rows)
{
	static const char *const headers[] = { "HOST", "INSIDE", "MODE", NULL };
	AUTO_TABLE struct output_table t = { .headers = headers };
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *host = "", *inside = "";
		int read_only = 0;
		json_get_string(row, "host", &host, NULL);
		json_get_string(row, "inside", &inside, NULL);
		json_get_bool(row, "read_only", &read_only, NULL);
		strv_add(&t.cells, host);
		strv_add(&t.cells, inside);
		strv_add(&t.cells, read_only ? "ro" : "rw");
	}
	output_table_print(&t);
}

static int run_ls(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *rows = json_object_new_array();
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), "table", &format, &err);
	if (r == 0)
		r = machine_load(options_target(o), &m, &err);
	if (r < 0)
		return output_failure(r, err);
	if (m->home_mount != MACHINE_HOME_NONE)
		add_row(rows, m->home, m->home, m->home_mount == MACHINE_HOME_RO);
	for (size_t i = 0; i < m->mount_count; i++)
		add_row(rows, m->mounts[i].host, m->mounts[i].inside, m->mounts[i].read_only);
	if (format.kind != FORMAT_OWN)
		return output_rows(&format, rows);
	print_table(rows);
	return 0;
}

static int apply_add(struct machine *m, void *data, struct error **err)
{
	struct machine_mount *mount = data, copy = { xstrdup(mount->host), xstrdup(mount->inside), mount->read_only };
	int r = streq(mount->inside, m->home) && m->home_mount != MACHINE_HOME_NONE ?
		    error_set(err, EEXIST, "\"%s\" is your home inside already", mount->inside) :
		    machine_mount_add(m, &copy, err);
	machine_mount_done(&copy);
	return r;
}

static int apply_undo(struct machine *m, void *inside, struct error **err)
{
	return machine_mount_remove(m, inside, err);
}

/* Attaches the mount to the running machine. -EACCES (the keeper refuses it for good) and
 * -ENOTDIR (a file over a directory, or a directory over a file): the settings lose it again.
 * Whatever else prevents it now is a note. */
static int add_live(const char *name, struct machine_mount *mount, struct error **err)
{
	AUTO_ERROR struct error *live = NULL;
	AUTO_JSON struct json_object *body = json_object_new_object();
	json_add_string(body, "host", mount->host);
	json_add_string(body, "inside", mount->inside);
	json_add_bool(body, "read_only", mount->read_only);
	int r = client_call(name, "POST", "/v1/shares", body, clock_deadline(SHARE_MS), &live);
	if (r != -EACCES && r != -ENOTDIR) {
		change_tell_running(name, r, live);
		return 0;
	}
	change_machine(name, apply_undo, mount->inside, NULL);
	return error_set(err, -r, "%s", error_text(live, r));
}

static int run_add(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_target(o);
	struct machine_mount mount = { 0 };
	int r = machine_mount_parse(options_words(o)->items[0], &mount, &err);
	if (r == 0)
		r = make_check_mount(&mount, &err);
	if (r == 0)
		r = change_machine(name, apply_add, &mount, &err);
	if (r == 0)
		r = add_live(name, &mount, &err);
	if (r == 0)
		output_line("%s", mount.inside);
	machine_mount_done(&mount);
	return r < 0 ? output_failure(r, err) : 0;
}

static int apply_rm(struct machine *m, void *data, struct error **err)
{
	const char *inside = data;
	if (streq(inside, m->home) && m->home_mount != MACHINE_HOME_NONE)
		return error_set(err, EINVAL, "\"%s\" is your home; holm machine set home-mount=none takes it away",
		    inside);
	int r = machine_mount_remove(m, inside, err);
	if (r == 0 && machine_is_running(m->name) == 0)
		mount_points_remove(m, inside);
	return r;
}

static int run_rm(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL, *live = NULL;
	const char *name = options_target(o), *inside = options_words(o)->items[0];
	int r = change_machine(name, apply_rm, (void *)inside, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *encoded = http_encode_query(inside), *target = xasprintf("/v1/shares?inside=%s", encoded);
	r = client_call(name, "DELETE", target, NULL, clock_deadline(SHARE_MS), &live);
	change_tell_running(name, r == -ENOENT ? 0 : r, live);
	output_line("%s", inside);
	return 0;
}
