/* SPDX-License-Identifier: Apache-2.0
 * A container's user and network namespace. A child makes both at once, so that the first owns the
 * second; this process writes the mapping and connects the veth pairs; the child sets up its side,
 * where a netlink socket of its own is needed, and ends. Descriptors keep the namespaces. A later
 * change is made by a child that joins them. */
#include "agent/engine/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/network.h"
#include "base/clock.h"
#include "base/fd.h"

enum { STEP_MS = 10 * 1000 };

void container_namespaces_done(struct container_namespaces *n)
{
	fd_close(n->user);
	fd_close(n->network);
	n->user = n->network = -1;
}

/* The task of the child, known to both processes. */
struct making {
	const struct idmap *ids;                  /* of new namespaces; NULL: the caller's */
	const struct container_namespaces *joins; /* NULL: it makes new ones */
	int user;                                 /* the new network namespace is this one's; or -1 */
	const struct namespaces_change *change;
};

/* ---- the child ---- */

static int answer(int socket, int result)
{
	return send(socket, &result, sizeof result, MSG_NOSIGNAL) == sizeof result ? result : -EPIPE;
}

static int enter(const struct making *m)
{
	const struct container_namespaces *n = m->joins;
	if (!n && m->user >= 0 && setns(m->user, CLONE_NEWUSER) < 0)
		return -errno;
	if (!n)
		return unshare((m->ids ? CLONE_NEWUSER : 0) | CLONE_NEWNET) < 0 ? -errno : 0;
	return (n->user >= 0 && setns(n->user, CLONE_NEWUSER) < 0) || setns(n->network, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int remove_interface(int interface)
{
	struct netlink n;
	char name[IFNAMSIZ];
	interface_name((unsigned)interface, name);
	const struct ifinfomsg m = { .ifi_index = (int)if_nametoindex(name) };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || !m.ifi_index)
		return fd < 0 ? fd : 0;
	netlink_init(&n);
	netlink_message(&n, RTM_DELLINK, NLM_F_ACK, &m, sizeof m);
	return netlink_do(fd, &n);
}

static int set_route(const struct attachment *a, int six)
{
	struct netlink n;
	char name[IFNAMSIZ];
	interface_name(a->interface, name);
	int index = (int)if_nametoindex(name);
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0 || !index)
		return fd < 0 ? fd : -ENODEV;
	netlink_init(&n);
	if (six)
		network_add_default_route6(&n, index, &a->bridge->gateway6);
	else
		network_add_default_route(&n, index, htonl(a->bridge->gateway));
	return netlink_do(fd, &n);
}

static int set_up(const struct making *m, struct resolver_sockets *sockets)
{
	const struct namespaces_change *change = m->change;
	int r = m->joins ? 0 : container_configure_loopback();
	if (r == 0 && change->remove >= 0)
		r = remove_interface(change->remove);
	if (r == 0)
		r = container_configure(change->add, change->count);
	if (r == 0 && change->route)
		r = set_route(change->route, 0);
	if (r == 0 && change->route6)
		r = set_route(change->route6, 1);
	if (r == 0 && change->resolver)
		r = container_open_resolver(sockets);
	return r;
}

static _Noreturn void child(const struct making *m, int socket)
{
	struct resolver_sockets sockets = { -1, -1 };
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (answer(socket, enter(m)) < 0 || read(socket, &byte, 1) != 1)
		_exit(1);
	int r = answer(socket, set_up(m, &sockets));
	if (r == 0 && m->change->resolver)
		r = fd_send(socket, (const int[]){ sockets.udp, sockets.tcp }, 2);
	_exit(r < 0);
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
	int r = m->ids ? idmap_write(m->ids, pid, err) : 0;
	if (r < 0)
		return r;
	ret->network = open_namespace(pid, "net");
	if (ret->network >= 0 && m->ids)
		ret->user = open_namespace(pid, "user");
	if (ret->network < 0 || (m->ids && ret->user < 0))
		return error_set_errno(err, MIN(ret->network, ret->user), "cannot open the container's namespaces");
	return 0;
}

static int receive_sockets(int socket, struct resolver_sockets *ret)
{
	int fds[2] = { -1, -1 };
	size_t count = 0;
	int r = fd_wait(socket, POLLIN, clock_deadline(STEP_MS));
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	r = fd_receive(socket, fds, 2, &count);
	*ret = (struct resolver_sockets){ fds[0], fds[1] };
	return r < 0 || count == 2 ? r : -ECHILD;
}

static int converse(const struct making *m, pid_t pid, int socket, struct container_namespaces *made,
    struct error **err)
{
	const struct namespaces_change *change = m->change;
	int r = await(socket);
	if (r < 0)
		return error_set_errno(err, r, "cannot make the container's namespaces");
	if (!m->joins && (r = open_namespaces(m, pid, made, err)) < 0)
		return r;
	const struct container_namespaces *n = m->joins ? m->joins : made;
	for (size_t i = 0; i < change->count; i++)
		if ((r = container_attach(&change->add[i], n->network, err)) < 0)
			return r;
	r = send(socket, "g", 1, MSG_NOSIGNAL) == 1 ? await(socket) : -errno;
	if (r == 0 && change->resolver)
		r = receive_sockets(socket, change->resolver);
	return r < 0 ? error_set_errno(err, r, "cannot set up the container's network") : 0;
}

static int run_child(const struct making *m, struct container_namespaces *made, struct error **err)
{
	int ends[2];
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	AUTO_FD int ours = ends[0], theirs = ends[1];
	pid_t pid = fork();
	if (pid == 0) {
		close(ours);
		child(m, theirs);
	}
	fd_close(TAKE_FD(theirs));
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start a process for the container's namespaces");
	r = converse(m, pid, ours, made, err);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

int container_namespaces_make(const struct idmap *ids, const struct attachment *list, size_t count,
    struct container_namespaces *ret, struct resolver_sockets *resolver, struct error **err)
{
	const struct namespaces_change change = { .add = list, .count = count, .remove = -1, .resolver = resolver };
	const struct making m = { .ids = ret->user < 0 ? ids : NULL, .user = ret->user, .change = &change };
	AUTO_CONTAINER_NAMESPACES struct container_namespaces made = { -1, -1 };
	int r = run_child(&m, &made, err);
	if (r < 0)
		return r;
	if (ret->user >= 0)
		made.user = ret->user;
	*ret = made;
	made = (struct container_namespaces){ -1, -1 };
	return 0;
}

int container_namespaces_change(const struct container_namespaces *n, const struct namespaces_change *change,
    struct error **err)
{
	const struct making m = { .joins = n, .user = -1, .change = change };
	struct container_namespaces none = { -1, -1 };
	return run_child(&m, &none, err);
}
