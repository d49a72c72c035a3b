/* SPDX-License-Identifier: Apache-2.0
 * See below.h. */
#include "agent/core/below.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/spawn.h"

enum { STATUS_LOST = 125 };

static _Noreturn void pass_on(pid_t pid)
{
	int status = 0;
	fd_close_from(0, NULL, 0);
	for (pid_t ended = 0; ended != pid;)
		if ((ended = waitpid(-1, &status, 0)) < 0 && errno != EINTR)
			_exit(STATUS_LOST);
	_exit(spawn_exit_status(status));
}

int below_fork(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid > 0)
		pass_on(pid);
	return pid < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}
