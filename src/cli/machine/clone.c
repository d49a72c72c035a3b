/* SPDX-License-Identifier: Apache-2.0
 * `holm machine clone NAME NEW`: a copy-on-write copy of a stopped machine, with an identity of its
 * own. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/containers.h"
#include "cli/machine/make.h"
#include "cli/output.h"
#include "isolation/isolation.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "home-mount", 0, OPTION_STRING, "rw|ro|none", "your home inside", .default_text = "as in NAME",
	    .choices = machine_home_words },
	{ "mount", 'v', OPTION_LIST, "HOST[:INSIDE[:ro]]|type=bind,...",
	    "mount a directory, file or socket of the host too", .complete = "file" },
	{ "publish", 'p', OPTION_LIST, "[IP:]HOST:INSIDE[/udp]", "make a port inside reachable on the host" },
	{ "keep-identity", 0, OPTION_FLAG, NULL,
	    "keep the machine id and sshd's host keys: the copy takes NAME's place" },
	{ 0 },
};

const struct command_spec command_clone = {
	.name = "clone",
	.synopsis = "NAME NEW",
	.summary = "copy a stopped machine; disk space is used only for what changes later",
	.details = "The copy has the settings of its original, except the published ports: two machines cannot have "
		   "the same port. It does not start at login, unless it takes the original's place (--keep-identity).",
	.options = options,
	.min_arguments = 2,
	.max_arguments = 2,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run,
};

struct copy {
	const struct machine *from;
	const struct isolation_disk_ops *disk;
};

static int fill(const struct machine *m, const char *directory, void *data, struct error **err)
{
	const struct copy *copy = data;
	int r = copy->disk->clone(copy->from, m, directory, err);
	return r < 0 ? r : containers_copy(copy->from->name, directory, err);
}

/* Takes the ports out of the clone's settings, with a note. */
static void leave_ports(const struct machine *from, struct json_object *settings)
{
	AUTO_STRV struct strv ports = { 0 };
	for (size_t i = 0; i < from->publish_count; i++)
		strv_take(&ports, machine_publish_format(&from->publish[i]));
	AUTOFREE char *list = strv_join(&ports, ", ");
	if (ports.count)
		output_note("left out: publish %s, which machine \"%s\" has; --publish gives the clone ports of its "
			    "own",
		    list, from->name);
	json_object_object_del(settings, "publish");
}

/* Two machines of the same services would start at each login. */
static void leave_autostart(const struct machine *from, struct json_object *settings)
{
	if (from->autostart)
		output_note("left out: autostart=on, which machine \"%s\" has; holm machine set gives it to the clone",
		    from->name);
	json_object_object_del(settings, "autostart");
}

/* Makes the clone's settings: a copy with a name, time and, if not asked otherwise, id of its own,
 * then the options. 0 or -errno. */
static int copy_settings(const struct machine *from, const char *name, struct options *o, struct machine **ret,
    struct error **err)
{
	static const char *const applied[] = { "home-mount", NULL };
	AUTO_JSON struct json_object *settings = machine_to_json(from);
	AUTO_MACHINE struct machine *fresh = machine_new(name), *asked = NULL, *m = NULL;
	int r = make_asked(o, &asked, err);
	if (r < 0)
		return r;
	leave_ports(from, settings);
	json_add_string(settings, "name", fresh->name);
	if (!options_given(o, "keep-identity")) {
		json_add_string(settings, "id", fresh->id);
		leave_autostart(from, settings);
	}
	json_add_string(settings, "created", fresh->created);
	json_object_object_del(settings, "address"); /* the clone has one of its own */
	if ((r = machine_from_json(settings, &m, err)) < 0 || (r = make_apply_options(m, o, applied, err)) < 0 ||
	    (r = make_take(m, asked, err)) < 0)
		return r;
	machine_address_settle(m);
	*ret = TAKE_PTR(m);
	return 0;
}

/* The containers keep their ports: they get them as soon as these are free. */
static void note_ports_of_containers(const char *name)
{
	AUTOFREE char *ports = containers_ports(name);
	if (ports)
		output_note("containers of the clone have the ports of their originals: %s; those of machine \"%s\" "
			    "start "
			    "when these are free",
		    ports, name);
}

static int clone_machine(const char *name, const char *new_name, struct options *o, struct error **err)
{
	AUTO_LOCKS struct client_locks locks = CLIENT_LOCKS_NONE;
	AUTO_MACHINE struct machine *from = NULL, *to = NULL;
	int r;
	if (streq(name, new_name))
		return error_set(err, EINVAL, "\"%s\" is the name of the machine itself; give its clone another one",
		    name);
	if ((r = machine_name_free(new_name, err)) < 0 || (r = client_lock_stopped(name, &locks, err)) < 0 ||
	    (r = machine_load(name, &from, err)) < 0 || (r = copy_settings(from, new_name, o, &to, err)) < 0)
		return r;
	struct copy copy = { from, isolation_disk_table(from->form, err) };
	if (!copy.disk)
		return -EOPNOTSUPP;
	machine_sweep(isolation_erase);
	return machine_create(to, fill, &copy, err);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *new_name = options_words(o)->items[0];
	int r = clone_machine(options_target(o), new_name, o, &err);
	if (r < 0)
		return output_failure(r, err);
	note_ports_of_containers(new_name);
	output_line("%s", new_name);
	return 0;
}
