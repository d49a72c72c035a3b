/* SPDX-License-Identifier: Apache-2.0
 * holm-ssh: a ProxyCommand for ssh(1). `holm-ssh NAME.holm` boots the machine if need be, then
 * speaks SSH on stdin and stdout until the client goes; each channel is a session of the machine's
 * keeper. `holm ssh-config` writes the lines for ~/.ssh/config. */
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

static int serve(const char *machine, const struct machine *settings, struct error **err)
{
	ssh_key key = NULL;
	int r = host_key_load(&key, err);
	if (r == 0)
		r = connection_run(machine, settings, key, err);
	ssh_key_free(key);
	return r;
}

static int run(const char *host)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *name = xstrndup(host, strlen(host) - (endswith(host, SSH_SUFFIX) ? strlen(SSH_SUFFIX) : 0));
	int r = machine_name_check(name, &err);
	if (r == 0)
		r = machine_load(name, &m, &err);
	if (r < 0)
		return output_failure(r, err);
	r = session_boot(name, m, 0, &err);
	if (r < 0)
		return client_start_failure(r, err);
	r = serve(name, m, &err);
	return r < 0 ? output_failure(r, err) : 0;
}

int main(int argc, char **argv)
{
	fd_fix_standard();
	/* libssh as a client leaves us its own end of our stdin, which then would never end. */
	fd_close_from(3, NULL, 0);
	if (argc != 2 || argv[1][0] == '-') {
		output_error("usage: holm-ssh NAME" SSH_SUFFIX ", as ProxyCommand of ssh; see holm ssh-config --help");
		return EXIT_HOLM;
	}
	return output_finish(run(argv[1]));
}
