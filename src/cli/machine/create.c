/* SPDX-License-Identifier: Apache-2.0
 * `holm machine create`: check, prepare the image, make the machine, boot it. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/machine/autostart.h"
#include "cli/machine/beyond.h"
#include "cli/image/program.h"
#include "cli/machine/make.h"
#include "cli/machine/places.h"
#include "cli/machine/rm.h"
#include "cli/output.h"
#include "cli/machine/ports.h"

static int run(const struct command_spec *c, struct options *o);

static const char *const pull_words[] = { "missing", "always", "never", NULL };
static const char *const progress_words[] = { "auto", "plain", "none", NULL };

static const struct option_spec options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine's name", .default_text = "made from the image's" },
	{ "replace", 0, OPTION_FLAG, NULL,
	    "remove a machine of that name first, with its disk, once the image is there" },
	{ "if-missing", 0, OPTION_FLAG, NULL, "leave a machine of that name as it is" },
	{ "set-default", 0, OPTION_FLAG, NULL, "make it the default machine", .default_text = "when it is the first" },
	{ "no-boot", 0, OPTION_FLAG, NULL, "leave it stopped" },
	{ "script", 0, OPTION_STRING, "FILE", "run it once as root, at the first boot", .complete = "file" },
	{ "cpus", 0, OPTION_STRING, "N", "processors", .default_text = "half the host's, in native isolation all" },
	{ "memory", 0, OPTION_STRING, "SIZE", "memory", .default_text = "half the host's, at least 1G" },
	{ "disk-size", 0, OPTION_STRING, "SIZE", "what the disk may grow to", .default_text = "100G" },
	{ "home-mount", 0, OPTION_STRING, "rw|ro|none", "your home inside", .default_text = "rw",
	    .choices = machine_home_words },
	{ "home-private", 0, OPTION_STRING, "PATH,...|none", "paths in the home that are the machine's own",
	    .default_text = "see holm-shares(7)" },
	{ "mount", 'v', OPTION_LIST, "HOST[:INSIDE[:ro]]|type=bind,...",
	    "mount a directory, file or socket of the host too", .complete = "file" },
	{ "publish", 'p', OPTION_LIST, "[IP:]HOST:INSIDE[/udp]", "make a port inside reachable on the host" },
	{ "isolation", 0, OPTION_STRING, "auto|vm|native", "how it is kept apart from the host", .default_text = "auto",
	    .choices = machine_isolation_words },
	{ "platform", 0, OPTION_STRING, "OS/ARCH", "which of an image's platforms", .default_text = "the host's" },
	{ "kernel", 0, OPTION_STRING, "FILE", "another kernel", .default_text = "the one that comes with holm",
	    .complete = "file" },
	{ "kernel-modules", 0, OPTION_STRING, "DIR", "that kernel's modules", .complete = "directory" },
	{ "init", 0, OPTION_STRING, "auto|image|holm|install",
	    "the image's init, holm's minimal one, or one that is installed at the first boot",
	    .default_text = "auto: the image's where it has one", .choices = machine_init_words },
	{ "wait", 0, OPTION_STRING, "session|init", "when a session of a machine that boots begins",
	    .default_text = "session", .choices = machine_wait_words },
	{ "autostart", 0, OPTION_STRING, "on|off", "start it at your login", .default_text = "off",
	    .choices = machine_autostart_words },
	{ "auto-ports", 0, OPTION_STRING, "on|off", "open on the host what listens inside, under the same number",
	    .default_text = "on with --home-mount rw", .choices = machine_auto_ports_words },
	{ "share-cache", 0, OPTION_STRING, "auto|strict|writeback", "how soon a VM sees what the host changes",
	    .default_text = "auto", .choices = machine_share_cache_words },
	{ "share-locks", 0, OPTION_STRING, "guest|host", "where locks of a VM on files in shares hold",
	    .default_text = "guest", .choices = machine_share_locks_words },
	{ "share-events", 0, OPTION_STRING, "on|off", "whether inotify in a VM tells what the host changes",
	    .default_text = "on", .choices = machine_share_events_words },
	{ "owner-map", 0, OPTION_STRING, "user|root|record", "whose your files in shares are inside a VM",
	    .default_text = "user", .choices = machine_owner_map_words },
	{ "user", 0, OPTION_STRING, "NAME", "the user's name inside", .default_text = "yours" },
	{ "env", 'e', OPTION_LIST, "K=V|K", "a variable for every session" },
	{ "host-access", 0, OPTION_FLAG, NULL, "make the host's loopback reachable inside, as host.holm.internal" },
	{ "ca", 0, OPTION_STRING, "host|none", "certificate authorities besides the image's", .default_text = "host",
	    .choices = machine_ca_words },
	{ "proxy", 0, OPTION_STRING, "host|none|URL", "the proxy of sessions and services", .default_text = "host" },
	{ "pids", 0, OPTION_STRING, "N", "processes and threads of a native machine",
	    .default_text = "a third of the host's" },
	{ "socketcall", 0, OPTION_FLAG, NULL, "let 32-bit programs of a native machine open sockets" },
	{ "pull", 0, OPTION_STRING, "missing|always|never", "when to fetch the image", .default_text = "missing",
	    .choices = pull_words },
	{ "progress", 0, OPTION_STRING, "auto|plain|none", "how progress is shown", .default_text = "auto",
	    .choices = progress_words },
	{ 0 },
};

const struct command_spec command_create = {
	.name = "create",
	.synopsis = "IMAGE",
	.summary = "make a machine from an image and boot it",
	.details = "The image is fetched when it is missing. Prints the machine's name. Sizes are written 512M, 2G and "
		   "so on; a bare number is bytes.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "image",
	.run = run,
};

static const char *const applied[] = { "cpus", "memory", "disk-size", "home-mount", "home-private", "mount", "publish",
	"isolation", "kernel", "kernel-modules", "init", "wait", "autostart", "auto-ports", "share-cache",
	"share-events", "share-locks", "owner-map", "user", "env", "host-access", "proxy", "ca", "pids", "socketcall",
	NULL };

/* 0: the name is free, or will be; 1: there is such a machine, and that is fine; -errno. */
static int check_name(struct options *o, const char *name, struct error **err)
{
	AUTO_ERROR struct error *taken = NULL;
	if (options_given(o, "replace") && options_given(o, "if-missing"))
		return error_set(err, EINVAL, "--replace and --if-missing exclude each other");
	int r = machine_name_free(name, &taken);
	if (r == -EEXIST && options_given(o, "replace"))
		return 0;
	if (r == -EEXIST && options_given(o, "if-missing"))
		return 1;
	return r < 0 ? error_set(err, -r, "%s%s", error_text(taken, r),
			   r == -EEXIST ? "; see --replace and --if-missing" : "") :
		       0;
}

/* Checks everything that can be wrong without asking anybody. Sets *ret even where the machine is
 * there already, which gives 1. */
static int configure(struct options *o, struct machine **ret, struct error **err)
{
	const char *image = options_words(o)->items[0], *given = options_string(o, "name");
	const char *platform = options_string(o, "platform");
	if (!*image)
		return error_set(err, EINVAL, "an image's name cannot be empty");
	AUTOFREE char *name = given ? xstrdup(given) : machine_name_from_image(image);
	AUTO_MACHINE struct machine *m = machine_new(name), *before = NULL;
	enum ports_need need = options_given(o, "no-boot") ? PORTS_NEEDED_LATER : PORTS_NEEDED_NOW;
	int r = platform ? make_check_platform(platform, err) : 0;
	int there = r < 0 ? r : check_name(o, name, err);
	/* A machine that is replaced gives its ports up. */
	if (there == 0 && options_given(o, "replace"))
		machine_load(name, &before, NULL);
	if (there < 0)
		return there;
	if (there == 0 && ((r = make_configure(m, o, applied, err)) < 0 || (r = ports_try(before, m, need, err)) < 0))
		return r;
	if (!options_given(o, "auto-ports"))
		make_open_ports(m);
	*ret = TAKE_PTR(m);
	return there;
}

static int prepare(const struct machine *m, struct options *o, struct json_object **ret, struct error **err)
{
	static const char *const passed[] = { "pull", "platform", "progress", NULL };
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "prepare");
	strv_take(&words, make_form_option(m));
	for (const char *const *p = passed; *p; p++)
		if (options_given(o, *p))
			strv_addf(&words, "--%s=%s", *p, options_string(o, *p));
	strv_add(&words, "--");
	strv_add(&words, options_words(o)->items[0]);
	return image_program_run(&words, -1, -1, ret, err);
}

/* Reads the script for the first boot: owned, or NULL without --script. 0 or -errno. */
static int read_script(struct options *o, char **ret, struct error **err)
{
	const char *path = options_string(o, "script");
	size_t size = 0;
	if (!path)
		return 0;
	int r = path_read_file(path, MACHINE_SCRIPT_MAX, ret, &size);
	if (r == -EFBIG)
		return error_set(err, EFBIG, "--script \"%s\": larger than %d KiB; let it fetch the rest", path,
		    MACHINE_SCRIPT_MAX >> 10);
	if (r < 0)
		return error_set(err, -r, "--script \"%s\": %s; give a file that you can read", path, strerror(-r));
	if (size == 0 || strlen(*ret) != size)
		return error_set(err, EINVAL, "--script \"%s\": %s; give a script", path,
		    size ? "no text" : "an empty file");
	return 0;
}

/* Puts the machine in the place of the one that --replace removes; it stays the default one. */
static int put(struct machine *m, const char *script, struct options *o, struct error **err)
{
	AUTOFREE char *default_name = NULL;
	int set_default = options_given(o, "set-default"), r = 0;
	if (options_given(o, "replace")) {
		machine_default_get(&default_name, NULL);
		set_default |= streq(default_name, m->name);
		r = rm_machine(m->name, 1, err);
	}
	if (r == -ENOENT)
		error_clear(err);
	return r < 0 && r != -ENOENT ? r : make_store_script(m, script, set_default, err);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *prepared = NULL;
	AUTOFREE char *script = NULL;
	int r = read_script(o, &script, &err);
	if (r == 0)
		r = configure(o, &m, &err);
	if (r > 0) {
		output_line("%s", m->name);
		return 0;
	}
	if (r == 0)
		r = prepare(m, o, &prepared, &err);
	if (r > 0)
		return r;
	if (r == 0)
		r = make_apply_image(m, prepared, &err);
	if (r == 0)
		r = places_check(m, &err);
	if (r == 0)
		r = put(m, script, o, &err);
	if (r < 0)
		return output_failure(r, err);
	make_note_user(m);
	if (options_given(o, "no-boot"))
		make_note_proxy(m); /* a boot says it */
	make_note_init(m);
	make_note_sockets(m);
	beyond_note(NULL, m);
	autostart_note(NULL, m);
	int status = options_given(o, "no-boot") ? 0 : make_boot(m);
	if (status == 0)
		output_line("%s", m->name);
	return status;
}
