/* SPDX-License-Identifier: Apache-2.0
 * `holm machine rm NAME...`. */

#include "cli/machine/rm.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/mount_points.h"
#include "cli/output.h"
#include "isolation/isolation.h"

enum { FORCED_STOP_MS = 2000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "stop it first when it runs; one that is not there is fine" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ 0 },
};

const struct command_spec command_rm = {
	.name = "rm",
	.aliases = (const char *const[]){ "delete", NULL },
	.synopsis = "NAME...",
	.summary = "remove machines and their disks; your home is not touched",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES,
	.complete = "machine",
	.run = run,
};

int rm_machine(const char *name, int force, struct error **err)
{
	AUTO_LOCKS struct client_locks locks = CLIENT_LOCKS_NONE;
	AUTO_MACHINE struct machine *m = NULL;
	int r = force ? client_stop(name, FORCED_STOP_MS, err) : 0;
	if (r == 0)
		r = client_lock_stopped(name, &locks, err);
	if (r == -EBUSY && !force) {
		error_clear(err);
		return error_set(err, EBUSY,
		    "machine \"%s\" is running; stop it first (holm machine stop %s), or use rm --force", name, name);
	}
	if (r < 0)
		return r;
	/* A machine whose file is damaged can be removed all the same. */
	machine_load(name, &m, NULL);
	machine_sweep(isolation_erase);
	r = machine_delete(name, isolation_erase, err);
	if (r < 0 || !m)
		return r;
	for (size_t i = 0; i < m->mount_count; i++)
		mount_points_remove(m, m->mounts[i].inside);
	const struct isolation_disk_ops *disk = isolation_disk_table(m->form, NULL);
	return disk && disk->remove ? disk->remove(m, err) : 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	const struct strv *names = options_targets(o);
	int status = 0, force = options_given(o, "force");
	for (size_t i = 0; i < names->count; i++) {
		AUTO_ERROR struct error *err = NULL;
		int r = rm_machine(names->items[i], force, &err);
		if (r == -ENOENT && force)
			continue;
		if (r < 0)
			status = output_failure(r, err);
		else
			output_line("%s", names->items[i]);
	}
	return status;
}
