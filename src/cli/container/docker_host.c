/* SPDX-License-Identifier: Apache-2.0
 * `holm docker-host [--machine NAME] [--start]`: prints where a machine's docker.sock is. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "machine/machine.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	API_MACHINE_OPTION,
	{ "start", 0, OPTION_FLAG, NULL, "boot the machine first; make one where there is none" },
	{ 0 },
};

const struct command_spec command_docker_host = {
	.name = "docker-host",
	.synopsis = "",
	.summary = "print the DOCKER_HOST of a machine, for Docker's clients",
	.options = options,
	.details =
	    "The machine's containers then answer to a stock client: export DOCKER_HOST=$(holm docker-host --start). "
	    "The path stays the same as long as the machine has its name; for one that leads to the default machine "
	    "see CONTAINERS in holm(1). Virtual machines and native machines have "
	    "containers, except native machines of root.",
	.run = run,
};

/* Whether the machine can have containers. 0 or -errno. */
static int check_containers(const char *name, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	int r = machine_load(name, &m, err);
	if (r == 0 && geteuid() == 0 && m->form == MACHINE_ISOLATION_NATIVE)
		return error_set(err, EOPNOTSUPP,
		    "machine \"%s\" is a native one of root, and these have no containers; run holm as an ordinary "
		    "user, or take a virtual machine",
		    name);
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = options_given(o, "start") ? api_init_or_make(&a, c, o, &err) : api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	if ((r = check_containers(a.machine, &err)) < 0)
		return output_failure(r, err);
	if (options_given(o, "start") && (r = client_start(a.machine, CLIENT_SESSION, 0, NULL, &err)) < 0)
		return client_start_failure(r, err);
	AUTOFREE char *socket = machine_socket_path(a.machine, &err), *folder = socket ? path_parent(socket) : NULL;
	if (!socket)
		return output_failure(-EIO, err);
	output_line("unix://%s/docker.sock", folder);
	return 0;
}
