/* SPDX-License-Identifier: Apache-2.0
 * `holm machine set KEY=VALUE...`: all of them or none. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/change.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "isolation/isolation.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "the machine", .default_text = "the default machine", .complete = "machine" },
	{ 0 },
};

const struct command_spec command_set = {
	.name = "set",
	.synopsis = "KEY=VALUE...",
	.summary = "change settings of a machine; they count from its next start",
	.details = "Keys: cpus, memory, disk-size, home-mount, isolation, kernel, kernel-modules, user, init, host-access, transport and env.NAME. An empty "
		   "value goes back to the default. inspect shows what is set.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "key",
	.run = run,
};

static int apply(struct machine *m, void *data, struct error **err)
{
	const struct strv *pairs = data;
	for (size_t i = 0; i < pairs->count; i++) {
		const char *equals = strchr(pairs->items[i], '=');
		if (!equals || equals == pairs->items[i])
			return error_set(err, EINVAL, "\"%.80s\": write KEY=VALUE, such as memory=2G", pairs->items[i]);
		AUTOFREE char *key = xstrndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
		int r = machine_set(m, key, equals + 1, err);
		if (r < 0)
			return r;
	}
	/* auto is what the disk is made for; what is asked for by name must be there. */
	enum machine_isolation resolved;
	return m->isolation == MACHINE_ISOLATION_AUTO ? 0 : isolation_resolve(m, &resolved, NULL, err);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *name = NULL;
	int r = client_pick(options_string(o, "name"), &name, &err);
	if (r == 0)
		r = change_machine(name, apply, (void *)options_words(o), &err);
	if (r < 0)
		return output_failure(r, err);
	if (machine_is_running(name) == 1)
		output_note("machine \"%s\" is running: this takes effect at its next start", name);
	puts(name);
	return 0;
}
