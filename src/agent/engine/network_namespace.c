/* SPDX-License-Identifier: Apache-2.0
 * A container's user and network namespace. A child makes both at once, so that the first owns the
 * second; this process writes the mapping and connects the veth pair; the child sets up its side,
 * where a netlink socket of its own is needed, and ends. Descriptors keep the namespaces. */
#include "agent/engine/network.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { STEP_MS = 10 * 1000 };

void container_namespaces_done(struct container_namespaces *n)
{
	fd_close(n->user);
	fd_close(n->network);
	n->user = n->network = -1;
}

/* The arguments, known to both processes. */
struct making {
	const struct idmap *ids;
	const struct bridge *bridge;
	uint32_t address;
};

/* ---- the child ---- */

static int answer(int socket, int result)
{
	return send(socket, &result, sizeof result, MSG_NOSIGNAL) == sizeof result ? result : -EPIPE;
}

static _Noreturn void child(const struct making *m, int socket)
{
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int r = unshare((m->ids ? CLONE_NEWUSER : 0) | CLONE_NEWNET) < 0 ? -errno : 0;
	if (answer(socket, r) < 0 || read(socket, &byte, 1) != 1)
		_exit(1);
	_exit(answer(socket, container_configure(m->bridge, m->address)) < 0);
}

/* ---- its parent ---- */

static int await(int socket)
{
	int result = 0;
	int r = fd_wait(socket, POLLIN, clock_deadline(STEP_MS));
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	ssize_t n = read(socket, &result, sizeof result);
	if (n < 0)
		return -errno;
	return n == sizeof result ? result : -ECHILD;
}

static int open_namespace(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_namespaces(const struct making *m, pid_t pid, struct container_namespaces *ret, struct error **err)
{
	ret->network = open_namespace(pid, "net");
	if (ret->network >= 0 && m->ids)
		ret->user = open_namespace(pid, "user");
	if (ret->network < 0 || (m->ids && ret->user < 0))
		return error_set_errno(err, MIN(ret->network, ret->user), "cannot open the container's namespaces");
	return 0;
}

static int converse(const struct making *m, pid_t pid, int socket, struct container_namespaces *ret, struct error **err)
{
	int r = await(socket);
	if (r < 0)
		return error_set_errno(err, r, "cannot make the container's namespaces");
	if (m->ids && (r = idmap_write(m->ids, pid, err)) < 0)
		return r;
	if ((r = open_namespaces(m, pid, ret, err)) < 0)
		return r;
	if (m->bridge && (r = container_attach(m->bridge, m->address, ret->network, err)) < 0)
		return r;
	r = send(socket, "g", 1, MSG_NOSIGNAL) == 1 ? await(socket) : -errno;
	return r < 0 ? error_set_errno(err, r, "cannot set up the container's network") : 0;
}

int container_namespaces_make(const struct idmap *ids, const struct bridge *b, uint32_t address,
    struct container_namespaces *ret, struct error **err)
{
	const struct making m = { ids, b, address };
	AUTO_CONTAINER_NAMESPACES struct container_namespaces made = { -1, -1 };
	int ends[2];
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	AUTO_FD int ours = ends[0], theirs = ends[1];
	pid_t pid = fork();
	if (pid == 0) {
		close(ours);
		child(&m, theirs);
	}
	fd_close(TAKE_FD(theirs));
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start a process for the container's namespaces");
	r = converse(&m, pid, ours, &made, err);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	*ret = made;
	made = (struct container_namespaces){ -1, -1 };
	return 0;
}
