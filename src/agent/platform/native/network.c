/* SPDX-License-Identifier: Apache-2.0
 * The machine's user and network namespaces, made before crun needs them: pasta takes some 60 ms to
 * attach, about as long as the rest of a start, so it begins at once, in parallel, and crun joins
 * both by path. A network namespace belongs to the user namespace that it was made in, which gives
 * root inside its power over it; hence both.
 *
 * A child of ours makes them and holds them; it runs nothing else, and ends with the init that they
 * were for, so that a machine that reboots gets a network without rules of its last life. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { STEP_MS = 10 * 1000 };

/* Sets the loopback device up, as crun does for a namespace that it makes itself. 0 or -errno. */
static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static _Noreturn void holder(int socket)
{
	char byte;
	sigset_t all;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "holm-holder");
	fd_close_from(3, &socket, 1);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (unshare(CLONE_NEWUSER) < 0 || write(socket, "u", 1) != 1 || read(socket, &byte, 1) != 1 ||
	    unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
		_exit(1);
	if (write(socket, "n", 1) != 1)
		_exit(1);
	close(socket);
	for (;;)
		pause();
}

int native_expect(int socket, char wanted)
{
	char byte = 0;
	int r = fd_wait(socket, POLLIN, clock_deadline(STEP_MS));
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	return read(socket, &byte, 1) == 1 && byte == wanted ? 0 : -ECHILD;
}

static int converse(const struct native *n, pid_t pid, int socket)
{
	struct idmap nested;
	idmap_onto_itself(&n->go.ids, &nested);
	int r;
	if ((r = native_expect(socket, 'u')) < 0 || (r = idmap_write(&nested, pid, NULL)) < 0 ||
	    (r = fd_write_full(socket, "m", 1)) < 0)
		return r;
	return native_expect(socket, 'n');
}

int native_network_make(struct native *n, struct error **err)
{
	int ends[2];
	if (n->holder)
		return 0;
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	AUTO_FD int ours = ends[0];
	pid_t pid = fork();
	if (pid == 0)
		holder(ends[1]);
	close(ends[1]);
	r = pid < 0 ? -errno : converse(n, pid, ours);
	if (r < 0) {
		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		return error_set_errno(err, r, "cannot make the machine's network namespace");
	}
	n->holder = pid;
	return 0;
}

void native_network_drop(struct native *n)
{
	if (!n->holder)
		return;
	kill(n->holder, SIGKILL);
	waitpid(n->holder, NULL, 0);
	n->holder = 0;
}
