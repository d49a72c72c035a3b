/* SPDX-License-Identifier: Apache-2.0
 * `holm machine init`: create in Podman's spelling. Bare numbers are MiB of memory and GiB of disk
 * there, and nothing is booted without --now. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/machine/beyond.h"
#include "cli/machine/engine.h"
#include "cli/image/program.h"
#include "cli/machine/make.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "cpus", 'c', OPTION_STRING, "N", "processors", .default_text = "half the host's, in native isolation all" },
	{ "memory", 'm', OPTION_STRING, "MIB", "memory; a bare number is MiB",
	    .default_text = "half the host's, at least 1G" },
	{ "disk-size", 'd', OPTION_STRING, "GIB", "what the disk may grow to; a bare number is GiB",
	    .default_text = "100" },
	{ "volume", 'v', OPTION_LIST, "HOST[:INSIDE[:ro]]|type=bind,...",
	    "mount a directory, file or socket of the host too", .complete = "file" },
	{ "image", 0, OPTION_STRING, "IMAGE", "the image to make it from",
	    .default_text = "image in [machine] of holm/config, else a small one for containers", .complete = "image" },
	{ "isolation", 0, OPTION_STRING, "auto|vm|native", "how it is kept apart from the host", .default_text = "auto",
	    .choices = machine_isolation_words },
	{ "now", 0, OPTION_FLAG, NULL, "boot it at once" },
	{ 0 },
};

const struct command_spec command_init = {
	.name = "init",
	.synopsis = "[NAME]",
	.summary = "make a machine, in Podman's spelling; it is not booted without --now",
	.details = "Without an image it is an engine machine: it has little more than what containers need, and comes "
		   "from holm itself.",
	.options = options,
	.max_arguments = 1,
	.run = run,
};

/* Sets a size whose bare number counts `unit` bytes. */
static int set_size(struct machine *m, struct options *o, const char *key, uint64_t unit, struct error **err)
{
	uint64_t bytes;
	const char *text = options_string(o, key);
	if (!text)
		return 0;
	if (parse_size(text, unit, &bytes) < 0)
		return error_set(err, EINVAL, "--%s %.40s: give a number or a size such as 2G", key, text);
	AUTOFREE char *value = xasprintf("%llu", (unsigned long long)bytes);
	return machine_set(m, key, value, err);
}

static int configure(struct options *o, char **ret_image, struct machine **ret, struct error **err)
{
	static const char *const applied[] = { "cpus", "isolation", NULL };
	AUTO_SETTINGS struct settings settings = { 0 };
	const struct strv *words = options_words(o);
	int r = settings_load(&settings, err);
	if (r < 0)
		return r;
	const char *image = options_string(o, "image") ? options_string(o, "image") : settings.values[SETTING_IMAGE];
	if (options_given(o, "image") && !*image)
		return error_set(err, EINVAL, "an image's name cannot be empty");
	int engine = !image || !*image;
	AUTOFREE char *name = words->count ? xstrdup(words->items[0]) :
			      engine       ? xstrdup(ENGINE_MACHINE_NAME) :
					     machine_name_from_image(image);
	AUTO_MACHINE struct machine *m = machine_new(name);
	if ((r = machine_name_free(name, err)) < 0 || (r = make_apply_settings(m, &settings, err)) < 0)
		return r;
	if (engine)
		engine_settings(m);
	if ((r = make_apply_options(m, o, applied, err)) < 0 ||
	    (r = set_size(m, o, "memory", UINT64_C(1) << 20, err)) < 0 ||
	    (r = set_size(m, o, "disk-size", UINT64_C(1) << 30, err)) < 0 ||
	    (r = make_apply_mounts(m, options_list(o, "volume"), err)) < 0 || (r = make_choose_form(m, err)) < 0)
		return r;
	make_open_ports(m);
	*ret_image = engine ? NULL : xstrdup(image);
	*ret = TAKE_PTR(m);
	return 0;
}

static int prepare(struct machine *m, const char *image, struct error **err)
{
	AUTO_JSON struct json_object *prepared = NULL;
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "prepare");
	strv_take(&words, make_form_option(m));
	strv_add(&words, "--");
	strv_add(&words, image);
	int r = image_program_run(&words, -1, -1, &prepared, err);
	return r == 0 ? make_apply_image(m, prepared, err) : r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *image = NULL;
	int r = configure(o, &image, &m, &err);
	if (r == 0)
		r = image ? prepare(m, image, &err) : engine_prepare(m, &err);
	if (r > 0)
		return r;
	if (r == 0)
		r = make_store(m, 0, &err);
	if (r < 0)
		return output_failure(r, err);
	make_note_user(m);
	make_note_init(m);
	beyond_note(NULL, m);
	int status = options_given(o, "now") ? make_boot(m) : 0;
	if (status == 0)
		output_line("Machine \"%s\" is %s. Next: holm machine %s %s", m->name,
		    options_given(o, "now") ? "running" : "made", options_given(o, "now") ? "ssh" : "start", m->name);
	if (status == 0 && options_given(o, "now"))
		engine_note_ready(m->name);
	return status;
}
