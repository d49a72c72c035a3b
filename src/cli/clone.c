/* SPDX-License-Identifier: Apache-2.0
 * `holm machine clone NAME NEW`: a copy-on-write copy of a stopped machine, with an identity of its own. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "isolation/isolation.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_clone = {
	.name = "clone",
	.synopsis = "NAME NEW",
	.summary = "copy a stopped machine; disk space is used only for what changes later",
	.min_arguments = 2,
	.max_arguments = 2,
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
	return copy->disk->clone(copy->from, m, directory, err);
}

/* The settings of one machine with the name, id and time of another. */
static int copy_settings(const struct machine *from, const char *name, struct machine **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = machine_to_json(from);
	AUTO_MACHINE struct machine *fresh = machine_new(name);
	json_add_string(o, "name", fresh->name);
	json_add_string(o, "id", fresh->id);
	json_add_string(o, "created", fresh->created);
	return machine_from_json(o, ret, err);
}

static int clone_machine(const char *name, const char *new_name, struct error **err)
{
	AUTO_LOCKS struct client_locks locks = CLIENT_LOCKS_NONE;
	AUTO_MACHINE struct machine *from = NULL, *to = NULL;
	int r = machine_name_free(new_name, err);
	if (r == 0)
		r = client_lock_stopped(name, &locks, err);
	if (r == 0)
		r = machine_load(name, &from, err);
	if (r == 0)
		r = copy_settings(from, new_name, &to, err);
	if (r < 0)
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
	char **words = options_words(o)->items;
	int r = clone_machine(words[0], words[1], &err);
	if (r < 0)
		return output_failure(r, err);
	puts(words[1]);
	return 0;
}
