/* SPDX-License-Identifier: Apache-2.0
 * `holm machine import FILE`: an exported machine becomes a machine here, with this user and a new identity. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/image_program.h"
#include "cli/make.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine's name", .default_text = "as it was exported" },
	{ "isolation", 0, OPTION_STRING, "auto|vm|native", "how it is kept apart from the host, whatever it was exported from", .default_text = "auto",
		.choices = machine_isolation_words },
	{ 0 },
};

const struct command_spec command_import = {
	.name = "import",
	.synopsis = "FILE",
	.summary = "make a machine from a file that export wrote; it is left stopped",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "file",
	.run = run,
};

/* Mounts whose directory is not on this host are left out, with a note. */
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

/* What the archive's settings open to the host: whoever wrote the file chose it, so it is said. */
static void tell_openings(const struct machine *m)
{
	for (size_t i = 0; i < m->mount_count; i++)
		output_note("as the file says, %s of this host is mounted at %s%s", m->mounts[i].host, m->mounts[i].inside,
			m->mounts[i].read_only ? ", read-only" : "");
	for (size_t i = 0; i < m->publish_count; i++) {
		AUTOFREE char *text = machine_publish_format(&m->publish[i]);
		output_note("as the file says, the port %s is published", text);
	}
	if (m->host_access)
		output_note("as the file says, it can reach the host's loopback; holm machine set -n %s host-access=false takes that back", m->name);
}

/* The exported settings with what only this host can say. settings: NULL where the archive has none (any OCI archive). */
static int adopt(struct json_object *settings, const char *name, struct machine **ret, struct error **err)
{
	AUTO_MACHINE struct machine *fresh = machine_new(name), *m = NULL;
	if (!settings) {
		*ret = TAKE_PTR(fresh);
		return 0;
	}
	json_add_string(settings, "name", fresh->name);
	json_add_string(settings, "id", fresh->id);
	json_add_string(settings, "created", fresh->created);
	json_add_string(settings, "home", fresh->home);
	json_add_string(settings, "user", fresh->user);
	json_add_u64(settings, "uid", fresh->uid);
	json_add_u64(settings, "gid", fresh->gid);
	/* This host's alone, or what the image itself says. */
	static const char *const others[] = { "image_disk", "image_digest", "image_config", "init_path", "platform", "kernel", "kernel_modules",
		"isolation", "form", "image_trees" };
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		json_object_object_del(settings, others[i]);
	int r = machine_from_json(settings, &m, err);
	if (r < 0)
		return error_prefix(err, r, "the machine's settings in the archive");
	drop_missing_mounts(m);
	*ret = TAKE_PTR(m);
	return 0;
}

static char *choose_name(struct options *o, struct json_object *settings)
{
	const char *name = options_string(o, "name");
	if (name)
		return xstrdup(name);
	if (settings && json_get_string(settings, "name", &name, NULL) == 0)
		return xstrdup(name);
	return machine_name_from_image(path_base(options_words(o)->items[0]));
}

/* The isolation is this host's matter, and decided before anything is unpacked, as it says into what: m->isolation and m->form of a machine that
 * is thrown away. */
static int choose_isolation(struct options *o, struct machine **ret, struct error **err)
{
	static const char *const applied[] = { "isolation", NULL };
	AUTO_MACHINE struct machine *m = machine_new("import");
	int r = make_configure(m, o, applied, err);
	if (r == 0)
		*ret = TAKE_PTR(m);
	return r;
}

static int unpack(const struct machine *chosen, const char *file, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "unpack");
	strv_take(&words, make_form_option(chosen));
	strv_add(&words, "--");
	strv_add(&words, file);
	return image_program_run(&words, -1, -1, ret, err);
}

/* It was set up for one isolation by name and gets another, as this host or the command line says. */
static void tell_isolation(struct json_object *settings, const struct machine *chosen)
{
	const char *word;
	const char *here = machine_isolation_words[chosen->form];
	if (!settings || json_get_string(settings, "isolation", &word, NULL) < 0 || streq(word, "auto") || streq(word, here))
		return;
	output_note("it was exported with isolation=%.20s, and is made with isolation=%s here; see --isolation", word, here);
}

static int make(struct options *o, const struct machine *chosen, struct json_object *unpacked, struct machine **ret, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	struct json_object *settings = NULL;
	int r = json_get_object(unpacked, "machine", &settings, err);
	if (r < 0 && r != -ENOENT)
		return r;
	AUTOFREE char *name = choose_name(o, settings);
	r = machine_name_free(name, err);
	if (r < 0)
		return r;
	tell_isolation(settings, chosen);
	r = adopt(settings, name, &m, err);
	if (r < 0)
		return r;
	m->isolation = chosen->isolation;
	m->form = chosen->form;
	r = make_apply_image(m, unpacked, err);
	if (r == 0)
		r = make_store(m, 0, err);
	if (r == 0)
		*ret = TAKE_PTR(m);
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL, *chosen = NULL;
	AUTO_JSON struct json_object *unpacked = NULL;
	/* Checked before the work of unpacking where it is known. */
	int r = options_string(o, "name") ? machine_name_free(options_string(o, "name"), &err) : 0;
	if (r == 0)
		r = choose_isolation(o, &chosen, &err);
	if (r == 0)
		r = unpack(chosen, options_words(o)->items[0], &unpacked, &err);
	if (r > 0)
		return r;
	if (r == 0)
		r = make(o, chosen, unpacked, &m, &err);
	if (r < 0)
		return output_failure(r, err);
	tell_openings(m);
	puts(m->name);
	return 0;
}
