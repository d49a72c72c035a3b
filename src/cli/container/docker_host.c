/* SPDX-License-Identifier: Apache-2.0
 * `holm docker-host [--machine NAME] [--start]`: prints where a machine's docker.sock is. `holm
 * compose`: runs docker-compose there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "machine/machine.h"

static int run(const struct command_spec *c, struct options *o);
static int run_compose(const struct command_spec *c, struct options *o);

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

/* *ret: owned. The exit status, 0 if it could be found. */
static int find_host(const struct command_spec *c, struct options *o, char **ret)
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
	*ret = xasprintf("unix://%s/docker.sock", folder);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTOFREE char *host = NULL;
	int status = find_host(c, o, &host);
	if (status == 0)
		output_line("%s", host);
	return status;
}

/* ---- compose ---- */

const struct command_spec command_compose = {
	.name = "compose",
	.synopsis = "[WORD...]",
	.summary = "run docker-compose with the machine's containers",
	.details =
	    "The words are docker-compose's. It is the one of PATH, else docker's plugin of that name. HOLM_MACHINE "
	    "names the machine; it boots, and where there is none, it is made.",
	.max_arguments = -1,
	.passes_on = 1,
	.run = run_compose,
};

/* Owned; NULL: docker-compose is not installed. */
static char *find_compose(void)
{
	/* Docker's own folders of plugins stand behind PATH. */
	static const char more[] = "/usr/local/lib/docker/cli-plugins:/usr/local/libexec/docker/cli-plugins:"
				   "/usr/lib/docker/cli-plugins:/usr/libexec/docker/cli-plugins";
	const char *path = getenv("PATH");
	AUTOFREE char *home = path_home_dir(), *all = xasprintf("%s:%s/.docker/cli-plugins:%s",
						   path ? path : "/usr/bin", home ? home : "", more);
	AUTO_STRV struct strv folders = { 0 };
	strv_split(&folders, all, ":");
	for (size_t i = 0; i < folders.count; i++) {
		AUTOFREE char *program = path_join(folders.items[i], "docker-compose");
		if (access(program, X_OK) == 0)
			return TAKE_PTR(program);
	}
	return NULL;
}

/* docker-compose 1 would call `docker` for builds and terminals unless these say otherwise. */
static void set_environment(const char *host)
{
	setenv("DOCKER_HOST", host, 1);
	setenv("COMPOSE_DOCKER_CLI_BUILD", "0", 0);
	setenv("COMPOSE_INTERACTIVE_NO_CLI", "1", 0);
	setenv("DOCKER_BUILDKIT", "0", 0);
}

static int run_compose(const struct command_spec *c, struct options *o)
{
	static char *const start[] = { (char *)"--start" };
	CLEANUP(options_freep) struct options *inner = NULL;
	AUTOFREE char *host = NULL, *program = find_compose();
	AUTO_STRV struct strv argv = { 0 };
	if (!program) {
		output_error("docker-compose is not installed; get it, such as with apt install docker-compose");
		return EXIT_HOLM;
	}
	if (options_parse(&command_docker_host, 1, start, &inner, NULL) < 0)
		return EXIT_HOLM;
	int status = find_host(&command_docker_host, inner, &host);
	if (status)
		return status;
	strv_add(&argv, "docker-compose");
	strv_add_all(&argv, options_words(o));
	set_environment(host);
	fflush(stdout);
	execv(program, strv_argv(&argv));
	output_error("%s: %s", program, strerror(errno));
	return EXIT_HOLM;
}
