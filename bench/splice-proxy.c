/* SPDX-License-Identifier: Apache-2.0
 * The least that forwarding a TCP port can cost: one process that accepts, connects and splices. It
 * is what published ports are measured beside.
 *
 *   splice-proxy PORT TARGET-PORT     both of 127.0.0.1
 *
 * epoll, edge-triggered; a pipe a direction, kept for the next connection. Half-closes are passed
 * on; nothing is capped. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, CHUNK = 256 * 1024, PIPES = 256, BACKLOG = 1024 };

struct side {
	struct side *other;
	int fd, pipe[2]; /* the pipe leads to this side */
	size_t waiting;
	int read_ended, write_ended, dead;
};

static int epoll, pipes[PIPES][2], pipe_count;
static struct side *dead[2 * EVENTS];
static int dead_count;

static void take_pipe(int ret[2])
{
	if (pipe_count) {
		pipe_count--;
		ret[0] = pipes[pipe_count][0];
		ret[1] = pipes[pipe_count][1];
	} else if (pipe2(ret, O_CLOEXEC | O_NONBLOCK) < 0) {
		perror("splice-proxy: pipe");
		exit(1);
	}
}

static void give_pipe(struct side *s)
{
	if (!s->waiting && pipe_count < PIPES) {
		pipes[pipe_count][0] = s->pipe[0];
		pipes[pipe_count++][1] = s->pipe[1];
		return;
	}
	close(s->pipe[0]);
	close(s->pipe[1]);
}

static void end(struct side *s)
{
	if (s->dead)
		return;
	s->dead = s->other->dead = 1;
	give_pipe(s);
	give_pipe(s->other);
	close(s->fd);
	close(s->other->fd);
	dead[dead_count++] = s;
	dead[dead_count++] = s->other;
}

/* 0 go on, -1 broken. */
static int pump(struct side *from, struct side *to)
{
	for (;;) {
		while (to->waiting) {
			ssize_t n =
			    splice(to->pipe[0], NULL, to->fd, NULL, to->waiting, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (n <= 0)
				return errno == EAGAIN ? 0 : -1;
			to->waiting -= (size_t)n;
		}
		if (from->read_ended) {
			if (!to->write_ended)
				shutdown(to->fd, SHUT_WR);
			to->write_ended = 1;
			return 0;
		}
		ssize_t n = splice(from->fd, NULL, to->pipe[1], NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		to->waiting = (size_t)n;
		from->read_ended = n == 0;
	}
}

static struct side *add(int fd)
{
	int one = 1;
	struct side *s = calloc(1, sizeof *s);
	if (!s)
		exit(1);
	s->fd = fd;
	take_pipe(s->pipe);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return s;
}

static void watch(struct side *s)
{
	epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd,
	    &(struct epoll_event){ .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s });
}

static void accept_all(int listening, const struct sockaddr_in *target)
{
	int fd;
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct side *a = add(fd), *b = add(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
		a->other = b;
		b->other = a;
		if (connect(b->fd, (const struct sockaddr *)target, sizeof *target) < 0 && errno != EINPROGRESS)
			end(a);
		else {
			watch(a);
			watch(b);
		}
	}
}

static void run(int listening, const struct sockaddr_in *target)
{
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct side *s = events[i].data.ptr;
			if (!s)
				accept_all(listening, target);
			else if (!s->dead && (pump(s, s->other) < 0 || pump(s->other, s) < 0 ||
						 (s->write_ended && s->other->write_ended)))
				end(s);
		}
		while (dead_count)
			free(dead[--dead_count]);
	}
}

int main(int argc, char **argv)
{
	int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (argc != 3)
		return 2;
	struct sockaddr_in own = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
			   target = own;
	target.sin_port = htons((uint16_t)atoi(argv[2]));
	signal(SIGPIPE, SIG_IGN);
	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listening, (struct sockaddr *)&own, sizeof own) < 0 || listen(listening, BACKLOG) < 0) {
		perror("splice-proxy");
		return 1;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = NULL });
	run(listening, &target);
}
