/* SPDX-License-Identifier: Apache-2.0
 * holm-ssh: a ProxyCommand for ssh(1). `holm-ssh NAME.holm` boots the machine if need be, then
 * speaks SSH on stdin and stdout until the client goes; each channel is a session of the machine's
 * keeper. With `--server sshd` the machine's own sshd speaks (sshd.c). `holm ssh-config` writes the
 * lines for ~/.ssh/config. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cli/client.h"
#include "cli/machine/session_start.h"
#include "cli/output.h"
#include "cli/ssh/place.h"
#include "machine/machine.h"
#include "ssh/connection.h"
#include "ssh/host_key.h"
#include "ssh/sshd.h"

static int serve_holm(const char *machine, const struct machine *settings, struct error **err)
{
	ssh_key key = NULL;
	int r = host_key_load(OWN_HOST_KEY, &key, err);
	if (r == 0)
		r = connection_run(machine, settings, key, err);
	ssh_key_free(key);
	return r;
}

static const struct server {
	const char *name;
	int (*serve)(const char *machine, const struct machine *settings, struct error **err);
	int waits; /* for the init: until then PAM lets nobody but root in (pam_nologin(8)) */
} servers[] = {
	{ "holm", serve_holm, 0 },
	{ "sshd", sshd_run, 1 },
};

static int run(const struct server *server, const char *host)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *name = xstrndup(host, strlen(host) - (endswith(host, SSH_SUFFIX) ? strlen(SSH_SUFFIX) : 0));
	int r = machine_name_check(name, &err);
	if (r == 0)
		r = machine_load(name, &m, &err);
	if (r < 0)
		return output_failure(r, err);
	if (server->waits)
		m->wait = MACHINE_WAIT_INIT;
	r = session_boot(name, m, 0, &err);
	if (r < 0)
		return client_start_failure(r, err);
	r = server->serve(name, m, &err);
	return r < 0 ? output_failure(r, err) : r;
}

static const struct server *find_server(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		if (streq(servers[i].name, name))
			return &servers[i];
	return NULL;
}

int main(int argc, char **argv)
{
	fd_fix_standard();
	/* libssh as a client leaves us its own end of our stdin, which then would never end. */
	fd_close_from(3, NULL, 0);
	int named = argc == 4 && streq(argv[1], "--server");
	const struct server *server = find_server(named ? argv[2] : "holm");
	if ((argc != 2 && !named) || !server || argv[argc - 1][0] == '-') {
		output_error("usage: holm-ssh [--server holm|sshd] NAME" SSH_SUFFIX
			     ", as ProxyCommand of ssh; see holm ssh-config --help");
		return EXIT_HOLM;
	}
	return output_finish(run(server, argv[argc - 1]));
}
