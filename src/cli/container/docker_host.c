/* SPDX-License-Identifier: Apache-2.0
 * `holm docker-host [--machine NAME] [--start]`: prints where a machine's docker.sock is. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/target.h"
#include "machine/machine.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "machine", 0, OPTION_STRING, "NAME", "the machine", .default_text = "the default machine",
	    .complete = "machine" },
	{ "start", 0, OPTION_FLAG, NULL, "boot the machine first" },
	{ 0 },
};

const struct command_spec command_docker_host = {
	.name = "docker-host",
	.synopsis = "",
	.summary = "print the DOCKER_HOST of a machine, for Docker's clients",
	.options = options,
	.details =
	    "The machine's containers then answer to a stock client: export DOCKER_HOST=$(holm docker-host --start). "
	    "The path stays the same as long as the machine has its name. Native machines have containers; "
	    "those of VMs and of root come later.",
	.run = run,
};

static int find_machine(struct options *o, char **ret, struct error **err)
{
	CLEANUP(machine_freep) struct machine *m = NULL;
	const char *name = options_string(o, "machine");
	int r = 0;
	if (name)
		*ret = xstrdup(name);
	else
		r = target_default(ret, err);
	return r < 0 ? r : machine_load(*ret, &m, err);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *name = NULL;
	int started, r = find_machine(o, &name, &err);
	if (r < 0)
		return output_failure(r, err);
	if (options_given(o, "start") && (r = client_start(name, CLIENT_SESSION, 0, &started, &err)) < 0)
		return client_start_failure(r, err);
	AUTOFREE char *api = machine_socket_path(name, &err), *folder = api ? path_parent(api) : NULL;
	if (!api)
		return output_failure(-EIO, err);
	output_line("unix://%s/docker.sock", folder);
	return 0;
}
