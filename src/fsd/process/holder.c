/* SPDX-License-Identifier: Apache-2.0
 * The holder: keeps what a dead worker leaves behind.
 *
 * Problem. The guest's open files are descriptors. The kernel closes the descriptors of a process
 * that dies, and a file that the host has deleted meanwhile cannot be opened again.
 *
 * Idea. A worker is a child with the holder's own table of descriptors (clone(2), CLONE_FILES) and
 * with the holder's shared memory (shared.h). The holder never uses either; it only has to stay
 * alive.
 *
 * Steps. The broker sends a socket. The holder forks a worker that serves it, waits for the
 * worker's end, and tells the broker how the worker ended. Then it takes the next socket.
 *
 * Failures. Two workers would spoil each other's files. waitpid(2) returns when all threads of the
 * old worker are gone. So nothing that it began is under way when the next one starts. The next
 * worker sorts out the descriptors (takeover.c). The holder closes no socket of a worker: the
 * worker may have closed it, and the number may belong to another file by now. */
#include "fsd/process/holder.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static int say(int control, int32_t kind, int32_t wait_status)
{
	struct holder_message m = { .kind = kind, .wait_status = wait_status };
	ssize_t n;
	do
		n = send(control, &m, sizeof m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* fork(2) with a shared table of descriptors. There is one thread, so no lock of libc can be
 * held. */
static pid_t clone_worker(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
}

static int bind_to(pid_t parent)
{
	(void)prctl(PR_SET_NAME, "holm-fsd-worker");
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ? -ESRCH : 0;
}

int holder_run(int control, int (*work)(int socket, void *data), void *data, struct error **err)
{
	pid_t self = getpid();
	int r = say(control, HOLDER_READY, 0);
	while (r == 0) {
		int socket = -1, status = 0;
		size_t count = 0;
		r = fd_receive(control, &socket, 1, &count);
		if (r < 0 || count != 1)
			break;
		pid_t pid = clone_worker();
		if (pid < 0)
			return error_set_errno(err, errno, "cannot start a process that serves files");
		if (pid == 0)
			_exit(bind_to(self) < 0 ? EXIT_HOLM : work(socket, data));
		while (waitpid(pid, &status, 0) < 0)
			if (errno != EINTR)
				return error_set_errno(err, errno, "cannot wait for the process that serves files");
		/* The next worker closes the socket. This one may have closed it already, and its
		 * number may belong to another file by now. */
		r = say(control, HOLDER_ENDED, status);
	}
	return 0;
}
