/* SPDX-License-Identifier: Apache-2.0
 * See ssh.h: the process that serves a container's connections to ssh agents.
 *
 * For each lane one request waits at the engine until a program inside connects; then its
 * connection carries the agent's protocol (draft-miller-ssh-agent): a request, then its answer. So
 * one connection to the agent serves all of them, one request after the other. The program inside
 * is hostile: a request is read whole, its size is capped, its type looked at, and one that
 * dawdles loses its connection. The process dies with the builder. */
#include "image/builder/ssh.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "http/http.h"

enum {
	MESSAGE_MAX = 256 * 1024, /* as OpenSSH has it */
	CLIENTS_MAX = 32,
	LANES_MAX = 64,
	REQUEST_MS = 10 * 1000,
	ANSWER_MS = 10 * 60 * 1000, /* the user may have to confirm, or to touch a key */
	LENGTH = 4,
	FAILURE = 5,
	REQUEST_IDENTITIES = 11,
	SIGN_REQUEST = 13,
};

int ssh_request_is_allowed(unsigned char type)
{
	return type == REQUEST_IDENTITIES || type == SIGN_REQUEST;
}

struct client {
	const struct ssh_lane *lane;
	int fd;
	struct buffer early; /* bytes that came with the engine's answer */
};

struct serving {
	struct build_engine *engine;
	const char *container;
	const struct ssh_lane *lanes;
	size_t count;
	int offers[LANES_MAX]; /* -1: none any more */
	struct client clients[CLIENTS_MAX];
	size_t client_count;
	unsigned char message[LENGTH + MESSAGE_MAX];
};

/* ---- messages ---- */

static int read_bytes(int fd, struct buffer *early, unsigned char *to, size_t size, uint64_t deadline)
{
	size_t n_early = early ? MIN(early->size, size) : 0;
	if (n_early) {
		memcpy(to, early->data, n_early);
		buffer_consume(early, n_early);
		to += n_early;
		size -= n_early;
	}
	while (size) {
		int r = fd_wait(fd, POLLIN, deadline);
		ssize_t n = r == 1 ? recv(fd, to, size, MSG_DONTWAIT) : r < 0 ? r : -ETIMEDOUT;
		if (n == 0 || (r != 1) || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (n > 0) {
			to += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int write_bytes(int fd, const unsigned char *from, size_t size, uint64_t deadline)
{
	while (size) {
		int r = fd_wait(fd, POLLOUT, deadline);
		ssize_t n = r == 1 ? send(fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
		if (r != 1 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (n > 0) {
			from += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* A message with its length in front; its whole size, or -errno. */
static ssize_t read_message(int fd, struct buffer *early, unsigned char *to, uint64_t deadline)
{
	if (read_bytes(fd, early, to, LENGTH, deadline) < 0)
		return -EPIPE;
	size_t size = (size_t)to[0] << 24 | (size_t)to[1] << 16 | (size_t)to[2] << 8 | to[3];
	if (size < 1 || size > MESSAGE_MAX)
		return -EPROTO;
	return read_bytes(fd, early, to + LENGTH, size, deadline) < 0 ? -EPIPE : (ssize_t)(LENGTH + size);
}

/* Has the agent answer the request in `message`; the size of the answer, or -errno. After a failure
 * the connection ends: a late answer would be taken for that to the next request. */
static ssize_t ask_agent(struct serving *s, int agent, size_t size)
{
	ssize_t n = write_bytes(agent, s->message, size, clock_deadline(REQUEST_MS));
	if (n == 0)
		n = read_message(agent, NULL, s->message, clock_deadline(ANSWER_MS));
	if (n < 0)
		(void)shutdown(agent, SHUT_RDWR);
	return n;
}

/* One request and its answer. 0 or -errno. */
static int serve(struct serving *s, struct client *c)
{
	static const unsigned char failure[] = { 0, 0, 0, 1, FAILURE };
	ssize_t n = read_message(c->fd, &c->early, s->message, clock_deadline(REQUEST_MS));
	if (n < 0)
		return (int)n;
	if (!ssh_request_is_allowed(s->message[LENGTH]))
		return write_bytes(c->fd, failure, sizeof failure, clock_deadline(REQUEST_MS));
	n = ask_agent(s, c->lane->agent.fd, (size_t)n);
	return n < 0 ? (int)n : write_bytes(c->fd, s->message, (size_t)n, clock_deadline(REQUEST_MS));
}

/* ---- connections ---- */

/* Has a request wait for the next connection. */
static void offer(struct serving *s, size_t lane)
{
	AUTOFREE char *target = xasprintf("/containers/%s/socket?name=%s", s->container, s->lanes[lane].name);
	s->offers[lane] = build_engine_upgrade(s->engine, target, NULL);
}

/* There is an answer: a connection, or the container's end. */
static void take(struct serving *s, size_t lane)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	AUTO_FD int fd = s->offers[lane];
	s->offers[lane] = -1;
	if (http_answer(fd, clock_deadline(REQUEST_MS), &response, NULL) < 0 || response.head.status != 101)
		return;
	struct client *c = &s->clients[s->client_count++];
	*c = (struct client){ .lane = &s->lanes[lane], .fd = TAKE_FD(fd), .early = response.early };
	response.early = (struct buffer){ 0 };
	offer(s, lane);
}

static void drop(struct serving *s, size_t client)
{
	fd_close(s->clients[client].fd);
	buffer_done(&s->clients[client].early);
	s->clients[client] = s->clients[--s->client_count];
}

static int has_early(const struct serving *s)
{
	for (size_t i = 0; i < s->client_count; i++)
		if (s->clients[i].early.size)
			return 1;
	return 0;
}

/* Waits once and handles what came. 0; -errno: there is nothing to wait for. */
static int turn(struct serving *s)
{
	struct pollfd fds[CLIENTS_MAX + LANES_MAX];
	size_t clients = s->client_count, waiting = 0;
	for (size_t i = 0; i < clients; i++)
		fds[i] = (struct pollfd){ .fd = s->clients[i].fd, .events = POLLIN };
	for (size_t i = 0; i < s->count; i++) {
		fds[clients + i] = (struct pollfd){ .fd = clients < CLIENTS_MAX ? s->offers[i] : -1, .events = POLLIN };
		waiting += s->offers[i] >= 0;
	}
	if (!clients && !waiting)
		return -ENOENT;
	if (poll(fds, clients + s->count, has_early(s) ? 0 : -1) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = clients; i-- > 0;)
		if ((fds[i].revents || s->clients[i].early.size) && serve(s, &s->clients[i]) < 0)
			drop(s, i);
	for (size_t i = 0; i < s->count; i++)
		if (fds[clients + i].revents && s->client_count < CLIENTS_MAX)
			take(s, i);
	return 0;
}

static _Noreturn void run(struct serving *s, pid_t parent)
{
	spawn_reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (size_t i = 0; i < s->count; i++)
		offer(s, i);
	while (turn(s) == 0)
		continue;
	_exit(0);
}

pid_t ssh_relay_start(struct build_engine *e, const char *container, const struct ssh_lane *lanes, size_t count,
    struct error **err)
{
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start the relay of ssh agents");
	if (pid)
		return pid;
	struct serving *s = xnew(struct serving);
	s->engine = e;
	s->container = container;
	s->lanes = lanes;
	s->count = MIN(count, (size_t)LANES_MAX);
	run(s, parent);
}

void ssh_relay_stop(pid_t pid)
{
	int status;
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	(void)spawn_wait(pid, &status);
}
