/* SPDX-License-Identifier: Apache-2.0
 * `holm machine import FILE`: an exported machine becomes a machine here, with this user and a new
 * identity, which --keep-identity does without. machine_adopt() decides which of its settings count
 * on this host. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/image/program.h"
#include "cli/machine/containers.h"
#include "cli/machine/make.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine's name", .default_text = "as it was exported" },
	{ "isolation", 0, OPTION_STRING, "auto|vm|native",
	    "how it is kept apart from the host, whatever it was exported from", .default_text = "auto",
	    .choices = machine_isolation_words },
	{ "home-mount", 0, OPTION_STRING, "rw|ro|none", "your home inside",
	    .default_text = "the stricter of the file's and holm/config's", .choices = machine_home_words },
	{ "mount", 'v', OPTION_LIST, "HOST[:INSIDE[:ro]]|type=bind,...",
	    "mount a directory, file or socket of the host too", .complete = "file" },
	{ "publish", 'p', OPTION_LIST, "[IP:]HOST:INSIDE[/udp]", "make a port inside reachable on the host" },
	{ "keep-identity", 0, OPTION_FLAG, NULL, "keep the machine id and sshd's host keys: the machine moves here" },
	{ "trust-settings", 0, OPTION_FLAG, NULL,
	    "take all of the file's settings: its mounts, ports, variables, home, sizes, ..." },
	{ 0 },
};

const struct command_spec command_import = {
	.name = "import",
	.synopsis = "FILE",
	.summary = "make a machine from a file that export wrote; it is left stopped",
	.details = "Settings of the file that would open more of this host than create does are left out, and named.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "file",
	.run = run,
};

/* Leaves mounts out whose directory is not on this host, with a note. */
static void drop_missing_mounts(struct machine *m)
{
	for (size_t i = 0; i < m->mount_count;) {
		AUTO_ERROR struct error *err = NULL;
		if (make_check_mount(&m->mounts[i], &err) == 0) {
			i++;
			continue;
		}
		output_note("left out: %s", err->text);
		AUTOFREE char *inside = xstrdup(m->mounts[i].inside);
		machine_mount_remove(m, inside, NULL);
	}
}

/* Does the same for a kernel and its modules. */
static void drop_missing_kernel(struct machine *m)
{
	const char *const keys[] = { "kernel", "kernel-modules" }, *const files[] = { m->kernel, m->kernel_modules };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *file = xstrdup(files[i] ? files[i] : "");
		if (machine_set(m, keys[i], file, &err) == 0)
			continue;
		output_note("left out: %s", err->text);
		machine_set(m, keys[i], "", NULL);
	}
}

/* Names the openings that the machine has from a trusted file. */
static void tell_openings(const struct machine *m)
{
	for (size_t i = 0; i < m->mount_count; i++)
		output_note("as the file says, %s of this host is mounted at %s%s", m->mounts[i].host,
		    m->mounts[i].inside, m->mounts[i].read_only ? ", read-only" : "");
	for (size_t i = 0; i < m->publish_count; i++) {
		AUTOFREE char *text = machine_publish_format(&m->publish[i]);
		output_note("as the file says, the port %s is published", text);
	}
	if (m->host_access)
		output_note("as the file says, it can reach the host's loopback; holm machine set -n %s "
			    "host-access=false takes that back",
		    m->name);
}

static void tell_left_out(const struct strv *left_out)
{
	for (size_t i = 0; i < left_out->count; i++)
		output_note("left out: %s", left_out->items[i]);
	if (left_out->count)
		output_note("--trust-settings takes what was left out as the file has it");
}

/* Makes the machine of the exported settings, which are empty if the archive has none, and
 * names the settings that it leaves out. 0 or -errno. */
static int adopt(struct options *o, struct json_object *settings, struct machine *here, struct machine **ret,
    struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_STRV struct strv left_out = { 0 };
	if (options_given(o, "home-mount"))
		json_object_object_del(settings, "home_mount");
	int r = machine_adopt(here, settings, options_given(o, "trust-settings"), &m, &left_out, err);
	if (r < 0)
		return error_prefix(err, r, "the machine's settings in the archive");
	tell_left_out(&left_out);
	drop_missing_mounts(m);
	drop_missing_kernel(m);
	tell_openings(m);
	*ret = TAKE_PTR(m);
	return 0;
}

/* Gives the new machine the id that the file has. 0 or -errno. */
static int keep_identity(struct json_object *settings, struct machine *here, struct error **err)
{
	const char *id = NULL;
	int r = json_get_string(settings, "id", &id, err);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "the archive names no machine id; import it without --keep-identity");
	if (r < 0)
		return error_prefix(err, r, "the machine's settings in the archive");
	free(here->id);
	here->id = xstrdup(id); /* machine_adopt() checks it */
	return 0;
}

/* --name, else the exported one, else one of the file's. */
static int choose_name(struct options *o, struct json_object *settings, char **ret, struct error **err)
{
	const char *name = options_string(o, "name");
	int r = name ? 0 : json_get_string(settings, "name", &name, err);
	if (r < 0 && r != -ENOENT)
		return error_prefix(err, r, "the machine's settings in the archive");
	*ret = name ? xstrdup(name) : machine_name_from_image(path_base(options_words(o)->items[0]));
	return machine_name_free(*ret, err);
}

/* Configures and checks, before anything is unpacked: here gets the configuration, the
 * isolation and the home of the options, asked their mounts and ports. 0 or -errno. */
static int choose(struct options *o, struct machine **here, struct machine **asked, struct error **err)
{
	static const char *const applied[] = { "isolation", "home-mount", NULL };
	AUTO_MACHINE struct machine *m = machine_new("import");
	int r = make_configure(m, o, applied, err);
	if (r == 0)
		r = make_asked(o, asked, err);
	if (r == 0)
		*here = TAKE_PTR(m);
	return r;
}

static int unpack(struct options *o, const struct machine *here, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 }, taken = { 0 };
	int r = options_given(o, "name") ? 0 : machine_list(&taken, err);
	if (r < 0)
		return r;
	strv_add(&words, "unpack");
	strv_take(&words, make_form_option(here));
	for (size_t i = 0; i < taken.count; i++)
		strv_addf(&words, "--taken=%s", taken.items[i]);
	strv_add(&words, "--");
	strv_add(&words, options_words(o)->items[0]);
	return image_program_run(&words, -1, -1, ret, err);
}

/* It was set up for one isolation by name and gets another, as this host or the command line
 * says. */
static void tell_isolation(struct json_object *settings, const struct machine *here)
{
	const char *word;
	if (json_get_string(settings, "isolation", &word, NULL) < 0)
		return;
	for (int i = MACHINE_ISOLATION_VM; machine_isolation_words[i]; i++)
		if (streq(machine_isolation_words[i], word) && i != (int)here->form)
			output_note("it was exported with isolation=%s, and is made with isolation=%s here; see "
				    "--isolation",
			    word, machine_isolation_words[here->form]);
}

static int make(struct options *o, struct machine *here, struct machine *asked, struct json_object *unpacked,
    struct machine **ret, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *none = json_object_new_object();
	struct json_object *settings = none;
	const char *image = "";
	int r = json_get_object(unpacked, "machine", &settings, err);
	if (r < 0 && r != -ENOENT)
		return r;
	AUTOFREE char *name = NULL;
	r = choose_name(o, settings, &name, err);
	if (r == 0 && (r = json_get_string(unpacked, "reference", &image, err)) == -ENOENT)
		r = 0;
	if (r == 0 && options_given(o, "keep-identity"))
		r = keep_identity(settings, here, err);
	if (r < 0)
		return r;
	tell_isolation(settings, here);
	free(here->name);
	here->name = TAKE_PTR(name);
	here->image = xstrdup(image);
	if ((r = adopt(o, settings, here, &m, err)) < 0 || (r = make_take(m, asked, err)) < 0 ||
	    (r = make_apply_image(m, unpacked, err)) < 0 || (r = containers_check(settings, err)) < 0 ||
	    (r = make_store(m, 0, err)) < 0 || (r = containers_adopt(m->name, settings, err)) < 0)
		return r;
	*ret = TAKE_PTR(m);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL, *here = NULL, *asked = NULL;
	AUTO_JSON struct json_object *unpacked = NULL;
	/* Checked before the work of unpacking where it is known. */
	int r = options_string(o, "name") ? machine_name_free(options_string(o, "name"), &err) : 0;
	if (r == 0)
		r = choose(o, &here, &asked, &err);
	if (r == 0)
		r = unpack(o, here, &unpacked, &err);
	if (r > 0)
		return r;
	if (r == 0)
		r = make(o, here, asked, unpacked, &m, &err);
	if (r < 0)
		return output_failure(r, err);
	output_line("%s", m->name);
	return 0;
}
