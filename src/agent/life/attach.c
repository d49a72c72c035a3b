/* SPDX-License-Identifier: Apache-2.0
 * See attach.h. */
#include "agent/life/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/boot_id.h"
#include "agent/core/mount_units.h"
#include "agent/core/mounts.h"
#include "base/fd.h"

int attach_main(int argc, char **argv)
{
	AUTO_ERROR struct error *err = NULL;
	char state[4096];
	int at = 2;
	/* The container's state is not needed, but whoever writes it must not meet a closed
	 * pipe. */
	while (read(STDIN_FILENO, state, sizeof state) > 0)
		;
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 ? error_set_errno(&err, errno, "cannot open the machine's root") : 0;
	if (r >= 0 && at < argc && streq(argv[at], "--boot-id")) {
		r = boot_id_attach(root, &err);
		at++;
	}
	int systemd = at < argc && streq(argv[at], "--systemd");
	for (at += systemd; r >= 0 && at + 1 < argc; at += 2) {
		AUTO_FD int tree = mounts_clone(argv[at], &err);
		r = tree < 0 ? tree : mounts_attach(tree, root, argv[at + 1], &err);
	}
	if (r >= 0 && systemd)
		r = mount_units_leave_all(&err);
	if (r < 0)
		fprintf(stderr, "%s\n", error_text(err, r));
	return r < 0;
}
